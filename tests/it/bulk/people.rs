//! Who is not to be mailed, and what people write into names.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use legwork_engine::domain::Scope;
use serde_json::json;

use super::{addresses, body, count_outcomes, mailing, outcomes, run};
use crate::support::engine::Engine;
use crate::support::mime::Mime;
use crate::support::service::TestService;
use crate::support::smtp::{Moment, Setup};

const LIST: &str = "/api/v1/suppressions";

pub async fn who_is_suppressed_gets_nothing(engine: Engine) {
    let server = Setup::new().pipelining().start().await;
    let engine = mailing(&engine, &server);
    let service = TestService::over(engine.clone());
    let answer = service.post(LIST, &json!({ "addresses": ["R3@Example.net", "r5@example.net"], "detail": "asked" })).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "added": 2 })));
    let (id, result) = run(&engine, body(&addresses(10))).await;
    assert_eq!((&result["accepted"], &result["suppressed"]), (&json!(8), &json!(2)));
    assert_eq!(outcomes(&engine, id).await["r3@example.net"], "suppressed");
    assert_eq!(server.copies().len(), 8);
    // A mail to him alone is another thing.
    let pool = engine.start_pool().await;
    let args = json!({ "recipient_email": "r3@example.net", "subject": "S", "text": "T" });
    let single = engine.submit("email.send", args).await;
    engine.ended(single).await;
    assert_eq!(server.copies()["r3@example.net"], 1);
    pool.end().await;
}

pub async fn an_address_that_does_not_exist_gets_nothing_any_more(engine: Engine) {
    let server = Setup::new()
        .pipelining()
        .script(|step| match step.moment {
            Moment::RcptTo("r1@example.net") => crate::support::smtp::Act::Say("550 5.1.1 no such user".into()),
            Moment::RcptTo("r2@example.net") => crate::support::smtp::Act::Say("550 5.7.1 policy".into()),
            Moment::RcptTo("r3@example.net") => crate::support::smtp::Act::Say("452 4.2.2 5.1.1 full".into()),
            _ => crate::support::smtp::Act::Go,
        })
        .start()
        .await;
    let engine = mailing(&engine, &server);
    let service = TestService::over(engine.clone());
    let (id, _) = run(&engine, body(&addresses(3))).await;
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 1), ("rejected", 2)]));
    let list = service.get(LIST).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    let bounced = &list["items"][0];
    assert_eq!((&bounced["address"], &bounced["reason"]), (&json!("r1@example.net"), &json!("bounced")));
    assert_eq!((&bounced["detail"], &bounced["task_id"]), (&json!("550 5.1.1 no such user"), &json!(id)));
    let (next, _) = run(&engine, body(&addresses(3))).await;
    assert_eq!(outcomes(&engine, next).await["r1@example.net"], "suppressed");
}

pub async fn a_link_unsubscribes_by_its_button_only(engine: Engine) {
    let server = Setup::new().pipelining().start().await;
    let engine = mailing(&engine, &server);
    let service = TestService::over(engine.clone());
    let (id, _) = run(&engine, body(&addresses(2))).await;
    let mail = server.mails().into_iter().find(|mail| mail.to == ["r1@example.net"]).unwrap();
    let header = Mime::parse(&mail.bytes).header("List-Unsubscribe").unwrap();
    let path = header.strip_prefix("<https://tasks.example.org").unwrap().strip_suffix('>').unwrap();

    let page = service.anonymous(Method::GET, path).send().await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"), "{page}");
    assert!(page.text().contains("r1@example.net") && page.text().contains("<form method=\"post\">"), "{page}");
    assert!(page.header("content-security-policy").contains("form-action 'self'"));
    assert_eq!(service.get(LIST).await.json()["items"], json!([]), "looking does nothing");

    for _ in 0..2 {
        let call = service.anonymous(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        let done = call.body("List-Unsubscribe=One-Click").send().await;
        assert_eq!(done.status, StatusCode::OK, "{done}");
    }
    let list = service.get(LIST).await.json();
    assert_eq!((&list["items"][0]["address"], &list["items"][0]["reason"]), (&json!("r1@example.net"), &json!("unsubscribed")));
    assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["task_id"]), (1, &json!(id)));

    for forged in [path.replace('A', "B"), format!("{path}x"), "/api/v1/unsubscribe/AAAA".to_owned()] {
        for method in [Method::GET, Method::POST] {
            let answer = service.anonymous(method, &forged).send().await;
            assert_eq!((answer.status, answer.text_at("/code")), (StatusCode::FORBIDDEN, "link_forged".into()), "{answer}");
        }
    }
    let (next, _) = run(&engine, body(&addresses(2))).await;
    assert_eq!(
        outcomes(&engine, next).await,
        BTreeMap::from([("r0@example.net".to_owned(), "accepted"), ("r1@example.net".to_owned(), "suppressed"),])
    );
}

pub async fn a_context_may_bring_its_own_link_and_the_recipients_own_counts_most(engine: Engine) {
    let server = Setup::new().pipelining().start().await;
    let engine = mailing(&engine, &server);
    let recipients =
        |own: &str| json!([{ "email": "a@example.net" }, { "email": "b@example.net", "context": { "unsubscribe_url": own } }]);
    let mails = |context: serde_json::Value| json!({ "recipients": recipients("https://own.example/"), "subject": "S", "template_name": "newsletter", "context": context });
    run(&engine, mails(json!({ "content": "c", "unsubscribe_url": "https://common.example/" }))).await;
    run(&engine, mails(json!({ "content": "c" }))).await;
    let mut links: Vec<(String, bool, bool, bool)> = Vec::new();
    for mail in server.mails() {
        let html = Mime::parse(&mail.bytes).parts[1].body.replace("&#x2f;", "/");
        let has = |link: &str| html.contains(link);
        links.push((
            mail.to[0].clone(),
            has("https://own.example/"),
            has("https://common.example/"),
            has("/api/v1/unsubscribe/"),
        ));
    }
    links.sort();
    let (a, b) = ("a@example.net".to_owned(), "b@example.net".to_owned());
    let expected =
        [(a.clone(), false, false, true), (a, false, true, false), (b.clone(), true, false, false), (b, true, false, false)];
    assert_eq!(links, expected);
}

pub async fn the_suppression_list_is_kept_by_who_may(engine: Engine) {
    let service = TestService::over(engine);
    for (method, path) in [(Method::GET, LIST), (Method::POST, LIST), (Method::DELETE, "/api/v1/suppressions/a@example.org")] {
        assert_eq!(service.anonymous(method.clone(), path).send().await.status, StatusCode::UNAUTHORIZED);
        let call = service.anonymous(method, path).bearer(&service.token("ann", &[Scope::Read, Scope::Submit]));
        assert_eq!(call.send().await.status, StatusCode::FORBIDDEN);
    }
    let new = json!({ "addresses": ["b@example.org", "Ann <a@Example.org>", "+233201234567"], "reason": "complained" });
    assert_eq!(service.post(LIST, &new).await.json(), json!({ "added": 3 }));
    assert_eq!(service.post(LIST, &new).await.json(), json!({ "added": 0 }));
    let surrogate = service.anonymous(Method::POST, LIST).bearer(&service.token("root", &[Scope::Admin]));
    let answer = surrogate.header("content-type", "application/json").body(r#"{"addresses":["\ud800"]}"#).send().await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer}");
    let unreasoned = json!({ "addresses": ["b@example.org"], "reason": null });
    assert_eq!(service.post(LIST, &unreasoned).await.json(), json!({ "added": 0 }));
    let page = service.get(&format!("{LIST}?limit=2")).await.json();
    let listed = |page: &serde_json::Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["address"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&page), ["+233201234567", "a@example.org"]);
    assert_eq!(page["items"][1]["principal"], "root");
    let next = service.get(&format!("{LIST}?cursor={}", page["next_cursor"].as_str().unwrap())).await.json();
    assert_eq!((listed(&next), &next["next_cursor"]), (vec!["b@example.org".to_owned()], &json!(null)));
    assert_eq!(listed(&service.get(&format!("{LIST}?q=B@&reason=complained")).await.json()), ["b@example.org"]);
    assert_eq!(listed(&service.get(&format!("{LIST}?reason=manual")).await.json()), Vec::<String>::new());
    assert_eq!(service.delete(&format!("{LIST}/B@example.org")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(service.delete(&format!("{LIST}/b@example.org")).await.status, StatusCode::NOT_FOUND);
    for (body, pointer) in [
        (json!({ "addresses": [] }), "/addresses"),
        (json!({ "addresses": ["a@example.org", "nobody", "+12"] }), "/addresses/1"),
        (json!({ "addresses": ["a@example.org"], "reason": "whim" }), "/reason"),
        (json!({ "addresses": ["a@example.org"], "reason": 5 }), "/reason"),
        (json!({ "addresses": ["a@example.org"], "detail": "x".repeat(501) }), "/detail"),
        (json!({ "addresses": ["a@example.org\r\nx"] }), "/addresses/0"),
    ] {
        let answer = service.post(LIST, &body).await;
        assert_eq!(
            (answer.status, answer.text_at("/errors/0/pointer")),
            (StatusCode::UNPROCESSABLE_ENTITY, pointer.into()),
            "{answer}"
        );
    }
}

pub async fn what_would_break_out_of_a_header_does_not(engine: Engine) {
    let server = Setup::new().pipelining().start().await;
    let engine = mailing(&engine, &server);
    let evil = "x\r\nBcc: victim@example.org\r\n\r\n.\r\nMAIL FROM:<a@b>";
    let (id, _) = run(
        &engine,
        json!({
            "recipients": [
                { "email": "a@example.net", "context": { "name": evil, "unsubscribe_url": evil } },
                { "email": format!("b@example.net{evil}") },
                { "email": format!("{evil} <c@example.net>") },
                { "email": "\"Doe, \\\"J\\\"\" <d@example.net>" },
            ],
            "subject": "Grüße \u{1F389} .",
            "template_name": "newsletter",
            "context": { "content": format!(".\r\n..\r\n{evil}") },
        }),
    )
    .await;
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 2), ("rejected", 2)]));
    let copies = server.copies();
    assert_eq!(copies.keys().collect::<Vec<_>>(), ["a@example.net", "d@example.net"]);
    for mail in server.mails() {
        let read = Mime::parse(&mail.bytes);
        assert_eq!(read.header("Bcc"), None);
        assert_eq!(read.decoded_header("Subject"), "Grüße \u{1F389} .");
        assert_eq!(read.parts.len(), 2);
        assert!(read.parts[0].body.contains("Bcc: victim@example.org"), "it is text: {}", read.parts[0].body);
    }
}
