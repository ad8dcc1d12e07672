//! The heartbeat: one lease per worker, in the store, kept from a thread of its own so that busy slots cannot starve it.
//!
//! Each heartbeat also compares: what the store says we run and we do not know of (the answer of a start was lost) is released; what we run and
//! the store does not list as ours was given to another, and is stopped; a revoke whose signal was lost is found here.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::WorkerConfig;
use super::pool::Pool;
use super::running::StopReason;
use crate::clock::Clock;
use crate::domain::{Attempt, TaskId, WorkerId, WorkerInfo};
use crate::queue::Queue;
use crate::shutdown::Shutdown;
use crate::store::{HeartbeatAnswer, StartedRow, StoreError, StoreResult, WorkerCommand, Workers};

/// The heartbeat of one worker.
pub struct Heartbeat {
    pool: Arc<Pool>,
    queue: Arc<Queue>,
    config: WorkerConfig,
    template: WorkerInfo,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    last_sent: Option<Timestamp>,
    orphans: HashSet<(TaskId, Attempt)>,
    missing: HashSet<(TaskId, Attempt)>,
    releasing: Option<tokio::task::JoinHandle<usize>>,
}

/// What one heartbeat needs of the store; on Postgres over connections of the heartbeat's own.
#[async_trait::async_trait]
pub trait HeartbeatStore: Send + Sync {
    /// Writes the heartbeat of the worker and returns the store's answer.
    async fn heartbeat(&self, info: &WorkerInfo, now: Timestamp) -> StoreResult<HeartbeatAnswer>;
    /// Reads what the store says this worker runs.
    async fn started_by(&self, worker: WorkerId) -> StoreResult<Vec<StartedRow>>;
}

#[async_trait::async_trait]
impl HeartbeatStore for crate::store::SharedStore {
    async fn heartbeat(&self, info: &WorkerInfo, now: Timestamp) -> StoreResult<HeartbeatAnswer> {
        Workers::heartbeat(self.as_ref(), info, now).await
    }

    async fn started_by(&self, worker: WorkerId) -> StoreResult<Vec<StartedRow>> {
        crate::store::Sweeps::started_by(self.as_ref(), worker).await
    }
}

/// A lease is kept by about ten heartbeats, so that three missed ones are far from its end; a short lease heartbeats faster, a long one at least
/// every three seconds, for the sake of those who look.
pub fn heartbeat_every(lease: Duration) -> Duration {
    (lease / 10).clamp(Duration::from_millis(300), Duration::from_secs(3))
}

impl Heartbeat {
    /// No heartbeat has been sent yet.
    pub fn new(pool: Arc<Pool>, queue: Arc<Queue>, config: WorkerConfig, id: WorkerId, name: &str, shutdown: Shutdown) -> Self {
        let clock = queue.clock().clone();
        let template = WorkerInfo {
            id,
            name: name.to_owned(),
            host: host_name(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: config.queues.clone(),
            slots: u32::try_from(config.concurrency).unwrap_or(u32::MAX),
            running: 0,
            done: 0,
            failed: 0,
            memory_bytes: 0,
            draining: false,
            stalled: false,
            started_at: clock.now(),
            last_fetch_at: None,
            last_done_at: None,
        };
        Self {
            pool,
            queue,
            config,
            template,
            clock,
            shutdown,
            last_sent: None,
            orphans: HashSet::new(),
            missing: HashSet::new(),
            releasing: None,
        }
    }

    /// What is told with the next heartbeat.
    pub fn info(&self) -> WorkerInfo {
        let counts = self.pool.running().counts();
        WorkerInfo {
            running: counts.running,
            done: counts.done,
            failed: counts.failed,
            memory_bytes: resident_bytes(),
            draining: self.pool.is_draining() || self.shutdown.is_started(),
            stalled: self.pool.is_stalled(),
            last_fetch_at: counts.last_fetch_at,
            last_done_at: counts.last_done_at,
            ..self.template.clone()
        }
    }

    /// One heartbeat: tells, hears, compares.
    pub async fn heartbeat_once(&mut self, store: &dyn HeartbeatStore) {
        if self.pool.has_left() {
            return;
        }
        let deadline = self.config.lease / 8;
        let reported = tokio::time::timeout(deadline, self.report(store)).await;
        let silence = || StoreError::Unavailable(format!("no answer within {} ms", deadline.as_millis()));
        match reported.unwrap_or_else(|_| Err(silence())) {
            Ok(rows) => self.compare(rows),
            Err(error) => self.missed(&error),
        }
    }

    async fn report(&mut self, store: &dyn HeartbeatStore) -> StoreResult<Vec<StartedRow>> {
        // The lease is counted from before the heartbeat was sent: the store may have taken it at once and answered late.
        let (sent, sent_at) = (Instant::now(), self.clock.now());
        let answer = store.heartbeat(&self.info(), sent_at).await?;
        self.clock.follow(answer.store_now);
        self.last_sent = Some(sent_at);
        self.pool.note_heartbeat(sent);
        match answer.command {
            Some(WorkerCommand::Drain) => self.pool.drain(),
            Some(WorkerCommand::Shutdown) => self.shutdown.start(),
            None => {}
        }
        store.started_by(self.template.id).await
    }

    /// A heartbeat that failed. Before the lease ends, what runs is asked to stop, and then ended by force: others may have it soon.
    fn missed(&self, error: &StoreError) {
        tracing::warn!(%error, "a heartbeat was missed");
        let silent = self.last_sent.map_or(Duration::ZERO, |last| self.clock.now().duration_since(last).unsigned_abs());
        let running = self.pool.running();
        if silent < self.config.lease.mul_f64(0.8) || running.counts().running == 0 {
            return;
        }
        tracing::error!("the lease is about to end; everything that runs here is stopped");
        running.cancel_all(StopReason::LeaseLost);
        if silent >= self.config.lease.mul_f64(0.9) {
            running.force_all(StopReason::LeaseLost);
        }
    }

    /// Compares the store's image with ours. A difference counts if it is there twice in a row, because a start or a settle may be under way.
    fn compare(&mut self, rows: Vec<StartedRow>) {
        let running = self.pool.running();
        for row in rows.iter().filter(|row| row.revoke_requested_at.is_some()) {
            self.pool.stop_revoked(row.id, row.terminate);
        }
        let here: HashSet<(TaskId, Attempt)> = running.all().into_iter().map(|(id, attempt)| (id, attempt.attempt)).collect();
        let there: HashSet<(TaskId, Attempt)> = rows.iter().map(|row| (row.id, row.attempt)).collect();
        let orphans: HashSet<_> = there.difference(&here).filter(|(id, _)| !running.is_start(*id)).copied().collect();
        let missing: HashSet<_> = here.difference(&there).copied().collect();
        for &(id, attempt) in missing.intersection(&self.missing) {
            if let Some(lost) = running.get(id).filter(|lost| lost.attempt == attempt) {
                tracing::warn!(task.id = %id, %attempt, reason = "lost_lease", "the store has given the attempt to another; it is stopped");
                if lost.cancel_handle.reason() >= Some(StopReason::LeaseLost) {
                    lost.cancel_handle.force(StopReason::LeaseLost);
                } else {
                    lost.cancel_handle.cancel(StopReason::LeaseLost);
                }
            }
        }
        let unknown: Vec<StartedRow> = rows
            .into_iter()
            .filter(|row| orphans.contains(&(row.id, row.attempt)) && self.orphans.contains(&(row.id, row.attempt)))
            .collect();
        (self.orphans, self.missing) = (orphans, missing);
        if !unknown.is_empty() {
            tracing::warn!(
                tasks = unknown.len(),
                "the store lists attempts on this worker that do not run here; they are released"
            );
            self.release(unknown);
        }
    }

    /// Releases orphans, aside: the store's writes may be slow, and the heartbeat must go on.
    fn release(&mut self, unknown: Vec<StartedRow>) {
        if self.releasing.as_ref().is_some_and(|under_way| !under_way.is_finished()) {
            return;
        }
        let queue = self.queue.clone();
        self.releasing = Some(tokio::spawn(async move { queue.release_orphans(unknown).await }));
    }

    /// Resolves when no orphans are being released any more.
    pub async fn released(&mut self) {
        if let Some(under_way) = self.releasing.take()
            && let Err(error) = under_way.await
        {
            tracing::error!(%error, "orphans could not be released");
        }
    }

    /// Writes heartbeats at the interval until `stop` is cancelled.
    pub async fn run(mut self, store: &dyn HeartbeatStore, stop: tokio_util::sync::CancellationToken) {
        let mut every = tokio::time::interval(heartbeat_every(self.config.lease));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => {}
                () = self.pool.heartbeat_requested() => {}
            }
            self.heartbeat_once(store).await;
        }
    }
}

/// This host's name, as in `%h`.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.as_deref().and_then(|text| text.split_whitespace().nth(1)).and_then(|pages| pages.parse::<u64>().ok());
    resident.unwrap_or(0) * rustix::param::page_size() as u64
}
