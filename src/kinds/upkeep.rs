//! What the kinds that look after the system itself may ask of the engine. The engine is above the kinds, so this is a port.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

pub use crate::files::PrunedFiles;
use crate::files::{FileResult, FileUpkeep};
use legwork_engine::queue::Queue;
pub use legwork_engine::queue::upkeep::BusyQueue;
use legwork_engine::store::{EndedGroup, StoreError, StoreResult};
use std::sync::Arc;

/// The engine, as its own upkeep sees it.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// How long results are kept as set.
    fn result_retention(&self) -> Duration;

    /// Forgets results older than `age`, and what belongs to them: a bounded step; whether more is left to do.
    async fn prune_results(&self, age: Duration) -> StoreResult<bool>;

    /// Removes expired files and temporary files of tasks that are over: a bounded step.
    async fn prune_files(&self) -> FileResult<PrunedFiles>;

    /// Whether the database answers.
    async fn ping_database(&self) -> StoreResult<()>;

    /// Whether the broker answers; else why not.
    async fn ping_broker(&self) -> Result<(), String>;

    /// The queues that are not paused and hold due work, with who serves them.
    async fn busy_queues(&self) -> StoreResult<Vec<BusyQueue>>;

    /// What ended from `from` on and before `to`.
    async fn ended_groups(&self, from: Timestamp, to: Timestamp) -> StoreResult<Vec<EndedGroup>>;
}

/// The engine of this process, and its files.
pub struct EngineUpkeep {
    /// The engine that the upkeep works on.
    pub engine: Arc<Queue>,
    /// Removes files whose retention has ended.
    pub files: FileUpkeep,
}

#[async_trait]
impl Upkeep for EngineUpkeep {
    fn result_retention(&self) -> Duration {
        self.engine.result_retention()
    }

    async fn prune_results(&self, age: Duration) -> StoreResult<bool> {
        self.engine.prune_results(age).await
    }

    async fn prune_files(&self) -> FileResult<PrunedFiles> {
        self.files.prune_once().await
    }

    async fn ping_database(&self) -> StoreResult<()> {
        self.engine.ping().await.0.map(drop)
    }

    async fn ping_broker(&self) -> Result<(), String> {
        self.engine.ping().await.1.map_err(|error| error.to_string())
    }

    async fn busy_queues(&self) -> StoreResult<Vec<BusyQueue>> {
        self.engine.busy_queues().await
    }

    async fn ended_groups(&self, from: Timestamp, to: Timestamp) -> StoreResult<Vec<EndedGroup>> {
        self.engine.ended_groups(from, to).await
    }
}

/// Where there is no engine, as in `legwork run`: nothing can be asked.
pub struct NoEngine;

impl NoEngine {
    fn refusal() -> StoreError {
        StoreError::Unavailable("there is no engine here; submit the task to the server".into())
    }
}

#[async_trait]
impl Upkeep for NoEngine {
    fn result_retention(&self) -> Duration {
        Duration::MAX
    }

    async fn prune_results(&self, _age: Duration) -> StoreResult<bool> {
        Err(Self::refusal())
    }

    async fn prune_files(&self) -> FileResult<PrunedFiles> {
        Err(Self::refusal().into())
    }

    async fn ping_database(&self) -> StoreResult<()> {
        Err(Self::refusal())
    }

    async fn ping_broker(&self) -> Result<(), String> {
        Err(Self::refusal().to_string())
    }

    async fn busy_queues(&self) -> StoreResult<Vec<BusyQueue>> {
        Err(Self::refusal())
    }

    async fn ended_groups(&self, _from: Timestamp, _to: Timestamp) -> StoreResult<Vec<EndedGroup>> {
        Err(Self::refusal())
    }
}
