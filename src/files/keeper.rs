//! Storage and list joined: a file that is kept has its row before it can be seen, so that none is forgotten.

use std::sync::Arc;

use jiff::Timestamp;

use super::{FileError, FileResult, FileWriter, Files, Maker, ScratchFile, Sealed, Staged};
use legwork_engine::clock::Clock;
use legwork_engine::domain::{Attempt, FilePath, TaskId};
use legwork_engine::store::{FileRegistry, FileRow};

/// The storage with its list.
#[derive(Clone)]
pub struct FileKeeper {
    files: Arc<Files>,
    registry: Arc<dyn FileRegistry>,
}

/// What is known of a file before its first byte.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// Where it is to be.
    pub path: FilePath,
    /// What it is, as in `image/jpeg`.
    pub content_type: String,
    /// Whose it is.
    pub principal: Arc<str>,
    /// The attempt that makes it: it is kept only while its task is in that attempt. `None` where no task does.
    pub maker: Option<Maker>,
    /// When it is made.
    pub created_at: Timestamp,
    /// From when on it may be removed; `None` keeps it.
    pub expires_at: Option<Timestamp>,
}

impl FileFacts {
    fn row(self, Sealed { size, sha256 }: Sealed) -> FileRow {
        let Self { path, content_type, principal, maker, created_at, expires_at } = self;
        let task = maker.map(|maker| maker.task);
        FileRow { path, size, content_type, sha256, principal, task, created_at, expires_at }
    }
}

impl FileKeeper {
    /// Joins the two.
    pub fn new(files: Arc<Files>, registry: Arc<dyn FileRegistry>) -> Self {
        Self { files, registry }
    }

    /// The storage.
    pub fn storage(&self) -> &Arc<Files> {
        &self.files
    }

    /// Begins a file; [`KeptWriter::finish`] writes its row and makes it visible.
    pub async fn create(&self, facts: FileFacts) -> FileResult<KeptWriter> {
        let writer = self.files.create(&facts.path, facts.maker).await?;
        Ok(KeptWriter { writer, facts, registry: self.registry.clone() })
    }

    /// Makes a scratch file a stored one, with its row.
    pub async fn publish(&self, scratch: ScratchFile, facts: FileFacts) -> FileResult<FileRow> {
        let sealed = self.files.measure(&scratch).await?;
        let staged = self.files.stage(scratch, &facts.path).await?;
        keep(&*self.registry, staged, facts, sealed).await
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

/// What [`FileKeeper::remove_expired`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedExpired {
    /// So many files are gone.
    pub count: usize,
    /// There may be more that can be removed.
    pub has_more: bool,
}

/// A file under way that will have its row.
pub struct KeptWriter {
    writer: FileWriter,
    facts: FileFacts,
    registry: Arc<dyn FileRegistry>,
}

impl KeptWriter {
    /// Adds bytes, as [`FileWriter::write`] does.
    pub async fn write(&mut self, bytes: &[u8]) -> FileResult<()> {
        self.writer.write(bytes).await
    }

    /// What was written so far.
    pub fn sealed(&self) -> Sealed {
        self.writer.sealed()
    }

    /// Writes the row, and makes the file visible.
    pub async fn finish(self) -> FileResult<FileRow> {
        let sealed = self.writer.sealed();
        let staged = self.writer.stage().await?;
        keep(&*self.registry, staged, self.facts, sealed).await
    }
}

/// Writes the row, and makes the file visible. All that takes long was done before, so that an attempt that stalled and was overtaken finds
/// out at the row, and what its successor made stays.
async fn keep(registry: &dyn FileRegistry, staged: Staged, facts: FileFacts, sealed: Sealed) -> FileResult<FileRow> {
    let attempt = facts.maker.map(|maker| maker.attempt);
    let row = facts.row(sealed);
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
    pub keeper: FileKeeper,
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: Attempt,
    /// Who submitted it.
    pub principal: Arc<str>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl TaskFiles {
    /// The storage, for reading.
    pub fn storage(&self) -> &Files {
        self.keeper.storage()
    }

    /// Begins a file. Dropped before its `finish`, it leaves nothing. A path of the task's own, made of its id, is replaced by its next
    /// attempt, so that an attempt that died leaves nothing behind.
    pub async fn create(&self, path: FilePath, content_type: &str, expires_at: Option<Timestamp>) -> FileResult<KeptWriter> {
        self.keeper.create(self.facts(path, content_type, expires_at)).await
    }

    /// An empty file of this machine for a child process or a library to write; see [`TaskFiles::publish`].
    pub async fn scratch(&self) -> FileResult<ScratchFile> {
        self.keeper.storage().scratch(Some(self.maker())).await
    }

    /// Makes a scratch file a stored one.
    pub async fn publish(
        &self,
        scratch: ScratchFile,
        path: FilePath,
        content_type: &str,
        expires_at: Option<Timestamp>,
    ) -> FileResult<FileRow> {
        self.keeper.publish(scratch, self.facts(path, content_type, expires_at)).await
    }

    /// A real file of this machine with the bytes of a stored one. Another principal's is as good as missing.
    pub async fn local(&self, path: &FilePath) -> FileResult<super::LocalFile> {
        if !self.keeper.is_open_to(path, &self.principal).await? {
            return Err(FileError::NotFound(path.clone()));
        }
        self.keeper.storage().local(path, Some(self.maker())).await
    }

    /// The absolute URL under which anybody may fetch the file until `expires_at`.
    pub fn link(&self, path: &FilePath, expires_at: Timestamp) -> String {
        self.keeper.storage().link(path, expires_at)
    }

    const fn maker(&self) -> Maker {
        Maker { task: self.task, attempt: self.attempt }
    }

    fn facts(&self, path: FilePath, content_type: &str, expires_at: Option<Timestamp>) -> FileFacts {
        FileFacts {
            path,
            content_type: content_type.to_owned(),
            principal: self.principal.clone(),
            maker: Some(self.maker()),
            created_at: self.clock.now(),
            expires_at,
        }
    }
}
