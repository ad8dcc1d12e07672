//! Looking at tasks and steering them.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::probe::Switch;
use crate::support::service::TestService;

fn status_path(id: &str) -> String {
    format!("/api/v1/tasks/status/{id}")
}

pub async fn the_status_of_a_task_from_submission_to_end(engine: Engine) {
    let service = TestService::over(engine);
    let id = service.submitted(&json!({ "kind": "system.echo", "args": { "hello": "world" }, "expires": 600 })).await;
    assert_snapshot!(service.get(&status_path(&id)).await, @r#"
    200 OK
    content-type: application/json

    {
      "attempts": 0,
      "due_at": "2026-11-21T08:00:00Z",
      "ended_at": null,
      "error": null,
      "expires_at": "2026-11-21T08:10:00Z",
      "kind": "system.echo",
      "max_retries": 3,
      "priority": 5,
      "progress": null,
      "queue": "default",
      "ready": false,
      "reason": null,
      "result": null,
      "retried_as": null,
      "retries": 0,
      "retry_of": null,
      "revoke_requested_at": null,
      "started_at": null,
      "status": "PENDING",
      "submitted_at": "2026-11-21T08:00:00Z",
      "successful": null,
      "task_id": "<id 1>",
      "waiting_for": {
        "reason": "no_worker",
        "until": null
      },
      "worker": null
    }
    "#);
    let pool = service.engine.start_pool().await;
    service.engine.ended(id.parse().unwrap()).await;
    let detail = service.get(&format!("/api/v1/tasks/{id}/")).await.json();
    assert_eq!(detail["status"], "SUCCESS");
    assert_eq!(detail["result"]["hello"], "world");
    assert_eq!(detail["attempt_log"][0]["outcome"], "success");
    assert_eq!(detail["principal"], "root");
    pool.end().await;
}

pub async fn a_long_poll_answers_with_the_end(engine: Engine) {
    let service = TestService::over(engine);
    let switch = Switch::new();
    let pool = service.engine.start_pool().await;
    let id = service.submitted(&json!({ "kind": "test.probe", "args": switch.args(&json!(["wait"])) })).await;
    switch.started().await;
    let path = format!("{}?wait=50", status_path(&id));
    let (answer, ()) = tokio::join!(service.get(&path), async { switch.release(1) });
    assert_eq!(answer.json()["status"], "SUCCESS", "{answer}");
    pool.end().await;
}

pub async fn a_waiting_task_can_be_changed_and_revoked(engine: Engine) {
    let service = TestService::over(engine);
    let id = service.submitted(&json!({ "kind": "system.echo", "countdown": 3600 })).await;
    let path = format!("/api/v1/tasks/{id}");
    let changed = service.patch(&path, &json!({ "countdown": 60, "queue": "later", "priority": 9 })).await.json();
    assert_eq!((&changed["queue"], &changed["priority"]), (&json!("later"), &json!(9)));
    assert_eq!(changed["due_at"], "2026-11-21T08:01:00Z");
    assert_eq!(changed["attempts"], 0, "a change is no attempt");
    let short = service.submitted(&json!({ "kind": "system.echo", "countdown": 60, "expires": "2026-11-21T09:00:00Z" })).await;
    let late = service.patch(&format!("/api/v1/tasks/{short}"), &json!({ "eta": "2026-11-21T09:00:00Z" })).await;
    assert_eq!((late.status, late.text_at("/errors/0/pointer")), (StatusCode::UNPROCESSABLE_ENTITY, "/eta".into()), "{late}");
    assert_snapshot!(service.patch(&path, &json!({})).await.text_at("/detail"), @"changes nothing; give at least one of eta, countdown, queue, priority");
    assert_snapshot!(service.patch(&path, &json!({ "eta": "soon", "priority": 10 })).await.text_at("/detail"), @r#"/priority: must be between 0 and 9; got 10; /eta: "soon" is not a time like 2030-01-01T09:00:00Z (RFC 3339, with an offset)"#);
    assert_snapshot!(service.delete(&format!("/api/v1/tasks/revoke/{id}/")).await, @r#"
    200 OK
    content-type: application/json

    {
      "outcome": "revoked",
      "status": "REVOKED",
      "task_id": "<id 1>"
    }
    "#);
    let status = service.get(&status_path(&id)).await.json();
    assert_eq!((&status["status"], &status["reason"]), (&json!("REVOKED"), &json!("revoked")));
    assert_eq!(status["attempts"], 0);
    assert_snapshot!(service.patch(&path, &json!({ "priority": 1 })).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "task_ended",
      "detail": "the task has ended: it is REVOKED",
      "errors": [],
      "status": 409,
      "title": "The current state does not allow this",
      "type": "urn:legwork:problem:task_ended"
    }
    "#);
}

pub async fn a_running_task_is_revoked_in_time_and_an_ended_one_not(engine: Engine) {
    let service = TestService::over(engine);
    let switch = Switch::new();
    let pool = service.engine.start_pool().await;
    let id = service.submitted(&json!({ "kind": "test.probe", "args": switch.args(&json!(["wait"])) })).await;
    switch.started().await;
    let path = format!("/api/v1/tasks/revoke/{id}");
    assert_snapshot!(service.delete(&path).await, @r#"
    202 Accepted
    content-type: application/json

    {
      "deadline": "2026-11-21T08:00:30Z",
      "outcome": "revoking",
      "status": "STARTED",
      "task_id": "<id 1>"
    }
    "#);
    assert_eq!(service.engine.ended(id.parse().unwrap()).await.status.as_str(), "REVOKED");
    assert_snapshot!(service.delete(&format!("{path}?terminate=true")).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "task_ended",
      "detail": "the task has ended: it is REVOKED",
      "errors": [],
      "status": 409,
      "title": "The current state does not allow this",
      "type": "urn:legwork:problem:task_ended"
    }
    "#);
    pool.end().await;
}

pub async fn a_failed_task_is_retried_as_a_new_one(engine: Engine) {
    let service = TestService::over(engine);
    let switch = Switch::new();
    let pool = service.engine.start_pool().await;
    let id = service.submitted(&json!({ "kind": "test.probe", "args": switch.args(&json!(["fail", "succeed"])) })).await;
    service.engine.ended(id.parse().unwrap()).await;
    let path = format!("/api/v1/tasks/{id}/retry");
    let retried = service.post(&path, &json!(null)).await;
    assert_snapshot!(retried, @r#"
    202 Accepted
    content-type: application/json
    location: /api/v1/tasks/status/<id 1>

    {
      "retry_of": "<id 2>",
      "status": "PENDING",
      "status_url": "/api/v1/tasks/status/<id 1>",
      "task_id": "<id 1>"
    }
    "#);
    let retry = service.engine.ended(retried.text_at("/task_id").parse().unwrap()).await;
    assert_eq!(retry.status.as_str(), "SUCCESS");
    assert_eq!(retry.retry_of.unwrap().to_string(), id);
    assert_eq!(service.get(&status_path(&id)).await.text_at("/retried_as"), retried.text_at("/task_id"));
    assert_snapshot!(service.post(&path, &json!(null)).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "already_retried",
      "detail": "the task was retried before, as <id 1>",
      "errors": [],
      "status": 409,
      "title": "The current state does not allow this",
      "type": "urn:legwork:problem:already_retried"
    }
    "#);
    pool.end().await;
}

pub async fn lists_come_in_pages_and_by_filter(engine: Engine) {
    let service = TestService::over(engine);
    let mut ids = Vec::new();
    for number in 0..5 {
        service.engine.clock.advance(Duration::from_mins(1));
        let queue = if number == 2 { "other" } else { "default" };
        ids.push(
            service.submitted(&json!({ "kind": "system.echo", "args": { "n": format!("no{number}") }, "queue": queue })).await,
        );
    }
    ids.reverse();
    let listed = async |query: &str| {
        let page = service.get(&format!("/api/v1/tasks?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{page}");
        let page = page.json();
        let found: Vec<String> =
            page["items"].as_array().unwrap().iter().map(|item| item["task_id"].as_str().unwrap().into()).collect();
        (found, page["next_cursor"].as_str().map(str::to_owned))
    };
    let (first, cursor) = listed("limit=2").await;
    let (second, next) = listed(&format!("limit=3&cursor={}", cursor.unwrap())).await;
    assert_eq!([first, second].concat(), ids);
    assert_eq!(next, None);
    assert_eq!(listed("queue=other").await.0, [ids[2].clone()]);
    assert_eq!(listed("q=NO3").await.0, [ids[1].clone()]);
    assert_eq!(listed("from=2026-11-21T08:02:00Z&to=2026-11-21T08:04:00Z").await.0, [ids[2].clone(), ids[3].clone()]);
    assert_eq!(listed("status=SUCCESS,FAILURE&status=REVOKED").await.0, Vec::<String>::new());
    assert_eq!(listed("status=PENDING&kind=system.echo&mine=true").await.0.len(), 5);
}

pub async fn a_list_leaves_results_to_the_task(engine: Engine) {
    let service = TestService::over(engine);
    let pool = service.engine.start_pool().await;
    let id = service.submitted(&json!({ "kind": "system.echo", "args": { "hello": "world" } })).await;
    service.engine.ended(id.parse().unwrap()).await;
    assert_eq!(service.get(&status_path(&id)).await.json()["result"]["hello"], "world");
    for query in ["", "?status=SUCCESS", "?q=world"] {
        let page = service.get(&format!("/api/v1/tasks{query}")).await.json();
        assert_eq!((&page["items"][0]["status"], &page["items"][0]["result"]), (&json!("SUCCESS"), &json!(null)), "{page}");
    }
    pool.end().await;
}

pub async fn kinds_are_listed_with_their_schemas(engine: Engine) {
    let service = TestService::over(engine);
    let kinds = service.get("/api/v1/tasks/kinds").await.json();
    let named = |name: &str| kinds["kinds"].as_array().unwrap().iter().find(|kind| kind["kind"] == name).cloned();
    let email = named("email.send").unwrap();
    assert_eq!(email["route"], "/api/v1/tasks/email/send");
    assert_eq!(email["args_schema"]["properties"]["recipient_email"]["type"], "string");
    assert_eq!(named("system.callback"), None);
}
