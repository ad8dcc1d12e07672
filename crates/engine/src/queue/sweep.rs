//! What the scheduler steps: each a call that does a bounded piece and says how much it did.

use std::time::Duration;

use jiff::Timestamp;

use super::Queue;
use crate::domain::{EndReason, ErrorReport, Next, PriorityBand, QueueName, after_crash};
use crate::store::{Prune, Settlement, StartedRow, StoreError, StoreResult};

/// At most so many rows a step.
pub const SWEEP_BATCH: u32 = 1_000;
/// So far from the order of their times may entries lie that several processes have dispatched.
const DISPATCH_DISORDER: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

impl Queue {
    /// Dispatches what has become due: how many. Does nothing while the broker is away, because the workers then read the store.
    pub async fn dispatch_due_once(&self) -> StoreResult<usize> {
        if !self.dispatcher.is_trusted() {
            return Ok(0);
        }
        let now = self.clock.now();
        if self.store.next_dispatch_at().await?.is_none_or(|next| next > now) {
            return Ok(0);
        }
        let due = self.store.take_due(now, SWEEP_BATCH).await?;
        let count = due.len();
        self.dispatcher.dispatch(due).await;
        Ok(count)
    }

    /// Ends waiting tasks that have expired: how many.
    pub async fn expire_once(&self) -> StoreResult<usize> {
        let ended = self.store.expire(self.clock.now(), SWEEP_BATCH).await?;
        let count = ended.len();
        self.publish_ended(ended).await;
        Ok(count)
    }

    /// Gives the tasks of workers that have not been heard of since `heartbeat_before` to others: how many.
    pub async fn rescue_once(&self, heartbeat_before: Timestamp) -> StoreResult<usize> {
        let now = self.clock.now();
        let lost = self.store.started_by_the_dead(heartbeat_before, now, SWEEP_BATCH).await?;
        if lost.is_empty() {
            return Ok(0);
        }
        for row in &lost {
            tracing::warn!(task.id = %row.id, task.kind = %row.kind, attempt = %row.attempt, worker = row.worker_name, "rescued from a dead worker");
        }
        let settlements = lost.into_iter().map(|row| {
            let next = after_crash(row.facts, row.progressed, &row.worker_name, now);
            settlement(row, next, now)
        });
        let rescued = self.settle_all(settlements.collect()).await;
        self.metrics.tasks_rescued(rescued);
        Ok(rescued)
    }

    /// Ends what runs past its hard limit and `grace`: its worker should have, long ago. How many.
    ///
    /// Only the time since `sees_since` counts: before it, the clock may have been set, and a running task would seem to have run for hours.
    pub async fn overrun_once(&self, grace: Duration, sees_since: Timestamp) -> StoreResult<usize> {
        let now = self.clock.now();
        let mut over = self.store.overrun(grace, now, SWEEP_BATCH).await?;
        over.retain(|row| {
            let seen = now.duration_since(row.started_at.max(sees_since));
            Duration::try_from(seen).is_ok_and(|seen| seen > row.hard_limit + grace)
        });
        if over.is_empty() {
            return Ok(0);
        }
        let settlements = over.into_iter().map(|row| {
            let next = if row.revoke_requested_at.is_some() {
                Next::revoked(EndReason::Revoked)
            } else {
                let message = format!("it ran past its limit of {} s and its worker did not end it", row.hard_limit.as_secs());
                Next::failure(ErrorReport::new("TimeLimitExceeded", message, false))
            };
            settlement(row, next, now)
        });
        Ok(self.settle_all(settlements.collect()).await)
    }

    /// Releases what the store says `row`'s worker runs, and the worker does not know of.
    pub async fn release_orphans(&self, rows: Vec<StartedRow>) -> usize {
        let now = self.clock.now();
        let settlements = rows.into_iter().map(|row| settlement(row, Next::Release { due_at: now }, now));
        self.settle_all(settlements.collect()).await
    }

    /// Dispatches again what waits and was dispatched longer than `grace` ago, where the broker holds nothing that old any more: how many.
    ///
    /// This is the one recovery of lost dispatches: of those that the broker lost, and of those that a worker fetched and did not start.
    pub async fn redispatch_lost_once(&self, grace: Duration) -> StoreResult<usize> {
        if !self.dispatcher.is_trusted() {
            return Ok(0);
        }
        let mut dispatched = 0;
        for queue in self.store.queues().await? {
            if queue.paused_at.is_some() {
                continue;
            }
            for band in PriorityBand::ALL {
                dispatched += self.redispatch_lost_of(&queue.name, band, grace).await?;
            }
        }
        Ok(dispatched)
    }

    async fn redispatch_lost_of(&self, queue: &QueueName, band: PriorityBand, grace: Duration) -> StoreResult<usize> {
        let now = self.clock.now();
        let Ok(oldest_waiting) = self.broker.oldest_waiting(queue, band).await else { return Ok(0) };
        let settled = now.checked_sub(jiff::SignedDuration::try_from(grace).unwrap_or_default()).unwrap_or(now);
        let all_wait_since = oldest_waiting.map(|oldest| oldest.checked_sub(DISPATCH_DISORDER).unwrap_or(oldest));
        let dispatched_before = all_wait_since.map_or(settled, |since| since.min(settled));
        let lost = self.store.take_lost(queue, band, dispatched_before, now, SWEEP_BATCH).await?;
        let count = lost.len();
        if count > 0 {
            tracing::warn!(%queue, band = band.as_str(), tasks = count, "dispatches were lost and are sent again");
            self.metrics.dispatches_lost(count);
            self.dispatcher.dispatch(lost).await;
        }
        Ok(count)
    }

    /// Makes partitions ahead. Where that of today is missing, no end can be stored, and the gate is closed until it is there.
    pub async fn make_partitions(&self) -> StoreResult<()> {
        let made = self.store.make_partitions(self.clock.now()).await;
        match &made {
            Ok(()) => self.settle_gate.note_missing(None),
            Err(StoreError::Database(reason)) => self.settle_gate.note_missing(Some(reason.clone())),
            // Nothing is known of the partitions.
            Err(_) => {}
        }
        made
    }

    /// Forgets what is older than its retention; whether more is left to do.
    pub async fn prune_once(&self, results: Duration, keys: Duration, workers: Duration) -> StoreResult<bool> {
        let now = self.clock.now();
        let before =
            |age: Duration| now.checked_sub(jiff::SignedDuration::try_from(age).unwrap_or_default()).unwrap_or(Timestamp::MIN);
        let prune = Prune {
            results_before: before(results),
            keys_before: before(keys),
            workers_before: before(workers),
            now,
            limit: SWEEP_BATCH,
        };
        self.store.prune(&prune).await
    }
}

fn settlement(row: StartedRow, next: Next, now: Timestamp) -> Settlement {
    let worker_name = row.worker_name.into();
    let StartedRow { id, attempt, version, worker, .. } = row;
    Settlement { id, attempt, version, worker, worker_name, at: now, progress: None, next }
}
