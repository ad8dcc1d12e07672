//! The list of tasks: filters in the address, keyset pages, newest first.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::super::access::{Fields, Visitor};
use super::super::error::{PageError, see_other};
use super::super::view::{Choice, Item, Moment, Pager, ProgressView, path_segment, seconds_between, with_query};
use super::super::{format, shell, tree};
use crate::http::ApiState;
use legwork_engine::domain::{KindName, PageRequest, QueueName, TaskFilter, TaskStatus, WaitingFor, WaitingReason};
use legwork_engine::queue::view::StatusView;
use legwork_engine::runner::SENSITIVE_TEXT;

/// Tasks on a page.
const PAGE_SIZE: u16 = 50;
/// The longest text that is searched for, in characters.
const MAX_TEXT: usize = 200;
const TIMES: [(&str, &str, i64); 4] =
    [("1h", "Last hour", 1), ("24h", "Last 24 hours", 24), ("7d", "Last 7 days", 168), ("30d", "Last 30 days", 720)];

/// The filters of the list, as they stand in its address.
#[derive(Clone, Debug, Default)]
pub(super) struct ListQuery {
    statuses: Vec<TaskStatus>,
    kind: String,
    queue: String,
    worker: String,
    since: String,
    text: String,
    after: String,
}

impl ListQuery {
    /// Values that cannot be are left out: an address may have been edited.
    pub(super) fn of(fields: &Fields) -> Self {
        let clipped = |name: &str| fields.text(name).chars().filter(|sign| *sign != '\0').take(MAX_TEXT).collect::<String>();
        let since = clipped("since");
        Self {
            statuses: fields.all("status").filter_map(|status| status.parse().ok()).collect(),
            kind: KindName::parse(&clipped("kind")).map(|kind| kind.to_string()).unwrap_or_default(),
            queue: QueueName::parse(&clipped("queue")).map(|queue| queue.to_string()).unwrap_or_default(),
            worker: clipped("worker"),
            since: if TIMES.iter().any(|(value, ..)| *value == since) { since } else { String::new() },
            text: clipped("text"),
            after: clipped("after"),
        }
    }

    /// What the engine is asked.
    pub(super) fn filter(&self, now: Timestamp) -> TaskFilter {
        let hours = TIMES.iter().find(|(value, ..)| *value == self.since).map(|(.., hours)| *hours);
        TaskFilter {
            statuses: self.statuses.clone(),
            kind: KindName::parse(&self.kind).ok(),
            queue: QueueName::parse(&self.queue).ok(),
            worker: Some(self.worker.clone()).filter(|worker| !worker.is_empty()),
            submitted_from: hours.map(|hours| now - SignedDuration::from_hours(hours)),
            submitted_to: None,
            text: Some(self.text.clone()).filter(|text| !text.is_empty()),
            principal: None,
        }
    }

    /// Names and values as they stand in an address, without the place of the page.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let statuses = self.statuses.iter().map(|status| ("status", status.to_string()));
        let rest = [
            ("kind", &self.kind),
            ("queue", &self.queue),
            ("worker", &self.worker),
            ("since", &self.since),
            ("text", &self.text),
        ];
        statuses
            .chain(rest.into_iter().map(|(name, value)| (name, value.clone())))
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    /// The list with these filters.
    pub(super) fn url(&self) -> String {
        self.url_of("/tasks", &[])
    }

    /// A page with these filters and more.
    pub(super) fn url_of(&self, path: &str, more: &[(&str, &str)]) -> String {
        let pairs = self.pairs();
        with_query(path, pairs.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()))
    }

    /// The states that are asked for; empty is all.
    pub(super) fn statuses(&self) -> &[TaskStatus] {
        &self.statuses
    }

    fn with_statuses(&self, statuses: Vec<TaskStatus>) -> Self {
        Self { statuses, ..self.clone() }
    }

    fn is_active(&self) -> bool {
        self.pairs().iter().any(|(name, _)| *name != "status")
    }

    /// The filters in words.
    pub(super) fn words(&self) -> Vec<Item> {
        let label = |name: &str| match name {
            "status" => "State",
            "kind" => "Kind",
            "queue" => "Queue",
            "worker" => "Worker",
            "since" => "Submitted",
            _ => "Text",
        };
        let value = |name: &str, value: String| match name {
            "status" => format::sentence(&value),
            "since" => TIMES.iter().find(|(known, ..)| *known == value).map_or(value, |(_, words, _)| (*words).to_owned()),
            _ => value,
        };
        self.pairs().into_iter().map(|(name, text)| Item::new(value(name, text), label(name))).collect()
    }
}

/// A row of the list.
#[derive(Serialize)]
struct Row {
    id: String,
    url: String,
    status: TaskStatus,
    kind: String,
    args_line: String,
    queue: String,
    attempts: i32,
    max_attempts: u32,
    submitted_at: Moment,
    what: String,
    what_at: Option<Moment>,
    progress: Option<ProgressView>,
    worker: Option<String>,
    started_at: Option<Moment>,
    run_seconds: f64,
}

impl Row {
    fn new(status: StatusView, args: Option<&str>, now: Timestamp) -> Self {
        let args = args.and_then(|args| serde_json::from_str(args).ok());
        let (what, what_at) = happens(&status);
        Self {
            url: task_url(&status),
            id: status.task_id.to_string(),
            args_line: args.map(|args| tree::line(&args, SENSITIVE_TEXT)).unwrap_or_default(),
            kind: status.kind.to_string(),
            queue: status.queue.to_string(),
            attempts: status.attempts,
            max_attempts: u32::from(status.max_retries) + 1,
            submitted_at: Moment::new(status.submitted_at, now),
            what,
            what_at: Moment::maybe(what_at, now),
            progress: status.progress.as_ref().map(|progress| ProgressView::new(progress.done, progress.total, None)),
            started_at: Moment::maybe(status.started_at, now),
            run_seconds: status.started_at.map_or(0.0, |started| seconds_between(started, now)),
            worker: status.worker,
            status: status.status,
        }
    }
}

/// Where a task's page is.
pub(super) fn task_url(status: &StatusView) -> String {
    format!("/tasks/{}", status.task_id)
}

/// What a task does or waits for, in a few words, and a moment that belongs behind them.
pub(super) fn happens(status: &StatusView) -> (String, Option<Timestamp>) {
    let ran = || match (status.started_at, status.ended_at) {
        (Some(started), Some(ended)) => format!("Ran {}", format::duration(seconds_between(started, ended))),
        _ => "Ended".into(),
    };
    match status.status {
        TaskStatus::Success => (ran(), None),
        TaskStatus::Failure => {
            (status.error.as_ref().map_or_else(ran, |error| format!("{}: {}", error.kind, error.message)), None)
        }
        TaskStatus::Revoked => (revoked_words(status.reason.as_deref()).into(), None),
        TaskStatus::Started => ("Running".into(), None),
        TaskStatus::Pending | TaskStatus::Retry => {
            let (words, until) = waits(status.waiting_for.as_ref(), status.queue.as_str());
            let failed = status.error.as_ref().filter(|_| status.status == TaskStatus::Retry);
            (failed.map_or_else(|| words.clone(), |error| format!("{}; tries again", error.kind)), until)
        }
    }
}

/// Why a task is REVOKED.
pub(super) fn revoked_words(reason: Option<&str>) -> &'static str {
    match reason {
        Some("expired") => "Expired before it could start",
        Some("purged") => "Revoked by a purge of its queue",
        _ => "Revoked",
    }
}

/// What a task waits for.
pub(super) fn waits(waiting: Option<&WaitingFor>, queue: &str) -> (String, Option<Timestamp>) {
    let Some(waiting) = waiting else { return ("Waits".into(), None) };
    let words = match waiting.reason {
        WaitingReason::Time => "Waits for its time,".into(),
        WaitingReason::Retry => "Tries again".into(),
        WaitingReason::Limit => "Waits for a rate limit".into(),
        WaitingReason::Concurrency => format!("Waits for a free place in the queue {queue}"),
        WaitingReason::Paused => format!("The queue {queue} is paused"),
        WaitingReason::NoWorker => format!("No live worker serves the queue {queue}"),
        WaitingReason::Turn => "Waits its turn".into(),
        WaitingReason::Maintenance => "Maintenance mode is on".into(),
        WaitingReason::Dependency => "Waits for another task".into(),
    };
    (words, waiting.until)
}

fn tabs(query: &ListQuery, running: u64) -> Vec<Choice> {
    let all = Choice {
        label: "All".into(),
        url: query.with_statuses(Vec::new()).url(),
        current: query.statuses.is_empty(),
        count: None,
    };
    let states = [
        TaskStatus::Pending,
        TaskStatus::Started,
        TaskStatus::Retry,
        TaskStatus::Success,
        TaskStatus::Failure,
        TaskStatus::Revoked,
    ];
    let tab = |status: TaskStatus| Choice {
        label: format::sentence(&status.to_string()),
        url: query.with_statuses(vec![status]).url(),
        current: query.statuses == [status],
        count: (status == TaskStatus::Started && running > 0).then_some(running),
    };
    std::iter::once(all).chain(states.map(tab)).collect()
}

/// A page of the list.
pub(in crate::dashboard) async fn list(
    visitor: Visitor,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let query = ListQuery::of(&fields);
    // Whoever pastes an id wants its task.
    if let Ok(id) = Uuid::parse_str(&query.text) {
        return Ok(see_other(&format!("/tasks/{id}")).into_response());
    }
    let now = state.now();
    let page = PageRequest { after: query.after.parse().ok(), limit: PAGE_SIZE };
    let (tasks, queues, workers) = tokio::try_join!(
        state.queue.list_with_args(query.filter(now), &page, &visitor.principal),
        state.queue.queues(),
        state.queue.workers(&visitor.principal),
    )?;
    let running = queues.iter().map(|queue| queue.running).sum();
    let older_url = tasks.next.map(|next| query.url_of("/tasks", &[("after", &next.to_string())]));
    let is_first = query.after.is_empty();
    let pager = Pager {
        note: format::count(tasks.items.len() as u64, "task"),
        newer_url: (!is_first).then(|| query.url()),
        first_url: (!is_first).then(|| query.url()),
        older_url,
        pinned: !is_first,
    };
    let rows: Vec<_> = tasks.items.into_iter().map(|(status, args)| Row::new(status, args.as_deref(), now)).collect();
    let options = |current: &str, names: Vec<String>| {
        let unknown = Some(current.to_owned()).filter(|current| !current.is_empty() && !names.contains(current));
        names.into_iter().chain(unknown).collect::<Vec<_>>()
    };
    let ended_badly = |status: &TaskStatus| matches!(status, TaskStatus::Failure | TaskStatus::Revoked);
    let waits_or_runs = |status: &TaskStatus| !status.is_ended();
    let may_all = |test: fn(&TaskStatus) -> bool| query.statuses.is_empty() || query.statuses.iter().any(test);
    let view = view! {
        tabs => tabs(&query, running),
        filter => view! {
            statuses => query.statuses, text => query.text, kind => query.kind, queue => query.queue, worker => query.worker, since => query.since,
            kinds => options(&query.kind, state.kinds.iter().map(|kind| kind.policy.name.to_string()).collect()),
            queues => options(&query.queue, queues.iter().map(|queue| queue.name.to_string()).collect()),
            workers => options(&query.worker, workers.workers.keys().cloned().collect()),
            times => TIMES.map(|(value, label, _)| Item::new(value, label)),
            active => query.is_active() || !query.statuses.is_empty(),
            clear_url => "/tasks",
            words => query.words().iter().map(|item| format!("{}: {}", item.label, item.value)).collect::<Vec<_>>().join(" · "),
        },
        bulk => view! {
            note => "Newest first",
            retry_url => may_all(ended_badly).then(|| query.url_of("/tasks/bulk", &[("action", "retry")])),
            revoke_url => may_all(waits_or_runs).then(|| query.url_of("/tasks/bulk", &[("action", "revoke")])),
        },
        tasks => rows,
        page => pager,
        example_curl => example_curl(&state.config.public_url),
    };
    Ok(shell::page(&state, &visitor, "tasks", view))
}

fn example_curl(public_url: &str) -> String {
    let example = serde_json::json!({"kind": "system.echo", "args": {"hello": "world"}});
    super::task_form::curl(public_url, "/api/v1/tasks", &example)
}

/// Where the tasks of a kind, a queue or a worker are.
pub(super) fn tasks_of(name: &str, value: &str) -> String {
    with_query("/tasks", [(name, value)])
}

/// Where a kind's page is.
pub(super) fn kind_url(kind: &str) -> String {
    format!("/kinds/{}", path_segment(kind))
}
