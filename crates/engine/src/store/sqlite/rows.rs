//! Decodes rows into the types of the domain.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite, Type};
use uuid::Uuid;

use super::statement_error::StatementError;
use crate::domain::{Attempt, Dispatch, KindName, Priority, QueueName, TaskId, TaskRef, TaskRow, Version};
use crate::store::StoreError;

/// The columns of a live task, in the order of [`task_row`]; a list puts something small in the place of the args.
macro_rules! live_columns {
    () => {
        live_columns!("args")
    };
    ($args:literal) => {
        concat!(
            "id, kind, queue, priority, status, ",
            $args,
            ", principal, submitted_at, due_at, expires_at, attempt, version, retries_used, \
         max_retries, crashes, hard_limit_ms, soft_limit_ms, worker, worker_name, started_at, NULL AS ended_at, \
         progress, revoke_requested_at, NULL AS result, error, NULL AS reason, callback_url, retry_of, NULL AS retried_as, \
         limited_until"
        )
    };
}
/// The columns of an ended task, in the order of [`task_row`]; a list puts something small in the place of args and result.
macro_rules! ended_columns {
    () => {
        ended_columns!("args", "result")
    };
    ($args:literal, $result:literal) => {
        concat!(
            "id, kind, queue, priority, status, ",
            $args,
            ", principal, submitted_at, due_at, expires_at, attempt, 0 AS version, retries_used, \
         max_retries, crashes, hard_limit_ms, soft_limit_ms, NULL AS worker, worker_name, started_at, ended_at, \
         progress, revoke_requested_at, ",
            $result,
            ", error, reason, callback_url, retry_of, retried_as, NULL AS limited_until"
        )
    };
}
/// The columns of [`dispatch`].
macro_rules! dispatch_columns {
    () => {
        "id, version, queue, priority"
    };
}
pub(super) use {dispatch_columns, ended_columns, live_columns};

/// Reads the columns of a row from left to right.
pub(super) struct Columns<'r> {
    table: &'static str,
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    /// The row, from its first column.
    pub(super) const fn of(table: &'static str, row: &'r SqliteRow) -> Self {
        Self { table, row, next: 0 }
    }

    /// The next column as it is.
    pub(super) fn get<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> Result<T, StatementError> {
        let value = self.row.try_get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StatementError> {
        self.maybe_time()?.ok_or_else(|| self.corrupt("a time is missing"))
    }

    pub(super) fn maybe_time(&mut self) -> Result<Option<Timestamp>, StatementError> {
        let micros: Option<i64> = self.get()?;
        micros.map(|micros| Timestamp::from_microsecond(micros).map_err(|error| self.corrupt(error))).transpose()
    }

    pub(super) fn id(&mut self) -> Result<TaskId, StatementError> {
        Ok(self.get::<Uuid>()?.into())
    }

    pub(super) fn attempt(&mut self) -> Result<Attempt, StatementError> {
        Ok(Attempt(self.get()?))
    }

    pub(super) fn version(&mut self) -> Result<Version, StatementError> {
        Ok(Version(self.get()?))
    }

    pub(super) fn queue(&mut self) -> Result<QueueName, StatementError> {
        Ok(QueueName::from_store(self.get()?))
    }

    pub(super) fn kind(&mut self) -> Result<KindName, StatementError> {
        Ok(KindName::from_store(self.get()?))
    }

    /// A number that is never negative.
    pub(super) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, StatementError> {
        let number: i64 = self.get()?;
        T::try_from(number).map_err(|_| self.corrupt(format!("{number} is out of range")))
    }

    pub(super) fn maybe_limit(&mut self) -> Result<Option<Duration>, StatementError> {
        let millis: Option<i64> = self.get()?;
        Ok(millis.map(|millis| Duration::from_millis(millis.unsigned_abs())))
    }

    pub(super) fn limit(&mut self) -> Result<Duration, StatementError> {
        self.maybe_limit()?.ok_or_else(|| self.corrupt("a limit is missing"))
    }

    pub(super) fn priority(&mut self) -> Result<Priority, StatementError> {
        let number = self.number()?;
        Priority::new(number).map_err(|reason| self.corrupt(reason))
    }

    /// A word that has a type.
    pub(super) fn maybe_word<T: FromStr<Err = String>>(&mut self) -> Result<Option<T>, StatementError> {
        let word: Option<&str> = self.get()?;
        word.map(|word| word.parse().map_err(|reason: String| self.corrupt(reason))).transpose()
    }

    pub(super) fn word<T: FromStr<Err = String>>(&mut self) -> Result<T, StatementError> {
        self.maybe_word()?.ok_or_else(|| self.corrupt("a word is missing"))
    }

    pub(super) fn maybe_json<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, StatementError> {
        let text: Option<&str> = self.get()?;
        text.map(|text| serde_json::from_str(text).map_err(|error| self.corrupt(error))).transpose()
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, StatementError> {
        self.maybe_json()?.ok_or_else(|| self.corrupt("JSON is missing"))
    }

    /// The row cannot be read.
    pub(super) fn corrupt(&self, reason: impl std::fmt::Display) -> StatementError {
        StatementError::Other(StoreError::Corrupt { table: self.table, reason: format!("{reason}") })
    }
}

/// A limit as milliseconds.
pub(super) fn millis(limit: Duration) -> i64 {
    i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)
}

/// The dispatch of a row of [`dispatch_columns`].
pub(super) fn dispatch(row: &SqliteRow, dispatched_at: Timestamp) -> Result<Dispatch, StatementError> {
    let mut columns = Columns::of("tasks", row);
    Ok(Dispatch {
        task: TaskRef { id: columns.id()?, version: columns.version()? },
        queue: columns.queue()?,
        band: columns.priority()?.band(),
        dispatched_at,
    })
}

/// A whole task, live or ended.
pub(super) fn task_row(row: &SqliteRow) -> Result<TaskRow, StatementError> {
    let mut columns = Columns::of("tasks", row);
    Ok(TaskRow {
        id: columns.id()?,
        kind: columns.kind()?,
        queue: columns.queue()?,
        priority: columns.priority()?,
        status: columns.word()?,
        args: columns.get()?,
        principal: columns.get::<&str>()?.into(),
        submitted_at: columns.time()?,
        due_at: columns.time()?,
        expires_at: columns.maybe_time()?,
        attempt: columns.attempt()?,
        version: columns.version()?,
        retries_used: columns.number()?,
        max_retries: columns.number()?,
        crashes: columns.number()?,
        hard_limit: columns.limit()?,
        soft_limit: columns.maybe_limit()?,
        worker: columns.get::<Option<Uuid>>()?.map(Into::into),
        worker_name: columns.get()?,
        started_at: columns.maybe_time()?,
        ended_at: columns.maybe_time()?,
        progress: columns.maybe_json()?,
        revoke_requested_at: columns.maybe_time()?,
        result: columns.get()?,
        error: columns.maybe_json()?,
        reason: columns.maybe_word()?,
        callback_url: columns.get()?,
        retry_of: columns.get::<Option<Uuid>>()?.map(Into::into),
        retried_as: columns.get::<Option<Uuid>>()?.map(Into::into),
        limited_until: columns.maybe_time()?,
    })
}
