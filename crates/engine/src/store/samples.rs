//! Kept counts: what ended and what waited, minute by minute, folded into longer steps.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreResult;

/// The length of the time that a sample covers, in seconds.
pub type SampleStep = i32;

/// Samples by step and time. A sample is JSON text that only its writer understands.
#[async_trait]
pub trait Samples: Send + Sync {
    /// Keeps the sample of the time that begins at `at`. Returns whether it is new: the first one stays.
    async fn write_sample(&self, step: SampleStep, at: Timestamp, sample: &str) -> StoreResult<bool>;

    /// The samples of times that begin from `from` on and before `to`, oldest first.
    async fn samples(&self, step: SampleStep, from: Timestamp, to: Timestamp) -> StoreResult<Vec<(Timestamp, String)>>;

    /// Deletes the samples of a step that begin before `before`: how many.
    async fn prune_samples(&self, step: SampleStep, before: Timestamp) -> StoreResult<u64>;
}
