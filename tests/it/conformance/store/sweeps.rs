//! What the relay, the rescue and the retention ask.

use std::sync::Arc;
use std::time::Duration;

use legwork_engine::domain::{Band, EndReason, NewTask, Next, Priority, TaskId, TaskStatus};
use legwork_engine::store::{QueueChange, Store};

use crate::support::tasks::{
    at, begun, default_queue, insert, inserted, mishap, queue, reference, row, settle, started, status, task, unrung,
};

pub async fn due_rows_are_taken_once_by_their_time_up_to_the_limit(store: Arc<dyn Store>) {
    let tasks: Vec<_> = [30, 10, 20, 40].into_iter().map(|due| NewTask { due_at: at(due), ..task(0) }).collect();
    insert(&store, &tasks.iter().cloned().map(unrung).collect::<Vec<_>>()).await;
    assert_eq!(taken(&store, 35, 2).await, [tasks[1].id, tasks[2].id]);
    assert_eq!(taken(&store, 35, 2).await, [tasks[0].id]);
    assert_eq!(taken(&store, 35, 2).await, []);
    assert_eq!(store.next_ring().await.unwrap(), Some(at(40)));
}

pub async fn two_relays_at_once_ring_each_row_once(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..40).map(|_| unrung(task(0))).collect();
    insert(&store, &tasks).await;
    let (one, two) = tokio::join!(taken(&store, 1, 30), taken(&store, 1, 30));
    let mut ids = [one, two, taken(&store, 1, 30).await].concat();
    ids.sort_unstable();
    let mut expected: Vec<_> = tasks.iter().map(|submitted| submitted.task.id).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

pub async fn a_doorbell_names_the_lane_and_the_attempt(store: Arc<dyn Store>) {
    let new = NewTask { queue: queue("slow"), priority: Priority::new(8).unwrap(), ..task(0) };
    let begun = started(&store, new, 1).await;
    settle(&store, &begun, at(2), Next::Retry { due_at: at(5), error: mishap() }).await;
    let bell = store.take_due(at(6), 10).await.unwrap().remove(0);
    assert_eq!((bell.task, bell.queue.as_str(), bell.band), (reference(begun.id, 1), "slow", Band::High));
    assert_eq!(bell.rung_at, at(6));
}

pub async fn a_lost_doorbell_is_rung_again_in_its_lane_only(store: Arc<dyn Store>) {
    let lost = inserted(&store, task(0)).await;
    let newer = inserted(&store, task(50)).await;
    inserted(&store, NewTask { priority: Priority::new(9).unwrap(), ..task(0) }).await;
    inserted(&store, NewTask { queue: queue("slow"), ..task(0) }).await;
    insert(&store, &[unrung(NewTask { due_at: at(1_000), ..task(0) })]).await;
    started(&store, task(0), 1).await;
    let bells = take_lost(&store, 30, 100, 10).await;
    assert_eq!(bells, [lost]);
    assert_eq!(take_lost(&store, 30, 101, 10).await, [], "it was rung at 100");
    assert_eq!(take_lost(&store, 101, 160, 10).await, [newer, lost], "the oldest ring comes first");
}

pub async fn lost_doorbells_are_taken_up_to_the_limit_oldest_ring_first(store: Arc<dyn Store>) {
    let (second, first, third) =
        (inserted(&store, task(2)).await, inserted(&store, task(1)).await, inserted(&store, task(3)).await);
    assert_eq!(take_lost(&store, 60, 100, 2).await, [first, second]);
    assert_eq!(take_lost(&store, 60, 100, 2).await, [third]);
    let bell = store.take_lost(&default_queue(), Band::Normal, at(101), at(102), 1).await.unwrap().remove(0);
    assert_eq!((bell.rung_at, bell.band), (at(102), Band::Normal));
}

pub async fn what_the_relay_has_yet_to_ring_is_not_lost(store: Arc<dyn Store>) {
    insert(&store, &[unrung(task(0))]).await;
    assert_eq!(take_lost(&store, 60, 100, 10).await, []);
    let id = inserted(&store, task(0)).await;
    store.hand_to_relay(&[reference(id, 0)], at(10)).await.unwrap();
    assert_eq!(take_lost(&store, 60, 100, 10).await, []);
}

pub async fn a_ring_that_failed_is_handed_to_the_relay(store: Arc<dyn Store>) {
    let (one, two, stale) =
        (inserted(&store, task(0)).await, inserted(&store, task(1)).await, started(&store, task(2), 2).await.id);
    store.hand_to_relay(&[reference(two, 0), reference(one, 0), reference(stale, 0)], at(5)).await.unwrap();
    store.hand_to_relay(&[], at(5)).await.unwrap();
    let mut ids = taken(&store, 5, 10).await;
    ids.sort_unstable();
    assert_eq!(ids, [one, two]);
}

pub async fn a_poll_finds_what_is_due_most_urgent_first_and_changes_nothing(store: Arc<dyn Store>) {
    let normal = inserted(&store, task(1)).await;
    let urgent = inserted(&store, NewTask { priority: Priority::new(9).unwrap(), ..task(2) }).await;
    let low = inserted(&store, NewTask { priority: Priority::new(0).unwrap(), queue: queue("slow"), ..task(0) }).await;
    inserted(&store, NewTask { queue: queue("other"), ..task(0) }).await;
    insert(&store, &[unrung(NewTask { due_at: at(60), ..task(0) })]).await;
    started(&store, task(0), 1).await;
    let queues = [default_queue(), queue("slow")];
    for _ in 0..2 {
        assert_eq!(polled(&store, &queues, 10).await, [urgent, normal, low]);
    }
    assert_eq!(polled(&store, &queues, 1).await, [urgent]);
    assert_eq!(polled(&store, &[], 10).await, []);
    let bell = store.poll(&queues, at(10), 1).await.unwrap().remove(0);
    assert_eq!((bell.task, bell.queue, bell.band), (reference(urgent, 0), default_queue(), Band::High));
}

pub async fn a_poll_finds_what_the_relay_has_yet_to_ring(store: Arc<dyn Store>) {
    let unheard = task(1);
    insert(&store, &[unrung(unheard.clone())]).await;
    let handed = inserted(&store, task(2)).await;
    store.hand_to_relay(&[reference(handed, 0)], at(5)).await.unwrap();
    let retrying = started(&store, task(3), 3).await;
    settle(&store, &retrying, at(4), Next::Retry { due_at: at(6), error: mishap() }).await;
    assert_eq!(polled(&store, &[default_queue()], 10).await, [unheard.id, handed, retrying.id]);
}

pub async fn a_poll_leaves_paused_queues_alone(store: Arc<dyn Store>) {
    inserted(&store, task(0)).await;
    let other = inserted(&store, NewTask { queue: queue("slow"), ..task(0) }).await;
    let pause = QueueChange { paused: Some(true), concurrency: None };
    store.change_queue(&default_queue(), &pause, at(0)).await.unwrap();
    assert_eq!(polled(&store, &[default_queue(), queue("slow")], 10).await, [other]);
}

pub async fn an_attempt_past_its_hard_limit_and_grace_is_found(store: Arc<dyn Store>) {
    let short = NewTask { hard_limit: Duration::from_millis(10_500), ..task(0) };
    let begun = started(&store, short, 1).await;
    started(&store, task(0), 1).await;
    let grace = Duration::from_secs(5);
    assert_eq!(store.overrun(grace, at(16), 10).await.unwrap(), []);
    let found = store.overrun(grace, at(17), 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, found[0].attempt, found[0].hard_limit), (begun.id, begun.attempt, begun.hard_limit));
    assert_eq!(store.overrun(grace, at(10_000), 1).await.unwrap().len(), 1);
}

pub async fn what_has_expired_is_ended_up_to_the_limit(store: Arc<dyn Store>) {
    let expiring = |due, expires| NewTask { due_at: at(due), expires_at: Some(at(expires)), ..task(0) };
    for _ in 0..3 {
        insert(&store, &[unrung(expiring(20, 10))]).await;
    }
    let later = inserted(&store, expiring(0, 100)).await;
    let never = inserted(&store, task(0)).await;
    let running = started(&store, expiring(0, 10), 1).await.id;
    let first = store.expire(at(11), 2).await.unwrap();
    assert_eq!(first.len(), 2);
    assert_eq!(store.expire(at(11), 2).await.unwrap().len(), 1);
    assert_eq!(store.expire(at(11), 2).await.unwrap(), []);
    let row = row(&store, first[0].id).await;
    assert_eq!((row.status, row.reason, row.ended_at), (TaskStatus::Revoked, Some(EndReason::Expired), Some(at(11))));
    assert_eq!(status(&store, later).await, TaskStatus::Pending);
    assert_eq!(status(&store, never).await, TaskStatus::Pending);
    assert_eq!(status(&store, running).await, TaskStatus::Started);
}

pub async fn a_retry_rings_at_its_time_and_begins_with_the_new_number(store: Arc<dyn Store>) {
    let begun_first = started(&store, task(0), 1).await;
    settle(&store, &begun_first, at(2), Next::Retry { due_at: at(30), error: mishap() }).await;
    assert_eq!(taken(&store, 29, 10).await, []);
    assert_eq!(taken(&store, 30, 10).await, [begun_first.id]);
    assert_eq!(take_lost(&store, 60, 100, 10).await, [begun_first.id]);
    begun(&store, 2, reference(begun_first.id, 1), at(101)).await;
    assert_eq!(take_lost(&store, 200, 300, 10).await, []);
}

pub async fn sweeps_of_an_empty_store_find_nothing(store: Arc<dyn Store>) {
    assert_eq!(store.next_ring().await.unwrap(), None);
    assert_eq!(taken(&store, 0, 10).await, []);
    assert_eq!(store.expire(at(0), 10).await.unwrap(), []);
    assert_eq!(store.started_by_the_dead(at(0), at(0), 10).await.unwrap(), []);
    assert_eq!(store.overrun(Duration::ZERO, at(0), 10).await.unwrap(), []);
    store.make_partitions(at(0)).await.unwrap();
    store.make_partitions(at(0)).await.unwrap();
}

pub async fn a_backlog_is_rung_in_the_order_it_is_due(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..100).map(|n| unrung(NewTask { due_at: at(n), ..task(0) })).collect();
    insert(&store, &tasks).await;
    let expected: Vec<_> = tasks.iter().map(|submitted| submitted.task.id).collect();
    assert_eq!(taken(&store, 99, 100).await, expected);
}

async fn taken(store: &Arc<dyn Store>, now: i64, limit: u32) -> Vec<TaskId> {
    store.take_due(at(now), limit).await.unwrap().into_iter().map(|bell| bell.task.id).collect()
}

async fn take_lost(store: &Arc<dyn Store>, rung_before: i64, now: i64, limit: u32) -> Vec<TaskId> {
    let bells = store.take_lost(&default_queue(), Band::Normal, at(rung_before), at(now), limit).await.unwrap();
    bells.into_iter().map(|bell| bell.task.id).collect()
}

async fn polled(store: &Arc<dyn Store>, queues: &[legwork_engine::domain::QueueName], limit: u32) -> Vec<TaskId> {
    store.poll(queues, at(10), limit).await.unwrap().into_iter().map(|bell| bell.task.id).collect()
}
