//! The range of a report: whole days in UTC, both ends included, and how it is cut for a series.

use jiff::ToSpan as _;
use jiff::civil::{Date, date};

use legwork_engine::domain::FieldError;

/// The longest range, in years.
const MOST_YEARS: i64 = 5;
/// A longer range is shown by weeks: that many points are too near to each other.
const MOST_DAYS_BY_DAY: i64 = 92;
/// What databases and calendars agree on.
const FIRST: Date = date(1970, 1, 1);
const LAST: Date = date(2999, 12, 31);

/// Days from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DayRange {
    pub(super) from: Date,
    pub(super) to: Date,
}

/// How a series is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Day,
    /// From Monday to Sunday; the first and the last may be cut by the range.
    Week,
}

impl Step {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
        }
    }
}

impl DayRange {
    /// Parses both ends; every error is told by its field.
    pub(super) fn parse(from: &str, to: &str) -> Result<Self, Vec<FieldError>> {
        let parsed = [("/date_from", day(from)), ("/date_to", day(to))];
        let [(_, Ok(from)), (_, Ok(to))] = parsed else {
            let wrong = |(pointer, day): (&str, Result<Date, String>)| day.err().map(|detail| FieldError::new(pointer, detail));
            return Err(parsed.into_iter().filter_map(wrong).collect());
        };
        let field_error = |detail: String| Err(vec![FieldError::new("/date_to", detail)]);
        if to < from {
            return field_error(format!("{to} is before date_from, {from}"));
        }
        let end = from.checked_add(MOST_YEARS.years()).unwrap_or(LAST);
        if to >= end {
            return field_error(format!("{to} is more than {MOST_YEARS} years after date_from, {from}"));
        }
        Ok(Self { from, to })
    }

    /// How many days there are, one at least.
    pub(super) fn days(self) -> i64 {
        self.to.duration_since(self.from).as_hours() / 24 + 1
    }

    /// The first day that is no longer part of it.
    pub(super) fn end(self) -> Date {
        moved(self.to, 1)
    }

    /// The range of the same length right before it.
    pub(super) fn before(self) -> Self {
        Self { from: moved(self.from, -self.days()), to: moved(self.from, -1) }
    }

    pub(super) fn step(self) -> Step {
        if self.days() > MOST_DAYS_BY_DAY { Step::Week } else { Step::Day }
    }

    /// The first days of what a series is cut into: days, or weeks. The first week starts with the range.
    pub(super) fn cuts(self) -> Vec<Date> {
        let width = match self.step() {
            Step::Day => 1,
            Step::Week => 7,
        };
        let mut cuts = vec![self.from];
        let mut next = moved(self.floor(self.from), width);
        while next <= self.to {
            cuts.push(next);
            next = moved(next, width);
        }
        cuts
    }

    /// The day by which the database groups a day: itself, or the Monday of its week.
    pub(super) fn floor(self, day: Date) -> Date {
        match self.step() {
            Step::Day => day,
            Step::Week => moved(day, -i64::from(day.weekday().to_monday_zero_offset())),
        }
    }
}

/// Years are from 1970 to 2999 and ranges short, so this does not leave the calendar.
fn moved(day: Date, days: i64) -> Date {
    day.checked_add(days.days()).unwrap_or(day)
}

fn day(text: &str) -> Result<Date, String> {
    let shortened: String = text.chars().take(40).collect();
    let bytes = text.as_bytes();
    let has_form = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
    let parsed = has_form.then(|| text.parse::<Date>().ok()).flatten();
    let parsed = parsed.ok_or_else(|| format!("{shortened:?} is not a day like 2024-01-31"))?;
    if (FIRST..=LAST).contains(&parsed) { Ok(parsed) } else { Err(format!("{parsed} is not from {FIRST} to {LAST}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str) -> DayRange {
        DayRange::parse(from, to).unwrap()
    }

    fn texts(days: &[Date]) -> Vec<String> {
        days.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_range_before_is_as_long_and_ends_the_day_before() {
        let january = range("2024-01-01", "2024-01-31");
        assert_eq!((january.days(), january.step()), (31, Step::Day));
        assert_eq!(january.before(), range("2023-12-01", "2023-12-31"));
        let day = range("2024-03-01", "2024-03-01");
        assert_eq!((day.days(), day.before()), (1, range("2024-02-29", "2024-02-29")));
        assert_eq!(day.end(), date(2024, 3, 2));
    }

    #[test]
    fn a_range_is_cut_into_days_and_a_long_one_into_weeks() {
        assert_eq!(texts(&range("2024-02-28", "2024-03-01").cuts()), ["2024-02-28", "2024-02-29", "2024-03-01"]);
        assert_eq!(range("2024-01-01", "2024-04-01").step(), Step::Day);
        // From a Wednesday on: the first week is cut.
        let long = range("2024-01-03", "2024-04-15");
        let cuts = texts(&long.cuts());
        assert_eq!(cuts[..3], ["2024-01-03", "2024-01-08", "2024-01-15"]);
        assert_eq!(cuts.last().unwrap(), "2024-04-15");
        assert_eq!((long.floor(long.from), long.floor(date(2024, 1, 8))), (date(2024, 1, 1), date(2024, 1, 8)));
        assert_eq!(range("2020-01-01", "2024-12-31").cuts().len(), 262);
    }

    #[test]
    fn a_bad_day_or_range_is_told_by_its_field() {
        let message = |from: &str, to: &str| {
            let field_errors = DayRange::parse(from, to).unwrap_err();
            field_errors
                .iter()
                .map(|field_error| format!("{} {}", field_error.pointer, field_error.detail))
                .collect::<Vec<_>>()
                .join("; ")
        };
        assert_eq!(message("2024-02-01", "2024-01-31"), "/date_to 2024-01-31 is before date_from, 2024-02-01");
        assert_eq!(message("2019-01-01", "2024-01-01"), "/date_to 2024-01-01 is more than 5 years after date_from, 2019-01-01");
        assert_eq!(
            message("1969-12-31", "3000-01-01"),
            "/date_from 1969-12-31 is not from 1970-01-01 to 2999-12-31; /date_to 3000-01-01 is not from 1970-01-01 to 2999-12-31"
        );
        for bad in [
            "",
            "yesterday",
            "2024-02-30",
            "2024-1-1",
            "20240101",
            "2024-01-01T00:00:00Z",
            "01/02/2024",
            "2024-13-01",
            "２０２４-01-01",
        ] {
            assert_eq!(message(bad, "2024-01-31"), format!("/date_from {bad:?} is not a day like 2024-01-31"));
        }
        assert!(DayRange::parse("2019-01-01", "2023-12-31").is_ok() && DayRange::parse("2996-01-01", "2999-12-31").is_ok());
    }
}
