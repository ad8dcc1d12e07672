//! Ledgers in memory, for a task that runs without a store: in the foreground, attempt after attempt, by itself.

mod files;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;

pub use files::TransientFiles;

use super::recipients::{
    AttemptStanding, NewRecipient, RecipientCounts, RecipientFilter, RecipientLedger, RecipientRow, RecipientState,
    RecipientStep, Resend,
};
use super::{EffectRecord, EffectRecords, LedgerEntry, MailLedger, StoreResult};
use crate::domain::{Attempt, TaskId};

/// What became of mails and recipients, for as long as this lives. Attempts follow each other here: the asking one is the present one.
#[derive(Default)]
pub struct TransientLedger {
    mails: Mutex<BTreeMap<(TaskId, i32), LedgerEntry>>,
    lists: Mutex<BTreeMap<TaskId, List>>,
    effects: Mutex<BTreeMap<(TaskId, String), String>>,
}

#[derive(Default)]
struct List {
    complete: bool,
    rows: BTreeMap<i32, (Attempt, RecipientRow)>,
}

impl List {
    fn counts(&self) -> RecipientCounts {
        let mut counts = RecipientCounts::default();
        for (_, row) in self.rows.values() {
            counts.add(row.state, 1, row.next_at);
        }
        counts
    }

    fn write(&mut self, step: &RecipientStep) -> Option<RecipientState> {
        let (claimed_by, row) = self.rows.get_mut(&step.part)?;
        let is_own = *claimed_by == step.attempt;
        let is_open = match row.state {
            RecipientState::Queued => true,
            RecipientState::Deferred | RecipientState::Unknown => row.next_at.is_some(),
            _ => false,
        };
        let is_claim = step.state == RecipientState::Sending;
        let is_in_hand = row.state == RecipientState::Sending || (row.state == RecipientState::Unknown && !is_claim);
        if !(is_open || (is_own && is_in_hand)) {
            return None;
        }
        let was_tried = is_in_hand && (row.state == RecipientState::Sending || is_own);
        row.attempts += u32::from(!was_tried && step.state != RecipientState::Suppressed);
        row.state = step.state;
        row.response.clone_from(&step.response);
        row.reference.clone_from(&step.reference);
        row.next_at = step.next_at;
        row.updated_at = step.at;
        *claimed_by = step.attempt;
        Some(row.state)
    }
}

#[async_trait]
impl MailLedger for TransientLedger {
    async fn write_ledger(&self, entries: &[LedgerEntry]) -> StoreResult<()> {
        self.mails.lock().extend(entries.iter().map(|entry| ((entry.task, entry.part), entry.clone())));
        Ok(())
    }

    async fn claim_mail(&self, entry: &LedgerEntry, _attempt: Attempt, resend: bool) -> StoreResult<bool> {
        let mut entries = self.mails.lock();
        let key = (entry.task, entry.part);
        let holds = entries.get(&key).is_none_or(|before| before.state.is_to_be_sent(resend));
        if holds {
            entries.insert(key, entry.clone());
        }
        Ok(holds)
    }

    async fn read_ledger(&self, task: TaskId) -> StoreResult<Vec<LedgerEntry>> {
        let entries = self.mails.lock();
        Ok(entries.values().filter(|entry| entry.task == task).cloned().collect())
    }
}

#[async_trait]
impl EffectRecords for TransientLedger {
    async fn record_effect(&self, effect: &EffectRecord) -> StoreResult<()> {
        let key = (effect.task, effect.part.clone());
        self.effects.lock().entry(key).or_insert_with(|| effect.outcome.clone());
        Ok(())
    }

    async fn effect_outcome(&self, task: TaskId, part: &str) -> StoreResult<Option<String>> {
        Ok(self.effects.lock().get(&(task, part.to_owned())).cloned())
    }
}

#[async_trait]
impl RecipientLedger for TransientLedger {
    async fn open_list(&self, task: TaskId, _now: Timestamp) -> StoreResult<bool> {
        Ok(self.lists.lock().get(&task).is_some_and(|list| list.complete))
    }

    async fn add_recipients(&self, task: TaskId, recipients: &[NewRecipient], now: Timestamp) -> StoreResult<()> {
        let mut lists = self.lists.lock();
        let list = lists.entry(task).or_default();
        for one in recipients.iter().cloned() {
            list.rows.entry(one.part).or_insert_with(|| {
                let state = if one.refused.is_none() { RecipientState::Queued } else { RecipientState::Rejected };
                let row = RecipientRow {
                    part: one.part,
                    recipient: one.recipient,
                    address: one.address,
                    message_id: one.message_id,
                    state,
                    response: one.refused,
                    reference: None,
                    attempts: 0,
                    next_at: None,
                    context: one.context,
                    updated_at: now,
                };
                (Attempt(0), row)
            });
        }
        Ok(())
    }

    async fn complete_list(&self, task: TaskId, _now: Timestamp) -> StoreResult<()> {
        self.lists.lock().entry(task).or_default().complete = true;
        Ok(())
    }

    async fn adopt(
        &self,
        task: TaskId,
        attempt: Attempt,
        resend: Option<Resend>,
        now: Timestamp,
    ) -> StoreResult<Option<RecipientCounts>> {
        let mut lists = self.lists.lock();
        let list = lists.entry(task).or_default();
        for (claimed_by, row) in list.rows.values_mut() {
            if row.state == RecipientState::Sending && *claimed_by < attempt {
                row.state = RecipientState::Unknown;
                row.next_at = resend.filter(|resend| row.attempts < resend.most_attempts).map(|resend| resend.at);
                row.updated_at = now;
            }
        }
        Ok(Some(list.counts()))
    }

    async fn to_send(&self, task: TaskId, after: Option<i32>, now: Timestamp, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        let lists = self.lists.lock();
        let Some(list) = lists.get(&task) else { return Ok(Vec::new()) };
        let is_due = |row: &RecipientRow| match row.state {
            RecipientState::Queued => true,
            RecipientState::Deferred | RecipientState::Unknown => row.next_at.is_some_and(|at| at <= now),
            _ => false,
        };
        let behind = list.rows.range(after.map_or(0, |after| after + 1)..);
        let due = behind.map(|(_, (_, row))| row).filter(|row| is_due(row));
        Ok(due.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn write_recipients(&self, steps: &[RecipientStep]) -> StoreResult<Vec<Option<RecipientState>>> {
        let mut lists = self.lists.lock();
        Ok(steps.iter().map(|step| lists.get_mut(&step.task)?.write(step)).collect())
    }

    async fn attempt_standing(&self, _task: TaskId, _attempt: Attempt) -> StoreResult<AttemptStanding> {
        Ok(AttemptStanding::Present)
    }

    async fn recipients(&self, task: TaskId, filter: &RecipientFilter, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        let lists = self.lists.lock();
        let Some(list) = lists.get(&task) else { return Ok(Vec::new()) };
        let behind = list.rows.range(filter.after.map_or(0, |after| after + 1)..).map(|(_, (_, row))| row);
        let asked = behind.filter(|row| filter.states.is_empty() || filter.states.contains(&row.state));
        Ok(asked.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn count_recipients(&self, task: TaskId) -> StoreResult<RecipientCounts> {
        Ok(self.lists.lock().get(&task).map(List::counts).unwrap_or_default())
    }
}
