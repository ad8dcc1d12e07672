//! Start, end, one-off and jitter, and what becomes of firings that were missed.

use jiff::{SignedDuration, Timestamp, ToSpan};
use legwork_schedule::{
    Decision, FiringPlan, MAX_MISSED_LISTED, Missed, MissedMode, MissedPolicy, MissedReason, OverlapPolicy, Situation, Timing,
    TimingDefaults, TimingSpec, Zone, decide, jitter_seed, passed_over,
};
use proptest::prelude::*;
use serde_json::json;

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A time of 2026-06-01, given as hours and minutes (and seconds).
fn at(time: &str) -> Timestamp {
    let seconds = if time.len() == 5 { ":00" } else { "" };
    ts(&format!("2026-06-01T{time}{seconds}Z"))
}

fn timing(spec: serde_json::Value) -> Timing {
    let spec: TimingSpec = serde_json::from_value(spec).unwrap();
    spec.resolve(&TimingDefaults { timezone: Zone::UTC, from: None }).unwrap()
}

fn cron(expression: &str) -> FiringPlan {
    FiringPlan::new(timing(json!({"type": "crontab", "expression": expression})))
}

fn decided(
    plan: &FiringPlan,
    policy: MissedPolicy,
    overlap: OverlapPolicy,
    considered: &str,
    now: &str,
    unfinished: usize,
) -> Decision {
    decide(plan, &policy, overlap, Situation { considered: at(considered), now: at(now), unfinished })
}

/// What fires, and what is missed and why, as a line of text.
fn summary(decision: &Decision) -> String {
    let time = |at: Timestamp| at.strftime("%H:%M").to_string();
    let fires = decision.fire.iter().map(|firing| {
        format!(
            "{}{}{}",
            time(firing.occurrence.nominal),
            if firing.late { " late" } else { "" },
            if firing.after_current { " queued" } else { "" }
        )
    });
    let missed = decision.missed.iter().map(|Missed { nominal, reason }| format!("{} {}", time(*nominal), reason.name()));
    format!("fire [{}] missed [{}]", fires.collect::<Vec<_>>().join(", "), missed.collect::<Vec<_>>().join(", "))
}

#[test]
fn what_was_missed_follows_the_policy() {
    let policy = |mode, limit, lateness| MissedPolicy::new(mode, limit, lateness).unwrap();
    let skip = policy(MissedMode::Skip, None, None);
    let last = policy(MissedMode::Last, None, None);
    let last_10m = policy(MissedMode::Last, None, Some(600));
    let all_2 = policy(MissedMode::All, Some(2), None);
    let all_90m = policy(MissedMode::All, None, Some(5_400));
    for (policy, considered, now, expected) in [
        // Nothing is due.
        (skip, "09:00", "09:59:59", "fire [] missed []"),
        (last, "09:00", "09:00", "fire [] missed []"),
        // On time, up to a minute late.
        (skip, "09:00", "10:00", "fire [10:00] missed []"),
        (skip, "09:00", "10:01", "fire [10:00] missed []"),
        (all_2, "09:00", "10:00:30", "fire [10:00] missed []"),
        // Late.
        (skip, "09:00", "10:01:01", "fire [] missed [10:00 late]"),
        (last, "09:00", "10:20", "fire [10:00 late] missed []"),
        (last_10m, "09:00", "10:10", "fire [10:00 late] missed []"),
        (last_10m, "09:00", "10:10:01", "fire [] missed [10:00 too_late]"),
        // Several at once.
        (skip, "09:00", "12:00", "fire [12:00] missed [10:00 superseded, 11:00 superseded]"),
        (skip, "09:00", "12:30", "fire [] missed [10:00 superseded, 11:00 superseded, 12:00 late]"),
        (last, "09:00", "12:30", "fire [12:00 late] missed [10:00 superseded, 11:00 superseded]"),
        (last_10m, "09:00", "12:30", "fire [] missed [10:00 superseded, 11:00 superseded, 12:00 too_late]"),
        (all_2, "09:00", "12:30", "fire [11:00 late, 12:00 late] missed [10:00 over_limit]"),
        (all_90m, "09:00", "12:30", "fire [11:00 late, 12:00 late] missed [10:00 too_late]"),
    ] {
        let decision = decided(&cron("0 * * * *"), policy, OverlapPolicy::Allow, considered, now, 0);
        assert_eq!(summary(&decision), expected, "{policy:?} at {now}");
        assert!(!decision.finished && decision.older.is_none());
    }
}

#[test]
fn a_firing_beside_an_unfinished_one_follows_the_overlap_policy() {
    let all = MissedPolicy::new(MissedMode::All, None, None).unwrap();
    for (overlap, unfinished, expected) in [
        (OverlapPolicy::Allow, 5, "fire [10:00 late, 11:00 late, 12:00] missed []"),
        (OverlapPolicy::Skip, 0, "fire [10:00 late] missed [11:00 overlap, 12:00 overlap]"),
        (OverlapPolicy::Skip, 1, "fire [] missed [10:00 overlap, 11:00 overlap, 12:00 overlap]"),
        (OverlapPolicy::QueueOne, 0, "fire [10:00 late, 11:00 late queued] missed [12:00 overlap]"),
        (OverlapPolicy::QueueOne, 1, "fire [10:00 late queued] missed [11:00 overlap, 12:00 overlap]"),
        (OverlapPolicy::QueueOne, 2, "fire [] missed [10:00 overlap, 11:00 overlap, 12:00 overlap]"),
    ] {
        let decision = decided(&cron("0 * * * *"), all, overlap, "09:00", "12:00", unfinished);
        assert_eq!(summary(&decision), expected, "{overlap:?} with {unfinished}");
    }
}

#[test]
fn two_weeks_of_missed_seconds_cost_little_and_are_summed_up() {
    let plan =
        FiringPlan::new(timing(json!({"type": "interval", "every": 5, "unit": "seconds", "from": "2026-01-01T00:00:00Z"})));
    let (considered, now) = (ts("2026-06-01T00:00:00Z"), ts("2026-06-15T00:00:02Z"));
    let decision = decide(&plan, &MissedPolicy::default(), OverlapPolicy::Skip, Situation { considered, now, unfinished: 0 });
    assert_eq!(decision.fire.iter().map(|firing| firing.occurrence.nominal).collect::<Vec<_>>(), [ts("2026-06-15T00:00:00Z")]);
    assert_eq!(decision.missed.len(), MAX_MISSED_LISTED);
    let older = decision.older.unwrap();
    assert_eq!((older.first, older.reason), (ts("2026-06-01T00:00:05Z"), MissedReason::Superseded));
    assert_eq!(older.last + 5.seconds(), decision.missed[0].nominal);
    assert_eq!(decision.considered, Some(ts("2026-06-15T00:00:00Z")));
}

#[test]
fn enabling_fires_nothing_by_itself() {
    let decision = decided(&cron("0 9 * * *"), MissedPolicy::default(), OverlapPolicy::Allow, "09:00:01", "09:00:02", 0);
    assert_eq!(decision, Decision::default());
    // A change at the very instant of a nominal time takes part in the following one.
    let decision = decided(&cron("0 9 * * *"), MissedPolicy::default(), OverlapPolicy::Allow, "09:00", "09:00", 0);
    assert_eq!(decision, Decision::default());
}

#[test]
fn a_one_off_fires_once_and_is_finished() {
    let one_off = cron("0 * * * *").with_one_off(true);
    let all = MissedPolicy::new(MissedMode::All, None, None).unwrap();
    let decision = decided(&one_off, all, OverlapPolicy::Allow, "09:00", "11:00", 0);
    assert_eq!((summary(&decision).as_str(), decision.finished), ("fire [10:00 late] missed [11:00 one_off]", true));
    let skip = MissedPolicy::new(MissedMode::Skip, None, None).unwrap();
    let decision = decided(&one_off, skip, OverlapPolicy::Allow, "09:00", "10:30", 0);
    assert_eq!((summary(&decision).as_str(), decision.finished), ("fire [] missed [10:00 late]", false));
    assert_eq!(one_off.upcoming(at("09:00"), 5).len(), 1);
    assert_eq!(one_off.between(at("09:00"), at("12:00"), 5), [at("09:00")]);

    let clocked = FiringPlan::new(timing(json!({"type": "clocked", "at": "2026-06-01T10:00:00Z"})));
    let decision = decided(&clocked, MissedPolicy::default(), OverlapPolicy::Allow, "09:00", "14:00", 0);
    assert_eq!((summary(&decision).as_str(), decision.finished), ("fire [10:00 late] missed []", true));
    let decision = decided(&clocked, skip, OverlapPolicy::Allow, "09:00", "14:00", 0);
    assert_eq!((summary(&decision).as_str(), decision.finished), ("fire [] missed [10:00 late]", true));
}

#[test]
fn start_and_end_bound_the_nominal_times() {
    let plan = cron("0 * * * *").with_window(Some(at("10:00")), Some(at("12:00"))).unwrap();
    assert_eq!(plan.between(at("00:00"), at("23:00"), 100), [at("10:00"), at("11:00")]);
    assert_eq!(plan.next_after(at("03:00")), Some(at("10:00")));
    assert_eq!(plan.next_after(at("11:00")), None);
    assert_eq!(plan.previous_before(at("23:00")), Some(at("11:00")));
    assert_eq!(plan.previous_before(at("10:00")), None);
    let decision = decided(&plan, MissedPolicy::default(), OverlapPolicy::Allow, "10:00", "11:00", 0);
    assert_eq!((summary(&decision).as_str(), decision.finished), ("fire [11:00] missed []", true));
    // The end is passed before anything is found: the schedule is finished too.
    let decision = decided(&plan, MissedPolicy::default(), OverlapPolicy::Allow, "11:00", "13:00", 0);
    assert!(decision.finished && decision.fire.is_empty());
    let error = cron("@daily").with_window(Some(at("10:00")), Some(at("10:00"))).unwrap_err();
    assert_eq!(
        (error.field(), error.to_string().as_str()),
        ("end", "`end` (2026-06-01T10:00:00Z) must be later than `start` (2026-06-01T10:00:00Z); move one of them")
    );
}

#[test]
fn a_window_is_half_open_and_bounded() {
    let plan = cron("*/10 * * * *");
    assert_eq!(plan.between(at("10:00"), at("10:30"), 100), [at("10:00"), at("10:10"), at("10:20")]);
    assert_eq!(plan.between(at("10:00"), at("23:30"), 2), [at("10:00"), at("10:10")]);
    assert_eq!(plan.between(at("10:01"), at("10:10"), 2), []);
    assert_eq!(plan.between(at("11:00"), at("10:00"), 2), []);
    assert_eq!(plan.upcoming(at("10:00"), 2).iter().map(|next| next.nominal).collect::<Vec<_>>(), [at("10:10"), at("10:20")]);
}

#[test]
fn a_plan_that_does_nothing_more_is_refused() {
    let solar = |event: &str, latitude: f64| {
        FiringPlan::new(timing(json!({"type": "solar", "event": event, "latitude": latitude, "longitude": 0.0})))
    };
    let now = at("10:00");
    assert_eq!(cron("0 * * * *").require_future(now), Ok(at("11:00")));
    for (plan, field, message) in [
        (
            FiringPlan::new(timing(json!({"type": "clocked", "at": "2026-06-01T09:00:00Z"}))),
            "at",
            "the schedule never fires after 2026-06-01T10:00:00Z: its time has passed; choose a time in the future",
        ),
        (
            cron("0 * * * *").with_window(None, Some(at("09:30"))).unwrap(),
            "end",
            "the schedule never fires after 2026-06-01T10:00:00Z: its end has passed; choose a later `end`, or none",
        ),
        (
            cron("0 0 1 1 *").with_window(None, Some(at("23:30"))).unwrap(),
            "end",
            "the schedule never fires after 2026-06-01T10:00:00Z: it has no firing between its start and its end; move one of them",
        ),
        (
            solar("sunrise", 90.0),
            "event",
            "the schedule never fires after 2026-06-01T10:00:00Z: the sun does not reach this position at this place within a year; choose another event \
             or place",
        ),
    ] {
        let error = plan.require_future(now).unwrap_err();
        assert_eq!((error.field(), error.to_string().as_str()), (field, message));
    }
}

#[test]
fn jitter_changes_the_due_time_only_and_always_in_the_same_way() {
    let plan = cron("*/10 * * * *").with_jitter(300, jitter_seed(b"a schedule")).unwrap();
    let upcoming = plan.upcoming(at("00:00"), 100);
    assert_eq!(upcoming, plan.upcoming(at("00:00"), 100));
    assert_eq!(upcoming[0].nominal, at("00:10"));
    // The values are part of the contract: other releases and machines compute the same.
    let first: Vec<i64> =
        upcoming.iter().take(3).map(|next| next.due.duration_since(next.nominal).as_millis().try_into().unwrap()).collect();
    assert_eq!(first, [240_060, 232_223, 119_899]);
    let spread = upcoming.iter().map(|next| next.due.duration_since(next.nominal)).collect::<Vec<_>>();
    assert!(spread.iter().all(|jitter| (SignedDuration::ZERO..=SignedDuration::from_secs(300)).contains(jitter)));
    assert!(
        spread.iter().any(|jitter| *jitter > SignedDuration::from_secs(240))
            && spread.iter().any(|jitter| *jitter < SignedDuration::from_secs(60))
    );
    let other = cron("*/10 * * * *").with_jitter(300, jitter_seed(b"another")).unwrap();
    assert_ne!(other.upcoming(at("00:00"), 5), plan.upcoming(at("00:00"), 5));
    let error = cron("@daily").with_jitter(86_401, 0).unwrap_err();
    assert_eq!((error.field(), error.to_string().as_str()), ("jitter", "`jitter` must be between 0 and 86400; got 86401"));
}

#[test]
fn policies_are_checked() {
    let message = |limit, lateness| MissedPolicy::new(MissedMode::All, limit, lateness).unwrap_err();
    assert_eq!(message(Some(0), None).to_string(), "`missed_limit` must be between 1 and 1000; got 0");
    assert_eq!(message(Some(1_001), None).field(), "missed_limit");
    assert_eq!(message(None, Some(-5)).to_string(), "`max_lateness` must be between 1 and 4294967295; got -5");
    assert_eq!(
        serde_json::to_value((MissedMode::All, OverlapPolicy::QueueOne, MissedReason::TooLate)).unwrap(),
        json!(["all", "queue_one", "too_late"])
    );
}

proptest! {
    /// However the scheduler's looks are spread, each nominal time is decided about exactly once, and in order.
    #[test]
    fn each_nominal_time_is_decided_about_once(
        pauses in prop::collection::vec(1i64..500, 1..60),
        jitter in 0i64..200,
        mode in prop_oneof![Just(MissedMode::Skip), Just(MissedMode::Last), Just(MissedMode::All)],
        overlap in prop_oneof![Just(OverlapPolicy::Allow), Just(OverlapPolicy::Skip), Just(OverlapPolicy::QueueOne)],
    ) {
        let plan = cron("* * * * *").with_jitter(jitter, 7).unwrap();
        let policy = MissedPolicy::new(mode, Some(3), None).unwrap();
        let start = at("00:00");
        let (mut considered, mut now, mut seen) = (start, start, Vec::new());
        for pause in pauses {
            now += pause.seconds();
            let decision = decide(&plan, &policy, overlap, Situation { considered, now, unfinished: 0 });
            let mut nominal: Vec<Timestamp> = decision.fire.iter().map(|firing| firing.occurrence.nominal).collect();
            nominal.extend(decision.missed.iter().map(|missed| missed.nominal));
            nominal.sort();
            prop_assert_eq!(decision.considered, nominal.last().copied());
            prop_assert!(decision.fire.iter().all(|firing| firing.occurrence.due <= now));
            seen.extend(nominal);
            considered = decision.considered.unwrap_or(considered);
        }
        let expected = plan.between(start + 1.second(), considered + 1.second(), usize::MAX);
        prop_assert_eq!(seen, expected);
        prop_assert!(plan.next_occurrence(considered).unwrap().due > now);
    }
}

#[test]
fn a_change_passes_over_what_has_come_and_also_what_jitter_has_put_off() {
    let times = |plan: &FiringPlan, considered: &str, now: &str| {
        let (listed, older) = passed_over(plan, at(considered), at(now));
        (listed.iter().map(|one| one.nominal).collect::<Vec<_>>(), older)
    };
    let plan = cron("*/5 * * * *").with_jitter(240, 7).unwrap();
    assert_eq!(times(&plan, "09:00", "09:10"), (vec![at("09:05"), at("09:10")], None), "the instant itself has come");
    assert_eq!(times(&plan, "09:05", "09:09"), (vec![], None), "the last one considered is decided about");
    // A long time is summed up.
    let (listed, older) = passed_over(&plan, at("00:00"), at("23:00"));
    assert_eq!((listed.len(), listed[0].nominal, older.unwrap().0), (MAX_MISSED_LISTED, at("14:45"), at("00:05")));
    assert_eq!(older.unwrap().1, at("14:40"));
}
