//! What the sweep of due tasks, the rescue and the retention ask.

use std::sync::Arc;
use std::time::Duration;

use legwork_engine::domain::{EndReason, NewTask, Next, Priority, PriorityBand, TaskId, TaskStatus};
use legwork_engine::store::{QueueChange, Store};

use crate::support::tasks::{
    at, default_queue, insert, inserted, mishap, queue, reference, row, settle, start_ref, started, status, task, undispatched,
};

pub async fn due_rows_are_taken_once_by_their_time_up_to_the_limit(store: Arc<dyn Store>) {
    let tasks: Vec<_> = [30, 10, 20, 40].into_iter().map(|due| NewTask { due_at: at(due), ..task(0) }).collect();
    insert(&store, &tasks.iter().cloned().map(undispatched).collect::<Vec<_>>()).await;
    assert_eq!(taken(&store, 35, 2).await, [tasks[1].id, tasks[2].id]);
    assert_eq!(taken(&store, 35, 2).await, [tasks[0].id]);
    assert_eq!(taken(&store, 35, 2).await, []);
    assert_eq!(store.next_dispatch_at().await.unwrap(), Some(at(40)));
}

pub async fn two_due_sweeps_at_once_dispatch_each_row_once(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..40).map(|_| undispatched(task(0))).collect();
    insert(&store, &tasks).await;
    let (one, two) = tokio::join!(taken(&store, 1, 30), taken(&store, 1, 30));
    let mut ids = [one, two, taken(&store, 1, 30).await].concat();
    ids.sort_unstable();
    let mut expected: Vec<_> = tasks.iter().map(|submitted| submitted.task.id).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

pub async fn a_dispatch_names_the_lane_and_the_attempt(store: Arc<dyn Store>) {
    let new = NewTask { queue: queue("slow"), priority: Priority::new(8).unwrap(), ..task(0) };
    let started_task = started(&store, new, 1).await;
    settle(&store, &started_task, at(2), Next::Retry { due_at: at(5), error: mishap() }).await;
    let dispatch = store.take_due(at(6), 10).await.unwrap().remove(0);
    assert_eq!(
        (dispatch.task, dispatch.queue.as_str(), dispatch.band),
        (reference(started_task.id, 2), "slow", PriorityBand::High)
    );
    assert_eq!(dispatch.dispatched_at, at(6));
}

pub async fn a_lost_dispatch_is_sent_again_in_its_lane_only(store: Arc<dyn Store>) {
    let lost = inserted(&store, task(0)).await;
    let newer = inserted(&store, task(50)).await;
    inserted(&store, NewTask { priority: Priority::new(9).unwrap(), ..task(0) }).await;
    inserted(&store, NewTask { queue: queue("slow"), ..task(0) }).await;
    insert(&store, &[undispatched(NewTask { due_at: at(1_000), ..task(0) })]).await;
    started(&store, task(0), 1).await;
    let bells = take_lost(&store, 30, 100, 10).await;
    assert_eq!(bells, [lost]);
    assert_eq!(take_lost(&store, 30, 101, 10).await, [], "it was dispatched at 100");
    assert_eq!(take_lost(&store, 101, 160, 10).await, [newer, lost], "the oldest dispatch comes first");
}

pub async fn lost_dispatches_are_taken_up_to_the_limit_oldest_dispatch_first(store: Arc<dyn Store>) {
    let (second, first, third) =
        (inserted(&store, task(2)).await, inserted(&store, task(1)).await, inserted(&store, task(3)).await);
    assert_eq!(take_lost(&store, 60, 100, 2).await, [first, second]);
    assert_eq!(take_lost(&store, 60, 100, 2).await, [third]);
    let dispatch = store.take_lost(&default_queue(), PriorityBand::Normal, at(101), at(102), 1).await.unwrap().remove(0);
    assert_eq!((dispatch.dispatched_at, dispatch.band), (at(102), PriorityBand::Normal));
}

pub async fn what_the_due_sweep_has_yet_to_dispatch_is_not_lost(store: Arc<dyn Store>) {
    insert(&store, &[undispatched(task(0))]).await;
    assert_eq!(take_lost(&store, 60, 100, 10).await, []);
    let id = inserted(&store, task(0)).await;
    store.mark_undispatched(&[reference(id, 0)], at(10)).await.unwrap();
    assert_eq!(take_lost(&store, 60, 100, 10).await, []);
}

pub async fn a_dispatch_that_failed_is_handed_to_the_due_sweep(store: Arc<dyn Store>) {
    let (one, two, stale) =
        (inserted(&store, task(0)).await, inserted(&store, task(1)).await, started(&store, task(2), 2).await.id);
    store.mark_undispatched(&[reference(two, 0), reference(one, 0), reference(stale, 0)], at(5)).await.unwrap();
    store.mark_undispatched(&[], at(5)).await.unwrap();
    let mut ids = taken(&store, 5, 10).await;
    ids.sort_unstable();
    assert_eq!(ids, [one, two]);
}

pub async fn a_poll_finds_what_is_due_most_urgent_first_and_changes_nothing(store: Arc<dyn Store>) {
    let normal = inserted(&store, task(1)).await;
    let urgent = inserted(&store, NewTask { priority: Priority::new(9).unwrap(), ..task(2) }).await;
    let low = inserted(&store, NewTask { priority: Priority::new(0).unwrap(), queue: queue("slow"), ..task(0) }).await;
    inserted(&store, NewTask { queue: queue("other"), ..task(0) }).await;
    insert(&store, &[undispatched(NewTask { due_at: at(60), ..task(0) })]).await;
    started(&store, task(0), 1).await;
    let queues = [default_queue(), queue("slow")];
    for _ in 0..2 {
        assert_eq!(polled(&store, &queues, 10).await, [urgent, normal, low]);
    }
    assert_eq!(polled(&store, &queues, 1).await, [urgent]);
    assert_eq!(polled(&store, &[], 10).await, []);
    let dispatch = store.poll(&queues, at(10), 1).await.unwrap().remove(0);
    assert_eq!((dispatch.task, dispatch.queue, dispatch.band), (reference(urgent, 0), default_queue(), PriorityBand::High));
}

pub async fn a_poll_finds_what_the_due_sweep_has_yet_to_dispatch(store: Arc<dyn Store>) {
    let unheard = task(1);
    insert(&store, &[undispatched(unheard.clone())]).await;
    let handed = inserted(&store, task(2)).await;
    store.mark_undispatched(&[reference(handed, 0)], at(5)).await.unwrap();
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
    let started_task = started(&store, short, 1).await;
    started(&store, task(0), 1).await;
    let grace = Duration::from_secs(5);
    assert_eq!(store.overrun(grace, at(16), 10).await.unwrap(), []);
    let found = store.overrun(grace, at(17), 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].id, found[0].attempt, found[0].hard_limit),
        (started_task.id, started_task.attempt, started_task.hard_limit)
    );
    assert_eq!(store.overrun(grace, at(10_000), 1).await.unwrap().len(), 1);
}

pub async fn what_has_expired_is_ended_up_to_the_limit(store: Arc<dyn Store>) {
    let expiring = |due, expires| NewTask { due_at: at(due), expires_at: Some(at(expires)), ..task(0) };
    for _ in 0..3 {
        insert(&store, &[undispatched(expiring(20, 10))]).await;
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

pub async fn a_retry_dispatches_at_its_time_and_starts_with_the_new_number(store: Arc<dyn Store>) {
    let started_first = started(&store, task(0), 1).await;
    settle(&store, &started_first, at(2), Next::Retry { due_at: at(30), error: mishap() }).await;
    assert_eq!(taken(&store, 29, 10).await, []);
    assert_eq!(taken(&store, 30, 10).await, [started_first.id]);
    assert_eq!(take_lost(&store, 60, 100, 10).await, [started_first.id]);
    start_ref(&store, 2, reference(started_first.id, 2), at(101)).await;
    assert_eq!(take_lost(&store, 200, 300, 10).await, []);
}

pub async fn sweeps_of_an_empty_store_find_nothing(store: Arc<dyn Store>) {
    assert_eq!(store.next_dispatch_at().await.unwrap(), None);
    assert_eq!(taken(&store, 0, 10).await, []);
    assert_eq!(store.expire(at(0), 10).await.unwrap(), []);
    assert_eq!(store.started_by_the_dead(at(0), at(0), 10).await.unwrap(), []);
    assert_eq!(store.overrun(Duration::ZERO, at(0), 10).await.unwrap(), []);
    store.make_partitions(at(0)).await.unwrap();
    store.make_partitions(at(0)).await.unwrap();
}

pub async fn a_backlog_is_dispatched_in_the_order_it_is_due(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..100).map(|n| undispatched(NewTask { due_at: at(n), ..task(0) })).collect();
    insert(&store, &tasks).await;
    let expected: Vec<_> = tasks.iter().map(|submitted| submitted.task.id).collect();
    assert_eq!(taken(&store, 99, 100).await, expected);
}

async fn taken(store: &Arc<dyn Store>, now: i64, limit: u32) -> Vec<TaskId> {
    store.take_due(at(now), limit).await.unwrap().into_iter().map(|dispatch| dispatch.task.id).collect()
}

async fn take_lost(store: &Arc<dyn Store>, dispatched_before: i64, now: i64, limit: u32) -> Vec<TaskId> {
    let bells = store.take_lost(&default_queue(), PriorityBand::Normal, at(dispatched_before), at(now), limit).await.unwrap();
    bells.into_iter().map(|dispatch| dispatch.task.id).collect()
}

async fn polled(store: &Arc<dyn Store>, queues: &[legwork_engine::domain::QueueName], limit: u32) -> Vec<TaskId> {
    store.poll(queues, at(10), limit).await.unwrap().into_iter().map(|dispatch| dispatch.task.id).collect()
}
