//! A store for one test: a fresh SQLite file, or a fresh schema in Postgres; gone when the test ends, however it ends.

use std::future::Future;
use std::sync::Arc;

use legwork::store::Store;
use legwork::store::sqlite::SqliteStore;

pub use super::postgres::postgres;
use super::tasks;

/// Runs `case` on a fresh SQLite file.
pub async fn sqlite<C, F>(case: C)
where
    C: FnOnce(Arc<dyn Store>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("legwork.db")).await.unwrap());
    rethrow(run(store, case).await);
}

/// Migrates the store, runs the case as a task of its own, so that what follows runs even if it panics, and closes the store.
pub(super) async fn run<C, F>(store: Arc<dyn Store>, case: C) -> Result<(), tokio::task::JoinError>
where
    C: FnOnce(Arc<dyn Store>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    store.migrate().await.unwrap();
    store.make_partitions(tasks::start()).await.unwrap();
    let ended = tokio::spawn(case(store.clone())).await;
    store.close().await;
    ended
}

/// The case's own panic becomes the test's.
fn rethrow(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}
