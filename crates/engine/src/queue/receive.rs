//! Hands work to the pool: deliveries from the broker, or from the store where the broker is away; then their begin.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Queue;
use crate::broker::{BrokerError, Delivery, Signal, Want};
use crate::clock::to_micros;
use crate::domain::{Doorbell, QueueName, TaskRef, TaskStatus, WorkerId};
use crate::store::{BeginAnswer, BeginBatch, StoreResult, TaskChange};

/// How often a broker that is away is asked again.
const BROKER_PAUSE: Duration = Duration::from_secs(1);
/// How often it is told that the broker is away, while it is.
const TOLD_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);
/// How often the store is asked while the broker is away and nothing was due.
const POLL_PAUSE: Duration = Duration::from_millis(250);

/// The pool's way to its work. One a pool.
pub struct Receiver {
    queue: Arc<Queue>,
    ask_broker_at: Timestamp,
    /// While the broker is away: when that was told last.
    away_told_at: Option<Timestamp>,
}

/// A delivery and what its begin decided.
#[derive(Debug)]
pub struct Decided {
    /// What was handed out.
    pub delivery: Delivery,
    /// What became of it.
    pub answer: BeginAnswer,
}

impl Receiver {
    /// A receiver of `queue`'s work.
    pub fn new(queue: Arc<Queue>) -> Self {
        Self { queue, ask_broker_at: Timestamp::MIN, away_told_at: None }
    }

    /// Up to `want.max` deliveries; waits up to `want.wait` for the first. Where the broker is away, or has nothing and takes no doorbells
    /// either, due rows are read from the store.
    pub async fn receive(&mut self, want: &Want) -> Vec<Delivery> {
        let now = self.queue.clock.now();
        if now >= self.ask_broker_at {
            match self.ask_broker(want).await {
                Ok(deliveries) => {
                    if self.away_told_at.take().is_some() {
                        tracing::info!("the broker is back; work comes from it again");
                    }
                    if !deliveries.is_empty() || !self.queue.ringer.is_failing() {
                        return deliveries;
                    }
                }
                Err(error) => {
                    if self.away_told_at.is_none_or(|told| now.duration_since(told) >= TOLD_EVERY) {
                        self.away_told_at = Some(now);
                        tracing::warn!(%error, "the broker is away; work is read from the database until it is back");
                    }
                    self.ask_broker_at = self.queue.clock.now() + BROKER_PAUSE;
                }
            }
        }
        self.poll(want).await
    }

    async fn ask_broker(&self, want: &Want) -> Result<Vec<Delivery>, BrokerError> {
        if !self.queue.ringer.is_failing() {
            return self.queue.broker.receive(want).await;
        }
        // It is full, or may be read only: what it holds is taken, but nothing new comes from it.
        self.queue.broker.receive(&Want { wait: want.wait.min(POLL_PAUSE), ..want.clone() }).await
    }

    async fn poll(&self, want: &Want) -> Vec<Delivery> {
        let queues: Vec<QueueName> = want.lanes.iter().map(|lane| lane.queue.clone()).collect();
        let limit = u32::try_from(want.max).unwrap_or(u32::MAX);
        let polled = self.queue.store.poll(&queues, self.queue.clock.now(), limit).await;
        let deliveries = match polled {
            Ok(doorbells) => within_lanes(doorbells, want),
            Err(error) => {
                tracing::warn!(%error, "due tasks could not be read");
                Vec::new()
            }
        };
        if deliveries.is_empty() {
            tokio::time::sleep(want.wait.min(POLL_PAUSE)).await;
        }
        deliveries
    }
}

fn within_lanes(doorbells: Vec<Doorbell>, want: &Want) -> Vec<Delivery> {
    let mut left: Vec<usize> = want.lanes.iter().map(|lane| lane.max).collect();
    doorbells
        .into_iter()
        .filter(|doorbell| {
            let lane = want.lanes.iter().position(|lane| lane.queue == doorbell.queue);
            lane.is_some_and(|lane| {
                let has_room = left[lane] > 0;
                left[lane] -= usize::from(has_room);
                has_room
            })
        })
        .map(|doorbell| Delivery { doorbell, entry: String::new() })
        .collect()
}

impl Queue {
    /// Begins the attempts of `deliveries` and acknowledges them: the store has decided. A store that is away decides nothing, and
    /// nothing is acknowledged: the deliveries are reclaimed or rung again later.
    pub async fn begin(
        self: &Arc<Self>,
        worker: WorkerId,
        worker_name: &str,
        alone: bool,
        deliveries: Vec<Delivery>,
    ) -> StoreResult<Vec<Decided>> {
        let refs: Vec<TaskRef> = deliveries.iter().map(|delivery| delivery.doorbell.task).collect();
        let timer = self.metrics.store_timer("begin");
        let batch = BeginBatch { worker, worker_name, now: self.clock.now(), alone, refs: &refs };
        let answers = self.store.begin(&batch).await?;
        drop(timer);
        let mut started = Vec::with_capacity(answers.len());
        let mut ended = Vec::new();
        for answer in &answers {
            match answer {
                BeginAnswer::Begun(task) => started.push((task.id, TaskStatus::Started)),
                BeginAnswer::Ended(end) => ended.push(end.clone()),
                BeginAnswer::Postponed | BeginAnswer::NeedsSolitude | BeginAnswer::Gone => {}
            }
        }
        let decided: Vec<Decided> =
            deliveries.into_iter().zip(answers).map(|(delivery, answer)| Decided { delivery, answer }).collect();
        self.follow_up(&decided, started, ended);
        Ok(decided)
    }

    /// What must not hold up the attempts: the acknowledgement and the news.
    fn follow_up(
        self: &Arc<Self>,
        decided: &[Decided],
        started: Vec<(crate::domain::TaskId, TaskStatus)>,
        ended: Vec<crate::store::Ended>,
    ) {
        let done: Vec<Delivery> = decided
            .iter()
            // What needs solitude is begun once more, under the same delivery.
            .filter(|one| !matches!(one.answer, BeginAnswer::NeedsSolitude) && !one.delivery.entry.is_empty())
            .map(|one| one.delivery.clone())
            .collect();
        let signal = (!started.is_empty()).then_some(Signal::Changed { tasks: started });
        if let Some(signal) = &signal {
            // At once, so that nobody here hears of an end before he hears of the start.
            self.watchers.notice(signal);
        }
        let queue = self.clone();
        self.shutdown.spawn(async move {
            let told = async {
                match &signal {
                    Some(signal) => queue.broker.signal(signal).await,
                    None => Ok(()),
                }
            };
            let acknowledged = async { if done.is_empty() { Ok(()) } else { queue.broker.acknowledge(&done).await } };
            let (told, acknowledged) = tokio::join!(told, acknowledged);
            if let Err(error) = told {
                tracing::debug!(%error, "starts could not be told; others will find out by looking");
            }
            if let Err(error) = acknowledged {
                tracing::debug!(%error, "deliveries could not be acknowledged; they will come again and be dropped");
            }
            queue.tell_ended(ended).await;
        });
    }

    /// Takes over deliveries that some worker received and never began.
    pub async fn reclaim(&self, worker: WorkerId, queues: &[QueueName], idle: Duration, max: usize) -> Vec<Delivery> {
        match self.broker.reclaim(worker, queues, idle, max).await {
            Ok(deliveries) => deliveries,
            Err(error) => {
                tracing::debug!(%error, "stale deliveries could not be looked for");
                Vec::new()
            }
        }
    }

    /// Ends a waiting receive of this process.
    pub fn wake(&self) {
        self.broker.wake();
    }

    /// Gives deliveries back that will not be begun here: they are rung again and forgotten.
    pub async fn give_back(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        self.ringer.ring(deliveries.iter().map(|delivery| delivery.doorbell.clone()).collect()).await;
        if let Err(error) = self.broker.acknowledge(&deliveries).await {
            tracing::debug!(%error, "deliveries that were given back could not be acknowledged");
        }
    }

    /// Puts a waiting task off that cannot run here now, and forgets its delivery. Nothing is spent; where the store does not answer, the
    /// delivery stays held and comes again.
    pub async fn put_off(&self, delivery: Delivery, pause: Duration) {
        let now = self.clock.now();
        let change = TaskChange { due_at: Some(to_micros(now + pause)), ..TaskChange::default() };
        match self.store.change(delivery.doorbell.task.id, &change, now).await {
            Ok(_) => {
                if let Err(error) = self.broker.acknowledge(&[delivery]).await {
                    tracing::debug!(%error, "a delivery that was put off could not be acknowledged");
                }
            }
            Err(error) => tracing::warn!(%error, "a task could not be put off"),
        }
    }

    /// A worker leaves in good order.
    pub async fn leave(&self, worker: WorkerId, queues: &[QueueName]) {
        if let Err(error) = self.broker.leave(worker, queues).await {
            tracing::debug!(%error, "the worker could not be taken off the broker");
        }
        if let Err(error) = self.store.leave(worker).await {
            tracing::warn!(%error, "the worker could not be taken off the list; it will be declared dead");
        }
    }
}
