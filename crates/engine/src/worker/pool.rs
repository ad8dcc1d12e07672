//! The pool: a slot first, then a delivery; start; run; and again.
//!
//! Slots are semaphore permits that move into the attempts. The loop alone takes them, but for a task that has seen two workers die: it takes
//! them all, so that it runs alone, and nobody else is blamed or killed a third time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashSet;
use tokio::sync::{Mutex, MutexGuard, Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::WorkerConfig;
use super::executor::Executor;
use super::progress::ProgressBook;
use super::queue_slots::QueueSlots;
use super::running::{Running, StartingAttempts, StopReason};
use crate::broker::{Delivery, FetchRequest, QueueQuota, Signal};
use crate::domain::{Dispatch, QueueName, StartedTask, TaskId, WorkerId};
use crate::queue::Queue;
use crate::queue::control::REVOKE_GRACE;
use crate::queue::fetch::DispatchFetcher;
use crate::shutdown::Shutdown;
use crate::store::StartAnswer;

/// How long one fetch waits for work.
const FETCH_WAIT: Duration = Duration::from_secs(2);
/// How long the loop rests where no queue is open.
const CLOSED_PAUSE: Duration = Duration::from_millis(250);
/// How often the image of the queues is taken anew, signals apart.
const REFRESH_EVERY: Duration = Duration::from_secs(2);
/// How often an idle pool asks the store whether something is due that nobody dispatched for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a task is postponed that needs exclusive execution and did not get it.
const EXCLUSIVE_PAUSE: Duration = Duration::from_mins(1);
/// So many tasks that need exclusive execution wait for it here at most.
const MAX_WAITING_EXCLUSIVE: usize = 100;
/// A task that has been due for less may still be on its way.
const DISPATCH_PATIENCE: Duration = Duration::from_secs(10);
/// After so many looks in a row that found something the pool counts as stalled.
const FINDS_TO_STALL: u32 = 2;
/// How long tasks may take to stop once they were asked to, at the end of the process.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Whom a pool is, and what it may do.
pub struct PoolParts {
    /// The engine, for fetches and starts.
    pub queue: Arc<Queue>,
    /// Slots, queues and limits of the worker.
    pub config: WorkerConfig,
    /// Its id, fresh per start.
    pub worker: WorkerId,
    /// Name of the worker, unique among live workers by default.
    pub worker_name: Arc<str>,
}

/// The pool of one process.
pub struct Pool {
    queue: Arc<Queue>,
    config: WorkerConfig,
    worker: WorkerId,
    worker_name: Arc<str>,
    queue_slots: Arc<QueueSlots>,
    running: Arc<Running>,
    executor: Arc<Executor>,
    slots: Arc<Semaphore>,
    /// One permit for each start that the store can write at once.
    starts: Arc<Semaphore>,
    /// The turn among those that need exclusive execution. It holds until when nobody tries, because what runs here did not end soon.
    exclusive: Mutex<Option<Instant>>,
    waiting_exclusive: DashSet<TaskId>,
    /// When the last heartbeat was sent that the store took.
    last_heartbeat: watch::Sender<Option<Instant>>,
    has_left: AtomicBool,
    draining: AtomicBool,
    /// Looks in a row that found due tasks which no dispatch had brought.
    stalled_polls: AtomicU32,
    heartbeat_requested: Notify,
}

impl Pool {
    /// A pool that does nothing yet.
    pub fn new(parts: PoolParts) -> Arc<Self> {
        let PoolParts { queue, config, worker, worker_name } = parts;
        let running = Arc::new(Running::default());
        let executor = Arc::new(Executor {
            queue: queue.clone(),
            running: running.clone(),
            progress: Arc::default(),
            worker,
            worker_name: worker_name.clone(),
            result_limit: config.result_limit,
        });
        Arc::new(Self {
            queue_slots: Arc::new(QueueSlots::new(config.queues.clone(), config.queue_concurrency.clone())),
            slots: Arc::new(Semaphore::new(config.concurrency)),
            starts: Arc::new(Semaphore::new(queue.store().concurrent_writes())),
            queue,
            config,
            worker,
            worker_name,
            running,
            executor,
            exclusive: Mutex::default(),
            waiting_exclusive: DashSet::default(),
            last_heartbeat: watch::Sender::new(None),
            has_left: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            stalled_polls: AtomicU32::new(0),
            heartbeat_requested: Notify::new(),
        })
    }

    /// The attempts that run in this pool.
    pub fn running(&self) -> &Arc<Running> {
        &self.running
    }

    /// Where progress is folded.
    pub fn progress(&self) -> &Arc<ProgressBook> {
        &self.executor.progress
    }

    /// The queues that it serves and knows.
    pub fn queues(&self) -> Vec<QueueName> {
        self.queue_slots.queues()
    }

    /// Stops fetching, until the process ends.
    pub fn drain(&self) {
        if !self.draining.swap(true, Ordering::Relaxed) {
            tracing::info!("draining: nothing more is fetched");
            self.queue.wake();
        }
    }

    /// Whether it has stopped fetching.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Resolves when a heartbeat is to be sent out of turn.
    pub async fn heartbeat_requested(&self) {
        self.heartbeat_requested.notified().await;
    }

    /// Whether due tasks exist that no dispatch has brought, not even one that was dispatched again.
    pub fn is_stalled(&self) -> bool {
        self.stalled_polls.load(Ordering::Relaxed) >= FINDS_TO_STALL
    }

    /// Notes that the store has taken a heartbeat that was sent at `sent`: until half a lease later this worker may start attempts.
    pub fn note_heartbeat(&self, sent: Instant) {
        self.last_heartbeat.send_replace(Some(sent));
    }

    /// Whether it has left the store's list in good order: no heartbeat is to be sent from then on.
    pub fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Relaxed)
    }

    /// Whether the store knows this worker as a live one, with half a lease to spare. What it started otherwise would look like a dead
    /// worker's, and run twice. A process that was frozen `stalled_polls` itself without a lease until its next heartbeat.
    fn has_lease(&self) -> bool {
        self.last_heartbeat.borrow().is_some_and(|sent| sent.elapsed() < self.config.lease / 2)
    }

    /// Whether attempts may be started: they are known as ours, and their ends can be written.
    fn may_start(&self) -> bool {
        self.has_lease() && self.queue.settle_gate().is_open()
    }

    /// Resolves when attempts may be started.
    async fn startable(&self) {
        while !self.may_start() {
            self.leased().await;
            self.queue.settle_gate().opened().await;
        }
    }

    /// Resolves when it has a lease.
    async fn leased(&self) {
        let mut heartbeats = self.last_heartbeat.subscribe();
        while !self.has_lease() {
            // It cannot fail: the sender lives as long as we do.
            drop(heartbeats.changed().await);
        }
    }

    /// Fetches and runs, for as long as heartbeats are sent, until `shutdown`; then lets what runs finish, releases what does not, and leaves.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        self.refresh().await;
        let helpers = [
            tokio::spawn(self.executor.progress.clone().run(self.queue.clone(), self.running.clone())),
            tokio::spawn(self.clone().follow_signals()),
            tokio::spawn(self.clone().recover_missed()),
            tokio::spawn({
                let (pool, shutdown) = (self.clone(), shutdown.clone());
                async move {
                    shutdown.started().await;
                    pool.queue.wake();
                }
            }),
        ];
        let mut fetcher = DispatchFetcher::new(self.queue.clone());
        while !shutdown.is_started() {
            tokio::select! {
                () = self.startable() => self.step(&mut fetcher, &shutdown).await,
                () = shutdown.started() => {}
            }
        }
        self.finish().await;
        for helper in helpers {
            helper.abort();
        }
    }

    /// Takes the free slots, fetches for them, and starts what was fetched.
    async fn step(self: &Arc<Self>, fetcher: &mut DispatchFetcher, shutdown: &Shutdown) {
        if self.is_draining() {
            return shutdown.started().await;
        }
        let Some(turn) = self.turn(shutdown).await else { return };
        let Some(slots) = self.free_slots(shutdown).await else { return };
        let quotas = self.queue_slots.open(slots.num_permits());
        if quotas.is_empty() {
            drop(slots);
            tokio::select! {
                () = tokio::time::sleep(CLOSED_PAUSE) => {}
                () = shutdown.started() => {}
            }
            return;
        }
        let request = FetchRequest { quotas, max: slots.num_permits(), wait: FETCH_WAIT };
        let deliveries = fetcher.fetch(&request).await;
        if deliveries.is_empty() {
            return;
        }
        if shutdown.is_started() {
            return self.queue.release_deliveries(deliveries).await;
        }
        self.running.fetched(self.queue.clock().now());
        self.stalled_polls.store(0, Ordering::Relaxed);
        self.spawn_start(deliveries, slots, turn, shutdown);
    }

    /// The turn to start a batch: as many starts are under way as the store can write at once. The slots that come free meanwhile make the
    /// next batch larger, so that a start's commit is shared as the other writes' are.
    async fn turn(&self, shutdown: &Shutdown) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            () = shutdown.started() => None,
            turn = self.starts.clone().acquire_owned() => turn.ok(),
        }
    }

    /// All free slots, at least one.
    async fn free_slots(&self, shutdown: &Shutdown) -> Option<OwnedSemaphorePermit> {
        let first = tokio::select! {
            () = shutdown.started() => return None,
            slot = self.slots.clone().acquire_owned() => slot.ok()?,
        };
        let more = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        let mut slots = first;
        if more > 0
            && let Ok(rest) = self.slots.clone().try_acquire_many_owned(more)
        {
            slots.merge(rest);
        }
        self.queue.metrics().slots(self.config.concurrency, self.config.concurrency - slots.num_permits());
        Some(slots)
    }

    /// Starts a batch and runs it, aside, so that the next batch can be fetched meanwhile.
    fn spawn_start(
        self: &Arc<Self>,
        mut deliveries: Vec<Delivery>,
        mut slots: OwnedSemaphorePermit,
        turn: OwnedSemaphorePermit,
        shutdown: &Shutdown,
    ) {
        let surplus = deliveries.split_off(deliveries.len().min(slots.num_permits()));
        let unused = slots.num_permits() - deliveries.len();
        drop(slots.split(unused));
        for delivery in &deliveries {
            self.queue_slots.take(&delivery.dispatch.queue);
        }
        let starting = self.running.start(deliveries.iter().map(|delivery| delivery.dispatch.task.id).collect());
        let (pool, shutdown) = (self.clone(), shutdown.clone());
        tokio::spawn(async move {
            pool.queue.release_deliveries(surplus).await;
            pool.start(deliveries, starting, slots, turn, &shutdown).await;
        });
    }

    async fn start(
        self: &Arc<Self>,
        deliveries: Vec<Delivery>,
        starting: StartingAttempts,
        mut slots: OwnedSemaphorePermit,
        turn: OwnedSemaphorePermit,
        shutdown: &Shutdown,
    ) {
        let queues: Vec<QueueName> = deliveries.iter().map(|delivery| delivery.dispatch.queue.clone()).collect();
        if !self.may_start() {
            for queue in &queues {
                self.free_queue_slot(queue);
            }
            return self.queue.release_deliveries(deliveries).await;
        }
        let decided = match self.queue.start_attempts(self.worker, &self.worker_name, false, deliveries).await {
            Ok(decided) => decided,
            Err(error) => {
                // The sweep of lost dispatches finds the rows that still wait.
                tracing::warn!(%error, "attempts could not be started");
                for queue in &queues {
                    self.free_queue_slot(queue);
                }
                drop(starting);
                // The slots stay taken for a moment, so that a store that is away is not asked in a tight loop.
                tokio::time::sleep(CLOSED_PAUSE).await;
                return;
            }
        };
        drop(turn);
        for (one, queue) in decided.into_iter().zip(queues) {
            match one.answer {
                StartAnswer::Started(task) => {
                    let Some(slot) = slots.split(1) else { return };
                    self.spawn(*task, queue, slot);
                }
                StartAnswer::NeedsExclusive => {
                    self.free_queue_slot(&queue);
                    tokio::spawn(self.clone().run_exclusive(one.delivery, shutdown.clone()));
                }
                StartAnswer::Ended(_) | StartAnswer::Postponed | StartAnswer::Gone => self.free_queue_slot(&queue),
            }
        }
    }

    fn spawn(self: &Arc<Self>, task: StartedTask, queue: QueueName, slot: OwnedSemaphorePermit) {
        let cancel_handle = self.executor.register(&task);
        let pool = self.clone();
        let held = HeldSlot { pool: self.clone(), queue, _slot: slot };
        tokio::spawn(async move { pool.executor.execute(task, cancel_handle, held).await });
    }

    /// Runs one task while nothing else runs here. Where it stands in line already, nothing is done: the delivery stays held, and is dispatched
    /// again after a while. Those in line run one after the other. Where what runs here does not end soon, they are postponed: nothing is
    /// fetched while one waits for exclusive execution, and the cluster must not stand still for it.
    async fn run_exclusive(self: Arc<Self>, delivery: Delivery, shutdown: Shutdown) {
        let id = delivery.dispatch.task.id;
        if self.waiting_exclusive.len() >= MAX_WAITING_EXCLUSIVE {
            return self.queue.postpone(delivery, EXCLUSIVE_PAUSE).await;
        }
        if self.waiting_exclusive.insert(id) {
            match self.claim_exclusive(&shutdown).await {
                ExclusiveClaim::Taken(_turn, slots) => self.start_exclusive(delivery, slots, &shutdown).await,
                ExclusiveClaim::Ending => {}
                ExclusiveClaim::Busy => self.queue.postpone(delivery, EXCLUSIVE_PAUSE).await,
            }
            self.waiting_exclusive.remove(&id);
        }
    }

    /// Waits for the turn among those that need exclusive execution, for as long as it takes, and then a while until nothing runs here.
    async fn claim_exclusive(&self, shutdown: &Shutdown) -> ExclusiveClaim<'_> {
        let mut turn = tokio::select! {
            turn = self.exclusive.lock() => turn,
            () = shutdown.started() => return ExclusiveClaim::Ending,
        };
        if turn.is_some_and(|busy_until| Instant::now() < busy_until) {
            return ExclusiveClaim::Busy;
        }
        tokio::select! {
            slots = tokio::time::timeout(self.config.lease / 4, self.all_slots()) => match slots {
                Ok(Some(slots)) => ExclusiveClaim::Taken(turn, slots),
                Ok(None) => ExclusiveClaim::Ending,
                Err(_) => {
                    *turn = Some(Instant::now() + EXCLUSIVE_PAUSE / 2);
                    ExclusiveClaim::Busy
                }
            },
            () = shutdown.started() => ExclusiveClaim::Ending,
        }
    }

    /// All slots, as soon as nothing runs here.
    async fn all_slots(&self) -> Option<OwnedSemaphorePermit> {
        let all = u32::try_from(self.config.concurrency).unwrap_or(u32::MAX);
        let mut free = std::pin::pin!(self.slots.clone().acquire_many_owned(all));
        // The loop may hold the free slots while it waits for work: end that wait, but only when we stand in line for them.
        let wake = async {
            self.queue.wake();
            std::future::pending::<()>().await;
        };
        let slots = tokio::select! {
            biased;
            slots = &mut free => slots.ok()?,
            () = wake => return None,
        };
        // Slots are given up before the settlement is written; a worker that dies before it is would take those tasks along.
        self.running.empty_within(self.config.lease).await;
        Some(slots)
    }

    async fn start_exclusive(self: &Arc<Self>, delivery: Delivery, slots: OwnedSemaphorePermit, shutdown: &Shutdown) {
        let starting = self.running.start(vec![delivery.dispatch.task.id]);
        if shutdown.is_started() || !self.may_start() {
            return self.queue.release_deliveries(vec![delivery]).await;
        }
        let started = self.queue.start_attempts(self.worker, &self.worker_name, true, vec![delivery]).await;
        let task = match started.map(|mut decided| decided.pop().map(|one| one.answer)) {
            Ok(Some(StartAnswer::Started(task))) => *task,
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "an attempt could not be started"),
        };
        tracing::info!(task.id = %task.id, task.kind = %task.kind, "runs exclusively: two workers have died with it");
        let cancel_handle = self.executor.register(&task);
        drop(starting);
        self.executor.execute(task, cancel_handle, slots).await;
    }

    fn free_queue_slot(&self, queue: &QueueName) {
        if self.queue_slots.give_up(queue) {
            self.queue.wake();
        }
    }

    /// Reads the queues again, and whether there is maintenance. A pool that runs does so by itself, every two seconds and at a signal.
    pub async fn refresh(&self) {
        let store = self.queue.store();
        match tokio::try_join!(store.queues(), store.maintenance()) {
            Ok((rows, maintenance)) => {
                if self.queue_slots.refresh(rows, maintenance.is_some()) {
                    self.queue.wake();
                }
            }
            Err(error) => tracing::debug!(%error, "the queues could not be read"),
        }
    }

    /// Hears signals: queues that changed, tasks to stop.
    async fn follow_signals(self: Arc<Self>) {
        let mut signals = self.queue.signals();
        let mut refresh = tokio::time::interval(REFRESH_EVERY);
        loop {
            let signal = tokio::select! {
                _ = refresh.tick() => None,
                signal = signals.recv() => signal.ok(),
            };
            match signal.as_deref() {
                None | Some(Signal::Queues) => self.refresh().await,
                Some(Signal::Revoke { id, terminate }) => self.stop_revoked(*id, *terminate),
                // A command waits in the store, and the next heartbeat fetches it.
                Some(Signal::Worker) => self.heartbeat_requested.notify_one(),
                Some(_) => {}
            }
        }
    }

    /// Stops a task whose revoke was requested, if it runs here: at once, or at its next checkpoint and by force after a while.
    pub fn stop_revoked(&self, id: TaskId, terminate: bool) {
        let Some(attempt) = self.running.get(id) else { return };
        if terminate {
            return attempt.cancel_handle.force(StopReason::Revoked);
        }
        if attempt.cancel_handle.reason() == Some(StopReason::Revoked) {
            return;
        }
        attempt.cancel_handle.cancel(StopReason::Revoked);
        tokio::spawn(async move {
            tokio::time::sleep(REVOKE_GRACE).await;
            attempt.cancel_handle.force(StopReason::Revoked);
        });
    }

    /// Looks for due rows where no dispatch came for a while.
    async fn recover_missed(self: Arc<Self>) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut idle_since = Instant::now();
        let mut last_fetch = None;
        loop {
            every.tick().await;
            let fetched = self.running.counts().last_fetch_at;
            if fetched != last_fetch {
                (last_fetch, idle_since) = (fetched, Instant::now());
            }
            if self.is_draining() {
                continue;
            }
            let looks_idle = idle_since.elapsed() >= 2 * LOOK_EVERY;
            self.recover_missed_once(looks_idle).await;
        }
    }

    /// One look. `is_idle` says that nothing was fetched for a while: then rows that have been due for long are dispatched again.
    pub async fn recover_missed_once(self: &Arc<Self>, is_idle: bool) {
        let quotas = self.queue_slots.open(self.config.concurrency);
        let queues: Vec<QueueName> = quotas.iter().map(|QueueQuota { queue, .. }| queue.clone()).collect();
        if !is_idle || self.running.counts().running as usize >= self.config.concurrency {
            return;
        }
        let now = self.queue.clock().now();
        // What has become due just now is on its way.
        let due_before = now.checked_sub(DISPATCH_PATIENCE).unwrap_or(now);
        let limit = u32::try_from(self.config.concurrency).unwrap_or(u32::MAX);
        match self.queue.store().poll(&queues, due_before, limit).await {
            Ok(due) if due.is_empty() => self.stalled_polls.store(0, Ordering::Relaxed),
            Ok(due) => {
                tracing::warn!(tasks = due.len(), "due tasks were found that no dispatch had brought; they are dispatched again");
                self.stalled_polls.fetch_add(1, Ordering::Relaxed);
                self.queue.dispatch(due.into_iter().map(|dispatch| Dispatch { dispatched_at: now, ..dispatch }).collect()).await;
                self.queue.wake();
            }
            Err(error) => tracing::debug!(%error, "due tasks could not be looked for"),
        }
    }

    /// The end: what runs may finish; then it is asked to stop; then it is ended by force and released.
    async fn finish(&self) {
        let grace = self.config.grace;
        tracing::info!(running = self.running.counts().running, grace_s = grace.as_secs(), "ending: what runs may finish");
        if !self.running.empty_within(grace).await {
            self.running.cancel_all(StopReason::Shutdown);
            if !self.running.empty_within(STOP_GRACE).await {
                for (id, _) in self.running.all() {
                    tracing::warn!(task.id = %id, reason = "abandoned_by_shutdown", "did not stop when asked; it is released");
                }
                self.running.force_all(StopReason::Shutdown);
                self.running.empty_within(STOP_GRACE).await;
            }
        }
        self.has_left.store(true, Ordering::Relaxed);
        self.queue.leave(self.worker).await;
    }
}

/// What became of a wait for exclusive execution.
enum ExclusiveClaim<'a> {
    /// Nothing else runs here, for as long as the turn and the slots are held.
    Taken(MutexGuard<'a, Option<Instant>>, OwnedSemaphorePermit),
    /// What runs here does not end soon.
    Busy,
    /// The process is ending.
    Ending,
}

/// A slot in use, in its queue.
struct HeldSlot {
    pool: Arc<Pool>,
    queue: QueueName,
    _slot: OwnedSemaphorePermit,
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        self.pool.free_queue_slot(&self.queue);
    }
}
