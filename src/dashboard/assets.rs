//! Style sheet, script and icons: compiled into the binary, and cached for good under a name with their hash.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const ASSETS: [(&str, &str, &str); 4] = [
    ("dashboard.css", "text/css; charset=utf-8", include_str!("../../assets/dashboard/dashboard.css")),
    ("dashboard.js", "text/javascript; charset=utf-8", include_str!("../../assets/dashboard/dashboard.js")),
    ("icons.svg", "image/svg+xml", include_str!("../../assets/dashboard/icons.svg")),
    ("favicon.svg", "image/svg+xml", include_str!("../../assets/dashboard/favicon.svg")),
];

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut all = ring::digest::Context::new(&ring::digest::SHA256);
    for (_, _, text) in ASSETS {
        all.update(text.as_bytes());
    }
    let digest = all.finish();
    URL_SAFE_NO_PAD.encode(digest.as_ref().get(..9).unwrap_or_default())
});

/// Changes with every build whose assets differ.
pub(super) fn version() -> &'static str {
    &VERSION
}

/// Where a page finds an asset.
pub(super) fn url(name: &str) -> String {
    format!("/assets/dashboard/{name}?v={}", version())
}

/// An asset. The query is part of what caches go by and means nothing here.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, media_type, text)) => {
            ([(CONTENT_TYPE, *media_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")], *text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
