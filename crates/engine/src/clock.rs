//! Time and randomness as parameters.
//!
//! Nothing else in the crate reads the wall clock (a lint forbids it). The production clock follows the *store's* time: the start, each
//! heartbeat of a worker and each sweep of a scheduler bring the database's `now` (a process that has neither asks for it every few
//! seconds), and in between the monotonic clock carries it on. So all processes of a cluster agree about what is due and who is dead,
//! whatever their own clocks say, and a clock that is set while we run moves nothing. Only what a command makes without a server (a
//! token, an account) bears the time of its host.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

/// Where time, ids and chance come from.
pub trait Clock: Send + Sync + 'static {
    /// The present, to the microsecond (what both stores keep).
    fn now(&self) -> Timestamp;

    /// Takes over the store's time, as just answered by it.
    fn follow(&self, store_now: Timestamp);

    /// A number in `0.0..1.0`, for jitter.
    fn chance(&self) -> f64;
}

/// Cuts a time to whole microseconds, the resolution of both stores.
pub fn to_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// The clock of production: the store's time carried on by the monotonic clock.
#[derive(Debug)]
pub struct SyncedClock {
    base: RwLock<(Timestamp, Instant)>,
}

impl SyncedClock {
    /// Starts from the system's time; [`Clock::follow`] corrects it.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the wall clock is read")]
    pub fn start() -> Self {
        Self { base: RwLock::new((Timestamp::now(), Instant::now())) }
    }
}

impl Clock for SyncedClock {
    fn now(&self) -> Timestamp {
        let (base, since) = *self.base.read();
        let passed = jiff::SignedDuration::try_from(since.elapsed()).unwrap_or(jiff::SignedDuration::ZERO);
        to_micros(base.checked_add(passed).unwrap_or(base))
    }

    fn follow(&self, store_now: Timestamp) {
        // An answer that took a while tells an older time than is: for less than a second the clock does not step back.
        let ahead = self.now().duration_since(store_now);
        if ahead.is_positive() && ahead < jiff::SignedDuration::from_secs(1) {
            return;
        }
        *self.base.write() = (store_now, Instant::now());
    }

    fn chance(&self) -> f64 {
        fastrand::f64()
    }
}

/// A clock that stands still until it is told to move; for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
    rng: Mutex<fastrand::Rng>,
}

impl ManualClock {
    /// Stands at `at`; chance is seeded, so that runs repeat.
    pub fn at(at: Timestamp) -> Self {
        Self { micros: AtomicI64::new(at.as_microsecond()), rng: Mutex::new(fastrand::Rng::with_seed(42)) }
    }

    /// Moves on by `by`.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.micros.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn follow(&self, _store_now: Timestamp) {}

    fn chance(&self) -> f64 {
        self.rng.lock().f64()
    }
}
