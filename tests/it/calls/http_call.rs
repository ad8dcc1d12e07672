//! `http.call`: what is sent, what an answer means, and who answers badly.

use std::time::Duration;

use legwork_engine::domain::TaskFailure;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Bench, failed};
use crate::outbound::receiver::{Receiver, answer};

fn bench() -> Bench {
    Bench::new("http.call", "127.0.0.0/8")
}

/// What comes of a call that is answered so.
async fn answered(answer: &str, more: Value) -> Result<Value, TaskFailure> {
    let receiver = Receiver::start(&[answer]).await;
    let mut args = json!({ "url": receiver.url("/work") });
    args.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    bench().run(&args).await
}

#[tokio::test]
async fn a_call_is_signed_and_its_body_is_sent_as_it_is() {
    let receiver =
        Receiver::start(&[&answer("200 OK", "content-type: application/json\r\nx-request-id: r-1\r\n", r#"{"done":7}"#)]).await;
    let bench = bench();
    let text = r#"{"z":1.0,"a":123456789012345678901234567890,"ü":"\u00fc"}"#;
    let url = receiver.url("/work?a=b");
    let args = format!(r#"{{"url":"{url}","headers":{{"Authorization":"Bearer t0p"}},"json":{text},"method":"PUT"}}"#);
    bench.kind.check(&args, &bench.cx.services).unwrap();
    let result = bench.kind.run(&args, bench.cx.clone()).unwrap().await.unwrap();
    assert_eq!(
        result,
        json!({
            "success": true,
            "message": "the receiver answered 200 OK",
            "status": 200,
            "headers": { "content-type": "application/json", "x-request-id": "r-1" },
            "body": { "done": 7 },
            "body_truncated": false,
        })
    );
    let request = receiver.requests().await.remove(0);
    assert_eq!((request.line.as_str(), request.body.as_str()), ("PUT /work?a=b HTTP/1.1", text));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer t0p"));
    let task = bench.cx.task.to_string();
    assert_eq!(request.header("webhook-id"), Some(task.as_str()));
    let [time, signature] = ["webhook-timestamp", "webhook-signature"].map(|name| request.header(name).unwrap());
    let signer = bench.cx.services.webhook_signer.as_ref().unwrap();
    assert_eq!(signer.verify(&task, time, signature, text.as_bytes(), bench.cx.clock.now()), Ok(()));
}

#[tokio::test]
async fn a_get_has_no_body_and_is_signed_all_the_same() {
    let receiver = Receiver::start(&[&answer("204 No Content", "", "")]).await;
    let bench = bench();
    let result = bench.run(&json!({ "method": "GET", "url": receiver.url("/") })).await.unwrap();
    assert_eq!((&result["status"], &result["body"]), (&json!(204), &Value::Null));
    let request = receiver.requests().await.remove(0);
    assert_eq!((request.line.as_str(), request.header("content-type")), ("GET / HTTP/1.1", None));
    let [id, time, signature] =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| request.header(name).unwrap());
    let signer = bench.cx.services.webhook_signer.as_ref().unwrap();
    assert_eq!(signer.verify(id, time, signature, b"", bench.cx.clock.now()), Ok(()));
}

#[tokio::test]
async fn what_cannot_change_fails_at_once_and_what_may_pass_is_tried_again() {
    for (status, is_retried) in [
        ("400 Bad Request", false),
        ("401 Unauthorized", false),
        ("404 Not Found", false),
        ("410 Gone", false),
        ("422 Unprocessable Entity", false),
        ("304 Not Modified", false),
        ("408 Request Timeout", true),
        ("425 Too Early", true),
        ("429 Too Many Requests", true),
        ("500 Internal Server Error", true),
        ("502 Bad Gateway", true),
        ("503 Service Unavailable", true),
    ] {
        // What the receiver says may hold what it was sent: it stays out of the error, which is logged.
        let failure = failed(answered(&answer(status, "", "secret"), json!({})).await);
        assert_eq!(failure, ("UnexpectedStatus".into(), format!("the receiver answered {status}"), is_retried));
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    for (status, header, seconds) in [
        ("429 Too Many Requests", "retry-after: 120\r\n", 120),
        ("503 Service Unavailable", "retry-after: Sat, 21 Nov 2026 08:05:00 GMT\r\n", 300),
        ("500 Internal Server Error", "retry-after: 7\r\n", 7),
    ] {
        let failure = answered(&answer(status, header, ""), json!({})).await.unwrap_err();
        let message = format!("the receiver answered {status}");
        assert_eq!(failure, TaskFailure::retry_after("UnexpectedStatus", message, Duration::from_secs(seconds)));
    }
    let failure = answered(&answer("429 Too Many Requests", "retry-after: soon\r\n", ""), json!({})).await.unwrap_err();
    assert!(matches!(failure, TaskFailure::Retry { after: None, .. }), "{failure:?}");
}

#[tokio::test]
async fn the_expected_statuses_are_the_only_success() {
    let expecting = |statuses: Value| json!({ "expected_status": statuses });
    let result = answered(&answer("404 Not Found", "", "gone"), expecting(json!([404]))).await.unwrap();
    assert_eq!((&result["status"], &result["body"]), (&json!(404), &json!("gone")));
    let result = answered(&answer("302 Found", "location: /\r\n", ""), expecting(json!([302]))).await.unwrap();
    assert_eq!((&result["status"], &result["headers"]["location"]), (&json!(302), &json!("/")));
    let failure = failed(answered(&answer("200 OK", "", ""), expecting(json!([201, 202]))).await);
    assert_eq!(failure, ("UnexpectedStatus".into(), "the receiver answered 200 OK".into(), false));
}

#[tokio::test]
async fn rubbish_a_hang_up_and_nobody_are_tried_again() {
    for bytes in ["", "rubbish\r\n\r\n", "HTTP/1.1 999999\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal"] {
        let (word, said, is_retried) = failed(answered(bytes, json!({})).await);
        assert!(word == "HttpError" && is_retried, "{bytes:?}: {word}: {said}");
    }
    let receiver = Receiver::start(&[]).await;
    let url = receiver.url("/?token=hidden");
    drop(receiver);
    let (word, said, is_retried) = failed(bench().run(&json!({ "url": url })).await);
    assert!(word == "HttpError" && is_retried && !said.contains("hidden"), "{said}");
}

/// A server that says `head` and then `again` for as long as somebody listens.
async fn endless(head: &'static str, again: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 1024];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        stream.write_all(head.as_bytes()).await.unwrap();
        // Who has read enough hangs up.
        while stream.write_all(again.as_bytes()).await.is_ok() {}
    });
    url
}

#[tokio::test]
async fn an_endless_answer_is_read_up_to_its_limit() {
    let chunk: &str = Box::leak(format!("400\r\n{}\r\n", "_".repeat(1024)).into_boxed_str());
    let url = endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk).await;
    let result = bench().run(&json!({ "url": url, "timeout_seconds": 20 })).await.unwrap();
    assert_eq!((result["body"].as_str().unwrap().len(), &result["body_truncated"]), (65_536, &json!(true)));
    let url = endless("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n").await;
    let (word, said, is_retried) = failed(bench().run(&json!({ "url": url, "timeout_seconds": 20 })).await);
    assert!(word == "HttpError" && is_retried, "{said}");
}

#[tokio::test]
async fn who_dribbles_or_stays_silent_is_given_up_after_the_timeout() {
    for bytes in ["", "HTTP/1.1 200 OK\r\nx-one: 1\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal"] {
        let receiver = Receiver::start(&[bytes]).await;
        let held = receiver.hold();
        let failure = failed(bench().run(&json!({ "url": receiver.url("/"), "timeout_seconds": 0.05 })).await);
        assert_eq!(failure, ("HttpError".into(), "no full answer within 0.05 s".into(), true), "{bytes:?}");
        drop(held);
    }
}

#[tokio::test]
async fn a_get_follows_every_redirect_and_a_post_only_those_that_keep_it_a_post() {
    for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let receiver = Receiver::start(&[&answer(status, "location: /second\r\n", ""), &answer("200 OK", "", "done")]).await;
        let result = bench().run(&json!({ "method": "GET", "url": receiver.url("/") })).await.unwrap();
        assert_eq!(result["body"], "done", "{status}");

        let receiver = Receiver::start(&[&answer(status, "location: /second\r\n", ""), &answer("200 OK", "", "done")]).await;
        let outcome = bench().run(&json!({ "url": receiver.url("/"), "json": [1] })).await;
        let seen: Vec<(String, String)> =
            receiver.requests().await.into_iter().map(|request| (request.line, request.body)).collect();
        if status.starts_with("307") || status.starts_with("308") {
            assert_eq!(outcome.unwrap()["body"], "done");
            assert_eq!(seen[1], ("POST /second HTTP/1.1".into(), "[1]".into()));
        } else {
            assert_eq!(failed(outcome), ("UnexpectedStatus".into(), format!("the receiver answered {status}"), false));
            assert_eq!(seen.len(), 1);
        }
    }
    let again = answer("307 Temporary Redirect", "location: /\r\n", "");
    let receiver = Receiver::start(&[again.as_str(); 4]).await;
    let failure = failed(bench().run(&json!({ "url": receiver.url("/") })).await);
    assert_eq!(failure, ("AddressRefused".into(), "more than 3 redirects".into(), false));
}

#[tokio::test]
async fn neither_signature_nor_keys_follow_a_redirect_to_another_origin() {
    let other = Receiver::start(&[&answer("200 OK", "", "")]).await;
    let to_other = format!("location: {}\r\n", other.url("/"));
    let first = Receiver::start(&[&answer("307 Temporary Redirect", &to_other, "")]).await;
    let headers = json!({ "Authorization": "a", "X-Api-Key": "b", "Cookie": "c", "Accept": "text/plain" });
    bench().run(&json!({ "url": first.url("/"), "headers": headers })).await.unwrap();
    let (asked, carried) = (first.requests().await.remove(0), other.requests().await.remove(0));
    for name in ["authorization", "x-api-key", "cookie", "webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert!(asked.header(name).is_some() && carried.header(name).is_none(), "{name}");
    }
    assert_eq!(carried.header("accept"), Some("text/plain"));
    let first = Receiver::start(&[&answer("307 Temporary Redirect", &to_other, "")]).await;
    let failure = failed(bench().run(&json!({ "url": first.url("/"), "json": { "secret": 1 } })).await);
    let actual = "the answer is a redirect to another origin, which is not to get the body";
    assert_eq!(failure, ("AddressRefused".into(), actual.into(), false));
    // Within an origin they do.
    let receiver = Receiver::start(&[&answer("308 Permanent Redirect", "location: /b\r\n", ""), &answer("200 OK", "", "")]).await;
    bench().run(&json!({ "url": receiver.url("/a"), "headers": headers })).await.unwrap();
    let second = receiver.requests().await.remove(1);
    assert!(second.header("webhook-signature").is_some() && second.header("x-api-key").is_some());
}

#[tokio::test]
async fn what_is_wrong_with_args_is_named_field_by_field_and_no_value_of_a_header_is_told() {
    let bench = bench();
    let with = |field: &str, value: Value| {
        let mut args = json!({ "url": "https://example.org/" });
        args[field] = value;
        args
    };
    let headers = |name: &str, value: &str| with("headers", json!({ name: value }));
    for (args, pointer, words) in [
        (with("url", "ftp://example.org/".into()), "/url", "has the scheme"),
        (with("url", "https://example.org/\n".into()), "/url", "control character"),
        (with("method", "TRACE".into()), "/method", "TRACE"),
        (with("timeout_seconds", json!(0)), "/timeout_seconds", ""),
        (with("timeout_seconds", json!(2000)), "/timeout_seconds", "1700"),
        (with("expected_status", json!([])), "/expected_status", "1 to 50"),
        (with("expected_status", json!([200, 100])), "/expected_status/1", "must be between 200 and 599; got 100"),
        (headers("Host", "hidden"), "/headers/Host", "set by the call"),
        (headers("content-length", "7"), "/headers/content-length", "set by the call"),
        (headers("Transfer-Encoding", "chunked"), "/headers/Transfer-Encoding", "set by the call"),
        (headers("Connection", "hidden"), "/headers/Connection", "set by the call"),
        (headers("TE", "hidden"), "/headers/TE", "set by the call"),
        (headers("webhook-signature", "v1,hidden"), "/headers/webhook-signature", "signature"),
        (headers("Webhook-Id", "hidden"), "/headers/Webhook-Id", "signature"),
        (headers("a b", "hidden"), "/headers/a b", "not the name"),
        (headers("x/y: z", "hidden"), "/headers/x~1y: z", "not the name"),
        (headers("x-a", "hidden\r\nx-b: 1"), "/headers/x-a", "visible ASCII"),
        (headers("x-a", "hïdden"), "/headers/x-a", "visible ASCII"),
        (headers("x-a", &"x".repeat(9_000)), "/headers/x-a", "8 KiB"),
        (with("headers", json!({ "X-A": "1", "x-a": "2" })), "/headers/x-a", "twice"),
        (with("body", json!("x")), "/body", "unknown"),
    ] {
        let field_errors = bench.field_errors(&args);
        let actual = field_errors
            .iter()
            .map(|field_error| format!("{} {}", field_error.pointer, field_error.detail))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(field_errors.len() == 1 && field_errors[0].pointer == pointer && actual.contains(words), "{args}: {actual}");
        assert!(!actual.contains("hidden") && !actual.contains("hïdden"), "{actual}");
    }
    let field_errors = bench.field_errors(&json!({ "method": "GET", "url": "https://example.org/", "json": 1 }));
    assert_eq!(field_errors[0].pointer, "/json");
    let unsigned = Bench::with("http.call", &[], |_| {});
    let field_errors = unsigned.field_errors(&json!({ "url": "https://example.org/" }));
    assert!(field_errors[0].pointer == "/url" && field_errors[0].detail.contains("WEBHOOK_SECRET"), "{field_errors:?}");
    assert_eq!(bench.field_errors(&bench.kind.example), []);
}

#[tokio::test]
async fn a_stop_ends_a_call_that_waits() {
    let receiver = Receiver::start(&[""]).await;
    let held = receiver.hold();
    let bench = bench();
    bench.cx.stop.cancel();
    assert_eq!(bench.run(&json!({ "url": receiver.url("/") })).await, Err(TaskFailure::Stopped));
    drop(held);
}
