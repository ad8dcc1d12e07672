//! The workers of the cluster; here it is the one of this process, and those that it was before.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::json;
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::clock::to_micros;
use crate::domain::{WorkerId, WorkerInfo, WorkerRow};
use crate::store::{HeartbeatAnswer, StoreResult, WorkerCommand, Workers};

const HEARTBEAT: &str = "-- heartbeat
INSERT INTO workers (id, heartbeat_at, name, info) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at, dead = 0, name = excluded.name, info = excluded.info
RETURNING command";

const LEAVE: &str = "-- leave
DELETE FROM workers WHERE id = ?1";

const WORKERS: &str = "-- workers
SELECT info, heartbeat_at, dead FROM workers ORDER BY name, id";

const COMMAND: &str = "-- command
UPDATE workers SET command = ?2 WHERE name = ?1 AND NOT dead";

const DRAIN: &str = "drain";
const SHUTDOWN: &str = "shutdown";

#[async_trait]
impl Workers for SqliteStore {
    async fn heartbeat(&self, info: &WorkerInfo, now: Timestamp) -> StoreResult<HeartbeatAnswer> {
        let reported = json::json(info)?;
        let mut writer = self.writer().await;
        let query =
            sqlx::query(HEARTBEAT).bind(info.id.as_uuid()).bind(now.as_microsecond()).bind(info.name.as_str()).bind(reported);
        let row = query.fetch_one(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(HeartbeatAnswer { store_now: machine_time(), command: command(&row)? })
    }

    async fn leave(&self, worker: WorkerId) -> StoreResult<()> {
        let mut writer = self.writer().await;
        sqlx::query(LEAVE).bind(worker.as_uuid()).execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(())
    }

    async fn workers(&self) -> StoreResult<Vec<WorkerRow>> {
        let rows = sqlx::query(WORKERS).fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(worker_row).collect::<Result<_, StatementError>>()?)
    }

    async fn command(&self, name: &str, command: WorkerCommand) -> StoreResult<bool> {
        let word = match command {
            WorkerCommand::Drain => DRAIN,
            WorkerCommand::Shutdown => SHUTDOWN,
        };
        let mut writer = self.writer().await;
        let query = sqlx::query(COMMAND).bind(name).bind(word);
        let done = query.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(done.rows_affected() > 0)
    }
}

/// The time of a store without a server: this machine's.
#[expect(clippy::disallowed_methods, reason = "the answer to a heartbeat carries the store's own time, and this is it")]
pub(super) fn machine_time() -> Timestamp {
    to_micros(Timestamp::now())
}

fn command(row: &SqliteRow) -> Result<Option<WorkerCommand>, StatementError> {
    let mut columns = Columns::of("workers", row);
    match columns.get::<Option<&str>>()? {
        None => Ok(None),
        Some(DRAIN) => Ok(Some(WorkerCommand::Drain)),
        Some(SHUTDOWN) => Ok(Some(WorkerCommand::Shutdown)),
        Some(other) => Err(columns.corrupt(format!("{other:?} is not a command"))),
    }
}

fn worker_row(row: &SqliteRow) -> Result<WorkerRow, StatementError> {
    let mut columns = Columns::of("workers", row);
    Ok(WorkerRow { info: columns.json()?, heartbeat_at: columns.time()?, dead: columns.get()? })
}
