//! What the errors of the databases mean to a caller.

/// One wrong part of a query: a field, an operator or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// A JSON Pointer to it, as in `/filters/status`.
    pub pointer: String,
    /// What is wrong with it, and what is allowed.
    pub detail: String,
}

impl QueryError {
    /// An error at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why a source could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It is away, overloaded or in the way of itself; later it may work.
    #[error("the source {source_name} is not available: {reason}")]
    Away {
        /// Name of the source, as declared.
        source_name: String,
        /// The database's error, as text.
        reason: String,
    },
    /// The database is not what was declared: a table or a column is missing, a type does not fit.
    #[error("the database of the source {source_name} is not as declared: {reason}; compare SOURCES with it")]
    Mismatch {
        /// Name of the source, as declared.
        source_name: String,
        /// The database's error, as text.
        reason: String,
    },
    /// The declaration lacks what the kind needs.
    #[error("{0}")]
    Undeclared(String),
    /// It refused a value or the statement.
    #[error("the source {source_name} refused it: {reason}")]
    Refused {
        /// Name of the source, as declared.
        source_name: String,
        /// The database's error, as text.
        reason: String,
    },
}

impl SourceError {
    pub(super) fn of(source_name: &str, error: sqlx::Error) -> Self {
        let source_name = source_name.to_owned();
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default().into_owned();
                let is_postgres = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some();
                let message = error.message().to_owned();
                if is_postgres { of_postgres(source_name, &code, &message) } else { of_sqlite(source_name, &code, message) }
            }
            error @ (sqlx::Error::Configuration(_)
            | sqlx::Error::Encode(_)
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnDecode { .. }) => Self::Refused { source_name, reason: error.to_string() },
            sqlx::Error::PoolTimedOut => Self::Away { source_name, reason: "it gave no connection in time".into() },
            error => Self::Away { source_name, reason: error.to_string() },
        }
    }
}

/// Chooses the variant by the SQLSTATE of a Postgres error.
fn of_postgres(source_name: String, code: &str, message: &str) -> SourceError {
    let reason = format!("{message} (SQLSTATE {code})");
    match code {
        // Cancelled, no lock, read-only, deadlock, serialization.
        "57014" | "55P03" | "25006" | "40001" | "40P01" => SourceError::Away { source_name, reason },
        // No such database, password, permission: an operator has to act, and no retry helps.
        "3D000" | "28P01" | "28000" | "42501" => SourceError::Refused { source_name, reason },
        _ => match code.get(..2) {
            Some("08" | "53" | "57" | "58") => SourceError::Away { source_name, reason },
            // No such table, column, function or operator, wrong type, no such schema.
            Some("42" | "3F") => SourceError::Mismatch { source_name, reason },
            _ => SourceError::Refused { source_name, reason },
        },
    }
}

/// By the primary code of an extended one.
fn of_sqlite(source_name: String, code: &str, reason: String) -> SourceError {
    let primary = code.parse::<u32>().map_or(0, |code| code & 0xff);
    match primary {
        // Busy, locked, no memory, I/O, full, cannot be opened, protocol.
        5 | 6 | 7 | 10 | 13 | 14 | 15 => SourceError::Away { source_name, reason },
        1 => SourceError::Mismatch { source_name, reason },
        _ => SourceError::Refused { source_name, reason },
    }
}

/// What a kind asked of the declaration and did not find there.
impl From<QueryError> for SourceError {
    fn from(error: QueryError) -> Self {
        Self::Undeclared(format!("{}: {}", error.pointer.trim_start_matches('/'), error.detail))
    }
}
