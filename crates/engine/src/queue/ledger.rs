//! The ledgers as kinds see them: the store's, but that claims and records of recipients share commits.
//!
//! A connection to a mail server claims one recipient at a time, right before the hand-over, so that little is in doubt when its worker dies.
//! That is one commit a recipient; as all connections of all tasks wait for the same batch, it is one for many.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::batch::{Answers, BatchLimits, Batcher, Flush};
use crate::domain::{Attempt, TaskId};
use crate::store::{
    AttemptStanding, EffectRecord, EffectRecords, LedgerEntry, MailLedger, NewRecipient, RecipientCounts, RecipientFilter,
    RecipientLedger, RecipientRow, RecipientState, RecipientStep, Resend, SharedStore, StoreError, StoreResult, Suppression,
    SuppressionFilter, Suppressions,
};

/// Writes at once: each carries what many connections wait for. More of them, of fewer steps each, cost a quarter of the mails a second; a single
/// one that is held up would hold all up.
const STEP_FLUSHERS: usize = 2;
/// One commit of claims and records: more than there are connections.
const STEP_BATCH: usize = 500;
/// Steps that wait at most.
const STEPS_WAITING: usize = 2_000;
/// How long a step is waited for. A claim that is not answered is given up, and nothing was handed over.
const STEP_DEADLINE: Duration = Duration::from_secs(15);

type StepAnswer = StoreResult<Option<RecipientState>>;

/// The ledgers of a process. A clone is another handle.
#[derive(Clone)]
pub(super) struct Ledgers {
    store: SharedStore,
    steps: Batcher<RecipientStep, StepAnswer>,
}

impl Ledgers {
    pub(super) fn start(store: SharedStore) -> Self {
        let limits = BatchLimits {
            flushers: STEP_FLUSHERS.min(store.concurrent_writes()),
            batch: STEP_BATCH,
            batch_bytes: usize::MAX,
            waiting: STEPS_WAITING,
            deadline: STEP_DEADLINE,
        };
        Self { steps: Batcher::start(limits, Arc::new(StepFlush(store.clone()))), store }
    }
}

struct StepFlush(SharedStore);

#[async_trait]
impl Flush<RecipientStep, StepAnswer> for StepFlush {
    async fn flush(&self, steps: Vec<RecipientStep>, answers: Answers<StepAnswer>) {
        match self.0.write_recipients(&steps).await {
            Ok(states) => answers.send(states.into_iter().map(Ok)),
            // One bad row would fail all of them; alone, each fails for itself.
            Err(StoreError::Refused(_)) if steps.len() > 1 => {
                let mut each = Vec::with_capacity(steps.len());
                for step in &steps {
                    let answer = self.0.write_recipients(std::slice::from_ref(step)).await;
                    each.push(answer.map(|states| states.into_iter().next().flatten()));
                }
                answers.send(each);
            }
            Err(error) => answers.send(steps.iter().map(|_| Err(error.clone()))),
        }
    }
}

#[async_trait]
impl MailLedger for Ledgers {
    async fn write_ledger(&self, entries: &[LedgerEntry]) -> StoreResult<()> {
        self.store.write_ledger(entries).await
    }

    async fn claim_mail(&self, entry: &LedgerEntry, attempt: Attempt, resend: bool) -> StoreResult<bool> {
        self.store.claim_mail(entry, attempt, resend).await
    }

    async fn read_ledger(&self, task: TaskId) -> StoreResult<Vec<LedgerEntry>> {
        self.store.read_ledger(task).await
    }
}

#[async_trait]
impl EffectRecords for Ledgers {
    async fn record_effect(&self, effect: &EffectRecord) -> StoreResult<()> {
        self.store.record_effect(effect).await
    }

    async fn effect_outcome(&self, task: TaskId, part: &str) -> StoreResult<Option<String>> {
        self.store.effect_outcome(task, part).await
    }
}

#[async_trait]
impl RecipientLedger for Ledgers {
    async fn open_list(&self, task: TaskId, now: Timestamp) -> StoreResult<bool> {
        self.store.open_list(task, now).await
    }

    async fn add_recipients(&self, task: TaskId, recipients: &[NewRecipient], now: Timestamp) -> StoreResult<()> {
        self.store.add_recipients(task, recipients, now).await
    }

    async fn complete_list(&self, task: TaskId, now: Timestamp) -> StoreResult<()> {
        self.store.complete_list(task, now).await
    }

    async fn adopt(
        &self,
        task: TaskId,
        attempt: Attempt,
        resend: Option<Resend>,
        now: Timestamp,
    ) -> StoreResult<Option<RecipientCounts>> {
        self.store.adopt(task, attempt, resend, now).await
    }

    async fn to_send(&self, task: TaskId, after: Option<i32>, now: Timestamp, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        self.store.to_send(task, after, now, limit).await
    }

    async fn write_recipients(&self, steps: &[RecipientStep]) -> StoreResult<Vec<Option<RecipientState>>> {
        let answers = self.steps.submit_all(steps.to_vec()).await;
        answers.into_iter().map(|answer| answer.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))).collect()
    }

    async fn attempt_standing(&self, task: TaskId, attempt: Attempt) -> StoreResult<AttemptStanding> {
        self.store.attempt_standing(task, attempt).await
    }

    async fn recipients(&self, task: TaskId, filter: &RecipientFilter, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        self.store.recipients(task, filter, limit).await
    }

    async fn count_recipients(&self, task: TaskId) -> StoreResult<RecipientCounts> {
        self.store.count_recipients(task).await
    }
}

#[async_trait]
impl Suppressions for Ledgers {
    async fn suppress(&self, suppressions: &[Suppression]) -> StoreResult<u64> {
        self.store.suppress(suppressions).await
    }

    async fn unsuppress(&self, address: &str) -> StoreResult<bool> {
        self.store.unsuppress(address).await
    }

    async fn suppressions(&self, filter: &SuppressionFilter, limit: u32) -> StoreResult<Vec<Suppression>> {
        self.store.suppressions(filter, limit).await
    }

    async fn suppressed_among(&self, addresses: &[String]) -> StoreResult<Vec<String>> {
        self.store.suppressed_among(addresses).await
    }
}
