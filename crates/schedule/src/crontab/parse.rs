//! From text to a [`Rule`].

use super::calendar::days_in_month_at_most;
use super::{CronField, Crontab, Rule};
use crate::ScheduleError;

const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

pub(super) fn parse(expression: &str) -> Result<Crontab, ScheduleError> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let text = fields.join(" ");
    if let [name] = fields[..]
        && name.starts_with('@')
    {
        let rule = rule(shorthand(name)?, &text)?;
        return Ok(Crontab { text: text.to_ascii_lowercase().into(), rule });
    }
    let fields: [&str; 5] = fields
        .try_into()
        .map_err(|fields: Vec<&str>| ScheduleError::FieldCount { expression: text.clone(), found: fields.len() })?;
    let rule = rule(fields, &text)?;
    Ok(Crontab { text: text.into(), rule })
}

fn shorthand(name: &str) -> Result<[&'static str; 5], ScheduleError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "@hourly" => ["0", "*", "*", "*", "*"],
        "@daily" | "@midnight" => ["0", "0", "*", "*", "*"],
        "@weekly" => ["0", "0", "*", "*", "0"],
        "@monthly" => ["0", "0", "1", "*", "*"],
        "@yearly" | "@annually" => ["0", "0", "1", "1", "*"],
        _ => return Err(ScheduleError::UnknownShorthand { name: name.to_owned() }),
    })
}

fn rule([minute, hour, day, month, weekday]: [&str; 5], text: &str) -> Result<Rule, ScheduleError> {
    let rule = Rule {
        minutes: bits(CronField::Minute, minute)?,
        hours: narrowed(bits(CronField::Hour, hour)?),
        days_of_month: narrowed(bits(CronField::DayOfMonth, day)?),
        months: (bits(CronField::Month, month)? & 0x1FFE) as u16,
        days_of_week: (bits(CronField::DayOfWeek, weekday)? & 0x7F) as u8,
        either_day: !day.starts_with('*') && !weekday.starts_with('*'),
    };
    if rule.has_a_day() { Ok(rule) } else { Err(ScheduleError::NeverFires { expression: text.to_owned() }) }
}

impl Rule {
    /// Whether any year has a day that matches. A day of a month falls on each weekday in some year, the 29th of February too.
    fn has_a_day(&self) -> bool {
        self.either_day
            || (1..=12u16)
                .filter(|month| self.months & (1 << month) != 0)
                .any(|month| self.days_of_month.trailing_zeros() <= days_in_month_at_most(month))
    }
}

fn narrowed(bits: u64) -> u32 {
    (bits & 0xFFFF_FFFF) as u32
}

/// The values of a field as bits. Sunday is bit 0 only.
fn bits(field: CronField, text: &str) -> Result<u64, ScheduleError> {
    text.split(',').try_fold(0, |bits, part| Ok(bits | part_bits(field, part)?))
}

fn part_bits(field: CronField, part: &str) -> Result<u64, ScheduleError> {
    let error = |problem: &str| ScheduleError::CrontabField { field, text: part.to_owned(), problem: problem.to_owned() };
    if part.is_empty() {
        return Err(error("has an empty part between commas"));
    }
    let (range, step) = match part.split_once('/') {
        None => (part, None),
        Some((range, step)) => (range, Some(step)),
    };
    let (low, high) = limits(field);
    let values: Vec<u32> = match range.split_once('-') {
        _ if range == "*" => (low..=high).collect(),
        Some((from, to)) => span(field, value(field, from, part)?, value(field, to, part)?),
        None if step.is_some() => return Err(error("has a step after a single value; write a range, such as 5-59/15")),
        None => vec![value(field, range, part)?],
    };
    let step = step.map_or(Ok(1), |step| step_size(step, high - low + 1).map_err(|problem| error(&problem)))?;
    Ok(values
        .into_iter()
        .step_by(step)
        .fold(0, |bits, value| bits | 1 << if field == CronField::DayOfWeek { value % 7 } else { value }))
}

fn step_size(text: &str, values: u32) -> Result<usize, String> {
    let step = digits(text).filter(|step| (1..=values).contains(step)).and_then(|step| usize::try_from(step).ok());
    step.ok_or_else(|| format!("has the step \"{text}\", which must be between 1 and {values}"))
}

/// The smallest and the largest value of `*`. A Sunday is 0 here, and 7 is one only where it is written.
fn limits(field: CronField) -> (u32, u32) {
    match field {
        CronField::Minute => (0, 59),
        CronField::Hour => (0, 23),
        CronField::DayOfMonth => (1, 31),
        CronField::Month => (1, 12),
        CronField::DayOfWeek => (0, 6),
    }
}

/// The values from one to another, around the end of the field if the second is smaller.
fn span(field: CronField, from: u32, to: u32) -> Vec<u32> {
    let (low, high) = limits(field);
    match field {
        _ if from <= to => (from..=to).collect(),
        // From Sunday, written as 7.
        CronField::DayOfWeek if from == 7 => (0..=to).collect(),
        _ => (from..=high).chain(low..=to).collect(),
    }
}

fn value(field: CronField, text: &str, part: &str) -> Result<u32, ScheduleError> {
    let error = |problem: String| ScheduleError::CrontabField { field, text: part.to_owned(), problem };
    let (low, high) = limits(field);
    let high = if field == CronField::DayOfWeek { 7 } else { high };
    match digits(text) {
        Some(value) if (low..=high).contains(&value) => Ok(value),
        Some(value) => Err(error(format!("is out of range: {value} is not between {low} and {high}"))),
        None => match field {
            CronField::Month => position(&MONTHS, text).map(|index| index + 1),
            CronField::DayOfWeek => position(&WEEKDAYS, text),
            _ => None,
        }
        .ok_or_else(|| error(format!("cannot be read: \"{text}\" is not a value"))),
    }
}

/// A number of up to nine digits, without a sign.
fn digits(text: &str) -> Option<u32> {
    if text.len() <= 9 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn position(names: &[&str], text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let index = names.iter().position(|name| *name == text || name[..3] == text)?;
    u32::try_from(index).ok()
}
