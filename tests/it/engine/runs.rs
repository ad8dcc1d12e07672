//! A task runs: now, later, again.

use std::time::Duration;

use legwork::domain::{TaskStatus, WaitingReason};
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::probe::Switch;

pub async fn a_submitted_task_is_run_and_its_result_is_seen(engine: Engine) {
    let pool = engine.start_pool();
    let id = engine.submit("system.echo", json!({ "hello": "world" })).await;
    let status = engine.ended(id).await;
    assert_eq!(status.status, TaskStatus::Success);
    let result: serde_json::Value = serde_json::from_str(status.result.unwrap().get()).unwrap();
    assert_eq!(result, json!({ "success": true, "message": "echo", "hello": "world" }));
    assert_eq!(status.attempts, 1);
    pool.end().await;
}

pub async fn a_task_waits_for_its_time(engine: Engine) {
    let pool = engine.start_pool();
    let id = engine.submit_with("system.echo", json!({}), json!({ "countdown": 60 })).await;
    let scheduler = engine.scheduler();
    engine.clock.advance(Duration::from_secs(59));
    assert_eq!(scheduler.relay().await.unwrap(), 0);
    let waiting = engine.status(id).await;
    assert_eq!(waiting.status, TaskStatus::Pending);
    assert_eq!(waiting.waiting_for.unwrap().reason, WaitingReason::Time);
    engine.clock.advance(Duration::from_secs(1));
    assert_eq!(scheduler.relay().await.unwrap(), 1);
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn a_failed_attempt_is_retried_after_its_delay_until_none_is_left(engine: Engine) {
    let pool = engine.start_pool();
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
        assert_eq!(scheduler.relay().await.unwrap(), 1);
    }
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts, status.retries), (TaskStatus::Failure, 4, 3));
    assert_eq!(status.error.unwrap().kind, "ProbeError");
    pool.end().await;
}
