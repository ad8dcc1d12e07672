//! Ends attempts: one fenced group commit, and the events of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Queue;
use super::batch::{Answers, Flush};
use super::dispatcher::Dispatcher;
use super::event_hub::EventHub;
use crate::broker::{SharedBroker, Signal};
use crate::metrics::Metrics;
use crate::store::{Settled, Settlement, SharedStore, StoreError, StoreResult};

/// The first pause before a settlement is written again that the store did not take.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What became of a settlement; `Err` where the store did not take it for as long as the lease lasts: the rescue has the task now.
pub type SettleAnswer = Result<Settled, StoreError>;

impl Queue {
    /// Hands over the end of an attempt. Returns at once where there is room; the answer comes through the receiver.
    pub async fn settle(&self, settlement: Settlement) -> Option<tokio::sync::oneshot::Receiver<SettleAnswer>> {
        self.settlements.enqueue(settlement).await.ok()
    }

    /// Hands over many ends and waits for them: how many were applied.
    pub(super) async fn settle_all(&self, settlements: Vec<Settlement>) -> usize {
        let answers = self.settlements.submit_all(settlements).await;
        answers.into_iter().filter(|answer| matches!(answer, Ok(Ok(Settled::Ended(_) | Settled::Waiting { .. })))).count()
    }
}

/// The group commit of settlements.
pub(super) struct SettleFlush {
    pub(super) store: SharedStore,
    pub(super) broker: SharedBroker,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) event_hub: Arc<EventHub>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lease: Duration,
}

#[async_trait]
impl Flush<Settlement, SettleAnswer> for SettleFlush {
    async fn flush(&self, settlements: Vec<Settlement>, answers: Answers<SettleAnswer>) {
        let results = match self.write(&settlements).await {
            Ok(results) => results,
            Err(error) => {
                tracing::error!(%error, tasks = settlements.len(), "outcomes could not be stored; the tasks will be rescued and run again");
                answers.send(settlements.iter().map(|_| Err(error.clone())));
                return;
            }
        };
        let mut changed = Vec::with_capacity(results.len());
        let mut callbacks = Vec::new();
        for (settlement, result) in settlements.iter().zip(&results) {
            match result {
                Ok(Settled::Ended(ended)) => {
                    self.metrics.task_ended(ended.status);
                    changed.push((ended.id, ended.status.into()));
                    callbacks.extend(ended.callback.clone());
                }
                Ok(Settled::Waiting { status, .. }) => changed.push((settlement.id, *status)),
                Ok(Settled::Already) => {}
                Ok(Settled::Superseded) => tracing::warn!(
                    task.id = %settlement.id, attempt = %settlement.attempt, reason = "lost_lease",
                    "an outcome was refused: the attempt is not the present one any more"
                ),
                Err(error) => tracing::error!(task.id = %settlement.id, %error, "an outcome was refused by the database"),
            }
        }
        answers.send(results);
        self.spread(changed).await;
        self.dispatcher.dispatch_promptly(callbacks).await;
    }
}

impl SettleFlush {
    /// Writes until the store answers or the lease is over. Writing again is safe: a settlement finds its own result.
    async fn write(&self, settlements: &[Settlement]) -> StoreResult<Vec<Result<Settled, StoreError>>> {
        let give_up = tokio::time::Instant::now() + self.lease;
        let mut pause = FIRST_PAUSE;
        loop {
            let timer = self.metrics.store_timer("settle");
            let written = self.store.settle(settlements).await;
            drop(timer);
            match written {
                Err(error) if tokio::time::Instant::now() + pause < give_up => {
                    tracing::warn!(%error, tasks = settlements.len(), "outcomes could not be stored yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                answered => return answered,
            }
        }
    }

    async fn spread(&self, tasks: Vec<(crate::domain::TaskId, crate::domain::TaskStatus)>) {
        if tasks.is_empty() {
            return;
        }
        let signal = Signal::Changed { tasks };
        self.event_hub.publish(&signal);
        if let Err(error) = self.broker.signal(&signal).await {
            tracing::debug!(%error, "a signal could not be sent; others will find out by looking");
        }
    }
}
