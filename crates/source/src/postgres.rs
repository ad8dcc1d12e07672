//! A source in Postgres. Small reads and writes go over a small pool; what streams has a connection of its own, so that giving it up ends
//! the statement too.

mod stoppable;

use std::str::FromStr as _;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query as Statement;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, Postgres, Row as _};
use tokio::sync::mpsc;

pub(super) use self::stoppable::Stoppable;
use super::query::Query;
use super::record::{Chunk, Collector};
use super::sql::{Dialect, Sql, select};
use crate::Access;

/// Reads and writes of kinds; one statement each.
const CONNECTIONS: u32 = 4;
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const IDLE_LIMIT: Duration = Duration::from_mins(5);
/// Begins a transaction in which answers are read as text, in one form whatever the server is set to.
///
/// Every statement runs in a transaction, and every setting is local to it. A pooler between us and the server (`PgBouncer` in transaction mode)
/// may use another server connection for each transaction: a statement that is parsed and bound outside of one would be bound to whatever
/// another client parsed there, and a setting of the session would reach other clients.
macro_rules! begin {
    ($mode:literal, $limit:literal) => {
        concat!(
            "BEGIN ",
            $mode,
            "; SET LOCAL TimeZone TO 'UTC'; SET LOCAL DateStyle TO 'ISO, YMD'; SET LOCAL IntervalStyle TO 'iso_8601'; ",
            "SET LOCAL extra_float_digits TO 1; SET LOCAL idle_in_transaction_session_timeout TO '60s'; SET LOCAL statement_timeout TO ",
            $limit
        )
    };
}

const BEGIN: &str = begin!("ISOLATION LEVEL READ COMMITTED", "'60s'");
/// What streams may take as long as its task may; the limit ends it where the end of the task was not noticed.
const BEGIN_STREAM: &str = begin!("ISOLATION LEVEL REPEATABLE READ READ ONLY", "'6h'");
/// The statements of a pack may take as long as its task may.
const BEGIN_READ: &str = begin!("ISOLATION LEVEL REPEATABLE READ READ ONLY", "'6h'");
const BEGIN_WRITE: &str = begin!("ISOLATION LEVEL READ COMMITTED", "'6h'");
/// Whoever gives a limit stops waiting then. The server ends the statement a little later, so that its error does not come first.
const LIMIT_SLACK: Duration = Duration::from_secs(1);
/// Bytes in a chunk, about.
const CHUNK: usize = 128 * 1024;

pub(super) struct Pg {
    options: PgConnectOptions,
    pool: PgPool,
}

impl Pg {
    /// Nothing is connected yet.
    pub(super) fn new(url: &str) -> Result<Self, sqlx::Error> {
        // No settings in the startup message: PgBouncer refuses those that it does not know.
        let mut options = PgConnectOptions::from_str(url)?.extra_float_digits(None).disable_statement_logging();
        if options.get_application_name().is_none() {
            options = options.application_name("legwork");
        }
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_LIMIT)
            .idle_timeout(IDLE_LIMIT)
            .connect_lazy_with(options.clone());
        Ok(Self { options, pool })
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that reads or writes, whose statements end `limit` after their start, or when it is dropped.
    pub(super) async fn begin(&self, access: Access, limit: Option<Duration>) -> Result<Stoppable, sqlx::Error> {
        let begin = match access {
            Access::Read => BEGIN_READ,
            Access::Write => BEGIN_WRITE,
        };
        let begin = limit.map_or_else(
            || begin.to_owned(),
            |limit| {
                let limit = (limit + LIMIT_SLACK).as_millis().min(i32::MAX as u128);
                format!("{begin}; SET LOCAL statement_timeout TO {limit}")
            },
        );
        Stoppable::new(self.pool.begin_with(AssertSqlSafe(begin)).await?, self.options.clone()).await
    }

    /// Runs a query and returns its rows with each value as text; NULL is `None`.
    pub(super) async fn rows(&self, sql: &Sql) -> Result<Vec<Vec<Option<String>>>, sqlx::Error> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        let rows = bound(sql).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        rows.iter().map(texts).collect()
    }

    /// Rows that were changed.
    pub(super) async fn execute(&self, sql: &Sql) -> Result<u64, sqlx::Error> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        let changed = bound(sql).execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(changed)
    }

    /// Keys by the first statement, which locks their rows; then the second statement made of them. One transaction.
    pub(super) async fn keys_then(
        &self,
        keys: &Sql,
        then: impl FnOnce(&[String]) -> Sql + Send,
    ) -> Result<(Vec<String>, u64), sqlx::Error> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        let found: Vec<String> =
            bound(keys).fetch_all(&mut *transaction).await?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        if found.is_empty() {
            return Ok((found, 0));
        }
        let changed = bound(&then(&found)).execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok((found, changed))
    }

    /// Streams a query in one snapshot; the estimate of its rows comes first.
    pub(super) async fn copy(
        &self,
        query: &Query,
        total: impl FnOnce(u64) + Send,
        to: &mpsc::Sender<Chunk>,
    ) -> Result<u64, sqlx::Error> {
        let mut connection = self.connect().await?;
        connection.execute(BEGIN_STREAM).await?;
        total(estimate(&mut connection, query).await?);
        let mut sql = select(Dialect::PostgresSettings, query.model(), &query.fields);
        sql.filter(&query.filter, &[]);
        for (index, value) in sql.values.iter().enumerate() {
            let name = format!("legwork.p{}", index + 1);
            sqlx::query("SELECT set_config($1, $2, true)").bind(name).bind(value.as_str()).execute(&mut connection).await?;
        }
        let statement = format!("COPY ({}) TO STDOUT WITH (FORMAT csv)", sql.text);
        let mut rows = 0;
        let mut collector = Collector::default();
        let mut pieces = connection.copy_out_raw(&statement).await?;
        while let Some(piece) = pieces.try_next().await? {
            collector.push(&piece);
            if collector.len() >= CHUNK {
                let chunk = collector.take(CHUNK + CHUNK / 8);
                rows += chunk.rows;
                if to.send(chunk).await.is_err() {
                    return Ok(rows);
                }
            }
        }
        let chunk = collector.take(0);
        rows += chunk.rows;
        // Who does not listen any more has heard enough.
        if chunk.rows > 0 {
            drop(to.send(chunk).await);
        }
        drop(pieces);
        drop(connection.close().await);
        Ok(rows)
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        tokio::time::timeout(CONNECT_LIMIT, self.options.connect()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

/// The planner's guess, which costs nothing.
async fn estimate(connection: &mut PgConnection, query: &Query) -> Result<u64, sqlx::Error> {
    let mut sql = select(Dialect::Postgres, query.model(), &query.fields);
    sql.text.insert_str(0, "EXPLAIN (FORMAT JSON) ");
    sql.filter(&query.filter, &[]);
    let plan: serde_json::Value = bound(&sql).fetch_one(connection).await?.try_get(0)?;
    Ok(plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_u64).unwrap_or(0))
}

fn bound(sql: &Sql) -> Statement<'_, Postgres, PgArguments> {
    let statement = sqlx::query(AssertSqlSafe(sql.text.clone())).persistent(false);
    sql.values.iter().fold(statement, |statement, value| statement.bind(value.as_str()))
}

fn texts(row: &PgRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len()).map(|index| row.try_get(index)).collect()
}
