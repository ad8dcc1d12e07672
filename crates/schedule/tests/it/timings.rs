//! Timings in the form of the API, zones, intervals, clocked times and the sun.

use jiff::{Timestamp, ToSpan};
use legwork_schedule::{ScheduleError, Timing, TimingDefaults, TimingSpec, Zone};
use serde_json::{Value, json};

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn resolved(spec: Value) -> Result<Timing, ScheduleError> {
    let spec: TimingSpec = serde_json::from_value(spec).unwrap();
    spec.resolve(&TimingDefaults { timezone: Zone::named("Africa/Accra").unwrap(), from: Some(ts("2026-01-01T12:00:00.75Z")) })
}

fn timing(spec: Value) -> Timing {
    resolved(spec).unwrap()
}

fn refused(spec: Value) -> (&'static str, String) {
    let error = resolved(spec).unwrap_err();
    (error.field(), error.to_string())
}

fn times(timing: &Timing, after: &str, count: usize) -> Vec<String> {
    let mut at = ts(after);
    (0..count)
        .map_while(|_| {
            at = timing.next_after(at)?;
            Some(at.to_zoned(timing.timezone().time_zone().clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string())
        })
        .collect()
}

#[test]
fn a_specification_is_completed_and_stored_with_every_member() {
    for (given, stored) in [
        (
            json!({"type": "crontab", "expression": " 0 9 * *  mon"}),
            json!({"type": "crontab", "expression": "0 9 * * mon", "timezone": "Africa/Accra", "dst_gap": "shift_forward", "dst_overlap": "first"}),
        ),
        (
            json!({"type": "crontab", "expression": "@daily", "timezone": "europe/london", "dst_gap": "skip", "dst_overlap": "both"}),
            json!({"type": "crontab", "expression": "@daily", "timezone": "Europe/London", "dst_gap": "skip", "dst_overlap": "both"}),
        ),
        (
            json!({"type": "interval", "every": 5, "unit": "minutes"}),
            json!({"type": "interval", "every": 5, "unit": "minutes", "from": "2026-01-01T12:00:00Z", "timezone": "Africa/Accra",
                   "dst_gap": "shift_forward", "dst_overlap": "first"}),
        ),
        (
            json!({"type": "clocked", "at": "2026-12-24T18:00:00", "timezone": "Europe/Berlin"}),
            json!({"type": "clocked", "at": "2026-12-24T17:00:00Z", "timezone": "Europe/Berlin"}),
        ),
        (
            json!({"type": "solar", "event": "dawn_civil", "latitude": 5.6, "longitude": -0.19}),
            json!({"type": "solar", "event": "dawn", "latitude": 5.6, "longitude": -0.19, "timezone": "Africa/Accra"}),
        ),
    ] {
        let timing = timing(given);
        assert_eq!(serde_json::to_value(&timing).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Timing>(stored.clone()).unwrap(), timing);
        assert_eq!(stored["type"], timing.kind());
    }
}

#[test]
fn unknown_members_and_types_are_refused() {
    for spec in [
        json!({"type": "crontab", "expression": "@daily", "tz": "UTC"}),
        json!({"type": "cron", "expression": "@daily"}),
        json!({"type": "interval", "every": 5, "unit": "fortnights"}),
        json!({"type": "interval", "unit": "days"}),
        json!({"type": "crontab", "expression": "@daily", "dst_gap": "jump"}),
        json!({"expression": "@daily"}),
    ] {
        assert!(serde_json::from_value::<TimingSpec>(spec.clone()).is_err(), "{spec} was accepted");
    }
    let stored = json!({"type": "interval", "every": 5, "unit": "minutes"});
    let error = serde_json::from_value::<Timing>(stored).unwrap_err().to_string();
    assert_eq!(error, "`from` is missing; write the instant of the first firing, such as 2026-01-01T00:00:00Z");
}

#[test]
fn each_error_points_at_its_member() {
    for (spec, field, message) in [
        (
            json!({"type": "crontab", "expression": "@daily", "timezone": "Africa/Acra"}),
            "timezone",
            "\"Africa/Acra\" is not a known time zone; did you mean Africa/Accra, Brazil/Acre? Names are those of the IANA database",
        ),
        (
            json!({"type": "clocked", "at": "2026-01-01T00:00:00Z", "timezone": "GMT+01:00 Berlin Standard"}),
            "timezone",
            "\"GMT+01:00 Berlin Standard\" is not a known time zone; use an IANA name, such as Africa/Accra, Europe/London or UTC",
        ),
        (
            json!({"type": "interval", "every": 0, "unit": "seconds"}),
            "every",
            "`every` is 0 seconds, but an interval must be between 1 second and 3650 days; choose a number within that range",
        ),
        (
            json!({"type": "interval", "every": 3651, "unit": "days"}),
            "every",
            "`every` is 3651 days, but an interval must be between 1 second and 3650 days; choose a number within that range",
        ),
        (
            json!({"type": "interval", "every": 1, "unit": "days", "from": "tomorrow"}),
            "from",
            "\"tomorrow\" is not a time; write it like 2026-12-24T18:00:00Z, or like 2026-12-24T18:00:00 for a time in the schedule's zone",
        ),
        (
            json!({"type": "clocked", "at": "2026-03-29T02:30", "timezone": "Europe/Berlin"}),
            "at",
            "2026-03-29T02:30:00 does not exist in Europe/Berlin, because the clocks are put forward over it; give another time, or one with an offset",
        ),
        (
            json!({"type": "clocked", "at": "2026-10-25T02:30", "timezone": "Europe/Berlin"}),
            "at",
            "2026-10-25T02:30:00 occurs twice in Europe/Berlin, because the clocks are put back over it; give the time with its offset, such as \
             2026-10-25T02:30:00+01:00",
        ),
        (
            json!({"type": "solar", "event": "moonrise", "latitude": 0.0, "longitude": 0.0}),
            "event",
            "\"moonrise\" is not a known solar event; use one of dawn (or dawn_civil), dawn_nautical, dawn_astronomical, sunrise, noon (or solar_noon), \
             sunset, dusk (or dusk_civil), dusk_nautical, dusk_astronomical",
        ),
        (
            json!({"type": "solar", "event": "noon", "latitude": -90.5, "longitude": 0.0}),
            "latitude",
            "`latitude` is -90.5; it must be a number of degrees between -90 and 90",
        ),
        (
            json!({"type": "solar", "event": "noon", "latitude": 0.0, "longitude": 181.0}),
            "longitude",
            "`longitude` is 181; it must be a number of degrees between -180 and 180",
        ),
    ] {
        assert_eq!(refused(spec), (field, message.to_owned()));
    }
}

#[test]
fn zones_are_suggested_by_city_and_by_spelling() {
    for (given, expected) in [
        ("accra", "Africa/Accra"),
        ("Accra", "Africa/Accra"),
        ("Europe/Londn", "Europe/London"),
        ("London", "Europe/London"),
        ("america/new york", "America/New_York"),
        ("New York", "America/New_York"),
        ("Asia/Calcuta", "Asia/Calcutta"),
        ("UCT1", "UCT"),
    ] {
        let ScheduleError::UnknownZone { suggestions, .. } = Zone::named(given).unwrap_err() else { panic!("{given}") };
        assert!(suggestions.iter().any(|known| known == expected), "{given}: {suggestions:?}");
    }
    for given in ["", "Etc/Unknown", "local", "+02:00", "UTC+2", "/etc/passwd", "../UTC", "a\0b"] {
        assert!(Zone::named(given).is_err(), "{given}");
    }
    assert_eq!(Zone::named("utc").unwrap().name(), "UTC");
}

#[test]
fn an_interval_does_not_drift() {
    let every = timing(json!({"type": "interval", "every": 7, "unit": "hours", "from": "2020-01-01T00:00:00Z"}));
    let mut at = ts("2020-01-01T00:00:00Z");
    for step in 1..2_000 {
        at = every.next_after(at).unwrap();
        assert_eq!(at, ts("2020-01-01T00:00:00Z") + (7 * step).hours());
        assert_eq!(every.previous_before(at), Some(at - 7.hours()));
    }
    assert_eq!(times(&every, "2019-01-01T00:00:00Z", 2), ["2020-01-01 00:00:00+00:00", "2020-01-01 07:00:00+00:00"]);
    assert_eq!(every.previous_before(ts("2020-01-01T00:00:00Z")), None);
    assert_eq!(every.next_after(ts("2020-01-01T06:59:59.999Z")), Some(ts("2020-01-01T07:00:00Z")));
    assert_eq!(every.next_after(Timestamp::MAX), None);
}

#[test]
fn days_and_weeks_are_those_of_the_zone() {
    let daily = |gap: &str, overlap: &str, from: &str| {
        timing(
            json!({"type": "interval", "every": 1, "unit": "days", "from": from, "timezone": "Europe/Berlin", "dst_gap": gap, "dst_overlap": overlap}),
        )
    };
    assert_eq!(
        times(&daily("shift_forward", "first", "2026-03-01T02:30:00"), "2026-03-28T00:00:00Z", 3),
        ["2026-03-28 02:30:00+01:00", "2026-03-29 03:00:00+02:00", "2026-03-30 02:30:00+02:00"]
    );
    assert_eq!(times(&daily("skip", "first", "2026-03-01T02:30:00"), "2026-03-28T02:00:00Z", 1), ["2026-03-30 02:30:00+02:00"]);
    assert_eq!(
        times(&daily("skip", "both", "2026-03-01T02:30:00"), "2026-10-24T02:00:00Z", 3),
        ["2026-10-25 02:30:00+02:00", "2026-10-25 02:30:00+01:00", "2026-10-26 02:30:00+01:00"]
    );
    assert_eq!(times(&daily("skip", "second", "2026-03-01T02:30:00"), "2026-10-24T02:00:00Z", 1), ["2026-10-25 02:30:00+01:00"]);
    let second_pass = daily("skip", "first", "2026-10-25T02:30:00+01:00");
    assert_eq!(times(&second_pass, "2026-10-01T00:00:00Z", 2), ["2026-10-25 02:30:00+01:00", "2026-10-26 02:30:00+01:00"]);
    let weekly = timing(
        json!({"type": "interval", "every": 2, "unit": "weeks", "from": "2026-03-16T09:00:00", "timezone": "Europe/London"}),
    );
    assert_eq!(times(&weekly, "2026-03-16T09:00:00Z", 2), ["2026-03-30 09:00:00+01:00", "2026-04-13 09:00:00+01:00"]);
    assert_eq!(weekly.previous_before(ts("2026-03-30T08:00:00Z")), Some(ts("2026-03-16T09:00:00Z")));
}

#[test]
fn a_clocked_time_comes_once() {
    let once = timing(json!({"type": "clocked", "at": "2026-12-24T18:00:00.9+01:00"}));
    assert_eq!(times(&once, "2026-01-01T00:00:00Z", 5), ["2026-12-24 17:00:00+00:00"]);
    assert_eq!(once.next_after(ts("2026-12-24T17:00:00Z")), None);
    assert_eq!(once.previous_before(ts("2026-12-24T17:00:01Z")), Some(ts("2026-12-24T17:00:00Z")));
    assert_eq!(once.previous_before(ts("2026-12-24T17:00:00Z")), None);
}

#[test]
fn the_sun_is_right_within_two_minutes() {
    // From the almanac of the US Naval Observatory's kind, to the minute.
    for (event, latitude, longitude, after, expected) in [
        ("sunrise", 51.5, -0.127, "2026-06-21T00:00:00Z", "2026-06-21T03:43:00Z"),
        ("sunset", 51.5, -0.127, "2026-06-21T12:00:00Z", "2026-06-21T20:21:00Z"),
        ("noon", 51.5, -0.127, "2026-06-21T00:00:00Z", "2026-06-21T12:02:00Z"),
        ("sunrise", 5.6037, -0.187, "2026-03-20T00:00:00Z", "2026-03-20T06:05:00Z"),
        ("sunset", -33.87, 151.21, "2026-12-21T00:00:00Z", "2026-12-21T09:05:00Z"),
    ] {
        let sun = timing(json!({"type": "solar", "event": event, "latitude": latitude, "longitude": longitude}));
        let at = sun.next_after(ts(after)).unwrap();
        let off = at.duration_since(ts(expected)).as_secs().abs();
        assert!(off <= 120, "{event} at {latitude}, {longitude}: {at}, expected {expected}");
        assert_eq!(sun.previous_before(at + 1.second()), Some(at));
    }
}

#[test]
fn polar_days_and_nights_are_skipped() {
    // Tromsø: the sun sets last in the middle of May, and next in the last days of July.
    let sunset = timing(json!({"type": "solar", "event": "sunset", "latitude": 69.65, "longitude": 18.96}));
    let next = sunset.next_after(ts("2026-06-01T00:00:00Z")).unwrap();
    assert!((ts("2026-07-20T00:00:00Z")..ts("2026-07-31T00:00:00Z")).contains(&next), "{next}");
    let noon = timing(json!({"type": "solar", "event": "noon", "latitude": 69.65, "longitude": 18.96}));
    assert!(noon.next_after(ts("2026-12-21T00:00:00Z")).unwrap() < ts("2026-12-22T00:00:00Z"));
    // Near the pole the sun is never astronomically down and up on one day; at the pole itself there is no rising at all.
    let pole = timing(json!({"type": "solar", "event": "sunrise", "latitude": 90.0, "longitude": 0.0}));
    assert_eq!(pole.next_after(ts("2026-01-01T00:00:00Z")), None);
    assert_eq!(pole.previous_before(ts("2026-01-01T00:00:00Z")), None);
}

#[test]
fn a_place_at_the_date_line_has_one_event_a_day() {
    for longitude in [-180.0, -179.9, 0.0, 179.9, 180.0] {
        let sun = timing(json!({"type": "solar", "event": "sunset", "latitude": 60.0, "longitude": longitude}));
        let mut at = ts("2026-01-01T00:00:00Z");
        for _ in 0..365 {
            let next = sun.next_after(at).unwrap();
            let hours = next.duration_since(at).as_hours();
            assert!(at == ts("2026-01-01T00:00:00Z") || (23..=24).contains(&hours), "{longitude}: {at} {next}");
            assert_eq!(sun.previous_before(next + 1.second()), Some(next));
            at = next;
        }
    }
}

#[test]
fn timings_are_described_in_plain_words() {
    for (spec, words) in [
        (json!({"type": "crontab", "expression": "0 9 * * mon"}), "At 09:00 on Monday (Africa/Accra)"),
        (
            json!({"type": "interval", "every": 1, "unit": "days", "from": "2026-01-01T09:00:00Z", "timezone": "Europe/Berlin"}),
            "Every day from 2026-01-01 10:00:00 (Europe/Berlin)",
        ),
        (
            json!({"type": "interval", "every": 30, "unit": "seconds", "from": "2026-01-01T09:00:00Z"}),
            "Every 30 seconds from 2026-01-01 09:00:00 (Africa/Accra)",
        ),
        (json!({"type": "clocked", "at": "2026-12-24T18:00:00Z"}), "Once at 2026-12-24 18:00:00 (Africa/Accra)"),
        (
            json!({"type": "solar", "event": "solar_noon", "latitude": 5.6, "longitude": -0.19}),
            "At solar noon at 5.6° N, 0.19° W",
        ),
    ] {
        assert_eq!(timing(spec).describe(), words);
    }
}
