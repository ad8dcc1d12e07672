//! Schedules, their firings, and the maintenance switch.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};
use uuid::Uuid;

use super::insert::insert_rows;
use super::rows::{corrupt, json, maybe_time, sql_time, time, word};
use super::statement_error::StatementError;
use super::{PgStore, pooled};
use crate::domain::{FiringRow, Maintenance, ScheduleId, ScheduleRow, StoredSchedule, TaskId, UnreadableSchedule};
use crate::store::schedules::{firing_columns, schedule_columns, schedule_fields};
use crate::store::{ScheduleFilter, ScheduleKey, ScheduleStep, ScheduleWrite, Schedules, StoreError, StoreResult, SubmittedTask};

const CREATE_SCHEDULE: &str = concat!(
    "-- create_schedule
INSERT INTO schedules (",
    schedule_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING"
);

const WRITE_SCHEDULE: &str = concat!(
    "-- write_schedule
UPDATE schedules
SET version = version + 1, (",
    schedule_fields!(),
    ") = ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
WHERE id = $1 AND version = $2"
);

const FIND_SCHEDULE: &str = concat!(
    "-- find_schedule\nSELECT ",
    schedule_columns!(),
    " FROM schedules WHERE id = $1 OR name = $2 OR (pack = $3 AND declared_name = $4)"
);

const SCHEDULES: &str = concat!(
    "-- schedules\nSELECT ",
    schedule_columns!(),
    " FROM schedules
WHERE ($1::bool IS NULL OR enabled = $1) AND ($2::text IS NULL OR pack = $2)
    AND ($3::text IS NULL OR strpos(lower(name), $3) > 0) AND ($4::text IS NULL OR name COLLATE \"C\" > $4)
ORDER BY name COLLATE \"C\" LIMIT $5"
);

const DISABLE_SCHEDULE: &str = "-- disable_schedule
UPDATE schedules
SET enabled = false, disabled_reason = $2, updated_at = $3, next_nominal = NULL, next_due = NULL, queued_nominal = NULL, version = version + 1
WHERE id = $1";

const END_QUEUED: &str = "-- end_queued
UPDATE schedule_firings SET outcome = 'missed', reason = $2, at = $3 WHERE schedule = $1 AND outcome = 'queued'";

const DELETE_FIRINGS: &str = "-- delete_firings
DELETE FROM schedule_firings WHERE schedule = $1";

const DELETE_SCHEDULE: &str = "-- delete_schedule
DELETE FROM schedules WHERE id = $1";

const DUE_SCHEDULES: &str = concat!(
    "-- due_schedules\nSELECT ",
    schedule_columns!(),
    " FROM schedules
WHERE enabled AND next_due IS NOT NULL AND next_due <= $1
    AND ($2::timestamptz IS NULL OR (next_due >= $2 AND (next_due > $2 OR id > $3)))
ORDER BY next_due, id LIMIT $4"
);

const QUEUED_SCHEDULES: &str = concat!(
    "-- queued_schedules\nSELECT ",
    schedule_columns!(),
    " FROM schedules
WHERE queued_nominal IS NOT NULL AND NOT (enabled AND next_due IS NOT NULL AND next_due <= $1) AND ($2::uuid IS NULL OR id > $2)
ORDER BY id LIMIT $3"
);

const OLDEST_DUE: &str = "-- oldest_due
SELECT id, next_due FROM schedules WHERE enabled AND next_due IS NOT NULL AND next_due <= $1 ORDER BY next_due LIMIT $2";

const UNFINISHED_TASKS: &str = "-- unfinished_tasks
SELECT asked.schedule, count(t.id)
FROM UNNEST($1::uuid[]) AS asked (schedule)
CROSS JOIN LATERAL (
    SELECT f.task FROM schedule_firings f WHERE f.schedule = asked.schedule AND f.task IS NOT NULL ORDER BY f.nominal DESC LIMIT 10
) latest
JOIN tasks t ON t.id = latest.task
GROUP BY asked.schedule";

/// The rows are locked in the order of their ids, so that two schedulers never wait for each other.
const STEP_SCHEDULES: &str = "-- step_schedules
WITH asked AS (
    SELECT * FROM UNNEST($1::uuid[], $2::int4[], $3::bool[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[])
        AS asked (id, version, enabled, disabled_reason, considered_until, next_nominal, next_due, queued_nominal)
), locked AS MATERIALIZED (
    SELECT s.id FROM schedules s JOIN asked USING (id, version) ORDER BY s.id FOR UPDATE OF s SKIP LOCKED
)
UPDATE schedules s
SET enabled = a.enabled, disabled_reason = a.disabled_reason, considered_until = a.considered_until, next_nominal = a.next_nominal,
    next_due = a.next_due, queued_nominal = a.queued_nominal, version = s.version + 1
FROM asked a JOIN locked USING (id)
WHERE s.id = a.id AND s.version = a.version
RETURNING s.id";

const WRITE_FIRINGS: &str = concat!(
    "-- write_firings
INSERT INTO schedule_firings AS f (",
    firing_columns!(),
    ")
SELECT * FROM UNNEST($1::uuid[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[], $8::uuid[],
    $9::timestamptz[], $10::text[])
ON CONFLICT (schedule, nominal, made_by) DO UPDATE
SET at = excluded.at, outcome = excluded.outcome, reason = excluded.reason, task = excluded.task
WHERE f.outcome = 'queued'
RETURNING task"
);

/// The lock on the schedule makes a deletion wait, so that no firing is left of what is gone. It does not stop changes.
const MANUAL_FIRING: &str = concat!(
    "-- manual_firing
INSERT INTO schedule_firings (",
    firing_columns!(),
    ")
SELECT s.id, $2::timestamptz, $3::text, $4::timestamptz, $5::timestamptz, $6::text, $7::text, $8::uuid, $9::timestamptz, $10::text
FROM schedules s WHERE s.id = $1 FOR KEY SHARE
ON CONFLICT DO NOTHING"
);

const FIRINGS: &str = concat!(
    "-- firings\nSELECT ",
    firing_columns!(),
    " FROM schedule_firings
WHERE schedule = $1 AND ($2::timestamptz IS NULL OR nominal < $2) ORDER BY nominal DESC, made_by LIMIT $3"
);

const PRUNE_FIRINGS: &str = "-- prune_firings
DELETE FROM schedule_firings WHERE ctid = ANY (ARRAY(SELECT ctid FROM schedule_firings WHERE at < $1 ORDER BY at LIMIT $2))";

const FIND_MAINTENANCE: &str = "-- find_maintenance
SELECT since, reason, principal FROM maintenance";

const START_MAINTENANCE: &str = "-- start_maintenance
INSERT INTO maintenance (one, since, reason, principal) VALUES (1, $1, $2, $3) ON CONFLICT DO NOTHING";

const END_MAINTENANCE: &str = "-- end_maintenance
DELETE FROM maintenance";

fn schedule_row(row: &PgRow) -> Result<ScheduleRow, StatementError> {
    Ok(ScheduleRow {
        id: row.try_get::<Uuid, _>(0)?.into(),
        version: row.try_get(1)?,
        name: row.try_get(2)?,
        pack: row.try_get(3)?,
        declared_name: row.try_get(4)?,
        spec: serde_json::from_str(row.try_get(5)?).map_err(|error| corrupt("schedules", error))?,
        args: row.try_get(6)?,
        declared: row.try_get(7)?,
        enabled: row.try_get(8)?,
        disabled_reason: row.try_get(9)?,
        principal: row.try_get::<&str, _>(10)?.into(),
        created_at: time(row, 11)?,
        updated_at: time(row, 12)?,
        considered_until: time(row, 13)?,
        next_nominal: maybe_time(row, 14)?,
        next_due: maybe_time(row, 15)?,
        queued_nominal: maybe_time(row, 16)?,
    })
}

/// A row, or what can be said of one that cannot be read.
fn stored(row: &PgRow) -> Result<StoredSchedule, StatementError> {
    schedule_row(row).map(Ok).or_else(|error| {
        Ok(Err(Box::new(UnreadableSchedule {
            id: row.try_get::<Uuid, _>(0)?.into(),
            name: row.try_get(2)?,
            pack: row.try_get(3)?,
            declared_name: row.try_get(4)?,
            enabled: row.try_get(8)?,
            next_due: maybe_time(row, 15)?,
            reason: StoreError::from(error).to_string(),
        })))
    })
}

fn firing_row(row: &PgRow) -> Result<FiringRow, StatementError> {
    Ok(FiringRow {
        schedule: row.try_get::<Uuid, _>(0)?.into(),
        nominal: time(row, 1)?,
        trigger: word("schedule_firings", row.try_get(2)?)?,
        due: time(row, 3)?,
        at: time(row, 4)?,
        outcome: word("schedule_firings", row.try_get(5)?)?,
        reason: row.try_get(6)?,
        task: row.try_get::<Option<Uuid>, _>(7)?.map(TaskId::from),
        missed_since: maybe_time(row, 8)?,
        run_by: row.try_get::<Option<&str>, _>(9)?.map(Into::into),
    })
}

/// A firing, unless a newer version wrote a word that this one does not know: it is left out, so that the others are shown.
fn readable(row: &PgRow) -> Option<FiringRow> {
    let warn = |error: StoreError| tracing::warn!(%error, "a firing cannot be read");
    firing_row(row).map_err(|error| warn(error.into())).ok()
}

/// Binds all columns of a schedule; the version is `version`.
fn bound(sql: &'static str, row: &ScheduleRow, version: i32) -> Result<Query<'static, Postgres, PgArguments>, StatementError> {
    Ok(sqlx::query(sql)
        .bind(row.id.as_uuid())
        .bind(version)
        .bind(row.name.clone())
        .bind(row.pack.clone())
        .bind(row.declared_name.clone())
        .bind(json(&row.spec)?)
        .bind(row.args.clone())
        .bind(row.declared.clone())
        .bind(row.enabled)
        .bind(row.disabled_reason.clone())
        .bind(row.principal.to_string())
        .bind(sql_time(row.created_at))
        .bind(sql_time(row.updated_at))
        .bind(sql_time(row.considered_until))
        .bind(row.next_nominal.map(sql_time))
        .bind(row.next_due.map(sql_time))
        .bind(row.queued_nominal.map(sql_time)))
}

fn bound_step(steps: &[ScheduleStep]) -> Query<'static, Postgres, PgArguments> {
    let rows = || steps.iter().map(|step| &step.schedule);
    sqlx::query(STEP_SCHEDULES)
        .bind(rows().map(|row| row.id.as_uuid()).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.expected_version).collect::<Vec<_>>())
        .bind(rows().map(|row| row.enabled).collect::<Vec<_>>())
        .bind(rows().map(|row| row.disabled_reason.clone()).collect::<Vec<_>>())
        .bind(rows().map(|row| sql_time(row.considered_until)).collect::<Vec<_>>())
        .bind(rows().map(|row| row.next_nominal.map(sql_time)).collect::<Vec<_>>())
        .bind(rows().map(|row| row.next_due.map(sql_time)).collect::<Vec<_>>())
        .bind(rows().map(|row| row.queued_nominal.map(sql_time)).collect::<Vec<_>>())
}

fn bound_firings(firings: &[&FiringRow]) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(WRITE_FIRINGS)
        .bind(firings.iter().map(|firing| firing.schedule.as_uuid()).collect::<Vec<_>>())
        .bind(firings.iter().map(|firing| sql_time(firing.nominal)).collect::<Vec<_>>())
        .bind(firings.iter().map(|firing| firing.trigger.as_str()).collect::<Vec<_>>())
        .bind(firings.iter().map(|firing| sql_time(firing.due)).collect::<Vec<_>>())
        .bind(firings.iter().map(|firing| sql_time(firing.at)).collect::<Vec<_>>())
        .bind(firings.iter().map(|firing| firing.outcome.as_str()).collect::<Vec<_>>())
        .bind(firings.iter().map(|firing| firing.reason.clone()).collect::<Vec<_>>())
        .bind(firings.iter().map(|firing| firing.task.map(TaskId::as_uuid)).collect::<Vec<_>>())
        .bind(firings.iter().map(|firing| firing.missed_since.map(sql_time)).collect::<Vec<_>>())
        .bind(firings.iter().map(|firing| firing.run_by.as_deref().map(str::to_owned)).collect::<Vec<_>>())
}

fn bound_manual(firing: &FiringRow) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(MANUAL_FIRING)
        .bind(firing.schedule.as_uuid())
        .bind(sql_time(firing.nominal))
        .bind(firing.trigger.as_str())
        .bind(sql_time(firing.due))
        .bind(sql_time(firing.at))
        .bind(firing.outcome.as_str())
        .bind(firing.reason.clone())
        .bind(firing.task.map(TaskId::as_uuid))
        .bind(firing.missed_since.map(sql_time))
        .bind(firing.run_by.as_deref().map(str::to_owned))
}

#[async_trait]
impl Schedules for PgStore {
    async fn create_schedule(&self, schedule: &ScheduleRow) -> StoreResult<bool> {
        let create =
            async { Ok(bound(CREATE_SCHEDULE, schedule, schedule.version)?.execute(&self.pool).await?.rows_affected() > 0) };
        pooled(create).await
    }

    async fn write_schedule(
        &self,
        schedule: &ScheduleRow,
        expected_version: i32,
        firings: &[FiringRow],
    ) -> StoreResult<ScheduleWrite> {
        pooled(async {
            let mut transaction = self.pool.begin().await?;
            match bound(WRITE_SCHEDULE, schedule, expected_version)?.execute(&mut *transaction).await {
                Ok(done) if done.rows_affected() > 0 => {}
                Ok(_) => return Ok(ScheduleWrite::Stale),
                Err(error) if error.as_database_error().is_some_and(DatabaseError::is_unique_violation) => {
                    return Ok(ScheduleWrite::NameTaken);
                }
                Err(error) => return Err(error.into()),
            }
            if !firings.is_empty() {
                bound_firings(&firings.iter().collect::<Vec<_>>()).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(ScheduleWrite::Done)
        })
        .await
    }

    async fn find_schedule(&self, key: &ScheduleKey) -> StoreResult<Option<StoredSchedule>> {
        let (id, name, declared) = match key {
            ScheduleKey::Id(id) => (Some(id.as_uuid()), None, None),
            ScheduleKey::Name(name) => (None, Some(name.as_str()), None),
            ScheduleKey::Declared { pack, name } => (None, None, Some((pack.as_str(), name.as_str()))),
        };
        pooled(async {
            let find = sqlx::query(FIND_SCHEDULE).bind(id).bind(name);
            let find = find.bind(declared.map(|(pack, _)| pack)).bind(declared.map(|(_, name)| name));
            find.fetch_optional(&self.pool).await?.as_ref().map(stored).transpose()
        })
        .await
    }

    async fn schedules(&self, filter: &ScheduleFilter, limit: u32) -> StoreResult<Vec<StoredSchedule>> {
        pooled(async {
            let find = sqlx::query(SCHEDULES)
                .bind(filter.enabled)
                .bind(filter.pack.as_deref())
                .bind(filter.text.as_deref().map(str::to_lowercase))
                .bind(filter.after.as_deref())
                .bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(stored).collect()
        })
        .await
    }

    async fn disable_schedule(&self, id: ScheduleId, reason: &str, now: Timestamp) -> StoreResult<bool> {
        pooled(async {
            let mut transaction = self.pool.begin().await?;
            let bind = |sql: &'static str| sqlx::query(sql).bind(id.as_uuid()).bind(reason).bind(sql_time(now));
            let disabled = bind(DISABLE_SCHEDULE).execute(&mut *transaction).await?.rows_affected() > 0;
            bind(END_QUEUED).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(disabled)
        })
        .await
    }

    async fn delete_schedule(&self, id: ScheduleId) -> StoreResult<bool> {
        pooled(async {
            let mut transaction = self.pool.begin().await?;
            let deleted = sqlx::query(DELETE_SCHEDULE).bind(id.as_uuid()).execute(&mut *transaction).await?.rows_affected() > 0;
            sqlx::query(DELETE_FIRINGS).bind(id.as_uuid()).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(deleted)
        })
        .await
    }

    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, ScheduleId)>,
        limit: u32,
    ) -> StoreResult<Vec<StoredSchedule>> {
        pooled(async {
            let find = sqlx::query(DUE_SCHEDULES).bind(sql_time(now)).bind(after.map(|(due, _)| sql_time(due)));
            let find = find.bind(after.map(|(_, id)| id.as_uuid())).bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(stored).collect()
        })
        .await
    }

    async fn queued_schedules(&self, now: Timestamp, after: Option<ScheduleId>, limit: u32) -> StoreResult<Vec<StoredSchedule>> {
        pooled(async {
            let find = sqlx::query(QUEUED_SCHEDULES).bind(sql_time(now)).bind(after.map(ScheduleId::as_uuid));
            find.bind(i64::from(limit)).fetch_all(&self.pool).await?.iter().map(stored).collect()
        })
        .await
    }

    async fn unfinished_tasks(&self, schedules: &[ScheduleId]) -> StoreResult<Vec<usize>> {
        pooled(async {
            let asked: Vec<Uuid> = schedules.iter().map(|id| id.as_uuid()).collect();
            let rows = sqlx::query(UNFINISHED_TASKS).bind(asked).fetch_all(&self.pool).await?;
            let mut counts: HashMap<Uuid, usize> = HashMap::with_capacity(rows.len());
            for row in &rows {
                counts.insert(row.try_get(0)?, usize::try_from(row.try_get::<i64, _>(1)?).unwrap_or(0));
            }
            Ok(schedules.iter().map(|id| counts.get(&id.as_uuid()).copied().unwrap_or(0)).collect())
        })
        .await
    }

    async fn step_schedules(&self, steps: &[ScheduleStep]) -> StoreResult<Vec<Option<Vec<TaskId>>>> {
        pooled(async {
            let mut transaction = self.pool.begin().await?;
            let applied: Vec<Uuid> = bound_step(steps)
                .fetch_all(&mut *transaction)
                .await?
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<_, _>>()?;
            let applied: HashSet<Uuid> = applied.into_iter().collect();
            let done = || steps.iter().filter(|step| applied.contains(&step.schedule.id.as_uuid()));
            let firings: Vec<&FiringRow> = done().flat_map(|step| &step.firings).collect();
            let written = bound_firings(&firings).fetch_all(&mut *transaction).await?;
            let made: HashSet<Option<Uuid>> = written.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            let is_made = |id: TaskId| made.contains(&Some(id.as_uuid()));
            let tasks: Vec<_> = done()
                .flat_map(|step| &step.tasks)
                .filter(|task| is_made(task.task.id))
                .map(|task| (&task.task, task.dispatched))
                .collect();
            if !tasks.is_empty() {
                insert_rows(&mut transaction, tasks.iter().copied()).await?;
            }
            transaction.commit().await?;
            Ok(steps
                .iter()
                .map(|step| {
                    let tasks = || step.tasks.iter().map(|task| task.task.id).filter(|id| is_made(*id)).collect();
                    applied.contains(&step.schedule.id.as_uuid()).then(tasks)
                })
                .collect())
        })
        .await
    }

    async fn insert_manual_firing(&self, firing: &FiringRow, task: &SubmittedTask) -> StoreResult<bool> {
        pooled(async {
            let mut transaction = self.pool.begin().await?;
            if bound_manual(firing).execute(&mut *transaction).await?.rows_affected() == 0 {
                return Ok(false);
            }
            insert_rows(&mut transaction, std::iter::once((&task.task, task.dispatched))).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn firings(&self, schedule: ScheduleId, before: Option<Timestamp>, limit: u32) -> StoreResult<Vec<FiringRow>> {
        pooled(async {
            let find = sqlx::query(FIRINGS).bind(schedule.as_uuid()).bind(before.map(sql_time)).bind(i64::from(limit));
            Ok(find.fetch_all(&self.pool).await?.iter().filter_map(readable).collect())
        })
        .await
    }

    async fn prune_firings(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        pooled(async {
            let prune = sqlx::query(PRUNE_FIRINGS).bind(sql_time(before)).bind(i64::from(limit));
            Ok(prune.execute(&self.pool).await?.rows_affected())
        })
        .await
    }

    async fn oldest_due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<(ScheduleId, Timestamp)>> {
        pooled(async {
            let rows = sqlx::query(OLDEST_DUE).bind(sql_time(now)).bind(i64::from(limit)).fetch_all(&self.pool).await?;
            rows.iter().map(|row| Ok((row.try_get::<Uuid, _>(0)?.into(), time(row, 1)?))).collect()
        })
        .await
    }

    async fn maintenance(&self) -> StoreResult<Option<Maintenance>> {
        pooled(async {
            let found = sqlx::query(FIND_MAINTENANCE).fetch_optional(&self.pool).await?;
            let read = |row: &PgRow| -> Result<Maintenance, StatementError> {
                Ok(Maintenance { since: time(row, 0)?, reason: row.try_get(1)?, principal: row.try_get(2)? })
            };
            found.as_ref().map(read).transpose()
        })
        .await
    }

    async fn set_maintenance(&self, maintenance: Option<&Maintenance>) -> StoreResult<()> {
        pooled(async {
            let write = match maintenance {
                Some(on) => {
                    sqlx::query(START_MAINTENANCE).bind(sql_time(on.since)).bind(on.reason.clone()).bind(on.principal.clone())
                }
                None => sqlx::query(END_MAINTENANCE),
            };
            Ok(write.execute(&self.pool).await.map(drop)?)
        })
        .await
    }
}
