//! Decodes rows into the types of the domain.

use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::{ColumnIndex, Row as _};
use uuid::Uuid;

use super::statement_error::StatementError;
use crate::domain::{
    Attempt, Dispatch, EndReason, KindName, Priority, PriorityBand, QueueName, TaskId, TaskRef, TaskRow, TaskStatus, Version,
};
use crate::store::StoreError;

/// What a progress says is done. By its start: a parser of JSON would stumble over a NUL in its message.
macro_rules! done_of {
    ($progress:literal) => {
        concat!(
            "CASE WHEN ",
            $progress,
            " ~ '^.\"done\":[0-9]' THEN LEAST(substring(",
            $progress,
            " FROM '^.\"done\":([0-9]+)')::numeric, 9223372036854775807)::bigint END"
        )
    };
}

/// The columns of a live task, in the names of [`task_row`]; a list puts something small in the place of the args.
macro_rules! live_columns {
    () => {
        live_columns!("args")
    };
    ($args:literal) => {
        concat!(
            "id, kind, queue, priority, status, ",
            $args,
            ", principal, submitted_at, due_at, expires_at, attempt, version, retries_used, \
         max_retries, crashes, hard_limit_ms, soft_limit_ms, worker, worker_name, started_at, NULL::timestamptz AS ended_at, \
         progress, revoke_requested_at, NULL::text AS result, error, NULL::text AS reason, callback_url, retry_of, \
         NULL::uuid AS retried_as, limited_until"
        )
    };
}
/// The columns of an ended task, in the names of [`task_row`]; a list puts something small in the place of args and result.
macro_rules! ended_columns {
    () => {
        ended_columns!("args", "result")
    };
    ($args:literal, $result:literal) => {
        concat!(
            "id, kind, queue, priority, status, ",
            $args,
            ", principal, submitted_at, due_at, expires_at, attempt, 0 AS version, retries_used, \
         max_retries, crashes, hard_limit_ms, soft_limit_ms, NULL::uuid AS worker, worker_name, started_at, ended_at, \
         progress, revoke_requested_at, ",
            $result,
            ", error, reason, callback_url, retry_of, retried_as, NULL::timestamptz AS limited_until"
        )
    };
}
pub(super) use {done_of, ended_columns, live_columns};

/// So far may the clock that made an id have been ahead of the one that ended its task.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(1);

/// A time as a parameter.
pub(super) fn sql_time(at: Timestamp) -> jiff_sqlx::Timestamp {
    at.to_sqlx()
}

/// The earliest time at which the task of this id can have ended: so the day partitions before it are not looked at.
pub(super) fn earliest_end(id: TaskId) -> jiff_sqlx::Timestamp {
    let made = id.made_at();
    made.checked_sub(CLOCK_SLACK).unwrap_or(made).to_sqlx()
}

/// A limit as milliseconds.
pub(super) fn millis(limit: Duration) -> i64 {
    i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds as a limit.
pub(super) fn limit(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Converts a counter; a negative number becomes 0.
pub(super) fn count(number: i32) -> u16 {
    u16::try_from(number).unwrap_or(if number < 0 { 0 } else { u16::MAX })
}

/// A row that cannot be read.
pub(super) fn corrupt(table: &'static str, reason: impl std::fmt::Display) -> StatementError {
    StatementError::Other(StoreError::Corrupt { table, reason: format!("{reason}") })
}

/// A time that is there.
pub(super) fn time(row: &PgRow, column: impl ColumnIndex<PgRow>) -> Result<Timestamp, StatementError> {
    Ok(row.try_get::<jiff_sqlx::Timestamp, _>(column)?.to_jiff())
}

/// A time that may be there.
pub(super) fn maybe_time(row: &PgRow, column: impl ColumnIndex<PgRow>) -> Result<Option<Timestamp>, StatementError> {
    Ok(row.try_get::<Option<jiff_sqlx::Timestamp>, _>(column)?.map(jiff_sqlx::Timestamp::to_jiff))
}

/// A word that has a type.
pub(super) fn word<T: FromStr<Err = String>>(table: &'static str, text: &str) -> Result<T, StatementError> {
    text.parse().map_err(|reason| corrupt(table, reason))
}

/// JSON that may be there.
pub(super) fn maybe_json<T: serde::de::DeserializeOwned>(
    table: &'static str,
    row: &PgRow,
    column: &str,
) -> Result<Option<T>, StatementError> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| serde_json::from_str(text).map_err(|error| corrupt(table, error))).transpose()
}

/// Encodes a value as JSON text.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, StatementError> {
    serde_json::to_string(value).map_err(|error| StatementError::BadValue(error.to_string()))
}

/// Converts a priority; a number outside 0 to 9 is an error.
pub(super) fn priority(number: i16) -> Result<Priority, StatementError> {
    u8::try_from(number).map_err(|error| error.to_string()).and_then(Priority::new).map_err(|reason| corrupt("tasks", reason))
}

/// The dispatch of the first four columns: id, version, queue, priority.
pub(super) fn dispatch(row: &PgRow, dispatched_at: Timestamp) -> Result<Dispatch, StatementError> {
    let id: Uuid = row.try_get(0)?;
    let band: PriorityBand = priority(row.try_get(3)?)?.band();
    Ok(Dispatch {
        task: TaskRef { id: id.into(), version: Version(row.try_get(1)?) },
        queue: QueueName::from_store(row.try_get(2)?),
        band,
        dispatched_at,
    })
}

/// A whole task, live or ended.
pub(super) fn task_row(row: &PgRow) -> Result<TaskRow, StatementError> {
    const TABLE: &str = "tasks";
    let status: TaskStatus = word(TABLE, row.try_get("status")?)?;
    let reason: Option<&str> = row.try_get("reason")?;
    Ok(TaskRow {
        id: row.try_get::<Uuid, _>("id")?.into(),
        kind: KindName::from_store(row.try_get("kind")?),
        queue: QueueName::from_store(row.try_get("queue")?),
        priority: priority(row.try_get("priority")?)?,
        status,
        args: row.try_get("args")?,
        principal: row.try_get::<&str, _>("principal")?.into(),
        submitted_at: time(row, "submitted_at")?,
        due_at: time(row, "due_at")?,
        expires_at: maybe_time(row, "expires_at")?,
        attempt: Attempt(row.try_get("attempt")?),
        version: Version(row.try_get("version")?),
        retries_used: count(row.try_get("retries_used")?),
        max_retries: count(row.try_get("max_retries")?),
        crashes: count(row.try_get("crashes")?),
        hard_limit: limit(row.try_get("hard_limit_ms")?),
        soft_limit: row.try_get::<Option<i64>, _>("soft_limit_ms")?.map(limit),
        worker: row.try_get::<Option<Uuid>, _>("worker")?.map(Into::into),
        worker_name: row.try_get("worker_name")?,
        started_at: maybe_time(row, "started_at")?,
        ended_at: maybe_time(row, "ended_at")?,
        progress: maybe_json(TABLE, row, "progress")?,
        revoke_requested_at: maybe_time(row, "revoke_requested_at")?,
        result: row.try_get("result")?,
        error: maybe_json(TABLE, row, "error")?,
        reason: reason.map(|text| word::<EndReason>(TABLE, text)).transpose()?,
        callback_url: row.try_get("callback_url")?,
        retry_of: row.try_get::<Option<Uuid>, _>("retry_of")?.map(Into::into),
        retried_as: row.try_get::<Option<Uuid>, _>("retried_as")?.map(Into::into),
        limited_until: maybe_time(row, "limited_until")?,
    })
}
