//! Encryption at rest, around any store: what a task was given, what it returned and what it said of itself are encrypted before they reach the
//! database and opened when they come back. Nothing above knows, and nothing below.
//!
//! Encrypted are args, results, the messages of errors and of progress, and recipients, contexts and responses in the ledgers. In clear stay what
//! the engine works with: kinds, queues, states, times, the words of errors, callback URLs, bare addresses. A callback task is made in the transaction of an
//! end, below this, out of what is encrypted there; so its args hold encrypted parts of the ended task, which are opened when it starts.
//!
//! Values that were written before the first key was set are read unencrypted. What cannot be opened (its key is gone, or it is not what was written) harms its
//! own row only: its args stay encrypted, which [`encrypted_with`] tells, and its other texts say in brackets why they are not there.

mod key_ring;
mod rows;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use self::key_ring::Column;
pub use key_ring::{EncryptionKey, KeyError, KeyRing, encrypted_with, unreadable};

use super::{
    AccountInfo, AccountRow, Accounts, AttemptRow, AttemptStanding, AuditEntry, AuditFilter, AuditLog, ChangeAnswer,
    EffectRecord, EffectRecords, Ended, EndedGroup, FileRegistry, FileRow, HeartbeatAnswer, InsertAnswer, LedgerEntry,
    MailLedger, NewAccount, NewRecipient, Prune, QueueChange, QueueCounts, QueueRow, RateLines, RecipientCounts, RecipientFilter,
    RecipientLedger, RecipientRow, RecipientState, RecipientStep, Resend, RetryAnswer, RevokeAnswer, RevokeOrder, SampleStep,
    Samples, ScheduleFilter, ScheduleKey, ScheduleStep, ScheduleWrite, Schedules, Settled, Settlement, SharedStore, StartAnswer,
    StartBatch, StartedRow, Store, StoreError, StoreResult, SubmittedTask, Suppression, SuppressionFilter, Suppressions, Sweeps,
    TaskChange, TaskControl, TaskReads, TaskStats, TaskWrites, WorkerCommand, Workers,
};
use crate::domain::{
    Attempt, Dispatch, FilePath, FiringRow, KindName, Maintenance, Page, PageRequest, PriorityBand, Progress, QueueName,
    RateLimit, ScheduleId, ScheduleRow, ScopeSet, StoredSchedule, TaskFilter, TaskId, TaskRef, TaskRow, WorkerId, WorkerInfo,
    WorkerRow,
};

/// A store that keeps its texts encrypted. Without keys it writes in clear, and still says what it cannot open.
pub struct EncryptedStore {
    inner: SharedStore,
    key_ring: KeyRing,
}

impl EncryptedStore {
    /// Puts the key ring around a store.
    pub fn over(inner: SharedStore, key_ring: KeyRing) -> Self {
        Self { inner, key_ring }
    }

    fn encrypted_task(&self, task: &SubmittedTask) -> StoreResult<SubmittedTask> {
        let mut task = task.clone();
        task.task.args = rows::encrypt_args(&self.key_ring, task.task.id, &task.task.args)?;
        Ok(task)
    }
}

#[async_trait]
impl TaskWrites for EncryptedStore {
    async fn insert(&self, tasks: &[SubmittedTask]) -> StoreResult<Vec<Result<InsertAnswer, StoreError>>> {
        if !self.key_ring.encrypts() {
            return self.inner.insert(tasks).await;
        }
        let tasks = tasks.iter().map(|task| self.encrypted_task(task)).collect::<StoreResult<Vec<_>>>()?;
        self.inner.insert(&tasks).await
    }

    async fn start(&self, batch: &StartBatch<'_>) -> StoreResult<Vec<StartAnswer>> {
        let mut answers = self.inner.start(batch).await?;
        for answer in &mut answers {
            if let StartAnswer::Started(task) = answer {
                rows::open_started(&self.key_ring, task);
            }
        }
        Ok(answers)
    }

    async fn settle(&self, settlements: &[Settlement]) -> StoreResult<Vec<Result<Settled, StoreError>>> {
        if !self.key_ring.encrypts() {
            return self.inner.settle(settlements).await;
        }
        let encrypted = settlements.iter().map(|settlement| {
            let next = rows::encrypt_next(&self.key_ring, settlement.id, &settlement.next)?;
            let progress = settlement.progress.as_ref();
            let progress =
                progress.map(|reported| rows::encrypt_progress(&self.key_ring, settlement.id, reported)).transpose()?;
            Ok(Settlement { progress, next, ..settlement.clone() })
        });
        let encrypted = encrypted.collect::<StoreResult<Vec<_>>>()?;
        self.inner.settle(&encrypted).await
    }
}

#[async_trait]
impl TaskControl for EncryptedStore {
    async fn revoke(&self, order: &RevokeOrder) -> StoreResult<RevokeAnswer> {
        self.inner.revoke(order).await
    }

    async fn insert_retry(&self, task: &SubmittedTask) -> StoreResult<RetryAnswer> {
        // Encrypted args belong to the row that they came from.
        if let Some(key) = encrypted_with(&task.task.args) {
            return Err(StoreError::Refused(unreadable("args", key)));
        }
        self.inner.insert_retry(&self.encrypted_task(task)?).await
    }

    async fn change(&self, id: TaskId, change: &TaskChange, now: Timestamp) -> StoreResult<ChangeAnswer> {
        let mut answer = self.inner.change(id, change, now).await?;
        if let ChangeAnswer::Changed(row) = &mut answer {
            rows::open_row(&self.key_ring, row);
        }
        Ok(answer)
    }

    async fn purge(&self, queue: &QueueName, now: Timestamp, limit: u32) -> StoreResult<Vec<Ended>> {
        self.inner.purge(queue, now, limit).await
    }

    async fn ensure_queues(&self, queues: &[QueueName], now: Timestamp) -> StoreResult<bool> {
        self.inner.ensure_queues(queues, now).await
    }

    async fn change_queue(&self, queue: &QueueName, change: &QueueChange, now: Timestamp) -> StoreResult<QueueRow> {
        self.inner.change_queue(queue, change, now).await
    }

    async fn write_progress(&self, id: TaskId, attempt: Attempt, progress: &Progress, now: Timestamp) -> StoreResult<bool> {
        let progress = rows::encrypt_progress(&self.key_ring, id, progress)?;
        self.inner.write_progress(id, attempt, &progress, now).await
    }
}

#[async_trait]
impl TaskReads for EncryptedStore {
    async fn find(&self, id: TaskId) -> StoreResult<Option<TaskRow>> {
        let mut found = self.inner.find(id).await?;
        if let Some(row) = &mut found {
            rows::open_row(&self.key_ring, row);
        }
        Ok(found)
    }

    async fn attempts(&self, id: TaskId) -> StoreResult<Vec<AttemptRow>> {
        let mut attempts = self.inner.attempts(id).await?;
        for attempt in &mut attempts {
            rows::open_error(&self.key_ring, id, attempt.error.as_mut());
        }
        Ok(attempts)
    }

    async fn list(&self, filter: &TaskFilter, page: &PageRequest) -> StoreResult<Page<TaskRow>> {
        let mut found = self.inner.list(filter, page).await?;
        for row in &mut found.items {
            rows::open_row(&self.key_ring, row);
        }
        Ok(found)
    }

    async fn queues(&self) -> StoreResult<Vec<QueueRow>> {
        self.inner.queues().await
    }

    async fn queue_counts(&self, now: Timestamp) -> StoreResult<Vec<QueueCounts>> {
        self.inner.queue_counts(now).await
    }
}

#[async_trait]
impl MailLedger for EncryptedStore {
    async fn write_ledger(&self, entries: &[LedgerEntry]) -> StoreResult<()> {
        let encrypted =
            entries.iter().map(|entry| rows::encrypt_entry(&self.key_ring, entry)).collect::<StoreResult<Vec<_>>>()?;
        self.inner.write_ledger(&encrypted).await
    }

    async fn claim_mail(&self, entry: &LedgerEntry, attempt: Attempt, resend: bool) -> StoreResult<bool> {
        self.inner.claim_mail(&rows::encrypt_entry(&self.key_ring, entry)?, attempt, resend).await
    }

    async fn read_ledger(&self, task: TaskId) -> StoreResult<Vec<LedgerEntry>> {
        let mut entries = self.inner.read_ledger(task).await?;
        for entry in &mut entries {
            rows::open_entry(&self.key_ring, entry);
        }
        Ok(entries)
    }
}

#[async_trait]
impl RateLines for EncryptedStore {
    async fn limited_kinds(&self, now: Timestamp) -> StoreResult<Vec<KindName>> {
        self.inner.limited_kinds(now).await
    }

    async fn advance_line(&self, kind: &KindName, limit: Option<RateLimit>, now: Timestamp) -> StoreResult<u64> {
        self.inner.advance_line(kind, limit, now).await
    }
}

#[async_trait]
impl EffectRecords for EncryptedStore {
    async fn record_effect(&self, effect: &EffectRecord) -> StoreResult<()> {
        let outcome = self.key_ring.encrypt(&effect.outcome, effect.task, Column::Effect)?;
        self.inner.record_effect(&EffectRecord { outcome, ..effect.clone() }).await
    }

    async fn effect_outcome(&self, task: TaskId, part: &str) -> StoreResult<Option<String>> {
        let Some(outcome) = self.inner.effect_outcome(task, part).await? else { return Ok(None) };
        match self.key_ring.open(&outcome, task, Column::Effect) {
            None => Ok(Some(outcome)),
            Some(Ok(opened)) => Ok(Some(opened)),
            // An effect that took place must not be taken for one that did not.
            Some(Err(reason)) => Err(StoreError::Corrupt { table: "effects", reason }),
        }
    }
}

#[async_trait]
impl RecipientLedger for EncryptedStore {
    async fn open_list(&self, task: TaskId, now: Timestamp) -> StoreResult<bool> {
        self.inner.open_list(task, now).await
    }

    async fn add_recipients(&self, task: TaskId, recipients: &[NewRecipient], now: Timestamp) -> StoreResult<()> {
        if !self.key_ring.encrypts() {
            return self.inner.add_recipients(task, recipients, now).await;
        }
        let encrypted = recipients.iter().map(|recipient| rows::encrypt_recipient(&self.key_ring, recipient));
        self.inner.add_recipients(task, &encrypted.collect::<StoreResult<Vec<_>>>()?, now).await
    }

    async fn complete_list(&self, task: TaskId, now: Timestamp) -> StoreResult<()> {
        self.inner.complete_list(task, now).await
    }

    async fn adopt(
        &self,
        task: TaskId,
        attempt: Attempt,
        resend: Option<Resend>,
        now: Timestamp,
    ) -> StoreResult<Option<RecipientCounts>> {
        self.inner.adopt(task, attempt, resend, now).await
    }

    async fn to_send(&self, task: TaskId, after: Option<i32>, now: Timestamp, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        let mut found = self.inner.to_send(task, after, now, limit).await?;
        for row in &mut found {
            rows::open_recipient(&self.key_ring, row);
        }
        Ok(found)
    }

    async fn write_recipients(&self, steps: &[RecipientStep]) -> StoreResult<Vec<Option<RecipientState>>> {
        if !self.key_ring.encrypts() {
            return self.inner.write_recipients(steps).await;
        }
        let encrypted = steps.iter().map(|step| rows::encrypt_step(&self.key_ring, step)).collect::<StoreResult<Vec<_>>>()?;
        self.inner.write_recipients(&encrypted).await
    }

    async fn attempt_standing(&self, task: TaskId, attempt: Attempt) -> StoreResult<AttemptStanding> {
        self.inner.attempt_standing(task, attempt).await
    }

    async fn recipients(&self, task: TaskId, filter: &RecipientFilter, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        let mut found = self.inner.recipients(task, filter, limit).await?;
        for row in &mut found {
            rows::open_recipient(&self.key_ring, row);
        }
        Ok(found)
    }

    async fn count_recipients(&self, task: TaskId) -> StoreResult<RecipientCounts> {
        self.inner.count_recipients(task).await
    }
}

/// What holds nothing to encrypt.
macro_rules! as_it_is {
    ($($trait:ident { $($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)+ })+) => {
        $(#[async_trait]
        impl $trait for EncryptedStore {
            $(async fn $name(&self, $($arg: $type),*) -> StoreResult<$answer> {
                self.inner.$name($($arg),*).await
            })+
        })+
    };
}

as_it_is! {
    Sweeps {
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
    Workers {
        heartbeat(info: &WorkerInfo, now: Timestamp) -> HeartbeatAnswer;
        leave(worker: WorkerId) -> ();
        workers() -> Vec<WorkerRow>;
        command(name: &str, command: WorkerCommand) -> bool;
    }
    Accounts {
        create_account(account: &NewAccount) -> bool;
        set_password(name: &str, password_hash: &str) -> bool;
        find_account(name: &str) -> Option<AccountRow>;
        accounts(limit: u32) -> Vec<AccountInfo>;
        delete_account(name: &str) -> bool;
        set_scopes(name: &str, scopes: ScopeSet) -> bool;
        revoke_token(jti: &str, expires_at: Timestamp) -> ();
        revoked_tokens(now: Timestamp) -> Vec<String>;
    }
    FileRegistry {
        write_file(file: &FileRow, attempt: Option<Attempt>) -> bool;
        find_file(path: &FilePath) -> Option<FileRow>;
        forget_file(file: &FileRow) -> bool;
        expired_files(now: Timestamp, limit: u32) -> Vec<FilePath>;
        forget_expired(paths: &[FilePath], now: Timestamp) -> usize;
    }
    TaskStats {
        ended_groups(from: Timestamp, to: Timestamp) -> Vec<EndedGroup>;
    }
    AuditLog {
        write_audit(entry: &AuditEntry) -> ();
        audit(filter: &AuditFilter, limit: u32) -> Vec<AuditEntry>;
        prune_audit(before: Timestamp, limit: u32) -> u64;
    }
    Samples {
        write_sample(step: SampleStep, at: Timestamp, sample: &str) -> bool;
        samples(step: SampleStep, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, String)>;
        prune_samples(step: SampleStep, before: Timestamp) -> u64;
    }
    Suppressions {
        suppress(suppressions: &[Suppression]) -> u64;
        unsuppress(address: &str) -> bool;
        suppressions(filter: &SuppressionFilter, limit: u32) -> Vec<Suppression>;
        suppressed_among(addresses: &[String]) -> Vec<String>;
    }
}

/// Args and declarations of a schedule are encrypted for its id, as those of a task are for the task's.
impl EncryptedStore {
    fn encrypted_schedule(&self, schedule: &ScheduleRow) -> StoreResult<ScheduleRow> {
        // To encrypt again what could not be opened would destroy it for the process that has the key.
        if let Some(reason) = unreadable_args(schedule) {
            return Err(StoreError::Refused(reason));
        }
        let id = TaskId::from(schedule.id.as_uuid());
        let encrypt = |text: &String| rows::encrypt_args(&self.key_ring, id, text);
        Ok(ScheduleRow {
            args: encrypt(&schedule.args)?,
            declared: schedule.declared.as_ref().map(encrypt).transpose()?,
            ..schedule.clone()
        })
    }

    /// Opens what can be opened; the rest stays encrypted, which [`unreadable_args`] tells.
    fn opened(&self, mut schedule: StoredSchedule) -> StoredSchedule {
        if let Ok(row) = &mut schedule {
            let id = TaskId::from(row.id.as_uuid());
            for text in std::iter::once(&mut row.args).chain(row.declared.as_mut()) {
                rows::open_args(&self.key_ring, id, &row.spec.kind, text);
            }
        }
        schedule
    }

    fn all_opened(&self, schedules: Vec<StoredSchedule>) -> Vec<StoredSchedule> {
        schedules.into_iter().map(|schedule| self.opened(schedule)).collect()
    }
}

/// Why the args of a schedule, or what its pack declared, are still encrypted; `None` where they can be read. Such a schedule makes no tasks and is not
/// to be changed here.
pub fn unreadable_args(schedule: &ScheduleRow) -> Option<String> {
    let declared = || schedule.declared.as_deref().and_then(encrypted_with);
    encrypted_with(&schedule.args).or_else(declared).map(|key| unreadable("args", key))
}

#[async_trait]
impl Schedules for EncryptedStore {
    async fn create_schedule(&self, schedule: &ScheduleRow) -> StoreResult<bool> {
        self.inner.create_schedule(&self.encrypted_schedule(schedule)?).await
    }

    async fn write_schedule(
        &self,
        schedule: &ScheduleRow,
        expected_version: i32,
        firings: &[FiringRow],
    ) -> StoreResult<ScheduleWrite> {
        self.inner.write_schedule(&self.encrypted_schedule(schedule)?, expected_version, firings).await
    }

    async fn find_schedule(&self, key: &ScheduleKey) -> StoreResult<Option<StoredSchedule>> {
        Ok(self.inner.find_schedule(key).await?.map(|schedule| self.opened(schedule)))
    }

    async fn schedules(&self, filter: &ScheduleFilter, limit: u32) -> StoreResult<Vec<StoredSchedule>> {
        Ok(self.all_opened(self.inner.schedules(filter, limit).await?))
    }

    async fn disable_schedule(&self, id: ScheduleId, reason: &str, now: Timestamp) -> StoreResult<bool> {
        self.inner.disable_schedule(id, reason, now).await
    }

    async fn delete_schedule(&self, id: ScheduleId) -> StoreResult<bool> {
        self.inner.delete_schedule(id).await
    }

    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, ScheduleId)>,
        limit: u32,
    ) -> StoreResult<Vec<StoredSchedule>> {
        Ok(self.all_opened(self.inner.due_schedules(now, after, limit).await?))
    }

    async fn queued_schedules(&self, now: Timestamp, after: Option<ScheduleId>, limit: u32) -> StoreResult<Vec<StoredSchedule>> {
        Ok(self.all_opened(self.inner.queued_schedules(now, after, limit).await?))
    }

    async fn unfinished_tasks(&self, schedules: &[ScheduleId]) -> StoreResult<Vec<usize>> {
        self.inner.unfinished_tasks(schedules).await
    }

    async fn step_schedules(&self, steps: &[ScheduleStep]) -> StoreResult<Vec<Option<Vec<TaskId>>>> {
        if !self.key_ring.encrypts() {
            return self.inner.step_schedules(steps).await;
        }
        let encrypted = steps.iter().map(|step| {
            let tasks = step.tasks.iter().map(|task| self.encrypted_task(task)).collect::<StoreResult<Vec<_>>>()?;
            Ok(ScheduleStep { tasks, ..step.clone() })
        });
        self.inner.step_schedules(&encrypted.collect::<StoreResult<Vec<_>>>()?).await
    }

    async fn insert_manual_firing(&self, firing: &FiringRow, task: &SubmittedTask) -> StoreResult<bool> {
        self.inner.insert_manual_firing(firing, &self.encrypted_task(task)?).await
    }

    async fn firings(&self, schedule: ScheduleId, before: Option<Timestamp>, limit: u32) -> StoreResult<Vec<FiringRow>> {
        self.inner.firings(schedule, before, limit).await
    }

    async fn prune_firings(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        self.inner.prune_firings(before, limit).await
    }

    async fn oldest_due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<(ScheduleId, Timestamp)>> {
        self.inner.oldest_due(now, limit).await
    }

    async fn maintenance(&self) -> StoreResult<Option<Maintenance>> {
        self.inner.maintenance().await
    }

    async fn set_maintenance(&self, maintenance: Option<&Maintenance>) -> StoreResult<()> {
        self.inner.set_maintenance(maintenance).await
    }
}

#[async_trait]
impl Store for EncryptedStore {
    async fn migrate(&self) -> StoreResult<()> {
        self.inner.migrate().await
    }

    async fn is_migrated(&self) -> StoreResult<bool> {
        self.inner.is_migrated().await
    }

    async fn ping(&self) -> StoreResult<Timestamp> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    fn concurrent_writes(&self) -> usize {
        self.inner.concurrent_writes()
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }
}
