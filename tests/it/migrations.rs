//! Migrations: none is ever changed, and rows of earlier builds are brought into today's form.

use std::sync::Arc;

use legwork_engine::domain::{NewTask, Next, StartedTask, TaskId};
use legwork_engine::store::sqlite::SqliteStore;
use legwork_engine::store::{NewRecipient, RecipientFilter, RecipientState, RecipientStep, RetryAnswer, RevokeOrder, Store};
use ring::digest::{SHA256, digest};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::postgres::{in_schema, observer};
use crate::support::tasks::{at, dispatched, mishap, reference, settle, start_ref, started, task};

/// The first bytes of the SHA-256 of every migration. A database remembers what it has run: a changed one would keep it from starting.
const DIGESTS: [(&str, &str); 28] = [
    ("postgres/0001_engine.sql", "c5d5b6be"),
    ("postgres/0002_files.sql", "40112aba"),
    ("postgres/0003_recipients.sql", "9dc919a9"),
    ("postgres/0004_retries.sql", "e35b0563"),
    ("postgres/0005_lists.sql", "c09a8a09"),
    ("postgres/0006_older_retries.sql", "b8824878"),
    ("postgres/0007_progress_peak.sql", "40c796fd"),
    ("postgres/0008_words.sql", "1e8672eb"),
    ("postgres/0009_version.sql", "57078ffe"),
    ("postgres/0010_audit.sql", "27f4ae05"),
    ("postgres/0011_schedules.sql", "828abbbf"),
    ("postgres/0012_effects.sql", "efe8394f"),
    ("postgres/0013_rate_limits.sql", "b8fd696f"),
    ("postgres/0014_schedule_names.sql", "8e691f85"),
    ("sqlite/0001_engine.sql", "58fc50f6"),
    ("sqlite/0002_files.sql", "b3687af9"),
    ("sqlite/0003_recipients.sql", "ab0963b5"),
    ("sqlite/0004_retries.sql", "ec19a6af"),
    ("sqlite/0005_lists.sql", "a72aa58a"),
    ("sqlite/0006_older_retries.sql", "8a9a5216"),
    ("sqlite/0007_progress_peak.sql", "2800e7bb"),
    ("sqlite/0008_words.sql", "332bfd4e"),
    ("sqlite/0009_version.sql", "94994e7b"),
    ("sqlite/0010_audit.sql", "d49caa5c"),
    ("sqlite/0011_schedules.sql", "94a2b27b"),
    ("sqlite/0012_effects.sql", "317db586"),
    ("sqlite/0013_rate_limits.sql", "65c031ea"),
    ("sqlite/0014_schedule_names.sql", "ae7b5e7a"),
];

#[test]
fn no_migration_is_ever_changed() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut found = Vec::new();
    for dialect in ["postgres", "sqlite"] {
        for entry in std::fs::read_dir(root.join(dialect)).unwrap() {
            let entry = entry.unwrap();
            let hash = digest(&SHA256, &std::fs::read(entry.path()).unwrap());
            let name = format!("{dialect}/{}", entry.file_name().into_string().unwrap());
            let first: [u8; 4] = hash.as_ref()[..4].try_into().unwrap();
            found.push((name, format!("{:08x}", u32::from_be_bytes(first))));
        }
    }
    found.sort();
    let expected = DIGESTS.map(|(name, hash)| (name.to_owned(), hash.to_owned()));
    assert_eq!(found, expected, "a migration that was released stays as it is; a new one gets its line here");
}

/// As the build before the fifth migration left things.
const UNDONE: [&str; 18] = [
    "DROP INDEX tasks_limited",
    "ALTER TABLE tasks DROP COLUMN limited_until",
    "DROP TABLE rate_windows",
    "DROP TABLE effects",
    "DROP TABLE schedules",
    "DROP TABLE schedule_firings",
    "DROP TABLE maintenance",
    "DROP TABLE audit_log",
    "DROP TABLE samples",
    "ALTER TABLE tasks DROP COLUMN version",
    "ALTER TABLE tasks RENAME COLUMN dispatch_at TO ring_at",
    "ALTER TABLE tasks RENAME COLUMN dispatched_at TO rung_at",
    "ALTER TABLE workers RENAME COLUMN heartbeat_at TO beat_at",
    "ALTER TABLE recipient_lists RENAME COLUMN complete TO sealed",
    "ALTER TABLE tasks DROP COLUMN progress_peak",
    "DROP INDEX retry_origins_list",
    "ALTER TABLE retry_origins DROP COLUMN list",
    "DELETE FROM _sqlx_migrations WHERE version >= 5",
];

/// What the builds before the fourth did not know, and those before the fifth did not write.
const UNKNOWN: [&str; 2] = ["DELETE FROM retry_origins", "DELETE FROM recipient_lists WHERE NOT sealed"];

/// Two tasks with lists, the second of which is the retry of the first, a retry that never ran, and one that waits; and a task that was cut
/// off while it wrote its list.
struct Chain {
    first: TaskId,
    waiting: TaskId,
    cut_off: TaskId,
}

async fn listed(store: &Arc<dyn Store>, task: &StartedTask) {
    store.open_list(task.id, at(2)).await.unwrap();
    let address = format!("{}@example.org", task.id);
    let (recipient, message_id, context, refused) = (address.clone(), format!("<{address}>"), None, None);
    store
        .add_recipients(task.id, &[NewRecipient { part: 0, recipient, address, message_id, context, refused }], at(2))
        .await
        .unwrap();
}

async fn retried(store: &Arc<dyn Store>, ended: TaskId, seconds: i64) -> TaskId {
    let retry = dispatched(NewTask { retry_of: Some(ended), ..task(seconds) });
    assert_eq!(store.insert_retry(&retry).await.unwrap(), RetryAnswer::Inserted);
    retry.task.id
}

async fn chain(store: &Arc<dyn Store>) -> Chain {
    let first = started(store, task(0), 1).await;
    listed(store, &first).await;
    store.complete_list(first.id, at(2)).await.unwrap();
    settle(store, &first, at(3), Next::failure(mishap())).await;
    let second = start_ref(store, 1, reference(retried(store, first.id, 4).await, 0), at(5)).await;
    assert!(store.open_list(second.id, at(5)).await.unwrap());
    let (part, response, reference, next_at) = (0, None, None, None);
    for state in [RecipientState::Sending, RecipientState::Accepted] {
        let (response, reference) = (response.clone(), reference.clone());
        let step =
            RecipientStep { task: second.id, attempt: second.attempt, part, state, response, reference, next_at, at: at(5) };
        store.write_recipients(&[step]).await.unwrap();
    }
    settle(store, &second, at(6), Next::failure(mishap())).await;
    let never_ran = retried(store, second.id, 7).await;
    store.revoke(&RevokeOrder { id: never_ran, terminate: false, now: at(8) }).await.unwrap();
    let waiting = retried(store, never_ran, 9).await;
    let cut_off = started(store, task(0), 1).await;
    listed(store, &cut_off).await;
    settle(store, &cut_off, at(3), Next::failure(mishap())).await;
    Chain { first: first.id, waiting, cut_off: cut_off.id }
}

/// The retry knows where its chain started, and goes on with the last list; what was cut off is forgotten in the end.
async fn goes_on(store: &Arc<dyn Store>, chain: &Chain) {
    let started_task = start_ref(store, 1, reference(chain.waiting, 0), at(10)).await;
    let origin = started_task.retry_origin.unwrap();
    assert_eq!((origin.task, origin.submitted_at), (chain.first, at(0)));
    assert!(store.open_list(chain.waiting, at(10)).await.unwrap());
    let rows = store.recipients(chain.waiting, &RecipientFilter::default(), 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>(), [RecipientState::Accepted]);
    let before = at(5 * 86_400);
    let prune = legwork_engine::store::Prune {
        results_before: before,
        keys_before: before,
        workers_before: at(0),
        now: before,
        limit: 10,
    };
    for _ in 0..3 {
        store.prune(&prune).await.unwrap();
    }
    assert_eq!(store.count_recipients(chain.cut_off).await.unwrap().total, 0);
}

#[tokio::test]
async fn older_retries_in_a_file_know_their_origin_and_their_list() {
    for unknown in [&[][..], &UNKNOWN] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("legwork.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.unwrap());
        store.migrate().await.unwrap();
        let chain = chain(&store).await;
        store.close().await;
        let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        for statement in UNDONE.iter().chain(unknown) {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.unwrap());
        assert!(!store.is_migrated().await.unwrap());
        store.migrate().await.unwrap();
        goes_on(&store, &chain).await;
        store.close().await;
    }
}

#[tokio::test]
async fn older_retries_in_postgres_know_their_origin_and_their_list() {
    for unknown in [&[][..], &UNKNOWN] {
        in_schema(move |store, schema| async move {
            let chain = chain(&store).await;
            for statement in UNDONE.iter().chain(unknown) {
                sqlx::query(*statement).execute(&mut observer(&schema).await).await.unwrap();
            }
            assert!(!store.is_migrated().await.unwrap());
            store.migrate().await.unwrap();
            goes_on(&store, &chain).await;
        })
        .await;
    }
}
