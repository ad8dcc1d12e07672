//! The engine: submit, fetch, start, settle, control, inspect. The only place that joins store and broker.
//!
//! One request's way: [`submit`] writes the row (group commit) and sends the dispatch; [`fetch`] hands deliveries to the pool and starts
//! their attempts; [`settle`] writes what follows (group commit) and tells who waits. [`control`] and [`inspect`] serve the API and the CLI.
//! [`sweep`] is what the scheduler steps: dispatch of due tasks, rescue, lost dispatches, expiry.

pub mod batch;
pub mod body;
pub mod children;
pub mod control;
pub mod declared;
pub mod dispatcher;
pub mod event_hub;
pub mod fetch;
mod firing;
pub mod inspect;
mod ledger;
pub mod options;
pub mod recipients;
pub mod schedules;
pub mod settle;
pub mod settle_gate;
pub mod statistics;
mod storable;
pub mod submit;
pub mod sweep;
pub mod upkeep;
pub mod view;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use crate::broker::{BrokerError, SharedBroker, Signal};
use crate::clock::Clock;
use crate::domain::{Dispatch, KindName, QueueName, RateLimit, Routing, ScheduleId, TaskRow};
use crate::metrics::Metrics;
use crate::runner::{KindPolicy, TaskRunner};
use crate::shutdown::Shutdown;
use crate::store::{
    EffectRecords, Ended, MailLedger, RecipientLedger, Settlement, SharedStore, StoreError, SubmittedTask, Suppressions,
};

use batch::{BatchLimits, Batcher};
use dispatcher::Dispatcher;
use event_hub::EventHub;
use inspect::SnapshotCache;
use ledger::Ledgers;
use settle::{SettleAnswer, SettleFlush};
use settle_gate::SettleGate;
use submit::{InsertResult, SubmitFlush};

/// What a submission may be.
#[derive(Clone, Debug)]
pub struct SubmitConfig {
    /// The largest args, in bytes of JSON.
    pub args_limit: usize,
    /// Which queue a kind goes to.
    pub routing: Routing,
    /// How long a key is kept.
    pub key_retention: Duration,
    /// How long results are kept.
    pub result_retention: Duration,
}

/// The parts from which an engine is built.
pub struct QueueParts {
    /// The store of tasks, workers and files.
    pub store: SharedStore,
    /// Carries dispatches and signals.
    pub broker: SharedBroker,
    /// Gives the current time. Tests set it.
    pub clock: Arc<dyn Clock>,
    /// The code that runs tasks.
    pub runner: Arc<dyn TaskRunner>,
    /// Limits and defaults of submissions.
    pub config: SubmitConfig,
    /// The metrics that the engine updates.
    pub metrics: Arc<Metrics>,
    /// A worker's lease: how long a settlement is tried while the process ends.
    pub lease: Duration,
}

/// The engine. One a process, shared by HTTP, the pool, the scheduler and the CLI.
pub struct Queue {
    store: SharedStore,
    broker: SharedBroker,
    clock: Arc<dyn Clock>,
    runner: Arc<dyn TaskRunner>,
    /// The kinds whose starts are limited.
    rate_limits: RwLock<Arc<[(KindName, RateLimit)]>>,
    config: SubmitConfig,
    metrics: Arc<Metrics>,
    inserts: Batcher<SubmittedTask, InsertResult>,
    settlements: Batcher<Settlement, SettleAnswer>,
    settle_gate: Arc<SettleGate>,
    ledgers: Ledgers,
    dispatcher: Arc<Dispatcher>,
    event_hub: Arc<EventHub>,
    known_queues: RwLock<HashSet<QueueName>>,
    snapshot_cache: SnapshotCache,
    /// The due schedules that this process could not read at its last look.
    unreadable_schedules: Mutex<BTreeSet<ScheduleId>>,
    shutdown: Shutdown,
}

/// Why the engine could not do it.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker could not, and nothing else can.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// The kinds of a runner whose starts are limited.
fn rate_limits_of(runner: &dyn TaskRunner) -> Arc<[(KindName, RateLimit)]> {
    runner.kinds().iter().filter_map(|kind| Some((kind.name.clone(), kind.rate?))).collect()
}

/// One group commit of submissions: enough for the multi-row rate, few enough for a short lock.
const INSERT_BATCH: usize = 500;
/// The args of one group commit, or its results, in bytes.
const BATCH_BYTES: usize = 16 << 20;
/// Submissions that wait for a commit at most.
const INSERTS_WAITING: usize = 10_000;
/// How long a submitter waits for its commit.
const INSERT_DEADLINE: Duration = Duration::from_secs(10);
/// One group commit of settlements.
const SETTLE_BATCH: usize = 500;
/// Settlements that wait at most; then slots stay taken.
const SETTLEMENTS_WAITING: usize = 2_000;

impl Queue {
    /// Puts the engine together and starts its batchers.
    pub fn start(parts: QueueParts, shutdown: &Shutdown) -> Arc<Self> {
        let QueueParts { store, broker, clock, runner, config, metrics, lease } = parts;
        let dispatcher = Arc::new(Dispatcher::new(store.clone(), broker.clone(), clock.clone(), metrics.clone()));
        let event_hub = EventHub::start(broker.as_ref(), shutdown);
        let insert_limits = BatchLimits {
            flushers: store.concurrent_writes(),
            batch: INSERT_BATCH,
            batch_bytes: BATCH_BYTES,
            waiting: INSERTS_WAITING,
            deadline: INSERT_DEADLINE,
        };
        let insert_flush = SubmitFlush { store: store.clone(), dispatcher: dispatcher.clone(), metrics: metrics.clone() };
        let settle_limits = BatchLimits {
            flushers: store.concurrent_writes(),
            batch: SETTLE_BATCH,
            batch_bytes: BATCH_BYTES,
            waiting: SETTLEMENTS_WAITING,
            deadline: lease,
        };
        let settle_gate = Arc::new(SettleGate::default());
        let settle_flush = SettleFlush {
            store: store.clone(),
            broker: broker.clone(),
            dispatcher: dispatcher.clone(),
            event_hub: event_hub.clone(),
            metrics: metrics.clone(),
            gate: settle_gate.clone(),
            shutdown: shutdown.clone(),
            lease,
        };
        Arc::new(Self {
            inserts: Batcher::start(insert_limits, Arc::new(insert_flush)),
            settlements: Batcher::start(settle_limits, Arc::new(settle_flush)),
            settle_gate,
            ledgers: Ledgers::start(store.clone()),
            store,
            broker,
            clock,
            rate_limits: RwLock::new(rate_limits_of(runner.as_ref())),
            runner,
            config,
            metrics,
            dispatcher,
            event_hub,
            known_queues: RwLock::default(),
            snapshot_cache: SnapshotCache::default(),
            unreadable_schedules: Mutex::default(),
            shutdown: shutdown.clone(),
        })
    }

    /// Takes over the kinds of the runner after they have changed: their rate limits, and their queues, which are made known.
    pub async fn kinds_changed(&self) {
        *self.rate_limits.write() = rate_limits_of(self.runner.as_ref());
        let mut queues: Vec<QueueName> = self.runner.kinds().iter().map(|kind| self.queue_of(kind)).collect();
        queues.sort_unstable();
        queues.dedup();
        if let Err(error) = self.store.ensure_queues(&queues, self.clock.now()).await {
            tracing::warn!(%error, "the queues of the kinds could not be made known; each is with its first task");
        }
    }

    /// The code that runs tasks.
    pub fn runner(&self) -> &Arc<dyn TaskRunner> {
        &self.runner
    }

    /// The queue to which tasks of a kind go that name none.
    pub fn queue_of(&self, kind: &KindPolicy) -> QueueName {
        self.config.routing.queue_for(&kind.name, &kind.queue)
    }

    /// The clock that the engine uses.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The rows, for those that keep their own (heartbeat, accounts, ledger).
    pub fn store(&self) -> &SharedStore {
        &self.store
    }

    /// What became of mails, for the kinds that send them.
    pub fn mail_ledger(&self) -> Arc<dyn MailLedger> {
        Arc::new(self.ledgers.clone())
    }

    /// The recorded effects of tasks.
    pub fn effect_records(&self) -> Arc<dyn EffectRecords> {
        Arc::new(self.ledgers.clone())
    }

    /// What became of recipients, for the kinds that reach many.
    pub fn recipient_ledger(&self) -> Arc<dyn RecipientLedger> {
        Arc::new(self.ledgers.clone())
    }

    /// The addresses that get nothing in bulk.
    pub fn suppressions(&self) -> Arc<dyn Suppressions> {
        Arc::new(self.ledgers.clone())
    }

    /// Sends dispatches of rows that are due; what cannot be dispatched is left to the sweep of due tasks.
    pub async fn dispatch(&self, dispatches: Vec<Dispatch>) {
        self.dispatcher.dispatch(dispatches).await;
    }

    /// The metrics that the engine updates.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Whether ends can be written.
    pub fn settle_gate(&self) -> &SettleGate {
        &self.settle_gate
    }

    /// What goes between processes.
    pub fn signals(&self) -> tokio::sync::broadcast::Receiver<Arc<Signal>> {
        self.broker.signals()
    }

    /// Whether the store answers, and whether the broker does.
    pub async fn ping(&self) -> (Result<jiff::Timestamp, StoreError>, Result<(), BrokerError>) {
        tokio::join!(self.store.ping(), self.broker.ping())
    }

    /// Tells this process at once, and all others as soon as the broker can. A signal that is lost costs time only.
    async fn send_signal(&self, signal: Signal) {
        self.event_hub.publish(&signal);
        if let Err(error) = self.broker.signal(&signal).await {
            tracing::debug!(%error, "a signal could not be sent; others will find out by looking");
        }
    }

    /// Tells of tasks that ended outside a settlement, and dispatches their callbacks.
    async fn publish_ended(&self, ended: Vec<Ended>) {
        if ended.is_empty() {
            return;
        }
        let tasks = ended.iter().map(|end| (end.id, end.status.into())).collect();
        for end in &ended {
            self.metrics.task_ended(end.status);
        }
        self.dispatcher.dispatch_promptly(ended.into_iter().filter_map(|end| end.callback).collect()).await;
        self.send_signal(Signal::Changed { tasks }).await;
    }

    /// Whether a principal sees a task; `None` sees all.
    fn is_visible(row: &TaskRow, only_of: Option<&str>) -> bool {
        only_of.is_none_or(|subject| subject == &*row.principal)
    }
}
