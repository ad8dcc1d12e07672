//! Dispatches that are lost, late or dispatched twice, a broker that is away, and answers of the store that never come.

use std::time::Duration;

use futures_util::future::join_all;
use legwork_engine::broker::{FetchRequest, QueueQuota};
use legwork_engine::domain::{Dispatch, PriorityBand, QueueName, TaskId, TaskRef, TaskStatus, Version};
use legwork_engine::store::SubmittedTask;
use serde_json::json;

use crate::support::engine::{Engine, RunningPool};
use crate::support::probe::Switch;
use crate::support::tasks;

/// Longer than the grace of a dispatch.
const PAST_GRACE: Duration = Duration::from_secs(11);

async fn echo(engine: &Engine) -> TaskId {
    engine.submit("system.echo", json!({})).await
}

/// Inserts so many due rows that are marked as dispatched, and dispatches for none.
async fn insert_unrung(engine: &Engine, count: usize, dispatched: bool) -> Vec<TaskId> {
    let rows: Vec<SubmittedTask> = (0..count).map(|_| SubmittedTask { task: tasks::task(0), dispatched, key: None }).collect();
    engine.ground().store.ensure_queues(&[QueueName::from_store("default")], engine.now()).await.unwrap();
    engine.ground().store.insert(&rows).await.unwrap();
    for row in &rows {
        engine.note_accepted(row.task.id);
    }
    rows.iter().map(|row| row.task.id).collect()
}

fn dispatch(id: TaskId, engine: &Engine) -> Dispatch {
    let task = TaskRef { id, version: Version::FIRST };
    Dispatch { task, queue: QueueName::from_store("default"), band: PriorityBand::Normal, dispatched_at: engine.now() }
}

pub async fn lost_dispatches_are_sent_again_after_a_grace_time(engine: Engine) {
    engine.broker.lose_dispatches(true);
    let ids = [echo(&engine).await, echo(&engine).await, echo(&engine).await];
    let pool = engine.start_pool().await;
    engine.broker.lose_dispatches(false);
    let scheduler = engine.scheduler();
    assert_eq!(scheduler.redispatch_lost().await.unwrap(), 0, "they may be on their way");
    engine.clock.advance(PAST_GRACE);
    assert_eq!(scheduler.redispatch_lost().await.unwrap(), 3);
    for id in ids {
        assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    }
    engine.clock.advance(PAST_GRACE);
    assert_eq!(scheduler.redispatch_lost().await.unwrap(), 0);
    pool.end().await;
}

pub async fn a_lost_backlog_is_dispatched_in_one_sweep_and_only_once_however_long_it_waits(engine: Engine) {
    insert_unrung(&engine, 1_003, true).await;
    let scheduler = engine.scheduler();
    engine.clock.advance(PAST_GRACE);
    assert_eq!(scheduler.redispatch_lost().await.unwrap(), 1_003, "batch after batch, and nothing twice");
    for _ in 0..3 {
        engine.clock.advance(Duration::from_mins(1));
        assert_eq!(scheduler.redispatch_lost().await.unwrap(), 0, "the broker holds them all");
    }
    assert_eq!(engine.broker.published(), 1_003);
}

pub async fn what_was_fetched_and_not_started_is_dispatched_again(engine: Engine) {
    let id = echo(&engine).await;
    let quotas = vec![QueueQuota { queue: QueueName::from_store("default"), max: 1 }];
    let request = FetchRequest { quotas, max: 1, wait: Duration::from_secs(5) };
    let held = engine.ground().broker.fetch(&request).await.unwrap();
    assert_eq!(held.len(), 1);
    let scheduler = engine.scheduler();
    assert_eq!(scheduler.redispatch_lost().await.unwrap(), 0, "its worker may be about to start it");
    engine.clock.advance(PAST_GRACE);
    assert_eq!(scheduler.redispatch_lost().await.unwrap(), 1);
    let pool = engine.start_pool().await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn entries_that_stand_a_little_out_of_order_hide_nothing_and_look_like_no_loss(engine: Engine) {
    let early = insert_unrung(&engine, 1, true).await[0];
    engine.clock.advance(Duration::from_secs(1));
    let late = insert_unrung(&engine, 1, false).await[0];
    let scheduler = engine.scheduler();
    assert_eq!(scheduler.dispatch_due().await.unwrap(), 1);
    engine.queue.dispatch(vec![dispatch(early, &engine)]).await;
    for _ in 0..3 {
        engine.clock.advance(PAST_GRACE);
        assert_eq!(scheduler.redispatch_lost().await.unwrap(), 0, "the one that was dispatched first stands behind the other");
    }
    let pool = engine.start_pool().await;
    for id in [early, late] {
        assert_eq!(engine.ended(id).await.attempts, 1);
    }
    pool.end().await;
}

pub async fn tasks_run_while_the_broker_delivers_and_takes_no_dispatches(engine: Engine) {
    let pool = engine.start_pool().await;
    engine.broker.refuse_dispatches(true);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(echo(&engine).await);
    }
    for id in ids {
        assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    }
    engine.clock.advance(Duration::from_secs(2));
    let later = echo(&engine).await;
    assert_eq!(engine.ended(later).await.status, TaskStatus::Success, "also when the breaker would try again");
    engine.broker.refuse_dispatches(false);
    engine.clock.advance(Duration::from_secs(2));
    let dispatched = echo(&engine).await;
    assert_eq!(engine.ended(dispatched).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn a_slow_broker_gets_every_dispatch_once(engine: Engine) {
    let mut ids = insert_unrung(&engine, 10, false).await;
    let gate = engine.broker.delay_dispatches();
    ids.push(echo(&engine).await);
    gate.arrived().await;
    let scheduler = engine.scheduler();
    let mut due_sweep = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.dispatch_due().await.unwrap() }
    });
    gate.arrived().await;
    let early = tokio::time::timeout(Duration::from_millis(300), &mut due_sweep).await;
    assert!(early.is_err(), "the sweep of due tasks waits as long as it takes; the submission has given up long ago");
    assert_eq!(engine.scheduler().dispatch_due().await.unwrap(), 0, "what is late is not left to the sweep of due tasks");
    gate.open();
    assert_eq!(due_sweep.await.unwrap(), 10);
    assert_eq!(scheduler.dispatch_due().await.unwrap(), 0);
    engine.clock.advance(PAST_GRACE);
    assert_eq!(scheduler.redispatch_lost().await.unwrap(), 0);
    assert_eq!(engine.broker.published(), ids.len());
    let pool = engine.start_pool().await;
    for id in ids {
        let status = engine.ended(id).await;
        assert_eq!((status.status, status.attempts), (TaskStatus::Success, 1));
    }
    pool.end().await;
}

pub async fn a_pool_is_stalled_when_due_tasks_do_not_arrive_twice_in_a_row(engine: Engine) {
    let pool = engine.start_pool().await;
    engine.broker.lose_dispatches(true);
    let id = echo(&engine).await;
    pool.pool.recover_missed_once(true).await;
    assert_eq!((engine.broker.published(), pool.pool.is_stalled()), (1, false), "it may be on its way");
    engine.clock.advance(PAST_GRACE);
    pool.pool.recover_missed_once(true).await;
    assert_eq!((engine.broker.published(), pool.pool.is_stalled()), (2, false), "it is dispatched again");
    pool.pool.recover_missed_once(true).await;
    assert_eq!((engine.broker.published(), pool.pool.is_stalled()), (3, true));
    engine.broker.lose_dispatches(false);
    pool.pool.recover_missed_once(true).await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert!(!pool.pool.is_stalled());
    pool.end().await;
}

pub async fn submissions_are_taken_and_run_while_the_broker_is_away(engine: Engine) {
    engine.broker.take_away();
    let pool = engine.start_pool().await;
    let ids = join_all((0..20).map(|_| echo(&engine))).await;
    for id in ids {
        assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    }
    engine.broker.bring_back();
    engine.clock.advance(Duration::from_secs(5));
    let later = echo(&engine).await;
    assert_eq!(engine.ended(later).await.status, TaskStatus::Success);
    pool.end().await;
}

pub async fn the_breaker_opens_after_three_failures_and_closes_when_the_broker_is_back(engine: Engine) {
    let ids = insert_unrung(&engine, 3, true).await;
    engine.broker.take_away();
    for id in &ids {
        engine.queue.dispatch(vec![dispatch(*id, &engine)]).await;
    }
    engine.broker.bring_back();
    let late = echo(&engine).await;
    assert_eq!(engine.broker.published(), 0, "it is not even tried");
    assert_eq!(engine.scheduler().dispatch_due().await.unwrap(), 0);
    engine.clock.advance(Duration::from_secs(2));
    assert_eq!(
        engine.scheduler().dispatch_due().await.unwrap(),
        4,
        "what could not be dispatched was left to the sweep of due tasks"
    );
    let pool = engine.start_pool().await;
    for id in ids.into_iter().chain([late]) {
        assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    }
    pool.end().await;
}

pub async fn due_sweeps_that_work_at_once_dispatch_each_task_once(engine: Engine) {
    let ids = insert_unrung(&engine, 300, false).await;
    let (one, other) = (engine.scheduler(), engine.another().scheduler());
    let (first, second) = tokio::join!(one.dispatch_due(), other.dispatch_due());
    assert_eq!(first.unwrap() + second.unwrap(), ids.len());
    let pool = engine.start_pool().await;
    for id in ids {
        let status = engine.ended(id).await;
        assert_eq!((status.status, status.attempts), (TaskStatus::Success, 1));
    }
    pool.end().await;
}

pub async fn a_dispatch_that_is_sent_twice_starts_one_attempt(engine: Engine) {
    let engine = engine.tuned(|config| config.worker.concurrency = 1);
    let switch = Switch::new();
    let id = engine.submit("test.probe", switch.args(&json!(["succeed"]))).await;
    for _ in 0..5 {
        engine.queue.dispatch(vec![dispatch(id, &engine)]).await;
    }
    let last = echo(&engine).await;
    let pool = engine.start_pool().await;
    engine.ended(last).await;
    assert_eq!((engine.ended(id).await.attempts, switch.runs()), (1, 1));
    pool.end().await;
}

pub async fn a_start_that_fails_spends_nothing_and_the_task_runs_later(engine: Engine) {
    let switch = Switch::new();
    let pool = engine.start_pool().await;
    let gate = engine.faults.hold("start");
    let id = engine.submit("test.probe", switch.args(&json!(["succeed"]))).await;
    gate.arrived().await;
    engine.faults.take_away();
    gate.open();
    assert!(pool.pool.running().empty_within(crate::support::engine::PATIENCE).await);
    engine.faults.bring_back();
    engine.faults.mend("start");
    assert_eq!(engine.row(id).await.attempt.0, 0);
    engine.clock.advance(PAST_GRACE);
    assert_eq!(engine.scheduler().redispatch_lost().await.unwrap(), 1);
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(switch.runs(), 1);
    pool.end().await;
}

async fn heartbeats(pool: &mut RunningPool, count: usize) {
    for _ in 0..count {
        pool.heartbeat().await;
    }
}

pub async fn a_start_whose_answer_was_lost_is_released_and_runs(engine: Engine) {
    let switch = Switch::new();
    let mut pool = engine.start_pool().await;
    engine.faults.lose_answers("start");
    let id = engine.submit("test.probe", switch.args(&json!(["succeed"]))).await;
    engine.row_when(id, |row| row.status == TaskStatus::Started).await;
    engine.faults.mend("start");
    assert!(pool.pool.running().empty_within(crate::support::engine::PATIENCE).await);
    heartbeats(&mut pool, 2).await;
    let row = engine.row(id).await;
    assert_eq!((row.status, row.attempt.0, row.retries_used), (TaskStatus::Pending, 1, 0));
    engine.scheduler().dispatch_due().await.unwrap();
    assert_eq!((engine.ended(id).await.attempts, switch.runs()), (2, 1));
    pool.end().await;
}

pub async fn a_settlement_whose_answer_was_lost_is_not_run_twice(engine: Engine) {
    for (plan, expected) in [(json!(["succeed"]), TaskStatus::Success), (json!(["retry"]), TaskStatus::Retry)] {
        let switch = Switch::new();
        let mut pool = engine.start_pool().await;
        engine.faults.lose_answers("settle");
        let id = engine.submit("test.probe", switch.args(&plan)).await;
        let status = engine.settled(id).await;
        assert_eq!((status.status, status.attempts), (expected, 1));
        heartbeats(&mut pool, 3).await;
        engine.faults.mend("settle");
        assert!(pool.pool.running().empty_within(crate::support::engine::PATIENCE).await);
        let status = engine.status(id).await;
        assert_eq!((status.status, status.attempts, switch.runs()), (expected, 1, 1));
        pool.end().await;
    }
}

pub async fn a_store_that_is_away_when_an_attempt_ends_gets_its_end_later(engine: Engine) {
    let switch = Switch::new();
    let pool = engine.start_pool().await;
    let id = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    let gate = engine.faults.hold("settle");
    switch.release(1);
    gate.arrived().await;
    engine.faults.take_away();
    gate.open();
    engine.faults.mend("settle");
    engine.faults.bring_back();
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.attempts, switch.runs()), (TaskStatus::Success, 1, 1));
    pool.end().await;
}

pub async fn nothing_starts_while_ends_cannot_be_written(engine: Engine) {
    let switch = Switch::new();
    let pool = engine.start_pool().await;
    let first = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    engine.faults.fail("settle");
    switch.release(1);
    while engine.queue.settle_gate().is_open() {
        tokio::task::yield_now().await;
    }
    let second = echo(&engine).await;
    let calls = engine.faults.calls("settle");
    while engine.faults.calls("settle") < calls + 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(engine.row(second).await.status, TaskStatus::Pending);
    assert!(engine.queue.settle_gate().reason().unwrap().contains("taken away by the test"));
    engine.faults.mend("settle");
    let status = engine.ended(first).await;
    assert_eq!((status.status, status.attempts, switch.runs()), (TaskStatus::Success, 1, 1));
    assert_eq!(engine.ended(second).await.status, TaskStatus::Success);
    assert!(engine.queue.settle_gate().is_open());
    pool.end().await;
}

pub async fn a_worker_that_publishes_nothing_itself_finds_out_that_the_broker_is_full(engine: Engine) {
    let worker = engine.another();
    let pool = worker.start_pool().await;
    for process in [&engine, &worker] {
        process.broker.refuse_dispatches(true);
    }
    let ids = join_all((0..20).map(|_| echo(&engine))).await;
    for id in ids {
        assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    }
    assert_eq!(worker.broker.published(), 0);
    pool.end().await;
}
