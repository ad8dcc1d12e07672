//! A source in a `SQLite` file. Each connection works on a thread of its own; readers read only, one connection writes.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::query::Query as Statement;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, Sqlite};
use tokio::sync::{OnceCell, mpsc};

use super::demo;
use super::query::Query;
use super::record::{Chunk, Collector, write_cell};
use super::sql::{Dialect, Sql, select};
use crate::{Access, DemoScript, Now};

const READERS: u32 = 4;
/// The application writes too.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes in a chunk, about.
const CHUNK: usize = 128 * 1024;
/// Instructions of SQLite between two looks at whether a statement is to end: some microseconds.
const INTERRUPT_STEPS: i32 = 1_000;
/// Rows that wait between the cursor's thread and us.
const ROWS_BUFFERED: usize = 1_024;

/// Ends the statements of a transaction when it is dropped. Without it the thread of the connection would run a statement to its end, although
/// nobody waits for it any more.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) struct File {
    readers: SqlitePool,
    writer: SqlitePool,
    demo: Option<Demo>,
}

struct Demo {
    /// `None` for a database in memory.
    path: Option<PathBuf>,
    now: Now,
    /// `None` for the demonstration that is part of this crate.
    script: Option<DemoScript>,
    made: OnceCell<()>,
}

impl File {
    /// Nothing is opened yet. With `demo` the file is made, and filled for demonstration, where it is missing.
    pub(super) fn new(path: &Path, demo: Option<(Now, Option<DemoScript>)>) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(ROWS_BUFFERED)
            .disable_statement_logging();
        let demo = demo.map(|(now, script)| Demo { path: Some(path.to_owned()), now, script, made: OnceCell::new() });
        Self {
            readers: pool(READERS).connect_lazy_with(options.clone().read_only(true)),
            writer: pool(1).connect_lazy_with(options),
            demo,
        }
    }

    /// A database in memory, which is made by a script when it is first used. It lives as long as its only connection.
    pub(super) fn in_memory(now: Now, script: DemoScript) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::from_str("sqlite::memory:")?.disable_statement_logging();
        let connection = pool(1).idle_timeout(None).max_lifetime(None).connect_lazy_with(options);
        let demo = Some(Demo { path: None, now, script: Some(script), made: OnceCell::new() });
        Ok(Self { readers: connection.clone(), writer: connection, demo })
    }

    pub(super) fn is_scripted(&self) -> bool {
        self.demo.as_ref().is_some_and(|demo| demo.script.is_some())
    }

    /// The file that is made for demonstration, where this is one.
    pub(super) fn made_file(&self) -> Option<&Path> {
        self.demo.as_ref()?.path.as_deref()
    }

    /// Makes the demonstration file where it is to be made and is missing.
    pub(super) async fn prepare(&self) -> Result<(), sqlx::Error> {
        let Some(demo) = &self.demo else { return Ok(()) };
        let make = async || match &demo.path {
            Some(path) => demo::make(path, (demo.now)(), demo.script.as_ref()).await,
            None => demo::fill(&mut *self.writer.acquire().await?, (demo.now)(), demo.script.as_ref()).await,
        };
        demo.made.get_or_try_init(make).await.map(drop)
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that reads or writes, and what ends its statements.
    pub(super) async fn begin(&self, access: Access) -> Result<(Interrupt, sqlx::Transaction<'static, Sqlite>), sqlx::Error> {
        self.prepare().await?;
        let mut transaction = match access {
            Access::Read => self.readers.begin().await?,
            Access::Write => self.writer.begin_with("BEGIN IMMEDIATE").await?,
        };
        let is_dropped = Arc::new(AtomicBool::new(false));
        let interrupt = Interrupt(is_dropped.clone());
        transaction.lock_handle().await?.set_progress_handler(INTERRUPT_STEPS, move || !is_dropped.load(Ordering::Relaxed));
        Ok((interrupt, transaction))
    }

    /// Runs a query and returns its rows with each value as text; NULL is `None`.
    pub(super) async fn rows(&self, sql: &Sql) -> Result<Vec<Vec<Option<String>>>, sqlx::Error> {
        self.prepare().await?;
        bound(sql).fetch_all(&self.readers).await?.iter().map(texts).collect()
    }

    /// Rows that were changed.
    pub(super) async fn execute(&self, sql: &Sql) -> Result<u64, sqlx::Error> {
        self.prepare().await?;
        Ok(bound(sql).execute(&self.writer).await?.rows_affected())
    }

    /// Keys by the first statement, then the second statement made of them. One transaction.
    pub(super) async fn keys_then(
        &self,
        keys: &Sql,
        then: impl FnOnce(&[String]) -> Sql + Send,
    ) -> Result<(Vec<String>, u64), sqlx::Error> {
        self.prepare().await?;
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let found: Vec<String> =
            bound(keys).fetch_all(&mut *transaction).await?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        if found.is_empty() {
            return Ok((found, 0));
        }
        let changed = bound(&then(&found)).execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok((found, changed))
    }

    /// Streams a query in one snapshot; the count of its rows comes first.
    pub(super) async fn copy(
        &self,
        query: &Query,
        total: impl FnOnce(u64) + Send,
        to: &mpsc::Sender<Chunk>,
    ) -> Result<u64, sqlx::Error> {
        self.prepare().await?;
        let mut transaction = self.readers.begin().await?;
        let mut count = Sql::new(Dialect::Sqlite, "SELECT COUNT(*) FROM ");
        count.push(&[&Dialect::Sqlite.table(query.model())]).filter(&query.filter, &[]);
        let counted: i64 = bound(&count).fetch_one(&mut *transaction).await?.try_get(0)?;
        total(u64::try_from(counted).unwrap_or(0));
        let mut sql = select(Dialect::Sqlite, query.model(), &query.fields);
        sql.filter(&query.filter, &[]);
        let mut sent = 0;
        let mut collector = Collector::default();
        let mut line = Vec::new();
        let mut rows = bound(&sql).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await? {
            line.clear();
            for index in 0..row.len() {
                if index > 0 {
                    line.push(b',');
                }
                write_cell(&mut line, row.try_get(index)?);
            }
            line.push(b'\n');
            collector.push(&line);
            if collector.len() >= CHUNK {
                let chunk = collector.take(CHUNK + CHUNK / 8);
                sent += chunk.rows;
                if to.send(chunk).await.is_err() {
                    return Ok(sent);
                }
            }
        }
        let chunk = collector.take(0);
        sent += chunk.rows;
        // Who does not listen any more has heard enough.
        if chunk.rows > 0 {
            drop(to.send(chunk).await);
        }
        drop(rows);
        transaction.rollback().await?;
        Ok(sent)
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections).test_before_acquire(false).after_release(|connection, _| {
        Box::pin(async move {
            connection.lock_handle().await?.remove_progress_handler();
            // SQLite rolls a transaction back itself when it interrupts a write. The driver does not notice that, so the connection cannot be
            // used again.
            Ok(!connection.is_in_transaction())
        })
    })
}

fn bound(sql: &Sql) -> Statement<'_, Sqlite, SqliteArguments> {
    let statement = sqlx::query(AssertSqlSafe(sql.text.clone())).persistent(false);
    sql.values.iter().fold(statement, |statement, value| statement.bind(value.clone()))
}

fn texts(row: &SqliteRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len()).map(|index| row.try_get(index)).collect()
}
