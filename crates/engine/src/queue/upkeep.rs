//! What the scheduler and the kinds that look after the engine ask of it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Queue, QueueError};
use crate::store::{EndedGroup, StoreError, StoreResult};

/// How long a dead worker stays on the list.
pub const DEAD_WORKERS_KEPT: Duration = Duration::from_hours(1);

/// A queue that is not paused and holds due tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct BusyQueue {
    /// Name of the queue.
    pub name: String,
    /// Tasks that are due.
    pub due: u64,
    /// How long the oldest of them has been due.
    pub oldest: Duration,
    /// Live workers that serve it.
    pub workers: usize,
}

impl Queue {
    /// How long results are kept, by the settings.
    pub fn result_retention(&self) -> Duration {
        self.config.result_retention
    }

    /// Deletes a bounded number of results older than `age`, and what belongs to them; returns whether more is left to do.
    pub async fn prune_results(&self, age: Duration) -> StoreResult<bool> {
        self.prune_once(age, self.config.key_retention, DEAD_WORKERS_KEPT).await
    }

    /// The queues that are not paused and hold due tasks, with the workers that serve them.
    pub async fn busy_queues(&self) -> StoreResult<Vec<BusyQueue>> {
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

    /// Counts of the tasks that ended from `from` on and before `to`.
    pub async fn ended_groups(&self, from: Timestamp, to: Timestamp) -> StoreResult<Vec<EndedGroup>> {
        self.store.ended_groups(from, to).await
    }
}
