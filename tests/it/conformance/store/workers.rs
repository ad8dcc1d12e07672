//! The cluster: heartbeats, commands, and whose attempts are lost.

use std::sync::Arc;

use legwork_engine::domain::{NewTask, RunFacts, TaskId, WorkerInfo, WorkerRow};
use legwork_engine::store::{StartedRow, Store, WorkerCommand};

use crate::support::tasks::{at, inserted, queue, reference, start_ref, started, task, worker};

/// What the `n`th worker tells.
pub fn info(n: u128, name: &str) -> WorkerInfo {
    WorkerInfo {
        id: worker(n),
        name: name.into(),
        host: "host".into(),
        pid: 4_000_000_000,
        version: "0.1.0".into(),
        queues: vec![queue("default"), queue("slow")],
        slots: 100,
        running: 3,
        done: 5_000_000_000,
        failed: 2,
        memory_bytes: 50_000_000,
        draining: false,
        stalled: true,
        started_at: at(0),
        last_fetch_at: Some(at(1)),
        last_done_at: None,
    }
}

pub async fn a_heartbeat_is_read_back_as_it_was_told(store: Arc<dyn Store>) {
    store.heartbeat(&info(2, "b"), at(1)).await.unwrap();
    store.heartbeat(&info(1, "a"), at(2)).await.unwrap();
    let actual = WorkerInfo { running: 4, draining: true, queues: Vec::new(), last_done_at: Some(at(3)), ..info(2, "b") };
    store.heartbeat(&actual, at(4)).await.unwrap();
    let expected = [
        WorkerRow { info: info(1, "a"), heartbeat_at: at(2), dead: false },
        WorkerRow { info: actual, heartbeat_at: at(4), dead: false },
    ];
    assert_eq!(store.workers().await.unwrap(), expected);
}

pub async fn a_heartbeat_is_answered_with_a_time_that_goes_on(store: Arc<dyn Store>) {
    let first = store.heartbeat(&info(1, "a"), at(1)).await.unwrap();
    let second = store.heartbeat(&info(1, "a"), at(1)).await.unwrap();
    assert!(second.store_now >= first.store_now);
    assert_eq!((first.command, second.command), (None, None));
}

pub async fn a_worker_that_left_is_gone(store: Arc<dyn Store>) {
    store.heartbeat(&info(1, "a"), at(1)).await.unwrap();
    store.leave(worker(1)).await.unwrap();
    store.leave(worker(1)).await.unwrap();
    assert_eq!(store.workers().await.unwrap(), []);
}

pub async fn a_command_reaches_the_live_worker_of_the_name_with_every_heartbeat(store: Arc<dyn Store>) {
    store.heartbeat(&info(1, "a"), at(1)).await.unwrap();
    store.heartbeat(&info(2, "b"), at(1)).await.unwrap();
    assert!(store.command("a", WorkerCommand::Drain).await.unwrap());
    for _ in 0..2 {
        assert_eq!(store.heartbeat(&info(1, "a"), at(2)).await.unwrap().command, Some(WorkerCommand::Drain));
    }
    assert_eq!(store.heartbeat(&info(2, "b"), at(2)).await.unwrap().command, None);
    assert!(store.command("a", WorkerCommand::Shutdown).await.unwrap());
    assert_eq!(store.heartbeat(&info(1, "a"), at(3)).await.unwrap().command, Some(WorkerCommand::Shutdown));
}

pub async fn a_command_to_nobody_or_to_the_dead_says_so(store: Arc<dyn Store>) {
    assert!(!store.command("a", WorkerCommand::Drain).await.unwrap());
    store.heartbeat(&info(1, "a"), at(1)).await.unwrap();
    store.started_by_the_dead(at(2), at(30), 10).await.unwrap();
    assert!(!store.command("a", WorkerCommand::Drain).await.unwrap());
}

pub async fn the_attempts_of_a_worker_are_told_with_what_they_are_judged_by(store: Arc<dyn Store>) {
    let new = NewTask { max_retries: 7, ..task(0) };
    let started_first = started(&store, new.clone(), 1).await;
    let other = inserted(&store, task(0)).await;
    start_ref(&store, 2, reference(other, 0), at(1)).await;
    let expected = StartedRow {
        id: new.id,
        attempt: started_first.attempt,
        version: started_first.version,
        kind: new.kind,
        worker: worker(1),
        worker_name: "worker-1".into(),
        started_at: at(1),
        facts: RunFacts { retries_used: 0, max_retries: 7, crashes: 0, revoke_requested: false },
        progressed: false,
        hard_limit: new.hard_limit,
        terminate: false,
        revoke_requested_at: None,
    };
    assert_eq!(store.started_by(worker(1)).await.unwrap(), [expected]);
    assert_eq!(store.started_by(worker(3)).await.unwrap(), []);
}

pub async fn the_attempts_of_the_dead_are_found_up_to_the_limit(store: Arc<dyn Store>) {
    store.heartbeat(&info(1, "dead"), at(1)).await.unwrap();
    store.heartbeat(&info(2, "live"), at(50)).await.unwrap();
    let mut expected = Vec::new();
    for n in 0..3 {
        expected.push(started(&store, task(n), 5).await.id);
        let of_the_living = inserted(&store, task(n)).await;
        start_ref(&store, 2, reference(of_the_living, 0), at(5)).await;
    }
    assert_eq!(of_the_dead(&store, 1, 10).await, [], "a heartbeat at the edge is in time");
    assert_eq!(of_the_dead(&store, 2, 10).await, expected);
    assert_eq!(of_the_dead(&store, 2, 2).await.len(), 2);
    let dead: Vec<_> = store.workers().await.unwrap().into_iter().map(|row| row.dead).collect();
    assert_eq!(dead, [true, false]);
}

pub async fn a_dead_worker_that_heartbeats_again_lives(store: Arc<dyn Store>) {
    store.heartbeat(&info(1, "a"), at(1)).await.unwrap();
    started(&store, task(0), 1).await;
    assert_eq!(of_the_dead(&store, 30, 10).await.len(), 1);
    store.heartbeat(&info(1, "a"), at(60)).await.unwrap();
    assert_eq!(of_the_dead(&store, 50, 10).await, []);
    assert!(!store.workers().await.unwrap()[0].dead);
}

pub async fn the_attempts_of_a_worker_that_nobody_knows_are_lost(store: Arc<dyn Store>) {
    let id = started(&store, task(0), 1).await.id;
    assert_eq!(of_the_dead(&store, 0, 10).await, [id]);
}

async fn of_the_dead(store: &Arc<dyn Store>, heartbeat_before: i64, limit: u32) -> Vec<TaskId> {
    let mut rows = store.started_by_the_dead(at(heartbeat_before), at(60), limit).await.unwrap();
    rows.sort_by_key(|row| row.id);
    rows.into_iter().map(|row| row.id).collect()
}
