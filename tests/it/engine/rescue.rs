//! Workers that die, freeze or forget: their tasks run again, and nobody writes twice.

use std::time::Duration;

use legwork_engine::domain::{TaskId, TaskStatus};
use legwork_engine::scheduler::Scheduler;
use legwork_engine::store::StartBatch;
use serde_json::{Value, json};

use crate::support::engine::{Engine, PATIENCE};
use crate::support::probe::Switch;

/// A worker of its own starts what is due and is killed once `count` attempts run.
async fn crash(engine: &Engine, scheduler: &Scheduler, switch: &Switch, count: usize) {
    let doomed = engine.another().start_pool().await;
    scheduler.dispatch_due().await.unwrap();
    for _ in 0..count {
        switch.started().await;
    }
    doomed.kill();
    assert_eq!(scheduler.rescue_all().await.unwrap(), count);
}

fn attempt_of(result: Option<Box<serde_json::value::RawValue>>) -> Value {
    serde_json::from_str::<Value>(result.unwrap().get()).unwrap()["attempt"].clone()
}

pub async fn the_tasks_of_a_killed_worker_run_again_after_its_lease(engine: Engine) {
    let switch = Switch::new();
    let doomed = engine.another().start_pool().await;
    let name = doomed.name.clone();
    let id = engine.submit("test.probe", switch.args(&json!(["wait", "succeed"]))).await;
    switch.started().await;
    doomed.kill();
    let (scheduler, mut pool) = (engine.scheduler(), engine.start_pool().await);
    assert_eq!(scheduler.rescue().await.unwrap(), 0, "who has just started to look must not declare anybody dead");
    assert_eq!(engine.status(id).await.status, TaskStatus::Started);
    assert_eq!(engine.pass_lease(&scheduler, &mut [&mut pool]).await, 1);
    let waiting = engine.row(id).await;
    assert_eq!((waiting.status, waiting.retries_used, waiting.crashes), (TaskStatus::Retry, 0, 1));
    assert_eq!(scheduler.dispatch_due().await.unwrap(), 1);
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts, status.retries), (TaskStatus::Success, 2, 0));
    let detail = engine.detail(id).await;
    let lost = &detail.attempt_log[0];
    assert_eq!((lost.outcome, lost.worker.as_str()), ("crashed", &*name));
    assert_eq!(lost.error.as_ref().unwrap().kind, "WorkerLost");
    assert_eq!(switch.runs(), 2);
    pool.end().await;
}

pub async fn what_a_dead_worker_had_fetched_and_not_started_is_given_to_others(engine: Engine) {
    let switch = Switch::new();
    let process = engine.another();
    let doomed = process.start_pool().await;
    let gate = process.faults.hold("start");
    let id = engine.submit("test.probe", switch.args(&json!(["succeed"]))).await;
    gate.arrived().await;
    doomed.kill();
    let (scheduler, mut pool) = (engine.scheduler(), engine.start_pool().await);
    assert_eq!(engine.pass_lease(&scheduler, &mut [&mut pool]).await, 0, "it was not started");
    assert_eq!(scheduler.redispatch_lost().await.unwrap(), 1);
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(switch.runs(), 1);
    pool.end().await;
}

pub async fn who_was_blind_for_a_while_does_not_rescue(engine: Engine) {
    let switch = Switch::new();
    let pool = engine.start_pool().await;
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    let scheduler = engine.scheduler();
    for _ in 0..10 {
        assert_eq!(scheduler.rescue().await.unwrap(), 0);
        engine.clock.advance(Duration::from_secs(11));
    }
    switch.release(1);
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts), (TaskStatus::Success, 1));
    pool.end().await;
}

pub async fn a_live_worker_never_loses_a_task_for_being_slow(engine: Engine) {
    let switch = Switch::new();
    let mut pool = engine.start_pool().await;
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    let scheduler = engine.scheduler();
    for _ in 0..5 {
        assert_eq!(engine.pass_lease(&scheduler, &mut [&mut pool]).await, 0);
    }
    switch.release(1);
    assert_eq!(engine.ended(id).await.attempts, 1);
    pool.end().await;
}

pub async fn a_process_that_has_the_store_to_itself_rescues_at_once(engine: Engine) {
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["wait", "succeed"]))).await;
    let scheduler = engine.scheduler();
    crash(&engine, &scheduler, &switch, 1).await;
    let pool = engine.start_pool().await;
    assert_eq!(scheduler.dispatch_due().await.unwrap(), 1);
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(switch.runs(), 2);
    pool.end().await;
}

pub async fn a_frozen_worker_that_thaws_cannot_settle_what_another_has_done(engine: Engine) {
    let switch = Switch::new();
    let frozen = engine.another().start_pool().await;
    let id = engine.submit("test.probe", switch.args(&json!(["deaf", "succeed"]))).await;
    switch.started().await;
    frozen.cut_off();
    let (scheduler, mut pool) = (engine.scheduler(), engine.start_pool().await);
    assert_eq!(engine.pass_lease(&scheduler, &mut [&mut pool]).await, 1);
    scheduler.dispatch_due().await.unwrap();
    let done = engine.ended(id).await;
    frozen.reconnect();
    switch.release(1);
    assert!(frozen.pool.running().empty_within(PATIENCE).await);
    let status = engine.status(id).await;
    assert_eq!((status.status, status.attempts, status.ended_at), (TaskStatus::Success, 2, done.ended_at));
    assert_eq!(attempt_of(status.result), json!(2));
    assert_eq!(engine.attempts(id).await, [(1, "crashed"), (2, "success")]);
    frozen.end().await;
    pool.end().await;
}

pub async fn the_third_crash_is_a_failure(engine: Engine) {
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    let scheduler = engine.scheduler();
    for crashes in 1..=2 {
        crash(&engine, &scheduler, &switch, 1).await;
        let row = engine.row(id).await;
        assert_eq!((row.status, row.crashes, row.retries_used), (TaskStatus::Retry, crashes, 0));
    }
    crash(&engine, &scheduler, &switch, 1).await;
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts), (TaskStatus::Failure, 3));
    assert_eq!(status.error.unwrap().kind, "WorkerLost");
    assert_eq!(switch.runs(), 3);
}

pub async fn progress_forgives_the_crashes_before_it(engine: Engine) {
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["progress"]))).await;
    let scheduler = engine.scheduler();
    for attempt in 1..=4 {
        let doomed = engine.another().start_pool().await;
        scheduler.dispatch_due().await.unwrap();
        switch.started().await;
        engine.row_when(id, |row| row.attempt.0 == attempt && row.progress.is_some()).await;
        doomed.kill();
        scheduler.rescue_all().await.unwrap();
        assert_eq!(engine.row(id).await.crashes, 1);
    }
    let pool = engine.start_pool().await;
    scheduler.dispatch_due().await.unwrap();
    switch.release(1);
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn a_task_that_has_seen_two_workers_die_runs_alone(engine: Engine) {
    let (suspect, others) = (Switch::new(), Switch::new());
    let id = engine.submit("test.probe", suspect.args(&json!(["wait"]))).await;
    let scheduler = engine.scheduler();
    for _ in 0..2 {
        crash(&engine, &scheduler, &suspect, 1).await;
    }
    let pool = engine.start_pool().await;
    for _ in 0..3 {
        engine.submit("test.probe", others.args(&json!(["wait"]))).await;
        others.started().await;
    }
    scheduler.dispatch_due().await.unwrap();
    others.release(3);
    suspect.started().await;
    assert_eq!(pool.pool.running().counts().running, 1, "the others have ended");
    let neighbour = engine.submit("test.probe", others.args(&json!(["succeed"]))).await;
    assert_eq!(engine.row(neighbour).await.attempt.0, 0);
    suspect.release(1);
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(engine.ended(neighbour).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn suspects_run_one_after_the_other(engine: Engine) {
    let suspects = Switch::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(engine.submit("test.probe", suspects.args(&json!(["wait"]))).await);
    }
    let scheduler = engine.scheduler();
    for _ in 0..2 {
        crash(&engine, &scheduler, &suspects, 3).await;
    }
    // Each runs for longer than one of them waits for what is no suspect.
    let lease = Duration::from_millis(400);
    let mut pool = engine.tuned(|config| config.worker.lease = lease).start_pool().await;
    scheduler.dispatch_due().await.unwrap();
    for _ in 0..3 {
        pool.alive_while(suspects.started()).await;
        let another = pool.alive_while(tokio::time::timeout(lease / 2, suspects.started())).await;
        assert!(another.is_err(), "two suspects run at once");
        suspects.release(1);
    }
    for id in ids {
        let status = pool.alive_while(engine.ended(id)).await;
        assert_eq!((status.status, status.attempts), (TaskStatus::Success, 3));
    }
    pool.end().await;
}

pub async fn a_suspect_that_finds_no_solitude_is_postponed_and_keeps_nobody(engine: Engine) {
    let (suspect, others) = (Switch::new(), Switch::new());
    let id = engine.submit("test.probe", suspect.args(&json!(["wait"]))).await;
    let scheduler = engine.scheduler();
    for _ in 0..2 {
        crash(&engine, &scheduler, &suspect, 1).await;
    }
    // It waits for exclusive execution for a quarter of a lease.
    let mut hasty = engine.tuned(|config| config.worker.lease = Duration::from_millis(200)).start_pool().await;
    let long = engine.submit("test.probe", others.args(&json!(["wait"]))).await;
    hasty.alive_while(others.started()).await;
    scheduler.dispatch_due().await.unwrap();
    let row = hasty.alive_while(engine.row_when(id, |row| row.due_at > engine.now())).await;
    assert_eq!((row.due_at, row.crashes, row.retries_used), (engine.now() + Duration::from_mins(1), 2, 0));
    let neighbour = engine.submit("test.probe", others.args(&json!(["succeed"]))).await;
    let neighbour = hasty.alive_while(engine.ended(neighbour)).await;
    assert_eq!(neighbour.status, TaskStatus::Success, "beside the one that runs");
    assert_eq!((engine.row(long).await.status, suspect.runs()), (TaskStatus::Started, 2));
    others.release(1);
    engine.ended(long).await;
    hasty.end().await;
    let pool = engine.start_pool().await;
    engine.clock.advance(Duration::from_mins(1));
    scheduler.dispatch_due().await.unwrap();
    suspect.started().await;
    suspect.release(1);
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn tasks_that_are_to_run_alone_do_not_wait_for_each_other_for_ever(engine: Engine) {
    let switch = Switch::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(engine.submit("test.probe", switch.args(&json!(["wait"]))).await);
    }
    let scheduler = engine.scheduler();
    for _ in 0..2 {
        crash(&engine, &scheduler, &switch, 3).await;
    }
    let pool = engine.start_pool().await;
    scheduler.dispatch_due().await.unwrap();
    for _ in &ids {
        switch.started().await;
        assert_eq!(pool.pool.running().counts().running, 1);
        switch.release(1);
    }
    for id in ids {
        assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    }
    assert_eq!(switch.runs(), 9);
    pool.end().await;
}

pub async fn what_runs_is_stopped_before_the_lease_ends(engine: Engine) {
    let (fair, deaf) = (Switch::new(), Switch::new());
    let mut pool = engine.start_pool().await;
    let asked = engine.submit("test.probe", fair.args(&json!(["wait"]))).await;
    let forced = engine.submit("test.probe", deaf.args(&json!(["deaf"]))).await;
    tokio::join!(fair.started(), deaf.started());
    engine.faults.fail("heartbeat");
    for _ in 0..7 {
        engine.clock.advance(Duration::from_secs(3));
        pool.heartbeat().await;
    }
    assert_eq!(pool.pool.running().counts().running, 2);
    engine.clock.advance(Duration::from_secs(3));
    pool.heartbeat().await;
    let row = engine.settled(asked).await;
    assert_eq!((row.status, row.attempts), (TaskStatus::Pending, 1));
    assert_eq!(engine.status(forced).await.status, TaskStatus::Started);
    engine.clock.advance(Duration::from_secs(3));
    pool.heartbeat().await;
    assert_eq!(engine.settled(forced).await.status, TaskStatus::Pending);
    engine.faults.mend("heartbeat");
    pool.end().await;
}

pub async fn an_attempt_that_the_store_gave_away_is_stopped(engine: Engine) {
    for (step, heartbeats) in [("wait", 2), ("deaf", 3)] {
        let switch = Switch::new();
        let mut pool = engine.start_pool().await;
        let id = engine.submit("test.probe", switch.args(&json!([step]))).await;
        switch.started().await;
        engine.scheduler().rescue_all().await.unwrap();
        for _ in 0..heartbeats {
            assert_eq!(pool.pool.running().counts().running, 1, "a difference counts if it is there twice");
            pool.heartbeat().await;
        }
        assert!(pool.pool.running().empty_within(PATIENCE).await);
        let row = engine.row(id).await;
        assert_eq!((row.status, row.attempt.0, row.crashes), (TaskStatus::Retry, 1, 1), "{step}");
        pool.end().await;
    }
}

pub async fn a_newer_attempt_on_the_same_worker_ends_the_older_one(engine: Engine) {
    let switch = Switch::new();
    let mut pool = engine.start_pool().await;
    let id = engine.submit("test.probe", switch.args(&json!(["deaf", "wait"]))).await;
    switch.started().await;
    let scheduler = engine.scheduler();
    scheduler.rescue_all().await.unwrap();
    pool.heartbeat().await;
    scheduler.dispatch_due().await.unwrap();
    switch.started().await;
    // The older one may take a permit in the moment in which it is ended; its outcome is refused.
    switch.release(2);
    let status = engine.ended(id).await;
    assert_eq!((status.status, attempt_of(status.result)), (TaskStatus::Success, json!(2)));
    assert!(pool.pool.running().empty_within(PATIENCE).await);
    pool.end().await;
}

pub async fn what_the_store_says_we_run_and_we_do_not_is_released(engine: Engine) {
    let switch = Switch::new();
    let mut pool = engine.start_pool().await;
    engine.broker.lose_dispatches(true);
    let id = engine.submit("test.probe", switch.args(&json!(["succeed"]))).await;
    engine.broker.lose_dispatches(false);
    start_by_hand(&engine, &pool.name, pool.worker, id).await;
    pool.heartbeat().await;
    assert_eq!(engine.status(id).await.status, TaskStatus::Started, "once may be a start that is under way");
    pool.heartbeat().await;
    let row = engine.row(id).await;
    assert_eq!((row.status, row.attempt.0, row.crashes), (TaskStatus::Pending, 1, 0));
    engine.scheduler().dispatch_due().await.unwrap();
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(switch.runs(), 1);
    pool.end().await;
}

async fn start_by_hand(engine: &Engine, worker_name: &str, worker: legwork_engine::domain::WorkerId, id: TaskId) {
    let refs = [legwork_engine::domain::TaskRef { id, version: engine.row(id).await.version }];
    let batch = StartBatch { worker, worker_name, now: engine.now(), exclusive: false, refs: &refs, limits: &[] };
    engine.ground().store.start(&batch).await.unwrap();
}
