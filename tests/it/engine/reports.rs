//! Reports through the whole of it: by the typed route, with a mail, to a page that a link opens.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::engine::Engine;
use crate::support::mime::Mime;
use crate::support::service::TestService;

pub async fn a_report_is_mailed_and_its_link_opens_the_page(engine: Engine) {
    let pool = engine.start_pool().await;
    let service = TestService::over(engine.clone());
    // As in the document.
    let mut body = json!({ "report_type": "activity", "date_from": "2024-01-01", "date_to": "2024-01-31" });
    for email_to in [Value::Null, json!("admin@example.com")] {
        body["email_to"] = email_to.clone();
        if email_to.is_null() {
            body.as_object_mut().unwrap().remove("email_to");
        }
        let answer = service.post("/api/v1/tasks/report/", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer}");
        let id = answer.text_at("/task_id").parse().unwrap();
        engine.note_accepted(id);
        let ended = engine.ended(id).await;
        let result: Value = serde_json::from_str(ended.result.unwrap_or_else(|| panic!("{:?}", ended.error)).get()).unwrap();
        assert_eq!((&result["totals"]["actions"], result["series"].as_array().unwrap().len()), (&json!(0), 31));

        let (_, path) = result["download_url"].as_str().unwrap().split_once("/api/").unwrap();
        let page = service.anonymous(Method::GET, &format!("/api/{path}")).send().await;
        assert_eq!(page.status, StatusCode::OK, "{page}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.header("content-disposition").starts_with("inline;"), "{page}");
        assert!(page.header("content-security-policy").contains("default-src 'none'"), "{page}");
        assert!(page.text().contains("Nothing happened from 1 to 31 January 2024"), "{page}");

        let Some(mail) = result["emails"].get(0) else { continue };
        let mail = mail["task_id"].as_str().unwrap().parse().unwrap();
        engine.note_accepted(mail);
        let sent = engine.ended(mail).await;
        let sent: Value = serde_json::from_str(sent.result.unwrap_or_else(|| panic!("{:?}", sent.error)).get()).unwrap();
        let file = engine.config.mail.outbox.join(sent["outbox_file"].as_str().unwrap());
        let message = Mime::parse(&std::fs::read(file).unwrap());
        assert_eq!(message.decoded_header("subject"), "Activity report, 2024-01-01 to 2024-01-31");
        let text = message.parts.iter().find(|part| part.header("Content-Type").unwrap().starts_with("text/plain")).unwrap();
        assert!(text.body.contains(result["download_url"].as_str().unwrap()), "{}", text.body);
        assert!(text.body.contains("Actions: 0 (no change; before: 0)"), "{}", text.body);
    }
    pool.end().await;
}
