//! What goes into the store and what comes out of it, beside the domain's own nouns.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{
    Attempt, Dispatch, EndStatus, ErrorReport, KindName, NewTask, Next, Principal, Priority, Progress, QueueName, RunFacts,
    StartedTask, TaskId, TaskRef, TaskRow, TaskStatus, Version, WorkerId,
};

/// A task to insert, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct SubmittedTask {
    /// The row.
    pub task: NewTask,
    /// Whether the submitter sends the dispatch itself, right after the commit.
    pub dispatched: bool,
    /// The key under which a repetition finds it again.
    pub key: Option<IdempotencyKey>,
}

impl SubmittedTask {
    /// About how many bytes it adds to a write.
    pub fn bytes(&self) -> usize {
        let callback_url = self.task.callback_url.as_ref().map_or(0, String::len);
        self.task.args.len() + callback_url
    }
}

/// An idempotency key, with what it stands for. The principal is the task's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The path that it was used on.
    pub scope: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// SHA-256 of the canonical body.
    pub body_hash: [u8; 32],
}

/// What became of an insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsertAnswer {
    /// It is durable.
    Inserted,
    /// The key had made this task before, with the same body.
    Replayed(TaskId),
    /// The key had been used with another body.
    KeyReused,
}

/// A start of many.
#[derive(Clone, Copy, Debug)]
pub struct StartBatch<'a> {
    /// By whom.
    pub worker: WorkerId,
    /// By what name.
    pub worker_name: &'a str,
    /// When.
    pub now: Timestamp,
    /// Whether nothing else runs on this worker, so that a task that has seen two workers die may run.
    pub exclusive: bool,
    /// What.
    pub refs: &'a [TaskRef],
}

/// What became of one start.
#[derive(Clone, Debug, PartialEq)]
pub enum StartAnswer {
    /// The attempt may run.
    Started(Box<StartedTask>),
    /// The task was ended instead (it had expired).
    Ended(Ended),
    /// It is not its time, or its queue is paused: the sweep of due tasks will dispatch it again.
    Postponed,
    /// Two workers have died with it: start it again with `exclusive`, while nothing else runs.
    NeedsExclusive,
    /// The reference is stale: ended, started elsewhere, changed, or locked by another.
    Gone,
}

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Which task.
    pub id: TaskId,
    /// Which attempt.
    pub attempt: Attempt,
    /// The version that its start gave: the fence.
    pub version: Version,
    /// Which worker: the other half of the fence.
    pub worker: WorkerId,
    /// Its name, for the record.
    pub worker_name: Arc<str>,
    /// When the attempt ended.
    pub at: Timestamp,
    /// What the attempt told last, where that is not written yet: it comes with the end, so that nothing older can come behind it.
    pub progress: Option<Progress>,
    /// What follows.
    pub next: Next,
}

impl Settlement {
    /// About how many bytes it adds to a write.
    pub fn bytes(&self) -> usize {
        let (result, error) = match &self.next {
            Next::End { result, error, .. } => (result.as_ref(), error.as_ref()),
            Next::Retry { error, .. } | Next::Crashed { error, .. } => (None, Some(error)),
            Next::Release { .. } => (None, None),
        };
        result.map_or(0, String::len) + error.map_or(0, |error| error.message.len())
    }
}

/// What became of a settlement.
#[derive(Clone, Debug, PartialEq)]
pub enum Settled {
    /// The task is over.
    Ended(Ended),
    /// It waits again; the sweep of due tasks dispatches it at its time.
    Waiting {
        /// RETRY or PENDING.
        status: TaskStatus,
        /// When it is due.
        due_at: Timestamp,
    },
    /// This very settlement had been written before; its answer was lost.
    Already,
    /// The attempt is not the present one any more: the write changed nothing.
    Superseded,
}

/// A task that has just ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub id: TaskId,
    /// How.
    pub status: EndStatus,
    /// The dispatch of the callback task that was inserted with the end, if its `callback_url` asked for one.
    pub callback: Option<Dispatch>,
}

/// An order to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeOrder {
    /// Which task.
    pub id: TaskId,
    /// Whether a running one is stopped at once.
    pub terminate: bool,
    /// When.
    pub now: Timestamp,
}

/// What became of a revoke.
#[derive(Clone, Debug, PartialEq)]
pub enum RevokeAnswer {
    /// It was waiting, and is REVOKED.
    Revoked(Ended),
    /// It is running, and its end is asked for.
    Revoking {
        /// By this worker.
        worker: Option<WorkerId>,
        /// When it was first asked for.
        requested_at: Timestamp,
    },
    /// It had ended.
    AlreadyEnded(TaskStatus),
    /// There is no such task.
    NotFound,
}

/// What became of a retry by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAnswer {
    /// The new task is durable.
    Inserted,
    /// There is one already.
    AlreadyRetried(TaskId),
    /// The task has not ended as FAILURE or REVOKED.
    NotRetryable(TaskStatus),
    /// There is no such task.
    NotFound,
}

/// What a PATCH changes of a waiting task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskChange {
    /// Another time.
    pub due_at: Option<Timestamp>,
    /// Another queue.
    pub queue: Option<QueueName>,
    /// Another priority.
    pub priority: Option<Priority>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeAnswer {
    /// The task as it is now.
    Changed(Box<TaskRow>),
    /// It does not wait.
    NotWaiting(TaskStatus),
    /// There is no such task.
    NotFound,
}

/// A change of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueChange {
    /// Pause or resume.
    pub paused: Option<bool>,
    /// How many of its tasks one process runs at once; `Some(None)` lifts the limit.
    pub concurrency: Option<Option<u32>>,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Its name.
    pub name: QueueName,
    /// When it was paused.
    pub paused_at: Option<Timestamp>,
    /// How many of its tasks one process runs at once.
    pub concurrency: Option<u32>,
}

/// What is in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCounts {
    /// Its name.
    pub name: QueueName,
    /// Waiting and due.
    pub waiting: u64,
    /// Waiting for their time.
    pub scheduled: u64,
    /// Running.
    pub running: u64,
    /// When the one that is due longest became due.
    pub oldest_due_at: Option<Timestamp>,
    /// Tasks ended in the last minute.
    pub ended_last_minute: u64,
}

/// A running attempt, as the sweeps see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedRow {
    /// Which task.
    pub id: TaskId,
    /// Which attempt.
    pub attempt: Attempt,
    /// The version that its start gave.
    pub version: Version,
    /// Of which kind.
    pub kind: KindName,
    /// On which worker.
    pub worker: WorkerId,
    /// By what name.
    pub worker_name: String,
    /// Since when.
    pub started_at: Timestamp,
    /// What its outcome is judged by.
    pub facts: RunFacts,
    /// Whether this attempt has told more progress than any before it whose worker died.
    pub progressed: bool,
    /// Its hard limit.
    pub hard_limit: Duration,
    /// Whether a revoke asked for termination.
    pub terminate: bool,
    /// When a revoke was requested.
    pub revoke_requested_at: Option<Timestamp>,
}

/// How an attempt ended, in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It returned.
    Success,
    /// It failed for good.
    Failure,
    /// It failed and is tried again.
    Retry,
    /// Its worker died.
    Crashed,
    /// It was revoked.
    Revoked,
}

impl AttemptEnd {
    /// Its word, in the API and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Retry => "retry",
            Self::Crashed => "crashed",
            Self::Revoked => "revoked",
        }
    }
}

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its number.
    pub attempt: Attempt,
    /// The worker's name.
    pub worker_name: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub end: AttemptEnd,
    /// What went wrong.
    pub error: Option<ErrorReport>,
}

/// What a worker is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerCommand {
    /// Fetch no more.
    Drain,
    /// End, after what runs.
    Shutdown,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// The store's time.
    pub store_now: Timestamp,
    /// What the worker is told to do.
    pub command: Option<WorkerCommand>,
}

/// An account to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// An argon2id hash in PHC form.
    pub password_hash: String,
    /// What it may do.
    pub principal: Principal,
    /// When.
    pub created_at: Timestamp,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// The hash.
    pub password_hash: String,
    /// Who it is, and what it may do.
    pub principal: Principal,
}

/// An account as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its name.
    pub name: String,
    /// Who it is, and what it may do.
    pub principal: Principal,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// The message is about to be handed over; if nothing follows, its outcome is unknown.
    Sending,
    /// The server took it.
    Accepted,
    /// The server refused it for good.
    Rejected,
    /// The server refused it for now.
    Deferred,
    /// It was handed over and no answer came.
    Unknown,
}

impl LedgerState {
    /// Its word, in the API and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a mail of this state may be sent: it was certainly not taken, or it is to be sent again (`resend`) where that is not known.
    pub const fn is_to_be_sent(self, resend: bool) -> bool {
        match self {
            Self::Deferred => true,
            Self::Sending | Self::Unknown => resend,
            Self::Accepted | Self::Rejected => false,
        }
    }
}

/// One mail of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The task.
    pub task: TaskId,
    /// Which of its mails, from 0.
    pub part: i32,
    /// To whom.
    pub recipient: String,
    /// Its Message-ID, the same over all attempts.
    pub message_id: String,
    /// What became of it.
    pub state: LedgerState,
    /// What the server said.
    pub response: Option<String>,
    /// When.
    pub updated_at: Timestamp,
}
