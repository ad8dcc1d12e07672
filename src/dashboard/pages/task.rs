//! A task in full: what happened, attempt by attempt, and what can be done.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::super::access::{Posted, Visitor};
use super::super::error::PageError;
use super::super::form::{Notice, tone_of};
use super::super::tree;
use super::super::view::{Fact, Moment, ProgressView, Segment, Tone, seconds_between, segments, with_query};
use super::super::{format, shell};
use super::task_form::curl;
use super::tasks::{kind_url, revoked_words, tasks_of, waits};
use crate::http::{ApiState, AuditNote, TaskPath};
use legwork_engine::domain::{ErrorReport, FilePath, TaskStatus};
use legwork_engine::queue::control::Revoked;
use legwork_engine::queue::view::{AttemptView, StatusView, TaskView};
use legwork_engine::runner::SENSITIVE_TEXT;

/// How long a link to a file on the page is good for.
const LINK_TTL: SignedDuration = SignedDuration::from_hours(1);

#[derive(Serialize)]
struct ErrorView {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    retryable: bool,
    same_url: Option<String>,
    same_count: u64,
}

impl ErrorView {
    fn new(error: &ErrorReport) -> Self {
        Self {
            kind: error.kind.clone(),
            message: error.message.clone(),
            retryable: error.retryable,
            same_url: None,
            same_count: 0,
        }
    }
}

#[derive(Serialize)]
struct EventView {
    id: String,
    icon: &'static str,
    tone: Tone,
    title: String,
    at: Moment,
    worker: Option<String>,
    worker_url: Option<String>,
    seconds: Option<f64>,
    live: bool,
    text: Option<String>,
    error: Option<ErrorView>,
}

#[derive(Serialize)]
struct Timeline {
    total_seconds: f64,
    wait_seconds: f64,
    run_seconds: f64,
    summary: String,
    segments: Vec<Segment>,
    events: Vec<EventView>,
}

fn timeline(task: &TaskView, now: Timestamp) -> Timeline {
    let status = &task.status;
    let until = status.ended_at.unwrap_or(now);
    let (mut parts, mut at, mut ran) = (Vec::new(), status.submitted_at, 0.0);
    for attempt in &task.attempt_log {
        let end = attempt.ended_at.unwrap_or(until);
        let seconds = seconds_between(attempt.started_at, end);
        parts.push((seconds_between(at, attempt.started_at), Tone::Idle));
        parts.push((seconds, attempt_tone(attempt)));
        ran += seconds;
        at = end;
    }
    let total = seconds_between(status.submitted_at, until);
    parts.push((seconds_between(at, until), Tone::Idle));
    // An attempt stays visible beside hours of waiting.
    let least = total / 100.0;
    let visible = parts.into_iter().map(|(seconds, tone)| (if tone == Tone::Idle { seconds } else { seconds.max(least) }, tone));
    let waited = (total - ran).max(0.0);
    Timeline {
        total_seconds: total,
        wait_seconds: waited,
        run_seconds: ran,
        summary: format!("It waited {} and ran {}.", format::duration(waited), format::duration(ran)),
        segments: segments(visible),
        events: events(task, now),
    }
}

fn attempt_tone(attempt: &AttemptView) -> Tone {
    match attempt.outcome {
        "success" => Tone::Ok,
        "running" => Tone::Info,
        "revoked" => Tone::Off,
        "retry" => Tone::Warn,
        _ => Tone::Bad,
    }
}

fn events(task: &TaskView, now: Timestamp) -> Vec<EventView> {
    let status = &task.status;
    let submitted = format!("by {} to the queue {}, priority {}", task.principal, status.queue, status.priority);
    let mut events = vec![EventView {
        id: "submitted".into(),
        icon: "plus",
        tone: Tone::Idle,
        title: "Submitted".into(),
        at: Moment::new(status.submitted_at, now),
        worker: None,
        worker_url: None,
        seconds: None,
        live: false,
        text: Some(submitted),
        error: None,
    }];
    let count = task.attempt_log.len();
    for (place, attempt) in task.attempt_log.iter().enumerate() {
        let next = task.attempt_log.get(place + 1).map(|next| next.started_at);
        events.push(attempt_event(
            place + 1,
            attempt,
            next.or((place + 1 == count && !status.ready).then_some(status.due_at)),
            now,
        ));
    }
    if status.status == TaskStatus::Revoked
        && let Some(ended) = status.ended_at
    {
        let mut event =
            quiet_event("revoked", "stop", Tone::Off, revoked_words(status.reason.as_deref()).into(), Moment::new(ended, now));
        event.text = status.revoke_requested_at.map(|at| format!("The revoke was asked for {}", Moment::new(at, now).text));
        events.push(event);
    }
    events
}

fn quiet_event(id: &str, icon: &'static str, tone: Tone, title: String, at: Moment) -> EventView {
    EventView {
        id: id.into(),
        icon,
        tone,
        title,
        at,
        worker: None,
        worker_url: None,
        seconds: None,
        live: false,
        text: None,
        error: None,
    }
}

fn attempt_event(number: usize, attempt: &AttemptView, next: Option<Timestamp>, now: Timestamp) -> EventView {
    let (icon, words) = match attempt.outcome {
        "success" => ("check", "succeeded"),
        "running" => ("play", "runs"),
        "revoked" => ("stop", "was stopped"),
        "crashed" => ("unplugged", "lost its worker"),
        "retry" => ("alert", "failed"),
        _ => ("close", "failed for good"),
    };
    let is_live = attempt.ended_at.is_none();
    let ended = attempt.ended_at.unwrap_or(now);
    let wait = next.filter(|next| !is_live && *next > ended && attempt.outcome != "success");
    EventView {
        seconds: Some(seconds_between(attempt.started_at, ended)),
        live: is_live,
        worker: Some(attempt.worker.clone()).filter(|worker| !worker.is_empty()),
        worker_url: Some(tasks_of("worker", &attempt.worker)),
        text: wait.map(|next| format!("The next attempt follows after {}", format::duration(seconds_between(ended, next)))),
        error: attempt.error.as_ref().map(ErrorView::new),
        ..quiet_event(
            &attempt.attempt.to_string(),
            icon,
            attempt_tone(attempt),
            format!("Attempt {number} {words}"),
            Moment::new(attempt.started_at, now),
        )
    }
}

/// How the task stands, in a sentence without its end, and a moment for it.
fn sentence(task: &TaskView) -> (String, Option<Timestamp>) {
    let status = &task.status;
    let attempts = format::count(task.attempt_log.len() as u64, "attempt");
    match status.status {
        TaskStatus::Success => (format!("Succeeded after {attempts}"), status.ended_at),
        TaskStatus::Failure => (format!("Failed for good after {attempts}"), status.ended_at),
        TaskStatus::Revoked => (revoked_words(status.reason.as_deref()).into(), status.ended_at),
        TaskStatus::Started if status.revoke_requested_at.is_some() => {
            ("Was asked to stop, and ends at its next checkpoint".into(), None)
        }
        TaskStatus::Started => (format!("Runs on {}", status.worker.as_deref().unwrap_or("a worker")), None),
        TaskStatus::Pending | TaskStatus::Retry => {
            let (words, until) = waits(status.waiting_for.as_ref(), status.queue.as_str());
            (words.trim_end_matches(',').to_owned(), until)
        }
    }
}

fn facts(task: &TaskView, now: Timestamp) -> Vec<Fact> {
    let status = &task.status;
    let related = |label, id: Option<legwork_engine::domain::TaskId>| {
        id.map(|id| Fact::link(label, format::clip(&id.to_string(), 8), format!("/tasks/{id}")))
    };
    let at = |label, at: Option<Timestamp>| at.map(|at| Fact::at(label, Moment::new(at, now)));
    let limit = |seconds: f64| format::duration(seconds);
    [
        Some(Fact::link("Queue", status.queue.to_string(), format!("/queues/{}", status.queue))),
        Some(Fact::text("Priority", status.priority.to_string())),
        Some(Fact::text("Submitted by", task.principal.clone())),
        at("Submitted", Some(status.submitted_at)),
        at("Due", Some(status.due_at).filter(|due| !status.ready && *due > status.submitted_at)),
        at("Started", status.started_at),
        at("Ended", status.ended_at),
        at("Expires", status.expires_at),
        Some(Fact::text("Retries", format!("{} of {}", status.retries, status.max_retries))),
        Some(Fact::text("Time limit", limit(task.time_limit))),
        task.soft_time_limit.map(|seconds| Fact::text("Asked to stop after", limit(seconds))),
        related("Retry of", status.retry_of),
        related("Retried as", status.retried_as),
        task.callback_url.clone().map(|url| Fact::text("Callback", url)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[derive(Serialize)]
struct FileView {
    url: String,
    name: String,
    note: String,
    is_image: bool,
}

/// Stored files that a page links to at most.
const MOST_FILES: usize = 24;

/// The addresses of the stored files that args or result name, as far as they may be read by who looks: a task can name any file.
async fn links(state: &ApiState, visitor: &Visitor, values: &[Option<&Value>]) -> Result<BTreeMap<String, String>, PageError> {
    let mut paths = BTreeSet::new();
    values.iter().flatten().for_each(|value| collect_paths(value, &mut paths, 0));
    let mut links = BTreeMap::new();
    for text in paths {
        let Ok(path) = FilePath::parse(&text) else { continue };
        let is_open = if visitor.is_admin() {
            state.files.find(&path).await.map(|row| row.is_some())
        } else {
            state.files.is_open_to(&path, &visitor.principal.subject).await
        };
        // A storage that is away costs the links, not the page.
        if is_open.unwrap_or(false)
            && let Some(url) = own_link(&state.files.storage().link(&path, state.now() + LINK_TTL))
        {
            links.insert(text, url);
        }
    }
    Ok(links)
}

fn collect_paths(value: &Value, paths: &mut BTreeSet<String>, depth: usize) {
    match value {
        _ if depth > 4 || paths.len() >= MOST_FILES => {}
        Value::String(text) if text.contains('/') && text.len() < 300 && !text.contains(' ') && !text.contains(':') => {
            paths.insert(text.clone());
        }
        Value::Object(fields) => fields.values().take(100).for_each(|field| collect_paths(field, paths, depth + 1)),
        Value::Array(items) => items.iter().take(100).for_each(|item| collect_paths(item, paths, depth + 1)),
        _ => {}
    }
}

/// The link is for the world outside; on our own page, its path is enough.
fn own_link(link: &str) -> Option<String> {
    link.get(link.find("/api/v1/files/")?..).map(str::to_owned)
}

/// The stored files that a result names.
fn files(links: &BTreeMap<String, String>, result: &Value) -> Vec<FileView> {
    let mut found = Vec::new();
    collect_files(links, result, &mut found, 0);
    found
}

fn collect_files(links: &BTreeMap<String, String>, value: &Value, found: &mut Vec<FileView>, depth: usize) {
    match value {
        Value::Object(fields) if depth < 4 => {
            if let Some(path) = fields.get("file_path").and_then(Value::as_str)
                && found.len() < MOST_FILES
                && let Some(url) = links.get(path).cloned()
            {
                let sides = fields.get("width").zip(fields.get("height")).map(|(width, height)| format!("{width} × {height}"));
                let size = fields.get("bytes").and_then(Value::as_u64).map(format::bytes);
                let note = [sides, size].into_iter().flatten().collect::<Vec<_>>().join(", ");
                let extension = path.rsplit('.').next().unwrap_or_default();
                let is_image = matches!(extension, "jpg" | "jpeg" | "png" | "gif" | "webp" | "avif");
                let name = path.rsplit('/').next().unwrap_or(path).to_owned();
                found.push(FileView { url, name, note, is_image });
            }
            fields.values().for_each(|field| collect_files(links, field, found, depth + 1));
        }
        Value::Array(items) if depth < 4 => {
            items.iter().take(MOST_FILES).for_each(|item| collect_files(links, item, found, depth + 1));
        }
        _ => {}
    }
}

fn parsed(text: Option<&str>) -> Option<Value> {
    serde_json::from_str(text?).ok().filter(|value: &Value| !value.is_null())
}

/// The page of a task.
pub(in crate::dashboard) async fn detail(
    visitor: Visitor,
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
) -> Result<Response, PageError> {
    let task = state.queue.detail(id, &visitor.principal).await?.ok_or_else(PageError::no_task)?;
    let now = state.now();
    let status = &task.status;
    let args_text = task.args.as_ref().map(|args| args.get());
    let args = parsed(args_text).unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let result = parsed(status.result.as_ref().map(|result| result.get()));
    let links = links(&state, &visitor, &[Some(&args), result.as_ref()]).await?;
    let as_tree = |value: &Value| tree::tree(value, SENSITIVE_TEXT, &|text| links.get(text).cloned());
    let (sentence, sentence_at) = sentence(&task);
    let is_running = status.status == TaskStatus::Started && status.revoke_requested_at.is_none();
    let can_retry = matches!(status.status, TaskStatus::Failure | TaskStatus::Revoked) && status.retried_as.is_none();
    let known = state.kinds.get(&status.kind);
    let new_url = |name| with_query("/tasks/new", [("kind", status.kind.as_str()), (name, id.to_string().as_str())]);
    let view = view! {
        id => id.to_string(),
        short_id => format::clip(&id.to_string(), 8),
        kind => status.kind.to_string(),
        kind_url => kind_url(status.kind.as_str()),
        status => status.status,
        tone => tone_of(status.status),
        retry_url => can_retry.then(|| format!("/tasks/{id}/retry")),
        edit_url => new_url("retry_of"),
        copy_url => known.filter(|kind| kind.policy.is_public).map(|_| new_url("like")),
        revoke_url => (!status.ready && status.revoke_requested_at.is_none()).then(|| format!("/tasks/{id}/revoke")),
        sentence, sentence_at => Moment::maybe(sentence_at, now),
        sentence_since => is_running.then(|| Moment::maybe(status.started_at, now)).flatten(),
        sentence_seconds => status.started_at.map_or(0.0, |started| seconds_between(started, now)),
        hint => hint(status),
        progress => status.progress.as_ref().filter(|_| !status.ready).map(|p| ProgressView::new(p.done, p.total, p.message.as_deref())),
        error => status.error.as_ref().filter(|_| status.status == TaskStatus::Failure).map(|error| with_same(ErrorView::new(error))),
        files => result.as_ref().map(|value| files(&links, value)).unwrap_or_default(),
        result_json => status.result.as_ref().map(|result| result.get()).filter(|text| text.len() < 65_536),
        result => result.as_ref().map(as_tree),
        args => as_tree(&args),
        args_json => args_text.filter(|text| text.len() < 65_536),
        curl => curl_of(&state, &task, args_text),
        timeline => timeline(&task, now),
        facts => facts(&task, now),
    };
    Ok(shell::page(&state, &visitor, "task", view! { task => view }))
}

/// Where others with the same error are.
fn with_same(error: ErrorView) -> ErrorView {
    ErrorView { same_url: Some(with_query("/tasks", [("status", "FAILURE"), ("text", error.kind.as_str())])), ..error }
}

#[derive(Serialize)]
struct Hint {
    url: String,
    text: &'static str,
}

/// The page where what holds a task up can be changed.
fn hint(status: &StatusView) -> Option<Hint> {
    use legwork_engine::domain::WaitingReason;
    let queue = || format!("/queues/{}", status.queue);
    match status.waiting_for.as_ref()?.reason {
        WaitingReason::Paused => Some(Hint { url: queue(), text: "Open the queue" }),
        WaitingReason::Concurrency => Some(Hint { url: queue(), text: "Open its limits" }),
        WaitingReason::NoWorker => Some(Hint { url: "/workers".into(), text: "Show the workers" }),
        _ => None,
    }
}

fn curl_of(state: &ApiState, task: &TaskView, args: Option<&str>) -> String {
    let args: Value = args.and_then(|args| serde_json::from_str(args).ok()).unwrap_or_default();
    let body = serde_json::json!({"kind": task.status.kind.to_string(), "args": args});
    curl(&state.config.public_url, "/api/v1/tasks", &body)
}

/// Retries a task that ended badly, as it is.
pub(in crate::dashboard) async fn retry(
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
    posted: Posted,
) -> Result<Response, PageError> {
    let posted = posted.by_operator()?;
    let submitted = state.queue.retry(id, &posted.visitor.principal).await?;
    let url = format!("/tasks/{}", submitted.id);
    let note = AuditNote::detail(format!("Retried as {}", submitted.id));
    Ok(note.on(Notice::done("The task was retried: this is the new one. It replaces")
        .with_link(format::clip(&id.to_string(), 8), format!("/tasks/{id}"))
        .shown_at(&url)))
}

/// Revokes a task and returns to its page.
pub(in crate::dashboard) async fn revoke(
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
    posted: Posted,
) -> Result<Response, PageError> {
    let posted = posted.by_operator()?;
    let terminate = posted.fields.text("terminate") == "true";
    let notice = match state.queue.revoke(id, terminate, &posted.visitor.principal).await? {
        Revoked::Revoked => Notice::done("The task is REVOKED and never runs."),
        Revoked::Revoking { .. } => Notice::done("The task was asked to stop."),
    };
    Ok(notice.shown_at(&format!("/tasks/{id}")))
}
