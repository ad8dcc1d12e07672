//! The kinds that look after the system itself.

use std::fs::File;
use std::time::Duration;

use jiff::SignedDuration;
use legwork::files::{FileError, NewFile, ProducedBy};
use legwork_engine::domain::{Attempt, QueueName, TaskId, TaskStatus};
use legwork_engine::queue::view::StatusView;
use serde_json::{Value, json};

use crate::support::engine::Engine;
use crate::support::files::{path, task_files};
use crate::support::probe::Switch;

async fn result_of(engine: &Engine, kind: &str, args: Value) -> Value {
    let id = engine.submit(kind, args).await;
    result(&engine.ended(id).await)
}

fn result(status: &StatusView) -> Value {
    assert_eq!(status.status, TaskStatus::Success, "{:?}", status.error);
    serde_json::from_str(status.result.as_ref().unwrap().get()).unwrap()
}

pub async fn a_health_check_tells_of_each_thing_with_its_latency(engine: Engine) {
    let pool = engine.start_pool().await;
    let actual = result_of(&engine, "system.health_check", json!({})).await;
    assert_eq!((&actual["success"], &actual["healthy"], &actual["failed"]), (&json!(true), &json!(true), &json!([])), "{actual}");
    for name in ["database", "cache", "queue", "storage", "mail"] {
        let check = &actual["checks"][name];
        assert_eq!(check["status"], "ok", "{name}");
        assert!(check["latency_ms"].as_f64().unwrap() >= 0.0);
    }
    // What it wrote to see whether it can is gone.
    assert!(!engine.config.data_dir.join("files/health").read_dir().unwrap().any(|entry| entry.is_ok()));
    pool.end().await;
}

pub async fn a_health_check_succeeds_and_says_what_is_not_well(engine: Engine) {
    let mut pool = engine.tuned(|config| config.worker.queues = vec![QueueName::from_store("default")]).start_pool().await;
    std::fs::create_dir_all(&engine.config.data_dir).unwrap();
    for place in ["files", "outbox"] {
        std::fs::write(engine.config.data_dir.join(place), b"in the way").unwrap();
    }
    // Work that nobody serves.
    engine.submit_with("system.echo", json!({}), json!({ "queue": "forgotten" })).await;
    engine.clock.advance(Duration::from_mins(5));
    pool.heartbeat().await;
    let actual = result_of(&engine, "system.health_check", json!({})).await;
    assert_eq!((&actual["success"], &actual["healthy"]), (&json!(true), &json!(false)));
    assert_eq!(actual["failed"], json!(["queue", "storage", "mail"]), "{actual}");
    assert_eq!(actual["message"], "not well: queue, storage, mail");
    let late = "forgotten has 1 due tasks, the oldest for 300 s, and 0 workers serve it";
    assert_eq!(actual["checks"]["queue"]["error"], late);
    for name in ["storage", "mail"] {
        assert_eq!(actual["checks"][name]["status"], "failed");
        assert!(!actual["checks"][name]["error"].as_str().unwrap().is_empty());
    }
    pool.end().await;
}

pub async fn what_ended_is_counted_by_kind(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    for _ in 0..3 {
        engine.submit("system.echo", json!({})).await;
    }
    engine.submit_with("test.probe", switch.args(&json!(["fail"])), json!({ "max_retries": 0 })).await;
    engine.all_ended().await;
    engine.clock.advance(Duration::from_mins(1));
    let actual = result_of(&engine, "system.aggregate_metrics", json!({ "window_minutes": 10 })).await;
    assert_eq!(
        (&actual["all"]["total"], &actual["all"]["success"], &actual["all"]["failure"]),
        (&json!(4), &json!(3), &json!(1)),
        "{actual}"
    );
    let kinds: Vec<&str> = actual["kinds"].as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["system.echo", "test.probe"]);
    assert_eq!(actual["kinds"][1]["failure_rate"], json!(1.0));
    assert_eq!(actual["kinds"][0]["per_second"], json!(3.0 / 600.0));
    engine.clock.advance(Duration::from_hours(1));
    let later = result_of(&engine, "system.aggregate_metrics", json!({ "window_minutes": 10 })).await;
    assert_eq!((&later["all"]["total"], &later["kinds"]), (&json!(0), &json!([])));
    pool.end().await;
}

pub async fn results_are_pruned_by_age(engine: Engine) {
    let pool = engine.start_pool().await;
    let old = engine.submit("system.echo", json!({})).await;
    engine.ended(old).await;
    // The row is gone in the end, which is what this is about.
    engine.forget_accepted(old);
    engine.clock.advance(Duration::from_hours(24 * 5));
    engine.queue.make_partitions().await.unwrap();
    let young = engine.submit("system.echo", json!({})).await;
    engine.ended(young).await;
    let kept = result_of(&engine, "results.prune", json!({})).await;
    assert_eq!((&kept["success"], &kept["older_than_days"]), (&json!(true), &json!(30.0)));
    assert!(engine.ground().store.find(old).await.unwrap().is_some());
    let actual = result_of(&engine, "results.prune", json!({ "older_than_days": 3 })).await;
    assert_eq!(actual["message"], "results older than 3 days are forgotten");
    assert!(engine.ground().store.find(old).await.unwrap().is_none());
    assert!(engine.ground().store.find(young).await.unwrap().is_some());
    pool.end().await;
}

pub async fn expired_and_forgotten_files_are_removed_and_those_of_running_tasks_stay(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let running = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    let files = &engine.services.files;
    let over = TaskId::made(engine.now());
    let old = engine.now() - SignedDuration::from_mins(61);
    let mut kept = Vec::new();
    let of = |task, attempt| Some(ProducedBy { task, attempt: Attempt(attempt) });
    let owners = [(of(running, 1), old), (of(over, 1), old), (None, old), (None, engine.now()), (of(running, 0), old)];
    for (owner, written) in owners {
        let scratch = files.scratch(owner).await.unwrap();
        File::options().write(true).open(scratch.path()).unwrap().set_modified(written.into()).unwrap();
        kept.push((scratch.path().to_owned(), scratch));
    }
    let new_file = NewFile {
        path: path("exports/x.csv"),
        content_type: "text/csv".into(),
        principal: "ann".into(),
        produced_by: None,
        created_at: engine.now(),
        expires_at: Some(engine.now()),
    };
    engine.files.clone().create(new_file).await.unwrap().finish().await.unwrap();
    let actual = result_of(&engine, "files.prune", json!({})).await;
    assert_eq!((&actual["expired"], &actual["temporary"]), (&json!(1), &json!(3)), "{actual}");
    assert!(!files.exists(&path("exports/x.csv")).await.unwrap());
    let there: Vec<bool> = kept.iter().map(|(path, _)| path.exists()).collect();
    assert_eq!(there, [true, false, false, true, false]);
    switch.release(1);
    engine.ended(running).await;
    assert_eq!(engine.upkeep.prune().await.unwrap(), 1);
    assert!(!kept[0].0.exists());
    pool.end().await;
}

pub async fn what_cannot_be_removed_keeps_none_of_the_others(engine: Engine) {
    let files = &engine.services.files;
    let old = engine.now() - SignedDuration::from_hours(25);
    let export = engine.config.data_dir.join("files/exports/old.csv");
    std::fs::create_dir_all(export.parent().unwrap()).unwrap();
    for failing in ["expired_files", "find_file"] {
        File::create(&export).unwrap().set_modified(old.into()).unwrap();
        let scratch = files.scratch(None).await.unwrap();
        File::options().write(true).open(scratch.path()).unwrap().set_modified(old.into()).unwrap();
        engine.faults.fail(failing);
        engine.upkeep.prune_once().await.unwrap_err();
        assert_eq!((scratch.path().exists(), export.exists()), (false, failing == "find_file"), "{failing}");
        engine.faults.mend(failing);
    }
}

pub async fn exports_on_no_list_go_when_they_would_have_expired(engine: Engine) {
    let pool = engine.start_pool().await;
    let root = engine.config.data_dir.join("files");
    let expired = engine.now() - SignedDuration::from_hours(25);
    for (name, written) in [
        ("exports/old.csv", expired),
        ("exports/young.csv", engine.now()),
        ("reports/old.html", expired),
        ("images/old.jpg", expired),
    ] {
        std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        File::create(root.join(name)).unwrap().set_modified(written.into()).unwrap();
    }
    let actual = result_of(&engine, "files.prune", json!({})).await;
    assert_eq!(actual["unlisted"], json!(2), "{actual}");
    let left =
        ["exports/old.csv", "exports/young.csv", "reports/old.html", "images/old.jpg"].map(|name| root.join(name).exists());
    assert_eq!(left, [false, true, false, true]);
    pool.end().await;
}

pub async fn an_attempt_that_was_overtaken_keeps_no_file(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let task = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    let mut files = task_files(engine.services.files.clone(), task, engine.clock.clone());
    files.file_service = engine.files.clone();
    let export = path("exports/x.csv");
    let started_task = async |bytes: &[u8]| {
        let mut writer = files.create(export.clone(), "text/csv", None).await.unwrap();
        writer.write(bytes).await.unwrap();
        writer
    };
    let stalled = started_task(b"stalled").await;
    let row = started_task(b"good").await.finish().await.unwrap();
    let scratch = files.scratch().await.unwrap();
    switch.release(1);
    engine.ended(task).await;
    let late = [stalled.finish().await.unwrap_err(), files.publish(scratch, export.clone(), "text/csv", None).await.unwrap_err()];
    assert!(late.iter().all(|error| matches!(error, FileError::Overtaken(_))), "{late:?}");
    assert_eq!(files.storage().read(&export, 100).await.unwrap(), b"good");
    assert_eq!(files.file_service.find(&export).await.unwrap(), Some(row));
    assert_eq!(files.storage().old_scratch(jiff::Timestamp::MAX).await.unwrap(), []);
    pool.end().await;
}
