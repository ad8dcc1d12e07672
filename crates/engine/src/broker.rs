//! The broker: dispatches and signals. This is the port; `broker/redis` (streams) and `broker/memory` are its sides, and
//! `tests/it/conformance/broker` is its contract, which both run.
//!
//! It carries references to rows, and signals between processes. Losing all of it loses nothing: the rows are the truth, and the sweeps dispatch
//! again what was lost. It may deliver a reference twice; the start is a compare-and-set and takes it once.
//!
//! It forgets a reference when it hands it out. A worker that dies between the fetch and the start therefore loses the dispatch, and the sweep of
//! lost dispatches finds the row: there is one recovery for a lost dispatch, whatever lost it.

mod fair_share;
pub mod keys;
pub mod memory;
pub mod redis;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::domain::{Dispatch, PriorityBand, Progress, QueueName, TaskId, TaskStatus};

/// Why the broker could not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BrokerError {
    /// It cannot be reached, or did not answer in time.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// It answered with an error: a bug, or a server that is not as expected.
    #[error("the broker answered with an error: {0}")]
    Refused(String),
}

/// A task reference handed to one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The dispatch, as it was published or read from the store.
    pub dispatch: Dispatch,
}

/// How much of a queue a worker takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueQuota {
    /// Name of the queue.
    pub queue: QueueName,
    /// Most dispatches of the queue in this call.
    pub max: usize,
}

/// A worker's request for dispatches.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// The queues, each with the most dispatches wanted of it.
    pub quotas: Vec<QueueQuota>,
    /// Most dispatches in all: the worker's free slots.
    pub max: usize,
    /// Longest wait for the first dispatch.
    pub wait: Duration,
}

/// Messages between processes. A lost signal costs time only, because every receiver also reads the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "signal")]
pub enum Signal {
    /// Tasks have changed their state.
    Changed {
        /// The tasks with their new states.
        tasks: Vec<(TaskId, TaskStatus)>,
    },
    /// A running task has reported progress.
    Progress {
        /// Id of the task.
        id: TaskId,
        /// The progress that it reported.
        progress: Progress,
    },
    /// A running task must stop.
    Revoke {
        /// Id of the task.
        id: TaskId,
        /// Whether it is ended at once, or at its next checkpoint.
        terminate: bool,
    },
    /// Queues were paused, resumed, limited, or used for the first time.
    Queues,
    /// A worker was given a command.
    Worker,
    /// A token was revoked.
    Tokens,
}

/// Carries dispatches to workers and signals between processes.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Sends dispatches, pipelined. Returns when the broker has them all.
    async fn publish(&self, dispatches: &[Dispatch]) -> Result<(), BrokerError>;

    /// Whether dispatches would be taken now. One that is full answers reads, has nothing to hand out, and refuses every dispatch.
    async fn accepts_dispatches(&self) -> Result<(), BrokerError>;

    /// Hands out up to `request.max` references: band by band, at most `quota.max` of a queue, the oldest of a stream first, queues taking
    /// turns; of every ten, one goes to a lower band that has work, so that it never starves. Waits up to `request.wait` for the first one.
    /// The broker forgets what it hands out. An empty answer is no error.
    ///
    /// References that arrive after the future was dropped are published again.
    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Delivery>, BrokerError>;

    /// Ends a waiting [`fetch`](Broker::fetch) of this process early.
    fn wake(&self);

    /// When the oldest reference of a queue and band that was not handed out yet was dispatched; `None` where all were handed out.
    async fn oldest_waiting(&self, queue: &QueueName, band: PriorityBand) -> Result<Option<Timestamp>, BrokerError>;

    /// Tells all processes, this one included.
    async fn signal(&self, signal: &Signal) -> Result<(), BrokerError>;

    /// Hears what is told from now on.
    fn signals(&self) -> broadcast::Receiver<Arc<Signal>>;

    /// Answers if the broker does.
    async fn ping(&self) -> Result<(), BrokerError>;

    /// Ends its background work and connections.
    async fn close(&self);
}

/// A broker behind a handle.
pub type SharedBroker = Arc<dyn Broker>;
