//! The cluster: heartbeats and commands.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;

use super::rows::{corrupt, json, sql_time, time};
use super::{PgStore, pooled};
use crate::domain::{WorkerId, WorkerInfo, WorkerRow};
use crate::store::{HeartbeatAnswer, StoreResult, WorkerCommand, Workers};

const HEARTBEAT: &str = "-- heartbeat
INSERT INTO workers AS w (id, name, info, heartbeat_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET name = $2, info = $3, heartbeat_at = $4, dead = false
RETURNING clock_timestamp(), w.command";

const LEAVE: &str = "-- leave
DELETE FROM workers WHERE id = $1";

const FIND_WORKERS: &str = "-- find_workers
SELECT info, heartbeat_at, dead FROM workers ORDER BY name, id";

const COMMAND: &str = "-- command
UPDATE workers SET command = $2 WHERE name = $1 AND NOT dead";

const fn command_word(command: WorkerCommand) -> &'static str {
    match command {
        WorkerCommand::Drain => "drain",
        WorkerCommand::Shutdown => "shutdown",
    }
}

#[async_trait]
impl Workers for PgStore {
    async fn heartbeat(&self, info: &WorkerInfo, now: Timestamp) -> StoreResult<HeartbeatAnswer> {
        pooled(async {
            let row = sqlx::query(HEARTBEAT)
                .bind(info.id.as_uuid())
                .bind(&info.name)
                .bind(json(info)?)
                .bind(sql_time(now))
                .fetch_one(&self.pool)
                .await?;
            let reported: Option<&str> = row.try_get(1)?;
            let known = [WorkerCommand::Drain, WorkerCommand::Shutdown];
            let command = reported.and_then(|word| known.into_iter().find(|command| command_word(*command) == word));
            Ok(HeartbeatAnswer { store_now: time(&row, 0)?, command })
        })
        .await
    }

    async fn leave(&self, worker: WorkerId) -> StoreResult<()> {
        pooled(async { Ok(sqlx::query(LEAVE).bind(worker.as_uuid()).execute(&self.pool).await.map(drop)?) }).await
    }

    async fn workers(&self) -> StoreResult<Vec<WorkerRow>> {
        pooled(async {
            let rows = sqlx::query(FIND_WORKERS).fetch_all(&self.pool).await?;
            let worker = |row| {
                let info = serde_json::from_str(sqlx::Row::try_get(row, 0)?).map_err(|error| corrupt("workers", error))?;
                Ok(WorkerRow { info, heartbeat_at: time(row, 1)?, dead: row.try_get(2)? })
            };
            rows.iter().map(worker).collect()
        })
        .await
    }

    async fn command(&self, name: &str, command: WorkerCommand) -> StoreResult<bool> {
        pooled(async {
            let reported = sqlx::query(COMMAND).bind(name).bind(command_word(command)).execute(&self.pool).await?;
            Ok(reported.rows_affected() > 0)
        })
        .await
    }
}
