//! Shutdown as a type: one token that all loops watch, one tracker that knows when they have ended.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Handed to every long-running loop. Cloning gives another handle to the same shutdown.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Shutdown {
    /// Creates the value at the start of the process. Nothing is stopping yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every loop to end.
    pub fn start(&self) {
        self.token.cancel();
    }

    /// Whether the end was asked for.
    pub fn is_started(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Resolves when the end is asked for.
    pub async fn started(&self) {
        self.token.cancelled().await;
    }

    /// The token itself, for code that takes one.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Spawns a loop that [`finished`](Shutdown::finished) will wait for.
    pub fn spawn<F>(&self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(work)
    }

    /// Resolves when every spawned loop has ended.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
