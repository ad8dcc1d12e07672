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
    /// Its id, fresh per start.
    pub id: WorkerId,
    /// Its name, unique among live workers by default.
    pub name: String,
    /// The host it runs on.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// The queues it serves; empty means all.
    pub queues: Vec<QueueName>,
    /// How many tasks it runs at once.
    pub slots: u32,
    /// How many run now.
    pub running: u32,
    /// Tasks ended by it since it started.
    pub done: u64,
    /// Attempts that failed since it started.
    pub failed: u64,
    /// Its resident memory, in bytes.
    pub memory_bytes: u64,
    /// Whether it has stopped fetching.
    pub draining: bool,
    /// Whether it finds due tasks and free slots, and starts none.
    pub stalled: bool,
    /// When it started.
    pub started_at: Timestamp,
    /// When it last fetched something.
    pub last_fetch_at: Option<Timestamp>,
    /// When it last ended something.
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
