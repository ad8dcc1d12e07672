//! Stored files in a folder of this machine.
//!
//! Every path is walked from the folder down, part by part, without following a link: neither a link in the folder nor one that appears
//! between a check and a use leads out of it. The folder itself may be reached by a link.

use std::fs::{DirBuilder, File};
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::scratch::{ScratchFile, ScratchFolder, blocking};
use super::{CHUNK_BYTES, FileError, FileMetadata, FileReader, FileResult};
use legwork_engine::domain::FilePath;

/// Where scratch files are: in the folder, so that a rename makes them stored ones. No stored path has a hidden part.
const SCRATCH: &str = ".tmp";
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// A pipe that somebody put there must not stop us.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A folder with stored files.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: Arc<Path>,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    pub(super) fn scratch(&self) -> ScratchFolder {
        ScratchFolder::new(self.root.join(SCRATCH))
    }

    /// Where a file is, for others to open.
    pub(super) fn real_path(&self, path: &FilePath) -> PathBuf {
        self.root.join(path.as_str())
    }

    /// One look at a folder of this machine does not hold a thread up for long.
    pub(super) fn is_known_missing(&self, path: &FilePath) -> bool {
        let found = self.real_path(path).symlink_metadata();
        found.is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }

    pub(super) async fn metadata(&self, path: &FilePath) -> FileResult<FileMetadata> {
        Ok(self.opened(path).await?.1)
    }

    pub(super) async fn open(&self, path: &FilePath, range: Option<Range<u64>>) -> FileResult<FileReader> {
        let (file, metadata) = self.opened(path).await?;
        let range = range.map_or(0..metadata.size, |range| range.start.min(metadata.size)..range.end.min(metadata.size));
        let mut file = tokio::fs::File::from_std(file);
        if range.start > 0 {
            file.seek(io::SeekFrom::Start(range.start)).await.map_err(|error| FileError::unavailable(&error))?;
        }
        let length = range.end.saturating_sub(range.start);
        let stream = ReaderStream::with_capacity(file.take(length), CHUNK_BYTES).boxed();
        Ok(FileReader { metadata, range, stream })
    }

    async fn opened(&self, path: &FilePath) -> FileResult<(File, FileMetadata)> {
        let (root, wanted) = (self.root.clone(), path.clone());
        let opened = blocking(move || {
            let parent = parent_of(&root, &wanted)?;
            let file = File::from(rustix::fs::openat(&parent, wanted.file_name(), FILE, Mode::empty())?);
            let found = file.metadata()?;
            if !found.is_file() {
                return Err(Errno::ISDIR.into());
            }
            let modified_at = Timestamp::try_from(found.modified()?).map_err(io::Error::other)?;
            Ok((file, FileMetadata { size: found.len(), modified_at }))
        });
        opened.await.map_err(|error| to_file_error(path, &error))
    }

    /// Makes the bytes of a scratch file durable, before [`Folder::place`].
    pub(super) async fn sync(&self, scratch: ScratchFile) -> FileResult<ScratchFile> {
        let synced = blocking(move || {
            File::open(scratch.path())?.sync_all()?;
            Ok(scratch)
        });
        synced.await.map_err(|error| FileError::unavailable(&error))
    }

    /// Makes a durable scratch file the stored file `path`.
    pub(super) async fn place(&self, scratch: ScratchFile, path: &FilePath) -> FileResult<()> {
        let (root, wanted) = (self.root.clone(), path.clone());
        // The scratch file goes along: if nobody waits for the end any more, it is placed all the same, or removed.
        let placed = blocking(move || {
            let parent = make_parent_of(&root, &wanted)?;
            let hidden = rustix::fs::open(root.join(SCRATCH), FOLDER, Mode::empty())?;
            let name = scratch.path().file_name().ok_or(Errno::INVAL)?;
            rustix::fs::renameat(&hidden, name, &parent, wanted.file_name())?;
            scratch.placed();
            Ok(rustix::fs::fsync(&parent)?)
        });
        placed.await.map_err(|error| to_file_error(path, &error))
    }

    /// The files in the folder `folder` of it that were last written before `before`.
    pub(super) async fn old_in(&self, folder: &'static str, before: Timestamp) -> FileResult<Vec<FilePath>> {
        let root = self.root.clone();
        blocking(move || old_in(&root, folder, before)).await.map_err(|error| FileError::unavailable(&error))
    }

    pub(super) async fn delete(&self, path: &FilePath) -> FileResult<()> {
        let (root, wanted) = (self.root.clone(), path.clone());
        let removed = blocking(move || {
            let parent = parent_of(&root, &wanted)?;
            Ok(rustix::fs::unlinkat(&parent, wanted.file_name(), AtFlags::empty())?)
        });
        match removed.await.map_err(|error| to_file_error(path, &error)) {
            Err(FileError::NotFound(_)) => Ok(()),
            done => done,
        }
    }
}

/// The files in `folder`, which is one part, that were last written before `before`.
fn old_in(root: &Path, folder: &str, before: Timestamp) -> io::Result<Vec<FilePath>> {
    let opened = rustix::fs::open(root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())
        .and_then(|root| rustix::fs::openat(&root, folder, FOLDER, Mode::empty()));
    let opened = match opened {
        // Nothing was ever put there, or what is there is none of ours.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut found = Vec::new();
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        let path = entry.file_name().to_str().ok().and_then(|name| FilePath::parse(&format!("{folder}/{name}")).ok());
        let Some(path) = path else { continue };
        // Another may have removed it in the meantime; a link is not followed.
        let Ok(file) = rustix::fs::openat(&opened, path.file_name(), FILE, Mode::empty()) else { continue };
        let metadata = File::from(file).metadata()?;
        let is_old = Timestamp::try_from(metadata.modified()?).is_ok_and(|written| written < before);
        if metadata.is_file() && is_old {
            found.push(path);
        }
    }
    Ok(found)
}

/// The folder that the file is in.
fn parent_of(root: &Path, path: &FilePath) -> io::Result<OwnedFd> {
    // The root alone may be a link: whoever runs us has set it up.
    let mut folder = rustix::fs::open(root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
    for part in folders_of(path) {
        folder = rustix::fs::openat(&folder, part, FOLDER, Mode::empty())?;
    }
    Ok(folder)
}

/// The same; what is missing is made, and belongs to its owner only.
fn make_parent_of(root: &Path, path: &FilePath) -> io::Result<OwnedFd> {
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let mut folder = rustix::fs::open(root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
    for part in folders_of(path) {
        folder = match rustix::fs::openat(&folder, part, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&folder, part, Mode::RWXU) {
                    Ok(()) => rustix::fs::fsync(&folder)?,
                    // Another was faster.
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                rustix::fs::openat(&folder, part, FOLDER, Mode::empty())?
            }
            opened => opened?,
        };
    }
    Ok(folder)
}

fn folders_of(path: &FilePath) -> impl Iterator<Item = &str> {
    let count = path.parts().count();
    path.parts().take(count - 1)
}

fn to_file_error(path: &FilePath, error: &io::Error) -> FileError {
    let refused = |reason| FileError::Refused { path: path.clone(), reason };
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => FileError::NotFound(path.clone()),
        Some(Errno::LOOP | Errno::MLINK) => refused("it is a link, and links are not followed"),
        Some(Errno::NOTDIR) => refused("a part of it is a link or a file where a folder should be"),
        Some(Errno::ISDIR | Errno::PERM | Errno::NXIO) => refused("it is not a file"),
        Some(Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ) => refused("the file system does not take the name"),
        _ => FileError::unavailable(error),
    }
}
