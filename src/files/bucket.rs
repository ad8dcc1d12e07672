//! Stored files in an S3-compatible bucket.
//!
//! A small file goes in one request, a larger one in parts; either way it appears whole, when all of it is there. The parts of a process that
//! was killed stay in the bucket unseen: a lifecycle rule of the bucket that aborts incomplete uploads removes them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as ObjectPath;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig, WriteMultipart,
};
use secrecy::ExposeSecret as _;

use super::{FileError, FileMetadata, FileReader, FileResult};
use crate::config::BucketConfig;
use legwork_engine::domain::FilePath;

/// A file up to this size goes in one request; a larger one in parts of it. 10,000 parts are allowed, so the largest file has 80 GB.
const PART_BYTES: usize = 8 << 20;
/// One part is sent while the next is collected.
const PARTS_UNDER_WAY: usize = 1;
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long nothing may come. There is none for the whole: a large file takes as long as it takes.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
const MOST_RETRIES: usize = 3;
const RETRY_LIMIT: Duration = Duration::from_mins(1);

/// A bucket, or what lies below a prefix in it.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: String,
}

impl Bucket {
    pub(super) fn connect(config: &BucketConfig) -> FileResult<Self> {
        // Whoever is first installs it; it is the same for all.
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("another provider of TLS cryptography was installed before ours");
        }
        let client = ClientOptions::new()
            .with_connect_timeout(CONNECT_LIMIT)
            .with_read_timeout(SILENCE_LIMIT)
            .with_timeout_disabled()
            .with_allow_http(config.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://")));
        let retry = RetryConfig { max_retries: MOST_RETRIES, retry_timeout: RETRY_LIMIT, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_client_options(client)
            .with_retry(retry)
            .with_disable_bulk_delete(true);
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some((key, secret)) = &config.login {
            builder = builder.with_access_key_id(key).with_secret_access_key(secret.expose_secret());
        }
        if let Some(token) = &config.session_token {
            builder = builder.with_token(token.expose_secret());
        }
        let store = builder.build().map_err(|error| FileError::Setup(format!("STORAGE_URL: {error}")))?;
        Ok(Self { store: Arc::new(store), prefix: config.prefix.clone() })
    }

    fn object(&self, path: &FilePath) -> FileResult<ObjectPath> {
        let key = if self.prefix.is_empty() { path.to_string() } else { format!("{}/{path}", self.prefix) };
        ObjectPath::parse(key).map_err(|_| FileError::Refused { path: path.clone(), reason: "the bucket does not take the name" })
    }

    pub(super) async fn metadata(&self, path: &FilePath) -> FileResult<FileMetadata> {
        let found = self.store.head(&self.object(path)?).await.map_err(|error| to_file_error(path, error))?;
        metadata_of(&found)
    }

    pub(super) async fn open(&self, path: &FilePath, range: Option<Range<u64>>) -> FileResult<FileReader> {
        let object = self.object(path)?;
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = self.store.get_opts(&object, options).await.map_err(|error| to_file_error(path, error))?;
        let (metadata, range) = (metadata_of(&found.meta)?, found.range.clone());
        let stream = found.into_stream().map_err(std::io::Error::other).boxed();
        Ok(FileReader { metadata, range, stream })
    }

    pub(super) fn create(&self, path: &FilePath) -> FileResult<BucketSink> {
        let object = self.object(path)?;
        Ok(BucketSink { store: self.store.clone(), path: path.clone(), object, first: Vec::new(), upload: None })
    }

    /// The files below `folder` that were last written before `before`.
    pub(super) async fn old_in(&self, folder: &'static str, before: Timestamp) -> FileResult<Vec<FilePath>> {
        let key = if self.prefix.is_empty() { folder.to_owned() } else { format!("{}/{folder}", self.prefix) };
        let start = self.prefix.len() + usize::from(!self.prefix.is_empty());
        let mut listed = self.store.list(Some(&ObjectPath::from(key)));
        let mut found = Vec::new();
        while let Some(object) = listed.next().await {
            let object = object.map_err(|error| FileError::Unavailable(error.to_string()))?;
            let path = object.location.as_ref().get(start..).and_then(|path| FilePath::parse(path).ok());
            if let Some(path) = path.filter(|_| metadata_of(&object).is_ok_and(|metadata| metadata.modified_at < before)) {
                found.push(path);
            }
        }
        Ok(found)
    }

    pub(super) async fn delete(&self, path: &FilePath) -> FileResult<()> {
        match self.store.delete(&self.object(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(to_file_error(path, error)),
        }
    }
}

/// A file under way to the bucket.
pub(super) struct BucketSink {
    store: Arc<dyn ObjectStore>,
    path: FilePath,
    object: ObjectPath,
    /// What there is while it may still be a small one.
    first: Vec<u8>,
    upload: Option<WriteMultipart>,
}

impl BucketSink {
    pub(super) async fn write(&mut self, bytes: &[u8]) -> FileResult<()> {
        if self.upload.is_none() {
            if self.first.len() + bytes.len() < PART_BYTES {
                self.first.extend_from_slice(bytes);
                return Ok(());
            }
            let upload = self.store.put_multipart(&self.object).await.map_err(|error| to_file_error(&self.path, error))?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            upload.put(std::mem::take(&mut self.first).into());
            self.upload = Some(upload);
        }
        if let Some(upload) = &mut self.upload {
            upload.wait_for_capacity(PARTS_UNDER_WAY).await.map_err(|error| to_file_error(&self.path, error))?;
            upload.write(bytes);
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> FileResult<()> {
        let done = match self.upload.take() {
            Some(upload) => upload.finish().await,
            None => self.store.put(&self.object, std::mem::take(&mut self.first).into()).await,
        };
        done.map(drop).map_err(|error| to_file_error(&self.path, error))
    }
}

impl Drop for BucketSink {
    /// Tells the bucket to forget the parts, where anybody is left to tell it.
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.upload.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::debug!(%error, "the parts of an upload are left to the bucket's lifecycle rule");
                }
            });
        }
    }
}

fn metadata_of(found: &ObjectMeta) -> FileResult<FileMetadata> {
    let modified_at = Timestamp::from_microsecond(found.last_modified.timestamp_micros());
    let modified_at = modified_at.map_err(|error| FileError::Unavailable(error.to_string()))?;
    Ok(FileMetadata { size: found.size, modified_at })
}

fn to_file_error(path: &FilePath, error: object_store::Error) -> FileError {
    match error {
        object_store::Error::NotFound { .. } => FileError::NotFound(path.clone()),
        error => FileError::Unavailable(error.to_string()),
    }
}
