//! Passwords: argon2id, a few at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// The shortest password that an account may be given, in characters.
pub const MIN_PASSWORD_CHARS: usize = 12;
/// The longest one, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

/// The hash of a password that nobody knows, with the parameters of [`Argon2::default`]: what a login with an unknown name is
/// checked against, so that it takes as long as one with a known name.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$QcomsxYiwTNg9RuktLfXuQ$95isuoxXbeaILCFOSoXIDnI9esvXKU16BByzOXXz5eg";

/// Why a password could not be hashed or checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short or too long for a new account.
    #[error("the password must have {MIN_PASSWORD_CHARS} characters or more, and at most {MAX_PASSWORD_BYTES} bytes")]
    Length,
    /// The stored hash is not one.
    #[error("the stored password hash cannot be read")]
    Stored,
    /// The hash could not be computed, or the process is shutting down.
    #[error("the password could not be hashed")]
    Unavailable,
}

/// Hashes and checks passwords, so many at once: each takes 19 MiB and tens of milliseconds of a core.
#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
}

impl Passwords {
    /// At most `at_once` hashes at a time; the others wait.
    pub fn new(at_once: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(at_once.max(1))) }
    }

    /// The hash of a new password in PHC form, with a salt of its own.
    pub async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        check_length(&password)?;
        self.on_a_thread(move || {
            let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::Unavailable)
        })
        .await
    }

    /// Whether `password` is the one of `hash`. `None` (no such account) is `false`, after the same work.
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, PasswordError> {
        self.on_a_thread(move || {
            let is_known = hash.is_some();
            let text = hash.as_deref().unwrap_or(NOBODYS_HASH);
            let hash = PasswordHash::new(text).map_err(|_| PasswordError::Stored)?;
            let is_right = Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
            Ok(is_right && is_known)
        })
        .await
    }

    /// The permit goes into the closure: work on a blocking thread goes on when its caller hangs up, and must still count.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| PasswordError::Unavailable)?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| PasswordError::Unavailable)?
    }
}

/// Whether a new account may have `password`.
pub fn check_length(password: &SecretString) -> Result<(), PasswordError> {
    let text = password.expose_secret();
    let is_fit = text.chars().count() >= MIN_PASSWORD_CHARS && text.len() <= MAX_PASSWORD_BYTES;
    if is_fit { Ok(()) } else { Err(PasswordError::Length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_and_no_other_does() {
        let passwords = Passwords::new(2);
        let hash = passwords.hash("correct horse battery".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(passwords.verify("correct horse battery".into(), Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.verify("correct horse batterz".into(), Some(hash.clone())).await, Ok(false));
        assert_ne!(passwords.hash("correct horse battery".into()).await.unwrap(), hash, "each has a salt of its own");
    }

    #[tokio::test]
    async fn an_unknown_name_is_refused_after_the_same_work() {
        let dummy = PasswordHash::new(NOBODYS_HASH).unwrap();
        let real = Argon2::default().hash_password(b"whatever password").unwrap();
        assert_eq!((dummy.algorithm, dummy.version, &dummy.params), (real.algorithm, real.version, &real.params));
        assert_eq!(Passwords::new(1).verify("correct horse battery".into(), None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_new_password_has_twelve_characters_or_more() {
        let passwords = Passwords::new(1);
        assert_eq!(passwords.hash("elevenchars".into()).await, Err(PasswordError::Length));
        assert_eq!(passwords.hash("x".repeat(1025).into()).await, Err(PasswordError::Length));
        assert!(passwords.hash("zwölf Zeiche".into()).await.is_ok());
    }

    #[tokio::test]
    async fn a_hash_that_is_none_is_an_error_and_not_a_wrong_password() {
        let answer = Passwords::new(1).verify("correct horse battery".into(), Some("plain".into())).await;
        assert_eq!(answer, Err(PasswordError::Stored));
    }
}
