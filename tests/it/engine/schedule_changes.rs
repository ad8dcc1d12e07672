//! What changes do to schedules: to the firings that are due or queued, to names, reasons and secrets, and many changes at once.

use legwork_engine::domain::{
    Declaration, DeclaredSchedule, FiringOutcome, FiringTrigger, QueueName, ScheduleRow, ScheduleSpec, TaskStatus,
};
use legwork_engine::queue::schedules::{ScheduleDraft, ScheduleOpError};
use legwork_engine::store::ScheduleFilter;
use legwork_schedule::OverlapPolicy;
use serde_json::json;

use super::schedules::{MINUTE, create, every, firings, key, outcomes};
use crate::support::engine::Engine;
use crate::support::probe::Switch;

async fn changed(engine: &Engine, name: &str, change: impl Fn(&mut ScheduleDraft)) -> Result<ScheduleRow, ScheduleOpError> {
    let draft = |row: &ScheduleRow| {
        let mut draft =
            ScheduleDraft { name: row.name.clone(), spec: row.spec.clone(), args: row.args.clone(), enabled: row.enabled };
        change(&mut draft);
        Ok(draft)
    };
    engine.queue.change_schedule(&key(name), draft).await
}

pub async fn an_edit_keeps_what_is_due_unless_it_changes_the_times_which_is_recorded(engine: Engine) {
    use FiringOutcome::{Fired, Missed};
    let row = create(&engine, "five", every(&engine, 5, "system.echo"), json!({ "a": 1 })).await;
    let scheduler = engine.scheduler();
    engine.clock.advance(5 * MINUTE);
    // Args, priority and name leave the nominal time alone that is due, and its task is what the edit says.
    changed(&engine, "five", |draft| draft.args = json!({ "a": 2 }).to_string()).await.unwrap();
    let edited = changed(&engine, "five", |draft| draft.name = "5".into()).await.unwrap();
    assert_eq!(edited.next_nominal, row.next_nominal);
    scheduler.fire_schedules().await.unwrap();
    let fired = firings(&engine, &row).await;
    assert_eq!(outcomes(&fired), [Fired]);
    let pool = engine.start_pool().await;
    assert!(engine.ended(fired[0].task.unwrap()).await.result.unwrap().get().contains(r#""a":2"#));
    pool.end().await;
    // Other times pass over what is due.
    engine.clock.advance(11 * MINUTE);
    let hourly = every(&engine, 60, "system.echo").timing;
    changed(&engine, "5", |draft| draft.spec.timing = hourly.clone()).await.unwrap();
    assert_eq!(scheduler.fire_schedules().await.unwrap(), 0);
    let all = firings(&engine, &row).await;
    assert_eq!(outcomes(&all), [Fired, Missed, Missed]);
    assert_eq!(all[1].reason.as_deref(), Some("The schedule was changed before this firing was made."));
    // So does disabling; what passes while it is disabled is no firing at all.
    engine.clock.advance(60 * MINUTE);
    engine.queue.disable_schedule(&key("5")).await.unwrap();
    engine.clock.advance(60 * MINUTE);
    engine.queue.enable_schedule(&key("5")).await.unwrap();
    scheduler.fire_schedules().await.unwrap();
    let all = firings(&engine, &row).await;
    assert_eq!(outcomes(&all), [Fired, Missed, Missed, Missed]);
    assert_eq!(all[3].reason.as_deref(), Some("The schedule was disabled before this firing was made."));
}

pub async fn a_queued_firing_is_missed_when_its_schedule_is_changed_disabled_or_not_declared_any_more(engine: Engine) {
    use FiringOutcome::{Fired, Missed, Queued};
    let switch = Switch::new();
    let args = switch.args(&json!(["wait"]));
    let spec = ScheduleSpec { overlap: OverlapPolicy::QueueOne, ..every(&engine, 5, "test.probe") };
    let retimed = create(&engine, "retimed", spec.clone(), args.clone()).await;
    let disabled = create(&engine, "disabled", spec.clone(), args.clone()).await;
    let declaration = Declaration { spec: spec.clone(), args: args.to_string(), enabled: true };
    let declared = DeclaredSchedule { name: "declared".into(), declaration };
    engine.queue.sync_schedules("shop", &[declared]).await.unwrap();
    let declared = engine.queue.schedule(&key("declared")).await.unwrap();
    let (scheduler, pool) = (engine.scheduler(), engine.start_pool().await);
    for _ in 0..2 {
        engine.clock.advance(5 * MINUTE);
        scheduler.fire_schedules().await.unwrap();
    }
    for row in [&retimed, &disabled, &declared] {
        assert_eq!(outcomes(&firings(&engine, row).await), [Fired, Queued]);
    }
    // An edit that keeps the times keeps the queued firing.
    changed(&engine, "retimed", |draft| draft.spec.description = "more".into()).await.unwrap();
    assert_eq!(outcomes(&firings(&engine, &retimed).await), [Fired, Queued]);
    let hourly = every(&engine, 60, "test.probe").timing;
    changed(&engine, "retimed", |draft| draft.spec.timing = hourly.clone()).await.unwrap();
    engine.queue.disable_schedule(&key("disabled")).await.unwrap();
    engine.queue.sync_schedules("shop", &[]).await.unwrap();
    for row in [&retimed, &disabled, &declared] {
        let all = firings(&engine, row).await;
        assert_eq!(outcomes(&all), [Fired, Missed]);
        assert!(all[1].reason.is_some());
    }
    switch.release(3);
    for row in [&retimed, &disabled, &declared] {
        engine.ended(firings(&engine, row).await[0].task.unwrap()).await;
    }
    scheduler.fire_schedules().await.unwrap();
    assert_eq!(outcomes(&firings(&engine, &disabled).await), [Fired, Missed]);
    pool.end().await;
}

/// All of them see the same time, so that their firings would have the same key.
pub async fn a_schedule_is_run_and_changed_by_many_at_once(engine: Engine) {
    let row = create(&engine, "busy", every(&engine, 5, "system.echo"), json!({})).await;
    let runs: Vec<_> = (0..30)
        .map(|n| {
            let (engine, row) = (engine.clone(), row.clone());
            tokio::spawn(async move { engine.queue.run_schedule(&row, &format!("user {n}").into()).await.unwrap() })
        })
        .collect();
    let changes: Vec<_> = (0..10_u32)
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move {
                changed(&engine, "busy", |draft| draft.spec.description = format!("{}{n} ", draft.spec.description))
                    .await
                    .unwrap();
            })
        })
        .collect();
    for change in changes {
        change.await.unwrap();
    }
    let mut tasks = Vec::new();
    for run in runs {
        tasks.push(run.await.unwrap());
    }
    let after = engine.queue.schedule(&key("busy")).await.unwrap();
    assert_eq!(after.version, row.version + 10, "runs leave the schedule as it is");
    assert_eq!(after.spec.description.split_whitespace().count(), 10, "no change is lost");
    let all = firings(&engine, &row).await;
    assert_eq!(all.len(), 30);
    for firing in &all {
        assert!(firing.trigger == FiringTrigger::Manual && firing.run_by.as_deref().unwrap().starts_with("user "));
        assert_eq!(engine.status(firing.task.unwrap()).await.status, TaskStatus::Pending);
        tasks.retain(|task| Some(*task) != firing.task);
    }
    assert!(tasks.is_empty(), "each run has its firing");
    engine.queue.delete_schedule(&key("busy")).await.unwrap();
    assert!(matches!(engine.queue.run_schedule(&row, &"ann".into()).await, Err(ScheduleOpError::NotFound)));
}

pub async fn schedules_that_cannot_fire_starve_no_other(engine: Engine) {
    let args = Switch::new().args(&json!(["succeed"]));
    for n in 0..501 {
        create(&engine, &format!("unknown {n}"), every(&engine, 5, "test.probe"), args.clone()).await;
    }
    let crowded = ScheduleSpec { queue: Some(QueueName::from_store("one-too-many")), ..every(&engine, 5, "system.echo") };
    let crowded = create(&engine, "crowded", crowded, json!({})).await;
    engine.clock.advance(MINUTE);
    let good = create(&engine, "good", every(&engine, 5, "system.echo"), json!({})).await;
    let queues: Vec<QueueName> = (0..1_000).map(|n| QueueName::from_store(&format!("q{n}"))).collect();
    engine.store.ensure_queues(&queues[..], engine.now()).await.unwrap();
    // The kind of the first ones is left to others for a while, and one asks for a queue that there is no room for.
    let older = engine.older();
    engine.clock.advance(5 * MINUTE);
    assert_eq!(older.scheduler().fire_schedules().await.unwrap(), 503, "each is looked at once");
    let refused = firings(&engine, &crowded).await.pop().unwrap();
    assert_eq!((refused.outcome, refused.task), (FiringOutcome::Refused, None));
    assert!(refused.reason.unwrap().contains("more than 1000 queues"));
    assert_eq!(outcomes(&firings(&engine, &good).await).len(), 1);
}

pub async fn a_name_that_breaks_a_path_or_cannot_be_seen_is_refused(engine: Engine) {
    create(&engine, "good", every(&engine, 5, "system.echo"), json!({})).await;
    for (name, words) in [
        (".", "another meaning"),
        ("..", "another meaning"),
        ("Preview", "another meaning"),
        ("0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57", "UUID"),
        ("0198c5a47d1e7c3a9f002b8d1c6e4a57", "UUID"),
        ("two\nlines", "U+000A"),
        ("zero\u{200b}width", "U+200B"),
        ("\u{202e}turned", "U+202E"),
        ("new\u{2028}line", "U+2028"),
        (" blank", "blank"),
    ] {
        let draft = ScheduleDraft { name: name.into(), spec: every(&engine, 5, "system.echo"), args: "{}".into(), enabled: true };
        let refusals = [
            engine.queue.create_schedule(draft, "ann".into()).await.unwrap_err(),
            changed(&engine, "good", |draft| draft.name = name.into()).await.unwrap_err(),
        ];
        for refusal in refusals {
            let ScheduleOpError::Invalid(errors) = refusal else { panic!("{name:?}: {refusal}") };
            assert_eq!(errors[0].pointer, "/name");
            assert!(errors[0].detail.contains(words), "{name:?}: {}", errors[0].detail);
        }
    }
    create(&engine, "Zürich 09:00 / 日本 🐔", every(&engine, 5, "system.echo"), json!({})).await;
}

pub async fn a_schedule_that_an_admin_renamed_still_belongs_to_its_pack(engine: Engine) {
    let declared = |minutes: i64| {
        let declaration = Declaration { spec: every(&engine, minutes, "system.echo"), args: "{}".into(), enabled: true };
        DeclaredSchedule { name: "nightly".into(), declaration }
    };
    let first = declared(5);
    engine.queue.sync_schedules("shop", std::slice::from_ref(&first)).await.unwrap();
    changed(&engine, "nightly", |draft| draft.name = "at night".into()).await.unwrap();
    let report = engine.queue.sync_schedules("shop", std::slice::from_ref(&first)).await.unwrap();
    assert_eq!((report.unchanged.len(), report.added.len(), report.disabled.len()), (1, 0, 0), "{report:?}");
    let second = declared(10);
    let report = engine.queue.sync_schedules("shop", std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(report.changed, ["nightly"]);
    let row = engine.queue.schedule(&key("at night")).await.unwrap();
    assert!(row.enabled && row.spec.timing == second.declaration.spec.timing);
    let all = engine.queue.schedules(&ScheduleFilter::default(), 10).await.unwrap();
    assert_eq!(all.len(), 1, "no other was made");
    // The old name is free for a user, whose schedule the pack leaves alone.
    create(&engine, "nightly", every(&engine, 5, "system.echo"), json!({})).await;
    let report = engine.queue.sync_schedules("shop", &[second]).await.unwrap();
    assert_eq!((report.unchanged.len(), report.conflicts.len()), (1, 0), "{report:?}");
    assert_eq!(engine.queue.sync_schedules("shop", &[]).await.unwrap().disabled, ["at night"]);
    assert!(engine.queue.schedule(&key("nightly")).await.unwrap().enabled);
}

pub async fn the_reason_of_a_disabled_schedule_stays_until_it_is_enabled(engine: Engine) {
    let spec = ScheduleSpec { one_off: true, ..every(&engine, 5, "system.echo") };
    create(&engine, "once", spec, json!({})).await;
    engine.clock.advance(5 * MINUTE);
    engine.scheduler().fire_schedules().await.unwrap();
    let reason = Some("it was to fire once, and has fired");
    let edited = changed(&engine, "once", |draft| draft.spec.description = "more".into()).await.unwrap();
    assert_eq!((edited.enabled, edited.disabled_reason.as_deref()), (false, reason));
    let disabled = engine.queue.disable_schedule(&key("once")).await.unwrap().unwrap();
    assert_eq!(disabled.disabled_reason.as_deref(), reason);
    let enabled = engine.queue.enable_schedule(&key("once")).await.unwrap();
    assert_eq!((enabled.enabled, enabled.disabled_reason), (true, None));
}

pub async fn an_arg_that_is_shown_as_hidden_keeps_its_value(engine: Engine) {
    let args = json!({ "url": "https://example.org/", "headers": { "Authorization": "Bearer abc" } });
    create(&engine, "call", every(&engine, 5, "http.call"), args.clone()).await;
    let shown = json!({ "url": "https://example.org/new", "headers": "[sensitive]" }).to_string();
    let edited = changed(&engine, "call", |draft| draft.args.clone_from(&shown)).await.unwrap();
    let edited: serde_json::Value = serde_json::from_str(&edited.args).unwrap();
    assert_eq!((&edited["url"], &edited["headers"]), (&json!("https://example.org/new"), &args["headers"]));
    // Where there is nothing to keep, the placeholder is no value.
    let masked = json!({ "url": "https://example.org/", "json": "[sensitive]" }).to_string();
    let spec = every(&engine, 5, "http.call");
    let draft = ScheduleDraft { name: "new".into(), spec, args: masked.clone(), enabled: true };
    for refusal in [
        changed(&engine, "call", |draft| draft.args.clone_from(&masked)).await.unwrap_err(),
        engine.queue.create_schedule(draft, "ann".into()).await.unwrap_err(),
        // Another kind would show what the first one hides.
        changed(&engine, "call", |draft| {
            draft.spec.kind = "system.echo".parse().unwrap();
            draft.args.clone_from(&shown);
        })
        .await
        .unwrap_err(),
    ] {
        let ScheduleOpError::Invalid(errors) = refusal else { panic!("{refusal}") };
        assert!(errors[0].pointer == "/args/json" || errors[0].pointer == "/args/headers", "{errors:?}");
        assert!(errors[0].detail.contains("[sensitive]"), "{errors:?}");
    }
}
