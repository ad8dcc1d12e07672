//! Schedules: each nominal time once, whoever looks and whatever breaks; and what the policies make of the rest.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use legwork_engine::domain::{
    Declaration, DeclaredSchedule, FiringOutcome, FiringRow, FiringTrigger, KindName, Priority, ScheduleRow, ScheduleSpec,
    TaskStatus, WaitingReason,
};
use legwork_engine::queue::schedules::{ScheduleDraft, ScheduleOpError};
use legwork_engine::store::{ScheduleFilter, ScheduleKey};
use legwork_schedule::{DstPolicy, Interval, IntervalUnit, MissedMode, OverlapPolicy, Timing, Zone};
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::probe::Switch;

/// Every so many minutes from the start of the test.
pub(crate) fn every(engine: &Engine, minutes: i64, kind: &str) -> ScheduleSpec {
    let interval = Interval::new(minutes, IntervalUnit::Minutes).unwrap();
    let timing = Timing::Interval { interval, from: engine.now(), timezone: Zone::UTC, dst: DstPolicy::default() };
    ScheduleSpec {
        kind: KindName::from_store(kind),
        description: String::new(),
        timing,
        start: None,
        end: None,
        one_off: false,
        expires_seconds: None,
        queue: None,
        priority: None,
        missed: MissedMode::Last,
        missed_limit: 10,
        max_lateness_seconds: None,
        overlap: OverlapPolicy::Allow,
        jitter_seconds: 0,
    }
}

pub(crate) async fn create(engine: &Engine, name: &str, spec: ScheduleSpec, args: serde_json::Value) -> ScheduleRow {
    let draft = ScheduleDraft { name: name.into(), spec, args: args.to_string(), enabled: true };
    engine.queue.create_schedule(draft, "ann".into()).await.unwrap()
}

pub(crate) fn key(name: &str) -> ScheduleKey {
    ScheduleKey::Name(name.into())
}

/// All firings, the oldest first.
pub(crate) async fn firings(engine: &Engine, row: &ScheduleRow) -> Vec<FiringRow> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = engine.queue.firings(row.id, before, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.nominal);
        all.extend(page);
    }
    all.reverse();
    all
}

pub(crate) fn outcomes(firings: &[FiringRow]) -> Vec<FiringOutcome> {
    firings.iter().map(|firing| firing.outcome).collect()
}

pub(crate) const MINUTE: Duration = Duration::from_mins(1);

pub async fn each_nominal_time_makes_one_task_and_a_change_makes_none(engine: Engine) {
    let start = engine.now();
    let spec = ScheduleSpec { priority: Some(Priority::new(7).unwrap()), ..every(&engine, 5, "system.echo") };
    let row = create(&engine, "five", spec, json!({ "a": 1 })).await;
    let scheduler = engine.scheduler();
    assert_eq!(scheduler.fire_schedules().await.unwrap(), 0, "making it fires nothing");
    engine.clock.advance(5 * MINUTE);
    assert_eq!(scheduler.fire_schedules().await.unwrap(), 1);
    assert_eq!(scheduler.fire_schedules().await.unwrap(), 0);
    let fired = firings(&engine, &row).await;
    assert_eq!((fired.len(), fired[0].nominal, fired[0].reason.clone()), (1, start + 5 * MINUTE, None));
    let pool = engine.start_pool().await;
    let status = engine.ended(fired[0].task.unwrap()).await;
    assert_eq!((status.status, status.priority), (TaskStatus::Success, 7));
    assert!(status.result.unwrap().get().contains(r#""a":1"#));
    // Disabled over a nominal time and enabled again, it makes nothing of the past.
    engine.queue.disable_schedule(&key("five")).await.unwrap();
    engine.clock.advance(7 * MINUTE);
    assert_eq!(scheduler.fire_schedules().await.unwrap(), 0);
    let enabled = engine.queue.enable_schedule(&key("five")).await.unwrap();
    assert_eq!((scheduler.fire_schedules().await.unwrap(), enabled.next_nominal), (0, Some(start + 15 * MINUTE)));
    // A change of the timing while it is due makes nothing either.
    engine.clock.advance(3 * MINUTE);
    let spec = every(&engine, 60, "system.echo");
    let five = key("five");
    let changed = engine.queue.change_schedule(&five, |row| {
        Ok(ScheduleDraft { name: "hourly".into(), spec: spec.clone(), args: row.args.clone(), enabled: true })
    });
    changed.await.unwrap();
    assert_eq!(scheduler.fire_schedules().await.unwrap(), 0);
    let hourly = engine.queue.schedule(&key("hourly")).await.unwrap();
    let task = engine.queue.run_schedule(&hourly, &"bob".into()).await.unwrap();
    assert_eq!(engine.ended(task).await.status, TaskStatus::Success);
    let all = firings(&engine, &row).await;
    assert_eq!(
        outcomes(&all).iter().filter(|outcome| **outcome == FiringOutcome::Missed).count(),
        1,
        "it was due when it changed"
    );
    let manual = all.iter().find(|firing| firing.task == Some(task)).unwrap();
    assert_eq!(manual.trigger, FiringTrigger::Manual);
    assert_eq!(manual.run_by.as_deref(), Some("bob"));
    pool.end().await;
}

/// Ten thousand minutes. In each of them some of the five look, whose clocks are wrong by up to 90 s; a look may fail before its write, or die between its
/// write and the answer.
pub async fn five_schedulers_with_skewed_clocks_fire_each_nominal_time_once(engine: Engine) {
    let start = engine.now();
    let row = create(&engine, "often", every(&engine, 5, "system.echo"), json!({})).await;
    let skews = [-90, -40, 0, 40, 90];
    let processes: Vec<Engine> = skews.iter().map(|&skew| engine.skewed(SignedDuration::from_secs(skew))).collect();
    let mut random = fastrand::Rng::with_seed(7);
    for minute in 0..10_000_u64 {
        for process in &processes {
            process.clock.advance(MINUTE);
        }
        let (one, other) = (random.usize(..5), random.usize(..5));
        match random.u8(..40) {
            0 => processes[one].faults.fail("step_schedules"),
            1 => processes[one].faults.lose_answers("step_schedules"),
            _ => processes[one].faults.mend("step_schedules"),
        }
        let (first, second) = (processes[one].scheduler(), processes[other].scheduler());
        if minute % 7 == 0 {
            let (_first, _second) = tokio::join!(first.fire_schedules(), second.fire_schedules());
        } else {
            let _may_fail = first.fire_schedules().await;
        }
    }
    for process in &processes {
        process.faults.mend("step_schedules");
        process.scheduler().fire_schedules().await.unwrap();
    }
    let fired = firings(&engine, &row).await;
    let nominal: Vec<Timestamp> = fired.iter().map(|firing| firing.nominal).collect();
    // Whether the last one is due depends on who looks.
    let expected: Vec<Timestamp> = (1..=2_000_u32).map(|step| start + step * 5 * MINUTE).collect();
    assert_eq!(nominal[..expected.len() - 1], expected[..expected.len() - 1]);
    assert!(fired.iter().all(|firing| firing.outcome == FiringOutcome::Fired), "{:?}", outcomes(&fired));
    let tasks: BTreeSet<_> = fired.iter().map(|firing| firing.task.unwrap()).collect();
    assert_eq!(tasks.len(), fired.len());
    for task in &tasks {
        engine.note_accepted(*task);
    }
}

pub async fn what_was_missed_follows_the_policy(engine: Engine) {
    use FiringOutcome::{Fired, Missed};
    let scheduler = engine.scheduler();
    let late = 17_u32;
    for (name, missed, missed_limit, max_lateness_seconds, away, expected) in [
        ("on time", MissedMode::Skip, 10, None, 5, vec![Fired]),
        ("skip", MissedMode::Skip, 10, None, late, vec![Missed, Missed, Missed]),
        ("last", MissedMode::Last, 10, None, late, vec![Missed, Missed, Fired]),
        ("all", MissedMode::All, 2, None, late, vec![Missed, Fired, Fired]),
        ("too late", MissedMode::Last, 10, Some(60), late, vec![Missed, Missed, Missed]),
        ("late enough", MissedMode::Last, 10, Some(600), late, vec![Missed, Missed, Fired]),
    ] {
        let spec = ScheduleSpec { missed, missed_limit, max_lateness_seconds, ..every(&engine, 5, "system.echo") };
        let row = create(&engine, name, spec, json!({})).await;
        engine.clock.advance(away * MINUTE);
        assert_eq!(scheduler.fire_schedules().await.unwrap(), 1, "{name}");
        let fired = firings(&engine, &row).await;
        assert_eq!(outcomes(&fired), expected, "{name}");
        assert!(fired.iter().all(|firing| firing.outcome == Fired || firing.reason.is_some()), "{name}");
        engine.queue.delete_schedule(&key(name)).await.unwrap();
    }
    // After two weeks there is one task, and the older ones are one row.
    let row = create(&engine, "two weeks", every(&engine, 5, "system.echo"), json!({})).await;
    engine.clock.advance(Duration::from_hours(24 * 14));
    scheduler.fire_schedules().await.unwrap();
    let fired = firings(&engine, &row).await;
    assert_eq!(fired.iter().filter(|firing| firing.outcome == Fired).count(), 1);
    assert!(fired.len() < 120 && fired[0].missed_since == Some(row.created_at + 5 * MINUTE), "{}", fired.len());
}

pub async fn a_firing_while_the_task_before_it_runs_is_skipped_or_queued(engine: Engine) {
    use FiringOutcome::{Fired, Missed, Queued};
    let (skip, queue) = (Switch::new(), Switch::new());
    let spec = |overlap| ScheduleSpec { overlap, ..every(&engine, 5, "test.probe") };
    let skipping = create(&engine, "skip", spec(OverlapPolicy::Skip), skip.args(&json!(["wait"]))).await;
    let queueing = create(&engine, "queue", spec(OverlapPolicy::QueueOne), queue.args(&json!(["wait"]))).await;
    let (scheduler, pool) = (engine.scheduler(), engine.start_pool().await);
    for _ in 0..3 {
        engine.clock.advance(5 * MINUTE);
        scheduler.fire_schedules().await.unwrap();
    }
    assert_eq!(outcomes(&firings(&engine, &skipping).await), [Fired, Missed, Missed]);
    let before = firings(&engine, &queueing).await;
    assert_eq!(outcomes(&before), [Fired, Queued, Missed]);
    skip.release(1);
    queue.release(1);
    engine.ended(before[0].task.unwrap()).await;
    scheduler.fire_schedules().await.unwrap();
    let after = firings(&engine, &queueing).await;
    assert_eq!(outcomes(&after), [Fired, Fired, Missed]);
    assert_eq!(after[1].nominal, before[1].nominal, "the firing that waited");
    queue.release(1);
    assert_eq!(engine.ended(after[1].task.unwrap()).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn a_firing_that_can_make_no_task_says_why_and_holds_nothing_up(engine: Engine) {
    let older = engine.older();
    let spec = ScheduleSpec { one_off: true, expires_seconds: Some(30), ..every(&engine, 5, "system.echo") };
    let late = create(&engine, "expires", spec, json!({})).await;
    let unknown = create(&engine, "unknown", every(&engine, 5, "test.probe"), Switch::new().args(&json!(["succeed"]))).await;
    let good = create(&engine, "good", every(&engine, 5, "system.echo"), json!({})).await;
    engine.clock.advance(5 * MINUTE + Duration::from_secs(45));
    older.scheduler().fire_schedules().await.unwrap();
    assert_eq!(firings(&engine, &unknown).await, [], "another process may know the kind");
    assert_eq!(outcomes(&firings(&engine, &good).await), [FiringOutcome::Fired]);
    let refused = firings(&engine, &late).await.pop().unwrap();
    assert_eq!((refused.outcome, refused.task), (FiringOutcome::Refused, None));
    assert!(refused.reason.unwrap().contains("expired"));
    let finished = engine.queue.schedule(&key("expires")).await.unwrap();
    assert_eq!(
        (finished.enabled, finished.disabled_reason.as_deref()),
        (false, Some("it was to fire once, and its task was refused; its firings say why"))
    );
    engine.clock.advance(Duration::from_secs(30));
    older.scheduler().fire_schedules().await.unwrap();
    let refused = firings(&engine, &unknown).await.pop().unwrap();
    assert!(refused.reason.unwrap().contains("No scheduler knows the kind test.probe"));
}

pub async fn maintenance_stops_all_firing_and_all_fetching(engine: Engine) {
    let row = create(&engine, "five", every(&engine, 5, "system.echo"), json!({})).await;
    engine.queue.set_maintenance(Some("upgrade".into()), "ann").await.unwrap();
    let (scheduler, pool) = (engine.scheduler(), engine.start_pool().await);
    let id = engine.submit("system.echo", json!({})).await;
    engine.clock.advance(6 * MINUTE);
    scheduler.fire_schedules().await.unwrap();
    assert_eq!(firings(&engine, &row).await, []);
    let status = engine.status(id).await;
    assert_eq!((status.status, status.waiting_for.unwrap().reason), (TaskStatus::Pending, WaitingReason::Maintenance));
    assert_eq!(engine.queue.schedule_lateness().await.unwrap(), SignedDuration::ZERO);
    let again = engine.queue.set_maintenance(Some("other".into()), "bob").await.unwrap().unwrap();
    assert_eq!((again.reason.as_str(), again.principal.as_str()), ("upgrade", "ann"), "the first one stays");
    engine.queue.set_maintenance(None, "ann").await.unwrap();
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    scheduler.fire_schedules().await.unwrap();
    assert_eq!(outcomes(&firings(&engine, &row).await), [FiringOutcome::Fired]);
    pool.end().await;
}

pub async fn declared_schedules_follow_their_pack_and_keep_an_admins_changes(engine: Engine) {
    let declared = |minutes: i64, description: &str| DeclaredSchedule {
        name: "nightly".into(),
        declaration: Declaration {
            spec: ScheduleSpec { description: description.into(), ..every(&engine, minutes, "system.echo") },
            args: json!({ "minutes": minutes }).to_string(),
            enabled: true,
        },
    };
    let first = declared(5, "first");
    let report = engine.queue.sync_schedules("shop", std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(report.added, ["nightly"]);
    let report = engine.queue.sync_schedules("shop", std::slice::from_ref(&first)).await.unwrap();
    assert_eq!((report.unchanged.len(), report.changed.len()), (1, 0), "the second time nothing changes");
    // The admin changes the timing; the pack then changes timing, args and description.
    let own = every(&engine, 60, "system.echo").timing;
    let nightly = key("nightly");
    let changed = engine.queue.change_schedule(&nightly, |row| {
        let spec = ScheduleSpec { timing: own.clone(), ..row.spec.clone() };
        Ok(ScheduleDraft { name: row.name.clone(), spec, args: row.args.clone(), enabled: row.enabled })
    });
    changed.await.unwrap();
    let report = engine.queue.sync_schedules("shop", &[declared(10, "second")]).await.unwrap();
    assert_eq!(report.changed, ["nightly"]);
    let row = engine.queue.schedule(&key("nightly")).await.unwrap();
    assert_eq!((&row.spec.timing, row.spec.description.as_str(), row.args.as_str()), (&own, "second", r#"{"minutes":10}"#));
    // What is not declared any more is disabled, and comes back with its declaration.
    let report = engine.queue.sync_schedules("shop", &[]).await.unwrap();
    assert_eq!(report.disabled, ["nightly"]);
    assert!(!engine.queue.schedule(&key("nightly")).await.unwrap().enabled);
    engine.queue.sync_schedules("shop", &[declared(10, "second")]).await.unwrap();
    let row = engine.queue.schedule(&key("nightly")).await.unwrap();
    assert!(row.enabled && row.disabled_reason.is_none() && row.next_nominal.is_some());
    // A name that a user took stays the user's.
    create(&engine, "taken", every(&engine, 5, "system.echo"), json!({})).await;
    let other = DeclaredSchedule { name: "taken".into(), ..declared(5, "first") };
    assert_eq!(engine.queue.sync_schedules("shop", &[declared(10, "second"), other]).await.unwrap().conflicts, ["taken"]);
    let listed = engine.queue.schedules(&ScheduleFilter { pack: Some("shop".into()), ..ScheduleFilter::default() }, 10).await;
    assert_eq!(listed.unwrap().len(), 1);
}

pub async fn a_schedule_that_cannot_work_is_refused_field_by_field(engine: Engine) {
    let refused = async |spec: ScheduleSpec, args: serde_json::Value, name: &str| {
        let draft = ScheduleDraft { name: name.into(), spec, args: args.to_string(), enabled: true };
        match engine.queue.create_schedule(draft, "ann".into()).await {
            Err(ScheduleOpError::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let past = Timing::Clocked { at: engine.now() - MINUTE, timezone: Zone::UTC };
    assert_eq!(refused(ScheduleSpec { timing: past, ..every(&engine, 5, "system.echo") }, json!({}), "past").await, ["/clocked"]);
    assert_eq!(refused(every(&engine, 5, "no.such_kind"), json!({}), "kind").await, ["/kind"]);
    assert_eq!(
        refused(every(&engine, 5, "email.send"), json!({ "subject": "S", "text": "T" }), "args").await,
        ["/args/recipient_email"]
    );
    assert_eq!(refused(every(&engine, 5, "system.echo"), json!({}), " ").await, ["/name"]);
    create(&engine, "once", every(&engine, 5, "system.echo"), json!({})).await;
    let draft = ScheduleDraft { name: "once".into(), spec: every(&engine, 5, "system.echo"), args: "{}".into(), enabled: true };
    assert!(matches!(engine.queue.create_schedule(draft, "ann".into()).await, Err(ScheduleOpError::NameTaken(_))));
}
