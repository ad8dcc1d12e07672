//! Begin: one compare-and-set decides who runs what.

use std::sync::Arc;

use legwork_engine::domain::{Attempt, Begun, EndReason, EndStatus, NewTask, Next, TaskId, TaskStatus};
use legwork_engine::store::{BeginAnswer, BeginBatch, QueueChange, Store, TaskChange};

use crate::support::tasks::{
    at, begin, begun, default_queue, insert, inserted, mishap, reference, row, rung, settle, started, task, task_with_callback,
    unrung, worker,
};

pub async fn a_begun_attempt_carries_all_that_it_needs(store: Arc<dyn Store>) {
    let new = NewTask { soft_limit: Some(std::time::Duration::from_secs(5)), ..task(0) };
    let id = inserted(&store, new.clone()).await;
    let expected = Begun {
        id,
        attempt: Attempt(1),
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
    assert_eq!(begun(&store, 1, reference(id, 0), at(3)).await, expected);
    let row = row(&store, id).await;
    assert_eq!((row.status, row.attempt), (TaskStatus::Started, Attempt(1)));
    assert_eq!((row.worker, row.worker_name.as_deref()), (Some(worker(1)), Some("worker-1")));
    assert_eq!(row.started_at, Some(at(3)));
}

pub async fn a_batch_begins_in_the_order_of_its_references(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..50).map(|n| rung(task(n % 7))).collect();
    insert(&store, &tasks).await;
    let mut refs: Vec<_> = tasks.iter().map(|submitted| reference(submitted.task.id, 0)).collect();
    refs[10] = reference(TaskId::made(at(0)), 0);
    let answers = begin(&store, 1, &refs, at(10)).await;
    assert_eq!(answers.len(), refs.len());
    for (n, (answer, reference)) in answers.iter().zip(&refs).enumerate() {
        match answer {
            BeginAnswer::Begun(begun) => assert_eq!(begun.id, reference.id),
            other => assert_eq!((n, other), (10, &BeginAnswer::Gone)),
        }
    }
}

pub async fn only_one_of_two_workers_begins_an_attempt(store: Arc<dyn Store>) {
    for round in 0..10 {
        let tasks: Vec<_> = (0..10).map(|_| rung(task(round))).collect();
        insert(&store, &tasks).await;
        let refs: Vec<_> = tasks.iter().map(|submitted| reference(submitted.task.id, 0)).collect();
        let reversed: Vec<_> = refs.iter().rev().copied().collect();
        let (one, two) = tokio::join!(begin(&store, 1, &refs, at(20)), begin(&store, 2, &reversed, at(20)));
        for (n, pair) in one.iter().zip(two.iter().rev()).enumerate() {
            let begun = [pair.0, pair.1].into_iter().filter(|answer| matches!(answer, BeginAnswer::Begun(_))).count();
            assert_eq!(begun, 1, "task {n} of round {round} began {begun} times: {pair:?}");
        }
    }
}

pub async fn a_reference_given_twice_begins_once(store: Arc<dyn Store>) {
    let id = inserted(&store, task(0)).await;
    let answers = begin(&store, 1, &[reference(id, 0), reference(id, 0), reference(id, 1)], at(1)).await;
    assert!(matches!(answers[0], BeginAnswer::Begun(_)));
    assert_eq!(answers[1..], [BeginAnswer::Gone, BeginAnswer::Gone]);
    assert_eq!(row(&store, id).await.attempt, Attempt(1));
}

pub async fn a_stale_reference_begins_nothing(store: Arc<dyn Store>) {
    let running = started(&store, task(0), 1).await;
    let ended = crate::support::tasks::ended(&store, task(0), 1, Next::success("1".into())).await;
    let changed = inserted(&store, task(0)).await;
    store.change(changed, &TaskChange::default(), at(1)).await.unwrap();
    let refs = [reference(running.id, 0), reference(running.id, 1), reference(ended, 1), reference(changed, 0)];
    assert_eq!(begin(&store, 2, &refs, at(2)).await, vec![BeginAnswer::Gone; 4]);
    begun(&store, 2, reference(changed, 1), at(2)).await;
}

pub async fn the_attempt_number_rises_with_every_begin(store: Arc<dyn Store>) {
    let nexts = [
        Next::Retry { due_at: at(0), error: mishap() },
        Next::HandBack { due_at: at(0) },
        Next::Crashed { due_at: at(0), crashes: 1, error: mishap() },
        Next::HandBack { due_at: at(0) },
    ];
    let id = inserted(&store, task(0)).await;
    let mut rung = 0;
    for next in nexts {
        let begun = begun(&store, 1, reference(id, rung), at(1)).await;
        assert_eq!(begun.attempt, Attempt(rung + 1));
        settle(&store, &begun, at(1), next).await;
        rung += 1;
    }
    let last = begun(&store, 1, reference(id, rung), at(1)).await;
    assert_eq!((last.attempt, last.retries_used, last.crashes), (Attempt(5), 1, 1));
}

pub async fn an_expired_task_is_ended_instead_of_begun(store: Arc<dyn Store>) {
    let id = inserted(&store, NewTask { expires_at: Some(at(5)), ..task_with_callback() }).await;
    let answer = begin(&store, 1, &[reference(id, 0)], at(6)).await.remove(0);
    let BeginAnswer::Ended(ended) = answer else { panic!("it was {answer:?}") };
    assert_eq!((ended.id, ended.status), (id, EndStatus::Revoked));
    let row = row(&store, id).await;
    assert_eq!((row.status, row.reason, row.ended_at), (TaskStatus::Revoked, Some(EndReason::Expired), Some(at(6))));
    assert_eq!((row.attempt, row.started_at), (Attempt(0), None));
    let callback = ended.callback.unwrap();
    assert_eq!(begun(&store, 1, callback.task, at(6)).await.queue, callback.queue);
}

pub async fn a_task_that_expires_later_begins(store: Arc<dyn Store>) {
    let id = inserted(&store, NewTask { expires_at: Some(at(5)), ..task(0) }).await;
    begun(&store, 1, reference(id, 0), at(4)).await;
}

pub async fn a_task_of_a_paused_queue_waits_and_is_rung_again(store: Arc<dyn Store>) {
    let id = inserted(&store, task(0)).await;
    let pause = QueueChange { paused: Some(true), concurrency: None };
    store.change_queue(&default_queue(), &pause, at(0)).await.unwrap();
    assert_eq!(begin(&store, 1, &[reference(id, 0)], at(1)).await, [BeginAnswer::Postponed]);
    assert_eq!(row(&store, id).await.attempt, Attempt(0));
    assert_eq!(store.next_ring().await.unwrap(), Some(at(2)));
    let resume = QueueChange { paused: Some(false), concurrency: None };
    store.change_queue(&default_queue(), &resume, at(2)).await.unwrap();
    let rung = store.take_due(at(2), 10).await.unwrap();
    begun(&store, 1, rung[0].task, at(2)).await;
}

pub async fn a_task_that_is_not_due_waits_for_its_time(store: Arc<dyn Store>) {
    let new = NewTask { due_at: at(60), ..task(0) };
    insert(&store, &[unrung(new.clone())]).await;
    assert_eq!(begin(&store, 1, &[reference(new.id, 0)], at(1)).await, [BeginAnswer::Postponed]);
    assert_eq!(store.next_ring().await.unwrap(), Some(at(60)));
    begun(&store, 1, reference(new.id, 0), at(60)).await;
    assert_eq!(store.next_ring().await.unwrap(), None);
}

pub async fn a_task_that_was_rung_at_its_time_begins_by_a_clock_that_lags(store: Arc<dyn Store>) {
    let fresh = inserted(&store, task(10)).await;
    begun(&store, 1, reference(fresh, 0), at(9)).await;
    let later = NewTask { due_at: at(60), ..task(0) };
    insert(&store, &[unrung(later.clone())]).await;
    let doorbell = store.take_due(at(60), 1).await.unwrap().remove(0);
    begun(&store, 1, doorbell.task, at(59)).await;
    // Rung before its time, it waits.
    let early = NewTask { due_at: at(60), ..task(0) };
    insert(&store, &[rung(early.clone())]).await;
    assert_eq!(begin(&store, 1, &[reference(early.id, 0)], at(59)).await, [BeginAnswer::Postponed]);
    assert_eq!(store.next_ring().await.unwrap(), Some(at(60)));
}

pub async fn a_task_that_has_seen_two_workers_die_begins_alone(store: Arc<dyn Store>) {
    let begun = started(&store, task(0), 1).await;
    settle(&store, &begun, at(2), Next::Crashed { due_at: at(2), crashes: 2, error: mishap() }).await;
    let refs = [reference(begun.id, 1)];
    assert_eq!(begin(&store, 2, &refs, at(3)).await, [BeginAnswer::NeedsSolitude]);
    assert_eq!(row(&store, begun.id).await.attempt, Attempt(1));
    let alone = BeginBatch { worker: worker(2), worker_name: "worker-2", now: at(3), alone: true, refs: &refs };
    let answers = store.begin(&alone).await.unwrap();
    assert!(matches!(&answers[0], BeginAnswer::Begun(begun) if begun.attempt == Attempt(2)), "{answers:?}");
}

pub async fn a_begun_task_is_not_rung(store: Arc<dyn Store>) {
    let new = task(0);
    insert(&store, &[unrung(new.clone())]).await;
    begun(&store, 1, reference(new.id, 0), at(1)).await;
    assert_eq!(store.take_due(at(10), 10).await.unwrap(), []);
    store.hand_to_relay(&[reference(new.id, 0), reference(new.id, 1)], at(11)).await.unwrap();
    assert_eq!(store.take_due(at(12), 10).await.unwrap(), []);
}
