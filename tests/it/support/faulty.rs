//! A store and a broker that fail where the test says so. What stands behind them goes on working for the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use legwork_engine::broker::{Broker, BrokerError, Delivery, FetchRequest, SharedBroker, Signal};
use legwork_engine::domain::{
    Attempt, Dispatch, FilePath, FiringRow, KindName, Maintenance, Page, PageRequest, PriorityBand, Progress, QueueName,
    RateLimit, ScheduleId, ScheduleRow, ScopeSet, StoredSchedule, TaskFilter, TaskId, TaskRef, TaskRow, WorkerId, WorkerInfo,
    WorkerRow,
};
use legwork_engine::store::{
    AccountInfo, AccountRow, Accounts, AttemptRow, AttemptStanding, AuditEntry, AuditFilter, AuditLog, ChangeAnswer,
    EffectRecord, EffectRecords, Ended, EndedGroup, FileRegistry, FileRow, HeartbeatAnswer, InsertAnswer, LedgerEntry,
    MailLedger, NewAccount, NewRecipient, Prune, QueueChange, QueueCounts, QueueRow, RateLines, RecipientCounts, RecipientFilter,
    RecipientLedger, RecipientRow, RecipientState, RecipientStep, Resend, RetryAnswer, RevokeAnswer, RevokeOrder, SampleStep,
    Samples, ScheduleFilter, ScheduleKey, ScheduleStep, ScheduleWrite, Schedules, Settled, Settlement, StartAnswer, StartBatch,
    StartedRow, Store, StoreError, StoreResult, SubmittedTask, Suppression, SuppressionFilter, Suppressions, Sweeps, TaskChange,
    TaskControl, TaskReads, TaskStats, TaskWrites, WorkerCommand, Workers,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, broadcast};

/// Where calls wait until the test lets them on.
#[derive(Debug)]
pub struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), open: Semaphore::new(0) })
    }

    /// Waits until a call has arrived.
    pub async fn arrived(&self) {
        let permit = tokio::time::timeout(super::engine::PATIENCE, self.arrived.acquire()).await;
        permit.expect("a call arrived").unwrap().forget();
    }

    /// Lets every call on, those that come later too.
    pub fn open(&self) {
        self.open.close();
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        // A closed semaphore is an open gate.
        drop(self.open.acquire().await);
    }
}

#[derive(Clone)]
enum Fault {
    Fails,
    LosesAnswers,
    Holds(Arc<Gate>),
}

/// A store as one process sees it.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    is_away: AtomicBool,
    faults: Mutex<HashMap<&'static str, Fault>>,
    calls: Mutex<HashMap<&'static str, usize>>,
    written: Arc<Notify>,
}

impl FaultyStore {
    /// Faultless at first. `written` hears of every call that may have written something.
    pub fn over(inner: Arc<dyn Store>, written: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { inner, is_away: AtomicBool::new(false), faults: Mutex::default(), calls: Mutex::default(), written })
    }

    /// From now on every call fails.
    pub fn take_away(&self) {
        self.is_away.store(true, Ordering::SeqCst);
    }

    pub fn bring_back(&self) {
        self.is_away.store(false, Ordering::SeqCst);
    }

    /// From now on calls of this method fail, and do nothing.
    pub fn fail(&self, method: &'static str) {
        self.faults.lock().insert(method, Fault::Fails);
    }

    /// From now on calls of this method do their work, and their answers are lost.
    pub fn lose_answers(&self, method: &'static str) {
        self.faults.lock().insert(method, Fault::LosesAnswers);
    }

    /// From now on calls of this method wait at the gate before they do anything.
    pub fn hold(&self, method: &'static str) -> Arc<Gate> {
        let gate = Gate::closed();
        self.faults.lock().insert(method, Fault::Holds(gate.clone()));
        gate
    }

    /// From now on calls of this method do as they should.
    pub fn mend(&self, method: &'static str) {
        self.faults.lock().remove(method);
    }

    /// How often this method was called so far.
    pub fn calls(&self, method: &str) -> usize {
        self.calls.lock().get(method).copied().unwrap_or(0)
    }

    /// Lets a call on; whether its answer is to be lost.
    async fn enter(&self, method: &'static str) -> StoreResult<bool> {
        *self.calls.lock().entry(method).or_default() += 1;
        let fault = self.faults.lock().get(method).cloned();
        let loses = match fault {
            Some(Fault::Fails) => return Err(gone()),
            Some(Fault::LosesAnswers) => true,
            Some(Fault::Holds(gate)) => {
                gate.pass().await;
                false
            }
            None => false,
        };
        if self.is_away.load(Ordering::SeqCst) { Err(gone()) } else { Ok(loses) }
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("taken away by the test".into())
}

macro_rules! through {
    ($($trait:ident $announces:literal { $($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)+ })+) => {
        $(#[async_trait]
        impl $trait for FaultyStore {
            $(async fn $name(&self, $($arg: $type),*) -> StoreResult<$answer> {
                let loses_answer = self.enter(stringify!($name)).await?;
                let answer = self.inner.$name($($arg),*).await;
                if $announces {
                    self.written.notify_waiters();
                }
                if loses_answer { Err(gone()) } else { answer }
            })+
        })+
    };
}

through! {
    TaskWrites true {
        insert(tasks: &[SubmittedTask]) -> Vec<Result<InsertAnswer, StoreError>>;
        start(batch: &StartBatch<'_>) -> Vec<StartAnswer>;
        settle(settlements: &[Settlement]) -> Vec<Result<Settled, StoreError>>;
    }
    TaskControl true {
        revoke(order: &RevokeOrder) -> RevokeAnswer;
        insert_retry(task: &SubmittedTask) -> RetryAnswer;
        change(id: TaskId, change: &TaskChange, now: Timestamp) -> ChangeAnswer;
        purge(queue: &QueueName, now: Timestamp, limit: u32) -> Vec<Ended>;
        ensure_queues(queues: &[QueueName], now: Timestamp) -> bool;
        change_queue(queue: &QueueName, change: &QueueChange, now: Timestamp) -> QueueRow;
        write_progress(id: TaskId, attempt: Attempt, progress: &Progress, now: Timestamp) -> bool;
    }
    RateLines true {
        limited_kinds(now: Timestamp) -> Vec<KindName>;
        advance_line(kind: &KindName, limit: Option<RateLimit>, now: Timestamp) -> u64;
    }
    EffectRecords true {
        record_effect(effect: &EffectRecord) -> ();
        effect_outcome(task: TaskId, part: &str) -> Option<String>;
    }
    TaskReads false {
        find(id: TaskId) -> Option<TaskRow>;
        attempts(id: TaskId) -> Vec<AttemptRow>;
        list(filter: &TaskFilter, page: &PageRequest) -> Page<TaskRow>;
        queues() -> Vec<QueueRow>;
        queue_counts(now: Timestamp) -> Vec<QueueCounts>;
    }
    Sweeps true {
        take_due(now: Timestamp, limit: u32) -> Vec<Dispatch>;
        next_dispatch_at() -> Option<Timestamp>;
        take_lost(queue: &QueueName, band: PriorityBand, dispatched_before: Timestamp, now: Timestamp, limit: u32) -> Vec<Dispatch>;
        mark_undispatched(refs: &[TaskRef], now: Timestamp) -> ();
        poll(queues: &[QueueName], now: Timestamp, limit: u32) -> Vec<Dispatch>;
        started_by(worker: WorkerId) -> Vec<StartedRow>;
        started_by_the_dead(heartbeat_before: Timestamp, now: Timestamp, limit: u32) -> Vec<StartedRow>;
        overrun(grace: Duration, now: Timestamp, limit: u32) -> Vec<StartedRow>;
        expire(now: Timestamp, limit: u32) -> Vec<Ended>;
        make_partitions(now: Timestamp) -> ();
        prune(prune: &Prune) -> bool;
    }
    Workers true {
        heartbeat(info: &WorkerInfo, now: Timestamp) -> HeartbeatAnswer;
        leave(worker: WorkerId) -> ();
        workers() -> Vec<WorkerRow>;
        command(name: &str, command: WorkerCommand) -> bool;
    }
    Accounts false {
        create_account(account: &NewAccount) -> bool;
        set_password(name: &str, password_hash: &str) -> bool;
        find_account(name: &str) -> Option<AccountRow>;
        accounts(limit: u32) -> Vec<AccountInfo>;
        delete_account(name: &str) -> bool;
        set_scopes(name: &str, scopes: ScopeSet) -> bool;
        revoke_token(jti: &str, expires_at: Timestamp) -> ();
        revoked_tokens(now: Timestamp) -> Vec<String>;
    }
    TaskStats false {
        ended_groups(from: Timestamp, to: Timestamp) -> Vec<EndedGroup>;
    }
    FileRegistry false {
        write_file(file: &FileRow, attempt: Option<Attempt>) -> bool;
        find_file(path: &FilePath) -> Option<FileRow>;
        forget_file(file: &FileRow) -> bool;
        expired_files(now: Timestamp, limit: u32) -> Vec<FilePath>;
        forget_expired(paths: &[FilePath], now: Timestamp) -> usize;
    }
    MailLedger false {
        write_ledger(entries: &[LedgerEntry]) -> ();
        claim_mail(entry: &LedgerEntry, attempt: Attempt, resend: bool) -> bool;
        read_ledger(task: TaskId) -> Vec<LedgerEntry>;
    }
    RecipientLedger true {
        open_list(task: TaskId, now: Timestamp) -> bool;
        add_recipients(task: TaskId, recipients: &[NewRecipient], now: Timestamp) -> ();
        complete_list(task: TaskId, now: Timestamp) -> ();
        adopt(task: TaskId, attempt: Attempt, resend: Option<Resend>, now: Timestamp) -> Option<RecipientCounts>;
        to_send(task: TaskId, after: Option<i32>, now: Timestamp, limit: u32) -> Vec<RecipientRow>;
        write_recipients(steps: &[RecipientStep]) -> Vec<Option<RecipientState>>;
        attempt_standing(task: TaskId, attempt: Attempt) -> AttemptStanding;
        recipients(task: TaskId, filter: &RecipientFilter, limit: u32) -> Vec<RecipientRow>;
        count_recipients(task: TaskId) -> RecipientCounts;
    }
    AuditLog false {
        write_audit(entry: &AuditEntry) -> ();
        audit(filter: &AuditFilter, limit: u32) -> Vec<AuditEntry>;
        prune_audit(before: Timestamp, limit: u32) -> u64;
    }
    Samples false {
        write_sample(step: SampleStep, at: Timestamp, sample: &str) -> bool;
        samples(step: SampleStep, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, String)>;
        prune_samples(step: SampleStep, before: Timestamp) -> u64;
    }
    Schedules false {
        create_schedule(schedule: &ScheduleRow) -> bool;
        write_schedule(schedule: &ScheduleRow, expected_version: i32, firings: &[FiringRow]) -> ScheduleWrite;
        find_schedule(key: &ScheduleKey) -> Option<StoredSchedule>;
        schedules(filter: &ScheduleFilter, limit: u32) -> Vec<StoredSchedule>;
        disable_schedule(id: ScheduleId, reason: &str, now: Timestamp) -> bool;
        delete_schedule(id: ScheduleId) -> bool;
        due_schedules(now: Timestamp, after: Option<(Timestamp, ScheduleId)>, limit: u32) -> Vec<StoredSchedule>;
        queued_schedules(now: Timestamp, after: Option<ScheduleId>, limit: u32) -> Vec<StoredSchedule>;
        unfinished_tasks(schedules: &[ScheduleId]) -> Vec<usize>;
        step_schedules(steps: &[ScheduleStep]) -> Vec<Option<Vec<TaskId>>>;
        insert_manual_firing(firing: &FiringRow, task: &SubmittedTask) -> bool;
        firings(schedule: ScheduleId, before: Option<Timestamp>, limit: u32) -> Vec<FiringRow>;
        prune_firings(before: Timestamp, limit: u32) -> u64;
        oldest_due(now: Timestamp, limit: u32) -> Vec<(ScheduleId, Timestamp)>;
        maintenance() -> Option<Maintenance>;
        set_maintenance(maintenance: Option<&Maintenance>) -> ();
    }
    Suppressions false {
        suppress(suppressions: &[Suppression]) -> u64;
        unsuppress(address: &str) -> bool;
        suppressions(filter: &SuppressionFilter, limit: u32) -> Vec<Suppression>;
        suppressed_among(addresses: &[String]) -> Vec<String>;
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn migrate(&self) -> StoreResult<()> {
        self.inner.migrate().await
    }

    async fn is_migrated(&self) -> StoreResult<bool> {
        self.inner.is_migrated().await
    }

    async fn ping(&self) -> StoreResult<Timestamp> {
        self.enter("ping").await?;
        self.inner.ping().await
    }

    /// Closed for this process; what stands behind it stays open for the others.
    async fn close(&self) {
        self.take_away();
    }

    fn concurrent_writes(&self) -> usize {
        self.inner.concurrent_writes()
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }
}

/// A broker as one process sees it.
pub struct FaultyBroker {
    inner: SharedBroker,
    is_away: AtomicBool,
    is_mute: AtomicBool,
    is_full: AtomicBool,
    slow: Mutex<Option<Arc<Gate>>>,
    published: AtomicUsize,
}

impl FaultyBroker {
    pub fn over(inner: SharedBroker) -> Arc<Self> {
        Arc::new(Self {
            inner,
            is_away: AtomicBool::new(false),
            is_mute: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            slow: Mutex::default(),
            published: AtomicUsize::new(0),
        })
    }

    pub fn take_away(&self) {
        self.is_away.store(true, Ordering::SeqCst);
        self.inner.wake();
    }

    pub fn bring_back(&self) {
        self.is_away.store(false, Ordering::SeqCst);
    }

    /// From now on what is published is lost, although the broker says that it has it.
    pub fn lose_dispatches(&self, loses: bool) {
        self.is_mute.store(loses, Ordering::SeqCst);
    }

    /// From now on what is published is refused; everything else works.
    pub fn refuse_dispatches(&self, refuses: bool) {
        self.is_full.store(refuses, Ordering::SeqCst);
    }

    /// From now on what is published arrives when the gate is open, also where the publisher has stopped waiting.
    pub fn delay_dispatches(&self) -> Arc<Gate> {
        self.slow.lock().insert(Gate::closed()).clone()
    }

    /// How many dispatches were dispatched so far.
    pub fn published(&self) -> usize {
        self.published.load(Ordering::SeqCst)
    }

    fn there(&self) -> Result<&SharedBroker, BrokerError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(BrokerError::Unavailable("taken away by the test".into()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Broker for FaultyBroker {
    async fn publish(&self, dispatches: &[Dispatch]) -> Result<(), BrokerError> {
        let broker = self.there()?;
        if self.is_full.load(Ordering::SeqCst) {
            return Err(BrokerError::Refused("refused by the test".into()));
        }
        self.published.fetch_add(dispatches.len(), Ordering::SeqCst);
        if self.is_mute.load(Ordering::SeqCst) {
            return Ok(());
        }
        let slow = self.slow.lock().clone();
        let Some(gate) = slow else { return broker.publish(dispatches).await };
        let (broker, dispatches) = (broker.clone(), dispatches.to_vec());
        let arrival = tokio::spawn(async move {
            gate.pass().await;
            broker.publish(&dispatches).await
        });
        arrival.await.expect("the publish did not panic")
    }

    async fn accepts_dispatches(&self) -> Result<(), BrokerError> {
        let broker = self.there()?;
        if self.is_full.load(Ordering::SeqCst) {
            return Err(BrokerError::Refused("refused by the test".into()));
        }
        broker.accepts_dispatches().await
    }

    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Delivery>, BrokerError> {
        self.there()?.fetch(request).await
    }

    fn wake(&self) {
        self.inner.wake();
    }

    async fn oldest_waiting(&self, queue: &QueueName, band: PriorityBand) -> Result<Option<Timestamp>, BrokerError> {
        self.there()?.oldest_waiting(queue, band).await
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
