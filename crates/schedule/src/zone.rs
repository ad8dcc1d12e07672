//! Time zones by their IANA names, and the local times that a zone skips or repeats.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use serde::{Deserialize, Serialize};

use crate::ScheduleError;

/// What happens to a firing whose local time does not exist, because the clocks are put forward over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DstGap {
    /// There is no firing on that day.
    Skip,
    /// The firing takes place at the first instant after the gap.
    #[default]
    ShiftForward,
}

/// What happens to a firing whose local time occurs twice, because the clocks are put back over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DstOverlap {
    /// The firing takes place the first time only.
    #[default]
    First,
    /// The firing takes place the second time only.
    Second,
    /// There are two firings.
    Both,
}

/// The two daylight-saving policies of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DstPolicy {
    /// What happens to local times that do not exist.
    pub gap: DstGap,
    /// What happens to local times that occur twice.
    pub overlap: DstOverlap,
}

/// A time zone of the IANA database.
///
/// Names are read in any case and kept as the database spells them. A zone costs one pointer; its rules are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated Universal Time, the default of every schedule.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// Finds a zone by its IANA name. An unknown name is refused with the nearest known ones.
    pub fn named(name: &str) -> Result<Self, ScheduleError> {
        let unknown = || ScheduleError::UnknownZone { name: name.to_owned(), suggestions: suggestions(name) };
        if name.eq_ignore_ascii_case("Etc/Unknown") {
            return Err(unknown());
        }
        let zone = TimeZone::get(name).map_err(|_| unknown())?;
        if zone.iana_name().is_none() { Err(unknown()) } else { Ok(Self(zone)) }
    }

    /// The name as the IANA database spells it.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The zone as jiff's type, for formatting.
    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }

    /// The local time at an instant.
    pub fn local(&self, instant: Timestamp) -> DateTime {
        self.0.to_datetime(instant)
    }

    /// The zone's offset from UTC at an instant.
    pub fn offset(&self, instant: Timestamp) -> Offset {
        self.0.to_offset(instant)
    }

    /// The instants at which the zone's clocks show `local`, as the policies have it: none, one or two, the earlier first.
    pub fn instants(&self, local: DateTime, policy: DstPolicy) -> [Option<Timestamp>; 2] {
        let at = |offset: Offset| offset.to_timestamp(local).ok();
        match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
            AmbiguousOffset::Gap { after, .. } => match policy.gap {
                DstGap::Skip => [None, None],
                DstGap::ShiftForward => [self.end_of_gap(local, after), None],
            },
            AmbiguousOffset::Fold { before, after } => match policy.overlap {
                DstOverlap::First => [at(before), None],
                DstOverlap::Second => [at(after), None],
                DstOverlap::Both => [at(before), at(after)],
            },
        }
    }

    /// The transition that skips `local`. Read with the later offset, a skipped local time is an instant before the transition, by less than the length
    /// of the gap.
    fn end_of_gap(&self, local: DateTime, after: Offset) -> Option<Timestamp> {
        let earlier = after.to_timestamp(local).ok()?;
        self.0.following(earlier).next().map(|transition| transition.timestamp())
    }

    /// The stretch of constant offset that holds an instant, given in seconds since 1970.
    pub(crate) fn segment(&self, second: i64) -> Segment {
        let instant = clamped(second);
        let started = self.0.preceding(clamped(second + 1)).next();
        let end = self.0.following(instant).next();
        Segment {
            offset: seconds(self.0.to_offset(instant)),
            start: started.map(|transition| {
                let at = transition.timestamp().as_second();
                Edge { second: at, other: seconds(self.0.to_offset(clamped(at - 1))) }
            }),
            end: end.map(|transition| Edge { second: transition.timestamp().as_second(), other: seconds(transition.offset()) }),
        }
    }
}

/// A stretch of time in which a zone's offset does not change. All values are seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// The offset from UTC.
    pub offset: i64,
    /// The transition at which the stretch starts, and the offset before it.
    pub start: Option<Edge>,
    /// The transition at which the stretch ends, and the offset after it.
    pub end: Option<Edge>,
}

/// One end of a [`Segment`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    /// The instant, in seconds since 1970.
    pub second: i64,
    /// The offset on the other side.
    pub other: i64,
}

/// The instant at a number of seconds since 1970, or the nearest that the calendar has.
fn clamped(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The first whole second after an instant, in seconds since 1970.
pub(crate) fn second_after(instant: Timestamp) -> i64 {
    floor_second(instant) + 1
}

/// The last whole second before an instant, in seconds since 1970.
pub(crate) fn second_before(instant: Timestamp) -> i64 {
    let floor = floor_second(instant);
    if instant.subsec_nanosecond() == 0 { floor - 1 } else { floor }
}

fn floor_second(instant: Timestamp) -> i64 {
    instant.as_second() - i64::from(instant.subsec_nanosecond() < 0)
}

fn seconds(offset: Offset) -> i64 {
    i64::from(offset.seconds())
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = ScheduleError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::named(name)
    }
}

impl Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::named(&name).map_err(serde::de::Error::custom)
    }
}

/// Up to three known names that resemble `name`: those whose last part is alike come first ("Accra", "Acra", "accra/africa").
fn suggestions(name: &str) -> Vec<String> {
    let wanted = simplified(name);
    if wanted.is_empty() || wanted.len() > 64 {
        return Vec::new();
    }
    let wanted_city = last_part(&wanted);
    let mut scored: Vec<(usize, String)> = jiff::tz::db()
        .available()
        .filter(|known| !known.as_str().eq_ignore_ascii_case("Etc/Unknown"))
        .filter_map(|known| {
            let candidate = simplified(known.as_str());
            let whole = distance(&wanted, &candidate);
            let city = distance(wanted_city, last_part(&candidate)).min(distance(&wanted, last_part(&candidate)));
            let score = (2 * city + 1).min(2 * whole);
            let tolerance = 2 * (wanted_city.len() / 3).clamp(1, 3) + 1;
            (score <= tolerance).then(|| (score, known.to_string()))
        })
        .collect();
    scored.sort();
    scored.into_iter().take(3).map(|(_, known)| known).collect()
}

fn simplified(name: &str) -> String {
    name.trim().chars().map(|c| if matches!(c, ' ' | '-') { '_' } else { c.to_ascii_lowercase() }).collect()
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The number of characters to insert, delete or replace to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
