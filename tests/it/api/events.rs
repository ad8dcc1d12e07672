//! Event streams.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::engine::Engine;
use crate::support::probe::Switch;
use crate::support::service::TestService;

/// Events as they come: name and data.
struct Events {
    pieces: axum::body::BodyDataStream,
    text: String,
}

impl Events {
    async fn of(service: &TestService, id: &str) -> Self {
        let (status, headers, body) = service.request(Method::GET, &format!("/api/v1/tasks/{id}/events")).open().await;
        assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"text/event-stream".parse().unwrap()));
        assert_eq!(
            (&headers["x-accel-buffering"], &headers["cache-control"]),
            (&"no".parse().unwrap(), &"no-cache, no-transform".parse().unwrap())
        );
        Self { pieces: Body::into_data_stream(body), text: String::new() }
    }

    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let parsed = line("event: ").zip(line("data: ")).map(|(name, data)| (name, serde_json::from_str(&data).unwrap()));
                self.text = rest.into();
                if parsed.is_some() {
                    return parsed;
                }
                continue;
            }
            let piece = self.pieces.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

pub async fn the_stream_tells_the_present_state_and_ends_with_the_task(engine: Engine) {
    let service = TestService::over(engine);
    let switch = Switch::new();
    let id = service.submitted(&json!({ "kind": "test.probe", "args": switch.args(&json!(["progress"])) })).await;
    let mut events = Events::of(&service, &id).await;
    let (name, first) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &first["status"]), ("status", &json!("PENDING")));
    let pool = service.engine.start_pool().await;
    switch.started().await;
    switch.release(1);
    let (mut seen, mut progress) = (Vec::new(), json!(null));
    while let Some((name, data)) = events.next().await {
        let actual = if name == "progress" { &data } else { &data["progress"] };
        assert!(name == "status" || *actual != progress, "{actual} is told twice");
        progress = actual.clone();
        seen.push(if name == "status" { data["status"].as_str().unwrap().to_owned() } else { name });
    }
    assert_eq!(seen.last().map(String::as_str), Some("SUCCESS"), "{seen:?}");
    // A browser connects again, with the id of the last event, and is told to stay away.
    let again = service.request(Method::GET, &format!("/api/v1/tasks/{id}/events")).header("last-event-id", "ended");
    assert_eq!(again.send().await.status, StatusCode::NO_CONTENT);
    pool.end().await;
}

pub async fn the_stream_ends_with_the_process(engine: Engine) {
    let service = TestService::over(engine);
    let id = service.submitted(&json!({ "kind": "system.echo", "countdown": 60 })).await;
    let mut events = Events::of(&service, &id).await;
    assert_eq!(events.next().await.unwrap().1["status"], "PENDING");
    service.engine.shutdown.start();
    assert_eq!(events.next().await, None);
    let ready = service.anonymous(Method::GET, "/readyz").send().await;
    assert_eq!((ready.status, &ready.json()["failed"][0]["check"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("shutdown")));
}
