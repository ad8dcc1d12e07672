//! What is read is the same from both databases.

use legwork_engine::domain::TaskFailure;
use legwork_source::{Aggregation, Chunk, Filter, Group, Measure, Operator, Order, Query, SourceError, rows_of};
use serde_json::{Map, json};
use tokio::sync::mpsc;

use super::{both, found, ids, model, sources};

#[tokio::test]
async fn every_operator_finds_the_same_rows_on_both_databases() {
    both(|source| async move {
        for (filters, expected) in [
            (json!({}), vec![1, 2, 3, 4, 5]),
            (json!({ "id": 2 }), vec![2]),
            (json!({ "id": { "eq": 2 } }), vec![2]),
            (json!({ "id": { "ne": 2 } }), vec![1, 3, 4, 5]),
            (json!({ "id": { "lt": 2 } }), vec![1]),
            (json!({ "id": { "lte": 2 } }), vec![1, 2]),
            (json!({ "id": { "gt": 4 } }), vec![5]),
            (json!({ "id": { "gte": 4 } }), vec![4, 5]),
            (json!({ "id": { "gte": 2, "lt": 4 } }), vec![2, 3]),
            (json!({ "id": { "in": [5, 1, 99] } }), vec![1, 5]),
            (json!({ "id": { "is_null": true } }), vec![]),
            (json!({ "name": "=1+1" }), vec![3]),
            (json!({ "name": { "contains": "o" } }), vec![2, 4, 5]),
            (json!({ "name": { "contains": "A" } }), vec![1]),
            (json!({ "name": { "contains": "%" } }), vec![]),
            (json!({ "name": { "contains": "✓" } }), vec![5]),
            (json!({ "name": { "in": ["Ann", "two\nlines"] } }), vec![1, 4]),
            (json!({ "name": "' OR '1'='1" }), vec![]),
            (json!({ "name": { "in": ["'); DROP TABLE people; --", "\"", "]"] } }), vec![]),
            (json!({ "name": { "lt": "B" } }), vec![1, 3]),
            (json!({ "mood": "glad" }), vec![1, 4]),
            (json!({ "mood": { "ne": "glad" } }), vec![2, 3, 5]),
            (json!({ "mood": null }), vec![3]),
            (json!({ "mood": { "ne": null } }), vec![1, 2, 4, 5]),
            (json!({ "mood": { "is_null": false } }), vec![1, 2, 4, 5]),
            (json!({ "height": { "gt": 0 } }), vec![1, 4]),
            (json!({ "height": { "lte": -2.5 } }), vec![2]),
            (json!({ "height": { "in": [1.75, 180] } }), vec![1, 4]),
            (json!({ "is_here": true }), vec![1, 4]),
            (json!({ "is_here": { "ne": true } }), vec![2, 3, 5]),
            (json!({ "is_here": { "in": [true, false] } }), vec![1, 2, 4, 5]),
            (json!({ "born": "1990-05-01" }), vec![1]),
            (json!({ "born": { "lt": "1980-01-02" } }), vec![2, 5]),
            (json!({ "born": { "in": ["1970-01-01"] } }), vec![5]),
            (json!({ "seen_at": "2026-01-31T13:00:00+01:00" }), vec![1]),
            (json!({ "seen_at": { "gte": "2026-01-01", "lt": "2026-02-01" } }), vec![1]),
            (json!({ "seen_at": { "gt": "2026-02-01T00:00:00.499Z" } }), vec![2]),
            (json!({ "seen_at": { "in": ["1970-01-01T00:00:00Z"] } }), vec![5]),
            (json!({ "token": "0190F3A5-7C3E-7B60-8F3D-5A1E6F0B9C2D" }), vec![1]),
            (json!({ "token": { "in": ["0190f3a57c3e7b608f3d5a1e6f0b9c2e"] } }), vec![4]),
            (json!({ "token": { "ne": "0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c2d" } }), vec![2, 3, 4, 5]),
            (json!({ "extra": { "is_null": false } }), vec![1, 4, 5]),
            (json!({ "odd": "" }), vec![2]),
            (json!({ "is_here": true, "height": { "lt": 100 } }), vec![1]),
        ] {
            assert_eq!(ids(&source, &filters).await, expected, "{filters}");
            let filter = Filter::parse(&model(&source, "person"), filters.as_object().unwrap(), "").unwrap();
            assert_eq!(source.count(&filter).await.unwrap(), expected.len() as u64, "{filters}");
            let query = Query::parse(&model(&source, "person"), &["id".into()], filters.as_object().unwrap()).unwrap();
            let (chunks, _) = copied(&source, &query).await;
            let mut copied: Vec<i64> =
                chunks.iter().flat_map(|chunk| rows_of(query.fields(), chunk)).map(|row| row["id"].as_i64().unwrap()).collect();
            copied.sort_unstable();
            assert_eq!(copied, expected, "copied: {filters}");
        }
    })
    .await;
}

pub async fn copied(source: &legwork_source::Source, query: &Query) -> (Vec<Chunk>, u64) {
    let (sender, mut receiver) = mpsc::channel(4);
    let mut total = 0;
    let (sent, chunks) = tokio::join!(source.copy(query, |rows| total = rows, sender), async {
        let mut chunks = Vec::new();
        while let Some(chunk) = receiver.recv().await {
            chunks.push(chunk);
        }
        chunks
    });
    assert_eq!(sent.unwrap(), chunks.iter().map(|chunk| chunk.rows).sum::<u64>());
    (chunks, total)
}

#[tokio::test]
async fn a_row_is_the_same_json_from_both_databases_read_or_streamed() {
    both(|source| async move {
        let person = model(&source, "person");
        let rows = found(&source, &json!({})).await;
        assert_eq!(
            json!(rows[0]),
            json!({
                "id": 1, "name": "Ann", "mood": "glad", "height": 1.75, "is_here": true, "born": "1990-05-01",
                "seen_at": "2026-01-31T12:00:00Z", "token": "0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c2d", "extra": { "a": 1 }, "odd": "x",
            })
        );
        assert_eq!((&rows[1]["name"], &rows[1]["odd"], &rows[1]["token"]), (&json!("Bob \"the, builder\""), &json!(""), &json!(null)));
        assert_eq!(rows[1]["seen_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap(), "2026-02-01T00:00:00.5Z".parse().unwrap());
        assert_eq!((&rows[3]["name"], &rows[4]["name"]), (&json!("two\nlines"), &json!("Zoë ✓ 名")));
        let query = Query::parse(&person, &[], &Map::new()).unwrap();
        let (chunks, _) = copied(&source, &query).await;
        assert_eq!(rows_of(query.fields(), &chunks[0]), rows);
        assert_eq!(source.find(&person, &json!(3)).await.unwrap().unwrap(), rows[2]);
        assert_eq!(source.find(&person, &json!(99)).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn pages_follow_the_key() {
    both(|source| async move {
        let query = Query::of(Filter::all(&model(&source, "person")));
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = source.page(&query, after.as_ref(), 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last["id"].clone());
            seen.extend(page.iter().map(|row| row["id"].as_i64().unwrap()));
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    })
    .await;
}

#[tokio::test]
async fn tallies_count_by_field_and_by_day() {
    both(|source| async move {
        let all = Filter::all(&model(&source, "person"));
        let aggregation = |groups: Vec<Group>, order| Aggregation {
            filter: all.clone(),
            groups,
            measures: vec![
                Measure::Sum("height".into()),
                Measure::Distinct("mood".into()),
                Measure::Mean("id".into()),
                Measure::Present("token".into()),
            ],
            order,
            limit: 10,
        };
        let total = source.aggregate(&aggregation(vec![], Order::Group)).await.unwrap();
        assert_eq!((total[0].count, &total[0].measures), (5, &vec![Some(179.25), Some(2.0), Some(3.0), Some(2.0)]));
        let by_id = source
            .aggregate(&Aggregation { limit: 2, ..aggregation(vec![Group::Field("id".into())], Order::Group) })
            .await
            .unwrap();
        assert_eq!(by_id.iter().map(|row| &row.group[0]).collect::<Vec<_>>(), [&json!(1), &json!(2)]);
        let by_here = source.aggregate(&aggregation(vec![Group::Field("is_here".into())], Order::Count)).await.unwrap();
        let counts: Vec<(String, u64)> = by_here.iter().map(|row| (row.group[0].to_string(), row.count)).collect();
        assert_eq!(counts, [("false".into(), 2), ("true".into(), 2), ("null".into(), 1)]);
        let seen = all.clone().and("seen_at", Operator::Gte, &json!("2025-01-01")).unwrap();
        let by_day =
            Aggregation { filter: seen, measures: vec![], ..aggregation(vec![Group::Day("seen_at".into())], Order::Group) };
        let days: Vec<(String, u64)> = source
            .aggregate(&by_day)
            .await
            .unwrap()
            .iter()
            .map(|row| (row.group[0].as_str().unwrap().into(), row.count))
            .collect();
        assert_eq!(days, [("2025-12-31".into(), 1), ("2026-01-31".into(), 1), ("2026-02-01".into(), 1)]);
        let missing = source.aggregate(&aggregation(vec![Group::Day("nope".into())], Order::Group)).await.unwrap_err();
        assert!(missing.to_string().contains("has no field \"nope\""));
    })
    .await;
}

#[tokio::test]
async fn a_missing_table_or_column_is_a_failure_that_says_so() {
    both(|source| async move {
        for (name, word) in [("ghost", "ghosts"), ("hollow", "nothing")] {
            let query = Query::of(Filter::all(&model(&source, name)));
            let error = source.page(&query, None, 1).await.unwrap_err();
            assert!(matches!(&error, SourceError::Mismatch { .. }) && error.to_string().contains(word), "{error}");
            assert!(error.to_string().contains("is not as declared"), "{error}");
            let (sender, _receiver) = mpsc::channel(1);
            assert!(matches!(source.copy(&query, drop, sender).await.unwrap_err(), SourceError::Mismatch { .. }));
            assert!(
                matches!(legwork::kinds::source_failure(error), TaskFailure::Fail(report) if report.kind == "SourceMismatch")
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_source_that_is_away_is_tried_again() {
    for url in ["postgres://nobody@127.0.0.1:1/none", "sqlite:/nowhere/at/all.db"] {
        let sources = sources(url, "");
        let source = sources.get(Some("app")).unwrap();
        let error = source.ping().await.unwrap_err();
        assert!(matches!(&error, SourceError::Away { .. }), "{url}: {error:?}");
        let query = Query::of(Filter::all(&model(source, "person")));
        let (sender, _receiver) = mpsc::channel(1);
        let error = source.copy(&query, drop, sender).await.unwrap_err();
        assert!(
            matches!(legwork::kinds::source_failure(error), TaskFailure::Retry { error, .. } if error.kind == "SourceUnavailable"),
            "{url}"
        );
    }
}

#[tokio::test]
async fn an_unknown_source_or_model_is_told_with_those_that_there_are() {
    let sources = sources("sqlite:/nowhere.db", "");
    assert_eq!(sources.get(Some("shop")).err().unwrap(), "there is no source \"shop\"; there are app");
    let error = sources.get(None).unwrap().model("user\"; --").err().unwrap();
    assert_eq!(error, "there is no model \"user\\\"; --\" in the source app; there are closed, crowd, ghost, hollow, person");
}

#[tokio::test]
async fn who_stops_listening_ends_the_stream() {
    both(|source| async move {
        let query = Query::of(Filter::all(&model(&source, "person")));
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        source.copy(&query, drop, sender).await.unwrap();
        source.ping().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn chunks_are_of_one_size_however_many_rows_there_are_and_wait_for_who_reads() {
    both(|source| async move {
        let query = Query::of(Filter::all(&model(&source, "crowd")));
        let (sender, mut receiver) = mpsc::channel(1);
        let mut total = 0;
        let copying = source.copy(&query, |rows| total = rows, sender);
        let reading = async {
            let mut seen = Vec::new();
            while let Some(chunk) = receiver.recv().await {
                assert!(chunk.bytes.len() < 160 * 1024 && chunk.bytes.ends_with(b"\n"));
                seen.push(chunk.rows);
            }
            seen
        };
        let (sent, seen) = tokio::join!(copying, reading);
        assert_eq!((sent.unwrap(), seen.iter().sum::<u64>()), (40_000, 40_000));
        assert!(seen.len() > 8 && total > 0, "{seen:?} of {total}");
    })
    .await;
}

#[tokio::test]
async fn a_stream_shows_one_moment_whatever_is_written_meanwhile() {
    both(|source| async move {
        let person = model(&source, "person");
        let many: Vec<_> = (100..6_100)
            .map(|id| json!({ "id": id, "name": "n".repeat(90), "odd": "x".repeat(100) }).as_object().unwrap().clone())
            .collect();
        source.insert(&person, &many, &[]).await.unwrap();
        let query = Query::of(Filter::all(&person));
        let (sender, mut receiver) = mpsc::channel(1);
        let (sent, rows) = tokio::join!(source.copy(&query, drop, sender), async {
            let mut rows = receiver.recv().await.unwrap().rows;
            let new = json!({ "id": 99_999, "name": "late" }).as_object().unwrap().clone();
            source.insert(&person, &[new], &[]).await.unwrap();
            source.delete(&Filter::all(&person), None, 10_000).await.unwrap();
            while let Some(chunk) = receiver.recv().await {
                rows += chunk.rows;
            }
            rows
        });
        assert_eq!((sent.unwrap(), rows), (6_005, 6_005));
        assert_eq!(source.count(&Filter::all(&person)).await.unwrap(), 0);
    })
    .await;
}
