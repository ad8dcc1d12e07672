//! Statements that somebody else wrote (those of packs), with bound values, in transactions that their caller commits.

mod row;
mod wrap;

use std::time::Duration;

use futures_util::{Stream, TryStreamExt as _};
use sqlx::postgres::PgArguments;
use sqlx::query::Query as Statement;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Column as _, Executor as _, Postgres, SqlSafeStr as _, Sqlite};

use self::wrap::as_json;
use super::postgres::Stoppable;
use super::sqlite::Interrupt;
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

/// What is wanted of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Its rows: [`Transaction::rows`] and [`Transaction::each`].
    Rows,
    /// The number of rows that it changes: [`Transaction::execute`].
    Count,
}

/// An open transaction. Dropped without [`Transaction::commit`], it leaves nothing behind.
pub struct Transaction<'s> {
    source_name: &'s str,
    access: Access,
    inner: Inner,
}

enum Inner {
    Postgres(Stoppable),
    /// The interrupt comes first, so that a statement that still runs ends before it is rolled back.
    Sqlite(Interrupt, sqlx::Transaction<'static, Sqlite>),
}

impl Source {
    /// Whether the source is a Postgres; else it is a `SQLite` file.
    pub fn is_postgres(&self) -> bool {
        matches!(self.database, Database::Postgres(_))
    }

    /// Begins a transaction.
    pub async fn begin(&self, access: Access) -> Result<Transaction<'_>, SourceError> {
        self.begin_within(access, None).await
    }

    /// Begins a transaction whose statements end when it is dropped. In Postgres the server ends them `limit` after their start as well,
    /// also where this process cannot tell it to any more.
    pub async fn begin_within(&self, access: Access, limit: Option<Duration>) -> Result<Transaction<'_>, SourceError> {
        let inner = match &self.database {
            Database::Postgres(database) => database.begin(access, limit).await.map(Inner::Postgres),
            Database::Sqlite(file) => file.begin(access).await.map(|(interrupt, inner)| Inner::Sqlite(interrupt, inner)),
        };
        let made = inner.map(|inner| Transaction { source_name: &self.name, access, inner });
        made.map_err(|error| SourceError::of(&self.name, error))
    }
}

impl Transaction<'_> {
    /// Prepares a statement without running it, in the very text in which it is run. Returns the names of the columns that it gives, in
    /// order; the error says what the database does not like about it.
    pub async fn prepare(&mut self, text: &str, wanted: Wanted) -> Result<Vec<String>, SourceError> {
        let names = self.columns(text).await?;
        if let (Inner::Postgres(transaction), Wanted::Rows) = (&mut self.inner, wanted) {
            let wrapped = AssertSqlSafe(as_json(text)).into_sql_str();
            let prepared = async { transaction.running()?.prepare(wrapped).await.map(drop) }.await;
            transaction.ended();
            prepared.map_err(|error| SourceError::of_statement(self.source_name, self.access, error))?;
        }
        Ok(names)
    }

    /// The names of the columns that a statement gives, in order.
    pub async fn columns(&mut self, text: &str) -> Result<Vec<String>, SourceError> {
        let text = AssertSqlSafe(text.to_owned()).into_sql_str();
        let names = match &mut self.inner {
            Inner::Postgres(transaction) => {
                let names = async { Ok(names_of(&transaction.running()?.prepare(text).await?)) }.await;
                transaction.ended();
                names
            }
            Inner::Sqlite(_, transaction) => transaction.prepare(text).await.map(|statement| names_of(&statement)),
        };
        names.map_err(|error| SourceError::of_statement(self.source_name, self.access, error))
    }

    /// Runs a statement; the rows that it changed.
    pub async fn execute(&mut self, statement: &RawStatement) -> Result<u64, SourceError> {
        let changed = match &mut self.inner {
            Inner::Postgres(transaction) => {
                let query = of_postgres(&statement.text, &statement.values);
                let changed = async { Ok(query.execute(transaction.running()?).await?.rows_affected()) }.await;
                transaction.ended();
                changed
            }
            Inner::Sqlite(_, transaction) => {
                of_sqlite(statement).execute(&mut **transaction).await.map(|done| done.rows_affected())
            }
        };
        changed.map_err(|error| SourceError::of_statement(self.source_name, self.access, error))
    }

    /// Runs a statement that gives rows, and reads at most `limit` of them. Times come as texts that name their offset (Postgres) or as
    /// they are kept (`SQLite`). A number of Postgres that a double does not keep is the text of its digits.
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
    pub async fn each(&mut self, statement: &RawStatement, take: impl FnMut(Row) -> bool + Send) -> Result<(), SourceError> {
        let done = match &mut self.inner {
            Inner::Postgres(transaction) => {
                let text = as_json(&statement.text);
                let query = of_postgres(&text, &statement.values);
                let done = async { take_each(query.fetch(transaction.running()?), row::of_postgres, take).await }.await;
                transaction.ended();
                done
            }
            Inner::Sqlite(_, transaction) => {
                take_each(of_sqlite(statement).fetch(&mut **transaction), row::of_sqlite, take).await
            }
        };
        done.map_err(|error| SourceError::of_statement(self.source_name, self.access, error))
    }

    /// Makes everything durable that the transaction wrote.
    pub async fn commit(self) -> Result<(), SourceError> {
        let committed = match self.inner {
            Inner::Postgres(transaction) => transaction.commit().await,
            Inner::Sqlite(_interrupt, transaction) => transaction.commit().await,
        };
        committed.map_err(|error| SourceError::of_statement(self.source_name, self.access, error))
    }
}

async fn take_each<R>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
    decode: impl Fn(&R) -> Result<Row, sqlx::Error>,
    mut take: impl FnMut(Row) -> bool,
) -> Result<(), sqlx::Error> {
    while let Some(row) = rows.try_next().await? {
        if !take(decode(&row)?) {
            break;
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::{DemoScript, Now, SourceConfig, SourcePlace, Sources, SourcesConfig};

    fn statement(text: &str) -> RawStatement {
        RawStatement { text: text.to_owned(), values: Vec::new() }
    }

    #[tokio::test]
    async fn a_statement_of_sqlite_ends_when_its_transaction_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let script = DemoScript::new(|_| Ok(vec![statement("CREATE TABLE t (n INTEGER)")]));
        let place = SourcePlace::Scripted(folder.path().join("t.db"), script);
        let config = SourcesConfig { sources: [("s".to_owned(), SourceConfig { place, models: BTreeMap::new() })].into() };
        let now: Now = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
        let sources = Sources::new(&config, &now).unwrap();
        let source = sources.get(None).unwrap();
        let endless =
            statement("INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n");
        for _ in 0..3 {
            let mut transaction = source.begin(Access::Write).await.unwrap();
            transaction.execute(&statement("INSERT INTO t VALUES (1)")).await.unwrap();
            // Once polled, the thread of the connection works on it.
            let poll = futures_util::poll!(std::pin::pin!(transaction.execute(&endless)));
            assert!(poll.is_pending());
        }
        // There is one connection that writes: it is free again, and nothing was kept.
        let mut transaction = source.begin(Access::Write).await.unwrap();
        let rows = transaction.rows(&statement("SELECT COUNT(*) AS n FROM t"), 1).await.unwrap();
        assert_eq!(rows[0]["n"], 0);
        transaction.commit().await.unwrap();
        sources.close().await;
    }
}
