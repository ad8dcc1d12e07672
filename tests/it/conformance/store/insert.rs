//! What a 202 stands for.

use std::sync::Arc;

use legwork_engine::domain::{Attempt, NewTask, Priority, TaskId, TaskRow, TaskStatus, Version};
use legwork_engine::store::{InsertAnswer, Store, StoreError};
use std::time::Duration;

use crate::support::tasks::{at, dispatched, insert, inserted, queue, row, task, undispatched};

pub async fn an_inserted_task_is_read_back_as_it_was_submitted(store: Arc<dyn Store>) {
    let new = NewTask {
        priority: Priority::new(9).unwrap(),
        args: r#"{"name":"Zoë \"the\" 100%_\\ \u0007","n":[1,2.5,null],"big":12345678901234567890}"#.into(),
        due_at: at(60),
        expires_at: Some(at(3_600)),
        max_retries: 7,
        hard_limit: Duration::from_millis(1_500),
        soft_limit: Some(Duration::from_millis(750)),
        callback_url: Some("https://example.org/it's?a=\"b\"".into()),
        retry_of: Some(TaskId::made(at(-5))),
        ..task(0)
    };
    insert(&store, &[undispatched(new.clone())]).await;
    let expected = TaskRow {
        id: new.id,
        kind: new.kind,
        queue: new.queue,
        priority: new.priority,
        status: TaskStatus::Pending,
        args: new.args,
        principal: new.principal,
        submitted_at: new.submitted_at,
        due_at: new.due_at,
        expires_at: new.expires_at,
        attempt: Attempt(0),
        version: Version::FIRST,
        retries_used: 0,
        max_retries: new.max_retries,
        crashes: 0,
        hard_limit: new.hard_limit,
        soft_limit: new.soft_limit,
        worker: None,
        worker_name: None,
        started_at: None,
        ended_at: None,
        progress: None,
        revoke_requested_at: None,
        result: None,
        error: None,
        reason: None,
        callback_url: new.callback_url,
        retry_of: new.retry_of,
        retried_as: None,
        limited_until: None,
    };
    assert_eq!(store.find(new.id).await.unwrap(), Some(expected));
}

pub async fn a_task_that_its_submitter_dispatches_is_not_dispatched_by_the_due_sweep(store: Arc<dyn Store>) {
    inserted(&store, task(0)).await;
    assert_eq!(store.next_dispatch_at().await.unwrap(), None);
    assert_eq!(store.take_due(at(10), 10).await.unwrap(), []);
}

pub async fn a_task_that_nobody_dispatches_is_dispatched_by_the_due_sweep_at_its_time(store: Arc<dyn Store>) {
    let new = NewTask { due_at: at(60), ..task(0) };
    insert(&store, &[undispatched(new.clone())]).await;
    assert_eq!(store.next_dispatch_at().await.unwrap(), Some(at(60)));
    assert_eq!(store.take_due(at(59), 10).await.unwrap(), []);
    let dispatched = store.take_due(at(61), 10).await.unwrap();
    assert_eq!(dispatched.len(), 1);
    assert_eq!((dispatched[0].task, dispatched[0].dispatched_at), (new.dispatch().task, at(61)));
}

pub async fn a_batch_is_answered_in_the_order_it_was_given_in(store: Arc<dyn Store>) {
    let taken = inserted(&store, task(5)).await;
    let mut tasks: Vec<_> = (0..20).map(|n| dispatched(NewTask { queue: queue("other"), ..task(20 - n) })).collect();
    tasks[7].task.id = taken;
    let answers = store.insert(&tasks).await.unwrap();
    assert_eq!(answers.len(), 20);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), n == 7, "the answer at {n} was {answer:?}");
    }
}

pub async fn one_bad_row_does_not_fail_its_batch(store: Arc<dyn Store>) {
    let mut tasks: Vec<_> = (0..5).map(|n| dispatched(task(n))).collect();
    tasks[1].task.principal = "ann\0".into();
    tasks[3].task.id = tasks[0].task.id;
    let answers = store.insert(&tasks).await.unwrap();
    for n in [0, 2, 4] {
        assert_eq!(answers[n].as_ref().unwrap(), &InsertAnswer::Inserted);
        assert_eq!(row(&store, tasks[n].task.id).await.submitted_at, tasks[n].task.submitted_at);
    }
    assert!(matches!(answers[1], Err(StoreError::Refused(_))), "{:?}", answers[1]);
    assert!(matches!(answers[3], Err(StoreError::Refused(_))), "{:?}", answers[3]);
    assert_eq!(store.find(tasks[1].task.id).await.unwrap(), None);
}

pub async fn an_empty_batch_is_answered_with_nothing(store: Arc<dyn Store>) {
    assert!(store.insert(&[]).await.unwrap().is_empty());
    assert!(store.settle(&[]).await.unwrap().is_empty());
    assert!(crate::support::tasks::start_refs(&store, 1, &[], at(0)).await.is_empty());
}

pub async fn a_caller_that_hangs_up_leaves_all_of_its_batch_or_nothing(store: Arc<dyn Store>) {
    for _ in 0..10 {
        let tasks: Vec<_> = (0..5).map(|n| dispatched(task(n))).collect();
        tokio::select! {
            biased;
            answers = store.insert(&tasks) => drop(answers),
            () = tokio::task::yield_now() => {}
        }
        // The next write waits for whatever is left of the one before.
        inserted(&store, task(10)).await;
        let mut found = 0;
        for submitted in &tasks {
            found += usize::from(store.find(submitted.task.id).await.unwrap().is_some());
        }
        assert!(found == 0 || found == tasks.len(), "{found} of {} rows are there", tasks.len());
    }
}
