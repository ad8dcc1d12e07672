//! What runs here, and how it is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::{Attempt, TaskId};

/// Why an attempt is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// It ran past its soft limit.
    SoftLimit,
    /// The process is ending.
    Shutdown,
    /// The store may have given it to another.
    LeaseLost,
    /// Somebody revoked the task.
    Revoked,
}

/// Stops one attempt: asks first, ends by force later.
#[derive(Debug, Default)]
pub struct CancelHandle {
    requested: CancellationToken,
    forced: CancellationToken,
    reason: Mutex<Option<StopReason>>,
}

impl CancelHandle {
    /// Asks the attempt to stop at its next checkpoint. The weightiest reason stays.
    pub fn cancel(&self, reason: StopReason) {
        let mut present = self.reason.lock();
        *present = (*present).max(Some(reason));
        drop(present);
        self.requested.cancel();
    }

    /// Ends the attempt wherever it is.
    pub fn force(&self, reason: StopReason) {
        self.cancel(reason);
        self.forced.cancel();
    }

    /// Why it was asked to stop, if it was.
    pub fn reason(&self) -> Option<StopReason> {
        *self.reason.lock()
    }

    /// The token that the kind's code watches.
    pub fn requested(&self) -> &CancellationToken {
        &self.requested
    }

    /// Resolves when it is to be ended by force.
    pub async fn forced(&self) {
        self.forced.cancelled().await;
    }
}

/// One attempt that runs here.
#[derive(Clone, Debug)]
pub struct RunningAttempt {
    /// The number of the attempt.
    pub attempt: Attempt,
    /// When the attempt started.
    pub started_at: Timestamp,
    /// Cancels the attempt.
    pub cancel_handle: Arc<CancelHandle>,
}

/// Everything that runs here, starts and settlements under way included, and the counts since the start.
#[derive(Default)]
pub struct Running {
    by_task: DashMap<TaskId, RunningAttempt>,
    starting: DashMap<TaskId, usize>,
    done: AtomicU64,
    failed: AtomicU64,
    last_fetch_micros: AtomicI64,
    last_done_micros: AtomicI64,
    emptied: Notify,
}

/// The counts that a heartbeat tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningCounts {
    /// Attempts that run now.
    pub running: u32,
    /// Tasks ended since the start.
    pub done: u64,
    /// Attempts that failed since the start.
    pub failed: u64,
    /// When something was last fetched.
    pub last_fetch_at: Option<Timestamp>,
    /// When something last ended.
    pub last_done_at: Option<Timestamp>,
}

/// Starts under way; they count as running until this is dropped.
pub struct StartingAttempts {
    running: Arc<Running>,
    tasks: Vec<TaskId>,
}

impl Drop for StartingAttempts {
    fn drop(&mut self) {
        for id in &self.tasks {
            if let Some(mut count) = self.running.starting.get_mut(id) {
                *count -= 1;
            }
            self.running.starting.remove_if(id, |_, count| *count == 0);
        }
        self.running.note_if_empty();
    }
}

impl Running {
    /// Notes that these tasks are being started: the store may already say that they run here.
    pub fn start(self: &Arc<Self>, tasks: Vec<TaskId>) -> StartingAttempts {
        for &id in &tasks {
            *self.starting.entry(id).or_default() += 1;
        }
        StartingAttempts { running: self.clone(), tasks }
    }

    /// Whether a start of this task is under way.
    pub fn is_start(&self, id: TaskId) -> bool {
        self.starting.contains_key(&id)
    }

    /// Notes an attempt that has started. An older attempt of the same task that still runs here has lost its lease, and is ended.
    pub fn add(&self, id: TaskId, attempt: RunningAttempt) {
        if let Some(older) = self.by_task.insert(id, attempt) {
            older.cancel_handle.force(StopReason::LeaseLost);
        }
    }

    /// Notes that an attempt is settled, whatever came of it.
    pub fn remove(&self, id: TaskId, attempt: Attempt) {
        self.by_task.remove_if(&id, |_, running| running.attempt == attempt);
        self.note_if_empty();
    }

    fn is_empty(&self) -> bool {
        self.starting.is_empty() && self.by_task.is_empty()
    }

    fn note_if_empty(&self) {
        if self.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// Notes that something was fetched at `now`.
    pub fn fetched(&self, now: Timestamp) {
        self.last_fetch_micros.store(now.as_microsecond(), Ordering::Relaxed);
    }

    /// Notes that an attempt ended at `now`.
    pub fn ended(&self, now: Timestamp, is_failure: bool, is_task_end: bool) {
        self.last_done_micros.store(now.as_microsecond(), Ordering::Relaxed);
        self.done.fetch_add(u64::from(is_task_end), Ordering::Relaxed);
        self.failed.fetch_add(u64::from(is_failure), Ordering::Relaxed);
    }

    /// The counts since the start of the worker.
    pub fn counts(&self) -> RunningCounts {
        let at = |micros: &AtomicI64| match micros.load(Ordering::Relaxed) {
            0 => None,
            micros => Timestamp::from_microsecond(micros).ok(),
        };
        RunningCounts {
            running: u32::try_from(self.by_task.len()).unwrap_or(u32::MAX),
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            last_fetch_at: at(&self.last_fetch_micros),
            last_done_at: at(&self.last_done_micros),
        }
    }

    /// The attempt of a task that runs here.
    pub fn get(&self, id: TaskId) -> Option<RunningAttempt> {
        self.by_task.get(&id).map(|running| running.clone())
    }

    /// All running attempts with their tasks.
    pub fn all(&self) -> Vec<(TaskId, RunningAttempt)> {
        self.by_task.iter().map(|entry| (*entry.key(), entry.value().clone())).collect()
    }

    /// Asks all to stop.
    pub fn cancel_all(&self, reason: StopReason) {
        for entry in &self.by_task {
            entry.cancel_handle.cancel(reason);
        }
    }

    /// Ends all by force.
    pub fn force_all(&self, reason: StopReason) {
        for entry in &self.by_task {
            entry.cancel_handle.force(reason);
        }
    }

    /// Resolves when nothing runs or starts, or after `most`: whether nothing does.
    pub async fn empty_within(&self, most: Duration) -> bool {
        let empty = async {
            loop {
                let mut emptied = std::pin::pin!(self.emptied.notified());
                // It hears from here on, not from its first poll on.
                emptied.as_mut().enable();
                if self.is_empty() {
                    return;
                }
                emptied.await;
            }
        };
        tokio::time::timeout(most, empty).await.is_ok()
    }
}
