//! Recorded effects: what a task did outside, for its later attempts and its retries by hand.

use std::sync::Arc;

use legwork_engine::domain::{NewTask, Next, TaskId};
use legwork_engine::store::{EffectRecord, Prune, RetryAnswer, Store};

use crate::support::tasks::{at, dispatched, ended, mishap, reference, settle, start_ref, started, task};

const PART: &str = "effect";

fn effect(task: TaskId, outcome: &str) -> EffectRecord {
    EffectRecord { task, part: PART.into(), outcome: outcome.into(), recorded_at: at(1) }
}

async fn outcome(store: &Arc<dyn Store>, task: TaskId) -> Option<String> {
    store.effect_outcome(task, PART).await.unwrap()
}

/// Forgets what ended before so many days after the start.
async fn prune(store: &Arc<dyn Store>, days: i64) {
    let (before, now) = (at(86_400 * days), at(86_400 * 30));
    let prune = Prune { results_before: before, keys_before: now, workers_before: at(-86_400), now, limit: 100 };
    for _ in 0..3 {
        store.prune(&prune).await.unwrap();
    }
}

pub async fn an_effect_is_found_by_its_task_and_its_part(store: Arc<dyn Store>) {
    let (one, other) = (TaskId::made(at(0)), TaskId::made(at(0)));
    let text = r#"{"message":"it's \"done\" – 100 %"}"#;
    store.record_effect(&effect(one, text)).await.unwrap();
    assert_eq!(outcome(&store, one).await.as_deref(), Some(text));
    assert_eq!(outcome(&store, other).await, None);
    assert_eq!(store.effect_outcome(one, "another").await.unwrap(), None);
}

pub async fn the_first_record_of_an_effect_stays(store: Arc<dyn Store>) {
    let task = TaskId::made(at(0));
    for text in ["1", "2"] {
        store.record_effect(&effect(task, text)).await.unwrap();
    }
    assert_eq!(outcome(&store, task).await.as_deref(), Some("1"));
}

pub async fn an_effect_is_forgotten_after_the_result_of_its_task(store: Arc<dyn Store>) {
    let running = started(&store, task(0), 1).await.id;
    let over = ended(&store, task(0), 1, Next::failure(mishap())).await;
    for task in [running, over] {
        store.record_effect(&effect(task, "1")).await.unwrap();
    }
    prune(&store, 0).await;
    assert!(outcome(&store, over).await.is_some(), "its result is still there");
    prune(&store, 20).await;
    assert_eq!(store.find(over).await.unwrap(), None);
    assert_eq!(outcome(&store, over).await, None);
    assert!(outcome(&store, running).await.is_some(), "its task runs");
}

pub async fn an_effect_is_kept_for_the_retries_of_its_task(store: Arc<dyn Store>) {
    let first = ended(&store, task(0), 1, Next::failure(mishap())).await;
    store.record_effect(&effect(first, "1")).await.unwrap();
    let retry = NewTask { retry_of: Some(first), ..task(4) };
    assert_eq!(store.insert_retry(&dispatched(retry.clone())).await.unwrap(), RetryAnswer::Inserted);
    prune(&store, 5).await;
    assert_eq!(store.find(first).await.unwrap(), None);
    assert!(outcome(&store, first).await.is_some(), "its retry waits");
    let started_task = start_ref(&store, 1, reference(retry.id, 0), at(6)).await;
    settle(&store, &started_task, at(7), Next::failure(mishap())).await;
    prune(&store, 20).await;
    assert_eq!(outcome(&store, first).await, None);
}
