//! What is read for answers.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::control::queue_row;
use super::rows::{corrupt, earliest_end, ended_columns, live_columns, maybe_json, maybe_time, sql_time, task_row, time};
use super::statement_error::StatementError;
use super::{PgStore, pooled};
use crate::domain::{Attempt, Page, PageRequest, QueueName, TaskFilter, TaskId, TaskRow};
use crate::store::{AttemptEnd, AttemptRow, QueueCounts, QueueRow, StoreResult, TaskReads};

const FIND_LIVE: &str = concat!("-- find_live\nSELECT ", live_columns!(), " FROM tasks WHERE id = $1");

const FIND_ENDED: &str =
    concat!("-- find_ended\nSELECT ", ended_columns!(), " FROM task_results WHERE id = $1 AND ended_at >= $2");

const FIND_ATTEMPTS: &str = "-- find_attempts
SELECT attempt, worker_name, started_at, ended_at, outcome, error FROM attempts
WHERE task = $1 AND ended_at >= $2 ORDER BY attempt";

const FIND_QUEUES: &str = "-- find_queues
SELECT name, paused_at, concurrency FROM queues ORDER BY name";

/// Each part reads one partial index of `tasks`. A row that was dispatched is due; one that has both times is among the dispatched.
const COUNT_QUEUES: &str = "-- count_queues
SELECT queue, sum(waiting)::int8 AS waiting, sum(scheduled)::int8 AS scheduled, sum(running)::int8 AS running,
       min(oldest_due_at) AS oldest_due_at, sum(ended)::int8 AS ended
FROM (
    SELECT name AS queue, 0 AS waiting, 0 AS scheduled, 0 AS running, NULL::timestamptz AS oldest_due_at, 0 AS ended FROM queues
    UNION ALL
    SELECT queue, count(*), 0, 0, min(due_at), 0 FROM tasks WHERE dispatched_at IS NOT NULL GROUP BY queue
    UNION ALL
    SELECT queue, count(*) FILTER (WHERE due_at <= $1), count(*) FILTER (WHERE due_at > $1), 0,
           min(due_at) FILTER (WHERE due_at <= $1), 0
    FROM tasks WHERE dispatch_at IS NOT NULL AND dispatched_at IS NULL GROUP BY queue
    UNION ALL
    SELECT queue, 0, 0, count(*), NULL, 0 FROM tasks WHERE worker IS NOT NULL GROUP BY queue
    UNION ALL
    SELECT queue, 0, 0, 0, NULL, count(*) FROM task_results
    WHERE ended_at > $1 - interval '1 minute' AND ended_at <= $1 GROUP BY queue
) AS parts
GROUP BY queue ORDER BY queue";

fn attempt_row(row: &PgRow) -> Result<AttemptRow, StatementError> {
    const TABLE: &str = "attempts";
    let outcome: &str = row.try_get("outcome")?;
    let end = [AttemptEnd::Success, AttemptEnd::Failure, AttemptEnd::Retry, AttemptEnd::Crashed, AttemptEnd::Revoked]
        .into_iter()
        .find(|end| end.as_str() == outcome)
        .ok_or_else(|| corrupt(TABLE, format!("{outcome:?} is not an outcome")))?;
    Ok(AttemptRow {
        attempt: Attempt(row.try_get("attempt")?),
        worker_name: row.try_get("worker_name")?,
        started_at: time(row, "started_at")?,
        ended_at: time(row, "ended_at")?,
        end,
        error: maybe_json(TABLE, row, "error")?,
    })
}

fn queue_counts(row: &PgRow) -> Result<QueueCounts, StatementError> {
    let number = |column| Ok::<_, StatementError>(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0));
    Ok(QueueCounts {
        name: QueueName::from_store(row.try_get("queue")?),
        waiting: number("waiting")?,
        scheduled: number("scheduled")?,
        running: number("running")?,
        oldest_due_at: maybe_time(row, "oldest_due_at")?,
        ended_last_minute: number("ended")?,
    })
}

#[async_trait]
impl TaskReads for PgStore {
    async fn find(&self, id: TaskId) -> StoreResult<Option<TaskRow>> {
        pooled(async {
            let live = sqlx::query(FIND_LIVE).bind(id.as_uuid()).fetch_optional(&self.pool).await?;
            if let Some(row) = live {
                return task_row(&row).map(Some);
            }
            let ended = sqlx::query(FIND_ENDED).bind(id.as_uuid()).bind(earliest_end(id));
            ended.fetch_optional(&self.pool).await?.as_ref().map(task_row).transpose()
        })
        .await
    }

    async fn attempts(&self, id: TaskId) -> StoreResult<Vec<AttemptRow>> {
        pooled(async {
            let find = sqlx::query(FIND_ATTEMPTS).bind(id.as_uuid()).bind(earliest_end(id));
            find.fetch_all(&self.pool).await?.iter().map(attempt_row).collect()
        })
        .await
    }

    async fn list(&self, filter: &TaskFilter, page: &PageRequest) -> StoreResult<Page<TaskRow>> {
        pooled(self.list_tasks(filter, page)).await
    }

    async fn queues(&self) -> StoreResult<Vec<QueueRow>> {
        pooled(async { sqlx::query(FIND_QUEUES).fetch_all(&self.pool).await?.iter().map(queue_row).collect() }).await
    }

    async fn queue_counts(&self, now: Timestamp) -> StoreResult<Vec<QueueCounts>> {
        pooled(async {
            let count = sqlx::query(COUNT_QUEUES).bind(sql_time(now));
            count.fetch_all(&self.pool).await?.iter().map(queue_counts).collect()
        })
        .await
    }
}
