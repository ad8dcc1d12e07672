//! Idempotency keys: a repeated submission finds its first task.

use std::sync::Arc;

use legwork_engine::domain::{NewTask, Next, TaskId};
use legwork_engine::store::{
    EFFECT_SCOPE, InsertAnswer, LedgerEntry, LedgerState, Prune, RetryAnswer, RevokeOrder, Store, SubmittedTask,
};

use crate::support::tasks::{at, dispatched, keyed, mishap, reference, settle, start_ref, task};

pub async fn a_key_is_replayed_with_the_same_body_and_refused_with_another(store: Arc<dyn Store>) {
    let first = keyed(task(0), "k", 1);
    assert_eq!(answers(&store, std::slice::from_ref(&first)).await, [InsertAnswer::Inserted]);
    let (again, other) = (keyed(task(1), "k", 1), keyed(task(2), "k", 2));
    let expected = [InsertAnswer::Replayed(first.task.id), InsertAnswer::KeyReused];
    assert_eq!(answers(&store, &[again.clone(), other.clone()]).await, expected);
    assert_eq!(store.find(again.task.id).await.unwrap(), None);
    assert_eq!(store.find(other.task.id).await.unwrap(), None);
}

pub async fn equal_keys_in_one_batch_make_one_task(store: Arc<dyn Store>) {
    let batch = [keyed(task(3), "k", 1), keyed(task(2), "other", 1), keyed(task(1), "k", 1), keyed(task(0), "k", 2)];
    let first = batch[0].task.id;
    let expected = [InsertAnswer::Inserted, InsertAnswer::Inserted, InsertAnswer::Replayed(first), InsertAnswer::KeyReused];
    assert_eq!(answers(&store, &batch).await, expected);
    assert!(store.find(first).await.unwrap().is_some());
    assert_eq!(store.find(batch[2].task.id).await.unwrap(), None);
}

pub async fn a_key_belongs_to_its_principal_and_its_scope(store: Arc<dyn Store>) {
    let ann = keyed(task(0), "k", 1);
    let mut bob = keyed(task(1), "k", 2);
    bob.task.principal = "bob".into();
    let mut elsewhere = keyed(task(2), "k", 3);
    elsewhere.key.as_mut().unwrap().scope = "/api/v1/tasks/sleep".into();
    assert_eq!(answers(&store, &[ann, bob, elsewhere]).await, vec![InsertAnswer::Inserted; 3]);
}

pub async fn two_submissions_at_once_with_one_key_make_one_task(store: Arc<dyn Store>) {
    for n in 0..10 {
        let key = format!("k{n}");
        let (one, two) = ([keyed(task(n), &key, 1)], [keyed(task(n), &key, 1)]);
        let (first, second) = tokio::join!(answers(&store, &one), answers(&store, &two));
        let replayed = [[InsertAnswer::Replayed(two[0].task.id)], [InsertAnswer::Replayed(one[0].task.id)]];
        match (first[0] == InsertAnswer::Inserted, second[0] == InsertAnswer::Inserted) {
            (true, false) => assert_eq!(second, replayed[1]),
            (false, true) => assert_eq!(first, replayed[0]),
            _ => panic!("the answers were {first:?} and {second:?}"),
        }
    }
}

pub async fn a_row_that_is_refused_does_not_take_its_key(store: Arc<dyn Store>) {
    let mut bad = keyed(task(0), "k", 1);
    bad.task.args = "\0".into();
    let beside = keyed(task(1), "beside", 1);
    let refused = store.insert(&[bad, beside]).await.unwrap();
    assert!(refused[0].is_err() && refused[1].is_ok(), "{refused:?}");
    assert_eq!(answers(&store, &[keyed(task(2), "k", 1)]).await, [InsertAnswer::Inserted]);
}

pub async fn a_key_outlives_its_task_and_is_forgotten_at_its_age(store: Arc<dyn Store>) {
    let first = keyed(task(0), "k", 1);
    answers(&store, std::slice::from_ref(&first)).await;
    let prune =
        |keys_before| Prune { results_before: at(-86_400), keys_before, workers_before: at(-86_400), now: at(100), limit: 100 };
    store.prune(&prune(at(0))).await.unwrap();
    assert_eq!(answers(&store, &[keyed(task(1), "k", 1)]).await, [InsertAnswer::Replayed(first.task.id)]);
    store.prune(&prune(at(1))).await.unwrap();
    assert_eq!(answers(&store, &[keyed(task(2), "k", 1)]).await, [InsertAnswer::Inserted]);
}

pub async fn the_key_of_an_effect_is_kept_while_its_task_lives_or_may_be_retried(store: Arc<dyn Store>) {
    let parent = task(0);
    answers(&store, &[dispatched(parent.clone())]).await;
    let first = effect(&parent, 1);
    answers(&store, std::slice::from_ref(&first)).await;
    assert!(!store.prune(&prune(5)).await.unwrap());
    assert_eq!(answers(&store, &[effect(&parent, 2)]).await, [InsertAnswer::Replayed(first.task.id)]);
    revoke(&store, parent.id).await;
    // Its result is still there, so it may be retried by hand.
    store.prune(&prune(0)).await.unwrap();
    assert_eq!(answers(&store, &[effect(&parent, 4)]).await, [InsertAnswer::Replayed(first.task.id)]);
    store.prune(&prune(5)).await.unwrap();
    assert_eq!(answers(&store, &[effect(&parent, 5)]).await, [InsertAnswer::Inserted]);
}

pub async fn what_a_task_did_outside_is_kept_for_as_long_as_its_result(store: Arc<dyn Store>) {
    let parent = task(0);
    answers(&store, &[dispatched(parent.clone())]).await;
    let first = effect(&parent, 1);
    answers(&store, std::slice::from_ref(&first)).await;
    let mail = LedgerEntry {
        task: parent.id,
        part: 0,
        recipient: "a@example.org".into(),
        message_id: "<0@legwork>".into(),
        state: LedgerState::Unknown,
        response: None,
        updated_at: at(1),
    };
    store.write_ledger(std::slice::from_ref(&mail)).await.unwrap();
    // It waited for five days.
    store.revoke(&RevokeOrder { id: parent.id, terminate: false, now: at(5 * 86_400) }).await.unwrap();
    store.prune(&prune(4)).await.unwrap();
    assert!(store.find(parent.id).await.unwrap().is_some());
    assert_eq!(answers(&store, &[effect(&parent, 6)]).await, [InsertAnswer::Replayed(first.task.id)]);
    assert_eq!(store.read_ledger(parent.id).await.unwrap(), [mail]);
    for _ in 0..2 {
        store.prune(&prune(7)).await.unwrap();
    }
    assert_eq!(answers(&store, &[effect(&parent, 7)]).await, [InsertAnswer::Inserted]);
    assert_eq!(store.read_ledger(parent.id).await.unwrap(), []);
}

pub async fn the_key_of_an_effect_is_kept_for_the_retries_of_its_task(store: Arc<dyn Store>) {
    let parent = task(0);
    answers(&store, &[dispatched(parent.clone())]).await;
    let first = effect(&parent, 1);
    answers(&store, std::slice::from_ref(&first)).await;
    revoke(&store, parent.id).await;
    let retry = NewTask { retry_of: Some(parent.id), ..task(4) };
    assert_eq!(store.insert_retry(&dispatched(retry.clone())).await.unwrap(), RetryAnswer::Inserted);
    store.prune(&prune(5)).await.unwrap();
    assert_eq!(store.find(parent.id).await.unwrap(), None);
    assert_eq!(answers(&store, &[effect(&parent, 5)]).await, [InsertAnswer::Replayed(first.task.id)]);
    let started_task = start_ref(&store, 1, reference(retry.id, 0), at(6)).await;
    assert_eq!(started_task.retry_origin.map(|origin| origin.task), Some(parent.id), "although that is forgotten");
    settle(&store, &started_task, at(7), Next::failure(mishap())).await;
    store.prune(&prune(5)).await.unwrap();
    assert_eq!(store.find(retry.id).await.unwrap(), None);
    assert_eq!(answers(&store, &[effect(&parent, 8)]).await, [InsertAnswer::Inserted]);
}

/// A child of `parent`, submitted at `at(seconds)`, always under the same key.
fn effect(parent: &NewTask, seconds: i64) -> SubmittedTask {
    let mut child = keyed(task(seconds), &format!("{}.part", parent.id), 1);
    if let Some(key) = &mut child.key {
        key.scope = EFFECT_SCOPE.into();
    }
    child
}

/// Results are forgotten that ended before so many days after the start, and keys of any age.
fn prune(days: i64) -> Prune {
    let (before, now) = (at(86_400 * days), at(86_400 * 10));
    Prune { results_before: before, keys_before: now, workers_before: at(-86_400), now, limit: 100 }
}

async fn revoke(store: &Arc<dyn Store>, id: TaskId) {
    store.revoke(&RevokeOrder { id, terminate: false, now: at(3) }).await.unwrap();
}

async fn answers(store: &Arc<dyn Store>, tasks: &[SubmittedTask]) -> Vec<InsertAnswer> {
    store.insert(tasks).await.unwrap().into_iter().map(|answer| answer.unwrap()).collect()
}
