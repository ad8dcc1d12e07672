//! Every error that a caller sees: one enum, one shape (RFC 9457), made in one place.

use std::time::Duration;

use axum::http::header::{CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{PasswordError, TokenError};
use crate::files::{FileError, LinkError, UploadError};
use legwork_engine::domain::{FieldError, FilePath, Scope};
use legwork_engine::queue::QueueError;
use legwork_engine::queue::body::BodyError;
use legwork_engine::queue::control::ControlError;
use legwork_engine::queue::schedules::ScheduleOpError;
use legwork_engine::queue::submit::SubmitError;
use legwork_engine::store::StoreError;

/// What a caller whose request could not be served now is told to wait, in seconds: a group commit or a reconnect is over by then.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

/// What went wrong, as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What sort of problem it is: `urn:legwork:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:legwork:problem:invalid", pattern = "^urn:legwork:problem:[a-z_]+$")]
    pub kind: String,
    /// The sort of problem in a few words.
    #[schema(example = "The request is not valid")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    pub status: u16,
    /// What is wrong this time, and what is allowed.
    #[schema(example = "/recipient_email: \"nobody\" is not an e-mail address: it has no '@'")]
    pub detail: String,
    /// A stable word for programs.
    #[schema(example = "invalid", pattern = "^[a-z_]+$")]
    pub code: &'static str,
    /// Every bad field, where fields are to blame; else empty.
    pub errors: Vec<FieldError>,
}

/// Everything that can go wrong between a request and its answer.
#[derive(Debug)]
pub enum ApiError {
    /// The body is not JSON, or did not arrive.
    Malformed(String),
    /// Fields of the body, the query, the path or a header are wrong.
    Invalid(Vec<FieldError>),
    /// None of a batch was accepted.
    NoneAccepted(Vec<FieldError>),
    /// There is no token.
    NoToken,
    /// The token is refused.
    BadToken(TokenError),
    /// Name or password is wrong.
    BadLogin,
    /// The token does not allow it.
    MissingScope(Scope),
    /// Nothing of this name or id, as far as the principal sees.
    NotFound(String),
    /// No such path.
    NoRoute(String),
    /// No such method here.
    Method {
        /// What came.
        method: String,
        /// What the path takes, as in `GET, POST`; empty where it is not known.
        allowed: String,
    },
    /// The current state does not allow this.
    Conflict {
        /// A stable word.
        code: &'static str,
        /// What stands against it.
        detail: String,
    },
    /// The body is larger than allowed.
    BodyTooLarge(usize),
    /// The args are larger than allowed.
    ArgsTooLarge {
        /// What came.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The uploaded file is larger than allowed.
    UploadTooLarge(usize),
    /// The uploaded file is of a type that is not taken.
    FileType(String),
    /// The link to a file does not lead to it.
    Link(LinkError),
    /// The file, of so many bytes, has not those that are asked for.
    RangeOutside(u64),
    /// The body has a type that is not taken.
    MediaType(&'static str),
    /// The body came too slowly.
    BodyTimeout,
    /// Too many.
    RateLimited {
        /// How long to wait.
        wait: Duration,
        /// Of what.
        detail: String,
    },
    /// The answer was not ready in time.
    Timeout,
    /// Temporarily not available; the cause goes to the log.
    Unavailable(String),
    /// The storage of files is away; the cause goes to the log.
    NoStorage(String),
    /// A bug, or a database that is not as it should be; the cause goes to the log only.
    Internal(String),
}

/// The cause of a 5xx answer, for the log. Travels beside the answer, never in it.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) String);

impl ApiError {
    /// One bad field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, detail)])
    }

    /// A file that is not there.
    pub fn no_file(path: &FilePath) -> Self {
        Self::NotFound(format!("there is no file {path} any more"))
    }

    /// A task that is not there.
    pub fn no_task() -> Self {
        Self::NotFound("no task has this id, or it belongs to another principal".into())
    }

    /// Status, code and title.
    fn sort(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", "The body cannot be read"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request is not valid"),
            Self::NoneAccepted(_) => (StatusCode::UNPROCESSABLE_ENTITY, "none_accepted", "No task of the batch was accepted"),
            Self::NoToken => (StatusCode::UNAUTHORIZED, "token_missing", "A bearer token is needed"),
            Self::BadToken(_) => (StatusCode::UNAUTHORIZED, "token_refused", "The bearer token is refused"),
            Self::BadLogin => (StatusCode::UNAUTHORIZED, "login_refused", "Name or password is wrong"),
            Self::MissingScope(_) => (StatusCode::FORBIDDEN, "scope_missing", "The token does not allow this"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::NoRoute(_) => (StatusCode::NOT_FOUND, "no_such_path", "There is no such path"),
            Self::Method { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The path does not support this method")
            }
            Self::Conflict { code, .. } => (StatusCode::CONFLICT, code, "The current state does not allow this"),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large"),
            Self::ArgsTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "args_too_large", "The args are too large"),
            Self::UploadTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "upload_too_large", "The file is too large"),
            Self::FileType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "file_type", "The file's type is not taken"),
            Self::Link(LinkError::Forged) => (StatusCode::FORBIDDEN, "link_forged", "The link is not valid"),
            Self::Link(LinkError::Expired) => (StatusCode::GONE, "link_expired", "The link has expired"),
            Self::RangeOutside(_) => (StatusCode::RANGE_NOT_SATISFIABLE, "range_outside", "The file has no such bytes"),
            Self::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", "The body's type is not taken"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout", "The body came too slowly"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests"),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout", "The answer was not ready in time"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily not available"),
            Self::NoStorage(_) => (StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", "Temporarily not available"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong in the server"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Malformed(detail)
            | Self::NotFound(detail)
            | Self::FileType(detail)
            | Self::Conflict { detail, .. }
            | Self::RateLimited { detail, .. } => detail.clone(),
            Self::Invalid(errors) | Self::NoneAccepted(errors) => first_of(errors),
            Self::NoToken => {
                "send Authorization: Bearer and a token, from POST /api/v1/auth/token or legwork token create".into()
            }
            Self::BadToken(error) => error.to_string(),
            Self::BadLogin => "there is no account with this name and password".into(),
            Self::MissingScope(scope) => format!("the token lacks the scope {scope}"),
            Self::NoRoute(path) => format!("no endpoint has the path {path}; /docs lists the endpoints"),
            Self::Method { method, allowed } if allowed.is_empty() => {
                format!("the path does not support {method}; the Allow header lists the supported methods")
            }
            Self::Method { method, allowed } => format!("the path does not support {method}; supported are {allowed}"),
            Self::BodyTooLarge(limit) => {
                format!("the body has more than the {limit} bytes that are allowed (BODY_LIMIT, or what the kind allows)")
            }
            Self::ArgsTooLarge { size, limit } => format!("the args have {size} bytes; at most {limit} are allowed (ARGS_LIMIT)"),
            Self::UploadTooLarge(limit) => format!("the file has more than the {limit} bytes that are allowed (UPLOAD_LIMIT)"),
            Self::Link(error) => error.to_string(),
            Self::RangeOutside(size) => format!("the file has {size} bytes; ask for a range within them"),
            Self::MediaType(allowed) => format!("send the body with Content-Type: {allowed}"),
            Self::BodyTimeout => "the whole body must arrive in time".into(),
            Self::Timeout => "whether it was done is not known; with an Idempotency-Key it is safe to send it again".into(),
            Self::Unavailable(_) => {
                "the database is not available at the moment; a submission with an Idempotency-Key is safe to be sent again"
                    .into()
            }
            Self::NoStorage(_) => "the storage of files is not available at the moment".into(),
            Self::Internal(_) => "the log has the cause, under the x-request-id of this answer".into(),
        }
    }

    /// The problem as it is shown, alone or as an item of a batch.
    pub fn problem(&self) -> Problem {
        let (status, code, title) = self.sort();
        let errors = match self {
            Self::Invalid(errors) | Self::NoneAccepted(errors) => errors.clone(),
            _ => Vec::new(),
        };
        Problem {
            kind: format!("urn:legwork:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: self.detail(),
            code,
            errors,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { wait, .. } => Some(*wait),
            Self::Unavailable(_) | Self::NoStorage(_) => Some(UNAVAILABLE_RETRY),
            _ => None,
        }
    }

    /// What a client that speaks RFC 6750 is told.
    fn challenge(&self) -> Option<String> {
        match self {
            Self::NoToken | Self::BadLogin => Some("Bearer realm=\"legwork\"".into()),
            Self::BadToken(error) => {
                let text = error.to_string().replace(['"', '\\'], "'");
                Some(format!("Bearer realm=\"legwork\", error=\"invalid_token\", error_description=\"{text}\""))
            }
            Self::MissingScope(scope) => {
                Some(format!("Bearer realm=\"legwork\", error=\"insufficient_scope\", scope=\"{scope}\""))
            }
            _ => None,
        }
    }
}

/// All errors in one line for people, the list is for programs.
fn first_of(errors: &[FieldError]) -> String {
    let lines: Vec<String> = errors
        .iter()
        .take(3)
        .map(|error| if error.pointer.is_empty() { error.detail.clone() } else { format!("{}: {}", error.pointer, error.detail) })
        .collect();
    let more = errors.len().saturating_sub(lines.len());
    if more > 0 { format!("{}; and {more} more", lines.join("; ")) } else { lines.join("; ") }
}

/// The media type of every error.
pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = self.problem();
        // A struct of strings and numbers always serializes.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.sort().0, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if let Some(wait) = self.retry_after() {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(value) = self.challenge().and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        if let Self::RangeOutside(size) = &self {
            headers.extend(HeaderValue::try_from(format!("bytes */{size}")).ok().map(|value| (CONTENT_RANGE, value)));
        }
        if let Self::Unavailable(cause) | Self::NoStorage(cause) | Self::Internal(cause) = self {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NotFound(path) => Self::no_file(&path),
            FileError::Refused { .. } | FileError::TooLarge { .. } => Self::NotFound(error.to_string()),
            FileError::Registry(error) => error.into(),
            FileError::Unavailable(_) | FileError::Setup(_) | FileError::Overtaken(_) => Self::NoStorage(error.to_string()),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Empty => Self::field("/file", error.to_string()),
            UploadError::NotAnImage | UploadError::Polyglot(_) => Self::FileType(error.to_string()),
            UploadError::TooLarge(limit) => Self::UploadTooLarge(limit),
            UploadError::Storage(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
            StoreError::Refused(_) => Self::field("", "holds a value that cannot be stored; a NUL character in a text is one"),
            StoreError::Corrupt { .. } | StoreError::Database(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Store(error) => error.into(),
            QueueError::Broker(error) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<ScheduleOpError> for ApiError {
    fn from(error: ScheduleOpError) -> Self {
        let detail = error.to_string();
        match error {
            ScheduleOpError::NotFound => Self::NotFound(detail),
            ScheduleOpError::NameTaken(_) => Self::Conflict { code: "name_taken", detail },
            ScheduleOpError::Conflict => Self::Conflict { code: "changed_meanwhile", detail },
            ScheduleOpError::Unreadable(_) => Self::Conflict { code: "unreadable", detail },
            ScheduleOpError::Encrypted(_) => Self::Conflict { code: "encrypted", detail },
            ScheduleOpError::Invalid(field_errors) => Self::Invalid(field_errors),
            ScheduleOpError::Submit(error) => error.into(),
            ScheduleOpError::Store(error) => error.into(),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::UnknownKind(kind) => {
                let shortened: String = kind.chars().take(100).collect();
                Self::field(
                    "/kind",
                    format!("{shortened:?} is unknown; `legwork kind list` and GET /api/v1/tasks/kinds list the kinds"),
                )
            }
            SubmitError::Invalid(field_errors) => Self::Invalid(field_errors),
            SubmitError::TooLarge { size, limit } => Self::ArgsTooLarge { size, limit },
            SubmitError::KeyReused => Self::Conflict { code: "key_reused", detail: error.to_string() },
            SubmitError::NotStored(cause) => Self::Unavailable(cause),
            SubmitError::Queue(error) => error.into(),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let code = match error {
            ControlError::NotFound => return Self::no_task(),
            ControlError::Invalid(field_errors) => return Self::Invalid(field_errors),
            ControlError::Queue(error) => return error.into(),
            ControlError::Ended(_) => "task_ended",
            ControlError::Running => "task_running",
            ControlError::NotRetryable(_) => "not_retryable",
            ControlError::AlreadyRetried(_) => "already_retried",
            ControlError::UnknownKind(_) => "unknown_kind",
            ControlError::Encrypted(_) => "encrypted",
        };
        Self::Conflict { code, detail: error.to_string() }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Malformed(detail) => Self::Malformed(detail),
            BodyError::Invalid(field_errors) => Self::Invalid(field_errors),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Length => Self::field("/password", error.to_string()),
            PasswordError::Stored => Self::Internal(error.to_string()),
            PasswordError::Unavailable => Self::Unavailable(error.to_string()),
        }
    }
}
