//! Hands work to the pool: deliveries from the broker, or from the store where the broker is away; then their start.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Queue;
use crate::broker::{BrokerError, Delivery, FetchRequest, Signal};
use crate::clock::to_micros;
use crate::domain::{Dispatch, QueueName, TaskRef, TaskStatus, WorkerId};
use crate::store::{StartAnswer, StartBatch, StoreResult, TaskChange};

/// How often a broker that is away is asked again.
const BROKER_PAUSE: Duration = Duration::from_secs(1);
/// How often a broker that had nothing is asked whether it takes dispatches.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// How often it is told that the broker is away, while it is.
const LOG_OUTAGE_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);
/// How often the store is asked while the broker is away and nothing was due.
const POLL_PAUSE: Duration = Duration::from_millis(250);

/// The pool's way to its work. One a pool.
pub struct DispatchFetcher {
    queue: Arc<Queue>,
    retry_broker_at: Timestamp,
    /// While the broker is away: when that was told last.
    outage_logged_at: Option<Timestamp>,
    /// When the broker was last asked whether it takes dispatches, and whether it refused.
    probe: Option<(Instant, bool)>,
}

/// A delivery and what its start decided.
#[derive(Debug)]
pub struct Decided {
    /// What was handed out.
    pub delivery: Delivery,
    /// What became of it.
    pub answer: StartAnswer,
}

impl DispatchFetcher {
    /// A fetcher of `queue`'s work.
    pub fn new(queue: Arc<Queue>) -> Self {
        Self { queue, retry_broker_at: Timestamp::MIN, outage_logged_at: None, probe: None }
    }

    /// Up to `request.max` deliveries; waits up to `request.wait` for the first. Where the broker is away, or has nothing and takes no dispatches
    /// either, due rows are read from the store.
    pub async fn fetch(&mut self, request: &FetchRequest) -> Vec<Delivery> {
        let now = self.queue.clock.now();
        if now >= self.retry_broker_at && !self.refused_just_now() {
            match self.fetch_from_broker(request).await {
                Ok(deliveries) => {
                    if self.outage_logged_at.take().is_some() {
                        tracing::info!("the broker is back; work comes from it again");
                    }
                    if !deliveries.is_empty() || (!self.queue.dispatcher.is_failing() && self.accepts_dispatches().await) {
                        return deliveries;
                    }
                }
                Err(error) => {
                    if self.outage_logged_at.is_none_or(|logged| now.duration_since(logged) >= LOG_OUTAGE_EVERY) {
                        self.outage_logged_at = Some(now);
                        tracing::warn!(%error, "the broker is not available; work is read from the database until it is");
                    }
                    self.retry_broker_at = self.queue.clock.now() + BROKER_PAUSE;
                }
            }
        }
        self.poll(request).await
    }

    /// Whether the broker refused dispatches when it was last asked, a moment ago. What it holds is in the store too, which is then read.
    fn refused_just_now(&self) -> bool {
        self.probe.is_some_and(|(asked, refused)| refused && asked.elapsed() < BROKER_PAUSE)
    }

    /// Whether the broker takes dispatches: where it is full, nothing will come from it, and others know that before this process does.
    async fn accepts_dispatches(&mut self) -> bool {
        if let Some((asked, refused)) = self.probe
            && asked.elapsed() < PROBE_EVERY
        {
            return !refused;
        }
        let asked = self.queue.broker.accepts_dispatches().await;
        let was_refused = self.probe.replace((Instant::now(), asked.is_err())).is_some_and(|(_, refused)| refused);
        match asked {
            Err(error) if !was_refused => {
                tracing::warn!(%error, "the broker does not take dispatches; work is read from the database until it does");
            }
            Ok(()) if was_refused => tracing::info!("the broker takes dispatches again; work comes from it"),
            _ => {}
        }
        self.probe.is_none_or(|(_, refused)| !refused)
    }

    async fn fetch_from_broker(&self, request: &FetchRequest) -> Result<Vec<Delivery>, BrokerError> {
        if !self.queue.dispatcher.is_failing() && !self.probe.is_some_and(|(_, refused)| refused) {
            return self.queue.broker.fetch(request).await;
        }
        // It is full, or may be read only: what it holds is taken, but nothing new comes from it.
        self.queue.broker.fetch(&FetchRequest { wait: request.wait.min(POLL_PAUSE), ..request.clone() }).await
    }

    async fn poll(&self, request: &FetchRequest) -> Vec<Delivery> {
        let queues: Vec<QueueName> = request.quotas.iter().map(|quota| quota.queue.clone()).collect();
        let limit = u32::try_from(request.max).unwrap_or(u32::MAX);
        let polled = self.queue.store.poll(&queues, self.queue.clock.now(), limit).await;
        let deliveries = match polled {
            Ok(dispatches) => within_quotas(dispatches, request),
            Err(error) => {
                tracing::warn!(%error, "due tasks could not be read");
                Vec::new()
            }
        };
        if deliveries.is_empty() {
            tokio::time::sleep(request.wait.min(POLL_PAUSE)).await;
        }
        deliveries
    }
}

fn within_quotas(dispatches: Vec<Dispatch>, request: &FetchRequest) -> Vec<Delivery> {
    let mut left: Vec<usize> = request.quotas.iter().map(|quota| quota.max).collect();
    dispatches
        .into_iter()
        .filter(|dispatch| {
            let quota = request.quotas.iter().position(|quota| quota.queue == dispatch.queue);
            quota.is_some_and(|quota| {
                let has_room = left[quota] > 0;
                left[quota] -= usize::from(has_room);
                has_room
            })
        })
        .map(|dispatch| Delivery { dispatch })
        .collect()
}

impl Queue {
    /// Starts the attempts of `deliveries`, as far as the store decides so. After an error nothing is known of them: rows that still wait are
    /// dispatched again by the sweep of lost dispatches.
    pub async fn start_attempts(
        self: &Arc<Self>,
        worker: WorkerId,
        worker_name: &str,
        exclusive: bool,
        deliveries: Vec<Delivery>,
    ) -> StoreResult<Vec<Decided>> {
        let refs: Vec<TaskRef> = deliveries.iter().map(|delivery| delivery.dispatch.task).collect();
        let timer = self.metrics.store_timer("start");
        let limits = self.rate_limits.read().clone();
        let batch = StartBatch { worker, worker_name, now: self.clock.now(), exclusive, refs: &refs, limits: &limits };
        let answers = self.store.start(&batch).await?;
        drop(timer);
        let mut started = Vec::with_capacity(answers.len());
        let mut ended = Vec::new();
        for answer in &answers {
            match answer {
                StartAnswer::Started(task) => started.push((task.id, TaskStatus::Started)),
                StartAnswer::Ended(end) => ended.push(end.clone()),
                StartAnswer::Postponed | StartAnswer::NeedsExclusive | StartAnswer::Gone => {}
            }
        }
        let decided: Vec<Decided> =
            deliveries.into_iter().zip(answers).map(|(delivery, answer)| Decided { delivery, answer }).collect();
        self.follow_up(started, ended);
        Ok(decided)
    }

    /// Publishes events, which must not hold up the attempts.
    fn follow_up(self: &Arc<Self>, started: Vec<(crate::domain::TaskId, TaskStatus)>, ended: Vec<crate::store::Ended>) {
        let signal = (!started.is_empty()).then_some(Signal::Changed { tasks: started });
        if let Some(signal) = &signal {
            // At once, so that nobody here hears of an end before he hears of the start.
            self.event_hub.publish(signal);
        }
        let queue = self.clone();
        self.shutdown.spawn(async move {
            if let Some(signal) = &signal
                && let Err(error) = queue.broker.signal(signal).await
            {
                tracing::debug!(%error, "starts could not be signalled; others will find out by looking");
            }
            queue.publish_ended(ended).await;
        });
    }

    /// Ends a waiting fetch of this process.
    pub fn wake(&self) {
        self.broker.wake();
    }

    /// Releases deliveries that will not be started here: they are dispatched again.
    pub async fn release_deliveries(&self, deliveries: Vec<Delivery>) {
        if !deliveries.is_empty() {
            self.dispatcher.dispatch(deliveries.into_iter().map(|delivery| delivery.dispatch).collect()).await;
        }
    }

    /// Postpones a waiting task that cannot run here now. No retry is spent. Where the store does not answer, the sweep of lost dispatches finds
    /// the row.
    pub async fn postpone(&self, delivery: Delivery, pause: Duration) {
        let now = self.clock.now();
        let change = TaskChange { due_at: Some(to_micros(now + pause)), ..TaskChange::default() };
        if let Err(error) = self.store.change(delivery.dispatch.task.id, &change, now).await {
            tracing::warn!(%error, "a task could not be postponed");
        }
    }

    /// Takes a worker that ended in good order off the list.
    pub async fn leave(&self, worker: WorkerId) {
        if let Err(error) = self.store.leave(worker).await {
            tracing::warn!(%error, "the worker could not be taken off the list; it will be declared dead");
        }
    }
}
