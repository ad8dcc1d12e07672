//! `content.publish_scheduled`, `content.cleanup_expired`, `notifications.cleanup`.

use serde_json::{Value, json};

use super::{Place, everywhere};

const NOW: &str = "2026-11-21T08:00:00Z";

/// State, time of publication, and their names, in either source.
fn words(place: &Place) -> [&'static str; 5] {
    if place.is_demo() {
        ["status", "scheduled", "published", "publish_at", "published_at"]
    } else {
        ["state", "later", "out", "goes_out", "went_out"]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_published_once_and_the_rest_stays() {
    everywhere(|place| async move {
        let now = place.engine.now().to_string();
        let [status, scheduled, published, publish_at, published_at] = words(&place);
        let due = place.rows("content", json!({ status: scheduled, publish_at: { "lte": now } })).await;
        let later = place.count("content", json!({ status: scheduled, publish_at: { "gt": now } })).await;
        assert!(due.len() > 10 && later > 10, "{} {later}", due.len());
        let result = place.run("content.publish_scheduled", json!({})).await.unwrap();
        let ids: Vec<Value> = due.iter().map(|row| row["id"].clone()).collect();
        assert_eq!((&result["published"], &result["ids"]), (&json!(due.len()), &json!(ids)));
        for row in place.rows("content", json!({ "id": { "in": ids } })).await {
            assert_eq!((&row[status], &row[published_at]), (&json!(published), &json!(now)));
        }
        assert_eq!(place.count("content", json!({ status: scheduled })).await, later);
        let again = place.run("content.publish_scheduled", json!({})).await.unwrap();
        assert_eq!((&again["published"], &again["ids"]), (&json!(0), &json!([])));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_and_old_logs_are_cleaned_up() {
    everywhere(|place| async move {
        assert_eq!(place.engine.now().to_string(), NOW);
        let ends = if place.is_demo() { "expires_at" } else { "ends" };
        let at = if place.is_demo() { "created_at" } else { "at" };
        let passed = json!({ ends: { "lte": NOW } });
        let (over, contents) = (place.count("content", passed.clone()).await, place.count("content", json!({})).await);
        let old = json!({ at: { "lt": "2026-08-23T08:00:00Z" } });
        let (logs, all_logs) = (place.count("activity", old.clone()).await, place.count("activity", json!({})).await);
        assert!(over > 0 && logs > 500 && logs < all_logs, "{over} {logs} {all_logs}");
        let result = place.run("content.cleanup_expired", json!({})).await.unwrap();
        assert_eq!((&result["expired"], &result["deleted_activities"]), (&json!(over), &json!(logs)));
        if place.is_demo() {
            // The application has a state for it.
            assert_eq!(place.count("content", json!({ "status": "expired" })).await, over);
            assert_eq!(place.count("content", json!({})).await, contents);
        } else {
            assert_eq!((place.count("content", passed).await, place.count("content", json!({})).await), (0, contents - over));
        }
        assert_eq!((place.count("activity", old).await, place.count("activity", json!({})).await), (0, all_logs - logs));
        let again = place.run("content.cleanup_expired", json!({ "days": 1 })).await.unwrap();
        assert_eq!(again["expired"], json!(0));
        assert!(place.count("activity", json!({ at: { "lt": "2026-11-20T08:00:00Z" } })).await == 0);
        for days in [0, 3_651] {
            let field_errors = place.field_errors("content.cleanup_expired", &json!({ "days": days }));
            assert!(field_errors.len() == 1 && field_errors[0].starts_with("/days"), "{field_errors:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_notifications_go_when_they_are_old_and_unread_ones_stay() {
    everywhere(|place| async move {
        let [read, at] = if place.is_demo() { ["is_read", "created_at"] } else { ["seen", "made"] };
        let old = json!({ read: true, at: { "lt": "2026-08-23T08:00:00Z" } });
        let (gone, all) = (place.count("notification", old.clone()).await, place.count("notification", json!({})).await);
        assert!(gone > 0 && gone < all);
        let result = place.run("notifications.cleanup", json!({})).await.unwrap();
        assert_eq!((&result["deleted"], &result["before"]), (&json!(gone), &json!("2026-08-23T08:00:00Z")));
        assert_eq!((place.count("notification", old).await, place.count("notification", json!({})).await), (0, all - gone));
        assert_eq!(place.run("notifications.cleanup", json!({})).await.unwrap()["deleted"], json!(0));
    })
    .await;
}
