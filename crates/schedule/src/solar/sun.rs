//! The equations of the NOAA solar calculator. Angles are radians; times are seconds since 1970 in UTC.

use std::f64::consts::{PI, TAU};

use super::SolarEvent;

const DAY: f64 = 86_400.0;
/// Julian days from the epoch J2000 to 1970-01-01T00:00Z, negated.
const J2000_IN_DAYS: f64 = 10_957.5;
/// The height of the sun's centre at sunrise: its radius and the refraction at the horizon, in degrees.
const SUNRISE_HEIGHT: f64 = -0.833;

/// The time of an event on a solar day, or `None` if the sun does not reach its height.
///
/// The declination and the equation of time are taken at the event itself: the first guess is noon, and each round starts from the result of the one
/// before. Three rounds leave less than a second, except where the sun only just reaches the height.
pub(super) fn event(event: SolarEvent, latitude: f64, longitude: f64, day: i64) -> Option<f64> {
    let mean_noon = (f64::from(i32::try_from(day).ok()?) + 0.5) * DAY - longitude / 360.0 * DAY;
    let mut time = mean_noon;
    for _ in 0..5 {
        let sun = Sun::at(time);
        let noon = mean_noon - sun.equation_of_time;
        time = match side_and_height(event) {
            None => noon,
            Some((side, height)) => noon + side * sun.hour_angle(latitude.to_radians(), height.to_radians())? / TAU * DAY,
        };
    }
    Some(time)
}

/// Whether an event lies before (-1) or after (1) noon, and the height of the sun's centre, in degrees. Noon has neither.
fn side_and_height(event: SolarEvent) -> Option<(f64, f64)> {
    Some(match event {
        SolarEvent::DawnAstronomical => (-1.0, -18.0),
        SolarEvent::DawnNautical => (-1.0, -12.0),
        SolarEvent::Dawn => (-1.0, -6.0),
        SolarEvent::Sunrise => (-1.0, SUNRISE_HEIGHT),
        SolarEvent::Noon => return None,
        SolarEvent::Sunset => (1.0, SUNRISE_HEIGHT),
        SolarEvent::Dusk => (1.0, -6.0),
        SolarEvent::DuskNautical => (1.0, -12.0),
        SolarEvent::DuskAstronomical => (1.0, -18.0),
    })
}

/// Where the sun stands at an instant.
struct Sun {
    declination: f64,
    /// How far sundials are ahead of clocks, in seconds.
    equation_of_time: f64,
}

impl Sun {
    fn at(time: f64) -> Self {
        let centuries = (time / DAY - J2000_IN_DAYS) / 36_525.0;
        let t = centuries;
        let mean_longitude = (280.466_46 + t * (36_000.769_83 + 0.000_303_2 * t)).rem_euclid(360.0).to_radians();
        let mean_anomaly = (357.529_11 + t * (35_999.050_29 - 0.000_153_7 * t)).to_radians();
        let eccentricity = 0.016_708_634 - t * (0.000_042_037 + 0.000_000_126_7 * t);
        let centre = mean_anomaly.sin() * (1.914_602 - t * (0.004_817 + 0.000_014 * t))
            + (2.0 * mean_anomaly).sin() * (0.019_993 - 0.000_101 * t)
            + (3.0 * mean_anomaly).sin() * 0.000_289;
        let node = (125.04 - 1_934.136 * t).to_radians();
        let apparent_longitude = mean_longitude + (centre - 0.005_69 - 0.004_78 * node.sin()).to_radians();
        let mean_obliquity = 23.439_291_1 - t * (0.013_004_167 + t * (0.000_000_164 - 0.000_000_503_6 * t));
        let obliquity = (mean_obliquity + 0.002_56 * node.cos()).to_radians();

        let y = (obliquity / 2.0).tan().powi(2);
        let equation = y * (2.0 * mean_longitude).sin() - 2.0 * eccentricity * mean_anomaly.sin()
            + 4.0 * eccentricity * y * mean_anomaly.sin() * (2.0 * mean_longitude).cos()
            - 0.5 * y * y * (4.0 * mean_longitude).sin()
            - 1.25 * eccentricity * eccentricity * (2.0 * mean_anomaly).sin();
        Self { declination: (obliquity.sin() * apparent_longitude.sin()).asin(), equation_of_time: equation / TAU * DAY }
    }

    /// How far the sun is from noon when its centre has a height, from 0 to half a turn.
    fn hour_angle(&self, latitude: f64, height: f64) -> Option<f64> {
        let cosine = (height.sin() - latitude.sin() * self.declination.sin()) / (latitude.cos() * self.declination.cos());
        (cosine.abs() <= 1.0).then(|| cosine.acos().clamp(0.0, PI))
    }
}
