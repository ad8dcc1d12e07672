//! Sends dispatches, and lets nobody in a hurry wait long for it: a slow broker is worse than a dead one.
//!
//! What the broker does not take is left to the sweep of due tasks. After a few failures in a row the breaker opens: for a while nothing is dispatched at all,
//! submissions are inserted as not dispatched, and the workers find their work in the store.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::broker::SharedBroker;
use crate::clock::Clock;
use crate::domain::{Dispatch, TaskRef};
use crate::metrics::Metrics;
use crate::store::SharedStore;

/// How long a publish may hold up the submissions behind it.
const PUBLISH_DEADLINE: Duration = Duration::from_millis(50);
/// So many failures in a row open the breaker.
const FAILURES_TO_OPEN: u32 = 3;
/// How long it stays open before one publish is tried again.
const OPEN_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    open_until: Option<Timestamp>,
}

/// Why dispatches were not sent.
enum Failure {
    /// They have not arrived.
    NotDispatched(String),
    /// They may arrive late.
    Late,
}

/// Sends dispatches to the broker, with a deadline and a circuit breaker.
pub struct Dispatcher {
    store: SharedStore,
    broker: SharedBroker,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    breaker: Mutex<Breaker>,
}

impl Dispatcher {
    pub(super) fn new(store: SharedStore, broker: SharedBroker, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { store, broker, clock, metrics, breaker: Mutex::default() }
    }

    /// Whether a dispatch is likely to be taken now.
    pub fn is_trusted(&self) -> bool {
        self.breaker.lock().open_until.is_none_or(|until| until <= self.clock.now())
    }

    /// Whether the breaker has opened and nothing was dispatched since.
    pub fn is_failing(&self) -> bool {
        self.breaker.lock().open_until.is_some()
    }

    /// Dispatches, for as long as the broker takes; what cannot be dispatched is left to the sweep of due tasks, and what cannot even be handed over is found by
    /// the sweep of lost dispatches.
    pub async fn dispatch(&self, dispatches: Vec<Dispatch>) {
        if dispatches.is_empty() {
            return;
        }
        let outcome = if self.is_trusted() { self.publish(&dispatches).await } else { Err(breaker_is_open()) };
        self.follow_up(dispatches, outcome).await;
    }

    /// The same for who holds up others: it waits a moment only. What the broker has not confirmed by then counts as dispatched, because it
    /// arrives as a rule, and dispatching it again would bury a slow broker in dispatches; if it was lost, the sweep finds it.
    pub async fn dispatch_promptly(&self, dispatches: Vec<Dispatch>) {
        if dispatches.is_empty() {
            return;
        }
        let outcome = if self.is_trusted() {
            tokio::time::timeout(PUBLISH_DEADLINE, self.publish(&dispatches)).await.unwrap_or(Err(Failure::Late))
        } else {
            Err(breaker_is_open())
        };
        self.follow_up(dispatches, outcome).await;
    }

    async fn publish(&self, dispatches: &[Dispatch]) -> Result<(), Failure> {
        self.broker.publish(dispatches).await.map_err(|error| Failure::NotDispatched(error.to_string()))
    }

    async fn follow_up(&self, dispatches: Vec<Dispatch>, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => return self.note_success(),
            Err(Failure::Late) => return self.note_failure(&format!("no answer within {} ms", PUBLISH_DEADLINE.as_millis())),
            Err(Failure::NotDispatched(reason)) => self.note_failure(&reason),
        }
        let refs: Vec<TaskRef> = dispatches.into_iter().map(|dispatch| dispatch.task).collect();
        if let Err(error) = self.store.mark_undispatched(&refs, self.clock.now()).await {
            tracing::debug!(%error, tasks = refs.len(), "dispatches could not be left to the sweep of due tasks; the sweep will find them");
        }
    }

    fn note_success(&self) {
        let was = std::mem::take(&mut *self.breaker.lock());
        if was.open_until.is_some() {
            tracing::info!("the broker takes dispatches again");
        }
    }

    fn note_failure(&self, failure: &str) {
        self.metrics.dispatch_failed();
        let mut breaker = self.breaker.lock();
        breaker.failures += 1;
        if breaker.failures < FAILURES_TO_OPEN {
            return;
        }
        if breaker.open_until.is_none() {
            tracing::warn!(failure, "the broker does not take dispatches; work goes on from the database, slower");
            // A fetch that waits for a dispatch would wait in vain.
            self.broker.wake();
        }
        let now = self.clock.now();
        if breaker.open_until.is_none_or(|until| until <= now) {
            breaker.open_until = Some(now + OPEN_FOR);
        }
    }
}

fn breaker_is_open() -> Failure {
    Failure::NotDispatched("the breaker is open".to_owned())
}
