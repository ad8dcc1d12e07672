//! The filters of times, days and numbers.

use jiff::civil::{self, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan as _, Zoned};
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind};

use crate::moment::Moment;

const UNITS: &str = "years, months, weeks, days, hours, minutes, seconds";

pub(super) fn add(env: &mut Environment<'_>, zone: &TimeZone) {
    let of = zone.clone();
    env.add_filter("plus", move |time: &str, units: Kwargs| shifted(time, &span_of(&units)?, &of));
    let of = zone.clone();
    env.add_filter("minus", move |time: &str, units: Kwargs| shifted(time, &span_of(&units)?.negate(), &of));
    let of = zone.clone();
    env.add_filter("start_of", move |time: &str, unit: &str| start_of(time, unit, &of));
    let of = zone.clone();
    env.add_filter("datetime", move |time: &str, format: Option<&str>, options: Kwargs| {
        let zone = zone_of(&options, &of)?;
        formatted(time, format.unwrap_or("%Y-%m-%d %H:%M"), &zone)
    });
    let of = zone.clone();
    env.add_filter("date", move |time: &str, format: Option<&str>, options: Kwargs| {
        let zone = zone_of(&options, &of)?;
        formatted(time, format.unwrap_or("%Y-%m-%d"), &zone)
    });
    env.add_filter("number", |number: minijinja::Value, decimals: Option<usize>| {
        Ok::<_, Error>(grouped(float(&number)?, decimals))
    });
    env.add_filter("percent", |share: minijinja::Value, decimals: Option<usize>| {
        Ok::<_, Error>(format!("{}%", grouped(float(&share)? * 100.0, decimals)))
    });
}

fn wrong(detail: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

fn moment(text: &str) -> Result<Moment, Error> {
    // The text may be a secret.
    let what = || {
        let count = text.chars().count();
        format!("must be a time like 2026-01-31T09:00:00Z or a day like 2026-01-31; got another text, of {count} characters")
    };
    Moment::parse(text).ok_or_else(|| wrong(what()))
}

fn zoned(moment: Moment, zone: &TimeZone) -> Result<Zoned, Error> {
    moment.zoned(zone).ok_or_else(|| wrong("the time is out of range".into()))
}

fn zone_of(options: &Kwargs, zone: &TimeZone) -> Result<TimeZone, Error> {
    let named: Option<&str> = options.get("tz")?;
    options.assert_all_used()?;
    named.map_or_else(
        || Ok(zone.clone()),
        |name| TimeZone::get(name).map_err(|_| wrong(format!("there is no time zone {name:?}"))),
    )
}

fn span_of(units: &Kwargs) -> Result<Span, Error> {
    let take = |name: &str| units.get::<Option<i64>>(name).map(Option::unwrap_or_default);
    let too_large = |_| wrong("the span is too large".into());
    let span = Span::new()
        .try_years(take("years")?)
        .and_then(|span| span.try_months(take("months").unwrap_or_default()))
        .and_then(|span| span.try_weeks(take("weeks").unwrap_or_default()))
        .and_then(|span| span.try_days(take("days").unwrap_or_default()))
        .and_then(|span| span.try_hours(take("hours").unwrap_or_default()))
        .and_then(|span| span.try_minutes(take("minutes").unwrap_or_default()))
        .and_then(|span| span.try_seconds(take("seconds").unwrap_or_default()))
        .map_err(too_large)?;
    for name in UNITS.split(", ") {
        take(name)?;
    }
    units.assert_all_used().map_err(|_| wrong(format!("the units are {UNITS}, as in plus(days=1)")))?;
    Ok(span)
}

/// Days and longer units go by the calendar of the zone.
fn shifted(time: &str, span: &Span, zone: &TimeZone) -> Result<String, Error> {
    let too_far = |_| wrong("the time is out of range".into());
    match moment(time)? {
        Moment::Day(day) => {
            let has_time = span.get_hours() != 0 || span.get_minutes() != 0 || span.get_seconds() != 0;
            if has_time {
                return Err(wrong("only days, weeks, months and years can be added to a day; got a shorter unit".into()));
            }
            day.checked_add(*span).map(|day| day.to_string()).map_err(too_far)
        }
        at @ Moment::Time(_) => zoned(at, zone)?.checked_add(*span).map(|zoned| zoned.timestamp().to_string()).map_err(too_far),
    }
}

fn start_of(time: &str, unit: &str, zone: &TimeZone) -> Result<String, Error> {
    let at = moment(time)?;
    let local = zoned(at, zone)?;
    let too_far = |_| wrong("the time is out of range".to_owned());
    let day = local.date();
    let start = match unit {
        "hour" => {
            let hour = local.datetime().with().minute(0).second(0).subsec_nanosecond(0).build().map_err(too_far)?;
            return hour.to_zoned(zone.clone()).map(|zoned| zoned.timestamp().to_string()).map_err(too_far);
        }
        "day" => day,
        "week" => day.checked_sub(i64::from(day.weekday().since(Weekday::Monday)).days()).map_err(too_far)?,
        "month" => day.first_of_month(),
        "year" => day.first_of_year(),
        other => return Err(wrong(format!("{other:?} is none of hour, day, week, month, year"))),
    };
    match at {
        Moment::Day(_) => Ok(start.to_string()),
        Moment::Time(_) => first_instant(start, zone).map(|zoned| zoned.timestamp().to_string()),
    }
}

fn first_instant(day: civil::Date, zone: &TimeZone) -> Result<Zoned, Error> {
    zoned(Moment::Day(day), zone)
}

fn formatted(time: &str, format: &str, zone: &TimeZone) -> Result<String, Error> {
    let local = zoned(moment(time)?, zone)?;
    jiff::fmt::strtime::format(format, &local).map_err(|error| wrong(format!("the format {format:?} does not work: {error}")))
}

fn float(value: &minijinja::Value) -> Result<f64, Error> {
    let number = value.as_str().map_or_else(|| f64::try_from(value.clone()).ok(), |text| text.trim().parse().ok());
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| wrong(format!("must be a number; got a value of the type {}", value.kind())))
}

/// Formats a number with commas between thousands, for example `1,234.50`.
fn grouped(number: f64, decimals: Option<usize>) -> String {
    let written = format!("{:.*}", decimals.unwrap_or(0).min(10), number.abs());
    let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let is_zero = written.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let sign = if number < 0.0 && !is_zero { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}
