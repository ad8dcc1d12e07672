//! Tasks at fixed times, and the steps that most cases start with.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use legwork_engine::domain::{
    ErrorReport, KindName, NewTask, Next, Priority, QueueName, StartedTask, TaskId, TaskRef, TaskRow, TaskStatus, Version,
    WorkerId,
};
use legwork_engine::store::{
    Ended, IdempotencyKey, InsertAnswer, Settled, Settlement, StartAnswer, StartBatch, Store, SubmittedTask,
};
use uuid::Uuid;

/// When every test starts: 2026-11-21T08:00:00Z.
pub fn start() -> Timestamp {
    Timestamp::from_second(1_795_248_000).unwrap()
}

/// So many seconds after [`start`].
pub fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// The `n`th worker.
pub fn worker(n: u128) -> WorkerId {
    WorkerId::from(Uuid::from_u128(n))
}

/// The name of the queue that tasks go into unless told otherwise.
pub fn default_queue() -> QueueName {
    queue("default")
}

/// A queue's name.
pub fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap()
}

/// A task submitted at `at(seconds)` and due then.
pub fn task(seconds: i64) -> NewTask {
    NewTask {
        id: TaskId::made(at(seconds)),
        kind: KindName::parse("system.echo").unwrap(),
        queue: default_queue(),
        priority: Priority::DEFAULT,
        args: r#"{"text":"hello"}"#.into(),
        principal: "ann".into(),
        submitted_at: at(seconds),
        due_at: at(seconds),
        expires_at: None,
        max_retries: 3,
        hard_limit: Duration::from_mins(5),
        soft_limit: None,
        callback_url: None,
        retry_of: None,
    }
}

/// A task of [`start`] whose end is told to a URL.
pub fn task_with_callback() -> NewTask {
    NewTask { callback_url: Some("https://example.org/hook".into()), ..task(0) }
}

/// A submission whose submitter dispatches.
pub fn dispatched(task: NewTask) -> SubmittedTask {
    SubmittedTask { task, dispatched: true, key: None }
}

/// A submission that the sweep of due tasks dispatches at its time.
pub fn undispatched(task: NewTask) -> SubmittedTask {
    SubmittedTask { task, dispatched: false, key: None }
}

/// A submission with an idempotency key; `body` stands for the hash of its body.
pub fn keyed(task: NewTask, key: &str, body: u8) -> SubmittedTask {
    let key = IdempotencyKey { scope: "/api/v1/tasks/echo".into(), key: key.into(), body_hash: [body; 32] };
    SubmittedTask { task, dispatched: true, key: Some(key) }
}

/// The reference of a task that has started `attempt` times.
pub fn reference(id: TaskId, version: i32) -> TaskRef {
    TaskRef { id, version: Version(version) }
}

/// An error that a retry may mend.
pub fn mishap() -> ErrorReport {
    ErrorReport::new("SmtpError", "450 mailbox busy", true)
}

/// Inserts tasks that are all new.
pub async fn insert(store: &Arc<dyn Store>, tasks: &[SubmittedTask]) {
    for answer in store.insert(tasks).await.unwrap() {
        assert_eq!(answer.unwrap(), InsertAnswer::Inserted);
    }
}

/// Inserts one task as dispatched, and returns its id.
pub async fn inserted(store: &Arc<dyn Store>, task: NewTask) -> TaskId {
    let id = task.id;
    insert(store, &[dispatched(task)]).await;
    id
}

/// Starts as the `n`th worker, while others run on it too.
pub async fn start_refs(store: &Arc<dyn Store>, n: u128, refs: &[TaskRef], now: Timestamp) -> Vec<StartAnswer> {
    let name = format!("worker-{n}");
    let batch = StartBatch { worker: worker(n), worker_name: &name, now, exclusive: false, refs, limits: &[] };
    store.start(&batch).await.unwrap()
}

/// Starts one attempt as the `n`th worker; it has to start.
pub async fn start_ref(store: &Arc<dyn Store>, n: u128, reference: TaskRef, now: Timestamp) -> StartedTask {
    match start_refs(store, n, &[reference], now).await.pop() {
        Some(StartAnswer::Started(started_task)) => *started_task,
        other => panic!("it did not start: {other:?}"),
    }
}

/// A task that the first worker has started at `at(seconds)`.
pub async fn started(store: &Arc<dyn Store>, task: NewTask, seconds: i64) -> StartedTask {
    let id = inserted(store, task).await;
    start_ref(store, 1, reference(id, 0), at(seconds)).await
}

/// The end of what the `n`th worker started.
pub fn settlement(n: u128, started_task: &StartedTask, now: Timestamp, next: Next) -> Settlement {
    Settlement {
        id: started_task.id,
        attempt: started_task.attempt,
        version: started_task.version,
        worker: worker(n),
        worker_name: format!("worker-{n}").into(),
        at: now,
        progress: None,
        next,
    }
}

/// Settles one attempt of the first worker.
pub async fn settle(store: &Arc<dyn Store>, started_task: &StartedTask, now: Timestamp, next: Next) -> Settled {
    settle_all(store, &[settlement(1, started_task, now, next)]).await.remove(0)
}

/// Settles many; none is refused.
pub async fn settle_all(store: &Arc<dyn Store>, settlements: &[Settlement]) -> Vec<Settled> {
    store.settle(settlements).await.unwrap().into_iter().map(|settled| settled.unwrap()).collect()
}

/// A task that has ended at `at(seconds)` as `next` says, at its first attempt.
pub async fn ended(store: &Arc<dyn Store>, task: NewTask, seconds: i64, next: Next) -> TaskId {
    let started_task = started(store, task, seconds).await;
    assert!(matches!(settle(store, &started_task, at(seconds), next).await, Settled::Ended(_)));
    started_task.id
}

/// The end in the answer.
pub fn end_of(settled: Settled) -> Ended {
    match settled {
        Settled::Ended(ended) => ended,
        other => panic!("it did not end: {other:?}"),
    }
}

/// The row of a task that exists.
pub async fn row(store: &Arc<dyn Store>, id: TaskId) -> TaskRow {
    store.find(id).await.unwrap().unwrap()
}

/// The state of a task that exists.
pub async fn status(store: &Arc<dyn Store>, id: TaskId) -> TaskStatus {
    row(store, id).await.status
}
