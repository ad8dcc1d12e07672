//! Statements with named parameters, in both dialects.
//!
//! A statement never takes text: `:name` becomes a numbered placeholder, and the value is bound under a type that is known when the pack is
//! loaded. What stands in string literals, quoted names, comments and dollar quotes is left alone, and so are casts (`::`).

mod lex;
mod refuse;
mod value;

use std::fmt;

pub(crate) use lex::{RawStatement, split};
pub use value::SqlValue;

use crate::engine::Value;
use crate::fault::Place;

/// The database for which a statement is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Postgres, with placeholders like `$1`.
    Postgres,
    /// `SQLite`, with placeholders like `?1`.
    Sqlite,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "Postgres",
            Self::Sqlite => "SQLite",
        })
    }
}

/// The type with which a value is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlType {
    /// A string of any length.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number with decimals: `numeric` in Postgres, `REAL` in `SQLite`.
    Number,
    /// True or false; 1 or 0 in `SQLite`.
    Boolean,
    /// A day: `date` in Postgres; in `SQLite` text, for example `2026-01-31`.
    Date,
    /// A moment: `timestamptz` in Postgres; in `SQLite` text in UTC, as in `2026-01-31 08:00:00`.
    Datetime,
    /// A UUID; in `SQLite` text in small letters with hyphens.
    Uuid,
    /// Any JSON: `jsonb` in Postgres, text in `SQLite`.
    Json,
    /// A list of scalars, which stands in a statement as a subquery of its items.
    List(Box<Self>),
}

impl SqlType {
    /// The type of a list of these. Lists of what is no scalar are JSON.
    #[must_use]
    pub fn listed(self) -> Self {
        match self {
            Self::Json | Self::List(_) => Self::Json,
            scalar => Self::List(Box::new(scalar)),
        }
    }

    fn postgres_name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "bigint",
            Self::Number => "numeric",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Datetime => "timestamptz",
            Self::Uuid => "uuid",
            Self::Json | Self::List(_) => "jsonb",
        }
    }

    /// What stands in a statement for the value with this number. All values reach Postgres as text, so that its types are those declared
    /// here and not whatever the driver would guess.
    fn placeholder(&self, dialect: Dialect, number: usize) -> String {
        match (dialect, self) {
            (Dialect::Postgres, Self::List(item)) => format!(
                "SELECT CAST(item AS {}) FROM jsonb_array_elements_text(CAST(${number}::text AS jsonb)) AS item",
                item.postgres_name()
            ),
            (Dialect::Postgres, kind) => format!("CAST(${number}::text AS {})", kind.postgres_name()),
            (Dialect::Sqlite, Self::List(_)) => format!("SELECT value FROM json_each(?{number})"),
            (Dialect::Sqlite, _) => format!("?{number}"),
        }
    }
}

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, without the colon.
    pub name: String,
    /// The type under which it is bound.
    pub kind: SqlType,
}

/// One statement, ready to be prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The text with numbered placeholders: `$1` for Postgres, `?1` for `SQLite`.
    pub text: String,
    /// The parameters in the order of their numbers; each name once.
    pub parameters: Vec<Parameter>,
    /// Where it begins, for messages of the database.
    pub place: Place,
}

/// SQL of a kind, in both dialects.
#[derive(Clone, Debug)]
pub struct Sql {
    /// The statements for `SQLite`.
    pub sqlite: Vec<Statement>,
    /// The statements for Postgres; the same text unless `x.postgres.sql` stands beside `x.sql`.
    pub postgres: Vec<Statement>,
    /// The values of parameters that are no params of the kind.
    pub bind: Vec<Bind>,
    /// Where the pack declares it.
    pub place: Place,
}

/// A value that is bound beside the params.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Name of the parameter, without the colon.
    pub name: String,
    /// The type under which it is bound.
    pub kind: SqlType,
    /// The value that is bound, which may contain expressions.
    pub value: Value,
}

impl Sql {
    /// The statements for a dialect, in order; at least one.
    pub fn statements(&self, dialect: Dialect) -> &[Statement] {
        match dialect {
            Dialect::Postgres => &self.postgres,
            Dialect::Sqlite => &self.sqlite,
        }
    }
}

#[cfg(test)]
mod tests;
