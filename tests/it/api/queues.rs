//! Queues and workers.

use axum::http::{Method, StatusCode};
use legwork_engine::domain::Scope;
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::probe::Switch;
use crate::support::service::TestService;

pub async fn a_queue_is_paused_limited_resumed_and_looked_at(engine: Engine) {
    let service = TestService::over(engine);
    let id = service.submitted(&json!({ "kind": "system.echo", "queue": "mail" })).await;
    assert_snapshot!(service.post("/api/v1/queues/mail/pause", &json!(null)).await, @r#"
    200 OK
    content-type: application/json

    {
      "concurrency": null,
      "name": "mail",
      "paused": true,
      "paused_at": "2026-11-21T08:00:00Z"
    }
    "#);
    let status = service.get(&format!("/api/v1/tasks/status/{id}")).await.json();
    assert_eq!(status["waiting_for"], json!({ "reason": "paused", "until": null }));
    assert_eq!(service.patch("/api/v1/queues/mail", &json!({ "concurrency": 3 })).await.json()["concurrency"], 3);
    assert_eq!(service.patch("/api/v1/queues/mail", &json!({ "concurrency": null })).await.json()["concurrency"], json!(null));
    assert_snapshot!(service.patch("/api/v1/queues/mail", &json!({})).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "invalid",
      "detail": "/concurrency: is missing",
      "errors": [
        {
          "detail": "is missing",
          "pointer": "/concurrency"
        }
      ],
      "status": 422,
      "title": "The request is not valid",
      "type": "urn:legwork:problem:invalid"
    }
    "#);
    assert_snapshot!(service.patch("/api/v1/queues/mail", &json!({ "concurrency": 0 })).await.text_at("/detail"), @"/concurrency: must be between 1 and 100000; pause the queue to stop it");
    assert_eq!(service.post("/api/v1/queues/mail/resume", &json!(null)).await.json()["paused"], false);
    assert_snapshot!(service.get("/api/v1/queues").await, @r#"
    200 OK
    content-type: application/json

    {
      "items": [
        {
          "concurrency": null,
          "depth": 1,
          "name": "mail",
          "oldest_seconds": 0.0,
          "paused": false,
          "paused_at": null,
          "rate": 0.0,
          "running": 0,
          "scheduled": 0,
          "workers": 0
        }
      ],
      "next_cursor": null
    }
    "#);
}

pub async fn a_purge_ends_what_waits_and_takes_an_admin(engine: Engine) {
    let service = TestService::over(engine);
    let id = service.submitted(&json!({ "kind": "system.echo" })).await;
    let path = "/api/v1/queues/default/tasks";
    let controller = service.token("ann", &[Scope::Control, Scope::Read, Scope::Submit]);
    let refused = service.anonymous(Method::DELETE, path).bearer(&controller).send().await;
    assert_eq!((refused.status, refused.text_at("/code").as_str()), (StatusCode::FORBIDDEN, "scope_missing"));
    assert_snapshot!(service.delete(path).await, @r#"
    200 OK
    content-type: application/json

    {
      "purged": 1,
      "queue": "default"
    }
    "#);
    let status = service.get(&format!("/api/v1/tasks/status/{id}")).await.json();
    assert_eq!((&status["status"], &status["reason"]), (&json!("REVOKED"), &json!("purged")));
}

pub async fn what_a_worker_runs_is_counted_as_it_is_listed(engine: Engine) {
    let service = TestService::over(engine);
    let pool = service.engine.start_pool().await;
    let switch = Switch::new();
    // The heartbeat was before it.
    let id = service.engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    let workers = service.get("/api/v1/tasks/workers").await.json();
    let worker = &workers["workers"][format!("worker-{}", pool.worker)];
    assert_eq!(worker["running"][0]["task_id"], json!(id), "{workers}");
    assert_eq!((&workers["total_active_tasks"], &worker["active"]), (&json!(1), &json!(1)), "{workers}");
    switch.release(1);
    service.engine.ended(id).await;
    pool.end().await;
}

pub async fn workers_are_listed_and_told_to_drain(engine: Engine) {
    let service = TestService::over(engine);
    let mut pool = service.engine.start_pool().await;
    pool.heartbeat.heartbeat_once(&service.engine.store).await;
    let workers = service.get("/api/v1/tasks/workers/").await.json();
    let name = format!("worker-{}", pool.worker);
    assert_eq!((&workers["total_workers"], &workers["total_active_tasks"]), (&json!(1), &json!(0)));
    let worker = &workers["workers"][&name];
    assert_eq!((&worker["health"], &worker["slots"], &worker["total"]), (&json!("healthy"), &json!(10), &json!(0)));
    let order = service.post(&format!("/api/v1/workers/{name}/drain"), &json!(null)).await;
    assert_eq!((order.status, order.json()["command"].clone()), (StatusCode::ACCEPTED, json!("drain")));
    pool.heartbeat.heartbeat_once(&service.engine.store).await;
    assert!(pool.pool.is_draining());
    assert_snapshot!(service.post("/api/v1/workers/nobody/shutdown", &json!(null)).await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "not_found",
      "detail": "no live worker has the name \"nobody\"; GET /api/v1/tasks/workers lists them",
      "errors": [],
      "status": 404,
      "title": "Not found",
      "type": "urn:legwork:problem:not_found"
    }
    "#);
    pool.end().await;
}
