//! Encryption at rest: what a thief of the database finds, what a lost key costs, and that nobody else notices.

use std::sync::Arc;

use legwork_engine::broker::SharedBroker;
use legwork_engine::broker::memory::MemoryBroker;
use legwork_engine::clock::ManualClock;
use legwork_engine::domain::{Next, PageRequest, Progress, TaskFilter, TaskStatus};
use legwork_engine::queue::control::ControlError;
use legwork_engine::store::encrypted::{EncryptedStore, KeyRing, encrypted_with};
use legwork_engine::store::sqlite::SqliteStore;
use legwork_engine::store::{EffectRecord, LedgerEntry, LedgerState, StartAnswer, StartBatch, Store};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};

use crate::outbound::receiver::{Receiver, answer};
use crate::support::engine::{Engine, ann};
use crate::support::postgres::{in_schema, observer};
use crate::support::probe::Switch;
use crate::support::stores::key_ring;
use crate::support::tasks::{at, dispatched, insert, mishap, reference, settle, start, start_ref, started, task, worker};

const SECRET: &str = "do not tell anyone";

fn over(store: &Arc<dyn Store>, keys: &[&str]) -> Arc<dyn Store> {
    Arc::new(EncryptedStore::over(store.clone(), key_ring(keys)))
}

/// Leaves every sort of text that is encrypted in the store.
async fn leave_secrets(store: &Arc<dyn Store>) {
    let secret = || json!({ "secret": SECRET }).to_string();
    let mut new = task(0);
    new.args = secret();
    new.callback_url = Some("https://example.org/hook".into());
    let first = started(store, new, 1).await;
    let progress = Progress { done: 1, total: None, message: Some(SECRET.into()) };
    assert!(store.write_progress(first.id, first.attempt, &progress, at(1)).await.unwrap());
    let entry = LedgerEntry {
        task: first.id,
        part: 0,
        recipient: SECRET.into(),
        message_id: "<1@example.org>".into(),
        state: LedgerState::Sending,
        response: Some(SECRET.into()),
        updated_at: at(1),
    };
    assert!(store.claim_mail(&entry, first.attempt, false).await.unwrap());
    store.write_ledger(&[LedgerEntry { part: 1, ..entry.clone() }]).await.unwrap();
    let effect = EffectRecord { task: first.id, part: "effect".into(), outcome: secret(), recorded_at: at(1) };
    store.record_effect(&effect).await.unwrap();
    assert_eq!(store.effect_outcome(first.id, "effect").await.unwrap(), Some(secret()));
    assert_eq!(store.read_ledger(first.id).await.unwrap()[0], entry);
    settle(store, &first, at(2), Next::success(secret())).await;

    for next in [
        Next::Retry { due_at: at(9), error: error() },
        Next::Crashed { due_at: at(9), crashes: 1, error: error() },
        Next::failure(error()),
    ] {
        let mut new = task(3);
        new.args = secret();
        new.callback_url = Some("https://example.org/hook".into());
        let started_task = started(store, new, 1).await;
        settle(store, &started_task, at(4), next).await;
        assert_eq!(store.find(started_task.id).await.unwrap().unwrap().error, Some(error()));
        assert!(store.attempts(started_task.id).await.unwrap().iter().all(|attempt| attempt.error == Some(error())));
    }
    let mut waits = task(5);
    waits.args = secret();
    insert(store, &[dispatched(waits)]).await;
}

fn error() -> legwork_engine::domain::ErrorReport {
    legwork_engine::domain::ErrorReport { message: SECRET.into(), ..mishap() }
}

#[tokio::test]
async fn a_thief_of_the_sqlite_file_learns_no_args_results_or_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legwork.db");
    let clear: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.unwrap());
    let store = over(&clear, &["k1"]);
    store.migrate().await.unwrap();
    leave_secrets(&store).await;
    store.close().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    }
}

#[tokio::test]
async fn a_thief_of_the_postgres_schema_learns_no_args_results_or_errors() {
    in_schema(|clear, schema| async move {
        leave_secrets(&over(&clear, &["k1"])).await;
        let mut thief = observer(&schema).await;
        let mut seen = String::new();
        for table in ["tasks", "task_results", "attempts", "mail_ledger", "effects", "idempotency_keys", "workers", "queues"] {
            let rows = sqlx::query(AssertSqlSafe(format!("SELECT t::text FROM {table} t"))).fetch_all(&mut thief).await.unwrap();
            seen.extend(rows.iter().map(|row| row.get::<String, _>(0)));
        }
        assert!(!seen.contains(SECRET) && seen.contains("sealed:1:k1:"), "{seen}");
    })
    .await;
}

/// What is in clear, what two keys encrypted, and what is left when one of them is gone: on either side.
async fn keys_come_and_go(clear: Arc<dyn Store>) {
    let dispatches = [&[][..], &["k1"], &["k2", "k1"]];
    let mut ids = Vec::new();
    for (n, keys) in (0_i64..).zip(dispatches) {
        let store = over(&clear, keys);
        let ended = started(&store, task(n * 10), 1).await;
        settle(&store, &ended, at(n * 10 + 1), Next::failure(error())).await;
        let mut waiting = task(n * 10 + 5);
        waiting.args = json!({ "n": n }).to_string();
        insert(&store, &[dispatched(waiting.clone())]).await;
        ids.push((ended.id, waiting.id));
    }
    // With both keys all is read.
    let both = over(&clear, &["k2", "k1"]);
    for (n, (ended, waiting)) in (0_i64..).zip(&ids) {
        assert_eq!(both.find(*ended).await.unwrap().unwrap().error, Some(error()), "{n}");
        assert_eq!(both.find(*waiting).await.unwrap().unwrap().args, json!({ "n": n }).to_string());
    }
    let listed = both.list(&TaskFilter::default(), &PageRequest { after: None, limit: 50 }).await.unwrap();
    assert!(listed.items.iter().all(|row| row.error.is_none() || row.error == Some(error())));
    // Without the first key its rows say so, and the others are as they were.
    for (keys, gone) in [(&["k2"][..], vec![1]), (&[], vec![1, 2]), (&["k9"], vec![1, 2])] {
        let store = over(&clear, keys);
        for (n, (ended, waiting)) in ids.iter().enumerate() {
            let (ended, waiting) = (store.find(*ended).await.unwrap().unwrap(), store.find(*waiting).await.unwrap().unwrap());
            let message = ended.error.unwrap().message;
            if gone.contains(&n) {
                assert_eq!(encrypted_with(&waiting.args), Some(format!("k{n}").as_str()));
                assert!(message.starts_with("[the error cannot be opened here: encrypted with the key \"k"), "{message}");
            } else {
                assert_eq!((message.as_str(), waiting.args), (SECRET, json!({ "n": n }).to_string()));
            }
        }
    }
    // One batch: who cannot be opened does not keep the others from start.
    let store = over(&clear, &["k2"]);
    let refs: Vec<_> = ids.iter().map(|(_, waiting)| reference(*waiting, 0)).collect();
    let batch = StartBatch { worker: worker(1), worker_name: "w", now: at(60), exclusive: false, refs: &refs, limits: &[] };
    let args: Vec<String> = store
        .start(&batch)
        .await
        .unwrap()
        .into_iter()
        .map(|answer| match answer {
            StartAnswer::Started(task) => task.args,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((args[0].as_str(), args[2].as_str()), (r#"{"n":0}"#, r#"{"n":2}"#));
    assert_eq!(encrypted_with(&args[1]), Some("k1"));
}

#[tokio::test]
async fn keys_come_and_go_in_sqlite() {
    crate::support::stores::sqlite(keys_come_and_go).await;
}

#[tokio::test]
async fn keys_come_and_go_in_postgres() {
    crate::support::stores::postgres(keys_come_and_go).await;
}

#[tokio::test]
async fn a_callback_whose_parts_are_encrypted_is_opened_when_it_starts_or_says_that_it_cannot_be() {
    crate::support::stores::sqlite(|clear| async move {
        let store = over(&clear, &["k1"]);
        for (next, field) in [(Next::success(json!({ "s": SECRET }).to_string()), "result"), (Next::failure(error()), "error")] {
            let mut new = task(0);
            new.callback_url = Some("https://example.org/hook".into());
            let ended = started(&store, new, 1).await;
            let end = crate::support::tasks::end_of(settle(&store, &ended, at(1), next).await);
            let callback = end.callback.unwrap().task;
            assert!(!clear.find(callback.id).await.unwrap().unwrap().args.contains(SECRET));
            let shut = over(&clear, &[]).find(callback.id).await.unwrap().unwrap().args;
            assert_eq!(encrypted_with(&shut), Some("k1"));
            let args: Value = serde_json::from_str(&start_ref(&store, 1, callback, at(2)).await.args).unwrap();
            assert!(args["body"]["data"][field].to_string().contains(SECRET), "{args}");
        }
    })
    .await;
}

fn engine_over(clear: &Arc<dyn Store>, keys: KeyRing) -> Engine {
    let clock = Arc::new(ManualClock::at(start()));
    let broker: SharedBroker = Arc::new(MemoryBroker::default());
    Engine::over(Arc::new(EncryptedStore::over(clear.clone(), keys)), broker, clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_task_runs_and_its_callback_is_told_in_clear() {
    crate::support::stores::sqlite(|clear| async move {
        let engine = engine_over(&clear, key_ring(&["k1"]));
        let pool = engine.start_pool().await;
        let receiver = Receiver::start(&[&answer("204 No Content", "", "")]).await;
        let options = json!({ "callback_url": receiver.url("/") });
        let id = engine.submit_with("system.echo", json!({ "secret": SECRET }), options).await;
        assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
        let filter = TaskFilter { kind: Some("system.callback".parse().unwrap()), ..TaskFilter::default() };
        let page = PageRequest { after: None, limit: 1 };
        let callback = engine.ground().store.list(&filter, &page).await.unwrap().items.remove(0).id;
        assert_eq!(engine.ended(callback).await.status, TaskStatus::Success);
        let actual: Value = serde_json::from_str(&receiver.requests().await.remove(0).body).unwrap();
        assert_eq!(actual["data"]["result"]["secret"], SECRET);
        pool.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_key_is_gone_is_released_shown_as_encrypted_and_not_retried_by_hand() {
    crate::support::stores::sqlite(|clear| async move {
        let with_key = engine_over(&clear, key_ring(&["k1"]));
        let id = with_key.submit("test.probe", Switch::new().args(&json!(["succeed"]))).await;
        let revoked = with_key.submit("system.echo", json!({ "secret": SECRET })).await;
        with_key.queue.revoke(revoked, false, &ann()).await.unwrap();

        let without = engine_over(&clear, KeyRing::default());
        let (pool, scheduler) = (without.start_pool().await, without.scheduler());
        without.clock.advance(std::time::Duration::from_mins(2));
        scheduler.dispatch_after_restart().await.unwrap();
        let row = without.row_when(id, |row| row.attempt.0 == 1 && row.status == TaskStatus::Pending).await;
        assert_eq!((row.retries_used, row.crashes), (0, 0), "another worker may have the key");
        let rendered = without.detail(revoked).await.args.unwrap();
        assert!(rendered.get().starts_with(r#""[the args cannot be opened here: encrypted with the key \"k1\""#), "{rendered}");
        let refused = without.queue.retry(revoked, &ann()).await.unwrap_err();
        assert!(matches!(&refused, ControlError::Encrypted(reason) if reason.contains("k1")), "{refused}");
        pool.end().await;
    })
    .await;
}
