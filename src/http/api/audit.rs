//! Endpoints that read the audit log.

#![expect(unused_qualifications, reason = "utoipa's macro writes longer paths than it needs to, in our name")]

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use legwork_engine::store::{AuditEntry, AuditFilter};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::error::ApiError;
use super::super::extract::Admin;
use super::super::params::{Params, shortened};
use super::super::state::ApiState;

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(in crate::http) struct AuditView {
    /// The id of the entry.
    id: Uuid,
    /// When it was done.
    at: Timestamp,
    /// Who did it: the subject of a token, or the name of an account.
    #[schema(example = "anna")]
    principal: String,
    /// The action, for example `task.revoke`.
    #[schema(example = "task.retry")]
    action: String,
    /// To what; empty where there is nothing to name.
    #[schema(example = "0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57")]
    target: String,
    /// Details of the action; empty if there are none.
    detail: String,
    /// `done`, `refused` or `failed`.
    #[schema(example = "done")]
    outcome: String,
    /// The interface that was used: `api` or `dashboard`.
    #[schema(example = "api")]
    source: String,
    /// The address of the caller.
    #[schema(example = "192.0.2.17")]
    address: String,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, principal, action, target, detail, outcome, source, address } = entry;
        Self { id, at, principal, action, target, detail, outcome, source, address }
    }
}

/// Which entries, and which page of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the query is parsed by name, so that all faults are told at once; the struct describes it")]
pub(in crate::http) struct AuditQuery {
    /// Done by this principal.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\x00]+$")]
    principal: Option<String>,
    /// This action, as in `task.retry`.
    #[param(min_length = 1, max_length = 100, pattern = "^[^\\x00]+$", example = "task.retry")]
    action: Option<String>,
    /// With this text in target or detail, in any case.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\x00]+$")]
    q: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<String>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct AuditList {
    /// The entries, newest first.
    items: Vec<AuditView>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The audit log
///
/// Who changed tasks, queues, workers, lists and accounts, over the API and from the dashboard. Entries are kept for 400 days.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "listAuditEntries",
    security(("bearer" = ["admin"])), params(AuditQuery),
    responses((status = 200, description = "A page.", body = AuditList)))]
pub(in crate::http) async fn list(
    _principal: Admin,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<AuditList>, ApiError> {
    let mut params = Params::of(query.as_deref());
    let (principal, action, text) = (params.text("principal", 200), params.text("action", 100), params.text("q", 200));
    let limit = params.number("limit", 1..=500).unwrap_or(50_u32);
    let before = params.one("cursor", |text| {
        Uuid::parse_str(text)
            .map_err(|_| format!("{:?} is not a cursor; take it from next_cursor of the page before", shortened(text)))
    });
    params.finish()?;
    let mut entries = state.queue.store().audit(&AuditFilter { principal, action, text, before }, limit + 1).await?;
    let has_more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next_cursor = entries.last().filter(|_| has_more).map(|last| last.id.to_string());
    Ok(Json(AuditList { items: entries.into_iter().map(AuditView::from).collect(), next_cursor }))
}
