//! Kinds: what sort of work there is. A kind is one file here and one line in [`registry`]; its route, its schema in `OpenAPI` and in
//! `/tasks/kinds`, its CLI and its metric labels come from that line.

pub mod batches;
mod bulk;
pub mod content_cleanup_expired;
pub mod content_publish_scheduled;
pub mod data_export;
pub mod delivery;
pub mod email_bulk;
pub mod email_notify_user;
pub mod email_send;
pub mod email_welcome;
mod failure;
pub mod files_prune;
pub mod http_call;
pub mod image_process;
pub mod notifications_bulk;
pub mod notifications_cleanup;
pub mod notify_admins;
pub mod people;
pub mod registry;
pub mod report_admin;
pub mod results_prune;
mod runner;
pub mod sms_bulk;
pub mod sms_send;
pub mod system;
pub mod system_aggregate_metrics;
pub mod system_callback;
pub mod system_health_check;
pub mod upkeep;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::files::TaskFiles;
use crate::services::Services;
use legwork_engine::clock::Clock;
use legwork_engine::domain::{Attempt, FieldError, KindName, Origin, Progress, RetryPolicy, Scope, TaskFailure, TaskId};
use legwork_engine::store::{EffectRecords, MailLedger, RecipientLedger, Suppressions};

pub use failure::{OrFail, child_failure, source_failure, to_field_errors};
pub use legwork_engine::children::{Child, ChildEnd, ChildStart, Children, NoChildren};
pub use legwork_engine::runner::{ProgressSink, RunFuture};
pub use registry::{ArgsError, Behavior, DeclaredKind, KindSet, TaskKind};
pub use runner::KindRunner;
use upkeep::Upkeep;

/// A kind: its args are the struct that implements this.
///
/// The fields of a kind's args may not use the names of the submission options (a test holds every registered kind to it).
pub trait Kind: DeserializeOwned + utoipa::ToSchema + Send + Sync + 'static {
    /// Its name, as in `email.send`.
    const NAME: &'static str;
    /// One or two sentences for the user who chooses.
    const DESCRIPTION: &'static str;
    /// The queue of its tasks, unless the submission or the routing says otherwise.
    const QUEUE: &'static str = "default";
    /// How its failed attempts are tried again.
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;
    /// An attempt past this ends.
    const HARD_LIMIT: Duration = Duration::from_mins(30);
    /// An attempt past this is asked to stop.
    const SOFT_LIMIT: Option<Duration> = None;
    /// Its typed route below `/tasks`, as in `/email/send`, where it has one.
    const ROUTE: Option<&'static str> = None;
    /// What a token must allow that submits it.
    const SCOPE: Scope = Scope::Submit;
    /// Whether it asks the engine itself, so that it cannot run in the foreground without one.
    const NEEDS_ENGINE: bool = false;
    /// Its args may be so large, in bytes of JSON, also where `ARGS_LIMIT` and `BODY_LIMIT` are smaller.
    const ARGS_LIMIT: usize = 0;
    /// Whether users may submit it; the engine's own kinds they may not.
    const PUBLIC: bool = true;
    /// JSON Pointers to args that may be secret (`/headers`): they are shown as `[sensitive]`, and never reach a log or an error.
    const SENSITIVE: &'static [&'static str] = &[];

    /// JSON Pointers to args that are paths of stored files which it reads (`/file_path`): who submits it must be allowed to read them.
    const FILES: &'static [&'static str] = &[];

    /// Args that work on the embedded default.
    fn example() -> Value;

    /// Checks what the types do not say, at submission: every error found, with a pointer into the args (`/recipient_email`).
    fn check(&self, services: &Services) -> Vec<FieldError> {
        let _ = services;
        Vec::new()
    }

    /// Does the work. Dropping the future at any await must leave nothing half-done that a second attempt would do twice.
    fn run(self, cx: TaskContext) -> impl Future<Output = Result<Value, TaskFailure>> + Send;
}

/// What an attempt knows and may use.
#[derive(Clone)]
pub struct TaskContext {
    /// Its task.
    pub task: TaskId,
    /// Its number.
    pub attempt: Attempt,
    /// Its kind.
    pub kind: KindName,
    /// When the task was submitted.
    pub submitted_at: Timestamp,
    /// Where its chain of retries by hand started; `None` where it is no retry by hand.
    pub retry_origin: Option<Origin>,
    /// How many attempts may follow this one if it fails.
    pub retries_left: u16,
    /// When the attempt is asked to stop, or is ended where it has no soft limit; `None` where nobody ends it.
    pub deadline: Option<Timestamp>,
    /// The outside world.
    pub services: Arc<Services>,
    /// What became of each mail of a task.
    pub ledger: Arc<dyn MailLedger>,
    /// The effects that it has had, so that a later attempt does not repeat them.
    pub effects: Arc<dyn EffectRecords>,
    /// The files that it makes and reads.
    pub files: TaskFiles,
    /// The engine, for the kinds that look after it.
    pub upkeep: Arc<dyn Upkeep>,
    /// What became of each recipient of a task that reaches many. Its writes share commits with all others of the process.
    pub recipients: Arc<dyn RecipientLedger>,
    /// The addresses that get nothing in bulk; `None` where nobody knows (a task in the foreground).
    pub suppressions: Option<Arc<dyn Suppressions>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the attempt is to stop.
    pub stop: CancellationToken,
    /// Takes progress.
    pub progress: Arc<dyn ProgressSink>,
    /// Submits other tasks.
    pub children: Arc<dyn Children>,
}

impl TaskContext {
    /// A place to stop at: `Err(Stopped)` once the attempt was asked to. Put `?` behind it.
    pub fn checkpoint(&self) -> Result<(), TaskFailure> {
        if self.stop.is_cancelled() { Err(TaskFailure::Stopped) } else { Ok(()) }
    }

    /// The time left until the attempt is asked to stop or is ended; `None` where it has no limit.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| Duration::try_from(deadline.duration_since(self.clock.now())).unwrap_or(Duration::ZERO))
    }

    /// Waits for `work`, or ends with `Err(Stopped)` as soon as the attempt is asked to stop.
    pub async fn or_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, TaskFailure> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(TaskFailure::Stopped),
            done = work => Ok(done),
        }
    }

    /// Tells how far the work is. Cheap: what comes faster than it can be written is folded.
    pub fn report_progress(&self, done: u64, total: Option<u64>, message: Option<String>) {
        self.progress.report(Progress { done, total, message });
    }

    /// Submits other tasks in the name of whoever submitted this one, each once however many attempts do so, also those of the tasks of
    /// which this one is the retry by hand: [`Children`] says what becomes of children that failed there. The answers are in order; what
    /// was refused says whether another attempt may help.
    pub async fn submit(&self, children: Vec<Child>) -> Result<Vec<Result<TaskId, TaskFailure>>, TaskFailure> {
        self.checkpoint()?;
        Ok(self.children.submit(children).await)
    }

    /// Where the chain of retries by hand started that this task is in: the task itself where it is no retry. Rows that are made once,
    /// however often it is tried, are told by this.
    pub fn origin(&self) -> Origin {
        self.retry_origin.unwrap_or(Origin { task: self.task, submitted_at: self.submitted_at })
    }

    /// Whether no attempt was before this one, neither of this task nor of one that it retries: there is nothing to be found then.
    pub fn is_first_attempt(&self) -> bool {
        self.attempt <= Attempt(1) && self.retry_origin.is_none()
    }

    /// A key for an effect outside (a Message-ID, an idempotency header), the same in every attempt of the task. A retry by hand has
    /// another one: who retries a call that failed wants it to be made, and not to be taken for the first.
    pub fn effect_key(&self, part: &str) -> String {
        format!("{}.{part}", self.task)
    }
}
