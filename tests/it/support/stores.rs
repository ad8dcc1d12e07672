//! A store for one test: a fresh SQLite file, or a fresh schema in Postgres; gone when the test ends, however it ends.

use std::future::Future;
use std::sync::Arc;

use legwork_engine::store::EncryptionKey;
use legwork_engine::store::Store;
use legwork_engine::store::encrypted::{EncryptedStore, KeyRing};
use legwork_engine::store::sqlite::SqliteStore;

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

/// A key ring of keys with these ids; the same id is the same key.
pub fn key_ring(ids: &[&str]) -> KeyRing {
    let secret = |id: &str| format!("{}{}=", id.repeat(22 / id.len()), "A".repeat(43 - id.len() * (22 / id.len())));
    let keys: Vec<EncryptionKey> = ids.iter().map(|&id| EncryptionKey { id: id.into(), secret: secret(id).into() }).collect();
    KeyRing::new(&keys).unwrap()
}

/// The same store, encrypted with a key.
pub fn encrypted(store: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(EncryptedStore::over(store, key_ring(&["k1"])))
}

/// Runs `case` on a fresh SQLite file that is encrypted.
pub async fn encrypted_sqlite<C, F>(case: C)
where
    C: FnOnce(Arc<dyn Store>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    sqlite(|store| case(encrypted(store))).await;
}

/// Runs `case` on a fresh schema that is encrypted.
pub async fn encrypted_postgres<C, F>(case: C)
where
    C: FnOnce(Arc<dyn Store>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    postgres(|store| case(encrypted(store))).await;
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
