//! Revokes, retries by hand and changes: what users do to a task, in every state that it can be in.

use std::time::Duration;

use futures_util::future::join_all;
use legwork_engine::domain::{QueueName, TaskId, TaskStatus};
use legwork_engine::queue::control::{ControlError, Revoked};
use legwork_engine::store::TaskChange;
use serde_json::{Value, json};

use crate::support::engine::{Engine, ann};
use crate::support::probe::Switch;

async fn revoke(engine: &Engine, id: TaskId, terminate: bool) -> Result<Revoked, ControlError> {
    engine.queue.revoke(id, terminate, &ann()).await
}

async fn is_revoked(engine: &Engine, id: TaskId) {
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.reason.as_deref()), (TaskStatus::Revoked, Some("revoked")), "{status:?}");
}

/// Runs a task to its end on a pool with one slot: what was dispatched before has been looked at then.
async fn marker(engine: &Engine) {
    let id = engine.submit_with("system.echo", json!({}), json!({ "priority": 4 })).await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
}

pub async fn a_waiting_task_is_revoked_at_once_and_its_dispatch_starts_nothing(engine: Engine) {
    let engine = engine.tuned(|config| config.worker.concurrency = 1);
    let switch = Switch::new();
    let due = engine.submit("test.probe", switch.args(&json!(["succeed"]))).await;
    let scheduled = engine.submit_with("test.probe", switch.args(&json!(["succeed"])), json!({ "countdown": 60 })).await;
    for id in [due, scheduled] {
        assert_eq!(revoke(&engine, id, false).await.unwrap(), Revoked::Revoked);
        is_revoked(&engine, id).await;
        assert_eq!(engine.attempts(id).await, []);
    }
    engine.clock.advance(Duration::from_secs(61));
    assert_eq!(engine.scheduler().dispatch_due().await.unwrap(), 0);
    let pool = engine.start_pool().await;
    marker(&engine).await;
    assert_eq!(switch.runs(), 0);
    pool.end().await;
}

pub async fn a_task_that_waits_for_its_retry_is_revoked_at_once(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["retry"]))).await;
    assert_eq!(engine.settled(id).await.status, TaskStatus::Retry);
    assert_eq!(revoke(&engine, id, false).await.unwrap(), Revoked::Revoked);
    is_revoked(&engine, id).await;
    engine.clock.advance(Duration::from_hours(1));
    assert_eq!(engine.scheduler().dispatch_due().await.unwrap(), 0);
    assert_eq!(engine.attempts(id).await[0], (1, "retry"));
    assert_eq!(switch.runs(), 1);
    pool.end().await;
}

pub async fn a_running_task_stops_at_its_next_checkpoint(engine: Engine) {
    let pool = engine.start_pool().await;
    let (switch, neighbour) = (Switch::new(), Switch::new());
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    let other = engine.submit("test.probe", neighbour.args(&json!(["wait"]))).await;
    tokio::join!(switch.started(), neighbour.started());
    let deadline = engine.now() + Duration::from_secs(30);
    assert_eq!(revoke(&engine, id, false).await.unwrap(), Revoked::Revoking { deadline });
    is_revoked(&engine, id).await;
    assert_eq!(engine.attempts(id).await, [(1, "revoked")]);
    neighbour.release(1);
    assert_eq!(engine.ended(other).await.status, TaskStatus::Success, "its neighbour is not touched");
    assert_eq!(switch.runs(), 1);
    pool.end().await;
}

pub async fn a_deaf_task_is_stopped_at_once_with_terminate_and_its_worker_lives_on(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["deaf"]))).await;
    switch.started().await;
    let first = revoke(&engine, id, false).await.unwrap();
    engine.clock.advance(Duration::from_secs(7));
    assert_eq!(revoke(&engine, id, false).await.unwrap(), first, "the first request counts");
    let deadline = engine.now() + Duration::from_secs(1);
    assert_eq!(revoke(&engine, id, true).await.unwrap(), Revoked::Revoking { deadline });
    is_revoked(&engine, id).await;
    let again = revoke(&engine, id, true).await;
    assert!(matches!(again, Err(ControlError::Ended(TaskStatus::Revoked))), "{again:?}");
    let next = engine.submit("system.echo", json!({})).await;
    assert_eq!(engine.ended(next).await.worker.as_deref(), Some(&*pool.name));
    pool.end().await;
}

pub async fn no_retry_follows_a_revoke_but_a_success_that_came_first_stays(engine: Engine) {
    let pool = engine.start_pool().await;
    for (step, expected) in [("deaf_retry", TaskStatus::Revoked), ("deaf", TaskStatus::Success)] {
        let switch = Switch::new();
        let id = engine.submit("test.probe", switch.args(&json!([step]))).await;
        switch.started().await;
        assert!(matches!(revoke(&engine, id, false).await.unwrap(), Revoked::Revoking { .. }));
        switch.release(1);
        let status = engine.ended(id).await;
        assert_eq!((status.status, status.retries), (expected, 0), "{step}");
        assert_eq!(status.result.is_some(), expected == TaskStatus::Success);
        assert_eq!(switch.runs(), 1);
    }
    pool.end().await;
}

pub async fn a_revoke_whose_signal_was_lost_is_found_by_the_next_heartbeat(engine: Engine) {
    let mut pool = engine.start_pool().await;
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    let api = engine.another();
    api.broker.take_away();
    assert!(matches!(revoke(&api, id, false).await.unwrap(), Revoked::Revoking { .. }));
    assert_eq!(engine.status(id).await.status, TaskStatus::Started);
    pool.heartbeat().await;
    is_revoked(&engine, id).await;
    pool.end().await;
}

pub async fn a_revoke_survives_the_death_of_everybody_who_knew_of_it(engine: Engine) {
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["deaf"]))).await;
    let doomed = engine.another().start_pool().await;
    switch.started().await;
    let api = engine.another();
    api.broker.take_away();
    revoke(&api, id, false).await.unwrap();
    doomed.kill();
    assert_eq!(engine.scheduler().rescue_all().await.unwrap(), 1);
    is_revoked(&engine, id).await;
    let pool = engine.start_pool().await;
    assert_eq!(engine.scheduler().dispatch_due().await.unwrap(), 0);
    marker(&engine).await;
    assert_eq!(switch.runs(), 1, "it is not run again");
    pool.end().await;
}

pub async fn revokes_that_race_with_the_ends_leave_one_end_each(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let args = switch.args(&json!(["succeed"]));
    let ids = join_all((0..200).map(|_| engine.submit("test.probe", args.clone()))).await;
    let answers = join_all(ids.iter().map(|id| revoke(&engine, *id, true))).await;
    let mut started_task = 0;
    for (id, answer) in ids.into_iter().zip(answers) {
        let status = engine.ended(id).await;
        let is_as_told = match answer {
            Ok(Revoked::Revoked) => status.status == TaskStatus::Revoked && status.attempts == 0,
            Ok(Revoked::Revoking { .. }) => matches!(status.status, TaskStatus::Revoked | TaskStatus::Success),
            Err(ControlError::Ended(actual)) => status.status == actual,
            Err(_) => false,
        };
        assert!(is_as_told, "{answer:?}, but {status:?}");
        started_task += usize::try_from(status.attempts).unwrap();
    }
    assert!(switch.runs() <= started_task, "{} ran, {started_task} were started", switch.runs());
    pool.end().await;
}

pub async fn a_retry_by_hand_is_a_new_task_made_once_of_one_that_ended_badly(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let failed = engine.submit_with("test.probe", switch.args(&json!(["fail", "succeed"])), json!({ "priority": 7 })).await;
    engine.ended(failed).await;
    let retry = engine.queue.retry(failed, &ann()).await.unwrap().id;
    engine.note_accepted(retry);
    let status = engine.ended(retry).await;
    assert_eq!((status.status, status.retry_of, status.priority), (TaskStatus::Success, Some(failed), 7));
    let first = engine.status(failed).await;
    assert_eq!((first.status, first.retried_as), (TaskStatus::Failure, Some(retry)));
    let again = engine.queue.retry(failed, &ann()).await;
    assert!(matches!(again, Err(ControlError::AlreadyRetried(id)) if id == retry), "{again:?}");
    let of_success = engine.queue.retry(retry, &ann()).await;
    assert!(matches!(of_success, Err(ControlError::NotRetryable(TaskStatus::Success))), "{of_success:?}");
    let waiting = engine.submit_with("system.echo", json!({}), json!({ "countdown": 60 })).await;
    let of_waiting = engine.queue.retry(waiting, &ann()).await;
    assert!(matches!(of_waiting, Err(ControlError::NotRetryable(TaskStatus::Pending))), "{of_waiting:?}");
    revoke(&engine, waiting, false).await.unwrap();
    let revived = engine.queue.retry(waiting, &ann()).await.unwrap().id;
    engine.note_accepted(revived);
    assert_eq!(engine.ended(revived).await.status, TaskStatus::Success);
    assert_eq!(switch.runs(), 2);
    pool.end().await;
}

pub async fn a_changed_task_moves_and_its_old_dispatch_starts_nothing(engine: Engine) {
    let engine = engine.tuned(|config| config.worker.concurrency = 1);
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    let change = TaskChange {
        queue: Some(QueueName::parse("later").unwrap()),
        due_at: Some(engine.now() + Duration::from_mins(1)),
        ..TaskChange::default()
    };
    engine.queue.change(id, &change, &ann()).await.unwrap();
    let pool = engine.start_pool().await;
    marker(&engine).await;
    assert_eq!(switch.runs(), 0);
    let status = engine.status(id).await;
    assert_eq!((status.status, status.queue.as_str()), (TaskStatus::Pending, "later"));
    engine.pass_delay(&engine.scheduler(), id).await;
    switch.started().await;
    let running = engine.queue.change(id, &change, &ann()).await;
    assert!(matches!(running, Err(ControlError::Running)), "{running:?}");
    switch.release(1);
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.retries), (TaskStatus::Success, 0));
    let result: Value = serde_json::from_str(status.result.unwrap().get()).unwrap();
    assert_eq!(result["attempt"], json!(1), "a change is no attempt");
    assert_eq!(switch.runs(), 1);
    pool.end().await;
}
