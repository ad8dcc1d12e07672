//! How long a failed attempt waits before the next one.

use std::time::Duration;

/// How the delay grows from one retry to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backoff {
    /// `first · 2^n` for the n-th retry (n from 0), at most `cap`, give or take `jitter` (a share, `0.1` is ±10 %).
    Exponential {
        /// The delay before the first retry.
        first: Duration,
        /// The longest delay, before jitter.
        cap: Duration,
        /// The share by which a delay varies either way.
        jitter: f64,
    },
    /// The same delay before every retry.
    Fixed(Duration),
}

/// How often and after what delay a kind's tasks are tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Retries after the first attempt, unless the submission says otherwise.
    pub max_retries: u16,
    /// The delay before each retry.
    pub backoff: Backoff,
}

impl RetryPolicy {
    /// 3 retries after 60 s · 2^n, at most 1 h, ±10 %.
    pub const DEFAULT: Self = Self {
        max_retries: 3,
        backoff: Backoff::Exponential { first: Duration::from_mins(1), cap: Duration::from_hours(1), jitter: 0.1 },
    };

    /// The delay before the retry that follows `retries_used` earlier ones. `chance` is in `0.0..1.0`;
    /// `at_least` is what the other side asked for (`Retry-After`) and is never undercut, but held to a day.
    pub fn delay(&self, retries_used: u16, chance: f64, at_least: Option<Duration>) -> Duration {
        const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);
        let own = match self.backoff {
            Backoff::Fixed(delay) => delay,
            Backoff::Exponential { first, cap, jitter } => {
                let doubled = first.saturating_mul(1_u32.checked_shl(u32::from(retries_used)).unwrap_or(u32::MAX));
                doubled.min(cap).mul_f64(1.0 + jitter * (2.0 * chance - 1.0))
            }
        };
        own.max(at_least.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_minute_doubled_with_ten_percent_either_way() {
        for (used, seconds) in [(0, 60), (1, 120), (2, 240), (10, 3600), (200, 3600)] {
            let middle = RetryPolicy::DEFAULT.delay(used, 0.5, None);
            assert_eq!(middle, Duration::from_secs(seconds), "after {used}");
            let low = RetryPolicy::DEFAULT.delay(used, 0.0, None);
            assert_eq!(low, Duration::from_secs(seconds).mul_f64(0.9));
        }
    }

    #[test]
    fn what_the_other_side_asked_for_is_never_undercut_but_bounded() {
        let policy = RetryPolicy { max_retries: 3, backoff: Backoff::Fixed(Duration::from_secs(5)) };
        assert_eq!(policy.delay(0, 0.5, Some(Duration::from_secs(90))), Duration::from_secs(90));
        assert_eq!(policy.delay(0, 0.5, Some(Duration::from_secs(1))), Duration::from_secs(5));
        assert_eq!(policy.delay(0, 0.5, Some(Duration::MAX)), Duration::from_hours(24));
    }
}
