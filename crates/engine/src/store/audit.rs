//! The audit log: who did what, when, and with what result.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::StoreResult;

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// A `UUIDv7`: the time in it orders the log.
    pub id: Uuid,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it: the subject of a token, or the name of an account.
    pub principal: String,
    /// What was done, as in `task.retry`.
    pub action: String,
    /// To what: a task's id, the name of a queue. Empty where there is nothing to name.
    pub target: String,
    /// More about it, for people.
    pub detail: String,
    /// What came of it: `done`, `refused` or `failed`.
    pub outcome: String,
    /// Where it was asked for: `api` or `dashboard`.
    pub source: String,
    /// The address of the caller.
    pub address: String,
}

/// Which entries are asked for. Empty fields ask for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Done by this principal.
    pub principal: Option<String>,
    /// Entries with this action.
    pub action: Option<String>,
    /// With this text in target or detail, in any case.
    pub text: Option<String>,
    /// Older than the entry with this id.
    pub before: Option<Uuid>,
}

/// The audit log. Entries are written once and never changed.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Adds an entry to the log.
    async fn write_audit(&self, entry: &AuditEntry) -> StoreResult<()>;

    /// Up to `limit` entries, the newest first.
    async fn audit(&self, filter: &AuditFilter, limit: u32) -> StoreResult<Vec<AuditEntry>>;

    /// Deletes up to `limit` entries that are older than `before`: how many.
    async fn prune_audit(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;
}
