//! Who did what, here and over the API.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::super::access::{Fields, Visitor};
use super::super::error::PageError;
use super::super::view::{Item, Moment, Pager, Tone, path_segment, with_query};
use super::super::{format, shell};
use crate::http::{ApiState, audit_actions};
use legwork_engine::store::{AuditEntry, AuditFilter};

/// Entries of a page.
const PAGE_SIZE: u32 = 50;
/// People that the filter offers at most.
const PEOPLE: u32 = 200;

#[derive(Serialize)]
struct Row {
    id: String,
    at: Moment,
    who: String,
    initial: String,
    action: &'static str,
    target: String,
    detail: Option<String>,
    url: Option<String>,
    tone: Tone,
    outcome: String,
    address: String,
}

/// An action in words.
fn words(action: &str) -> &'static str {
    match action {
        "task.retry" => "Retried",
        "task.revoke" => "Revoked",
        "task.change" => "Changed",
        "task.submit" => "Submitted",
        "task.bulk" => "Did in bulk",
        "queue.change" => "Changed the limits",
        "queue.pause" => "Paused",
        "queue.resume" => "Resumed",
        "queue.purge" => "Purged",
        "worker.drain" => "Drained",
        "worker.shutdown" => "Shut down",
        "suppression.add" => "Suppressed",
        "suppression.remove" => "Lifted a suppression",
        "account.set" => "Set an account",
        "account.change" => "Changed an account",
        "account.delete" => "Deleted an account",
        "account.first" => "Made the first account",
        "token.make" => "Made a token",
        "token.revoke" => "Revoked a token",
        "file.remove" => "Removed a file",
        "sign_in" => "Signed in",
        "sign_out" => "Signed out",
        _ => "Did something else",
    }
}

fn target(entry: &AuditEntry) -> (String, Option<String>) {
    let subject = entry.action.split('.').next().unwrap_or_default();
    match subject {
        "task" if Uuid::parse_str(&entry.target).is_ok() => {
            (format!("Task {}", format::clip(&entry.target, 8)), Some(format!("/tasks/{}", entry.target)))
        }
        "queue" => (format!("Queue {}", entry.target), Some(format!("/queues/{}", path_segment(&entry.target)))),
        "worker" => (format!("Worker {}", entry.target), Some("/workers".into())),
        _ => (entry.target.clone(), None),
    }
}

fn row(entry: AuditEntry, now: Timestamp) -> Row {
    let (target, url) = target(&entry);
    Row {
        id: entry.id.to_string(),
        at: Moment::new(entry.at, now),
        initial: entry.principal.chars().take(1).collect(),
        who: entry.principal,
        action: words(&entry.action),
        target,
        detail: Some(entry.detail).filter(|detail| !detail.is_empty()),
        url,
        tone: if entry.outcome == "done" { Tone::Ok } else { Tone::Bad },
        outcome: format::sentence(&entry.outcome),
        address: if entry.source == "api" { format!("{}, API", entry.address) } else { entry.address },
    }
}

/// The log, newest first.
pub(in crate::dashboard) async fn list(
    visitor: Visitor,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    if !visitor.is_admin() {
        return Err(PageError::Forbidden("read the audit log"));
    }
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let clean = |name: &str| format::clip(fields.text(name), 200).replace('\0', "");
    let (text, who, action) = (clean("text"), clean("who"), clean("action"));
    let before = Uuid::parse_str(fields.text("after")).ok();
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let filter = AuditFilter { principal: some(&who), action: some(&action), text: some(&text), before };
    let store = state.queue.store();
    let (mut entries, accounts) = tokio::try_join!(store.audit(&filter, PAGE_SIZE + 1), store.accounts(PEOPLE))?;
    let has_more = entries.len() > PAGE_SIZE as usize;
    entries.truncate(PAGE_SIZE as usize);
    let url = |after: &str| {
        with_query("/audit", [("text", text.as_str()), ("who", who.as_str()), ("action", action.as_str()), ("after", after)])
    };
    let first_url = before.map(|_| url(""));
    let page = Pager {
        older_url: entries.last().filter(|_| has_more).map(|last| url(&last.id.to_string())),
        newer_url: first_url.clone(),
        pinned: first_url.is_some(),
        first_url,
        note: String::new(),
    };
    let mut people: Vec<String> = accounts.into_iter().map(|account| account.name).collect();
    if !who.is_empty() && !people.contains(&who) {
        people.push(who.clone());
    }
    let active = filter != AuditFilter { before, ..AuditFilter::default() };
    let actions: Vec<_> = audit_actions().into_iter().map(|action| Item::new(action, words(action))).collect();
    let now = state.now();
    let entries: Vec<_> = entries.into_iter().map(|entry| row(entry, now)).collect();
    let filter = view! { text, who, action, active, people, actions };
    Ok(shell::page(&state, &visitor, "audit", view! { filter, entries, page }))
}
