//! Keeps the secrets of a task out of what is kept of it: its result, its error and its progress.
//!
//! The secrets are the args whose params say `secret`, and the secret settings of the pack. Whatever a runner makes of them, a query answers or
//! a server says in return, their text does not get out. Mails, text messages, calls, files and the args of children hold what the pack puts
//! there: they are what the secret is for.

use std::sync::Arc;

use legwork_engine::domain::{ErrorReport, Progress, TaskFailure};
use legwork_pack::{Kind, Pack};
use serde_json::{Map, Value};

use crate::kinds::ProgressSink;

/// What stands in place of a secret.
const REDACTED: &str = "***";
/// A shorter text is found everywhere by chance, so it is only replaced where it is all there is.
const SHORTEST_PART: usize = 4;

/// The secrets of one task.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// The longest first, so that none is cut by another one that it contains.
    texts: Vec<String>,
}

impl Secrets {
    pub(super) fn of(pack: &Pack, kind: &Kind, params: &Map<String, Value>) -> Self {
        let mut texts = Vec::new();
        let settings = pack.settings.values().filter(|setting| setting.secret);
        settings.for_each(|setting| collect(&setting.value, &mut texts));
        let params = Value::Object(params.clone());
        for pointer in kind.params.secrets() {
            let parts: Vec<&str> = pointer.split('/').skip(1).collect();
            find(&params, &parts, &mut texts);
        }
        Self::new(texts)
    }

    fn new(texts: Vec<String>) -> Self {
        let mut texts: Vec<String> = texts.into_iter().flat_map(|text| forms(&text)).filter(|text| !text.is_empty()).collect();
        texts.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        texts.dedup();
        Self { texts }
    }

    /// Whether a value is a secret, or a text in it holds one.
    pub(super) fn is_in(&self, value: &Value) -> bool {
        self.value(value.clone()) != *value
    }

    pub(super) fn text(&self, text: String) -> String {
        if self.texts.contains(&text) {
            return REDACTED.into();
        }
        let parts = self.texts.iter().filter(|secret| secret.chars().count() >= SHORTEST_PART);
        parts.fold(text, |text, secret| if text.contains(secret) { text.replace(secret, REDACTED) } else { text })
    }

    fn value(&self, value: Value) -> Value {
        match value {
            _ if self.texts.is_empty() => value,
            Value::String(text) => self.text(text).into(),
            Value::Number(number) if self.texts.contains(&number.to_string()) => REDACTED.into(),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (self.text(name), self.value(value))).collect(),
            other => other,
        }
    }

    /// What an attempt came to, without the secrets.
    pub(super) fn outcome(&self, outcome: Result<Value, TaskFailure>) -> Result<Value, TaskFailure> {
        let error = |error: ErrorReport| ErrorReport { message: self.text(error.message), ..error };
        match outcome {
            Ok(result) => Ok(self.value(result)),
            Err(TaskFailure::Retry { error: report, after }) => Err(TaskFailure::Retry { error: error(report), after }),
            Err(TaskFailure::Fail(report)) => Err(TaskFailure::Fail(error(report))),
            other => other,
        }
    }
}

/// The texts in a value at the parts of a pointer, in which `*` stands for all items of a list.
fn find(value: &Value, parts: &[&str], texts: &mut Vec<String>) {
    match (parts.split_first(), value) {
        (None, value) => collect(value, texts),
        (Some((&"*", rest)), Value::Array(items)) => items.iter().for_each(|item| find(item, rest, texts)),
        (Some((name, rest)), Value::Object(fields)) => {
            if let Some(value) = fields.get(*name) {
                find(value, rest, texts);
            }
        }
        _ => {}
    }
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// A text, also as it stands in JSON and in a URL.
fn forms(text: &str) -> [String; 3] {
    let json = Value::from(text).to_string();
    let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned();
    [text.to_owned(), json, url::form_urlencoded::byte_serialize(text.as_bytes()).collect()]
}

/// Takes progress without the secrets.
pub(super) struct RedactedProgress {
    pub inner: Arc<dyn ProgressSink>,
    pub secrets: Secrets,
}

impl ProgressSink for RedactedProgress {
    fn report(&self, progress: Progress) {
        let message = progress.message.map(|message| self.secrets.text(message));
        self.inner.report(Progress { message, ..progress });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets(texts: &[&str]) -> Secrets {
        Secrets::new(texts.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn every_occurrence_is_replaced_wherever_it_is() {
        let secrets = secrets(&["s3cret", "s3cret-and-more", "12345", "a\"b c"]);
        let value =
            json!({ "a": ["s3cret", "x s3cret-and-more y"], "n": 12345, "s3cret": true, "u": "?q=a%22b+c", "j": "\"a\\\"b c\"" });
        let redacted = json!({ "a": ["***", "x *** y"], "n": "***", "***": true, "u": "?q=***", "j": "\"***\"" });
        assert_eq!(secrets.value(value), redacted);
    }

    #[test]
    fn a_short_secret_is_replaced_where_it_stands_alone() {
        let secrets = secrets(&["42", "", "é12"]);
        assert_eq!(
            secrets.value(json!({ "a": 42, "b": "42", "c": "é12", "d": "1422 é123", "": "" })),
            json!({ "a": "***", "b": "***", "c": "***", "d": "1422 é123", "": "" })
        );
        assert!(secrets.is_in(&json!([42])) && !secrets.is_in(&json!("142")));
    }

    #[test]
    fn the_texts_of_nested_secrets_are_found() {
        let mut texts = Vec::new();
        let params = json!({ "users": [{ "pin": { "a": "one", "b": [2, true, null] } }, { "pin": null }], "code": "x" });
        find(&params, &["users", "*", "pin"], &mut texts);
        find(&params, &["code", "deeper"], &mut texts);
        assert_eq!(texts, ["one", "2"]);
    }
}
