//! Tasks: status, detail, list, change, revoke, retry, and the kinds.

#![expect(unused_qualifications, reason = "utoipa's macro writes longer paths than it needs to, in our name")]

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::error::ApiError;
use super::super::extract::{Controller, JsonOf, Reader, TaskPath};
use super::super::openapi;
use super::super::params::{Params, shortened};
use super::super::state::ApiState;
use super::LONGEST_WAIT;
use super::kinds::KindView;
use super::submit::status_url;
use legwork_engine::domain::{Cursor, KindName, PageRequest, Principal, QueueName, TaskFilter, TaskId, TaskStatus};
use legwork_engine::queue::control::Revoked;
use legwork_engine::queue::options::{TaskOptions, whole_number};
use legwork_engine::queue::view::{StatusView, TaskView};
use legwork_engine::store::TaskChange;

/// How a task stands
///
/// With `wait`, answers as soon as the task has ended, or after so many seconds, whichever comes first. An id that is unknown is 404, never
/// PENDING; `waiting_for` says what a waiting task waits for.
#[utoipa::path(get, path = "/api/v1/tasks/status/{task_id}", tag = "tasks", operation_id = "getTaskStatus",
    security(("bearer" = ["tasks:read"])),
    params(openapi::TaskParam,
        ("wait" = Option<f64>, Query, description = "Seconds to wait for the end.", minimum = 0, maximum = 50, example = 30)),
    responses((status = 200, description = "How it stands.", body = StatusView)))]
pub(in crate::http) async fn status(
    Reader(principal): Reader,
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
    RawQuery(query): RawQuery,
) -> Result<Json<StatusView>, ApiError> {
    let mut params = Params::of(query.as_deref());
    let wait = params.number("wait", 0.0..=LONGEST_WAIT.as_secs_f64());
    params.finish()?;
    let found = match wait.map(Duration::from_secs_f64) {
        Some(wait) if !wait.is_zero() => state.queue.wait(id, wait, &principal).await?,
        _ => state.queue.status(id, &principal).await?,
    };
    found.map(Json).ok_or_else(ApiError::no_task)
}

/// A task in full
///
/// Its status, its args, its limits and every attempt with its error.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}", tag = "tasks", operation_id = "getTask",
    security(("bearer" = ["tasks:read"])), params(openapi::TaskParam),
    responses((status = 200, description = "The task.", body = TaskView)))]
pub(in crate::http) async fn detail(
    Reader(principal): Reader,
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
) -> Result<Json<TaskView>, ApiError> {
    state.queue.detail(id, &principal).await?.map(Json).ok_or_else(ApiError::no_task)
}

/// Which tasks, and which page of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the query is parsed by name, so that all errors are told at once; the struct describes it")]
pub(in crate::http) struct ListQuery {
    /// In one of these states: repeated, or with commas.
    #[param(inline, style = Form, explode = true)]
    status: Option<Vec<TaskStatus>>,
    /// Of this kind.
    #[param(pattern = "^[a-z0-9][a-z0-9_.-]{0,99}$", example = "email.send")]
    kind: Option<String>,
    /// In this queue.
    #[param(pattern = "^[a-z0-9][a-z0-9_.-]{0,99}$", example = "default")]
    queue: Option<String>,
    /// Run by the worker of this name.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\x00]+$")]
    worker: Option<String>,
    /// Submitted at or after this time (RFC 3339, with an offset).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00Z")]
    from: Option<Timestamp>,
    /// Submitted before this time (RFC 3339, with an offset).
    #[param(value_type = Option<String>, format = DateTime, example = "2030-01-01T00:00:00Z")]
    to: Option<Timestamp>,
    /// With this text in kind, args or error, in any case.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\x00]+$")]
    q: Option<String>,
    /// Only one's own; a principal without the scope `admin` sees no others anyway.
    mine: Option<bool>,
    /// At most so many.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u16>,
    /// Where the page starts: `next_cursor` of the page before.
    #[param(min_length = 22, max_length = 22, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<String>,
}

impl ListQuery {
    fn parse(query: Option<&str>, principal: &Principal) -> Result<(TaskFilter, PageRequest), ApiError> {
        let mut params = Params::of(query);
        let filter = TaskFilter {
            statuses: params.many("status", str::parse::<TaskStatus>),
            kind: params.one("kind", KindName::parse),
            queue: params.one("queue", QueueName::parse),
            worker: params.text("worker", 200),
            submitted_from: params.time("from"),
            submitted_to: params.time("to"),
            text: params.text("q", 200),
            principal: params.switch("mine").filter(|mine| *mine).map(|_| principal.subject.clone()),
        };
        if filter.submitted_from.zip(filter.submitted_to).is_some_and(|(from, to)| from > to) {
            params.field_error("from", "is later than to");
        }
        let limit = params.number("limit", 1..=500);
        let after = params.one("cursor", |text| {
            text.parse::<Cursor>()
                .map_err(|_| format!("{:?} is not a cursor; take it from next_cursor of the page before", shortened(text)))
        });
        params.finish()?;
        Ok((filter, PageRequest { after, limit: limit.unwrap_or(50) }))
    }
}

/// A page of tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct TaskList {
    /// The tasks, newest first.
    items: Vec<StatusView>,
    /// Where the next page starts; null on the last.
    next_cursor: Option<String>,
}

/// Waiting, running and ended tasks
///
/// Newest first, in pages. A principal without the scope `admin` sees its own.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", operation_id = "listTasks",
    security(("bearer" = ["tasks:read"])), params(ListQuery),
    responses((status = 200, description = "A page.", body = TaskList)))]
pub(in crate::http) async fn list(
    Reader(principal): Reader,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<TaskList>, ApiError> {
    let (filter, page) = ListQuery::parse(query.as_deref(), &principal)?;
    let page = state.queue.list(filter, &page, &principal).await?;
    Ok(Json(TaskList { items: page.items, next_cursor: page.next.map(|cursor| cursor.to_string()) }))
}

/// What to change of a waiting task. At least one field is needed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1)]
pub(in crate::http) struct TaskPatch {
    /// Start at this time (RFC 3339, with an offset). Not together with `countdown`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime, example = "2030-01-01T09:00:00Z")]
    eta: Option<String>,
    /// Start after so many seconds from now. Not together with `eta`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, minimum = 0, maximum = 315_360_000)]
    countdown: Option<f64>,
    /// Move it to this queue.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, pattern = "^[a-z0-9][a-z0-9_.-]{0,99}$", example = "default")]
    queue: Option<String>,
    /// 9 is the most urgent.
    #[serde(default, deserialize_with = "given_number")]
    #[schema(nullable = false, minimum = 0, maximum = 9, example = 7)]
    priority: Option<u8>,
}

/// A field that may be left out, and is not null where it is given: null would seem to take something away.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Option<T>, D::Error> {
    T::deserialize(input).map(Some)
}

fn given_number<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u8>, D::Error> {
    let wrong = || serde::de::Error::custom("is not a whole number from 0 to 9");
    whole_number(input).map_err(|_: D::Error| wrong())?.map(Some).ok_or_else(wrong)
}

impl TaskPatch {
    fn resolve(self, now: Timestamp) -> Result<TaskChange, ApiError> {
        let has_time = self.eta.is_some() || self.countdown.is_some();
        if !has_time && self.queue.is_none() && self.priority.is_none() {
            return Err(ApiError::field("", "changes nothing; give at least one of eta, countdown, queue, priority"));
        }
        let has_priority = self.priority.is_some();
        let TaskPatch { eta, countdown, queue, priority } = self;
        let options = TaskOptions { queue, priority, countdown, eta, ..TaskOptions::default() };
        let resolved = options.resolve(now, |_| Ok(())).map_err(ApiError::Invalid)?;
        Ok(TaskChange {
            due_at: has_time.then_some(resolved.due_at),
            queue: resolved.queue,
            priority: has_priority.then_some(resolved.priority),
        })
    }
}

/// Change a waiting task
///
/// Its time, its queue or its priority. A task that runs or has ended is 409.
#[utoipa::path(patch, path = "/api/v1/tasks/{task_id}", tag = "tasks", operation_id = "updateTask",
    security(("bearer" = ["tasks:control"])), params(openapi::TaskParam), request_body = TaskPatch,
    responses(
        (status = 200, description = "The task as it is now.", body = StatusView),
        (status = 409, response = openapi::Conflict),
    ))]
pub(in crate::http) async fn change(
    Controller(principal): Controller,
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
    JsonOf(patch): JsonOf<TaskPatch>,
) -> Result<Json<StatusView>, ApiError> {
    let change = patch.resolve(state.now())?;
    let row = state.queue.change(id, &change, &principal).await?;
    Ok(Json(state.queue.status_of(row).await?))
}

/// A retry by hand.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RetryAccepted {
    /// The new task's id.
    #[schema(value_type = uuid::Uuid)]
    task_id: TaskId,
    /// PENDING.
    #[schema(example = "PENDING")]
    status: TaskStatus,
    /// Where its status is.
    #[schema(example = "/api/v1/tasks/status/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57")]
    status_url: String,
    /// The task that is retried. It stays as it ended.
    #[schema(value_type = uuid::Uuid)]
    retry_of: TaskId,
}

/// Retry a task that failed or was revoked
///
/// Makes a new task with the same kind, args and options, due now; both know of each other. A task is retried once: retry the retry then.
#[utoipa::path(post, path = "/api/v1/tasks/{task_id}/retry", tag = "tasks", operation_id = "retryTask",
    security(("bearer" = ["tasks:control"])), params(openapi::TaskParam),
    responses(
        (status = 202, description = "The new task is durable.", body = RetryAccepted,
            headers(("Location" = String, description = "Where its status is."))),
        (status = 409, response = openapi::Conflict),
        (status = 429, response = openapi::RateLimited),
    ))]
pub(in crate::http) async fn retry(
    Controller(principal): Controller,
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
) -> Result<Response, ApiError> {
    state.admit(&principal, 1)?;
    let submitted = state.queue.retry(id, &principal).await?;
    let status_url = status_url(submitted.id);
    let location = HeaderValue::try_from(&status_url);
    let answer = RetryAccepted { task_id: submitted.id, status: TaskStatus::Pending, status_url, retry_of: id };
    let mut response = (StatusCode::ACCEPTED, Json(answer)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// What a revoke came to.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RevokeView {
    /// The task.
    #[schema(value_type = uuid::Uuid)]
    task_id: TaskId,
    /// REVOKED, or STARTED while it still runs.
    status: TaskStatus,
    /// `revoked`, or `revoking` while it still runs.
    #[schema(example = "revoked")]
    outcome: &'static str,
    /// When a running task is ended by force; not given for a waiting one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deadline: Option<Timestamp>,
}

/// Revoke a task
///
/// A waiting task is REVOKED at once. A running one is asked to stop and is REVOKED at its next checkpoint, or, with `terminate`, at once;
/// no retry follows. The intent is in the database before the answer, so it survives every restart.
#[utoipa::path(delete, path = "/api/v1/tasks/revoke/{task_id}", tag = "tasks", operation_id = "revokeTask",
    security(("bearer" = ["tasks:control"])),
    params(openapi::TaskParam, ("terminate" = Option<bool>, Query, description = "Whether a running task is stopped at once.")),
    responses(
        (status = 200, description = "It was waiting, and is REVOKED.", body = RevokeView),
        (status = 202, description = "It is running, and stops by `deadline`.", body = RevokeView),
        (status = 409, response = openapi::Conflict),
    ))]
pub(in crate::http) async fn revoke(
    Controller(principal): Controller,
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let mut params = Params::of(query.as_deref());
    let terminate = params.switch("terminate").unwrap_or(false);
    params.finish()?;
    let view = |status, outcome, deadline| Json(RevokeView { task_id: id, status, outcome, deadline });
    Ok(match state.queue.revoke(id, terminate, &principal).await? {
        Revoked::Revoked => view(TaskStatus::Revoked, "revoked", None).into_response(),
        Revoked::Revoking { deadline } => {
            (StatusCode::ACCEPTED, view(TaskStatus::Started, "revoking", Some(deadline))).into_response()
        }
    })
}

/// The kinds.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct KindList {
    /// The kinds that may be submitted, by name.
    kinds: Vec<KindView>,
}

/// The kinds that may be submitted
///
/// Each with a description, the JSON Schema of its args, its queue, its limits and an example that works.
#[utoipa::path(get, path = "/api/v1/tasks/kinds", tag = "tasks", operation_id = "listKinds",
    security(("bearer" = ["tasks:read"])), responses((status = 200, description = "The kinds.", body = KindList)))]
pub(in crate::http) async fn kinds(_principal: Reader, State(state): State<ApiState>) -> Json<KindList> {
    let kinds = state.kinds.public().map(|kind| KindView::new(&kind, state.queue.queue_of(&kind.policy))).collect();
    Json(KindList { kinds })
}
