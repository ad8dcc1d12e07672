//! Secrets that the embedded setting makes for itself at its first start and keeps in `DATA_DIR`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SecureRandom as _;
use secrecy::{ExposeSecret as _, SecretString};

/// The file of the token secret, in `DATA_DIR`.
pub const JWT_SECRET_FILE: &str = "jwt-secret";
/// The file of the webhook secret, in `DATA_DIR`.
pub const WEBHOOK_SECRET_FILE: &str = "webhook-secret";

/// 256 bits, what HMAC-SHA256 can use.
const SECRET_BYTES: usize = 32;
const GENERATED_PASSWORD_BYTES: usize = 18;

/// A new secret for HS256 tokens.
pub fn new_jwt_secret() -> io::Result<SecretString> {
    Ok(URL_SAFE_NO_PAD.encode(random()?).into())
}

/// A new secret for webhooks: `whsec_` and base64.
pub fn new_webhook_secret() -> io::Result<SecretString> {
    Ok(format!("whsec_{}", STANDARD.encode(random()?)).into())
}

/// A new key for encryption at rest: the base64 of 32 bytes.
pub fn new_encryption_key() -> io::Result<SecretString> {
    Ok(STANDARD.encode(random()?).into())
}

/// A password that nobody has to think of: 144 bits, 24 characters.
pub fn new_password() -> io::Result<SecretString> {
    let bytes = random()?;
    Ok(URL_SAFE_NO_PAD.encode(&bytes[..GENERATED_PASSWORD_BYTES]).into())
}

/// What the link for the first sign-in carries: 144 bits. `None` where the system gives no random numbers.
pub fn first_link() -> Option<String> {
    let bytes = random().ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes.get(..GENERATED_PASSWORD_BYTES)?))
}

/// The secret in the file `path`; where there is none, what `make` gives is kept there first.
///
/// The file belongs to its owner only (0600) and appears whole or not at all; of several processes that start at once, one makes
/// it and all read the same.
pub fn ensure_secret(path: &Path, make: impl FnOnce() -> io::Result<SecretString>) -> io::Result<SecretString> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = folder.join(format!(".secret-{}", URL_SAFE_NO_PAD.encode(random()?)));
    let placed = write_whole(&draft, &make()?).and_then(|()| place(&draft, path));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => placed?,
    }
    File::open(folder)?.sync_all()?;
    read(path)
}

fn random() -> io::Result<[u8; SECRET_BYTES]> {
    let mut bytes = [0_u8; SECRET_BYTES];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(bytes)
}

fn read(path: &Path) -> io::Result<SecretString> {
    let text = SecretString::from(fs::read_to_string(path)?);
    let secret = text.expose_secret().trim();
    if secret.is_empty() {
        let message = format!("the secret file {} is empty; remove it, and a new secret is made", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(secret.to_owned().into())
}

fn write_whole(draft: &Path, secret: &SecretString) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(secret.expose_secret().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// A link does not replace what another process has put there in the meantime; a rename would. Some file systems have no links.
fn place(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => fs::rename(draft, path),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_belongs_to_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data").join(JWT_SECRET_FILE);
        let first = ensure_secret(&path, new_jwt_secret).unwrap();
        let second = ensure_secret(&path, || panic!("made twice")).unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
        assert!(first.expose_secret().len() >= 32);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn all_that_start_at_once_get_the_same_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(WEBHOOK_SECRET_FILE);
        let start = Barrier::new(8);
        let secrets: Vec<SecretString> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        ensure_secret(&path, new_webhook_secret).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| secret.expose_secret() == secrets[0].expose_secret()));
        assert!(secrets[0].expose_secret().starts_with("whsec_"));
    }

    #[test]
    fn an_empty_secret_file_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(JWT_SECRET_FILE);
        fs::write(&path, "\n").unwrap();
        let error = ensure_secret(&path, new_jwt_secret).unwrap_err();
        assert!(error.to_string().contains("jwt-secret is empty"), "{error}");
    }
}
