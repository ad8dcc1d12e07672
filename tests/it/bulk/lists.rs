//! The recipients of a task, over the API.

use axum::http::{Method, StatusCode};
use legwork_engine::domain::{Scope, TaskStatus};
use serde_json::{Value, json};

use super::{addresses, body, run};
use crate::support::engine::Engine;
use crate::support::service::TestService;

/// Ten recipients in the outbox, but for two that are no addresses.
async fn listed(engine: &Engine) -> (TestService, String) {
    let mut to = addresses(8);
    to.insert(2, "nobody".into());
    to.insert(5, "=cmd|' /C calc'!A0".into());
    let (id, _) = run(engine, body(&to)).await;
    (TestService::over(engine.clone()), format!("/api/v1/tasks/{id}/recipients"))
}

fn parts(page: &Value) -> Vec<i64> {
    page["items"].as_array().unwrap().iter().map(|item| item["part"].as_i64().unwrap()).collect()
}

pub async fn recipients_are_listed_in_pages_and_by_outcome(engine: Engine) {
    let (service, path) = listed(&engine).await;
    let first = service.get(&format!("{path}?limit=4")).await.json();
    assert_eq!(parts(&first), [0, 1, 2, 3]);
    assert_eq!(first["counts"]["accepted"], 8);
    assert_eq!((&first["items"][2]["outcome"], &first["items"][2]["recipient"]), (&json!("rejected"), &json!("nobody")));
    let cursor = first["next_cursor"].as_str().unwrap();
    let last = service.get(&format!("{path}?limit=500&cursor={cursor}")).await.json();
    assert_eq!((parts(&last), &last["next_cursor"]), ((4..10).collect(), &Value::Null));
    let refused = service.get(&format!("{path}?outcome=rejected,unknown")).await.json();
    assert_eq!(parts(&refused), [2, 5]);
    for (query, pointer) in [
        ("outcome=lost", "outcome"),
        ("limit=0", "limit"),
        ("cursor=-1", "cursor"),
        ("format=xml", "format"),
        ("colour=red", "colour"),
    ] {
        let answer = service.get(&format!("{path}?{query}")).await;
        assert_eq!(
            (answer.status, answer.text_at("/errors/0/pointer")),
            (StatusCode::UNPROCESSABLE_ENTITY, pointer.into()),
            "{answer}"
        );
    }
    let other = service.submitted(&json!({ "kind": "system.echo" })).await;
    let none = service.get(&format!("/api/v1/tasks/{other}/recipients")).await.json();
    assert_eq!((parts(&none), &none["counts"]["total"]), (vec![], &json!(0)));
}

pub async fn recipients_come_as_one_csv_file(engine: Engine) {
    let (service, path) = listed(&engine).await;
    for call in [
        service.request(Method::GET, &format!("{path}?format=csv")),
        service.request(Method::GET, &path).header("accept", "text/csv, */*;q=0.1"),
    ] {
        let answer = call.send().await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/csv; charset=utf-8"), "{answer}");
        let lines: Vec<&str> = answer.text().split("\r\n").collect();
        assert_eq!(lines[0], "part,recipient,outcome,response,message_id,reference,attempts,next_at,updated_at");
        assert!(lines[1].starts_with("0,r0@example.net,accepted,"), "{}", lines[1]);
        assert!(lines[6].starts_with("5,'=cmd|' /C calc'!A0,rejected,"), "{}", lines[6]);
        assert_eq!((lines.len(), lines[11]), (12, ""));
    }
    let some = service.get(&format!("{path}?format=csv&outcome=rejected&cursor=2")).await;
    assert_eq!(some.text().lines().count(), 2, "{some}");
}

pub async fn the_list_of_a_task_is_seen_by_who_sees_the_task(engine: Engine) {
    let (service, path) = listed(&engine).await;
    assert_eq!(service.anonymous(Method::GET, &path).send().await.status, StatusCode::UNAUTHORIZED);
    for (subject, scope, query, status) in [
        ("ann", Scope::Read, "", StatusCode::OK),
        ("ann", Scope::Submit, "", StatusCode::FORBIDDEN),
        ("bob", Scope::Read, "", StatusCode::NOT_FOUND),
        ("bob", Scope::Read, "?format=csv", StatusCode::NOT_FOUND),
    ] {
        let call = service.anonymous(Method::GET, &format!("{path}{query}")).bearer(&service.token(subject, &[scope]));
        assert_eq!(call.send().await.status, status, "{subject} {scope:?}");
    }
    let unknown = "/api/v1/tasks/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57/recipients";
    assert_eq!(service.get(unknown).await.status, StatusCode::NOT_FOUND);
}

pub async fn what_is_wrong_with_a_list_is_named(engine: Engine) {
    let service = TestService::over(engine);
    let good = body(&addresses(2));
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let mut both = with("recipients", json!([{ "email": "a@example.org" }]));
    let mut text = both.clone();
    both["subject"] = "S".into();
    for field in ["recipient_emails", "template_name", "context"] {
        text.as_object_mut().unwrap().remove(field);
    }
    text["text"] = "T".into();
    text["recipients"][0]["context"] = json!({ "a": 1 });
    for (body, pointer, word) in [
        (with("recipient_emails", json!([])), "/recipient_emails", "less than 1 item"),
        (with("recipient_emails", Value::Null), "/recipient_emails", "missing"),
        (with("recipient_emails", "a@example.org".into()), "/recipient_emails", "array"),
        (with("recipient_emails", json!(["a@example.org", 5])), "/recipient_emails/1", "string"),
        (
            with("recipient_emails", json!(vec!["a@example.org"; 10_001])),
            "/recipient_emails",
            "10001 recipients; at most 10000 are allowed",
        ),
        (both, "/recipients", "give one of them"),
        (text, "/recipients", "give template_name"),
        (with("subject", "a\r\nBcc: b@example.org".into()), "/subject", "line break"),
        (with("template_name", "../../etc/passwd".into()), "/template_name", "there is no template"),
        (with("rate", 0.into()), "/rate", ""),
        (with("rate_per_domain", (-1).into()), "/rate_per_domain", ""),
        (with("on_unknown", "guess".into()), "/on_unknown", "hold"),
    ] {
        let answer = service.post("/api/v1/tasks/email/bulk", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        let field_errors = answer.json()["errors"].to_string();
        assert!(field_errors.contains(&format!("{pointer:?}")) && field_errors.contains(word), "{pointer}: {field_errors}");
    }
}

pub async fn ten_thousand_addresses_are_taken_by_default(engine: Engine) {
    let service = TestService::over(engine.clone());
    let to: Vec<String> = (0..10_000).map(|n| format!("recipient-number-{n:05}@a-rather-long-domain.example.net")).collect();
    let of_their_own: Vec<Value> =
        to.iter().map(|email| json!({ "email": email, "context": { "name": "A name", "note": "x".repeat(80) } })).collect();
    let mut own = body(&[]);
    own.as_object_mut().unwrap().remove("recipient_emails");
    own["recipients"] = json!(of_their_own);
    for body in [body(&to), own] {
        let size = body.to_string().len();
        let answer = service.post("/api/v1/tasks/email/bulk", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{size} bytes: {answer}");
        let id = answer.text_at("/task_id").parse::<uuid::Uuid>().unwrap().into();
        engine.note_accepted(id);
        assert_eq!(engine.row(id).await.status, TaskStatus::Pending);
    }
}
