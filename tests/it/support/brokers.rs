//! Brokers of their own for each test, and what goes into them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use legwork_engine::broker::memory::MemoryBroker;
use legwork_engine::broker::redis::RedisBroker;
use legwork_engine::broker::{Delivery, Lane, SharedBroker, Want};
use legwork_engine::clock::ManualClock;
use legwork_engine::domain::{Attempt, Band, Doorbell, QueueName, TaskId, TaskRef, WorkerId};

/// 2025-11-21T08:00:00Z
pub const START: Timestamp = Timestamp::constant(1_763_712_000, 0);

/// A broker and, where the side has processes, what another process would use; the same one otherwise.
pub struct TestBroker {
    pub broker: SharedBroker,
    pub peer: SharedBroker,
}

pub fn in_memory() -> TestBroker {
    let broker: SharedBroker = Arc::new(MemoryBroker::new(Arc::new(ManualClock::at(START))));
    TestBroker { peer: Arc::clone(&broker), broker }
}

pub fn on_redis() -> TestBroker {
    let (url, prefix) = (test_redis_url(), fresh_prefix());
    TestBroker { broker: connect(&url, &prefix), peer: connect(&url, &prefix) }
}

pub fn connect(url: &str, prefix: &str) -> SharedBroker {
    Arc::new(RedisBroker::connect(&url.into(), prefix).unwrap())
}

/// The server of the test run.
#[expect(clippy::disallowed_methods, reason = "the test run names its servers by the environment")]
pub fn test_redis_url() -> String {
    std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL must name a Redis for the tests, as scripts/test does")
}

/// A key prefix that no other test and no earlier run has used.
pub fn fresh_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test:{}:{:x}:{}", std::process::id(), fastrand::u64(..), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap()
}

pub fn worker() -> WorkerId {
    WorkerId::made(START)
}

/// A doorbell of a new task, rung `at` seconds after the start.
pub fn ring(name: &str, band: Band, at: i64) -> Doorbell {
    let rung_at = START + Duration::from_secs(u64::try_from(at).unwrap());
    Doorbell { task: TaskRef { id: TaskId::made(rung_at), attempt: Attempt(0) }, queue: queue(name), band, rung_at }
}

/// As many, a second apart.
pub fn rings(name: &str, band: Band, count: usize) -> Vec<Doorbell> {
    (0..count).map(|at| ring(name, band, i64::try_from(at).unwrap())).collect()
}

/// A worker that has `max` free slots for these queues, and does not wait.
pub fn want(queues: &[&str], max: usize) -> Want {
    let lanes = queues.iter().map(|name| Lane { queue: queue(name), max }).collect();
    Want { worker: worker(), lanes, max, wait: Duration::ZERO }
}

/// The same, but it waits for the first one; longer than any test may take.
pub fn waiting(queues: &[&str], max: usize) -> Want {
    Want { wait: Duration::from_hours(1), ..want(queues, max) }
}

pub fn bells(deliveries: &[Delivery]) -> Vec<Doorbell> {
    deliveries.iter().map(|delivery| delivery.doorbell.clone()).collect()
}
