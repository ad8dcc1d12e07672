//! The dashboard's pages: who sees them, what their forms do, and that nothing in them runs.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use legwork_engine::domain::{Principal, Scope};
use legwork_engine::queue::statistics::StatisticsRange;
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::service::{Answer, TestService};

const PASSWORD: &str = "correct horse battery";
const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";

/// A browser: its cookies, and the token that forms of its session carry.
struct Browser<'a> {
    service: &'a TestService,
    cookies: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    async fn signed_in(service: &'a TestService, name: &str, scopes: &[&str]) -> Self {
        let user = json!({ "name": name, "password": PASSWORD, "scopes": scopes });
        assert_eq!(service.post("/api/v1/auth/users", &user).await.status, StatusCode::CREATED);
        let answer = login(service, name, PASSWORD, "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer}");
        let mut browser = Self { service, cookies: cookies_of(&answer), csrf: String::new() };
        let page = browser.get("/tasks").await;
        let (_, rest) = page.text().split_once("name=\"csrf\" value=\"").unwrap();
        rest.split('"').next().unwrap().clone_into(&mut browser.csrf);
        browser
    }

    async fn get(&self, path: &str) -> Answer {
        self.service.anonymous(Method::GET, path).header("cookie", &self.cookies).send().await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let own = [("csrf", self.csrf.as_str())];
        let body = encoded(own.iter().chain(fields));
        self.post_raw(path, body).await
    }

    async fn post_raw(&self, path: &str, body: String) -> Answer {
        let call = self.service.anonymous(Method::POST, path).header("cookie", &self.cookies);
        call.header("content-type", "application/x-www-form-urlencoded").body(body).send().await
    }
}

fn encoded<'f>(fields: impl IntoIterator<Item = &'f (&'f str, &'f str)>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish()
}

fn cookies_of(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    set.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
}

async fn login(service: &TestService, name: &str, password: &str, next: &str) -> Answer {
    let body = encoded(&[("name", name), ("password", password), ("next", next)]);
    let call = service.anonymous(Method::POST, "/login").header("content-type", "application/x-www-form-urlencoded");
    call.body(body).send().await
}

pub async fn a_stranger_is_sent_to_the_login_and_back_to_the_page(engine: Engine) {
    let service = TestService::over(engine);
    for path in ["/", "/tasks?status=FAILURE", "/queues/default", "/workers", "/kinds", "/live", "/tasks/new"] {
        let answer = service.anonymous(Method::GET, path).send().await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.header("location").starts_with("/login"), "{path}: {}", answer.header("location"));
    }
    let user = json!({ "name": "anna", "password": PASSWORD, "scopes": ["admin"] });
    service.post("/api/v1/auth/users", &user).await;
    assert_eq!(login(&service, "anna", PASSWORD, "/tasks?status=FAILURE").await.header("location"), "/tasks?status=FAILURE");
    for foreign in ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"] {
        assert_eq!(login(&service, "anna", PASSWORD, foreign).await.header("location"), "/", "{foreign}");
    }
}

pub async fn a_session_is_fresh_kept_from_scripts_and_ends_at_sign_out(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let again = login(&service, "anna", PASSWORD, "").await;
    assert_ne!(cookies_of(&again), browser.cookies, "an id is never used twice");
    for cookie in again.headers.get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax") && cookie.contains("; Path=/"), "{cookie}");
    }
    assert_eq!(browser.get("/tasks").await.status, StatusCode::OK);
    assert_eq!(browser.post("/logout", &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/tasks").await.status, StatusCode::SEE_OTHER, "the cookie is worth nothing any more");
}

pub async fn a_new_password_and_a_lost_role_count_at_once(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let scopes = [Scope::Read].into_iter().collect();
    assert!(service.engine.store.set_scopes("anna", scopes).await.unwrap());
    assert_eq!(browser.post("/queues/default/pause", &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/suppressions").await.status, StatusCode::FORBIDDEN);
    let change = json!({ "name": "anna", "password": "another horse battery", "replace": true });
    assert_eq!(service.post("/api/v1/auth/users", &change).await.status, StatusCode::OK);
    assert_eq!(browser.get("/tasks").await.status, StatusCode::SEE_OTHER);
}

pub async fn a_form_of_another_site_or_session_does_nothing(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let other = Browser::signed_in(&service, "berta", &["admin"]).await;
    let without = browser.post_raw("/queues/default/pause", String::new()).await;
    assert_eq!(without.status, StatusCode::FORBIDDEN);
    let of_another = browser.post_raw("/queues/default/pause", encoded(&[("csrf", other.csrf.as_str())])).await;
    assert_eq!(of_another.status, StatusCode::FORBIDDEN);
    let call = service.anonymous(Method::POST, "/queues/default/pause").header("cookie", &browser.cookies);
    let call = call.header("origin", "https://evil.example").header("content-type", "application/x-www-form-urlencoded");
    let from_afar = call.body(encoded(&[("csrf", browser.csrf.as_str())])).send().await;
    assert_eq!(from_afar.status, StatusCode::FORBIDDEN);
    let queues = service.engine.queue.queues().await.unwrap();
    assert!(queues.iter().all(|queue| !queue.paused));
}

pub async fn who_guesses_is_held_back_and_the_owner_is_not(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    for _ in 0..5 {
        assert_eq!(login(&service, "anna", "wrong password", "").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(login(&service, "anna", PASSWORD, "").await.status, StatusCode::TOO_MANY_REQUESTS);
    let body = encoded(&[("name", "anna"), ("password", PASSWORD)]);
    let call = service.anonymous(Method::POST, "/login").header("cookie", &browser.cookies);
    let known = call.header("content-type", "application/x-www-form-urlencoded").body(body).send().await;
    assert_eq!(known.status, StatusCode::SEE_OTHER, "a browser that was signed in before is let in");
}

pub async fn every_page_is_shown_and_guarded(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let id = service.submitted(&json!({ "kind": "system.echo", "args": { "a": 1 } })).await;
    let task = format!("/tasks/{id}");
    let pages = [
        "/",
        "/tasks",
        "/tasks?status=FAILURE&text=x",
        "/tasks/new",
        "/tasks/new?kind=email.send",
        "/tasks/bulk?action=retry",
        "/queues",
        "/queues/default",
        "/audit",
        "/accounts",
        "/workers",
        "/audit",
        "/accounts",
        "/kinds",
        "/kinds/email.send",
        "/suppressions",
        &task,
    ];
    for path in pages {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {page}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        for asset in page.text().split('"').filter(|part| part.starts_with("/assets/")) {
            let asset = asset.split('#').next().unwrap();
            assert_eq!(service.anonymous(Method::GET, asset).send().await.status, StatusCode::OK, "{asset}");
        }
    }
    let missing = service.anonymous(Method::GET, "/nothing").header("accept", "text/html").send().await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.text().contains("There is no page at this address"));
}

pub async fn what_users_write_stays_text(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let args = json!({ HOSTILE: HOSTILE, "list": [HOSTILE] });
    let id = service.submitted(&json!({ "kind": "system.echo", "args": args })).await;
    let query = encoded(&[("text", HOSTILE), ("worker", HOSTILE)]);
    let pages = [
        "/tasks".to_owned(),
        format!("/tasks?{query}"),
        format!("/tasks/bulk?action=revoke&{query}"),
        format!("/tasks/{id}"),
        format!("/tasks/new?kind=system.echo&like={id}"),
        format!("/suppressions?{query}"),
    ];
    for path in pages {
        let page = browser.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {page}");
        assert!(!page.text().contains("<script>alert") && !page.text().contains("<img src=x"), "{path}");
    }
    let notice = browser.post("/suppressions", &[("address", HOSTILE)]).await;
    let rendered = format!("{}; {}", browser.cookies, cookies_of(&notice));
    let page = service.anonymous(Method::GET, "/suppressions").header("cookie", &rendered).send().await;
    assert!(page.text().contains("is no e-mail address") && !page.text().contains("<script>alert"));
    let missing = browser.get("/kinds/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(!missing.text().contains("<script>alert"));
}

pub async fn a_viewer_sees_and_does_not_touch(engine: Engine) {
    let service = TestService::over(engine);
    let viewer = Browser::signed_in(&service, "vera", &["tasks:read"]).await;
    let id = service.submitted(&json!({ "kind": "system.echo" })).await;
    assert_eq!(viewer.get(&format!("/tasks/{id}")).await.status, StatusCode::NOT_FOUND, "it belongs to another principal");
    for path in [
        format!("/tasks/{id}/revoke"),
        format!("/tasks/{id}/retry"),
        "/queues/default/pause".into(),
        "/queues/default/purge".into(),
        "/tasks?kind=system.echo".into(),
        "/tasks/bulk".into(),
    ] {
        assert_eq!(viewer.post(&path, &[("action", "revoke")]).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(viewer.get("/tasks/new").await.status, StatusCode::FORBIDDEN);
    assert!(!viewer.get("/queues").await.text().contains("/pause"), "what cannot be done is not offered");
}

pub async fn a_task_is_submitted_from_a_form_that_names_wrong_fields(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let wrong = [
        ("args.recipient_email", "nobody"),
        ("args.subject", "Hello"),
        ("args.template_name", "welcome_user"),
        ("priority", "12"),
    ];
    let page = browser.post("/tasks?kind=email.send", &wrong).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
    assert!(page.text().contains("value=\"nobody\"") && page.text().contains("aria-invalid=\"true\""), "{page}");
    let right = [("args.a", "1")];
    let done = browser.post("/tasks?kind=system.echo", &right).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{done}");
    let id = done.header("location").strip_prefix("/tasks/").unwrap().to_owned();
    assert_eq!(service.get(&format!("/api/v1/tasks/status/{id}")).await.json()["status"], "PENDING");
}

pub async fn a_queue_is_paused_limited_and_purged_from_its_page(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let id = service.submitted(&json!({ "kind": "system.echo" })).await;
    assert_eq!(browser.post("/queues/default/pause", &[]).await.header("location"), "/queues/default");
    assert!(browser.get(&format!("/tasks/{id}")).await.text().contains("The queue default is paused"));
    browser.post("/queues/default/limits", &[("concurrency", "3")]).await;
    browser.post("/queues/default/limits", &[("concurrency", "many")]).await;
    let queues = service.engine.queue.queues().await.unwrap();
    let queue = queues.iter().find(|queue| queue.name.as_str() == "default").unwrap();
    assert!(queue.paused && queue.concurrency == Some(3));
    browser.post("/queues/default/purge", &[]).await;
    assert_eq!(service.get(&format!("/api/v1/tasks/status/{id}")).await.json()["status"], "PENDING", "the name was not typed");
    browser.post("/queues/default/purge", &[("confirm", "default")]).await;
    assert_eq!(service.get(&format!("/api/v1/tasks/status/{id}")).await.json()["status"], "REVOKED");
}

pub async fn a_task_that_was_revoked_is_retried_with_other_args(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let send = json!({ "kind": "email.send", "args": { "recipient_email": "a@example.com", "subject": "Hello", "template_name": "welcome_user",
        "context": { "user": { "first_name": "Ada" } } } });
    let id = service.submitted(&send).await;
    browser.post(&format!("/tasks/{id}/revoke"), &[]).await;
    let form = browser.get(&format!("/tasks/new?kind=email.send&retry_of={id}")).await;
    assert!(form.text().contains("value=\"a@example.com\""), "{form}");
    let fields = [
        ("retry_of", id.as_str()),
        ("args.recipient_email", "b@example.com"),
        ("args.subject", "Hello"),
        ("args.template_name", "welcome_user"),
        ("args.context", "{\"user\": {\"first_name\": \"Ada\"}}"),
    ];
    let wrong = browser.post("/tasks?kind=email.send", &[fields[0], ("args.recipient_email", "b")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let done = browser.post("/tasks?kind=email.send", &fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{done}");
    let new = service.get(&done.header("location").replace("/tasks/", "/api/v1/tasks/")).await.json();
    assert_eq!((&new["retry_of"], &new["args"]["recipient_email"]), (&json!(id), &json!("b@example.com")));
    let id: uuid::Uuid = new["task_id"].as_str().unwrap().parse().unwrap();
    let row = service.engine.store.find(id.into()).await.unwrap().unwrap();
    assert!(row.args.contains("Ada"), "what is hidden stays as it was: {}", row.args);
    let root = Principal { subject: "root".into(), scopes: [Scope::Admin].into_iter().collect() };
    assert_eq!(&*root.subject, new["principal"].as_str().unwrap(), "it still belongs to whoever submitted it");
}

pub async fn the_first_link_makes_one_administrator(engine: Engine) {
    let service = TestService::with_first_link(engine, "one-time");
    let get = |path| service.anonymous(Method::GET, path).send();
    assert_eq!(get("/welcome?link=guess").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get("/welcome?link=one-time").await.status, StatusCode::OK);
    let choose = |password: &str| {
        let call = service.anonymous(Method::POST, "/welcome").header("content-type", "application/x-www-form-urlencoded");
        call.body(encoded(&[("link", "one-time"), ("password", password)])).send()
    };
    assert_eq!(choose("short").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let done = choose(PASSWORD).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{done}");
    let overview = service.anonymous(Method::GET, "/").header("cookie", &cookies_of(&done)).send().await;
    assert_eq!(overview.status, StatusCode::OK);
    assert!(overview.text().contains("Administrator"));
    assert_eq!(choose("another long password").await.status, StatusCode::NOT_FOUND, "the link works once");
    assert_eq!(service.engine.store.accounts(10).await.unwrap().len(), 1);
}

pub async fn what_is_done_is_in_the_audit_log(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let id = service.submitted(&json!({ "kind": "system.echo" })).await;
    browser.post("/queues/default/pause", &[]).await;
    assert_eq!(service.delete(&format!("/api/v1/tasks/revoke/{id}")).await.status, StatusCode::OK);
    assert_eq!(service.delete(&format!("/api/v1/tasks/revoke/{id}")).await.status, StatusCode::CONFLICT);
    login(&service, "anna", "wrong password", "").await;
    let viewer = Browser::signed_in(&service, "vera", &["tasks:read"]).await;
    viewer.post("/queues/default/resume", &[]).await;
    let log = service.get("/api/v1/audit?limit=100").await.json();
    let line = |entry: &serde_json::Value| {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        format!(
            "{} {} {} {} {}",
            text("principal"),
            text("action"),
            text("target").replace(&id, "ID"),
            text("outcome"),
            text("source")
        )
    };
    let mut lines: Vec<String> = log["items"].as_array().unwrap().iter().rev().map(line).collect();
    // The clock of the test stands still, so entries of one moment come in any order.
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "anna queue.pause default done dashboard",
            "anna sign_in  done dashboard",
            "anna sign_in  refused dashboard",
            "root account.set  done api",
            "root account.set  done api",
            "root task.revoke ID done api",
            "root task.revoke ID failed api",
            "vera queue.resume default refused dashboard",
            "vera sign_in  done dashboard",
        ]
    );
    let page = browser.get("/audit").await;
    assert!(page.text().contains("Queue default") && page.text().contains("Refused"), "{page}");
    assert_eq!(viewer.get("/audit").await.status, StatusCode::FORBIDDEN);
    let first = service.get("/api/v1/audit?principal=vera&limit=1").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = service.get(&format!("/api/v1/audit?principal=vera&limit=1&cursor={cursor}")).await.json();
    let mut actions = [&first, &second].map(|page| page["items"][0]["action"].as_str().unwrap());
    actions.sort_unstable();
    assert_eq!(actions, ["queue.resume", "sign_in"], "the two pages together have both entries, each once");
}

pub async fn accounts_are_made_changed_and_deleted_by_administrators(engine: Engine) {
    let service = TestService::over(engine);
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    let wrong =
        browser.post("/accounts", &[("account.name", "a b"), ("account.role", "viewer"), ("account.password", "short")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.text().matches("aria-invalid").count(), 2, "{wrong}");
    let new = [("account.name", "vera"), ("account.role", "viewer"), ("account.password", PASSWORD)];
    assert_eq!(browser.post("/accounts", &new).await.status, StatusCode::SEE_OTHER);
    let id = service.submitted(&json!({ "kind": "system.echo" })).await;
    let signed_in = login(&service, "vera", PASSWORD, "").await;
    let viewer = Browser { service: &service, cookies: cookies_of(&signed_in), csrf: String::new() };
    assert_eq!(viewer.get(&format!("/tasks/{id}")).await.status, StatusCode::OK, "a viewer sees everybody's tasks");
    assert_eq!(viewer.get("/accounts").await.status, StatusCode::FORBIDDEN);
    assert!(!viewer.get("/queues").await.text().contains("Pause<span"), "a viewer is offered no change");
    browser.post("/accounts/vera", &[("role", "operator"), ("password", "")]).await;
    assert!(viewer.get("/queues").await.text().contains("Pause<span"), "the new role counts at once");
    browser.post("/accounts/anna", &[("role", "viewer")]).await;
    browser.post("/accounts/anna/delete", &[]).await;
    assert_eq!(browser.get("/accounts").await.status, StatusCode::OK, "nobody locks himself out");
    browser.post("/accounts/vera/delete", &[]).await;
    assert_eq!(viewer.get("/tasks").await.status, StatusCode::SEE_OTHER);
    let made = browser.post("/tokens", &[("token.subject", "shop"), ("token.scopes", "tasks:read"), ("token.days", "7")]).await;
    let (_, rest) = made.text().split_once("<code>eyJ").unwrap();
    let token = format!("eyJ{}", rest.split('<').next().unwrap());
    let list = service.anonymous(Method::GET, "/api/v1/tasks").bearer(&token).send().await;
    assert_eq!(list.status, StatusCode::OK, "{list}");
}

pub async fn minutes_are_counted_once_and_folded(engine: Engine) {
    let service = TestService::over(engine);
    let engine = &service.engine;
    assert_eq!(engine.queue.count_once().await.unwrap(), 1, "the latest minute");
    assert_eq!(engine.queue.count_once().await.unwrap(), 0);
    let id = service.submitted(&json!({ "kind": "system.echo" })).await;
    service.submitted(&json!({ "kind": "system.echo" })).await;
    service.delete(&format!("/api/v1/tasks/revoke/{id}")).await;
    engine.clock.advance(Duration::from_secs(70));
    engine.queue.count_once().await.unwrap();
    let hour = engine.queue.statistics(StatisticsRange::Hour).await.unwrap();
    assert_eq!(hour.steps.len(), 60);
    let (_, Some(last)) = &hour.steps[59] else { panic!("the last minute was not counted") };
    assert_eq!((last.all_kinds().revoked, last.all_queues().due), (1, 1));
    assert_eq!(engine.queue.count_once().await.unwrap(), 0, "the minute is counted once");
    engine.clock.advance(Duration::from_hours(1));
    engine.queue.count_once().await.unwrap();
    let day = engine.queue.statistics(StatisticsRange::Day).await.unwrap();
    assert!(day.steps.iter().any(|(_, sample)| sample.is_some()), "ten minutes were folded");
    let browser = Browser::signed_in(&service, "anna", &["admin"]).await;
    for path in ["/", "/?range=day", "/?range=week&order=worst", "/?range=month", "/queues/default", "/kinds/system.echo"] {
        let page = browser.get(path).await;
        assert!(page.status == StatusCode::OK && page.text().contains("<svg viewBox=\"0 0 600 160\""), "{path}: {page}");
    }
}
