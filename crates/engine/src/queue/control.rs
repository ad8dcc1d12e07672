//! What users do to tasks, queues and workers.

use std::time::Duration;

use jiff::Timestamp;

use super::submit::{SubmitError, Submitted};
use super::{Queue, QueueError};
use crate::broker::Signal;
use crate::clock::to_micros;
use crate::domain::{FieldError, KindName, NewTask, Principal, Progress, QueueName, TaskId, TaskRow, TaskStatus};
use crate::store::encrypted::{encrypted_with, unreadable};
use crate::store::{
    ChangeAnswer, Ended, QueueChange, QueueRow, RetryAnswer, RevokeAnswer, RevokeOrder, SubmittedTask, TaskChange, WorkerCommand,
};

/// A running task that was asked to stop is ended by force after this.
pub const REVOKE_GRACE: Duration = Duration::from_secs(30);
/// A terminated one is given this long to vanish.
pub const TERMINATE_GRACE: Duration = Duration::from_secs(1);
/// So many tasks one step of a purge ends.
const PURGE_BATCH: u32 = 1_000;

/// What a revoke came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It was waiting, and is REVOKED.
    Revoked,
    /// It is running and stops by `deadline`.
    Revoking {
        /// When it is ended by force.
        deadline: Timestamp,
    },
}

/// The reasons why an operation on a task was refused.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such task, or the principal does not see it.
    #[error("no task has this id")]
    NotFound,
    /// The task has ended, in this state.
    #[error("the task has ended: it is {0}")]
    Ended(TaskStatus),
    /// The task is running, so it cannot be changed.
    #[error("the task is running")]
    Running,
    /// The task has not ended as FAILURE or REVOKED, so it cannot be retried.
    #[error("only a task that is FAILURE or REVOKED can be retried; it is {0}")]
    NotRetryable(TaskStatus),
    /// The task was retried before, as this task.
    #[error("the task was retried before, as {0}")]
    AlreadyRetried(TaskId),
    /// The task's args cannot be decrypted with the keys of this process.
    #[error("{0}")]
    Encrypted(String),
    /// The task's kind is not known to this process.
    #[error("kind {0} is not known any more")]
    UnknownKind(KindName),
    /// Fields of the request are wrong; each error names its field.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<FieldError>),
    /// The store or the broker failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<crate::store::StoreError> for ControlError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Queue(error.into())
    }
}

impl Queue {
    async fn visible(&self, id: TaskId, principal: &Principal) -> Result<TaskRow, ControlError> {
        let row = self.store.find(id).await?.ok_or(ControlError::NotFound)?;
        if Self::is_visible(&row, principal.sees_only().as_deref()) { Ok(row) } else { Err(ControlError::NotFound) }
    }

    /// Revokes a task. The intent is in the store before anything else, so that it survives whatever follows.
    pub async fn revoke(&self, id: TaskId, terminate: bool, principal: &Principal) -> Result<Revoked, ControlError> {
        self.visible(id, principal).await?;
        let answer = self.store.revoke(&RevokeOrder { id, terminate, now: self.clock.now() }).await?;
        match answer {
            RevokeAnswer::Revoked(ended) => {
                self.publish_ended(vec![ended]).await;
                Ok(Revoked::Revoked)
            }
            RevokeAnswer::Revoking { requested_at, .. } => {
                self.send_signal(Signal::Revoke { id, terminate }).await;
                let grace = if terminate { TERMINATE_GRACE } else { REVOKE_GRACE };
                let from = if terminate { self.clock.now() } else { requested_at };
                Ok(Revoked::Revoking { deadline: to_micros(from + grace) })
            }
            RevokeAnswer::AlreadyEnded(status) => Err(ControlError::Ended(status)),
            RevokeAnswer::NotFound => Err(ControlError::NotFound),
        }
    }

    /// Retries a task that ended badly: a new task with the same kind, args and options, due now.
    pub async fn retry(&self, id: TaskId, principal: &Principal) -> Result<Submitted, ControlError> {
        self.retry_row(self.visible(id, principal).await?).await
    }

    /// Retries a task that ended badly with other args: a new task of the same kind, due now. An arg that may be secret and still is the text
    /// that is shown instead of it stays as it was. Wrong args are named with pointers below `/args`.
    pub async fn retry_with(&self, id: TaskId, args: &str, principal: &Principal) -> Result<Submitted, ControlError> {
        let mut row = self.visible(id, principal).await?;
        let kind = self.runner.kind(&row.kind).ok_or_else(|| ControlError::UnknownKind(row.kind.clone()))?;
        let args = kind.unmask_args(args, &row.args);
        let mut wrong = kind.masks_left(&args);
        wrong.extend(self.runner.check(&row.kind, &args).err().unwrap_or_default());
        if wrong.is_empty() {
            let hidden = self.runner.check_access(&row.kind, &args, &principal.subject).await;
            wrong = hidden.map_err(|reason| ControlError::Queue(crate::store::StoreError::Unavailable(reason).into()))?;
        }
        if !wrong.is_empty() {
            let below = |error: FieldError| FieldError::new(format!("/args{}", error.pointer), error.detail);
            return Err(ControlError::Invalid(wrong.into_iter().map(below).collect()));
        }
        row.args = args;
        self.retry_row(row).await
    }

    /// Retries the task of a row that was read.
    pub(super) async fn retry_row(&self, row: TaskRow) -> Result<Submitted, ControlError> {
        if !matches!(row.status, TaskStatus::Failure | TaskStatus::Revoked) {
            return Err(ControlError::NotRetryable(row.status));
        }
        if self.runner.kind(&row.kind).is_none() {
            return Err(ControlError::UnknownKind(row.kind));
        }
        if let Some(key) = encrypted_with(&row.args) {
            return Err(ControlError::Encrypted(unreadable("args", key)));
        }
        let now = self.clock.now();
        let task = NewTask {
            id: TaskId::made(now),
            kind: row.kind,
            queue: row.queue,
            priority: row.priority,
            args: row.args,
            principal: row.principal,
            submitted_at: now,
            due_at: now,
            expires_at: None,
            max_retries: row.max_retries,
            hard_limit: row.hard_limit,
            soft_limit: row.soft_limit,
            callback_url: row.callback_url,
            retry_of: Some(row.id),
        };
        let submitted = SubmittedTask { task, dispatched: self.dispatcher.is_trusted(), key: None };
        match self.store.insert_retry(&submitted).await? {
            RetryAnswer::Inserted => {
                self.metrics.task_submitted(&submitted.task.kind, &submitted.task.queue);
                if submitted.dispatched {
                    self.dispatcher.dispatch(vec![submitted.task.dispatch()]).await;
                }
                Ok(Submitted { id: submitted.task.id, replayed: false })
            }
            RetryAnswer::AlreadyRetried(retry) => Err(ControlError::AlreadyRetried(retry)),
            RetryAnswer::NotRetryable(status) => Err(ControlError::NotRetryable(status)),
            RetryAnswer::NotFound => Err(ControlError::NotFound),
        }
    }

    /// Changes time, queue or priority of a waiting task.
    pub async fn change(&self, id: TaskId, change: &TaskChange, principal: &Principal) -> Result<TaskRow, ControlError> {
        let row = self.visible(id, principal).await?;
        if let (Some(due_at), Some(expires_at)) = (change.due_at, row.expires_at)
            && due_at >= expires_at
            && row.status.is_waiting()
        {
            let detail = format!("{due_at} is not before the task expires, {expires_at}: it would never run");
            return Err(ControlError::Invalid(vec![FieldError::new("/eta", detail)]));
        }
        if let Some(queue) = &change.queue {
            self.know_queues(std::slice::from_ref(queue)).await.map_err(|error| match error {
                SubmitError::Invalid(field_errors) => ControlError::Invalid(field_errors),
                SubmitError::Queue(error) => ControlError::Queue(error),
                other => ControlError::Queue(crate::store::StoreError::Unavailable(other.to_string()).into()),
            })?;
        }
        match self.store.change(id, change, self.clock.now()).await? {
            ChangeAnswer::Changed(row) => Ok(*row),
            ChangeAnswer::NotWaiting(TaskStatus::Started) => Err(ControlError::Running),
            ChangeAnswer::NotWaiting(status) => Err(ControlError::Ended(status)),
            ChangeAnswer::NotFound => Err(ControlError::NotFound),
        }
    }

    /// Pauses, resumes or limits a queue; a queue that is not known becomes known.
    pub async fn change_queue(&self, queue: &QueueName, change: &QueueChange) -> Result<QueueRow, QueueError> {
        let row = self.store.change_queue(queue, change, self.clock.now()).await?;
        self.snapshot_cache.forget();
        self.send_signal(Signal::Queues).await;
        Ok(row)
    }

    /// Ends every waiting task of a queue as REVOKED, purged: how many. What is submitted meanwhile may stay. Their dispatches stay
    /// with the broker too, and start nothing when they arrive.
    pub async fn purge(&self, queue: &QueueName) -> Result<u64, QueueError> {
        let mut count = 0;
        loop {
            let ended: Vec<Ended> = self.store.purge(queue, self.clock.now(), PURGE_BATCH).await?;
            let is_last = ended.len() < PURGE_BATCH as usize;
            count += ended.len() as u64;
            self.publish_ended(ended).await;
            if is_last {
                return Ok(count);
            }
        }
    }

    /// Tells the live worker of this name to do something. Returns whether there is one.
    pub async fn command_worker(&self, name: &str, command: WorkerCommand) -> Result<bool, QueueError> {
        let found = self.store.command(name, command).await?;
        if found {
            self.send_signal(Signal::Worker).await;
        }
        Ok(found)
    }

    /// Writes progress of a running attempt and tells it to those who watch. Returns whether the attempt still is the present one.
    pub async fn progress(&self, id: TaskId, attempt: crate::domain::Attempt, progress: Progress) -> Result<bool, QueueError> {
        let is_present = self.store.write_progress(id, attempt, &progress, self.clock.now()).await?;
        if is_present {
            self.send_signal(Signal::Progress { id, progress }).await;
        }
        Ok(is_present)
    }

    /// Revokes a token by its id, everywhere.
    pub async fn revoke_token(&self, jti: &str, expires_at: Timestamp) -> Result<(), QueueError> {
        self.store.revoke_token(jti, expires_at).await?;
        self.send_signal(Signal::Tokens).await;
        Ok(())
    }
}
