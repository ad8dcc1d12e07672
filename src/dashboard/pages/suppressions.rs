//! Addresses and numbers that get nothing in bulk.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;

use super::super::access::{Fields, Posted, Visitor};
use super::super::error::PageError;
use super::super::form::Notice;
use super::super::view::{Moment, Pager, with_query};
use super::super::{format, shell};
use crate::http::{ApiState, AuditNote, address_of};
use legwork_engine::store::{Suppression, SuppressionFilter, SuppressionReason};

/// Rows of a page.
const PAGE_SIZE: u32 = 100;
/// The longest note, in characters.
const MAX_NOTE: usize = 500;

#[derive(Serialize)]
struct Row {
    address: String,
    reason: String,
    by: String,
    since: Moment,
}

fn words(reason: SuppressionReason, detail: Option<&str>) -> String {
    let reason = match reason {
        SuppressionReason::Manual => "Added by hand",
        SuppressionReason::Unsubscribed => "Unsubscribed",
        SuppressionReason::Bounced => "The address does not exist",
        SuppressionReason::Complained => "Complained",
    };
    detail.map_or_else(|| reason.to_owned(), |detail| format!("{reason}: {detail}"))
}

/// The list, by address.
pub(in crate::dashboard) async fn list(
    visitor: Visitor,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    if !visitor.is_operator() {
        return Err(PageError::Forbidden("see addresses of people"));
    }
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let clean =
        |name: &str| Some(format::clip(fields.text(name), 200).replace('\0', "").to_lowercase()).filter(|text| !text.is_empty());
    let (text, after) = (clean("text"), clean("after"));
    let filter = SuppressionFilter { after: after.clone(), text: text.clone(), reason: None };
    let mut rows = state.queue.list_suppressions(&filter, PAGE_SIZE + 1).await?;
    let has_more = rows.len() > PAGE_SIZE as usize;
    rows.truncate(PAGE_SIZE as usize);
    let now = state.now();
    let text = text.unwrap_or_default();
    let older_url = rows
        .last()
        .filter(|_| has_more)
        .map(|last| with_query("/suppressions", [("text", text.as_str()), ("after", last.address.as_str())]));
    let first_url = after.map(|_| with_query("/suppressions", [("text", text.as_str())]));
    let note = format::count(rows.len() as u64, "address").replace("addresss", "addresses");
    let pager = Pager { older_url, newer_url: first_url.clone(), first_url, note, pinned: false };
    let rows = rows.into_iter().map(|row| Row {
        reason: words(row.reason, row.detail.as_deref()),
        by: row.principal.unwrap_or_else(|| {
            if row.reason == SuppressionReason::Unsubscribed { "the recipient".into() } else { "Legwork".into() }
        }),
        since: Moment::new(row.created_at, now),
        address: row.address,
    });
    let view = view! { filter => view! { text }, add => view! { address => "", reason => "" }, suppressions => rows.collect::<Vec<_>>(), page => pager };
    Ok(shell::page(&state, &visitor, "suppressions", view))
}

/// Puts an address on the list.
pub(in crate::dashboard) async fn add(State(state): State<ApiState>, posted: Posted) -> Result<Response, PageError> {
    let Posted { visitor, fields } = posted.by_operator()?;
    let given = fields.text("address");
    let Ok(address) = address_of(given) else {
        let text = format!(
            "\"{}\" is no e-mail address and no phone number such as +233201234567. Nothing was added.",
            format::clip(given, 80)
        );
        return Ok(Notice::not_done(text).shown_at("/suppressions"));
    };
    let note = format::clip(fields.text("reason"), MAX_NOTE).replace('\0', "");
    let row = Suppression {
        address,
        reason: SuppressionReason::Manual,
        detail: Some(note).filter(|note| !note.is_empty()),
        principal: Some(visitor.principal.subject.to_string()),
        task: None,
        created_at: state.now(),
    };
    let notice = if state.queue.suppress(std::slice::from_ref(&row)).await? > 0 {
        Notice::done(format!("{} gets nothing in bulk any more.", row.address))
    } else {
        Notice::done(format!("{} was on the list already.", row.address))
    };
    let note = AuditNote { target: Some(row.address), ..AuditNote::default() };
    Ok(note.on(notice.shown_at("/suppressions")))
}

/// Takes an address off the list.
pub(in crate::dashboard) async fn remove(State(state): State<ApiState>, posted: Posted) -> Result<Response, PageError> {
    let posted = posted.by_operator()?;
    let address = posted.fields.text("address").to_lowercase();
    if !state.queue.unsuppress(&address).await? {
        return Ok(Notice::not_done("That address is not on the list.").shown_at("/suppressions"));
    }
    let notice = Notice::done(format!("{} gets bulk messages again.", format::clip(&address, 120)));
    let note = AuditNote { target: Some(address), ..AuditNote::default() };
    Ok(note.on(notice.shown_at("/suppressions")))
}
