//! The runner `builtin`: a compiled kind with the args that the pack gives it.

use legwork_engine::domain::TaskFailure;
use legwork_pack::Builtin;
use serde_json::Value;

use super::attempt::PackAttempt;
use super::effect::Effect;
use super::redact::Secrets;
use crate::kinds::TaskKind;

pub(super) async fn run(attempt: &PackAttempt, spec: &Builtin) -> Result<Effect, TaskFailure> {
    let unknown = || TaskFailure::fail("UnknownKind", format!("this version has no compiled kind {}", spec.kind));
    let kind = attempt.kind.compiled.clone().ok_or_else(unknown)?;
    let mut args = attempt.value(&spec.args)?;
    if let Some(fields) = args.as_object_mut() {
        // An optional arg that is null is left out.
        fields.retain(|_, value| !value.is_null());
    } else {
        args = Value::Object(serde_json::Map::new());
    }
    run_compiled(attempt, &kind, &args).await
}

/// Checks args as a submission of the compiled kind would be, and runs it in this attempt, with the ledger and the keys of this task.
pub(super) async fn run_compiled(attempt: &PackAttempt, kind: &TaskKind, args: &Value) -> Result<Effect, TaskFailure> {
    let text = args.to_string();
    if let Err(field_errors) = kind.check(&text, &attempt.cx.services) {
        let secrets = secrets_of(attempt);
        let messages: Vec<String> = field_errors
            .into_iter()
            .map(|error| {
                // The words of an error may hold the value that was refused.
                let is_secret = args.pointer(&error.pointer).is_some_and(|value| secrets.is_in(value));
                let is_hidden = is_secret || kind.policy.is_sensitive(&error.pointer);
                let detail = if is_hidden { "is wrong" } else { error.detail.as_str() };
                format!("{} {detail}", error.pointer)
            })
            .collect();
        return Err(TaskFailure::fail(
            "BadArgs",
            format!("{} does not take its args: {}", kind.policy.name, messages.join("; ")),
        ));
    }
    kind.run(&text, attempt.cx.clone())?.await.map(Effect::of_result)
}

fn secrets_of(attempt: &PackAttempt) -> Secrets {
    let params = attempt.scope.values().get_attr("params").ok().and_then(|params| serde_json::to_value(params).ok());
    match params {
        Some(Value::Object(params)) => attempt.kind.secrets_of(&params),
        _ => Secrets::default(),
    }
}
