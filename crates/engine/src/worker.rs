//! The pool: takes what it has slots for, runs it, hands over what came of it.
//!
//! [`pool`] fetches and starts; [`executor`] runs one attempt as named steps; [`running`] knows what runs and how to stop it;
//! [`heartbeat`] keeps the lease from a thread of its own and compares the store's image with ours; [`progress`] folds progress.

pub mod executor;
pub mod heartbeat;
pub mod pool;
pub mod progress;
pub mod queue_slots;
pub mod running;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::QueueName;

/// The worker pool's settings.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Its name; `%h` is the host, `%p` the process id.
    pub name: Option<String>,
    /// Most tasks that the worker runs at the same time.
    pub concurrency: usize,
    /// Its queues; empty means all.
    pub queues: Vec<QueueName>,
    /// Tasks of a queue at once, in this process.
    pub queue_concurrency: BTreeMap<QueueName, usize>,
    /// How long running tasks may finish after SIGTERM.
    pub grace: Duration,
    /// How long a worker lives without a heartbeat.
    pub lease: Duration,
    /// The largest result, in bytes of JSON.
    pub result_limit: usize,
}
