//! Stored files: images come in with a token, files go out by a signed link.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, RawQuery, Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::error::ApiError;
use super::super::extract::{FilePathParam, Submitter, bearer, media_type, principal_with};
use super::super::openapi;
use super::super::params::Params;
use super::super::range::{self, RangeRequest};
use super::super::state::ApiState;
use crate::files::{FileReader, LinkError, Upload};
use legwork_engine::domain::{FilePath, Principal, Scope};
use legwork_engine::store::FileRow;

/// The field with the file.
const FIELD: &str = "file";
/// What may surround the file in the body: boundaries, and the heads of the parts.
const ENVELOPE_BYTES: usize = 64 << 10;
/// How long nothing may come of an upload.
const SILENCE: Duration = Duration::from_secs(20);
/// A file is data. If a browser shows it all the same, nothing in it runs, loads or sends.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox";

/// A file that was stored.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct FileStored {
    /// Where it is: what the args of kinds take as `file_path`.
    #[schema(example = "uploads/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57.jpg")]
    file_path: FilePath,
    /// Its size in bytes.
    #[schema(example = 183_422)]
    size: u64,
    /// What its content is.
    #[schema(example = "image/jpeg")]
    content_type: String,
    /// SHA-256 of its bytes, in hexadecimal.
    #[schema(example = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    sha256: String,
}

/// The body of an upload.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it stands for the form in the document; the form itself is streamed")]
pub(in crate::http) struct FileUpload {
    /// The image: JPEG, PNG, WebP or GIF, by its content.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
}

/// Upload an image
///
/// A form with one field, `file`. The image is stored under a name of the server's own; its type is read from its content (JPEG, PNG,
/// WebP, GIF), not from its name; anything else is refused. At most `UPLOAD_LIMIT` bytes (20 MiB by default). The answer's `file_path` is
/// what `image.process` and others take.
#[utoipa::path(post, path = "/api/v1/files", tag = "files", operation_id = "uploadFile",
    security(("bearer" = ["tasks:submit"])),
    request_body(content = FileUpload, content_type = "multipart/form-data", description = "The image."),
    responses((status = 201, description = "It is stored.", body = FileStored), (status = 429, response = openapi::RateLimited)))]
pub(in crate::http) async fn upload(
    Submitter(principal): Submitter,
    State(state): State<ApiState>,
    request: Request,
) -> Result<(StatusCode, Json<FileStored>), ApiError> {
    state.admit(&principal, 1)?;
    let limit = state.config.upload_limit;
    let mut form = form_of(request, &state).await?;
    let mut stored = None;
    while let Some(field) = next_field(&mut form, limit).await? {
        if field.name() != Some(FIELD) {
            let name = field.name().unwrap_or_default();
            return Err(ApiError::field(format!("/{name}"), format!("is unknown; allowed is {FIELD}")));
        }
        if stored.is_some() {
            return Err(ApiError::field("/file", "is given more than once; one file is taken at a time"));
        }
        let upload =
            Upload::new(state.files.clone(), principal.subject.clone(), state.now(), limit, state.config.upload_retention);
        stored = Some(take(field, upload, limit).await?);
    }
    let upload = stored.ok_or_else(|| ApiError::field("/file", "is missing"))?;
    // Only now has the whole form come.
    let row = upload.finish().await?;
    Ok((StatusCode::CREATED, Json(FileStored::of(row))))
}

impl FileStored {
    fn of(row: FileRow) -> Self {
        Self { sha256: hex(&row.sha256), file_path: row.path, size: row.size, content_type: row.content_type }
    }
}

async fn form_of(mut request: Request, state: &ApiState) -> Result<Multipart, ApiError> {
    if media_type(request.headers()).as_deref() != Some("multipart/form-data") {
        return Err(ApiError::MediaType("multipart/form-data"));
    }
    let most = state.config.upload_limit.saturating_add(ENVELOPE_BYTES);
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > most) {
        return Err(ApiError::UploadTooLarge(state.config.upload_limit));
    }
    DefaultBodyLimit::max(most).apply(&mut request);
    let form = Multipart::from_request(request, state).await;
    form.map_err(|_| ApiError::Malformed("the Content-Type names no boundary".into()))
}

async fn next_field(form: &mut Multipart, limit: usize) -> Result<Option<Field<'_>>, ApiError> {
    let next = tokio::time::timeout(SILENCE, form.next_field()).await.map_err(|_| ApiError::BodyTimeout)?;
    next.map_err(|error| broken(&error, limit))
}

/// Hands the field's bytes on as they come.
async fn take(mut field: Field<'_>, mut upload: Upload, limit: usize) -> Result<Upload, ApiError> {
    loop {
        let next = tokio::time::timeout(SILENCE, field.chunk()).await.map_err(|_| ApiError::BodyTimeout)?;
        match next.map_err(|error| broken(&error, limit))? {
            Some(bytes) => upload.take(&bytes).await?,
            None => return Ok(upload),
        }
    }
}

fn broken(error: &MultipartError, limit: usize) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::UploadTooLarge(limit);
    }
    ApiError::Malformed("the form did not arrive whole, or is not multipart/form-data".into())
}

/// Fetch a file
///
/// By a signed link, which results of tasks bring (`download_url`): no token is needed then. The link holds for its path, until `expires`.
/// Or, without `expires` and `signature`, by a token of the file's owner or of an admin, for as long as the file is kept. Ranges and
/// `If-None-Match` are answered; what is not an image comes as an attachment.
#[utoipa::path(get, path = "/api/v1/files/{*path}", tag = "files", operation_id = "getFile",
    security((), ("bearer" = ["tasks:read"])),
    params(openapi::FileParam, openapi::LinkParams),
    responses(
        (status = 200, description = "The file.", body = Vec<u8>, content_type = "*/*"),
        (status = 206, description = "The part of it that `Range` names.", body = Vec<u8>, content_type = "*/*"),
        (status = 304, description = "It is what `If-None-Match` names."),
        (status = 403, response = openapi::LinkRefused),
        (status = 410, response = openapi::LinkExpired),
        (status = 416, response = openapi::RangeOutside),
    ))]
pub(in crate::http) async fn fetch(
    State(state): State<ApiState>,
    FilePathParam(path): FilePathParam,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let reader = authorize_download(&state, &path, query.as_deref(), &headers)?;
    let file_service = state.files.clone();
    let row = file_service.find(&path).await?;
    if reader.is_some_and(|reader| !is_of(row.as_ref(), &reader)) {
        return Err(ApiError::no_file(&path));
    }
    if row.as_ref().and_then(|row| row.expires_at).is_some_and(|expires| expires <= state.now()) {
        return Err(ApiError::no_file(&path));
    }
    let tag = row.as_ref().map(|row| format!("\"{}\"", hex(&row.sha256)));
    if tag.as_deref().is_some_and(|tag| range::is_known(&headers, tag)) {
        return Ok((StatusCode::NOT_MODIFIED, described(&path, row.as_ref(), tag)?).into_response());
    }
    let size = file_service.storage().metadata(&path).await?.ok_or_else(|| ApiError::no_file(&path))?.size;
    let requested = range::requested(&headers, size, tag.as_deref());
    let part = match requested {
        RangeRequest::Whole => None,
        RangeRequest::Part(part) => Some(part),
        RangeRequest::Outside => return Err(ApiError::RangeOutside(size)),
    };
    let reader = file_service.storage().open_range(&path, part.clone()).await?;
    Ok(answer(reader, part.is_some(), described(&path, row.as_ref(), tag)?))
}

/// Remove a file
///
/// An image that was uploaded, or a file that a task of yours has made. Links to it lead nowhere from then on.
#[utoipa::path(delete, path = "/api/v1/files/{*path}", tag = "files", operation_id = "deleteFile",
    security(("bearer" = ["tasks:submit"])), params(openapi::FileParam),
    responses((status = 204, description = "It is gone.")))]
pub(in crate::http) async fn remove(
    Submitter(principal): Submitter,
    State(state): State<ApiState>,
    FilePathParam(path): FilePathParam,
) -> Result<StatusCode, ApiError> {
    let file_service = state.files.clone();
    let row = file_service.find(&path).await?;
    let is_there = row.is_some() || file_service.storage().exists(&path).await?;
    if !is_there || !is_of(row.as_ref(), &principal) {
        return Err(ApiError::no_file(&path));
    }
    file_service.remove(&path).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether a file is the principal's own; all are an admin's.
fn is_of(row: Option<&FileRow>, principal: &Principal) -> bool {
    principal.may(Scope::Admin) || row.is_some_and(|row| row.principal == principal.subject)
}

/// Who asks by a token; `None` who has a good link. A link counts before a token.
fn authorize_download(
    state: &ApiState,
    path: &FilePath,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Option<Principal>, ApiError> {
    if query.is_none_or(str::is_empty) && bearer(headers).is_some() {
        return principal_with(Scope::Read, headers, state).map(Some);
    }
    check_link(state, path, query).map(|()| None)
}

fn check_link(state: &ApiState, path: &FilePath, query: Option<&str>) -> Result<(), ApiError> {
    let mut params = Params::of(query);
    let expires = params.number("expires", 0..=i64::MAX);
    let signature = params.text("signature", 200);
    params.finish()?;
    let (Some(expires), Some(signature)) = (expires, signature) else { return Err(ApiError::Link(LinkError::Forged)) };
    state.files.clone().storage().check_link(path, expires, &signature, state.now()).map_err(ApiError::Link)
}

/// The headers that say what the file is.
fn described(path: &FilePath, row: Option<&FileRow>, tag: Option<String>) -> Result<HeaderMap, ApiError> {
    let content_type = row.map_or("application/octet-stream", |row| row.content_type.as_str());
    // A report has no script, and the policy lets none run.
    let is_report = content_type.starts_with("text/html") && path.as_str().starts_with("reports/");
    let is_image = content_type.starts_with("image/") && content_type != "image/svg+xml";
    let mut all = vec![
        (CONTENT_TYPE, content_type.to_owned()),
        (CONTENT_DISPOSITION, disposition(path, is_image || is_report)),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CACHE_CONTROL, "private, no-cache".to_owned()),
        (CONTENT_SECURITY_POLICY, SANDBOX.to_owned()),
    ];
    all.extend(tag.map(|tag| (ETAG, tag)));
    let parsed = all.into_iter().map(|(name, value)| Ok((name, HeaderValue::try_from(value)?)));
    let parsed: Result<HeaderMap, axum::http::header::InvalidHeaderValue> = parsed.collect();
    parsed.map_err(|error| ApiError::Internal(format!("the headers of {path}: {error}")))
}

/// The name under which a browser keeps it: in ASCII, and as it is (RFC 6266).
fn disposition(path: &FilePath, is_shown: bool) -> String {
    let name = path.file_name();
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | ';') || c == ' ' { c } else { '_' }).collect();
    let exact: String = name
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_') {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    let how = if is_shown { "inline" } else { "attachment" };
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

fn answer(reader: FileReader, is_part: bool, described: HeaderMap) -> Response {
    let (range, size) = (reader.range.clone(), reader.metadata.size);
    let mut response = Body::from_stream(reader.into_stream()).into_response();
    let headers = response.headers_mut();
    headers.extend(described);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end.saturating_sub(range.start)));
    if is_part {
        let content_range = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        headers.extend(HeaderValue::try_from(content_range).ok().map(|value| (CONTENT_RANGE, value)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
