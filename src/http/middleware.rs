//! The one layer around all routes: request id, deadline, panics, security headers, count, log.
//!
//! It is written by hand and is one, because the hot path pays for each. Query strings, bodies and tokens never reach the log.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use super::api::extra_time;
use super::audit;
use super::error::{ApiError, Cause, PROBLEM_JSON};
use super::extract::bearer;
use super::state::ApiState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is taken over, in characters.
const MAX_REQUEST_ID: usize = 64;

/// What is kept of a request for its answer and its line in the log.
struct RequestInfo {
    method: Method,
    path: Option<MatchedPath>,
    request_id: HeaderValue,
    authorization: Option<HeaderValue>,
    started: Instant,
}

/// Stands around every route.
pub(super) async fn request_layer(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let info = RequestInfo {
        method: request.method().clone(),
        path: request.extensions().get::<MatchedPath>().cloned(),
        request_id: request_id(request.headers()),
        authorization: request.headers().get(AUTHORIZATION).cloned(),
        started: Instant::now(),
    };
    // A long poll has its own time on top; an event stream answers at once and then takes as long as it takes.
    let extra = info.path.as_ref().map_or(Duration::ZERO, |path| extra_time(&info.method, path.as_str()));
    let deadline = state.config.request_timeout + extra;
    let audited = audit::of_request(&request, &state);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = match tokio::time::timeout(deadline, answered).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => ApiError::Internal(format!("a handler panicked: {}", panic_text(&*panic))).into_response(),
        Err(_) => ApiError::Timeout.into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED && response.headers().get(CONTENT_TYPE) != Some(&PROBLEM_JSON) {
        response = as_problem(&response, &info, &state);
    }
    if let Some(entry) = audited.and_then(|audited| audit::entry(audited, &response, &state)) {
        audit::write(entry, &state).await;
    }
    add_headers(response.headers_mut(), &info, &state);
    state.queue.metrics().http_answered(method_label(&info.method), response.status().as_u16());
    log(&info, &response, &state);
    response
}

/// The router's own 405 with our body; its `Allow` stays.
fn as_problem(bare: &Response, info: &RequestInfo, state: &ApiState) -> Response {
    let path = info.path.as_ref().map_or("", MatchedPath::as_str);
    let allowed = state.methods_of(path).to_owned();
    let mut response = ApiError::Method { method: method_label(&info.method).to_owned(), allowed }.into_response();
    for (name, value) in bare.headers() {
        if name == axum::http::header::ALLOW {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The caller's id where it is harmless, else a fresh one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_harmless = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=MAX_REQUEST_ID).contains(&bytes.len()) && bytes.iter().all(allowed)
    };
    if let Some(given) = headers.get(&REQUEST_ID).filter(is_harmless) {
        return given.clone();
    }
    let mut text = [0_u8; 16];
    let mut bits = fastrand::u64(..);
    for place in &mut text {
        *place = b"0123456789abcdef"[(bits & 15) as usize];
        bits >>= 4;
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none"))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// Answers are data for programs: nothing in them is to be run, framed, guessed at or kept. Pages bring a policy of their own.
fn add_headers(headers: &mut HeaderMap, info: &RequestInfo, state: &ApiState) {
    headers.insert(REQUEST_ID, info.request_id.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if state.config.public_url.starts_with("https://") {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// Bounded: what a caller invents is one label.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// One line an answer: a failure of ours as an error with its cause, a refusal as debug, and so is all that went well (a line costs as much
/// as the answer). `LOG_LEVEL=info,legwork::http=debug` shows all.
fn log(info: &RequestInfo, response: &Response, state: &ApiState) {
    let status = response.status().as_u16();
    let cause = response.extensions().get::<Cause>();
    if cause.is_none() && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let mut headers = HeaderMap::new();
    if let Some(value) = &info.authorization {
        headers.insert(AUTHORIZATION, value.clone());
    }
    let verified = bearer(&headers).and_then(|token| state.tokens.verify(token, state.now()).ok());
    let principal = verified.as_ref().map_or("-", |verified| &verified.principal.subject);
    let path = info.path.as_ref().map_or("-", MatchedPath::as_str);
    let (method, request_id) = (info.method.as_str(), info.request_id.to_str().unwrap_or("-"));
    let ms = info.started.elapsed().as_secs_f64() * 1e3;
    let bytes = response.body().size_hint().exact();
    if let Some(Cause(cause)) = cause {
        tracing::error!(method, path, status, ms, request_id, principal, cause, "a request failed");
    } else {
        tracing::debug!(method, path, status, ms, request_id, principal, bytes, "answered");
    }
}
