//! Schedules, their firings, and the maintenance switch.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::SqliteStore;
use super::insert::insert_rows;
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::domain::{FiringRow, Maintenance, ScheduleId, ScheduleRow, StoredSchedule, TaskId, UnreadableSchedule};
use crate::store::schedules::{firing_columns, schedule_columns, schedule_fields};
use crate::store::{ScheduleFilter, ScheduleKey, ScheduleStep, ScheduleWrite, Schedules, StoreError, StoreResult, SubmittedTask};

const CREATE_SCHEDULE: &str = concat!(
    "-- create_schedule
INSERT INTO schedules (",
    schedule_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) ON CONFLICT DO NOTHING"
);

const WRITE_SCHEDULE: &str = concat!(
    "-- write_schedule
UPDATE schedules
SET version = version + 1, (",
    schedule_fields!(),
    ") = (?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
WHERE id = ?1 AND version = ?2"
);

const HAS_NAME: &str = "-- has_name
SELECT count(*) FROM schedules WHERE name = ?1 AND id <> ?2";

const FIND_SCHEDULE: &str = concat!(
    "-- find_schedule\nSELECT ",
    schedule_columns!(),
    " FROM schedules WHERE id = ?1 OR name = ?2 OR (pack = ?3 AND declared_name = ?4)"
);

const SCHEDULES: &str = concat!(
    "-- schedules\nSELECT ",
    schedule_columns!(),
    " FROM schedules
WHERE (?1 IS NULL OR enabled = ?1) AND (?2 IS NULL OR pack = ?2) AND (?3 IS NULL OR instr(lower(name), ?3) > 0) AND (?4 IS NULL OR name > ?4)
ORDER BY name LIMIT ?5"
);

const DISABLE_SCHEDULE: &str = "-- disable_schedule
UPDATE schedules
SET enabled = 0, disabled_reason = ?2, updated_at = ?3, next_nominal = NULL, next_due = NULL, queued_nominal = NULL, version = version + 1
WHERE id = ?1";

const END_QUEUED: &str = "-- end_queued
UPDATE schedule_firings SET outcome = 'missed', reason = ?2, at = ?3 WHERE schedule = ?1 AND outcome = 'queued'";

const DELETE_FIRINGS: &str = "-- delete_firings
DELETE FROM schedule_firings WHERE schedule = ?1";

const DELETE_SCHEDULE: &str = "-- delete_schedule
DELETE FROM schedules WHERE id = ?1";

const DUE_SCHEDULES: &str = concat!(
    "-- due_schedules\nSELECT ",
    schedule_columns!(),
    " FROM schedules
WHERE enabled AND next_due IS NOT NULL AND next_due <= ?1 AND (?2 IS NULL OR (next_due >= ?2 AND (next_due > ?2 OR id > ?3)))
ORDER BY next_due, id LIMIT ?4"
);

const QUEUED_SCHEDULES: &str = concat!(
    "-- queued_schedules\nSELECT ",
    schedule_columns!(),
    " FROM schedules
WHERE queued_nominal IS NOT NULL AND NOT (enabled AND next_due IS NOT NULL AND next_due <= ?1) AND (?2 IS NULL OR id > ?2)
ORDER BY id LIMIT ?3"
);

const OLDEST_DUE: &str = "-- oldest_due
SELECT id, next_due FROM schedules WHERE enabled AND next_due IS NOT NULL AND next_due <= ?1 ORDER BY next_due LIMIT ?2";

const UNFINISHED_TASKS: &str = "-- unfinished_tasks
SELECT count(*) FROM tasks WHERE id IN (
    SELECT task FROM schedule_firings WHERE schedule = ?1 AND task IS NOT NULL ORDER BY nominal DESC LIMIT 10
)";

const STEP_SCHEDULE: &str = "-- step_schedule
UPDATE schedules
SET enabled = ?3, disabled_reason = ?4, considered_until = ?5, next_nominal = ?6, next_due = ?7, queued_nominal = ?8, version = version + 1
WHERE id = ?1 AND version = ?2";

const WRITE_FIRING: &str = concat!(
    "-- write_firing
INSERT INTO schedule_firings (",
    firing_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (schedule, nominal, made_by) DO UPDATE
SET at = excluded.at, outcome = excluded.outcome, reason = excluded.reason, task = excluded.task
WHERE schedule_firings.outcome = 'queued'"
);

const MANUAL_FIRING: &str = concat!(
    "-- manual_firing
INSERT INTO schedule_firings (",
    firing_columns!(),
    ") SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM schedules WHERE id = ?1 ON CONFLICT DO NOTHING"
);

const FIRINGS: &str = concat!(
    "-- firings\nSELECT ",
    firing_columns!(),
    " FROM schedule_firings WHERE schedule = ?1 AND (?2 IS NULL OR nominal < ?2) ORDER BY nominal DESC, made_by LIMIT ?3"
);

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
        version: columns.get()?,
        name: columns.get()?,
        pack: columns.get()?,
        declared_name: columns.get()?,
        spec: serde_json::from_str(columns.get()?).map_err(|error| columns.corrupt(error))?,
        args: columns.get()?,
        declared: columns.get()?,
        enabled: columns.get()?,
        disabled_reason: columns.get()?,
        principal: columns.get::<&str>()?.into(),
        created_at: columns.time()?,
        updated_at: columns.time()?,
        considered_until: columns.time()?,
        next_nominal: columns.maybe_time()?,
        next_due: columns.maybe_time()?,
        queued_nominal: columns.maybe_time()?,
    })
}

/// A row, or what can be said of one that cannot be read.
fn stored(row: &SqliteRow) -> Result<StoredSchedule, StatementError> {
    schedule_row(row).map(Ok).or_else(|error| {
        let next_due = row.try_get::<Option<i64>, _>(15)?;
        Ok(Err(Box::new(UnreadableSchedule {
            id: row.try_get::<Uuid, _>(0)?.into(),
            name: row.try_get(2)?,
            pack: row.try_get(3)?,
            declared_name: row.try_get(4)?,
            enabled: row.try_get(8)?,
            next_due: next_due.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
            reason: StoreError::from(error).to_string(),
        })))
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
        run_by: columns.get::<Option<&str>>()?.map(Into::into),
    })
}

fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_microsecond)
}

/// A firing, unless a newer version wrote a word that this one does not know: it is left out, so that the others are shown.
fn readable(row: &SqliteRow) -> Option<FiringRow> {
    let warn = |error: StoreError| tracing::warn!(%error, "a firing cannot be read");
    firing_row(row).map_err(|error| warn(error.into())).ok()
}

/// Binds all columns of a schedule; the version is `version`.
fn bound(sql: &'static str, row: &ScheduleRow, version: i32) -> Result<Query<'static, Sqlite, SqliteArguments>, StatementError> {
    let spec = serde_json::to_string(&row.spec).map_err(|error| StatementError::BadValue(error.to_string()))?;
    Ok(sqlx::query(sql)
        .bind(row.id.as_uuid())
        .bind(version)
        .bind(row.name.clone())
        .bind(row.pack.clone())
        .bind(row.declared_name.clone())
        .bind(spec)
        .bind(row.args.clone())
        .bind(row.declared.clone())
        .bind(row.enabled)
        .bind(row.disabled_reason.clone())
        .bind(row.principal.to_string())
        .bind(row.created_at.as_microsecond())
        .bind(row.updated_at.as_microsecond())
        .bind(row.considered_until.as_microsecond())
        .bind(micros(row.next_nominal))
        .bind(micros(row.next_due))
        .bind(micros(row.queued_nominal)))
}

/// Binds all columns of a firing.
fn bound_firing(sql: &'static str, firing: &FiringRow) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(sql)
        .bind(firing.schedule.as_uuid())
        .bind(firing.nominal.as_microsecond())
        .bind(firing.trigger.as_str())
        .bind(firing.due.as_microsecond())
        .bind(firing.at.as_microsecond())
        .bind(firing.outcome.as_str())
        .bind(firing.reason.clone())
        .bind(firing.task.map(TaskId::as_uuid))
        .bind(micros(firing.missed_since))
        .bind(firing.run_by.as_deref().map(str::to_owned))
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
        if bound_firing(WRITE_FIRING, firing).execute(&mut *connection).await?.rows_affected() > 0 {
            made.extend(firing.task);
        }
    }
    let tasks = step.tasks.iter().filter(|task| made.contains(&task.task.id));
    if !made.is_empty() {
        insert_rows(connection, tasks.map(|task| (&task.task, task.dispatched))).await?;
    }
    Ok(Some(made))
}

impl SqliteStore {
    async fn stored_schedules(&self, find: Query<'_, Sqlite, SqliteArguments>) -> StoreResult<Vec<StoredSchedule>> {
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(stored).collect::<Result<_, StatementError>>()?)
    }
}

#[async_trait]
impl Schedules for SqliteStore {
    async fn create_schedule(&self, schedule: &ScheduleRow) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let create = bound(CREATE_SCHEDULE, schedule, schedule.version)?;
        Ok(create.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected() > 0)
    }

    async fn write_schedule(
        &self,
        schedule: &ScheduleRow,
        expected_version: i32,
        firings: &[FiringRow],
    ) -> StoreResult<ScheduleWrite> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let has_name = sqlx::query_scalar(HAS_NAME).bind(schedule.name.as_str()).bind(schedule.id.as_uuid());
        let others: i64 = has_name.fetch_one(&mut *transaction).await.map_err(StatementError::from)?;
        if others > 0 {
            return Ok(ScheduleWrite::NameTaken);
        }
        let write = bound(WRITE_SCHEDULE, schedule, expected_version)?;
        if write.execute(&mut *transaction).await.map_err(StatementError::from)?.rows_affected() == 0 {
            return Ok(ScheduleWrite::Stale);
        }
        for firing in firings {
            bound_firing(WRITE_FIRING, firing).execute(&mut *transaction).await.map_err(StatementError::from)?;
        }
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(ScheduleWrite::Done)
    }

    async fn find_schedule(&self, key: &ScheduleKey) -> StoreResult<Option<StoredSchedule>> {
        let (id, name, declared) = match key {
            ScheduleKey::Id(id) => (Some(id.as_uuid()), None, None),
            ScheduleKey::Name(name) => (None, Some(name.as_str()), None),
            ScheduleKey::Declared { pack, name } => (None, None, Some((pack.as_str(), name.as_str()))),
        };
        let find = sqlx::query(FIND_SCHEDULE).bind(id).bind(name);
        let find = find.bind(declared.map(|(pack, _)| pack)).bind(declared.map(|(_, name)| name));
        let found = find.fetch_optional(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(found.as_ref().map(stored).transpose()?)
    }

    async fn schedules(&self, filter: &ScheduleFilter, limit: u32) -> StoreResult<Vec<StoredSchedule>> {
        let find = sqlx::query(SCHEDULES)
            .bind(filter.enabled)
            .bind(filter.pack.as_deref())
            .bind(filter.text.as_deref().map(str::to_lowercase))
            .bind(filter.after.as_deref())
            .bind(limit);
        self.stored_schedules(find).await
    }

    async fn disable_schedule(&self, id: ScheduleId, reason: &str, now: Timestamp) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let bind = |sql: &'static str| sqlx::query(sql).bind(id.as_uuid()).bind(reason).bind(now.as_microsecond());
        let disable = bind(DISABLE_SCHEDULE).execute(&mut *transaction);
        let disabled = disable.await.map_err(StatementError::from)?.rows_affected() > 0;
        bind(END_QUEUED).execute(&mut *transaction).await.map_err(StatementError::from)?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(disabled)
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

    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, ScheduleId)>,
        limit: u32,
    ) -> StoreResult<Vec<StoredSchedule>> {
        let find = sqlx::query(DUE_SCHEDULES).bind(now.as_microsecond()).bind(after.map(|(due, _)| due.as_microsecond()));
        self.stored_schedules(find.bind(after.map(|(_, id)| id.as_uuid())).bind(limit)).await
    }

    async fn queued_schedules(&self, now: Timestamp, after: Option<ScheduleId>, limit: u32) -> StoreResult<Vec<StoredSchedule>> {
        let find = sqlx::query(QUEUED_SCHEDULES).bind(now.as_microsecond()).bind(after.map(ScheduleId::as_uuid));
        self.stored_schedules(find.bind(limit)).await
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

    async fn insert_manual_firing(&self, firing: &FiringRow, task: &SubmittedTask) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let insert = bound_firing(MANUAL_FIRING, firing).execute(&mut *transaction);
        if insert.await.map_err(StatementError::from)?.rows_affected() == 0 {
            return Ok(false);
        }
        insert_rows(&mut transaction, std::iter::once((&task.task, task.dispatched))).await?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(true)
    }

    async fn firings(&self, schedule: ScheduleId, before: Option<Timestamp>, limit: u32) -> StoreResult<Vec<FiringRow>> {
        let find = sqlx::query(FIRINGS).bind(schedule.as_uuid()).bind(micros(before)).bind(limit);
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().filter_map(readable).collect())
    }

    async fn prune_firings(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let mut writer = self.writer().await;
        let prune = sqlx::query(PRUNE_FIRINGS).bind(before.as_microsecond()).bind(limit);
        Ok(prune.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected())
    }

    async fn oldest_due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<(ScheduleId, Timestamp)>> {
        let find = sqlx::query(OLDEST_DUE).bind(now.as_microsecond()).bind(limit);
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        let read = |row: &SqliteRow| {
            let mut columns = Columns::of("schedules", row);
            Ok((columns.get::<Uuid>()?.into(), columns.time()?))
        };
        Ok(rows.iter().map(read).collect::<Result<_, StatementError>>()?)
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
