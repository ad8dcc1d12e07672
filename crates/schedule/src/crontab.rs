//! Crontab expressions: five fields, read and searched field by field.
//!
//! # Fields
//!
//! `minute hour day-of-month month day-of-week`, separated by blanks.
//!
//! | field | values | names |
//! |---|---|---|
//! | minute | 0-59 | |
//! | hour | 0-23 | |
//! | day of month | 1-31 | |
//! | month | 1-12 | jan-dec |
//! | day of week | 0-7; 0 and 7 are Sunday | sun-sat |
//!
//! A field is a list of parts separated by commas. A part is `*`, a value, a range `a-b`, or a step over one of the first and the last: `*/n`, `a-b/n`.
//! Names are read in any case, in short or in full (`mon`, `Monday`). A range may wrap around, as in Celery: `22-2` are the hours 22, 23, 0, 1 and 2, and
//! `fri-mon` is four days. A step after a single value (`5/15`) is refused, as in Vixie cron: write `5-59/15`. A step that is larger than the field has
//! values is refused, because it would mean "once", and never what its author had in mind.
//!
//! # The two day fields
//!
//! As in Vixie cron: when day of month and day of week are both restricted, a day matches if **either** field matches it. A field that starts with `*`
//! (also `*/2`) is not restricted, and then both fields must match. Celery's own `crontab` requires both fields always; [`Crontab::either_day_matches`]
//! tells an importer where the two differ.

mod calendar;
mod describe;
mod parse;
mod search;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ScheduleError;

/// One of the five fields of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CronField {
    /// The first field, 0 to 59.
    Minute,
    /// The second field, 0 to 23.
    Hour,
    /// The third field, 1 to 31.
    DayOfMonth,
    /// The fourth field, 1 to 12, or `jan` to `dec`.
    Month,
    /// The fifth field, 0 to 7, or `sun` to `sat`; 0 and 7 are both Sunday.
    DayOfWeek,
}

impl CronField {
    /// The values and notations that the field takes, in words.
    pub fn allowed(self) -> &'static str {
        match self {
            Self::Minute => "0 to 59, ranges (0-30), steps (*/5, 0-30/5), lists (0,30) and *",
            Self::Hour => "0 to 23, ranges (8-17), steps (*/2, 8-17/2), lists (9,17) and *",
            Self::DayOfMonth => "1 to 31, ranges (1-7), steps (*/2, 1-31/7), lists (1,15) and *",
            Self::Month => "1 to 12 or jan to dec, ranges (mar-oct), steps (*/3, 1-12/3), lists (jan,jul) and *",
            Self::DayOfWeek => "0 to 7 (0 and 7 are Sunday) or sun to sat, ranges (mon-fri), steps (*/2), lists (mon,thu) and *",
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

/// A crontab expression that fires at least once in some year.
///
/// It is written and serialized as it was given, with single blanks. Two expressions are equal if they fire at the same local times, however they are
/// written.
#[derive(Debug, Clone)]
pub struct Crontab {
    text: Box<str>,
    rule: Rule,
}

/// The values that each field allows, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    minutes: u64,
    hours: u32,
    days_of_month: u32,
    months: u16,
    days_of_week: u8,
    /// A day matches if either day field matches it; otherwise both must.
    either_day: bool,
}

impl Crontab {
    /// Whether the hours are all allowed, so that the expression runs evenly through the day.
    ///
    /// Such an expression follows the elapsed time across changes of the clocks: nothing is moved out of a gap, and the repeated hour counts twice. The
    /// daylight-saving policies of a schedule concern expressions that name hours.
    pub fn runs_every_hour(&self) -> bool {
        self.rule.hours == ALL_HOURS
    }

    /// Whether both day fields are restricted, so that a day matches if either does. Celery requires both.
    pub fn either_day_matches(&self) -> bool {
        self.rule.either_day
    }

    /// The expression as it was given, with single blanks.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

const ALL_HOURS: u32 = 0x00FF_FFFF;

impl PartialEq for Crontab {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

impl Eq for Crontab {}

impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Crontab {
    type Err = ScheduleError;

    fn from_str(expression: &str) -> Result<Self, Self::Err> {
        parse::parse(expression)
    }
}

impl Serialize for Crontab {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Crontab {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
