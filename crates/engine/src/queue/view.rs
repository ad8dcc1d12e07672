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

/// How a task stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub task_id: TaskId,
    /// Its kind.
    #[schema(value_type = String, example = "email.send")]
    pub kind: KindName,
    /// Its queue.
    #[schema(value_type = String, example = "default")]
    pub queue: QueueName,
    /// Its priority, 9 the most urgent.
    #[schema(minimum = 0, maximum = 9)]
    pub priority: u8,
    /// Its state.
    pub status: TaskStatus,
    /// Whether it has ended.
    pub ready: bool,
    /// Whether it ended well; null until it has ended.
    pub successful: Option<bool>,
    /// What it returned; null until it has ended well. Always null in a list: read the task for its result.
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Box<RawValue>>,
    /// What went wrong last; null where nothing did.
    pub error: Option<ErrorReport>,
    /// Why it is REVOKED: `revoked`, `expired` or `purged`.
    #[schema(example = "revoked")]
    pub reason: Option<String>,
    /// What it waits for; null unless it waits.
    pub waiting_for: Option<WaitingFor>,
    /// How far it is, as last told.
    pub progress: Option<Progress>,
    /// How often it was started; 0 until then. An attempt that was released counts too, and is not in `attempt_log`.
    #[schema(minimum = 0)]
    pub attempts: i32,
    /// Retries spent.
    pub retries: u16,
    /// Retries allowed.
    pub max_retries: u16,
    /// The worker that runs it, or ran it last.
    pub worker: Option<String>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it may start, or may start again.
    pub due_at: Timestamp,
    /// When its present or last attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// After this it is not started any more.
    pub expires_at: Option<Timestamp>,
    /// When its end was asked for while it ran.
    pub revoke_requested_at: Option<Timestamp>,
    /// The task of which it is the retry by hand.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub retry_of: Option<TaskId>,
    /// The retry by hand that was made of it.
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
    /// Its number. Numbers only grow; one that was released, and a change of the task while it waited, leave gaps.
    #[schema(minimum = 1)]
    pub attempt: i32,
    /// The worker that ran it.
    pub worker: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended; null while it runs.
    pub ended_at: Option<Timestamp>,
    /// How it ended: `success`, `failure`, `retry`, `crashed`, `revoked`; `running` while it runs.
    #[schema(example = "retry")]
    pub outcome: &'static str,
    /// What went wrong.
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

/// A task in full.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskView {
    /// How it stands.
    #[serde(flatten)]
    pub status: StatusView,
    /// Its args. What its kind calls sensitive is shown as `[sensitive]`; null where the kind is not known here.
    #[schema(value_type = serde_json::Value)]
    pub args: Option<Box<RawValue>>,
    /// Who submitted it.
    pub principal: String,
    /// An attempt past so many seconds is ended.
    pub time_limit: f64,
    /// An attempt past so many seconds is asked to stop.
    pub soft_time_limit: Option<f64>,
    /// Who is told of its end.
    pub callback_url: Option<String>,
    /// Every attempt, oldest first.
    pub attempt_log: Vec<AttemptView>,
}

/// The snapshot cache.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkersView {
    /// When this was read.
    pub timestamp: Timestamp,
    /// Live workers.
    pub total_workers: usize,
    /// Tasks that run now.
    pub total_active_tasks: u64,
    /// The live workers by name.
    pub workers: BTreeMap<String, WorkerView>,
}

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerView {
    /// Its id, fresh per start.
    #[schema(value_type = uuid::Uuid)]
    pub id: WorkerId,
    /// Tasks ended by it since it started.
    pub total: u64,
    /// Attempts that failed since it started.
    pub failed: u64,
    /// Tasks that it runs now.
    pub active: u32,
    /// The tasks that it runs now.
    pub running: Vec<RunningView>,
    /// How many it can run at once.
    pub slots: u32,
    /// The queues it serves; empty means all.
    #[schema(value_type = Vec<String>)]
    pub queues: Vec<QueueName>,
    /// How it fares.
    pub health: WorkerHealth,
    /// Its resident memory, in bytes.
    pub memory_bytes: u64,
    /// The host it runs on.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Since when.
    pub started_at: Timestamp,
    /// When its heartbeat last heartbeat.
    pub heartbeat_at: Timestamp,
    /// When it last fetched something.
    pub last_fetch_at: Option<Timestamp>,
    /// When it last ended something.
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
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub task_id: TaskId,
    /// Its kind.
    #[schema(value_type = String)]
    pub kind: KindName,
    /// Since when.
    pub started_at: Option<Timestamp>,
}

/// A queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueView {
    /// Its name.
    #[schema(value_type = String, example = "default")]
    pub name: QueueName,
    /// Whether it is paused.
    pub paused: bool,
    /// Since when.
    pub paused_at: Option<Timestamp>,
    /// Tasks of it that one worker process runs at once; null is no limit.
    pub concurrency: Option<u32>,
    /// Tasks that are due and wait.
    pub depth: u64,
    /// Tasks that wait for their time.
    pub scheduled: u64,
    /// Tasks that run.
    pub running: u64,
    /// How long the oldest due task has been due, in seconds; null where none is.
    pub oldest_seconds: Option<f64>,
    /// Tasks ended in the last minute, per second.
    pub rate: f64,
    /// Live workers that serve it.
    pub workers: usize,
}
