//! Start: one compare-and-set for the batch; what did not start is looked at only then.

use std::collections::HashMap;

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::SqliteStore;
use super::ends::{EndOrder, end_tasks};
use super::json::JsonRows;
use super::rate;
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::domain::{EndReason, Origin, StartedTask, TaskRef, Version};
use crate::store::{StartAnswer, StartBatch};

/// So many dead workers, and a task starts only while nothing else runs.
const EXCLUSIVE_CRASHES: i64 = 2;
/// A paused queue is looked at again after this, in microseconds.
const PAUSE_MICROS: i64 = 1_000_000;

/// `?2` is now, `?3` the worker, `?4` its name, `?5` the crashes that keep a task from start. A row that was dispatched at its due time is
/// due, whatever this clock says: it may lag behind the one that dispatched. What only a retry by hand has is looked up for those alone.
const START_TASKS: &str = "-- start_tasks
UPDATE tasks
SET status = 'STARTED', attempt = attempt + 1, version = version + 1, worker = ?3, worker_name = ?4, started_at = ?2, dispatch_at = NULL, dispatched_at = NULL,
    limited_until = NULL, progress = NULL
FROM jsonb_each(?1) o
WHERE tasks.id = unhex(o.value ->> 0) AND tasks.version = o.value ->> 1 AND tasks.status <> 'STARTED'
  AND (tasks.due_at <= ?2 OR tasks.dispatched_at >= tasks.due_at) AND (tasks.expires_at IS NULL OR tasks.expires_at > ?2) AND tasks.crashes < ?5
  AND tasks.queue NOT IN (SELECT name FROM queues WHERE paused_at IS NOT NULL)
RETURNING id, attempt, version, kind, queue, args, principal, submitted_at, retries_used, max_retries, crashes, hard_limit_ms, soft_limit_ms,
    CASE WHEN retry_of IS NOT NULL THEN (SELECT o.origin FROM retry_origins o WHERE o.task = tasks.id) END,
    CASE WHEN retry_of IS NOT NULL THEN (SELECT o.submitted_at FROM retry_origins o WHERE o.task = tasks.id) END";

/// Why waiting rows did not start: each with its place, whether it has expired, and when it is to be dispatched if it is not its time.
const WHY_NOT: &str = "-- why_not
SELECT o.key, t.expires_at <= ?2,
    CASE WHEN t.due_at > ?2 AND (t.dispatched_at IS NULL OR t.dispatched_at < t.due_at) THEN t.due_at
         WHEN t.queue IN (SELECT name FROM queues WHERE paused_at IS NOT NULL) THEN ?3 END
FROM jsonb_each(?1) o
CROSS JOIN tasks t ON t.id = unhex(o.value ->> 0) AND t.version = o.value ->> 1 AND t.status <> 'STARTED'";

const POSTPONE: &str = "-- postpone
UPDATE tasks SET dispatch_at = o.value ->> 1, dispatched_at = NULL FROM jsonb_each(?1) o WHERE tasks.id = unhex(o.value ->> 0)";

impl SqliteStore {
    pub(super) async fn start_tasks(&self, batch: &StartBatch<'_>) -> Result<Vec<StartAnswer>, StatementError> {
        if batch.refs.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = vec![StartAnswer::Gone; batch.refs.len()];
        // Of equal references the first one counts.
        let mut places: HashMap<TaskRef, usize> = HashMap::with_capacity(batch.refs.len());
        for (place, reference) in batch.refs.iter().enumerate() {
            places.entry(*reference).or_insert(place);
        }
        let mut write = self.shared().await?;
        let connection = write.connection()?;
        for (kind, candidates) in rate::limited_refs(connection, batch).await? {
            let Some((_, limit)) = batch.limits.iter().find(|(name, _)| *name == kind) else { continue };
            let (mut window, admitted, denied) = rate::admit(connection, batch, &kind, *limit, &candidates).await?;
            for place in denied {
                places.remove(&batch.refs[place]);
                answers[place] = StartAnswer::Postponed;
            }
            let of_kind = admitted.into_iter().filter_map(|place| places.remove_entry(&batch.refs[place])).collect();
            let starts = start_some(connection, batch, of_kind, &mut answers).await?;
            window.count(*limit, batch.now, starts);
            rate::write_window(connection, &kind, &window).await?;
        }
        start_some(connection, batch, places, &mut answers).await?;
        write.commit().await?;
        Ok(answers)
    }
}

/// Starts what can start of the references, whose places in the batch are given, and says what became of the others. Returns how many have
/// started.
async fn start_some(
    connection: &mut SqliteConnection,
    batch: &StartBatch<'_>,
    mut places: HashMap<TaskRef, usize>,
    answers: &mut [StartAnswer],
) -> Result<u32, StatementError> {
    if places.is_empty() {
        return Ok(0);
    }
    let mut refs: Vec<(TaskRef, usize)> = places.iter().map(|(reference, place)| (*reference, *place)).collect();
    refs.sort_unstable_by_key(|(_, place)| *place);
    let refs: Vec<TaskRef> = refs.into_iter().map(|(reference, _)| reference).collect();
    let mut starts = 0;
    for row in sqlx::query(START_TASKS)
        .bind(references(&refs)?)
        .bind(batch.now.as_microsecond())
        .bind(batch.worker.as_uuid())
        .bind(batch.worker_name)
        .bind(if batch.exclusive { i64::MAX } else { EXCLUSIVE_CRASHES })
        .fetch_all(&mut *connection)
        .await?
    {
        let started = started(&row, batch)?;
        let reference = TaskRef { id: started.id, version: Version(started.version.0 - 1) };
        if let Some(place) = places.remove(&reference) {
            answers[place] = StartAnswer::Started(Box::new(started));
            starts += 1;
        }
    }
    if !places.is_empty() {
        explain(connection, batch, places, answers).await?;
    }
    Ok(starts)
}

pub(super) fn references(refs: &[TaskRef]) -> Result<String, StatementError> {
    let mut rows = JsonRows::new();
    for reference in refs {
        rows.row().id(Some(reference.id.as_uuid())).value(&reference.version).end()?;
    }
    rows.text()
}

/// Where a chain of retries by hand started, of the next two columns.
fn origin(columns: &mut Columns<'_>) -> Result<Option<Origin>, StatementError> {
    let task: Option<Uuid> = columns.get()?;
    Ok(task.zip(columns.maybe_time()?).map(|(task, submitted_at)| Origin { task: task.into(), submitted_at }))
}

fn started(row: &SqliteRow, batch: &StartBatch<'_>) -> Result<StartedTask, StatementError> {
    let mut columns = Columns::of("tasks", row);
    Ok(StartedTask {
        id: columns.id()?,
        attempt: columns.attempt()?,
        version: columns.version()?,
        kind: columns.kind()?,
        queue: columns.queue()?,
        args: columns.get()?,
        principal: columns.get::<&str>()?.into(),
        submitted_at: columns.time()?,
        started_at: batch.now,
        retries_used: columns.number()?,
        max_retries: columns.number()?,
        crashes: columns.number()?,
        hard_limit: columns.limit()?,
        soft_limit: columns.maybe_limit()?,
        retry_origin: origin(&mut columns)?,
    })
}

/// Answers for what did not start: expired rows are ended, rows whose time it is not get a time to be dispatched.
async fn explain(
    transaction: &mut SqliteConnection,
    batch: &StartBatch<'_>,
    places: HashMap<TaskRef, usize>,
    answers: &mut [StartAnswer],
) -> Result<(), StatementError> {
    let mut missing: Vec<(TaskRef, usize)> = places.into_iter().collect();
    missing.sort_unstable_by_key(|(reference, _)| reference.id);
    let refs: Vec<TaskRef> = missing.iter().map(|(reference, _)| *reference).collect();
    let (mut expired, mut postponed) = (Vec::new(), JsonRows::new());
    for row in sqlx::query(WHY_NOT)
        .bind(references(&refs)?)
        .bind(batch.now.as_microsecond())
        .bind(batch.now.as_microsecond().saturating_add(PAUSE_MICROS))
        .fetch_all(&mut *transaction)
        .await?
    {
        let mut columns = Columns::of("tasks", &row);
        let (reference, place) = missing[columns.number::<usize>()?];
        let has_expired: Option<bool> = columns.get()?;
        let dispatch_at = columns.maybe_time()?;
        if has_expired == Some(true) {
            expired.push((reference.id, place));
        } else if dispatch_at.is_some() {
            postponed.row().id(Some(reference.id.as_uuid())).time(dispatch_at).end()?;
            answers[place] = StartAnswer::Postponed;
        } else {
            answers[place] = StartAnswer::NeedsExclusive;
        }
    }
    if !postponed.is_empty() {
        sqlx::query(POSTPONE).bind(postponed.text()?).execute(&mut *transaction).await?;
    }
    let orders: Vec<_> = expired.iter().map(|(id, _)| EndOrder::waiting(*id, batch.now, EndReason::Expired)).collect();
    for ((_, place), ended) in expired.into_iter().zip(end_tasks(transaction, &orders).await?) {
        if let Some(ended) = ended {
            answers[place] = StartAnswer::Ended(ended);
        }
    }
    Ok(())
}
