//! Schedules and maintenance over HTTP.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use legwork::http::Readiness;
use legwork_engine::domain::{Declaration, DeclaredSchedule, KindName, ScheduleSpec, Scope};
use legwork_engine::store::ScheduleKey;
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

pub async fn args_of_a_kind_that_is_not_loaded_are_not_shown(engine: Engine) {
    let service = TestService::over(engine.clone());
    service.post("/api/v1/schedules", &weekly()).await;
    let known = engine.queue.schedule(&ScheduleKey::Name("Weekly echo".into())).await.unwrap();
    let declaration = Declaration {
        spec: ScheduleSpec { kind: KindName::from_store("shop.gone"), ..known.spec },
        args: json!({ "code": "s3cret" }).to_string(),
        enabled: true,
    };
    let declared = DeclaredSchedule { name: "Gone".into(), declaration };
    engine.queue.sync_schedules("shop", &[declared]).await.unwrap();
    for path in ["/api/v1/schedules/Gone", "/api/v1/schedules"] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        assert!(!answer.to_string().contains("s3cret") && answer.to_string().contains(r#""args": null"#), "{answer}");
    }
}

pub async fn a_schedule_with_mistakes_is_422_and_each_field_is_named(engine: Engine) {
    let service = TestService::over(engine);
    let with = |field: &str, value: Value| {
        let mut body = weekly();
        body[field] = value;
        body
    };
    let only = |field: &str, value: Value| json!({ "name": "timed", "kind": "system.echo", field: value });
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
        (with("expires", json!(-1)), "/expires", "from 1 to 315360000; got -1"),
        (with("expires", json!(1.5)), "/expires", "got 1.5"),
        (with("expires", json!(4_000_000_000_u32)), "/expires", "315360000"),
        (with("max_lateness", json!(0)), "/max_lateness", "from 1"),
        (with("priority", json!("high")), "/priority", "from 0 to 9"),
        (with("dst_gap", json!("never")), "/dst_gap", "shift_forward"),
        (with("timezone", json!(5)), "/timezone", "string"),
        (with("args", json!([1])), "/args", "object"),
        (only("interval", json!({ "every": 5, "unit": "minutes", "form": "x" })), "/interval/form", "every"),
        (only("interval", json!({ "every": "5", "unit": "minutes" })), "/interval/every", "whole number"),
        (only("interval", json!({ "every": 5, "unit": "moons" })), "/interval/unit", "moons"),
        (only("interval", json!(5)), "/interval", "5m"),
        (only("interval", json!("1500ms")), "/interval", "parts of a second"),
        (only("clocked", json!("2020-01-01T00:00:00Z")), "/clocked", "passed"),
        (only("solar", json!({ "event": "moonrise", "latitude": 0, "longitude": 0 })), "/solar/event", "moonrise"),
        (only("solar", json!({ "event": "noon", "latitude": "x", "longitude": 0 })), "/solar/latitude", "number"),
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

pub async fn args_stay_as_they_were_written_and_no_member_is_given_twice(engine: Engine) {
    let service = TestService::over(engine.clone());
    let args = r#"{"z":123456789012345678901234567890,"b":1.10,"a":[1, 2]}"#;
    let made = format!(r#"{{"name":"exact","kind":"system.echo","interval":"5m","args":{args}}}"#);
    let json = "application/json";
    let call = |method, path| service.request(method, path).header("content-type", json);
    let answer = call(Method::POST, "/api/v1/schedules").body(made).send().await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer}");
    let path = "/api/v1/schedules/exact";
    service.patch(path, &json!({ "description": "more", "priority": 7 })).await;
    assert!(service.get(path).await.text().contains(args), "{}", service.get(path).await);
    let run = service.post("/api/v1/schedules/exact/run", &json!(null)).await.json();
    let id = run["task_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(engine.store.find(id).await.unwrap().unwrap().args, args);
    // What is sent as it was shown changes nothing, whatever the timing is.
    for timing in [
        json!({ "crontab": "0 9-17/2 * jan-mar mon", "timezone": "Europe/London", "dst_gap": "skip" }),
        json!({ "interval": { "every": 2, "unit": "days", "from": "2026-01-01T09:00:00" }, "timezone": "Africa/Accra" }),
        json!({ "clocked": "2030-01-01T09:00:00", "timezone": "Europe/London" }),
        json!({ "solar": { "event": "sunset", "latitude": 5.6037, "longitude": -0.187 } }),
    ] {
        let changed = service.patch(path, &timing).await.json();
        let mut sent = changed.clone();
        for name in [
            "id",
            "args",
            "pack",
            "when",
            "args_hidden",
            "disabled_reason",
            "next_runs",
            "last_firing",
            "created_at",
            "updated_at",
        ] {
            sent.as_object_mut().unwrap().remove(name);
        }
        engine.clock.advance(Duration::from_secs(1));
        let again = service.patch(path, &sent).await.json();
        assert_eq!(again["updated_at"], changed["updated_at"], "{again}");
    }
    // Null takes the args away; a part without args keeps them.
    assert_eq!(service.patch(path, &json!({ "args": null })).await.json()["args"], json!({}));

    for (body, pointer) in [
        (r#"{"name":"a","name":"b"}"#, ""),
        (r#"{"interval":{"every":5,"every":6,"unit":"minutes"}}"#, "/interval"),
        (r#"{"args":{"a":1,"a":2}}"#, "/args"),
        (r#"{"expires":1e999}"#, "/expires"),
    ] {
        let answer = call(Method::PATCH, path).body(body).send().await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        assert_eq!(answer.text_at("/errors/0/pointer"), pointer, "{answer}");
        assert!(answer.text().contains("given twice") || answer.text().contains("out of range"), "{answer}");
    }
}

pub async fn args_are_shown_to_the_owner_and_to_those_who_see_all(engine: Engine) {
    let service = TestService::over(engine);
    let owner = service.token("olive", &[Scope::Admin]);
    let made = service.anonymous(Method::POST, "/api/v1/schedules").bearer(&owner).json(&weekly()).send().await;
    assert_eq!(made.status, StatusCode::CREATED, "{made}");
    let path = "/api/v1/schedules/Weekly%20echo";
    for (subject, scopes, sees) in [
        ("olive", &[Scope::Read][..], true),
        ("ann", &[Scope::Read, Scope::All], true),
        ("ann", &[Scope::Read, Scope::Control], false),
    ] {
        let token = service.token(subject, scopes);
        let shown = service.anonymous(Method::GET, path).bearer(&token).send().await.json();
        let listed = service.anonymous(Method::GET, "/api/v1/schedules").bearer(&token).send().await.json();
        for shown in [&shown, &listed["items"][0]] {
            assert_eq!(shown["args"] == json!({ "a": 1 }), sees, "{shown}");
            assert_eq!(shown["args_hidden"].is_null(), sees, "{shown}");
        }
    }
}

pub async fn args_of_a_kind_that_is_not_known_are_not_shown(engine: Engine) {
    let probe =
        json!({ "name": "gone", "kind": "test.probe", "crontab": "@daily", "args": { "switch": "s", "plan": ["succeed"] } });
    let made = TestService::over(engine.clone()).post("/api/v1/schedules", &probe).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made}");
    // As where a pack is removed: nobody can say which args are secret.
    let service = TestService::over(engine.older());
    let shown = service.get("/api/v1/schedules/gone").await.json();
    assert!(
        shown["args"] == json!(null) && shown["args_hidden"].as_str().unwrap().contains("test.probe is not known"),
        "{shown}"
    );
    let run = service.post("/api/v1/schedules/gone/run", &json!(null)).await;
    assert_eq!((run.status, run.text_at("/errors/0/pointer").as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "/kind"));
    assert_eq!(service.post("/api/v1/schedules/gone/disable", &json!(null)).await.json()["enabled"], false);
    assert_eq!(service.delete("/api/v1/schedules/gone").await.status, StatusCode::NO_CONTENT);
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
    let prune = json!({ "name": "Prune", "kind": "results.prune", "crontab": "@daily" });
    assert_eq!(service.post("/api/v1/schedules", &prune).await.status, StatusCode::CREATED);
    let (reader, controller) = (service.token("ann", &[Scope::Read]), service.token("bob", &[Scope::Read, Scope::Control]));
    let admin = service.token("eve", &[Scope::Admin]);
    let path = "/api/v1/schedules/Weekly%20echo";
    for (method, path, token, expected) in [
        (Method::GET, path, &reader, StatusCode::OK),
        (Method::POST, "/api/v1/schedules/Weekly%20echo/run", &reader, StatusCode::FORBIDDEN),
        (Method::POST, "/api/v1/schedules/Weekly%20echo/disable", &reader, StatusCode::FORBIDDEN),
        (Method::POST, "/api/v1/schedules/Weekly%20echo/disable", &controller, StatusCode::OK),
        (Method::POST, "/api/v1/schedules/Weekly%20echo/run", &controller, StatusCode::ACCEPTED),
        (Method::DELETE, path, &controller, StatusCode::FORBIDDEN),
        // A kind that takes an administrator takes one here too.
        (Method::POST, "/api/v1/schedules/Prune/run", &controller, StatusCode::FORBIDDEN),
        (Method::POST, "/api/v1/schedules/Prune/run", &admin, StatusCode::ACCEPTED),
    ] {
        let answer = service.anonymous(method.clone(), path).bearer(token).send().await;
        assert_eq!(answer.status, expected, "{method} {path}: {answer}");
    }
    assert_eq!(service.anonymous(Method::GET, path).send().await.status, StatusCode::UNAUTHORIZED);
    let firings = service.get("/api/v1/schedules/Prune/firings").await.json();
    assert_eq!((&firings["items"][0]["run_by"], firings["items"].as_array().unwrap().len()), (&json!("eve"), 1), "{firings}");
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
