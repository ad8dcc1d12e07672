//! Pages: the front page, Swagger UI, and the document itself. No script stands in a page, so the policy allows none there.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use utoipa_swagger_ui::Config;

use super::error::ApiError;
use super::state::ApiState;

const INDEX: &str = include_str!("docs/index.html");
const STYLE: &str = include_str!("docs/index.css");
const SWAGGER: &str = include_str!("docs/swagger.html");
const SWAGGER_START: &str = include_str!("docs/swagger.js");

/// Swagger UI sets styles from its script and draws with data URLs; scripts come from here only.
const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                              font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

static INDEX_PAGE: LazyLock<String> =
    LazyLock::new(|| INDEX.replace("{{style}}", STYLE).replace("{{version}}", env!("CARGO_PKG_VERSION")));

/// The one style sheet stands in the page; its hash allows it and nothing else.
static INDEX_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(hash.as_ref());
    let policy =
        format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The routes of the documentation pages.
pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/docs", get(swagger)).route("/docs/{file}", get(swagger_file)).route("/openapi.json", get(document))
}

/// Serves the front page of the documentation.
pub(super) async fn index() -> Response {
    ([(CONTENT_SECURITY_POLICY, INDEX_POLICY.clone())], Html(INDEX_PAGE.as_str())).into_response()
}

async fn document(State(state): State<ApiState>) -> ([(axum::http::HeaderName, &'static str); 1], Bytes) {
    ([(CONTENT_TYPE, "application/json")], state.openapi())
}

async fn swagger() -> Response {
    ([(CONTENT_SECURITY_POLICY, SWAGGER_POLICY)], Html(SWAGGER)).into_response()
}

/// A file of Swagger UI, out of the binary.
async fn swagger_file(Path(file): Path<String>) -> Result<Response, ApiError> {
    const DAY: (axum::http::HeaderName, &str) = (CACHE_CONTROL, "public, max-age=86400");
    if file == "start.js" {
        return Ok(([(CONTENT_TYPE, "text/javascript; charset=utf-8"), DAY], SWAGGER_START).into_response());
    }
    let missing = || ApiError::NoRoute(format!("/docs/{}", super::params::shortened(&file)));
    // Its own page and its own start are not served: ours are.
    if file == "index.html" || file == "swagger-initializer.js" {
        return Err(missing());
    }
    let found =
        utoipa_swagger_ui::serve(&file, Arc::new(Config::default())).map_err(|error| ApiError::Internal(error.to_string()))?;
    let found = found.ok_or_else(missing)?;
    let mut response = ([DAY], found.bytes.into_owned()).into_response();
    if let Ok(kind) = HeaderValue::try_from(found.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    if found.gzpipped {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
