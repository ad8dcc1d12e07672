//! The settings of stored files.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::parse::Reader;

/// Where files are kept.
#[derive(Clone, Debug)]
pub struct FilesConfig {
    /// The storage.
    pub storage: Storage,
    /// Where files are made that go to a bucket.
    pub scratch: PathBuf,
    /// What signs links; the first signs, all verify.
    pub secrets: Vec<SecretString>,
    /// What links start with, without a slash at the end.
    pub public_url: String,
}

/// A storage of files.
#[derive(Clone, Debug)]
pub enum Storage {
    /// A folder of this machine.
    Folder(PathBuf),
    /// An S3-compatible bucket.
    Bucket(BucketConfig),
}

/// An S3-compatible bucket.
#[derive(Clone, Debug)]
pub struct BucketConfig {
    /// Its name.
    pub bucket: String,
    /// What every key starts with, without a slash at either end; may be empty.
    pub prefix: String,
    /// The server, where it is not AWS.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// Key id and secret; `None` leaves it to the machine's own role.
    pub login: Option<(String, SecretString)>,
    /// The token of a temporary login.
    pub session_token: Option<SecretString>,
}

pub(super) fn files_config(reader: &mut Reader, data_dir: &Path, public_url: String) -> FilesConfig {
    FilesConfig {
        storage: reader.storage(data_dir),
        scratch: data_dir.join("tmp"),
        secrets: reader.secrets("FILES_SECRET"),
        public_url,
    }
}
