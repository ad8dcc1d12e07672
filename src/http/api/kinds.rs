//! Kinds as users see them.

use legwork_engine::domain::{KindName, QueueName};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kinds::TaskKind;

/// A kind.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct KindView {
    /// Its name.
    #[schema(value_type = String, example = "email.send")]
    pub kind: KindName,
    /// What it does.
    #[schema(value_type = String)]
    pub description: std::sync::Arc<str>,
    /// The queue of its tasks, unless the submission says otherwise.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Its typed route, where it has one.
    #[schema(example = "/api/v1/tasks/email/send")]
    pub route: Option<String>,
    /// The JSON Schema (2020-12) of its args.
    #[schema(value_type = serde_json::Value)]
    pub args_schema: std::sync::Arc<serde_json::Value>,
    /// Retries after the first attempt.
    pub max_retries: u16,
    /// An attempt past so many seconds is ended.
    pub time_limit: f64,
    /// An attempt past so many seconds is asked to stop.
    pub soft_time_limit: Option<f64>,
    /// The most attempts that start in a second, minute, hour or day, over all workers; null is no limit.
    #[schema(example = "10/m")]
    pub rate: Option<String>,
    /// The Celery task whose work it does, by which `legwork import celery-beat` finds it; null where it names none.
    #[schema(value_type = Option<String>, example = "shop.tasks.send_invoices")]
    pub celery_task: Option<std::sync::Arc<str>>,
    /// Args that work.
    pub example: serde_json::Value,
}

impl KindView {
    pub(in crate::http) fn new(kind: &TaskKind, queue: QueueName) -> Self {
        Self {
            kind: kind.policy.name.clone(),
            description: kind.description.clone(),
            queue,
            route: kind.route.map(|route| format!("/api/v1/tasks{route}")),
            args_schema: kind.json_schema.clone(),
            max_retries: kind.policy.retry.max_retries,
            time_limit: kind.policy.hard_limit.as_secs_f64(),
            soft_time_limit: kind.policy.soft_limit.map(|limit| limit.as_secs_f64()),
            rate: kind.policy.rate.map(|rate| rate.to_string()),
            celery_task: kind.celery_task.clone(),
            example: kind.example.clone(),
        }
    }
}
