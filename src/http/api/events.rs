//! The event stream of a task.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::time::Instant;

use super::super::error::ApiError;
use super::super::extract::{Reader, TaskPath};
use super::super::openapi;
use super::super::state::ApiState;
use legwork_engine::domain::{Principal, Progress, TaskId};
use legwork_engine::queue::event_hub::{TaskEvent, TaskSubscription};
use legwork_engine::queue::view::StatusView;

/// A comment goes out after so long a silence, so that proxies keep the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events may be lost; the row is looked at this often all the same.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The id of the last event of a task. A client that sends it back as `Last-Event-ID` has seen the end.
const LAST_EVENT_ID: &str = "ended";

/// The live events of a task
///
/// Server-sent events: `status` (the same JSON as the status answer) on connect and whenever it changes, and `progress` while it runs. A comment
/// keeps the connection open in silence. The stream ends after the task has ended; a client that is cut off connects again and gets the present status.
/// The last event has the id `ended`: a client that connects again with `Last-Event-ID: ended` is answered 204, after which browsers stay away.
#[utoipa::path(get, path = "/api/v1/tasks/{task_id}/events", tag = "tasks", operation_id = "streamTaskEvents",
    security(("bearer" = ["tasks:read"])), params(openapi::TaskParam),
    responses((status = 204, description = "The task has ended, and the client has seen its last event."),
        (status = 200, description = "The events.", body = String, content_type = "text/event-stream",
        example = json!("event: status\ndata: {\"task_id\":\"0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57\",\"status\":\"STARTED\"}\n\n"))))]
pub(in crate::http) async fn events(
    Reader(principal): Reader,
    State(state): State<ApiState>,
    TaskPath(id): TaskPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let subscription = state.queue.subscribe(id);
    let first = state.queue.status(id, &principal).await?.ok_or_else(ApiError::no_task)?;
    // A browser's EventSource connects again after the end of a stream, until it is answered 204.
    if first.status.is_ended() && headers.get("last-event-id").is_some_and(|id| id.as_bytes() == LAST_EVENT_ID.as_bytes()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let stream = EventStream {
        state,
        id,
        principal,
        subscription,
        pending: Some(first),
        last: None,
        progress: None,
        look_at: Instant::now() + LOOK_EVERY,
    };
    let events = stream::unfold(Some(stream), async |stream| {
        let mut stream = stream?;
        let event = stream.next().await?;
        let rest = (!stream.has_ended()).then_some(stream);
        Some((Ok::<_, Infallible>(event), rest))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here"));
    // Proxies must neither collect nor compress the events: nginx collects them unless it is told not to.
    Ok(([("x-accel-buffering", "no"), ("cache-control", "no-cache, no-transform")], events).into_response())
}

/// What a listener has been told, to tell it changes only.
#[derive(PartialEq)]
struct SentState {
    status: legwork_engine::domain::TaskStatus,
    queue: legwork_engine::domain::QueueName,
    priority: u8,
    attempts: i32,
    due_at: jiff::Timestamp,
    revoke_requested: bool,
}

impl SentState {
    fn of(view: &StatusView) -> Self {
        let revoke_requested = view.revoke_requested_at.is_some();
        Self {
            status: view.status,
            queue: view.queue.clone(),
            priority: view.priority,
            attempts: view.attempts,
            due_at: view.due_at,
            revoke_requested,
        }
    }
}

struct EventStream {
    state: ApiState,
    id: TaskId,
    principal: Principal,
    subscription: TaskSubscription,
    /// A status that was read and not yet sent.
    pending: Option<StatusView>,
    last: Option<SentState>,
    progress: Option<Progress>,
    look_at: Instant,
}

impl EventStream {
    fn has_ended(&self) -> bool {
        self.last.as_ref().is_some_and(|sent| sent.status.is_ended())
    }

    /// The next event; `None` at the end of the process, or of the task's record.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(view) = self.pending.take()
                && let Some(event) = self.event_for(&view)
            {
                return Some(event);
            }
            let shutdown = self.state.shutdown.clone();
            let task_event = tokio::select! {
                biased;
                () = shutdown.started() => return None,
                task_event = self.subscription.next() => task_event,
                () = tokio::time::sleep_until(self.look_at) => None,
            };
            match task_event {
                // What a look at the row has told before its signal came is not told again.
                Some(TaskEvent::Progress(progress)) if self.progress.as_ref() == Some(&progress) => {}
                Some(TaskEvent::Progress(progress)) => {
                    self.progress = Some(progress.clone());
                    return Some(event("progress", &progress));
                }
                Some(TaskEvent::Changed(_)) => self.look().await?,
                // Lost or due: look, but no more often than this, whatever the signals do.
                None => {
                    tokio::select! {
                        () = shutdown.started() => return None,
                        () = tokio::time::sleep_until(self.look_at) => {}
                    }
                    self.look().await?;
                }
            }
        }
    }

    /// Reads the row. A store that is away is asked again at the next look.
    async fn look(&mut self) -> Option<()> {
        self.look_at = Instant::now() + LOOK_EVERY;
        match self.state.queue.status(self.id, &self.principal).await {
            Ok(Some(view)) => self.pending = Some(view),
            Ok(None) => return None,
            Err(error) => tracing::debug!(task.id = %self.id, %error, "an event stream could not look at its task"),
        }
        Some(())
    }

    /// The event of what was read, where it is new.
    fn event_for(&mut self, view: &StatusView) -> Option<Event> {
        let sent = SentState::of(view);
        if self.last.as_ref() != Some(&sent) {
            self.last = Some(sent);
            self.progress.clone_from(&view.progress);
            let event = event("status", view);
            return Some(if view.status.is_ended() { event.id(LAST_EVENT_ID) } else { event });
        }
        if view.progress.is_some() && view.progress != self.progress {
            self.progress.clone_from(&view.progress);
            return view.progress.as_ref().map(|progress| event("progress", progress));
        }
        None
    }
}

fn event(name: &str, data: &impl serde::Serialize) -> Event {
    // Views always serialize, and JSON holds no line breaks that an event could not carry.
    let text = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(text)
}
