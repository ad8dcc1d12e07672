//! Who asks for a page, and whether a form came from one of our pages.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use super::error::PageError;
use super::session::Session;
use crate::http::ApiState;
use legwork_engine::domain::{Principal, Scope};

/// The largest form, in bytes: args of a task may be large.
const MAX_FORM_BYTES: usize = 4 << 20;
const THEME_COOKIE: &str = "legwork_theme";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names of our cookies. Over https they carry the prefix that keeps other hosts of the domain from setting them.
pub(super) struct Cookies {
    pub(super) session: &'static str,
    pub(super) device: &'static str,
    pub(super) is_secure: bool,
}

impl Cookies {
    /// As the address of this server asks for.
    pub(super) fn of(state: &ApiState) -> Self {
        if state.config.public_url.starts_with("https://") {
            Self { session: "__Host-legwork_session", device: "__Host-legwork_device", is_secure: true }
        } else {
            Self { session: "legwork_session", device: "legwork_device", is_secure: false }
        }
    }

    /// A `Set-Cookie` that scripts cannot read; an empty value with an age of 0 takes it away.
    pub(super) fn set(&self, name: &str, value: &str, seconds: i64) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
    }
}

/// A cookie of a request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value)
}

/// The theme that was chosen; `None` follows the system.
pub(super) fn theme(headers: &HeaderMap) -> Option<&'static str> {
    match cookie(headers, THEME_COOKIE)? {
        "light" => Some("light"),
        "dark" => Some("dark"),
        _ => None,
    }
}

/// The `Set-Cookie` of a theme.
pub(super) fn theme_cookie(theme: &str) -> String {
    let (value, age) = match theme {
        "light" | "dark" => (theme, 31_536_000),
        _ => ("", 0),
    };
    format!("{THEME_COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}")
}

/// Somebody who is signed in.
pub(super) struct Visitor {
    /// Who, and what they may do.
    pub(super) principal: Principal,
    /// The session in the request's cookie.
    pub(super) session: Session,
    /// The token against cross-site requests that every form carries.
    pub(super) csrf: String,
    /// The theme that the visitor has chosen; `None` follows the browser.
    pub(super) theme: Option<&'static str>,
    /// The path and query of the page.
    pub(super) path_query: String,
    /// A notice that the form before left for the page that follows.
    pub(super) notice: Option<String>,
}

impl Visitor {
    /// May read. Every account may.
    async fn of(parts: &Parts, state: &ApiState) -> Result<Self, PageError> {
        let path_query = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let no_session = || PageError::SignIn { next: path_query.clone() };
        let signer = &state.dashboard.signer;
        let value = cookie(&parts.headers, Cookies::of(state).session).ok_or_else(no_session)?;
        let session = signer.open(value, state.now()).ok_or_else(no_session)?;
        if state.tokens.is_revoked(&session.id) {
            return Err(no_session());
        }
        let account = state.queue.store().find_account(&session.name).await?.ok_or_else(no_session)?;
        if !signer.is_current(&session, &account.password_hash) {
            return Err(no_session());
        }
        let principal = account.principal;
        if !principal.may(Scope::Read) {
            return Err(PageError::Forbidden("read tasks"));
        }
        Ok(Self {
            csrf: signer.csrf(&session),
            theme: theme(&parts.headers),
            notice: cookie(&parts.headers, super::form::NOTICE_COOKIE).map(str::to_owned),
            principal,
            session,
            path_query,
        })
    }

    /// The path of the page, without its query.
    pub(super) fn path(&self) -> &str {
        self.path_query.split('?').next().unwrap_or("/")
    }

    /// Whether they may revoke, retry, pause and drain.
    pub(super) fn is_operator(&self) -> bool {
        self.principal.may(Scope::Control) && self.principal.may(Scope::Submit)
    }

    /// Whether they may do everything.
    pub(super) fn is_admin(&self) -> bool {
        self.principal.may(Scope::Admin)
    }

    /// The name of their role.
    pub(super) fn role(&self) -> &'static str {
        role_of(&self.principal)
    }
}

/// The role that scopes amount to.
pub(super) fn role_of(principal: &Principal) -> &'static str {
    match () {
        () if principal.may(Scope::Admin) => "Administrator",
        () if principal.may(Scope::Control) => "Operator",
        () => "Viewer",
    }
}

impl FromRequestParts<ApiState> for Visitor {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, PageError> {
        Self::of(parts, state).await
    }
}

/// A form that somebody who is signed in sent from one of our pages.
pub(super) struct Posted {
    /// The account that sent the form.
    pub(super) visitor: Visitor,
    /// The fields of the form.
    pub(super) fields: Fields,
}

impl Posted {
    /// Refuses the form unless the account may change tasks, queues and workers.
    pub(super) fn by_operator(self) -> Result<Self, PageError> {
        if self.visitor.is_operator() { Ok(self) } else { Err(PageError::Forbidden("change tasks, queues and workers")) }
    }

    /// Refuses the form unless the account is an administrator.
    pub(super) fn by_admin(self) -> Result<Self, PageError> {
        if self.visitor.is_admin() { Ok(self) } else { Err(PageError::Forbidden("do what only administrators do")) }
    }
}

impl FromRequest<ApiState> for Posted {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, PageError> {
        let (parts, body) = request.into_parts();
        check_origin(&parts.headers, &state.config.public_url)?;
        let visitor = Visitor::of(&parts, state).await.map_err(|error| match error {
            // After signing in again, a page is shown; a form is not sent by itself.
            PageError::SignIn { .. } => PageError::SignIn { next: "/".into() },
            other => other,
        })?;
        let fields = Fields::read(Request::from_parts(parts, body)).await?;
        if !state.dashboard.signer.is_csrf(&visitor.session, fields.text("csrf")) {
            return Err(PageError::Stale);
        }
        Ok(Self { visitor, fields })
    }
}

/// Refuses a form that another site's page sent. Browsers say where a form comes from, and no page can make them say otherwise.
pub(super) fn check_origin(headers: &HeaderMap, public_url: &str) -> Result<(), PageError> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(&SEC_FETCH_SITE) {
        Some("same-origin" | "none") => return Ok(()),
        Some(_) => return Err(PageError::Foreign),
        None => {}
    }
    let Some(origin) = text(&ORIGIN) else { return Ok(()) };
    let own = url::Url::parse(public_url).ok().map(|url| url.origin().ascii_serialization());
    let host = text(&HOST).unwrap_or_default();
    let is_same_host =
        origin.split_once("://").is_some_and(|(_, authority)| !host.is_empty() && authority.eq_ignore_ascii_case(host));
    if is_same_host || own.as_deref() == Some(origin) { Ok(()) } else { Err(PageError::Foreign) }
}

/// The fields of a form or a query, in order; a name may come more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    values: HashMap<String, Vec<String>>,
}

impl Fields {
    /// Parses a body of the type `application/x-www-form-urlencoded`.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut values: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(bytes) {
            values.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self { values }
    }

    /// Of a request's body.
    pub(super) async fn read(request: Request) -> Result<Self, PageError> {
        let media = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !media.starts_with("application/x-www-form-urlencoded") {
            return Err(PageError::Malformed("The form must be sent as application/x-www-form-urlencoded."));
        }
        let body: Bytes = axum::body::to_bytes(request.into_body(), MAX_FORM_BYTES)
            .await
            .map_err(|_| PageError::Malformed("The form is larger than 4 MiB, or did not arrive whole."))?;
        Ok(Self::parse(&body))
    }

    /// The first value of a field without spaces around it, empty where it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.values.get(name).and_then(|values| values.first()).map_or("", |value| value.trim())
    }

    /// The first value of a field as it came.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(|values| values.first()).map(String::as_str)
    }

    /// All values of a field that are not empty.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values.get(name).into_iter().flatten().map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        let own = "https://jobs.example.com";
        let allowed: [&[(&'static str, &str)]; 4] = [
            &[("origin", "https://jobs.example.com"), ("host", "10.0.0.7:8000")],
            &[("origin", "http://127.0.0.1:8000"), ("host", "127.0.0.1:8000"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[],
        ];
        for pairs in allowed {
            assert!(check_origin(&headers(pairs), own).is_ok(), "{pairs:?}");
        }
        let refused: [&[(&'static str, &str)]; 5] = [
            &[("origin", "https://evil.example"), ("host", "jobs.example.com")],
            &[("origin", "null"), ("host", "jobs.example.com")],
            &[("origin", "https://jobs.example.com.evil.example"), ("host", "jobs.example.com")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://other.example.com"), ("host", "jobs.example.com")],
        ];
        for pairs in refused {
            assert!(check_origin(&headers(pairs), own).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = headers(&[("cookie", "xlegwork_theme=light; legwork_theme=dark; other")]);
        assert_eq!(theme(&headers), Some("dark"));
        assert_eq!(cookie(&headers, "other"), None);
    }
}
