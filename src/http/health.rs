//! Alive, ready, measured.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::join_all;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::state::ApiState;

/// A check that has not answered after this has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// The gauges of queues are read from the store at most this often.
const GAUGES_AGE: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

struct Check {
    name: &'static str,
    run: Box<dyn Fn() -> CheckFuture + Send + Sync>,
}

/// What must hold for the process to take work: named checks, given by the app.
#[derive(Default)]
pub struct Readiness {
    checks: Vec<Check>,
}

impl Readiness {
    /// Without checks: ready until the end starts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check. It answers what is not ready; it is run with each request and given up after two seconds.
    #[must_use]
    pub fn check<F, Fut>(mut self, name: &'static str, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push(Check { name, run: Box::new(move || Box::pin(run())) });
        self
    }

    async fn problems(&self) -> Vec<NotReady> {
        let runs = self.checks.iter().map(|check| async {
            let answer = tokio::time::timeout(CHECK_TIMEOUT, (check.run)()).await;
            let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())));
            answer.err().map(|detail| NotReady { check: check.name, detail })
        });
        join_all(runs).await.into_iter().flatten().collect()
    }
}

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthView {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// Whether the process takes work.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadyView {
    /// `ready`, or `not_ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// What is not ready; empty where all is.
    failed: Vec<NotReady>,
}

/// A check that failed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotReady {
    /// Its name.
    #[schema(example = "database")]
    check: &'static str,
    /// What is wrong.
    #[schema(example = "the database is not available: connection refused")]
    detail: String,
}

/// Whether the process lives
///
/// Answers as long as the process can answer at all; it looks at nothing else. For liveness probes.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "getHealth", security(()), responses(
    (status = 200, description = "It lives.", body = HealthView),
))]
pub(super) async fn healthz() -> Json<HealthView> {
    Json(HealthView { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Whether the process takes work
///
/// Ready means that the database answers and is migrated, that the worker of this process starts what is due, and that the end has not
/// started. For readiness probes and load balancers.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "getReadiness", security(()), responses(
    (status = 200, description = "It is ready.", body = ReadyView),
    (status = 503, description = "It is not ready; `failed` says why.", body = ReadyView),
))]
pub(super) async fn readyz(State(state): State<ApiState>) -> Response {
    let mut failed = state.readiness.problems().await;
    if state.shutdown.is_started() {
        failed.push(NotReady { check: "shutdown", detail: "the process is ending".into() });
    }
    let (code, status) =
        if failed.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    (code, Json(ReadyView { status, failed })).into_response()
}

/// Metrics for Prometheus
///
/// In the text format of `OpenMetrics` 1.0. Labels are bounded: kinds, queues, states, never ids. `METRICS=off` switches it off.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "getMetrics", security(()), responses(
    (status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text"),
    (status = 404, response = super::openapi::NotFound),
))]
pub(super) async fn metrics(State(state): State<ApiState>) -> Result<Response, ApiError> {
    if !state.config.metrics {
        return Err(ApiError::NoRoute("/metrics (METRICS is off)".into()));
    }
    refresh_gauges(&state).await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], state.queue.metrics().render()).into_response())
}

/// Reads what is in the queues. A store that is away leaves the gauges as they were: the rest of the metrics is needed then most of all.
async fn refresh_gauges(state: &ApiState) {
    let now = state.now();
    {
        let mut read_at = state.gauges_read_at.lock();
        if read_at.is_some_and(|at| now.duration_since(at).abs() < GAUGES_AGE) {
            return;
        }
        *read_at = Some(now);
    }
    match tokio::time::timeout(CHECK_TIMEOUT, state.queue.queues()).await {
        Ok(Ok(queues)) => {
            for queue in queues {
                state.queue.metrics().queue(&queue.name, queue.depth, queue.oldest_seconds.unwrap_or(0.0));
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "the gauges of queues could not be read"),
        Err(_) => tracing::warn!("the gauges of queues could not be read in time"),
    }
    match tokio::time::timeout(CHECK_TIMEOUT, state.queue.schedule_lateness()).await {
        Ok(Ok(late)) => state.queue.metrics().schedule_lateness(late.as_secs_f64()),
        Ok(Err(error)) => tracing::warn!(%error, "the lateness of schedules could not be read"),
        Err(_) => tracing::warn!("the lateness of schedules could not be read in time"),
    }
}
