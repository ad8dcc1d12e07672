//! Days as numbers since 1970-01-01, in the proleptic Gregorian calendar.

/// Seconds in a day.
pub(crate) const DAY: i64 = 86_400;

/// The last year that is searched; jiff's calendar ends with it.
pub(super) const LAST_YEAR: i64 = 9999;
/// The first year that is searched backward.
pub(super) const FIRST_YEAR: i64 = -9999;

/// The number of days from 1970-01-01 to a date. Months are counted from March, so that the leap day is the last of a year.
pub(crate) fn days_since_1970(year: i64, month: u32, day: u32) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = i64::from((153 * month + 2) / 5 + day - 1);
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// The year, month and day of a number of days since 1970-01-01.
pub(crate) fn date(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, small(month), small(day))
}

/// The weekday of a day, Sunday being 0.
pub(crate) fn weekday(days: i64) -> u32 {
    small((days + 4).rem_euclid(7))
}

/// The number of days of a month.
pub(crate) fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The number of days that a month has in its longest year.
pub(super) fn days_in_month_at_most(month: u16) -> u32 {
    days_in_month(2000, u32::from(month))
}

/// A month, a day or a weekday, which are all small.
fn small(value: i64) -> u32 {
    u32::try_from(value).unwrap_or_default()
}
