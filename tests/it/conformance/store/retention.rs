//! Forgetting: results after their time, keys, dead workers, revoked tokens.

use std::sync::Arc;

use legwork_engine::domain::{NewTask, Next, TaskId};
use legwork_engine::store::{Prune, Store};

use super::workers::info;
use crate::support::tasks::{at, ended, inserted, mishap, start, started, task};

const DAY: i64 = 86_400;

pub async fn results_and_attempts_are_forgotten_after_their_time(store: Arc<dyn Store>) {
    let mut old = Vec::new();
    for n in 0..5 {
        old.push(ended_days_ago(&store, 10, n).await);
    }
    let young = ended_days_ago(&store, 2, 0).await;
    let (waiting, running) = (inserted(&store, days_ago(10)).await, started(&store, days_ago(10), -10 * DAY).await.id);
    prune_all(&store, prune(-7)).await;
    for id in old {
        assert_eq!(store.find(id).await.unwrap(), None);
        assert_eq!(store.attempts(id).await.unwrap(), []);
    }
    for id in [young, waiting, running] {
        assert!(store.find(id).await.unwrap().is_some());
    }
    assert_eq!(store.attempts(young).await.unwrap().len(), 1);
}

pub async fn dead_workers_are_forgotten_and_live_ones_are_not(store: Arc<dyn Store>) {
    store.heartbeat(&info(1, "old"), at(-10 * DAY)).await.unwrap();
    store.heartbeat(&info(2, "silent"), at(-10 * DAY)).await.unwrap();
    store.started_by_the_dead(at(-5 * DAY), at(0), 10).await.unwrap();
    store.heartbeat(&info(3, "young"), at(-DAY)).await.unwrap();
    store.started_by_the_dead(at(0), at(0), 10).await.unwrap();
    store.heartbeat(&info(2, "silent"), at(0)).await.unwrap();
    prune_all(&store, prune(-7)).await;
    let names: Vec<_> = store.workers().await.unwrap().into_iter().map(|row| row.info.name).collect();
    assert_eq!(names, ["silent", "young"]);
}

pub async fn revoked_tokens_that_have_expired_are_forgotten(store: Arc<dyn Store>) {
    store.revoke_token("old", at(-1)).await.unwrap();
    store.revoke_token("new", at(60)).await.unwrap();
    prune_all(&store, prune(-7)).await;
    assert_eq!(store.revoked_tokens(at(-10)).await.unwrap(), ["new"]);
}

pub async fn pruning_an_empty_store_leaves_nothing_to_do(store: Arc<dyn Store>) {
    assert!(!store.prune(&prune(-7)).await.unwrap());
}

fn prune(days: i64) -> Prune {
    Prune { results_before: at(days * DAY), keys_before: at(days * DAY), workers_before: at(days * DAY), now: start(), limit: 2 }
}

/// As the retention does it: again and again while more is left.
async fn prune_all(store: &Arc<dyn Store>, prune: Prune) {
    for _ in 0..10 {
        if !store.prune(&prune).await.unwrap() {
            return;
        }
    }
    panic!("ten rounds did not suffice");
}

fn days_ago(days: i64) -> NewTask {
    task(-days * DAY)
}

async fn ended_days_ago(store: &Arc<dyn Store>, days: i64, seconds: i64) -> TaskId {
    let ends = seconds - days * DAY;
    store.make_partitions(at(ends)).await.unwrap();
    ended(store, days_ago(days), ends, Next::failure(mishap())).await
}
