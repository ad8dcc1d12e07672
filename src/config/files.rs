//! The settings of stored files.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::parse::Reader;

/// Where files are stored, and how links to them are made.
#[derive(Clone, Debug)]
pub struct FilesConfig {
    /// The folder or bucket that holds the files.
    pub storage: Storage,
    /// Where files are made that go to a bucket.
    pub scratch: PathBuf,
    /// What signs links; the first signs, all verify.
    pub secrets: Vec<SecretString>,
    /// What links start with, without a slash at the end.
    pub public_url: String,
}

/// A place that stores files.
#[derive(Clone, Debug)]
pub enum Storage {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket of an S3-compatible service.
    Bucket(BucketConfig),
}

/// The address of a bucket and the login for it.
#[derive(Clone, Debug)]
pub struct BucketConfig {
    /// Name of the bucket.
    pub bucket: String,
    /// What every key starts with, without a slash at either end; may be empty.
    pub prefix: String,
    /// The server, where it is not AWS.
    pub endpoint: Option<String>,
    /// Region of the bucket, for example `eu-west-1`.
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
