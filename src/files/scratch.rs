//! Files that are being made, in a folder of this machine. Their names say whose work they are: `<task>.<attempt>.<number>`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ring::digest;

use super::{CHUNK_BYTES, FileDigest, FileError, FileResult, sha256_of};
use legwork_engine::domain::{Attempt, TaskId};

/// The part of a temporary name that stands for "no task".
const NO_TASK: &str = "none";

/// The folder for files that are being written.
#[derive(Clone, Debug)]
pub(super) struct ScratchFolder(PathBuf);

/// Whose work a file is: a task's, in one of its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBy {
    /// The task whose attempt writes the file.
    pub task: TaskId,
    /// The attempt that writes the file.
    pub attempt: Attempt,
}

/// A file that goes when this is dropped, unless it was published.
#[derive(Debug)]
pub struct ScratchFile {
    path: PathBuf,
    is_placed: bool,
}

/// A scratch file that has not been written for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldScratch {
    path: PathBuf,
    /// Whose work it is.
    pub produced_by: Option<ProducedBy>,
}

impl ScratchFile {
    /// Path of the temporary file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It is something else now.
    pub(super) fn placed(mut self) {
        self.is_placed = true;
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if self.is_placed {
            return;
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, "a temporary file is left to the prune");
            }
            _ => {}
        }
    }
}

impl ScratchFolder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// A new, empty file, and the handle to write it.
    pub(super) async fn create(&self, produced_by: Option<ProducedBy>) -> FileResult<(ScratchFile, tokio::fs::File)> {
        let folder = self.0.clone();
        let made = blocking(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let owner =
                produced_by.map_or_else(|| NO_TASK.to_owned(), |ProducedBy { task, attempt }| format!("{task}.{attempt}"));
            let path = folder.join(format!("{owner}.{:016x}", fastrand::u64(..)));
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            Ok((ScratchFile { path, is_placed: false }, file))
        });
        let (scratch, file) = made.await.map_err(|error| FileError::unavailable(&error))?;
        Ok((scratch, tokio::fs::File::from_std(file)))
    }

    /// What was last written before `before`.
    pub(super) async fn old(&self, before: Timestamp) -> FileResult<Vec<OldScratch>> {
        let folder = self.0.clone();
        blocking(move || old_in(&folder, before)).await.map_err(|error| FileError::unavailable(&error))
    }

    pub(super) async fn remove(&self, old: &OldScratch) -> FileResult<()> {
        match tokio::fs::remove_file(&old.path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::unavailable(&error)),
            _ => Ok(()),
        }
    }
}

fn old_in(folder: &Path, before: Timestamp) -> io::Result<Vec<OldScratch>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Another may have removed it in the meantime.
        let Ok(metadata) = entry.metadata() else { continue };
        let is_old = Timestamp::try_from(metadata.modified()?).is_ok_and(|written| written < before);
        if metadata.is_file() && is_old {
            let name = entry.file_name();
            found.push(OldScratch { path: entry.path(), produced_by: producer_in(&name.to_string_lossy()) });
        }
    }
    Ok(found)
}

/// Whose work the file of this name is; `None` where the name does not say it.
fn producer_in(name: &str) -> Option<ProducedBy> {
    let mut parts = name.split('.');
    let (task, attempt) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(ProducedBy { task, attempt: Attempt(attempt) })
}

/// Size and hash of a file.
pub(super) async fn measure(path: PathBuf) -> FileResult<FileDigest> {
    let measured = blocking(move || {
        let mut file = File::open(path)?;
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut size = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(FileDigest { size, sha256: sha256_of(hash) });
            }
            hash.update(&buffer[..read]);
            size += read as u64;
        }
    });
    measured.await.map_err(|error| FileError::unavailable(&error))
}

/// Runs what may wait for the disk where waiting is allowed. What has started goes on to its end, whoever asked.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(io::Error::other(error)),
    }
}
