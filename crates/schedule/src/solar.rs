//! Dawn, sunrise, noon, sunset and dusk at a place.
//!
//! The equations are those of the NOAA solar calculator; the results lie within two minutes of the Python library `astral`. The k-th event belongs to the k-th solar
//! day at its longitude, so the events of a place have an order that no time zone and no date line disturbs. Where the sun does not reach the height of
//! an event (polar day and night), the event is skipped. Times are rounded to whole seconds.

mod sun;

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ScheduleError;

/// How many days are searched for an event before the answer is "never". A year holds every height that the sun reaches at a place.
const DAYS_SEARCHED: i64 = 370;

/// The names of the events, for messages.
pub(crate) const EVENT_NAMES: &str = "dawn (or dawn_civil), dawn_nautical, dawn_astronomical, sunrise, noon (or solar_noon), sunset, \
     dusk (or dusk_civil), dusk_nautical, dusk_astronomical";

/// A position of the sun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolarEvent {
    /// The sun is 18° below the horizon and rises.
    DawnAstronomical,
    /// The sun is 12° below the horizon and rises.
    DawnNautical,
    /// The sun is 6° below the horizon and rises (civil dawn).
    #[serde(alias = "dawn_civil")]
    Dawn,
    /// The upper edge of the sun appears at the horizon.
    Sunrise,
    /// The sun is highest.
    #[serde(alias = "solar_noon")]
    Noon,
    /// The upper edge of the sun disappears at the horizon.
    Sunset,
    /// The sun is 6° below the horizon and sinks (civil dusk).
    #[serde(alias = "dusk_civil")]
    Dusk,
    /// The sun is 12° below the horizon and sinks.
    DuskNautical,
    /// The sun is 18° below the horizon and sinks.
    DuskAstronomical,
}

impl SolarEvent {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::DawnAstronomical => "dawn_astronomical",
            Self::DawnNautical => "dawn_nautical",
            Self::Dawn => "dawn",
            Self::Sunrise => "sunrise",
            Self::Noon => "noon",
            Self::Sunset => "sunset",
            Self::Dusk => "dusk",
            Self::DuskNautical => "dusk_nautical",
            Self::DuskAstronomical => "dusk_astronomical",
        }
    }

    /// The event in words, such as "nautical dawn".
    fn words(self) -> &'static str {
        match self {
            Self::DawnAstronomical => "astronomical dawn",
            Self::DawnNautical => "nautical dawn",
            Self::Noon => "solar noon",
            Self::DuskNautical => "nautical dusk",
            Self::DuskAstronomical => "astronomical dusk",
            Self::Dawn | Self::Sunrise | Self::Sunset | Self::Dusk => self.name(),
        }
    }
}

impl FromStr for SolarEvent {
    type Err = ScheduleError;

    /// Takes the names of this API and those of Celery.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(match name {
            "dawn_astronomical" => Self::DawnAstronomical,
            "dawn_nautical" => Self::DawnNautical,
            "dawn" | "dawn_civil" => Self::Dawn,
            "sunrise" => Self::Sunrise,
            "noon" | "solar_noon" => Self::Noon,
            "sunset" => Self::Sunset,
            "dusk" | "dusk_civil" => Self::Dusk,
            "dusk_nautical" => Self::DuskNautical,
            "dusk_astronomical" => Self::DuskAstronomical,
            _ => return Err(ScheduleError::UnknownSolarEvent { name: name.to_owned() }),
        })
    }
}

impl fmt::Display for SolarEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An event of the sun at a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solar {
    event: SolarEvent,
    latitude: f64,
    longitude: f64,
}

impl Solar {
    /// Checks a place. Latitudes are degrees north, longitudes are degrees east; south and west are negative.
    pub fn new(event: SolarEvent, latitude: f64, longitude: f64) -> Result<Self, ScheduleError> {
        for (field, value, limit) in [("latitude", latitude, 90), ("longitude", longitude, 180)] {
            if value.is_nan() || value.abs() > f64::from(limit) {
                return Err(ScheduleError::Coordinate { field, value, limit });
            }
        }
        Ok(Self { event, latitude, longitude })
    }

    /// The event of the day at which the schedule fires.
    pub fn event(&self) -> SolarEvent {
        self.event
    }

    /// Degrees north of the equator.
    pub fn latitude(&self) -> f64 {
        self.latitude
    }

    /// Degrees east of Greenwich.
    pub fn longitude(&self) -> f64 {
        self.longitude
    }

    /// The event in words, such as "At sunrise at 5.6° N, 0.19° W".
    pub fn describe(&self) -> String {
        let north = if self.latitude < 0.0 { 'S' } else { 'N' };
        let east = if self.longitude < 0.0 { 'W' } else { 'E' };
        format!("At {} at {}° {north}, {}° {east}", self.event.words(), self.latitude.abs(), self.longitude.abs())
    }

    /// The first event after an instant, or `None` if there is none within about a year.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let day = self.solar_day(after) - 1;
        (day..day + DAYS_SEARCHED).filter_map(|day| self.on(day)).find(|at| *at > after)
    }

    /// The last event before an instant, or `None` if there is none within about a year.
    pub fn previous_before(&self, before: Timestamp) -> Option<Timestamp> {
        let day = self.solar_day(before) + 1;
        (day - DAYS_SEARCHED..=day).rev().filter_map(|day| self.on(day)).find(|at| *at < before)
    }

    /// The solar day that an instant belongs to, counted from 1970; its noon is near 12:00 UTC less the longitude.
    fn solar_day(&self, instant: Timestamp) -> i64 {
        // Four minutes of time are a degree; whole seconds suffice here.
        let shift = whole_seconds(self.longitude * 240.0).unwrap_or_default();
        (instant.as_second() + shift).div_euclid(86_400)
    }

    fn on(&self, day: i64) -> Option<Timestamp> {
        let second = sun::event(self.event, self.latitude, self.longitude, day)?;
        Timestamp::from_second(whole_seconds(second)?).ok()
    }
}

fn whole_seconds(seconds: f64) -> Option<i64> {
    SignedDuration::try_from_secs_f64(seconds.round()).ok().map(|duration| duration.as_secs())
}
