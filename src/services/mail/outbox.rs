//! The outbox: a folder of `.eml` files, one a mail, whose names sort by the time of submission.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{MailFate, Message};

pub(super) struct Outbox {
    folder: PathBuf,
    drafts: AtomicU64,
}

impl Outbox {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, drafts: AtomicU64::new(0) }
    }

    /// Whether a mail could be written: writes a draft and removes it.
    pub(super) async fn probe(&self) -> Result<String, String> {
        let draft = self.folder.join(format!(".probe.{}-{}", std::process::id(), self.drafts.fetch_add(1, Ordering::Relaxed)));
        let folder = self.folder.clone();
        let probed = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            File::create(&draft)?;
            std::fs::remove_file(&draft)
        });
        match probed.await {
            Ok(Ok(())) => Ok(format!("mails go to {}", self.folder.display())),
            Ok(Err(error)) => Err(format!("the outbox {}: {error}", self.folder.display())),
            Err(error) => Err(format!("the outbox: {error}")),
        }
    }

    /// Writes the file beside its place and moves it there: it is whole, or it is not there. Done twice, it is there once.
    pub(super) async fn put(&self, message: &Message) -> MailFate {
        let name = message.file_name().to_owned();
        let draft = format!(".{name}.{}-{}", std::process::id(), self.drafts.fetch_add(1, Ordering::Relaxed));
        let (folder, bytes) = (self.folder.clone(), message.bytes.clone());
        let written = {
            let name = name.clone();
            tokio::task::spawn_blocking(move || write(&folder, &draft, &name, &bytes)).await
        };
        match written {
            Ok(Ok(())) => MailFate::Accepted { response: name },
            Ok(Err(error)) => MailFate::NotSent { reason: format!("the outbox {}: {error}", self.folder.display()) },
            Err(error) => MailFate::NotSent { reason: format!("the outbox: {error}") },
        }
    }
}

fn write(folder: &Path, draft: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(draft);
    let file = match File::create(&draft) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            File::create(&draft)
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
