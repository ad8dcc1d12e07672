//! The pages, a file for each subject.

mod accounts;
mod audit;
mod bulk;
mod kinds;
mod overview;
mod queues;
mod suppressions;
mod task;
mod task_form;
mod tasks;
mod workers;

use axum::Router;
use axum::routing::{get, post};

use crate::http::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/", get(overview::overview))
        .route("/tasks", get(tasks::list).post(task_form::submit))
        .route("/tasks/new", get(task_form::show))
        .route("/tasks/bulk", get(bulk::show).post(bulk::run))
        .route("/tasks/{task_id}", get(task::detail))
        .route("/tasks/{task_id}/retry", post(task::retry))
        .route("/tasks/{task_id}/revoke", post(task::revoke))
        .route("/queues", get(queues::list))
        .route("/queues/{queue}", get(queues::detail))
        .route("/queues/{queue}/pause", post(queues::pause))
        .route("/queues/{queue}/resume", post(queues::resume))
        .route("/queues/{queue}/limits", post(queues::limits))
        .route("/queues/{queue}/purge", post(queues::purge))
        .route("/workers", get(workers::list))
        .route("/workers/{name}/drain", post(workers::drain))
        .route("/kinds", get(kinds::list))
        .route("/kinds/{kind}", get(kinds::detail))
        .route("/suppressions", get(suppressions::list).post(suppressions::add))
        .route("/audit", get(audit::list))
        .route("/accounts", get(accounts::list).post(accounts::create))
        .route("/accounts/{name}", post(accounts::change))
        .route("/accounts/{name}/delete", post(accounts::delete))
        .route("/tokens", post(accounts::make_token))
        .route("/tokens/revoke", post(accounts::revoke_token))
        .route("/suppressions/remove", post(suppressions::remove))
}
