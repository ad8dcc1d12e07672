//! What is read for answers. Each read is one statement, so one snapshot: a task that moves meanwhile is seen once.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::SqliteStore;
use super::control::queue_row;
use super::json;
use super::rows::{Columns, ended_columns, live_columns, task_row};
use super::statement_error::StatementError;
use crate::domain::{Cursor, KindName, Page, PageRequest, QueueName, TaskFilter, TaskId, TaskRow, TaskStatus};
use crate::store::{AttemptEnd, AttemptRow, QueueCounts, QueueRow, StoreResult, TaskReads};

const FIND_TASK: &str = concat!(
    "-- find_task\nSELECT ",
    live_columns!(),
    " FROM tasks WHERE id = ?1 UNION ALL SELECT ",
    ended_columns!(),
    " FROM task_results WHERE id = ?1"
);

const ATTEMPTS_OF: &str = "-- attempts_of
SELECT attempt, worker_name, started_at, ended_at, outcome, error FROM attempts WHERE task = ?1 ORDER BY attempt";

const QUEUES: &str = "-- queues
SELECT name, paused_at, concurrency FROM queues ORDER BY name";

/// Each branch is a walk along one index that covers it.
const QUEUE_COUNTS: &str = "-- queue_counts
SELECT queue, sum(waiting), sum(scheduled), sum(running), min(oldest), sum(ended) FROM (
    SELECT name AS queue, 0 AS waiting, 0 AS scheduled, 0 AS running, NULL AS oldest, 0 AS ended FROM queues
    UNION ALL
    SELECT queue, sum(due_at <= ?1), sum(due_at > ?1), 0, min(iif(due_at <= ?1, due_at, NULL)), 0
    FROM tasks WHERE dispatched_at IS NOT NULL GROUP BY queue
    UNION ALL
    SELECT queue, sum(due_at <= ?1), sum(due_at > ?1), 0, min(iif(due_at <= ?1, due_at, NULL)), 0
    FROM tasks WHERE dispatch_at IS NOT NULL GROUP BY queue
    UNION ALL
    SELECT queue, 0, 0, count(*), NULL, 0 FROM tasks WHERE worker IS NOT NULL GROUP BY queue
    UNION ALL
    SELECT queue, 0, 0, 0, NULL, count(*) FROM task_results WHERE ended_at > ?2 GROUP BY queue
)
GROUP BY queue ORDER BY queue";

/// The time that `ended_last_minute` covers.
const LAST_MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[async_trait]
impl TaskReads for SqliteStore {
    async fn find(&self, id: TaskId) -> StoreResult<Option<TaskRow>> {
        Ok(find_task(&mut *self.reader().await?, id).await?)
    }

    async fn attempts(&self, id: TaskId) -> StoreResult<Vec<AttemptRow>> {
        let query = sqlx::query(ATTEMPTS_OF).bind(id.as_uuid());
        let rows = query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(attempt_row).collect::<Result<_, StatementError>>()?)
    }

    async fn list(&self, filter: &TaskFilter, page: &PageRequest) -> StoreResult<Page<TaskRow>> {
        let limit = usize::from(page.limit);
        // One more than asked for tells whether there is another page.
        let mut query = list_query(filter, page.after, i64::from(page.limit) + 1)?;
        let rows = query.build().fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        let items = rows.iter().take(limit).map(task_row).collect::<Result<Vec<_>, StatementError>>()?;
        let next = items.last().filter(|_| rows.len() > limit).map(|last| Cursor(last.id));
        Ok(Page { items, next })
    }

    async fn queues(&self) -> StoreResult<Vec<QueueRow>> {
        let rows = sqlx::query(QUEUES).fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(queue_row).collect::<Result<_, StatementError>>()?)
    }

    async fn queue_counts(&self, now: Timestamp) -> StoreResult<Vec<QueueCounts>> {
        let minute_ago = now.checked_sub(LAST_MINUTE).unwrap_or(now);
        let query = sqlx::query(QUEUE_COUNTS).bind(now.as_microsecond()).bind(minute_ago.as_microsecond());
        let rows = query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(counts_row).collect::<Result<_, StatementError>>()?)
    }
}

/// A task by id, live or ended.
pub(super) async fn find_task(connection: &mut SqliteConnection, id: TaskId) -> Result<Option<TaskRow>, StatementError> {
    let row = sqlx::query(FIND_TASK).bind(id.as_uuid()).fetch_optional(connection).await?;
    row.as_ref().map(task_row).transpose()
}

fn attempt_row(row: &sqlx::sqlite::SqliteRow) -> Result<AttemptRow, StatementError> {
    let mut columns = Columns::of("attempts", row);
    Ok(AttemptRow {
        attempt: columns.attempt()?,
        worker_name: columns.get()?,
        started_at: columns.time()?,
        ended_at: columns.time()?,
        end: attempt_end(&mut columns)?,
        error: columns.maybe_json()?,
    })
}

fn attempt_end(columns: &mut Columns<'_>) -> Result<AttemptEnd, StatementError> {
    let word: &str = columns.get()?;
    [AttemptEnd::Success, AttemptEnd::Failure, AttemptEnd::Retry, AttemptEnd::Crashed, AttemptEnd::Revoked]
        .into_iter()
        .find(|end| end.as_str() == word)
        .ok_or_else(|| columns.corrupt(format!("{word:?} is not an end")))
}

fn counts_row(row: &sqlx::sqlite::SqliteRow) -> Result<QueueCounts, StatementError> {
    let mut columns = Columns::of("tasks", row);
    Ok(QueueCounts {
        name: columns.queue()?,
        waiting: columns.number()?,
        scheduled: columns.number()?,
        running: columns.number()?,
        oldest_due_at: columns.maybe_time()?,
        ended_last_minute: columns.number()?,
    })
}

/// A page from each table, merged, without args and results: 500 of them are a lot of memory. A table that cannot hold what is asked for is left out.
fn list_query(filter: &TaskFilter, after: Option<Cursor>, limit: i64) -> Result<QueryBuilder<Sqlite>, StatementError> {
    let asked = |ended: bool| filter.statuses.is_empty() || filter.statuses.iter().any(|status| status.is_ended() == ended);
    let sources = [
        (false, concat!("SELECT * FROM (SELECT ", live_columns!("''"), " FROM tasks")),
        (true, concat!("SELECT * FROM (SELECT ", ended_columns!("''", "NULL"), " FROM task_results")),
    ];
    let mut query = QueryBuilder::new("-- list_tasks\n");
    let mut first = true;
    for (ended, source) in sources.into_iter().filter(|(ended, _)| asked(*ended)) {
        if !std::mem::take(&mut first) {
            query.push(" UNION ALL ");
        }
        query.push(source).push(" WHERE true");
        push_filter(&mut query, filter, after, ended)?;
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit).push(")");
    }
    query.push(" ORDER BY 1 DESC LIMIT ").push_bind(limit);
    Ok(query)
}

fn push_filter(
    query: &mut QueryBuilder<Sqlite>,
    filter: &TaskFilter,
    after: Option<Cursor>,
    ended: bool,
) -> Result<(), StatementError> {
    if let Some(Cursor(id)) = after {
        query.push(" AND id < ").push_bind(id.as_uuid());
    }
    if !filter.statuses.is_empty() {
        let words = json::texts(filter.statuses.iter().map(|status| status.as_str()))?;
        query.push(" AND status IN (SELECT value FROM json_each(").push_bind(words).push("))");
        if ended && !filter.statuses.contains(&TaskStatus::Success) {
            query.push(" AND status <> 'SUCCESS'");
        }
    }
    if let Some(kind) = &filter.kind {
        query.push(" AND kind = ").push_bind(KindName::as_str(kind).to_owned());
    }
    if let Some(queue) = &filter.queue {
        query.push(" AND queue = ").push_bind(QueueName::as_str(queue).to_owned());
    }
    if let Some(worker) = &filter.worker {
        query.push(" AND worker_name = ").push_bind(worker.clone());
    }
    if let Some(principal) = &filter.principal {
        query.push(" AND principal = ").push_bind(principal.to_string());
    }
    if let Some(from) = filter.submitted_from {
        query.push(" AND submitted_at >= ").push_bind(from.as_microsecond());
    }
    if let Some(to) = filter.submitted_to {
        query.push(" AND submitted_at < ").push_bind(to.as_microsecond());
    }
    if let Some(text) = &filter.text {
        push_text(query, text);
    }
    Ok(())
}

/// The text as it is written, in any case: what LIKE takes for a pattern is escaped. An error is searched in its parts, not in its JSON.
fn push_text(query: &mut QueryBuilder<Sqlite>, text: &str) {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    for (before, column) in [(" AND (", "kind"), (" OR ", "args"), (" OR ", "error ->> 'type'"), (" OR ", "error ->> 'message'")]
    {
        query.push(before).push(column).push(" LIKE ").push_bind(pattern.clone()).push(r" ESCAPE '\'");
    }
    query.push(")");
}
