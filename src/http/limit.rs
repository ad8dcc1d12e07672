//! The rate of submissions, by principal.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::error::ApiError;
use legwork_engine::domain::FieldError;

/// After so many admissions, principals that have been quiet are forgotten.
const FORGET_EVERY: usize = 65_536;

/// Counts submissions by principal. The monotonic clock drives it, not the engine's, which follows the database and may jump.
pub(super) struct SubmitLimit {
    limiter: DefaultKeyedRateLimiter<Arc<str>>,
    clock: DefaultClock,
    per_second: NonZeroU32,
    admitted: AtomicUsize,
}

impl SubmitLimit {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::keyed(Quota::per_second(per_second)),
            clock: DefaultClock::default(),
            per_second,
            admitted: AtomicUsize::new(0),
        }
    }

    /// Lets `count` submissions of `principal` in, all or none.
    pub(super) fn admit(&self, principal: &Arc<str>, count: u32) -> Result<(), ApiError> {
        if self.admitted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let limited = match NonZeroU32::new(count) {
            None => return Ok(()),
            Some(count) if count.get() == 1 => self.limiter.check_key(principal),
            Some(count) => self.limiter.check_key_n(principal, count).map_err(|_| self.never(count))?,
        };
        limited.map_err(|until| self.too_many(until.wait_time_from(self.clock.now())))
    }

    fn too_many(&self, wait: Duration) -> ApiError {
        let detail = format!("more than {} submissions a second (RATE_LIMIT); see Retry-After", self.per_second);
        ApiError::RateLimited { wait, detail }
    }

    /// Waiting would not help a batch that is larger than what a second admits.
    fn never(&self, count: NonZeroU32) -> ApiError {
        let detail = format!("has {count} items; RATE_LIMIT admits {} a second", self.per_second);
        ApiError::Invalid(vec![FieldError::new("/tasks", detail)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_principal_has_its_own_measure_and_a_batch_counts_its_items() {
        let limit = SubmitLimit::new(NonZeroU32::new(2).unwrap());
        let (anna, berta): (Arc<str>, Arc<str>) = ("anna".into(), "berta".into());
        assert!(limit.admit(&anna, 2).is_ok());
        assert!(matches!(limit.admit(&anna, 2), Err(ApiError::RateLimited { wait, .. }) if wait > Duration::ZERO));
        assert!(limit.admit(&berta, 1).is_ok());
        assert!(matches!(limit.admit(&berta, 3), Err(ApiError::Invalid(_))));
    }
}
