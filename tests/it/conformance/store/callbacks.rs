//! The end of a task with a `callback_url` makes its callback task, in the same transaction, whoever ends it.

use std::sync::Arc;

use legwork_engine::domain::{CALLBACK_KIND, CALLBACK_QUEUE, Dispatch, EndReason, NewTask, Next};
use legwork_engine::store::{RevokeAnswer, RevokeOrder, Store};
use serde_json::{Value, json};

use crate::support::tasks::{
    at, default_queue, end_of, inserted, mishap, row, settle, start_ref, started, task, task_with_callback,
};

pub async fn a_callback_tells_how_the_task_ended(store: Arc<dyn Store>) {
    let started_task = started(&store, task_with_callback(), 1).await;
    let ended = end_of(settle(&store, &started_task, at(5), Next::success(r#"{"sent":3}"#.into())).await);
    let body = body_of(&store, &ended.callback.unwrap()).await;
    assert_eq!(body["data"]["task_id"], json!(started_task.id));
    assert_eq!(body["data"]["status"], "SUCCESS");
    assert_eq!(body["data"]["result"], json!({"sent": 3}));
    assert_eq!(body["data"]["attempts"], 1);
    assert_eq!(body["data"]["ended_at"], json!(at(5)));
}

pub async fn a_callback_is_a_task_like_any_other(store: Arc<dyn Store>) {
    let ended = started(&store, task_with_callback(), 1).await;
    let callback = end_of(settle(&store, &ended, at(5), Next::failure(mishap())).await).callback.unwrap();
    assert_eq!((callback.queue.as_str(), callback.dispatched_at), (CALLBACK_QUEUE, at(5)));
    let row = row(&store, callback.task.id).await;
    assert_eq!((row.kind.as_str(), row.queue.as_str(), &*row.principal), (CALLBACK_KIND, CALLBACK_QUEUE, "ann"));
    assert_eq!(store.next_dispatch_at().await.unwrap(), None, "whoever asked dispatches it");
    let known: Vec<_> = store.queue_counts(at(5)).await.unwrap().into_iter().map(|counts| counts.name).collect();
    assert!(known.contains(&callback.queue));
    start_ref(&store, 1, callback.task, at(6)).await;
}

pub async fn every_sort_of_end_makes_its_callback(store: Arc<dyn Store>) {
    let revoked = inserted(&store, task_with_callback()).await;
    let answer = store.revoke(&RevokeOrder { id: revoked, terminate: false, now: at(1) }).await.unwrap();
    let RevokeAnswer::Revoked(ended) = answer else { panic!("it was {answer:?}") };
    assert_eq!(reason_of(&store, ended.callback).await, json!(EndReason::Revoked));

    inserted(&store, task_with_callback()).await;
    let purged = store.purge(&default_queue(), at(1), 10).await.unwrap().remove(0);
    assert_eq!(reason_of(&store, purged.callback).await, json!(EndReason::Purged));

    inserted(&store, NewTask { expires_at: Some(at(1)), ..task_with_callback() }).await;
    let expired = store.expire(at(2), 10).await.unwrap().remove(0);
    assert_eq!(reason_of(&store, expired.callback).await, json!(EndReason::Expired));

    let started_task = started(&store, task_with_callback(), 1).await;
    let failed = end_of(settle(&store, &started_task, at(2), Next::failure(mishap())).await);
    let body = body_of(&store, &failed.callback.unwrap()).await;
    assert_eq!((&body["data"]["error"]["type"], &body["data"]["reason"]), (&json!("SmtpError"), &Value::Null));
}

pub async fn a_task_without_a_callback_url_makes_none(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    assert_eq!(end_of(settle(&store, &started_task, at(5), Next::failure(mishap())).await).callback, None);
    assert_eq!(store.poll(&[CALLBACK_QUEUE.parse().unwrap()], at(9), 10).await.unwrap(), []);
}

async fn body_of(store: &Arc<dyn Store>, callback: &Dispatch) -> Value {
    let args: Value = serde_json::from_str(&row(store, callback.task.id).await.args).unwrap();
    args["body"].clone()
}

async fn reason_of(store: &Arc<dyn Store>, callback: Option<Dispatch>) -> Value {
    body_of(store, &callback.unwrap()).await["data"]["reason"].clone()
}
