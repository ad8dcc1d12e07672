//! Folds progress: an attempt tells as often as it likes, the store is written at most twice a second a task.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::Notify;

use super::running::{Running, StopReason};
use crate::domain::{Attempt, Progress, TaskId};
use crate::queue::Queue;
use crate::runner::ProgressSink;

/// The least time between two writes.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// The latest progress of every attempt, until it is written.
#[derive(Default)]
pub struct ProgressBook {
    latest: DashMap<TaskId, (Attempt, Progress)>,
    reported: Notify,
}

impl ProgressBook {
    /// Writes what was told, for as long as it is polled.
    pub async fn run(self: Arc<Self>, queue: Arc<Queue>, running: Arc<Running>) {
        loop {
            self.reported.notified().await;
            self.write(&queue, &running).await;
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }

    /// Writes what was told since the last write.
    pub async fn write(&self, queue: &Queue, running: &Running) {
        let reported: Vec<(TaskId, (Attempt, Progress))> =
            self.latest.iter().map(|entry| (*entry.key(), entry.value().clone())).collect();
        for (id, reported) in reported {
            let (attempt, progress) = reported.clone();
            if let Some(here) = running.get(id).filter(|here| here.attempt == attempt) {
                match queue.progress(id, attempt, progress).await {
                    Ok(true) => {}
                    Ok(false) => here.cancel_handle.cancel(StopReason::LeaseLost),
                    Err(error) => {
                        tracing::debug!(task.id = %id, %error, "progress could not be written yet");
                        self.reported.notify_one();
                        continue;
                    }
                }
            }
            // Not before it is written: an end that overtakes the write takes it along.
            self.latest.remove_if(&id, |_, latest| *latest == reported);
        }
    }

    /// What an attempt told that is not written yet, to be written with its end: nothing of an ended attempt is written by itself.
    pub fn take_last(&self, id: TaskId, attempt: Attempt) -> Option<Progress> {
        self.latest.remove_if(&id, |_, (of, _)| *of == attempt).map(|(_, (_, progress))| progress)
    }

    /// Where one attempt tells its progress.
    pub fn sink(self: &Arc<Self>, id: TaskId, attempt: Attempt) -> Arc<dyn ProgressSink> {
        Arc::new(AttemptSink { book: self.clone(), id, attempt })
    }
}

struct AttemptSink {
    book: Arc<ProgressBook>,
    id: TaskId,
    attempt: Attempt,
}

impl ProgressSink for AttemptSink {
    fn report(&self, progress: Progress) {
        self.book.latest.insert(self.id, (self.attempt, progress));
        self.book.reported.notify_one();
    }
}
