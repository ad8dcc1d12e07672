//! The store: rows are the truth. This is the port; `store/postgres` and `store/sqlite` are its sides, and
//! `tests/it/conformance/store` is its contract, which both run.
//!
//! Live tasks (waiting or running) are in `tasks`, ended ones in `task_results`; an end moves the row in one statement. So every sweep
//! and count looks at live rows only, and retention drops old results without touching the hot path.
//!
//! Two times steer the dispatch of a waiting row. `dispatch_at`: when the sweep of due tasks is to dispatch it next; null once it is dispatched.
//! `dispatched_at`: when it was last dispatched; null if never. A submission that is due now is inserted as dispatched, because its submitter dispatches
//! right after the commit. Everything else (eta, retry, release, change) is inserted or updated with `dispatch_at` set and `dispatched_at` null.
//!
//! Time is a parameter everywhere (`now`); nothing here reads a clock but [`Workers::heartbeat`], whose answer carries the store's time.
//! Multi-row writes take rows in id order. A batch that fails for the sake of one bad row is split until that row stands alone.

mod answers;
mod audit;
mod bisected_batch;
mod effects;
pub mod encrypted;
mod file;
pub mod postgres;
mod rate_window;
pub mod recipients;
mod samples;
mod schedules;
pub mod sqlite;
mod task_stats;
pub mod transient;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::{
    Attempt, Dispatch, KindName, Page, PageRequest, PriorityBand, Progress, QueueName, RateLimit, ScopeSet, TaskFilter, TaskId,
    TaskRef, TaskRow, WorkerId, WorkerInfo, WorkerRow,
};

pub use answers::{
    AccountInfo, AccountRow, AttemptEnd, AttemptRow, ChangeAnswer, Ended, HeartbeatAnswer, IdempotencyKey, InsertAnswer,
    LedgerEntry, LedgerState, NewAccount, QueueChange, QueueCounts, QueueRow, RetryAnswer, RevokeAnswer, RevokeOrder, Settled,
    Settlement, StartAnswer, StartBatch, StartedRow, SubmittedTask, TaskChange, WorkerCommand,
};

pub use audit::{AuditEntry, AuditFilter, AuditLog};
pub use effects::{EffectRecord, EffectRecords};
pub use encrypted::EncryptionKey;
pub use file::{FileRegistry, FileRow};
pub use recipients::{
    AttemptStanding, NewRecipient, RecipientCounts, RecipientFilter, RecipientLedger, RecipientRow, RecipientState,
    RecipientStep, Resend, Suppression, SuppressionFilter, SuppressionReason, Suppressions,
};
pub use samples::{SampleStep, Samples};
pub use schedules::{ScheduleFilter, ScheduleKey, ScheduleStep, ScheduleWrite, Schedules};
pub use task_stats::{EndedGroup, TaskStats};

/// The scope of idempotency keys by which a task finds again what it submitted. Such a key starts with the id of the task's origin
/// ([`crate::domain::Origin`]), and is kept for as long as that task lives or it or a retry of its chain may be retried by hand.
pub const EFFECT_SCOPE: &str = "effect";

/// Why the store could not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, is shutting down, or did not answer in time. Whether a write was made is not known.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// One row was refused by the database (a bad value). The others of its batch were written.
    #[error("the database refused the row: {0}")]
    Refused(String),
    /// A row could not be read back: it was written by something else, or by a newer version.
    #[error("a row of {table} cannot be read: {reason}")]
    Corrupt {
        /// Name of the table.
        table: &'static str,
        /// What is wrong with the row.
        reason: String,
    },
    /// Anything else: a bug, or a database that is not as migrated.
    #[error("the database answered with an error: {0}")]
    Database(String),
}

/// The result of a store operation.
pub type StoreResult<T> = Result<T, StoreError>;

/// The hot path: three batched writes.
#[async_trait]
pub trait TaskWrites: Send + Sync {
    /// Inserts tasks, in one transaction where they are not too large for that; the answers are in the order of the tasks.
    ///
    /// Rows with `dispatched` are stored as dispatched at `submitted_at`, the others with `dispatch_at = due_at`.
    /// A task with a key is inserted only if its key is new: `(principal, scope, key)` is unique for as long as it is kept; the same key
    /// with the same hash answers [`InsertAnswer::Replayed`], with another hash [`InsertAnswer::KeyReused`]. Equal keys in one batch are
    /// folded first, so that the later ones are replays of the first.
    async fn insert(&self, tasks: &[SubmittedTask]) -> StoreResult<Vec<Result<InsertAnswer, StoreError>>>;

    /// Starts attempts: one compare-and-set for the whole batch, the answers in the order of `batch.refs`.
    ///
    /// A row starts if it is PENDING or RETRY, its version is the reference's, it is due (or was dispatched when it was), not expired, its queue is not paused, and
    /// it has fewer than two crashes or the batch is `exclusive`. It becomes STARTED, its version and its
    /// attempt number rise by one, and worker and time are set.
    /// An expired row is ended as REVOKED. A row of a paused queue, or not yet due, stays, with `dispatch_at` set (a second from now, or its
    /// time). Rows locked by others are [`StartAnswer::Gone`].
    async fn start(&self, batch: &StartBatch<'_>) -> StoreResult<Vec<StartAnswer>>;

    /// Ends attempts: one fenced write, the answers in the order of the settlements.
    ///
    /// A settlement applies if the row is STARTED with this version and worker, and raises the version. A [`Next::Retry`], [`Next::Crashed`] or
    /// [`Next::Release`] of a row whose revoke was requested ends it as REVOKED. An end of a task with a `callback_url`, here
    /// and in every other operation that ends tasks, inserts its callback task ([`crate::domain::callback_task`]) in the same transaction, as dispatched; whoever asked dispatches it ([`Ended::callback`]). A retry and a crash add a row to `attempts`; so does
    /// an end that is not a first-attempt success. A release restores PENDING, or RETRY where a retry was used before.
    /// A settlement that finds its own write is [`Settled::Already`], else [`Settled::Superseded`]. Its own are a result of the same id,
    /// attempt and worker, and a waiting row of the same id, one version on, that is due when the settlement would have it.
    async fn settle(&self, settlements: &[Settlement]) -> StoreResult<Vec<Result<Settled, StoreError>>>;
}

/// What users do to tasks and queues.
#[async_trait]
pub trait TaskControl: Send + Sync {
    /// Revokes a task: a waiting one is REVOKED at once, a running one gets the request written down (the first request's time and the
    /// strongest `terminate` stay).
    async fn revoke(&self, order: &RevokeOrder) -> StoreResult<RevokeAnswer>;

    /// Inserts `task` as the retry by hand of the ended task `task.retry_of`, and writes `retried_as` there, in one transaction. The
    /// starts of the new task tell where the chain of retries started ([`crate::domain::StartedTask::retry_origin`]), also once that is forgotten.
    async fn insert_retry(&self, task: &SubmittedTask) -> StoreResult<RetryAnswer>;

    /// Changes a waiting task: its version rises (so that dispatched references are stale) and `dispatch_at` is its due time.
    async fn change(&self, id: TaskId, change: &TaskChange, now: Timestamp) -> StoreResult<ChangeAnswer>;

    /// Ends up to `limit` waiting tasks of a queue as REVOKED, purged; oldest first.
    async fn purge(&self, queue: &QueueName, now: Timestamp, limit: u32) -> StoreResult<Vec<Ended>>;

    /// Makes the queues known that are not yet. Returns whether any was new.
    async fn ensure_queues(&self, queues: &[QueueName], now: Timestamp) -> StoreResult<bool>;

    /// Pauses, resumes or limits a queue (made known if need be).
    async fn change_queue(&self, queue: &QueueName, change: &QueueChange, now: Timestamp) -> StoreResult<QueueRow>;

    /// Writes the progress of a running attempt, if it still is the present one. Returns whether it was.
    async fn write_progress(&self, id: TaskId, attempt: Attempt, progress: &Progress, now: Timestamp) -> StoreResult<bool>;
}

/// What is read for answers.
#[async_trait]
pub trait TaskReads: Send + Sync {
    /// A task by id: looks in `tasks`, then in `task_results` (in this order, so that a task that ends between the two is found).
    async fn find(&self, id: TaskId) -> StoreResult<Option<TaskRow>>;

    /// The ended attempts of a task that were written down, oldest first.
    async fn attempts(&self, id: TaskId) -> StoreResult<Vec<AttemptRow>>;

    /// A page of tasks, newest (highest id) first, live and ended merged.
    /// Args and result of the rows are left empty.
    async fn list(&self, filter: &TaskFilter, page: &PageRequest) -> StoreResult<Page<TaskRow>>;

    /// All queues, by name.
    async fn queues(&self) -> StoreResult<Vec<QueueRow>>;

    /// Counts of one or all queues: waiting and due, scheduled for later, running, the oldest due row's due time.
    async fn queue_counts(&self, now: Timestamp) -> StoreResult<Vec<QueueCounts>>;
}

/// What the sweeps ask.
#[async_trait]
pub trait Sweeps: Send + Sync {
    /// Takes up to `limit` waiting rows whose `dispatch_at` has come: sets `dispatched_at = now` and `dispatch_at` null, and returns what to dispatch.
    /// Rows locked by others are skipped. By `dispatch_at`.
    async fn take_due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Dispatch>>;

    /// When the earliest `dispatch_at` comes, if there is one.
    async fn next_dispatch_at(&self) -> StoreResult<Option<Timestamp>>;

    /// Takes up to `limit` waiting, due rows of a queue that were dispatched before `dispatched_before` (their dispatch is lost), sets `dispatched_at = now`,
    /// and returns what to dispatch again, oldest dispatch first.
    async fn take_lost(
        &self,
        queue: &QueueName,
        band: PriorityBand,
        dispatched_before: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Dispatch>>;

    /// Hands rows whose dispatch failed to the sweep of due tasks: sets `dispatch_at = now` where the reference still is the row's.
    async fn mark_undispatched(&self, refs: &[TaskRef], now: Timestamp) -> StoreResult<()>;

    /// References of due, waiting rows of these queues (none of them paused), most urgent first, for a worker whose broker is away.
    async fn poll(&self, queues: &[QueueName], now: Timestamp, limit: u32) -> StoreResult<Vec<Dispatch>>;

    /// The STARTED rows of one worker.
    async fn started_by(&self, worker: WorkerId) -> StoreResult<Vec<StartedRow>>;

    /// Declares workers dead whose last heartbeat is before `heartbeat_before` and returns up to `limit` STARTED rows of dead workers, also of such that
    /// have no row in `workers` at all.
    async fn started_by_the_dead(&self, heartbeat_before: Timestamp, now: Timestamp, limit: u32) -> StoreResult<Vec<StartedRow>>;

    /// STARTED rows that started more than their hard limit and `grace` ago.
    async fn overrun(&self, grace: Duration, now: Timestamp, limit: u32) -> StoreResult<Vec<StartedRow>>;

    /// Ends up to `limit` waiting rows that have expired as REVOKED, expired.
    async fn expire(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Ended>>;

    /// Makes partitions ahead (Postgres; nothing elsewhere). Fails where that of `now` is missing and cannot be made, and only warns of others.
    async fn make_partitions(&self, now: Timestamp) -> StoreResult<()>;

    /// Forgets what ended before `results_before` (Postgres: whole partitions under a lock timeout; SQLite: up to `limit` rows a call) and then
    /// what was kept beside it, keys from before `keys_before` (those of [`EFFECT_SCOPE`] from before `results_before` too, and not while their
    /// task lives, its result is kept or a retry of its chain is remembered), workers dead since before `workers_before`, and revoked tokens
    /// that have expired.
    /// Returns whether more is left to do.
    async fn prune(&self, prune: &Prune) -> StoreResult<bool>;
}

/// Limits for [`Sweeps::prune`].
#[derive(Clone, Copy, Debug)]
pub struct Prune {
    /// Results and attempts that ended before this.
    pub results_before: Timestamp,
    /// Idempotency keys made before this.
    pub keys_before: Timestamp,
    /// Dead workers whose last heartbeat was before this.
    pub workers_before: Timestamp,
    /// The current time.
    pub now: Timestamp,
    /// Most rows of each table that are deleted one by one.
    pub limit: u32,
}

/// Heartbeats of workers, and commands to them.
#[async_trait]
pub trait Workers: Send + Sync {
    /// Writes a heartbeat (inserts the worker if need be, and makes a dead one live again) and answers with the store's own time and what
    /// the worker is told to do.
    async fn heartbeat(&self, info: &WorkerInfo, now: Timestamp) -> StoreResult<HeartbeatAnswer>;

    /// Removes a worker that has ended in good order.
    async fn leave(&self, worker: WorkerId) -> StoreResult<()>;

    /// Every worker, dead ones included, by name.
    async fn workers(&self) -> StoreResult<Vec<WorkerRow>>;

    /// Leaves a command for the live worker of this name. Returns whether there is one.
    async fn command(&self, name: &str, command: WorkerCommand) -> StoreResult<bool>;
}

/// Accounts of the dashboard and the API, and revoked tokens.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Creates an account; `false` if the name is taken.
    async fn create_account(&self, account: &NewAccount) -> StoreResult<bool>;

    /// Replaces the password hash of an account; `false` if no account has this name.
    async fn set_password(&self, name: &str, password_hash: &str) -> StoreResult<bool>;

    /// Finds an account by its name.
    async fn find_account(&self, name: &str) -> StoreResult<Option<AccountRow>>;

    /// Up to `limit` accounts, by name.
    async fn accounts(&self, limit: u32) -> StoreResult<Vec<AccountInfo>>;

    /// Deletes an account. Returns whether it existed.
    async fn delete_account(&self, name: &str) -> StoreResult<bool>;

    /// Sets the scopes of an account. Returns whether it exists.
    async fn set_scopes(&self, name: &str, scopes: ScopeSet) -> StoreResult<bool>;

    /// Revokes a token by its `jti` until it would have expired anyway.
    async fn revoke_token(&self, jti: &str, expires_at: Timestamp) -> StoreResult<()>;

    /// All revoked tokens that have not expired.
    async fn revoked_tokens(&self, now: Timestamp) -> StoreResult<Vec<String>>;
}

/// The outcome of each mail of a task. It keeps a second attempt from sending a mail twice.
#[async_trait]
pub trait MailLedger: Send + Sync {
    /// Writes entries (insert, or update by `(task, part)`), in order.
    async fn write_ledger(&self, entries: &[LedgerEntry]) -> StoreResult<()>;

    /// Claims one mail right before its hand-over: writes `entry` if `attempt` is the present one of its task (STARTED with this number)
    /// and the mail is still to be sent, in one statement. It is to be sent where there is no entry yet, or a `deferred` one; with
    /// `resend` also where it is `sending` or `unknown`. Returns whether it was written: only then may the mail be handed over.
    async fn claim_mail(&self, entry: &LedgerEntry, attempt: Attempt, resend: bool) -> StoreResult<bool>;

    /// The entries of a task, by part.
    async fn read_ledger(&self, task: TaskId) -> StoreResult<Vec<LedgerEntry>>;
}

/// The lines of tasks that wait for the rate limits of their kinds.
#[async_trait]
pub trait RateLines: Send + Sync {
    /// The kinds of which tasks have a slot in the future.
    async fn limited_kinds(&self, now: Timestamp) -> StoreResult<Vec<KindName>>;

    /// Dispatches the first tasks of a kind's line now, as many as may start: those before them may have ended, or the limit may have become
    /// wider. Without a limit, all of them. Returns how many.
    async fn advance_line(&self, kind: &KindName, limit: Option<RateLimit>, now: Timestamp) -> StoreResult<u64>;
}

/// Everything that a store can do.
#[async_trait]
pub trait Store:
    TaskWrites
    + TaskControl
    + TaskReads
    + Sweeps
    + Workers
    + Accounts
    + MailLedger
    + EffectRecords
    + RateLines
    + RecipientLedger
    + Suppressions
    + FileRegistry
    + TaskStats
    + AuditLog
    + Samples
    + Schedules
{
    /// Brings the schema up to date, under a lock; waits for another process that does it.
    async fn migrate(&self) -> StoreResult<()>;

    /// Whether the schema is up to date.
    async fn is_migrated(&self) -> StoreResult<bool>;

    /// The store's own time, if it answers.
    async fn ping(&self) -> StoreResult<Timestamp>;

    /// Closes all connections. The store cannot be used afterwards.
    async fn close(&self);

    /// The least number of writes of one sort that are worth having under way at once (1 for a store with one writer).
    fn concurrent_writes(&self) -> usize;

    /// Whether no other process can be using this store, so that every STARTED row found at start belongs to a dead worker.
    fn is_exclusive(&self) -> bool;
}

/// A store behind a handle.
pub type SharedStore = Arc<dyn Store>;
