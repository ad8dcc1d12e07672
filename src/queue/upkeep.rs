//! What the engine does and tells for its own upkeep: behind the port of the kinds, and for the scheduler.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::sweep::SWEEP_BATCH;
use super::{Queue, QueueError};
use crate::domain::TaskStatus;
use crate::services::files::{FileError, FileResult, RemovedExpired};
use crate::store::{EndedGroup, StoreError, StoreResult};
use crate::tasks::upkeep::{BusyQueue, PrunedFiles, Upkeep};

/// How long a dead worker stays on the list.
pub const DEAD_WORKERS_KEPT: Duration = Duration::from_hours(1);
/// A temporary file that was not written for so long is nobody's, unless its attempt runs.
const SCRATCH_KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Where every file is to expire: what is there and on no list was made by `legwork run`, which has none.
const EXPIRING: [&str; 2] = ["exports", "reports"];

impl Queue {
    /// Removes expired files; with the last of them also exports and reports that are on no list, and temporary files of this machine that
    /// nobody needs. What fails keeps none of the others; the first failure is told.
    pub async fn prune_files_once(&self) -> FileResult<PrunedFiles> {
        let expired = self.file_keeper().remove_expired(self.clock.now(), SWEEP_BATCH).await;
        if let Ok(RemovedExpired { count: expired, has_more: true }) = expired {
            return Ok(PrunedFiles { expired, has_more: true, ..PrunedFiles::default() });
        }
        let unlisted = self.prune_unlisted().await;
        let temporary = self.prune_scratch_once().await;
        Ok(PrunedFiles { expired: expired?.count, unlisted: unlisted?, temporary: temporary?, has_more: false })
    }

    async fn prune_unlisted(&self) -> FileResult<usize> {
        let Ok(before) = self.clock.now().checked_sub(self.services.export_retention) else { return Ok(0) };
        let (mut removed, mut failure) = (0, None);
        for folder in EXPIRING {
            match self.file_keeper().remove_unlisted(folder, before).await {
                Ok(count) => removed += count,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(removed), Err)
    }

    /// Removes temporary files of this machine that were not written for an hour and whose attempt does not run: how many.
    pub async fn prune_scratch_once(&self) -> FileResult<usize> {
        let now = self.clock.now();
        let files = &self.services.files;
        let (mut removed, mut failure) = (0, None);
        for old in files.old_scratch(now.checked_sub(SCRATCH_KEPT).unwrap_or(now)).await? {
            let row = match old.maker {
                Some(maker) => self.store.find(maker.task).await?,
                None => None,
            };
            let attempt = old.maker.map(|maker| maker.attempt);
            if row.is_none_or(|row| row.status != TaskStatus::Started || Some(row.attempt) != attempt) {
                match files.remove_scratch(&old).await {
                    Ok(()) => removed += 1,
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        }
        failure.map_or(Ok(removed), Err)
    }
}

#[async_trait]
impl Upkeep for Queue {
    fn result_retention(&self) -> Duration {
        self.config.result_retention
    }

    async fn prune_results(&self, age: Duration) -> StoreResult<bool> {
        self.prune_once(age, self.config.key_retention, DEAD_WORKERS_KEPT).await
    }

    async fn prune_files(&self) -> FileResult<PrunedFiles> {
        self.prune_files_once().await
    }

    async fn ping_database(&self) -> StoreResult<()> {
        self.store.ping().await.map(drop)
    }

    async fn ping_broker(&self) -> Result<(), String> {
        self.broker.ping().await.map_err(|error| error.to_string())
    }

    async fn busy_queues(&self) -> StoreResult<Vec<BusyQueue>> {
        let queues = self.queues().await.map_err(|error| match error {
            QueueError::Store(error) => error,
            QueueError::Broker(error) => StoreError::Unavailable(error.to_string()),
        })?;
        let busy = queues.into_iter().filter(|queue| !queue.paused && queue.depth > 0);
        let busy = busy.map(|queue| BusyQueue {
            name: queue.name.to_string(),
            due: queue.depth,
            oldest: Duration::try_from_secs_f64(queue.oldest_seconds.unwrap_or(0.0)).unwrap_or_default(),
            workers: queue.workers,
        });
        Ok(busy.collect())
    }

    async fn ended_groups(&self, from: Timestamp, to: Timestamp) -> StoreResult<Vec<EndedGroup>> {
        self.store.ended_groups(from, to).await
    }
}

/// A storage that is away, to who knows stores only.
pub fn as_store_error(error: FileError) -> StoreError {
    match error {
        FileError::Registry(error) => error,
        error => StoreError::Unavailable(error.to_string()),
    }
}
