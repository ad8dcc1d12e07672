//! Tells open pages that something changed; they fetch themselves again.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;

use super::access::Visitor;
use crate::http::ApiState;

/// Changes are told at most so often: a page takes its time to render.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// Submissions send no signal, so a page looks again after this anyway.
const MOST_PAUSE: Duration = Duration::from_secs(5);
/// A proxy would close a connection that is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A stream of `change` events.
pub(super) async fn changes(
    _visitor: Visitor,
    State(state): State<ApiState>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let signals = state.queue.signals();
    let shutdown = state.shutdown.clone();
    let stream = futures_util::stream::unfold((signals, shutdown), async |(mut signals, shutdown)| {
        let changed = async {
            tokio::time::sleep(LEAST_PAUSE).await;
            let quiet = tokio::time::sleep(MOST_PAUSE.saturating_sub(LEAST_PAUSE));
            tokio::select! {
                () = quiet => true,
                // What was missed is a change, too.
                signal = signals.recv() => !matches!(signal, Err(RecvError::Closed)),
            }
        };
        let goes_on = tokio::select! {
            goes_on = changed => goes_on,
            () = shutdown.started() => false,
        };
        let event = Event::default().event("change").data("1");
        goes_on.then_some((Ok(event), (signals, shutdown)))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
