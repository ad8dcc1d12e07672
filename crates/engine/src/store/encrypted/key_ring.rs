//! The key ring: `XChaCha20-Poly1305`, the first key encrypts, all open.
//!
//! An encrypted text is `sealed:1:KEY:BASE64`: the key's id in front of the nonce of 24 random bytes and the ciphertext with its tag. The task's id
//! and the column are its associated data, so that an encrypted text opens in its own row and column only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::TaskId;
use crate::store::{StoreError, StoreResult};

/// A key of the store.
#[derive(Clone, Debug)]
pub struct EncryptionKey {
    /// What stands in front of each text that it encrypted.
    pub id: String,
    /// The base64 of its 32 bytes.
    pub secret: SecretString,
}

/// How an encrypted text starts.
const PREFIX: &str = "sealed:1:";
const NONCE_BYTES: usize = 24;

/// What a text is, beside whose: the rest of its associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Args,
    Result,
    /// The message of an error, of the task or of one of its attempts.
    Error,
    Progress,
    Recipient,
    Response,
    /// What is a recipient's own.
    Context,
    /// The outcome of a recorded effect.
    Effect,
}

impl Column {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Args => "args",
            Self::Result => "result",
            Self::Error => "error",
            Self::Progress => "progress",
            Self::Recipient => "recipient",
            Self::Response => "response",
            Self::Context => "context",
            Self::Effect => "effect",
        }
    }
}

/// A key is not the base64 of 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key {0:?} of ENCRYPTION_KEYS is not the base64 of 32 bytes")]
pub struct KeyError(String);

/// The keys; none is a key ring too, which encrypts nothing.
#[derive(Default)]
pub struct KeyRing {
    keys: Vec<(String, XChaCha20Poly1305)>,
}

/// What is encrypted in a text.
struct Ciphertext<'a> {
    key: &'a str,
    bytes: &'a str,
}

impl<'a> Ciphertext<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (key, bytes) = text.strip_prefix(PREFIX)?.split_once(':')?;
        Some(Self { key, bytes })
    }
}

impl KeyRing {
    /// A key ring of these keys.
    pub fn new(keys: &[EncryptionKey]) -> Result<Self, KeyError> {
        let cipher = |key: &EncryptionKey| {
            let bytes = STANDARD.decode(key.secret.expose_secret()).ok();
            let cipher = bytes.and_then(|bytes| XChaCha20Poly1305::new_from_slice(&bytes).ok());
            cipher.map(|cipher| (key.id.clone(), cipher)).ok_or_else(|| KeyError(key.id.clone()))
        };
        Ok(Self { keys: keys.iter().map(cipher).collect::<Result<_, _>>()? })
    }

    /// Whether there is a key to encrypt with.
    pub fn encrypts(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The text of a task's row encrypted; as it is where there is no key, and where it holds a NUL, which the database is to refuse.
    pub(super) fn encrypt(&self, text: &str, task: TaskId, column: Column) -> StoreResult<String> {
        self.encrypt_for(text, task.as_uuid().as_bytes(), column)
    }

    /// The same for a row that `owner` tells from others.
    pub(super) fn encrypt_for(&self, text: &str, owner: &[u8], column: Column) -> StoreResult<String> {
        let Some((id, cipher)) = self.keys.first().filter(|_| !text.contains('\0')) else { return Ok(text.to_owned()) };
        let mut nonce = [0; NONCE_BYTES];
        let failed = |what: &str| StoreError::Unavailable(format!("a row could not be sealed: {what}"));
        SystemRandom::new().fill(&mut nonce).map_err(|_| failed("the system gives no random numbers"))?;
        let aad = associated(owner, column);
        let payload = Payload { msg: text.as_bytes(), aad: &aad };
        let cipher_text = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| failed("it is too long"))?;
        let mut encrypted = format!("{PREFIX}{id}:");
        STANDARD.encode_string([nonce.as_slice(), &cipher_text].concat(), &mut encrypted);
        Ok(encrypted)
    }

    /// What was encrypted; `None` where the text is not encrypted at all, and an error that says why it cannot be opened.
    pub(super) fn open(&self, text: &str, task: TaskId, column: Column) -> Option<Result<String, String>> {
        self.open_for(text, task.as_uuid().as_bytes(), column)
    }

    /// The same for a row that `owner` tells from others.
    pub(super) fn open_for(&self, text: &str, owner: &[u8], column: Column) -> Option<Result<String, String>> {
        let encrypted = Ciphertext::parse(text)?;
        let known = self.keys.iter().find(|(id, _)| id == encrypted.key);
        let Some((_, cipher)) = known else { return Some(Err(unreadable(column.as_str(), encrypted.key))) };
        let opened = STANDARD.decode(encrypted.bytes).ok().and_then(|bytes| {
            let (nonce, cipher_text) = bytes.split_first_chunk::<NONCE_BYTES>()?;
            let payload = Payload { msg: cipher_text, aad: &associated(owner, column) };
            let text = cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
            String::from_utf8(text).ok()
        });
        let (what, key) = (column.as_str(), encrypted.key);
        Some(opened.ok_or_else(|| {
            format!("the {what} cannot be opened with the key {key:?}: not what was encrypted here, or not with it")
        }))
    }
}

fn associated(owner: &[u8], column: Column) -> Vec<u8> {
    [owner, column.as_str().as_bytes()].concat()
}

/// The id of the key that args, as they came from the store, are still encrypted with; `None` where they can be read.
pub fn encrypted_with(args: &str) -> Option<&str> {
    Some(Ciphertext::parse(args.strip_prefix('"')?)?.key)
}

/// Why a text of the row `what` (`args`) cannot be read here.
pub fn unreadable(what: &str, key: &str) -> String {
    format!(
        "the {what} cannot be opened here: encrypted with the key {key:?}, which ENCRYPTION_KEYS does not have, or not as it was written"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};

    fn key(id: &str, byte: u8) -> EncryptionKey {
        EncryptionKey { id: id.into(), secret: STANDARD.encode([byte; 32]).into() }
    }

    fn ids() -> [TaskId; 2] {
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        [TaskId::made(clock.now()), TaskId::made(clock.now())]
    }

    #[test]
    fn what_is_encrypted_opens_in_its_own_row_and_column_only() {
        let key_ring = KeyRing::new(&[key("k1", 1)]).unwrap();
        let [task, other] = ids();
        let encrypted = key_ring.encrypt("hello", task, Column::Args).unwrap();
        assert!(encrypted.starts_with("sealed:1:k1:") && !encrypted.contains("hello"), "{encrypted}");
        assert_eq!(key_ring.open(&encrypted, task, Column::Args), Some(Ok("hello".into())));
        assert!(key_ring.open(&encrypted, other, Column::Args).unwrap().is_err());
        assert!(key_ring.open(&encrypted, task, Column::Result).unwrap().is_err());
        assert_ne!(key_ring.encrypt("hello", task, Column::Args).unwrap(), encrypted, "the nonce is another one");
        assert_eq!(key_ring.open("hello", task, Column::Args), None);
    }

    #[test]
    fn the_first_key_encrypts_and_all_open() {
        let old = KeyRing::new(&[key("k1", 1)]).unwrap();
        let both = KeyRing::new(&[key("k2", 2), key("k1", 1)]).unwrap();
        let new = KeyRing::new(&[key("k2", 2)]).unwrap();
        let [task, _] = ids();
        let encrypted = old.encrypt("x", task, Column::Args).unwrap();
        assert_eq!(both.open(&encrypted, task, Column::Args), Some(Ok("x".into())));
        assert!(both.encrypt("x", task, Column::Args).unwrap().starts_with("sealed:1:k2:"));
        let error = new.open(&encrypted, task, Column::Args).unwrap().unwrap_err();
        assert!(error.contains("\"k1\"") && error.contains("ENCRYPTION_KEYS"), "{error}");
        // A key that bears another's name.
        let wrong = KeyRing::new(&[key("k1", 3)]).unwrap();
        assert!(wrong.open(&encrypted, task, Column::Args).unwrap().is_err());
    }

    #[test]
    fn rubbish_is_an_error_and_no_panic() {
        let key_ring = KeyRing::new(&[key("k1", 1)]).unwrap();
        let [task, _] = ids();
        let encrypted = key_ring.encrypt("hello", task, Column::Args).unwrap();
        for cut in "sealed:1:k1:".len()..encrypted.len() {
            assert!(key_ring.open(&encrypted[..cut], task, Column::Args).unwrap().is_err());
        }
        for text in ["sealed:1:k1:%%%", "sealed:1:k1:", "sealed:1:k1:AAAA", "sealed:1::AAAA"] {
            assert!(key_ring.open(text, task, Column::Args).unwrap().is_err(), "{text}");
        }
        assert_eq!(key_ring.open("sealed:1:", task, Column::Args), None);
        assert_eq!(KeyRing::new(&[EncryptionKey { id: "k".into(), secret: "AAAA".into() }]).err(), Some(KeyError("k".into())));
    }
}
