//! Statements that somebody else wrote (those of packs), with bound values, in transactions that their caller commits.

use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query as Statement;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, Postgres, Row as _, SqlSafeStr as _, Sqlite, TypeInfo as _, ValueRef as _,
};

use super::{Database, Row, Source, SourceError};

/// A value to bind. Postgres takes every value as text, so that its types are those that the statement casts to.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// Null.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with decimals.
    Real(f64),
    /// A text.
    Text(String),
}

/// A statement with the values of its placeholders: `$1` and so on for Postgres, `?1` for `SQLite`.
#[derive(Clone, Debug, PartialEq)]
pub struct RawStatement {
    /// The text.
    pub text: String,
    /// The values, in the order of their numbers.
    pub values: Vec<Bound>,
}

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read, from one snapshot.
    Read,
    /// Read and write.
    Write,
}

/// An open transaction. Dropped without [`Transaction::commit`], it leaves nothing behind.
pub struct Transaction<'s> {
    source_name: &'s str,
    inner: Inner,
}

enum Inner {
    Postgres(sqlx::Transaction<'static, Postgres>),
    Sqlite(sqlx::Transaction<'static, Sqlite>),
}

impl Source {
    /// Whether the source is a Postgres; else it is a `SQLite` file.
    pub fn is_postgres(&self) -> bool {
        matches!(self.database, Database::Postgres(_))
    }

    /// Begins a transaction.
    pub async fn begin(&self, access: Access) -> Result<Transaction<'_>, SourceError> {
        let inner = match &self.database {
            Database::Postgres(database) => database.begin(access).await.map(Inner::Postgres),
            Database::Sqlite(file) => file.begin(access).await.map(Inner::Sqlite),
        };
        inner.map(|inner| Transaction { source_name: &self.name, inner }).map_err(|error| SourceError::of(&self.name, error))
    }
}

impl Transaction<'_> {
    /// Prepares a statement without running it: the error says what the database does not like about it.
    pub async fn prepare(&mut self, text: &str) -> Result<(), SourceError> {
        let text = AssertSqlSafe(text.to_owned()).into_sql_str();
        let prepared = match &mut self.inner {
            Inner::Postgres(transaction) => transaction.prepare(text).await.map(drop),
            Inner::Sqlite(transaction) => transaction.prepare(text).await.map(drop),
        };
        prepared.map_err(|error| SourceError::of(self.source_name, error))
    }

    /// The names of the columns that a statement gives, in order.
    pub async fn columns(&mut self, text: &str) -> Result<Vec<String>, SourceError> {
        let text = AssertSqlSafe(text.to_owned()).into_sql_str();
        let names = match &mut self.inner {
            Inner::Postgres(transaction) => transaction.prepare(text).await.map(|statement| names_of(&statement)),
            Inner::Sqlite(transaction) => transaction.prepare(text).await.map(|statement| names_of(&statement)),
        };
        names.map_err(|error| SourceError::of(self.source_name, error))
    }

    /// Runs a statement; the rows that it changed.
    pub async fn execute(&mut self, statement: &RawStatement) -> Result<u64, SourceError> {
        let changed = match &mut self.inner {
            Inner::Postgres(transaction) => {
                of_postgres(&statement.text, &statement.values).execute(&mut **transaction).await.map(|done| done.rows_affected())
            }
            Inner::Sqlite(transaction) => of_sqlite(statement).execute(&mut **transaction).await.map(|done| done.rows_affected()),
        };
        changed.map_err(|error| SourceError::of(self.source_name, error))
    }

    /// Runs a statement that gives rows, and reads at most `limit` of them. Times come as texts that name their offset (Postgres) or as
    /// they are kept (`SQLite`).
    pub async fn rows(&mut self, statement: &RawStatement, limit: usize) -> Result<Vec<Row>, SourceError> {
        let mut rows = Vec::new();
        self.each(statement, |row| {
            rows.push(row);
            rows.len() < limit
        })
        .await?;
        Ok(rows)
    }

    /// Runs a statement, and gives its rows one after the other to `take`, as long as that returns true.
    pub async fn each(&mut self, statement: &RawStatement, mut take: impl FnMut(Row) -> bool + Send) -> Result<(), SourceError> {
        let done = match &mut self.inner {
            Inner::Postgres(transaction) => {
                let text = as_json(&statement.text);
                let mut rows = of_postgres(&text, &statement.values).fetch(&mut **transaction);
                loop {
                    match rows.try_next().await {
                        Ok(Some(row)) => match postgres_row(&row) {
                            Ok(row) => {
                                if !take(row) {
                                    break Ok(());
                                }
                            }
                            Err(error) => break Err(error),
                        },
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(error),
                    }
                }
            }
            Inner::Sqlite(transaction) => {
                let mut rows = of_sqlite(statement).fetch(&mut **transaction);
                loop {
                    match rows.try_next().await {
                        Ok(Some(row)) => match sqlite_row(&row) {
                            Ok(row) => {
                                if !take(row) {
                                    break Ok(());
                                }
                            }
                            Err(error) => break Err(error),
                        },
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(error),
                    }
                }
            }
        };
        done.map_err(|error| SourceError::of(self.source_name, error))
    }

    /// Makes everything durable that the transaction wrote.
    pub async fn commit(self) -> Result<(), SourceError> {
        let committed = match self.inner {
            Inner::Postgres(transaction) => transaction.commit().await,
            Inner::Sqlite(transaction) => transaction.commit().await,
        };
        committed.map_err(|error| SourceError::of(self.source_name, error))
    }
}

fn names_of(statement: &impl sqlx::Statement) -> Vec<String> {
    statement.columns().iter().map(|column| column.name().to_owned()).collect()
}

fn of_postgres<'q>(text: &str, values: &'q [Bound]) -> Statement<'q, Postgres, PgArguments> {
    let statement = sqlx::query(AssertSqlSafe(text.to_owned())).persistent(false);
    values.iter().fold(statement, |statement, value| {
        statement.bind(match value {
            Bound::Null => None,
            Bound::Integer(number) => Some(number.to_string()),
            Bound::Real(number) => Some(number.to_string()),
            Bound::Text(text) => Some(text.clone()),
        })
    })
}

pub(super) fn of_sqlite(statement: &RawStatement) -> Statement<'_, Sqlite, SqliteArguments> {
    let query = sqlx::query(AssertSqlSafe(statement.text.clone())).persistent(false);
    statement.values.iter().fold(query, |query, value| match value {
        Bound::Null => query.bind(None::<String>),
        Bound::Integer(number) => query.bind(*number),
        Bound::Real(number) => query.bind(*number),
        Bound::Text(text) => query.bind(text.clone()),
    })
}

/// The rows of a statement of Postgres as one JSON text each. A statement that writes gives rows only to a `WITH` at the top.
fn as_json(text: &str) -> String {
    let statement = text.trim().trim_end_matches(';');
    if writes(statement) {
        format!("WITH legwork_row AS (\n{statement}\n) SELECT CAST(row_to_json(legwork_row) AS text) FROM legwork_row")
    } else {
        format!("SELECT CAST(row_to_json(legwork_row) AS text) FROM (\n{statement}\n) AS legwork_row")
    }
}

/// Whether the first word of a statement, comments apart, is one that writes.
fn writes(statement: &str) -> bool {
    let mut rest = statement.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after).trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after).trim_start();
        } else {
            break;
        }
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    matches!(word.to_ascii_uppercase().as_str(), "INSERT" | "UPDATE" | "DELETE" | "MERGE")
}

/// A row that came as one JSON text.
fn postgres_row(row: &PgRow) -> Result<Row, sqlx::Error> {
    serde_json::from_str(&row.try_get::<String, _>(0)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A row by the types that its values have; columns that were declared as `BOOLEAN` hold true and false.
fn sqlite_row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let mut object = Row::new();
    for (index, column) in row.columns().iter().enumerate() {
        let kind = row.try_get_raw(index)?.type_info().name().to_owned();
        let is_null = row.try_get_raw(index)?.is_null();
        let is_boolean = column.type_info().name().eq_ignore_ascii_case("BOOLEAN");
        let value = match kind.as_str() {
            _ if is_null => Value::Null,
            "BOOLEAN" => row.try_get_unchecked::<i64, _>(index).map(|number| Value::Bool(number != 0))?,
            "INTEGER" if is_boolean => row.try_get_unchecked::<i64, _>(index).map(|number| Value::Bool(number != 0))?,
            "INTEGER" => row.try_get_unchecked::<i64, _>(index)?.into(),
            "REAL" => row.try_get_unchecked::<f64, _>(index)?.into(),
            "BLOB" => {
                row.try_get_unchecked::<Vec<u8>, _>(index).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?.into()
            }
            _ => row.try_get_unchecked::<String, _>(index)?.into(),
        };
        object.insert(column.name().to_owned(), value);
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_writes_is_told_by_its_first_word() {
        for (text, does) in [
            ("SELECT 1", false),
            ("-- why\nUPDATE a SET b = 1 RETURNING b", true),
            ("/* x */ insert into a values (1) returning a", true),
            ("WITH a AS (SELECT 1) SELECT * FROM a", false),
            ("updated", false),
        ] {
            assert_eq!(writes(text), does, "{text}");
        }
    }
}
