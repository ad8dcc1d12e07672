//! A task runs: now, later, again.

use std::time::Duration;

use futures_util::future::join_all;
use legwork_engine::domain::{KindName, TaskStatus, WaitingReason};
use legwork_engine::queue::options::TaskOptions;
use legwork_engine::queue::submit::{SubmitError, SubmitKey, SubmitTask, canonical_hash};
use legwork_engine::store::SubmittedTask;
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::probe::Switch;
use crate::support::tasks;

pub async fn a_submitted_task_is_run_and_its_result_is_seen(engine: Engine) {
    let pool = engine.start_pool().await;
    let id = engine.submit("system.echo", json!({ "hello": "world" })).await;
    let status = engine.ended(id).await;
    assert_eq!(status.status, TaskStatus::Success);
    let result: serde_json::Value = serde_json::from_str(status.result.unwrap().get()).unwrap();
    assert_eq!(result, json!({ "success": true, "message": "echo", "hello": "world" }));
    assert_eq!(status.attempts, 1);
    pool.end().await;
}

pub async fn a_task_waits_for_its_time(engine: Engine) {
    let pool = engine.start_pool().await;
    let id = engine.submit_with("system.echo", json!({}), json!({ "countdown": 60 })).await;
    let scheduler = engine.scheduler();
    engine.clock.advance(Duration::from_secs(59));
    assert_eq!(scheduler.dispatch_due().await.unwrap(), 0);
    let waiting = engine.status(id).await;
    assert_eq!(waiting.status, TaskStatus::Pending);
    assert_eq!(waiting.waiting_for.unwrap().reason, WaitingReason::Time);
    engine.clock.advance(Duration::from_secs(1));
    assert_eq!(scheduler.dispatch_due().await.unwrap(), 1);
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn a_failed_attempt_is_retried_after_its_delay_until_none_is_left(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["retry"]))).await;
    let scheduler = engine.scheduler();
    for retry in 0..3_u32 {
        switch.started().await;
        let status = engine.settled(id).await;
        assert_eq!(status.status, TaskStatus::Retry);
        let delay = status.due_at.duration_since(engine.now()).as_secs_f64();
        let expected = f64::from(60 * 2_u32.pow(retry));
        assert!((expected * 0.9..=expected * 1.1).contains(&delay), "retry {retry} after {delay} s");
        engine.clock.advance(Duration::from_secs_f64(delay + 1.0));
        assert_eq!(scheduler.dispatch_due().await.unwrap(), 1);
    }
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts, status.retries), (TaskStatus::Failure, 4, 3));
    assert_eq!(status.error.unwrap().kind, "ProbeError");
    pool.end().await;
}

pub async fn every_attempt_is_listed_with_its_end_and_its_error(engine: Engine) {
    let pool = engine.start_pool().await;
    let (scheduler, switch) = (engine.scheduler(), Switch::new());
    let id = engine.submit("test.probe", switch.args(&json!(["retry", "succeed"]))).await;
    assert_eq!(engine.settled(id).await.status, TaskStatus::Retry);
    engine.pass_delay(&scheduler, id).await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    let detail = engine.detail(id).await;
    let first = &detail.attempt_log[0];
    assert_eq!((first.attempt, first.outcome, first.worker.as_str()), (1, "retry", &*pool.name));
    assert_eq!(first.error.as_ref().unwrap().kind, "ProbeError");
    assert_eq!(engine.attempts(id).await, [(1, "retry"), (2, "success")]);
    assert_eq!(switch.runs(), 2);
    pool.end().await;
}

pub async fn a_retry_waits_as_long_as_the_other_side_asked_for(engine: Engine) {
    let pool = engine.start_pool().await;
    let (scheduler, switch) = (engine.scheduler(), Switch::new());
    let id = engine.submit("test.probe", switch.args(&json!([{ "retry_after": 600 }, "succeed"]))).await;
    let status = engine.settled(id).await;
    assert_eq!(status.due_at, engine.now() + Duration::from_mins(10));
    engine.clock.advance(Duration::from_secs(599));
    assert_eq!(scheduler.dispatch_due().await.unwrap(), 0);
    engine.clock.advance(Duration::from_secs(1));
    assert_eq!(scheduler.dispatch_due().await.unwrap(), 1);
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(switch.runs(), 2);
    pool.end().await;
}

pub async fn what_no_retry_can_mend_fails_at_once(engine: Engine) {
    let pool = engine.start_pool().await;
    for (plan, options, error) in [
        (json!(["fail"]), json!({}), "ProbeError"),
        (json!(["retry"]), json!({ "max_retries": 0 }), "ProbeError"),
        (json!([{ "return": 300_000 }]), json!({}), "ResultTooLarge"),
    ] {
        let switch = Switch::new();
        let id = engine.submit_with("test.probe", switch.args(&plan), options).await;
        let status = engine.ended(id).await;
        assert_eq!((status.status, status.attempts, status.retries), (TaskStatus::Failure, 1, 0), "{plan}");
        assert_eq!(status.error.unwrap().kind, error, "{plan}");
        assert!(status.result.is_none(), "{plan}");
        assert_eq!(engine.attempts(id).await, [(1, "failure")], "{plan}");
        assert_eq!(switch.runs(), 1, "{plan}");
    }
    pool.end().await;
}

pub async fn a_panic_ends_its_attempt_and_not_the_pool(engine: Engine) {
    let pool = engine.start_pool().await;
    let (scheduler, switch) = (engine.scheduler(), Switch::new());
    let id = engine.submit("test.probe", switch.args(&json!(["panic", "succeed"]))).await;
    let status = engine.settled(id).await;
    let error = status.error.unwrap();
    assert_eq!((status.status, error.kind.as_str(), error.message.as_str()), (TaskStatus::Retry, "Panic", "as planned"));
    engine.pass_delay(&scheduler, id).await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn what_this_version_cannot_run_is_released_and_costs_nothing(engine: Engine) {
    let switch = Switch::new();
    let unknown = engine.submit("test.probe", switch.args(&json!(["succeed"]))).await;
    let mut unreadable = tasks::task(0);
    unreadable.args = r#"{"seconds":"a while"}"#.into();
    unreadable.kind = KindName::parse("system.sleep").unwrap();
    let newer = unreadable.id;
    let submitted = SubmittedTask { task: unreadable, dispatched: false, key: None };
    engine.ground().store.insert(&[submitted]).await.unwrap();
    engine.note_accepted(newer);

    let older = engine.older().start_pool().await;
    engine.scheduler().dispatch_due().await.unwrap();
    for id in [unknown, newer] {
        let status = engine.settled(id).await;
        assert_eq!((status.status, status.attempts, status.retries), (TaskStatus::Pending, 1, 0));
        assert_eq!(status.due_at, engine.now() + Duration::from_secs(30));
        assert_eq!(engine.attempts(id).await, []);
    }
    older.end().await;

    let pool = engine.start_pool().await;
    engine.pass_delay(&engine.scheduler(), unknown).await;
    let status = engine.ended(unknown).await;
    assert_eq!((status.status, status.attempts, status.retries), (TaskStatus::Success, 2, 0));
    assert_eq!(switch.runs(), 1);
    pool.end().await;
}

pub async fn what_nobody_can_run_fails_in_the_end(engine: Engine) {
    let scheduler = engine.scheduler();
    let id = engine.submit("test.probe", Switch::new().args(&json!(["succeed"]))).await;
    let older = engine.older().start_pool().await;
    for attempt in 1..100 {
        engine.row_when(id, |row| row.attempt.0 == attempt && row.status == TaskStatus::Pending).await;
        engine.pass_delay(&scheduler, id).await;
    }
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts, status.retries), (TaskStatus::Failure, 100, 0));
    assert_eq!(status.error.unwrap().kind, "UnknownKind");
    older.end().await;
}

pub async fn an_expired_task_is_not_started(engine: Engine) {
    let switch = Switch::new();
    let args = || switch.args(&json!(["succeed"]));
    let swept = engine.submit_with("test.probe", args(), json!({ "expires": 10, "countdown": 5 })).await;
    let dispatched = engine.submit_with("test.probe", args(), json!({ "expires": 20 })).await;
    let scheduler = engine.scheduler();
    engine.clock.advance(Duration::from_secs(9));
    assert_eq!(scheduler.expire().await.unwrap(), 0);
    engine.clock.advance(Duration::from_secs(2));
    assert_eq!(scheduler.expire().await.unwrap(), 1, "the sweep ends what nobody has come across");
    engine.clock.advance(Duration::from_secs(10));
    let pool = engine.start_pool().await;
    for id in [swept, dispatched] {
        let status = engine.ended(id).await;
        assert_eq!((status.status, status.reason.as_deref(), status.attempts), (TaskStatus::Revoked, Some("expired"), 0));
    }
    assert_eq!(scheduler.expire().await.unwrap(), 0, "the start has ended the other one");
    assert_eq!(switch.runs(), 0);
    pool.end().await;
}

pub async fn equal_submissions_with_one_key_make_one_task(engine: Engine) {
    let command = |args: &str| SubmitTask {
        kind: "system.echo".into(),
        args: args.into(),
        args_pointer: "/args",
        options: TaskOptions::default(),
        principal: "ann".into(),
        internal: false,
        key: Some(SubmitKey { scope: "/tasks".into(), key: "one".into(), body_hash: canonical_hash(args.as_bytes()) }),
    };
    let submitted = join_all((0..50).map(|_| engine.command(command(r#"{"n":1}"#)))).await;
    let submitted: Vec<_> = submitted.into_iter().map(Result::unwrap).collect();
    assert_eq!(submitted.iter().filter(|one| !one.replayed).count(), 1);
    assert!(submitted.iter().all(|one| one.id == submitted[0].id));
    let other = engine.command(command(r#"{"n":2}"#)).await;
    assert!(matches!(other, Err(SubmitError::KeyReused)), "{other:?}");
    assert_eq!(engine.broker.published(), 1);
}
