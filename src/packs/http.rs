//! The runner `http`: a signed call, made by `http.call`.

use legwork_engine::domain::TaskFailure;
use legwork_pack::Http;
use serde_json::{Map, Value, json};

use super::attempt::PackAttempt;
use super::builtin::run_compiled;
use super::effect::Effect;
use crate::kinds::TaskKind;
use crate::kinds::http_call::HttpCall;

pub(super) async fn run(attempt: &PackAttempt, spec: &Http) -> Result<Effect, TaskFailure> {
    let mut args = json!({
        "method": spec.method,
        "url": attempt.text(&spec.url)?,
        "timeout_seconds": spec.timeout.as_secs_f64(),
    });
    if let Some(headers) = &spec.headers {
        let headers = attempt.value(headers)?;
        let texts: Map<String, Value> = headers
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned).into()))
            .collect();
        args["headers"] = texts.into();
    }
    if let Some(body) = &spec.json {
        args["json"] = attempt.value(body)?;
    }
    if !spec.expected_status.is_empty() {
        args["expected_status"] = spec.expected_status.clone().into();
    }
    let mut effect = run_compiled(attempt, &TaskKind::of::<HttpCall>(), &args).await?;
    let body = effect.fields.remove("body").unwrap_or_default();
    let name = if body.is_string() { "text" } else { "json" };
    effect.fields.insert(name.into(), body);
    Ok(effect)
}
