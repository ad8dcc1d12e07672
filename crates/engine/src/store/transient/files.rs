//! The list of files in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::domain::{Attempt, FilePath};
use crate::store::{FileRegistry, FileRow, StoreResult};

/// The files that were made, for as long as this lives; the files themselves stay.
#[derive(Default)]
pub struct TransientFiles(Mutex<BTreeMap<FilePath, FileRow>>);

#[async_trait]
impl FileRegistry for TransientFiles {
    /// There is one attempt at a time.
    async fn write_file(&self, file: &FileRow, _attempt: Option<Attempt>) -> StoreResult<bool> {
        self.0.lock().insert(file.path.clone(), file.clone());
        Ok(true)
    }

    async fn find_file(&self, path: &FilePath) -> StoreResult<Option<FileRow>> {
        Ok(self.0.lock().get(path).cloned())
    }

    async fn forget_file(&self, file: &FileRow) -> StoreResult<bool> {
        let mut rows = self.0.lock();
        let is_there = rows.get(&file.path) == Some(file);
        if is_there {
            rows.remove(&file.path);
        }
        Ok(is_there)
    }

    /// Nothing expires while a task runs.
    async fn expired_files(&self, _now: Timestamp, _limit: u32) -> StoreResult<Vec<FilePath>> {
        Ok(Vec::new())
    }

    async fn forget_expired(&self, _paths: &[FilePath], _now: Timestamp) -> StoreResult<usize> {
        Ok(0)
    }
}
