//! Bad input gets a clear answer.

use axum::http::{Method, StatusCode};
use insta::assert_snapshot;
use legwork::http::Readiness;
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::service::TestService;

const TASKS: &str = "/api/v1/tasks";

pub async fn malformed_json_is_400(engine: Engine) {
    let service = TestService::over(engine);
    let send =
        |body: &'static str| service.request(Method::POST, TASKS).header("content-type", "application/json").body(body).send();
    assert_snapshot!(send(r#"{"kind": "system.echo""#).await, @"");
    assert_snapshot!(send("").await.text_at("/detail"), @"");
    assert_eq!(send("[1]").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let patch = service.request(Method::PATCH, "/api/v1/queues/default").header("content-type", "application/json");
    assert_eq!(patch.body("{").send().await.status, StatusCode::BAD_REQUEST);
}

pub async fn wrong_types_and_unknown_fields_are_named(engine: Engine) {
    let service = TestService::over(engine);
    let body = json!({ "kind": "system.sleep", "args": { "seconds": "long", "colour": 1 }, "priority": 11, "countdown": -1 });
    assert_snapshot!(service.post(TASKS, &body).await, @"");
    let body = json!({ "kind": 5, "args": [], "colour": "red" });
    assert_snapshot!(service.post(TASKS, &body).await.json()["errors"], @"");
}

pub async fn a_bad_address_and_an_unknown_template_are_refused_at_submission(engine: Engine) {
    let service = TestService::over(engine);
    let body = json!({
        "recipient_email": "ada@example.com\r\nBcc: all@example.com", "subject": "a\r\nb", "template_name": "nothing", "context": {},
    });
    assert_snapshot!(service.post("/api/v1/tasks/email/send", &body).await, @"");
}

pub async fn an_unknown_kind_is_422(engine: Engine) {
    let service = TestService::over(engine);
    assert_snapshot!(service.post(TASKS, &json!({ "kind": "no.such" })).await, @"");
    // The engine's own kinds are not for users.
    assert_eq!(service.post(TASKS, &json!({ "kind": "system.callback" })).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

pub async fn a_body_or_args_too_large_are_413(engine: Engine) {
    let service = TestService::over(engine);
    let text = "x".repeat(300 * 1024);
    assert_snapshot!(service.post(TASKS, &json!({ "kind": "system.echo", "args": { "text": text } })).await, @"");
    assert_snapshot!(service.post(TASKS, &json!({ "text": text.repeat(4) })).await, @"");
}

pub async fn a_body_that_is_not_json_is_415(engine: Engine) {
    let service = TestService::over(engine);
    let call = service.request(Method::POST, TASKS).header("content-type", "application/x-www-form-urlencoded");
    assert_snapshot!(call.body("kind=system.echo").send().await, @"");
    let call = service.request(Method::POST, TASKS).header("content-type", "application/json; charset=utf-8");
    assert_eq!(call.body(r#"{"kind":"system.echo"}"#).send().await.status, StatusCode::ACCEPTED);
}

pub async fn a_bad_id_is_422_and_an_unknown_one_404(engine: Engine) {
    let service = TestService::over(engine);
    assert_snapshot!(service.get("/api/v1/tasks/status/abc123").await, @"");
    assert_snapshot!(service.get("/api/v1/tasks/status/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57").await, @"");
    assert_snapshot!(service.post("/api/v1/queues/No%20Queue/pause", &json!(null)).await.text_at("/detail"), @"");
}

pub async fn an_unknown_path_is_404_and_a_wrong_method_405(engine: Engine) {
    let service = TestService::over(engine);
    assert_snapshot!(service.anonymous(Method::GET, "/api/v1/nothing").send().await, @"");
    assert_snapshot!(service.anonymous(Method::PUT, "/api/v1/tasks/").send().await, @"");
}

pub async fn bad_query_parameters_are_all_named(engine: Engine) {
    let service = TestService::over(engine);
    let path = "/api/v1/tasks?status=DONE&limit=501&cursor=x&from=yesterday&kind=No%20Kind&colour=red";
    assert_snapshot!(service.get(path).await, @"");
    let path = "/api/v1/tasks/status/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57?wait=61";
    assert_snapshot!(service.get(path).await.text_at("/detail"), @"");
}

pub async fn too_many_submissions_are_429(engine: Engine) {
    let service = TestService::with(engine, &[("RATE_LIMIT", "2")], Readiness::new());
    let batch = json!({ "tasks": [{ "kind": "system.echo" }, { "kind": "system.echo" }] });
    assert_eq!(service.post("/api/v1/tasks/batch", &batch).await.status, StatusCode::ACCEPTED);
    let answer = service.post("/api/v1/tasks/batch", &batch).await;
    assert_snapshot!(answer, @"");
}
