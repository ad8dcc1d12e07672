//! Tokens: who may make them, and which are believed.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use legwork::auth::{IssueError, KeyError, TokenError, Tokens};
use legwork::config::AuthConfig;
use legwork_engine::domain::{Principal, Scope, ScopeSet};

const SECRET: &str = "a-secret-of-forty-characters-for-testing";
const OLD_SECRET: &str = "another-secret-that-was-in-use-before-it";
/// The public half of a key whose private half was thrown away, and a token that it signed for 2027-01-15.
const RSA_PUBLIC: &str = include_str!("auth/rs256.pub.pem");
const RSA_TOKEN: &str = include_str!("auth/rs256.jwt");

fn config(secrets: &[&str], public_key: Option<&str>) -> AuthConfig {
    AuthConfig {
        secrets: secrets.iter().map(|&secret| secret.into()).collect(),
        public_key: public_key.map(Into::into),
        issuer: "legwork".into(),
        audience: "legwork".into(),
    }
}

fn tokens() -> Tokens {
    Tokens::new(&config(&[SECRET], None)).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn submitter() -> Principal {
    Principal { subject: "shop".into(), scopes: ScopeSet::from_iter([Scope::Submit, Scope::Read]) }
}

fn claims() -> Value {
    json!({ "sub": "shop", "scope": "tasks:submit", "iss": "legwork", "aud": "legwork", "exp": 1_800_000_600 })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn hmac_signed(header: &Value, claims: &Value, secret: &str) -> String {
    let text = unsigned(header, claims);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, text.as_bytes())))
}

fn hs256(claims: &Value) -> String {
    hmac_signed(&json!({ "alg": "HS256", "typ": "JWT" }), claims, SECRET)
}

fn ed25519() -> (Ed25519KeyPair, String) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let spki_start = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let spki = [&spki_start, pair.public_key().as_ref()].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki));
    (pair, pem)
}

fn ed_signed(pair: &Ed25519KeyPair, claims: &Value) -> String {
    let text = unsigned(&json!({ "alg": "EdDSA" }), claims);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes())))
}

#[test]
fn a_token_tells_who_asks_and_what_they_may_do() {
    let tokens = tokens();
    let token = tokens.issue(&submitter(), Duration::from_mins(10), at(0)).unwrap();
    let verified = tokens.verify(&token, at(1)).unwrap();
    assert_eq!(verified.principal, submitter());
    assert_eq!(verified.expires_at, at(600));
    let other = tokens.issue(&submitter(), Duration::from_mins(10), at(0)).unwrap();
    assert_ne!(verified.jti, tokens.verify(&other, at(1)).unwrap().jti, "each token has an id of its own");
}

#[test]
fn the_claims_of_a_token_are_what_the_contract_says() {
    let token = tokens().issue(&submitter(), Duration::from_hours(1), at(0)).unwrap();
    let [header, payload] = [0, 1].map(|part| {
        let text = URL_SAFE_NO_PAD.decode(token.split('.').nth(part).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    });
    assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT" }));
    let jti = payload["jti"].as_str().unwrap();
    assert_eq!(jti.len(), 22);
    let expected = json!({
        "sub": "shop", "scope": "tasks:submit tasks:read", "iss": "legwork", "aud": "legwork",
        "iat": 1_800_000_000, "nbf": 1_800_000_000, "exp": 1_800_003_600, "jti": jti,
    });
    assert_eq!(payload, expected);
}

#[test]
fn the_vector_of_rfc_7515_verifies() {
    // RFC 7515, A.1: our provider against somebody else's arithmetic. Its claims are not ours, so the first missing one is the
    // answer.
    let key =
        URL_SAFE_NO_PAD.decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow").unwrap();
    let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    tokens();
    let verdict = jsonwebtoken::crypto::verify(
        signature,
        text.as_bytes(),
        &jsonwebtoken::DecodingKey::from_secret(&key),
        jsonwebtoken::Algorithm::HS256,
    );
    assert!(verdict.unwrap());
}

#[test]
fn scopes_come_as_a_string_or_an_array_and_unknown_ones_are_ignored() {
    for (name, value, expected) in [
        ("scope", json!("tasks:read  admin"), vec![Scope::Read, Scope::Admin]),
        ("scopes", json!(["tasks:control", "openid", 7]), vec![Scope::Submit, Scope::Control]),
        ("scope", json!(["tasks:read"]), vec![Scope::Read]),
        ("scope", json!("openid profile Admin"), vec![]),
        ("scope", Value::Null, vec![]),
    ] {
        let verified = tokens().verify(&hs256(&with(name, value.clone())), at(0)).unwrap();
        assert_eq!(verified.principal.scopes.iter().collect::<Vec<_>>(), expected, "{name}: {value}");
    }
}

#[test]
fn a_token_without_a_scope_that_we_know_is_somebody_who_may_do_nothing() {
    let verified = tokens().verify(&hs256(&with("scope", json!("openid"))), at(0)).unwrap();
    assert!(Scope::ALL.into_iter().all(|scope| !verified.principal.may(scope)));
}

#[test]
fn a_claim_that_is_missing_or_wrong_is_named() {
    let allowed = |claim, allowed: &str| TokenError::Claim { claim, allowed: allowed.into() };
    for (name, value, error) in [
        ("exp", Value::Null, TokenError::Missing("exp")),
        ("sub", Value::Null, TokenError::Missing("sub")),
        ("iss", Value::Null, TokenError::Missing("iss")),
        ("aud", Value::Null, TokenError::Missing("aud")),
        ("iss", json!("evil"), allowed("iss", "\"legwork\"")),
        ("iss", json!(["legwork"]), allowed("iss", "\"legwork\"")),
        ("aud", json!("other"), allowed("aud", "\"legwork\"")),
        ("aud", json!(["a", "b"]), allowed("aud", "\"legwork\"")),
        ("aud", json!([]), allowed("aud", "\"legwork\"")),
        ("exp", json!("1800000600"), allowed("exp", "a number of seconds since 1970")),
        ("jti", json!(7), allowed("jti", "a string")),
        ("sub", json!(""), allowed("sub", "a string of 1 to 255 characters without control characters")),
        ("sub", json!("a\u{0}b"), allowed("sub", "a string of 1 to 255 characters without control characters")),
        ("sub", json!("x".repeat(256)), allowed("sub", "a string of 1 to 255 characters without control characters")),
    ] {
        assert_eq!(tokens().verify(&hs256(&with(name, value.clone())), at(0)), Err(error), "{name}: {value}");
    }
    tokens().verify(&hs256(&with("aud", json!(["other", "legwork"]))), at(0)).unwrap();
}

#[test]
fn a_token_is_good_from_its_nbf_to_its_exp_give_or_take_thirty_seconds() {
    let tokens = tokens();
    let token = hs256(&with("nbf", json!(1_800_000_100)));
    let from = at(100);
    assert_eq!(tokens.verify(&token, at(69)), Err(TokenError::NotYetValid(from)));
    tokens.verify(&token, at(70)).unwrap();
    tokens.verify(&token, at(629)).unwrap();
    assert_eq!(tokens.verify(&token, at(630)), Err(TokenError::Expired(at(600))));
    assert_eq!(self::tokens().verify(&token, at(630)), Err(TokenError::Expired(at(600))), "also where it was never seen before");
    for absurd in [json!(1e300), json!(u64::MAX), json!(i64::MAX)] {
        self::tokens().verify(&hs256(&with("exp", absurd)), at(0)).unwrap();
    }
    for gone in [json!(-1e300), json!(0), json!(i64::MIN)] {
        assert!(matches!(self::tokens().verify(&hs256(&with("exp", gone)), at(0)), Err(TokenError::Expired(_))));
    }
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let allowed = || "HS256".to_owned();
    for alg in ["none", "None", "NONE"] {
        let text = unsigned(&json!({ "alg": alg }), &claims());
        let expected = TokenError::Algorithm { came: "none", allowed: allowed() };
        assert_eq!(tokens().verify(&format!("{text}."), at(0)), Err(expected.clone()));
        assert_eq!(tokens().verify(&hmac_signed(&json!({ "alg": alg }), &claims(), SECRET), at(0)), Err(expected));
    }
    let bare = unsigned(&json!({ "alg": "HS256" }), &claims());
    assert_eq!(tokens().verify(&format!("{bare}."), at(0)), Err(TokenError::Signature));
    assert_eq!(tokens().verify(&bare, at(0)), Err(TokenError::Malformed));
}

#[test]
fn a_token_that_was_changed_or_signed_by_another_is_refused() {
    let token = hs256(&claims());
    let signature = token.rsplit('.').next().unwrap();
    let forged = format!("{}.{signature}", unsigned(&json!({ "alg": "HS256", "typ": "JWT" }), &with("scope", json!("admin"))));
    assert_eq!(tokens().verify(&forged, at(0)), Err(TokenError::Signature));
    let foreign = hmac_signed(&json!({ "alg": "HS256" }), &claims(), OLD_SECRET);
    assert_eq!(tokens().verify(&foreign, at(0)), Err(TokenError::Signature));
    let empty_key = hmac_signed(&json!({ "alg": "HS256" }), &claims(), "");
    assert_eq!(tokens().verify(&empty_key, at(0)), Err(TokenError::Signature));
}

#[test]
fn what_is_no_token_is_refused_without_being_repeated() {
    let huge = format!("{}.{}.{}", "a".repeat(9_000), "b", "c");
    for text in ["", ".", "..", "...", "a.b.c", "Bearer x.y.z", "%00.%00.%00", "e30.e30.", "W10.e30.AA", "bnVsbA.e30.AA", &huge] {
        let error = tokens().verify(text, at(0)).unwrap_err();
        assert!(matches!(error, TokenError::Malformed | TokenError::Algorithm { came: "unknown", .. }), "{text}: {error}");
        assert!(text.len() < 5 || !error.to_string().contains(text));
    }
    let wrong = hmac_signed(&json!({ "alg": "HS256" }), &json!(["no", "object"]), SECRET);
    assert_eq!(tokens().verify(&wrong, at(0)), Err(TokenError::Malformed));
    let critical = hmac_signed(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false }), &claims(), SECRET);
    assert_eq!(tokens().verify(&critical, at(0)), Err(TokenError::Critical));
    let strange = hmac_signed(&json!({ "alg": "<script>" }), &claims(), SECRET);
    assert_eq!(tokens().verify(&strange, at(0)).unwrap_err().to_string(), "the token's alg is unknown; allowed is HS256");
}

#[test]
fn an_rs256_token_of_somebody_else_is_believed_by_the_public_key() {
    let tokens = Tokens::new(&config(&[], Some(RSA_PUBLIC))).unwrap();
    let verified = tokens.verify(RSA_TOKEN.trim(), at(0)).unwrap();
    assert_eq!(verified.principal, Principal { subject: "partner".into(), scopes: submitter().scopes });
    assert_eq!((verified.jti, verified.expires_at), (None, at(600)));
    let flipped = RSA_TOKEN.trim().replacen(".ZbYo", ".ZbYp", 1);
    assert_eq!(tokens.verify(&flipped, at(0)), Err(TokenError::Signature));
}

#[test]
fn an_eddsa_token_of_somebody_else_is_believed_by_the_public_key() {
    let (pair, pem) = ed25519();
    let tokens = Tokens::new(&config(&[], Some(&pem))).unwrap();
    let token = ed_signed(&pair, &claims());
    assert_eq!(&*tokens.verify(&token, at(0)).unwrap().principal.subject, "shop");
    let (stranger, _) = ed25519();
    assert_eq!(tokens.verify(&ed_signed(&stranger, &claims()), at(0)), Err(TokenError::Signature));
}

#[test]
fn the_public_key_is_no_hmac_secret() {
    let (_, ed_pem) = ed25519();
    for pem in [RSA_PUBLIC, &ed_pem] {
        let forged = hmac_signed(&json!({ "alg": "HS256" }), &with("scope", json!("admin")), pem);
        let by_key_only = Tokens::new(&config(&[], Some(pem))).unwrap();
        assert!(matches!(by_key_only.verify(&forged, at(0)), Err(TokenError::Algorithm { came: "HS256", .. })));
        let by_both = Tokens::new(&config(&[SECRET], Some(pem))).unwrap();
        assert_eq!(by_both.verify(&forged, at(0)), Err(TokenError::Signature));
    }
}

#[test]
fn a_secret_and_a_public_key_stand_side_by_side() {
    let (pair, pem) = ed25519();
    let tokens = Tokens::new(&config(&[SECRET], Some(&pem))).unwrap();
    tokens.verify(&hs256(&claims()), at(0)).unwrap();
    tokens.verify(&ed_signed(&pair, &claims()), at(0)).unwrap();
    let text = tokens.verify(RSA_TOKEN.trim(), at(0)).unwrap_err().to_string();
    assert_eq!(text, "the token's alg is RS256; allowed is HS256 or EdDSA");
}

#[test]
fn after_a_rotation_the_first_secret_signs_and_all_verify() {
    let before = Tokens::new(&config(&[OLD_SECRET], None)).unwrap();
    let after = Tokens::new(&config(&[SECRET, OLD_SECRET], None)).unwrap();
    let old = before.issue(&submitter(), Duration::from_mins(10), at(0)).unwrap();
    let new = after.issue(&submitter(), Duration::from_mins(10), at(0)).unwrap();
    after.verify(&old, at(0)).unwrap();
    after.verify(&new, at(0)).unwrap();
    tokens().verify(&new, at(0)).unwrap();
    assert_eq!(before.verify(&new, at(0)), Err(TokenError::Signature));
    assert_eq!(tokens().verify(&old, at(0)), Err(TokenError::Signature));
}

#[test]
fn a_revoked_token_is_refused_also_where_it_was_seen_before() {
    let tokens = tokens();
    let token = tokens.issue(&submitter(), Duration::from_mins(10), at(0)).unwrap();
    let id = tokens.verify(&token, at(0)).unwrap().jti.unwrap().to_string();
    tokens.set_revoked(vec!["other".into(), id.clone()]);
    assert_eq!(tokens.verify(&token, at(1)), Err(TokenError::Revoked));
    tokens.set_revoked(Vec::new());
    tokens.verify(&token, at(1)).unwrap();
    tokens.revoke(id);
    assert_eq!(tokens.verify(&token, at(1)), Err(TokenError::Revoked));
}

#[test]
fn a_token_that_was_seen_before_expires_all_the_same() {
    let tokens = tokens();
    let token = tokens.issue(&submitter(), Duration::from_mins(10), at(0)).unwrap();
    tokens.verify(&token, at(629)).unwrap();
    assert_eq!(tokens.verify(&token, at(630)), Err(TokenError::Expired(at(600))));
}

#[test]
fn with_a_public_key_alone_tokens_are_not_made() {
    let tokens = Tokens::new(&config(&[], Some(RSA_PUBLIC))).unwrap();
    assert!(!tokens.can_issue());
    assert_eq!(tokens.issue(&submitter(), Duration::from_mins(10), at(0)), Err(IssueError::NoSecret));
}

#[test]
fn keys_that_cannot_be_used_are_refused_at_the_start() {
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";
    let garbage = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    for (secrets, pem, error) in [
        (&[][..], None, KeyError::None),
        (&[SECRET], Some(private), KeyError::NotPublic),
        (&[SECRET], Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), KeyError::NotPublic),
        (&[SECRET], Some(garbage), KeyError::Unsupported),
        (&[SECRET], Some(include_str!("auth/rsa1024.pub.pem")), KeyError::Unsupported),
        (&[SECRET], Some(include_str!("auth/p256.pub.pem")), KeyError::Unsupported),
    ] {
        assert_eq!(Tokens::new(&config(secrets, pem)).err(), Some(error), "{pem:?}");
    }
}
