//! The one error type of this crate.

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::crontab::CronField;

/// A schedule that cannot be accepted.
///
/// Each message names the value, what is allowed and what to do. [`ScheduleError::field`] names the member of the request that is at error, so that
/// an API can point at it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A crontab expression does not have five fields.
    #[error(
        "\"{expression}\" has {found} fields; a crontab expression has five: minute, hour, day of month, month, day of week; {}",
        field_count_advice(*found)
    )]
    FieldCount {
        /// The expression as it was given.
        expression: String,
        /// How many fields it has.
        found: usize,
    },
    /// A word that starts with `@` and is not known.
    #[error(
        "\"{name}\" is not a known shorthand; use one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, or five crontab fields"
    )]
    UnknownShorthand {
        /// The word as it was given.
        name: String,
    },
    /// One field of a crontab expression cannot be read.
    #[error("the {field} \"{text}\" {problem}; allowed are {}", field.allowed())]
    CrontabField {
        /// The field of the expression.
        field: CronField,
        /// The part of the field that is at error.
        text: String,
        /// What is wrong with the part.
        problem: String,
    },
    /// A crontab expression that names no day of any year.
    #[error("\"{expression}\" never fires: no year has such a day; correct the day of month, the month or the day of week")]
    NeverFires {
        /// The expression as it was given.
        expression: String,
    },
    /// A time zone that is not in the IANA database.
    #[error("\"{name}\" is not a known time zone; {}", zone_advice(suggestions))]
    UnknownZone {
        /// The name as it was given.
        name: String,
        /// Known names that resemble it, the nearest first.
        suggestions: Vec<String>,
    },
    /// The period of an interval is out of range.
    #[error(
        "`every` is {every} {unit}, but an interval must be between 1 second and 3650 days; choose a number within that range"
    )]
    IntervalRange {
        /// The number as it was given.
        every: i64,
        /// The unit of the interval, in the plural.
        unit: &'static str,
    },
    /// A required member is absent.
    #[error("`{field}` is missing; {advice}")]
    Missing {
        /// The member that is absent.
        field: &'static str,
        /// The end of the message: what to write.
        advice: &'static str,
    },
    /// A text that should be a moment in time cannot be read.
    #[error(
        "\"{text}\" is not a time; write it like 2026-12-24T18:00:00Z, or like 2026-12-24T18:00:00 for a time in the schedule's zone"
    )]
    BadTime {
        /// The member that holds the text.
        field: &'static str,
        /// The text as it was given.
        text: String,
    },
    /// A local time that the clocks of the zone jump over.
    #[error(
        "{time} does not exist in {zone}, because the clocks are put forward over it; give another time, or one with an offset"
    )]
    TimeInGap {
        /// The member that holds the time.
        field: &'static str,
        /// The local time that does not exist.
        time: DateTime,
        /// IANA name of the zone.
        zone: String,
    },
    /// A local time that occurs twice in the zone.
    #[error(
        "{time} occurs twice in {zone}, because the clocks are put back over it; give the time with its offset, such as {time}+01:00"
    )]
    TimeInOverlap {
        /// The member that holds the time.
        field: &'static str,
        /// The local time that exists twice.
        time: DateTime,
        /// IANA name of the zone.
        zone: String,
    },
    /// A solar event that is not known.
    #[error("\"{name}\" is not a known solar event; use one of {}", crate::solar::EVENT_NAMES)]
    UnknownSolarEvent {
        /// The name as it was given.
        name: String,
    },
    /// A latitude or longitude is out of range.
    #[error("`{field}` is {value}; it must be a number of degrees between -{limit} and {limit}")]
    Coordinate {
        /// The name of the field: `latitude` or `longitude`.
        field: &'static str,
        /// The value as it was given.
        value: f64,
        /// The largest absolute value in degrees: 90 or 180.
        limit: u32,
    },
    /// A schedule ends before it starts.
    #[error("`end` ({end}) must be later than `start` ({start}); move one of them")]
    EndBeforeStart {
        /// When the schedule starts.
        start: Timestamp,
        /// When the schedule ends.
        end: Timestamp,
    },
    /// A number is out of its range.
    #[error("`{field}` must be between {min} and {max}; got {value}")]
    OutOfRange {
        /// The member that holds the number.
        field: &'static str,
        /// The number as it was given.
        value: i64,
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
    /// A schedule that would never fire again.
    #[error("the schedule never fires after {now}: {reason}")]
    NothingAhead {
        /// The member to correct.
        field: &'static str,
        /// The instant after which nothing happens.
        now: Timestamp,
        /// Why nothing happens, and what to do.
        reason: &'static str,
    },
}

impl ScheduleError {
    /// The member of the request that is at error, such as `expression`, `timezone` or `latitude`.
    pub fn field(&self) -> &'static str {
        match self {
            Self::FieldCount { .. } | Self::UnknownShorthand { .. } | Self::CrontabField { .. } | Self::NeverFires { .. } => {
                "expression"
            }
            Self::UnknownZone { .. } => "timezone",
            Self::IntervalRange { .. } => "every",
            Self::UnknownSolarEvent { .. } => "event",
            Self::EndBeforeStart { .. } => "end",
            Self::Missing { field, .. }
            | Self::BadTime { field, .. }
            | Self::TimeInGap { field, .. }
            | Self::TimeInOverlap { field, .. }
            | Self::Coordinate { field, .. }
            | Self::OutOfRange { field, .. }
            | Self::NothingAhead { field, .. } => field,
        }
    }
}

fn field_count_advice(found: usize) -> &'static str {
    if found > 5 {
        "seconds and years are not supported: remove the extra fields, or use an interval for anything faster than a minute"
    } else {
        "write * in each field that does not matter"
    }
}

fn zone_advice(suggestions: &[String]) -> String {
    if suggestions.is_empty() {
        "use an IANA name, such as Africa/Accra, Europe/London or UTC".to_owned()
    } else {
        format!("did you mean {}? Names are those of the IANA database", suggestions.join(", "))
    }
}
