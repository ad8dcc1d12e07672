//! What is known of stored files. The bytes are elsewhere (`services/files`).

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreResult;
use crate::domain::{Attempt, FilePath, Principal, TaskId};

/// The row of a stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Path of the file in the storage.
    pub path: FilePath,
    /// Its size in bytes.
    pub size: u64,
    /// Media type, for example `image/jpeg`.
    pub content_type: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Name of the principal that owns the file.
    pub principal: Arc<str>,
    /// Id of the task that made the file; `None` for an upload.
    pub task: Option<TaskId>,
    /// When the row was written.
    pub created_at: Timestamp,
    /// The time from which the file may be removed; `None` keeps it.
    pub expires_at: Option<Timestamp>,
}

impl FileRow {
    /// Whether `principal` may read it: its owner may, and everybody what the program itself has placed for the examples.
    pub fn is_open_to(&self, principal: &str) -> bool {
        *self.principal == *principal || (self.task.is_none() && self.principal == Principal::system().subject)
    }
}

/// The list of stored files.
///
/// A row is written before its file becomes visible and goes after its file is removed, so that no file is forgotten, whenever a process
/// dies; a row without a file may be met.
#[async_trait]
pub trait FileRegistry: Send + Sync {
    /// Writes a row, in the place of what was known of its path; with an `attempt` only while that is the one that the row's task is in.
    /// Whether it was written.
    async fn write_file(&self, file: &FileRow, attempt: Option<Attempt>) -> StoreResult<bool>;

    /// The row of a path.
    async fn find_file(&self, path: &FilePath) -> StoreResult<Option<FileRow>>;

    /// Removes a row as it was found: not the one of a file that was written anew in the meantime. Whether it was there.
    async fn forget_file(&self, file: &FileRow) -> StoreResult<bool>;

    /// Up to `limit` paths of files that have expired by `now`, earliest expiry first.
    async fn expired_files(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<FilePath>>;

    /// Removes the rows of those of `paths` that have expired by `now`: a path that was written anew in the meantime stays. How many.
    async fn forget_expired(&self, paths: &[FilePath], now: Timestamp) -> StoreResult<usize>;
}
