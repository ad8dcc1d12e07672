//! What holds for the SQLite file beyond the store's contract.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use legwork_engine::domain::{NewTask, TaskStatus};
use legwork_engine::store::sqlite::SqliteStore;
use legwork_engine::store::{InsertAnswer, Store, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::tasks::{dispatched, inserted, started, status, task};

#[tokio::test]
async fn a_file_belongs_to_one_legwork_until_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legwork.db");
    let first = SqliteStore::open(&path).await.unwrap();
    let Err(StoreError::Unavailable(reason)) = SqliteStore::open(&path).await else { panic!("it was opened twice") };
    assert!(reason.contains("another Legwork uses") && reason.contains("running server"), "{reason}");
    first.close().await;
    SqliteStore::open(&path).await.unwrap();
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").join("legwork.db");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.unwrap());
        store.migrate().await.unwrap();
        ids.push((inserted(&store, task(0)).await, TaskStatus::Pending));
        ids.push((started(&store, task(0), 1).await.id, TaskStatus::Started));
        for (id, expected) in &ids {
            assert_eq!(status(&store, *id).await, *expected);
        }
        // As after a kill: it is dropped, not closed.
        drop(store);
    }
}

#[tokio::test]
async fn a_store_that_was_never_migrated_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("legwork.db")).await.unwrap();
    assert!(!store.is_migrated().await.unwrap());
    store.migrate().await.unwrap();
    assert!(store.is_migrated().await.unwrap());
}

#[tokio::test]
async fn what_it_keeps_is_for_its_own_user() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let store = SqliteStore::open(&folder.path().join("legwork.db")).await.unwrap();
    store.migrate().await.unwrap();
    let mode_of = |entry: std::fs::DirEntry| (entry.file_name(), entry.metadata().unwrap().permissions().mode() & 0o777);
    let modes: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| mode_of(entry.unwrap())).collect();
    assert!(modes.len() >= 3, "the file, its log and its lock: {modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

#[tokio::test]
async fn a_path_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file").join("legwork.db");
    let Err(StoreError::Unavailable(reason)) = SqliteStore::open(&path).await else { panic!("it was opened") };
    assert!(reason.contains("file"), "{reason}");
}

#[tokio::test]
async fn an_older_program_starts_on_a_newer_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legwork.db");
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of a later version', true, x'00', 0)";
    let store = SqliteStore::open(&path).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    store.migrate().await.unwrap();
    assert!(store.is_migrated().await.unwrap());
    store.close().await;
}

#[tokio::test]
async fn of_batches_that_share_a_commit_only_the_refused_one_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("legwork.db")).await.unwrap());
    store.migrate().await.unwrap();
    let taken = inserted(&store, task(0)).await;
    let writes: Vec<_> = (0..60)
        .map(|n| {
            let (store, mut new) = (store.clone(), task(0));
            let is_refused = n % 3 == 1;
            if is_refused {
                new.id = taken;
            }
            tokio::spawn(async move {
                let id = new.id;
                let answer = store.insert(&[dispatched(new)]).await.unwrap().pop().unwrap();
                (id, is_refused, answer)
            })
        })
        .collect();
    for write in writes {
        let (id, is_refused, answer) = write.await.unwrap();
        assert_eq!(answer.is_err(), is_refused, "{answer:?}");
        assert_eq!(status(&store, id).await, TaskStatus::Pending);
    }
}

#[tokio::test]
async fn a_batch_that_is_dropped_half_way_takes_nobody_along() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legwork.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.unwrap());
    store.migrate().await.unwrap();
    let mut kept = Vec::new();
    for polls in 0..40 {
        // Two others stand in line around the one that is dropped, so that it is a first part, a later one, or waits.
        let mut others = Vec::new();
        let mut stand_in_line = |new: NewTask| {
            let (store, id) = (store.clone(), new.id);
            others.push(tokio::spawn(async move { store.insert(&[dispatched(new)]).await.unwrap().pop().unwrap().unwrap() }));
            kept.push(id);
        };
        if polls % 2 == 0 {
            stand_in_line(task(0));
            tokio::task::yield_now().await;
        }
        let dropped = [dispatched(task(0))];
        let mut write = Box::pin(store.insert(&dropped));
        for _ in 0..polls {
            if futures_util::poll!(&mut write).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        stand_in_line(task(0));
        drop(write);
        for other in others {
            assert_eq!(other.await.unwrap(), InsertAnswer::Inserted);
        }
    }
    // What was answered is on the disk, not in a transaction that somebody left open.
    drop(store);
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.unwrap());
    for id in kept {
        assert_eq!(status(&store, id).await, TaskStatus::Pending);
    }
}
