//! Queues: paused, purged, limited, urgent, served by some.

use std::time::Duration;

use legwork_engine::domain::{QueueName, TaskId, TaskStatus, WaitingReason};
use legwork_engine::queue::submit::SubmitError;
use legwork_engine::store::{QueueChange, WorkerCommand};
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::probe::Switch;

fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap()
}

async fn pause(engine: &Engine, name: &str, paused: bool) {
    let change = QueueChange { paused: Some(paused), ..QueueChange::default() };
    engine.queue.change_queue(&queue(name), &change).await.unwrap();
}

async fn limit(engine: &Engine, name: &str, limit: Option<u32>) {
    let change = QueueChange { concurrency: Some(limit), ..QueueChange::default() };
    engine.queue.change_queue(&queue(name), &change).await.unwrap();
}

async fn probe_in(engine: &Engine, switch: &Switch, name: &str, step: &str) -> TaskId {
    engine.submit_with("test.probe", switch.args(&json!([step])), json!({ "queue": name })).await
}

pub async fn a_paused_queue_runs_nothing_until_it_is_resumed(engine: Engine) {
    let engine = engine.tuned(|config| config.worker.concurrency = 1);
    let switch = Switch::new();
    pause(&engine, "quiet", true).await;
    let pool = engine.start_pool().await;
    let id = probe_in(&engine, &switch, "quiet", "succeed").await;
    let elsewhere = engine.submit("system.echo", json!({})).await;
    assert_eq!(engine.ended(elsewhere).await.status, TaskStatus::Success);
    let waiting = engine.status(id).await;
    assert_eq!((waiting.status, waiting.waiting_for.unwrap().reason), (TaskStatus::Pending, WaitingReason::Paused));
    assert_eq!(engine.scheduler().redispatch_lost().await.unwrap(), 0);
    assert_eq!(switch.runs(), 0);
    pause(&engine, "quiet", false).await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(switch.runs(), 1);
    pool.end().await;
}

pub async fn a_delivery_in_flight_when_its_queue_is_paused_is_postponed(engine: Engine) {
    let switch = Switch::new();
    let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
    let gate = engine.faults.hold("start");
    let id = probe_in(&engine, &switch, "default", "succeed").await;
    gate.arrived().await;
    pause(&engine, "default", true).await;
    gate.open();
    engine.faults.mend("start");
    assert!(pool.pool.running().empty_within(crate::support::engine::PATIENCE).await);
    let row = engine.row(id).await;
    assert_eq!((row.status, row.attempt.0, switch.runs()), (TaskStatus::Pending, 0, 0));
    pause(&engine, "default", false).await;
    engine.clock.advance(Duration::from_secs(1));
    assert_eq!(scheduler.dispatch_due().await.unwrap(), 1);
    assert_eq!((engine.ended(id).await.attempts, switch.runs()), (1, 1));
    pool.end().await;
}

pub async fn a_purge_ends_what_waits_and_leaves_what_runs(engine: Engine) {
    let engine = engine.tuned(|config| config.worker.concurrency = 1);
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let running = probe_in(&engine, &switch, "default", "wait").await;
    switch.started().await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(probe_in(&engine, &switch, "default", "succeed").await);
    }
    waiting.push(engine.submit_with("system.echo", json!({}), json!({ "countdown": 3600 })).await);
    let elsewhere = probe_in(&engine, &switch, "other", "succeed").await;
    assert_eq!(engine.queue.purge(&queue("default")).await.unwrap(), 4);
    for id in waiting {
        let status = engine.status(id).await;
        assert_eq!((status.status, status.reason.as_deref(), status.attempts), (TaskStatus::Revoked, Some("purged"), 0));
    }
    switch.release(2);
    assert_eq!(engine.ended(running).await.status, TaskStatus::Success);
    assert_eq!(engine.ended(elsewhere).await.status, TaskStatus::Success);
    assert_eq!(switch.runs(), 2);
    pool.end().await;
}

pub async fn no_more_tasks_of_a_queue_run_at_once_than_its_limits_allow(engine: Engine) {
    for (own, shared) in [(Some(2), None), (None, Some(2)), (Some(2), Some(5)), (Some(5), Some(2))] {
        let engine = engine.tuned(|config| config.worker.queue_concurrency.extend(own.map(|own| (queue("heavy"), own))));
        limit(&engine, "heavy", shared).await;
        let pool = engine.start_pool().await;
        let switch = Switch::new();
        let mut ids = Vec::new();
        for _ in 0..6 {
            ids.push(probe_in(&engine, &switch, "heavy", "wait").await);
        }
        switch.started().await;
        switch.started().await;
        let other = engine.submit("system.echo", json!({})).await;
        assert_eq!(engine.ended(other).await.status, TaskStatus::Success, "other queues go on");
        switch.release(6);
        for id in ids {
            assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
        }
        assert_eq!((switch.most_at_once(), switch.runs()), (2, 6), "{own:?} {shared:?}");
        pool.end().await;
    }
}

pub async fn a_limit_that_is_lifted_lets_the_others_run_at_once(engine: Engine) {
    limit(&engine, "heavy", Some(1)).await;
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let first = probe_in(&engine, &switch, "heavy", "wait").await;
    let second = probe_in(&engine, &switch, "heavy", "wait").await;
    switch.started().await;
    limit(&engine, "heavy", None).await;
    switch.started().await;
    assert_eq!(switch.most_at_once(), 2);
    switch.release(2);
    engine.ended(first).await;
    engine.ended(second).await;
    pool.end().await;
}

pub async fn the_urgent_go_first_and_one_in_ten_is_of_a_lower_band(engine: Engine) {
    let engine = engine.tuned(|config| config.worker.concurrency = 1);
    let switch = Switch::new();
    let mut by_priority = [Vec::new(), Vec::new()];
    for (group, priority, count) in [(0, 1, 3), (1, 9, 30)] {
        for _ in 0..count {
            let options = json!({ "priority": priority });
            by_priority[group].push(engine.submit_with("test.probe", switch.args(&json!(["succeed"])), options).await);
        }
    }
    let pool = engine.start_pool().await;
    engine.all_ended().await;
    let [low, high] = by_priority;
    let order = switch.order();
    assert_eq!(order.iter().filter(|id| high.contains(id)).copied().collect::<Vec<_>>(), high, "the oldest of a band first");
    assert_eq!(order.iter().filter(|id| low.contains(id)).copied().collect::<Vec<_>>(), low);
    for ten in order[..30].chunks(10) {
        assert_eq!(ten.iter().filter(|id| low.contains(id)).count(), 1, "one slot in ten is for a lower band");
    }
    pool.end().await;
}

pub async fn where_there_are_too_many_queues_those_that_exist_go_on(engine: Engine) {
    let there: Vec<QueueName> = (0..1_000).map(|number| queue(&format!("q{number}"))).collect();
    engine.ground().store.ensure_queues(&there, engine.now()).await.unwrap();
    let process = engine.another();
    let into = async |name: &str| process.try_submit("system.echo", json!({}), json!({ "queue": name })).await;
    assert!(into("q5").await.is_ok());
    assert!(into("q999").await.is_ok());
    match into("one.more").await {
        Err(SubmitError::Invalid(field_errors)) => assert_eq!(field_errors[0].pointer, "/queue"),
        other => panic!("{other:?}"),
    }
}

pub async fn a_pool_that_serves_one_queue_leaves_the_others_to_others(engine: Engine) {
    let only_a = engine.tuned(|config| {
        config.worker.queues = vec![queue("a")];
        config.worker.concurrency = 1;
    });
    let switch = Switch::new();
    let left = probe_in(&engine, &switch, "b", "succeed").await;
    let pool = only_a.start_pool().await;
    let taken = probe_in(&engine, &switch, "a", "succeed").await;
    assert_eq!(engine.ended(taken).await.status, TaskStatus::Success);
    let status = engine.status(left).await;
    assert_eq!((status.status, status.waiting_for.unwrap().reason), (TaskStatus::Pending, WaitingReason::NoWorker));
    let all = engine.start_pool().await;
    assert_eq!(engine.ended(left).await.worker.as_deref(), Some(&*all.name));
    pool.end().await;
    all.end().await;
}

pub async fn a_drained_worker_finishes_what_runs_and_fetches_nothing_more(engine: Engine) {
    let switch = Switch::new();
    let mut drained = engine.start_pool().await;
    let running = probe_in(&engine, &switch, "default", "wait").await;
    switch.started().await;
    assert!(engine.queue.command_worker(&drained.name, WorkerCommand::Drain).await.unwrap());
    drained.heartbeat().await;
    drained.heartbeat().await;
    assert!(drained.pool.is_draining());
    let next = engine.start_pool().await;
    for _ in 0..10 {
        let id = engine.submit("system.echo", json!({})).await;
        assert_eq!(engine.ended(id).await.worker.as_deref(), Some(&*next.name));
    }
    switch.release(1);
    let status = engine.ended(running).await;
    assert_eq!((status.status, status.worker.as_deref()), (TaskStatus::Success, Some(&*drained.name)));
    assert!(!engine.queue.command_worker("nobody", WorkerCommand::Drain).await.unwrap());
    drained.end().await;
    next.end().await;
}
