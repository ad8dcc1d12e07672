//! Rows of earlier builds are brought into today's form.

use std::sync::Arc;

use legwork::domain::{NewTask, Next, TaskId};
use legwork::store::sqlite::SqliteStore;
use legwork::store::{NewRecipient, RetryAnswer, RevokeOrder, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::postgres::{in_schema, observer};
use crate::support::tasks::{at, begun, mishap, reference, rung, settle, started, task};

/// As the build before the fifth migration left things, and the one before the fourth.
const UNDONE: [&str; 4] = [
    "DROP INDEX retry_origins_list",
    "ALTER TABLE retry_origins DROP COLUMN list",
    "DELETE FROM retry_origins",
    "DELETE FROM _sqlx_migrations WHERE version = 5",
];

/// A task with a list, its retry by hand, which never ran, and the retry of that one, which waits: the first and the last.
async fn retried_twice(store: &Arc<dyn Store>) -> (TaskId, TaskId) {
    let first = started(store, task(0), 1).await;
    store.open_list(first.id, at(2)).await.unwrap();
    let recipient = NewRecipient {
        part: 0,
        recipient: "a@example.org".into(),
        address: "a@example.org".into(),
        message_id: "<0@legwork>".into(),
        context: None,
        refused: None,
    };
    store.enrol(first.id, &[recipient], at(2)).await.unwrap();
    store.seal_list(first.id, at(2)).await.unwrap();
    settle(store, &first, at(3), Next::failure(mishap())).await;
    let never_ran = rung(NewTask { retry_of: Some(first.id), ..task(4) });
    assert_eq!(store.insert_retry(&never_ran).await.unwrap(), RetryAnswer::Inserted);
    store.revoke(&RevokeOrder { id: never_ran.task.id, terminate: false, now: at(5) }).await.unwrap();
    let waiting = rung(NewTask { retry_of: Some(never_ran.task.id), ..task(6) });
    assert_eq!(store.insert_retry(&waiting).await.unwrap(), RetryAnswer::Inserted);
    (first.id, waiting.task.id)
}

/// The retry knows where its chain began, and goes on with the list.
async fn goes_on(store: &Arc<dyn Store>, first: TaskId, waiting: TaskId) {
    let begun = begun(store, 1, reference(waiting, 0), at(7)).await;
    let origin = begun.retry_origin.unwrap();
    assert_eq!((origin.task, origin.submitted_at), (first, at(0)));
    assert!(store.open_list(waiting, at(7)).await.unwrap());
    assert_eq!(store.count_recipients(waiting).await.unwrap().total, 1);
}

#[tokio::test]
async fn older_retries_in_a_file_know_their_origin_and_their_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legwork.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.unwrap());
    store.migrate().await.unwrap();
    let (first, waiting) = retried_twice(&store).await;
    store.close().await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    for statement in UNDONE {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await.unwrap());
    assert!(!store.is_migrated().await.unwrap());
    store.migrate().await.unwrap();
    goes_on(&store, first, waiting).await;
    store.close().await;
}

#[tokio::test]
async fn older_retries_in_postgres_know_their_origin_and_their_list() {
    in_schema(|store, schema| async move {
        let (first, waiting) = retried_twice(&store).await;
        for statement in UNDONE {
            sqlx::query(statement).execute(&mut observer(&schema).await).await.unwrap();
        }
        assert!(!store.is_migrated().await.unwrap());
        store.migrate().await.unwrap();
        goes_on(&store, first, waiting).await;
    })
    .await;
}
