//! A [`Rule`] in plain English.

use super::{ALL_HOURS, Crontab, Rule};

const ALL_MINUTES: u64 = (1 << 60) - 1;
const ALL_DAYS: u32 = !1;
const ALL_MONTHS: u16 = 0x1FFE;
const ALL_WEEKDAYS: u8 = 0x7F;
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 13] = [
    "",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Crontab {
    /// The expression in words, such as "At 09:00 on Monday" or "Every 5 minutes from 08:00 to 17:59, Monday to Friday".
    pub fn describe(&self) -> String {
        let time = self.rule.time_of_day();
        match self.rule.days_in_words() {
            None => time,
            Some(days) => format!("{time} {days}"),
        }
    }
}

impl Rule {
    fn time_of_day(&self) -> String {
        let minutes = values(self.minutes);
        let hours = values(u64::from(self.hours));
        if minutes.len() * hours.len() <= 6 {
            let times: Vec<String> =
                hours.iter().flat_map(|hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}"))).collect();
            return format!("At {}", listed(&times));
        }
        let every = match period(&minutes, 60) {
            _ if self.minutes == ALL_MINUTES => Some("Every minute".to_owned()),
            step => step.map(|step| format!("Every {step} minutes")),
        };
        match (every, &minutes[..]) {
            (Some(every), _) => self.often(&every, &hours),
            (None, [minute]) => once_an_hour(*minute, &hours),
            (None, _) => at_minutes(&minutes, &hours),
        }
    }

    /// Minutes that are evenly spread, in the hours that the rule allows.
    fn often(&self, every: &str, hours: &[i64]) -> String {
        match (period(hours, 24), run(hours)) {
            _ if self.hours == ALL_HOURS => every.to_owned(),
            (Some(step), _) => format!("{every} during every {}", nth_hour(step)),
            (None, Some((first, last))) => format!("{every} from {first:02}:00 to {last:02}:59"),
            (None, None) => format!("{every} during the hours {}", listed(&texts(hours))),
        }
    }

    fn days_in_words(&self) -> Option<String> {
        let months = (self.months != ALL_MONTHS).then(|| format!("in {}", named(&values(u64::from(self.months)), &MONTHS)));
        let day = (self.days_of_month & ALL_DAYS != ALL_DAYS).then(|| {
            let days = values(u64::from(self.days_of_month));
            match run(&days) {
                Some((first, last)) if days.len() > 2 => format!("{first} to {last}"),
                _ => listed(&texts(&days)),
            }
        });
        let weekday = (self.days_of_week != ALL_WEEKDAYS).then(|| weekdays_in_words(self.days_of_week));
        let days = match (day, weekday) {
            (Some(day), Some(weekday)) if self.either_day => Some(format!("on day {day} of the month and on {weekday}")),
            (Some(day), Some(weekday)) => {
                Some(format!("on {weekday} if the day of the month is {}", day.replace(" and ", " or ")))
            }
            (Some(day), None) => Some(format!("on day {day} of the month")),
            (None, weekday) => weekday.map(|weekday| format!("on {weekday}")),
        };
        match (days, months) {
            (Some(days), Some(months)) => Some(format!("{days} {months}")),
            (days, months) => days.or(months),
        }
    }
}

/// One minute of several hours.
fn once_an_hour(minute: i64, hours: &[i64]) -> String {
    let every = match (period(hours, 24), run(hours)) {
        (_, Some((0, 23))) => "Every hour".to_owned(),
        (_, Some((first, last))) => return format!("Every hour from {first:02}:{minute:02} to {last:02}:{minute:02}"),
        (Some(step), None) => format!("Every {step} hours"),
        (None, None) => return format!("At minute {minute} of the hours {}", listed(&texts(hours))),
    };
    if minute == 0 { every } else { format!("{every} at minute {minute}") }
}

/// Several minutes without a common distance.
fn at_minutes(minutes: &[i64], hours: &[i64]) -> String {
    let minutes = match run(minutes) {
        Some((first, last)) if minutes.len() > 2 => format!("{first} to {last}"),
        _ => listed(&texts(minutes)),
    };
    let hours = match (period(hours, 24), run(hours)) {
        (_, Some((0, 23))) => "every hour".to_owned(),
        (Some(step), _) => format!("every {}", nth_hour(step)),
        (None, Some((only, last))) if only == last => format!("the hour {only}"),
        (None, Some((first, last))) if hours.len() > 2 => format!("the hours {first} to {last}"),
        (None, _) => format!("the hours {}", listed(&texts(hours))),
    };
    format!("At minutes {minutes} of {hours}")
}

fn nth_hour(step: i64) -> String {
    match step {
        2 => "second hour".to_owned(),
        3 => "third hour".to_owned(),
        _ => format!("{step}th hour"),
    }
}

fn weekdays_in_words(bits: u8) -> String {
    // From Monday, so that a weekend is a run.
    let days: Vec<i64> = (1..=7).filter(|day| bits >> (day % 7) & 1 == 1).collect();
    let name = |day: i64| WEEKDAYS[usize::try_from(day % 7).unwrap_or_default()];
    match run(&days) {
        Some((first, last)) if days.len() > 2 => format!("{} to {}", name(first), name(last)),
        _ => listed(&days.into_iter().map(|day| name(day).to_owned()).collect::<Vec<_>>()),
    }
}

fn named(values: &[i64], names: &[&str]) -> String {
    let name =
        |value: i64| usize::try_from(value).ok().and_then(|index| names.get(index)).copied().unwrap_or_default().to_owned();
    match run(values) {
        Some((first, last)) if values.len() > 2 => format!("{} to {}", name(first), name(last)),
        _ => listed(&values.iter().map(|value| name(*value)).collect::<Vec<_>>()),
    }
}

/// The values that a field allows, in order.
fn values(bits: u64) -> Vec<i64> {
    (0..64).filter(|bit| bits >> bit & 1 == 1).collect()
}

/// The distance between the values, if they are evenly spread over a cycle and start with zero.
fn period(values: &[i64], cycle: i64) -> Option<i64> {
    let count = i64::try_from(values.len()).ok()?;
    let step = cycle.checked_div(count)?;
    let even =
        count > 1 && step > 1 && step * count == cycle && values.iter().zip(0..).all(|(value, index)| *value == index * step);
    even.then_some(step)
}

/// The first and the last value, if there is none missing between them.
fn run(values: &[i64]) -> Option<(i64, i64)> {
    let (first, last) = (*values.first()?, *values.last()?);
    (i64::try_from(values.len()) == Ok(last - first + 1)).then_some((first, last))
}

fn texts(values: &[i64]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// "1", "1 and 2", "1, 2 and 3".
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
