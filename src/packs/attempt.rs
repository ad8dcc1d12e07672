//! An attempt at a kind of a pack: what is read, whether there is something to do, the steps around the effect, and the result.

use std::sync::Arc;

use legwork_engine::domain::TaskFailure;
use legwork_pack::{NoRow, Query, Rows, Runner, Scope, Value as PackValue};
use legwork_source::{Source, SourceError};
use serde_json::{Map, Value, json};

use super::effect::{self, Effect, ReadData, RecordedEffect};
use super::kind::PackKind;
use super::redact::Secrets;
use super::steps::{PackSource, value_failure};
use super::{builtin, chain, email, export, fan_out, http, report, sms};
use crate::kinds::{OrFail as _, TaskContext};

/// What an attempt knows.
pub(super) struct PackAttempt {
    pub kind: Arc<PackKind>,
    pub cx: TaskContext,
    /// What expressions see.
    pub scope: Scope,
    /// What queries and steps gave, by name.
    pub results: Map<String, Value>,
    /// The rows of `query`, where steps behind the effect may refer to them.
    rows: Option<Vec<Value>>,
    /// What no log and no error may hold.
    secrets: Secrets,
    source: Option<Arc<Source>>,
}

/// Runs an attempt: what is read, the effect where no earlier attempt had it, and the steps behind it.
pub(super) async fn run(kind: Arc<PackKind>, params: Map<String, Value>, cx: TaskContext) -> Result<Value, TaskFailure> {
    let mut attempt = PackAttempt::new(kind, params, cx)?;
    let is_recorded = !attempt.kind.kind.steps.after.is_empty();
    let recorded = if is_recorded { effect::find(&attempt.cx).await? } else { None };
    let effect = match recorded {
        Some(RecordedEffect { effect, read: Some(data) }) => {
            attempt.restore(data);
            effect
        }
        Some(RecordedEffect { effect, read: None }) => {
            attempt.read().await?;
            effect
        }
        None => {
            if let Some(reason) = attempt.nothing_to_do().await? {
                return Ok(skipped(&reason));
            }
            let worked = attempt.work().await;
            if let Err(failure) = &worked {
                attempt.note_failure(failure).await;
            }
            let effect = worked?;
            if is_recorded {
                effect::record(&attempt.cx, &effect, attempt.read_data()).await;
            }
            effect
        }
    };
    attempt.finish(effect).await
}

fn skipped(reason: &str) -> Value {
    json!({ "success": true, "message": reason, "skipped": true })
}

impl PackAttempt {
    fn new(kind: Arc<PackKind>, params: Map<String, Value>, cx: TaskContext) -> Result<Self, TaskFailure> {
        let secrets = kind.secrets_of(&params);
        let pack = &kind.runtime.pack;
        let now = cx.clock.now();
        let mut scope = Scope::new();
        scope.set("params", params.into());
        scope.set("now", now.to_string().into());
        scope.set("today", now.to_zoned(pack.zone.clone()).date().to_string().into());
        scope.set("settings", kind.runtime.settings.clone());
        scope.set("pack", json!({ "name": pack.name, "timezone": pack.timezone }));
        let task = json!({
            "id": cx.task.to_string(),
            "kind": cx.kind.to_string(),
            "attempt": cx.attempt.0,
            "submitted_at": cx.submitted_at.to_string(),
        });
        scope.set("task", task);
        scope.set("results", json!({}));
        let source = match &kind.kind.source {
            Some(name) => Some(cx.services.sources.get(Some(name)).map_err(SourceError::Undeclared).or_fail()?.clone()),
            None => None,
        };
        Ok(Self { kind, cx, scope, results: Map::new(), rows: None, secrets, source })
    }

    /// The source of the kind, where it has one.
    pub(super) fn source(&self) -> Result<PackSource<'_>, TaskFailure> {
        let missing = || TaskFailure::fail("SourceUndeclared", "the kind has SQL and no source");
        let source = self.source.as_deref().ok_or_else(missing)?;
        Ok(PackSource { source, engine: &self.kind.runtime.pack.engine })
    }

    /// Evaluates a value.
    pub(super) fn value(&self, value: &PackValue) -> Result<Value, TaskFailure> {
        self.kind.runtime.pack.engine.value(value, &self.scope).map_err(value_failure)
    }

    /// Evaluates a value to a text.
    pub(super) fn text(&self, value: &PackValue) -> Result<String, TaskFailure> {
        self.kind.runtime.pack.engine.text(value, &self.scope).map_err(value_failure)
    }

    /// The same for a value that may be missing; null and an empty text are as good as none.
    pub(super) fn optional_text(&self, value: Option<&PackValue>) -> Result<Option<String>, TaskFailure> {
        let text = value.map(|value| self.text(value)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Evaluates a value to a list of texts: one text is a list of one, null is an empty list.
    pub(super) fn texts(&self, value: Option<&PackValue>) -> Result<Vec<String>, TaskFailure> {
        let Some(value) = value else { return Ok(Vec::new()) };
        Ok(match self.value(value)? {
            Value::Null => Vec::new(),
            Value::String(text) if text.is_empty() => Vec::new(),
            Value::Array(items) => items
                .into_iter()
                .filter(|item| !item.is_null())
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect(),
            Value::String(text) => vec![text],
            other => vec![other.to_string()],
        })
    }

    /// Reads, and looks at `when`. Returns why there is nothing to do, where that is so.
    async fn nothing_to_do(&mut self) -> Result<Option<String>, TaskFailure> {
        if let Some(reason) = self.read().await? {
            return Ok(Some(reason));
        }
        let Some(when) = &self.kind.kind.when else { return Ok(None) };
        let holds = self.kind.runtime.pack.engine.holds(when, &self.scope).map_err(value_failure)?;
        Ok((!holds).then(|| format!("nothing was done: {} does not hold", when.source())))
    }

    /// What the record of the effect keeps for the steps behind it.
    fn read_data(&self) -> ReadData {
        ReadData { rows: self.rows.clone(), results: self.results.clone() }
    }

    fn restore(&mut self, data: ReadData) {
        if let Some(rows) = data.rows {
            self.set_rows(rows);
        }
        self.scope.set("results", data.results.clone().into());
        self.results = data.results;
    }

    /// Runs the steps behind the effect, and makes the result.
    async fn finish(mut self, effect: Effect) -> Result<Value, TaskFailure> {
        let declared = self.kind.clone();
        let mut outcome = effect.fields;
        self.scope.set("outcome", outcome.clone().into());
        if !declared.kind.steps.after.is_empty() {
            let mut results = std::mem::take(&mut self.results);
            self.run_steps(&declared.kind.steps.after, &mut results).await?;
            self.results = results;
        }
        let message = match &declared.kind.summary {
            Some(summary) => self.text(summary)?,
            None => effect.message,
        };
        if let Some(result) = &declared.kind.result {
            outcome = match self.value(result)? {
                Value::Object(fields) => fields,
                other => Map::from_iter([("value".to_owned(), other)]),
            };
        }
        let mut whole = Map::new();
        whole.insert("success".into(), true.into());
        whole.insert("message".into(), message.into());
        for (name, value) in outcome {
            whole.entry(name).or_insert(value);
        }
        Ok(whole.into())
    }

    /// Reads `query` and `queries`. Returns why there is nothing to do, where that is so.
    async fn read(&mut self) -> Result<Option<String>, TaskFailure> {
        let declared = self.kind.clone();
        let data = &declared.kind.data;
        let mut queries: Vec<(&str, &Query)> = data.query.iter().map(|query| ("query", query)).collect();
        queries.extend(data.queries.iter().map(|(name, query)| (name.as_str(), query)));
        if queries.is_empty() {
            return Ok(None);
        }
        let mut answers = self.source()?.read(&self.cx, &queries, &self.scope).await?.into_iter();
        if data.query.is_some() {
            let rows = answers.next().unwrap_or_default();
            match (rows.is_empty(), data.no_row) {
                (true, NoRow::Fail) => {
                    return Err(TaskFailure::fail("NotFound", "the query found no row: there is nothing that fits the args"));
                }
                (true, NoRow::Skip) => return Ok(Some("nothing was done: the query found no row".into())),
                _ => self.set_rows(rows),
            }
        }
        for ((name, query), rows) in data.queries.iter().zip(answers) {
            let value = match query.rows {
                Rows::One => rows.into_iter().next().unwrap_or_default(),
                Rows::Many | Rows::Affected => rows.into(),
            };
            self.results.insert(name.clone(), value);
        }
        self.scope.set("results", self.results.clone().into());
        Ok(None)
    }

    fn set_rows(&mut self, rows: Vec<Value>) {
        self.scope.set("row", rows.first().cloned().unwrap_or_default());
        if !self.kind.kind.steps.after.is_empty() {
            self.rows = Some(rows.clone());
        }
        self.scope.set("rows", rows.into());
    }

    async fn run_steps(&mut self, steps: &[legwork_pack::Step], results: &mut Map<String, Value>) -> Result<(), TaskFailure> {
        let mut scope = self.scope.clone();
        let done = self.source()?.run(&self.cx, steps, &mut scope, results).await;
        self.scope = scope;
        done
    }

    /// The steps before the effect, and the effect.
    async fn work(&mut self) -> Result<Effect, TaskFailure> {
        let declared = self.kind.clone();
        if !declared.kind.steps.before.is_empty() {
            let mut results = std::mem::take(&mut self.results);
            let done = self.run_steps(&declared.kind.steps.before, &mut results).await;
            self.results = results;
            done?;
        }
        match &declared.kind.runner {
            Runner::Sql(steps) => {
                let mut results = std::mem::take(&mut self.results);
                let done = self.run_steps(steps, &mut results).await;
                self.results = results;
                done?;
                Ok(Effect { message: "the statements were run".into(), fields: self.results.clone() })
            }
            Runner::Builtin(spec) => builtin::run(self, spec).await,
            Runner::Email(spec) => email::run(self, spec).await,
            Runner::Sms(spec) => sms::run(self, spec).await,
            Runner::Http(spec) => http::run(self, spec).await,
            Runner::FanOut(spec) => fan_out::run(self, spec).await,
            Runner::Report(spec) => report::run(self, spec).await,
            Runner::Export(spec) => export::run(self, spec).await,
            Runner::Chain(links) => chain::run(self, links).await,
        }
    }

    /// Runs `on_failure`. An attempt that was stopped or goes on later has not failed.
    async fn note_failure(&mut self, failure: &TaskFailure) {
        let declared = self.kind.clone();
        let (error, is_retryable) = match failure {
            TaskFailure::Retry { error, .. } => (error, self.cx.retries_left > 0),
            TaskFailure::Fail(error) => (error, false),
            _ => return,
        };
        if declared.kind.steps.on_failure.is_empty() {
            return;
        }
        self.scope.set(
            "error",
            json!({ "type": error.kind, "message": self.secrets.text(error.message.clone()), "retryable": is_retryable }),
        );
        let mut results = std::mem::take(&mut self.results);
        if let Err(failure) = self.run_steps(&declared.kind.steps.on_failure, &mut results).await {
            let what = match failure {
                TaskFailure::Retry { error, .. } | TaskFailure::Fail(error) => self.secrets.text(error.message),
                _ => "stopped".to_owned(),
            };
            tracing::warn!(task.id = %self.cx.task, task.kind = %self.cx.kind, error = what, "the steps after a failure failed too");
        }
        self.results = results;
    }
}
