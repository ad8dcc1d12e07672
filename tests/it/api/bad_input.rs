//! Bad input gets a clear answer.

use axum::http::{Method, StatusCode};
use legwork::http::Readiness;
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::service::TestService;

const TASKS: &str = "/api/v1/tasks";

pub async fn malformed_json_is_400(engine: Engine) {
    let service = TestService::over(engine);
    let send =
        |body: &'static str| service.request(Method::POST, TASKS).header("content-type", "application/json").body(body).send();
    assert_snapshot!(send(r#"{"kind": "system.echo""#).await, @r#"
    400 Bad Request
    content-type: application/problem+json

    {
      "code": "malformed",
      "detail": "the body is not JSON: EOF while parsing an object at line 1 column 22",
      "errors": [],
      "status": 400,
      "title": "The body cannot be read",
      "type": "urn:legwork:problem:malformed"
    }
    "#);
    assert_snapshot!(send("").await.text_at("/detail"), @"the body is empty; a JSON object is asked for");
    assert_eq!(send("[1]").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let patch = service.request(Method::PATCH, "/api/v1/queues/default").header("content-type", "application/json");
    assert_eq!(patch.body("{").send().await.status, StatusCode::BAD_REQUEST);
}

pub async fn wrong_types_and_unknown_fields_are_named(engine: Engine) {
    let service = TestService::over(engine);
    let body = json!({ "kind": "system.sleep", "args": { "seconds": "long", "colour": 1 }, "priority": 11, "countdown": -1 });
    assert_snapshot!(service.post(TASKS, &body).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "invalid",
      "detail": "/args/seconds: \"long\" is not of type \"number\"; /args/colour: is unknown; allowed are seconds; /priority: must be between 0 and 9; got 11; and 1 more",
      "errors": [
        {
          "detail": "\"long\" is not of type \"number\"",
          "pointer": "/args/seconds"
        },
        {
          "detail": "is unknown; allowed are seconds",
          "pointer": "/args/colour"
        },
        {
          "detail": "must be between 0 and 9; got 11",
          "pointer": "/priority"
        },
        {
          "detail": "must be a number of seconds from 0 to ten years; got -1",
          "pointer": "/countdown"
        }
      ],
      "status": 422,
      "title": "The request is not valid",
      "type": "urn:legwork:problem:invalid"
    }
    "#);
    let body = json!({ "kind": 5, "args": [], "colour": "red" });
    assert_snapshot!(service.post(TASKS, &body).await.json()["errors"], @r#"[{"detail":"must be an object","pointer":"/args"},{"detail":"is unknown; allowed are kind, args, queue, priority, countdown, eta, expires, max_retries, time_limit, soft_time_limit, callback_url","pointer":"/colour"},{"detail":"must be a string","pointer":"/kind"}]"#);
}

pub async fn a_bad_address_and_an_unknown_template_are_refused_at_submission(engine: Engine) {
    let service = TestService::over(engine);
    let body = json!({
        "recipient_email": "ada@example.com\r\nBcc: all@example.com", "subject": "a\r\nb", "template_name": "nothing", "context": {},
    });
    assert_snapshot!(service.post("/api/v1/tasks/email/send", &body).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "invalid",
      "detail": "/recipient_email: \"ada@example.com\\r\\nBcc: all@example.com\" is not an e-mail address: it has a line break or a control character; /subject: \"a\\r\\nb\" has a line break or a control character; a subject is one line of text; /template_name: there is no template \"nothing\"; there are: newsletter, notification, report, test_template, weekly_stats, welcome_admin, welcome_user",
      "errors": [
        {
          "detail": "\"ada@example.com\\r\\nBcc: all@example.com\" is not an e-mail address: it has a line break or a control character",
          "pointer": "/recipient_email"
        },
        {
          "detail": "\"a\\r\\nb\" has a line break or a control character; a subject is one line of text",
          "pointer": "/subject"
        },
        {
          "detail": "there is no template \"nothing\"; there are: newsletter, notification, report, test_template, weekly_stats, welcome_admin, welcome_user",
          "pointer": "/template_name"
        }
      ],
      "status": 422,
      "title": "The request is not valid",
      "type": "urn:legwork:problem:invalid"
    }
    "#);
}

pub async fn an_unknown_kind_is_422(engine: Engine) {
    let service = TestService::over(engine);
    assert_snapshot!(service.post(TASKS, &json!({ "kind": "no.such" })).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "invalid",
      "detail": "/kind: \"no.such\" is unknown; `legwork kind list` and GET /api/v1/tasks/kinds list the kinds",
      "errors": [
        {
          "detail": "\"no.such\" is unknown; `legwork kind list` and GET /api/v1/tasks/kinds list the kinds",
          "pointer": "/kind"
        }
      ],
      "status": 422,
      "title": "The request is not valid",
      "type": "urn:legwork:problem:invalid"
    }
    "#);
    // The engine's own kinds are not for users.
    assert_eq!(service.post(TASKS, &json!({ "kind": "system.callback" })).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

pub async fn every_bad_field_is_pointed_at(engine: Engine) {
    let service = TestService::over(engine);
    let field_errors = async |method: Method, path: &str, body: serde_json::Value| {
        let answer = service.request(method, path).json(&body).send().await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        let line = |field_error: &serde_json::Value| {
            format!("{} {}", field_error["pointer"].as_str().unwrap(), field_error["detail"].as_str().unwrap())
        };
        answer.json()["errors"].as_array().unwrap().iter().map(line).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(field_errors(Method::POST, "/api/v1/tasks/email/send", json!({ "colour": 1, "priority": "x", "eta": 5 })).await, @r#"
    /eta must be a time (RFC 3339, with an offset); got 5
    /priority must be a whole number from 0 to 9; got "x"
    "#);
    assert_snapshot!(field_errors(Method::POST, "/api/v1/tasks/email/send", json!({})).await, @r"
    /recipient_email is missing
    /subject is missing
    ");
    assert_snapshot!(field_errors(Method::POST, "/api/v1/auth/token", json!({})).await, @"/name is missing");
    let id = service.submitted(&json!({ "kind": "system.echo", "countdown": 60 })).await;
    let task = format!("/api/v1/tasks/{id}");
    assert_snapshot!(field_errors(Method::PATCH, &task, json!({ "priority": 300 })).await, @"/priority is not a whole number from 0 to 9");
    let hook = json!({ "kind": "system.echo", "callback_url": "https://example.com/\n" });
    assert_snapshot!(field_errors(Method::POST, TASKS, hook).await, @"/callback_url holds a control character; a URL has none");
    let never = json!({ "kind": "system.echo", "eta": "9999-12-31T23:59:59Z" });
    assert_snapshot!(field_errors(Method::POST, TASKS, never).await, @"/eta is more than ten years away");
}

pub async fn a_queue_too_many_is_refused_alone(engine: Engine) {
    let service = TestService::over(engine);
    let id = service.submitted(&json!({ "kind": "system.echo", "countdown": 3600 })).await;
    let known = service.get("/api/v1/queues").await.json()["items"].as_array().unwrap().len();
    let into = |queue: String| json!({ "kind": "system.echo", "countdown": 3600, "queue": queue });
    let most: Vec<_> = (known..999).map(|number| into(format!("q{number}"))).collect();
    for tasks in most.chunks(100) {
        assert_eq!(service.post("/api/v1/tasks/batch", &json!({ "tasks": tasks })).await.status, StatusCode::ACCEPTED);
    }
    let tasks = [into("q998".into()), into("last".into()), into("too-many".into()), into("default".into())];
    let answers = service.post("/api/v1/tasks/batch", &json!({ "tasks": tasks })).await.json();
    let refused: Vec<_> = (0..4).map(|index| answers["tasks"][index]["error"]["errors"][0]["pointer"].as_str()).collect();
    assert_eq!(refused, [None, None, Some("/tasks/2/queue"), None], "{answers}");
    let moved = service.patch(&format!("/api/v1/tasks/{id}"), &json!({ "queue": "too-many" })).await;
    assert_eq!((moved.status, moved.text_at("/errors/0/pointer").as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "/queue"));
}

pub async fn an_array_is_no_object(engine: Engine) {
    let service = TestService::over(engine);
    for (method, path, body) in [
        (Method::POST, "/api/v1/suppressions", json!([["a@example.org"], null, null])),
        (Method::PATCH, "/api/v1/queues/default", json!([5])),
        (Method::POST, "/api/v1/auth/token", json!(["ann", "a long password"])),
    ] {
        let call = service.request(method, path).header("content-type", "application/json");
        let answer = call.body(format!(" {body}")).send().await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {answer}");
        assert_eq!(answer.text_at("/errors/0/detail"), "must be an object; got an array", "{path}");
    }
}

pub async fn a_body_or_args_too_large_are_413(engine: Engine) {
    let service = TestService::over(engine);
    let text = "x".repeat(300 * 1024);
    assert_snapshot!(service.post(TASKS, &json!({ "kind": "system.echo", "args": { "text": text } })).await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {
      "code": "args_too_large",
      "detail": "the args have 307211 bytes; at most 262144 are allowed (ARGS_LIMIT)",
      "errors": [],
      "status": 413,
      "title": "The args are too large",
      "type": "urn:legwork:problem:args_too_large"
    }
    "#);
    assert_snapshot!(service.post("/api/v1/tasks/batch", &json!({ "text": text.repeat(4) })).await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {
      "code": "body_too_large",
      "detail": "the body has more than the 1048576 bytes that are allowed (BODY_LIMIT, or what the kind allows)",
      "errors": [],
      "status": 413,
      "title": "The body is too large",
      "type": "urn:legwork:problem:body_too_large"
    }
    "#);
}

pub async fn a_body_that_is_not_json_is_415(engine: Engine) {
    let service = TestService::over(engine);
    let call = service.request(Method::POST, TASKS).header("content-type", "application/x-www-form-urlencoded");
    assert_snapshot!(call.body("kind=system.echo").send().await, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json

    {
      "code": "media_type",
      "detail": "send the body with Content-Type: application/json",
      "errors": [],
      "status": 415,
      "title": "The body's type is not taken",
      "type": "urn:legwork:problem:media_type"
    }
    "#);
    let call = service.request(Method::POST, TASKS).header("content-type", "application/json; charset=utf-8");
    assert_eq!(call.body(r#"{"kind":"system.echo"}"#).send().await.status, StatusCode::ACCEPTED);
}

pub async fn a_bad_id_is_422_and_an_unknown_one_404(engine: Engine) {
    let service = TestService::over(engine);
    assert_snapshot!(service.get("/api/v1/tasks/status/abc123").await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "invalid",
      "detail": "task_id: \"abc123\" is not a UUID like <id 1>",
      "errors": [
        {
          "detail": "\"abc123\" is not a UUID like <id 1>",
          "pointer": "task_id"
        }
      ],
      "status": 422,
      "title": "The request is not valid",
      "type": "urn:legwork:problem:invalid"
    }
    "#);
    assert_snapshot!(service.get("/api/v1/tasks/status/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57").await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "not_found",
      "detail": "no task has this id, or it belongs to another principal",
      "errors": [],
      "status": 404,
      "title": "Not found",
      "type": "urn:legwork:problem:not_found"
    }
    "#);
    assert_snapshot!(service.post("/api/v1/queues/No%20Queue/pause", &json!(null)).await.text_at("/detail"), @r#"queue: queue "No Queue" is not a name: 1 to 100 characters of a-z, 0-9, '_', '-' and '.', start with a letter or digit"#);
}

pub async fn an_unknown_path_is_404_and_a_wrong_method_405(engine: Engine) {
    let service = TestService::over(engine);
    assert_snapshot!(service.anonymous(Method::GET, "/api/v1/nothing").send().await, @r#"
    404 Not Found
    content-type: application/problem+json

    {
      "code": "no_such_path",
      "detail": "no endpoint has the path /api/v1/nothing; /docs lists the endpoints",
      "errors": [],
      "status": 404,
      "title": "There is no such path",
      "type": "urn:legwork:problem:no_such_path"
    }
    "#);
    assert_snapshot!(service.anonymous(Method::PUT, "/api/v1/tasks/").send().await, @r#"
    405 Method Not Allowed
    allow: POST,GET,HEAD
    content-type: application/problem+json

    {
      "code": "method_not_allowed",
      "detail": "the path does not support PUT; supported are GET, POST",
      "errors": [],
      "status": 405,
      "title": "The path does not support this method",
      "type": "urn:legwork:problem:method_not_allowed"
    }
    "#);
}

pub async fn bad_query_parameters_are_all_named(engine: Engine) {
    let service = TestService::over(engine);
    let path = "/api/v1/tasks?status=DONE&limit=501&cursor=x&from=yesterday&kind=No%20Kind&colour=red";
    assert_snapshot!(service.get(path).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {
      "code": "invalid",
      "detail": "status: \"DONE\" is not a status; allowed are PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED; kind: kind \"No Kind\" is not a name: 1 to 100 characters of a-z, 0-9, '_', '-' and '.', start with a letter or digit; from: \"yesterday\" is not a time like 2030-01-01T09:00:00Z (RFC 3339, with an offset); and 3 more",
      "errors": [
        {
          "detail": "\"DONE\" is not a status; allowed are PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED",
          "pointer": "status"
        },
        {
          "detail": "kind \"No Kind\" is not a name: 1 to 100 characters of a-z, 0-9, '_', '-' and '.', start with a letter or digit",
          "pointer": "kind"
        },
        {
          "detail": "\"yesterday\" is not a time like 2030-01-01T09:00:00Z (RFC 3339, with an offset)",
          "pointer": "from"
        },
        {
          "detail": "\"501\" is not a number from 1 to 500",
          "pointer": "limit"
        },
        {
          "detail": "\"x\" is not a cursor; take it from next_cursor of the page before",
          "pointer": "cursor"
        },
        {
          "detail": "is unknown; allowed are status, kind, queue, worker, from, to, q, mine, limit, cursor",
          "pointer": "colour"
        }
      ],
      "status": 422,
      "title": "The request is not valid",
      "type": "urn:legwork:problem:invalid"
    }
    "#);
    let path = "/api/v1/tasks?from=2026-11-21T08:00:00Z&to=2026-11-20T08:00:00Z";
    assert_snapshot!(service.get(path).await.text_at("/detail"), @"from: is later than to");
    let path = "/api/v1/tasks/status/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57?wait=51";
    assert_snapshot!(service.get(path).await.text_at("/detail"), @r#"wait: "51" is not a number from 0 to 50"#);
}

pub async fn a_store_that_is_away_is_503_and_a_broker_that_is_away_goes_unnoticed(engine: Engine) {
    let service = TestService::over(engine);
    let body = json!({ "kind": "system.echo" });
    service.engine.broker.take_away();
    assert_eq!(service.post(TASKS, &body).await.status, StatusCode::ACCEPTED);
    service.engine.store.close().await;
    assert_snapshot!(service.post(TASKS, &body).await, @r#"
    503 Service Unavailable
    content-type: application/problem+json
    retry-after: 2

    {
      "code": "unavailable",
      "detail": "the database is not available at the moment; a submission with an Idempotency-Key is safe to be sent again",
      "errors": [],
      "status": 503,
      "title": "Temporarily not available",
      "type": "urn:legwork:problem:unavailable"
    }
    "#);
    assert_eq!(service.post("/api/v1/tasks/batch", &json!({ "tasks": [body] })).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(service.get(TASKS).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

pub async fn too_many_submissions_are_429(engine: Engine) {
    let service = TestService::with(engine, &[("RATE_LIMIT", "2")], Readiness::new());
    let batch = json!({ "tasks": [{ "kind": "system.echo" }, { "kind": "system.echo" }] });
    // Each batch is a second's worth; a machine would have to be very slow to be let through five times.
    let mut answer = service.post("/api/v1/tasks/batch", &batch).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer}");
    for _ in 0..4 {
        if answer.status == StatusCode::ACCEPTED {
            answer = service.post("/api/v1/tasks/batch", &batch).await;
        }
    }
    assert_snapshot!(answer, @r#"
    429 Too Many Requests
    content-type: application/problem+json
    retry-after: 1

    {
      "code": "rate_limited",
      "detail": "more than 2 submissions a second (RATE_LIMIT); see Retry-After",
      "errors": [],
      "status": 429,
      "title": "Too many requests",
      "type": "urn:legwork:problem:rate_limited"
    }
    "#);
}
