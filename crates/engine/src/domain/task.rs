//! The task: as submitted, as started, as read.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attempt, ErrorReport, KindName, QueueName, TaskId, TaskStatus, Version, WorkerId};

/// How urgent a task is: 9 is the most urgent, 5 the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Priority(u8);

impl Priority {
    /// 5.
    pub const DEFAULT: Self = Self(5);

    /// Parses 0 to 9.
    pub fn new(number: u8) -> Result<Self, String> {
        if number <= 9 { Ok(Self(number)) } else { Err(format!("priority {number} is not in 0 to 9")) }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The band of streams that it travels in.
    pub const fn band(self) -> PriorityBand {
        match self.0 {
            7.. => PriorityBand::High,
            4..=6 => PriorityBand::Normal,
            _ => PriorityBand::Low,
        }
    }
}

/// A band of priorities: one stream a queue and band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriorityBand {
    /// 7 to 9.
    High,
    /// 4 to 6.
    Normal,
    /// 0 to 3.
    Low,
}

impl PriorityBand {
    /// From the most to the least urgent.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The priorities in it.
    pub const fn priorities(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::High => 7..=9,
            Self::Normal => 4..=6,
            Self::Low => 0..=3,
        }
    }

    /// Its word in a key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// Why a task is REVOKED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Somebody revoked it.
    Revoked,
    /// It had not started by its `expires`.
    Expired,
    /// Its queue was purged.
    Purged,
}

impl EndReason {
    /// Its word, in the API and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Purged => "purged",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EndReason {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Revoked, Self::Expired, Self::Purged]
            .into_iter()
            .find(|reason| reason.as_str() == word)
            .ok_or_else(|| format!("{word:?} is not a reason"))
    }
}

/// A task as it is to be inserted: everything is parsed, checked and resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Its id.
    pub id: TaskId,
    /// Its kind.
    pub kind: KindName,
    /// Its queue.
    pub queue: QueueName,
    /// Its priority.
    pub priority: Priority,
    /// Its args as JSON text, checked by the kind.
    pub args: String,
    /// Who submitted it.
    pub principal: Arc<str>,
    /// When.
    pub submitted_at: Timestamp,
    /// When it may start: `submitted_at`, or later.
    pub due_at: Timestamp,
    /// After this it is not started any more.
    pub expires_at: Option<Timestamp>,
    /// Retries after the first attempt.
    pub max_retries: u16,
    /// An attempt past this ends.
    pub hard_limit: Duration,
    /// An attempt past this is asked to stop.
    pub soft_limit: Option<Duration>,
    /// Who is told of its end.
    pub callback_url: Option<String>,
    /// The ended task of which this is the retry by hand.
    pub retry_of: Option<TaskId>,
}

/// What the broker carries: a reference; the row carries the data. The start is a compare-and-set on the version, so that a stale reference
/// starts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskRef {
    /// Which task.
    pub id: TaskId,
    /// The row's version when it was dispatched.
    pub version: Version,
}

/// A dispatch: the reference, and the queue it goes into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Which task.
    pub task: TaskRef,
    /// In which queue.
    pub queue: QueueName,
    /// In which band.
    pub band: PriorityBand,
    /// When it is dispatched, by the engine's clock; the broker keeps it with the entry.
    pub dispatched_at: Timestamp,
}

impl NewTask {
    /// The dispatch of the task as inserted.
    pub fn dispatch(&self) -> Dispatch {
        Dispatch {
            task: TaskRef { id: self.id, version: Version::FIRST },
            queue: self.queue.clone(),
            band: self.priority.band(),
            dispatched_at: self.submitted_at,
        }
    }
}

/// The task at which a chain of retries by hand started. What its runs did outside is known again by it in every later one, so that a retry
/// by hand goes on where they ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its id.
    pub task: TaskId,
    /// When it was submitted.
    pub submitted_at: Timestamp,
}

/// A task whose attempt has just started: what the executor needs.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedTask {
    /// Its id.
    pub id: TaskId,
    /// The number of this attempt.
    pub attempt: Attempt,
    /// The version that its start gave: the fence of its settlement.
    pub version: Version,
    /// Its kind.
    pub kind: KindName,
    /// Its queue.
    pub queue: QueueName,
    /// Its args as JSON text.
    pub args: String,
    /// Who submitted it.
    pub principal: Arc<str>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// Where its chain of retries by hand started; `None` where it is no retry by hand.
    pub retry_origin: Option<Origin>,
    /// When this attempt started.
    pub started_at: Timestamp,
    /// Retries spent before this attempt.
    pub retries_used: u16,
    /// Retries allowed.
    pub max_retries: u16,
    /// Dead workers so far, since the last progress.
    pub crashes: u16,
    /// An attempt past this ends.
    pub hard_limit: Duration,
    /// An attempt past this is asked to stop.
    pub soft_limit: Option<Duration>,
}

/// How far a running task says it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, where known.
    pub total: Option<u64>,
    /// What it is doing.
    #[schema(example = "writing row 1,000 of 5,000")]
    pub message: Option<String>,
}

/// Why a waiting task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingReason {
    /// Its time (`eta`, `countdown`).
    Time,
    /// The delay before its retry.
    Retry,
    /// A rate limit.
    Limit,
    /// A concurrency limit.
    Concurrency,
    /// Its queue is paused.
    Paused,
    /// No live worker serves its queue.
    NoWorker,
    /// Its turn: others are ahead of it.
    Turn,
    /// All fetching is stopped.
    Maintenance,
    /// Another task.
    Dependency,
}

/// What a waiting task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WaitingFor {
    /// Why.
    pub reason: WaitingReason,
    /// Until when, where that is known (RFC 3339, UTC).
    pub until: Option<Timestamp>,
}

/// A task as read from the store, waiting, running or ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// Its id.
    pub id: TaskId,
    /// Its kind.
    pub kind: KindName,
    /// Its queue.
    pub queue: QueueName,
    /// Its priority.
    pub priority: Priority,
    /// Its state.
    pub status: TaskStatus,
    /// Its args as JSON text.
    pub args: String,
    /// Who submitted it.
    pub principal: Arc<str>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it may start.
    pub due_at: Timestamp,
    /// After this it is not started any more.
    pub expires_at: Option<Timestamp>,
    /// Attempts started so far.
    pub attempt: Attempt,
    /// The version of a waiting or running task; 0 once it has ended.
    pub version: Version,
    /// Retries spent.
    pub retries_used: u16,
    /// Retries allowed.
    pub max_retries: u16,
    /// Dead workers since the last progress.
    pub crashes: u16,
    /// An attempt past this ends.
    pub hard_limit: Duration,
    /// An attempt past this is asked to stop.
    pub soft_limit: Option<Duration>,
    /// The worker that runs it now (live tasks only).
    pub worker: Option<WorkerId>,
    /// The name of the worker that runs it, or that ran its last attempt.
    pub worker_name: Option<String>,
    /// When its present or last attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How far it is, as last told.
    pub progress: Option<Progress>,
    /// When a revoke of the running task was asked for.
    pub revoke_requested_at: Option<Timestamp>,
    /// What it returned, as JSON text.
    pub result: Option<String>,
    /// What went wrong, last.
    pub error: Option<ErrorReport>,
    /// Why it is REVOKED.
    pub reason: Option<EndReason>,
    /// Who is told of its end.
    pub callback_url: Option<String>,
    /// The task of which it is the retry by hand.
    pub retry_of: Option<TaskId>,
    /// The retry by hand that was made of it.
    pub retried_as: Option<TaskId>,
}

impl TaskRow {
    /// The number of its latest attempt, as it is shown; 0 until one has started.
    pub const fn latest_attempt(&self) -> i32 {
        self.attempt.0
    }
}
