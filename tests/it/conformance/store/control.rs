//! Revoke, retry by hand, change, purge, queues and progress.

use std::sync::Arc;
use std::time::Duration;

use legwork_engine::domain::{
    Attempt, EndReason, EndStatus, NewTask, Next, Origin, Priority, Progress, StartedTask, TaskId, TaskStatus, Version,
};
use legwork_engine::store::{
    ChangeAnswer, QueueChange, QueueRow, RetryAnswer, RevokeAnswer, RevokeOrder, Settlement, StartAnswer, Store, TaskChange,
};

use crate::support::tasks::{
    at, default_queue, dispatched, end_of, ended, insert, inserted, mishap, queue, reference, row, settle, settle_all,
    settlement, start_ref, start_refs, started, status, task, task_with_callback, undispatched, worker,
};

pub async fn a_waiting_task_is_revoked_at_once(store: Arc<dyn Store>) {
    let id = inserted(&store, task_with_callback()).await;
    let answer = store.revoke(&order(id, false, 1)).await.unwrap();
    let RevokeAnswer::Revoked(ended) = answer else { panic!("it was {answer:?}") };
    assert_eq!((ended.id, ended.status), (id, EndStatus::Revoked));
    start_ref(&store, 1, ended.callback.unwrap().task, at(1)).await;
    let row = row(&store, id).await;
    assert_eq!((row.status, row.reason, row.ended_at), (TaskStatus::Revoked, Some(EndReason::Revoked), Some(at(1))));
    assert_eq!(start_refs(&store, 1, &[reference(id, 0)], at(2)).await, [StartAnswer::Gone]);
}

pub async fn a_task_that_waits_for_its_retry_is_revoked_at_once(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    settle(&store, &started_task, at(2), Next::Retry { due_at: at(60), error: mishap() }).await;
    assert!(matches!(store.revoke(&order(started_task.id, true, 3)).await.unwrap(), RevokeAnswer::Revoked(_)));
    assert_eq!(status(&store, started_task.id).await, TaskStatus::Revoked);
    assert_eq!(store.take_due(at(100), 10).await.unwrap(), []);
}

pub async fn the_revoke_of_a_running_task_is_written_down(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    let revoking = RevokeAnswer::Revoking { worker: Some(worker(1)), requested_at: at(2) };
    assert_eq!(store.revoke(&order(started_task.id, false, 2)).await.unwrap(), revoking);
    assert_eq!(row(&store, started_task.id).await.revoke_requested_at, Some(at(2)));
    assert!(!store.started_by(worker(1)).await.unwrap()[0].terminate);
    assert_eq!(store.revoke(&order(started_task.id, true, 3)).await.unwrap(), revoking);
    assert_eq!(store.revoke(&order(started_task.id, false, 4)).await.unwrap(), revoking);
    let running = store.started_by(worker(1)).await.unwrap().remove(0);
    assert_eq!((running.terminate, running.revoke_requested_at), (true, Some(at(2))));
    assert!(running.facts.revoke_requested);
}

pub async fn a_revoke_of_what_has_ended_or_never_was_says_so(store: Arc<dyn Store>) {
    let id = ended(&store, task(0), 1, Next::success("1".into())).await;
    assert_eq!(store.revoke(&order(id, false, 2)).await.unwrap(), RevokeAnswer::AlreadyEnded(TaskStatus::Success));
    assert_eq!(store.revoke(&order(TaskId::made(at(0)), false, 2)).await.unwrap(), RevokeAnswer::NotFound);
}

pub async fn a_retry_by_hand_is_a_new_task_and_both_know_of_each_other(store: Arc<dyn Store>) {
    let failed = ended(&store, task(0), 1, Next::failure(mishap())).await;
    let retry = NewTask { retry_of: Some(failed), ..task(5) };
    assert_eq!(store.insert_retry(&dispatched(retry.clone())).await.unwrap(), RetryAnswer::Inserted);
    assert_eq!(row(&store, retry.id).await.retry_of, Some(failed));
    let old = row(&store, failed).await;
    assert_eq!((old.status, old.retried_as), (TaskStatus::Failure, Some(retry.id)));
    let second = NewTask { retry_of: Some(failed), ..task(6) };
    assert_eq!(store.insert_retry(&dispatched(second.clone())).await.unwrap(), RetryAnswer::AlreadyRetried(retry.id));
    assert_eq!(store.find(second.id).await.unwrap(), None);
    start_ref(&store, 1, reference(retry.id, 0), at(7)).await;
}

pub async fn a_retry_of_a_retry_knows_where_the_chain_started(store: Arc<dyn Store>) {
    // Between two milliseconds: an id would not tell it.
    let submitted_at = at(0) + Duration::from_micros(123_456);
    let new = NewTask { submitted_at, due_at: submitted_at, ..task(0) };
    let first = started(&store, new, 1).await;
    assert_eq!(first.retry_origin, None);
    let origin = Some(Origin { task: first.id, submitted_at });
    settle(&store, &first, at(1), Next::failure(mishap())).await;
    let mut last = first.id;
    for n in 1..=3 {
        let retry = NewTask { retry_of: Some(last), ..task(5 * n) };
        assert_eq!(store.insert_retry(&dispatched(retry.clone())).await.unwrap(), RetryAnswer::Inserted);
        let started_task = start_ref(&store, 1, reference(retry.id, 0), at(5 * n + 1)).await;
        assert_eq!((started_task.retry_origin, started_task.submitted_at), (origin, at(5 * n)));
        settle(&store, &started_task, at(5 * n + 2), Next::failure(mishap())).await;
        last = retry.id;
    }
}

pub async fn two_retries_by_hand_at_once_make_one_task(store: Arc<dyn Store>) {
    let failed = ended(&store, task(0), 1, Next::failure(mishap())).await;
    let (one, two) =
        (dispatched(NewTask { retry_of: Some(failed), ..task(5) }), dispatched(NewTask { retry_of: Some(failed), ..task(5) }));
    let answers = tokio::join!(store.insert_retry(&one), store.insert_retry(&two));
    let expected = match row(&store, failed).await.retried_as {
        Some(id) if id == one.task.id => (RetryAnswer::Inserted, RetryAnswer::AlreadyRetried(id)),
        Some(id) => (RetryAnswer::AlreadyRetried(id), RetryAnswer::Inserted),
        None => panic!("neither was made"),
    };
    assert_eq!((answers.0.unwrap(), answers.1.unwrap()), expected);
}

pub async fn only_what_failed_or_was_revoked_is_retried_by_hand(store: Arc<dyn Store>) {
    let retry_of = |id| dispatched(NewTask { retry_of: Some(id), ..task(5) });
    let waiting = inserted(&store, task(0)).await;
    let running = started(&store, task(0), 1).await.id;
    let success = ended(&store, task(0), 1, Next::success("1".into())).await;
    let revoked = ended(&store, task(0), 1, Next::revoked(EndReason::Revoked)).await;
    let cases = [
        (waiting, RetryAnswer::NotRetryable(TaskStatus::Pending)),
        (running, RetryAnswer::NotRetryable(TaskStatus::Started)),
        (success, RetryAnswer::NotRetryable(TaskStatus::Success)),
        (TaskId::made(at(0)), RetryAnswer::NotFound),
        (revoked, RetryAnswer::Inserted),
    ];
    for (id, expected) in cases {
        assert_eq!(store.insert_retry(&retry_of(id)).await.unwrap(), expected);
    }
}

pub async fn a_change_moves_a_waiting_task_and_makes_old_references_stale(store: Arc<dyn Store>) {
    let id = inserted(&store, task(0)).await;
    let change = TaskChange { due_at: Some(at(60)), queue: Some(queue("slow")), priority: Some(Priority::new(9).unwrap()) };
    let answer = store.change(id, &change, at(1)).await.unwrap();
    let ChangeAnswer::Changed(changed) = answer else { panic!("it was {answer:?}") };
    assert_eq!((changed.due_at, changed.queue.as_str(), changed.priority.get()), (at(60), "slow", 9));
    assert_eq!((changed.status, changed.attempt, changed.version), (TaskStatus::Pending, Attempt(0), Version(1)));
    assert_eq!(*changed, row(&store, id).await);
    assert_eq!(start_refs(&store, 1, &[reference(id, 0)], at(2)).await, [StartAnswer::Gone]);
    let dispatched = store.take_due(at(60), 10).await.unwrap();
    assert_eq!((dispatched[0].task, dispatched[0].queue.as_str()), (reference(id, 1), "slow"));
    start_ref(&store, 1, dispatched[0].task, at(60)).await;
}

pub async fn a_change_of_one_thing_leaves_the_others(store: Arc<dyn Store>) {
    let new = NewTask { due_at: at(60), ..task(0) };
    insert(&store, &[undispatched(new.clone())]).await;
    let change = TaskChange { priority: Some(Priority::new(1).unwrap()), ..TaskChange::default() };
    store.change(new.id, &change, at(1)).await.unwrap();
    let row = row(&store, new.id).await;
    assert_eq!((row.due_at, row.queue, row.priority.get()), (new.due_at, new.queue, 1));
    assert_eq!(store.next_dispatch_at().await.unwrap(), Some(at(60)));
}

pub async fn only_a_waiting_task_is_changed(store: Arc<dyn Store>) {
    let running = started(&store, task(0), 1).await.id;
    let done = ended(&store, task(0), 1, Next::success("1".into())).await;
    let change = TaskChange { due_at: Some(at(60)), ..TaskChange::default() };
    let answer = store.change(running, &change, at(2)).await.unwrap();
    assert_eq!(answer, ChangeAnswer::NotWaiting(TaskStatus::Started));
    assert_eq!(store.change(done, &change, at(2)).await.unwrap(), ChangeAnswer::NotWaiting(TaskStatus::Success));
    assert_eq!(store.change(TaskId::made(at(0)), &change, at(2)).await.unwrap(), ChangeAnswer::NotFound);
}

pub async fn a_purge_ends_what_waits_in_the_queue_oldest_first_up_to_its_limit(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..5).rev().map(task).collect();
    insert(&store, &tasks.iter().cloned().map(dispatched).collect::<Vec<_>>()).await;
    let elsewhere = inserted(&store, NewTask { queue: queue("other"), ..task_with_callback() }).await;
    let running = started(&store, task(0), 1).await.id;
    let purged = store.purge(&default_queue(), at(10), 3).await.unwrap();
    let mut ids: Vec<_> = purged.iter().map(|ended| ended.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [tasks[4].id, tasks[3].id, tasks[2].id]);
    for id in ids {
        let row = row(&store, id).await;
        assert_eq!((row.status, row.reason, row.ended_at), (TaskStatus::Revoked, Some(EndReason::Purged), Some(at(10))));
    }
    assert_eq!(store.purge(&default_queue(), at(10), 3).await.unwrap().len(), 2);
    assert_eq!(store.purge(&default_queue(), at(10), 3).await.unwrap(), []);
    assert_eq!(status(&store, running).await, TaskStatus::Started);
    let with_callback = store.purge(&queue("other"), at(10), 3).await.unwrap();
    assert_eq!(with_callback[0].id, elsewhere);
    start_ref(&store, 1, with_callback[0].callback.as_ref().unwrap().task, at(10)).await;
}

pub async fn a_purge_takes_what_waits_for_its_time_too(store: Arc<dyn Store>) {
    let later = NewTask { due_at: at(500), ..task(2) };
    insert(&store, &[undispatched(later.clone())]).await;
    let now = inserted(&store, task(3)).await;
    let retrying = started(&store, task(1), 1).await;
    settle(&store, &retrying, at(4), Next::Retry { due_at: at(60), error: mishap() }).await;
    let first = store.purge(&default_queue(), at(10), 2).await.unwrap();
    let mut ids: Vec<_> = first.iter().map(|ended| ended.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [retrying.id, later.id]);
    assert_eq!(store.purge(&default_queue(), at(10), 2).await.unwrap()[0].id, now);
}

pub async fn queues_become_known_once(store: Arc<dyn Store>) {
    let names = [queue("b"), queue("a"), queue("b")];
    assert!(store.ensure_queues(&names, at(0)).await.unwrap());
    assert!(!store.ensure_queues(&names, at(1)).await.unwrap());
    assert!(!store.ensure_queues(&[], at(1)).await.unwrap());
    assert!(store.ensure_queues(&[queue("a"), queue("c")], at(2)).await.unwrap());
    let known: Vec<_> = store.queues().await.unwrap().into_iter().map(|row| row.name.to_string()).collect();
    assert_eq!(known, ["a", "b", "c"]);
}

pub async fn a_queue_is_paused_limited_and_resumed(store: Arc<dyn Store>) {
    let steps = [
        (QueueChange { paused: Some(true), concurrency: None }, Some(at(0)), None),
        (QueueChange { paused: Some(true), concurrency: Some(Some(3)) }, Some(at(0)), Some(3)),
        (QueueChange::default(), Some(at(0)), Some(3)),
        (QueueChange { paused: Some(false), concurrency: None }, None, Some(3)),
        (QueueChange { paused: None, concurrency: Some(None) }, None, None),
    ];
    for (n, (change, paused_at, concurrency)) in (0i64..).zip(steps) {
        let row = store.change_queue(&queue("a"), &change, at(n)).await.unwrap();
        assert_eq!(row, QueueRow { name: queue("a"), paused_at, concurrency });
        assert_eq!(store.queues().await.unwrap(), [row]);
    }
}

pub async fn progress_is_written_by_the_present_attempt_only(store: Arc<dyn Store>) {
    let first = started(&store, task(0), 1).await;
    let actual = Progress { done: 5, total: Some(10), message: Some("half \"way\"".into()) };
    assert!(store.write_progress(first.id, first.attempt, &actual, at(2)).await.unwrap());
    assert_eq!(row(&store, first.id).await.progress, Some(actual.clone()));
    assert!(store.started_by(worker(1)).await.unwrap()[0].progressed);
    assert!(!store.write_progress(first.id, Attempt(2), &actual, at(3)).await.unwrap());
    settle(&store, &first, at(3), Next::Retry { due_at: at(3), error: mishap() }).await;
    assert!(!store.write_progress(first.id, first.attempt, &actual, at(4)).await.unwrap());
    let second = start_ref(&store, 1, reference(first.id, 2), at(4)).await;
    assert!(!store.started_by(worker(1)).await.unwrap()[0].progressed, "the second attempt has told nothing yet");
    let more = Progress { done: 7, total: None, message: None };
    assert!(store.write_progress(first.id, second.attempt, &more, at(5)).await.unwrap());
    end_of(settle(&store, &second, at(6), Next::success("1".into())).await);
    assert_eq!(row(&store, first.id).await.progress, Some(more));
}

pub async fn what_another_attempt_had_done_before_is_no_progress(store: Arc<dyn Store>) {
    let actual = |done| Progress { done, total: Some(u64::MAX), message: Some("a\0b".into()) };
    let first = started(&store, task(0), 1).await;
    let crash = |crashes| Next::Crashed { due_at: at(2), crashes, error: mishap() };
    let progressed = async || store.started_by(worker(1)).await.unwrap()[0].progressed;
    assert!(!progressed().await);
    let mut started_task = first;
    for (attempt, (done, is_progress)) in [(5, true), (3, false), (5, false), (6, true), (u64::MAX, true)].into_iter().enumerate()
    {
        assert!(store.write_progress(started_task.id, started_task.attempt, &actual(done), at(2)).await.unwrap());
        assert_eq!(progressed().await, is_progress, "{done}");
        settle(&store, &started_task, at(2), crash(1)).await;
        let attempt = i32::try_from(attempt).unwrap() + 1;
        started_task = start_ref(&store, 1, reference(started_task.id, 2 * attempt), at(3)).await;
        assert!(!progressed().await, "it has told nothing yet");
    }
}

pub async fn what_an_attempt_told_last_comes_with_its_end(store: Arc<dyn Store>) {
    let actual = |done| Progress { done, total: Some(9), message: Some(format!("\"{done}\"")) };
    let first = started(&store, task(0), 1).await;
    assert!(store.write_progress(first.id, first.attempt, &actual(1), at(2)).await.unwrap());
    let with = |progress, started_task: &StartedTask, next| Settlement { progress, ..settlement(1, started_task, at(3), next) };
    let retry = || Next::Retry { due_at: at(3), error: mishap() };
    settle_all(&store, &[with(Some(actual(2)), &first, retry())]).await;
    assert_eq!(row(&store, first.id).await.progress, Some(actual(2)));
    let second = start_ref(&store, 1, reference(first.id, 2), at(4)).await;
    assert!(store.write_progress(first.id, second.attempt, &actual(3), at(4)).await.unwrap());
    let other = started(&store, task(0), 4).await;
    let ends = [with(Some(actual(4)), &second, Next::success("1".into())), with(None, &other, Next::failure(mishap()))];
    settle_all(&store, &ends).await;
    assert_eq!((row(&store, first.id).await.progress, row(&store, other.id).await.progress), (Some(actual(4)), None));
    assert!(!store.write_progress(first.id, second.attempt, &actual(3), at(5)).await.unwrap(), "a write that was under way");
    assert_eq!(row(&store, first.id).await.progress, Some(actual(4)));
}

fn order(id: TaskId, terminate: bool, seconds: i64) -> RevokeOrder {
    RevokeOrder { id, terminate, now: at(seconds) }
}
