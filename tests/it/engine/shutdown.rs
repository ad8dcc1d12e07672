//! The end of a process in good order: what runs may finish, what does not is released, and costs nothing.

use std::time::Duration;

use legwork_engine::domain::TaskStatus;
use serde_json::json;

use crate::support::engine::{Engine, RunningPool, ann};
use crate::support::probe::Switch;

/// Runs what was released on another pool.
async fn goes_on(engine: &Engine, id: legwork_engine::domain::TaskId) {
    let row = engine.row(id).await;
    assert_eq!((row.status, row.attempt.0, row.retries_used, row.crashes), (TaskStatus::Pending, 1, 0, 0));
    assert_eq!(engine.attempts(id).await, [], "an attempt that was released leaves no trace but its number");
    let next = engine.start_pool().await;
    assert_eq!(engine.scheduler().dispatch_due().await.unwrap(), 1);
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts, status.retries), (TaskStatus::Success, 2, 0));
    assert_eq!(engine.attempts(id).await, [(2, "success")]);
    next.end().await;
}

/// Ends it and looks whether it has left.
async fn end(engine: &Engine, pool: RunningPool) {
    let name = pool.name.clone();
    let worker = pool.worker;
    pool.end().await;
    assert!(!engine.queue.workers(&ann()).await.unwrap().workers.contains_key(&*name), "it has left the list");
    assert_eq!(engine.queue.store().started_by(worker).await.unwrap(), [], "nothing is left STARTED");
}

pub async fn what_runs_may_finish_within_the_grace_time(engine: Engine) {
    let pool = engine.tuned(|config| config.worker.grace = Duration::from_secs(30)).start_pool().await;
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    pool.shutdown.start();
    switch.release(1);
    end(&engine, pool).await;
    let status = engine.status(id).await;
    assert_eq!((status.status, status.attempts), (TaskStatus::Success, 1));
    assert_eq!(switch.runs(), 1);
}

pub async fn what_does_not_finish_stops_is_released_and_runs_elsewhere(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["wait", "succeed"]))).await;
    switch.started().await;
    end(&engine, pool).await;
    goes_on(&engine, id).await;
    assert_eq!(switch.runs(), 2);
}

pub async fn a_deaf_task_is_ended_by_force_released_and_runs_elsewhere(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["deaf", "succeed"]))).await;
    switch.started().await;
    end(&engine, pool).await;
    goes_on(&engine, id).await;
    assert_eq!(switch.runs(), 2);
}

pub async fn a_start_that_is_under_way_is_waited_for(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let gate = engine.faults.hold("start");
    let id = engine.submit("test.probe", switch.args(&json!(["wait", "succeed"]))).await;
    gate.arrived().await;
    pool.shutdown.start();
    let ended = tokio::spawn({
        let engine = engine.clone();
        async move { end(&engine, pool).await }
    });
    gate.open();
    ended.await.unwrap();
    engine.faults.mend("start");
    goes_on(&engine, id).await;
    assert_eq!(switch.runs(), 2);
}

pub async fn a_pool_that_is_ending_fetches_nothing_more(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let running = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    pool.shutdown.start();
    let name = pool.name.clone();
    pool.end().await;
    let late = engine.submit("system.echo", json!({})).await;
    let next = engine.start_pool().await;
    assert_ne!(engine.ended(late).await.worker.as_deref(), Some(&*name));
    assert_eq!(engine.scheduler().dispatch_due().await.unwrap(), 1);
    switch.release(1);
    assert_eq!(engine.ended(running).await.status, TaskStatus::Success);
    next.end().await;
}
