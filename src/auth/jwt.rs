//! JSON Web Tokens: made with the first secret, verified with every key.
//!
//! An algorithm belongs to a key, never to a token: HS256 to the secrets, RS256 or `EdDSA` to the public key. So a token that
//! says `none`, or that was signed by HMAC with the public key as its secret, finds no key. The time is a parameter; the
//! library's own checks of claims are off.

mod cache;
mod claims;
mod ring_provider;

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parking_lot::RwLock;
use ring::rand::SecureRandom as _;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::AuthConfig;
use legwork_engine::domain::{Principal, Scope};

use cache::TokenCache;

pub use claims::{MAX_SUBJECT_CHARS, Verified};

/// How far the clocks of issuer and server may be apart.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);
/// No token of ours is near it; what is longer is refused before it is read.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// A 2048-bit RSA key as PKCS#1 has 270 bytes; ring verifies nothing shorter.
const MIN_RSA_DER_BYTES: usize = 265;

/// Why a token is refused. The text is for the one who sent it; it holds nothing of the token but its times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("the token is not a JWT: three base64url parts with dots between them, header and claims being JSON objects")]
    Malformed,
    /// Its `alg` belongs to no key.
    #[error("the token's alg is {came}; allowed is {allowed}")]
    Algorithm {
        /// The known name that came, or `unknown`.
        came: &'static str,
        /// The algorithms of the keys.
        allowed: String,
    },
    /// Its header asks for something that must be understood and is not.
    #[error("the token's header has crit, and none of its extensions is supported")]
    Critical,
    /// No key made its signature.
    #[error("the token's signature was made by none of this server's keys, or the token was changed")]
    Signature,
    /// The token's `exp` has passed.
    #[error("the token expired at {0}")]
    Expired(Timestamp),
    /// Its time has not come.
    #[error("the token is not valid before {0}")]
    NotYetValid(Timestamp),
    /// A claim that it must have is not there.
    #[error("the token has no {0}")]
    Missing(&'static str),
    /// A claim is not what it must be.
    #[error("the token's {claim} must be {allowed}")]
    Claim {
        /// Name of the claim, for example `aud`.
        claim: &'static str,
        /// The values that are allowed, as the end of the message.
        allowed: String,
    },
    /// It was revoked by its id.
    #[error("the token was revoked")]
    Revoked,
}

/// Why no token could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// There is a public key only.
    #[error("this server holds no secret to sign tokens with: set JWT_SECRET, or take a token from the issuer of JWT_PUBLIC_KEY")]
    NoSecret,
    /// The system's random source failed.
    #[error("the system gives no random numbers")]
    NoRandom,
    /// The signing library refused the key or the data.
    #[error("the token could not be signed")]
    Signing,
}

/// Why the keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is neither a secret nor a public key.
    #[error("JWT_SECRET or JWT_PUBLIC_KEY must be set")]
    None,
    /// The PEM block is a private key, a certificate, or something else.
    #[error("JWT_PUBLIC_KEY must be a PEM block PUBLIC KEY or RSA PUBLIC KEY, not a private key or a certificate")]
    NotPublic,
    /// The key is of a sort that is not supported.
    #[error("JWT_PUBLIC_KEY must be an RSA key of 2048 to 8192 bits (RS256) or an Ed25519 key (EdDSA)")]
    Unsupported,
}

struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Issues and verifies tokens. One a process; cheap to ask again about a token that it has seen.
pub struct Tokens {
    signing: Option<EncodingKey>,
    keys: Vec<Key>,
    allowed: String,
    issuer: String,
    audience: String,
    cache: TokenCache,
    revoked: RwLock<HashSet<String>>,
}

impl Tokens {
    /// Takes the keys of `config`.
    pub fn new(config: &AuthConfig) -> Result<Self, KeyError> {
        ring_provider::install();
        let secrets = config.secrets.iter().map(|secret| secret.expose_secret().as_bytes());
        let mut keys: Vec<Key> =
            secrets.clone().map(|secret| Key { algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }).collect();
        if let Some(pem) = &config.public_key {
            keys.push(public_key(pem)?);
        }
        let mut names: Vec<&str> = keys.iter().map(|key| name_of(key.algorithm)).collect();
        names.dedup();
        if names.is_empty() {
            return Err(KeyError::None);
        }
        Ok(Self {
            signing: secrets.clone().next().map(EncodingKey::from_secret),
            allowed: names.join(" or "),
            keys,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            cache: TokenCache::default(),
            revoked: RwLock::default(),
        })
    }

    /// Makes a token for `principal` that lives for `ttl` from `now`.
    pub fn issue(&self, principal: &Principal, ttl: Duration, now: Timestamp) -> Result<String, IssueError> {
        let key = self.signing.as_ref().ok_or(IssueError::NoSecret)?;
        let mut id = [0_u8; 16];
        ring::rand::SystemRandom::new().fill(&mut id).map_err(|_| IssueError::NoRandom)?;
        let scopes: Vec<&str> = principal.scopes.iter().map(Scope::as_str).collect();
        let issued_at = now.as_second();
        let claims = json!({
            "sub": principal.subject,
            "scope": scopes.join(" "),
            "iss": self.issuer,
            "aud": self.audience,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at.saturating_add_unsigned(ttl.as_secs()),
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key).map_err(|_| IssueError::Signing)
    }

    /// Whose token it is, if it is valid at `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        if let Some(known) = self.cache.get(token) {
            return self.still_valid(known, now);
        }
        let claims = self.signed_claims(token)?;
        let verified = claims::check(&claims, &self.issuer, &self.audience, now)?;
        let verified = self.still_valid(verified, now)?;
        self.cache.put(token, verified.clone(), now);
        Ok(verified)
    }

    /// Replaces the set of revoked ids.
    pub fn set_revoked(&self, ids: Vec<String>) {
        *self.revoked.write() = ids.into_iter().collect();
    }

    /// Adds one id to the set of revoked ids, for the process that revokes.
    pub fn revoke(&self, id: impl Into<String>) {
        self.revoked.write().insert(id.into());
    }

    /// Whether an id is among the revoked ones.
    pub fn is_revoked(&self, id: &str) -> bool {
        self.revoked.read().contains(id)
    }

    /// Whether tokens can be made here.
    pub fn can_issue(&self) -> bool {
        self.signing.is_some()
    }

    /// What may change after a token was verified: time passes, and it may be revoked.
    fn still_valid(&self, verified: Verified, now: Timestamp) -> Result<Verified, TokenError> {
        if now.duration_since(verified.expires_at) >= LEEWAY {
            return Err(TokenError::Expired(verified.expires_at));
        }
        if verified.jti.as_deref().is_some_and(|id| self.revoked.read().contains(id)) {
            return Err(TokenError::Revoked);
        }
        Ok(verified)
    }

    /// The claims, once a key of the token's algorithm has been found that signed them.
    fn signed_claims(&self, token: &str) -> Result<Map<String, Value>, TokenError> {
        let algorithm = self.algorithm_of(token)?;
        let validation = signature_only(algorithm);
        for candidate in self.keys.iter().filter(|key| key.algorithm == algorithm) {
            match jsonwebtoken::decode::<Map<String, Value>>(token, &candidate.key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(_) => return Err(TokenError::Malformed),
            }
        }
        Err(TokenError::Signature)
    }

    fn algorithm_of(&self, token: &str) -> Result<Algorithm, TokenError> {
        #[derive(Deserialize)]
        struct Start {
            alg: Option<String>,
            crit: Option<Value>,
        }
        if token.len() > MAX_TOKEN_BYTES || token.split('.').count() != 3 {
            return Err(TokenError::Malformed);
        }
        let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).ok_or(TokenError::Malformed)?;
        let start: Start = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
        if start.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let came = start.alg.unwrap_or_default();
        let known = self.keys.iter().map(|key| key.algorithm).find(|&algorithm| name_of(algorithm) == came);
        known.ok_or_else(|| TokenError::Algorithm { came: known_name(&came), allowed: self.allowed.clone() })
    }
}

fn public_key(pem: &str) -> Result<Key, KeyError> {
    if !pem.contains("-----BEGIN PUBLIC KEY-----") && !pem.contains("-----BEGIN RSA PUBLIC KEY-----") {
        return Err(KeyError::NotPublic);
    }
    if let Ok(key) = DecodingKey::from_ed_pem(pem.as_bytes()) {
        return Ok(Key { algorithm: Algorithm::EdDSA, key });
    }
    let key = DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| KeyError::Unsupported)?;
    let is_long_enough = key.try_get_as_bytes().is_ok_and(|der| der.len() >= MIN_RSA_DER_BYTES);
    if is_long_enough { Ok(Key { algorithm: Algorithm::RS256, key }) } else { Err(KeyError::Unsupported) }
}

/// The library checks the signature and the algorithm; the claims are ours to check, with our time.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

const fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::EdDSA => "EdDSA",
        _ => "unknown",
    }
}

/// A name that may be shown: what a stranger wrote is not echoed.
fn known_name(came: &str) -> &'static str {
    const KNOWN: [&str; 14] = [
        "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
        "EdDSA",
    ];
    KNOWN.into_iter().find(|name| name.eq_ignore_ascii_case(came)).unwrap_or("unknown")
}
