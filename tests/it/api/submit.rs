//! Submissions.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::service::TestService;

pub async fn a_submission_answers_202_with_a_place_to_look(engine: Engine) {
    let service = TestService::over(engine);
    let answer = service.post("/api/v1/tasks/", &json!({ "kind": "system.echo", "args": { "x": 1 }, "priority": 7 })).await;
    assert_snapshot!(answer, @r#"
    202 Accepted
    content-type: application/json
    location: /api/v1/tasks/status/<id 1>

    {
      "status": "PENDING",
      "status_url": "/api/v1/tasks/status/<id 1>",
      "task_id": "<id 1>"
    }
    "#);
    let status = service.get(answer.header("location")).await;
    assert_eq!(status.json()["priority"], 7);
}

pub async fn a_typed_route_takes_args_and_options_side_by_side(engine: Engine) {
    let service = TestService::over(engine);
    let body = json!({
        "recipient_email": "ada@example.com", "subject": "Hello", "template_name": "notification",
        "context": { "message": "hello" }, "queue": "mail", "countdown": 60,
    });
    let answer = service.post("/api/v1/tasks/email/send/", &body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer}");
    let task = service.get(&format!("/api/v1/tasks/{}", answer.text_at("/task_id"))).await.json();
    assert_eq!((&task["kind"], &task["queue"]), (&json!("email.send"), &json!("mail")));
    assert_eq!(task["args"]["recipient_email"], "ada@example.com");
    assert_eq!(task["args"].get("queue"), None);
    assert_eq!(task["waiting_for"], json!({ "reason": "time", "until": "2026-11-21T08:01:00Z" }));
}

pub async fn the_same_key_gives_the_first_answer_again(engine: Engine) {
    let service = TestService::over(engine);
    let send = |body: &'static str| {
        let call = service.request(Method::POST, "/api/v1/tasks").header("content-type", "application/json");
        call.header("idempotency-key", "order 4711").body(body).send()
    };
    let first = send(r#"{"kind": "system.echo", "args": {"a": 1, "b": 2}}"#).await;
    let again = send(r#"{"args": {"b": 2, "a": 1}, "kind": "system.echo"}"#).await;
    assert_eq!(again.body, first.body);
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::ACCEPTED, "true"));
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_snapshot!(send(r#"{"kind": "system.echo", "args": {}}"#).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "key_reused",
      "detail": "the Idempotency-Key was used before with another body",
      "errors": [],
      "status": 409,
      "title": "The current state does not allow this",
      "type": "urn:legwork:problem:key_reused"
    }
    "#);
    let call = service.request(Method::POST, "/api/v1/tasks").header("idempotency-key", "a").header("idempotency-key", "b");
    assert_snapshot!(call.json(&json!({ "kind": "system.echo" })).send().await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "invalid",
      "detail": "Idempotency-Key: is given more than once",
      "errors": [
        {
          "detail": "is given more than once",
          "pointer": "Idempotency-Key"
        }
      ],
      "status": 422,
      "title": "The request is not valid",
      "type": "urn:legwork:problem:invalid"
    }
    "#);
}

pub async fn each_item_of_a_batch_answers_for_itself(engine: Engine) {
    let service = TestService::over(engine);
    let keyed = json!({ "kind": "system.echo", "args": { "n": 1 }, "idempotency_key": "one" });
    let batch =
        json!({ "tasks": [keyed, keyed, { "kind": "no.such" }, { "kind": "system.sleep", "args": { "seconds": -1 } }, 5] });
    assert_snapshot!(service.post("/api/v1/tasks/batch", &batch).await, @r#"
    202 Accepted
    content-type: application/json

    {
      "tasks": [
        {
          "status": "PENDING",
          "status_url": "/api/v1/tasks/status/<id 1>",
          "task_id": "<id 1>"
        },
        {
          "status": "PENDING",
          "status_url": "/api/v1/tasks/status/<id 1>",
          "task_id": "<id 1>"
        },
        {
          "error": {
            "code": "invalid",
            "detail": "/tasks/2/kind: \"no.such\" is unknown; `legwork kind list` and GET /api/v1/tasks/kinds list the kinds",
            "errors": [
              {
                "detail": "\"no.such\" is unknown; `legwork kind list` and GET /api/v1/tasks/kinds list the kinds",
                "pointer": "/tasks/2/kind"
              }
            ],
            "status": 422,
            "title": "The request is not valid",
            "type": "urn:legwork:problem:invalid"
          }
        },
        {
          "error": {
            "code": "invalid",
            "detail": "/tasks/3/args/seconds: -1 is less than the minimum of 0",
            "errors": [
              {
                "detail": "-1 is less than the minimum of 0",
                "pointer": "/tasks/3/args/seconds"
              }
            ],
            "status": 422,
            "title": "The request is not valid",
            "type": "urn:legwork:problem:invalid"
          }
        },
        {
          "error": {
            "code": "invalid",
            "detail": "/tasks/4: invalid type: integer `5`, expected a JSON object",
            "errors": [
              {
                "detail": "invalid type: integer `5`, expected a JSON object",
                "pointer": "/tasks/4"
              }
            ],
            "status": 422,
            "title": "The request is not valid",
            "type": "urn:legwork:problem:invalid"
          }
        }
      ]
    }
    "#);
}

pub async fn a_batch_with_a_key_is_replayed_whole(engine: Engine) {
    let service = TestService::over(engine);
    let batch = json!({ "tasks": [{ "kind": "system.echo" }, { "kind": "system.echo", "args": { "n": 2 } }] });
    let send = |batch| service.request(Method::POST, "/api/v1/tasks/batch").header("idempotency-key", "night").json(batch).send();
    let first = send(&batch).await;
    let again = send(&batch).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::ACCEPTED, "true"));
    assert_eq!(again.body, first.body);
    let longer = json!({ "tasks": [{ "kind": "system.echo" }, { "kind": "system.echo" }, { "kind": "system.echo" }] });
    assert_snapshot!(send(&longer).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {
      "code": "key_reused",
      "detail": "the Idempotency-Key was used before with another body",
      "errors": [],
      "status": 409,
      "title": "The current state does not allow this",
      "type": "urn:legwork:problem:key_reused"
    }
    "#);
    assert_eq!(service.get("/api/v1/tasks").await.json()["items"].as_array().unwrap().len(), 2);
    let both = json!({ "tasks": [{ "kind": "system.echo", "idempotency_key": "x" }] });
    assert_snapshot!(send(&both).await.text_at("/detail"), @"Idempotency-Key: cannot be given together with an item's idempotency_key");
}

pub async fn a_batch_of_which_nothing_is_accepted_is_422(engine: Engine) {
    let service = TestService::over(engine);
    let batch =
        json!({ "tasks": [{ "kind": "no.such" }, { "kind": "system.sleep", "args": { "seconds": "x" }, "priority": 10 }] });
    assert_snapshot!(service.post("/api/v1/tasks/batch", &batch).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "none_accepted",
      "detail": "/tasks/0/kind: \"no.such\" is unknown; `legwork kind list` and GET /api/v1/tasks/kinds list the kinds; /tasks/1/args/seconds: \"x\" is not of type \"number\"; /tasks/1/priority: must be between 0 and 9; got 10",
      "errors": [
        {
          "detail": "\"no.such\" is unknown; `legwork kind list` and GET /api/v1/tasks/kinds list the kinds",
          "pointer": "/tasks/0/kind"
        },
        {
          "detail": "\"x\" is not of type \"number\"",
          "pointer": "/tasks/1/args/seconds"
        },
        {
          "detail": "must be between 0 and 9; got 10",
          "pointer": "/tasks/1/priority"
        }
      ],
      "status": 422,
      "title": "No task of the batch was accepted",
      "type": "urn:legwork:problem:none_accepted"
    }
    "#);
    assert_snapshot!(service.post("/api/v1/tasks/batch", &json!({ "tasks": [] })).await.text_at("/detail"), @"/tasks: is empty; at least one task is asked for");
    let many = json!({ "tasks": vec![json!({ "kind": "system.echo" }); 1001] });
    assert_snapshot!(service.post("/api/v1/tasks/batch", &many).await.text_at("/detail"), @"/tasks: has 1001 items; allowed are 1000 (BATCH_LIMIT)");
}
