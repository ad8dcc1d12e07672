//! The shapes that the API, the dashboard and the CLI show: read models, made here once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::{
    ErrorReport, KindName, Progress, QueueName, TaskId, TaskRow, TaskStatus, WaitingFor, WorkerHealth, WorkerId, WorkerInfo,
};
use crate::store::AttemptRow;

/// The status of a task.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusView {
    /// Id of the task.
    #[schema(value_type = uuid::Uuid)]
    pub task_id: TaskId,
    /// Kind of the task.
    #[schema(value_type = String, example = "email.send")]
    pub kind: KindName,
    /// Queue of the task.
    #[schema(value_type = String, example = "default")]
    pub queue: QueueName,
    /// Priority of the task, 0 to 9; 9 is the most urgent.
    #[schema(minimum = 0, maximum = 9)]
    pub priority: u8,
    /// State of the task.
    pub status: TaskStatus,
    /// Whether the task has ended.
    pub ready: bool,
    /// Whether the task ended as SUCCESS; null until it has ended.
    pub successful: Option<bool>,
    /// The result; null until the task has succeeded. Always null in a list: read the task for its result.
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Box<RawValue>>,
    /// The error of the last attempt that failed; null if none did.
    pub error: Option<ErrorReport>,
    /// The reason why the task is REVOKED: `revoked`, `expired` or `purged`.
    #[schema(example = "revoked")]
    pub reason: Option<String>,
    /// What the task waits for; null unless it waits.
    pub waiting_for: Option<WaitingFor>,
    /// The last progress that the task reported.
    pub progress: Option<Progress>,
    /// How often the task was started; 0 until then. A released attempt counts too, and is not in `attempt_log`.
    #[schema(minimum = 0)]
    pub attempts: i32,
    /// Retries used so far.
    pub retries: u16,
    /// Most retries after the first attempt.
    pub max_retries: u16,
    /// Name of the worker that runs the task, or ran it last.
    pub worker: Option<String>,
    /// When the task was submitted.
    pub submitted_at: Timestamp,
    /// When the task may start, or may start again.
    pub due_at: Timestamp,
    /// When the present or the last attempt started.
    pub started_at: Option<Timestamp>,
    /// When the task ended; null until then.
    pub ended_at: Option<Timestamp>,
    /// The time after which the task is not started any more.
    pub expires_at: Option<Timestamp>,
    /// When a revoke was requested while the task was running.
    pub revoke_requested_at: Option<Timestamp>,
    /// The task that this one retries by hand.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub retry_of: Option<TaskId>,
    /// The task that retries this one by hand.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub retried_as: Option<TaskId>,
}

impl StatusView {
    pub(super) fn new(row: TaskRow, waiting_for: Option<WaitingFor>) -> Self {
        let attempts = row.latest_attempt();
        Self {
            task_id: row.id,
            kind: row.kind,
            queue: row.queue,
            priority: row.priority.get(),
            ready: row.status.is_ended(),
            successful: row.status.is_ended().then_some(row.status == TaskStatus::Success),
            status: row.status,
            // What is not JSON was not written by us; it is shown as nothing rather than breaking the answer.
            result: row.result.and_then(|text| RawValue::from_string(text).ok()),
            error: row.error,
            reason: row.reason.map(|reason| reason.to_string()),
            waiting_for,
            progress: row.progress,
            attempts,
            retries: row.retries_used,
            max_retries: row.max_retries,
            worker: row.worker_name,
            submitted_at: row.submitted_at,
            due_at: row.due_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            expires_at: row.expires_at,
            revoke_requested_at: row.revoke_requested_at,
            retry_of: row.retry_of,
            retried_as: row.retried_as,
        }
    }
}

/// One attempt of a task.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    /// The number of the attempt. Numbers only grow; a released attempt, and a change of the task while it waited, leave gaps.
    #[schema(minimum = 1)]
    pub attempt: i32,
    /// Name of the worker that ran the attempt.
    pub worker: String,
    /// When the attempt started.
    pub started_at: Timestamp,
    /// When the attempt ended; null while it runs.
    pub ended_at: Option<Timestamp>,
    /// The outcome: `success`, `failure`, `retry`, `crashed` or `revoked`; `running` while the attempt runs.
    #[schema(example = "retry")]
    pub outcome: &'static str,
    /// The error; null if the attempt did not fail.
    pub error: Option<ErrorReport>,
}

impl From<AttemptRow> for AttemptView {
    fn from(row: AttemptRow) -> Self {
        Self {
            attempt: row.attempt.0,
            worker: row.worker_name,
            started_at: row.started_at,
            ended_at: Some(row.ended_at),
            outcome: row.end.as_str(),
            error: row.error,
        }
    }
}

/// A task with all its details.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskView {
    /// The status of the task.
    #[serde(flatten)]
    pub status: StatusView,
    /// The args. What the kind declares as sensitive is shown as `[sensitive]`; null if the kind is not known here.
    #[schema(value_type = serde_json::Value)]
    pub args: Option<Box<RawValue>>,
    /// Name of the principal that submitted the task.
    pub principal: String,
    /// Seconds after which an attempt is ended.
    pub time_limit: f64,
    /// Seconds after which an attempt is asked to stop; null if it is not.
    pub soft_time_limit: Option<f64>,
    /// The URL that gets a callback when the task has ended.
    pub callback_url: Option<String>,
    /// Every attempt, oldest first.
    pub attempt_log: Vec<AttemptView>,
}

/// The live workers, as last read from the store.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkersView {
    /// When this was read.
    pub timestamp: Timestamp,
    /// Number of live workers.
    pub total_workers: usize,
    /// Number of tasks that run now.
    pub total_active_tasks: u64,
    /// The live workers by name.
    pub workers: BTreeMap<String, WorkerView>,
}

/// A live worker.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerView {
    /// Id of the worker, new at each start.
    #[schema(value_type = uuid::Uuid)]
    pub id: WorkerId,
    /// Tasks that the worker has ended since it started.
    pub total: u64,
    /// Attempts that have failed on the worker since it started.
    pub failed: u64,
    /// Number of tasks that the worker runs now.
    pub active: u32,
    /// The tasks that the worker runs now.
    pub running: Vec<RunningView>,
    /// Most tasks that the worker runs at the same time.
    pub slots: u32,
    /// The queues that the worker serves; empty means all.
    #[schema(value_type = Vec<String>)]
    pub queues: Vec<QueueName>,
    /// Whether the worker is well.
    pub health: WorkerHealth,
    /// Resident memory of the process, in bytes.
    pub memory_bytes: u64,
    /// The host on which the worker runs.
    pub host: String,
    /// Process id on the host.
    pub pid: u32,
    /// Version of Legwork that the worker runs.
    pub version: String,
    /// When the worker started.
    pub started_at: Timestamp,
    /// When the worker last sent a heartbeat.
    pub heartbeat_at: Timestamp,
    /// When the worker last fetched a dispatch.
    pub last_fetch_at: Option<Timestamp>,
    /// When the worker last ended an attempt.
    pub last_done_at: Option<Timestamp>,
}

impl WorkerView {
    pub(super) fn new(info: WorkerInfo, heartbeat_at: Timestamp, health: WorkerHealth, running: Vec<RunningView>) -> Self {
        Self {
            id: info.id,
            total: info.done,
            failed: info.failed,
            active: info.running,
            running,
            slots: info.slots,
            queues: info.queues,
            health,
            memory_bytes: info.memory_bytes,
            host: info.host,
            pid: info.pid,
            version: info.version,
            started_at: info.started_at,
            heartbeat_at,
            last_fetch_at: info.last_fetch_at,
            last_done_at: info.last_done_at,
        }
    }
}

/// A task that a worker runs now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunningView {
    /// Id of the task.
    #[schema(value_type = uuid::Uuid)]
    pub task_id: TaskId,
    /// Kind of the task.
    #[schema(value_type = String)]
    pub kind: KindName,
    /// When the attempt started.
    pub started_at: Option<Timestamp>,
}

/// A queue with its settings and counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueView {
    /// Name of the queue.
    #[schema(value_type = String, example = "default")]
    pub name: QueueName,
    /// Whether the queue is paused.
    pub paused: bool,
    /// When the queue was paused; null if it is not paused.
    pub paused_at: Option<Timestamp>,
    /// Most tasks of the queue that one worker process runs at the same time; null for no limit.
    pub concurrency: Option<u32>,
    /// Number of tasks that are due and wait.
    pub depth: u64,
    /// Number of tasks whose time has not come.
    pub scheduled: u64,
    /// Number of tasks that are running.
    pub running: u64,
    /// How long the oldest due task has been due, in seconds; null where none is.
    pub oldest_seconds: Option<f64>,
    /// Tasks that ended in the last minute, per second.
    pub rate: f64,
    /// Number of live workers that serve the queue.
    pub workers: usize,
}
