//! Workers: how each fares, what it runs, and how to drain it.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::access::{Posted, Visitor};
use super::super::error::PageError;
use super::super::form::Notice;
use super::super::view::{Moment, Segment, Tone, path_segment, seconds_between, segments};
use super::super::{format, shell};
use super::tasks::tasks_of;
use crate::http::{ApiState, NamePath};
use legwork_engine::domain::WorkerHealth;
use legwork_engine::queue::view::WorkerView;
use legwork_engine::store::WorkerCommand;

/// Running tasks that a card names.
const RUNNING_LISTED: usize = 6;
/// A task that runs longer than this stands out.
const LONG_SECONDS: f64 = 600.0;

#[derive(Serialize)]
struct Running {
    id: String,
    url: String,
    kind: String,
    started_at: Option<Moment>,
    seconds: f64,
    is_long: bool,
}

#[derive(Serialize)]
struct Card {
    anchor: String,
    name: String,
    health: WorkerHealth,
    reason: Option<&'static str>,
    tone: Option<Tone>,
    active: u32,
    slots: u32,
    queues: Vec<String>,
    shares: Vec<Segment>,
    running: Vec<Running>,
    running_more: u64,
    tasks_url: String,
    total: u64,
    failed: u64,
    memory_bytes: u64,
    started_at: Moment,
    up_seconds: f64,
    host: String,
    pid: u32,
    version: String,
    heartbeat_at: Moment,
    drain_url: Option<String>,
}

/// Why a worker is not healthy.
pub(super) fn reason(health: WorkerHealth) -> Option<(&'static str, Tone)> {
    match health {
        WorkerHealth::Healthy => None,
        WorkerHealth::Stalled => {
            Some(("It gives signs of life and has free slots, but starts none of the tasks that are due.", Tone::Warn))
        }
        WorkerHealth::Draining => Some(("It finishes what it runs and fetches nothing new.", Tone::Info)),
        WorkerHealth::Dead => Some(("It gives no sign of life. Its tasks run again elsewhere within 45 seconds.", Tone::Bad)),
    }
}

/// How many of the slots are busy.
pub(super) fn slot_shares(worker: &WorkerView) -> Vec<Segment> {
    let tone = match worker.health {
        WorkerHealth::Healthy => Tone::C1,
        WorkerHealth::Draining => Tone::Info,
        WorkerHealth::Stalled => Tone::Warn,
        WorkerHealth::Dead => Tone::Idle,
    };
    let free = f64::from(worker.slots.saturating_sub(worker.active));
    // What is free shows the track beneath.
    let laid = segments([(f64::from(worker.active), tone), (free, Tone::Idle)]);
    laid.into_iter().take(usize::from(worker.active > 0)).collect()
}

fn card(name: &str, worker: &WorkerView, now: Timestamp) -> Card {
    let explained = reason(worker.health);
    let running = worker.running.iter().take(RUNNING_LISTED).map(|task| {
        let seconds = task.started_at.map_or(0.0, |started| seconds_between(started, now));
        Running {
            id: task.task_id.to_string(),
            url: format!("/tasks/{}", task.task_id),
            kind: task.kind.to_string(),
            started_at: Moment::maybe(task.started_at, now),
            seconds,
            is_long: seconds > LONG_SECONDS,
        }
    });
    Card {
        anchor: format!("w-{}", worker.id),
        name: name.to_owned(),
        health: worker.health,
        reason: explained.map(|(reason, _)| reason),
        tone: explained.map(|(_, tone)| tone),
        active: worker.active.min(worker.slots),
        slots: worker.slots,
        queues: worker.queues.iter().map(ToString::to_string).collect(),
        shares: slot_shares(worker),
        running: running.collect(),
        running_more: worker.running.len().saturating_sub(RUNNING_LISTED) as u64,
        tasks_url: tasks_of("worker", name),
        total: worker.total,
        failed: worker.failed,
        memory_bytes: worker.memory_bytes,
        started_at: Moment::new(worker.started_at, now),
        up_seconds: seconds_between(worker.started_at, now),
        host: worker.host.clone(),
        pid: worker.pid,
        version: worker.version.clone(),
        heartbeat_at: Moment::new(worker.heartbeat_at, now),
        drain_url: matches!(worker.health, WorkerHealth::Healthy | WorkerHealth::Stalled)
            .then(|| format!("/workers/{}/drain", path_segment(name))),
    }
}

/// All workers that are not gone.
pub(in crate::dashboard) async fn list(visitor: Visitor, State(state): State<ApiState>) -> Result<Response, PageError> {
    let view = state.queue.workers(&visitor.principal).await?;
    let now = state.now();
    let cards: Vec<_> = view.workers.iter().map(|(name, worker)| card(name, worker, now)).collect();
    let (busy, slots) = cards.iter().fold((0, 0), |(busy, slots), card| (busy + card.active, slots + card.slots));
    let summary = format!("{}, {busy} of {slots} slots busy.", format::count(cards.len() as u64, "worker"));
    Ok(shell::page(&state, &visitor, "workers", view! { summary, workers => cards }))
}

/// Tells a worker to fetch nothing new.
pub(in crate::dashboard) async fn drain(
    State(state): State<ApiState>,
    NamePath(name): NamePath,
    posted: Posted,
) -> Result<Response, PageError> {
    posted.by_operator()?;
    let notice = if state.queue.command_worker(&name, WorkerCommand::Drain).await? {
        Notice::done(format!("The worker {} drains: it finishes what it runs and fetches nothing new.", format::clip(&name, 80)))
    } else {
        Notice::not_done(format!("There is no live worker {}.", format::clip(&name, 80)))
    };
    Ok(notice.shown_at("/workers"))
}
