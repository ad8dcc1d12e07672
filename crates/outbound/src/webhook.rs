//! Standard Webhooks signatures: `webhook-id`, `webhook-timestamp` and `webhook-signature` (`v1,` and the base64 of HMAC-SHA256
//! over `id.timestamp.body`), with a secret `whsec_` and base64.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};

/// The header with the id; the same in every attempt, so that the receiver can tell a repetition.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures, with spaces between them.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// Largest difference between a message's timestamp and the receiver's time, in either direction.
const TOLERANCE: Duration = Duration::from_mins(5);

/// The secret is not `whsec_` followed by the base64 of 24 to 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook secret is not whsec_ followed by the base64 of 24 to 64 bytes")]
pub struct BadSecret;

/// The reasons why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The timestamp is no number, or too far from now.
    #[error("the webhook-timestamp is not a number of seconds within five minutes of now")]
    Timestamp,
    /// None of the `v1` signatures in the header was made with the key for this body.
    #[error("no v1 signature in webhook-signature matches")]
    Signature,
}

/// Signs what we send to others, and checks what others signed with the same secret.
#[derive(Clone)]
pub struct Signer {
    key: hmac::Key,
}

impl Signer {
    /// Takes a secret `whsec_…`.
    pub fn new(secret: &SecretString) -> Result<Self, BadSecret> {
        let key = secret.expose_secret().strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
        let key = key.filter(|key| (24..=64).contains(&key.len())).ok_or(BadSecret)?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// The three headers for `body`, sent at `now`. An `id` must not hold a dot.
    pub fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> [(&'static str, String); 3] {
        [
            (ID_HEADER, id.to_owned()),
            (TIMESTAMP_HEADER, now.as_second().to_string()),
            (SIGNATURE_HEADER, self.sign(id, now.as_second(), body)),
        ]
    }

    /// The signature, as in `v1,g0hM9S…`.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let tag = hmac::sign(&self.key, &signed_text(id, timestamp, body));
        format!("v1,{}", STANDARD.encode(tag))
    }

    /// Checks the three headers of a message that came with `body`. One signature of several that fits is enough.
    pub fn verify(&self, id: &str, timestamp: &str, signatures: &str, body: &[u8], now: Timestamp) -> Result<(), SignatureError> {
        let sent: i64 = timestamp.parse().map_err(|_| SignatureError::Timestamp)?;
        if sent.abs_diff(now.as_second()) > TOLERANCE.as_secs() {
            return Err(SignatureError::Timestamp);
        }
        let text = signed_text(id, sent, body);
        let mut tags = signatures.split(' ').filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok());
        let fits = tags.any(|tag| hmac::verify(&self.key, &text, &tag).is_ok());
        if fits { Ok(()) } else { Err(SignatureError::Signature) }
    }
}

fn signed_text(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SENT: i64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    /// The values of the reference libraries of Standard Webhooks.
    fn reference() -> Signer {
        Signer::new(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_reference_message_gets_the_reference_signature() {
        assert_eq!(reference().sign(ID, SENT, BODY), SIGNATURE);
        let headers = reference().headers(ID, at(SENT), BODY);
        assert_eq!(headers.clone().map(|(name, _)| name), ["webhook-id", "webhook-timestamp", "webhook-signature"]);
        assert_eq!(headers.map(|(_, value)| value), [ID, "1614265330", SIGNATURE]);
    }

    #[test]
    fn one_signature_that_fits_is_enough_whatever_stands_beside_it() {
        let signatures = format!("v1,AAAA v1a,{SIGNATURE} v2,x {SIGNATURE}");
        assert_eq!(reference().verify(ID, "1614265330", &signatures, BODY, at(SENT + 300)), Ok(()));
    }

    #[test]
    fn a_changed_message_or_another_secret_does_not_fit() {
        let signer = reference();
        let now = at(SENT);
        for (id, time, signatures, body) in [
            ("msg_other", "1614265330", SIGNATURE, BODY),
            (ID, "1614265331", SIGNATURE, BODY),
            (ID, "1614265330", SIGNATURE, b"{}".as_slice()),
            (ID, "1614265330", "v1,", BODY),
            (ID, "1614265330", "", BODY),
        ] {
            assert_eq!(signer.verify(id, time, signatures, body, now), Err(SignatureError::Signature));
        }
        let other = Signer::new(&"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into()).unwrap();
        assert_eq!(other.verify(ID, "1614265330", SIGNATURE, BODY, now), Err(SignatureError::Signature));
    }

    #[test]
    fn a_message_of_another_time_is_refused() {
        for (time, now) in [("1614265330", SENT + 301), ("1614265330", SENT - 301), ("", SENT), ("then", SENT)] {
            assert_eq!(reference().verify(ID, time, SIGNATURE, BODY, at(now)), Err(SignatureError::Timestamp));
        }
    }

    #[test]
    fn a_secret_that_is_none_is_refused() {
        for secret in ["", "whsec_", "whsec_AAAA", "whsec_%%%", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert_eq!(Signer::new(&secret.into()).err(), Some(BadSecret), "{secret}");
        }
    }
}
