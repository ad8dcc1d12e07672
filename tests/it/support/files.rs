//! Stored files for one test: a real storage in a folder, and a list of files in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use legwork::config::{FilesConfig, Storage};
use legwork::files::{FileService, Files, TaskFiles};
use legwork_engine::clock::Clock;
use legwork_engine::domain::{Attempt, FilePath, TaskId};
use legwork_engine::store::{FileRegistry, FileRow, StoreResult};
use parking_lot::Mutex;

/// A list of files.
#[derive(Debug, Default)]
pub struct MemoryFileList(pub Mutex<BTreeMap<FilePath, FileRow>>);

#[async_trait]
impl FileRegistry for MemoryFileList {
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

    async fn expired_files(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<FilePath>> {
        let rows = self.0.lock();
        let mut expired: Vec<&FileRow> = rows.values().filter(|row| row.expires_at.is_some_and(|at| at <= now)).collect();
        expired.sort_by_key(|row| row.expires_at);
        Ok(expired.into_iter().take(limit as usize).map(|row| row.path.clone()).collect())
    }

    async fn forget_expired(&self, paths: &[FilePath], now: Timestamp) -> StoreResult<usize> {
        let mut rows = self.0.lock();
        let before = rows.len();
        rows.retain(|path, row| !(paths.contains(path) && row.expires_at.is_some_and(|at| at <= now)));
        Ok(before - rows.len())
    }
}

/// The settings of a storage in `folder`.
pub fn settings(folder: &Path) -> FilesConfig {
    FilesConfig {
        storage: Storage::Folder(folder.to_owned()),
        scratch: folder.join("scratch"),
        secrets: vec!["a secret of the tests that signs the links to files".into()],
        public_url: "http://legwork.test".into(),
    }
}

/// A storage in `folder`.
pub fn storage(folder: &Path) -> Arc<Files> {
    Arc::new(Files::new(&settings(folder)).unwrap())
}

/// Files as an attempt of `task` makes them.
pub fn task_files(storage: Arc<Files>, task: TaskId, clock: Arc<dyn Clock>) -> TaskFiles {
    let file_service = FileService::new(storage, Arc::new(MemoryFileList::default()));
    TaskFiles { file_service, task, attempt: Attempt(1), principal: "ann".into(), clock }
}

/// A stored path.
pub fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}
