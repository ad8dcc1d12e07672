//! What users do to tasks and queues.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::ends::EndOrder;
use super::insert::insert_rows;
use super::rows::{earliest_end, json, live_columns, maybe_time, sql_time, task_row, time, word};
use super::statement_error::StatementError;
use super::{PgStore, pooled};
use crate::domain::{Attempt, EndReason, Priority, Progress, QueueName, TaskId, TaskStatus, Version};
use crate::store::{
    ChangeAnswer, Ended, QueueChange, QueueRow, RetryAnswer, RevokeAnswer, RevokeOrder, StoreError, StoreResult, SubmittedTask,
    TaskChange, TaskControl,
};

const REQUEST_REVOKE: &str = "-- request_revoke
UPDATE tasks SET revoke_requested_at = COALESCE(revoke_requested_at, $2), terminate = terminate OR $3
WHERE id = $1 AND status = 'STARTED'
RETURNING worker, revoke_requested_at";

const FIND_LIVE_STATUS: &str = "-- find_live_status
SELECT status FROM tasks WHERE id = $1";

const FIND_ENDED_STATUS: &str = "-- find_ended_status
SELECT status FROM task_results WHERE id = $1 AND ended_at >= $2";

const LOCK_ENDED: &str = "-- lock_ended
SELECT status, retried_as FROM task_results WHERE id = $1 AND ended_at >= $2 FOR UPDATE";

const WRITE_RETRIED_AS: &str = "-- write_retried_as
UPDATE task_results SET retried_as = $3 WHERE id = $1 AND ended_at >= $2";

/// The chain of retries by hand starts with the task, unless that one is a retry by hand too. So is it with the list of recipients.
const WRITE_ORIGIN: &str = "-- write_origin
INSERT INTO retry_origins (task, origin, submitted_at, created_at, list)
SELECT $3, COALESCE(o.origin, r.id), COALESCE(o.submitted_at, r.submitted_at), $4, COALESCE(l.task, o.list, r.retry_of)
FROM task_results r LEFT JOIN retry_origins o ON o.task = r.id LEFT JOIN recipient_lists l ON l.task = r.id AND l.complete
WHERE r.id = $1 AND r.ended_at >= $2";

const CHANGE_TASK: &str = concat!(
    "-- change_task
UPDATE tasks
SET version = version + 1, due_at = COALESCE($2, due_at), queue = COALESCE($3, queue), priority = COALESCE($4, priority),
    dispatch_at = COALESCE($2, due_at), dispatched_at = NULL,
    limited_until = CASE WHEN $2 IS NULL THEN limited_until END
WHERE id = $1 AND status <> 'STARTED'
RETURNING ",
    live_columns!()
);

const FIND_TO_PURGE: &str = "-- find_to_purge
SELECT id, version FROM tasks WHERE queue = $1 AND status <> 'STARTED' ORDER BY id LIMIT $2";

const ENSURE_QUEUES: &str = "-- ensure_queues
INSERT INTO queues (name, created_at) SELECT name, $2 FROM UNNEST($1::text[]) AS new (name) ORDER BY name ON CONFLICT DO NOTHING";

const CHANGE_QUEUE: &str = "-- change_queue
INSERT INTO queues AS q (name, created_at, paused_at, concurrency)
VALUES ($1, $2, CASE WHEN $3 THEN $2 END, $5)
ON CONFLICT (name) DO UPDATE
SET paused_at = CASE WHEN $3 IS NULL THEN q.paused_at WHEN $3 THEN COALESCE(q.paused_at, $2) END,
    concurrency = CASE WHEN $4 THEN $5 ELSE q.concurrency END
RETURNING name, paused_at, concurrency";

const WRITE_PROGRESS: &str = "-- write_progress
UPDATE tasks SET progress = $3 WHERE id = $1 AND attempt = $2 AND status = 'STARTED'";

/// A task that changes its state at every look is looked at so often.
const MAX_LOOKS: usize = 5;

/// A queue of the columns `name, paused_at, concurrency`.
pub(super) fn queue_row(row: &PgRow) -> Result<QueueRow, StatementError> {
    let concurrency: Option<i64> = row.try_get("concurrency")?;
    Ok(QueueRow {
        name: QueueName::from_store(row.try_get("name")?),
        paused_at: maybe_time(row, "paused_at")?,
        concurrency: concurrency.map(|number| u32::try_from(number).unwrap_or(u32::MAX)),
    })
}

impl PgStore {
    async fn live_status(&self, id: TaskId) -> Result<Option<TaskStatus>, StatementError> {
        let word_of: Option<String> = sqlx::query_scalar(FIND_LIVE_STATUS).bind(id.as_uuid()).fetch_optional(&self.pool).await?;
        word_of.map(|text| word("tasks", &text)).transpose()
    }

    async fn ended_status(&self, id: TaskId) -> Result<Option<TaskStatus>, StatementError> {
        let found = sqlx::query_scalar(FIND_ENDED_STATUS).bind(id.as_uuid()).bind(earliest_end(id));
        let word_of: Option<String> = found.fetch_optional(&self.pool).await?;
        word_of.map(|text| word("task_results", &text)).transpose()
    }

    async fn request_revoke(&self, order: &RevokeOrder) -> Result<Option<RevokeAnswer>, StatementError> {
        let row = sqlx::query(REQUEST_REVOKE)
            .bind(order.id.as_uuid())
            .bind(sql_time(order.now))
            .bind(order.terminate)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let worker: Option<Uuid> = row.try_get(0)?;
        Ok(Some(RevokeAnswer::Revoking { worker: worker.map(Into::into), requested_at: time(&row, 1)? }))
    }

    async fn revoke_task(&self, order: &RevokeOrder) -> Result<RevokeAnswer, StatementError> {
        for _ in 0..MAX_LOOKS {
            if let Some(revoking) = self.request_revoke(order).await? {
                return Ok(revoking);
            }
            let waiting = EndOrder::waiting(order.id, order.now, EndReason::Revoked);
            if let Some(ended) = self.end_waiting(vec![waiting]).await?.pop() {
                return Ok(RevokeAnswer::Revoked(ended));
            }
            let live = self.live_status(order.id).await?;
            if let Some(status) = self.ended_status(order.id).await? {
                return Ok(RevokeAnswer::AlreadyEnded(status));
            }
            if live.is_none() {
                return Ok(RevokeAnswer::NotFound);
            }
        }
        Err(StatementError::Again(format!("task {} changed its state at every look", order.id)))
    }

    async fn retry_task(&self, task: &SubmittedTask) -> Result<RetryAnswer, StatementError> {
        let Some(ended) = task.task.retry_of else { return Ok(RetryAnswer::NotFound) };
        if let Some(status) = self.live_status(ended).await? {
            return Ok(RetryAnswer::NotRetryable(status));
        }
        let mut transaction = self.pool.begin().await?;
        let locked = sqlx::query(LOCK_ENDED).bind(ended.as_uuid()).bind(earliest_end(ended));
        let Some(row) = locked.fetch_optional(&mut *transaction).await? else { return Ok(RetryAnswer::NotFound) };
        let status: TaskStatus = word("task_results", row.try_get(0)?)?;
        if !matches!(status, TaskStatus::Failure | TaskStatus::Revoked) {
            return Ok(RetryAnswer::NotRetryable(status));
        }
        if let Some(retried_as) = row.try_get::<Option<Uuid>, _>(1)? {
            return Ok(RetryAnswer::AlreadyRetried(retried_as.into()));
        }
        insert_rows(&mut transaction, std::iter::once((&task.task, task.dispatched))).await?;
        sqlx::query(WRITE_RETRIED_AS)
            .bind(ended.as_uuid())
            .bind(earliest_end(ended))
            .bind(task.task.id.as_uuid())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(WRITE_ORIGIN)
            .bind(ended.as_uuid())
            .bind(earliest_end(ended))
            .bind(task.task.id.as_uuid())
            .bind(sql_time(task.task.submitted_at))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(RetryAnswer::Inserted)
    }

    async fn change_task(&self, id: TaskId, change: &TaskChange) -> Result<ChangeAnswer, StatementError> {
        for _ in 0..MAX_LOOKS {
            let row = sqlx::query(CHANGE_TASK)
                .bind(id.as_uuid())
                .bind(change.due_at.map(sql_time))
                .bind(change.queue.as_ref().map(QueueName::as_str))
                .bind(change.priority.map(Priority::get).map(i16::from))
                .fetch_optional(&self.pool)
                .await?;
            if let Some(row) = row {
                return Ok(ChangeAnswer::Changed(Box::new(task_row(&row)?)));
            }
            let live = self.live_status(id).await?;
            if let Some(status) = live.filter(|status| !status.is_waiting()) {
                return Ok(ChangeAnswer::NotWaiting(status));
            }
            if let Some(status) = self.ended_status(id).await? {
                return Ok(ChangeAnswer::NotWaiting(status));
            }
            if live.is_none() {
                return Ok(ChangeAnswer::NotFound);
            }
        }
        Err(StatementError::Again(format!("task {id} changed its state at every look")))
    }

    async fn purge_tasks(&self, queue: &QueueName, now: Timestamp, limit: u32) -> Result<Vec<Ended>, StatementError> {
        let rows = sqlx::query(FIND_TO_PURGE).bind(queue.as_str()).bind(i64::from(limit)).fetch_all(&self.pool).await?;
        self.end_waiting(waiting_orders(&rows, now, EndReason::Purged)?).await
    }
}

/// Orders to end the rows of the columns `id, version`, if they are still as they were seen.
pub(super) fn waiting_orders(
    rows: &[PgRow],
    now: Timestamp,
    reason: EndReason,
) -> Result<Vec<EndOrder<'static>>, StatementError> {
    let order = |row: &PgRow| {
        let id: Uuid = row.try_get(0)?;
        Ok(EndOrder { version: Some(Version(row.try_get(1)?)), ..EndOrder::waiting(id.into(), now, reason) })
    };
    rows.iter().map(order).collect()
}

#[async_trait]
impl TaskControl for PgStore {
    async fn revoke(&self, order: &RevokeOrder) -> StoreResult<RevokeAnswer> {
        pooled(self.revoke_task(order)).await
    }

    async fn insert_retry(&self, task: &SubmittedTask) -> StoreResult<RetryAnswer> {
        pooled(self.retry_task(task)).await
    }

    async fn change(&self, id: TaskId, change: &TaskChange, _now: Timestamp) -> StoreResult<ChangeAnswer> {
        pooled(self.change_task(id, change)).await
    }

    async fn purge(&self, queue: &QueueName, now: Timestamp, limit: u32) -> StoreResult<Vec<Ended>> {
        pooled(self.purge_tasks(queue, now, limit)).await
    }

    async fn ensure_queues(&self, queues: &[QueueName], now: Timestamp) -> StoreResult<bool> {
        let names: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
        pooled(async {
            let done = sqlx::query(ENSURE_QUEUES).bind(names).bind(sql_time(now)).execute(&self.pool).await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    async fn change_queue(&self, queue: &QueueName, change: &QueueChange, now: Timestamp) -> StoreResult<QueueRow> {
        pooled(async {
            let row = sqlx::query(CHANGE_QUEUE)
                .bind(queue.as_str())
                .bind(sql_time(now))
                .bind(change.paused)
                .bind(change.concurrency.is_some())
                .bind(change.concurrency.flatten().map(i64::from))
                .fetch_one(&self.pool)
                .await?;
            queue_row(&row)
        })
        .await
    }

    async fn write_progress(&self, id: TaskId, attempt: Attempt, progress: &Progress, _now: Timestamp) -> StoreResult<bool> {
        let progress = json(progress).map_err(StoreError::from)?;
        pooled(async {
            let write = sqlx::query(WRITE_PROGRESS).bind(id.as_uuid()).bind(attempt.0).bind(progress);
            Ok(write.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }
}
