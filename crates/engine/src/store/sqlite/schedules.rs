//! Schedules, their firings, and the maintenance switch.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteConnection};
use uuid::Uuid;

use super::SqliteStore;
use super::insert::insert_rows;
use super::rows::Columns;
use super::statement_error::StatementError;
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
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT DO NOTHING"
);

const WRITE_SCHEDULE: &str = "-- write_schedule
UPDATE schedules
SET name = ?2, pack = ?3, spec = ?4, args = ?5, declared = ?6, enabled = ?7, disabled_reason = ?8, principal = ?9, version = version + 1,
    created_at = ?11, updated_at = ?12, considered_until = ?13, next_nominal = ?14, next_due = ?15, queued_nominal = ?16
WHERE id = ?1 AND version = ?10";

const HAS_NAME: &str = "-- has_name
SELECT count(*) FROM schedules WHERE name = ?1 AND id <> ?2";

const FIND_SCHEDULE: &str = concat!("-- find_schedule\nSELECT ", columns!(), " FROM schedules WHERE id = ?1 OR name = ?2");

const SCHEDULES: &str = concat!(
    "-- schedules\nSELECT ",
    columns!(),
    " FROM schedules
WHERE (?1 IS NULL OR enabled = ?1) AND (?2 IS NULL OR pack = ?2) AND (?3 IS NULL OR instr(lower(name), ?3) > 0) AND (?4 IS NULL OR name > ?4)
ORDER BY name LIMIT ?5"
);

const DELETE_FIRINGS: &str = "-- delete_firings
DELETE FROM schedule_firings WHERE schedule = ?1";

const DELETE_SCHEDULE: &str = "-- delete_schedule
DELETE FROM schedules WHERE id = ?1";

const DUE_SCHEDULES: &str = concat!(
    "-- due_schedules
SELECT * FROM (SELECT ",
    columns!(),
    " FROM schedules WHERE enabled AND next_due IS NOT NULL AND next_due <= ?1 ORDER BY next_due LIMIT ?2)
UNION
SELECT * FROM (SELECT ",
    columns!(),
    " FROM schedules WHERE queued_nominal IS NOT NULL ORDER BY id LIMIT ?2)"
);

const OLDEST_DUE: &str = "-- oldest_due
SELECT min(next_due) FROM schedules WHERE enabled AND next_due IS NOT NULL AND next_due <= ?1";

const UNFINISHED_TASKS: &str = "-- unfinished_tasks
SELECT count(*) FROM tasks WHERE id IN (
    SELECT task FROM schedule_firings WHERE schedule = ?1 AND task IS NOT NULL ORDER BY nominal DESC LIMIT 10
)";

const STEP_SCHEDULE: &str = "-- step_schedule
UPDATE schedules
SET enabled = ?3, disabled_reason = ?4, considered_until = ?5, next_nominal = ?6, next_due = ?7, queued_nominal = ?8, version = version + 1
WHERE id = ?1 AND version = ?2";

const WRITE_FIRING: &str = "-- write_firing
INSERT INTO schedule_firings (schedule, nominal, made_by, due, at, outcome, reason, task, missed_since)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (schedule, nominal, made_by) DO UPDATE
SET at = excluded.at, outcome = excluded.outcome, reason = excluded.reason, task = excluded.task
WHERE schedule_firings.outcome = 'queued'";

const FIRINGS: &str = "-- firings
SELECT schedule, nominal, made_by, due, at, outcome, reason, task, missed_since FROM schedule_firings
WHERE schedule = ?1 AND (?2 IS NULL OR nominal < ?2) ORDER BY nominal DESC, made_by LIMIT ?3";

const PRUNE_FIRINGS: &str = "-- prune_firings
DELETE FROM schedule_firings WHERE (schedule, nominal, made_by) IN (
    SELECT schedule, nominal, made_by FROM schedule_firings WHERE at < ?1 ORDER BY at LIMIT ?2
)";

const FIND_MAINTENANCE: &str = "-- find_maintenance
SELECT since, reason, principal FROM maintenance";

const START_MAINTENANCE: &str = "-- start_maintenance
INSERT INTO maintenance (one, since, reason, principal) VALUES (1, ?1, ?2, ?3) ON CONFLICT DO NOTHING";

const END_MAINTENANCE: &str = "-- end_maintenance
DELETE FROM maintenance";

fn schedule_row(row: &SqliteRow) -> Result<ScheduleRow, StatementError> {
    let mut columns = Columns::of("schedules", row);
    Ok(ScheduleRow {
        id: columns.get::<Uuid>()?.into(),
        name: columns.get()?,
        pack: columns.get()?,
        spec: serde_json::from_str(columns.get()?).map_err(|error| columns.corrupt(error))?,
        args: columns.get()?,
        declared: columns.get()?,
        enabled: columns.get()?,
        disabled_reason: columns.get()?,
        principal: columns.get::<&str>()?.into(),
        version: columns.get()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        considered_until: columns.time()?,
        next_nominal: columns.maybe_time()?,
        next_due: columns.maybe_time()?,
        queued_nominal: columns.maybe_time()?,
    })
}

fn firing_row(row: &SqliteRow) -> Result<FiringRow, StatementError> {
    let mut columns = Columns::of("schedule_firings", row);
    Ok(FiringRow {
        schedule: columns.get::<Uuid>()?.into(),
        nominal: columns.time()?,
        trigger: columns.get::<&str>()?.parse().map_err(|error| columns.corrupt(error))?,
        due: columns.time()?,
        at: columns.time()?,
        outcome: columns.get::<&str>()?.parse().map_err(|error| columns.corrupt(error))?,
        reason: columns.get()?,
        task: columns.get::<Option<Uuid>>()?.map(TaskId::from),
        missed_since: columns.maybe_time()?,
    })
}

fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_microsecond)
}

/// Binds all columns of a schedule; the version is `version`.
fn bound(sql: &'static str, row: &ScheduleRow, version: i32) -> Result<Query<'static, Sqlite, SqliteArguments>, StatementError> {
    let spec = serde_json::to_string(&row.spec).map_err(|error| StatementError::BadValue(error.to_string()))?;
    Ok(sqlx::query(sql)
        .bind(row.id.as_uuid())
        .bind(row.name.clone())
        .bind(row.pack.clone())
        .bind(spec)
        .bind(row.args.clone())
        .bind(row.declared.clone())
        .bind(row.enabled)
        .bind(row.disabled_reason.clone())
        .bind(row.principal.to_string())
        .bind(version)
        .bind(row.created_at.as_microsecond())
        .bind(row.updated_at.as_microsecond())
        .bind(row.considered_until.as_microsecond())
        .bind(micros(row.next_nominal))
        .bind(micros(row.next_due))
        .bind(micros(row.queued_nominal)))
}

/// Applies one step within a transaction; `None` where the schedule has another version.
async fn step(connection: &mut SqliteConnection, step: &ScheduleStep) -> Result<Option<Vec<TaskId>>, StatementError> {
    let row = &step.schedule;
    let write = sqlx::query(STEP_SCHEDULE)
        .bind(row.id.as_uuid())
        .bind(step.expected_version)
        .bind(row.enabled)
        .bind(row.disabled_reason.as_deref())
        .bind(row.considered_until.as_microsecond())
        .bind(micros(row.next_nominal))
        .bind(micros(row.next_due))
        .bind(micros(row.queued_nominal));
    if write.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(None);
    }
    let mut made = Vec::with_capacity(step.tasks.len());
    for firing in &step.firings {
        let write = sqlx::query(WRITE_FIRING)
            .bind(firing.schedule.as_uuid())
            .bind(firing.nominal.as_microsecond())
            .bind(firing.trigger.as_str())
            .bind(firing.due.as_microsecond())
            .bind(firing.at.as_microsecond())
            .bind(firing.outcome.as_str())
            .bind(firing.reason.as_deref())
            .bind(firing.task.map(TaskId::as_uuid))
            .bind(micros(firing.missed_since));
        if write.execute(&mut *connection).await?.rows_affected() > 0 {
            made.extend(firing.task);
        }
    }
    let tasks = step.tasks.iter().filter(|task| made.contains(&task.task.id));
    if !made.is_empty() {
        insert_rows(connection, tasks.map(|task| (&task.task, task.dispatched))).await?;
    }
    Ok(Some(made))
}

#[async_trait]
impl Schedules for SqliteStore {
    async fn create_schedule(&self, schedule: &ScheduleRow) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let create = bound(CREATE_SCHEDULE, schedule, schedule.version)?;
        Ok(create.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected() > 0)
    }

    async fn write_schedule(&self, schedule: &ScheduleRow, expected_version: i32) -> StoreResult<ScheduleWrite> {
        let mut writer = self.writer().await;
        let connection = writer.connection()?;
        let has_name = sqlx::query_scalar(HAS_NAME).bind(schedule.name.as_str()).bind(schedule.id.as_uuid());
        let others: i64 = has_name.fetch_one(&mut *connection).await.map_err(StatementError::from)?;
        if others > 0 {
            return Ok(ScheduleWrite::NameTaken);
        }
        let write = bound(WRITE_SCHEDULE, schedule, expected_version)?;
        let written = write.execute(connection).await.map_err(StatementError::from)?.rows_affected();
        Ok(if written > 0 { ScheduleWrite::Done } else { ScheduleWrite::Stale })
    }

    async fn find_schedule(&self, key: &ScheduleKey) -> StoreResult<Option<ScheduleRow>> {
        let (id, name) = match key {
            ScheduleKey::Id(id) => (Some(id.as_uuid()), None),
            ScheduleKey::Name(name) => (None, Some(name.as_str())),
        };
        let find = sqlx::query(FIND_SCHEDULE).bind(id).bind(name);
        let found = find.fetch_optional(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(found.as_ref().map(schedule_row).transpose()?)
    }

    async fn schedules(&self, filter: &ScheduleFilter, limit: u32) -> StoreResult<Vec<ScheduleRow>> {
        let find = sqlx::query(SCHEDULES)
            .bind(filter.enabled)
            .bind(filter.pack.as_deref())
            .bind(filter.text.as_deref().map(str::to_lowercase))
            .bind(filter.after.as_deref())
            .bind(limit);
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(schedule_row).collect::<Result<_, StatementError>>()?)
    }

    async fn delete_schedule(&self, id: ScheduleId) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let delete = sqlx::query(DELETE_SCHEDULE).bind(id.as_uuid());
        let deleted = delete.execute(&mut *transaction).await.map_err(StatementError::from)?.rows_affected() > 0;
        sqlx::query(DELETE_FIRINGS).bind(id.as_uuid()).execute(&mut *transaction).await.map_err(StatementError::from)?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(deleted)
    }

    async fn due_schedules(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<ScheduleRow>> {
        let find = sqlx::query(DUE_SCHEDULES).bind(now.as_microsecond()).bind(limit);
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(schedule_row).collect::<Result<_, StatementError>>()?)
    }

    async fn unfinished_tasks(&self, schedules: &[ScheduleId]) -> StoreResult<Vec<usize>> {
        let mut reader = self.reader().await?;
        let mut counts = Vec::with_capacity(schedules.len());
        for id in schedules {
            let find = sqlx::query_scalar(UNFINISHED_TASKS).bind(id.as_uuid());
            let count: i64 = find.fetch_one(&mut *reader).await.map_err(StatementError::from)?;
            counts.push(usize::try_from(count).unwrap_or(0));
        }
        Ok(counts)
    }

    async fn step_schedules(&self, steps: &[ScheduleStep]) -> StoreResult<Vec<Option<Vec<TaskId>>>> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let mut answers = Vec::with_capacity(steps.len());
        for one in steps {
            answers.push(step(&mut transaction, one).await?);
        }
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(answers)
    }

    async fn firings(&self, schedule: ScheduleId, before: Option<Timestamp>, limit: u32) -> StoreResult<Vec<FiringRow>> {
        let find = sqlx::query(FIRINGS).bind(schedule.as_uuid()).bind(micros(before)).bind(limit);
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(firing_row).collect::<Result<_, StatementError>>()?)
    }

    async fn prune_firings(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let mut writer = self.writer().await;
        let prune = sqlx::query(PRUNE_FIRINGS).bind(before.as_microsecond()).bind(limit);
        Ok(prune.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected())
    }

    async fn oldest_due(&self, now: Timestamp) -> StoreResult<Option<Timestamp>> {
        let find = sqlx::query(OLDEST_DUE).bind(now.as_microsecond());
        let row = find.fetch_one(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(Columns::of("schedules", &row).maybe_time()?)
    }

    async fn maintenance(&self) -> StoreResult<Option<Maintenance>> {
        let found = sqlx::query(FIND_MAINTENANCE).fetch_optional(&mut *self.reader().await?).await;
        let Some(row) = found.map_err(StatementError::from)? else { return Ok(None) };
        let mut columns = Columns::of("maintenance", &row);
        Ok(Some(Maintenance { since: columns.time()?, reason: columns.get()?, principal: columns.get()? }))
    }

    async fn set_maintenance(&self, maintenance: Option<&Maintenance>) -> StoreResult<()> {
        let mut writer = self.writer().await;
        let write = match maintenance {
            Some(on) => {
                let start = sqlx::query(START_MAINTENANCE).bind(on.since.as_microsecond());
                start.bind(on.reason.as_str()).bind(on.principal.as_str())
            }
            None => sqlx::query(END_MAINTENANCE),
        };
        write.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(())
    }
}
