//! Stored files: a folder of this machine, or a bucket (feature `s3`).
//!
//! A file is named by its [`FilePath`], appears whole or not at all, and is reached from outside by a signed link only. What is being made is
//! in scratch files beside it (`.tmp` of the folder; `tmp` in `DATA_DIR` where a bucket is used), which go when their owner drops them, or by
//! the hourly prune once their task is over. What is known of a file beside its bytes is in the store; [`FileService`] joins the two.

#[cfg(feature = "s3")]
mod bucket;
mod file_service;
mod folder;
mod image_type;
mod link;
mod polyglot;
mod scratch;
mod upkeep;
mod upload;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use ring::digest;
use tokio::io::AsyncWriteExt as _;
use tokio_util::bytes::Bytes;

use crate::config::{FilesConfig, Storage};
use legwork_engine::domain::{FilePath, TaskFailure};
use legwork_engine::store::StoreError;

pub use file_service::{FileService, NewFile, NewFileWriter, RemovedExpired, TaskFiles};
pub use image_type::ImageType;
pub use link::LinkError;
pub use polyglot::{ContainerScanner, PolyglotError};
pub use scratch::{OldScratch, ProducedBy, ScratchFile};
pub use upkeep::{FileUpkeep, PrunedFiles};
pub use upload::{Upload, UploadError};

use folder::Folder;
use link::LinkSigner;
use scratch::ScratchFolder;

/// A stream's piece, in bytes: large enough that the way through the thread pool does not count.
const CHUNK_BYTES: usize = 128 << 10;

/// Why the storage could not do it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("there is no stored file {0}")]
    NotFound(FilePath),
    /// The path leads where no stored file can be: through a link, or to a folder.
    #[error("the stored path {path} cannot be used: {reason}")]
    Refused {
        /// The path that was refused.
        path: FilePath,
        /// The reason, as the end of the message.
        reason: &'static str,
    },
    /// It has more bytes than the reader takes.
    #[error("the stored file {path} has {size} bytes; at most {limit} can be taken here")]
    TooLarge {
        /// The path of the file.
        path: FilePath,
        /// The file's size in bytes.
        size: u64,
        /// What may be read.
        limit: u64,
    },
    /// The storage cannot be reached, is full, or did not answer in time.
    #[error("the storage is not available: {0}")]
    Unavailable(String),
    /// The attempt that made it is not its task's any more: what another one makes stays as it is.
    #[error("the task was given to another attempt: the file {0} of this one is not kept")]
    Overtaken(FilePath),
    /// What is known of the file could not be read or written.
    #[error(transparent)]
    Registry(#[from] StoreError),
    /// The settings do not make a storage.
    #[error("{0}")]
    Setup(String),
}

impl FileError {
    /// What it means to an attempt: another one may help where the storage or the store is away, and nowhere else.
    pub fn failure(self) -> TaskFailure {
        match &self {
            Self::NotFound(_) => TaskFailure::fail("FileNotFound", self),
            Self::Refused { .. } => TaskFailure::fail("FileRefused", self),
            Self::TooLarge { .. } => TaskFailure::fail("FileTooLarge", self),
            Self::Overtaken(_) => TaskFailure::retry("Overtaken", self),
            Self::Unavailable(_) | Self::Registry(_) | Self::Setup(_) => TaskFailure::retry("StorageUnavailable", self),
        }
    }

    fn unavailable(error: &io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The result of a file operation.
pub type FileResult<T> = Result<T, FileError>;

/// What the storage knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMetadata {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, by the storage's clock.
    pub modified_at: Timestamp,
}

/// What a whole file comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileDigest {
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// The storage of one process.
pub struct Files {
    backend: StorageBackend,
    scratch: ScratchFolder,
    signer: LinkSigner,
}

enum StorageBackend {
    Folder(Folder),
    #[cfg(feature = "s3")]
    Bucket(bucket::Bucket),
}

impl Files {
    /// The storage that the settings name. Nothing is read or made yet.
    pub fn new(config: &FilesConfig) -> FileResult<Self> {
        let signer = LinkSigner::new(&config.secrets, &config.public_url)?;
        let (backend, scratch) = match &config.storage {
            Storage::Folder(root) => {
                let folder = Folder::new(root);
                let scratch = folder.scratch();
                (StorageBackend::Folder(folder), scratch)
            }
            #[cfg(feature = "s3")]
            Storage::Bucket(settings) => {
                (StorageBackend::Bucket(bucket::Bucket::connect(settings)?), ScratchFolder::new(config.scratch.clone()))
            }
            #[cfg(not(feature = "s3"))]
            Storage::Bucket(_) => return Err(FileError::Setup("STORAGE_URL: this build has no S3 (feature s3)".into())),
        };
        Ok(Self { backend, scratch, signer })
    }

    /// What the storage knows of a file; `None` where there is none.
    pub async fn metadata(&self, path: &FilePath) -> FileResult<Option<FileMetadata>> {
        let found = match &self.backend {
            StorageBackend::Folder(folder) => folder.metadata(path).await,
            #[cfg(feature = "s3")]
            StorageBackend::Bucket(bucket) => bucket.metadata(path).await,
        };
        match found {
            Ok(metadata) => Ok(Some(metadata)),
            Err(FileError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is such a file.
    pub async fn exists(&self, path: &FilePath) -> FileResult<bool> {
        Ok(self.metadata(path).await?.is_some())
    }

    /// Whether a submission is told of a file that is missing: it is where that can be seen at once.
    pub const fn can_check_presence(&self) -> bool {
        matches!(self.backend, StorageBackend::Folder(_))
    }

    /// Whether it can be told at once, without asking anybody else, that there is no such file. For submissions.
    pub fn is_known_missing(&self, path: &FilePath) -> bool {
        match &self.backend {
            StorageBackend::Folder(folder) => folder.is_known_missing(path),
            #[cfg(feature = "s3")]
            StorageBackend::Bucket(_) => false,
        }
    }

    /// Opens a file for reading from its start to its end.
    pub async fn open(&self, path: &FilePath) -> FileResult<FileReader> {
        self.open_range(path, None).await
    }

    /// Opens the bytes `range` of a file (all of them with `None`); what lies behind its end is left out.
    pub async fn open_range(&self, path: &FilePath, range: Option<Range<u64>>) -> FileResult<FileReader> {
        match &self.backend {
            StorageBackend::Folder(folder) => folder.open(path, range).await,
            #[cfg(feature = "s3")]
            StorageBackend::Bucket(bucket) => bucket.open(path, range).await,
        }
    }

    /// A whole file of at most `limit` bytes.
    pub async fn read(&self, path: &FilePath, limit: usize) -> FileResult<Vec<u8>> {
        let reader = self.open(path).await?;
        let size = reader.metadata.size;
        let limit_bytes = u64::try_from(limit).unwrap_or(u64::MAX);
        if size > limit_bytes {
            return Err(FileError::TooLarge { path: path.clone(), size, limit: limit_bytes });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(limit).min(limit));
        let mut stream = reader.into_stream();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| FileError::unavailable(&error))?);
        }
        Ok(bytes)
    }

    /// Starts a file. It becomes visible, in the place of what was there, by [`FileWriter::finish`]; dropped before, it leaves nothing.
    /// `produced_by` is whose work it is, so that what a killed process left is found.
    pub async fn create(&self, path: &FilePath, produced_by: Option<ProducedBy>) -> FileResult<FileWriter> {
        let sink = match &self.backend {
            StorageBackend::Folder(folder) => {
                let (scratch, file) = self.scratch.create(produced_by).await?;
                Sink::Folder { folder: folder.clone(), file, scratch }
            }
            #[cfg(feature = "s3")]
            StorageBackend::Bucket(bucket) => Sink::Bucket(bucket.create(path)?),
        };
        Ok(FileWriter { path: path.clone(), sink, hash: digest::Context::new(&digest::SHA256), size: 0 })
    }

    /// A real file of this machine with the bytes of a stored one, for a child process to read. It stays for as long as the answer is held.
    #[cfg_attr(not(feature = "s3"), expect(unused_variables, reason = "a folder's own file needs no copy"))]
    pub async fn local(&self, path: &FilePath, produced_by: Option<ProducedBy>) -> FileResult<LocalFile> {
        match &self.backend {
            StorageBackend::Folder(folder) => {
                folder.metadata(path).await?;
                Ok(LocalFile { path: folder.real_path(path), _copy: None })
            }
            #[cfg(feature = "s3")]
            StorageBackend::Bucket(_) => {
                let (scratch, mut file) = self.scratch.create(produced_by).await?;
                let mut stream = self.open(path).await?.into_stream();
                while let Some(chunk) = stream.next().await {
                    let chunk = chunk.map_err(|error| FileError::unavailable(&error))?;
                    file.write_all(&chunk).await.map_err(|error| FileError::unavailable(&error))?;
                }
                file.flush().await.map_err(|error| FileError::unavailable(&error))?;
                Ok(LocalFile { path: scratch.path().to_owned(), _copy: Some(scratch) })
            }
        }
    }

    /// An empty file of this machine, to be written by whoever likes (a child process, a library that wants a path) and then
    /// [published](Files::publish). It goes when it is dropped.
    pub async fn scratch(&self, produced_by: Option<ProducedBy>) -> FileResult<ScratchFile> {
        Ok(self.scratch.create(produced_by).await?.0)
    }

    /// Size and hash of a scratch file as it is now.
    pub async fn measure(&self, scratch: &ScratchFile) -> FileResult<FileDigest> {
        scratch::measure(scratch.path().to_owned()).await
    }

    /// Makes a scratch file a stored one, in the place of what was there: visible whole or not at all. Nobody may be writing it any more.
    pub async fn publish(&self, scratch: ScratchFile, path: &FilePath) -> FileResult<()> {
        self.stage(scratch, path).await?.place().await
    }

    /// The same up to the point where only the last step is left.
    pub async fn stage(&self, scratch: ScratchFile, path: &FilePath) -> FileResult<Staged> {
        match &self.backend {
            StorageBackend::Folder(folder) => {
                let scratch = folder.sync(scratch).await?;
                Ok(Staged(StagedIn::Folder { folder: folder.clone(), scratch, path: path.clone() }))
            }
            #[cfg(feature = "s3")]
            StorageBackend::Bucket(bucket) => {
                let file = tokio::fs::File::open(scratch.path()).await.map_err(|error| FileError::unavailable(&error))?;
                let mut sink = bucket.create(path)?;
                let mut stream = tokio_util::io::ReaderStream::with_capacity(file, CHUNK_BYTES);
                while let Some(chunk) = stream.next().await {
                    sink.write(&chunk.map_err(|error| FileError::unavailable(&error))?).await?;
                }
                Ok(Staged(StagedIn::Bucket(sink)))
            }
        }
    }

    /// Removes a file; one that is not there is as good as removed.
    pub async fn delete(&self, path: &FilePath) -> FileResult<()> {
        match &self.backend {
            StorageBackend::Folder(folder) => folder.delete(path).await,
            #[cfg(feature = "s3")]
            StorageBackend::Bucket(bucket) => bucket.delete(path).await,
        }
    }

    /// The files in `folder`, which is one part of a path, that were last written before `before`, by the storage's clock.
    pub async fn old_in(&self, folder: &'static str, before: Timestamp) -> FileResult<Vec<FilePath>> {
        match &self.backend {
            StorageBackend::Folder(root) => root.old_in(folder, before).await,
            #[cfg(feature = "s3")]
            StorageBackend::Bucket(bucket) => bucket.old_in(folder, before).await,
        }
    }

    /// Scratch files of this machine that were last written before `before`, with the task that they belong to.
    pub async fn old_scratch(&self, before: Timestamp) -> FileResult<Vec<OldScratch>> {
        self.scratch.old(before).await
    }

    /// Removes a scratch file that [`Files::old_scratch`] told of.
    pub async fn remove_scratch(&self, old: &OldScratch) -> FileResult<()> {
        self.scratch.remove(old).await
    }

    /// The absolute URL under which anybody may fetch the file until `expires_at`.
    pub fn link(&self, path: &FilePath, expires_at: Timestamp) -> String {
        self.signer.link(path, expires_at)
    }

    /// Whether the `expires` and `signature` of a link were made here for this path, and it has not expired.
    pub fn check_link(&self, path: &FilePath, expires: i64, signature: &str, now: Timestamp) -> Result<(), LinkError> {
        self.signer.check(path, expires, signature, now)
    }
}

/// A file under way to the storage.
pub struct FileWriter {
    path: FilePath,
    sink: Sink,
    hash: digest::Context,
    size: u64,
}

enum Sink {
    Folder {
        folder: Folder,
        file: tokio::fs::File,
        scratch: ScratchFile,
    },
    #[cfg(feature = "s3")]
    Bucket(bucket::BucketSink),
}

impl FileWriter {
    /// Where it will be.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// Adds bytes. Pieces of some 100 KiB go fastest. After a failure, or a call that was dropped, the file can only be dropped too.
    pub async fn write(&mut self, bytes: &[u8]) -> FileResult<()> {
        match &mut self.sink {
            Sink::Folder { file, .. } => file.write_all(bytes).await.map_err(|error| FileError::unavailable(&error))?,
            #[cfg(feature = "s3")]
            Sink::Bucket(sink) => sink.write(bytes).await?,
        }
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// What was written so far.
    pub fn digest(&self) -> FileDigest {
        FileDigest { size: self.size, sha256: sha256_of(self.hash.clone()) }
    }

    /// Makes the file visible, whole and durable.
    pub async fn finish(self) -> FileResult<FileDigest> {
        let digest = self.digest();
        self.stage().await?.place().await?;
        Ok(digest)
    }

    /// The same up to the point where only the last step is left.
    pub async fn stage(self) -> FileResult<Staged> {
        match self.sink {
            Sink::Folder { folder, mut file, scratch } => {
                file.flush().await.map_err(|error| FileError::unavailable(&error))?;
                drop(file);
                let scratch = folder.sync(scratch).await?;
                Ok(Staged(StagedIn::Folder { folder, scratch, path: self.path }))
            }
            #[cfg(feature = "s3")]
            Sink::Bucket(sink) => Ok(Staged(StagedIn::Bucket(sink))),
        }
    }
}

/// A file of which all is written and nothing can be seen. Dropped, it leaves nothing.
pub struct Staged(StagedIn);

enum StagedIn {
    Folder {
        folder: Folder,
        scratch: ScratchFile,
        path: FilePath,
    },
    #[cfg(feature = "s3")]
    Bucket(bucket::BucketSink),
}

impl Staged {
    /// Makes it visible: a rename, or the last request to the bucket.
    pub async fn place(self) -> FileResult<()> {
        match self.0 {
            StagedIn::Folder { folder, scratch, path } => folder.place(scratch, &path).await,
            #[cfg(feature = "s3")]
            StagedIn::Bucket(sink) => sink.finish().await,
        }
    }
}

fn sha256_of(hash: digest::Context) -> [u8; 32] {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash.finish().as_ref());
    sha256
}

/// A stored file, open for reading.
pub struct FileReader {
    /// What the storage knows of the whole file.
    pub metadata: FileMetadata,
    /// Which of its bytes come.
    pub range: Range<u64>,
    stream: BoxStream<'static, io::Result<Bytes>>,
}

impl FileReader {
    /// Its bytes, in pieces.
    pub fn into_stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        self.stream
    }
}

/// A stored file as a real file of this machine, to be read only.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    /// The copy, where the storage is elsewhere.
    _copy: Option<ScratchFile>,
}

impl LocalFile {
    /// Path of the file in the folder, or of its temporary copy.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
