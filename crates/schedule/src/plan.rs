//! The nominal times of one schedule: its timing, within its start and end, and its jitter.

use jiff::{SignedDuration, Timestamp};

use crate::ScheduleError;
use crate::timing::Timing;

/// The largest jitter: one day.
pub const MAX_JITTER_SECONDS: i64 = 86_400;

/// All that decides when one schedule fires.
///
/// A **nominal time** is an instant that the timing names, from `start` on and before `end`. It identifies a firing. The **due time** is the nominal time
/// plus jitter; a task is made when it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct FiringPlan {
    timing: Timing,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    one_off: bool,
    jitter_ms: u64,
    seed: u64,
}

/// A firing that is to come, or that has come due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    /// The time that the schedule names; unique within the schedule.
    pub nominal: Timestamp,
    /// The nominal time plus jitter.
    pub due: Timestamp,
}

impl FiringPlan {
    /// A plan without start, end, one-off and jitter.
    pub fn new(timing: Timing) -> Self {
        Self { timing, start: None, end: None, one_off: false, jitter_ms: 0, seed: 0 }
    }

    /// Limits the nominal times to those at or after `start` and before `end`.
    pub fn with_window(mut self, start: Option<Timestamp>, end: Option<Timestamp>) -> Result<Self, ScheduleError> {
        if let (Some(start), Some(end)) = (start, end)
            && start >= end
        {
            return Err(ScheduleError::EndBeforeStart { start, end });
        }
        (self.start, self.end) = (start, end);
        Ok(self)
    }

    /// Makes the schedule end with its first firing.
    #[must_use]
    pub fn with_one_off(mut self, one_off: bool) -> Self {
        self.one_off = one_off;
        self
    }

    /// Spreads the due times over up to `seconds` after the nominal times. The seed is the schedule's own; see [`jitter_seed`].
    pub fn with_jitter(mut self, seconds: i64, seed: u64) -> Result<Self, ScheduleError> {
        let out_of_range = ScheduleError::OutOfRange { field: "jitter", value: seconds, min: 0, max: MAX_JITTER_SECONDS };
        let allowed = u64::try_from(seconds).ok().filter(|_| seconds <= MAX_JITTER_SECONDS).ok_or(out_of_range)?;
        (self.jitter_ms, self.seed) = (allowed * 1_000, seed);
        Ok(self)
    }

    /// When the schedule fires, apart from start and end.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Whether the schedule ends with its first firing. A clocked schedule always does.
    pub fn is_one_off(&self) -> bool {
        self.one_off || matches!(self.timing, Timing::Clocked { .. })
    }

    /// The first nominal time after an instant. Whether a one-off has fired already is for the caller to know.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let before_start = self.start.and_then(|start| start.checked_sub(SignedDuration::from_nanos(1)).ok());
        let after = before_start.map_or(after, |before_start| after.max(before_start));
        self.timing.next_after(after).filter(|nominal| self.end.is_none_or(|end| *nominal < end))
    }

    /// The last nominal time before an instant.
    pub fn previous_before(&self, before: Timestamp) -> Option<Timestamp> {
        let before = self.end.map_or(before, |end| before.min(end));
        self.timing.previous_before(before).filter(|nominal| self.start.is_none_or(|start| *nominal >= start))
    }

    /// The first nominal time after an instant, with its due time.
    pub fn next_occurrence(&self, after: Timestamp) -> Option<Occurrence> {
        self.next_after(after).map(|nominal| Occurrence { nominal, due: self.due_at(nominal) })
    }

    /// The next `count` occurrences after an instant; one at most if the schedule is a one-off.
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Occurrence> {
        let count = if self.is_one_off() { count.min(1) } else { count };
        let mut at = after;
        std::iter::from_fn(|| {
            let next = self.next_occurrence(at)?;
            at = next.nominal;
            Some(next)
        })
        .take(count)
        .collect()
    }

    /// The nominal times at or after `from` and before `to`, in order, `limit` at most; one at most if the schedule is a one-off.
    pub fn between(&self, from: Timestamp, to: Timestamp, limit: usize) -> Vec<Timestamp> {
        let limit = if self.is_one_off() { limit.min(1) } else { limit };
        let mut next = if self.includes(from) { Some(from) } else { self.next_after(from) };
        std::iter::from_fn(|| {
            let nominal = next.filter(|nominal| *nominal < to)?;
            next = self.next_after(nominal);
            Some(nominal)
        })
        .take(limit)
        .collect()
    }

    /// When the firing of a nominal time is due: at that time, or later by a jitter that depends on nothing but the plan and the time.
    ///
    /// Jitter never reaches the next nominal time, so due times come in the order of nominal times.
    pub fn due_at(&self, nominal: Timestamp) -> Timestamp {
        if self.jitter_ms == 0 {
            return nominal;
        }
        let until_next = self.next_after(nominal).map(|next| next.duration_since(nominal).as_millis());
        let room = until_next.and_then(|room| u64::try_from(room).ok()).unwrap_or(u64::MAX);
        let spread = self.jitter_ms.saturating_add(1).min(room.max(1));
        let jitter = mixed(self.seed ^ mixed(nominal.as_second().cast_unsigned())) % spread;
        i64::try_from(jitter).ok().and_then(|ms| nominal.checked_add(SignedDuration::from_millis(ms)).ok()).unwrap_or(nominal)
    }

    /// Refuses a plan that does nothing after an instant: a clocked time in the past, an end in the past, an event of the sun that the place never sees.
    /// The answer is the first nominal time.
    pub fn require_future(&self, now: Timestamp) -> Result<Timestamp, ScheduleError> {
        self.next_after(now).ok_or_else(|| {
            let (field, reason) = match self.timing {
                _ if self.end.is_some_and(|end| end <= now) => ("end", "its end has passed; choose a later `end`, or none"),
                Timing::Clocked { at, .. } if at <= now => ("at", "its time has passed; choose a time in the future"),
                Timing::Solar { .. } if self.end.is_none() => {
                    ("event", "the sun does not reach this position at this place within a year; choose another event or place")
                }
                _ => ("end", "it has no firing between its start and its end; move one of them"),
            };
            ScheduleError::NothingAhead { field, now, reason }
        })
    }

    fn includes(&self, instant: Timestamp) -> bool {
        instant.checked_sub(SignedDuration::from_nanos(1)).is_ok_and(|before| self.next_after(before) == Some(instant))
    }
}

/// The seed of a schedule's jitter, from the bytes of its id. It is the same on every machine and in every release.
pub fn jitter_seed(id: &[u8]) -> u64 {
    // FNV-1a.
    id.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The finalizer of `SplitMix64`: every bit of the result depends on every bit of the value.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}
