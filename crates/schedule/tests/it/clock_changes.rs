//! Property: around changes of the clocks in all zones, the field-wise search finds exactly what a walk over every local minute finds.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;
use jiff::{Timestamp, ToSpan};
use legwork_schedule::{Crontab, DstGap, DstOverlap, DstPolicy, Zone};
use proptest::prelude::*;

/// A field: its text, and its values.
type Field = (String, BTreeSet<i8>);

fn field(low: i8, high: i8) -> impl Strategy<Value = Field> {
    let star = Just(("*".to_owned(), (low..=high).collect()));
    let list = prop::collection::btree_set(low..=high, 1..5).prop_map(|set| {
        let text = set.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        (text, set)
    });
    let step = (1..=(high - low))
        .prop_map(move |step| (format!("*/{step}"), (low..=high).step_by(usize::try_from(step).unwrap()).collect()));
    let range = (low..=high, low..=high).prop_map(move |(from, to)| {
        let set = if from <= to { (from..=to).collect() } else { (from..=high).chain(low..=to).collect() };
        (format!("{from}-{to}"), set)
    });
    prop_oneof![3 => star, 3 => list, 2 => step, 2 => range]
}

#[derive(Debug, Clone)]
struct Expression([Field; 5]);

impl Expression {
    fn text(&self) -> String {
        self.0.each_ref().map(|(text, _)| text.as_str()).join(" ")
    }

    fn matches(&self, at: DateTime) -> bool {
        let [minute, hour, day, month, weekday] = &self.0;
        let by_day = day.1.contains(&at.day());
        let by_weekday = weekday.1.contains(&at.weekday().to_sunday_zero_offset());
        let restricted = !day.0.starts_with('*') && !weekday.0.starts_with('*');
        let on_day = if restricted { by_day || by_weekday } else { by_day && by_weekday };
        minute.1.contains(&at.minute()) && hour.1.contains(&at.hour()) && month.1.contains(&at.month()) && on_day
    }
}

fn expression() -> impl Strategy<Value = Expression> {
    // Hours and days are wide more often than not, so that something happens within the days that are looked at.
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6), any::<bool>())
        .prop_map(|(minute, hour, day, month, weekday, any_day)| {
            let star = |low, high| ("*".to_owned(), (low..=high).collect());
            let (day, month) = if any_day { (star(1, 31), star(1, 12)) } else { (day, month) };
            Expression([minute, hour, day, month, weekday])
        })
        .prop_filter("never fires", |expression| expression.text().parse::<Crontab>().is_ok())
}

fn policy() -> impl Strategy<Value = DstPolicy> {
    (
        prop_oneof![Just(DstGap::Skip), Just(DstGap::ShiftForward)],
        prop_oneof![Just(DstOverlap::First), Just(DstOverlap::Second), Just(DstOverlap::Both)],
    )
        .prop_map(|(gap, overlap)| DstPolicy { gap, overlap })
}

/// Every firing of three days, by walking over the local minutes.
fn walked(expression: &Expression, zone: &Zone, policy: DstPolicy, from: Timestamp, to: Timestamp) -> BTreeSet<Timestamp> {
    let every_hour = expression.0[1].1.len() == 24;
    let mut found = BTreeSet::new();
    let (mut local, last) =
        (zone.local(from).date().to_datetime(jiff::civil::Time::midnight()) - 2.days(), zone.local(to) + 2.days());
    while local <= last {
        if expression.matches(local) {
            match zone.time_zone().to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Unambiguous { offset } => {
                    found.insert(offset.to_timestamp(local).unwrap());
                }
                AmbiguousOffset::Gap { before, .. } if policy.gap == DstGap::ShiftForward && !every_hour => {
                    // Read with the earlier offset, a skipped time lies at or after the transition.
                    let after = before.to_timestamp(local).unwrap() + 1.nanosecond();
                    found.insert(zone.time_zone().preceding(after).next().unwrap().timestamp());
                }
                AmbiguousOffset::Gap { .. } => {}
                AmbiguousOffset::Fold { before, after } => {
                    if every_hour || policy.overlap != DstOverlap::Second {
                        found.insert(before.to_timestamp(local).unwrap());
                    }
                    if every_hour || policy.overlap != DstOverlap::First {
                        found.insert(after.to_timestamp(local).unwrap());
                    }
                }
            }
        }
        local += 1.minute();
    }
    found.range(from..to).copied().collect()
}

/// A time near a change of the clocks between 2007 and 2037, in any zone that has one.
fn change() -> impl Strategy<Value = (Zone, Timestamp)> {
    let zones: Vec<String> =
        jiff::tz::db().available().map(|name| name.to_string()).filter(|name| name != "Etc/Unknown").collect();
    let (first, last) =
        ("2007-01-01T00:00:00Z".parse::<Timestamp>().unwrap(), "2037-12-01T00:00:00Z".parse::<Timestamp>().unwrap());
    (prop::sample::select(zones), first.as_second()..last.as_second()).prop_map(|(name, second)| {
        let zone = Zone::named(&name).unwrap();
        let about = Timestamp::from_second(second).unwrap();
        let at = zone.time_zone().following(about).next().map_or(about, |transition| transition.timestamp());
        (zone, at)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_search_finds_what_a_walk_finds(expression in expression(), policy in policy(), (zone, change) in change()) {
        let (from, to) = (change - 30.hours(), change + 30.hours());
        let expected = walked(&expression, &zone, policy, from, to);
        let crontab: Crontab = expression.text().parse().unwrap();

        let mut forward = Vec::new();
        let mut at = from - 1.nanosecond();
        while let Some(next) = crontab.next_after(at, &zone, policy).filter(|next| *next < to) {
            prop_assert!(next > at);
            forward.push(next);
            at = next;
        }
        prop_assert_eq!(&forward, &expected.iter().copied().collect::<Vec<_>>(), "{} in {}", expression.text(), zone);

        let mut backward = Vec::new();
        let mut at = to;
        while let Some(previous) = crontab.previous_before(at, &zone, policy).filter(|previous| *previous >= from) {
            prop_assert!(previous < at);
            backward.push(previous);
            at = previous;
        }
        backward.reverse();
        prop_assert_eq!(backward, forward, "{} in {}, backward", expression.text(), zone);
    }

    #[test]
    fn next_and_previous_are_inverse(expression in expression(), policy in policy(), (zone, at) in change()) {
        let crontab: Crontab = expression.text().parse().unwrap();
        let next = crontab.next_after(at, &zone, policy).unwrap();
        let after = crontab.next_after(next, &zone, policy).unwrap();
        prop_assert!(at < next && next < after);
        prop_assert_eq!(crontab.previous_before(after, &zone, policy), Some(next));
        prop_assert_eq!(crontab.next_after(next - 1.nanosecond(), &zone, policy), Some(next));
        let previous = crontab.previous_before(next, &zone, policy).unwrap();
        prop_assert!(previous <= at);
        prop_assert_eq!(crontab.next_after(previous, &zone, policy), Some(next));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[-0-9*/,a-z@ ]{0,24}") {
        if let Ok(crontab) = text.parse::<Crontab>() {
            prop_assert_eq!(crontab.to_string().parse::<Crontab>(), Ok(crontab));
        }
    }
}

/// The next match by the calendar is days away, and the repeated hour has one that the clocks have shown before.
#[test]
fn a_repeated_hour_at_the_end_of_a_day_is_not_passed_over() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let policy = DstPolicy::default();
    // At 2021-01-31T21:00:00Z, a Sunday, the clocks of Juba went from midnight to 23:00.
    let juba = Zone::named("Africa/Juba").unwrap();
    let crontab: Crontab = "1 * * * sun,thu".parse().unwrap();
    assert_eq!(crontab.next_after(at("2021-01-31T20:01:00Z"), &juba, policy), Some(at("2021-01-31T21:01:00Z")));
    assert_eq!(crontab.previous_before(at("2021-01-31T21:01:00Z"), &juba, policy), Some(at("2021-01-31T20:01:00Z")));
    // At 2010-11-07T02:31:00Z, the clocks of St. John's went from 00:01 on a Sunday to 23:01 on the Saturday.
    let st_johns = Zone::named("America/St_Johns").unwrap();
    let crontab: Crontab = "0 * * * sun".parse().unwrap();
    assert_eq!(crontab.previous_before(at("2010-11-07T02:40:00Z"), &st_johns, policy), Some(at("2010-11-07T02:30:00Z")));
    assert_eq!(crontab.next_after(at("2010-11-07T02:30:00Z"), &st_johns, policy), Some(at("2010-11-07T03:30:00Z")));
}
