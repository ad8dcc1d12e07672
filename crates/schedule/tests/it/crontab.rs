//! Crontab expressions: what is read, what is refused, and when they fire where the clocks change.

use jiff::Timestamp;
use legwork_schedule::{Crontab, DstGap, DstOverlap, DstPolicy, ScheduleError, Zone};

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn cron(text: &str) -> Crontab {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> ScheduleError {
    match text.parse::<Crontab>() {
        Ok(_) => panic!("\"{text}\" was accepted"),
        Err(error) => error,
    }
}

/// The next `count` firings as local times with their offsets.
fn firings(expression: &str, zone: &str, policy: DstPolicy, after: &str, count: usize) -> Vec<String> {
    let (expression, zone) = (cron(expression), Zone::named(zone).unwrap());
    let mut at = ts(after);
    (0..count)
        .map(|_| {
            at = expression.next_after(at, &zone, policy).unwrap();
            at.to_zoned(zone.time_zone().clone()).strftime("%m-%d %H:%M%:z").to_string()
        })
        .collect()
}

const DEFAULT: DstPolicy = DstPolicy { gap: DstGap::ShiftForward, overlap: DstOverlap::First };

#[test]
fn notations_that_mean_the_same_are_equal() {
    for (a, b) in [
        ("0 9 * * mon", "0 9 * * 1"),
        ("0 9 * * MONDAY", "0 9 * * Mon"),
        ("0 9 * * 7", "0 9 * * 0"),
        ("0 9 * * sun", "0 9 * * 0"),
        ("0 9 * * 5-7", "0 9 * * 0,5,6"),
        ("0 9 * * fri-mon", "0 9 * * 0,1,5,6"),
        ("0 9 * * 7-2", "0 9 * * 0-2"),
        ("0 9 * * 5-7/2", "0 9 * * 0,5"),
        ("0 22-2 * * *", "0 0,1,2,22,23 * * *"),
        ("0 22-4/2 * * *", "0 0,2,4,22 * * *"),
        ("0 0 1 nov-feb *", "0 0 1 1,2,11,12 *"),
        ("*/60 */24 * * *", "0 0 * * *"),
        ("*/5 * * * *", "0-59/5 * * * *"),
        ("  0   9 * * 1 ", "0 9 * * 1"),
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@MONTHLY", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ] {
        assert_eq!(cron(a), cron(b), "{a} | {b}");
    }
    assert_ne!(cron("0 0 1 * 1"), cron("0 0 1 * */1"), "a field that starts with * is not restricted");
}

#[test]
fn the_text_is_kept_and_read_again() {
    for text in ["0 9 * * mon", "*/5 8-17 1,15 jan-mar Mon-Fri", "@daily", "0 22-4/2 * * 7"] {
        assert_eq!(cron(text).to_string(), text);
        assert_eq!(cron(&cron(text).to_string()), cron(text));
        let json = serde_json::to_string(&cron(text)).unwrap();
        assert_eq!(serde_json::from_str::<Crontab>(&json).unwrap(), cron(text));
    }
    assert_eq!(cron(" 0\t9 *  * 1").as_str(), "0 9 * * 1");
}

#[test]
fn what_is_refused_says_what_is_wrong_and_what_is_allowed() {
    for (text, message) in [
        (
            "",
            "\"\" has 0 fields; a crontab expression has five: minute, hour, day of month, month, day of week; write * in each field that does not matter",
        ),
        (
            "0 0 9 * * 1",
            "\"0 0 9 * * 1\" has 6 fields; a crontab expression has five: minute, hour, day of month, month, day of week; seconds and years are not \
             supported: remove the extra fields, or use an interval for anything faster than a minute",
        ),
        (
            "@reboot",
            "\"@reboot\" is not a known shorthand; use one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, or five crontab fields",
        ),
        (
            "0 25 * * *",
            "the hour \"25\" is out of range: 25 is not between 0 and 23; allowed are 0 to 23, ranges (8-17), steps (*/2, 8-17/2), lists (9,17) and *",
        ),
        (
            "0 0 30 2 *",
            "\"0 0 30 2 *\" never fires: no year has such a day; correct the day of month, the month or the day of week",
        ),
        (
            "0 0 31 4,6,9,11 *",
            "\"0 0 31 4,6,9,11 *\" never fires: no year has such a day; correct the day of month, the month or the day of week",
        ),
    ] {
        let error = refused(text);
        assert_eq!((error.to_string().as_str(), error.field()), (message, "expression"));
    }
    for text in [
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "5/15 * * * *",
        "*/0 * * * *",
        "*/61 * * * *",
        "* */25 * * *",
        "*/-5 * * * *",
        "-1 * * * *",
        "1, * * * *",
        ",1 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "* * * foo *",
        "* * * * ma",
        "mon * * * *",
        "* * * mon *",
        "* * * * jan",
        "? * * * *",
        "* * L * *",
        "* * * * 1#2",
        "*5 * * * *",
        "** * * * *",
        "+5 * * * *",
        "1-*/2 * * * *",
        "99999999999 * * * *",
        "0 0 30 2 */2",
        "１ * * * *",
        "*/ * * * *",
        "1- * * * *",
    ] {
        refused(text);
    }
}

#[test]
fn either_day_field_matches_when_both_are_restricted() {
    // 2026-01-13 is a Tuesday.
    assert_eq!(
        firings("0 0 13 * fri", "UTC", DEFAULT, "2026-01-08T00:00:00Z", 3),
        ["01-09 00:00+00:00", "01-13 00:00+00:00", "01-16 00:00+00:00"]
    );
    assert_eq!(firings("0 0 */2 * fri", "UTC", DEFAULT, "2026-01-08T00:00:00Z", 2), ["01-09 00:00+00:00", "01-23 00:00+00:00"]);
    assert!(cron("0 0 13 * fri").either_day_matches());
    assert!(!cron("0 0 13 * *").either_day_matches());
}

#[test]
fn rare_days_are_found() {
    let next = |text: &str, after: &str| cron(text).next_after(ts(after), &Zone::UTC, DEFAULT).unwrap().to_string();
    assert_eq!(next("0 0 29 2 *", "2024-02-29T00:00:00Z"), "2028-02-29T00:00:00Z");
    assert_eq!(next("0 0 29 2 *", "2096-02-29T00:00:00Z"), "2104-02-29T00:00:00Z");
    // A Sunday that is a leap day: 2032, then 2060, and across 2100 after 40 years.
    assert_eq!(next("0 0 29 2 */7", "2026-01-01T00:00:00Z"), "2032-02-29T00:00:00Z");
    assert_eq!(next("0 0 29 2 */7", "2088-02-29T00:00:00Z"), "2128-02-29T00:00:00Z");
    let berlin = Zone::named("Europe/Berlin").unwrap();
    let leap = cron("30 2 29 2 *").next_after(ts("2096-02-29T02:00:00Z"), &berlin, DEFAULT).unwrap();
    assert_eq!(leap.to_string(), "2104-02-29T01:30:00Z");
    assert_eq!(cron("30 2 29 2 *").previous_before(leap, &berlin, DEFAULT).unwrap().to_string(), "2096-02-29T01:30:00Z");
}

#[test]
fn the_ends_of_the_calendar_give_none() {
    let daily = cron("@daily");
    for zone in ["UTC", "Europe/Berlin", "Pacific/Apia"] {
        let zone = Zone::named(zone).unwrap();
        assert_eq!(daily.next_after(Timestamp::MAX, &zone, DEFAULT), None);
        assert_eq!(daily.previous_before(Timestamp::MIN, &zone, DEFAULT), None);
        assert!(daily.next_after(Timestamp::MIN, &zone, DEFAULT).is_some());
        assert!(daily.previous_before(Timestamp::MAX, &zone, DEFAULT).is_some());
    }
}

#[test]
fn fractions_of_a_second_do_not_matter() {
    let daily = cron("@daily");
    let next = |after: &str| daily.next_after(ts(after), &Zone::UTC, DEFAULT).unwrap().to_string();
    assert_eq!(next("2026-01-01T23:59:59.999999999Z"), "2026-01-02T00:00:00Z");
    assert_eq!(next("2026-01-02T00:00:00Z"), "2026-01-03T00:00:00Z");
    assert_eq!(next("1960-01-01T23:59:59.999999999Z"), "1960-01-02T00:00:00Z");
    let previous = |before: &str| daily.previous_before(ts(before), &Zone::UTC, DEFAULT).unwrap().to_string();
    assert_eq!(previous("2026-01-02T00:00:00.000000001Z"), "2026-01-02T00:00:00Z");
    assert_eq!(previous("2026-01-02T00:00:00Z"), "2026-01-01T00:00:00Z");
    assert_eq!(previous("1960-01-02T00:00:00.000000001Z"), "1960-01-02T00:00:00Z");
}

/// Golden times of the zones that promise 8 names.
#[test]
fn a_gap_and_an_overlap_follow_the_policies() {
    use {DstGap::*, DstOverlap::*};
    let policy = |gap, overlap| DstPolicy { gap, overlap };
    // Paris, 2026-03-29: 02:00 becomes 03:00.
    let paris = |text: &str, gap, count| firings(text, "Europe/Paris", policy(gap, First), "2026-03-28T22:30:00Z", count);
    assert_eq!(paris("30 2 * * *", ShiftForward, 2), ["03-29 03:00+02:00", "03-30 02:30+02:00"]);
    assert_eq!(paris("30 2 * * *", Skip, 1), ["03-30 02:30+02:00"]);
    assert_eq!(paris("0 2,3 * * *", ShiftForward, 2), ["03-29 03:00+02:00", "03-30 02:00+02:00"]);
    assert_eq!(paris("*/30 2 * * *", ShiftForward, 3), ["03-29 03:00+02:00", "03-30 02:00+02:00", "03-30 02:30+02:00"]);
    assert_eq!(paris("30 2 29 3 *", ShiftForward, 1), ["03-29 03:00+02:00"]);
    assert_eq!(paris("0 3 * * *", ShiftForward, 1), ["03-29 03:00+02:00"]);
    // New York, 2026-11-01: 02:00 becomes 01:00.
    let york = |text: &str, overlap, count| {
        firings(text, "America/New_York", policy(ShiftForward, overlap), "2026-11-01T04:30:00Z", count)
    };
    assert_eq!(york("30 1 * * *", First, 2), ["11-01 01:30-04:00", "11-02 01:30-05:00"]);
    assert_eq!(york("30 1 * * *", Second, 2), ["11-01 01:30-05:00", "11-02 01:30-05:00"]);
    assert_eq!(york("30 1 * * *", Both, 3), ["11-01 01:30-04:00", "11-01 01:30-05:00", "11-02 01:30-05:00"]);
    assert_eq!(york("0 2 * * *", First, 1), ["11-01 02:00-05:00"]);
    // Lord Howe moves by half an hour: 2026-04-05 02:00 becomes 01:30; 2026-10-04 02:00 becomes 02:30.
    let howe = |text: &str, after: &str, count| firings(text, "Australia/Lord_Howe", DEFAULT, after, count);
    assert_eq!(howe("45 1 * * *", "2026-04-04T13:30:00Z", 2), ["04-05 01:45+11:00", "04-06 01:45+10:30"]);
    assert_eq!(howe("15 2 * * *", "2026-10-03T14:00:00Z", 2), ["10-04 02:30+11:00", "10-05 02:15+11:00"]);
    // Morocco leaves its summer time for Ramadan: 2026-02-15 03:00 becomes 02:00, 2026-03-22 02:00 becomes 03:00.
    let casablanca = |text: &str, after: &str| firings(text, "Africa/Casablanca", DEFAULT, after, 2);
    assert_eq!(casablanca("30 2 * * *", "2026-02-15T00:00:00Z"), ["02-15 02:30+01:00", "02-16 02:30+00:00"]);
    assert_eq!(casablanca("30 2 * * *", "2026-03-22T00:00:00Z"), ["03-22 03:00+01:00", "03-23 02:30+01:00"]);
    // Samoa left out 2011-12-30.
    let apia = |text: &str, gap| firings(text, "Pacific/Apia", policy(gap, First), "2011-12-29T20:00:00Z", 2);
    assert_eq!(apia("0 9 * * *", ShiftForward), ["12-31 00:00+14:00", "12-31 09:00+14:00"]);
    assert_eq!(apia("0 9 * * *", Skip), ["12-31 09:00+14:00", "01-01 09:00+14:00"]);
    assert_eq!(apia("0 * * * *", ShiftForward), ["12-29 11:00-10:00", "12-29 12:00-10:00"]);
}

#[test]
fn an_expression_of_every_hour_follows_the_elapsed_time() {
    for (text, minutes) in [("*/5 * * * *", 5), ("0 * * * *", 60), ("15 0-23 * * *", 60), ("*/20 */1 * * *", 20)] {
        for gap in [DstGap::Skip, DstGap::ShiftForward] {
            for overlap in [DstOverlap::First, DstOverlap::Second, DstOverlap::Both] {
                for (zone, from) in [
                    ("Europe/Berlin", "2026-03-28T20:00:00Z"),
                    ("Europe/Berlin", "2026-10-24T20:00:00Z"),
                    ("Africa/Cairo", "2026-04-23T12:00:00Z"),
                ] {
                    let (zone, expression) = (Zone::named(zone).unwrap(), cron(text));
                    let mut at = expression.next_after(ts(from), &zone, DstPolicy { gap, overlap }).unwrap();
                    for _ in 0..24 * 60 / minutes {
                        let next = expression.next_after(at, &zone, DstPolicy { gap, overlap }).unwrap();
                        assert_eq!(next.duration_since(at).as_mins(), minutes, "{text} after {at}");
                        at = next;
                    }
                }
            }
        }
    }
}

#[test]
fn a_daily_expression_whose_midnight_is_skipped_still_fires() {
    // Cairo, 2026-04-24: 00:00 becomes 01:00.
    assert_eq!(firings("@daily", "Africa/Cairo", DEFAULT, "2026-04-23T00:00:00Z", 2), ["04-24 01:00+03:00", "04-25 00:00+03:00"]);
    assert_eq!(
        firings("0 */12 * * *", "Africa/Cairo", DEFAULT, "2026-04-23T00:00:00Z", 2),
        ["04-23 12:00+02:00", "04-24 01:00+03:00"]
    );
}

#[test]
fn descriptions_are_plain_words() {
    for (text, words) in [
        ("0 9 * * mon", "At 09:00 on Monday"),
        ("0 9,17 * * *", "At 09:00 and 17:00"),
        ("* * * * *", "Every minute"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("0 * * * *", "Every hour"),
        ("15 * * * *", "Every hour at minute 15"),
        ("0 */2 * * *", "Every 2 hours"),
        ("15 */2 * * *", "Every 2 hours at minute 15"),
        ("*/7 * * * *", "At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("*/5 8-17 * * mon-fri", "Every 5 minutes from 08:00 to 17:59 on Monday to Friday"),
        ("0 8-17 * * *", "Every hour from 08:00 to 17:00"),
        ("30 8-17 * * *", "Every hour from 08:30 to 17:30"),
        ("*/10 6 * * *", "At 06:00, 06:10, 06:20, 06:30, 06:40 and 06:50"),
        ("*/5 6 * * *", "Every 5 minutes from 06:00 to 06:59"),
        ("*/20 0,6,13 * * *", "Every 20 minutes during the hours 0, 6 and 13"),
        ("0-10 6,8 * * *", "At minutes 0 to 10 of the hours 6 and 8"),
        ("*/5 */3 * * *", "Every 5 minutes during every third hour"),
        ("0 2 1 * *", "At 02:00 on day 1 of the month"),
        ("0 2 1,15 jan,jul *", "At 02:00 on day 1 and 15 of the month in January and July"),
        ("0 2 1-7 * mon", "At 02:00 on day 1 to 7 of the month and on Monday"),
        (
            "0 2 */2 * mon",
            "At 02:00 on Monday if the day of the month is 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 or 31",
        ),
        ("0 2 * * sat,sun", "At 02:00 on Saturday and Sunday"),
        ("0 2 * jun-aug fri-sun", "At 02:00 on Friday to Sunday in June to August"),
        ("@yearly", "At 00:00 on day 1 of the month in January"),
    ] {
        assert_eq!(cron(text).describe(), words, "{text}");
    }
}
