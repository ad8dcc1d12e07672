//! The overview: is all well, and where not, why.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::super::access::{Fields, Visitor};
use super::super::error::PageError;
use super::super::history::{History, range_of, range_words, ranges};
use super::super::view::{Moment, Segment, Stat, Tone, with_query};
use super::super::{format, shell};
use super::queues::{OLD_SECONDS, problem, queue_url};
use super::workers::slot_shares;
use crate::http::ApiState;
use legwork_engine::domain::{Maintenance, PageRequest, TaskFilter, TaskStatus, WorkerHealth};
use legwork_engine::queue::statistics::StatisticsRange;
use legwork_engine::queue::view::{QueueView, StatusView, WorkersView};

/// Failures that are looked at for the groups.
const FAILURES_READ: u16 = 200;
/// Groups that are shown.
const GROUPS_SHOWN: usize = 6;
/// Failures of so long count as recent.
const RECENT: SignedDuration = SignedDuration::from_hours(24);
/// Workers that are shown.
const WORKERS_SHOWN: usize = 8;

#[derive(Serialize)]
struct Reason {
    tone: Tone,
    text: String,
    url: Option<String>,
    link: Option<&'static str>,
}

#[derive(Serialize)]
struct Health {
    tone: Tone,
    title: String,
    text: String,
    reasons: Vec<Reason>,
}

/// What is wrong, the worst first.
fn reasons(queues: &[QueueView], workers: &WorkersView) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut add = |tone, text: String, url: String, link| reasons.push(Reason { tone, text, url: Some(url), link: Some(link) });
    if workers.total_workers == 0 {
        add(Tone::Bad, "No worker is alive: tasks are accepted and wait.".into(), "/workers".into(), "Show the workers");
    }
    for queue in queues {
        let since = queue.oldest_seconds.map(format::duration).unwrap_or_default();
        let due = format::count(queue.depth, "task");
        let wait = if queue.depth == 1 { "waits" } else { "wait" };
        if workers.total_workers > 0 && problem(queue).is_some() {
            add(
                Tone::Bad,
                format!("{due} of the queue {} {wait} since {since}: no live worker serves it.", queue.name),
                queue_url(&queue.name),
                "Open the queue",
            );
        } else if queue.paused && queue.depth > 0 {
            add(
                Tone::Warn,
                format!("The queue {} is paused, and {due} {wait} since {since}.", queue.name),
                queue_url(&queue.name),
                "Open the queue",
            );
        } else if queue.oldest_seconds.is_some_and(|seconds| seconds > OLD_SECONDS) {
            add(
                Tone::Warn,
                format!("{due} of the queue {} {wait}, the oldest since {since}.", queue.name),
                queue_url(&queue.name),
                "Open the queue",
            );
        }
    }
    for (name, worker) in &workers.workers {
        let words = match worker.health {
            WorkerHealth::Dead => (Tone::Bad, "gives no sign of life; its tasks run again elsewhere"),
            WorkerHealth::Stalled => (Tone::Warn, "has free slots, but starts none of the tasks that are due"),
            _ => continue,
        };
        add(words.0, format!("The worker {name} {}.", words.1), format!("/workers#w-{}", worker.id), "Show it");
    }
    reasons.sort_by_key(|reason| reason.tone != Tone::Bad);
    reasons
}

/// The maintenance as a reason: nothing is fetched and nothing fires.
fn paused_by(maintenance: &Maintenance) -> Reason {
    let Maintenance { since, reason, principal } = maintenance;
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let text = format!(
        "Maintenance is on since {since} by {principal}{why}. Tasks wait and no schedule fires; `legwork maintenance off` ends it."
    );
    Reason { tone: Tone::Warn, text, url: None, link: None }
}

fn health(queues: &[QueueView], workers: &WorkersView, maintenance: Option<&Maintenance>) -> Health {
    let mut reasons = reasons(queues, workers);
    reasons.splice(..0, maintenance.map(paused_by));
    let is_bad = reasons.iter().any(|reason| reason.tone == Tone::Bad);
    let tone = match (reasons.is_empty(), is_bad) {
        (true, _) => Tone::Ok,
        (false, false) => Tone::Warn,
        (false, true) => Tone::Bad,
    };
    let title = match reasons.len() {
        0 => "All is well".to_owned(),
        1 => "1 problem needs attention".to_owned(),
        count => format!("{count} problems need attention"),
    };
    let oldest = queues.iter().filter_map(|queue| queue.oldest_seconds).fold(0.0, f64::max);
    let waits = if oldest < 1.0 {
        "Nothing waits that is due".to_owned()
    } else {
        format!("Nothing due waits longer than {}", format::duration(oldest.ceil()))
    };
    let run = if workers.total_workers == 1 { "runs" } else { "run" };
    let text = format!(
        "{} {run} {}. {waits}.",
        format::count(workers.total_workers as u64, "worker"),
        format::count(workers.total_active_tasks, "task"),
    );
    Health { tone, title, text, reasons }
}

fn oldest_due(queues: &[QueueView]) -> Option<f64> {
    queues.iter().filter_map(|queue| queue.oldest_seconds).max_by(f64::total_cmp)
}

fn stats(queues: &[QueueView], workers: &WorkersView, history: &History<'_>, range: StatisticsRange) -> Vec<Stat> {
    let sum = |of: fn(&QueueView) -> u64| queues.iter().map(of).sum::<u64>();
    let oldest = queues.iter().filter_map(|queue| queue.oldest_seconds).fold(0.0, f64::max);
    let slots: u64 =
        workers.workers.values().filter(|worker| worker.health != WorkerHealth::Dead).map(|worker| u64::from(worker.slots)).sum();
    let rate: f64 = queues.iter().map(|queue| queue.rate).sum();
    let due = sum(|queue| queue.depth);
    let ended = history.all_kinds();
    let stat = |label, value, note, url: &str| Stat { label, value, note, url: Some(url.to_owned()), tone: None };
    let late = (oldest > OLD_SECONDS).then_some(Tone::Warn);
    let note = if due == 0 { "nothing is due".into() } else { format!("oldest {}", format::duration(oldest)) };
    vec![
        Stat { tone: late, ..stat("Waiting", format::number(due), note, "/queues") },
        stat(
            "Running",
            format::number(sum(|queue| queue.running)),
            format!("of {} slots", format::number(slots)),
            "/tasks?status=STARTED",
        ),
        stat("Scheduled", format::number(sum(|queue| queue.scheduled)), "wait for their time".into(), "/tasks?status=PENDING"),
        stat("Ended", format::short(ended.ended()), format!("{}, now {}", range_words(range), format::rate(rate)), "/tasks"),
        Stat {
            tone: (ended.failed > 0).then_some(Tone::Bad),
            ..stat("Failed", format::short(ended.failed), range_words(range).to_owned(), "/tasks?status=FAILURE")
        },
    ]
}

#[derive(Serialize)]
struct Group {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    count: u64,
    kinds: Vec<String>,
    last_at: Moment,
    url: String,
}

/// Failures with the same error, its numbers and names apart, the most frequent first.
fn groups(failures: Vec<StatusView>, now: Timestamp) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for task in failures {
        let Some(error) = task.error else { continue };
        let ended = task.ended_at.unwrap_or(task.submitted_at);
        let key = (error.kind.clone(), shape(&error.message));
        let group = groups.entry(key).or_insert_with(|| Group {
            url: with_query("/tasks", [("status", "FAILURE"), ("since", "24h"), ("text", error.kind.as_str())]),
            kind: error.kind.clone(),
            message: format::clip(&error.message, 300),
            count: 0,
            kinds: Vec::new(),
            last_at: Moment::new(ended, now),
        });
        group.count += 1;
        let kind = task.kind.to_string();
        if !group.kinds.contains(&kind) && group.kinds.len() < 4 {
            group.kinds.push(kind);
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups.truncate(GROUPS_SHOWN);
    groups
}

/// A message without what differs from one task to the next: words with digits or an at sign.
fn shape(message: &str) -> String {
    let same = |word: &&str| !word.contains(|sign: char| sign.is_ascii_digit() || sign == '@' || sign == '/');
    message.split_whitespace().filter(same).take(12).collect::<Vec<_>>().join(" ")
}

#[derive(Serialize)]
struct WorkerRow {
    name: String,
    health: WorkerHealth,
    active: u32,
    slots: u32,
    url: String,
    shares: Vec<Segment>,
}

/// Serves the overview page.
pub(in crate::dashboard) async fn overview(
    visitor: Visitor,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let now = state.now();
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let (range_word, range) = range_of(query.text("range"));
    let is_worst = query.text("order") == "worst";
    let filter = TaskFilter { statuses: vec![TaskStatus::Failure], submitted_from: Some(now - RECENT), ..TaskFilter::default() };
    let (queues, workers, failures, statistics) = tokio::try_join!(
        state.queue.queues(),
        state.queue.workers(&visitor.principal),
        state.queue.list(filter, &PageRequest { after: None, limit: FAILURES_READ }, &visitor.principal),
        state.queue.statistics(range),
    )?;
    let rows = workers.workers.iter().take(WORKERS_SHOWN).map(|(name, worker)| WorkerRow {
        name: name.clone(),
        health: worker.health,
        active: worker.active.min(worker.slots),
        slots: worker.slots,
        url: format!("/workers#w-{}", worker.id),
        shares: slot_shares(worker),
    });
    let history = History::new(&statistics, range);
    let maintenance = state.queue.maintenance().await?;
    let (due, oldest) = (queues.iter().map(|queue| queue.depth).sum(), oldest_due(&queues));
    let order_url = |order: &str| with_query("/", [("order", order), ("range", query.text("range"))]);
    let kinds = view! {
        order => if is_worst { "worst" } else { "busiest" },
        busiest_url => order_url(""),
        worst_url => order_url("worst"),
        rows => history.kinds(is_worst),
    };
    let view = view! {
        ranges => ranges("/", range_word, &[("order", query.text("order"))]),
        charts => [history.throughput(None), history.run_time(None), history.failures(), history.waiting(None, due, oldest)],
        kinds,
        health => health(&queues, &workers, maintenance.as_ref()),
        stats => stats(&queues, &workers, &history, range),
        failures => groups(failures.items, now),
        workers => rows.collect::<Vec<_>>(),
    };
    Ok(shell::page(&state, &visitor, "overview", view))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_numbers_and_names_are_of_one_shape() {
        let first = shape("550 5.1.1 <kofi@example.com>: Recipient address rejected");
        assert_eq!(first, shape("550 5.1.1 <ama@example.org>: Recipient address rejected"));
        assert_ne!(first, shape("The attempt ran longer than its hard limit"));
    }
}
