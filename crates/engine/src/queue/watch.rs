//! Who waits for news of a task: long polls and event streams.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::broadcast;

use crate::broker::{Broker, Signal};
use crate::domain::{Progress, TaskId, TaskStatus};
use crate::shutdown::Shutdown;

/// So much news may wait for one slow reader; what it misses it finds by looking.
const NEWS_KEPT: usize = 32;

/// News of one task.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It has another state.
    Changed(TaskStatus),
    /// It has told progress.
    Progress(Progress),
}

/// Everybody who waits, by task.
#[derive(Default)]
pub struct Watchers {
    by_task: DashMap<TaskId, broadcast::Sender<News>>,
}

impl Watchers {
    /// Hears the broker's signals until `shutdown`.
    pub(super) fn start(broker: &dyn Broker, shutdown: &Shutdown) -> Arc<Self> {
        let watchers = Arc::new(Self::default());
        let mut signals = broker.signals();
        let (heard, until) = (watchers.clone(), shutdown.clone());
        shutdown.spawn(async move {
            loop {
                tokio::select! {
                    () = until.begun() => return,
                    signal = signals.recv() => match signal {
                        Ok(signal) => heard.notice(&signal),
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                }
            }
        });
        watchers
    }

    /// Passes a signal on to those who wait for its tasks.
    pub(super) fn notice(&self, signal: &Signal) {
        if self.by_task.is_empty() {
            return;
        }
        match signal {
            Signal::Changed { tasks } => {
                for (id, status) in tasks {
                    self.send(*id, News::Changed(*status));
                }
            }
            Signal::Progress { id, progress } => self.send(*id, News::Progress(progress.clone())),
            _ => {}
        }
    }

    fn send(&self, id: TaskId, news: News) {
        if let Some(sender) = self.by_task.get(&id) {
            // Nobody may be listening any more; the entry is removed by the last to leave.
            drop(sender.send(news));
        }
    }

    /// Begins to listen for news of `id`. Listen first, then read the row: so nothing is missed.
    pub(super) fn watch(self: &Arc<Self>, id: TaskId) -> Watch {
        let receiver = self.by_task.entry(id).or_insert_with(|| broadcast::channel(NEWS_KEPT).0).subscribe();
        Watch { id, receiver: Some(receiver), watchers: self.clone() }
    }
}

/// One listener; ends with its drop.
pub struct Watch {
    id: TaskId,
    receiver: Option<broadcast::Receiver<News>>,
    watchers: Arc<Watchers>,
}

impl Watch {
    /// The next news; `None` where some were missed: look at the row.
    pub async fn next(&mut self) -> Option<News> {
        match &mut self.receiver {
            Some(receiver) => receiver.recv().await.ok(),
            None => None,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.receiver = None;
        self.watchers.by_task.remove_if(&self.id, |_, sender| sender.receiver_count() == 0);
    }
}
