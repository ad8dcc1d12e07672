//! Idempotency keys: a repeated submission finds its first task.

use std::sync::Arc;

use legwork::store::{EFFECT_SCOPE, InsertAnswer, Prune, RevokeOrder, Store};

use crate::support::tasks::{at, keyed, rung, task};

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

pub async fn the_key_of_an_effect_is_kept_while_its_task_lives(store: Arc<dyn Store>) {
    let parent = task(0);
    let with_key = |n: i64| {
        let mut child = keyed(task(n), &format!("{}.part", parent.id), 1);
        if let Some(key) = &mut child.key {
            key.scope = EFFECT_SCOPE.into();
        }
        child
    };
    answers(&store, &[rung(parent.clone())]).await;
    let first = with_key(1);
    answers(&store, std::slice::from_ref(&first)).await;
    let prune =
        Prune { results_before: at(-86_400), keys_before: at(86_400), workers_before: at(-86_400), now: at(86_400), limit: 100 };
    assert!(!store.prune(&prune).await.unwrap());
    assert_eq!(answers(&store, &[with_key(2)]).await, [InsertAnswer::Replayed(first.task.id)]);
    let order = RevokeOrder { id: parent.id, terminate: false, now: at(3) };
    store.revoke(&order).await.unwrap();
    store.prune(&prune).await.unwrap();
    assert_eq!(answers(&store, &[with_key(4)]).await, [InsertAnswer::Inserted]);
}

async fn answers(store: &Arc<dyn Store>, tasks: &[legwork::store::SubmittedTask]) -> Vec<InsertAnswer> {
    store.insert(tasks).await.unwrap().into_iter().map(|answer| answer.unwrap()).collect()
}
