//! Rate limits of kinds.

use std::fmt;
use std::time::Duration;

/// A limit on the starts of attempts, over all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The most attempts that start in any span of `per`. At least 1.
    pub starts: u32,
    /// The length of the span.
    pub per: Duration,
}

impl fmt::Display for RateLimit {
    /// As in `10/m`; a span that has no unit of its own is given in seconds, as in `10/90s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per.as_secs() {
            1 => write!(f, "{}/s", self.starts),
            60 => write!(f, "{}/m", self.starts),
            3_600 => write!(f, "{}/h", self.starts),
            86_400 => write!(f, "{}/d", self.starts),
            seconds => write!(f, "{}/{seconds}s", self.starts),
        }
    }
}
