//! What holds for the SQLite file beyond the store's contract.

use std::sync::Arc;

use legwork::domain::TaskStatus;
use legwork::store::sqlite::SqliteStore;
use legwork::store::{Store, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::tasks::{inserted, started, status, task};

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
