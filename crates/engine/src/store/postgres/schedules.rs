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
use crate::domain::{FiringRow, Maintenance, ScheduleId, ScheduleRow, TaskId};
use crate::store::{ScheduleFilter, ScheduleKey, ScheduleStep, ScheduleWrite, Schedules, StoreResult};

macro_rules! columns {
    () => {
        "id, name, pack, spec, args, declared, enabled, disabled_reason, principal, version, created_at, updated_at, considered_until,
    next_nominal, next_due, queued_nominal"
    };
}

const CREATE_SCHEDULE: &str = concat!(
    "-- create_schedule
INSERT INTO schedules (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING"
);

const WRITE_SCHEDULE: &str = "-- write_schedule
UPDATE schedules
SET name = $2, pack = $3, spec = $4, args = $5, declared = $6, enabled = $7, disabled_reason = $8, principal = $9, version = version + 1,
    created_at = $11, updated_at = $12, considered_until = $13, next_nominal = $14, next_due = $15, queued_nominal = $16
WHERE id = $1 AND version = $10";

const FIND_SCHEDULE: &str = concat!("-- find_schedule\nSELECT ", columns!(), " FROM schedules WHERE id = $1 OR name = $2");

const SCHEDULES: &str = concat!(
    "-- schedules\nSELECT ",
    columns!(),
    " FROM schedules
WHERE ($1::bool IS NULL OR enabled = $1) AND ($2::text IS NULL OR pack = $2)
    AND ($3::text IS NULL OR strpos(lower(name), $3) > 0) AND ($4::text IS NULL OR name COLLATE \"C\" > $4)
ORDER BY name COLLATE \"C\" LIMIT $5"
);

const DELETE_FIRINGS: &str = "-- delete_firings
DELETE FROM schedule_firings WHERE schedule = $1";

const DELETE_SCHEDULE: &str = "-- delete_schedule
DELETE FROM schedules WHERE id = $1";

const DUE_SCHEDULES: &str = concat!(
    "-- due_schedules
(SELECT ",
    columns!(),
    " FROM schedules WHERE enabled AND next_due IS NOT NULL AND next_due <= $1 ORDER BY next_due LIMIT $2)
UNION
(SELECT ",
    columns!(),
    " FROM schedules WHERE queued_nominal IS NOT NULL ORDER BY id LIMIT $2)"
);

const OLDEST_DUE: &str = "-- oldest_due
SELECT min(next_due) FROM schedules WHERE enabled AND next_due IS NOT NULL AND next_due <= $1";

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

const WRITE_FIRINGS: &str = "-- write_firings
INSERT INTO schedule_firings AS f (schedule, nominal, made_by, due, at, outcome, reason, task, missed_since)
SELECT * FROM UNNEST($1::uuid[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[], $8::uuid[], $9::timestamptz[])
ON CONFLICT (schedule, nominal, made_by) DO UPDATE
SET at = excluded.at, outcome = excluded.outcome, reason = excluded.reason, task = excluded.task
WHERE f.outcome = 'queued'
RETURNING task";

const FIRINGS: &str = "-- firings
SELECT schedule, nominal, made_by, due, at, outcome, reason, task, missed_since FROM schedule_firings
WHERE schedule = $1 AND ($2::timestamptz IS NULL OR nominal < $2) ORDER BY nominal DESC, made_by LIMIT $3";

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
        name: row.try_get(1)?,
        pack: row.try_get(2)?,
        spec: serde_json::from_str(row.try_get(3)?).map_err(|error| corrupt("schedules", error))?,
        args: row.try_get(4)?,
        declared: row.try_get(5)?,
        enabled: row.try_get(6)?,
        disabled_reason: row.try_get(7)?,
        principal: row.try_get::<&str, _>(8)?.into(),
        version: row.try_get(9)?,
        created_at: time(row, 10)?,
        updated_at: time(row, 11)?,
        considered_until: time(row, 12)?,
        next_nominal: maybe_time(row, 13)?,
        next_due: maybe_time(row, 14)?,
        queued_nominal: maybe_time(row, 15)?,
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
    })
}

/// Binds all columns of a schedule; the version is `version`.
fn bound(sql: &'static str, row: &ScheduleRow, version: i32) -> Result<Query<'static, Postgres, PgArguments>, StatementError> {
    Ok(sqlx::query(sql)
        .bind(row.id.as_uuid())
        .bind(row.name.clone())
        .bind(row.pack.clone())
        .bind(json(&row.spec)?)
        .bind(row.args.clone())
        .bind(row.declared.clone())
        .bind(row.enabled)
        .bind(row.disabled_reason.clone())
        .bind(row.principal.to_string())
        .bind(version)
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
}

#[async_trait]
impl Schedules for PgStore {
    async fn create_schedule(&self, schedule: &ScheduleRow) -> StoreResult<bool> {
        let create =
            async { Ok(bound(CREATE_SCHEDULE, schedule, schedule.version)?.execute(&self.pool).await?.rows_affected() > 0) };
        pooled(create).await
    }

    async fn write_schedule(&self, schedule: &ScheduleRow, expected_version: i32) -> StoreResult<ScheduleWrite> {
        pooled(async {
            match bound(WRITE_SCHEDULE, schedule, expected_version)?.execute(&self.pool).await {
                Ok(done) if done.rows_affected() > 0 => Ok(ScheduleWrite::Done),
                Ok(_) => Ok(ScheduleWrite::Stale),
                Err(error) if error.as_database_error().is_some_and(DatabaseError::is_unique_violation) => {
                    Ok(ScheduleWrite::NameTaken)
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    async fn find_schedule(&self, key: &ScheduleKey) -> StoreResult<Option<ScheduleRow>> {
        let (id, name) = match key {
            ScheduleKey::Id(id) => (Some(id.as_uuid()), None),
            ScheduleKey::Name(name) => (None, Some(name.as_str())),
        };
        pooled(async {
            let found = sqlx::query(FIND_SCHEDULE).bind(id).bind(name).fetch_optional(&self.pool).await?;
            found.as_ref().map(schedule_row).transpose()
        })
        .await
    }

    async fn schedules(&self, filter: &ScheduleFilter, limit: u32) -> StoreResult<Vec<ScheduleRow>> {
        pooled(async {
            let find = sqlx::query(SCHEDULES)
                .bind(filter.enabled)
                .bind(filter.pack.as_deref())
                .bind(filter.text.as_deref().map(str::to_lowercase))
                .bind(filter.after.as_deref())
                .bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(schedule_row).collect()
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

    async fn due_schedules(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<ScheduleRow>> {
        pooled(async {
            let find = sqlx::query(DUE_SCHEDULES).bind(sql_time(now)).bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(schedule_row).collect()
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

    async fn firings(&self, schedule: ScheduleId, before: Option<Timestamp>, limit: u32) -> StoreResult<Vec<FiringRow>> {
        pooled(async {
            let find = sqlx::query(FIRINGS).bind(schedule.as_uuid()).bind(before.map(sql_time)).bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(firing_row).collect()
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

    async fn oldest_due(&self, now: Timestamp) -> StoreResult<Option<Timestamp>> {
        pooled(async { maybe_time(&sqlx::query(OLDEST_DUE).bind(sql_time(now)).fetch_one(&self.pool).await?, 0) }).await
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
