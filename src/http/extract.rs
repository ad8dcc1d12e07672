//! What handlers take out of a request: who asks, with which scope; ids and names of the path; the body.
//!
//! The principal stands first in every handler, so that a stranger learns nothing but that a token is needed.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::error::ApiError;
use super::params::shortened;
use super::state::ApiState;
use legwork_engine::domain::{FieldError, FilePath, Principal, QueueName, Scope, TaskId};

/// A body that has not come after this is not waited for.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// So much of a body that is too large is read and thrown away,
const MOST_DISCARDED: usize = 64 << 20;
/// and for so long.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// The token of a request, if it carries one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Who asks, with a token that allows `scope`.
pub(super) fn principal_with(scope: Scope, headers: &HeaderMap, state: &ApiState) -> Result<Principal, ApiError> {
    let token = bearer(headers).ok_or(ApiError::NoToken)?;
    let principal = state.tokens.verify(token, state.now()).map_err(ApiError::BadToken)?.principal;
    if principal.may(scope) { Ok(principal) } else { Err(ApiError::MissingScope(scope)) }
}

macro_rules! principal_extractor {
    ($(#[$doc:meta])* $name:ident, $scope:expr) => {
        $(#[$doc])*
        pub(super) struct $name(pub(super) Principal);

        impl FromRequestParts<ApiState> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
                principal_with($scope, &parts.headers, state).map(Self)
            }
        }
    };
}

principal_extractor! {
    /// A principal that may submit.
    Submitter, Scope::Submit
}
principal_extractor! {
    /// A principal that may read.
    Reader, Scope::Read
}
principal_extractor! {
    /// A principal that may control.
    Controller, Scope::Control
}

/// An admin, whoever it is.
pub(super) struct Admin;

impl FromRequestParts<ApiState> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        principal_with(Scope::Admin, &parts.headers, state).map(|_| Self)
    }
}

async fn path_text(parts: &mut Parts, state: &ApiState) -> Result<String, ApiError> {
    let path = Path::<String>::from_request_parts(parts, state).await;
    path.map(|Path(text)| text).map_err(|rejection| ApiError::field("path", rejection.body_text()))
}

/// The task of the path.
pub(crate) struct TaskPath(pub(crate) TaskId);

impl FromRequestParts<ApiState> for TaskPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let text = path_text(parts, state).await?;
        // The one form that we write and document; the parser knows more.
        let id = if text.len() == uuid::fmt::Hyphenated::LENGTH { Uuid::parse_str(&text).ok() } else { None };
        id.map(|id| Self(id.into())).ok_or_else(|| {
            let detail = format!("{:?} is not a UUID like 0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57", shortened(&text));
            ApiError::field("task_id", detail)
        })
    }
}

/// The queue of the path.
pub(crate) struct QueuePath(pub(crate) QueueName);

impl FromRequestParts<ApiState> for QueuePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let text = path_text(parts, state).await?;
        QueueName::parse(&text).map(Self).map_err(|error| ApiError::field("queue", error.to_string()))
    }
}

/// The stored file of the path.
pub(super) struct FilePathParam(pub(super) FilePath);

impl FromRequestParts<ApiState> for FilePathParam {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let text = path_text(parts, state).await?;
        FilePath::parse(&text).map(Self).map_err(|error| ApiError::field("path", error.to_string()))
    }
}

/// The last part of the path, of at most so many characters: a worker's name, a token's id, an address.
pub(crate) struct NamePath<const MOST: usize = 200>(pub(crate) String);

impl<const MOST: usize> FromRequestParts<ApiState> for NamePath<MOST> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let text = path_text(parts, state).await?;
        if text.chars().count() <= MOST && !text.chars().any(char::is_control) {
            return Ok(Self(text));
        }
        Err(ApiError::field("name", format!("is not a name of 1 to {MOST} characters, none of them a control character")))
    }
}

/// The longest key, in characters.
const MAX_KEY_CHARS: usize = 255;

/// The `Idempotency-Key`, where there is one.
pub(super) struct IdempotencyKey(pub(super) Option<String>);

impl FromRequestParts<ApiState> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &ApiState) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        if values.next().is_some() {
            return Err(ApiError::field("Idempotency-Key", "is given more than once"));
        }
        let text = value.to_str().ok().filter(|text| (1..=MAX_KEY_CHARS).contains(&text.len()));
        let detail = || format!("is not 1 to {MAX_KEY_CHARS} printable ASCII characters");
        text.map(|text| Self(Some(text.to_owned()))).ok_or_else(|| ApiError::field("Idempotency-Key", detail()))
    }
}

/// A JSON body, as it came.
pub(super) struct JsonBytes(pub(super) Bytes);

impl FromRequest<ApiState> for JsonBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        json_within(request, state.config.body_limit).await.map(Self)
    }
}

/// A JSON body of at most `limit` bytes, as it came.
pub(super) async fn json_within(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    if !is_json(request.headers()) {
        return Err(ApiError::MediaType("application/json"));
    }
    let is_sent = !request.headers().contains_key(EXPECT);
    read_body(request.into_body(), limit, is_sent).await
}

/// A JSON body of a type; errors are named by pointer.
pub(super) struct JsonOf<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<ApiState> for JsonOf<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let JsonBytes(body) = JsonBytes::from_request(request, state).await?;
        parse_json(&body).map(Self)
    }
}

/// Parses a JSON object of a type: what is no JSON is malformed, what is other JSON is invalid.
pub(super) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // The parser would take an array for the fields in their order.
    if body.trim_ascii_start().starts_with(b"[") && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
        return Err(ApiError::field("", "must be an object; got an array"));
    }
    let mut input = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut input).map_err(|error| {
        if error.inner().is_data() {
            return ApiError::Invalid(vec![FieldError::of_parser(&error)]);
        }
        // Where a word out of a list is wanted, serde_json calls anything but a text an error of syntax, though the body is JSON.
        if serde_json::from_slice::<serde_json::Value>(body).is_ok() {
            let pointer = FieldError::of_parser(&error).pointer;
            return ApiError::field(pointer, "is not one of the words that are allowed here");
        }
        ApiError::Malformed(format!("the body is not JSON: {}", error.inner()))
    })?;
    input.end().map_err(|error| ApiError::Malformed(format!("the body is not JSON: {error}")))?;
    Ok(parsed)
}

/// The media type of a request's body, in lower case, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn is_json(headers: &HeaderMap) -> bool {
    // What nearly everybody sends, without a copy.
    if headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == b"application/json") {
        return true;
    }
    media_type(headers)
        .is_some_and(|media| media == "application/json" || (media.starts_with("application/") && media.ends_with("+json")))
}

/// Reads a body of at most `limit` bytes. A body in one piece is not copied. `is_sent` says that it comes without being asked for
/// (`Expect: 100-continue`).
pub(super) async fn read_body(body: Body, limit: usize, is_sent: bool) -> Result<Bytes, ApiError> {
    let declared = body.size_hint().lower();
    let is_declared = declared > limit as u64;
    let mut pieces = body.into_data_stream();
    let read = async { if is_declared { Err(ApiError::BodyTooLarge(limit)) } else { collect(&mut pieces, limit).await } };
    let read = tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or(Err(ApiError::BodyTimeout));
    if matches!(read, Err(ApiError::BodyTooLarge(_))) && is_sent && declared <= MOST_DISCARDED as u64 {
        discard(pieces).await;
    }
    read
}

/// Reads on for a while. A connection that is closed on what was not read is reset, and many clients never see the answer then.
async fn discard(mut pieces: BodyDataStream) {
    let reading = async {
        let mut left = MOST_DISCARDED;
        while let Some(Ok(piece)) = pieces.next().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                break;
            }
        }
    };
    drop(tokio::time::timeout(DISCARD_TIMEOUT, reading).await);
}

async fn collect(pieces: &mut BodyDataStream, limit: usize) -> Result<Bytes, ApiError> {
    let broken = |_| ApiError::Malformed("the body did not arrive whole".into());
    let Some(first) = pieces.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(broken)?;
    let mut whole: Option<Vec<u8>> = None;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(broken)?;
        let whole = whole.get_or_insert_with(|| first.to_vec());
        if whole.len() + piece.len() > limit {
            return Err(ApiError::BodyTooLarge(limit));
        }
        whole.extend_from_slice(&piece);
    }
    if first.len() > limit {
        return Err(ApiError::BodyTooLarge(limit));
    }
    Ok(whole.map_or(first, Bytes::from))
}
