//! Sessions are signed cookies: a server that restarts, or another one with the same secret, knows them. An account is read at every
//! request, so that a role that was taken away, or a new password, counts at once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// How long a session lasts.
pub(super) const SESSION_TTL: SignedDuration = SignedDuration::from_hours(24 * 7);
/// How long a device is remembered from which somebody signed in.
pub(super) const DEVICE_TTL: SignedDuration = SignedDuration::from_hours(24 * 365);

/// What a session says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Its id: what is revoked at sign-out.
    pub(super) id: String,
    /// Name of the account that is signed in.
    pub(super) name: String,
    /// When it ends, in seconds since 1970.
    ends: i64,
    /// Of the hash of the account's password: a new password ends all sessions.
    password: String,
}

impl Session {
    /// The time at which the session ends.
    pub(super) fn ends_at(&self) -> Timestamp {
        Timestamp::from_second(self.ends).unwrap_or(Timestamp::MAX)
    }
}

/// A device from which an account signed in before. It is throttled apart from strangers who guess the account's password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Device {
    /// Random id of the device.
    pub(super) id: String,
    /// Name of the account that signed in.
    pub(super) name: String,
    ends: i64,
}

/// Signs and checks what browsers keep for us.
pub(super) struct Signer {
    session: hmac::Key,
    device: hmac::Key,
    csrf: hmac::Key,
    random: SystemRandom,
    /// False where the system gave no random numbers for a key: then nothing that is signed here is believed.
    is_usable: bool,
}

impl Signer {
    /// With keys derived from a secret; without one, of a random one: sessions then end with the process.
    pub(super) fn new(secret: Option<&SecretString>) -> Self {
        let random = SystemRandom::new();
        let mut bytes = [0_u8; 32];
        let fresh = random.fill(&mut bytes).is_ok();
        let root = match secret {
            Some(secret) => hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes()),
            None => hmac::Key::new(hmac::HMAC_SHA256, &bytes),
        };
        let derive = |purpose: &str| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, purpose.as_bytes()).as_ref());
        Self {
            session: derive("legwork/session"),
            device: derive("legwork/device"),
            csrf: derive("legwork/csrf"),
            random,
            is_usable: fresh || secret.is_some(),
        }
    }

    /// A fresh id of 128 bits; `None` where the system gives no random numbers.
    pub(super) fn id(&self) -> Option<String> {
        let mut bytes = [0_u8; 16];
        self.random.fill(&mut bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A new session of an account, and its cookie's value.
    pub(super) fn start(&self, name: &str, password_hash: &str, now: Timestamp) -> Option<(Session, String)> {
        let session = Session {
            id: self.id()?,
            name: name.to_owned(),
            ends: (now + SESSION_TTL).as_second(),
            password: self.fingerprint(password_hash),
        };
        let value = seal(&self.session, &session)?;
        Some((session, value))
    }

    /// The session of a cookie, if it was signed here and has not ended.
    pub(super) fn open(&self, value: &str, now: Timestamp) -> Option<Session> {
        let session: Session = unseal(&self.session, value)?;
        (self.is_usable && session.ends > now.as_second()).then_some(session)
    }

    /// Whether a session started with this password.
    pub(super) fn is_current(&self, session: &Session, password_hash: &str) -> bool {
        session.password == self.fingerprint(password_hash)
    }

    /// The cookie that remembers a device.
    pub(super) fn remember(&self, name: &str, now: Timestamp) -> Option<String> {
        seal(&self.device, &Device { id: self.id()?, name: name.to_owned(), ends: (now + DEVICE_TTL).as_second() })
    }

    /// The device of a cookie, if an account of this name signed in from it.
    pub(super) fn device(&self, value: &str, name: &str, now: Timestamp) -> Option<Device> {
        let device: Device = unseal(&self.device, value)?;
        (self.is_usable && device.ends > now.as_second() && device.name == name).then_some(device)
    }

    /// What every form of a session carries.
    pub(super) fn csrf(&self, session: &Session) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.csrf, session.id.as_bytes()))
    }

    /// Whether a form carries what its session's forms carry.
    pub(super) fn is_csrf(&self, session: &Session, token: &str) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(token) else { return false };
        hmac::verify(&self.csrf, session.id.as_bytes(), &tag).is_ok()
    }

    fn fingerprint(&self, password_hash: &str) -> String {
        let tag = hmac::sign(&self.session, password_hash.as_bytes());
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..12).unwrap_or_default())
    }
}

fn seal<T: Serialize>(key: &hmac::Key, value: &T) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).ok()?);
    let tag = URL_SAFE_NO_PAD.encode(hmac::sign(key, payload.as_bytes()));
    Some(format!("{payload}.{tag}"))
}

fn unseal<T: for<'a> Deserialize<'a>>(key: &hmac::Key, text: &str) -> Option<T> {
    let (payload, tag) = text.split_once('.')?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    hmac::verify(key, payload.as_bytes(), &tag).ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn a_session_is_known_to_all_servers_with_the_same_secret_and_to_no_other() {
        let secret = SecretString::from("0123456789abcdef0123456789abcdef");
        let (session, cookie) = Signer::new(Some(&secret)).start("anna", "$argon2id$1", now()).unwrap();
        assert_eq!(Signer::new(Some(&secret)).open(&cookie, now()), Some(session));
        assert_eq!(Signer::new(Some(&"another".into())).open(&cookie, now()), None);
        assert_eq!(Signer::new(None).open(&cookie, now()), None);
    }

    #[test]
    fn a_session_that_was_changed_or_is_over_is_none() {
        let signer = Signer::new(None);
        let (session, cookie) = signer.start("anna", "$argon2id$1", now()).unwrap();
        let (payload, tag) = cookie.split_once('.').unwrap();
        let forged = URL_SAFE_NO_PAD.encode(r#"{"id":"x","name":"admin","ends":9999999999,"password":""}"#);
        for bad in [format!("{forged}.{tag}"), format!("{payload}.AAAA"), payload.to_owned(), String::new()] {
            assert_eq!(signer.open(&bad, now()), None, "{bad}");
        }
        assert_eq!(signer.open(&cookie, now() + SESSION_TTL), None);
        assert!(signer.is_current(&session, "$argon2id$1"));
        assert!(!signer.is_current(&session, "$argon2id$2"), "a new password ends the session");
        assert_eq!(signer.device(&cookie, "anna", now()), None, "a session is no device");
    }

    #[test]
    fn a_form_of_one_session_is_no_form_of_another() {
        let signer = Signer::new(None);
        let (first, _) = signer.start("anna", "", now()).unwrap();
        let (second, _) = signer.start("anna", "", now()).unwrap();
        let token = signer.csrf(&first);
        assert!(signer.is_csrf(&first, &token));
        assert!(!signer.is_csrf(&second, &token));
        assert!(!signer.is_csrf(&first, ""));
    }

    #[test]
    fn a_device_is_remembered_for_its_account_only() {
        let signer = Signer::new(None);
        let cookie = signer.remember("anna", now()).unwrap();
        assert!(signer.device(&cookie, "anna", now()).is_some());
        assert!(signer.device(&cookie, "berta", now()).is_none());
        assert!(signer.device(&cookie, "anna", now() + DEVICE_TTL).is_none());
    }
}
