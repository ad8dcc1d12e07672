//! `notifications.bulk`: rows in the application's table, once, and mails where asked.

use legwork_source::{Filter, Operator};
use serde_json::{Value, json};

use super::{Place, everywhere};

/// The rows that a notification made.
fn words(place: &Place) -> &'static str {
    if place.is_demo() { "message" } else { "words" }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_attempt_inserts_what_is_missing_and_nothing_twice() {
    everywhere(|place| async move {
        let (words, whose) = (words(&place), if place.is_demo() { "user_id" } else { "member" });
        let task = place.new_task();
        let args = json!({ "user_ids": [1, 2, 3, 3, 999_999], "title": "T", "message": "It's \"new\"; DROP TABLE" });
        let made = json!({ words: "It's \"new\"; DROP TABLE" });
        let result = place.attempt("notifications.bulk", task, 1, args.clone()).await.unwrap();
        assert_eq!(
            (&result["notified"], &result["inserted"], &result["unknown"], &result["unknown_user_ids"]),
            (&json!(3), &json!(3), &json!(1), &json!([999_999]))
        );
        let rows = place.rows("notification", made.clone()).await;
        let of: Vec<&Value> = rows.iter().map(|row| &row[whose]).collect();
        assert_eq!(of, [&json!(1), &json!(2), &json!(3)]);
        if place.is_demo() {
            let row = &rows[0];
            assert_eq!((&row["title"], &row["kind"], &row["is_read"]), (&json!("T"), &json!("info"), &json!(false)));
            assert_eq!(row["created_at"], json!(task.made_at()));
        }
        // An attempt that died after the first two.
        let model = place.source.model("notification").unwrap();
        let last =
            Filter::all(model).and(words, Operator::Eq, &made[words]).unwrap().and(whose, Operator::Eq, &json!(3)).unwrap();
        assert_eq!(place.source.delete(&last, None, 10).await.unwrap().rows, 1);
        let result = place.attempt("notifications.bulk", task, 2, args.clone()).await.unwrap();
        assert_eq!((&result["notified"], &result["inserted"]), (&json!(3), &json!(1)));
        assert_eq!(place.count("notification", made.clone()).await, 3);
        // Another task says the same again.
        place.engine.clock.advance(std::time::Duration::from_secs(1));
        place.run("notifications.bulk", args).await.unwrap();
        assert_eq!(place.count("notification", made).await, 6);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_by_hand_notifies_and_mails_nobody_twice() {
    everywhere(|place| async move {
        let (words, whose) = (words(&place), if place.is_demo() { "user_id" } else { "member" });
        let made = json!({ words: "dup" });
        let args = json!({ "user_ids": [1, 2, 3], "title": "T", "message": "dup", "send_email": true });
        let last = place
            .retried_until_it_succeeds("notifications.bulk", args, || async {
                // As if it had ended before the last one.
                let model = place.source.model("notification").unwrap();
                let of_three = Filter::all(model).and(words, Operator::Eq, &made[words]).unwrap();
                let of_three = of_three.and(whose, Operator::Eq, &json!(3)).unwrap();
                assert_eq!(place.source.delete(&of_three, None, 10).await.unwrap().rows, 1);
            })
            .await;
        // The row was written anew by the first retry.
        assert_eq!((&last["notified"], &last["inserted"], &last["mails"]), (&json!(3), &json!(0), &json!(3)));
        let rows = place.rows("notification", made.clone()).await;
        let mut of: Vec<&Value> = rows.iter().map(|row| &row[whose]).collect();
        of.sort_by_key(|key| key.as_i64());
        assert_eq!(of, [&json!(1), &json!(2), &json!(3)]);
        assert_eq!(place.outbox_files(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_choose_the_users_and_each_gets_a_mail_where_asked() {
    everywhere(|place| async move {
        let pool = place.engine.start_pool().await;
        let filters = if place.is_demo() { json!({ "id": { "lte": 8 } }) } else { json!({ "number": { "lte": 8 } }) };
        let args = json!({ "filters": filters, "title": "Hours", "message": "From eight.", "send_email": true });
        let task = place.new_task();
        let first = place.attempt("notifications.bulk", task, 1, args.clone()).await.unwrap();
        let (mails, without) = if place.is_demo() { (8, 0) } else { (7, 1) };
        assert_eq!((&first["notified"], &first["mails"], &first["without_address"]), (&json!(8), &json!(mails), &json!(without)));
        let again = place.attempt("notifications.bulk", task, 2, args).await.unwrap();
        assert_eq!((&again["inserted"], &again["mails"]), (&json!(0), &json!(mails)));
        let page = legwork_engine::domain::PageRequest { after: None, limit: 100 };
        let children =
            place.engine.ground().store.list(&legwork_engine::domain::TaskFilter::default(), &page).await.unwrap().items;
        assert_eq!(children.len(), mails);
        for child in &children {
            place.engine.ended(child.id).await;
        }
        assert_eq!(place.mails().len(), mails);
        pool.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_are_notified_in_batches() {
    everywhere(|place| async move {
        let all = place.count("user", json!({})).await;
        let args = json!({ "filters": {}, "title": "T", "message": "to all" });
        let result = place.run("notifications.bulk", args).await.unwrap();
        assert_eq!((&result["notified"], &result["inserted"]), (&json!(all), &json!(all)));
        assert_eq!(place.count("notification", json!({ words(&place): "to all" })).await, all);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_named_field_by_field() {
    everywhere(|place| async move {
        let with = |more: Value| {
            let mut args = json!({ "user_ids": [1], "title": "T", "message": "M" });
            args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            args
        };
        for (args, field_error) in [
            (with(json!({ "user_ids": [] })), "/user_ids has 0 ids"),
            (with(json!({ "user_ids": null })), "/user_ids is missing"),
            (with(json!({ "user_ids": [1, "x"] })), "/user_ids/1 "),
            (with(json!({ "user_ids": vec![1; 10_001] })), "/user_ids has 10001 ids"),
            (with(json!({ "filters": {} })), "/filters must not be given together with user_ids"),
            (with(json!({ "user_ids": null, "filters": { "secret": 1 } })), "/filters/secret is no field"),
            (with(json!({ "title": "a\nb" })), "/title"),
            (with(json!({ "message": " " })), "/message is blank"),
            (with(json!({ "source": "x" })), "/source there is no source"),
        ] {
            let field_errors = place.field_errors("notifications.bulk", &args);
            assert!(field_errors.len() == 1 && field_errors[0].starts_with(field_error), "{field_errors:?}");
        }
    })
    .await;
}
