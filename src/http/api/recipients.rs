//! Recipients of a task, as pages or as one CSV file.

#![expect(unused_qualifications, reason = "utoipa's macro writes longer paths than it needs to, in our name")]

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::super::error::ApiError;
use super::super::extract::{Reader, TaskPath};
use super::super::openapi;
use super::super::params::{Params, shortened};
use super::super::state::ApiState;
use legwork_engine::domain::{Principal, TaskId};
use legwork_engine::queue::QueueError;
use legwork_engine::queue::recipients::RecipientView;
use legwork_engine::store::{RecipientCounts, RecipientFilter, RecipientState};

/// Rows of a CSV file that are read at once.
const CSV_PAGE: u32 = 1_000;
const CSV_HEAD: &str = "part,recipient,outcome,response,message_id,reference,attempts,next_at,updated_at\r\n";

/// Which recipients, and which page of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the query is parsed by name, so that all errors are told at once; the struct describes it")]
pub(in crate::http) struct RecipientsQuery {
    /// With one of these outcomes: repeated, or with commas.
    #[param(inline, style = Form, explode = true)]
    outcome: Option<Vec<RecipientState>>,
    /// `json` for a page, `csv` for one file with all. Without it, the `Accept` header decides.
    #[param(pattern = "^(json|csv)$", example = "json")]
    format: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// Where the page starts: `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,9}$")]
    cursor: Option<String>,
}

/// A page of recipients.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RecipientList {
    /// The recipients, in the order of the submission.
    items: Vec<RecipientView>,
    /// Where the next page starts; null on the last.
    next_cursor: Option<String>,
    /// How many there are in each state, whatever was asked for.
    counts: RecipientCounts,
}

/// The recipients of a task
///
/// What became of each recipient of a task that reaches many (`email.bulk`), also while it runs. A task of another kind has none. With
/// `format=csv`, or `Accept: text/csv`, all of them in one file; cells that a spreadsheet would take for a formula start with an apostrophe.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}/recipients", tag = "tasks", operation_id = "listTaskRecipients",
    security(("bearer" = ["tasks:read"])), params(openapi::TaskParam, RecipientsQuery),
    responses((status = 200, description = "The recipients.", content((RecipientList = "application/json"), (String = "text/csv")))))]
pub(in crate::http) async fn recipients(
    Reader(principal): Reader,
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let mut params = Params::of(query.as_deref());
    let states = params.many("outcome", str::parse::<RecipientState>);
    let format = params.one("format", |text| match text {
        "json" => Ok(false),
        "csv" => Ok(true),
        other => Err(format!("{:?} is neither json nor csv", shortened(other))),
    });
    let limit = params.number("limit", 1..=1_000).unwrap_or(100_u32);
    let after = params.one("cursor", |text| {
        let place = text.parse::<i32>().ok().filter(|place| *place >= 0 && text.len() < 10);
        place.ok_or_else(|| format!("{:?} is not a cursor; take it from next_cursor of the page before", shortened(text)))
    });
    params.finish()?;
    let filter = RecipientFilter { states, after };
    if format.unwrap_or_else(|| wants_csv(&headers)) {
        return csv(state, id, filter, principal).await;
    }
    // One more tells whether there is another page.
    let found = state.queue.recipients(id, &filter, limit + 1, &principal).await?;
    let mut items = found.ok_or_else(ApiError::no_task)?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| has_more).map(|last| last.part.to_string());
    let counts = state.queue.count_recipients(id).await?;
    Ok(Json(RecipientList { items, next_cursor, counts }).into_response())
}

fn wants_csv(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut media = accepted.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    media.next().is_some_and(|first| first.eq_ignore_ascii_case("text/csv"))
}

/// All of them, page after page, as they are read. A page that cannot be read ends the answer in the middle.
async fn csv(state: ApiState, id: TaskId, filter: RecipientFilter, principal: Principal) -> Result<Response, ApiError> {
    let first = state.queue.recipients(id, &filter, CSV_PAGE, &principal).await?.ok_or_else(ApiError::no_task)?;
    let pages = stream::unfold((state, Some((first, filter)), principal), move |(state, page, principal)| async move {
        let (rows, filter) = page?;
        let text: String = rows.iter().map(csv_line).collect();
        Some(match behind(&state, id, &rows, filter, &principal).await {
            Ok(next) => (Ok(text), (state, next, principal)),
            Err(error) => {
                tracing::error!(task.id = %id, %error, "recipients could not be read");
                (Err(std::io::Error::other("the database is not available")), (state, None, principal))
            }
        })
    });
    let head = stream::once(async { Ok(CSV_HEAD.to_owned()) });
    let name = format!("attachment; filename=\"recipients-{id}.csv\"");
    let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(futures_util::StreamExt::chain(head, pages))).into_response())
}

/// The page behind these rows; `None` at the end.
async fn behind(
    state: &ApiState,
    id: TaskId,
    rows: &[RecipientView],
    filter: RecipientFilter,
    principal: &Principal,
) -> Result<Option<(Vec<RecipientView>, RecipientFilter)>, QueueError> {
    let Some(last) = rows.last().filter(|_| rows.len() == CSV_PAGE as usize) else { return Ok(None) };
    let filter = RecipientFilter { after: Some(last.part), ..filter };
    let rows = state.queue.recipients(id, &filter, CSV_PAGE, principal).await?;
    Ok(rows.map(|rows| (rows, filter)))
}

fn csv_line(row: &RecipientView) -> String {
    let next_at = row.next_at.map(|at| at.to_string()).unwrap_or_default();
    let cells = [
        row.part.to_string(),
        csv_cell(&row.recipient),
        row.outcome.as_str().to_owned(),
        csv_cell(row.response.as_deref().unwrap_or_default()),
        csv_cell(&row.message_id),
        csv_cell(row.reference.as_deref().unwrap_or_default()),
        row.attempts.to_string(),
        next_at,
        row.updated_at.to_string(),
    ];
    cells.join(",") + "\r\n"
}

/// A text by RFC 4180, which no spreadsheet takes for a formula.
fn csv_cell(text: &str) -> String {
    let guarded = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if guarded.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formula() {
        for (text, cell) in [
            ("a@example.org", "a@example.org"),
            ("Ann, \"A\" <a@example.org>", "\"Ann, \"\"A\"\" <a@example.org>\""),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1,2", "\"'+1,2\""),
            ("", ""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
