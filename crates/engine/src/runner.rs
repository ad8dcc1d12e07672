//! The port to the code that runs tasks. The engine knows kinds by their policy only; what they do is behind [`TaskRunner`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::children::Children;
use crate::clock::Clock;
use crate::domain::raw_object::{value_at, with_value_at};
use crate::domain::{Attempt, FieldError, KindName, Origin, Progress, QueueName, RateLimit, RetryPolicy, TaskFailure, TaskId};
use crate::queue::Queue;

/// What the engine has to know about a kind: where its tasks go, and how their attempts are limited and retried.
#[derive(Clone, Debug)]
pub struct KindPolicy {
    /// The name of the kind, as in `email.send`.
    pub name: KindName,
    /// The queue of its tasks where neither the submission nor the routing names one.
    pub queue: QueueName,
    /// How failed attempts are retried.
    pub retry: RetryPolicy,
    /// How many attempts may start in a span, over all workers; `None` is as many as there are slots for.
    pub rate: Option<RateLimit>,
    /// An attempt that runs longer is ended.
    pub hard_limit: Duration,
    /// An attempt that runs longer is asked to stop; `None` never asks.
    pub soft_limit: Option<Duration>,
    /// The size of args, in bytes of JSON, that is allowed even where the general limit is smaller.
    pub args_limit: usize,
    /// Whether users may submit it. The others are submitted by the program itself.
    pub is_public: bool,
    /// JSON Pointers to args that may be secret, as in `/headers`: they are shown as [`SENSITIVE_TEXT`], and never reach a log or an error.
    /// The part `*` stands for all items of a list, as in `/users/*/pin`.
    pub sensitive: Vec<String>,
}

/// What replaces an arg that may be secret.
pub const SENSITIVE_TEXT: &str = "[sensitive]";

impl KindPolicy {
    /// The args with [`SENSITIVE_TEXT`] in place of what may be secret. The rest stays as it was written.
    pub fn mask_args(&self, args: String) -> String {
        if self.sensitive.is_empty() {
            return args;
        }
        let Ok(value) = serde_json::from_str::<Value>(&args) else { return args };
        let mask = Value::from(SENSITIVE_TEXT).to_string();
        let secrets = self.sensitive_pointers(&value).into_iter();
        let present = secrets.filter(|pointer| value.pointer(pointer).is_some_and(|secret| !secret.is_null()));
        present.fold(args, |args, pointer| with_value_at(&args, &pointer, &mask))
    }

    /// Args that were shown with [`SENSITIVE_TEXT`] and came back: what still is that text is taken from `original`. Items of a list are
    /// told by their index.
    pub fn unmask_args(&self, args: &str, original: &str) -> String {
        self.masked_args(args).into_iter().fold(args.to_owned(), |args, pointer| match value_at(original, &pointer) {
            Some(secret) => with_value_at(&args, &pointer, secret),
            None => args,
        })
    }

    /// The pointers to args that are [`SENSITIVE_TEXT`] instead of what may be secret.
    pub fn masked_args(&self, args: &str) -> Vec<String> {
        if self.sensitive.is_empty() || !args.contains(SENSITIVE_TEXT) {
            return Vec::new();
        }
        let Ok(value) = serde_json::from_str::<Value>(args) else { return Vec::new() };
        let mut pointers = self.sensitive_pointers(&value);
        pointers.retain(|pointer| value.pointer(pointer).is_some_and(|arg| *arg == SENSITIVE_TEXT));
        pointers
    }

    /// The pointers to args that may be secret, with the indices of items in place of `*`.
    fn sensitive_pointers(&self, args: &Value) -> Vec<String> {
        self.sensitive.iter().flat_map(|pointer| pointers_to(args, pointer)).collect()
    }

    /// What is wrong with args that hold [`SENSITIVE_TEXT`] though there is no value to keep, with pointers into the args.
    pub fn masks_left(&self, args: &str) -> Vec<FieldError> {
        let detail =
            format!("is {SENSITIVE_TEXT:?}, which stands for a hidden value, and there is none to keep; give the value itself");
        self.masked_args(args).into_iter().map(|pointer| FieldError::new(pointer, detail.clone())).collect()
    }

    /// Whether a JSON Pointer leads to an arg that may be secret, into one, or to a list or an object that holds one.
    pub fn is_sensitive(&self, pointer: &str) -> bool {
        let leads =
            |secret: &String| parts_of(secret).zip(parts_of(pointer)).all(|(secret, part)| secret == "*" || secret == part);
        !pointer.is_empty() && self.sensitive.iter().any(leads)
    }
}

/// The parts of a JSON Pointer, as they are written in it.
fn parts_of(pointer: &str) -> impl Iterator<Item = &str> + Clone {
    pointer.split('/').skip(1)
}

/// The pointers into a value that a JSON Pointer stands for, in which the part `*` is every item of a list.
fn pointers_to(value: &Value, pointer: &str) -> Vec<String> {
    parts_of(pointer).fold(vec![String::new()], |pointers, part| {
        let extended = pointers.into_iter().flat_map(|pointer| match value.pointer(&pointer) {
            Some(Value::Array(items)) if part == "*" => (0..items.len()).map(|index| format!("{pointer}/{index}")).collect(),
            _ => vec![format!("{pointer}/{part}")],
        });
        extended.collect()
    })
}

/// Runs tasks. The program that embeds the engine implements it.
#[async_trait]
pub trait TaskRunner: Send + Sync + 'static {
    /// The policy of a kind; `None` where this process does not know the kind.
    fn kind(&self, name: &KindName) -> Option<Arc<KindPolicy>>;

    /// The policies of all kinds, by name.
    fn kinds(&self) -> Vec<Arc<KindPolicy>>;

    /// Checks the args of a submission. On failure every wrong field is named, with a pointer into the args.
    fn check(&self, kind: &KindName, args: &str) -> Result<(), Vec<FieldError>>;

    /// Names the args that refer to something which `principal` may not read. Called before [`TaskRunner::check`], and may do I/O.
    /// The error text says why that could not be found out now.
    async fn check_access(&self, kind: &KindName, args: &str, principal: &str) -> Result<Vec<FieldError>, String> {
        let _ = (kind, args, principal);
        Ok(Vec::new())
    }

    /// Checks the URL of a callback; the error says what is wrong with it. Runners that send no callbacks refuse all.
    fn check_callback(&self, url: &str) -> Result<(), String> {
        let _ = url;
        Err("cannot be used: this program sends no callbacks".into())
    }

    /// Starts the work of an attempt. Args that do not parse (a newer version wrote them) are a failure here.
    fn start(&self, attempt: AttemptContext, args: &str) -> Result<RunFuture, TaskFailure>;
}

/// What an attempt knows, and what it may ask of the engine.
#[derive(Clone)]
pub struct AttemptContext {
    /// The task of the attempt.
    pub task: TaskId,
    /// The number of the attempt.
    pub attempt: Attempt,
    /// The kind of the task.
    pub kind: KindName,
    /// Who submitted the task.
    pub principal: Arc<str>,
    /// When the task was submitted.
    pub submitted_at: Timestamp,
    /// The task at which the chain of retries by hand started; `None` where the task is no retry by hand.
    pub retry_origin: Option<Origin>,
    /// How many attempts may follow this one if it fails.
    pub retries_left: u16,
    /// When the attempt is asked to stop, or is ended where it has no soft limit.
    pub deadline: Timestamp,
    /// The current time, by the engine's clock.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the attempt is asked to stop.
    pub stop: CancellationToken,
    /// Takes the progress of the attempt.
    pub progress: Arc<dyn ProgressSink>,
    /// Submits other tasks in the name of this one.
    pub children: Arc<dyn Children>,
    /// The engine, for kinds that look after it.
    pub engine: Arc<Queue>,
}

/// Takes the progress of an attempt.
pub trait ProgressSink: Send + Sync {
    /// Takes the latest progress; it replaces what was reported before and not written yet.
    fn report(&self, progress: Progress);
}

/// The running work of an attempt.
pub type RunFuture = Pin<Box<dyn Future<Output = Result<Value, TaskFailure>> + Send>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(sensitive: &[&str]) -> KindPolicy {
        KindPolicy {
            name: KindName::from_store("a.b"),
            queue: QueueName::from_store("default"),
            retry: RetryPolicy::DEFAULT,
            rate: None,
            hard_limit: Duration::from_mins(1),
            soft_limit: None,
            args_limit: 0,
            is_public: true,
            sensitive: sensitive.iter().map(|&pointer| pointer.to_owned()).collect(),
        }
    }

    #[test]
    fn args_inside_objects_and_lists_are_masked_and_come_back() {
        let policy = policy(&["/o/pin", "/l/*", "/users/*/pin", "/code"]);
        let args = r#"{"code":null,"l":["a","b"],"o":{"pin":1,"x":2},"users":[{"pin":"c"},{}]}"#;
        let masked = policy.mask_args(args.to_owned());
        let shown = r#"{"code":null,"l":["[sensitive]","[sensitive]"],"o":{"pin":"[sensitive]","x":2},"users":[{"pin":"[sensitive]"},{}]}"#;
        assert_eq!(masked, shown);
        assert_eq!(policy.unmask_args(&masked, args), args);
        let changed = shown.replacen("[sensitive]", "new", 1);
        assert_eq!(policy.unmask_args(&changed, args), args.replacen("\"a\"", "\"new\"", 1));
        assert_eq!(policy.mask_args(r#"{"o":5,"l":{"*":1}}"#.to_owned()), r#"{"o":5,"l":{"*":"[sensitive]"}}"#);
    }

    #[test]
    fn what_leads_to_a_secret_or_into_it_is_sensitive() {
        let policy = policy(&["/o/pin", "/l/*", "/code"]);
        for (pointer, is) in [
            ("/o/pin", true),
            ("/o/pin/x", true),
            ("/o", true),
            ("/o/x", false),
            ("/l/3", true),
            ("/l", true),
            ("/code", true),
            ("/codex", false),
            ("", false),
        ] {
            assert_eq!(policy.is_sensitive(pointer), is, "{pointer}");
        }
    }
}
