//! Start: one compare-and-set decides who runs what.

use std::sync::Arc;

use legwork_engine::domain::{Attempt, EndReason, EndStatus, NewTask, Next, StartedTask, TaskId, TaskStatus, Version};
use legwork_engine::store::{QueueChange, StartAnswer, StartBatch, Store, TaskChange};

use crate::support::tasks::{
    at, default_queue, dispatched, insert, inserted, mishap, reference, row, settle, start_ref, start_refs, started, task,
    task_with_callback, undispatched, worker,
};

pub async fn a_started_attempt_carries_all_that_it_needs(store: Arc<dyn Store>) {
    let new = NewTask { soft_limit: Some(std::time::Duration::from_secs(5)), ..task(0) };
    let id = inserted(&store, new.clone()).await;
    let expected = StartedTask {
        id,
        attempt: Attempt(1),
        version: Version(1),
        kind: new.kind,
        queue: new.queue,
        args: new.args,
        principal: new.principal,
        submitted_at: new.submitted_at,
        retry_origin: None,
        started_at: at(3),
        retries_used: 0,
        max_retries: new.max_retries,
        crashes: 0,
        hard_limit: new.hard_limit,
        soft_limit: new.soft_limit,
    };
    assert_eq!(start_ref(&store, 1, reference(id, 0), at(3)).await, expected);
    let row = row(&store, id).await;
    assert_eq!((row.status, row.attempt), (TaskStatus::Started, Attempt(1)));
    assert_eq!((row.worker, row.worker_name.as_deref()), (Some(worker(1)), Some("worker-1")));
    assert_eq!(row.started_at, Some(at(3)));
}

pub async fn a_batch_starts_in_the_order_of_its_references(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..50).map(|n| dispatched(task(n % 7))).collect();
    insert(&store, &tasks).await;
    let mut refs: Vec<_> = tasks.iter().map(|submitted| reference(submitted.task.id, 0)).collect();
    refs[10] = reference(TaskId::made(at(0)), 0);
    let answers = start_refs(&store, 1, &refs, at(10)).await;
    assert_eq!(answers.len(), refs.len());
    for (n, (answer, reference)) in answers.iter().zip(&refs).enumerate() {
        match answer {
            StartAnswer::Started(started_task) => assert_eq!(started_task.id, reference.id),
            other => assert_eq!((n, other), (10, &StartAnswer::Gone)),
        }
    }
}

pub async fn only_one_of_two_workers_starts_an_attempt(store: Arc<dyn Store>) {
    for round in 0..10 {
        let tasks: Vec<_> = (0..10).map(|_| dispatched(task(round))).collect();
        insert(&store, &tasks).await;
        let refs: Vec<_> = tasks.iter().map(|submitted| reference(submitted.task.id, 0)).collect();
        let reversed: Vec<_> = refs.iter().rev().copied().collect();
        let (one, two) = tokio::join!(start_refs(&store, 1, &refs, at(20)), start_refs(&store, 2, &reversed, at(20)));
        for (n, pair) in one.iter().zip(two.iter().rev()).enumerate() {
            let started_task = [pair.0, pair.1].into_iter().filter(|answer| matches!(answer, StartAnswer::Started(_))).count();
            assert_eq!(started_task, 1, "task {n} of round {round} started {started_task} times: {pair:?}");
        }
    }
}

pub async fn a_reference_given_twice_starts_once(store: Arc<dyn Store>) {
    let id = inserted(&store, task(0)).await;
    let answers = start_refs(&store, 1, &[reference(id, 0), reference(id, 0), reference(id, 1)], at(1)).await;
    assert!(matches!(answers[0], StartAnswer::Started(_)));
    assert_eq!(answers[1..], [StartAnswer::Gone, StartAnswer::Gone]);
    assert_eq!(row(&store, id).await.attempt, Attempt(1));
}

pub async fn a_stale_reference_starts_nothing(store: Arc<dyn Store>) {
    let running = started(&store, task(0), 1).await;
    let ended = crate::support::tasks::ended(&store, task(0), 1, Next::success("1".into())).await;
    let changed = inserted(&store, task(0)).await;
    store.change(changed, &TaskChange::default(), at(1)).await.unwrap();
    let refs = [reference(running.id, 0), reference(running.id, 1), reference(ended, 1), reference(changed, 0)];
    assert_eq!(start_refs(&store, 2, &refs, at(2)).await, vec![StartAnswer::Gone; 4]);
    start_ref(&store, 2, reference(changed, 1), at(2)).await;
}

pub async fn the_attempt_number_rises_with_every_start(store: Arc<dyn Store>) {
    let nexts = [
        Next::Retry { due_at: at(0), error: mishap() },
        Next::Release { due_at: at(0) },
        Next::Crashed { due_at: at(0), crashes: 1, error: mishap() },
        Next::Release { due_at: at(0) },
    ];
    let id = inserted(&store, task(0)).await;
    let mut dispatched = 0;
    for next in nexts {
        let started_task = start_ref(&store, 1, reference(id, 2 * dispatched), at(1)).await;
        assert_eq!(started_task.attempt, Attempt(dispatched + 1));
        settle(&store, &started_task, at(1), next).await;
        dispatched += 1;
    }
    let last = start_ref(&store, 1, reference(id, 2 * dispatched), at(1)).await;
    assert_eq!((last.attempt, last.retries_used, last.crashes), (Attempt(5), 1, 1));
}

pub async fn an_expired_task_is_ended_instead_of_started(store: Arc<dyn Store>) {
    let id = inserted(&store, NewTask { expires_at: Some(at(5)), ..task_with_callback() }).await;
    let answer = start_refs(&store, 1, &[reference(id, 0)], at(6)).await.remove(0);
    let StartAnswer::Ended(ended) = answer else { panic!("it was {answer:?}") };
    assert_eq!((ended.id, ended.status), (id, EndStatus::Revoked));
    let row = row(&store, id).await;
    assert_eq!((row.status, row.reason, row.ended_at), (TaskStatus::Revoked, Some(EndReason::Expired), Some(at(6))));
    assert_eq!((row.attempt, row.started_at), (Attempt(0), None));
    let callback = ended.callback.unwrap();
    assert_eq!(start_ref(&store, 1, callback.task, at(6)).await.queue, callback.queue);
}

pub async fn a_task_that_expires_later_starts(store: Arc<dyn Store>) {
    let id = inserted(&store, NewTask { expires_at: Some(at(5)), ..task(0) }).await;
    start_ref(&store, 1, reference(id, 0), at(4)).await;
}

pub async fn a_task_of_a_paused_queue_waits_and_is_dispatched_again(store: Arc<dyn Store>) {
    let id = inserted(&store, task(0)).await;
    let pause = QueueChange { paused: Some(true), concurrency: None };
    store.change_queue(&default_queue(), &pause, at(0)).await.unwrap();
    assert_eq!(start_refs(&store, 1, &[reference(id, 0)], at(1)).await, [StartAnswer::Postponed]);
    assert_eq!(row(&store, id).await.attempt, Attempt(0));
    assert_eq!(store.next_dispatch_at().await.unwrap(), Some(at(2)));
    let resume = QueueChange { paused: Some(false), concurrency: None };
    store.change_queue(&default_queue(), &resume, at(2)).await.unwrap();
    let dispatched = store.take_due(at(2), 10).await.unwrap();
    start_ref(&store, 1, dispatched[0].task, at(2)).await;
}

pub async fn a_task_that_is_not_due_waits_for_its_time(store: Arc<dyn Store>) {
    let new = NewTask { due_at: at(60), ..task(0) };
    insert(&store, &[undispatched(new.clone())]).await;
    assert_eq!(start_refs(&store, 1, &[reference(new.id, 0)], at(1)).await, [StartAnswer::Postponed]);
    assert_eq!(store.next_dispatch_at().await.unwrap(), Some(at(60)));
    start_ref(&store, 1, reference(new.id, 0), at(60)).await;
    assert_eq!(store.next_dispatch_at().await.unwrap(), None);
}

pub async fn a_task_that_was_dispatched_at_its_time_starts_by_a_clock_that_lags(store: Arc<dyn Store>) {
    let fresh = inserted(&store, task(10)).await;
    start_ref(&store, 1, reference(fresh, 0), at(9)).await;
    let later = NewTask { due_at: at(60), ..task(0) };
    insert(&store, &[undispatched(later.clone())]).await;
    let dispatch = store.take_due(at(60), 1).await.unwrap().remove(0);
    start_ref(&store, 1, dispatch.task, at(59)).await;
    // Dispatched before its time, it waits.
    let early = NewTask { due_at: at(60), ..task(0) };
    insert(&store, &[dispatched(early.clone())]).await;
    assert_eq!(start_refs(&store, 1, &[reference(early.id, 0)], at(59)).await, [StartAnswer::Postponed]);
    assert_eq!(store.next_dispatch_at().await.unwrap(), Some(at(60)));
}

pub async fn a_task_that_has_seen_two_workers_die_starts_alone(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    settle(&store, &started_task, at(2), Next::Crashed { due_at: at(2), crashes: 2, error: mishap() }).await;
    let refs = [reference(started_task.id, 2)];
    assert_eq!(start_refs(&store, 2, &refs, at(3)).await, [StartAnswer::NeedsExclusive]);
    assert_eq!(row(&store, started_task.id).await.attempt, Attempt(1));
    let exclusive =
        StartBatch { worker: worker(2), worker_name: "worker-2", now: at(3), exclusive: true, refs: &refs, limits: &[] };
    let answers = store.start(&exclusive).await.unwrap();
    assert!(matches!(&answers[0], StartAnswer::Started(started_task) if started_task.attempt == Attempt(2)), "{answers:?}");
}

pub async fn a_started_task_is_not_dispatched(store: Arc<dyn Store>) {
    let new = task(0);
    insert(&store, &[undispatched(new.clone())]).await;
    start_ref(&store, 1, reference(new.id, 0), at(1)).await;
    assert_eq!(store.take_due(at(10), 10).await.unwrap(), []);
    store.mark_undispatched(&[reference(new.id, 0), reference(new.id, 1)], at(11)).await.unwrap();
    assert_eq!(store.take_due(at(12), 10).await.unwrap(), []);
}
