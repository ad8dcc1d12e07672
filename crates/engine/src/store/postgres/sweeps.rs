//! What the sweeps ask.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::control::waiting_orders;
use super::partitions::first_kept;
use super::rows::{count, dispatch, done_of, limit as limit_of, maybe_time, millis, sql_time, time};
use super::statement_error::StatementError;
use super::{PgStore, pooled};
use crate::domain::{Attempt, Dispatch, EndReason, KindName, PriorityBand, QueueName, RunFacts, TaskRef, Version, WorkerId};
use crate::store::{Ended, Prune, StartedRow, StoreResult, Sweeps};

const TAKE_DUE: &str = "-- take_due
WITH due AS MATERIALIZED (
    SELECT id, version, queue, priority, dispatch_at FROM tasks WHERE dispatch_at <= $1 ORDER BY dispatch_at LIMIT $2 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE tasks SET dispatched_at = $1, dispatch_at = NULL WHERE id = ANY (ARRAY(SELECT id FROM due))
)
SELECT id, version, queue, priority FROM due ORDER BY dispatch_at, id";

const NEXT_DISPATCH_AT: &str = "-- next_dispatch_at
SELECT min(dispatch_at) FROM tasks WHERE dispatch_at IS NOT NULL";

/// Priority by priority, because the index has the dispatch's time after the priority.
const TAKE_LOST: &str = "-- take_lost
WITH candidates AS MATERIALIZED (
    SELECT c.id, c.dispatched_at
    FROM generate_series($2::int4, $3::int4) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT id, dispatched_at FROM tasks
        WHERE queue = $1 AND priority = p.priority::int2 AND dispatched_at < $4 AND due_at <= $5 AND dispatch_at IS NULL
        ORDER BY dispatched_at LIMIT $6
    ) c
    ORDER BY c.dispatched_at LIMIT $6
), lost AS MATERIALIZED (
    SELECT id, version, queue, priority, dispatched_at FROM tasks
    WHERE id = ANY (ARRAY(SELECT id FROM candidates)) AND dispatched_at < $4 AND dispatch_at IS NULL
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE tasks SET dispatched_at = $5 WHERE id = ANY (ARRAY(SELECT id FROM lost))
)
SELECT id, version, queue, priority FROM lost ORDER BY dispatched_at, id";

/// What was dispatched stays as dispatched, so that [`POLL`] finds it by its priority.
const MARK_UNDISPATCHED: &str = "-- mark_undispatched
WITH held AS MATERIALIZED (
    SELECT t.id FROM tasks t JOIN UNNEST($1::uuid[], $2::int4[]) AS r (id, version) USING (id, version)
    WHERE t.id = ANY ($1) AND t.status <> 'STARTED'
    ORDER BY t.id FOR UPDATE OF t
)
UPDATE tasks SET dispatch_at = $3 WHERE id = ANY (ARRAY(SELECT id FROM held))";

/// The most urgent of what was dispatched, and the earliest of what the sweep of due tasks has not dispatched yet; the latter is a short list as a rule.
const POLL: &str = "-- poll
WITH open AS (
    SELECT name FROM UNNEST($1::text[]) AS asked (name)
    WHERE NOT EXISTS (SELECT FROM queues q WHERE q.name = asked.name AND q.paused_at IS NOT NULL)
), found AS (
    SELECT c.* FROM open CROSS JOIN generate_series(0, 9) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT id, version, queue, priority, due_at FROM tasks
        WHERE queue = open.name AND priority = p.priority::int2 AND dispatched_at IS NOT NULL AND due_at <= $2
        ORDER BY dispatched_at LIMIT $3
    ) c
    UNION ALL
    (SELECT id, version, queue, priority, due_at FROM tasks
     WHERE dispatch_at <= $2 AND dispatched_at IS NULL AND due_at <= $2 AND queue IN (SELECT name FROM open)
     ORDER BY dispatch_at LIMIT $3 * 10)
)
SELECT id, version, queue, priority FROM found ORDER BY priority DESC, due_at, id LIMIT $3";

macro_rules! started_columns {
    () => {
        concat!(
            "SELECT t.id, t.attempt, t.version, t.kind, t.worker, t.worker_name, t.started_at, t.retries_used, t.max_retries, t.crashes, \
             COALESCE((",
            done_of!("t.progress"),
            ") > COALESCE(t.progress_peak, -1), false) AS progressed, t.hard_limit_ms, t.terminate, t.revoke_requested_at FROM tasks t "
        )
    };
}

const STARTED_BY: &str = concat!("-- started_by\n", started_columns!(), "WHERE t.worker = $1 ORDER BY t.id");

const BURY: &str = "-- bury
UPDATE workers SET dead = true WHERE heartbeat_at < $1 AND NOT dead";

const STARTED_BY_THE_DEAD: &str = concat!(
    "-- started_by_the_dead\n",
    started_columns!(),
    "WHERE t.worker IS NOT NULL AND NOT EXISTS (SELECT FROM workers w WHERE w.id = t.worker AND NOT w.dead) LIMIT $1"
);

const OVERRUN: &str = concat!(
    "-- overrun\n",
    started_columns!(),
    "WHERE t.worker IS NOT NULL AND t.started_at < $1 \
       AND t.started_at + (t.hard_limit_ms + $2) * interval '1 millisecond' < $1 LIMIT $3"
);

const FIND_EXPIRED: &str = "-- find_expired
SELECT id, version FROM tasks WHERE expires_at <= $1 AND status <> 'STARTED' ORDER BY expires_at LIMIT $2";

/// What goes row by row: keys, workers, tokens, and what was kept beside tasks that are forgotten. What a task submitted is found again by
/// its next attempt, and by those of its retries by hand. Results are looked up one by one (see `start.rs` for how): there are many more of
/// them than of what is asked for.
const PRUNES: [&str; 9] = [
    "-- prune_origins
DELETE FROM retry_origins WHERE task IN
    (SELECT o.task FROM retry_origins o
     WHERE o.created_at < $1 AND NOT EXISTS (SELECT FROM tasks t WHERE t.id = o.task)
       AND NOT EXISTS (SELECT FROM task_results t WHERE t.id = ANY (ARRAY[o.task]))
     ORDER BY o.created_at LIMIT $2)",
    "-- prune_keys
DELETE FROM idempotency_keys WHERE (principal, scope, key) IN
    (SELECT principal, scope, key FROM idempotency_keys
     WHERE created_at < $1 AND scope <> 'effect'
     ORDER BY created_at LIMIT $2)",
    "-- prune_effects
DELETE FROM idempotency_keys WHERE (principal, scope, key) IN
    (SELECT principal, scope, key FROM idempotency_keys k
     WHERE created_at < $1
       AND CASE WHEN scope = 'effect'
           THEN NOT EXISTS (SELECT FROM tasks t WHERE t.id = left(k.key, 36)::uuid)
                AND NOT EXISTS (SELECT FROM task_results t WHERE t.id = ANY (ARRAY[left(k.key, 36)::uuid]))
                AND NOT EXISTS (SELECT FROM retry_origins o WHERE o.origin = left(k.key, 36)::uuid)
           ELSE false END
     ORDER BY created_at LIMIT $2)",
    "-- prune_workers
DELETE FROM workers WHERE id IN (SELECT id FROM workers WHERE dead AND heartbeat_at < $1 LIMIT $2)",
    "-- prune_tokens
DELETE FROM revoked_tokens WHERE jti IN (SELECT jti FROM revoked_tokens WHERE expires_at <= $1 LIMIT $2)",
    "-- prune_mail
DELETE FROM mail_ledger WHERE (task, part) IN
    (SELECT task, part FROM mail_ledger m
     WHERE updated_at < $1 AND NOT EXISTS (SELECT FROM tasks t WHERE t.id = m.task)
       AND NOT EXISTS (SELECT FROM task_results t WHERE t.id = ANY (ARRAY[m.task]))
     ORDER BY updated_at LIMIT $2)",
    super::recipients::PRUNE_RECIPIENTS,
    super::recipients::PRUNE_LISTS,
    super::effects::PRUNE_EFFECT_RECORDS,
];

fn dispatches(rows: &[PgRow], dispatched_at: Timestamp) -> Result<Vec<Dispatch>, StatementError> {
    rows.iter().map(|row| dispatch(row, dispatched_at)).collect()
}

fn started_row(row: &PgRow) -> Result<StartedRow, StatementError> {
    let revoke_requested_at = maybe_time(row, "revoke_requested_at")?;
    Ok(StartedRow {
        id: row.try_get::<Uuid, _>("id")?.into(),
        attempt: Attempt(row.try_get("attempt")?),
        version: Version(row.try_get("version")?),
        kind: KindName::from_store(row.try_get("kind")?),
        worker: row.try_get::<Uuid, _>("worker")?.into(),
        worker_name: row.try_get("worker_name")?,
        started_at: time(row, "started_at")?,
        facts: RunFacts {
            retries_used: count(row.try_get("retries_used")?),
            max_retries: count(row.try_get("max_retries")?),
            crashes: count(row.try_get("crashes")?),
            revoke_requested: revoke_requested_at.is_some(),
        },
        progressed: row.try_get("progressed")?,
        hard_limit: limit_of(row.try_get("hard_limit_ms")?),
        terminate: row.try_get("terminate")?,
        revoke_requested_at,
    })
}

fn started_rows(rows: &[PgRow]) -> Result<Vec<StartedRow>, StatementError> {
    rows.iter().map(started_row).collect()
}

impl PgStore {
    async fn prune_rows(&self, prune: &Prune) -> Result<bool, StatementError> {
        // Results go by the day: of what was beside those that are still there, nothing may go.
        let old = first_kept(prune.results_before);
        let effects = old.min(prune.keys_before);
        let befores = [old, prune.keys_before, effects, prune.workers_before, prune.now, old, old, old, old];
        let (mut has_more, mut failure) = (false, None);
        for (sql, before) in PRUNES.into_iter().zip(befores) {
            let delete = sqlx::query(sql).bind(sql_time(before)).bind(i64::from(prune.limit));
            match delete.execute(&self.pool).await {
                Ok(done) => has_more |= done.rows_affected() >= u64::from(prune.limit),
                // One that takes too long keeps none of the others.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(has_more),
        }
    }
}

#[async_trait]
impl Sweeps for PgStore {
    async fn take_due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Dispatch>> {
        pooled(async {
            let take = sqlx::query(TAKE_DUE).bind(sql_time(now)).bind(i64::from(limit));
            dispatches(&take.fetch_all(&self.pool).await?, now)
        })
        .await
    }

    async fn next_dispatch_at(&self) -> StoreResult<Option<Timestamp>> {
        pooled(async { maybe_time(&sqlx::query(NEXT_DISPATCH_AT).fetch_one(&self.pool).await?, 0) }).await
    }

    async fn take_lost(
        &self,
        queue: &QueueName,
        band: PriorityBand,
        dispatched_before: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Dispatch>> {
        let (least, most) = band.priorities().into_inner();
        pooled(async {
            let take = sqlx::query(TAKE_LOST)
                .bind(queue.as_str())
                .bind(i32::from(least))
                .bind(i32::from(most))
                .bind(sql_time(dispatched_before))
                .bind(sql_time(now))
                .bind(i64::from(limit));
            dispatches(&take.fetch_all(&self.pool).await?, now)
        })
        .await
    }

    async fn mark_undispatched(&self, refs: &[TaskRef], now: Timestamp) -> StoreResult<()> {
        let ids: Vec<Uuid> = refs.iter().map(|task| task.id.as_uuid()).collect();
        let versions: Vec<i32> = refs.iter().map(|task| task.version.0).collect();
        pooled(async {
            sqlx::query(MARK_UNDISPATCHED).bind(ids).bind(versions).bind(sql_time(now)).execute(&self.pool).await?;
            Ok(())
        })
        .await
    }

    async fn poll(&self, queues: &[QueueName], now: Timestamp, limit: u32) -> StoreResult<Vec<Dispatch>> {
        let names: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
        pooled(async {
            let poll = sqlx::query(POLL).bind(names).bind(sql_time(now)).bind(i64::from(limit));
            dispatches(&poll.fetch_all(&self.pool).await?, now)
        })
        .await
    }

    async fn started_by(&self, worker: WorkerId) -> StoreResult<Vec<StartedRow>> {
        pooled(async { started_rows(&sqlx::query(STARTED_BY).bind(worker.as_uuid()).fetch_all(&self.pool).await?) }).await
    }

    async fn started_by_the_dead(
        &self,
        heartbeat_before: Timestamp,
        _now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<StartedRow>> {
        pooled(async {
            sqlx::query(BURY).bind(sql_time(heartbeat_before)).execute(&self.pool).await?;
            started_rows(&sqlx::query(STARTED_BY_THE_DEAD).bind(i64::from(limit)).fetch_all(&self.pool).await?)
        })
        .await
    }

    async fn overrun(&self, grace: Duration, now: Timestamp, limit: u32) -> StoreResult<Vec<StartedRow>> {
        pooled(async {
            let find = sqlx::query(OVERRUN).bind(sql_time(now)).bind(millis(grace)).bind(i64::from(limit));
            started_rows(&find.fetch_all(&self.pool).await?)
        })
        .await
    }

    async fn expire(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<Ended>> {
        pooled(async {
            let rows = sqlx::query(FIND_EXPIRED).bind(sql_time(now)).bind(i64::from(limit)).fetch_all(&self.pool).await?;
            self.end_waiting(waiting_orders(&rows, now, EndReason::Expired)?).await
        })
        .await
    }

    async fn make_partitions(&self, now: Timestamp) -> StoreResult<()> {
        self.make_partitions_ahead(now).await
    }

    async fn prune(&self, prune: &Prune) -> StoreResult<bool> {
        pooled(async {
            self.drop_partitions(prune.results_before).await?;
            self.prune_rows(prune).await
        })
        .await
    }
}
