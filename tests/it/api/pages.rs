//! Probes, pages, and what every answer carries.

use axum::http::{Method, StatusCode};
use legwork::http::Readiness;
use serde_json::json;

use crate::support::engine::{Engine, embedded};
use crate::support::service::TestService;

#[tokio::test]
async fn probes_need_no_token_and_say_what_is_not_ready() {
    embedded(async |engine: Engine| {
        let readiness = Readiness::new()
            .check("store", || async { Ok(()) })
            .check("worker", || async { Err("due tasks exist and none is fetched".into()) });
        let service = TestService::with(engine, &[], readiness);
        let get = |path| service.anonymous(Method::GET, path).send();
        assert_eq!(get("/healthz").await.json(), json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }));
        assert_snapshot!(get("/readyz").await, @r#"
        503 Service Unavailable
        content-type: application/json

        {
          "failed": [
            {
              "check": "worker",
              "detail": "due tasks exist and none is fetched"
            }
          ],
          "status": "not_ready"
        }
        "#);
        service.submitted(&json!({ "kind": "system.echo" })).await;
        let metrics = get("/metrics").await;
        assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
        assert!(metrics.text().contains("legwork_queue_depth{queue=\"default\"} 1"), "{}", metrics.text());
        assert!(metrics.text().contains("legwork_http_requests_total{method=\"POST\",status=\"202\"} 1"), "{}", metrics.text());
        assert!(metrics.text().ends_with("# EOF\n"));
    })
    .await;
}

#[tokio::test]
async fn metrics_can_be_switched_off() {
    embedded(async |engine: Engine| {
        let service = TestService::with(engine, &[("METRICS", "off")], Readiness::new());
        assert_eq!(service.anonymous(Method::GET, "/metrics").send().await.status, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn pages_run_no_script_of_their_own_and_come_from_the_binary() {
    embedded(async |engine: Engine| {
        let service = TestService::over(engine);
        let get = |path| service.anonymous(Method::GET, path).send();
        let docs = get("/docs/").await;
        assert!(docs.header("content-security-policy").contains("script-src 'self';"));
        for file in docs.text().split('"').filter(|part| part.starts_with("/docs/")) {
            let found = service.anonymous(Method::GET, file).send().await;
            assert_eq!(found.status, StatusCode::OK, "{file}");
            assert!(!found.body.is_empty(), "{file}");
        }
        assert!(get("/docs/start.js").await.text().contains("/openapi.json"));
        assert_eq!(get("/docs/index.html").await.status, StatusCode::NOT_FOUND);
        assert_eq!(get("/openapi.json").await.json()["openapi"], "3.1.0");
    })
    .await;
}

#[tokio::test]
async fn every_answer_is_guarded_and_carries_a_request_id() {
    embedded(async |engine: Engine| {
        let service = TestService::with(engine, &[("PUBLIC_URL", "https://tasks.example.org")], Readiness::new());
        let answer = service.request(Method::GET, "/api/v1/tasks").header("x-request-id", "shop-4711.a_b").send().await;
        assert_eq!(answer.header("x-request-id"), "shop-4711.a_b");
        let headers: Vec<String> =
            answer.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_snapshot!(headers.join("\n"), @r#"
        content-type: application/json
        x-request-id: shop-4711.a_b
        x-content-type-options: nosniff
        x-frame-options: DENY
        referrer-policy: no-referrer
        content-security-policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'
        cache-control: no-store
        strict-transport-security: max-age=31536000
        content-length: 31
        "#);
        let answer = service.request(Method::GET, "/api/v1/tasks").header("x-request-id", "a b").send().await;
        assert_eq!(answer.header("x-request-id").len(), 16);
    })
    .await;
}

#[tokio::test]
async fn browsers_of_listed_origins_may_call_and_others_not() {
    embedded(async |engine: Engine| {
        let service = TestService::with(engine, &[("CORS_ORIGINS", "https://app.example.org")], Readiness::new());
        let ask = |origin| {
            let call = service.anonymous(Method::OPTIONS, "/api/v1/tasks").header("origin", origin);
            call.header("access-control-request-method", "POST").send()
        };
        assert_eq!(ask("https://app.example.org").await.header("access-control-allow-origin"), "https://app.example.org");
        assert_eq!(ask("https://evil.example.org").await.header("access-control-allow-origin"), "");
    })
    .await;
    embedded(async |engine: Engine| {
        let service = TestService::with(engine, &[("CORS_ORIGINS", "*")], Readiness::new());
        let call = service.anonymous(Method::OPTIONS, "/api/v1/tasks").header("origin", "https://any.example.org");
        let answer = call.header("access-control-request-method", "POST").send().await;
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    })
    .await;
}
