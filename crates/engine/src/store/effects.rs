//! Effects that tasks have had outside Legwork, recorded so that a later attempt does not repeat them.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreResult;
use crate::domain::TaskId;

/// An effect that a task has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectRecord {
    /// The first task of the chain of retries by hand ([`crate::domain::Origin`]), so that such a retry finds the record too.
    pub task: TaskId,
    /// Which of the task's effects it is.
    pub part: String,
    /// What the effect gave: JSON.
    pub outcome: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// The effects of tasks. A record is kept for as long as its task lives, or one of the chain may be retried by hand.
#[async_trait]
pub trait EffectRecords: Send + Sync {
    /// Records an effect. A record that is there stays as it is: the effect that was first is the one that counts.
    async fn record_effect(&self, effect: &EffectRecord) -> StoreResult<()>;

    /// What an effect gave; `None` where it is not recorded.
    async fn effect_outcome(&self, task: TaskId, part: &str) -> StoreResult<Option<String>>;
}
