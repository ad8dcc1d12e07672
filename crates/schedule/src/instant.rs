//! Moments in time, as users write them.

use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use crate::ScheduleError;
use crate::zone::Zone;

/// Reads a moment in time: RFC 3339 with an offset or `Z`, or a local time of the zone. Fractions of a second are cut off.
///
/// A local time that does not exist or occurs twice is refused; `field` is the member that errors point at.
pub fn parse_time(field: &'static str, text: &str, zone: &Zone) -> Result<Timestamp, ScheduleError> {
    let bad = || ScheduleError::BadTime { field, text: text.to_owned() };
    let text = text.trim();
    let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
    if let Ok(instant) = text.parse::<Timestamp>() {
        return instant.round(whole).map_err(|_| bad());
    }
    let time: DateTime = text.parse().map_err(|_| bad())?;
    let zone_name = || zone.name().to_owned();
    match zone.time_zone().to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Unambiguous { offset } => {
            offset.to_timestamp(time).and_then(|instant| instant.round(whole)).map_err(|_| bad())
        }
        AmbiguousOffset::Gap { .. } => Err(ScheduleError::TimeInGap { field, time, zone: zone_name() }),
        AmbiguousOffset::Fold { .. } => Err(ScheduleError::TimeInOverlap { field, time, zone: zone_name() }),
    }
}
