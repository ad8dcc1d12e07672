//! What the database's errors mean to the store.

use std::time::Duration;

use crate::store::StoreError;

/// Why a statement failed, sorted by what is to be done about it.
#[derive(Debug)]
pub(super) enum StatementError {
    /// The connection or the database is gone, or too slow: nothing is known of the write, and the connection is not to be used again.
    Lost(String),
    /// A deadlock or a serialization failure: nothing was written, the same again may work.
    Again(String),
    /// A value was refused; nothing of the statement was written.
    BadValue(String),
    /// A row had no partition to go to; nothing was written.
    NoPartition,
    /// Anything that has a name in the port already.
    Other(StoreError),
}

impl From<sqlx::Error> for StatementError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default().into_owned();
                sorted(&code, error.message())
            }
            sqlx::Error::Encode(error) => Self::BadValue(error.to_string()),
            error @ (sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed) => Self::Lost(error.to_string()),
            error => Self::Other(StoreError::Database(error.to_string())),
        }
    }
}

/// Chooses the variant by the SQLSTATE.
fn sorted(code: &str, message: &str) -> StatementError {
    let reason = format!("{message} (SQLSTATE {code})");
    match code {
        "40001" | "40P01" => StatementError::Again(reason),
        // No table has a CHECK constraint of its own, so it is the partition bounds that were violated.
        "23514" => StatementError::NoPartition,
        // Query cancelled, lock not available, read-only after a failover.
        "57014" | "55P03" | "25006" => StatementError::Lost(reason),
        _ => match code.get(..2) {
            Some("22" | "23" | "54") => StatementError::BadValue(reason),
            // Connection, authorization, resources, operator intervention, system.
            Some("08" | "28" | "53" | "57" | "58") => StatementError::Lost(reason),
            _ => StatementError::Other(StoreError::Database(reason)),
        },
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
            StatementError::Lost(reason) | StatementError::Again(reason) => Self::Unavailable(reason),
            StatementError::BadValue(reason) => Self::Refused(reason),
            StatementError::NoPartition => Self::Database("there is no partition for the day".into()),
            StatementError::Other(error) => error,
        }
    }
}

/// Waits for `work`, but not for ever: a frozen server answers nothing, so that its own timeouts do not help.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StatementError>>,
) -> Result<T, StatementError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(StatementError::Lost(format!("it did not answer within {} s", limit.as_secs()))))
}

/// How often the same write is tried.
#[derive(Debug, Default)]
pub(super) struct RetryBudget {
    again: u8,
    /// Whether a connection was lost under an earlier try, so that it may have been written.
    pub(super) was_lost: bool,
}

const MAX_AGAIN: u8 = 5;

impl RetryBudget {
    /// Whether to try again after `error`; a lost connection counts once, and only for a write that can be `repeated`.
    pub(super) fn allows(&mut self, error: &StatementError, repeated: bool) -> bool {
        match error {
            StatementError::Again(_) | StatementError::NoPartition => {
                self.again += 1;
                self.again <= MAX_AGAIN
            }
            StatementError::Lost(_) if repeated && !self.was_lost => {
                self.was_lost = true;
                true
            }
            _ => false,
        }
    }
}
