//! Endpoints that show workers and send them commands.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::ApiError;
use super::super::extract::{Controller, NamePath, Reader};
use super::super::openapi;
use super::super::state::ApiState;
use legwork_engine::queue::view::WorkersView;
use legwork_engine::store::WorkerCommand;

/// The live workers
///
/// What each one has done, what it runs, the queues it serves, its slots, memory and health. Read from heartbeats, so the answer comes at once, also
/// where every worker is busy or frozen. A principal without the scope `admin` finds only its own tasks under `running`.
#[utoipa::path(get, path = "/api/v1/tasks/workers", tag = "workers", operation_id = "listWorkers",
    security(("bearer" = ["tasks:read"])), responses((status = 200, description = "The cluster.", body = WorkersView)))]
pub(in crate::http) async fn workers(
    Reader(principal): Reader,
    State(state): State<ApiState>,
) -> Result<Json<WorkersView>, ApiError> {
    Ok(Json(state.queue.workers(&principal).await?))
}

/// An order to a worker, taken down.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct WorkerOrder {
    /// Name of the worker.
    #[schema(example = "worker-1")]
    worker: String,
    /// The command that was sent: `drain` or `shutdown`.
    #[schema(example = "drain")]
    command: &'static str,
}

/// Let a worker fetch no more
///
/// It finishes what runs and stays. It hears of it with its next heartbeat at the latest.
#[utoipa::path(post, path = "/api/v1/workers/{name}/drain", tag = "workers", operation_id = "drainWorker",
    security(("bearer" = ["tasks:control"])), params(openapi::WorkerParam),
    responses((status = 202, description = "The order is taken down.", body = WorkerOrder)))]
pub(in crate::http) async fn drain(
    _principal: Controller,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
) -> Result<(StatusCode, Json<WorkerOrder>), ApiError> {
    order(&state, name, WorkerCommand::Drain, "drain").await
}

/// Let a worker end
///
/// It fetches no more, finishes what runs within its grace time, releases the rest, and its process ends.
#[utoipa::path(post, path = "/api/v1/workers/{name}/shutdown", tag = "workers", operation_id = "shutdownWorker",
    security(("bearer" = ["tasks:control"])), params(openapi::WorkerParam),
    responses((status = 202, description = "The order is taken down.", body = WorkerOrder)))]
pub(in crate::http) async fn shutdown(
    _principal: Controller,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
) -> Result<(StatusCode, Json<WorkerOrder>), ApiError> {
    order(&state, name, WorkerCommand::Shutdown, "shutdown").await
}

async fn order(
    state: &ApiState,
    worker: String,
    command: WorkerCommand,
    word: &'static str,
) -> Result<(StatusCode, Json<WorkerOrder>), ApiError> {
    if state.queue.command_worker(&worker, command).await? {
        return Ok((StatusCode::ACCEPTED, Json(WorkerOrder { worker, command: word })));
    }
    Err(ApiError::NotFound(format!("no live worker has the name {worker:?}; GET /api/v1/tasks/workers lists them")))
}
