//! The key ring: `XChaCha20-Poly1305`, the first key seals, all open.
//!
//! A sealed text is `sealed:1:KEY:BASE64`: the key's id in front of the nonce of 24 random bytes and the ciphertext with its tag. The task's id
//! and the column are its associated data, so that a sealed text opens in its own row and column only.

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
    /// What stands in front of each text that it sealed.
    pub id: String,
    /// The base64 of its 32 bytes.
    pub secret: SecretString,
}

/// How a sealed text begins.
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
        }
    }
}

/// A key is not the base64 of 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key {0:?} of ENCRYPTION_KEYS is not the base64 of 32 bytes")]
pub struct KeyError(String);

/// The keys; none is a ring too, which seals nothing.
#[derive(Default)]
pub struct KeyRing {
    keys: Vec<(String, XChaCha20Poly1305)>,
}

/// What is sealed in a text.
struct Sealed<'a> {
    key: &'a str,
    bytes: &'a str,
}

impl<'a> Sealed<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (key, bytes) = text.strip_prefix(PREFIX)?.split_once(':')?;
        Some(Self { key, bytes })
    }
}

impl KeyRing {
    /// A ring of these keys.
    pub fn new(keys: &[EncryptionKey]) -> Result<Self, KeyError> {
        let cipher = |key: &EncryptionKey| {
            let bytes = STANDARD.decode(key.secret.expose_secret()).ok();
            let cipher = bytes.and_then(|bytes| XChaCha20Poly1305::new_from_slice(&bytes).ok());
            cipher.map(|cipher| (key.id.clone(), cipher)).ok_or_else(|| KeyError(key.id.clone()))
        };
        Ok(Self { keys: keys.iter().map(cipher).collect::<Result<_, _>>()? })
    }

    /// Whether there is a key to seal with.
    pub fn seals(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The text of a task's row sealed; as it is where there is no key, and where it holds a NUL, which the database is to refuse.
    pub(super) fn seal(&self, text: &str, task: TaskId, column: Column) -> StoreResult<String> {
        self.seal_for(text, task.as_uuid().as_bytes(), column)
    }

    /// The same for a row that `owner` tells from others.
    pub(super) fn seal_for(&self, text: &str, owner: &[u8], column: Column) -> StoreResult<String> {
        let Some((id, cipher)) = self.keys.first().filter(|_| !text.contains('\0')) else { return Ok(text.to_owned()) };
        let mut nonce = [0; NONCE_BYTES];
        let failed = |what: &str| StoreError::Unavailable(format!("a row could not be sealed: {what}"));
        SystemRandom::new().fill(&mut nonce).map_err(|_| failed("the system gives no random numbers"))?;
        let aad = associated(owner, column);
        let payload = Payload { msg: text.as_bytes(), aad: &aad };
        let cipher_text = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| failed("it is too long"))?;
        let mut sealed = format!("{PREFIX}{id}:");
        STANDARD.encode_string([nonce.as_slice(), &cipher_text].concat(), &mut sealed);
        Ok(sealed)
    }

    /// What was sealed; `None` where the text is not sealed at all, and an error that says why it cannot be opened.
    pub(super) fn open(&self, text: &str, task: TaskId, column: Column) -> Option<Result<String, String>> {
        self.open_for(text, task.as_uuid().as_bytes(), column)
    }

    /// The same for a row that `owner` tells from others.
    pub(super) fn open_for(&self, text: &str, owner: &[u8], column: Column) -> Option<Result<String, String>> {
        let sealed = Sealed::parse(text)?;
        let known = self.keys.iter().find(|(id, _)| id == sealed.key);
        let Some((_, cipher)) = known else { return Some(Err(unreadable(column.as_str(), sealed.key))) };
        let opened = STANDARD.decode(sealed.bytes).ok().and_then(|bytes| {
            let (nonce, cipher_text) = bytes.split_first_chunk::<NONCE_BYTES>()?;
            let payload = Payload { msg: cipher_text, aad: &associated(owner, column) };
            let text = cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
            String::from_utf8(text).ok()
        });
        let (what, key) = (column.as_str(), sealed.key);
        Some(
            opened.ok_or_else(|| {
                format!("the {what} cannot be opened with the key {key:?}: not what was sealed here, or not with it")
            }),
        )
    }
}

fn associated(owner: &[u8], column: Column) -> Vec<u8> {
    [owner, column.as_str().as_bytes()].concat()
}

/// The id of the key that args, as they came from the store, are still sealed with; `None` where they can be read.
pub fn sealed_with(args: &str) -> Option<&str> {
    Some(Sealed::parse(args.strip_prefix('"')?)?.key)
}

/// Why a text of the row `what` (`args`) cannot be read here.
pub fn unreadable(what: &str, key: &str) -> String {
    format!(
        "the {what} cannot be opened here: sealed with the key {key:?}, which ENCRYPTION_KEYS does not have, or not as it was written"
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
    fn what_is_sealed_opens_in_its_own_row_and_column_only() {
        let ring = KeyRing::new(&[key("k1", 1)]).unwrap();
        let [task, other] = ids();
        let sealed = ring.seal("hello", task, Column::Args).unwrap();
        assert!(sealed.starts_with("sealed:1:k1:") && !sealed.contains("hello"), "{sealed}");
        assert_eq!(ring.open(&sealed, task, Column::Args), Some(Ok("hello".into())));
        assert!(ring.open(&sealed, other, Column::Args).unwrap().is_err());
        assert!(ring.open(&sealed, task, Column::Result).unwrap().is_err());
        assert_ne!(ring.seal("hello", task, Column::Args).unwrap(), sealed, "the nonce is another one");
        assert_eq!(ring.open("hello", task, Column::Args), None);
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let old = KeyRing::new(&[key("k1", 1)]).unwrap();
        let both = KeyRing::new(&[key("k2", 2), key("k1", 1)]).unwrap();
        let new = KeyRing::new(&[key("k2", 2)]).unwrap();
        let [task, _] = ids();
        let sealed = old.seal("x", task, Column::Args).unwrap();
        assert_eq!(both.open(&sealed, task, Column::Args), Some(Ok("x".into())));
        assert!(both.seal("x", task, Column::Args).unwrap().starts_with("sealed:1:k2:"));
        let error = new.open(&sealed, task, Column::Args).unwrap().unwrap_err();
        assert!(error.contains("\"k1\"") && error.contains("ENCRYPTION_KEYS"), "{error}");
        // A key that bears another's name.
        let wrong = KeyRing::new(&[key("k1", 3)]).unwrap();
        assert!(wrong.open(&sealed, task, Column::Args).unwrap().is_err());
    }

    #[test]
    fn rubbish_is_an_error_and_no_panic() {
        let ring = KeyRing::new(&[key("k1", 1)]).unwrap();
        let [task, _] = ids();
        let sealed = ring.seal("hello", task, Column::Args).unwrap();
        for cut in "sealed:1:k1:".len()..sealed.len() {
            assert!(ring.open(&sealed[..cut], task, Column::Args).unwrap().is_err());
        }
        for text in ["sealed:1:k1:%%%", "sealed:1:k1:", "sealed:1:k1:AAAA", "sealed:1::AAAA"] {
            assert!(ring.open(text, task, Column::Args).unwrap().is_err(), "{text}");
        }
        assert_eq!(ring.open("sealed:1:", task, Column::Args), None);
        assert_eq!(KeyRing::new(&[EncryptionKey { id: "k".into(), secret: "AAAA".into() }]).err(), Some(KeyError("k".into())));
    }
}
