//! Who waits for events of a task: long polls and event streams.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::broadcast;

use crate::broker::{Broker, Signal};
use crate::domain::{Progress, TaskId, TaskStatus};
use crate::shutdown::Shutdown;

/// So much event may wait for one slow reader; what it misses it finds by looking.
const EVENTS_KEPT: usize = 32;

/// An event of one task.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEvent {
    /// It has another state.
    Changed(TaskStatus),
    /// It has told progress.
    Progress(Progress),
}

/// Everybody who waits, by task.
#[derive(Default)]
pub struct EventHub {
    by_task: DashMap<TaskId, broadcast::Sender<TaskEvent>>,
}

impl EventHub {
    /// Hears the broker's signals until `shutdown`.
    pub(super) fn start(broker: &dyn Broker, shutdown: &Shutdown) -> Arc<Self> {
        let hub = Arc::new(Self::default());
        let mut signals = broker.signals();
        let (listener, until) = (hub.clone(), shutdown.clone());
        shutdown.spawn(async move {
            loop {
                tokio::select! {
                    () = until.started() => return,
                    signal = signals.recv() => match signal {
                        Ok(signal) => listener.publish(&signal),
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                }
            }
        });
        hub
    }

    /// Passes a signal on to those who wait for its tasks.
    pub(super) fn publish(&self, signal: &Signal) {
        if self.by_task.is_empty() {
            return;
        }
        match signal {
            Signal::Changed { tasks } => {
                for (id, status) in tasks {
                    self.send(*id, TaskEvent::Changed(*status));
                }
            }
            Signal::Progress { id, progress } => self.send(*id, TaskEvent::Progress(progress.clone())),
            _ => {}
        }
    }

    fn send(&self, id: TaskId, event: TaskEvent) {
        if let Some(sender) = self.by_task.get(&id) {
            // Nobody may be listening any more; the entry is removed by the last to leave.
            drop(sender.send(event));
        }
    }

    /// Starts to listen for events of `id`. Listen first, then read the row: so nothing is missed.
    pub(super) fn subscribe(self: &Arc<Self>, id: TaskId) -> TaskSubscription {
        let receiver = self.by_task.entry(id).or_insert_with(|| broadcast::channel(EVENTS_KEPT).0).subscribe();
        TaskSubscription { id, receiver: Some(receiver), hub: self.clone() }
    }
}

/// One listener; ends with its drop.
pub struct TaskSubscription {
    id: TaskId,
    receiver: Option<broadcast::Receiver<TaskEvent>>,
    hub: Arc<EventHub>,
}

impl TaskSubscription {
    /// The next event; `None` where some were missed: look at the row.
    pub async fn next(&mut self) -> Option<TaskEvent> {
        match &mut self.receiver {
            Some(receiver) => receiver.recv().await.ok(),
            None => None,
        }
    }
}

impl Drop for TaskSubscription {
    fn drop(&mut self) {
        self.receiver = None;
        self.hub.by_task.remove_if(&self.id, |_, sender| sender.receiver_count() == 0);
    }
}
