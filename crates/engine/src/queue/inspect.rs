//! What users see: status, detail, lists, queues, workers, kinds; and waiting for events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::event_hub::TaskSubscription;
use super::view::{AttemptView, QueueView, RunningView, StatusView, TaskView, WorkerView, WorkersView};
use super::{Queue, QueueError};
use crate::domain::{
    Page, PageRequest, Principal, QueueName, TaskFilter, TaskId, TaskRow, TaskStatus, WaitingFor, WaitingReason, WorkerHealth,
    WorkerRow,
};
use crate::store::QueueRow;
use crate::store::encrypted::{encrypted_with, unreadable};

/// How old the snapshot of queues and workers may be that says what a task waits for.
const SNAPSHOT_AGE: Duration = Duration::from_secs(1);
/// How often a long poll looks at the row although no events came: signals may be lost.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Rows of a page whose args are read at a time.
const READS_AT_ONCE: usize = 8;
/// Running tasks that the list of workers names at most.
const RUNNING_LISTED: u16 = 500;
/// A worker that has sent no heartbeat for so long is shown as dead before it is declared so.
const SILENT_AFTER: Duration = Duration::from_secs(15);

struct ClusterSnapshot {
    taken_at: Timestamp,
    queues: Vec<QueueRow>,
    workers: Vec<WorkerRow>,
    is_in_maintenance: bool,
}

/// The latest snapshot of queues and workers.
#[derive(Default)]
pub(super) struct SnapshotCache {
    latest: Mutex<Option<Arc<ClusterSnapshot>>>,
}

impl SnapshotCache {
    pub(super) fn forget(&self) {
        *self.latest.lock() = None;
    }
}

impl Queue {
    /// How a task stands; `None` where there is none that the principal sees.
    pub async fn status(&self, id: TaskId, principal: &Principal) -> Result<Option<StatusView>, QueueError> {
        let Some(row) = self.visible_row(id, principal).await? else { return Ok(None) };
        Ok(Some(self.status_of(row).await?))
    }

    /// How a task stands as soon as it has ended, or after `wait`, whichever comes first.
    pub async fn wait(&self, id: TaskId, wait: Duration, principal: &Principal) -> Result<Option<StatusView>, QueueError> {
        let only = principal.sees_only();
        let row = self.wait_for_row(id, wait, |row| Self::is_visible(row, only.as_deref())).await?;
        Ok(match row {
            Some(row) => Some(self.status_of(row).await?),
            None => None,
        })
    }

    /// The row of a task as soon as it has ended, or after `wait`; `None` where no task of the id is known, or it is not one to be seen.
    pub(super) async fn wait_for_row(
        &self,
        id: TaskId,
        wait: Duration,
        is_visible: impl Fn(&TaskRow) -> bool,
    ) -> Result<Option<TaskRow>, QueueError> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut subscription = self.event_hub.subscribe(id);
        loop {
            let Some(row) = self.store.find(id).await?.filter(&is_visible) else { return Ok(None) };
            if row.status.is_ended() || tokio::time::Instant::now() >= deadline || self.shutdown.is_started() {
                return Ok(Some(row));
            }
            let look_at = deadline.min(tokio::time::Instant::now() + LOOK_EVERY);
            self.ended_or(look_at, &mut subscription).await;
        }
    }

    /// Waits for events of an end, for missed events, or for `until`.
    async fn ended_or(&self, until: tokio::time::Instant, subscription: &mut TaskSubscription) {
        let ended = async {
            while let Some(event) = subscription.next().await {
                if matches!(event, super::event_hub::TaskEvent::Changed(status) if status.is_ended()) {
                    return;
                }
            }
        };
        tokio::select! {
            () = ended => {}
            () = self.shutdown.started() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// Listens for events of a task. Listen first, then read its status: so nothing is missed.
    pub fn subscribe(&self, id: TaskId) -> TaskSubscription {
        self.event_hub.subscribe(id)
    }

    /// A task in full; `None` where there is none that the principal sees.
    pub async fn detail(&self, id: TaskId, principal: &Principal) -> Result<Option<TaskView>, QueueError> {
        let Some(row) = self.visible_row(id, principal).await? else { return Ok(None) };
        let mut attempt_log: Vec<AttemptView> = self.store.attempts(id).await?.into_iter().map(AttemptView::from).collect();
        attempt_log.extend(present_attempt(&row, &attempt_log));
        let args = self.redact_args(&row).and_then(|args| RawValue::from_string(args).ok());
        let principal = row.principal.to_string();
        let (time_limit, soft_time_limit) = (row.hard_limit.as_secs_f64(), row.soft_limit.map(|limit| limit.as_secs_f64()));
        let callback_url = row.callback_url.clone();
        Ok(Some(TaskView {
            status: self.status_of(row).await?,
            args,
            principal,
            time_limit,
            soft_time_limit,
            callback_url,
            attempt_log,
        }))
    }

    /// A page of tasks, newest first; only the principal's own unless it is an admin.
    pub async fn list(
        &self,
        mut filter: TaskFilter,
        page: &PageRequest,
        principal: &Principal,
    ) -> Result<Page<StatusView>, QueueError> {
        if let Some(own) = principal.sees_only() {
            filter.principal = Some(own);
        }
        let rows = self.store.list(&filter, page).await?;
        let snapshot = self.snapshot().await?;
        let now = self.clock.now();
        let items = rows.items.into_iter().map(|row| {
            let waiting_for = waiting_for(&row, &snapshot, now);
            StatusView::new(row, waiting_for)
        });
        Ok(Page { items: items.collect(), next: rows.next })
    }

    /// A page of tasks as [`Queue::list`] gives it, each with its args as they may be shown.
    pub async fn list_with_args(
        &self,
        mut filter: TaskFilter,
        page: &PageRequest,
        principal: &Principal,
    ) -> Result<Page<(StatusView, Option<String>)>, QueueError> {
        if let Some(own) = principal.sees_only() {
            filter.principal = Some(own);
        }
        let rows = self.store.list(&filter, page).await?;
        let snapshot = self.snapshot().await?;
        let now = self.clock.now();
        // A list is read without args, which may be large.
        let whole: Vec<_> = stream::iter(rows.items)
            .map(async |row| (self.store.find(row.id).await, row))
            .buffered(READS_AT_ONCE)
            .collect()
            .await;
        let mut items = Vec::with_capacity(whole.len());
        for (found, row) in whole {
            let args = found?.and_then(|found| self.redact_args(&found));
            let waiting_for = waiting_for(&row, &snapshot, now);
            items.push((StatusView::new(row, waiting_for), args));
        }
        Ok(Page { items, next: rows.next })
    }

    /// All queues with what is in them.
    pub async fn queues(&self) -> Result<Vec<QueueView>, QueueError> {
        let now = self.clock.now();
        let (rows, counts, workers) = tokio::try_join!(self.store.queues(), self.store.queue_counts(now), self.store.workers())?;
        let mut by_name: BTreeMap<_, _> = counts.into_iter().map(|counts| (counts.name.clone(), counts)).collect();
        Ok(rows
            .into_iter()
            .map(|row| {
                let counts = by_name.remove(&row.name);
                let of = |take: fn(&crate::store::QueueCounts) -> u64| counts.as_ref().map_or(0, take);
                QueueView {
                    paused: row.paused_at.is_some(),
                    paused_at: row.paused_at,
                    concurrency: row.concurrency,
                    depth: of(|counts| counts.waiting),
                    scheduled: of(|counts| counts.scheduled),
                    running: of(|counts| counts.running),
                    oldest_seconds: counts
                        .as_ref()
                        .and_then(|counts| counts.oldest_due_at)
                        .map(|due| now.duration_since(due).as_secs_f64().max(0.0)),
                    rate: per_second(of(|counts| counts.ended_last_minute)),
                    workers: workers.iter().filter(|worker| serves(worker, &row.name, now)).count(),
                    name: row.name,
                }
            })
            .collect())
    }

    /// The live workers with what they run, as far as the principal sees it.
    pub async fn workers(&self, principal: &Principal) -> Result<WorkersView, QueueError> {
        let now = self.clock.now();
        let statuses = vec![TaskStatus::Started];
        let filter = TaskFilter { statuses, principal: principal.sees_only(), ..TaskFilter::default() };
        let page = PageRequest { after: None, limit: RUNNING_LISTED };
        let (rows, started) = tokio::try_join!(self.store.workers(), self.store.list(&filter, &page))?;
        // Where all of them are on the page, they are counted; what a heartbeat tells is seconds old.
        let sees_all = filter.principal.is_none() && started.next.is_none();
        let mut running: BTreeMap<_, Vec<RunningView>> = BTreeMap::new();
        for task in started.items {
            if let Some(worker) = task.worker {
                let view = RunningView { task_id: task.id, kind: task.kind, started_at: task.started_at };
                running.entry(worker).or_default().push(view);
            }
        }
        let mut workers = BTreeMap::new();
        let mut total_active_tasks = 0;
        for row in rows.into_iter().filter(|row| !row.dead) {
            let health = health_of(&row, now);
            let id = row.info.id;
            let name =
                if workers.contains_key(&row.info.name) { format!("{}@{id}", row.info.name) } else { row.info.name.clone() };
            let tasks = running.remove(&id).unwrap_or_default();
            let mut info = row.info;
            if sees_all {
                info.running = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
            }
            total_active_tasks += u64::from(info.running);
            workers.insert(name, WorkerView::new(info, row.heartbeat_at, health, tasks));
        }
        Ok(WorkersView { timestamp: now, total_workers: workers.len(), total_active_tasks, workers })
    }

    /// Whether a principal sees such a task.
    pub(super) async fn sees(&self, id: TaskId, principal: &Principal) -> Result<bool, QueueError> {
        Ok(self.visible_row(id, principal).await?.is_some())
    }

    /// A row's args as they may be shown, as JSON.
    fn redact_args(&self, row: &TaskRow) -> Option<String> {
        if let Some(key) = encrypted_with(&row.args) {
            return serde_json::to_string(&format!("[{}]", unreadable("args", key))).ok();
        }
        // An unknown kind may have secrets where nobody knows.
        self.runner.kind(&row.kind).map(|kind| kind.mask_args(row.args.clone()))
    }

    async fn visible_row(&self, id: TaskId, principal: &Principal) -> Result<Option<TaskRow>, QueueError> {
        let row = self.store.find(id).await?;
        Ok(row.filter(|row| Self::is_visible(row, principal.sees_only().as_deref())))
    }

    /// A row as it is shown.
    pub async fn status_of(&self, row: TaskRow) -> Result<StatusView, QueueError> {
        let waiting_for = if row.status.is_waiting() {
            let snapshot = self.snapshot().await?;
            waiting_for(&row, &snapshot, self.clock.now())
        } else {
            None
        };
        Ok(StatusView::new(row, waiting_for))
    }

    async fn snapshot(&self) -> Result<Arc<ClusterSnapshot>, QueueError> {
        let now = self.clock.now();
        if let Some(snapshot) = self.snapshot_cache.latest.lock().clone()
            && now.duration_since(snapshot.taken_at).unsigned_abs() < SNAPSHOT_AGE
        {
            return Ok(snapshot);
        }
        let (queues, workers, maintenance) =
            tokio::try_join!(self.store.queues(), self.store.workers(), self.store.maintenance())?;
        let is_in_maintenance = maintenance.is_some();
        let snapshot = Arc::new(ClusterSnapshot { taken_at: now, queues, workers, is_in_maintenance });
        *self.snapshot_cache.latest.lock() = Some(snapshot.clone());
        Ok(snapshot)
    }
}

/// The rate that a count of a minute comes to.
fn per_second(in_a_minute: u64) -> f64 {
    f64::from(u32::try_from(in_a_minute).unwrap_or(u32::MAX)) / 60.0
}

/// The attempt that has no row of its own: the one that runs, or a success at the first try.
fn present_attempt(row: &TaskRow, written: &[AttemptView]) -> Option<AttemptView> {
    let is_written = written.iter().any(|attempt| attempt.attempt == row.attempt.0);
    if is_written || row.attempt.0 == 0 || !matches!(row.status, TaskStatus::Started | TaskStatus::Success) {
        return None;
    }
    Some(AttemptView {
        attempt: row.attempt.0,
        worker: row.worker_name.clone().unwrap_or_default(),
        started_at: row.started_at?,
        ended_at: row.ended_at,
        outcome: if row.status == TaskStatus::Success { "success" } else { "running" },
        error: None,
    })
}

fn is_silent(worker: &WorkerRow, now: Timestamp) -> bool {
    now.duration_since(worker.heartbeat_at) > jiff::SignedDuration::try_from(SILENT_AFTER).unwrap_or_default()
}

fn serves(worker: &WorkerRow, queue: &QueueName, now: Timestamp) -> bool {
    let listed = worker.info.queues.is_empty() || worker.info.queues.contains(queue);
    listed && !worker.dead && !worker.info.draining && !is_silent(worker, now)
}

fn health_of(worker: &WorkerRow, now: Timestamp) -> WorkerHealth {
    if worker.dead || is_silent(worker, now) {
        WorkerHealth::Dead
    } else if worker.info.draining {
        WorkerHealth::Draining
    } else if worker.info.stalled {
        WorkerHealth::Stalled
    } else {
        WorkerHealth::Healthy
    }
}

/// What a waiting task waits for; the first reason that holds.
fn waiting_for(row: &TaskRow, snapshot: &ClusterSnapshot, now: Timestamp) -> Option<WaitingFor> {
    if !row.status.is_waiting() {
        return None;
    }
    let because = |reason| Some(WaitingFor { reason, until: None });
    if row.due_at > now {
        let reason = if row.status == TaskStatus::Retry { WaitingReason::Retry } else { WaitingReason::Time };
        return Some(WaitingFor { reason, until: Some(row.due_at) });
    }
    if snapshot.is_in_maintenance {
        return because(WaitingReason::Maintenance);
    }
    let queue = snapshot.queues.iter().find(|queue| queue.name == row.queue);
    if queue.is_some_and(|queue| queue.paused_at.is_some()) {
        return because(WaitingReason::Paused);
    }
    if let Some(until) = row.limited_until.filter(|until| *until > now) {
        return Some(WaitingFor { reason: WaitingReason::Limit, until: Some(until) });
    }
    if !snapshot.workers.iter().any(|worker| serves(worker, &row.queue, now)) {
        return because(WaitingReason::NoWorker);
    }
    if queue.is_some_and(|queue| queue.concurrency.is_some()) {
        return because(WaitingReason::Concurrency);
    }
    because(WaitingReason::Turn)
}
