//! The composition root: configuration → ports → engine → pool, scheduler, HTTP. Owns every spawned task, and runs until shutdown.

mod banner;
mod demonstration;
mod heartbeat;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::auth::Tokens;
use crate::auth::secrets::first_link;
use crate::config::Config;
use crate::dashboard::DashboardConfig;
use crate::files::{FileService, FileUpkeep};
use crate::http::{ApiParts, Readiness};
use crate::kinds::{KindRunner, KindSet};
use crate::packs::{PackError, RunningPacks};
use crate::services::Services;
use legwork_engine::broker::{BrokerError, SharedBroker, Signal};
use legwork_engine::clock::{Clock, SyncedClock};
use legwork_engine::domain::{QueueName, WorkerId};
use legwork_engine::metrics::Metrics;
use legwork_engine::queue::{Queue, QueueParts};
use legwork_engine::scheduler::{Scheduler, follow_store_time};
use legwork_engine::shutdown::Shutdown;
use legwork_engine::store::{SharedStore, StoreError};
use legwork_engine::worker::heartbeat::host_name;
use legwork_engine::worker::pool::{Pool, PoolParts};

pub use demonstration::place_image;
pub use parts::{build_broker, build_services, build_store, with_secrets};

/// How long connections and sweeps may take to end once nothing runs any more.
const LAST_GRACE: Duration = Duration::from_secs(5);
/// The first pause before a store that is away is asked again.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// So many tries may fail before it is said that the address may be wrong: a database that starts up beside us takes a few seconds.
const PATIENT_TRIES: u32 = 4;
/// How often the revoked tokens are read, signals apart.
const REVOKED_TOKENS_EVERY: Duration = Duration::from_secs(5);
/// A schedule that is due for longer and has not fired makes the node unready.
const LATE_SCHEDULES: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);
/// The longest pause between two tries to reach the store.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Why the process could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A generated secret could not be read or kept.
    #[error("the secret {path} could not be read or written: {source}")]
    Secret {
        /// Path of the secret's file.
        path: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The store cannot be used at all.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker's address is wrong.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Packs have mistakes, or their databases refuse them.
    #[error(transparent)]
    Packs(#[from] PackError),
    /// A service could not be set up.
    #[error("{what} could not be set up: {reason}")]
    Service {
        /// The part that failed, for example `mail`.
        what: &'static str,
        /// The part's own error, as text.
        reason: String,
    },
    /// Signals could not be listened for.
    #[error("signals cannot be listened for: {0}")]
    Signal(std::io::Error),
    /// The address could not be listened on.
    #[error("{address} cannot be listened on: {source}; set LISTEN to another address")]
    Listen {
        /// The address that was asked for in `LISTEN`.
        address: std::net::SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The server ended with an error.
    #[error("the HTTP server ended: {0}")]
    Serve(std::io::Error),
    /// A thread could not be started.
    #[error("the heartbeat's thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// The ports and what stands on them: a process, put together and not yet running.
pub struct App {
    config: Config,
    store: SharedStore,
    broker: SharedBroker,
    clock: Arc<dyn Clock>,
    tokens: Arc<Tokens>,
    queue: Arc<Queue>,
    kinds: KindSet,
    packs: Arc<RunningPacks>,
    services: Arc<Services>,
    files: FileService,
    upkeep: FileUpkeep,
    shutdown: Shutdown,
}

/// Runs a process of `config` until it is told to end.
pub async fn serve(config: Config) -> Result<(), AppError> {
    let shutdown = Shutdown::new();
    spawn_signal_listener(shutdown.clone());
    // From the start: without a listener, a SIGHUP ends the process.
    let hangups = signal(SignalKind::hangup()).map_err(AppError::Signal)?;
    let config = with_secrets(config)?;
    let listener = if config.roles.api || config.listen_is_set { Some(listen(&config).await?) } else { None };
    let store = build_store(&config.store).await?;
    if !wait_for(&store, &shutdown).await {
        return Ok(());
    }
    let clock: Arc<dyn Clock> = Arc::new(SyncedClock::start());
    let broker = build_broker(&config.broker)?;
    let mut config = config;
    let keeps_schedules = config.roles.scheduler || config.roles.api;
    let packs = Arc::new(RunningPacks::load(&config.packs, &config.render, &mut config.sources, keeps_schedules)?);
    let app = App::assemble(config, store, broker, clock, packs.clone(), shutdown)?;
    let loaded = packs.current();
    loaded.prepare(&app.services.sources).await?;
    loaded.lend_templates(&app.services.renderer);
    packs.sync_schedules(&app.queue).await?;
    app.shutdown.spawn(reload_on_hangup(
        hangups,
        packs,
        app.kinds.clone(),
        app.services.clone(),
        app.queue.clone(),
        app.shutdown.clone(),
    ));
    app.run(listener).await
}

async fn listen(config: &Config) -> Result<tokio::net::TcpListener, AppError> {
    let address = config.http.listen;
    tokio::net::TcpListener::bind(address).await.map_err(|source| AppError::Listen { address, source })
}

/// Waits until the store answers and its schema is up to date; `false` where the process is told to end first.
async fn wait_for(store: &SharedStore, shutdown: &Shutdown) -> bool {
    let mut pause = FIRST_WAIT;
    let mut failed = 0_u32;
    loop {
        match store.migrate().await {
            Ok(()) => return true,
            Err(error) if failed < PATIENT_TRIES => tracing::warn!(%error, retry_in = ?pause, "waiting for the database"),
            Err(error) => {
                tracing::error!(%error, retry_in = ?pause, "still waiting for the database: DATABASE_URL may be wrong");
            }
        }
        failed = failed.saturating_add(1);
        tokio::select! {
            () = shutdown.started() => return false,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_WAIT);
    }
}

/// The first SIGTERM or SIGINT starts the shutdown; a second one ends the process at once.
fn spawn_signal_listener(shutdown: Shutdown) {
    tokio::spawn(async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return tracing::error!("signals cannot be listened for");
        };
        for is_first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_first {
                tracing::info!("shutdown was requested");
                shutdown.start();
            }
        }
        tracing::warn!("shutdown was requested again: the process ends at once, and running tasks will be rescued");
        std::process::exit(130);
    });
}

/// Reloads the packs at each SIGHUP. Packs that cannot be used are logged, and those that run go on.
async fn reload_on_hangup(
    mut hangups: tokio::signal::unix::Signal,
    packs: Arc<RunningPacks>,
    kinds: KindSet,
    services: Arc<Services>,
    queue: Arc<Queue>,
    shutdown: Shutdown,
) {
    loop {
        tokio::select! {
            () = shutdown.started() => return,
            received = hangups.recv() => if received.is_none() { return },
        }
        match packs.reload(&kinds, &services, &queue).await {
            Ok(_) => tracing::info!(packs = packs.current().set().packs().len(), "the packs were reloaded"),
            Err(error) => tracing::error!(%error, "the packs were not reloaded; those that run go on"),
        }
    }
}

impl App {
    /// Puts a process together over a migrated store and a broker.
    pub fn assemble(
        config: Config,
        store: SharedStore,
        broker: SharedBroker,
        clock: Arc<dyn Clock>,
        packs: Arc<RunningPacks>,
        shutdown: Shutdown,
    ) -> Result<Self, AppError> {
        let kinds = KindSet::with(packs.current().kinds());
        let services = Arc::new(build_services(&config, &clock)?);
        let tokens =
            Tokens::new(&config.auth).map_err(|error| AppError::Service { what: "tokens", reason: error.to_string() })?;
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
        let queue = Queue::start(parts, &shutdown);
        Ok(Self {
            config,
            store,
            broker,
            clock,
            tokens: Arc::new(tokens),
            queue,
            kinds,
            packs,
            services,
            files,
            upkeep,
            shutdown,
        })
    }

    /// The engine of this process.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The stored files with the table that lists them.
    pub fn files(&self) -> &FileService {
        &self.files
    }

    /// The service that issues and verifies tokens.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Runs until shutdown: what runs is finished or released, what was accepted is answered.
    pub async fn run(self, listener: Option<tokio::net::TcpListener>) -> Result<(), AppError> {
        // Before anything is numbered or judged by the time: this host's own clock may be wrong.
        self.clock.follow(self.store.ping().await?);
        self.make_queues_known().await;
        if self.config.is_embedded()
            && let Err(error) = place_image(&self.files, self.clock.now()).await
        {
            tracing::warn!(%error, "the image for the examples could not be stored");
        }
        if let Err(error) = self.services.sources.prepare().await {
            tracing::warn!(%error, "the demonstration data could not be made");
        }
        let scheduler = Scheduler::new(self.queue.clone(), self.config.scheduler.clone());
        if self.store.is_exclusive() {
            let rescued = scheduler.rescue_all().await?;
            if rescued > 0 {
                tracing::info!(tasks = rescued, "the process before this one did not end in good order; its tasks run again");
            }
            scheduler.dispatch_after_restart().await?;
        }
        if self.config.roles.scheduler {
            scheduler.start(&self.shutdown);
        } else {
            self.shutdown.spawn(follow_store_time(self.queue.clone(), self.shutdown.clone()));
        }
        self.upkeep.clone().start(self.config.roles.scheduler, &self.shutdown);
        let pool = self.config.roles.worker.then(|| self.pool());
        let heartbeat_stop = CancellationToken::new();
        let worker_name = pool.as_ref().map(|(_, _, name)| name.to_string());
        let heartbeat = match &pool {
            Some((pool, id, name)) => Some(heartbeat::start(&self, pool, *id, name, &heartbeat_stop)?),
            None => None,
        };
        let pool = pool.map(|(pool, ..)| pool);
        let running_pool = pool.clone().map(|pool| tokio::spawn(pool.run(self.shutdown.clone())));
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok()).map(tracing::field::display);
        tracing::info!(roles = %self.config.roles, listen = address, worker = worker_name, "running");
        let served = if let Some(listener) = listener {
            self.serve_http(listener, pool).await
        } else {
            self.shutdown.started().await;
            Ok(())
        };
        // A server that failed ends the process as a signal does.
        self.shutdown.start();
        if let Some(running) = running_pool
            && let Err(error) = running.await
        {
            tracing::error!(%error, "the worker pool ended with an error");
        }
        heartbeat_stop.cancel();
        if let Some(heartbeat) = heartbeat {
            heartbeat.ended().await;
        }
        if tokio::time::timeout(LAST_GRACE, self.shutdown.finished()).await.is_err() {
            tracing::warn!("some background work did not end in time");
        }
        self.services.sources.close().await;
        self.broker.close().await;
        self.store.close().await;
        tracing::info!("ended");
        served
    }

    fn pool(&self) -> (Arc<Pool>, WorkerId, Arc<str>) {
        let id = WorkerId::made(self.clock.now());
        let name: Arc<str> = worker_name(self.config.worker.name.as_deref(), id).into();
        let parts =
            PoolParts { queue: self.queue.clone(), config: self.config.worker.clone(), worker: id, worker_name: name.clone() };
        (Pool::new(parts), id, name)
    }

    /// Queues that settings or kinds name exist from the start, so that they can be looked at and paused before their first task.
    async fn make_queues_known(&self) {
        let mut queues: Vec<QueueName> = self.kinds.iter().map(|kind| kind.policy.queue.clone()).collect();
        queues.extend(self.config.worker.queues.iter().cloned());
        queues.extend(self.config.worker.queue_concurrency.keys().cloned());
        queues.extend(self.config.submit.routing.queues().cloned());
        queues.sort_unstable();
        queues.dedup();
        if let Err(error) = self.store.ensure_queues(&queues, self.clock.now()).await {
            tracing::warn!(%error, "the queues could not be made known yet");
        }
    }

    async fn serve_http(&self, listener: tokio::net::TcpListener, pool: Option<Arc<Pool>>) -> Result<(), AppError> {
        self.shutdown.spawn(follow_revoked_tokens(self.queue.clone(), self.tokens.clone(), self.shutdown.clone()));
        let first_link = self.first_link().await;
        if self.config.roles.api {
            banner::print(&self.config, &self.tokens, first_link.as_deref(), self.clock.now());
        }
        let parts = ApiParts {
            queue: self.queue.clone(),
            kinds: self.kinds.clone(),
            packs: self.packs.clone(),
            services: self.services.clone(),
            files: self.files.clone(),
            tokens: self.tokens.clone(),
            config: self.config.http.clone(),
            readiness: self.readiness(pool),
            shutdown: self.shutdown.clone(),
            dashboard: DashboardConfig {
                secret: self.config.auth.secrets.first().cloned(),
                first_link,
                is_embedded: self.config.is_embedded(),
            },
            serves_tasks: self.config.roles.api,
        };
        crate::http::serve(listener, parts).await.map_err(AppError::Serve)
    }

    /// What the first sign-in takes, where an embedded server has no account yet.
    async fn first_link(&self) -> Option<String> {
        if !self.config.is_embedded() || !self.config.roles.api {
            return None;
        }
        match self.store.accounts(1).await {
            Ok(accounts) if accounts.is_empty() => first_link(),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "the accounts could not be read; no link for the first sign-in is printed");
                None
            }
        }
    }

    /// Ready means able: the store answers, and, on a worker, due tasks are fetched.
    fn readiness(&self, pool: Option<Arc<Pool>>) -> Readiness {
        let store = self.store.clone();
        let readiness = Readiness::new().check("database", move || {
            let store = store.clone();
            async move { store.ping().await.map(drop).map_err(|error| error.to_string()) }
        });
        let queue = self.queue.clone();
        let readiness = readiness.check("settlements", move || {
            let reason = queue.settle_gate().reason();
            async move { reason.map_or(Ok(()), |reason| Err(format!("ends of tasks cannot be stored: {reason}"))) }
        });
        let readiness = if self.config.roles.scheduler { with_schedules(readiness, self.queue.clone()) } else { readiness };
        let Some(pool) = pool else { return readiness };
        readiness.check("worker", move || {
            let is_stalled = pool.is_stalled();
            async move { if is_stalled { Err("due tasks exist, slots are free, and none is fetched".to_owned()) } else { Ok(()) } }
        })
    }
}

/// A scheduler is ready as long as no schedule has been due for a minute without a firing.
fn with_schedules(readiness: Readiness, queue: Arc<Queue>) -> Readiness {
    readiness.check("schedules", move || {
        let queue = queue.clone();
        async move {
            let late = queue.schedule_lateness().await.map_err(|error| error.to_string())?;
            if late <= LATE_SCHEDULES {
                Ok(())
            } else {
                Err(format!("a schedule has been due for {} s and has not fired", late.as_secs()))
            }
        }
    })
}

/// Keeps the set of revoked tokens: anew on a signal, and every few seconds, because signals may be lost.
async fn follow_revoked_tokens(queue: Arc<Queue>, tokens: Arc<Tokens>, shutdown: Shutdown) {
    let mut signals = queue.signals();
    let mut every = tokio::time::interval(REVOKED_TOKENS_EVERY);
    loop {
        tokio::select! {
            () = shutdown.started() => return,
            _ = every.tick() => {}
            signal = signals.recv() => match signal.as_deref() {
                Ok(Signal::Tokens) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                _ => continue,
            },
        }
        match queue.store().revoked_tokens(queue.clock().now()).await {
            Ok(ids) => tokens.set_revoked(ids),
            Err(error) => tracing::debug!(%error, "the revoked tokens could not be read"),
        }
    }
}

/// The name of a worker: as set, `%h` being the host and `%p` the process id; else host and a part of the id, so that it is unique.
fn worker_name(set: Option<&str>, id: WorkerId) -> String {
    let id = id.to_string();
    let short = id.rsplit('-').next().unwrap_or_default();
    match set {
        Some(name) => name.replace("%h", &host_name()).replace("%p", &std::process::id().to_string()),
        None => format!("{}-{short}", host_name()),
    }
}
