//! Counts of ended tasks, for the charts.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreResult;
use crate::domain::{KindName, TaskStatus};

/// Tasks of one kind that ended alike after nearly the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedGroup {
    /// Kind of the tasks.
    pub kind: KindName,
    /// State in which the tasks ended.
    pub status: TaskStatus,
    /// How long their last attempt took, in milliseconds, with the digits behind the third cut off; `None` where none had started.
    pub millis: Option<u64>,
    /// Number of tasks in the group.
    pub tasks: u64,
    /// How long all of them took together, exactly, in milliseconds.
    pub total_millis: u64,
}

/// Counts of what ended.
#[async_trait]
pub trait TaskStats: Send + Sync {
    /// What ended from `from` on and before `to`, in any order. The groups are few, however many the tasks: a thousand or so for each power
    /// of ten that the times of a kind range over.
    async fn ended_groups(&self, from: Timestamp, to: Timestamp) -> StoreResult<Vec<EndedGroup>>;
}
