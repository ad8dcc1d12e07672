//! Whether ends can be written. While they cannot, nothing is started: its end would be lost, and it would run again.

use std::sync::Arc;

use tokio::sync::watch;

#[derive(Clone, Debug, Default)]
struct State {
    /// Writes of ends that are being repeated because the store did not take them.
    failing_writes: usize,
    /// Why the last of them failed.
    write_failure: String,
    /// What the store lacks to take the ends of today, as the sweeps found it.
    missing: Option<String>,
}

impl State {
    fn reason(&self) -> Option<&str> {
        self.missing.as_deref().or_else(|| (self.failing_writes > 0).then_some(self.write_failure.as_str()))
    }
}

/// Closed while ends cannot be written. The workers, the sweeps and the readiness check of a process ask it.
#[derive(Debug, Default)]
pub struct SettleGate(watch::Sender<State>);

impl SettleGate {
    /// Why ends cannot be written; `None` where they can.
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().reason().map(str::to_owned)
    }

    /// Whether ends can be written.
    pub fn is_open(&self) -> bool {
        self.0.borrow().reason().is_none()
    }

    /// Resolves when ends can be written.
    pub async fn opened(&self) {
        let mut states = self.0.subscribe();
        // It cannot fail: the sender lives as long as we do.
        drop(states.wait_for(|state| state.reason().is_none()).await);
    }

    /// Notes what the store lacks to take the ends of today, or that it lacks nothing.
    pub(super) fn note_missing(&self, missing: Option<String>) {
        self.0.send_if_modified(|state| {
            let is_other = state.missing != missing;
            state.missing = missing;
            is_other
        });
    }

    /// Closes it for as long as the answer is kept.
    pub(super) fn close(self: &Arc<Self>, reason: String) -> FailingWrite {
        self.0.send_modify(|state| {
            state.failing_writes += 1;
            state.write_failure = reason;
        });
        FailingWrite(self.clone())
    }
}

/// A write of ends that is being repeated.
#[derive(Debug)]
pub(super) struct FailingWrite(Arc<SettleGate>);

impl FailingWrite {
    /// Notes why it failed this time.
    pub(super) fn failed_again(&self, reason: String) {
        self.0.0.send_modify(|state| state.write_failure = reason);
    }
}

impl Drop for FailingWrite {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.failing_writes -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_closed_while_any_write_fails_or_something_is_missing() {
        let gate = Arc::new(SettleGate::default());
        assert!(gate.is_open());
        let (first, second) = (gate.close("no room".into()), gate.close("no right".into()));
        drop(first);
        assert_eq!(gate.reason().as_deref(), Some("no right"));
        second.failed_again("no partition".into());
        assert_eq!(gate.reason().as_deref(), Some("no partition"));
        drop(second);
        gate.opened().await;
        gate.note_missing(Some("no partition for today".into()));
        assert!(!gate.is_open());
        gate.note_missing(None);
        gate.opened().await;
    }
}
