//! Addresses that get nothing in bulk, and the links by which their owners put them there.
//!
//! The list holds addresses of people, and taking one off mails somebody who asked not to be mailed; so all of it takes `tasks:control`.
//! The links need no token: whoever has one got it by mail.

#![expect(unused_qualifications, reason = "utoipa's macro writes longer paths than it needs to, in our name")]

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::error::ApiError;
use super::super::extract::{Controller, JsonOf, NamePath};
use super::super::openapi;
use super::super::params::{Params, shortened};
use super::super::state::ApiState;
use crate::files::LinkError;
use legwork_engine::domain::FieldError;
use legwork_engine::queue::recipients::SuppressionView;
use legwork_engine::store::{Suppression, SuppressionFilter, SuppressionReason};
use legwork_mail::Recipient;

/// Addresses in one request at most.
const MOST_ADDRESSES: usize = 1_000;
/// The longest address (RFC 5321, and a display name's worth), in characters.
const LONGEST_ADDRESS: usize = 320;
/// The longest token of a link to unsubscribe: an address, a task and a signature in base64.
const LONGEST_TOKEN: usize = 1000;
/// The longest note, in characters.
const LONGEST_DETAIL: usize = 500;
/// The page may send its form to us, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Which suppressions, and which page of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the query is parsed by name, so that all errors are told at once; the struct describes it")]
pub(in crate::http) struct SuppressionsQuery {
    /// With this text in the address.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\x00]+$")]
    q: Option<String>,
    /// Only suppressions with this reason.
    #[param(inline)]
    reason: Option<SuppressionReason>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// Where the page starts: `next_cursor` of the page before.
    #[param(min_length = 2, max_length = 400, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// A page of suppressions.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct SuppressionList {
    /// The suppressions, by address.
    items: Vec<SuppressionView>,
    /// Where the next page starts; null on the last.
    next_cursor: Option<String>,
}

/// The suppression list
///
/// Addresses that get no bulk mail: put there by hand, by their owner, or because the mail server said that they do not exist. It is looked at right
/// before each hand-over. Single mails (`email.send`) do not look at it.
#[utoipa::path(get, path = "/api/v1/suppressions", tag = "suppressions", operation_id = "listSuppressions",
    security(("bearer" = ["tasks:control"])), params(SuppressionsQuery),
    responses((status = 200, description = "The list.", body = SuppressionList)))]
pub(in crate::http) async fn list(
    _principal: Controller,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<SuppressionList>, ApiError> {
    let mut params = Params::of(query.as_deref());
    let text = params.text("q", 200).map(|text| text.to_lowercase());
    let reason = params.one("reason", str::parse::<SuppressionReason>);
    let limit = params.number("limit", 1..=1_000).unwrap_or(100_u32);
    let after = params.one("cursor", |text| {
        let address = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let address = address.filter(|address| !address.contains('\0'));
        address.ok_or_else(|| format!("{:?} is not a cursor; take it from next_cursor of the page before", shortened(text)))
    });
    params.finish()?;
    let mut items = state.queue.list_suppressions(&SuppressionFilter { after, text, reason }, limit + 1).await?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| has_more).map(|last| URL_SAFE_NO_PAD.encode(&last.address));
    Ok(Json(SuppressionList { items, next_cursor }))
}

/// Addresses to be suppressed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewSuppressions {
    /// E-mail addresses, or telephone numbers as in `+233201234567`; 1 to 1,000.
    #[schema(min_items = 1, max_items = 1000, example = json!(["user1@example.com"]))]
    addresses: Vec<String>,
    /// The reason of the suppressions. Default: `manual`.
    #[schema(example = "manual")]
    reason: Option<SuppressionReason>,
    /// A note of at most 500 characters.
    #[schema(max_length = 500, pattern = "^[^\\x00]*$", example = "asked by telephone")]
    detail: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Suppressed {
    /// How many addresses are new on the list.
    added: u64,
}

/// Suppress addresses
///
/// They get no bulk mail from now on, also from tasks that run already. An address that is on the list stays as it is.
#[utoipa::path(post, path = "/api/v1/suppressions", tag = "suppressions", operation_id = "createSuppressions",
    security(("bearer" = ["tasks:control"])), request_body = NewSuppressions,
    responses((status = 200, description = "How many are new.", body = Suppressed)))]
pub(in crate::http) async fn add(
    Controller(principal): Controller,
    State(state): State<ApiState>,
    JsonOf(new): JsonOf<NewSuppressions>,
) -> Result<Json<Suppressed>, ApiError> {
    if !(1..=MOST_ADDRESSES).contains(&new.addresses.len()) {
        return Err(ApiError::field(
            "/addresses",
            format!("has {} items; 1 to {MOST_ADDRESSES} are allowed", new.addresses.len()),
        ));
    }
    if new.detail.as_ref().is_some_and(|text| text.chars().count() > LONGEST_DETAIL || text.contains('\0')) {
        return Err(ApiError::field("/detail", format!("is not a text of at most {LONGEST_DETAIL} characters, without NUL")));
    }
    let (mut rows, mut errors) = (Vec::with_capacity(new.addresses.len()), Vec::new());
    for (index, address) in new.addresses.iter().enumerate() {
        match address_of(address) {
            Ok(address) => rows.push(Suppression {
                address,
                reason: new.reason.unwrap_or(SuppressionReason::Manual),
                detail: new.detail.clone(),
                principal: Some(principal.subject.to_string()),
                task: None,
                created_at: state.now(),
            }),
            Err(wrong) => errors.push(FieldError::new(format!("/addresses/{index}"), wrong)),
        }
    }
    if !errors.is_empty() {
        return Err(ApiError::Invalid(errors));
    }
    Ok(Json(Suppressed { added: state.queue.suppress(&rows).await? }))
}

/// Lift a suppression
///
/// The address gets bulk mail again.
#[utoipa::path(delete, path = "/api/v1/suppressions/{address}", tag = "suppressions", operation_id = "deleteSuppression",
    security(("bearer" = ["tasks:control"])), params(openapi::AddressParam),
    responses((status = 204, description = "It is off the list.")))]
pub(in crate::http) async fn remove(
    _principal: Controller,
    State(state): State<ApiState>,
    NamePath(address): NamePath<LONGEST_ADDRESS>,
) -> Result<StatusCode, ApiError> {
    let address = address_of(&address).unwrap_or_else(|_| address.to_lowercase());
    if state.queue.unsuppress(&address).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::NotFound("the address is not on the suppression list".into()))
}

/// Ask to unsubscribe
///
/// The page behind the link in a bulk mail. It asks, and does nothing by itself: programs that look at links unsubscribe nobody.
#[utoipa::path(get, path = "/api/v1/unsubscribe/{token}", tag = "suppressions", operation_id = "getUnsubscribePage",
    security(()), params(openapi::UnsubscribeParam),
    responses((status = 200, description = "A page with a button.", body = String, content_type = "text/html"),
        (status = 403, response = openapi::LinkForged)))]
pub(in crate::http) async fn ask(
    State(state): State<ApiState>,
    NamePath(token): NamePath<LONGEST_TOKEN>,
) -> Result<Response, ApiError> {
    let address = state.services.bulk.unsubscription(&token).ok_or_else(forged)?.address;
    let text = format!(
        "<p>No more bulk mail to <strong>{}</strong>?</p>\n<form method=\"post\"><button type=\"submit\">Unsubscribe</button></form>",
        escaped(&address)
    );
    Ok(page("Unsubscribe", &text))
}

/// Unsubscribe
///
/// What the button does, and the mail program of somebody who unsubscribes with one click (RFC 8058). The body is not looked at.
#[utoipa::path(post, path = "/api/v1/unsubscribe/{token}", tag = "suppressions", operation_id = "createUnsubscription",
    security(()), params(openapi::UnsubscribeParam),
    responses((status = 200, description = "The address gets no bulk mail any more.", body = String, content_type = "text/html"),
        (status = 403, response = openapi::LinkForged)))]
pub(in crate::http) async fn unsubscribe(
    State(state): State<ApiState>,
    NamePath(token): NamePath<LONGEST_TOKEN>,
) -> Result<Response, ApiError> {
    let link = state.services.bulk.unsubscription(&token).ok_or_else(forged)?;
    let suppression = Suppression {
        address: link.address,
        reason: SuppressionReason::Unsubscribed,
        detail: None,
        principal: None,
        task: Some(link.task),
        created_at: state.now(),
    };
    state.queue.suppress(&[suppression]).await?;
    Ok(page("Unsubscribed", "<p>You get no more bulk mail.</p>"))
}

/// An address as the list keeps it: that of a mail, or a telephone number in E.164 form.
pub(crate) fn address_of(text: &str) -> Result<String, String> {
    let number = text.trim();
    let digits = number.strip_prefix('+').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    if digits.is_some_and(|digits| (7..=15).contains(&digits.len())) {
        return Ok(number.to_owned());
    }
    Recipient::parse(text).map(|recipient| recipient.address().to_lowercase())
}

fn forged() -> ApiError {
    ApiError::Link(LinkError::Forged)
}

fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    );
    ([(CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(html)).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
