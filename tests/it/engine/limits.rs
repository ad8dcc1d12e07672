//! Time limits: the soft one asks, the hard one ends, and a sweep ends what was forgotten.

use std::time::Duration;

use legwork_engine::domain::{TaskStatus, WaitingReason};
use serde_json::json;

use super::PATIENCE;
use crate::support::engine::Engine;
use crate::support::probe::Switch;

pub async fn the_hard_limit_ends_a_deaf_task_for_good_and_its_worker_lives_on(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let id = engine.submit_with("test.probe", switch.args(&json!(["deaf"])), json!({ "time_limit": 0.05 })).await;
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts, status.retries), (TaskStatus::Failure, 1, 0));
    let error = status.error.unwrap();
    assert_eq!((error.kind.as_str(), error.retryable), ("TimeLimitExceeded", false));
    let next = engine.submit("system.echo", json!({})).await;
    assert_eq!(engine.ended(next).await.worker.as_deref(), Some(&*pool.name));
    assert_eq!(switch.runs(), 1);
    pool.end().await;
}

pub async fn the_soft_limit_asks_and_the_task_is_tried_again(engine: Engine) {
    let pool = engine.start_pool().await;
    let (scheduler, switch) = (engine.scheduler(), Switch::new());
    let limits = json!({ "soft_time_limit": 0.05, "time_limit": 60 });
    let id = engine.submit_with("test.probe", switch.args(&json!(["wait", "succeed"])), limits).await;
    let status = engine.settled(id).await;
    assert_eq!((status.status, status.retries), (TaskStatus::Retry, 1));
    assert_eq!(status.error.unwrap().kind, "SoftTimeLimitExceeded");
    engine.pass_delay(&scheduler, id).await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(switch.runs(), 2);
    pool.end().await;
}

pub async fn the_sweep_ends_what_runs_past_its_limit_and_nobody_ended(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let id = engine.submit_with("test.probe", switch.args(&json!(["deaf"])), json!({ "time_limit": 60 })).await;
    switch.started().await;
    let (grace, start) = (Duration::from_secs(30), engine.now());
    engine.clock.advance(Duration::from_secs(89));
    assert_eq!(engine.queue.overrun_once(grace, start).await.unwrap(), 0);
    engine.clock.advance(Duration::from_secs(2));
    // Who has seen less of it cannot tell a long run from a clock that was set.
    assert_eq!(engine.queue.overrun_once(grace, start + Duration::from_secs(2)).await.unwrap(), 0);
    assert_eq!(engine.queue.overrun_once(grace, start).await.unwrap(), 1);
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.error.unwrap().kind.as_str()), (TaskStatus::Failure, "TimeLimitExceeded"));
    switch.release(1);
    assert!(pool.pool.running().empty_within(PATIENCE).await);
    assert_eq!(engine.status(id).await.status, TaskStatus::Failure, "what comes too late changes nothing");
    pool.end().await;
}

pub async fn a_rate_limit_holds_over_all_workers_and_holds_up_nobody_else(engine: Engine) {
    let (scheduler, switch) = (engine.scheduler(), Switch::new());
    let pools = [engine.start_pool().await, engine.another().start_pool().await, engine.another().start_pool().await];
    let mut ids = Vec::new();
    for _ in 0..25 {
        ids.push(engine.submit("test.limited", switch.args(&json!(["succeed"]))).await);
    }
    let other = engine.submit("system.echo", json!({})).await;
    assert_eq!(engine.ended(other).await.status, TaskStatus::Success);
    let mut waiting = Vec::new();
    for id in &ids {
        let row = engine.row_when(*id, |row| row.ended_at.is_some() || row.limited_until.is_some()).await;
        waiting.extend(row.limited_until.map(|slot| (slot, *id)));
    }
    assert_eq!((switch.runs(), waiting.len()), (10, 15));
    waiting.sort_unstable();
    for (slot, id) in waiting {
        let waits = engine.status(id).await.waiting_for.unwrap();
        assert_eq!((waits.reason, waits.until), (WaitingReason::Limit, Some(slot)));
        engine.clock.advance(slot.duration_since(engine.now()).unsigned_abs());
        assert_eq!(scheduler.dispatch_due().await.unwrap(), 1);
        assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    }
    let mut starts = Vec::new();
    for id in ids {
        starts.extend(engine.row(id).await.started_at);
    }
    starts.sort_unstable();
    for eleven in starts.windows(11) {
        assert!(eleven[10].duration_since(eleven[0]).as_secs() >= 60, "{eleven:?}");
    }
    for pool in pools {
        pool.end().await;
    }
}
