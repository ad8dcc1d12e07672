//! Rows of schedules that cannot be read: they harm nobody but themselves, and nothing of them is destroyed.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use legwork_engine::broker::SharedBroker;
use legwork_engine::broker::memory::MemoryBroker;
use legwork_engine::clock::ManualClock;
use legwork_engine::domain::{Declaration, DeclaredSchedule, FiringOutcome, ScheduleRow};
use legwork_engine::queue::schedules::{ScheduleDraft, ScheduleOpError};
use legwork_engine::store::encrypted::{EncryptedStore, KeyRing};
use legwork_engine::store::sqlite::SqliteStore;
use legwork_engine::store::{ScheduleKey, Store};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};

use crate::engine::schedules::{create, every, firings, key, outcomes};
use crate::support::engine::Engine;
use crate::support::postgres::{in_schema, observer};
use crate::support::service::TestService;
use crate::support::stores::key_ring;
use crate::support::tasks::start;

fn engine_over(clear: &Arc<dyn Store>, keys: KeyRing) -> Engine {
    let clock = Arc::new(ManualClock::at(start()));
    let broker: SharedBroker = Arc::new(MemoryBroker::default());
    Engine::over(Arc::new(EncryptedStore::over(clear.clone(), keys)), broker, clock)
}

/// What is stored of a schedule, as it is stored.
async fn row_of(clear: &Arc<dyn Store>, name: &str) -> ScheduleRow {
    clear.find_schedule(&ScheduleKey::Name(name.into())).await.unwrap().unwrap().unwrap()
}

/// A process that starts with the wrong key, or with none: also one that synchronizes packs, as each start does.
async fn a_wrong_key_destroys_nothing(clear: Arc<dyn Store>) {
    let with_key = engine_over(&clear, key_ring(&["k1"]));
    create(&with_key, "mine", every(&with_key, 5, "system.echo"), json!({ "secret": 1 })).await;
    let declared = |minutes| {
        let spec = every(&with_key, minutes, "system.echo");
        let declaration = Declaration { spec, args: json!({ "secret": minutes }).to_string(), enabled: true };
        [DeclaredSchedule { name: "packed".into(), declaration }]
    };
    with_key.queue.sync_schedules("shop", &declared(5)).await.unwrap();
    let before = [row_of(&clear, "mine").await, row_of(&clear, "packed").await];

    for keys in [key_ring(&["k2"]), KeyRing::default()] {
        let without = engine_over(&clear, keys);
        let report = without.queue.sync_schedules("shop", &declared(10)).await.unwrap();
        assert_eq!((report.unreadable.as_slice(), report.changed.len()), (&["packed".to_owned()][..], 0));
        let mine = key("mine");
        let edit = without.queue.change_schedule(&mine, |row| {
            Ok(ScheduleDraft { name: "other".into(), spec: row.spec.clone(), args: "{}".into(), enabled: true })
        });
        let refused = edit.await.unwrap_err();
        assert!(matches!(&refused, ScheduleOpError::Encrypted(reason) if reason.contains("k1")), "{refused}");
        let mine = without.queue.schedule(&mine).await.unwrap();
        let refused = without.queue.run_schedule(&mine, &"ann".into()).await.unwrap_err();
        assert!(matches!(refused, ScheduleOpError::Encrypted(_)), "{refused}");
        assert_eq!([row_of(&clear, "mine").await, row_of(&clear, "packed").await], before);
    }

    // Another process may have the key; after a while the firing is refused, and says why.
    let without = engine_over(&clear, key_ring(&["k2"]));
    let scheduler = without.scheduler();
    without.clock.advance(Duration::from_mins(5));
    scheduler.fire_schedules().await.unwrap();
    assert_eq!(firings(&without, &before[0]).await, []);
    without.clock.advance(Duration::from_secs(61));
    scheduler.fire_schedules().await.unwrap();
    let refused = firings(&without, &before[0]).await.pop().unwrap();
    assert_eq!((refused.outcome, refused.task), (FiringOutcome::Refused, None));
    assert!(refused.reason.unwrap().contains("encrypted with the key \"k1\""));
    let after = row_of(&clear, "mine").await;
    assert_eq!((&after.args, after.enabled), (&before[0].args, true));
    // With the key it goes on.
    with_key.clock.advance(Duration::from_mins(10));
    with_key.scheduler().fire_schedules().await.unwrap();
    assert_eq!(outcomes(&firings(&with_key, &before[0]).await), [FiringOutcome::Refused, FiringOutcome::Fired]);
    // Without it, it is disabled and deleted all the same.
    let service = TestService::over(without.clone());
    let shown = service.get("/api/v1/schedules/mine").await.json();
    assert!(shown["args"] == json!(null) && shown["args_hidden"].as_str().unwrap().contains("k1"), "{shown}");
    let disabled = service.post("/api/v1/schedules/mine/disable", &json!(null)).await;
    assert_eq!((disabled.status, &disabled.json()["enabled"]), (StatusCode::OK, &json!(false)));
    assert_eq!(row_of(&clear, "mine").await.args, before[0].args);
    assert_eq!(service.post("/api/v1/schedules/mine/enable", &json!(null)).await.status, StatusCode::CONFLICT);
    assert_eq!(service.delete("/api/v1/schedules/mine").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_destroys_nothing_in_sqlite() {
    crate::support::stores::sqlite(a_wrong_key_destroys_nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_destroys_nothing_in_postgres() {
    crate::support::stores::postgres(a_wrong_key_destroys_nothing).await;
}

/// Two schedules, of which the first to be due is spoilt by a newer version.
const SPOIL: &str = r#"UPDATE schedules SET spec = '{"kind":"system.echo","timing":{"type":"moon"}}' WHERE name = 'bad'"#;

async fn two_schedules(store: &Arc<dyn Store>) -> (Engine, ScheduleRow) {
    let engine = engine_over(store, KeyRing::default());
    create(&engine, "bad", every(&engine, 5, "system.echo"), json!({})).await;
    let good = create(&engine, "good", every(&engine, 6, "system.echo"), json!({})).await;
    (engine, good)
}

async fn a_spoilt_row_stops_no_other(engine: Engine, good: ScheduleRow) {
    engine.clock.advance(Duration::from_mins(8));
    engine.scheduler().fire_schedules().await.unwrap();
    assert_eq!(outcomes(&firings(&engine, &good).await), [FiringOutcome::Fired]);
    assert!(engine.queue.schedule_lateness().await.unwrap().is_zero(), "the process stays ready");

    let service = TestService::over(engine.clone());
    let listed = service.get("/api/v1/schedules").await.json();
    assert_eq!((&listed["items"][0]["name"], listed["items"].as_array().unwrap().len()), (&json!("good"), 1));
    let bad = &listed["unreadable"][0];
    assert_eq!((&bad["name"], &bad["enabled"]), (&json!("bad"), &json!(true)));
    assert!(bad["reason"].as_str().unwrap().contains("moon"), "{bad}");
    let path = format!("/api/v1/schedules/{}", bad["id"].as_str().unwrap());
    for answer in [service.get(&path).await, service.patch("/api/v1/schedules/bad", &json!({ "enabled": true })).await] {
        assert_eq!((answer.status, answer.text_at("/code").as_str()), (StatusCode::CONFLICT, "unreadable"), "{answer}");
    }
    assert_eq!(service.post(&format!("{path}/disable"), &json!(null)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(service.get("/api/v1/schedules").await.json()["unreadable"][0]["enabled"], false);
    assert_eq!(engine.scheduler().fire_schedules().await.unwrap(), 0);
    assert_eq!(service.delete("/api/v1/schedules/bad").await.status, StatusCode::NO_CONTENT);
    assert_eq!(service.get("/api/v1/schedules").await.json()["unreadable"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoilt_row_stops_no_other_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legwork.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.unwrap());
    store.migrate().await.unwrap();
    let (engine, good) = two_schedules(&store).await;
    SqliteConnectOptions::new().filename(&path).connect().await.unwrap().execute(SPOIL).await.unwrap();
    a_spoilt_row_stops_no_other(engine, good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoilt_row_stops_no_other_in_postgres() {
    in_schema(|store, schema| async move {
        let (engine, good) = two_schedules(&store).await;
        observer(&schema).await.execute(SPOIL).await.unwrap();
        a_spoilt_row_stops_no_other(engine, good).await;
    })
    .await;
}
