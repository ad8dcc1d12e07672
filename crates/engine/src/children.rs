//! Tasks that submit others: a small port, which the engine implements.

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::{ErrorReport, Priority, QueueName, TaskFailure, TaskId};

/// A task that another one submits.
#[derive(Clone)]
pub struct Child {
    /// Which of the parent's tasks it is, the same in every attempt and in every retry by hand: 1 to 200 printable ASCII characters, as in
    /// `admin-7`. A child that was submitted before under the same part is found again, whatever its args are now.
    pub part: String,
    /// Its kind, one that users may submit.
    pub kind: Cow<'static, str>,
    /// Its args, an object; checked as in any submission.
    pub args: Value,
    /// Its queue. Default: by the routing, else the kind's own.
    pub queue: Option<QueueName>,
    /// How urgent it is. Default: 5.
    pub priority: Option<Priority>,
    /// When it starts: after so long, or at a time (RFC 3339). Default: at once.
    pub start: Option<ChildStart>,
    /// It is not started later than so long after its submission. Default: however late.
    pub expires: Option<Duration>,
}

/// When a child starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildStart {
    /// After so long.
    After(Duration),
    /// At a time: RFC 3339, with an offset.
    At(String),
}

impl Child {
    /// A child with the defaults of its kind.
    pub fn new(part: impl Into<String>, kind: impl Into<Cow<'static, str>>, args: Value) -> Self {
        Self { part: part.into(), kind: kind.into(), args, queue: None, priority: None, start: None, expires: None }
    }
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ChildEnd {
    /// It succeeded, with this result.
    Success(Value),
    /// It failed for good.
    Failure(ErrorReport),
    /// It was revoked, or expired.
    Revoked,
    /// Its result is past its retention.
    Forgotten,
}

/// Submits children of one attempt's task.
///
/// A child is made once for all attempts of its parent, and of the tasks of which the parent is the retry by hand. Such a retry finds the
/// children of the runs before it. One that succeeded, waits or runs is left alone; so is one that was revoked, because somebody wanted
/// that. One that FAILED there is retried by hand itself, once for the whole retry, with the args that it had; but not where its ledger
/// says that its message was or may have been handed over: nobody gets one twice unless its own task is retried. A child whose result is
/// forgotten counts as done.
#[async_trait]
pub trait Children: Send + Sync {
    /// Submits them, each for itself; the answers are in order, and come when what was taken is durable.
    async fn submit(&self, children: Vec<Child>) -> Vec<Result<TaskId, TaskFailure>>;

    /// Waits up to `wait` for the end of a child; `None` where it has not ended by then.
    async fn ended(&self, child: TaskId, wait: Duration) -> Result<Option<ChildEnd>, TaskFailure>;
}

/// Takes none, where there is no engine.
pub struct NoChildren;

#[async_trait]
impl Children for NoChildren {
    async fn submit(&self, children: Vec<Child>) -> Vec<Result<TaskId, TaskFailure>> {
        let refused = |_| Err(TaskFailure::fail("NoEngine", "there is no engine here that takes tasks"));
        children.into_iter().map(refused).collect()
    }

    async fn ended(&self, _child: TaskId, _wait: Duration) -> Result<Option<ChildEnd>, TaskFailure> {
        Ok(Some(ChildEnd::Forgotten))
    }
}
