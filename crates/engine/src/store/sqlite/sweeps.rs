//! What the sweep of due tasks and the rescue ask.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::SqliteStore;
use super::control::end_waiting;
use super::json::{self, JsonRows};
use super::rows::{Columns, dispatch, dispatch_columns};
use super::statement_error::StatementError;
use crate::domain::{Dispatch, EndReason, PriorityBand, QueueName, RunFacts, TaskRef, WorkerId};
use crate::store::{Ended, Prune, StartedRow, StoreResult, Sweeps};

const FIND_DUE: &str =
    concat!("-- find_due\nSELECT ", dispatch_columns!(), " FROM tasks WHERE dispatch_at <= ?1 ORDER BY dispatch_at LIMIT ?2");

const WRITE_DISPATCHED: &str = "-- write_dispatched
UPDATE tasks SET dispatched_at = ?2, dispatch_at = NULL WHERE id IN (SELECT unhex(value) FROM jsonb_each(?1))";

const NEXT_DISPATCH_AT: &str = "-- next_dispatch_at
SELECT min(dispatch_at) FROM tasks WHERE dispatch_at IS NOT NULL";

const FIND_LOST: &str = concat!(
    "-- find_lost\nSELECT ",
    dispatch_columns!(),
    " FROM tasks WHERE queue = ?1 AND priority BETWEEN ?2 AND ?3 AND dispatched_at < ?4 AND due_at <= ?5 ORDER BY dispatched_at LIMIT ?6"
);

const MARK_UNDISPATCHED: &str = "-- mark_undispatched
UPDATE tasks SET dispatch_at = ?2, dispatched_at = NULL FROM jsonb_each(?1) o
WHERE tasks.id = unhex(o.value ->> 0) AND tasks.version = o.value ->> 1 AND tasks.status <> 'STARTED'";

/// What is due is dispatched already, or is to be dispatched by now; both are found in an index.
const POLL: &str = concat!(
    "-- poll\nSELECT ",
    dispatch_columns!(),
    " FROM tasks WHERE id IN ( \
         SELECT id FROM ( \
             SELECT id, queue, priority, due_at FROM tasks WHERE dispatched_at IS NOT NULL AND due_at <= ?2 \
             UNION ALL \
             SELECT id, queue, priority, due_at FROM tasks WHERE dispatch_at <= ?2 AND due_at <= ?2 \
         ) \
         WHERE queue IN (SELECT value FROM jsonb_each(?1)) AND queue NOT IN (SELECT name FROM queues WHERE paused_at IS NOT NULL) \
         ORDER BY priority DESC, due_at, id LIMIT ?3 \
     ) ORDER BY priority DESC, due_at, id"
);

/// The columns of [`started_row`].
macro_rules! started_columns {
    () => {
        "id, attempt, version, kind, worker, worker_name, started_at, retries_used, max_retries, crashes, revoke_requested_at, \
         coalesce(min(progress ->> '$.done', 9223372036854775807) > coalesce(progress_peak, -1), 0), hard_limit_ms, terminate"
    };
}

const STARTED_BY: &str =
    concat!("-- started_by\nSELECT ", started_columns!(), " FROM tasks WHERE worker = ?1 AND status = 'STARTED' ORDER BY id");

const DECLARE_DEAD: &str = "-- declare_dead
UPDATE workers SET dead = 1 WHERE heartbeat_at < ?1 AND NOT dead";

const STARTED_BY_THE_DEAD: &str = concat!(
    "-- started_by_the_dead\nSELECT ",
    started_columns!(),
    " FROM tasks WHERE worker IS NOT NULL AND worker NOT IN (SELECT id FROM workers WHERE NOT dead) LIMIT ?1"
);

const OVERRUN: &str = concat!(
    "-- overrun\nSELECT ",
    started_columns!(),
    " FROM tasks WHERE worker IS NOT NULL AND started_at + hard_limit_ms * 1000 + ?1 < ?2 LIMIT ?3"
);

const EXPIRED: &str = "-- expired
SELECT id FROM tasks WHERE expires_at <= ?1 AND status <> 'STARTED' ORDER BY expires_at LIMIT ?2";

#[async_trait]
impl Sweeps for SqliteStore {
    async fn take_due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Dispatch>> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let query = sqlx::query(FIND_DUE).bind(now.as_microsecond()).bind(limit);
        let rows = query.fetch_all(&mut *transaction).await.map_err(StatementError::from)?;
        let due = dispatches(&rows, now)?;
        write_dispatched(&mut transaction, &due, now).await?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(due)
    }

    async fn next_dispatch_at(&self) -> StoreResult<Option<Timestamp>> {
        let row = sqlx::query(NEXT_DISPATCH_AT).fetch_one(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(Columns::of("tasks", &row).maybe_time()?)
    }

    async fn take_lost(
        &self,
        queue: &QueueName,
        band: PriorityBand,
        dispatched_before: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Dispatch>> {
        let priorities = band.priorities();
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let query = sqlx::query(FIND_LOST)
            .bind(queue.as_str())
            .bind(*priorities.start())
            .bind(*priorities.end())
            .bind(dispatched_before.as_microsecond())
            .bind(now.as_microsecond())
            .bind(limit);
        let rows = query.fetch_all(&mut *transaction).await.map_err(StatementError::from)?;
        let lost = dispatches(&rows, now)?;
        write_dispatched(&mut transaction, &lost, now).await?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(lost)
    }

    async fn mark_undispatched(&self, refs: &[TaskRef], now: Timestamp) -> StoreResult<()> {
        let mut rows = JsonRows::new();
        for reference in refs {
            rows.row().id(Some(reference.id.as_uuid())).value(&reference.version).end()?;
        }
        let mut writer = self.writer().await;
        let query = sqlx::query(MARK_UNDISPATCHED).bind(rows.text()?).bind(now.as_microsecond());
        query.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(())
    }

    async fn poll(&self, queues: &[QueueName], now: Timestamp, limit: u32) -> StoreResult<Vec<Dispatch>> {
        let query = sqlx::query(POLL).bind(json::json(&queues)?).bind(now.as_microsecond()).bind(limit);
        let rows = query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(dispatches(&rows, now)?)
    }

    async fn started_by(&self, worker: WorkerId) -> StoreResult<Vec<StartedRow>> {
        let query = sqlx::query(STARTED_BY).bind(worker.as_uuid());
        let rows = query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(started_rows(&rows)?)
    }

    async fn started_by_the_dead(
        &self,
        heartbeat_before: Timestamp,
        _now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<StartedRow>> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let declare = sqlx::query(DECLARE_DEAD).bind(heartbeat_before.as_microsecond());
        declare.execute(&mut *transaction).await.map_err(StatementError::from)?;
        let query = sqlx::query(STARTED_BY_THE_DEAD).bind(limit);
        let rows = query.fetch_all(&mut *transaction).await.map_err(StatementError::from)?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(started_rows(&rows)?)
    }

    async fn overrun(&self, grace: Duration, now: Timestamp, limit: u32) -> StoreResult<Vec<StartedRow>> {
        let grace = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
        let query = sqlx::query(OVERRUN).bind(grace).bind(now.as_microsecond()).bind(limit);
        let rows = query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(started_rows(&rows)?)
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Ended>> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let query = sqlx::query_scalar(EXPIRED).bind(now.as_microsecond()).bind(limit);
        let ids: Vec<Uuid> = query.fetch_all(&mut *transaction).await.map_err(StatementError::from)?;
        let ended = end_waiting(&mut transaction, ids, now, EndReason::Expired).await?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(ended)
    }

    async fn make_partitions(&self, _now: Timestamp) -> StoreResult<()> {
        Ok(())
    }

    async fn prune(&self, prune: &Prune) -> StoreResult<bool> {
        Ok(self.prune_rows(prune).await?)
    }
}

/// Writes down that these are dispatched now.
async fn write_dispatched(
    transaction: &mut SqliteConnection,
    dispatches: &[Dispatch],
    now: Timestamp,
) -> Result<(), StatementError> {
    if !dispatches.is_empty() {
        let ids = json::ids(dispatches.iter().map(|dispatch| dispatch.task.id))?;
        sqlx::query(WRITE_DISPATCHED).bind(ids).bind(now.as_microsecond()).execute(transaction).await?;
    }
    Ok(())
}

fn dispatches(rows: &[SqliteRow], now: Timestamp) -> Result<Vec<Dispatch>, StatementError> {
    rows.iter().map(|row| dispatch(row, now)).collect()
}

fn started_rows(rows: &[SqliteRow]) -> Result<Vec<StartedRow>, StatementError> {
    rows.iter().map(started_row).collect()
}

fn started_row(row: &SqliteRow) -> Result<StartedRow, StatementError> {
    let mut columns = Columns::of("tasks", row);
    let (id, attempt, version, kind) = (columns.id()?, columns.attempt()?, columns.version()?, columns.kind()?);
    let worker = columns.get::<Uuid>()?.into();
    let (worker_name, started_at) = (columns.get()?, columns.time()?);
    let (retries_used, max_retries, crashes) = (columns.number()?, columns.number()?, columns.number()?);
    let revoke_requested_at = columns.maybe_time()?;
    Ok(StartedRow {
        id,
        attempt,
        version,
        kind,
        worker,
        worker_name,
        started_at,
        facts: RunFacts { retries_used, max_retries, crashes, revoke_requested: revoke_requested_at.is_some() },
        progressed: columns.get()?,
        hard_limit: columns.limit()?,
        terminate: columns.get()?,
        revoke_requested_at,
    })
}
