//! Accounts of people, and tokens for applications.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;

use super::super::access::{Fields, Posted, Visitor, role_of};
use super::super::error::PageError;
use super::super::form::Notice;
use super::super::schema_form::Field;
use super::super::view::{Item, Moment, path_segment};
use super::super::{format, shell};
use crate::auth::{MAX_SUBJECT_CHARS, PasswordError};
use crate::http::{ApiError, ApiState, AuditNote, NamePath, is_account_name};
use legwork_engine::domain::{Principal, Scope, ScopeSet};
use legwork_engine::store::{AccountInfo, NewAccount};

/// Accounts that the page lists at most.
const ACCOUNTS_SHOWN: u32 = 500;
/// What a new token lives where nothing else is chosen, in days.
const DEFAULT_DAYS: u64 = 90;

/// The roles: value, label, scopes.
const ROLES: [(&str, &str, &[Scope]); 3] = [
    ("viewer", "Viewer: sees everybody's tasks", &[Scope::Read, Scope::All]),
    ("operator", "Operator: also submits, retries, revokes, pauses", &[Scope::Read, Scope::Submit, Scope::Control, Scope::All]),
    ("admin", "Administrator: everything", &[Scope::Admin]),
];

fn scopes_of(role: &str) -> Option<ScopeSet> {
    ROLES.iter().find(|(name, ..)| *name == role).map(|(.., scopes)| scopes.iter().copied().collect())
}

fn role_value(principal: &Principal) -> &'static str {
    match role_of(principal) {
        "Administrator" => "admin",
        "Operator" => "operator",
        _ => "viewer",
    }
}

#[derive(Serialize)]
struct Row {
    name: String,
    role: &'static str,
    initial: String,
    created_at: Moment,
    is_self: bool,
    url: String,
    delete_url: Option<String>,
    form: Vec<Field>,
}

fn role_field(name: &str, role: &str) -> Field {
    let options = ROLES.map(|(value, label, _)| Item::new(value, label)).into();
    Field { options, ..Field::plain(name, "Role", "select", role) }
}

fn password_field(name: &str, label: &str, help: &str) -> Field {
    Field { autocomplete: Some("new-password"), ..Field::plain(name, label, "password", "").help(help) }
}

fn row(place: usize, account: &AccountInfo, visitor: &Visitor, now: Timestamp) -> Row {
    let url = format!("/accounts/{}", path_segment(&account.name));
    let is_self = account.name == visitor.session.name;
    let mut role = role_field("role", role_value(&account.principal));
    role.id = format!("role-{place}");
    let mut password = password_field("password", "New password", "Empty keeps the present one. A new one ends all sessions.");
    password.id = format!("password-{place}");
    Row {
        name: account.name.clone(),
        role: role_of(&account.principal),
        initial: account.name.chars().take(1).collect(),
        created_at: Moment::new(account.created_at, now),
        is_self,
        delete_url: (!is_self).then(|| format!("{url}/delete")),
        url,
        form: vec![role, password],
    }
}

/// A token that was made just now.
#[derive(Serialize)]
struct NewToken {
    subject: String,
    token: String,
}

async fn page(
    state: &ApiState,
    visitor: &Visitor,
    new_token: Option<NewToken>,
    errors: &[(&str, String)],
    filled: &Fields,
) -> Result<Response, PageError> {
    let accounts = state.queue.store().accounts(ACCOUNTS_SHOWN).await?;
    let now = state.now();
    let with_error = |mut field: Field| {
        field.error = errors.iter().find(|(name, _)| *name == field.name).map(|(_, error)| error.clone());
        if field.control != "password" && !errors.is_empty() {
            field.value = filled.text(&field.name).into();
        }
        field
    };
    let required = |field: Field| Field { required: true, ..field };
    let account_form = [
        required(Field::plain("account.name", "Name", "text", "").help("Letters, digits, and `_ . @ -`.")),
        role_field("account.role", "viewer"),
        required(password_field("account.password", "Password", "12 characters or more.")),
    ]
    .map(with_error);
    let token_form = [
        required(
            Field::plain("token.subject", "Subject", "text", "")
                .help("The application that uses it. Tasks that it submits belong to this name."),
        ),
        Field::plain("token.scopes", "Scopes", "list", "tasks:submit\ntasks:read").help("One per line."),
        Field::plain("token.days", "Valid for", "number", DEFAULT_DAYS.to_string()).help("Days, 1 to 3650."),
    ]
    .map(with_error);
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let rows: Vec<_> = accounts.iter().enumerate().map(|(place, account)| row(place, account, visitor, now)).collect();
    let view = view! { accounts => rows, account_form, token_form, new_token, can_issue => state.tokens.can_issue() };
    Ok(shell::answer(state, visitor, status, "accounts", view))
}

/// Serves the page that lists all accounts.
pub(in crate::dashboard) async fn list(visitor: Visitor, State(state): State<ApiState>) -> Result<Response, PageError> {
    if !visitor.is_admin() {
        return Err(PageError::Forbidden("see accounts"));
    }
    page(&state, &visitor, None, &[], &Fields::default()).await
}

async fn hashed(state: &ApiState, password: &str) -> Result<Result<String, String>, PageError> {
    match state.passwords.hash(SecretString::from(password.to_owned())).await {
        Ok(hash) => Ok(Ok(hash)),
        Err(error @ PasswordError::Length) => Ok(Err(error.to_string())),
        Err(error) => Err(ApiError::from(error).into()),
    }
}

/// Creates an account from the form.
pub(in crate::dashboard) async fn create(State(state): State<ApiState>, posted: Posted) -> Result<Response, PageError> {
    let Posted { visitor, fields } = posted.by_admin()?;
    let name = fields.text("account.name").to_owned();
    let mut errors = Vec::new();
    if !is_account_name(&name) {
        errors.push(("account.name", "must be 1 to 100 letters, digits and the signs _ . @ -".to_owned()));
    }
    let role = fields.text("account.role").to_owned();
    let Some(scopes) = scopes_of(&role) else { return Err(PageError::Malformed("The form names no role.")) };
    let hash = match hashed(&state, fields.raw("account.password").unwrap_or_default()).await? {
        Ok(hash) => hash,
        Err(error) => {
            errors.push(("account.password", error));
            String::new()
        }
    };
    if errors.is_empty() {
        let principal = Principal { subject: name.as_str().into(), scopes };
        let account = NewAccount { name: name.clone(), password_hash: hash, principal, created_at: state.now() };
        if state.queue.store().create_account(&account).await? {
            let note = AuditNote { target: Some(name.clone()), ..AuditNote::detail(format!("Role {role}")) };
            return Ok(note.on(Notice::done(format!("The account {name} was made.")).shown_at("/accounts")));
        }
        errors.push(("account.name", "is taken by another account".into()));
    }
    page(&state, &visitor, None, &errors, &fields).await
}

/// Sets role and password of an account.
pub(in crate::dashboard) async fn change(
    State(state): State<ApiState>,
    NamePath(name): NamePath,
    posted: Posted,
) -> Result<Response, PageError> {
    let Posted { visitor, fields } = posted.by_admin()?;
    let missing = || PageError::NotFound(format!("There is no account {}.", format::clip(&name, 100)));
    let store = state.queue.store();
    let account = store.find_account(&name).await?.ok_or_else(missing)?;
    let role = fields.text("role").to_owned();
    let Some(scopes) = scopes_of(&role) else { return Err(PageError::Malformed("The form names no role.")) };
    let mut done = Vec::new();
    if role != role_value(&account.principal) {
        if name == visitor.session.name {
            return Ok(Notice::not_done("You cannot change your own role: another administrator can.").shown_at("/accounts"));
        }
        store.set_scopes(&name, scopes).await?;
        done.push(format!("role {role}"));
    }
    let password = fields.raw("password").unwrap_or_default();
    if !password.is_empty() {
        match hashed(&state, password).await? {
            Ok(hash) => drop(store.set_password(&name, &hash).await?),
            Err(error) => return Ok(Notice::not_done(super::super::error::sentence(&error)).shown_at("/accounts")),
        }
        done.push("new password".to_owned());
    }
    let text = if done.is_empty() { format!("Nothing was changed at {name}.") } else { format!("{name}: {}.", done.join(", ")) };
    Ok(AuditNote::detail(done.join(", ")).on(Notice::done(text).shown_at("/accounts")))
}

/// Deletes an account; one's own stays.
pub(in crate::dashboard) async fn delete(
    State(state): State<ApiState>,
    NamePath(name): NamePath,
    posted: Posted,
) -> Result<Response, PageError> {
    let posted = posted.by_admin()?;
    if name == posted.visitor.session.name {
        return Ok(Notice::not_done("You cannot delete your own account.").shown_at("/accounts"));
    }
    let notice = if state.queue.store().delete_account(&name).await? {
        Notice::done(format!("The account {} was deleted, and its sessions have ended.", format::clip(&name, 100)))
    } else {
        Notice::not_done("There is no such account.")
    };
    Ok(notice.shown_at("/accounts"))
}

/// Makes a token and shows it once.
pub(in crate::dashboard) async fn make_token(State(state): State<ApiState>, posted: Posted) -> Result<Response, PageError> {
    let Posted { visitor, fields } = posted.by_admin()?;
    let subject = fields.text("token.subject").to_owned();
    let mut errors = Vec::new();
    if !(1..=MAX_SUBJECT_CHARS).contains(&subject.chars().count()) || subject.chars().any(char::is_control) {
        errors
            .push(("token.subject", format!("must have 1 to {MAX_SUBJECT_CHARS} characters, none of them a control character")));
    }
    let scopes: Result<ScopeSet, String> = fields.text("token.scopes").split_whitespace().map(str::parse::<Scope>).collect();
    let scopes = match scopes {
        Ok(scopes) if scopes.iter().next().is_some() => scopes,
        Ok(_) => {
            errors.push(("token.scopes", "must name at least one scope, such as tasks:submit".into()));
            ScopeSet::default()
        }
        Err(error) => {
            errors.push(("token.scopes", error));
            ScopeSet::default()
        }
    };
    let days = fields.text("token.days").parse::<u64>().ok().filter(|days| (1..=3_650).contains(days));
    if days.is_none() {
        errors.push(("token.days", "must be a whole number from 1 to 3650".into()));
    }
    let (Some(days), true) = (days, errors.is_empty()) else { return page(&state, &visitor, None, &errors, &fields).await };
    let principal = Principal { subject: subject.as_str().into(), scopes };
    let ttl = Duration::from_hours(24 * days);
    let token = state
        .tokens
        .issue(&principal, ttl, state.now())
        .map_err(|error| PageError::Conflict(super::super::error::sentence(&error.to_string())))?;
    let words = scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ");
    let note =
        AuditNote { target: Some(subject.clone()), ..AuditNote::detail(format!("{words}, for {}", format::count(days, "day"))) };
    Ok(note.on(page(&state, &visitor, Some(NewToken { subject, token }), &[], &fields).await?))
}

/// Revokes a token by its id.
pub(in crate::dashboard) async fn revoke_token(State(state): State<ApiState>, posted: Posted) -> Result<Response, PageError> {
    let posted = posted.by_admin()?;
    let id = format::clip(posted.fields.text("id"), 200);
    if id.is_empty() {
        return Ok(
            Notice::not_done("Nothing was revoked: the id of the token is missing. It is the claim jti.").shown_at("/accounts")
        );
    }
    let forever = state.now() + jiff::SignedDuration::from_hours(24 * 3_650);
    state.queue.revoke_token(&id, forever).await?;
    state.tokens.revoke(id.clone());
    let note = AuditNote { target: Some(id), ..AuditNote::default() };
    Ok(note.on(Notice::done("The token is refused from now on, by every process within seconds.").shown_at("/accounts")))
}
