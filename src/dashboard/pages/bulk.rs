//! Retries or revokes all tasks that match the filters of the list: first a count of what it would do, then the act.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;

use super::super::access::{Fields, Posted, Visitor};
use super::super::error::PageError;
use super::super::form::Notice;
use super::super::view::{Item, percent_of};
use super::super::{format, shell};
use super::tasks::ListQuery;
use crate::http::{ApiState, AuditNote};
use legwork_engine::domain::{PageRequest, Principal, TaskFilter, TaskId, TaskStatus};
use legwork_engine::queue::QueueError;

/// The count stops here, and says so.
const MOST_COUNTED: usize = 20_000;
/// Tasks that are read at a time.
const READ_AT_ONCE: u16 = 500;
/// Kinds that the count names.
const KINDS_SHOWN: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Retry,
    Revoke,
}

impl Action {
    fn of(word: &str) -> Result<Self, PageError> {
        match word {
            "retry" => Ok(Self::Retry),
            "revoke" => Ok(Self::Revoke),
            _ => Err(PageError::NotFound("There is no such action.".into())),
        }
    }

    fn word(self) -> &'static str {
        if self == Self::Retry { "retry" } else { "revoke" }
    }

    /// The states that it applies to, of those that are asked for.
    fn statuses(self, asked: &[TaskStatus]) -> Vec<TaskStatus> {
        let possible: &[TaskStatus] = match self {
            Self::Retry => &[TaskStatus::Failure, TaskStatus::Revoked],
            Self::Revoke => &[TaskStatus::Pending, TaskStatus::Retry, TaskStatus::Started],
        };
        possible.iter().copied().filter(|status| asked.is_empty() || asked.contains(status)).collect()
    }
}

#[derive(Serialize)]
struct KindCount {
    kind: String,
    count: u64,
    percent: f64,
}

/// What matches, read page by page: at most so many, and whether there are more.
async fn matching(
    state: &ApiState,
    filter: &TaskFilter,
    principal: &Principal,
) -> Result<(Vec<(TaskId, String)>, bool), QueueError> {
    let mut found = Vec::new();
    let mut after = None;
    if filter.statuses.is_empty() {
        return Ok((found, false));
    }
    loop {
        let page = state.queue.list(filter.clone(), &PageRequest { after, limit: READ_AT_ONCE }, principal).await?;
        // A task that was retried before cannot be retried again; its retry can.
        let fresh = page.items.into_iter().filter(|task| task.retried_as.is_none());
        found.extend(fresh.map(|task| (task.task_id, task.kind.to_string())));
        after = page.next;
        if after.is_none() || found.len() >= MOST_COUNTED {
            return Ok((found, after.is_some()));
        }
    }
}

/// Counts what would be done, and asks.
pub(in crate::dashboard) async fn show(
    visitor: Visitor,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    if !visitor.is_operator() {
        return Err(PageError::Forbidden("retry and revoke tasks"));
    }
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let action = Action::of(fields.text("action"))?;
    let query = ListQuery::of(&fields);
    let filter = TaskFilter { statuses: action.statuses(query.statuses()), ..query.filter(state.now()) };
    let (found, has_more) = matching(&state, &filter, &visitor.principal).await?;
    let count = found.len() as u64;
    let mut by_kind: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, kind) in &found {
        *by_kind.entry(kind).or_default() += 1;
    }
    let mut kinds: Vec<_> = by_kind
        .into_iter()
        .map(|(kind, of_kind)| KindCount { kind: kind.into(), count: of_kind, percent: percent_of(of_kind, count) })
        .collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    kinds.truncate(KINDS_SHOWN);
    let tasks = if has_more { format!("{} tasks", format::number(count)) } else { format::count(count, "task") };
    let (title, text, verb, tone) = match action {
        Action::Retry => (
            "Retry all that match",
            "Each becomes a new task with the same args, due now. The old ones stay as they are and name their retry.",
            format!("Retry {tasks}"),
            "primary",
        ),
        Action::Revoke => (
            "Revoke all that match",
            "Those that wait become REVOKED at once; those that run are asked to stop. This cannot be undone; each can be retried by hand.",
            format!("Revoke {tasks}"),
            "bad",
        ),
    };
    let states = filter.statuses.iter().map(|status| format::sentence(&status.to_string())).collect::<Vec<_>>().join(", ");
    let words = query.words().into_iter().filter(|item| item.label != "State").chain([Item::new(states, "State")]);
    let mut hidden: Vec<_> = query.pairs().into_iter().map(|(name, value)| view! { name, value }).collect();
    hidden.push(view! { name => "action", value => action.word() });
    let view = view! {
        title, text, verb, tone, count,
        count_is_floor => has_more,
        back_url => query.url(),
        filters => words.collect::<Vec<_>>(),
        by_kind => kinds,
        action => "/tasks/bulk",
        hidden,
    };
    Ok(shell::page(&state, &visitor, "tasks_bulk", view))
}

/// Does it, beside the answer: thousands of tasks take a while.
pub(in crate::dashboard) async fn run(State(state): State<ApiState>, posted: Posted) -> Result<Response, PageError> {
    let Posted { visitor, fields } = posted.by_operator()?;
    let action = Action::of(fields.text("action"))?;
    let query = ListQuery::of(&fields);
    let filter = TaskFilter { statuses: action.statuses(query.statuses()), ..query.filter(state.now()) };
    let (found, _) = matching(&state, &filter, &visitor.principal).await?;
    let count = found.len() as u64;
    let back = query.url();
    let principal = visitor.principal.clone();
    let (queue, shutdown) = (state.queue.clone(), state.shutdown.clone());
    state.shutdown.spawn(async move {
        let mut done = 0_u64;
        for (id, _) in found {
            if shutdown.is_started() {
                break;
            }
            let is_done = match action {
                Action::Retry => queue.retry(id, &principal).await.is_ok(),
                Action::Revoke => queue.revoke(id, false, &principal).await.is_ok(),
            };
            done += u64::from(is_done);
        }
        tracing::info!(action = action.word(), tasks = done, by = &*principal.subject, "a bulk action of the dashboard is done");
    });
    let what = format::count(count, "task");
    let text = if action == Action::Retry { format!("{what} are being retried.") } else { format!("{what} are being revoked.") };
    let words = query.words().into_iter().map(|item| format!("{} {}", item.label, item.value)).collect::<Vec<_>>().join(", ");
    let note = AuditNote { target: Some(what), ..AuditNote::detail(format!("{} of {words}", action.word())) };
    Ok(note.on(Notice::done(text).shown_at(&back)))
}
