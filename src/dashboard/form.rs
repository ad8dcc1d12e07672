//! What a form leaves for the page that follows it.

use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::{own_path, see_other};
use super::view::Tone;
use crate::http::AuditNote;

/// Holds one notice until the next page has shown it.
pub(super) const NOTICE_COOKIE: &str = "legwork_notice";
/// The longest text of a notice, in characters.
const MAX_NOTICE: usize = 300;

/// A notice on the page that follows a form. Whoever forges the cookie shows a text to themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Notice {
    tone: String,
    text: String,
    url: Option<String>,
    link: Option<String>,
}

impl Notice {
    /// A notice that an action succeeded.
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self { tone: "ok".into(), text: text.into(), url: None, link: None }
    }

    /// It was not done.
    pub(super) fn not_done(text: impl Into<String>) -> Self {
        Self { tone: "bad".into(), text: text.into(), url: None, link: None }
    }

    /// With a link at its end.
    pub(super) fn with_link(self, link: impl Into<String>, url: String) -> Self {
        Self { link: Some(link.into()), url: Some(url), ..self }
    }

    /// Of a cookie. Only our tones and our paths are believed.
    pub(super) fn of_cookie(value: &str) -> Option<Self> {
        let mut notice: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
        if !matches!(notice.tone.as_str(), "ok" | "bad") {
            notice.tone = "idle".into();
        }
        notice.text = super::format::clip(&notice.text, MAX_NOTICE);
        notice.url = notice.url.filter(|url| own_path(url) == url);
        Some(notice)
    }

    /// Goes to a page of this server that shows it.
    pub(super) fn shown_at(self, path: &str) -> Response {
        let mut response = see_other(path);
        if self.tone == "bad" {
            response.extensions_mut().insert(AuditNote { not_done: true, ..AuditNote::detail(self.text.clone()) });
        }
        let value = serde_json::to_vec(&self).map(|json| URL_SAFE_NO_PAD.encode(json)).unwrap_or_default();
        let cookie = format!("{NOTICE_COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }
}

/// The tone of a state.
pub(super) fn tone_of(status: legwork_engine::domain::TaskStatus) -> Tone {
    use legwork_engine::domain::TaskStatus;
    match status {
        TaskStatus::Pending => Tone::Idle,
        TaskStatus::Started => Tone::Info,
        TaskStatus::Retry => Tone::Warn,
        TaskStatus::Success => Tone::Ok,
        TaskStatus::Failure => Tone::Bad,
        TaskStatus::Revoked => Tone::Off,
    }
}
