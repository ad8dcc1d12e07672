//! A mail ledger in memory, which keeps every write in order.

use std::sync::Mutex;

use async_trait::async_trait;
use legwork_engine::domain::{Attempt, TaskId};
use legwork_engine::store::{LedgerEntry, LedgerState, MailLedger, StoreError, StoreResult};

/// The ledger. Cannot be written to once it was told to be away.
#[derive(Default)]
pub struct MemoryLedger {
    writes: Mutex<Vec<LedgerEntry>>,
    away: std::sync::atomic::AtomicBool,
}

impl MemoryLedger {
    /// What was written, oldest first.
    pub fn states(&self) -> Vec<LedgerState> {
        self.writes.lock().unwrap().iter().map(|entry| entry.state).collect()
    }

    /// The last write.
    pub fn last(&self) -> Option<LedgerEntry> {
        self.writes.lock().unwrap().last().cloned()
    }

    /// Fails every read and write from now on.
    pub fn go_away(&self) {
        self.away.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    fn check(&self) -> StoreResult<()> {
        let away = self.away.load(std::sync::atomic::Ordering::SeqCst);
        if away { Err(StoreError::Unavailable("the test took it away".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl MailLedger for MemoryLedger {
    async fn write_ledger(&self, entries: &[LedgerEntry]) -> StoreResult<()> {
        self.check()?;
        self.writes.lock().unwrap().extend_from_slice(entries);
        Ok(())
    }

    /// Whoever asks counts as the present attempt.
    async fn claim_mail(&self, entry: &LedgerEntry, _attempt: Attempt, resend: bool) -> StoreResult<bool> {
        self.check()?;
        let mut writes = self.writes.lock().unwrap();
        let before = writes.iter().rfind(|before| (before.task, before.part) == (entry.task, entry.part));
        let holds = before.is_none_or(|before| before.state.is_to_be_sent(resend));
        if holds {
            writes.push(entry.clone());
        }
        Ok(holds)
    }

    async fn read_ledger(&self, task: TaskId) -> StoreResult<Vec<LedgerEntry>> {
        self.check()?;
        let mut by_part = std::collections::BTreeMap::new();
        for entry in self.writes.lock().unwrap().iter().filter(|entry| entry.task == task) {
            by_part.insert(entry.part, entry.clone());
        }
        Ok(by_part.into_values().collect())
    }
}
