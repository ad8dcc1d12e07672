//! Kinds: what work there is, and what args it takes.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use super::super::access::Visitor;
use super::super::error::PageError;
use super::super::history::History;
use super::super::schema_form::SchemaForm;
use super::super::view::{Fact, with_query};
use super::super::{format, shell};
use super::task_form::curl;
use super::tasks::{kind_url, tasks_of};
use crate::http::{ApiState, NamePath};
use crate::kinds::TaskKind;
use legwork_engine::domain::KindName;
use legwork_engine::queue::statistics::StatisticsRange;

#[derive(Serialize)]
struct Row {
    kind: String,
    description: std::sync::Arc<str>,
    url: String,
    queue: String,
    max_retries: u16,
    limit: String,
}

fn row(state: &ApiState, kind: &TaskKind) -> Row {
    let name = kind.policy.name.to_string();
    Row {
        url: kind_url(&name),
        kind: name,
        description: kind.description.clone(),
        queue: state.queue.queue_of(&kind.policy).to_string(),
        max_retries: kind.policy.retry.max_retries,
        limit: format::duration(kind.policy.hard_limit.as_secs_f64()),
    }
}

/// All kinds that can be submitted.
pub(in crate::dashboard) async fn list(visitor: Visitor, State(state): State<ApiState>) -> Response {
    let rows: Vec<_> = state.kinds.public().map(|kind| row(&state, &kind)).collect();
    let summary = format!("{}. Each is a sort of work that can be submitted.", format::count(rows.len() as u64, "kind"));
    let packs = [view! { label => "Built in", kinds => rows, schedules => 0 }];
    shell::page(&state, &visitor, "kinds", view! { summary, packs })
}

#[derive(Serialize)]
struct Arg {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    required: bool,
    description: String,
    default: Option<String>,
}

fn args(schema: &Value) -> Vec<Arg> {
    SchemaForm::new(schema)
        .described()
        .into_iter()
        .map(|described| Arg {
            name: described.name,
            kind: described.words,
            required: described.required,
            description: described.description,
            default: described.default,
        })
        .collect()
}

/// A kind.
pub(in crate::dashboard) async fn detail(
    visitor: Visitor,
    State(state): State<ApiState>,
    NamePath(name): NamePath,
) -> Result<Response, PageError> {
    let missing = || PageError::NotFound(format!("The kind {} is unknown here.", format::clip(&name, 80)));
    let kind = KindName::parse(&name).ok().and_then(|name| state.kinds.get(&name)).ok_or_else(missing)?;
    let policy = &kind.policy;
    let queue = state.queue.queue_of(policy).to_string();
    let (path, body) = match kind.route {
        Some(route) => (format!("/api/v1/tasks{route}"), kind.example.clone()),
        None => ("/api/v1/tasks".into(), serde_json::json!({"kind": name, "args": kind.example})),
    };
    let mut facts = vec![
        Fact::link("Queue", queue.clone(), format!("/queues/{queue}")),
        Fact::text("Retries", policy.retry.max_retries.to_string()),
        Fact::text("Time limit", format::duration(policy.hard_limit.as_secs_f64())),
        Fact::text("Scope", kind.scope.to_string()),
    ];
    if let Some(limit) = policy.soft_limit {
        facts.insert(3, Fact::text("Asked to stop after", format::duration(limit.as_secs_f64())));
    }
    if let Some(rate) = policy.rate {
        facts.push(Fact::text("Rate limit", rate.to_string()));
    }
    let statistics = state.queue.statistics(StatisticsRange::Day).await?;
    let history = History::new(&statistics, StatisticsRange::Day);
    let view = view! {
        charts => [history.throughput(Some(&name)), history.run_time(Some(&name))],
        kind => view! {
            kind => name,
            description => kind.description,
            tasks_url => tasks_of("kind", &name),
            new_url => policy.is_public.then(|| with_query("/tasks/new", [("kind", name.as_str())])),
            curl => curl(&state.config.public_url, &path, &body),
        },
        args => args(&kind.json_schema),
        facts,
    };
    Ok(shell::page(&state, &visitor, "kind", view))
}
