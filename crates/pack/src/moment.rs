//! Times and days as they stand in rows and args.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil};

/// A moment, or a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Moment {
    Time(Timestamp),
    Day(civil::Date),
}

impl Moment {
    /// RFC 3339; `2026-01-31 08:00:00` as `SQLite` keeps it, which is UTC; a day.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() == 10 {
            return text.parse().ok().map(Self::Day);
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(Self::Time(time));
        }
        let local: civil::DateTime = text.parse().ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| Self::Time(zoned.timestamp()))
    }

    /// The same in a zone; a day begins at its first instant.
    pub(crate) fn zoned(self, zone: &TimeZone) -> Option<Zoned> {
        match self {
            Self::Time(time) => Some(time.to_zoned(zone.clone())),
            Self::Day(day) => day.to_zoned(zone.clone()).ok(),
        }
    }
}
