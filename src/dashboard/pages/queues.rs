//! Queues: what waits in them, their limits, pause, resume and purge.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::access::{Posted, Visitor};
use super::super::error::PageError;
use super::super::form::Notice;
use super::super::history::History;
use super::super::schema_form::Field;
use super::super::view::{Moment, Stat, Tone, path_segment, percent_of};
use super::super::{format, shell};
use super::tasks::tasks_of;
use crate::http::{ApiState, QueuePath};
use legwork_engine::domain::{PageRequest, QueueName, TaskFilter, TaskStatus};
use legwork_engine::queue::statistics::StatisticsRange;
use legwork_engine::queue::view::QueueView;
use legwork_engine::store::QueueChange;

/// A queue whose oldest due task waits longer than this needs somebody.
pub(super) const OLD_SECONDS: f64 = 600.0;
/// Tasks that are shown as the next ones of a queue.
const NEXT_SHOWN: u16 = 10;

#[derive(Serialize)]
struct Row {
    name: String,
    url: String,
    depth: u64,
    share: f64,
    oldest_seconds: Option<f64>,
    is_old: bool,
    scheduled: u64,
    running: u64,
    concurrency: Option<u32>,
    rate: f64,
    workers: usize,
    paused: bool,
    problem: Option<&'static str>,
    pause_url: String,
    resume_url: String,
}

/// Where a queue's page is.
pub(super) fn queue_url(name: &QueueName) -> String {
    format!("/queues/{}", path_segment(name.as_str()))
}

/// What keeps the tasks of a queue from running.
pub(super) fn problem(queue: &QueueView) -> Option<&'static str> {
    (queue.workers == 0 && queue.depth > 0).then_some("No live worker serves this queue.")
}

fn row(queue: &QueueView, all_due: u64) -> Row {
    let url = queue_url(&queue.name);
    Row {
        pause_url: format!("{url}/pause"),
        resume_url: format!("{url}/resume"),
        url,
        name: queue.name.to_string(),
        depth: queue.depth,
        share: percent_of(queue.depth, all_due),
        oldest_seconds: queue.oldest_seconds,
        is_old: queue.oldest_seconds.is_some_and(|seconds| seconds > OLD_SECONDS),
        scheduled: queue.scheduled,
        running: queue.running,
        concurrency: queue.concurrency,
        rate: queue.rate,
        workers: queue.workers,
        paused: queue.paused,
        problem: problem(queue),
    }
}

/// Serves the page that lists all queues.
pub(in crate::dashboard) async fn list(visitor: Visitor, State(state): State<ApiState>) -> Result<Response, PageError> {
    let queues = state.queue.queues().await?;
    let all_due = queues.iter().map(|queue| queue.depth).sum();
    let rows: Vec<_> = queues.iter().map(|queue| row(queue, all_due)).collect();
    Ok(shell::page(&state, &visitor, "queues", view! { queues => rows }))
}

fn stats(queue: &QueueView) -> Vec<Stat> {
    let stat = |label, value: String, note: String| Stat { label, value, note, url: None, tone: None };
    let tasks =
        |status: &str| Some(super::super::view::with_query("/tasks", [("queue", queue.name.as_str()), ("status", status)]));
    let oldest =
        queue.oldest_seconds.map_or_else(|| "nothing is due".into(), |seconds| format!("oldest {}", format::duration(seconds)));
    let is_late = queue.paused || queue.oldest_seconds.is_some_and(|seconds| seconds > OLD_SECONDS);
    let limit = queue.concurrency.map_or_else(|| "no limit".into(), |limit| format!("at most {limit} a worker"));
    vec![
        Stat {
            url: tasks("PENDING"),
            tone: (is_late && queue.depth > 0).then_some(Tone::Warn),
            ..stat("Due", format::number(queue.depth), oldest)
        },
        stat("Later", format::number(queue.scheduled), "wait for their time".into()),
        Stat { url: tasks("STARTED"), ..stat("Running", format::number(queue.running), limit) },
        stat("Rate", format::rate(queue.rate), "ended, last minute".into()),
        Stat { tone: problem(queue).map(|_| Tone::Bad), ..stat("Workers", queue.workers.to_string(), "serve it".into()) },
    ]
}

#[derive(Serialize)]
struct NextRow {
    id: String,
    url: String,
    kind: String,
    priority: u8,
    due_at: Moment,
}

async fn next(state: &ApiState, visitor: &Visitor, queue: &QueueName, now: Timestamp) -> Result<Vec<NextRow>, PageError> {
    let filter = TaskFilter {
        queue: Some(queue.clone()),
        statuses: vec![TaskStatus::Pending, TaskStatus::Retry],
        ..TaskFilter::default()
    };
    let page = state.queue.list(filter, &PageRequest { after: None, limit: NEXT_SHOWN }, &visitor.principal).await?;
    let row = |task: legwork_engine::queue::view::StatusView| NextRow {
        id: task.task_id.to_string(),
        url: format!("/tasks/{}", task.task_id),
        kind: task.kind.to_string(),
        priority: task.priority,
        due_at: Moment::new(task.due_at, now),
    };
    Ok(page.items.into_iter().map(row).collect())
}

/// Serves the page of one queue.
pub(in crate::dashboard) async fn detail(
    visitor: Visitor,
    State(state): State<ApiState>,
    QueuePath(name): QueuePath,
) -> Result<Response, PageError> {
    let (queues, statistics) = tokio::try_join!(state.queue.queues(), state.queue.statistics(StatisticsRange::Hour))?;
    let missing = || PageError::NotFound(format!("There is no queue {name}."));
    let queue = queues.iter().find(|queue| queue.name == name).ok_or_else(missing)?;
    let now = state.now();
    let url = queue_url(&name);
    let mut limit = Field::plain(
        "concurrency",
        "Running at once, per worker",
        "number",
        queue.concurrency.map_or_else(String::new, |limit| limit.to_string()),
    )
    .help("Empty means no limit.");
    limit.min = Some(1.into());
    limit.placeholder = Some("No limit".into());
    let view = view! {
        queue => view! {
            name => queue.name.to_string(),
            paused => queue.paused,
            paused_at => Moment::maybe(queue.paused_at, now),
            problem => problem(queue),
            pause_url => format!("{url}/pause"),
            resume_url => format!("{url}/resume"),
            limits_url => format!("{url}/limits"),
            purge_url => format!("{url}/purge"),
            tasks_url => tasks_of("queue", name.as_str()),
            waiting => queue.depth + queue.scheduled,
        },
        stats => stats(queue),
        charts => [History::new(&statistics, StatisticsRange::Hour).waiting(Some(name.as_str()), queue.depth, queue.oldest_seconds)],
        limits => [limit],
        next => next(&state, &visitor, &name, now).await?,
    };
    Ok(shell::page(&state, &visitor, "queue", view))
}

async fn change(
    state: &ApiState,
    name: &QueueName,
    posted: Posted,
    change: QueueChange,
    done: String,
) -> Result<Response, PageError> {
    posted.by_operator()?;
    state.queue.change_queue(name, &change).await?;
    Ok(Notice::done(done).shown_at(&queue_url(name)))
}

/// Stops fetching from a queue.
pub(in crate::dashboard) async fn pause(
    State(state): State<ApiState>,
    QueuePath(name): QueuePath,
    posted: Posted,
) -> Result<Response, PageError> {
    let done = format!("The queue {name} is paused. What runs goes on; the rest waits.");
    change(&state, &name, posted, QueueChange { paused: Some(true), concurrency: None }, done).await
}

/// Fetches from a queue again.
pub(in crate::dashboard) async fn resume(
    State(state): State<ApiState>,
    QueuePath(name): QueuePath,
    posted: Posted,
) -> Result<Response, PageError> {
    let done = format!("The queue {name} is active again.");
    change(&state, &name, posted, QueueChange { paused: Some(false), concurrency: None }, done).await
}

/// Sets how many tasks of a queue a worker runs at once.
pub(in crate::dashboard) async fn limits(
    State(state): State<ApiState>,
    QueuePath(name): QueuePath,
    posted: Posted,
) -> Result<Response, PageError> {
    let text = posted.fields.text("concurrency").to_owned();
    let limit = match text.as_str() {
        "" => None,
        text => {
            if let Some(limit) = text.parse::<u32>().ok().filter(|limit| (1..=10_000).contains(limit)) {
                Some(limit)
            } else {
                let error =
                    format!("Running at once must be a whole number from 1 to 10,000, or empty; got {}.", format::clip(text, 40));
                return Ok(Notice::not_done(error).shown_at(&queue_url(&name)));
            }
        }
    };
    change(&state, &name, posted, QueueChange { paused: None, concurrency: Some(limit) }, "The limits are saved.".into()).await
}

/// Revokes everything that waits in a queue.
pub(in crate::dashboard) async fn purge(
    State(state): State<ApiState>,
    QueuePath(name): QueuePath,
    posted: Posted,
) -> Result<Response, PageError> {
    let posted = posted.by_admin()?;
    if posted.fields.text("confirm") != name.to_string() {
        return Ok(Notice::not_done("Nothing was purged: the name of the queue was not typed.").shown_at(&queue_url(&name)));
    }
    let count = state.queue.purge(&name).await?;
    Ok(Notice::done(format!("{} revoked.", format::count(count, "task"))).shown_at(&queue_url(&name)))
}
