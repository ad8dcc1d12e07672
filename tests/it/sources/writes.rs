//! What kinds may change in the application's tables.

use legwork_source::{Batch, Filter, Operator, Row, SourceError};
use serde_json::{Value, json};

use super::{both, found, ids, model};

fn row(value: &Value) -> Row {
    value.as_object().unwrap().clone()
}

#[tokio::test]
async fn rows_are_inserted_once_and_read_back_as_they_were() {
    both(|source| async move {
        let person = model(&source, "person");
        let rows: Vec<Row> = (6..9)
            .map(|id| {
                row(&json!({
                    "id": id, "name": format!("N\"{id}"), "mood": "sad", "height": 1.5, "is_here": true, "born": "2000-01-02",
                    "seen_at": "2026-03-01T08:00:00Z", "token": null, "extra": { "k": [id] }, "odd": "it's",
                }))
            })
            .collect();
        assert_eq!(source.insert(&person, &rows[..2], &["id"]).await.unwrap(), 2);
        assert_eq!(source.insert(&person, &rows, &["name", "seen_at", "token"]).await.unwrap(), 1);
        assert_eq!(source.insert(&person, &[], &[]).await.unwrap(), 0);
        assert_eq!(found(&source, &json!({ "id": { "gt": 5 } })).await, rows);
    })
    .await;
}

#[tokio::test]
async fn rows_are_changed_in_batches_that_end() {
    both(|source| async move {
        let person = model(&source, "person");
        let filter = Filter::all(&person).and("id", Operator::Ne, &json!(3)).unwrap();
        let set = row(&json!({ "odd": "done", "seen_at": "2026-05-05T05:05:05Z", "is_here": false, "mood": null }));
        let mut done = 0;
        let mut after = None;
        loop {
            let Batch { rows, next } = source.update(&filter, &set, after.as_ref(), 3).await.unwrap();
            done += rows;
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(done, 4);
        let wanted = json!({ "odd": "done", "seen_at": "2026-05-05T05:05:05Z", "is_here": false, "mood": null });
        assert_eq!(ids(&source, &wanted).await, [1, 2, 4, 5]);
    })
    .await;
}

#[tokio::test]
async fn rows_are_deleted_in_batches_that_end() {
    both(|source| async move {
        let person = model(&source, "person");
        let filter = Filter::all(&person).and("id", Operator::Lte, &json!(4)).unwrap();
        assert_eq!(source.delete(&filter, None, 2).await.unwrap(), Batch { rows: 2, next: Some(json!(2)) });
        assert_eq!(source.delete(&filter, Some(&json!(2)), 2).await.unwrap(), Batch { rows: 2, next: Some(json!(4)) });
        assert_eq!(source.delete(&filter, Some(&json!(4)), 2).await.unwrap(), Batch { rows: 0, next: None });
        assert_eq!(ids(&source, &json!({})).await, [5]);
    })
    .await;
}

#[tokio::test]
async fn what_the_declaration_does_not_open_is_not_written() {
    both(|source| async move {
        let closed = model(&source, "closed");
        let error = source.insert(&closed, &[row(&json!({ "id": 9 }))], &[]).await.unwrap_err();
        assert!(error.to_string().contains("set write = true in [sources.app.models.closed]"), "{error}");
        source.delete(&Filter::all(&closed), None, 10).await.unwrap_err();
        let unknown =
            source.insert(&model(&source, "person"), &[row(&json!({ "id\") VALUES (1)--": 9 }))], &[]).await.unwrap_err();
        assert!(matches!(unknown, SourceError::Undeclared(_)));
        let twice = source.insert(&model(&source, "person"), &[row(&json!({ "id": 1 }))], &[]).await.unwrap_err();
        assert!(matches!(twice, SourceError::Refused { .. }), "{twice:?}");
        assert_eq!(ids(&source, &json!({})).await, [1, 2, 3, 4, 5]);
    })
    .await;
}
