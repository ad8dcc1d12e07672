//! An image from outside on its way into the storage.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{ContainerScanner, FileError, FileService, ImageType, NewFile, NewFileWriter, PolyglotError};
use legwork_engine::domain::FilePath;
use legwork_engine::store::FileRow;

/// Why an upload was refused.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It has no bytes.
    #[error("the file is empty")]
    Empty,
    /// Its content is not an image that is taken.
    #[error("the file is not a JPEG, PNG, WebP or GIF image; its content decides, not its name")]
    NotAnImage,
    /// It is an image and something else at once.
    #[error("the file is not only an image: {0}")]
    Polyglot(#[from] PolyglotError),
    /// It has more bytes than allowed.
    #[error("the file has more than the {0} bytes that are allowed (UPLOAD_LIMIT)")]
    TooLarge(usize),
    /// The storage, or the list of files, could not.
    #[error(transparent)]
    Storage(#[from] FileError),
}

/// An upload under way. Its type is read from its first bytes, and its name is ours: nothing of what the sender calls it is used.
pub struct Upload {
    file_service: FileService,
    principal: Arc<str>,
    now: Timestamp,
    limit: usize,
    expires_at: Option<Timestamp>,
    size: usize,
    state: State,
}

enum State {
    /// Too little has come to tell.
    Head(Vec<u8>),
    Body(Box<Body>),
}

/// A file under way, and the walk along it.
struct Body {
    writer: NewFileWriter,
    walk: ContainerScanner,
}

impl Body {
    async fn take(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.walk.take(bytes)?;
        Ok(self.writer.write(bytes).await?)
    }
}

impl Upload {
    /// An upload of `principal`, of at most `limit` bytes, kept for as long as `retention` says.
    pub fn new(
        file_service: FileService,
        principal: Arc<str>,
        now: Timestamp,
        limit: usize,
        retention: Option<Duration>,
    ) -> Self {
        let expires_at = retention.map(|life| now.saturating_add(life).unwrap_or(Timestamp::MAX));
        Self { file_service, principal, now, limit, expires_at, size: 0, state: State::Head(Vec::new()) }
    }

    /// Takes the next bytes. After an error the upload can only be dropped, which leaves nothing.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.size += bytes.len();
        if self.size > self.limit {
            return Err(UploadError::TooLarge(self.limit));
        }
        match &mut self.state {
            State::Body(body) => body.take(bytes).await?,
            State::Head(head) => {
                head.extend_from_slice(bytes);
                if head.len() >= ImageType::HEAD_BYTES {
                    self.start().await?;
                }
            }
        }
        Ok(())
    }

    /// All has come: makes the file visible.
    pub async fn finish(mut self) -> Result<FileRow, UploadError> {
        if self.size == 0 {
            return Err(UploadError::Empty);
        }
        self.start().await?;
        match self.state {
            State::Body(body) => {
                body.walk.finish()?;
                Ok(body.writer.finish().await?)
            }
            State::Head(_) => Err(UploadError::Empty),
        }
    }

    /// Starts the file, where that was not done yet.
    async fn start(&mut self) -> Result<(), UploadError> {
        let State::Head(head) = &self.state else { return Ok(()) };
        let sort = ImageType::of(head).ok_or(UploadError::NotAnImage)?;
        let new_file = NewFile {
            path: FilePath::for_upload(self.now, sort.extension()),
            content_type: sort.content_type().into(),
            principal: self.principal.clone(),
            produced_by: None,
            created_at: self.now,
            expires_at: self.expires_at,
        };
        let mut body = Box::new(Body { writer: self.file_service.create(new_file).await?, walk: ContainerScanner::new(sort) });
        body.take(head).await?;
        self.state = State::Body(body);
        Ok(())
    }
}
