//! `email.welcome`, `email.notify_user`, `notify.admins`.

use serde_json::{Value, json};

use super::{Place, everywhere, failure};

/// The address that the table has for a person.
async fn address(place: &Place, model: &str, filters: Value) -> String {
    let row = place.rows(model, filters).await.remove(0);
    row.values().filter_map(Value::as_str).find(|text| text.contains('@')).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_calls_welcome_a_user_and_an_admin() {
    everywhere(|place| async move {
        let key = if place.is_demo() { "id" } else { "number" };
        let user = address(&place, "user", json!({ key: 1 })).await;
        let result = place.run("email.welcome", json!({ "user_id": 1, "user_type": "user" })).await.unwrap();
        assert_eq!((&result["user_type"], &result["id"], &result["recipient_email"]), (&json!("user"), &json!(1), &json!(user)));
        let admin_id = if place.is_demo() { json!(1) } else { json!("0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c01") };
        let admin = address(&place, "admin", json!({ "id": admin_id })).await;
        let args = json!({ "admin_id": admin_id, "user_type": "admin", "subject": "You are in" });
        let result = place.run("email.welcome", args).await.unwrap();
        assert_eq!((&result["user_type"], &result["id"]), (&json!("admin"), &admin_id));
        let mails = place.mails();
        assert_eq!(mails[&user].header("Subject").as_deref(), Some("Welcome to Legwork"));
        assert!(mails[&user].parts[0].body.contains(&user), "{}", mails[&user].parts[0].body);
        assert_eq!(mails[&admin].header("Subject").as_deref(), Some("You are in"));
        assert!(mails[&admin].parts[0].body.contains("with the role "), "{}", mails[&admin].parts[0].body);
        if place.is_demo() {
            let name = place.rows("user", json!({ "id": 1 })).await[0]["first_name"].as_str().unwrap().to_owned();
            assert!(mails[&user].parts[0].body.starts_with(&format!("Hello {name},")), "{}", mails[&user].parts[0].body);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_there_or_has_no_address_is_a_failure_at_once() {
    everywhere(|place| async move {
        let (word, said) = failure(place.run("email.welcome", json!({ "user_id": 123_456 })).await);
        assert!(word == "NotFound" && said.starts_with("there is no user 123456 in the model user of the source app"), "{said}");
        let args = json!({ "user_id": 123_456, "subject": "S", "message": "M" });
        assert_eq!(failure(place.run("email.notify_user", args).await).0, "NotFound");
        if !place.is_demo() {
            let (word, said) = failure(place.run("email.welcome", json!({ "user_id": 7 })).await);
            assert_eq!((word.as_str(), said.as_str()), ("NoAddress", "the user 7 has no e-mail address"));
        }
        assert!(place.mails().is_empty());
        for (args, field_error) in [
            (json!({}), "/user_id is missing; it is required with the user_type user"),
            (json!({ "user_type": "admin", "user_id": 1 }), "/admin_id is missing; it is required with the user_type admin"),
            (json!({ "user_type": "admin", "user_id": 1 }), "/user_id is not allowed with the user_type admin"),
            (json!({ "user_id": 1, "source": "x" }), "/user_id"),
            (json!({ "user_id": "x' OR 1=1 --" }), "/user_id"),
            (json!({ "user_id": [1] }), "/user_id"),
            (json!({ "user_id": 1, "user_type": "guest" }), "/user_type"),
            (json!({ "user_id": 1, "subject": "a\r\nBcc: b@example.org" }), "/subject"),
        ] {
            let field_errors = place.field_errors("email.welcome", &args);
            assert!(
                field_errors.iter().any(|actual| actual.starts_with(field_error) || actual.starts_with("/source")),
                "{args}: {field_errors:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_told_by_key() {
    everywhere(|place| async move {
        let key = if place.is_demo() { "id" } else { "number" };
        let user = address(&place, "user", json!({ key: 3 })).await;
        let args = json!({
            "user_id": 3, "subject": "Tomorrow", "message": "We expect you at <nine>.", "action_url": "https://example.org/a",
        });
        let result = place.run("email.notify_user", args).await.unwrap();
        assert_eq!((&result["user_id"], &result["recipient_email"]), (&json!(3), &json!(user)));
        let mail = &place.mails()[&user];
        assert!(mail.parts[0].body.contains("We expect you at <nine>.") && mail.parts[0].body.contains("https://example.org/a"));
        assert!(mail.parts[1].body.contains("&lt;nine&gt;"), "{}", mail.parts[1].body);
        for (args, field_error) in [
            (json!({ "user_id": 3, "subject": "S", "message": " " }), "/message is blank"),
            (
                json!({ "user_id": 3, "subject": "S", "message": "M", "template_name": "nope" }),
                "/template_name there is no template",
            ),
            (json!({ "user_id": 3, "subject": " ", "message": "M" }), "/subject"),
            (
                json!({ "user_id": 3, "subject": "S", "message": "M", "action_url": "javascript:alert(1)" }),
                "/action_url \"javascript:alert(1)\" is no link with http",
            ),
            (
                json!({ "user_id": 3, "subject": "S", "message": "M", "action_label": "Open" }),
                "/action_label is only allowed together with",
            ),
        ] {
            let field_errors = place.field_errors("email.notify_user", &args);
            assert!(field_errors.len() == 1 && field_errors[0].starts_with(field_error), "{field_errors:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_by_hand_mails_no_admin_twice_and_sends_no_report_twice() {
    everywhere(|place| async move {
        let args = json!({ "subject": "Disk almost full", "message": "Only 2 GB are left." });
        let last = place.retried_until_it_succeeds("notify.admins", args, || async {}).await;
        let admins = if place.is_demo() { 5 } else { 2 };
        assert_eq!((&last["submitted"], place.outbox_files()), (&json!(admins), admins));
        if place.is_demo() {
            let args = json!({
                "report_type": "activity", "date_from": "2024-01-01", "date_to": "2024-01-31",
                "email_to": ["boss@example.com", "chief@example.com"],
            });
            let last = place.retried_until_it_succeeds("report.admin", args, || async {}).await;
            assert_eq!((last["emails"].as_array().unwrap().len(), place.outbox_files()), (2, admins + 2));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_active_admin_gets_one_mail_however_often_it_is_tried() {
    everywhere(|place| async move {
        let pool = place.engine.start_pool().await;
        let task = place.new_task();
        let args = json!({ "subject": "Disk almost full", "message": "Only 2 GB are left." });
        let first = place.attempt("notify.admins", task, 1, args.clone()).await.unwrap();
        let again = place.attempt("notify.admins", task, 2, args).await.unwrap();
        assert_eq!(first, again);
        let (submitted, without) = if place.is_demo() { (5, 0) } else { (2, 1) };
        assert_eq!((&first["submitted"], &first["without_address"]), (&json!(submitted), &json!(without)));
        let ids: Vec<legwork_engine::domain::TaskId> = serde_json::from_value(first["task_ids"].clone()).unwrap();
        for id in &ids {
            assert!(place.engine.ended(*id).await.successful == Some(true));
        }
        let mails = place.mails();
        assert_eq!((ids.len(), mails.len()), (submitted, submitted));
        assert!(mails.values().all(|mail| mail.parts[0].body.contains("Only 2 GB are left.")));
        for (args, field_error) in [
            (json!({ "subject": "S" }), "/message is missing or blank"),
            (json!({ "subject": "S", "template_name": "nope" }), "/template_name there is no template"),
            (json!({ "subject": "S", "message": "M", "source": "x" }), "/source there is no source"),
        ] {
            let field_errors = place.field_errors("notify.admins", &args);
            assert!(field_errors.len() == 1 && field_errors[0].starts_with(field_error), "{field_errors:?}");
        }
        pool.end().await;
    })
    .await;
}
