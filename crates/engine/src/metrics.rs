//! Every metric: its name, its labels, its help. Labels are bounded: kind, queue, status, operation; never an id, a name of a worker or a principal.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::domain::{EndStatus, KindName, QueueName, TaskStatus};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    kind: String,
    queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    kind: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    op: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpLabels {
    method: &'static str,
    status: u16,
}

/// What is counted in this process. One a process, handed to who counts.
pub struct Metrics {
    registry: Registry,
    submitted: Family<TaskLabels, Counter>,
    ended: Family<StatusLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    attempt_seconds: Family<KindLabels, Histogram>,
    store_seconds: Family<StoreLabels, Histogram>,
    dispatch_failures: Counter,
    lost_dispatches: Counter,
    rescued: Counter,
    slots: Gauge,
    slots_taken: Gauge,
    queue_depth: Family<QueueLabels, Gauge>,
    queue_oldest: Family<QueueLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    schedule_lateness: Gauge<f64, std::sync::atomic::AtomicU64>,
    http: Family<HttpLabels, Counter>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 18))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("legwork");
        let metrics = Self {
            submitted: Family::default(),
            ended: Family::default(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(seconds),
            store_seconds: Family::new_with_constructor(seconds),
            dispatch_failures: Counter::default(),
            lost_dispatches: Counter::default(),
            rescued: Counter::default(),
            slots: Gauge::default(),
            slots_taken: Gauge::default(),
            queue_depth: Family::default(),
            queue_oldest: Family::default(),
            schedule_lateness: Gauge::default(),
            http: Family::default(),
            registry: Registry::default(),
        };
        registry.register("tasks_submitted", "Tasks made durable, by kind and queue", metrics.submitted.clone());
        registry.register("tasks_ended", "Tasks ended, by status", metrics.ended.clone());
        registry.register("attempts", "Attempts ended, by kind and outcome", metrics.attempts.clone());
        registry.register("attempt_seconds", "How long attempts ran, by kind", metrics.attempt_seconds.clone());
        registry.register("store_seconds", "How long batched writes took, by operation", metrics.store_seconds.clone());
        registry.register(
            "dispatch_failures",
            "Dispatch batches that the broker did not take",
            metrics.dispatch_failures.clone(),
        );
        registry.register("lost_dispatches", "Dispatches that were lost and sent again", metrics.lost_dispatches.clone());
        registry.register("tasks_rescued", "Tasks taken from dead workers", metrics.rescued.clone());
        registry.register("slots", "Tasks that this worker can run at once", metrics.slots.clone());
        registry.register("slots_taken", "Tasks that this worker runs now", metrics.slots_taken.clone());
        registry.register("queue_depth", "Due tasks that wait, by queue", metrics.queue_depth.clone());
        registry.register(
            "queue_oldest_seconds",
            "How long the oldest due task has been due, by queue",
            metrics.queue_oldest.clone(),
        );
        registry.register(
            "schedule_lateness_seconds",
            "How long the longest due schedule has been due without a firing; 0 where none is due",
            metrics.schedule_lateness.clone(),
        );
        registry.register("http_requests", "Requests answered, by method and status", metrics.http.clone());
        Self { registry, ..metrics }
    }

    /// A task was made durable.
    pub fn task_submitted(&self, kind: &KindName, queue: &QueueName) {
        let labels = TaskLabels { kind: kind.to_string(), queue: queue.to_string() };
        self.submitted.get_or_create(&labels).inc();
    }

    /// A task has ended.
    pub fn task_ended(&self, status: EndStatus) {
        self.ended.get_or_create(&StatusLabels { status: TaskStatus::from(status).as_str() }).inc();
    }

    /// An attempt has ended after `seconds`.
    pub fn attempt_ended(&self, kind: &KindName, outcome: &'static str, seconds: f64) {
        self.attempts.get_or_create(&AttemptLabels { kind: kind.to_string(), outcome }).inc();
        self.attempt_seconds.get_or_create(&KindLabels { kind: kind.to_string() }).observe(seconds);
    }

    /// A batch of dispatches was not taken.
    pub fn dispatch_failed(&self) {
        self.dispatch_failures.inc();
    }

    /// Dispatches were found lost.
    pub fn dispatches_lost(&self, count: usize) {
        self.lost_dispatches.inc_by(count as u64);
    }

    /// Tasks were taken from dead workers.
    pub fn tasks_rescued(&self, count: usize) {
        self.rescued.inc_by(count as u64);
    }

    /// The pool's size and use.
    pub fn slots(&self, all: usize, taken: usize) {
        self.slots.set(i64::try_from(all).unwrap_or(i64::MAX));
        self.slots_taken.set(i64::try_from(taken).unwrap_or(i64::MAX));
    }

    /// What is in a queue, as just read.
    pub fn queue(&self, queue: &QueueName, depth: u64, oldest_seconds: f64) {
        let labels = QueueLabels { queue: queue.to_string() };
        self.queue_depth.get_or_create(&labels).set(i64::try_from(depth).unwrap_or(i64::MAX));
        self.queue_oldest.get_or_create(&labels).set(oldest_seconds);
    }

    /// How long the longest due schedule has been due, in seconds.
    pub fn schedule_lateness(&self, seconds: f64) {
        self.schedule_lateness.set(seconds);
    }

    /// A request was answered.
    pub fn http_answered(&self, method: &'static str, status: u16) {
        self.http.get_or_create(&HttpLabels { method, status }).inc();
    }

    /// Times a batched write until the timer is dropped.
    pub fn store_timer(&self, op: &'static str) -> StoreTimer<'_> {
        StoreTimer { metrics: self, op, since: Instant::now() }
    }

    /// All of it in the text format of `OpenMetrics` 1.0.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

/// A running measurement.
pub struct StoreTimer<'a> {
    metrics: &'a Metrics,
    op: &'static str,
    since: Instant,
}

impl Drop for StoreTimer<'_> {
    fn drop(&mut self) {
        let labels = StoreLabels { op: self.op };
        self.metrics.store_seconds.get_or_create(&labels).observe(self.since.elapsed().as_secs_f64());
    }
}
