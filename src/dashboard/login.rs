//! Sign-in, sign-out, the first password, and the theme.

use axum::extract::{RawQuery, Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use secrecy::SecretString;
use subtle_compare::is_equal;

use super::access::{Cookies, Fields, Posted, check_origin, cookie, theme, theme_cookie};
use super::error::{PageError, own_path, see_other};
use super::format;
use super::session::{DEVICE_TTL, SESSION_TTL};
use super::templates::page;
use super::view::with_query;
use crate::auth::PasswordError;
use crate::http::{ApiError, ApiState, AuditNote, Caller};
use legwork_engine::domain::{Principal, Scope, ScopeSet};
use legwork_engine::store::NewAccount;

/// The account that the first link makes.
const FIRST_ACCOUNT: &str = "admin";

mod subtle_compare {
    /// Compares without telling by its time where two texts differ.
    pub(super) fn is_equal(a: &str, b: &str) -> bool {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"compare");
        let tag = ring::hmac::sign(&key, a.as_bytes());
        ring::hmac::verify(&key, b.as_bytes(), tag.as_ref()).is_ok()
    }
}

/// Serves the sign-in form.
pub(super) async fn show(State(state): State<ApiState>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let notice = (query.text("left") == "1").then_some("You are signed out.");
    form(&state, StatusCode::OK, &headers, own_path(query.text("next")), "", None, notice)
}

fn form(
    state: &ApiState,
    status: StatusCode,
    headers: &HeaderMap,
    next: &str,
    name: &str,
    error: Option<&str>,
    notice: Option<&str>,
) -> Response {
    let first_link = state.dashboard.first_link.lock().is_some();
    page(status, "login", view! { shell => view! { theme => theme(headers) }, next, name, error, notice, first_link })
}

/// Checks name and password, and starts a session with a fresh id.
pub(super) async fn login(State(state): State<ApiState>, request: Request) -> Result<Response, PageError> {
    let (parts, body) = request.into_parts();
    check_origin(&parts.headers, &state.config.public_url)?;
    let address = state.client_address(&parts);
    let headers = parts.headers.clone();
    let fields = Fields::read(Request::from_parts(parts, body)).await?;
    let (name, next) = (fields.text("name").to_owned(), own_path(fields.text("next")).to_owned());
    let password = SecretString::from(fields.raw("password").unwrap_or_default().to_owned());
    let cookies = Cookies::of(&state);
    let device = cookie(&headers, cookies.device).and_then(|value| state.dashboard.signer.device(value, &name, state.now()));
    let caller = device.map_or(Caller::Stranger(address), |device| Caller::KnownDevice(device.id));
    let account = match state.authenticate(&name, password, &caller).await {
        Ok(account) => account,
        Err(ApiError::BadLogin) => {
            let error = Some("The name or the password is wrong.");
            let answer = form(&state, StatusCode::UNAUTHORIZED, &headers, &next, &name, error, None);
            return Ok(sign_in_note(&name, "Wrong name or password").on(answer));
        }
        Err(ApiError::RateLimited { wait, .. }) => {
            let error = format!("There were too many wrong passwords. Try again in {} seconds.", wait.as_secs().max(1));
            return Ok(form(&state, StatusCode::TOO_MANY_REQUESTS, &headers, &next, &name, Some(&error), None));
        }
        Err(error) => return Err(error.into()),
    };
    if !account.principal.may(Scope::Read) {
        return Err(PageError::Forbidden("read tasks"));
    }
    Ok(sign_in_note(&name, "").on(start(&state, &name, &account.password_hash, &next)?))
}

fn sign_in_note(name: &str, detail: &str) -> AuditNote {
    AuditNote { principal: Some(format::clip(name, 100)).filter(|name| !name.is_empty()), ..AuditNote::detail(detail) }
}

fn start(state: &ApiState, name: &str, password_hash: &str, next: &str) -> Result<Response, PageError> {
    let no_random = || PageError::Api(ApiError::Internal("the system gives no random numbers".into()));
    let (_, session) = state.dashboard.signer.start(name, password_hash, state.now()).ok_or_else(no_random)?;
    let device = state.dashboard.signer.remember(name, state.now()).ok_or_else(no_random)?;
    let cookies = Cookies::of(state);
    let mut response = see_other(next);
    for cookie in [
        cookies.set(cookies.session, &session, SESSION_TTL.as_secs()),
        cookies.set(cookies.device, &device, DEVICE_TTL.as_secs()),
    ] {
        response.headers_mut().append(SET_COOKIE, HeaderValue::from_str(&cookie).map_err(|_| no_random())?);
    }
    Ok(response)
}

/// Ends the session everywhere, not in this browser only.
pub(super) async fn logout(State(state): State<ApiState>, posted: Posted) -> Result<Response, PageError> {
    let session = posted.visitor.session;
    state.queue.revoke_token(&session.id, session.ends_at()).await?;
    state.tokens.revoke(session.id);
    let cookies = Cookies::of(&state);
    let mut response = see_other("/login?left=1");
    if let Ok(gone) = HeaderValue::from_str(&cookies.set(cookies.session, "", 0)) {
        response.headers_mut().append(SET_COOKIE, gone);
    }
    Ok(response)
}

/// Where the link leads that a fresh server prints.
pub(super) async fn welcome(
    State(state): State<ApiState>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    check_link(&state, query.text("link"))?;
    Ok(welcome_form(StatusCode::OK, &headers, query.text("link"), None))
}

fn welcome_form(status: StatusCode, headers: &HeaderMap, link: &str, error: Option<&str>) -> Response {
    let shell = view! { theme => theme(headers) };
    page(status, "welcome", view! { shell, link, name => FIRST_ACCOUNT, error })
}

fn check_link(state: &ApiState, link: &str) -> Result<(), PageError> {
    let expected = state.dashboard.first_link.lock();
    match expected.as_deref() {
        Some(expected) if is_equal(expected, link) => Ok(()),
        _ => Err(PageError::NotFound(
            "This link was used, or belongs to an earlier start of the server. Sign in, or make an account with: legwork user create NAME".into(),
        )),
    }
}

/// Makes the first account with the password that was chosen, uses the link up, and signs in.
pub(super) async fn choose_password(State(state): State<ApiState>, request: Request) -> Result<Response, PageError> {
    check_origin(request.headers(), &state.config.public_url)?;
    let headers = request.headers().clone();
    let fields = Fields::read(request).await?;
    let link = fields.text("link").to_owned();
    check_link(&state, &link)?;
    let password = SecretString::from(fields.raw("password").unwrap_or_default().to_owned());
    let password_hash = match state.passwords.hash(password).await {
        Ok(hash) => hash,
        Err(PasswordError::Length) => {
            let error = "Must have 12 characters or more, and at most 1,024 bytes.";
            return Ok(welcome_form(StatusCode::UNPROCESSABLE_ENTITY, &headers, &link, Some(error)));
        }
        Err(error) => return Err(ApiError::from(error).into()),
    };
    // Of two that come at once with the link, one goes on.
    if state.dashboard.first_link.lock().take().is_none_or(|expected| !is_equal(&expected, &link)) {
        return Err(PageError::NotFound("This link was used.".into()));
    }
    let principal = Principal { subject: FIRST_ACCOUNT.into(), scopes: ScopeSet::from_iter([Scope::Admin]) };
    let account =
        NewAccount { name: FIRST_ACCOUNT.into(), password_hash: password_hash.clone(), principal, created_at: state.now() };
    if !state.queue.store().create_account(&account).await? {
        return Err(PageError::Conflict("The account admin exists already. Sign in with its password.".into()));
    }
    let note = AuditNote { target: Some(FIRST_ACCOUNT.into()), ..sign_in_note(FIRST_ACCOUNT, "") };
    Ok(note.on(start(&state, FIRST_ACCOUNT, &password_hash, "/")?))
}

/// Sets the theme, and goes back to the page.
pub(super) async fn preferences(posted: Posted) -> Response {
    let mut response = see_other(own_path(posted.fields.text("next")));
    if let Ok(theme) = HeaderValue::from_str(&theme_cookie(posted.fields.text("theme"))) {
        response.headers_mut().append(SET_COOKIE, theme);
    }
    response
}

/// Where the first sign-in is, for the banner.
pub(crate) fn first_url(public_url: &str, link: &str) -> String {
    with_query(&format!("{public_url}/welcome"), [("link", link)])
}
