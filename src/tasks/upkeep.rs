//! What the kinds that look after the system itself may ask of the engine. The engine is above the kinds, so this is a port.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::services::files::FileResult;
use crate::store::{EndedGroup, StoreError, StoreResult};

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

/// What a step has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunedFiles {
    /// Files that had expired.
    pub expired: usize,
    /// Old exports and reports that were on no list.
    pub unlisted: usize,
    /// Temporary files that nobody needs any more.
    pub temporary: usize,
    /// More have expired. Until that is over, only those are removed.
    pub has_more: bool,
}

/// A queue with due work.
#[derive(Clone, Debug, PartialEq)]
pub struct BusyQueue {
    /// Its name.
    pub name: String,
    /// Tasks that are due.
    pub due: u64,
    /// How long the oldest of them has been due.
    pub oldest: Duration,
    /// Live workers that serve it.
    pub workers: usize,
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
