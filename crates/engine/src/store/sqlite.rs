//! The store in one SQLite file: the embedded default.
//!
//! One connection writes and a few read. Every write is one transaction under the writer's lock (`BEGIN IMMEDIATE`), so that a read of what
//! is about to be changed cannot be overtaken, and a batch goes in as one JSON array (`jsonb_each`), not as a statement a row. The batches
//! of the hot path share their commits (`sqlite/shared.rs`).
//! A future that is dropped rolls its transaction back. `synchronous = FULL`: what was answered is on the disk.
//!
//! The file belongs to one process: it holds a lock beside it (`<file>.lock`) for as long as the store is open.

mod accounts;
mod audit;
mod control;
mod effects;
mod ends;
mod files;
mod insert;
mod json;
mod ledger;
mod migrations;
mod prune;
mod rate;
mod reads;
mod recipients;
mod rows;
mod schedules;
mod settle;
mod shared;
mod start;
mod statement_error;
mod suppressions;
mod sweeps;
mod task_stats;
mod workers;

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use self::shared::{Group, with_group_ended};
use self::statement_error::StatementError;
use super::{Store, StoreError, StoreResult};

/// How a transaction begins that can write from its start.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// Connections that read. They only have to overlap their waits for the disk.
const READERS: u32 = 4;
/// Nobody but the checkpoint can hold a lock against us.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than there are statements, so that each is prepared once.
const STATEMENTS: usize = 200;
/// Pages kept in memory by the writer, in KiB (negative is how SQLite is told so).
const WRITER_CACHE: &str = "-65536";

/// A commit that finds so many pages in the log moves them into the file. Little at a time, so that no commit waits long for it.
const CHECKPOINT_PAGES: &str = "1000";
/// What a burst made of the log beyond this, in bytes, is given back to the disk.
const LARGEST_IDLE_WAL: &str = "67108864";

/// The store in one `SQLite` file.
#[derive(Debug)]
pub struct SqliteStore {
    /// The connection that writes. `None` once the store is closed.
    writer: Arc<Mutex<Option<Writer>>>,
    /// How the writer's connection is opened.
    writing: SqliteConnectOptions,
    readers: SqlitePool,
}

#[derive(Debug)]
struct Writer {
    connection: SqliteConnection,
    /// The transaction that is open for whoever comes next to share its commit.
    group: Option<Group>,
    /// Closing it gives the folder free.
    _lock: File,
}

impl SqliteStore {
    /// Opens the file at `path` and makes it, and its folder, if need be, for our user alone. The schema is left to [`Store::migrate`].
    ///
    /// Fails with [`StoreError::Unavailable`] while another process has it open.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| unusable(folder, &error))?;
        }
        let lock = lock(path)?;
        // SQLite would make it for all to read. What it puts beside the file gets the file's mode.
        private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(false)
            .statement_cache_capacity(STATEMENTS)
            .row_buffer_size(512)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("journal_size_limit", LARGEST_IDLE_WAL)
            .disable_statement_logging();
        let writing = options.clone().pragma("cache_size", WRITER_CACHE).thread_name(|_| "sqlite-writer".into());
        let connection = writing.connect().await.map_err(StatementError::from)?;
        let writer = Writer { connection, group: None, _lock: lock };
        let reading = options.read_only(true).thread_name(|n| format!("sqlite-reader-{n}"));
        let readers = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false).connect_lazy_with(reading);
        Ok(Self { writer: Arc::new(Mutex::new(Some(writer))), writing, readers })
    }

    /// A connection to read with.
    async fn reader(&self) -> Result<PoolConnection<Sqlite>, StatementError> {
        Ok(self.readers.acquire().await?)
    }

    /// The writer, as soon as it is free, with no transaction open.
    async fn writer(&self) -> WriterGuard {
        let guard = self.writer.clone().lock_owned().await;
        WriterGuard { guard: with_group_ended(guard).await, writing: self.writing.clone() }
    }
}

/// The writer's lock, held.
struct WriterGuard {
    guard: Option<OwnedMutexGuard<Option<Writer>>>,
    writing: SqliteConnectOptions,
}

impl WriterGuard {
    /// The connection, for a write of one statement.
    fn connection(&mut self) -> Result<&mut SqliteConnection, StatementError> {
        Ok(&mut self.writer()?.connection)
    }

    fn writer(&mut self) -> Result<&mut Writer, StatementError> {
        self.guard.as_mut().and_then(|guard| guard.as_mut()).ok_or_else(closed)
    }

    /// A transaction that can write from its start. Dropping it rolls it back.
    async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, StatementError> {
        // What was dropped is rolled back before the next statement; a transaction that is counted as open after that will be for ever.
        let connection = self.connection()?;
        if connection.is_in_transaction() {
            connection.ping().await?;
        }
        if connection.is_in_transaction() {
            let writing = self.writing.clone();
            self.writer()?.replace_connection(&writing, "a transaction could not be rolled back").await?;
        }
        Ok(self.connection()?.begin_with(BEGIN).await?)
    }
}

impl Writer {
    /// Opens another connection, because no transaction can be begun on the present one. SQLite ends a transaction by itself when the disk is
    /// full; the driver's rollback then fails, and the driver counts the transaction as open from then on.
    async fn replace_connection(&mut self, writing: &SqliteConnectOptions, reason: &str) -> Result<(), StatementError> {
        tracing::warn!(reason, "the connection that writes to the SQLite file is replaced");
        let broken = std::mem::replace(&mut self.connection, writing.connect().await?);
        if let Err(error) = broken.close().await {
            tracing::debug!(%error, "a broken connection did not close well");
        }
        Ok(())
    }
}

fn closed() -> StatementError {
    StatementError::Other(StoreError::Unavailable("the store is closed".into()))
}

/// Takes the lock beside the file.
fn lock(path: &Path) -> StoreResult<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = private(&name)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Unavailable(format!(
            "another Legwork uses {}; stop it, or talk to the running server instead",
            path.display()
        ))),
        Err(error) => Err(unusable(&name, &error.into())),
    }
}

/// A file that nobody else may read, if it is new.
fn private(path: &Path) -> StoreResult<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600).open(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{} cannot be used: {error}", path.display()))
}

#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> StoreResult<()> {
        let mut writer = self.writer().await;
        Ok(migrations::migrate(writer.connection()?).await?)
    }

    async fn is_migrated(&self) -> StoreResult<bool> {
        Ok(migrations::is_migrated(&mut *self.reader().await?).await?)
    }

    async fn ping(&self) -> StoreResult<Timestamp> {
        self.reader().await?.ping().await.map_err(StatementError::from)?;
        Ok(workers::machine_time())
    }

    async fn close(&self) {
        self.readers.close().await;
        let writer = self.writer().await.guard.and_then(|mut guard| guard.take());
        if let Some(Writer { connection, _lock, .. }) = writer
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the SQLite file was not closed in good order");
        }
    }

    fn concurrent_writes(&self) -> usize {
        1
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::QueueName;
    use crate::store::{QueueChange, TaskControl as _};

    #[tokio::test]
    async fn a_connection_whose_rollback_failed_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db")).await.unwrap();
        store.migrate().await.unwrap();
        {
            let mut writer = store.writer().await;
            let mut transaction = writer.begin().await.unwrap();
            // As SQLite does by itself when the disk is full; the driver's own rollback fails after that.
            sqlx::raw_sql("ROLLBACK").execute(&mut *transaction).await.unwrap();
        }
        let queue = QueueName::parse("a").unwrap();
        for _ in 0..2 {
            store.change_queue(&queue, &QueueChange::default(), Timestamp::UNIX_EPOCH).await.unwrap();
            assert!(!store.ensure_queues(std::slice::from_ref(&queue), Timestamp::UNIX_EPOCH).await.unwrap());
        }
        store.close().await;
    }
}
