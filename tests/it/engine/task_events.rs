//! Events: long polls, live states, and what a waiting task says that it waits for.

use std::time::Duration;

use legwork_engine::domain::{QueueName, TaskId, TaskStatus, WaitingReason};
use legwork_engine::queue::event_hub::TaskEvent;
use legwork_engine::store::QueueChange;
use serde_json::json;

use crate::support::engine::{Engine, PATIENCE, ann};
use crate::support::probe::Switch;

pub async fn a_wait_returns_with_the_end_and_looks_twice(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    let api = engine.another();
    let first_look = api.faults.hold("find");
    let waited = tokio::spawn({
        let api = api.clone();
        async move { api.queue.wait(id, PATIENCE, &ann()).await.unwrap().unwrap() }
    });
    first_look.arrived().await;
    first_look.open();
    switch.release(1);
    let status = waited.await.unwrap();
    assert_eq!(status.status, TaskStatus::Success);
    assert!(api.faults.calls("find") <= 2, "it looked {} times", api.faults.calls("find"));
    pool.end().await;
}

pub async fn a_wait_that_is_over_returns_the_present_state(engine: Engine) {
    let id = engine.submit("system.echo", json!({})).await;
    for wait in [Duration::ZERO, Duration::from_millis(20)] {
        let status = engine.queue.wait(id, wait, &ann()).await.unwrap().unwrap();
        assert_eq!((status.status, status.ready, status.successful), (TaskStatus::Pending, false, None));
    }
    let unknown = TaskId::made(engine.now());
    assert!(engine.queue.wait(unknown, PATIENCE, &ann()).await.unwrap().is_none());
}

pub async fn a_wait_sees_an_end_whose_signal_was_lost(engine: Engine) {
    let switch = Switch::new();
    let elsewhere = engine.another();
    let pool = elsewhere.start_pool().await;
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    elsewhere.broker.take_away();
    switch.release(1);
    let status = engine.queue.wait(id, PATIENCE, &ann()).await.unwrap().unwrap();
    assert_eq!(status.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn a_watcher_hears_every_state_and_the_progress_in_order(engine: Engine) {
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["progress"]))).await;
    let mut watch = engine.queue.subscribe(id);
    let pool = engine.start_pool().await;
    let mut heard = Vec::new();
    while heard.last() != Some(&TaskEvent::Changed(TaskStatus::Success)) {
        let task_event =
            tokio::time::timeout(PATIENCE, watch.next()).await.expect("there is task_event").expect("none was missed");
        // What is told here and by the broker is heard twice.
        if heard.last() != Some(&task_event) && !heard.contains(&task_event) {
            if matches!(task_event, TaskEvent::Progress(_)) {
                switch.release(1);
            }
            heard.push(task_event);
        }
    }
    let words: Vec<&str> = heard
        .iter()
        .map(|task_event| match task_event {
            TaskEvent::Changed(status) => status.as_str(),
            TaskEvent::Progress(progress) => progress.message.as_deref().unwrap(),
        })
        .collect();
    assert_eq!(words, ["STARTED", "half way", "SUCCESS"]);
    pool.end().await;
}

async fn waits_for(engine: &Engine, id: TaskId) -> (WaitingReason, Option<jiff::Timestamp>) {
    // The image of queues and workers is kept for a second.
    engine.clock.advance(Duration::from_secs(1));
    let waiting = engine.status(id).await.waiting_for.unwrap();
    (waiting.reason, waiting.until)
}

pub async fn a_waiting_task_says_what_it_waits_for(engine: Engine) {
    let engine = engine.tuned(|config| config.worker.concurrency = 1);
    let queue = QueueName::parse("default").unwrap();
    let switch = Switch::new();
    let timed = engine.submit_with("system.echo", json!({}), json!({ "countdown": 600 })).await;
    let at = engine.now() + Duration::from_mins(10);
    assert_eq!(waits_for(&engine, timed).await, (WaitingReason::Time, Some(at)));
    let due = engine.submit("test.probe", switch.args(&json!(["retry", "wait"]))).await;
    assert_eq!(waits_for(&engine, due).await, (WaitingReason::NoWorker, None));
    let mut pool = engine.start_pool().await;
    let retried = engine.settled(due).await;
    assert_eq!(waits_for(&engine, due).await, (WaitingReason::Retry, Some(retried.due_at)));
    engine.pass_delay(&engine.scheduler(), due).await;
    pool.heartbeat().await;
    switch.started().await;
    switch.started().await;
    assert!(engine.status(due).await.waiting_for.is_none(), "what runs does not wait");
    let next = engine.submit("system.echo", json!({})).await;
    assert_eq!(waits_for(&engine, next).await, (WaitingReason::Turn, None));
    let limit = QueueChange { concurrency: Some(Some(1)), ..QueueChange::default() };
    engine.queue.change_queue(&queue, &limit).await.unwrap();
    assert_eq!(waits_for(&engine, next).await, (WaitingReason::Concurrency, None));
    let pause = QueueChange { paused: Some(true), ..QueueChange::default() };
    engine.queue.change_queue(&queue, &pause).await.unwrap();
    assert_eq!(waits_for(&engine, next).await, (WaitingReason::Paused, None));
    switch.release(1);
    engine.ended(due).await;
    pool.end().await;
}
