//! Rings doorbells, and lets nobody in a hurry wait long for it: a slow broker is worse than a dead one.
//!
//! What the broker does not take is handed to the relay. After a few failures in a row the breaker opens: for a while nothing is rung at all,
//! submissions are inserted as not rung, and the workers find their work in the store.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::broker::SharedBroker;
use crate::clock::Clock;
use crate::domain::{Doorbell, TaskRef};
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

/// Why doorbells were not rung.
enum Failure {
    /// They have not arrived.
    NotRung(String),
    /// They may arrive late.
    Late,
}

/// Rings doorbells.
pub struct Ringer {
    store: SharedStore,
    broker: SharedBroker,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    breaker: Mutex<Breaker>,
}

impl Ringer {
    pub(super) fn new(store: SharedStore, broker: SharedBroker, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { store, broker, clock, metrics, breaker: Mutex::default() }
    }

    /// Whether a doorbell is likely to be rung now.
    pub fn is_trusted(&self) -> bool {
        self.breaker.lock().open_until.is_none_or(|until| until <= self.clock.now())
    }

    /// Whether the breaker has opened and nothing was rung since.
    pub fn is_failing(&self) -> bool {
        self.breaker.lock().open_until.is_some()
    }

    /// Rings, for as long as the broker takes; what cannot be rung is handed to the relay, and what cannot even be handed over is found by
    /// the sweep of lost doorbells.
    pub async fn ring(&self, doorbells: Vec<Doorbell>) {
        if doorbells.is_empty() {
            return;
        }
        let rung = if self.is_trusted() { self.publish(&doorbells).await } else { Err(breaker_is_open()) };
        self.follow_up(doorbells, rung).await;
    }

    /// The same for who holds up others: it waits a moment only. What the broker has not confirmed by then counts as rung, because it
    /// arrives as a rule, and ringing it again would bury a slow broker in doorbells; if it was lost, the sweep finds it.
    pub async fn ring_promptly(&self, doorbells: Vec<Doorbell>) {
        if doorbells.is_empty() {
            return;
        }
        let rung = if self.is_trusted() {
            tokio::time::timeout(PUBLISH_DEADLINE, self.publish(&doorbells)).await.unwrap_or(Err(Failure::Late))
        } else {
            Err(breaker_is_open())
        };
        self.follow_up(doorbells, rung).await;
    }

    async fn publish(&self, doorbells: &[Doorbell]) -> Result<(), Failure> {
        self.broker.publish(doorbells).await.map_err(|error| Failure::NotRung(error.to_string()))
    }

    async fn follow_up(&self, doorbells: Vec<Doorbell>, rung: Result<(), Failure>) {
        match rung {
            Ok(()) => return self.note_success(),
            Err(Failure::Late) => return self.note_failure(&format!("no answer within {} ms", PUBLISH_DEADLINE.as_millis())),
            Err(Failure::NotRung(reason)) => self.note_failure(&reason),
        }
        let refs: Vec<TaskRef> = doorbells.into_iter().map(|doorbell| doorbell.task).collect();
        if let Err(error) = self.store.hand_to_relay(&refs, self.clock.now()).await {
            tracing::debug!(%error, tasks = refs.len(), "doorbells could not be handed to the relay; the sweep will find them");
        }
    }

    fn note_success(&self) {
        let was = std::mem::take(&mut *self.breaker.lock());
        if was.open_until.is_some() {
            tracing::info!("the broker takes doorbells again");
        }
    }

    fn note_failure(&self, failure: &str) {
        self.metrics.ring_failed();
        let mut breaker = self.breaker.lock();
        breaker.failures += 1;
        if breaker.failures < FAILURES_TO_OPEN {
            return;
        }
        if breaker.open_until.is_none() {
            tracing::warn!(failure, "the broker does not take doorbells; work goes on from the database, slower");
            // A receive that waits for a doorbell would wait in vain.
            self.broker.wake();
        }
        let now = self.clock.now();
        if breaker.open_until.is_none_or(|until| until <= now) {
            breaker.open_until = Some(now + OPEN_FOR);
        }
    }
}

fn breaker_is_open() -> Failure {
    Failure::NotRung("the breaker is open".to_owned())
}
