//! What goes into the store and what comes out of it, beside the domain's own nouns.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{
    Attempt, Dispatch, EndStatus, ErrorReport, KindName, NewTask, Next, Principal, Priority, Progress, QueueName, RateLimit,
    RunFacts, StartedTask, TaskId, TaskRef, TaskRow, TaskStatus, Version, WorkerId,
};

/// A task to insert, with the options of the insert.
#[derive(Clone, Debug, PartialEq)]
pub struct SubmittedTask {
    /// The row of the task.
    pub task: NewTask,
    /// Whether the submitter sends the dispatch itself, right after the commit.
    pub dispatched: bool,
    /// The idempotency key of the submission, if it has one.
    pub key: Option<IdempotencyKey>,
}

impl SubmittedTask {
    /// An estimate of the bytes that the task adds to a write.
    pub fn bytes(&self) -> usize {
        let callback_url = self.task.callback_url.as_ref().map_or(0, String::len);
        self.task.args.len() + callback_url
    }
}

/// An idempotency key and the request for which it stands. Keys belong to the task's principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The path of the request.
    pub scope: Arc<str>,
    /// The key, as the caller gave it.
    pub key: Arc<str>,
    /// SHA-256 of the canonical body.
    pub body_hash: [u8; 32],
}

/// The result of one insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsertAnswer {
    /// The task is stored.
    Inserted,
    /// The key has created this task before, with the same body.
    Replayed(TaskId),
    /// The key has been used with another body.
    KeyReused,
}

/// A request to start several tasks.
#[derive(Clone, Copy, Debug)]
pub struct StartBatch<'a> {
    /// Id of the worker that starts them.
    pub worker: WorkerId,
    /// Name of the worker, for the record of the attempts.
    pub worker_name: &'a str,
    /// The time of the start.
    pub now: Timestamp,
    /// Whether nothing else runs on this worker, so that a task may run with which two workers have died.
    pub exclusive: bool,
    /// The tasks to start, with their versions.
    pub refs: &'a [TaskRef],
    /// The kinds whose starts are limited.
    pub limits: &'a [(KindName, RateLimit)],
}

/// The result of one start.
#[derive(Clone, Debug, PartialEq)]
pub enum StartAnswer {
    /// The attempt may run.
    Started(Box<StartedTask>),
    /// The task has ended instead, because it had expired.
    Ended(Ended),
    /// The task's time has not come, or its queue is paused. The scheduler will dispatch it again.
    Postponed,
    /// Two workers have died with the task. It may be started with `exclusive` only, while nothing else runs.
    NeedsExclusive,
    /// The reference is stale: the task has ended, was started elsewhere, was changed, or is locked by another statement.
    Gone,
}

/// The end of one attempt, to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Id of the task.
    pub id: TaskId,
    /// The number of the attempt.
    pub attempt: Attempt,
    /// The version that the start returned: the fence.
    pub version: Version,
    /// Id of the worker: the other half of the fence.
    pub worker: WorkerId,
    /// Name of the worker, for the record.
    pub worker_name: Arc<str>,
    /// When the attempt ended.
    pub at: Timestamp,
    /// The last progress of the attempt, if it is not written yet. It is written with the end, so that no older progress can follow.
    pub progress: Option<Progress>,
    /// What happens to the task.
    pub next: Next,
}

impl Settlement {
    /// An estimate of the bytes that the settlement adds to a write.
    pub fn bytes(&self) -> usize {
        let (result, error) = match &self.next {
            Next::End { result, error, .. } => (result.as_ref(), error.as_ref()),
            Next::Retry { error, .. } | Next::Crashed { error, .. } => (None, Some(error)),
            Next::Release { .. } => (None, None),
        };
        result.map_or(0, String::len) + error.map_or(0, |error| error.message.len())
    }
}

/// The result of one settlement.
#[derive(Clone, Debug, PartialEq)]
pub enum Settled {
    /// The task has ended.
    Ended(Ended),
    /// The task waits again; the scheduler dispatches it when it is due.
    Waiting {
        /// The state of the waiting task: RETRY or PENDING.
        status: TaskStatus,
        /// When the task is due.
        due_at: Timestamp,
    },
    /// This settlement was written before, and the answer was lost.
    Already,
    /// The attempt is not the present one any more. The write changed nothing.
    Superseded,
}

/// A task that has just ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Id of the task.
    pub id: TaskId,
    /// The final state.
    pub status: EndStatus,
    /// The dispatch of the callback task that was inserted with the end, if its `callback_url` asked for one.
    pub callback: Option<Dispatch>,
}

/// A request to revoke a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeOrder {
    /// Id of the task.
    pub id: TaskId,
    /// Whether a running attempt is stopped at once.
    pub terminate: bool,
    /// The time of the request.
    pub now: Timestamp,
}

/// The result of a revoke.
#[derive(Clone, Debug, PartialEq)]
pub enum RevokeAnswer {
    /// The task was waiting and is now REVOKED.
    Revoked(Ended),
    /// The task is running and was asked to stop.
    Revoking {
        /// Id of the worker that runs the task.
        worker: Option<WorkerId>,
        /// When the first revoke was requested.
        requested_at: Timestamp,
    },
    /// The task had ended before, in this state.
    AlreadyEnded(TaskStatus),
    /// No task has this id.
    NotFound,
}

/// The result of a retry by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAnswer {
    /// The new task is stored.
    Inserted,
    /// The task was retried before, as this task.
    AlreadyRetried(TaskId),
    /// The task has not ended as FAILURE or REVOKED.
    NotRetryable(TaskStatus),
    /// No task has this id.
    NotFound,
}

/// Changes to a waiting task. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskChange {
    /// The new time at which the task is due.
    pub due_at: Option<Timestamp>,
    /// The new queue.
    pub queue: Option<QueueName>,
    /// The new priority.
    pub priority: Option<Priority>,
}

/// The result of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeAnswer {
    /// The task as it is now.
    Changed(Box<TaskRow>),
    /// The task is not waiting; it is in this state.
    NotWaiting(TaskStatus),
    /// No task has this id.
    NotFound,
}

/// Changes to a queue. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueChange {
    /// `true` pauses the queue, `false` resumes it.
    pub paused: Option<bool>,
    /// Most tasks of the queue that one process runs at the same time; `Some(None)` removes the limit.
    pub concurrency: Option<Option<u32>>,
}

/// A queue and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Name of the queue.
    pub name: QueueName,
    /// When the queue was paused; `None` if it is not paused.
    pub paused_at: Option<Timestamp>,
    /// Most tasks of the queue that one process runs at the same time; `None` for no limit.
    pub concurrency: Option<u32>,
}

/// The counts of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCounts {
    /// Name of the queue.
    pub name: QueueName,
    /// Number of tasks that are due and wait.
    pub waiting: u64,
    /// Number of tasks whose time has not come.
    pub scheduled: u64,
    /// Number of tasks that are running.
    pub running: u64,
    /// When the oldest due task became due; `None` if there is none.
    pub oldest_due_at: Option<Timestamp>,
    /// Number of tasks that ended in the last minute.
    pub ended_last_minute: u64,
}

/// A running attempt, as the scheduler's sweeps read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedRow {
    /// Id of the task.
    pub id: TaskId,
    /// The number of the attempt.
    pub attempt: Attempt,
    /// The version that the start returned.
    pub version: Version,
    /// Kind of the task.
    pub kind: KindName,
    /// Id of the worker that runs the attempt.
    pub worker: WorkerId,
    /// Name of that worker.
    pub worker_name: String,
    /// When the attempt started.
    pub started_at: Timestamp,
    /// The facts that decide what follows the attempt.
    pub facts: RunFacts,
    /// Whether the attempt has come further than every earlier attempt whose worker died.
    pub progressed: bool,
    /// The run time after which the attempt is ended.
    pub hard_limit: Duration,
    /// Whether a revoke asked for termination.
    pub terminate: bool,
    /// When a revoke was requested.
    pub revoke_requested_at: Option<Timestamp>,
}

/// The recorded end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The attempt returned a result.
    Success,
    /// The attempt failed, and the task with it.
    Failure,
    /// The attempt failed, and the task is retried.
    Retry,
    /// The worker that ran the attempt died.
    Crashed,
    /// The task was revoked while the attempt ran.
    Revoked,
}

impl AttemptEnd {
    /// The name used in the API and in the table.
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

/// The record of an attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// The number of the attempt.
    pub attempt: Attempt,
    /// Name of the worker that ran it.
    pub worker_name: String,
    /// When the attempt started.
    pub started_at: Timestamp,
    /// When the attempt ended.
    pub ended_at: Timestamp,
    /// How the attempt ended.
    pub end: AttemptEnd,
    /// The error; `None` if the attempt did not fail.
    pub error: Option<ErrorReport>,
}

/// A command for a worker, which it receives with the answer to its next heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerCommand {
    /// Stop fetching, and stay alive.
    Drain,
    /// Stop fetching, and end the process when all attempts have ended.
    Shutdown,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// The store's time, by which the worker sets its clock.
    pub store_now: Timestamp,
    /// A command for the worker, if there is one.
    pub command: Option<WorkerCommand>,
}

/// An account to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// Name of the account, unique.
    pub name: String,
    /// An argon2id hash in PHC form.
    pub password_hash: String,
    /// The scopes of the account, and the name under which it acts.
    pub principal: Principal,
    /// The time of creation.
    pub created_at: Timestamp,
}

/// An account as it is read to check a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// The argon2id hash of the password, in PHC form.
    pub password_hash: String,
    /// The scopes of the account, and the name under which it acts.
    pub principal: Principal,
}

/// An account as lists show it, without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Name of the account.
    pub name: String,
    /// The scopes of the account, and the name under which it acts.
    pub principal: Principal,
    /// When the account was created.
    pub created_at: Timestamp,
}

/// The state of a mail in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// The mail is about to be handed over. If no other state follows, its outcome is unknown.
    Sending,
    /// The server accepted the mail.
    Accepted,
    /// The server refused the mail for good.
    Rejected,
    /// The server refused the mail for now.
    Deferred,
    /// The mail was handed over, and no answer came.
    Unknown,
}

impl LedgerState {
    /// The name used in the API and in the table.
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

/// The ledger's entry for one mail of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Id of the task.
    pub task: TaskId,
    /// The number of the mail within its task, from 0.
    pub part: i32,
    /// The recipient's address.
    pub recipient: String,
    /// The Message-ID, which is the same in every attempt.
    pub message_id: String,
    /// The state of the mail.
    pub state: LedgerState,
    /// The server's last reply.
    pub response: Option<String>,
    /// When the entry was last written.
    pub updated_at: Timestamp,
}
