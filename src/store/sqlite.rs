//! One side of the store.

use std::path::Path;
use std::sync::Arc;

use super::{Store, StoreError, StoreResult};

/// The store in one SQLite file.
pub struct SqliteStore;

impl SqliteStore {
    /// Opens it.
    pub async fn open(_path: &Path) -> StoreResult<Arc<dyn Store>> {
        Err(StoreError::Unavailable("not written yet".into()))
    }
}
