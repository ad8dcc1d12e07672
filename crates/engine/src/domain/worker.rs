//! A worker as it shows itself to the cluster.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{QueueName, WorkerId};

/// How a worker fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerHealth {
    /// Its heartbeats arrive and it fetches.
    Healthy,
    /// Its heartbeats arrive, but due tasks of its queues exist, slots are free, and it starts none.
    Stalled,
    /// It finishes what runs and fetches no more.
    Draining,
    /// Its heartbeats have stopped; its tasks are rescued.
    Dead,
}

/// What a worker tells with each heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Id of the worker, new at each start.
    pub id: WorkerId,
    /// Its name, unique among live workers by default.
    pub name: String,
    /// The host it runs on.
    pub host: String,
    /// Process id on the host.
    pub pid: u32,
    /// Version of Legwork that the worker runs.
    pub version: String,
    /// The queues that the worker serves; empty means all.
    pub queues: Vec<QueueName>,
    /// Most tasks that the worker runs at the same time.
    pub slots: u32,
    /// Tasks that are running now.
    pub running: u32,
    /// Tasks that the worker has ended since it started.
    pub done: u64,
    /// Attempts that have failed on the worker since it started.
    pub failed: u64,
    /// Resident memory of the process, in bytes.
    pub memory_bytes: u64,
    /// Whether the worker has stopped fetching.
    pub draining: bool,
    /// Whether the worker sees due tasks and has free slots, and yet starts none.
    pub stalled: bool,
    /// When the worker started.
    pub started_at: Timestamp,
    /// When the worker last fetched a dispatch.
    pub last_fetch_at: Option<Timestamp>,
    /// When the worker last ended an attempt.
    pub last_done_at: Option<Timestamp>,
}

/// A worker as read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// What it told last.
    pub info: WorkerInfo,
    /// When, by the store's clock.
    pub heartbeat_at: Timestamp,
    /// Whether it was declared dead.
    pub dead: bool,
}
