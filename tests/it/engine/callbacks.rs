//! Callbacks: every end of a task, whatever it is, tells its `callback_url` once, signed.

use std::collections::BTreeSet;
use std::time::Duration;

use legwork::http::openapi;
use legwork::kinds::KindSet;
use legwork_engine::domain::{PageRequest, TaskFilter, TaskId, TaskStatus};
use legwork_engine::scheduler::Scheduler;
use serde_json::{Value, json};

use crate::outbound::receiver::{Receiver, Request, answer};
use crate::support::engine::{Engine, ann};
use crate::support::probe::Switch;

/// The callback task that was made last.
async fn callback(engine: &Engine) -> TaskId {
    let filter = TaskFilter { kind: Some("system.callback".parse().unwrap()), ..TaskFilter::default() };
    let page = PageRequest { after: None, limit: 1 };
    let id = engine.ground().store.list(&filter, &page).await.unwrap().items.first().expect("there is a callback").id;
    engine.note_accepted(id);
    id
}

fn checked(engine: &Engine, request: &Request, ended: TaskId) -> Value {
    let header = |name: &str| request.header(name).unwrap().to_owned();
    let signer = engine.services.webhook_signer.as_ref().unwrap();
    assert_eq!(header("webhook-id"), ended.to_string());
    let (id, at, signature) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    signer.verify(&id, &at, &signature, request.body.as_bytes(), engine.now()).unwrap();
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["task_id"]), (&json!("task.ended"), &json!(ended)));
    is_as_documented(&body);
    body["data"].clone()
}

/// The body fits the section `webhooks` of the document, which names each of its fields.
fn is_as_documented(body: &Value) {
    let document: Value = serde_json::from_str(&openapi::json(&KindSet::compiled())).unwrap();
    let content = &document["webhooks"]["task.ended"]["post"]["requestBody"]["content"]["application/json"];
    let mut schema = content["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::options().build(&schema).unwrap();
    for sent in [body, &content["examples"]["success"]["value"]] {
        let wrong: Vec<String> = validator.iter_errors(sent).map(|error| error.to_string()).collect();
        assert_eq!(wrong, Vec::<String>::new(), "{sent}");
        let names = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
        assert_eq!(names(&sent["data"]), names(&document["components"]["schemas"]["EndedTask"]["properties"]));
    }
}

async fn expire(engine: &Engine, scheduler: &Scheduler) {
    engine.clock.advance(Duration::from_secs(61));
    assert_eq!(scheduler.expire().await.unwrap(), 1);
}

pub async fn every_end_sends_one_signed_callback(engine: Engine) {
    let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
    let queue = "elsewhere".parse().unwrap();
    for (case, status, reason) in [
        ("succeed", TaskStatus::Success, Value::Null),
        ("fail", TaskStatus::Failure, Value::Null),
        ("revoke", TaskStatus::Revoked, json!("revoked")),
        ("expire", TaskStatus::Revoked, json!("expired")),
        ("purge", TaskStatus::Revoked, json!("purged")),
    ] {
        // Ids sort by time, and the last callback is looked for.
        engine.clock.advance(Duration::from_secs(1));
        let ok = answer("204 No Content", "", "");
        let receiver = Receiver::start(&[&ok, &ok]).await;
        let mut options = json!({ "callback_url": receiver.url("/hook") });
        let is_run = matches!(case, "succeed" | "fail");
        if !is_run {
            options["countdown"] = json!(30);
            options["expires"] = json!(60);
            options["queue"] = json!("elsewhere");
        }
        let plan = json!([if is_run { case } else { "succeed" }]);
        let id = engine.submit_with("test.probe", Switch::new().args(&plan), options).await;
        match case {
            "revoke" => drop(engine.queue.revoke(id, false, &ann()).await.unwrap()),
            "expire" => expire(&engine, &scheduler).await,
            "purge" => assert_eq!(engine.queue.purge(&queue).await.unwrap(), 1),
            _ => {}
        }
        assert_eq!(engine.ended(id).await.status, status, "{case}");
        let delivered = engine.ended(callback(&engine).await).await;
        assert_eq!((delivered.status, delivered.attempts), (TaskStatus::Success, 1), "{case}");
        let requests = receiver.requests().await;
        assert_eq!(requests.len(), 1, "{case}");
        let data = checked(&engine, &requests[0], id);
        assert_eq!((&data["status"], &data["reason"]), (&json!(status), &reason), "{case}");
        assert_eq!(data["successful"], json!(case == "succeed"));
        assert_eq!(data["error"]["type"] == json!("ProbeError"), case == "fail");
    }
    pool.end().await;
}

pub async fn a_receiver_that_cannot_now_gets_it_once_more_after_the_delay(engine: Engine) {
    let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
    let (busy, ok) = (answer("503 Service Unavailable", "retry-after: 120\r\n", ""), answer("200 OK", "", ""));
    let receiver = Receiver::start(&[&busy, &ok, &ok]).await;
    let id = engine.submit_with("system.echo", json!({}), json!({ "callback_url": receiver.url("/hook") })).await;
    engine.ended(id).await;
    let callback = callback(&engine).await;
    let status = engine.settled(callback).await;
    assert_eq!((status.status, status.due_at), (TaskStatus::Retry, engine.now() + Duration::from_mins(2)));
    engine.pass_delay(&scheduler, callback).await;
    assert_eq!(engine.ended(callback).await.status, TaskStatus::Success);
    let requests = receiver.requests().await;
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(checked(&engine, request, id)["status"], json!("SUCCESS"));
    }
    assert_eq!(requests[0].body, requests[1].body, "it tells what happened, not what is now");
    pool.end().await;
}
