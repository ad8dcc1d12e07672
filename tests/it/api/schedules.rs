//! Schedules and maintenance over HTTP.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use legwork::http::Readiness;
use legwork_engine::domain::Scope;
use serde_json::{Value, json};

use crate::support::engine::Engine;
use crate::support::service::TestService;

fn weekly() -> Value {
    json!({
        "name": "Weekly echo", "kind": "system.echo", "args": { "a": 1 }, "crontab": "0 9 * * mon", "timezone": "Europe/London",
        "overlap": "skip"
    })
}

pub async fn a_schedule_is_made_shown_changed_run_and_deleted(engine: Engine) {
    let service = TestService::over(engine.clone());
    let made = service.post("/api/v1/schedules", &weekly()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made}");
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let shown = service.get(&format!("/api/v1/schedules/{id}")).await.json();
    assert_eq!(shown, service.get("/api/v1/schedules/Weekly%20echo").await.json());
    assert_eq!(shown["when"], "At 09:00 on Monday (Europe/London)");
    assert_eq!((&shown["enabled"], &shown["overlap"], &shown["args"]), (&json!(true), &json!("skip"), &json!({ "a": 1 })));
    // The tests begin on a Friday, the 21st of November 2026 is a Saturday.
    assert_eq!(shown["next_runs"].as_array().unwrap().len(), 5);
    assert_eq!(shown["last_firing"], json!(null));

    let changed = service.patch(&format!("/api/v1/schedules/{id}"), &json!({ "interval": "5m", "overlap": null })).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed}");
    let changed = changed.json();
    assert_eq!(
        (&changed["interval"]["every"], &changed["interval"]["unit"], &changed["overlap"]),
        (&json!(5), &json!("minutes"), &json!("allow"))
    );
    assert!(changed.get("crontab").is_none(), "{changed}");

    engine.clock.advance(Duration::from_mins(5));
    engine.scheduler().fire_schedules().await.unwrap();
    let run = service.post(&format!("/api/v1/schedules/{id}/run"), &json!(null)).await;
    assert_eq!(run.status, StatusCode::ACCEPTED);
    let firings = service.get(&format!("/api/v1/schedules/{id}/firings")).await.json();
    let triggers: Vec<&str> = firings["items"].as_array().unwrap().iter().filter_map(|one| one["trigger"].as_str()).collect();
    assert_eq!(triggers.len(), 2);
    assert!(triggers.contains(&"clock") && triggers.contains(&"manual"), "{firings}");
    let first = service.get(&format!("/api/v1/schedules/{id}/firings?limit=1")).await.json();
    assert!(first["next_cursor"].is_string());

    assert_eq!(service.post(&format!("/api/v1/schedules/{id}/disable"), &json!(null)).await.json()["next_runs"], json!([]));
    assert_eq!(service.post(&format!("/api/v1/schedules/{id}/enable"), &json!(null)).await.json()["enabled"], true);
    let listed = service.get("/api/v1/schedules?enabled=true&q=weekly").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(service.delete(&format!("/api/v1/schedules/{id}")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(service.get(&format!("/api/v1/schedules/{id}")).await.status, StatusCode::NOT_FOUND);
}

pub async fn a_schedule_with_mistakes_is_422_and_each_field_is_named(engine: Engine) {
    let service = TestService::over(engine);
    let with = |field: &str, value: Value| {
        let mut body = weekly();
        body[field] = value;
        body
    };
    for (body, pointer, words) in [
        (with("crontab", json!("0 9 31 2 *")), "/crontab", "never fires"),
        (with("crontab", json!("* * * * * *")), "/crontab", "has 6 fields"),
        (with("crontab", json!("61 * * * *")), "/crontab", "61"),
        (with("crontab", json!(null)), "/crontab", "got none"),
        (with("interval", json!("5m")), "/interval", "crontab and interval"),
        (with("timezone", json!("Europe/Londn")), "/timezone", "Europe/London"),
        (with("kind", json!("no.kind")), "/kind", "no.kind"),
        (with("queue", json!("Bad Queue")), "/queue", "Bad Queue"),
        (with("priority", json!(10)), "/priority", "10"),
        (with("end", json!("2020-01-01T00:00:00Z")), "/end", "passed"),
        (with("start", json!("tomorrow")), "/start", "tomorrow"),
        (with("overlap", json!("sometimes")), "/overlap", "queue_one"),
        (with("jitter", json!(100_000)), "/jitter", "86400"),
        (with("missed_limit", json!(0)), "/missed_limit", "1000"),
        (with("cron", json!("* * * * *")), "/cron", "allowed are name, kind"),
        (with("name", json!("two\nlines")), "/name", "one line"),
    ] {
        let answer = service.post("/api/v1/schedules", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {answer}");
        let errors = answer.json()["errors"].clone();
        let named = errors.as_array().unwrap().iter().find(|error| error["pointer"] == pointer);
        let detail = named.unwrap_or_else(|| panic!("{pointer} in {errors}"))["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{pointer}: {detail}");
    }
    let clocked = json!({ "name": "past", "kind": "system.echo", "clocked": "2020-01-01T00:00:00Z" });
    assert_eq!(service.post("/api/v1/schedules", &clocked).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let args = json!({ "name": "mail", "kind": "email.send", "crontab": "@daily", "args": { "subject": "S", "text": "T" } });
    let answer = service.post("/api/v1/schedules", &args).await.json();
    assert_eq!(answer["errors"][0]["pointer"], "/args/recipient_email", "{answer}");
    assert_eq!(service.post("/api/v1/schedules", &weekly()).await.status, StatusCode::CREATED);
    let again = service.post("/api/v1/schedules", &weekly()).await;
    assert_eq!((again.status, again.text_at("/code").as_str()), (StatusCode::CONFLICT, "name_taken"));
}

pub async fn a_preview_shows_the_words_and_the_instants_with_their_offsets(engine: Engine) {
    let service = TestService::over(engine);
    let body = json!({ "crontab": "30 1 * * *", "timezone": "Europe/London", "count": 2 });
    let preview = service.post("/api/v1/schedules/preview", &body).await.json();
    assert_eq!(preview["description"], "At 01:30 (Europe/London)");
    let runs = preview["next_runs"].as_array().unwrap();
    assert!(runs.len() == 2 && runs[0]["local"].as_str().unwrap().ends_with("T01:30:00+00:00"), "{preview}");
    let solar = json!({ "solar": { "event": "sunset", "latitude": 95, "longitude": 0 } });
    let answer = service.post("/api/v1/schedules/preview", &solar).await.json();
    assert_eq!(answer["errors"][0]["pointer"], "/solar/latitude", "{answer}");
}

pub async fn who_may_read_may_not_change_schedules(engine: Engine) {
    let service = TestService::over(engine);
    assert_eq!(service.post("/api/v1/schedules", &weekly()).await.status, StatusCode::CREATED);
    let (reader, controller) = (service.token("ann", &[Scope::Read]), service.token("bob", &[Scope::Read, Scope::Control]));
    let path = "/api/v1/schedules/Weekly%20echo";
    for (method, path, token, expected) in [
        (Method::GET, path, &reader, StatusCode::OK),
        (Method::POST, "/api/v1/schedules/Weekly%20echo/run", &reader, StatusCode::FORBIDDEN),
        (Method::POST, "/api/v1/schedules/Weekly%20echo/disable", &reader, StatusCode::FORBIDDEN),
        (Method::POST, "/api/v1/schedules/Weekly%20echo/disable", &controller, StatusCode::OK),
        (Method::POST, "/api/v1/schedules/Weekly%20echo/run", &controller, StatusCode::ACCEPTED),
        (Method::DELETE, path, &controller, StatusCode::FORBIDDEN),
    ] {
        let answer = service.anonymous(method.clone(), path).bearer(token).send().await;
        assert_eq!(answer.status, expected, "{method} {path}: {answer}");
    }
    assert_eq!(service.anonymous(Method::GET, path).send().await.status, StatusCode::UNAUTHORIZED);
}

pub async fn schedules_of_packs_are_brought_in_line_on_request(engine: Engine) {
    let service = TestService::with(engine, &[("PACKS", "au-vlp")], Readiness::new());
    let sync = async || {
        let answer = service.post("/api/v1/schedules/sync", &json!(null)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        let pack = answer.json()["packs"][0].clone();
        let count = |field: &str| pack[field].as_array().unwrap().len();
        (pack["pack"].as_str().unwrap().to_owned(), count("added"), count("changed"), count("unchanged"))
    };
    assert_eq!(sync().await, ("au-vlp".to_owned(), 3, 0, 0));
    assert_eq!(sync().await, ("au-vlp".to_owned(), 0, 0, 3));
    let listed = service.get("/api/v1/schedules?pack=au-vlp").await.json();
    let path = |index: usize| format!("/api/v1/schedules/{}", listed["items"][index]["id"].as_str().unwrap());
    assert_eq!(service.post(&format!("{}/disable", path(0)), &json!(null)).await.status, StatusCode::OK);
    assert_eq!(service.delete(&path(1)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(sync().await, ("au-vlp".to_owned(), 1, 0, 2));
    assert_eq!(service.get(&path(0)).await.json()["enabled"], false, "what an admin changed stays");

    let audit = service.get("/api/v1/audit?action=schedule.sync").await.json();
    // The clock of the tests stands still, so the entries have no order.
    let mut details: Vec<&str> = audit["items"].as_array().unwrap().iter().filter_map(|entry| entry["detail"].as_str()).collect();
    details.sort_unstable();
    assert_eq!(details, ["0", "1", "3"].map(|added| format!("{added} added, 0 changed, 0 disabled")));
    let controller = service.token("bob", &[Scope::Read, Scope::Control]);
    let refused = service.anonymous(Method::POST, "/api/v1/schedules/sync").bearer(&controller).send().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused}");
}

pub async fn maintenance_is_switched_and_seen(engine: Engine) {
    let service = TestService::over(engine);
    assert_eq!(service.get("/api/v1/maintenance").await.json()["on"], false);
    let on = service.put("/api/v1/maintenance", &json!({ "on": true, "reason": "upgrade" })).await.json();
    assert_eq!((&on["on"], &on["reason"]), (&json!(true), &json!("upgrade")));
    let id = service.submitted(&json!({ "kind": "system.echo" })).await;
    let status = service.get(&format!("/api/v1/tasks/status/{id}")).await.json();
    assert_eq!(status["waiting_for"]["reason"], "maintenance");
    assert_eq!(service.put("/api/v1/maintenance", &json!({ "on": false })).await.json()["on"], false);
}
