//! A provider by templates: what is sent, what breaks out of nothing, and what its answers mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use legwork::app::build_services;
use legwork::config::Config;
use legwork_engine::clock::{Clock, ManualClock};
use serde_json::{Value, json};

use super::{Bench, SECRET, body, failed};
use crate::outbound::receiver::{Receiver, answer};

const NASTY: &str = "\"}, \"to\": \"+1\" &to=%2B1#</to>\r\nX-Evil: 1 {{ from }}";

fn nasty() -> Value {
    json!({ "phone_number": "+233201234567", "message": NASTY })
}

#[tokio::test]
async fn by_default_a_provider_gets_json() {
    let receiver = Receiver::start(&[&answer("202 Accepted", "", r#"{"data":{"id":77}}"#)]).await;
    let settings = [
        ("SMS_HTTP_MESSAGE_ID", "json.data.id"),
        ("SMS_HTTP_HEADERS", r#"{"Content-Type":"application/json","X-Key":"k1","X-To":"{{ to_digits }}"}"#),
    ];
    let result = Bench::http(&receiver.url("/send"), &settings).run(1, &nasty()).await.unwrap();
    assert_eq!((&result["provider"], &result["provider_message_id"]), (&json!("http"), &json!("77")));
    let request = receiver.requests().await.remove(0);
    assert_eq!(request.line, "POST /send HTTP/1.1");
    assert_eq!((request.header("x-key"), request.header("x-to")), (Some("k1"), Some("233201234567")));
    let sent: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(sent, json!({ "to": "+233201234567", "from": "Legwork", "message": NASTY }));
}

#[tokio::test]
async fn a_form_a_url_and_xml_hold_what_they_are_given() {
    let receiver = Receiver::start(&[&answer("200 OK", "", "OK"), &answer("200 OK", "", ""), &answer("200 OK", "", "")]).await;
    let form = [
        ("SMS_HTTP_HEADERS", r#"{"content-type":"application/x-www-form-urlencoded; charset=utf-8"}"#),
        ("SMS_HTTP_BODY", "to={{ to }}&text={{ message }}&id={{ message_id }}"),
    ];
    let bench = Bench::http(&receiver.url("/"), &form);
    bench.run(1, &nasty()).await.unwrap();
    let by_get = [("SMS_HTTP_METHOD", "GET"), ("SMS_HTTP_HEADERS", "{}")];
    let url = format!("{}?to={{{{ to }}}}&text={{{{ message }}}}", receiver.url("/get"));
    Bench::http(&url, &by_get).run(1, &nasty()).await.unwrap();
    let xml = [
        ("SMS_HTTP_HEADERS", r#"{"content-type":"text/xml"}"#),
        ("SMS_HTTP_BODY", "<to>{{ to }}</to><text>{{ message }}</text>"),
        ("SMS_HTTP_METHOD", "PUT"),
    ];
    Bench::http(&receiver.url("/"), &xml).run(1, &nasty()).await.unwrap();

    let requests = receiver.requests().await;
    let parsed = |text: &str| url::form_urlencoded::parse(text.as_bytes()).into_owned().collect::<BTreeMap<String, String>>();
    let form = parsed(&requests[0].body);
    assert_eq!((form["to"].as_str(), form["text"].as_str(), form.len()), ("+233201234567", NASTY, 3));
    assert_eq!(form["id"], format!("{}.0", bench.cx.task));
    let target = requests[1].line.strip_prefix("GET /get?").and_then(|rest| rest.strip_suffix(" HTTP/1.1")).unwrap();
    let query = parsed(target);
    assert_eq!((query["to"].as_str(), query["text"].as_str(), query.len()), ("+233201234567", NASTY, 2));
    assert_eq!(requests[1].body, "");
    assert!(requests[2].line.starts_with("PUT ") && requests[2].body.contains("&lt;") && !requests[2].body.contains("</to>\r"));
    assert!(requests.iter().all(|request| request.header("x-evil").is_none()));
}

#[tokio::test]
async fn a_message_that_would_break_out_of_a_header_is_not_sent() {
    let receiver = Receiver::start(&[]).await;
    let bench = Bench::http(&receiver.url("/"), &[("SMS_HTTP_HEADERS", r#"{"x-text":"{{ message }}"}"#)]);
    let outcome = bench.run(1, &nasty()).await;
    assert_eq!(failed(&outcome), ("SmsRejected".into(), false));
    let said = format!("{outcome:?}");
    assert!(said.contains("the header x-text would not be visible ASCII") && !said.contains("Evil"), "{said}");
    assert!(receiver.requests().await.is_empty());
}

#[tokio::test]
async fn the_settings_say_which_answers_mean_that_a_message_was_taken() {
    let condition = [("SMS_HTTP_ACCEPTED_IF", "json.code == 0"), ("SMS_HTTP_MESSAGE_ID", "json.id")];
    let text = [("SMS_HTTP_ACCEPTED_IF", "text is startingwith('OK')"), ("SMS_HTTP_ACCEPTED", "200")];
    for (settings, status, said, outcome) in [
        (&[][..], "200 OK", "rubbish", Ok(Value::Null)),
        (&[][..], "203 Non-Authoritative Information", "", Err(("SmsOutcomeUnknown", false))),
        (&condition[..], "200 OK", r#"{"code":0,"id":"a\nb"}"#, Ok(json!("ab"))),
        (&condition[..], "200 OK", r#"{"code":0}"#, Ok(Value::Null)),
        (&condition[..], "200 OK", r#"{"code":7,"id":"a"}"#, Err(("SmsRejected", false))),
        (&condition[..], "200 OK", "rubbish", Err(("SmsOutcomeUnknown", false))),
        (&condition[..], "500 Internal Server Error", r#"{"code":0}"#, Err(("SmsDeferred", true))),
        (&text[..], "200 OK", "OK 12", Ok(Value::Null)),
        (&text[..], "200 OK", "ERROR 12", Err(("SmsRejected", false))),
        (&text[..], "201 Created", "OK 12", Err(("SmsOutcomeUnknown", false))),
        (&[][..], "502 Bad Gateway", "", Err(("SmsOutcomeUnknown", false))),
        (&[][..], "403 Forbidden", "", Err(("SmsProviderRefused", false))),
        (&[][..], "400 Bad Request", "", Err(("SmsRejected", false))),
        (&[][..], "307 Temporary Redirect", "", Err(("SmsProviderRefused", false))),
    ] {
        let receiver = Receiver::start(&[&answer(status, "location: /other\r\n", said)]).await;
        let ran = Bench::http(&receiver.url("/"), settings).run(1, &body()).await;
        match outcome {
            Ok(id) => assert_eq!(ran.unwrap()["provider_message_id"], id, "{status} {said}"),
            Err((word, is_retried)) => assert_eq!(failed(&ran), (word.to_owned(), is_retried), "{status} {said}"),
        }
        assert_eq!(receiver.requests().await.len(), 1, "no redirect is followed");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_told_at_start_without_their_secrets() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()));
    let actual = |settings: &[(&str, &str)]| {
        let secret = ("FILES_SECRET", SECRET);
        let vars = settings.iter().chain([&secret]).map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        match Config::read(vars) {
            Err(mistakes) => mistakes.to_string(),
            Ok(config) => build_services(&config, &clock).err().map_or_else(String::new, |error| error.to_string()),
        }
    };
    let http = ("SMS_PROVIDER", "http");
    let url = ("SMS_HTTP_URL", "https://sms.example.org/send");
    for (settings, words) in [
        (&[("SMS_PROVIDER", "pigeon")][..], "SMS_PROVIDER: \"pigeon\" is not one of outbox, hubtel, http"),
        (&[("SMS_PROVIDER", "hubtel"), ("HUBTEL_CLIENT_ID", "x")], "HUBTEL_CLIENT_SECRET: is required"),
        (&[http], "SMS_HTTP_URL: is required"),
        (&[http, ("SMS_HTTP_URL", "http://10.0.0.1/send?key=hidden")], "SMS_HTTP_URL: leads to 10.0.0.1"),
        (&[http, ("SMS_HTTP_URL", "https://sms.example.org/?key=hidden&to={{ number }}")], "SMS_HTTP_URL: undefined value"),
        (&[http, url, ("SMS_HTTP_BODY", "hidden {{ to")], "SMS_HTTP_BODY: syntax error"),
        (&[http, url, ("SMS_HTTP_HEADERS", "x-key: hidden")], "SMS_HTTP_HEADERS: is not a JSON object"),
        (&[http, url, ("SMS_HTTP_HEADERS", r#"{"a b":"hidden"}"#)], "SMS_HTTP_HEADERS: \"a b\" is not the name of a header"),
        (&[http, url, ("SMS_HTTP_ACCEPTED", "ok")], "SMS_HTTP_ACCEPTED: \"ok\" is not a status"),
        (&[http, url, ("SMS_HTTP_MESSAGE_ID", "json.")], "SMS_HTTP_MESSAGE_ID: syntax error"),
        (&[("SMS_FROM", "Much too long")], "SMS_FROM: is no sender"),
        (&[http, url], ""),
    ] {
        let said = actual(settings);
        assert!(said.contains(words) && (said.is_empty() || !words.is_empty()), "{settings:?}: {said}");
        assert!(!said.contains("hidden"), "{said}");
    }
}
