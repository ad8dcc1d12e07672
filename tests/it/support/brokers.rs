//! Brokers of their own for each test, and what goes into them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use legwork_engine::broker::memory::MemoryBroker;
use legwork_engine::broker::redis::RedisBroker;
use legwork_engine::broker::{Delivery, FetchRequest, QueueQuota, SharedBroker};
use legwork_engine::domain::{Dispatch, PriorityBand, QueueName, TaskId, TaskRef, Version};

/// 2025-11-21T08:00:00Z
pub const START: Timestamp = Timestamp::constant(1_763_712_000, 0);

/// A broker and, where the side has processes, what another process would use; the same one otherwise.
pub struct TestBroker {
    pub broker: SharedBroker,
    pub peer: SharedBroker,
}

pub fn in_memory() -> TestBroker {
    let broker: SharedBroker = Arc::new(MemoryBroker::default());
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

/// A dispatch of a new task, dispatched `at` seconds after the start.
pub fn dispatch(name: &str, band: PriorityBand, at: i64) -> Dispatch {
    let dispatched_at = START + Duration::from_secs(u64::try_from(at).unwrap());
    Dispatch {
        task: TaskRef { id: TaskId::made(dispatched_at), version: Version::FIRST },
        queue: queue(name),
        band,
        dispatched_at,
    }
}

/// As many, a second apart.
pub fn dispatches(name: &str, band: PriorityBand, count: usize) -> Vec<Dispatch> {
    (0..count).map(|at| dispatch(name, band, i64::try_from(at).unwrap())).collect()
}

/// A worker that has `max` free slots for these queues, and does not wait.
pub fn request(queues: &[&str], max: usize) -> FetchRequest {
    let quotas = queues.iter().map(|name| QueueQuota { queue: queue(name), max }).collect();
    FetchRequest { quotas, max, wait: Duration::ZERO }
}

/// The same, but it waits for the first one; longer than any test may take.
pub fn waiting(queues: &[&str], max: usize) -> FetchRequest {
    FetchRequest { wait: Duration::from_hours(1), ..request(queues, max) }
}

pub fn bells(deliveries: &[Delivery]) -> Vec<Dispatch> {
    deliveries.iter().map(|delivery| delivery.dispatch.clone()).collect()
}
