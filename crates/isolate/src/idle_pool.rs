//! The children that nobody uses, kept for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::process::Process;

pub(super) struct IdlePool {
    keep: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The one used last at the back: that one is taken first, so that the others can go.
    idle: VecDeque<(Instant, Process)>,
    is_watched: bool,
}

impl IdlePool {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, state: Mutex::default() }
    }

    /// Takes an idle child that has not ended. `None` if there is none.
    pub(super) fn take(&self) -> Option<Process> {
        let mut state = self.state.lock();
        while let Some((_, mut process)) = state.idle.pop_back() {
            if process.is_alive() {
                return Some(process);
            }
        }
        None
    }

    pub(super) fn put(self: &Arc<Self>, process: Process) {
        let mut state = self.state.lock();
        state.idle.push_back((Instant::now(), process));
        if !state.is_watched {
            state.is_watched = true;
            tokio::spawn(watch(Arc::downgrade(self), self.keep));
        }
    }
}

/// Ends what nobody has used for `keep`, until nothing is left, or the idle pool itself is gone.
async fn watch(idle_pool: Weak<IdlePool>, keep: Duration) {
    loop {
        let Some(oldest) = idle_pool.upgrade().map(|idle_pool| idle_pool.state.lock().idle.front().map(|(since, _)| *since))
        else {
            return;
        };
        tokio::time::sleep_until(oldest.unwrap_or_else(Instant::now) + keep).await;
        let Some(idle_pool) = idle_pool.upgrade() else { return };
        let mut state = idle_pool.state.lock();
        while state.idle.front().is_some_and(|(since, _)| since.elapsed() >= keep) {
            state.idle.pop_front();
        }
        if state.idle.is_empty() {
            state.is_watched = false;
            return;
        }
    }
}
