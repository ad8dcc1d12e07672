//! Outbound calls: where they may go, and what a callback makes of the answer.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what cannot be set up, or ends otherwise, fails the test")]

pub mod receiver;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use reqwest::Method;

use legwork::kinds::KindSet;
use legwork::kinds::system_callback::Callback;
use legwork_engine::domain::{Attempt, KindName, Priority, QueueName, TaskFailure, TaskRow, TaskStatus, Version, callback_task};
use legwork_outbound::webhook::Signer;
use legwork_outbound::{Call, FetchError, Fetcher, Lookup, Redirects};
use legwork_outbound::{IpRange, OutboundConfig};

use receiver::{Receiver, answer};

const ENDED_TASK: &str = "019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Finds what it is told, one answer a question.
struct Scripted(Mutex<VecDeque<&'static str>>);

#[async_trait]
impl Lookup for Scripted {
    async fn lookup(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        let found = self.0.lock().pop_front().ok_or_else(|| io::Error::other("asked once too often"))?;
        Ok(found.split(' ').map(|ip| ip.parse().unwrap()).collect())
    }
}

fn allowing(ips: &[&str]) -> OutboundConfig {
    let allow = ips.iter().map(|ip| IpRange { address: ip.parse().unwrap(), prefix: 32 }).collect();
    OutboundConfig { allow, webhook_secret: Some(SECRET.into()) }
}

fn local_fetcher() -> Fetcher {
    Fetcher::new(&allowing(&["127.0.0.1"])).unwrap()
}

/// A fetcher for which every name is at what is told, one answer a question.
pub fn finding(answers: &[&'static str]) -> Fetcher {
    let lookup = Scripted(Mutex::new(answers.iter().copied().collect()));
    Fetcher::with_lookup(&allowing(&["127.0.0.1"]), Arc::new(lookup)).unwrap()
}

fn post(url: &str) -> Call {
    Call {
        method: Method::POST,
        url: url.to_owned(),
        headers: vec![("content-type".into(), "text/plain".into()), ("authorization".into(), "secret".into())],
        body: b"hello".to_vec(),
        time_limit: Duration::from_secs(20),
        redirects: Redirects::Any,
    }
}

fn refusal(answer: Result<legwork_outbound::Answer, FetchError>) -> String {
    match answer {
        Err(FetchError::Refused { reason }) => reason,
        other => panic!("{other:?} is not a refusal"),
    }
}

fn failure(answer: Result<legwork_outbound::Answer, FetchError>) -> String {
    match answer {
        Err(FetchError::Unreachable { reason } | FetchError::Failed { reason }) => reason,
        other => panic!("{other:?} is not a failure"),
    }
}

fn now() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

fn callback(url: &str, body: &str) -> Callback {
    let args = format!(r#"{{"url":{},"webhook_id":"{ENDED_TASK}","body":{body}}}"#, serde_json::to_string(url).unwrap());
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&args)).unwrap()
}

async fn deliver_to(answer: &str) -> Result<serde_json::Value, TaskFailure> {
    let receiver = Receiver::start(&[answer]).await;
    callback(&receiver.url("/hook"), "{}").deliver(&local_fetcher(), Some(&Signer::new(&SECRET.into()).unwrap()), now()).await
}

#[tokio::test]
async fn an_answer_comes_with_its_status_and_body() {
    let receiver = Receiver::start(&[&answer("418 I'm a teapot", "x-colour: blue\r\n", "short and stout")]).await;
    let answer = local_fetcher().call(post(&receiver.url("/tea?milk=no"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (418, b"short and stout".as_slice()));
    assert_eq!(answer.headers["x-colour"], "blue");
    let request = receiver.requests().await.remove(0);
    assert_eq!(request.line, "POST /tea?milk=no HTTP/1.1");
    assert_eq!(request.header("user-agent"), Some(concat!("legwork/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(request.header("content-type"), Some("text/plain"));
    assert_eq!(request.body, "hello");
}

#[tokio::test]
async fn a_name_at_a_private_address_is_refused_before_a_connection() {
    for (found, what) in [
        ("127.0.0.2", "loopback"),
        ("10.0.0.1 ::1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("::ffff:10.1.2.3", "private"),
    ] {
        let reason = refusal(finding(&[found]).call(post("http://hook.example/")).await);
        assert!(reason.contains("hook.example is at ") && reason.contains(what), "{found}: {reason}");
    }
}

#[tokio::test]
async fn of_several_addresses_only_those_that_may_be_called_are() {
    let receiver = Receiver::start(&[&answer("204 No Content", "", "")]).await;
    let url = format!("http://hook.example:{}/", receiver.port());
    let answer = finding(&["127.0.0.2 10.0.0.1 127.0.0.1"]).call(post(&url)).await.unwrap();
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn a_name_that_moves_to_a_private_address_between_two_connections_is_refused() {
    let receiver = Receiver::start(&[&answer("307 Temporary Redirect", "location: /again\r\n", "")]).await;
    let url = format!("http://hook.example:{}/", receiver.port());
    let reason = refusal(finding(&["127.0.0.1", "127.0.0.2"]).call(post(&url)).await);
    assert!(reason.contains("hook.example is at 127.0.0.2, which is loopback"), "{reason}");
    assert_eq!(receiver.requests().await.len(), 1);
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    for target in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:127.0.0.2]/",
        "http://2130706434/",
        "file:///etc/passwd",
        "http://a:b@127.0.0.1/",
    ] {
        let receiver = Receiver::start(&[&answer("302 Found", &format!("location: {target}\r\n"), "")]).await;
        let reason = refusal(local_fetcher().call(post(&receiver.url("/"))).await);
        assert!(reason.starts_with("the answer is a redirect whose URL "), "{target}: {reason}");
    }
}

#[tokio::test]
async fn a_redirected_post_stays_a_post_but_see_other_means_get() {
    let receiver = Receiver::start(&[
        &answer("302 Found", "location: /second\r\n", ""),
        &answer("303 See Other", "location: /third\r\n", ""),
        &answer("200 OK", "", "done"),
    ])
    .await;
    let answer = local_fetcher().call(post(&receiver.url("/first"))).await.unwrap();
    assert_eq!(answer.body, b"done");
    let seen: Vec<(String, String)> = receiver.requests().await.into_iter().map(|request| (request.line, request.body)).collect();
    let expected = [("POST /first HTTP/1.1", "hello"), ("POST /second HTTP/1.1", "hello"), ("GET /third HTTP/1.1", "")];
    assert_eq!(seen, expected.map(|(line, body)| (line.to_owned(), body.to_owned())));
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let other = Receiver::start(&[&answer("200 OK", "", "")]).await;
    let first = Receiver::start(&[&answer("307 Temporary Redirect", &format!("location: {}\r\n", other.url("/")), "")]).await;
    local_fetcher().call(post(&first.url("/"))).await.unwrap();
    assert_eq!(first.requests().await[0].header("authorization"), Some("secret"));
    assert_eq!(other.requests().await[0].header("authorization"), None);
}

#[tokio::test]
async fn the_fourth_redirect_is_one_too_many() {
    let again = answer("307 Temporary Redirect", "location: /\r\n", "");
    let receiver = Receiver::start(&[again.as_str(); 4]).await;
    assert_eq!(failure(local_fetcher().call(post(&receiver.url("/"))).await), "more than 3 redirects");
    assert_eq!(receiver.requests().await.len(), 4);
}

#[tokio::test]
async fn an_answer_is_read_up_to_a_limit() {
    let receiver = Receiver::start(&[&answer("200 OK", "", &"x".repeat(200_000))]).await;
    assert_eq!(local_fetcher().call(post(&receiver.url("/"))).await.unwrap().body.len(), 65_536);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_a_failure() {
    let receiver = Receiver::start(&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal"]).await;
    let held = receiver.hold();
    let call = Call { time_limit: Duration::from_millis(50), ..post(&receiver.url("/")) };
    assert_eq!(failure(local_fetcher().call(call).await), "no full answer within 0.05 s");
    drop(held);
}

#[tokio::test]
async fn who_does_not_listen_is_a_failure_that_does_not_tell_the_query() {
    let receiver = Receiver::start(&[]).await;
    let url = receiver.url("/?token=hidden");
    drop(receiver);
    let reason = failure(local_fetcher().call(post(&url)).await);
    assert!(reason.contains("onnect") && !reason.contains("hidden"), "{reason}");
}

#[tokio::test]
async fn a_callback_is_signed_and_its_body_is_sent_as_it_is() {
    let receiver = Receiver::start(&[&answer("200 OK", "", "")]).await;
    let body = r#"{"z":1.0,"a":123456789012345678901234567890,"ü":"\u00fc"}"#;
    let signer = Signer::new(&SECRET.into()).unwrap();
    let result = callback(&receiver.url("/hook"), body).deliver(&local_fetcher(), Some(&signer), now()).await.unwrap();
    assert_eq!(result, serde_json::json!({ "success": true, "message": "delivered", "status": 200 }));
    let request = receiver.requests().await.remove(0);
    assert_eq!((request.line.as_str(), request.body.as_str()), ("POST /hook HTTP/1.1", body));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("webhook-id"), Some(ENDED_TASK));
    let [time, signature] = ["webhook-timestamp", "webhook-signature"].map(|name| request.header(name).unwrap());
    assert_eq!(time, now().as_second().to_string());
    assert_eq!(signer.verify(ENDED_TASK, time, signature, request.body.as_bytes(), now()), Ok(()));
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let failed = deliver_to(&answer("410 Gone", "", "")).await.unwrap_err();
    assert_eq!(failed, TaskFailure::fail("ReceiverGone", "the receiver answered 410 Gone"));
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    for (status, header, seconds) in [
        ("503 Service Unavailable", "retry-after: 120\r\n", 120),
        ("429 Too Many Requests", "retry-after: Sat, 21 Nov 2026 08:05:00 GMT\r\n", 300),
    ] {
        let failed = deliver_to(&answer(status, header, "")).await.unwrap_err();
        let message = format!("the receiver answered {status}");
        assert_eq!(failed, TaskFailure::retry_after("CallbackError", message, Duration::from_secs(seconds)));
    }
}

#[tokio::test]
async fn every_other_refusal_is_tried_again() {
    for status in ["404 Not Found", "400 Bad Request", "500 Internal Server Error", "503 Service Unavailable", "304 Not Modified"]
    {
        let failed = deliver_to(&answer(status, "", "")).await.unwrap_err();
        assert_eq!(failed, TaskFailure::retry("CallbackError", format!("the receiver answered {status}")));
    }
}

#[tokio::test]
async fn a_callback_to_a_private_address_or_without_a_secret_fails_at_once() {
    let signer = Signer::new(&SECRET.into()).unwrap();
    let fetcher = local_fetcher();
    let TaskFailure::Fail(refused) =
        callback("http://10.0.0.1/", "{}").deliver(&fetcher, Some(&signer), now()).await.unwrap_err()
    else {
        panic!("tried again")
    };
    assert_eq!(refused.kind, "AddressRefused");
    assert!(refused.message.contains("10.0.0.1, which is private"), "{}", refused.message);
    let TaskFailure::Fail(unsigned) = callback("http://127.0.0.1:1/", "{}").deliver(&fetcher, None, now()).await.unwrap_err()
    else {
        panic!("tried again")
    };
    assert_eq!(unsigned.kind, "NoWebhookSecret");
}

fn ended(callback_url: String) -> TaskRow {
    TaskRow {
        id: ENDED_TASK.parse().unwrap(),
        kind: KindName::from_store("system.echo"),
        queue: QueueName::from_store("default"),
        priority: Priority::DEFAULT,
        status: TaskStatus::Success,
        args: "{}".into(),
        principal: "shop".into(),
        submitted_at: now(),
        due_at: now(),
        expires_at: None,
        attempt: Attempt::default(),
        version: Version::default(),
        retries_used: 0,
        max_retries: 3,
        crashes: 0,
        hard_limit: Duration::from_mins(30),
        soft_limit: None,
        worker: None,
        worker_name: None,
        started_at: Some(now()),
        ended_at: Some(now()),
        progress: None,
        revoke_requested_at: None,
        result: Some(r#"{"success":true}"#.into()),
        error: None,
        reason: None,
        callback_url: Some(callback_url),
        retry_of: None,
        retried_as: None,
        limited_until: None,
    }
}

#[tokio::test]
async fn what_the_engine_makes_of_an_ended_task_is_what_the_kind_delivers() {
    let receiver = Receiver::start(&[&answer("200 OK", "", "")]).await;
    let task = callback_task(&ended(receiver.url("/hook")), now()).unwrap();
    let kinds = KindSet::compiled();
    let kind = kinds.get(&task.kind).unwrap();
    assert_eq!(
        (&task.queue, task.max_retries, task.hard_limit),
        (&kind.policy.queue, kind.policy.retry.max_retries, kind.policy.hard_limit)
    );
    let callback: Callback = serde_json::from_str(&task.args).unwrap();
    callback.deliver(&local_fetcher(), Some(&Signer::new(&SECRET.into()).unwrap()), now()).await.unwrap();
    let request = receiver.requests().await.remove(0);
    assert_eq!(request.header("webhook-id"), Some(ENDED_TASK));
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["status"]), (&"task.ended".into(), &"SUCCESS".into()));
    assert_eq!(body["data"]["result"], serde_json::json!({ "success": true }));
}

#[test]
fn users_may_not_submit_callbacks() {
    let kinds = KindSet::compiled();
    let kind = kinds.get(&KindName::from_store("system.callback")).unwrap();
    assert!(!kind.policy.is_public);
    assert_eq!(kind.policy.queue.to_string(), "callbacks");
}
