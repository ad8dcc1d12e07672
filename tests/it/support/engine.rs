//! The engine for one test, over either pair, with a clock that the test moves and a broker that the test can take away.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use legwork::app::build_services;
use legwork::broker::{Broker, BrokerError, Delivery, SharedBroker, Signal, Want};
use legwork::clock::{Clock, ManualClock};
use legwork::config::Config;
use legwork::domain::{Band, Doorbell, Principal, QueueName, TaskId, WorkerId};
use legwork::metrics::Metrics;
use legwork::queue::options::TaskOptions;
use legwork::queue::submit::{SubmitError, SubmitTask, Submitted};
use legwork::queue::view::StatusView;
use legwork::queue::{Queue, QueueParts};
use legwork::scheduler::Scheduler;
use legwork::services::Services;
use legwork::shutdown::Shutdown;
use legwork::store::Store;
use legwork::tasks::{KindSet, TaskKind};
use legwork::worker::heartbeat::Heart;
use legwork::worker::pool::{Pool, PoolParts};
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::probe::Probe;
use super::{brokers, stores, tasks};

/// Longer than any wait in a test may take; a test that comes here has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// One process's engine.
pub struct Engine {
    pub queue: Arc<Queue>,
    pub store: Arc<dyn Store>,
    pub broker: Arc<FaultyBroker>,
    pub clock: Arc<ManualClock>,
    pub services: Arc<Services>,
    pub config: Config,
    pub shutdown: Shutdown,
}

/// Runs a case on SQLite and the in-process queue.
pub async fn embedded<C, F>(case: C)
where
    C: FnOnce(Engine) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    stores::sqlite(|store| async move {
        let clock = Arc::new(ManualClock::at(tasks::start()));
        let broker: SharedBroker = Arc::new(legwork::broker::memory::MemoryBroker::new(clock.clone()));
        case(Engine::over(store, broker, clock)).await;
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
        case(Engine::over(store, broker, clock)).await;
    })
    .await;
}

impl Engine {
    /// An engine with the test's settings: callbacks to loopback are allowed and signed.
    pub fn over(store: Arc<dyn Store>, broker: SharedBroker, clock: Arc<ManualClock>) -> Self {
        let folder = std::env::temp_dir().join(format!("legwork-test-{}", fastrand::u64(..)));
        let vars = [
            ("DATA_DIR", folder.to_str().unwrap()),
            ("OUTBOUND_ALLOW", "127.0.0.0/8"),
            ("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("SHUTDOWN_GRACE", "50ms"),
            ("CONCURRENCY", "10"),
        ];
        let config = Config::read(vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()).unwrap();
        Self::with_config(store, broker, clock, config)
    }

    pub fn with_config(store: Arc<dyn Store>, broker: SharedBroker, clock: Arc<ManualClock>, config: Config) -> Self {
        let services = Arc::new(build_services(&config).unwrap());
        let shutdown = Shutdown::new();
        let broker = Arc::new(FaultyBroker { inner: broker, is_away: AtomicBool::new(false) });
        let parts = QueueParts {
            store: store.clone(),
            broker: broker.clone(),
            clock: clock.clone(),
            kinds: KindSet::with([TaskKind::of::<Probe>()]),
            services: services.clone(),
            config: config.submit.clone(),
            metrics: Arc::new(Metrics::new()),
            lease: config.worker.lease,
        };
        Self { queue: Queue::start(parts, &shutdown), store, broker, clock, services, config, shutdown }
    }

    /// A pool that runs.
    pub fn start_pool(&self) -> RunningPool {
        let worker = WorkerId::made(self.clock.now());
        let name: Arc<str> = format!("worker-{worker}").into();
        let parts = PoolParts {
            queue: self.queue.clone(),
            services: self.services.clone(),
            config: self.config.worker.clone(),
            worker,
            worker_name: name.clone(),
        };
        let pool = Pool::new(parts);
        let shutdown = Shutdown::new();
        let heart = Heart::new(pool.clone(), self.queue.clone(), self.config.worker.clone(), worker, &name, shutdown.clone());
        let run = tokio::spawn(pool.clone().run(shutdown.clone()));
        RunningPool { pool, heart, worker, shutdown, run }
    }

    pub fn scheduler(&self) -> Arc<Scheduler> {
        Scheduler::new(self.queue.clone(), self.config.scheduler.clone())
    }

    /// Submits with options, as `ann`.
    pub async fn try_submit(&self, kind: &str, args: Value, options: Value) -> Result<Submitted, SubmitError> {
        let command = SubmitTask {
            kind: kind.into(),
            args: args.to_string(),
            args_pointer: "/args",
            options: serde_json::from_value::<TaskOptions>(options).unwrap(),
            principal: "ann".into(),
            internal: false,
            key: None,
        };
        self.queue.submit(command).await
    }

    pub async fn submit_with(&self, kind: &str, args: Value, options: Value) -> TaskId {
        self.try_submit(kind, args, options).await.unwrap().id
    }

    pub async fn submit(&self, kind: &str, args: Value) -> TaskId {
        self.submit_with(kind, args, serde_json::json!({})).await
    }

    pub async fn status(&self, id: TaskId) -> StatusView {
        self.queue.status(id, &Principal::system()).await.unwrap().expect("the task exists")
    }

    /// Waits for the end of a task.
    pub async fn ended(&self, id: TaskId) -> StatusView {
        let status = self.queue.wait(id, PATIENCE, &Principal::system()).await.unwrap().expect("the task exists");
        assert!(status.ready, "the task has not ended: {status:?}");
        status
    }

    /// Waits until a task has left the state STARTED, by its end or for another attempt.
    pub async fn settled(&self, id: TaskId) -> StatusView {
        let mut news = self.queue.watch(id);
        let looked = async {
            loop {
                let status = self.status(id).await;
                let is_attempted = status.attempts > 0;
                if is_attempted && status.status != legwork::domain::TaskStatus::Started {
                    return status;
                }
                news.next().await;
            }
        };
        tokio::time::timeout(PATIENCE, looked).await.expect("the attempt was settled")
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A pool that runs, and its heart, which beats when the test says so.
pub struct RunningPool {
    pub pool: Arc<Pool>,
    pub heart: Heart,
    pub worker: WorkerId,
    pub shutdown: Shutdown,
    run: JoinHandle<()>,
}

impl RunningPool {
    /// Ends it in good order.
    pub async fn end(self) {
        self.shutdown.begin();
        tokio::time::timeout(PATIENCE, self.run).await.expect("the pool ended").unwrap();
    }

    /// Ends it as a `kill -9` does: nothing is handed back, nothing is settled any more.
    pub fn kill(self) {
        self.run.abort();
        for (_, attempt) in self.pool.running().all() {
            attempt.stopper.asked().cancel();
        }
    }
}

/// A broker that can be taken away.
pub struct FaultyBroker {
    inner: SharedBroker,
    is_away: AtomicBool,
}

impl FaultyBroker {
    pub fn take_away(&self) {
        self.is_away.store(true, Ordering::SeqCst);
        self.inner.wake();
    }

    pub fn bring_back(&self) {
        self.is_away.store(false, Ordering::SeqCst);
    }

    fn there(&self) -> Result<&SharedBroker, BrokerError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(BrokerError::Unavailable("taken away by the test".into()));
        }
        Ok(&self.inner)
    }
}

#[async_trait::async_trait]
impl Broker for FaultyBroker {
    async fn publish(&self, doorbells: &[Doorbell]) -> Result<(), BrokerError> {
        self.there()?.publish(doorbells).await
    }

    async fn receive(&self, want: &Want) -> Result<Vec<Delivery>, BrokerError> {
        self.there()?.receive(want).await
    }

    fn wake(&self) {
        self.inner.wake();
    }

    async fn acknowledge(&self, deliveries: &[Delivery]) -> Result<(), BrokerError> {
        self.there()?.acknowledge(deliveries).await
    }

    async fn reclaim(
        &self,
        worker: WorkerId,
        queues: &[QueueName],
        idle: Duration,
        max: usize,
    ) -> Result<Vec<Delivery>, BrokerError> {
        self.there()?.reclaim(worker, queues, idle, max).await
    }

    async fn oldest_held(&self, queue: &QueueName, band: Band) -> Result<Option<Timestamp>, BrokerError> {
        self.there()?.oldest_held(queue, band).await
    }

    async fn purge(&self, queue: &QueueName) -> Result<(), BrokerError> {
        self.there()?.purge(queue).await
    }

    async fn leave(&self, worker: WorkerId, queues: &[QueueName]) -> Result<(), BrokerError> {
        self.there()?.leave(worker, queues).await
    }

    async fn signal(&self, signal: &Signal) -> Result<(), BrokerError> {
        self.there()?.signal(signal).await
    }

    fn signals(&self) -> broadcast::Receiver<Arc<Signal>> {
        self.inner.signals()
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.there()?.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
