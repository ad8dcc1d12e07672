//! What the errors of the databases mean to a caller.

use crate::Access;

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
    /// A statement of a pack does not fit the database: a table or a column is missing, a type does not fit, the text does not parse.
    #[error(
        "the database of the source {source_name} does not take the statement: {reason}. Correct the statement, or the database"
    )]
    Statement {
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
    /// The database's error alone.
    pub fn reason(&self) -> &str {
        match self {
            Self::Away { reason, .. }
            | Self::Mismatch { reason, .. }
            | Self::Statement { reason, .. }
            | Self::Refused { reason, .. }
            | Self::Undeclared(reason) => reason,
        }
    }

    /// What the error of a statement means that somebody else wrote, in a transaction that reads or writes.
    pub(super) fn of_statement(source_name: &str, access: Access, error: sqlx::Error) -> Self {
        let is_read_only = matches!(&error, sqlx::Error::Database(error) if error.code().is_some_and(|code| code == READ_ONLY));
        match Self::of(source_name, error) {
            // No later attempt changes that.
            Self::Away { source_name, reason } if access == Access::Read && is_read_only => Self::Refused { source_name, reason },
            Self::Mismatch { source_name, reason } => Self::Statement { source_name, reason },
            other => other,
        }
    }

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

/// The SQLSTATE of a write in a transaction or a server that only reads.
const READ_ONLY: &str = "25006";
/// The class of SQLSTATEs about a value. Their messages quote it, and it may be a secret.
const DATA_EXCEPTION: &str = "22";

/// A message without what it quotes, in whatever language the server speaks.
fn without_value(message: &str) -> String {
    let is_quote = |c: char| "\"'“”„«»‘’‚「」".contains(c);
    match (message.find(is_quote), message.char_indices().rfind(|(_, c)| is_quote(*c))) {
        (Some(first), Some((last, quote))) if first < last => {
            format!("{}***{}", &message[..first], &message[last + quote.len_utf8()..])
        }
        _ => message.to_owned(),
    }
}

/// Chooses the variant by the SQLSTATE of a Postgres error.
fn of_postgres(source_name: String, code: &str, message: &str) -> SourceError {
    let message = if code.starts_with(DATA_EXCEPTION) { without_value(message) } else { message.to_owned() };
    let reason = format!("{message} (SQLSTATE {code})");
    match code {
        // Cancelled, no lock, read-only, deadlock, serialization.
        "57014" | "55P03" | READ_ONLY | "40001" | "40P01" => SourceError::Away { source_name, reason },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_about_a_value_does_not_quote_it() {
        for (code, message, shown) in [
            ("22P02", "invalid input syntax for type integer: \"s3\"cret\"", "invalid input syntax for type integer: ***"),
            ("22003", "value \"99999999999\" is out of range for type integer", "value *** is out of range for type integer"),
            ("22007", "ungültige Eingabesyntax für Typ date: »s3cret«", "ungültige Eingabesyntax für Typ date: ***"),
            ("22012", "division by zero", "division by zero"),
            (
                "23505",
                "duplicate key value violates unique constraint \"users_pkey\"",
                "duplicate key value violates unique constraint \"users_pkey\"",
            ),
        ] {
            let error = of_postgres("app".into(), code, message);
            let reason = format!("{shown} (SQLSTATE {code})");
            assert_eq!(error, SourceError::Refused { source_name: "app".into(), reason });
        }
    }
}
