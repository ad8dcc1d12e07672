//! The claims: what they must say, and who they speak of.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{LEEWAY, TokenError};
use legwork_engine::domain::{Principal, Scope, ScopeSet};

/// The longest subject, in characters: it goes into every row of its tasks.
pub const MAX_SUBJECT_CHARS: usize = 255;

/// A token that was valid when it was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who asks. Scopes that we do not know are left out; with none that we know, it may do nothing.
    pub principal: Principal,
    /// The token's id, where it has one; it can be revoked by it.
    pub jti: Option<Arc<str>>,
    /// Its `exp`; it is taken for 30 s more.
    pub expires_at: Timestamp,
}

/// Checks everything but `exp` against `now` (that is done on every use) and the revocation.
pub(super) fn check(claims: &Map<String, Value>, issuer: &str, audience: &str, now: Timestamp) -> Result<Verified, TokenError> {
    let expires_at = time(claims, "exp")?.ok_or(TokenError::Missing("exp"))?;
    if let Some(from) = time(claims, "nbf")?
        && from.duration_since(now) > LEEWAY
    {
        return Err(TokenError::NotYetValid(from));
    }
    demand(claims, "iss", issuer, false)?;
    demand(claims, "aud", audience, true)?;
    let principal = Principal { subject: subject(claims)?, scopes: scopes(claims) };
    let jti = match present(claims, "jti") {
        None => None,
        Some(Value::String(id)) => Some(id.as_str().into()),
        Some(_) => return Err(TokenError::Claim { claim: "jti", allowed: "a string".into() }),
    };
    Ok(Verified { principal, jti, expires_at })
}

/// A claim; `null` is as good as none.
fn present<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).filter(|value| !value.is_null())
}

/// A `NumericDate`: seconds since the epoch, with or without a fraction.
fn time(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = present(claims, claim) else { return Ok(None) };
    let wrong = || TokenError::Claim { claim, allowed: "a number of seconds since 1970".into() };
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and what is out of range is clamped below")]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64)).ok_or_else(wrong)?;
    let seconds = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(seconds).map(Some).map_err(|_| wrong())
}

fn demand(claims: &Map<String, Value>, claim: &'static str, wanted: &str, or_list: bool) -> Result<(), TokenError> {
    let is_right = match present(claims, claim) {
        None => return Err(TokenError::Missing(claim)),
        Some(Value::String(text)) => text == wanted,
        Some(Value::Array(items)) if or_list => items.iter().any(|item| item.as_str() == Some(wanted)),
        Some(_) => false,
    };
    if is_right { Ok(()) } else { Err(TokenError::Claim { claim, allowed: format!("{wanted:?}") }) }
}

fn subject(claims: &Map<String, Value>) -> Result<Arc<str>, TokenError> {
    let value = present(claims, "sub").ok_or(TokenError::Missing("sub"))?;
    value
        .as_str()
        .filter(|text| (1..=MAX_SUBJECT_CHARS).contains(&text.chars().count()) && !text.contains(char::is_control))
        .map(Into::into)
        .ok_or_else(|| TokenError::Claim {
            claim: "sub",
            allowed: format!("a string of 1 to {MAX_SUBJECT_CHARS} characters without control characters"),
        })
}

/// `scope` is a string with spaces, `scopes` an array; what issuers mix up is read all the same.
fn scopes(claims: &Map<String, Value>) -> ScopeSet {
    let texts = ["scope", "scopes"].into_iter().filter_map(|name| claims.get(name)).flat_map(|value| match value {
        Value::String(text) => vec![text.as_str()],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    });
    texts.flat_map(str::split_ascii_whitespace).filter_map(|name| name.parse::<Scope>().ok()).collect()
}
