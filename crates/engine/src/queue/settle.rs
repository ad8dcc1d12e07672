//! Ends attempts: one fenced group commit, and the events of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Queue;
use super::batch::{Answers, Flush};
use super::dispatcher::Dispatcher;
use super::event_hub::EventHub;
use super::settle_gate::{FailingWrite, SettleGate};
use super::storable::storable;
use crate::broker::{SharedBroker, Signal};
use crate::domain::{Dispatch, TaskId, TaskStatus};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::store::{Settled, Settlement, SharedStore, StoreError};

/// The first pause before a settlement is written again that the store did not take.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two tries to write a settlement.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What became of a settlement; `Err` where the process ended before the store took it: the rescue has the task now.
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
    /// Closed while a write is repeated.
    pub(super) gate: Arc<SettleGate>,
    pub(super) shutdown: Shutdown,
    pub(super) lease: Duration,
}

#[async_trait]
impl Flush<Settlement, SettleAnswer> for SettleFlush {
    /// Writes until the store has taken everything. Writing again is safe: a settlement finds its own result. Meanwhile the attempts count as
    /// running here, so that nobody runs them again, and nothing more is started.
    async fn flush(&self, settlements: Vec<Settlement>, mut answers: Answers<SettleAnswer>) {
        let started = tokio::time::Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut failing_write: Option<FailingWrite> = None;
        let mut left: Vec<(usize, Settlement)> = Vec::new();
        let (mut places, mut batch): (Vec<usize>, Vec<Settlement>) = settlements.into_iter().enumerate().unzip();
        while !batch.is_empty() {
            let failure = self.write(places, batch, &mut answers, &mut left).await;
            if let Some(error) = failure {
                if self.shutdown.is_started() && started.elapsed() >= self.lease {
                    return give_up(&left, &error, &mut answers);
                }
                if let Some(write) = &failing_write {
                    write.failed_again(error.to_string());
                } else {
                    tracing::error!(%error, tasks = left.len(), "ends of tasks cannot be stored; nothing is started until they can");
                    failing_write = Some(self.gate.close(error.to_string()));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            (places, batch) = std::mem::take(&mut left).into_iter().unzip();
        }
        if failing_write.is_some() {
            tracing::info!("ends of tasks can be stored again");
        }
    }

    fn bytes(&self, settlement: &Settlement) -> usize {
        settlement.bytes()
    }
}

/// The process ends before the store has taken these: the rescue has the tasks now.
fn give_up(left: &[(usize, Settlement)], error: &StoreError, answers: &mut Answers<SettleAnswer>) {
    tracing::error!(%error, tasks = left.len(), "ends of tasks could not be stored; the tasks will be rescued and run again");
    for (place, _) in left {
        answers.send_one(*place, Err(error.clone()));
    }
}

impl SettleFlush {
    /// Writes once. What is to be written again goes to `left`; the answer is why, where the store took none of it.
    async fn write(
        &self,
        places: Vec<usize>,
        batch: Vec<Settlement>,
        answers: &mut Answers<SettleAnswer>,
        left: &mut Vec<(usize, Settlement)>,
    ) -> Option<StoreError> {
        let timer = self.metrics.store_timer("settle");
        let written = self.store.settle(&batch).await;
        drop(timer);
        let results = written.unwrap_or_else(|error| batch.iter().map(|_| Err(error.clone())).collect());
        let (mut failure, mut changed, mut callbacks) = (None, Vec::with_capacity(batch.len()), Vec::new());
        for ((place, settlement), result) in places.into_iter().zip(batch).zip(results) {
            match result {
                Ok(settled) => {
                    self.note(&settlement, &settled, &mut changed, &mut callbacks);
                    answers.send_one(place, Ok(settled));
                }
                Err(StoreError::Refused(reason)) => {
                    let id = settlement.id;
                    tracing::error!(task.id = %id, reason, "the end of a task was refused by the database; it is stored with less");
                    match storable(settlement, &reason) {
                        Some(settlement) => left.push((place, settlement)),
                        None => answers.send_one(place, Err(StoreError::Refused(reason))),
                    }
                }
                Err(error) => {
                    failure.get_or_insert(error);
                    left.push((place, settlement));
                }
            }
        }
        self.spread(changed).await;
        self.dispatcher.dispatch_promptly(callbacks).await;
        failure
    }

    /// Counts what was settled, and notes what is to be told of it.
    fn note(
        &self,
        settlement: &Settlement,
        settled: &Settled,
        changed: &mut Vec<(TaskId, TaskStatus)>,
        callbacks: &mut Vec<Dispatch>,
    ) {
        match settled {
            Settled::Ended(ended) => {
                self.metrics.task_ended(ended.status);
                changed.push((ended.id, ended.status.into()));
                callbacks.extend(ended.callback.clone());
            }
            Settled::Waiting { status, .. } => changed.push((settlement.id, *status)),
            Settled::Already => {}
            Settled::Superseded => tracing::warn!(
                task.id = %settlement.id, attempt = %settlement.attempt, reason = "lost_lease",
                "an outcome was refused: the attempt is not the present one any more"
            ),
        }
    }

    async fn spread(&self, tasks: Vec<(TaskId, TaskStatus)>) {
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
