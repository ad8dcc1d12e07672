//! Login, accounts, and the end of tokens.

#![expect(unused_qualifications, reason = "utoipa's macro writes longer paths than it needs to, in our name")]

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest as _, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::http::header::EXPECT;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::error::ApiError;
use super::super::extract::{Admin, JsonOf, NamePath, media_type, parse_json, read_body};
use super::super::openapi;
use super::super::params::Params;
use super::super::state::ApiState;
use crate::auth::{Caller, IssueError};
use legwork_engine::domain::{Principal, Scope};
use legwork_engine::store::{AccountRow, NewAccount};

/// How long a token of the login lives: a working day.
const LOGIN_TTL: Duration = Duration::from_hours(8);
/// The longest name of an account, in characters.
const MAX_NAME_CHARS: usize = 100;
/// Revoked without a known end: for ever, as far as a store can write it.
const NEVER: i64 = 253_370_764_800;

/// The body of a login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Login {
    /// Name of the account.
    #[serde(alias = "username")]
    #[schema(example = "anna", min_length = 1, max_length = 100)]
    name: String,
    /// Password of the account.
    #[schema(value_type = String, format = Password, example = "correct horse battery staple")]
    password: SecretString,
}

/// A token to use.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct TokenView {
    /// The token: send it as `Authorization: Bearer …`.
    access_token: String,
    /// The type of the token, always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How many seconds it lives.
    #[schema(example = 28_800)]
    expires_in: u64,
}

/// Get a token for name and password
///
/// As JSON or as a form. Accounts are made by `legwork user create`. Who guesses is held back, by name and by address.
#[utoipa::path(post, path = "/api/v1/auth/token", tag = "auth", operation_id = "createToken", security(()),
    request_body(description = "Name and password, as JSON or as a form.", content(
        (Login = "application/json"), (Login = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "A token.", body = TokenView),
        (status = 401, response = openapi::Unauthenticated),
        (status = 409, response = openapi::Conflict),
        (status = 429, response = openapi::RateLimited),
    ))]
pub(in crate::http) async fn login(State(state): State<ApiState>, request: Request) -> Result<Json<TokenView>, ApiError> {
    let (parts, body) = request.into_parts();
    let address = state.client_address(&parts);
    let login = read_login(Request::from_parts(parts, body), &state).await?;
    if !state.tokens.can_issue() {
        return Err(no_tokens_here(IssueError::NoSecret));
    }
    let principal = state.authenticate(&login.name, login.password, &Caller::Stranger(address)).await?.principal;
    let access_token = state.tokens.issue(&principal, LOGIN_TTL, state.now()).map_err(no_tokens_here)?;
    Ok(Json(TokenView { access_token, token_type: "Bearer", expires_in: LOGIN_TTL.as_secs() }))
}

fn no_tokens_here(error: IssueError) -> ApiError {
    match error {
        IssueError::NoSecret => ApiError::Conflict { code: "no_login_here", detail: error.to_string() },
        IssueError::NoRandom | IssueError::Signing => ApiError::Internal(error.to_string()),
    }
}

async fn read_login(request: Request, state: &ApiState) -> Result<Login, ApiError> {
    let media = media_type(request.headers());
    if media.as_deref() != Some("application/x-www-form-urlencoded") {
        let JsonOf(login) = JsonOf::<Login>::from_request(request, state).await.map_err(|error| match error {
            ApiError::MediaType(_) => ApiError::MediaType("application/json or application/x-www-form-urlencoded"),
            other => other,
        })?;
        return Ok(login);
    }
    let is_sent = !request.headers().contains_key(EXPECT);
    let body = read_body(request.into_body(), state.config.body_limit, is_sent).await?;
    // A form is an object of strings; what is wrong with it is told in the same words.
    let mut fields = serde_json::Map::new();
    for (name, value) in url::form_urlencoded::parse(&body) {
        // The password grant of OAuth 2.0, which some clients cannot leave out.
        if name != "grant_type" && name != "scope" {
            fields.insert(name.into_owned(), value.into_owned().into());
        }
    }
    parse_json(serde_json::Value::Object(fields).to_string().as_bytes())
}

impl ApiState {
    /// The account of this name, if the password is right. An unknown name takes as long as a wrong password.
    pub(crate) async fn authenticate(&self, name: &str, password: SecretString, caller: &Caller) -> Result<AccountRow, ApiError> {
        self.throttle.admit(name, caller, self.now()).map_err(|wait| ApiError::RateLimited {
            wait,
            detail: "too many failed logins for this name or from this address; see Retry-After".into(),
        })?;
        let checked = async {
            let account = if is_account_name(name) { self.queue.store().find_account(name).await? } else { None };
            let hash = account.as_ref().map(|account| account.password_hash.clone());
            let is_right = self.passwords.verify(password, hash).await?;
            Ok::<_, ApiError>(account.filter(|_| is_right))
        };
        match checked.await {
            Ok(Some(account)) => {
                self.throttle.succeeded(name, caller);
                Ok(account)
            }
            Ok(None) => Err(ApiError::BadLogin),
            Err(error) => {
                self.throttle.undecided(name, caller);
                Err(error)
            }
        }
    }
}

pub(crate) fn is_account_name(name: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.@-".contains(&b))
}

/// What an error says about the scopes of a new account.
const ALLOWED_SCOPES: &str = "name what the account may do: one or more of tasks:submit, tasks:read, tasks:control, admin";

/// An account to be made, or a password to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewUser {
    /// The account's name: 1 to 100 characters.
    #[schema(example = "anna", min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9_.@-]+$")]
    name: String,
    /// Its password: 12 characters or more.
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 1024, example = "correct horse battery staple")]
    password: SecretString,
    /// What the account may do. Required for a new account, so that nobody becomes an admin by omission; ignored with `replace`.
    #[schema(value_type = Option<Vec<Scope>>, min_items = 1, example = json!(["tasks:submit", "tasks:read"]))]
    scopes: Option<Vec<Scope>>,
    /// Set the password of an account that exists; its scopes stay. Makes none.
    #[serde(default)]
    #[schema(default = false)]
    replace: bool,
}

/// An account, without its password.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct UserView {
    /// Name of the account.
    #[schema(example = "anna")]
    name: String,
    /// Whether it was made now; else its password was set.
    created: bool,
}

/// Make an account, or set its password
///
/// For people who log in; services use tokens of `legwork token create`.
#[utoipa::path(post, path = "/api/v1/auth/users", tag = "auth", operation_id = "createUser",
    security(("bearer" = ["admin"])), request_body = NewUser,
    responses(
        (status = 200, description = "The account existed, and its password was set.", body = UserView),
        (status = 201, description = "The account was made.", body = UserView),
        (status = 404, response = openapi::NotFound),
        (status = 409, response = openapi::Conflict),
    ))]
pub(in crate::http) async fn create_user(
    _principal: Admin,
    State(state): State<ApiState>,
    JsonOf(user): JsonOf<NewUser>,
) -> Result<(StatusCode, Json<UserView>), ApiError> {
    let NewUser { name, password, scopes, replace } = user;
    if !is_account_name(&name) {
        return Err(ApiError::field(
            "/name",
            format!("is not 1 to {MAX_NAME_CHARS} characters of A-Z, a-z, 0-9, '_', '.', '@' and '-'"),
        ));
    }
    let scopes = match scopes {
        Some(scopes) if scopes.is_empty() => return Err(ApiError::field("/scopes", format!("is empty; {ALLOWED_SCOPES}"))),
        None if !replace => return Err(ApiError::field("/scopes", format!("is missing; {ALLOWED_SCOPES}"))),
        scopes => scopes.unwrap_or_default(),
    };
    let password_hash = state.passwords.hash(password).await?;
    let principal = Principal { subject: name.as_str().into(), scopes: scopes.into_iter().collect() };
    let account = NewAccount { name: name.clone(), password_hash, principal, created_at: state.now() };
    let store = state.queue.store();
    if replace {
        return if store.set_password(&name, &account.password_hash).await? {
            Ok((StatusCode::OK, Json(UserView { name, created: false })))
        } else {
            Err(ApiError::NotFound(format!("there is no account {name:?}")))
        };
    }
    if store.create_account(&account).await? {
        return Ok((StatusCode::CREATED, Json(UserView { name, created: true })));
    }
    let detail = format!("the account {name:?} exists; \"replace\": true sets its password");
    Err(ApiError::Conflict { code: "account_exists", detail })
}

/// When a revoked token would have ended.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct RevokeTokenQuery {
    /// The token's `exp` (RFC 3339), after which the revocation need not be remembered. Default: it is remembered for ever.
    #[param(value_type = Option<String>, format = DateTime, example = "2030-01-01T00:00:00Z")]
    #[expect(dead_code, reason = "it is read by name, with all the other checks of a query; the struct describes it")]
    expires_at: Option<Timestamp>,
}

/// Revoke a token by its id
///
/// The token with this `jti` is refused from now on, by every process within seconds. An id that no token has does no harm.
#[utoipa::path(delete, path = "/api/v1/auth/tokens/{jti}", tag = "auth", operation_id = "revokeToken",
    security(("bearer" = ["admin"])), params(openapi::JtiParam, RevokeTokenQuery),
    responses((status = 204, description = "It is revoked.")))]
pub(in crate::http) async fn revoke_token(
    _principal: Admin,
    State(state): State<ApiState>,
    NamePath(jti): NamePath,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, ApiError> {
    let mut params = Params::of(query.as_deref());
    let never = Timestamp::from_second(NEVER).unwrap_or(Timestamp::MAX);
    let expires_at = params.time("expires_at").unwrap_or(never);
    params.finish()?;
    state.queue.revoke_token(&jti, expires_at).await?;
    state.tokens.revoke(jti);
    Ok(StatusCode::NO_CONTENT)
}
