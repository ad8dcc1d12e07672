//! When a schedule fires: one of four kinds, and its form in the API.
//!
//! [`TimingSpec`] is what a user writes: texts that are not checked yet, with optional members. [`TimingSpec::resolve`] checks it and fills the gaps, and
//! gives a [`Timing`], which is complete. A `Timing` is serialized in the same form, with every member present.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ScheduleError;
use crate::crontab::Crontab;
use crate::instant::parse_time;
use crate::interval::{Interval, IntervalUnit};
use crate::solar::Solar;
use crate::zone::{DstGap, DstOverlap, DstPolicy, Zone};

/// When a schedule fires, checked and complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TimingSpec", into = "TimingSpec")]
pub enum Timing {
    /// At the local times that an expression names.
    Crontab {
        /// The parsed expression of five fields.
        expression: Crontab,
        /// The zone whose clocks it refers to.
        timezone: Zone,
        /// What happens where the clocks change.
        dst: DstPolicy,
    },
    /// Every so often, from a fixed instant.
    Interval {
        /// The time between two firings.
        interval: Interval,
        /// The first firing, from which all others are counted.
        from: Timestamp,
        /// The zone whose days and weeks are counted.
        timezone: Zone,
        /// What happens where the clocks change; of no effect on seconds, minutes and hours.
        dst: DstPolicy,
    },
    /// Fires once, at a given instant.
    Clocked {
        /// The instant of the only firing.
        at: Timestamp,
        /// The zone in which the instant is shown.
        timezone: Zone,
    },
    /// At an event of the sun.
    Solar {
        /// The event and the place.
        solar: Solar,
        /// The zone in which the instants are shown; it does not change them.
        timezone: Zone,
    },
}

/// When a schedule fires, as it is written in the API, in a pack and in the database.
///
/// ```json
/// {"type": "crontab", "expression": "0 9 * * mon", "timezone": "Africa/Accra", "dst_gap": "shift_forward", "dst_overlap": "first"}
/// {"type": "interval", "every": 5, "unit": "minutes", "from": "2026-01-01T00:00:00Z"}
/// {"type": "clocked", "at": "2026-12-24T18:00:00", "timezone": "Europe/London"}
/// {"type": "solar", "event": "sunset", "latitude": 5.6037, "longitude": -0.187}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum TimingSpec {
    /// Five crontab fields, or a shorthand such as `@daily`.
    Crontab {
        /// The five fields of the crontab, separated by blanks.
        expression: String,
        /// An IANA name. Default: that of the pack or the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timezone: Option<String>,
        /// What happens to local times that do not exist. Default: `shift_forward`.
        #[serde(default)]
        dst_gap: DstGap,
        /// What happens to local times that occur twice. Default: `first`.
        #[serde(default)]
        dst_overlap: DstOverlap,
    },
    /// A period, counted from a fixed instant.
    Interval {
        /// How many units lie between two firings, at least one second and at most 3650 days in all.
        every: i64,
        /// The unit of `every`.
        unit: IntervalUnit,
        /// The first firing, as RFC 3339 or as a local time. Default: when the schedule is made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// An IANA name. Default: that of the pack or the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timezone: Option<String>,
        /// What happens to local times that do not exist, for days and weeks. Default: `shift_forward`.
        #[serde(default)]
        dst_gap: DstGap,
        /// What happens to local times that occur twice, for days and weeks. Default: `first`.
        #[serde(default)]
        dst_overlap: DstOverlap,
    },
    /// Fires once, at a given instant.
    Clocked {
        /// The instant, as RFC 3339 or as a local time of the zone.
        at: String,
        /// An IANA name. Default: that of the pack or the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timezone: Option<String>,
    },
    /// An event of the sun at a place.
    Solar {
        /// `sunrise`, `sunset`, `noon`, `dawn`, `dusk` and their like.
        event: String,
        /// Degrees north; south is negative.
        latitude: f64,
        /// Degrees east; west is negative.
        longitude: f64,
        /// The zone in which the instants are shown. Default: that of the pack or the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timezone: Option<String>,
    },
}

/// What a [`TimingSpec`] leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct TimingDefaults {
    /// The zone of the pack or the server.
    pub timezone: Zone,
    /// The start of an interval that names none: the current time. Without one, such an interval is refused.
    pub from: Option<Timestamp>,
}

impl TimingSpec {
    /// Checks the specification and fills in what it leaves out.
    pub fn resolve(&self, defaults: &TimingDefaults) -> Result<Timing, ScheduleError> {
        let zone = |name: &Option<String>| name.as_deref().map_or_else(|| Ok(defaults.timezone.clone()), Zone::named);
        match self {
            Self::Crontab { expression, timezone, dst_gap, dst_overlap } => Ok(Timing::Crontab {
                expression: expression.parse()?,
                timezone: zone(timezone)?,
                dst: DstPolicy { gap: *dst_gap, overlap: *dst_overlap },
            }),
            Self::Interval { every, unit, from, timezone, dst_gap, dst_overlap } => {
                let interval = Interval::new(*every, *unit)?;
                let timezone = zone(timezone)?;
                let from = match from {
                    Some(text) => parse_time("from", text, &timezone)?,
                    None => defaults.from.map(whole_second).ok_or(ScheduleError::Missing {
                        field: "from",
                        advice: "write the instant of the first firing, such as 2026-01-01T00:00:00Z",
                    })?,
                };
                Ok(Timing::Interval { interval, from, timezone, dst: DstPolicy { gap: *dst_gap, overlap: *dst_overlap } })
            }
            Self::Clocked { at, timezone } => {
                let timezone = zone(timezone)?;
                Ok(Timing::Clocked { at: parse_time("at", at, &timezone)?, timezone })
            }
            Self::Solar { event, latitude, longitude, timezone } => {
                Ok(Timing::Solar { solar: Solar::new(event.parse()?, *latitude, *longitude)?, timezone: zone(timezone)? })
            }
        }
    }
}

impl Timing {
    /// The zone of the schedule, in which its instants are shown.
    pub fn timezone(&self) -> &Zone {
        match self {
            Self::Crontab { timezone, .. }
            | Self::Interval { timezone, .. }
            | Self::Clocked { timezone, .. }
            | Self::Solar { timezone, .. } => timezone,
        }
    }

    /// The name of the kind: `crontab`, `interval`, `clocked` or `solar`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crontab { .. } => "crontab",
            Self::Interval { .. } => "interval",
            Self::Clocked { .. } => "clocked",
            Self::Solar { .. } => "solar",
        }
    }

    /// The first nominal time after an instant, or `None` if there is none any more.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Crontab { expression, timezone, dst } => expression.next_after(after, timezone, *dst),
            Self::Interval { interval, from, timezone, dst } => interval.next_after(*from, after, timezone, *dst),
            Self::Clocked { at, .. } => Some(*at).filter(|at| *at > after),
            Self::Solar { solar, .. } => solar.next_after(after),
        }
    }

    /// The last nominal time before an instant, or `None` if there was none.
    pub fn previous_before(&self, before: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Crontab { expression, timezone, dst } => expression.previous_before(before, timezone, *dst),
            Self::Interval { interval, from, timezone, dst } => interval.previous_before(*from, before, timezone, *dst),
            Self::Clocked { at, .. } => Some(*at).filter(|at| *at < before),
            Self::Solar { solar, .. } => solar.previous_before(before),
        }
    }

    /// The timing in words, with its zone, such as "At 09:00 on Monday (Africa/Accra)".
    pub fn describe(&self) -> String {
        let zone = self.timezone();
        let local = |instant: &Timestamp| zone.local(*instant).strftime("%Y-%m-%d %H:%M:%S").to_string();
        match self {
            Self::Crontab { expression, .. } => format!("{} ({zone})", expression.describe()),
            Self::Interval { interval, from, .. } => format!("{} from {} ({zone})", interval.describe(), local(from)),
            Self::Clocked { at, .. } => format!("Once at {} ({zone})", local(at)),
            Self::Solar { solar, .. } => solar.describe(),
        }
    }
}

impl From<Timing> for TimingSpec {
    fn from(timing: Timing) -> Self {
        let timezone = Some(timing.timezone().name().to_owned());
        match timing {
            Timing::Crontab { expression, dst, .. } => {
                Self::Crontab { expression: expression.to_string(), timezone, dst_gap: dst.gap, dst_overlap: dst.overlap }
            }
            Timing::Interval { interval, from, dst, .. } => Self::Interval {
                every: i64::from(interval.every()),
                unit: interval.unit(),
                from: Some(from.to_string()),
                timezone,
                dst_gap: dst.gap,
                dst_overlap: dst.overlap,
            },
            Timing::Clocked { at, .. } => Self::Clocked { at: at.to_string(), timezone },
            Timing::Solar { solar, .. } => Self::Solar {
                event: solar.event().name().to_owned(),
                latitude: solar.latitude(),
                longitude: solar.longitude(),
                timezone,
            },
        }
    }
}

impl TryFrom<TimingSpec> for Timing {
    type Error = ScheduleError;

    /// Resolves a specification that was stored. Its zone defaults to UTC; an interval must name its start.
    fn try_from(spec: TimingSpec) -> Result<Self, Self::Error> {
        spec.resolve(&TimingDefaults { timezone: Zone::UTC, from: None })
    }
}

fn whole_second(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}
