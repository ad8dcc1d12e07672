//! Revoke, retry by hand, change, purge, queues and progress.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::SqliteStore;
use super::ends::{EndOrder, end_tasks};
use super::insert::insert_rows;
use super::json;
use super::reads::find_task;
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::domain::{Attempt, EndReason, Priority, Progress, QueueName, TaskId, TaskStatus, WorkerId};
use crate::store::{
    ChangeAnswer, Ended, QueueChange, QueueRow, RetryAnswer, RevokeAnswer, RevokeOrder, StoreError, StoreResult, SubmittedTask,
    TaskChange, TaskControl,
};

/// The state of a task, wherever it is.
const STATUS_OF: &str = "-- status_of
SELECT status FROM tasks WHERE id = ?1 UNION ALL SELECT status FROM task_results WHERE id = ?1";

const REQUEST_REVOKE: &str = "-- request_revoke
UPDATE tasks SET revoke_requested_at = coalesce(revoke_requested_at, ?2), terminate = max(terminate, ?3)
WHERE id = ?1 AND status = 'STARTED'
RETURNING worker, revoke_requested_at";

const RETRIED_AS: &str = "-- retried_as
SELECT status, retried_as FROM task_results WHERE id = ?1";

const SET_RETRIED_AS: &str = "-- set_retried_as
UPDATE task_results SET retried_as = ?2 WHERE id = ?1";

/// The chain of retries by hand starts with the task, unless that one is a retry by hand too. So is it with the list of recipients.
const WRITE_ORIGIN: &str = "-- write_origin
INSERT INTO retry_origins (task, origin, submitted_at, created_at, list)
SELECT ?2, coalesce(o.origin, r.id), coalesce(o.submitted_at, r.submitted_at), ?3, coalesce(l.task, o.list, r.retry_of)
FROM task_results r LEFT JOIN retry_origins o ON o.task = r.id LEFT JOIN recipient_lists l ON l.task = r.id AND l.complete
WHERE r.id = ?1";

const CHANGE_TASK: &str = "-- change_task
UPDATE tasks SET version = version + 1, due_at = coalesce(?2, due_at), queue = coalesce(?3, queue),
    priority = coalesce(?4, priority), dispatch_at = coalesce(?2, due_at), dispatched_at = NULL,
    limited_until = iif(?2 IS NULL, limited_until, NULL)
WHERE id = ?1 AND status <> 'STARTED'
RETURNING id";

/// Both branches are walks along an index that covers them.
const WAITING_IN: &str = "-- waiting_in
SELECT id FROM (
    SELECT id, queue FROM tasks INDEXED BY tasks_dispatched WHERE dispatched_at IS NOT NULL
    UNION ALL
    SELECT id, queue FROM tasks INDEXED BY tasks_to_dispatch WHERE dispatch_at IS NOT NULL
) WHERE queue = ?1 ORDER BY id LIMIT ?2";

const ENSURE_QUEUES: &str = "-- ensure_queues
INSERT INTO queues (name, created_at) SELECT value, ?2 FROM jsonb_each(?1) WHERE true ON CONFLICT DO NOTHING";

/// `?3` is whether to pause (1), resume (0) or neither (null); `?4` whether the limit is to become `?5`.
const CHANGE_QUEUE: &str = "-- change_queue
INSERT INTO queues (name, created_at, paused_at, concurrency) VALUES (?1, ?2, iif(?3, ?2, NULL), ?5)
ON CONFLICT (name) DO UPDATE SET
    paused_at = CASE ?3 WHEN 1 THEN coalesce(paused_at, ?2) WHEN 0 THEN NULL ELSE paused_at END,
    concurrency = iif(?4, ?5, concurrency)
RETURNING name, paused_at, concurrency";

const WRITE_PROGRESS: &str = "-- write_progress
UPDATE tasks SET progress = ?3 WHERE id = ?1 AND attempt = ?2 AND status = 'STARTED'";

#[async_trait]
impl TaskControl for SqliteStore {
    async fn revoke(&self, order: &RevokeOrder) -> StoreResult<RevokeAnswer> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let answer = revoke(&mut transaction, order).await?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(answer)
    }

    async fn insert_retry(&self, task: &SubmittedTask) -> StoreResult<RetryAnswer> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let answer = insert_retry(&mut transaction, task).await?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(answer)
    }

    async fn change(&self, id: TaskId, change: &TaskChange, _now: Timestamp) -> StoreResult<ChangeAnswer> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let answer = change_task(&mut transaction, id, change).await?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(answer)
    }

    async fn purge(&self, queue: &QueueName, now: Timestamp, limit: u32) -> StoreResult<Vec<Ended>> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let waiting = sqlx::query_scalar(WAITING_IN).bind(queue.as_str()).bind(limit);
        let ids: Vec<Uuid> = waiting.fetch_all(&mut *transaction).await.map_err(StatementError::from)?;
        let ended = end_waiting(&mut transaction, ids, now, EndReason::Purged).await?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(ended)
    }

    async fn ensure_queues(&self, queues: &[QueueName], now: Timestamp) -> StoreResult<bool> {
        let names = json::json(&queues)?;
        let mut writer = self.writer().await;
        let query = sqlx::query(ENSURE_QUEUES).bind(names).bind(now.as_microsecond());
        let done = query.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(done.rows_affected() > 0)
    }

    async fn change_queue(&self, queue: &QueueName, change: &QueueChange, now: Timestamp) -> StoreResult<QueueRow> {
        let mut writer = self.writer().await;
        let query = sqlx::query(CHANGE_QUEUE)
            .bind(queue.as_str())
            .bind(now.as_microsecond())
            .bind(change.paused)
            .bind(change.concurrency.is_some())
            .bind(change.concurrency.flatten());
        let row = query.fetch_one(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(queue_row(&row)?)
    }

    async fn write_progress(&self, id: TaskId, attempt: Attempt, progress: &Progress, _now: Timestamp) -> StoreResult<bool> {
        let progress = json::json(progress)?;
        let mut writer = self.writer().await;
        let query = sqlx::query(WRITE_PROGRESS).bind(id.as_uuid()).bind(attempt.0).bind(progress);
        let done = query.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(done.rows_affected() > 0)
    }
}

/// Ends waiting tasks as REVOKED, within a transaction.
pub(super) async fn end_waiting(
    transaction: &mut SqliteConnection,
    ids: Vec<Uuid>,
    now: Timestamp,
    reason: EndReason,
) -> Result<Vec<Ended>, StatementError> {
    let orders: Vec<_> = ids.into_iter().map(|id| EndOrder::waiting(id.into(), now, reason)).collect();
    Ok(end_tasks(transaction, &orders).await?.into_iter().flatten().collect())
}

/// A row of name, pause and limit.
pub(super) fn queue_row(row: &sqlx::sqlite::SqliteRow) -> Result<QueueRow, StatementError> {
    let mut columns = Columns::of("queues", row);
    Ok(QueueRow { name: columns.queue()?, paused_at: columns.maybe_time()?, concurrency: columns.get()? })
}

async fn status_of(transaction: &mut SqliteConnection, id: TaskId) -> Result<Option<TaskStatus>, StatementError> {
    let row = sqlx::query(STATUS_OF).bind(id.as_uuid()).fetch_optional(transaction).await?;
    row.map(|row| Columns::of("tasks", &row).word()).transpose()
}

async fn revoke(transaction: &mut SqliteConnection, order: &RevokeOrder) -> Result<RevokeAnswer, StatementError> {
    let id = order.id.as_uuid();
    match status_of(transaction, order.id).await? {
        None => Ok(RevokeAnswer::NotFound),
        Some(status) if status.is_ended() => Ok(RevokeAnswer::AlreadyEnded(status)),
        Some(status) if status.is_waiting() => {
            let ended = end_waiting(transaction, vec![id], order.now, EndReason::Revoked).await?;
            Ok(ended.into_iter().next().map_or(RevokeAnswer::NotFound, RevokeAnswer::Revoked))
        }
        Some(_) => {
            let query = sqlx::query(REQUEST_REVOKE).bind(id).bind(order.now.as_microsecond()).bind(order.terminate);
            let row = query.fetch_one(transaction).await?;
            let mut columns = Columns::of("tasks", &row);
            let worker = columns.get::<Option<Uuid>>()?.map(WorkerId::from);
            Ok(RevokeAnswer::Revoking { worker, requested_at: columns.time()? })
        }
    }
}

async fn insert_retry(transaction: &mut SqliteConnection, retry: &SubmittedTask) -> Result<RetryAnswer, StatementError> {
    let Some(of) = retry.task.retry_of else {
        return Err(StatementError::Other(StoreError::Database("a retry by hand has to name its task".into())));
    };
    let Some(row) = sqlx::query(RETRIED_AS).bind(of.as_uuid()).fetch_optional(&mut *transaction).await? else {
        return Ok(status_of(transaction, of).await?.map_or(RetryAnswer::NotFound, RetryAnswer::NotRetryable));
    };
    let mut columns = Columns::of("task_results", &row);
    let status: TaskStatus = columns.word()?;
    if let Some(id) = columns.get::<Option<Uuid>>()? {
        return Ok(RetryAnswer::AlreadyRetried(id.into()));
    }
    if !matches!(status, TaskStatus::Failure | TaskStatus::Revoked) {
        return Ok(RetryAnswer::NotRetryable(status));
    }
    insert_rows(transaction, std::iter::once((&retry.task, retry.dispatched))).await?;
    let id = retry.task.id.as_uuid();
    sqlx::query(SET_RETRIED_AS).bind(of.as_uuid()).bind(id).execute(&mut *transaction).await?;
    let origin = sqlx::query(WRITE_ORIGIN).bind(of.as_uuid()).bind(id).bind(retry.task.submitted_at.as_microsecond());
    origin.execute(transaction).await?;
    Ok(RetryAnswer::Inserted)
}

async fn change_task(
    transaction: &mut SqliteConnection,
    id: TaskId,
    change: &TaskChange,
) -> Result<ChangeAnswer, StatementError> {
    let changed = sqlx::query(CHANGE_TASK)
        .bind(id.as_uuid())
        .bind(change.due_at.map(Timestamp::as_microsecond))
        .bind(change.queue.as_ref().map(QueueName::as_str))
        .bind(change.priority.map(Priority::get))
        .fetch_optional(&mut *transaction)
        .await?;
    Ok(match find_task(transaction, id).await? {
        None => ChangeAnswer::NotFound,
        Some(task) if changed.is_none() => ChangeAnswer::NotWaiting(task.status),
        Some(task) => ChangeAnswer::Changed(Box::new(task)),
    })
}
