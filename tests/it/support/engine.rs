//! The engine for one test, over either pair, with a clock that the test moves, and a store and a broker that the test can take away.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use legwork::app::build_services;
use legwork::config::Config;
use legwork::files::{FileService, FileUpkeep};
use legwork::kinds::{KindRunner, KindSet, TaskKind};
use legwork::services::Services;
use legwork_engine::KindPolicy;
use legwork_engine::broker::SharedBroker;
use legwork_engine::clock::{Clock, ManualClock};
use legwork_engine::domain::{
    KindName, PageRequest, Principal, QueueName, RateLimit, TaskFilter, TaskId, TaskRow, TaskStatus, WorkerId,
};
use legwork_engine::metrics::Metrics;
use legwork_engine::queue::options::TaskOptions;
use legwork_engine::queue::submit::{SubmitError, SubmitTask, Submitted};
use legwork_engine::queue::view::{StatusView, TaskView};
use legwork_engine::queue::{Queue, QueueParts};
use legwork_engine::scheduler::Scheduler;
use legwork_engine::shutdown::Shutdown;
use legwork_engine::store::{SharedStore, Store};
use legwork_engine::worker::heartbeat::Heartbeat;
use legwork_engine::worker::pool::{Pool, PoolParts};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::faulty::{FaultyBroker, FaultyStore};
use super::probe::Probe;
use super::{brokers, stores, tasks};

/// Longer than any wait in a test may take; a test that comes here has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The user in whose name the tests submit and look.
pub fn ann() -> Principal {
    Principal::system()
}

/// One process's engine. A clone is another handle to it; [`Engine::another`] is another process.
#[derive(Clone)]
pub struct Engine {
    pub queue: Arc<Queue>,
    /// The store as this process sees it.
    pub store: SharedStore,
    /// What is wrong with it.
    pub faults: Arc<FaultyStore>,
    pub broker: Arc<FaultyBroker>,
    pub clock: Arc<ManualClock>,
    pub kinds: KindSet,
    pub services: Arc<Services>,
    pub files: FileService,
    pub upkeep: FileUpkeep,
    pub config: Config,
    pub shutdown: Shutdown,
    ground: Arc<Ground>,
}

/// What all processes of a test stand on.
pub struct Ground {
    pub store: Arc<dyn Store>,
    pub broker: SharedBroker,
    written: Arc<Notify>,
    accepted: Mutex<BTreeSet<TaskId>>,
}

/// Runs a case on SQLite and the in-process queue.
pub async fn embedded<C, F>(case: C)
where
    C: FnOnce(Engine) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    stores::sqlite(|store| async move {
        let clock = Arc::new(ManualClock::at(tasks::start()));
        let broker: SharedBroker = Arc::new(legwork_engine::broker::memory::MemoryBroker::default());
        run(case, Engine::over(store, broker, clock)).await;
    })
    .await;
}

/// Runs a case on Postgres and Redis.
pub async fn production<C, F>(case: C)
where
    C: FnOnce(Engine) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    stores::postgres(|store| async move {
        let clock = Arc::new(ManualClock::at(tasks::start()));
        let broker = brokers::connect(&brokers::test_redis_url(), &brokers::fresh_prefix());
        run(case, Engine::over(store, broker, clock)).await;
    })
    .await;
}

/// Runs the case, and then what holds after every one of them: what was accepted is there, once.
async fn run<C, F>(case: C, engine: Engine)
where
    C: FnOnce(Engine) -> F,
    F: Future<Output = ()>,
{
    case(engine.clone()).await;
    engine.check_ledger().await;
    engine.shutdown.start();
}

/// The probe, and the same with a rate limit of `10/m`.
fn probes() -> [TaskKind; 2] {
    let mut limited = TaskKind::of::<Probe>();
    let rate = Some(RateLimit { starts: 10, per: Duration::from_mins(1) });
    limited.policy = Arc::new(KindPolicy { name: KindName::from_store("test.limited"), rate, ..(*limited.policy).clone() });
    [TaskKind::of::<Probe>(), limited]
}

impl Engine {
    /// An engine with the test's settings: callbacks to loopback are allowed and signed.
    pub fn over(store: Arc<dyn Store>, broker: SharedBroker, clock: Arc<ManualClock>) -> Self {
        let folder = std::env::temp_dir().join(format!("legwork-test-{}", fastrand::u64(..)));
        let vars = [
            ("DATA_DIR", folder.to_str().unwrap()),
            ("OUTBOUND_ALLOW", "127.0.0.0/8"),
            ("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("FILES_SECRET", "a secret of the tests that signs the links to files"),
            ("SHUTDOWN_GRACE", "50ms"),
            ("CONCURRENCY", "10"),
        ];
        let mut config = Config::read(vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()).unwrap();
        // The tests' own program has no children.
        config.isolate.program = env!("CARGO_BIN_EXE_legwork").into();
        let (written, accepted) = (Arc::default(), Mutex::default());
        let kinds = KindSet::with(probes());
        Self::on(Arc::new(Ground { store, broker, written, accepted }), clock, config, kinds)
    }

    fn on(ground: Arc<Ground>, clock: Arc<ManualClock>, config: Config, kinds: KindSet) -> Self {
        let services = Arc::new(build_services(&config, &(clock.clone() as Arc<dyn Clock>)).unwrap());
        let shutdown = Shutdown::new();
        let faults = FaultyStore::over(ground.store.clone(), ground.written.clone());
        let store: SharedStore = faults.clone();
        let broker = FaultyBroker::over(ground.broker.clone());
        let files = FileService::new(services.files.clone(), store.clone());
        let upkeep = FileUpkeep::new(files.clone(), store.clone(), clock.clone(), services.export_retention);
        let runner =
            KindRunner { kinds: kinds.clone(), services: services.clone(), files: files.clone(), upkeep: upkeep.clone() };
        let parts = QueueParts {
            store: store.clone(),
            broker: broker.clone(),
            clock: clock.clone(),
            runner: Arc::new(runner),
            config: config.submit.clone(),
            metrics: Arc::new(Metrics::new()),
            lease: config.worker.lease,
        };
        Self {
            queue: Queue::start(parts, &shutdown),
            store,
            faults,
            broker,
            clock,
            kinds,
            services,
            files,
            upkeep,
            config,
            shutdown,
            ground,
        }
    }

    /// Another process on the same store and broker, with faults of its own.
    pub fn another(&self) -> Self {
        self.tuned(|_| {})
    }

    /// Another process whose clock is wrong by so much, and moves only when it is told to.
    pub fn skewed(&self, by: jiff::SignedDuration) -> Self {
        let clock = Arc::new(ManualClock::at(self.now() + by));
        Self::on(self.ground.clone(), clock, self.config.clone(), KindSet::with(probes()))
    }

    /// Another process with other settings.
    pub fn tuned(&self, tune: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.config.clone();
        tune(&mut config);
        Self::on(self.ground.clone(), self.clock.clone(), config, KindSet::with(probes()))
    }

    /// Another process, of a version that does not know the probe.
    pub fn older(&self) -> Self {
        Self::on(self.ground.clone(), self.clock.clone(), self.config.clone(), KindSet::compiled())
    }

    /// A pool that runs and whose heartbeat has beaten once. It knows the kinds' queues.
    pub async fn start_pool(&self) -> RunningPool {
        let queues = ["default", "callbacks"].map(QueueName::from_store);
        self.ground.store.ensure_queues(&queues, self.now()).await.unwrap();
        let worker = WorkerId::made(self.clock.now());
        let name: Arc<str> = format!("worker-{worker}").into();
        let parts =
            PoolParts { queue: self.queue.clone(), config: self.config.worker.clone(), worker, worker_name: name.clone() };
        let pool = Pool::new(parts);
        // Tests may ask it for what it misses before its own first look.
        pool.refresh().await;
        let shutdown = Shutdown::new();
        let heartbeat =
            Heartbeat::new(pool.clone(), self.queue.clone(), self.config.worker.clone(), worker, &name, shutdown.clone());
        let run = tokio::spawn(pool.clone().run(shutdown.clone()));
        let mut running = RunningPool { pool, heartbeat, worker, name, shutdown, engine: self.clone(), run };
        running.heartbeat().await;
        running
    }

    pub fn scheduler(&self) -> Arc<Scheduler> {
        Scheduler::new(self.queue.clone(), self.config.scheduler.clone())
    }

    /// Submits with options, as `ann`.
    pub async fn try_submit(&self, kind: &str, args: Value, options: Value) -> Result<Submitted, SubmitError> {
        self.command(SubmitTask {
            kind: kind.into(),
            args: args.to_string(),
            args_pointer: "/args",
            options: serde_json::from_value::<TaskOptions>(options).unwrap(),
            principal: "ann".into(),
            internal: false,
            key: None,
        })
        .await
    }

    pub async fn command(&self, command: SubmitTask) -> Result<Submitted, SubmitError> {
        let submitted = self.queue.submit(command).await?;
        self.note_accepted(submitted.id);
        Ok(submitted)
    }

    /// Notes a task that was made in another way than by a submission here.
    pub fn note_accepted(&self, id: TaskId) {
        self.ground.accepted.lock().insert(id);
    }

    /// A task that is to be forgotten need not be listed in the end.
    pub fn forget_accepted(&self, id: TaskId) {
        self.ground.accepted.lock().remove(&id);
    }

    pub async fn submit_with(&self, kind: &str, args: Value, options: Value) -> TaskId {
        self.try_submit(kind, args, options).await.unwrap().id
    }

    pub async fn submit(&self, kind: &str, args: Value) -> TaskId {
        self.submit_with(kind, args, serde_json::json!({})).await
    }

    pub async fn status(&self, id: TaskId) -> StatusView {
        self.queue.status(id, &ann()).await.unwrap().expect("the task exists")
    }

    pub async fn detail(&self, id: TaskId) -> TaskView {
        self.queue.detail(id, &ann()).await.unwrap().expect("the task exists")
    }

    /// The attempts that are listed, with their outcomes.
    pub async fn attempts(&self, id: TaskId) -> Vec<(i32, &'static str)> {
        self.detail(id).await.attempt_log.iter().map(|attempt| (attempt.attempt, attempt.outcome)).collect()
    }

    /// The row, whatever this process can see.
    pub async fn row(&self, id: TaskId) -> TaskRow {
        self.ground.store.find(id).await.unwrap().expect("the task exists")
    }

    /// Waits for the end of a task.
    pub async fn ended(&self, id: TaskId) -> StatusView {
        self.row_when(id, |row| row.status.is_ended()).await;
        self.status(id).await
    }

    /// Waits until a task has left the state STARTED, by its end or for another attempt.
    pub async fn settled(&self, id: TaskId) -> StatusView {
        self.row_when(id, |row| row.attempt.0 > 0 && row.status != TaskStatus::Started).await;
        self.status(id).await
    }

    /// Waits until the row is as the test wants it; every write of every process is a chance to look.
    pub async fn row_when(&self, id: TaskId, holds: impl FnMut(&TaskRow) -> bool) -> TaskRow {
        self.seen_when(|| self.row(id), holds).await
    }

    /// Looks again after every write until what it sees is as it should be.
    pub async fn seen_when<T: std::fmt::Debug, F: Future<Output = T>>(
        &self,
        look: impl Fn() -> F,
        mut holds: impl FnMut(&T) -> bool,
    ) -> T {
        let mut last = None;
        let looked = async {
            loop {
                let mut written = std::pin::pin!(self.ground.written.notified());
                written.as_mut().enable();
                let seen = look().await;
                if holds(&seen) {
                    return seen;
                }
                last = Some(seen);
                written.await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looked).await.ok();
        found.unwrap_or_else(|| panic!("it never was as it should be; last it was {last:?}"))
    }

    /// Lets the time pass until a task is due, and dispatches it.
    pub async fn pass_delay(&self, scheduler: &Scheduler, id: TaskId) {
        let delay = self.row(id).await.due_at.duration_since(self.now()).unsigned_abs();
        self.clock.advance(delay + Duration::from_millis(1));
        scheduler.dispatch_due().await.unwrap();
    }

    /// Waits until every task that was accepted so far has ended.
    pub async fn all_ended(&self) {
        let accepted: Vec<TaskId> = self.ground.accepted.lock().iter().copied().collect();
        for id in accepted {
            self.row_when(id, |row| row.status.is_ended()).await;
        }
    }

    /// accepted = ended + waiting + running: every task that was accepted is listed, once.
    pub async fn check_ledger(&self) {
        let mut page = PageRequest { after: None, limit: 500 };
        let mut listed = Vec::new();
        loop {
            let rows = self.ground.store.list(&TaskFilter::default(), &page).await.unwrap();
            listed.extend(rows.items.into_iter().map(|row| row.id));
            match rows.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let once: BTreeSet<TaskId> = listed.iter().copied().collect();
        assert_eq!(once.len(), listed.len(), "a task is listed twice");
        let lost: Vec<TaskId> = self.ground.accepted.lock().difference(&once).copied().collect();
        assert!(lost.is_empty(), "accepted and not there any more: {lost:?}");
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Lets a lease pass, step by step, so that the scheduler may judge; the heartbeats of those who live heartbeat. How many were rescued.
    pub async fn pass_lease(&self, scheduler: &Scheduler, live: &mut [&mut RunningPool]) -> usize {
        let mut rescued = 0;
        for _ in 0..=4 {
            for pool in live.iter_mut() {
                pool.heartbeat().await;
            }
            rescued += scheduler.rescue().await.unwrap();
            self.clock.advance(self.config.worker.lease / 3);
        }
        for pool in live.iter_mut() {
            pool.heartbeat().await;
        }
        rescued + scheduler.rescue().await.unwrap()
    }
}

/// A pool that runs, and its heartbeat, which heartbeats when the test says so.
pub struct RunningPool {
    pub pool: Arc<Pool>,
    pub heartbeat: Heartbeat,
    pub worker: WorkerId,
    pub name: Arc<str>,
    pub shutdown: Shutdown,
    engine: Engine,
    run: JoinHandle<()>,
}

impl RunningPool {
    /// Its heartbeat heartbeats.
    pub async fn heartbeat(&mut self) {
        self.heartbeat.heartbeat_once(&self.engine.store).await;
        self.heartbeat.released().await;
    }

    /// Its heartbeat heartbeats without a pause until `work` is done: for leases that are shorter than a busy machine is slow.
    pub async fn alive_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        let heartbeats = async {
            loop {
                self.heartbeat().await;
            }
        };
        tokio::select! {
            done = work => done,
            () = heartbeats => unreachable!("it heartbeats without an end"),
        }
    }

    /// Ends it in good order.
    pub async fn end(self) {
        self.shutdown.start();
        tokio::time::timeout(PATIENCE, self.run).await.expect("the pool ended").unwrap();
    }

    /// Ends its process as a `kill -9` does: it neither reads nor writes any more, and what it ran is gone.
    pub fn kill(self) {
        self.cut_off();
        self.run.abort();
        for (_, attempt) in self.pool.running().all() {
            attempt.cancel_handle.force(legwork_engine::worker::running::StopReason::LeaseLost);
        }
    }

    /// Cuts its process off from store and broker; what it runs runs on.
    pub fn cut_off(&self) {
        self.engine.faults.take_away();
        self.engine.broker.take_away();
    }

    /// Ends the cut.
    pub fn reconnect(&self) {
        self.engine.faults.bring_back();
        self.engine.broker.bring_back();
    }
}
