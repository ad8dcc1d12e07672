//! Every so many seconds, minutes, hours, days or weeks, from a fixed instant.
//!
//! The k-th firing is computed from the start, and never from the firing before it, so an interval does not drift. Seconds, minutes and hours are elapsed
//! time. Days and weeks are the civil time of the zone: every 1 day from 09:00 is 09:00 in summer and in winter, and a local time that does not exist
//! or occurs twice follows the schedule's daylight-saving policies.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ScheduleError;
use crate::zone::{DstPolicy, Zone};

/// The unit of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalUnit {
    /// Seconds of elapsed time.
    Seconds,
    /// Minutes of elapsed time.
    Minutes,
    /// Hours of elapsed time; they do not follow changes of the clocks.
    Hours,
    /// Days of the zone's calendar.
    Days,
    /// Weeks of the zone's calendar.
    Weeks,
}

impl IntervalUnit {
    /// The name in the API, in the plural.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
            Self::Weeks => "weeks",
        }
    }

    /// How long the unit is in seconds, a day being 24 hours.
    fn seconds(self) -> i64 {
        match self {
            Self::Seconds => 1,
            Self::Minutes => 60,
            Self::Hours => 3_600,
            Self::Days => 86_400,
            Self::Weeks => 604_800,
        }
    }

    fn is_civil(self) -> bool {
        matches!(self, Self::Days | Self::Weeks)
    }
}

/// The longest period: ten years.
const MAX_SECONDS: i64 = 3_650 * 86_400;

/// A period and its unit, between one second and 3650 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    every: u32,
    unit: IntervalUnit,
}

impl Interval {
    /// Checks the range of a period.
    pub fn new(every: i64, unit: IntervalUnit) -> Result<Self, ScheduleError> {
        let out_of_range = ScheduleError::IntervalRange { every, unit: unit.name() };
        match u32::try_from(every) {
            Ok(count) if count > 0 && i64::from(count) * unit.seconds() <= MAX_SECONDS => Ok(Self { every: count, unit }),
            _ => Err(out_of_range),
        }
    }

    /// How many units lie between two firings.
    pub fn every(self) -> u32 {
        self.every
    }

    /// The unit in which [`Interval::every`] counts.
    pub fn unit(self) -> IntervalUnit {
        self.unit
    }

    /// The interval in words, such as "Every 5 minutes".
    pub fn describe(self) -> String {
        let name = self.unit.name();
        match self.every {
            1 => format!("Every {}", name.trim_end_matches('s')),
            every => format!("Every {every} {name}"),
        }
    }

    fn period(self) -> i64 {
        i64::from(self.every) * self.unit.seconds()
    }

    /// The first firing after an instant, of an interval that starts at `from`.
    pub(crate) fn next_after(self, from: Timestamp, after: Timestamp, zone: &Zone, policy: DstPolicy) -> Option<Timestamp> {
        if after < from {
            return self.firings(from, 0, zone, policy).into_iter().flatten().next();
        }
        let near = self.steps_until(from, after);
        (near.saturating_sub(2).max(0)..=near + 3)
            .flat_map(|step| self.firings(from, step, zone, policy))
            .flatten()
            .find(|at| *at > after)
    }

    /// The last firing before an instant, of an interval that starts at `from`.
    pub(crate) fn previous_before(self, from: Timestamp, before: Timestamp, zone: &Zone, policy: DstPolicy) -> Option<Timestamp> {
        if before <= from {
            return None;
        }
        let near = self.steps_until(from, before);
        (near.saturating_sub(3).max(0)..=near + 2)
            .flat_map(|step| self.firings(from, step, zone, policy))
            .flatten()
            .take_while(|at| *at < before)
            .last()
    }

    /// About how many periods lie between two instants. In civil units a change of the clocks can make it one too many or one too few.
    fn steps_until(self, from: Timestamp, to: Timestamp) -> i64 {
        to.duration_since(from).as_secs().div_euclid(self.period())
    }

    /// The firings of the k-th step: one, or none or two where the clocks change. The first is the start itself, whatever its local time.
    fn firings(self, from: Timestamp, step: i64, zone: &Zone, policy: DstPolicy) -> [Option<Timestamp>; 2] {
        if step == 0 {
            [Some(from), None]
        } else if self.unit.is_civil() {
            self.local(from, step, zone).map_or([None, None], |local| zone.instants(local, policy))
        } else {
            let elapsed = step.checked_mul(self.period()).map(SignedDuration::from_secs);
            [elapsed.and_then(|elapsed| from.checked_add(elapsed).ok()), None]
        }
    }

    fn local(self, from: Timestamp, step: i64, zone: &Zone) -> Option<DateTime> {
        let days = step.checked_mul(self.period() / IntervalUnit::Days.seconds())?;
        zone.local(from).checked_add(Span::new().try_days(days).ok()?).ok()
    }
}
