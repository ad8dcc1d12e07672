//! Rate limits: over all workers, no span holds more starts of a kind than allowed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use legwork_engine::domain::{KindName, NewTask, Priority, QueueName, RateLimit, TaskId, TaskRef};
use legwork_engine::store::{QueueChange, RevokeOrder, StartAnswer, StartBatch, Store, TaskChange};

use crate::support::tasks::{at, default_queue, dispatched, insert, reference, row, task, worker};

const LIMIT: RateLimit = RateLimit { starts: 3, per: Duration::from_mins(1) };

fn limited_kind() -> KindName {
    KindName::parse("shop.limited").unwrap()
}

fn limited(seconds: i64) -> NewTask {
    NewTask { kind: limited_kind(), ..task(seconds) }
}

/// Inserts `count` tasks of the limited kind.
async fn backlog(store: &Arc<dyn Store>, count: usize) -> Vec<TaskRef> {
    let tasks: Vec<_> = (0..count).map(|_| dispatched(limited(0))).collect();
    insert(store, &tasks).await;
    tasks.iter().map(|task| reference(task.task.id, 0)).collect()
}

async fn start(store: &Arc<dyn Store>, n: u128, refs: &[TaskRef], seconds: i64) -> Vec<StartAnswer> {
    start_at(store, n, refs, at(seconds)).await
}

async fn start_at(store: &Arc<dyn Store>, n: u128, refs: &[TaskRef], now: Timestamp) -> Vec<StartAnswer> {
    let limits = [(limited_kind(), LIMIT)];
    let batch = StartBatch { worker: worker(n), worker_name: "w", now, exclusive: false, refs, limits: &limits };
    store.start(&batch).await.unwrap()
}

fn count_started(answers: &[StartAnswer]) -> usize {
    answers.iter().filter(|answer| matches!(answer, StartAnswer::Started(_))).count()
}

async fn slot(store: &Arc<dyn Store>, id: TaskId) -> Option<i64> {
    row(store, id).await.limited_until.map(|until| until.duration_since(at(0)).as_secs())
}

pub async fn of_a_limited_kind_as_many_start_as_its_limit_allows(store: Arc<dyn Store>) {
    let urgent = NewTask { priority: Priority::new(9).unwrap(), ..limited(0) };
    let mut refs = backlog(&store, 4).await;
    insert(&store, &[dispatched(urgent.clone())]).await;
    refs.push(reference(urgent.id, 0));
    let answers = start(&store, 1, &refs, 1).await;
    assert_eq!(count_started(&answers), 3);
    assert!(matches!(answers[4], StartAnswer::Started(_)), "the most urgent one is among them");
    assert_eq!(answers.iter().filter(|answer| **answer == StartAnswer::Postponed).count(), 2);
    assert_eq!(count_started(&start(&store, 2, &backlog(&store, 2).await, 2).await), 0);
}

pub async fn a_task_that_waits_for_its_limit_is_dispatched_at_its_slot(store: Arc<dyn Store>) {
    let refs = backlog(&store, 4).await;
    let answers = start(&store, 1, &refs, 0).await;
    let waits = refs[answers.iter().position(|answer| *answer == StartAnswer::Postponed).unwrap()];
    assert_eq!(slot(&store, waits.id).await, Some(60));
    assert_eq!(store.take_due(at(60), 10).await.unwrap(), []);
    let due = store.take_due(at(61), 10).await.unwrap();
    assert_eq!(due.iter().map(|dispatch| dispatch.task).collect::<Vec<_>>(), [waits]);
    assert_eq!(count_started(&start(&store, 1, &[waits], 61).await), 1);
    assert_eq!(slot(&store, waits.id).await, None, "it waits no more");
}

pub async fn a_start_is_forgotten_after_the_span_of_the_limit(store: Arc<dyn Store>) {
    let refs = backlog(&store, 6).await;
    assert_eq!(count_started(&start(&store, 1, &refs[..2], 0).await), 2);
    assert_eq!(count_started(&start(&store, 1, &refs[2..3], 30).await), 1);
    assert_eq!(count_started(&start(&store, 1, &refs[3..4], 59).await), 0);
    assert_eq!(count_started(&start(&store, 1, &refs[3..], 61).await), 2, "the start of second 30 still counts");
}

pub async fn kinds_without_a_limit_start_beside_a_limited_one(store: Arc<dyn Store>) {
    let others: Vec<_> = (0..5).map(|_| dispatched(task(0))).collect();
    insert(&store, &others).await;
    let mut refs = backlog(&store, 5).await;
    refs.extend(others.iter().map(|other| reference(other.task.id, 0)));
    refs.swap(1, 8);
    let answers = start(&store, 1, &refs, 1).await;
    assert_eq!(count_started(&answers), 8);
    for (answer, reference) in answers.iter().zip(&refs) {
        match answer {
            StartAnswer::Started(started) => assert_eq!(started.id, reference.id),
            other => assert_eq!(*other, StartAnswer::Postponed),
        }
    }
}

pub async fn workers_that_start_at_once_share_one_limit(store: Arc<dyn Store>) {
    let refs = backlog(&store, 12).await;
    let starts = refs.chunks(3).zip(1..).map(|(refs, n)| {
        let (store, refs) = (store.clone(), refs.to_vec());
        tokio::spawn(async move { count_started(&start(&store, n, &refs, 1).await) })
    });
    let mut started = 0;
    for one in starts.collect::<Vec<_>>() {
        started += one.await.unwrap();
    }
    assert_eq!(started, 3);
}

pub async fn what_cannot_start_anyway_uses_nothing_up(store: Arc<dyn Store>) {
    let paused = QueueName::parse("paused").unwrap();
    store.ensure_queues(&[paused.clone(), default_queue()], at(0)).await.unwrap();
    store.change_queue(&paused, &QueueChange { paused: Some(true), ..QueueChange::default() }, at(0)).await.unwrap();
    let held = [limited(0), limited(0), limited(0)].map(|task| dispatched(NewTask { queue: paused.clone(), ..task }));
    let expired = dispatched(NewTask { expires_at: Some(at(1)), ..limited(0) });
    insert(&store, &held).await;
    insert(&store, std::slice::from_ref(&expired)).await;
    let mut refs: Vec<_> = held.iter().map(|task| reference(task.task.id, 0)).collect();
    refs.push(reference(expired.task.id, 0));
    // A version that is not the present one.
    refs.push(reference(backlog(&store, 1).await[0].id, 7));
    let answers = start(&store, 1, &refs, 2).await;
    assert_eq!(answers[..3], [StartAnswer::Postponed, StartAnswer::Postponed, StartAnswer::Postponed]);
    assert!(matches!(answers[3], StartAnswer::Ended(_)) && answers[4] == StartAnswer::Gone, "{answers:?}");
    assert_eq!(count_started(&start(&store, 1, &backlog(&store, 4).await, 3).await), 3);
}

pub async fn a_long_backlog_is_spread_over_time(store: Arc<dyn Store>) {
    let refs = backlog(&store, 9).await;
    assert_eq!(count_started(&start(&store, 1, &refs, 0).await), 3);
    let mut slots = Vec::new();
    for reference in &refs {
        slots.extend(slot(&store, reference.id).await);
    }
    slots.sort_unstable();
    assert_eq!(slots, [60, 80, 100, 120, 140, 160]);
    let later = backlog(&store, 1).await;
    start(&store, 1, &later, 1).await;
    assert_eq!(slot(&store, later[0].id).await, Some(180), "it goes to the end of the line");
    // Each slot finds a free start.
    for _ in 0..7 {
        let slot = store.next_dispatch_at().await.unwrap().unwrap();
        let due: Vec<_> = store.take_due(slot, 10).await.unwrap().iter().map(|dispatch| dispatch.task).collect();
        assert_eq!((due.len(), count_started(&start_at(&store, 1, &due, slot).await)), (1, 1), "{slot}");
    }
}

pub async fn a_line_that_was_revoked_holds_up_nobody(store: Arc<dyn Store>) {
    let refs = backlog(&store, 9).await;
    start(&store, 1, &refs, 0).await;
    for reference in &refs {
        store.revoke(&RevokeOrder { id: reference.id, terminate: false, now: at(1) }).await.unwrap();
    }
    assert_eq!(count_started(&start(&store, 1, &backlog(&store, 4).await, 62).await), 3);
}

pub async fn a_line_moves_up_where_starts_have_become_free(store: Arc<dyn Store>) {
    let refs = backlog(&store, 9).await;
    start(&store, 1, &refs, 0).await;
    let mut line = Vec::new();
    for reference in &refs {
        line.extend(slot(&store, reference.id).await.map(|slot| (slot, reference.id)));
    }
    line.sort_unstable();
    assert_eq!(store.advance_line(&limited_kind(), Some(LIMIT), at(30)).await.unwrap(), 0, "nothing is free");
    for (_, id) in &line[..4] {
        store.revoke(&RevokeOrder { id: *id, terminate: false, now: at(31) }).await.unwrap();
    }
    assert_eq!(store.limited_kinds(at(62)).await.unwrap(), [limited_kind()]);
    assert_eq!(store.advance_line(&limited_kind(), Some(LIMIT), at(62)).await.unwrap(), 2);
    assert_eq!(store.advance_line(&limited_kind(), Some(LIMIT), at(63)).await.unwrap(), 0, "they are on their way");
    let due: Vec<_> = store.take_due(at(63), 10).await.unwrap().iter().map(|dispatch| dispatch.task).collect();
    assert_eq!((due.len(), count_started(&start(&store, 1, &due, 63).await)), (2, 2));
    // Of a kind that has no limit any more, all go on.
    start(&store, 1, &backlog(&store, 6).await, 64).await;
    assert_eq!(store.advance_line(&limited_kind(), None, at(65)).await.unwrap(), 5);
    assert_eq!(store.limited_kinds(at(65)).await.unwrap(), []);
    assert_eq!(store.take_due(at(65), 10).await.unwrap().len(), 5);
}

pub async fn a_task_that_is_moved_to_another_time_leaves_the_line(store: Arc<dyn Store>) {
    let refs = backlog(&store, 4).await;
    start(&store, 1, &refs, 0).await;
    let mut waits = refs[0].id;
    for reference in &refs {
        if slot(&store, reference.id).await.is_some() {
            waits = reference.id;
        }
    }
    let later = TaskChange { due_at: Some(at(86_400)), ..TaskChange::default() };
    store.change(waits, &later, at(1)).await.unwrap();
    assert_eq!(slot(&store, waits).await, None);
    start(&store, 1, &backlog(&store, 1).await, 2).await;
    assert_eq!(store.take_due(at(61), 10).await.unwrap().len(), 1, "the next one is not behind it");
}
