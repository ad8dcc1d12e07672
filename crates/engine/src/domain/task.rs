//! The task: as submitted, as started, as read.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attempt, ErrorReport, KindName, QueueName, TaskId, TaskStatus, Version, WorkerId};

/// How urgent a task is: 9 is the most urgent, 5 the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl TryFrom<u8> for Priority {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::new(number)
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl Priority {
    /// The priority of tasks whose submission names none: 5.
    pub const DEFAULT: Self = Self(5);

    /// Parses 0 to 9.
    pub fn new(number: u8) -> Result<Self, String> {
        if number <= 9 { Ok(Self(number)) } else { Err(format!("must be between 0 and 9; got {number}")) }
    }

    /// The priority as a number, 0 to 9.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The band to which the priority belongs.
    pub const fn band(self) -> PriorityBand {
        match self.0 {
            7.. => PriorityBand::High,
            4..=6 => PriorityBand::Normal,
            _ => PriorityBand::Low,
        }
    }
}

/// A band of priorities. The broker keeps one stream for each queue and band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriorityBand {
    /// Priorities 7 to 9.
    High,
    /// Priorities 4 to 6.
    Normal,
    /// Priorities 0 to 3.
    Low,
}

impl PriorityBand {
    /// From the most to the least urgent.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The priorities of the band.
    pub const fn priorities(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::High => 7..=9,
            Self::Normal => 4..=6,
            Self::Low => 0..=3,
        }
    }

    /// The band's name in the broker's keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// The reason why a task is REVOKED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// A user or program revoked the task.
    Revoked,
    /// The task had not started when its `expires` had come.
    Expired,
    /// The task's queue was purged.
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
    /// Id of the task, a `UUIDv7` made at submission.
    pub id: TaskId,
    /// The kind, which decides what code runs.
    pub kind: KindName,
    /// The queue, after routing.
    pub queue: QueueName,
    /// The priority, 0 to 9.
    pub priority: Priority,
    /// Its args as JSON text, checked by the kind.
    pub args: String,
    /// Name of the principal that submitted the task and owns it.
    pub principal: Arc<str>,
    /// The time of submission.
    pub submitted_at: Timestamp,
    /// When it may start: `submitted_at`, or later.
    pub due_at: Timestamp,
    /// The time after which the task is not started any more. `None`: it does not expire.
    pub expires_at: Option<Timestamp>,
    /// Retries after the first attempt.
    pub max_retries: u16,
    /// The run time after which an attempt is ended.
    pub hard_limit: Duration,
    /// The run time after which an attempt is asked to stop. `None`: it is not asked.
    pub soft_limit: Option<Duration>,
    /// The URL that gets a callback when the task has ended.
    pub callback_url: Option<String>,
    /// The ended task that this one retries by hand, if any.
    pub retry_of: Option<TaskId>,
}

/// What the broker carries: a reference; the row carries the data. The start is a compare-and-set on the version, so that a stale reference
/// starts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskRef {
    /// Id of the task.
    pub id: TaskId,
    /// The row's version when it was dispatched.
    pub version: Version,
}

/// A dispatch: the reference, and the queue it goes into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// The task and its version.
    pub task: TaskRef,
    /// The queue into which the dispatch goes.
    pub queue: QueueName,
    /// The band of the task's priority.
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
    /// Id of the first task of the chain.
    pub task: TaskId,
    /// When the first task was submitted.
    pub submitted_at: Timestamp,
}

/// A task whose attempt has just started: what the executor needs.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedTask {
    /// Id of the task.
    pub id: TaskId,
    /// The number of this attempt.
    pub attempt: Attempt,
    /// The version that its start gave: the fence of its settlement.
    pub version: Version,
    /// The kind, which the worker may not know.
    pub kind: KindName,
    /// The queue from which the task was taken.
    pub queue: QueueName,
    /// Its args as JSON text.
    pub args: String,
    /// Name of the principal that submitted the task.
    pub principal: Arc<str>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// The first task of the chain of retries by hand; `None` if the task is no such retry.
    pub retry_origin: Option<Origin>,
    /// When this attempt started.
    pub started_at: Timestamp,
    /// Retries spent before this attempt.
    pub retries_used: u16,
    /// Most retries after the first attempt.
    pub max_retries: u16,
    /// Workers that died with this task since it last made progress.
    pub crashes: u16,
    /// The run time after which the attempt is ended.
    pub hard_limit: Duration,
    /// The run time after which the attempt is asked to stop. `None`: it is not asked.
    pub soft_limit: Option<Duration>,
}

/// How far a running task is, as its code reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    /// Units of work done so far.
    pub done: u64,
    /// Units of work in all; `None` if the task does not know.
    pub total: Option<u64>,
    /// What the task is doing, in a few words.
    #[schema(example = "writing row 1,000 of 5,000")]
    pub message: Option<String>,
}

/// The reason why a waiting task has not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingReason {
    /// The task's time (`eta`, `countdown`) has not come.
    Time,
    /// The delay before the retry has not passed.
    Retry,
    /// A rate limit is used up.
    Limit,
    /// A concurrency limit is used up.
    Concurrency,
    /// The task's queue is paused.
    Paused,
    /// No live worker serves the task's queue.
    NoWorker,
    /// Other tasks are ahead of it.
    Turn,
    /// Fetching is stopped in all workers.
    Maintenance,
    /// Another task must end first.
    Dependency,
}

/// What a waiting task waits for, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WaitingFor {
    /// The reason why the task has not started.
    pub reason: WaitingReason,
    /// Until when, where that is known (RFC 3339, UTC).
    pub until: Option<Timestamp>,
}

/// A task as read from the store, waiting, running or ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// Id of the task.
    pub id: TaskId,
    /// The kind, as submitted.
    pub kind: KindName,
    /// The queue in which the task is or was.
    pub queue: QueueName,
    /// The priority, 0 to 9.
    pub priority: Priority,
    /// The state of the task.
    pub status: TaskStatus,
    /// Its args as JSON text.
    pub args: String,
    /// Name of the principal that submitted the task.
    pub principal: Arc<str>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When the task may start, or may start again.
    pub due_at: Timestamp,
    /// The time after which the task is not started any more. `None`: it does not expire.
    pub expires_at: Option<Timestamp>,
    /// Attempts started so far.
    pub attempt: Attempt,
    /// The version of a waiting or running task; 0 once it has ended.
    pub version: Version,
    /// Retries used so far. Released attempts and crashes do not count.
    pub retries_used: u16,
    /// Most retries after the first attempt.
    pub max_retries: u16,
    /// Workers that died with this task since it last made progress.
    pub crashes: u16,
    /// The run time after which an attempt is ended.
    pub hard_limit: Duration,
    /// The run time after which an attempt is asked to stop. `None`: it is not asked.
    pub soft_limit: Option<Duration>,
    /// The worker that runs it now (live tasks only).
    pub worker: Option<WorkerId>,
    /// The name of the worker that runs it, or that ran its last attempt.
    pub worker_name: Option<String>,
    /// When the present or the last attempt started.
    pub started_at: Option<Timestamp>,
    /// When the task ended; `None` until then.
    pub ended_at: Option<Timestamp>,
    /// The last progress that the task reported.
    pub progress: Option<Progress>,
    /// When a revoke was requested while the task was running.
    pub revoke_requested_at: Option<Timestamp>,
    /// The result as JSON text; `None` unless the task is a SUCCESS.
    pub result: Option<String>,
    /// The error of the last attempt that failed.
    pub error: Option<ErrorReport>,
    /// The reason why the task is REVOKED; `None` in any other state.
    pub reason: Option<EndReason>,
    /// The URL that gets a callback when the task has ended.
    pub callback_url: Option<String>,
    /// The task that this one retries by hand, if any.
    pub retry_of: Option<TaskId>,
    /// The task that retries this one by hand, if there is one.
    pub retried_as: Option<TaskId>,
    /// Until when the task waits for the rate limit of its kind; `None` if it never had to since its last attempt.
    pub limited_until: Option<Timestamp>,
}

impl TaskRow {
    /// The number of its latest attempt, as it is shown; 0 until one has started.
    pub const fn latest_attempt(&self) -> i32 {
        self.attempt.0
    }
}
