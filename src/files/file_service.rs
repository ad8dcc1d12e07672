//! Storage and list joined: a file that is kept has its row before it can be seen, so that none is forgotten.

use std::sync::Arc;

use jiff::Timestamp;

use super::{FileDigest, FileError, FileResult, FileWriter, Files, ProducedBy, ScratchFile, Staged};
use legwork_engine::clock::Clock;
use legwork_engine::domain::{Attempt, FilePath, TaskId};
use legwork_engine::store::{FileRegistry, FileRow};

/// The storage with its list.
#[derive(Clone)]
pub struct FileService {
    files: Arc<Files>,
    registry: Arc<dyn FileRegistry>,
}

/// The facts about a file that are known before its first byte.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// The path under which the file will be stored.
    pub path: FilePath,
    /// The media type, for example `image/jpeg`.
    pub content_type: String,
    /// Name of the principal that owns the file.
    pub principal: Arc<str>,
    /// The attempt that makes it: it is kept only while its task is in that attempt. `None` where no task does.
    pub produced_by: Option<ProducedBy>,
    /// The time of creation.
    pub created_at: Timestamp,
    /// From when on it may be removed; `None` keeps it.
    pub expires_at: Option<Timestamp>,
}

impl NewFile {
    fn row(self, FileDigest { size, sha256 }: FileDigest) -> FileRow {
        let Self { path, content_type, principal, produced_by, created_at, expires_at } = self;
        let task = produced_by.map(|produced_by| produced_by.task);
        FileRow { path, size, content_type, sha256, principal, task, created_at, expires_at }
    }
}

impl FileService {
    /// Combines the storage with the table that lists its files.
    pub fn new(files: Arc<Files>, registry: Arc<dyn FileRegistry>) -> Self {
        Self { files, registry }
    }

    /// The storage alone, for reads that need no row.
    pub fn storage(&self) -> &Arc<Files> {
        &self.files
    }

    /// Starts a file; [`NewFileWriter::finish`] writes its row and makes it visible.
    pub async fn create(&self, new_file: NewFile) -> FileResult<NewFileWriter> {
        let writer = self.files.create(&new_file.path, new_file.produced_by).await?;
        Ok(NewFileWriter { writer, new_file, registry: self.registry.clone() })
    }

    /// Makes a scratch file a stored one, with its row.
    pub async fn publish(&self, scratch: ScratchFile, new_file: NewFile) -> FileResult<FileRow> {
        let digest = self.files.measure(&scratch).await?;
        let staged = self.files.stage(scratch, &new_file.path).await?;
        store_with_row(&*self.registry, staged, new_file, digest).await
    }

    /// Whether `principal` may read what is at `path`: what is known of it says that it is open to them, or nothing is known.
    pub async fn is_open_to(&self, path: &FilePath, principal: &str) -> FileResult<bool> {
        Ok(self.find(path).await?.is_none_or(|row| row.is_open_to(principal)))
    }

    /// The row of a file.
    pub async fn find(&self, path: &FilePath) -> FileResult<Option<FileRow>> {
        Ok(self.registry.find_file(path).await?)
    }

    /// Removes a file, and then its row. An attempt may write the file anew meanwhile: then that one's row stays, without which all could read it.
    pub async fn remove(&self, path: &FilePath) -> FileResult<()> {
        let row = self.find(path).await?;
        self.files.delete(path).await?;
        if let Some(row) = row {
            self.registry.forget_file(&row).await?;
        }
        Ok(())
    }

    /// Removes the files in `folder`, which is one part of a path, that are on no list and were last written before `before`: how many.
    pub async fn remove_unlisted(&self, folder: &'static str, before: Timestamp) -> FileResult<usize> {
        let (mut removed, mut failure) = (0, None);
        for path in self.files.old_in(folder, before).await? {
            // The row comes before its file, and goes after it.
            if self.registry.find_file(&path).await?.is_none() {
                match self.files.delete(&path).await {
                    Ok(()) => removed += 1,
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        }
        failure.map_or(Ok(removed), Err)
    }

    /// Removes up to `limit` files that have expired by `now`, and then their rows. One that cannot be removed stays on the list, and does not
    /// keep the others.
    pub async fn remove_expired(&self, now: Timestamp, limit: u32) -> FileResult<RemovedExpired> {
        let mut removed = Vec::new();
        let mut failure = None;
        let expired = self.registry.expired_files(now, limit).await?;
        let is_full = expired.len() >= limit as usize;
        for path in expired {
            match self.files.delete(&path).await {
                Ok(()) | Err(FileError::Refused { .. }) => removed.push(path),
                Err(error) => failure = Some(error),
            }
        }
        let count = if removed.is_empty() { 0 } else { self.registry.forget_expired(&removed, now).await? };
        match failure {
            Some(error) if count == 0 => Err(error),
            _ => Ok(RemovedExpired { count, has_more: is_full && count > 0 }),
        }
    }
}

/// The result of [`FileService::remove_expired`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedExpired {
    /// So many files are gone.
    pub count: usize,
    /// There may be more that can be removed.
    pub has_more: bool,
}

/// A file under way that will have its row.
pub struct NewFileWriter {
    writer: FileWriter,
    new_file: NewFile,
    registry: Arc<dyn FileRegistry>,
}

impl NewFileWriter {
    /// Adds bytes, as [`FileWriter::write`] does.
    pub async fn write(&mut self, bytes: &[u8]) -> FileResult<()> {
        self.writer.write(bytes).await
    }

    /// What was written so far.
    pub fn digest(&self) -> FileDigest {
        self.writer.digest()
    }

    /// Writes the row, and makes the file visible.
    pub async fn finish(self) -> FileResult<FileRow> {
        let digest = self.writer.digest();
        let staged = self.writer.stage().await?;
        store_with_row(&*self.registry, staged, self.new_file, digest).await
    }
}

/// Writes the row, and makes the file visible. All that takes long was done before, so that an attempt that stalled and was overtaken finds
/// out at the row, and what its successor made stays.
async fn store_with_row(
    registry: &dyn FileRegistry,
    staged: Staged,
    new_file: NewFile,
    digest: FileDigest,
) -> FileResult<FileRow> {
    let attempt = new_file.produced_by.map(|produced_by| produced_by.attempt);
    let row = new_file.row(digest);
    if !registry.write_file(&row, attempt).await? {
        return Err(FileError::Overtaken(row.path));
    }
    staged.place().await?;
    Ok(row)
}

/// Files as an attempt makes them: they belong to its task and to whoever submitted it.
#[derive(Clone)]
pub struct TaskFiles {
    /// The storage with its list.
    pub file_service: FileService,
    /// The task to which the files belong.
    pub task: TaskId,
    /// The attempt that makes the files. Its files are stored only while the task is in this attempt.
    pub attempt: Attempt,
    /// Name of the principal that submitted the task; it owns the files.
    pub principal: Arc<str>,
    /// Gives the time of creation of each file.
    pub clock: Arc<dyn Clock>,
}

impl TaskFiles {
    /// The storage, for reading.
    pub fn storage(&self) -> &Files {
        self.file_service.storage()
    }

    /// Starts a file. Dropped before its `finish`, it leaves nothing. A path of the task's own, made of its id, is replaced by its next
    /// attempt, so that an attempt that died leaves nothing behind.
    pub async fn create(&self, path: FilePath, content_type: &str, expires_at: Option<Timestamp>) -> FileResult<NewFileWriter> {
        self.file_service.create(self.new_file(path, content_type, expires_at)).await
    }

    /// An empty file of this machine for a child process or a library to write; see [`TaskFiles::publish`].
    pub async fn scratch(&self) -> FileResult<ScratchFile> {
        self.file_service.storage().scratch(Some(self.produced_by())).await
    }

    /// Makes a scratch file a stored one.
    pub async fn publish(
        &self,
        scratch: ScratchFile,
        path: FilePath,
        content_type: &str,
        expires_at: Option<Timestamp>,
    ) -> FileResult<FileRow> {
        self.file_service.publish(scratch, self.new_file(path, content_type, expires_at)).await
    }

    /// The bytes of a stored file, which has at most `limit`. Another principal's is as good as missing: the path may come from whoever
    /// submitted the task, by way of a kind that does not know it for a path.
    pub async fn read(&self, path: &FilePath, limit: usize) -> FileResult<Vec<u8>> {
        self.check_is_open(path).await?;
        self.file_service.storage().read(path, limit).await
    }

    async fn check_is_open(&self, path: &FilePath) -> FileResult<()> {
        let is_open = self.file_service.is_open_to(path, &self.principal).await?;
        if is_open { Ok(()) } else { Err(FileError::NotFound(path.clone())) }
    }

    /// A real file of this machine with the bytes of a stored one. Another principal's is as good as missing.
    pub async fn local(&self, path: &FilePath) -> FileResult<super::LocalFile> {
        self.check_is_open(path).await?;
        self.file_service.storage().local(path, Some(self.produced_by())).await
    }

    /// The absolute URL under which anybody may fetch the file until `expires_at`.
    pub fn link(&self, path: &FilePath, expires_at: Timestamp) -> String {
        self.file_service.storage().link(path, expires_at)
    }

    const fn produced_by(&self) -> ProducedBy {
        ProducedBy { task: self.task, attempt: self.attempt }
    }

    fn new_file(&self, path: FilePath, content_type: &str, expires_at: Option<Timestamp>) -> NewFile {
        NewFile {
            path,
            content_type: content_type.to_owned(),
            principal: self.principal.clone(),
            produced_by: Some(self.produced_by()),
            created_at: self.clock.now(),
            expires_at,
        }
    }
}
