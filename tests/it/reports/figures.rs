//! The figures of a report, counted by hand.

use serde_json::{Value, json};

use super::{both, january};

/// The points of a series that are not all zero.
fn rendered(result: &Value) -> Vec<Value> {
    let is_shown =
        |point: &&Value| point.as_object().unwrap().values().any(|value| value.as_u64().is_some_and(|value| value > 0));
    result["series"].as_array().unwrap().iter().filter(is_shown).cloned().collect()
}

#[tokio::test]
async fn activity_is_counted_from_the_first_second_to_the_last() {
    both(|bench| async move {
        let result = bench.run(&january("activity")).await;
        assert_eq!(result["totals"], json!({ "actions": 6, "active_users": 3, "action_kinds": 2 }));
        assert_eq!((&result["step"], result["series"].as_array().unwrap().len()), (&json!("day"), 31));
        let points = json!([
            { "date": "2024-01-01", "actions": 3, "active_users": 2 },
            { "date": "2024-01-15", "actions": 2, "active_users": 1 },
            { "date": "2024-01-31", "actions": 1, "active_users": 1 },
        ]);
        assert_eq!(json!(rendered(&result)), points);
        assert_eq!(
            result["top"]["actions"],
            json!([{ "key": "view", "label": "view", "count": 4 }, { "key": "login", "label": "login", "count": 2 }])
        );
        let users = result["top"]["users"].as_array().unwrap();
        assert_eq!(users[0], json!({ "key": 1, "label": "Ada Mensah (1)", "count": 3 }));
        for one in [
            json!({ "key": 2, "label": "Bob Osei (2)", "count": 1 }),
            json!({ "key": 3, "label": "Eve <b>&\" (3)", "count": 1 }),
            json!({ "key": null, "label": "(none)", "count": 1 }),
        ] {
            assert!(users.contains(&one), "{users:?}");
        }
        let compared = json!({
            "date_from": "2023-12-01",
            "date_to": "2023-12-31",
            "totals": {
                "actions": { "previous": 2, "change": 4, "percent": 200.0 },
                "active_users": { "previous": 2, "change": 1, "percent": 50.0 },
                "action_kinds": { "previous": 2, "change": 0, "percent": 0.0 },
            },
        });
        assert_eq!(result["comparison"], compared);
    })
    .await;
}

#[tokio::test]
async fn users_are_counted_with_those_who_came_before() {
    both(|bench| async move {
        let result = bench.run(&january("users")).await;
        assert_eq!(result["totals"], json!({ "new_users": 2, "users": 4, "active_users": 3 }));
        let series = result["series"].as_array().unwrap();
        assert_eq!(series[0], json!({ "date": "2024-01-01", "new_users": 0, "users": 2, "active_users": 2 }));
        assert_eq!(series[1], json!({ "date": "2024-01-02", "new_users": 1, "users": 3, "active_users": 0 }));
        assert_eq!(series[30], json!({ "date": "2024-01-31", "new_users": 1, "users": 4, "active_users": 1 }));
        assert_eq!(
            result["top"]["statuses"],
            json!([{ "key": 1, "label": "active", "count": 1 }, { "key": 2, "label": "suspended", "count": 1 }])
        );
        assert_eq!(result["top"]["users"][0]["label"], "Ada Mensah (1)");
        let compared = &result["comparison"]["totals"];
        assert_eq!(compared["new_users"], json!({ "previous": 1, "change": 1, "percent": 100.0 }));
        assert_eq!(compared["users"], json!({ "previous": 2, "change": 2, "percent": 100.0 }));
    })
    .await;
}

#[tokio::test]
async fn contents_are_counted_by_their_creation_and_their_publication() {
    both(|bench| async move {
        let result = bench.run(&january("content")).await;
        assert_eq!(result["totals"], json!({ "created": 2, "published": 2, "contents": 3, "views": 10 }));
        let points = json!([
            { "date": "2024-01-02", "created": 0, "published": 1 },
            { "date": "2024-01-05", "created": 1, "published": 0 },
            { "date": "2024-01-06", "created": 0, "published": 1 },
            { "date": "2024-01-31", "created": 1, "published": 0 },
        ]);
        assert_eq!(json!(rendered(&result)), points);
        // Who is no admin is called by the key.
        assert_eq!(
            result["top"]["authors"],
            json!([{ "key": 1, "label": "Root (1)", "count": 1 }, { "key": 2, "label": "2", "count": 1 }])
        );
        assert_eq!(result["top"]["kinds"][0], json!({ "key": "event", "label": "event", "count": 1 }));
        let compared = &result["comparison"]["totals"];
        assert_eq!(compared["created"], json!({ "previous": 1, "change": 1, "percent": 100.0 }));
        assert_eq!(compared["published"], json!({ "previous": 0, "change": 2, "percent": null }));
        assert_eq!(compared["views"], json!({ "previous": 7, "change": 3, "percent": 42.9 }));
    })
    .await;
}

#[tokio::test]
async fn a_long_range_is_told_by_weeks_that_start_on_monday() {
    both(|bench| async move {
        let args = json!({ "report_type": "activity", "date_from": "2023-12-01", "date_to": "2024-04-30" });
        let result = bench.run(&args).await;
        assert_eq!((&result["step"], &result["totals"]["actions"]), (&json!("week"), &json!(9)));
        let points = json!([
            { "date": "2023-12-01", "actions": 1, "active_users": 1 },
            { "date": "2023-12-25", "actions": 1, "active_users": 1 },
            { "date": "2024-01-01", "actions": 3, "active_users": 2 },
            { "date": "2024-01-15", "actions": 2, "active_users": 1 },
            { "date": "2024-01-29", "actions": 2, "active_users": 2 },
        ]);
        assert_eq!(json!(rendered(&result)), points);
        assert!(bench.page(&result).await.contains("by week"));
    })
    .await;
}

#[tokio::test]
async fn a_single_day_is_a_range() {
    both(|bench| async move {
        let args = json!({ "report_type": "activity", "date_from": "2024-01-01", "date_to": "2024-01-01" });
        let result = bench.run(&args).await;
        assert_eq!(result["series"], json!([{ "date": "2024-01-01", "actions": 3, "active_users": 2 }]));
        assert_eq!(result["comparison"]["totals"]["actions"], json!({ "previous": 1, "change": 2, "percent": 200.0 }));
    })
    .await;
}
