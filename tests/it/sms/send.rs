//! The kind `sms.send`: its args, its result, and its ledger.

use std::time::Duration;

use legwork_engine::domain::TaskFailure;
use legwork_engine::store::LedgerState;
use serde_json::{Value, json};

use super::gateway::{Act, Gateway};
use super::{Bench, body, failed, hubtel};
use crate::outbound::receiver::{Receiver, answer};

#[tokio::test]
async fn without_a_provider_a_message_is_a_file_in_the_outbox() {
    let bench = Bench::new("sms.send", &[("SMS_FROM", "YEA Poultry")]);
    let example = bench.kind.example.clone();
    assert_eq!(bench.field_errors(&example), []);
    let result = bench.run(1, &example).await.unwrap();
    let file = result["outbox_file"].as_str().unwrap();
    assert!(file.starts_with("20261121T080000") && file.ends_with(".0.sms.json"), "{file}");
    let written = std::fs::read(bench.folder.path().join("outbox").join(file)).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(
        written,
        json!({
            "to": "+233244123456", "from": "YEA Poultry", "message": "Your verification code is 123456", "encoding": "GSM-7", "units": 32,
            "segments": 1, "message_id": result["message_id"], "submitted_at": "2026-11-21T08:00:00Z",
        })
    );
    for (field, value) in [
        ("success", json!(true)),
        ("phone_number", json!("+233244123456")),
        ("provider", json!("outbox")),
        ("segments", json!(1)),
        ("encoding", json!("GSM-7")),
        ("provider_message_id", Value::Null),
    ] {
        assert_eq!(result[field], value, "{field}");
    }
    bench.run(2, &example).await.unwrap();
    assert_eq!(std::fs::read_dir(bench.folder.path().join("outbox")).unwrap().count(), 1, "it replaces itself");
}

#[tokio::test]
async fn hubtel_gets_sender_number_and_text_and_tells_its_id() {
    let said = answer("201 Created", "", r#"{"rate":0.03,"messageId":"cd-1","status":0,"networkId":"62001"}"#);
    let receiver = Receiver::start(&[&said]).await;
    let bench = Bench::hubtel(&receiver.url("/v1/messages/send"));
    let args = json!({ "phone_number": "+233201234567", "message": "Grüße, \"Ama\"\n€ 5", "sender_id": "Farm" });
    let result = bench.run(1, &args).await.unwrap();
    assert_eq!((&result["provider_message_id"], &result["provider"]), (&json!("cd-1"), &json!("hubtel")));
    assert_eq!(result["response"], "the provider answered 201 Created");
    let request = receiver.requests().await.remove(0);
    assert_eq!(request.line, "POST /v1/messages/send HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Basic Y2xpZW50OnMzY3JldA=="));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let sent: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(sent, json!({ "From": "Farm", "To": "+233201234567", "Content": "Grüße, \"Ama\"\n€ 5" }));
    // What was accepted is not sent again; the ledger gives the same result.
    assert_eq!(bench.run(2, &args).await.unwrap(), result);
    assert!(receiver.requests().await.is_empty());
}

#[tokio::test]
async fn what_hubtel_answers_decides_what_becomes_of_the_task() {
    let rejected = ("SmsRejected", false, LedgerState::Rejected);
    let refused = ("SmsProviderRefused", false, LedgerState::Rejected);
    let deferred = ("SmsDeferred", true, LedgerState::Deferred);
    let unknown = ("SmsOutcomeUnknown", false, LedgerState::Unknown);
    for (status, body, (word, is_retried, state)) in [
        ("400 Bad Request", r#"{"status":1,"statusDescription":"hidden"}"#, rejected),
        ("400 Bad Request", "hidden", rejected),
        ("400 Bad Request", r#"{"Status":"12"}"#, refused),
        ("200 OK", r#"{"Status":6,"MessageId":"x"}"#, rejected),
        ("401 Unauthorized", "hidden", refused),
        ("402 Payment Required", "", refused),
        ("403 Forbidden", "", rejected),
        ("404 Not Found", "", refused),
        ("302 Found", "", refused),
        ("422 Unprocessable Entity", "", rejected),
        ("429 Too Many Requests", "", deferred),
        ("500 Internal Server Error", "", deferred),
        ("502 Bad Gateway", "", deferred),
        ("503 Service Unavailable", "", deferred),
        ("504 Gateway Timeout", "", unknown),
        ("200 OK", "<html>hidden</html>", unknown),
        ("200 OK", "", unknown),
        ("200 OK", r#"{"message":"hidden"}"#, unknown),
    ] {
        let receiver = Receiver::start(&[&answer(status, "location: /login\r\n", body)]).await;
        let bench = Bench::hubtel(&receiver.url("/"));
        let outcome = bench.run(1, &super::body()).await;
        assert_eq!(failed(&outcome), (word.to_owned(), is_retried), "{status} {body}");
        let entry = bench.cx.ledger.read_ledger(bench.cx.task).await.unwrap().remove(0);
        assert_eq!(entry.state, state, "{status} {body}");
        // What a provider says may hold what it was sent.
        assert!(!format!("{outcome:?}{entry:?}").contains("hidden"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_provider_that_asks_for_time_gets_it() {
    for (status, header, seconds) in [
        ("429 Too Many Requests", "retry-after: 120\r\n", Some(120)),
        ("429 Too Many Requests", "", Some(30)),
        ("429 Too Many Requests", "retry-after: 99999999999\r\n", Some(86_400)),
        ("503 Service Unavailable", "retry-after: Sat, 21 Nov 2026 08:05:00 GMT\r\n", Some(300)),
        ("503 Service Unavailable", "", None),
    ] {
        let taken = answer("200 OK", "", r#"{"status":0}"#);
        let receiver = Receiver::start(&[&answer(status, header, ""), &taken]).await;
        let bench = Bench::hubtel(&receiver.url("/"));
        match bench.run(1, &body()).await {
            Err(TaskFailure::Retry { after, .. }) => assert_eq!(after, seconds.map(Duration::from_secs), "{status} {header}"),
            other => panic!("{other:?}"),
        }
        bench.run(2, &body()).await.unwrap();
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_has_not_taken_anything() {
    let receiver = Receiver::start(&[]).await;
    let url = receiver.url("/");
    drop(receiver);
    let bench = Bench::hubtel(&url);
    assert_eq!(failed(&bench.run(1, &body()).await), ("SmsError".into(), true));
    let entry = bench.cx.ledger.read_ledger(bench.cx.task).await.unwrap().remove(0);
    assert_eq!(entry.state, LedgerState::Deferred);
}

#[tokio::test]
async fn a_message_without_an_answer_is_held_or_sent_again_on_request() {
    let taken = answer("200 OK", "", r#"{"status":0}"#);
    for bytes in ["", "rubbish\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal"] {
        let receiver = Receiver::start(&[bytes, &taken]).await;
        let bench = Bench::hubtel(&receiver.url("/"));
        assert_eq!(failed(&bench.run(1, &body()).await), ("SmsOutcomeUnknown".into(), false), "{bytes:?}");
        assert_eq!(failed(&bench.run(2, &body()).await), ("SmsOutcomeUnknown".into(), false));
        assert_eq!(receiver.requests().await.len(), 1);
        let mut again = body();
        again["on_unknown"] = "resend".into();
        bench.run(3, &again).await.unwrap();
        assert_eq!(receiver.requests().await.len(), 1);
    }
    let receiver = Receiver::start(&[""]).await;
    let mut again = body();
    again["on_unknown"] = "resend".into();
    assert_eq!(failed(&Bench::hubtel(&receiver.url("/")).run(1, &again).await), ("SmsOutcomeUnknown".into(), true));
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up_after_the_timeout() {
    let gateway = Gateway::start(|_, _| Act::Silence).await;
    let url = gateway.url();
    let mut settings = hubtel(&url).to_vec();
    settings.push(("SMS_TIMEOUT", "50ms"));
    let outcome = Bench::new("sms.send", &settings).run(1, &body()).await;
    assert_eq!(failed(&outcome), ("SmsOutcomeUnknown".into(), false));
}

#[tokio::test]
async fn an_attempt_that_died_within_its_hand_over_is_not_followed_by_another_message() {
    let gateway = Gateway::start(|_, _| Act::Silence).await;
    let bench = Bench::hubtel(&gateway.url());
    let args = body();
    tokio::select! {
        outcome = bench.run(1, &args) => panic!("{outcome:?}"),
        () = gateway.until_silent() => {}
    }
    assert_eq!(bench.cx.ledger.read_ledger(bench.cx.task).await.unwrap()[0].state, LedgerState::Sending);
    let outcome = bench.run(2, &args).await;
    assert_eq!(failed(&outcome), ("SmsOutcomeUnknown".into(), false));
    assert_eq!(gateway.messages().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_args_is_named_field_by_field() {
    let bench = Bench::new("sms.send", &[("SMS_MAX_SEGMENTS", "2")]);
    let with = |field: &str, value: Value| {
        let mut args = body();
        args[field] = value;
        args
    };
    for (args, pointer, word) in [
        (with("phone_number", "0201234567".into()), "/phone_number", "+233201234567"),
        (with("phone_number", "+233201234567\r\nBcc: +1".into()), "/phone_number", ""),
        (with("phone_number", 233_201_234_567_u64.into()), "/phone_number", "string"),
        (with("message", "".into()), "/message", "shorter than 1"),
        (with("message", " \n".into()), "/message", "blank"),
        (with("message", "a\0b".into()), "/message", "control character"),
        (with("message", "a".repeat(307).into()), "/message", "takes 3 segments; allowed are 2 (SMS_MAX_SEGMENTS)"),
        (with("sender_id", "Much too long".into()), "/sender_id", "allowed are 1 to 11"),
        (with("sender_id", "a\r\nb".into()), "/sender_id", "no sender"),
        (with("on_unknown", "guess".into()), "/on_unknown", "hold"),
        (with("text", "x".into()), "/text", "phone_number"),
    ] {
        let field_errors = bench.field_errors(&args);
        let said = format!("{field_errors:?}");
        assert!(field_errors.iter().any(|field_error| field_error.pointer == pointer) && said.contains(word), "{args}: {said}");
    }
    assert_eq!(bench.field_errors(&with("message", "a".repeat(306).into())), []);
    let rendered = bench.kind.policy.mask_args(body().to_string());
    assert!(!rendered.contains("123456\"") && rendered.contains("[sensitive]"), "{rendered}");
}
