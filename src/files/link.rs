//! Links that need no token: `PUBLIC_URL/api/v1/files/{path}?expires=<unix seconds>&signature=<base64url>`.
//!
//! The signature is HMAC-SHA256 over path and expiry, by a key that is made of the secret and used for nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{FileError, FileResult};
use legwork_engine::domain::FilePath;

/// What the key is for. Another secret of the same text gives another key.
const PURPOSE: &[u8] = b"legwork: links to stored files, 1";

/// Why a link does not lead to its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The signature is not of this path and expiry.
    #[error("the link is not one that this server made: its path, its expiry or its signature was changed")]
    Forged,
    /// It was good once.
    #[error("the link has expired")]
    Expired,
}

/// Makes and checks links. The first secret signs, all verify.
pub(super) struct LinkSigner {
    keys: Vec<hmac::Key>,
    base: Url,
}

impl LinkSigner {
    pub(super) fn new(secrets: &[SecretString], public_url: &str) -> FileResult<Self> {
        if secrets.is_empty() {
            return Err(FileError::Setup("FILES_SECRET or JWT_SECRET must be set: one of them signs the links to files".into()));
        }
        let keys = secrets.iter().map(key_of).collect();
        let base = Url::parse(public_url).ok().filter(|url| !url.cannot_be_a_base());
        let base = base.ok_or_else(|| FileError::Setup(format!("PUBLIC_URL: {public_url:?} is not a URL")))?;
        Ok(Self { keys, base })
    }

    pub(super) fn link(&self, path: &FilePath, expires_at: Timestamp) -> String {
        let expires = expires_at.as_second();
        let mut url = self.base.clone();
        // An URL with a host has a path, so there are segments to add to.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1", "files"]).extend(path.parts());
        }
        let signature = self.keys.first().map(|key| hmac::sign(key, &signed_text(path, expires)));
        let signature = signature.map(|tag| URL_SAFE_NO_PAD.encode(tag)).unwrap_or_default();
        url.query_pairs_mut().append_pair("expires", &expires.to_string()).append_pair("signature", &signature);
        url.into()
    }

    pub(super) fn check(&self, path: &FilePath, expires: i64, signature: &str, now: Timestamp) -> Result<(), LinkError> {
        let tag = URL_SAFE_NO_PAD.decode(signature).map_err(|_| LinkError::Forged)?;
        let text = signed_text(path, expires);
        // Compared in constant time.
        if !self.keys.iter().any(|key| hmac::verify(key, &text, &tag).is_ok()) {
            return Err(LinkError::Forged);
        }
        if expires <= now.as_second() { Err(LinkError::Expired) } else { Ok(()) }
    }
}

fn key_of(secret: &SecretString) -> hmac::Key {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, PURPOSE).as_ref())
}

/// A path holds no line break, so no two pairs give the same text.
fn signed_text(path: &FilePath, expires: i64) -> Vec<u8> {
    format!("{path}\n{expires}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secrets: &[&str]) -> LinkSigner {
        let secrets: Vec<SecretString> = secrets.iter().map(|&text| text.into()).collect();
        LinkSigner::new(&secrets, "https://tasks.example.org/base").unwrap()
    }

    fn path(text: &str) -> FilePath {
        FilePath::parse(text).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn signature(link: &str) -> String {
        link.rsplit_once("signature=").unwrap().1.to_owned()
    }

    #[test]
    fn a_link_is_absolute_and_names_the_path_as_it_is() {
        let link = signer(&["one"]).link(&path("exports/a b/ü?#&=+.csv"), at(1_000));
        let start = "https://tasks.example.org/base/api/v1/files/exports/a%20b/%C3%BC%3F%23&=+.csv?expires=1000&signature=";
        assert!(link.starts_with(start), "{link}");
        let url = Url::parse(&link).unwrap();
        assert_eq!(url.query_pairs().count(), 2);
    }

    #[test]
    fn a_link_holds_for_its_path_and_until_its_expiry_only() {
        let signer = signer(&["one"]);
        let good = signature(&signer.link(&path("exports/a.csv"), at(1_000)));
        let check = |name: &str, expires, signature: &str, now| signer.check(&path(name), expires, signature, at(now));
        assert_eq!(check("exports/a.csv", 1_000, &good, 999), Ok(()));
        assert_eq!(check("exports/a.csv", 1_000, &good, 1_000), Err(LinkError::Expired));
        assert_eq!(check("exports/b.csv", 1_000, &good, 999), Err(LinkError::Forged));
        assert_eq!(check("exports/a.csv", 9_000, &good, 999), Err(LinkError::Forged));
        for bad in ["", "AAAA", &good[1..], &format!("{good}="), "!!!"] {
            assert_eq!(check("exports/a.csv", 1_000, bad, 999), Err(LinkError::Forged), "{bad:?}");
        }
        // What was forged and has expired is forged.
        assert_eq!(check("exports/b.csv", 1_000, &good, 2_000), Err(LinkError::Forged));
    }

    #[test]
    fn a_secret_that_was_replaced_verifies_and_no_longer_signs() {
        let (old, new) = (signer(&["one"]), signer(&["two", "one"]));
        let of = |signer: &LinkSigner| signature(&signer.link(&path("a"), at(10)));
        assert_eq!(new.check(&path("a"), 10, &of(&old), at(0)), Ok(()));
        assert_eq!(old.check(&path("a"), 10, &of(&new), at(0)), Err(LinkError::Forged));
        assert!(LinkSigner::new(&[], "http://x").is_err());
    }
}
