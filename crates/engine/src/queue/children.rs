//! The engine's side of [`Children`]: what a task submits is submitted as by its owner, once, also over retries by hand.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;

use super::Queue;
use super::control::ControlError;
use super::options::{Moment, TaskOptions};
use super::submit::{SubmitError, SubmitKey, SubmitTask, Submitted, canonical_hash};
use crate::children::{Child, ChildEnd, ChildStart, Children};
use crate::domain::{ErrorReport, FieldError, KindName, Priority, StartedTask, TaskFailure, TaskId, TaskRow, TaskStatus};
use crate::store::{EFFECT_SCOPE, LedgerState, StoreError};

/// Children of earlier runs that are looked at at once: a few, so that the store has time for others.
const LOOKS_AT_ONCE: usize = 8;

/// What submits in the name of one running task.
struct TaskChildren {
    queue: Arc<Queue>,
    /// The task at which the parent's chain of retries by hand started; the parent itself, where it is none.
    origin: TaskId,
    /// When the parent was submitted, if it is a retry by hand: a child from before is one of an earlier run.
    retry_since: Option<Timestamp>,
    principal: Arc<str>,
}

impl Queue {
    /// Where `task` submits its children.
    pub fn children_of(self: &Arc<Self>, task: &StartedTask) -> Arc<dyn Children> {
        Arc::new(TaskChildren {
            queue: self.clone(),
            origin: task.retry_origin.map_or(task.id, |origin| origin.task),
            retry_since: task.retry_origin.map(|_| task.submitted_at),
            principal: task.principal.clone(),
        })
    }
}

#[async_trait]
impl Children for TaskChildren {
    async fn submit(&self, children: Vec<Child>) -> Vec<Result<TaskId, TaskFailure>> {
        let names: Vec<(String, Cow<'static, str>)> =
            children.iter().map(|child| (child.part.clone(), child.kind.clone())).collect();
        let commands = children.into_iter().map(|child| self.command(child)).collect();
        let answers = self.queue.submit_all(commands).await;
        let mut settled = Vec::with_capacity(names.len());
        for (answer, (part, kind)) in answers.into_iter().zip(names) {
            settled.push(self.settled(answer, part, kind));
        }
        stream::iter(settled).buffered(LOOKS_AT_ONCE).collect().await
    }

    async fn ended(&self, child: TaskId, wait: Duration) -> Result<Option<ChildEnd>, TaskFailure> {
        let row = self.queue.wait_for_row(child, wait, |_| true).await;
        let Some(row) = row.map_err(|error| TaskFailure::retry("StoreUnavailable", error))? else {
            return Ok(Some(ChildEnd::Forgotten));
        };
        Ok(match row.status {
            TaskStatus::Success => {
                let result = row.result.as_deref().map(serde_json::from_str).transpose();
                let result = result
                    .map_err(|error| TaskFailure::fail("BadResult", format!("the result of {child} cannot be read: {error}")))?;
                Some(ChildEnd::Success(result.unwrap_or_default()))
            }
            TaskStatus::Failure => {
                let unknown = || ErrorReport::new("Unknown", "its error was not kept", false);
                Some(ChildEnd::Failure(row.error.unwrap_or_else(unknown)))
            }
            TaskStatus::Revoked => Some(ChildEnd::Revoked),
            TaskStatus::Pending | TaskStatus::Started | TaskStatus::Retry => None,
        })
    }
}

impl TaskChildren {
    async fn settled(
        &self,
        answer: Result<Submitted, SubmitError>,
        part: String,
        kind: Cow<'static, str>,
    ) -> Result<TaskId, TaskFailure> {
        let taken = answer.map_err(|error| self.failure(&part, &kind, error))?;
        self.current_task(taken).await.map_err(|error| refused(&part, &kind, &error))
    }

    /// The task that stands for a child now. One that failed in an earlier run of the chain is retried (see [`Children`]).
    async fn current_task(&self, taken: Submitted) -> Result<TaskId, ControlError> {
        let Some(since) = self.retry_since.filter(|_| taken.replayed) else { return Ok(taken.id) };
        let Some(row) = self.latest(taken.id).await? else { return Ok(taken.id) };
        let id = row.id;
        // Clocks of two machines may differ by a moment; then a child is tried once more or less, and nobody gets anything twice.
        let failed_before = row.status == TaskStatus::Failure && row.submitted_at < since;
        if !failed_before || self.may_have_arrived(id).await? {
            return Ok(id);
        }
        match self.queue.retry_row(row).await {
            Ok(retried) => Ok(retried.id),
            Err(ControlError::AlreadyRetried(other)) => Ok(other),
            Err(ControlError::NotFound) => Ok(id),
            Err(error) => Err(error),
        }
    }

    /// The last of a task and its retries by hand; `None` where its result is forgotten.
    async fn latest(&self, mut id: TaskId) -> Result<Option<TaskRow>, StoreError> {
        loop {
            match self.queue.store.find(id).await? {
                Some(TaskRow { retried_as: Some(next), .. }) => id = next,
                found => return Ok(found),
            }
        }
    }

    /// Whether a message of the task was handed over, or may have been.
    async fn may_have_arrived(&self, task: TaskId) -> Result<bool, StoreError> {
        let entries = self.queue.store.read_ledger(task).await?;
        let held = |state| matches!(state, LedgerState::Sending | LedgerState::Accepted | LedgerState::Unknown);
        Ok(entries.into_iter().any(|entry| held(entry.state)))
    }

    fn command(&self, child: Child) -> SubmitTask {
        let key = format!("{}.{}", self.origin, child.part);
        let (countdown, eta) = match child.start {
            Some(ChildStart::After(delay)) => (Some(delay.as_secs_f64()), None),
            Some(ChildStart::At(time)) => (None, Some(time)),
            None => (None, None),
        };
        let options = TaskOptions {
            countdown,
            eta,
            expires: child.expires.map(|expires| Moment::In(expires.as_secs_f64())),
            queue: child.queue.map(|queue| queue.to_string()),
            priority: child.priority.map(Priority::get),
            ..TaskOptions::default()
        };
        SubmitTask {
            kind: child.kind.into_owned(),
            args: child.args.to_string(),
            args_pointer: "",
            options,
            principal: self.principal.clone(),
            internal: false,
            // What the first attempt of all submitted stays, even where this one would say it in other words.
            key: Some(SubmitKey { scope: EFFECT_SCOPE.into(), body_hash: canonical_hash(key.as_bytes()), key }),
        }
    }

    fn failure(&self, part: &str, kind: &str, error: SubmitError) -> TaskFailure {
        let what = format!("the task {kind} ({part}) could not be submitted");
        match error {
            SubmitError::NotStored(_) | SubmitError::Queue(_) => TaskFailure::retry("NotSubmitted", format!("{what}: {error}")),
            SubmitError::Invalid(field_errors) => {
                let messages: Vec<String> =
                    field_errors.iter().map(|field_error| self.describe_for_log(kind, field_error)).collect();
                TaskFailure::fail("BadChild", format!("{what}: {}", messages.join("; ")))
            }
            error => TaskFailure::fail("BadChild", format!("{what}: {error}")),
        }
    }

    /// An error in words for a log: what it says of an arg that may be secret stays out.
    fn describe_for_log(&self, kind: &str, field_error: &FieldError) -> String {
        let kind = KindName::parse(kind).ok().and_then(|name| self.queue.runner().kind(&name));
        let is_sensitive = kind.is_some_and(|kind| kind.is_sensitive(&field_error.pointer));
        if is_sensitive {
            format!("{} is wrong", field_error.pointer)
        } else {
            format!("{} {}", field_error.pointer, field_error.detail)
        }
    }
}

/// A child of an earlier run that could not be looked at, or not be retried.
fn refused(part: &str, kind: &str, error: &ControlError) -> TaskFailure {
    let what = format!("the task {kind} ({part}) could not be retried: {error}");
    match error {
        ControlError::Queue(_) => TaskFailure::retry("NotSubmitted", what),
        _ => TaskFailure::fail("BadChild", what),
    }
}
