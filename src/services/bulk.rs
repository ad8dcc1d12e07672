//! What mail to many at once may do: its limits, its connections, and links to unsubscribe.
//!
//! A link is `PUBLIC_URL/api/v1/unsubscribe/TOKEN`. The token is base64url over the task's id, the address and the
//! HMAC-SHA256 of both, by a key that is made of the secret and used for nothing else. It does not expire: mail is read late.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::config::BulkConfig;
use legwork_engine::domain::TaskId;

const PURPOSE: &[u8] = b"legwork unsubscribe v1";
const TASK_BYTES: usize = 16;
const TAG_BYTES: usize = 32;

/// What bulk mail may do. One a process.
pub struct Bulk {
    config: BulkConfig,
    slots: Arc<Semaphore>,
    keys: Vec<hmac::Key>,
}

/// What a link to unsubscribe says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscription {
    /// The bare address in lower case.
    pub address: String,
    /// The task that mailed it.
    pub task: TaskId,
}

impl Bulk {
    /// As configured. Links are signed by the first of `secrets`, all verify; without any there are no links.
    pub fn new(config: &BulkConfig, secrets: &[SecretString]) -> Self {
        let keys = secrets.iter().map(|secret| {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, PURPOSE).as_ref())
        });
        Self { config: config.clone(), slots: Arc::new(Semaphore::new(config.connections)), keys: keys.collect() }
    }

    /// Recipients of one task at most.
    pub fn recipient_limit(&self) -> usize {
        self.config.recipient_limit
    }

    /// Connections to the mail server at most.
    pub fn connections(&self) -> usize {
        self.config.connections
    }

    /// One for each connection; who holds a connection gives it up now and then, so that tasks take turns.
    pub fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }

    /// Whether an address that does not exist is put on the suppression list.
    pub fn suppresses_bounces(&self) -> bool {
        self.config.suppress_bounces
    }

    /// Whether links can be made, and lead to where users can go, as far as the settings tell.
    pub fn links_by_default(&self) -> bool {
        self.config.is_public && self.can_link()
    }

    /// Whether links can be made.
    pub fn can_link(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The link by which the owner of `address` (in lower case) unsubscribes; `None` where there is no secret to sign it.
    pub fn unsubscribe_link(&self, address: &str, task: TaskId) -> Option<String> {
        let mut bytes = Vec::with_capacity(TASK_BYTES + address.len() + TAG_BYTES);
        bytes.extend_from_slice(task.as_uuid().as_bytes());
        bytes.extend_from_slice(address.as_bytes());
        let tag = hmac::sign(self.keys.first()?, &bytes);
        bytes.extend_from_slice(tag.as_ref());
        Some(format!("{}/api/v1/unsubscribe/{}", self.config.public_url, URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// What a token of such a link says; `None` where it was not made here.
    pub fn unsubscription(&self, token: &str) -> Option<Unsubscription> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        if !self.keys.iter().any(|key| hmac::verify(key, signed, tag).is_ok()) {
            return None;
        }
        let (task, address) = signed.split_at_checked(TASK_BYTES)?;
        Some(Unsubscription { address: std::str::from_utf8(address).ok()?.to_owned(), task: Uuid::from_slice(task).ok()?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(secrets: &[&str]) -> Bulk {
        let config = BulkConfig {
            recipient_limit: 10,
            connections: 1,
            suppress_bounces: true,
            public_url: "https://tasks.example.org".into(),
            is_public: true,
        };
        Bulk::new(&config, &secrets.iter().map(|&secret| secret.into()).collect::<Vec<_>>())
    }

    #[test]
    fn a_link_tells_whom_it_was_made_for_and_a_forged_one_tells_nothing() {
        let task = TaskId::made("2026-11-21T08:00:00Z".parse().unwrap());
        let link = bulk(&["one"]).unsubscribe_link("jürgen@example.org", task).unwrap();
        let token = link.strip_prefix("https://tasks.example.org/api/v1/unsubscribe/").unwrap();
        let reported = Unsubscription { address: "jürgen@example.org".into(), task };
        assert_eq!(bulk(&["one"]).unsubscription(token), Some(reported.clone()));
        assert_eq!(bulk(&["two", "one"]).unsubscription(token), Some(reported), "a secret that was replaced still verifies");
        assert_eq!(bulk(&["two"]).unsubscription(token), None);
        for place in 0..token.len() {
            let mut forged = token.to_owned().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(bulk(&["one"]).unsubscription(&forged), None, "{forged}");
        }
        for token in ["", "A", "AAAA", "%%%", &token[..token.len() - 4]] {
            assert_eq!(bulk(&["one"]).unsubscription(token), None, "{token}");
        }
        assert_eq!(bulk(&[]).unsubscribe_link("a@example.org", task), None);
    }
}
