//! What can go wrong with a page, and how it is told to people.

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::templates::page;
use super::view::with_query;
use crate::http::ApiError;
use legwork_engine::queue::QueueError;
use legwork_engine::queue::control::ControlError;
use legwork_engine::store::StoreError;

/// Why a page cannot be shown, or a form not be done.
#[derive(Debug)]
pub(super) enum PageError {
    /// Nobody is signed in; afterwards, `next` is shown.
    SignIn {
        /// A path of this server.
        next: String,
    },
    /// The role does not allow to do this.
    Forbidden(&'static str),
    /// The form came from another site.
    Foreign,
    /// The form is not of this session: it was opened before the last sign-in.
    Stale,
    /// The form cannot be read.
    Malformed(&'static str),
    /// There is none, as far as the account sees.
    NotFound(String),
    /// The current state does not allow this.
    Conflict(String),
    /// The store or the broker is away, or has failed.
    Api(ApiError),
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::Api(error.into())
    }
}

impl From<QueueError> for PageError {
    fn from(error: QueueError) -> Self {
        Self::Api(error.into())
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<ControlError> for PageError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotFound => Self::no_task(),
            ControlError::Queue(error) => error.into(),
            other => Self::Conflict(sentence(&other.to_string())),
        }
    }
}

impl PageError {
    /// There is no such task.
    pub(super) fn no_task() -> Self {
        Self::NotFound(
            "There is no task with this id, or your role does not show it. Ended tasks are deleted after their retention.".into(),
        )
    }

    fn parts(&self) -> (StatusCode, &'static str, String, &'static str, &'static str) {
        match self {
            Self::SignIn { .. } => (StatusCode::SEE_OTHER, "Sign in", String::new(), "lock", ""),
            Self::Forbidden(what) => {
                (StatusCode::FORBIDDEN, "Not allowed", format!("Your role does not allow you to {what}. An administrator can change it."), "lock", "warn")
            }
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "Refused",
                "The form was sent by a page of another site. Nothing was done. Behind a proxy, set PUBLIC_URL to the address in the browser.".into(),
                "lock",
                "bad",
            ),
            Self::Stale => (StatusCode::FORBIDDEN, "The page is too old", "You have signed in anew since it was opened. Nothing was done; open the page again.".into(), "retry", "warn"),
            Self::Malformed(text) => (StatusCode::BAD_REQUEST, "The form cannot be read", (*text).into(), "alert", "warn"),
            Self::NotFound(text) => (StatusCode::NOT_FOUND, "Not found", text.clone(), "search", ""),
            Self::Conflict(text) => (StatusCode::CONFLICT, "That is not possible now", text.clone(), "alert", "warn"),
            Self::Api(error) => {
                let problem = error.problem();
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let title = if status.is_server_error() { "The server cannot answer now" } else { problem.title };
                (status, title, sentence(&problem.detail), "alert", "bad")
            }
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        if let Self::SignIn { next } = &self {
            return see_other(&with_query("/login", [("next", if next == "/" { "" } else { next.as_str() })]));
        }
        let (status, title, text, symbol, tone) = self.parts();
        let mut response = page(
            status,
            "error",
            view! { shell => view! {}, title, text, symbol, tone, back_url => "/", back => "To the overview" },
        );
        if let Self::Api(error) = self {
            // The cause travels beside the answer, for the log.
            response.extensions_mut().extend(error.into_response().extensions().clone());
        }
        response
    }
}

/// Sends the browser to a page of this server.
pub(super) fn see_other(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// A path of this server to go to, or the overview: never another host, however it is written.
pub(super) fn own_path(path: &str) -> &str {
    let is_own = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.chars().any(|sign| sign.is_control() || sign.is_whitespace());
    if is_own { path } else { "/" }
}

/// The page for a path that does not exist.
pub fn not_found() -> Response {
    PageError::NotFound("There is no page at this address.".into()).into_response()
}

/// A message as a sentence of its own.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_gone_to() {
        for own in ["/", "/tasks?status=FAILURE", "/tasks/1#e-2"] {
            assert_eq!(own_path(own), own);
        }
        for foreign in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "/\t/evil.example",
            "javascript:alert(1)",
            "tasks",
        ] {
            assert_eq!(own_path(foreign), "/", "{foreign}");
        }
    }
}
