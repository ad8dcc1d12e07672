//! The outbox: a folder of files, one a message (`.eml`, `.sms.json`), whose names sort by the time of submission.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Takes messages where there is nobody to send them. A message that is put there again replaces itself.
pub struct Outbox {
    folder: PathBuf,
    drafts: AtomicU64,
}

impl Outbox {
    /// Over a folder, which is made with its first message.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, drafts: AtomicU64::new(0) }
    }

    /// Checks whether a message can be written, by writing a draft and removing it.
    pub async fn probe(&self) -> Result<String, String> {
        let draft = self.folder.join(format!(".probe.{}-{}", std::process::id(), self.drafts.fetch_add(1, Ordering::Relaxed)));
        let folder = self.folder.clone();
        let probed = tokio::task::spawn_blocking(move || {
            make(&folder)?;
            create(&draft)?;
            std::fs::remove_file(&draft)
        });
        match probed.await {
            Ok(Ok(())) => Ok(format!("mails go to {}", self.folder.display())),
            Ok(Err(error)) => Err(format!("the outbox {}: {error}", self.folder.display())),
            Err(error) => Err(format!("the outbox: {error}")),
        }
    }

    /// Writes the file beside its place and moves it there: it is whole, or it is not there. Done twice, it is there once. The error says
    /// why it is not there.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        let draft = format!(".{name}.{}-{}", std::process::id(), self.drafts.fetch_add(1, Ordering::Relaxed));
        let (folder, name) = (self.folder.clone(), name.to_owned());
        match tokio::task::spawn_blocking(move || write(&folder, &draft, &name, &bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("the outbox {}: {error}", self.folder.display())),
            Err(error) => Err(format!("the outbox: {error}")),
        }
    }
}

/// Messages are nobody else's on this machine.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn create(draft: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(draft)
}

fn write(folder: &Path, draft: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(draft);
    let file = match create(&draft) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(folder)?;
            create(&draft)
        }
        other => other,
    };
    let moved = file.and_then(|mut file| {
        file.write_all(bytes)?;
        // Else a power failure could leave an empty file under the final name.
        file.sync_data()?;
        std::fs::rename(&draft, folder.join(name))
    });
    if moved.is_err()
        && let Err(error) = std::fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %draft.display(), %error, "a draft could not be removed from the outbox");
    }
    moved
}
