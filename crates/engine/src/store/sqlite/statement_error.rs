//! What SQLite's errors mean to the store.

use crate::store::StoreError;

/// Why a statement failed, sorted by what is to be done about it.
#[derive(Debug)]
pub(super) enum StatementError {
    /// A value was refused; nothing of the transaction was written.
    BadValue(String),
    /// Anything that has a name in the port already.
    Other(StoreError),
}

impl From<sqlx::Error> for StatementError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                // The low byte is the primary code, whatever detail the rest carries.
                let code = error.code().and_then(|code| code.parse::<i32>().ok()).map_or(0, |code| code & 0xff);
                sorted(code, format!("{} (SQLite code {code})", error.message()))
            }
            sqlx::Error::Encode(error) => Self::BadValue(error.to_string()),
            sqlx::Error::PoolClosed => Self::Other(StoreError::Unavailable("the store is closed".into())),
            error @ (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed) => {
                Self::Other(StoreError::Unavailable(error.to_string()))
            }
            error => Self::Other(StoreError::Database(error.to_string())),
        }
    }
}

/// Sorts by the primary result code (<https://sqlite.org/rescode.html>).
fn sorted(code: i32, reason: String) -> StatementError {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const TOOBIG: i32 = 18;
    const CONSTRAINT: i32 = 19;
    const MISMATCH: i32 = 20;
    match code {
        TOOBIG | CONSTRAINT | MISMATCH => StatementError::BadValue(reason),
        BUSY | LOCKED | READONLY | IOERR | FULL | CANTOPEN => StatementError::Other(StoreError::Unavailable(reason)),
        _ => StatementError::Other(StoreError::Database(reason)),
    }
}

impl From<StoreError> for StatementError {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

impl From<StatementError> for StoreError {
    fn from(error: StatementError) -> Self {
        match error {
            StatementError::BadValue(reason) => Self::Refused(reason),
            StatementError::Other(error) => error,
        }
    }
}
