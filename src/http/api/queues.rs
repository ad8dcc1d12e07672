//! Queues.
//!
//! Pausing and limiting hold tasks back and can be undone; `tasks:control` allows it. A purge ends the tasks of every principal for good,
//! so it takes `admin`.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::error::ApiError;
use super::super::extract::{Admin, Controller, JsonOf, QueuePath, Reader};
use super::super::openapi;
use super::super::state::ApiState;
use legwork_engine::domain::QueueName;
use legwork_engine::queue::options::whole_number;
use legwork_engine::queue::view::QueueView;
use legwork_engine::store::{QueueChange, QueueRow};

/// Every queue with its counts.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct QueueList {
    /// The queues, by name.
    items: Vec<QueueView>,
    /// Always null: all queues are on one page.
    next_cursor: Option<String>,
}

/// The queues
///
/// How many tasks wait, how old the oldest is, how fast tasks end, whether the queue is paused, and how many workers serve it.
#[utoipa::path(get, path = "/api/v1/queues", tag = "queues", operation_id = "listQueues",
    security(("bearer" = ["tasks:read"])), responses((status = 200, description = "The queues.", body = QueueList)))]
pub(in crate::http) async fn list(_principal: Reader, State(state): State<ApiState>) -> Result<Json<QueueList>, ApiError> {
    Ok(Json(QueueList { items: state.queue.queues().await?, next_cursor: None }))
}

/// How a queue is set.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct QueueSettings {
    /// Name of the queue.
    #[schema(value_type = String, example = "default")]
    name: QueueName,
    /// Whether it is paused.
    paused: bool,
    /// When the queue was paused; null if it is not paused.
    paused_at: Option<Timestamp>,
    /// Tasks of it that one worker process runs at once; null is no limit.
    #[schema(minimum = 1)]
    concurrency: Option<u32>,
}

impl From<QueueRow> for QueueSettings {
    fn from(row: QueueRow) -> Self {
        Self { name: row.name, paused: row.paused_at.is_some(), paused_at: row.paused_at, concurrency: row.concurrency }
    }
}

/// What to change of a queue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct QueuePatch {
    /// Tasks of it that one worker process runs at once, 1 to 100,000; null lifts the limit.
    // With a function of its own a missing field is an error, and not null.
    #[serde(deserialize_with = "whole_number")]
    #[schema(required = true, minimum = 1, maximum = 100_000, example = 10)]
    concurrency: Option<u32>,
}

/// The most tasks of a queue at once that may be asked for.
const MOST_AT_ONCE: u32 = 100_000;

/// Limit a queue
///
/// Sets how many of its tasks one worker process runs at once. A queue that is not known becomes known.
#[utoipa::path(patch, path = "/api/v1/queues/{queue}", tag = "queues", operation_id = "updateQueue",
    security(("bearer" = ["tasks:control"])), params(openapi::QueueParam), request_body = QueuePatch,
    responses((status = 200, description = "How it is set now.", body = QueueSettings)))]
pub(in crate::http) async fn change(
    _principal: Controller,
    State(state): State<ApiState>,
    QueuePath(queue): QueuePath,
    JsonOf(patch): JsonOf<QueuePatch>,
) -> Result<Json<QueueSettings>, ApiError> {
    if patch.concurrency.is_some_and(|number| !(1..=MOST_AT_ONCE).contains(&number)) {
        return Err(ApiError::field("/concurrency", format!("must be between 1 and {MOST_AT_ONCE}; pause the queue to stop it")));
    }
    set(&state, &queue, QueueChange { paused: None, concurrency: Some(patch.concurrency) }).await
}

/// Pause a queue
///
/// Its waiting tasks stay and are not started until it is resumed; what runs goes on. A queue that is not known becomes known.
#[utoipa::path(post, path = "/api/v1/queues/{queue}/pause", tag = "queues", operation_id = "pauseQueue",
    security(("bearer" = ["tasks:control"])), params(openapi::QueueParam),
    responses((status = 200, description = "How it is set now.", body = QueueSettings)))]
pub(in crate::http) async fn pause(
    _principal: Controller,
    State(state): State<ApiState>,
    QueuePath(queue): QueuePath,
) -> Result<Json<QueueSettings>, ApiError> {
    set(&state, &queue, QueueChange { paused: Some(true), concurrency: None }).await
}

/// Resume a queue
///
/// Its waiting tasks are started again. A queue that is not paused stays as it is.
#[utoipa::path(post, path = "/api/v1/queues/{queue}/resume", tag = "queues", operation_id = "resumeQueue",
    security(("bearer" = ["tasks:control"])), params(openapi::QueueParam),
    responses((status = 200, description = "How it is set now.", body = QueueSettings)))]
pub(in crate::http) async fn resume(
    _principal: Controller,
    State(state): State<ApiState>,
    QueuePath(queue): QueuePath,
) -> Result<Json<QueueSettings>, ApiError> {
    set(&state, &queue, QueueChange { paused: Some(false), concurrency: None }).await
}

async fn set(state: &ApiState, queue: &QueueName, change: QueueChange) -> Result<Json<QueueSettings>, ApiError> {
    Ok(Json(state.queue.change_queue(queue, &change).await?.into()))
}

/// What a purge came to.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Purged {
    /// Name of the queue that was purged.
    #[schema(value_type = String, example = "default")]
    queue: QueueName,
    /// How many tasks were ended.
    purged: u64,
}

/// Purge a queue
///
/// Every waiting task of it, whoever submitted it, is ended as REVOKED, reason `purged`; so this takes the scope `admin`. What runs goes on.
#[utoipa::path(delete, path = "/api/v1/queues/{queue}/tasks", tag = "queues", operation_id = "purgeQueue",
    security(("bearer" = ["admin"])), params(openapi::QueueParam),
    responses((status = 200, description = "How many tasks were ended.", body = Purged)))]
pub(in crate::http) async fn purge(
    _principal: Admin,
    State(state): State<ApiState>,
    QueuePath(queue): QueuePath,
) -> Result<Json<Purged>, ApiError> {
    let purged = state.queue.purge(&queue).await?;
    Ok(Json(Purged { queue, purged }))
}
