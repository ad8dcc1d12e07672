//! The generic batcher: a write is shared by all who wait for one.
//!
//! It collects while the last write is under way and never waits on a timer: at low load a write carries one item and latency is one
//! commit; at high load throughput follows the store's multi-row rate. It owns its work: a caller that hangs up does not undo a write.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, oneshot};

/// How a batch is written.
#[async_trait]
pub trait Flush<T, R>: Send + Sync + 'static {
    /// Writes the batch and answers everybody, in the order of the values. May go on working after the answers.
    async fn flush(&self, values: Vec<T>, answers: Answers<R>);

    /// About how many bytes `value` adds to a write. Values whose size is small and bounded count as nothing.
    fn bytes(&self, value: &T) -> usize {
        let _ = value;
        0
    }
}

/// The callers of a batch, in order.
pub struct Answers<R>(Vec<Option<oneshot::Sender<R>>>);

impl<R> Answers<R> {
    /// Answers each caller; those that have hung up are passed over.
    pub fn send(self, answers: impl IntoIterator<Item = R>) {
        for (caller, answer) in self.0.into_iter().zip(answers) {
            if let Some(caller) = caller {
                // A caller that has hung up loses its answer, not its write.
                drop(caller.send(answer));
            }
        }
    }

    /// Answers the caller at this place of the batch, before the others. A second answer is dropped.
    pub fn send_one(&mut self, place: usize, answer: R) {
        if let Some(caller) = self.0.get_mut(place).and_then(Option::take) {
            drop(caller.send(answer));
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Too many wait already, or the answer did not come in time. Whether the write was done is not known.
    #[error("no answer in time")]
    TimedOut,
    /// The process is ending.
    #[error("the process is ending")]
    Closed,
}

/// How much a batcher takes.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Writes under way at once.
    pub flushers: usize,
    /// Items in one write at most.
    pub batch: usize,
    /// Bytes in one write at most, but for an item that is larger by itself.
    pub batch_bytes: usize,
    /// Items that wait at most; who comes then waits for a place.
    pub waiting: usize,
    /// How long a caller waits for its answer.
    pub deadline: Duration,
}

struct Item<T, R> {
    value: T,
    caller: oneshot::Sender<R>,
}

/// A handle for callers; clones share the batcher. It ends when the last handle is dropped and all that waited is written.
pub struct Batcher<T, R> {
    sender: mpsc::Sender<Item<T, R>>,
    deadline: Duration,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), deadline: self.deadline }
    }
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    #[expect(clippy::needless_pass_by_value, reason = "a batcher takes its flush over")]
    /// Starts the flushers. They end by themselves, after the last handle.
    pub fn start(limits: BatchLimits, flush: Arc<dyn Flush<T, R>>) -> Self {
        let (sender, receiver) = mpsc::channel(limits.waiting);
        let inbox = Arc::new(Mutex::new(Inbox { receiver, next: None }));
        for _ in 0..limits.flushers.max(1) {
            tokio::spawn(run_flusher(inbox.clone(), flush.clone(), limits));
        }
        Self { sender, deadline: limits.deadline }
    }

    /// Hands over `value` and waits for the answer of its write.
    pub async fn submit(&self, value: T) -> Result<R, BatchError> {
        let answered = async { self.enqueue(value).await?.await.map_err(|_| BatchError::Closed) };
        tokio::time::timeout(self.deadline, answered).await.unwrap_or(Err(BatchError::TimedOut))
    }

    /// Hands over `value`; the answer comes through the receiver. Waits only where too many wait already.
    pub async fn enqueue(&self, value: T) -> Result<oneshot::Receiver<R>, BatchError> {
        let (caller, answer) = oneshot::channel();
        self.sender.send(Item { value, caller }).await.map_err(|_| BatchError::Closed)?;
        Ok(answer)
    }

    /// Hands over many and waits for all answers, in order.
    pub async fn submit_all(&self, values: Vec<T>) -> Vec<Result<R, BatchError>> {
        let deadline = tokio::time::Instant::now() + self.deadline;
        let mut waiting = Vec::with_capacity(values.len());
        for value in values {
            let handed = tokio::time::timeout_at(deadline, self.enqueue(value)).await;
            waiting.push(handed.unwrap_or(Err(BatchError::TimedOut)));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answer in waiting {
            answers.push(match answer {
                Err(error) => Err(error),
                Ok(answer) => match tokio::time::timeout_at(deadline, answer).await {
                    Ok(Ok(answer)) => Ok(answer),
                    Ok(Err(_)) => Err(BatchError::Closed),
                    Err(_) => Err(BatchError::TimedOut),
                },
            });
        }
        answers
    }
}

/// What waits to be written.
struct Inbox<T, R> {
    receiver: mpsc::Receiver<Item<T, R>>,
    /// The first of the next batch: it was taken, and was too large for the batch before.
    next: Option<Item<T, R>>,
}

impl<T: 'static, R: 'static> Inbox<T, R> {
    /// Takes the next batch; it is empty once all handles are gone and nothing waits.
    async fn take(&mut self, flush: &dyn Flush<T, R>, limits: &BatchLimits) -> Vec<Item<T, R>> {
        let first = match self.next.take() {
            Some(next) => Some(next),
            None => self.receiver.recv().await,
        };
        let Some(first) = first else { return Vec::new() };
        let mut bytes = flush.bytes(&first.value);
        let mut items = vec![first];
        while items.len() < limits.batch {
            let Ok(item) = self.receiver.try_recv() else { break };
            bytes = bytes.saturating_add(flush.bytes(&item.value));
            if bytes > limits.batch_bytes {
                self.next = Some(item);
                break;
            }
            items.push(item);
        }
        items
    }
}

/// Takes what waits, writes it, and again, until all handles are gone and nothing waits.
async fn run_flusher<T, R>(inbox: Arc<Mutex<Inbox<T, R>>>, flush: Arc<dyn Flush<T, R>>, limits: BatchLimits)
where
    T: Send + 'static,
    R: Send + 'static,
{
    loop {
        // One flusher collects at a time; the others write or wait for their turn to collect.
        let items = inbox.lock().await.take(flush.as_ref(), &limits).await;
        if items.is_empty() {
            return;
        }
        let (values, callers) = items.into_iter().map(|item| (item.value, Some(item.caller))).unzip();
        flush.flush(values, Answers(callers)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    /// Doubles numbers; each write waits for a permit, so that the test says when a write ends.
    struct Doubler {
        gate: Semaphore,
        sizes: parking_lot::Mutex<Vec<usize>>,
    }

    #[async_trait]
    impl Flush<u32, u32> for Doubler {
        async fn flush(&self, values: Vec<u32>, answers: Answers<u32>) {
            self.sizes.lock().push(values.len());
            self.gate.acquire().await.unwrap().forget();
            answers.send(values.into_iter().map(|value| value * 2));
        }

        fn bytes(&self, value: &u32) -> usize {
            *value as usize
        }
    }

    fn doubler(permits: usize) -> Arc<Doubler> {
        Arc::new(Doubler { gate: Semaphore::new(permits), sizes: parking_lot::Mutex::default() })
    }

    const LIMITS: BatchLimits =
        BatchLimits { flushers: 1, batch: 100, batch_bytes: 10_000, waiting: 1000, deadline: Duration::from_mins(1) };

    #[tokio::test]
    async fn what_comes_while_a_write_is_under_way_shares_the_next_one() {
        let flush = doubler(0);
        let batcher = Batcher::start(LIMITS, flush.clone());
        let first = batcher.enqueue(1).await.unwrap();
        while flush.sizes.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        let mut rest = Vec::new();
        for number in 2..=50 {
            rest.push(batcher.enqueue(number).await.unwrap());
        }
        flush.gate.add_permits(2);
        assert_eq!(first.await.unwrap(), 2);
        for (number, answer) in (2..=50).zip(rest) {
            assert_eq!(answer.await.unwrap(), number * 2);
        }
        assert_eq!(*flush.sizes.lock(), [1, 49]);
    }

    #[tokio::test]
    async fn a_write_is_bounded_by_bytes_and_the_rest_comes_in_order() {
        let flush = doubler(100);
        let batcher = Batcher::start(BatchLimits { batch_bytes: 10, ..LIMITS }, flush.clone());
        let answers = batcher.submit_all(vec![4, 4, 4, 40, 1, 9, 1]).await;
        assert_eq!(answers, [8, 8, 8, 80, 2, 18, 2].map(Ok));
        assert_eq!(*flush.sizes.lock(), [2, 1, 1, 2, 1]);
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_does_not_undo_the_write() {
        let flush = doubler(10);
        let batcher = Batcher::start(LIMITS, flush.clone());
        drop(batcher.enqueue(1).await.unwrap());
        assert_eq!(batcher.submit(2).await, Ok(4));
        assert_eq!(flush.sizes.lock().iter().sum::<usize>(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn every_wait_has_a_deadline() {
        let batcher = Batcher::start(LIMITS, doubler(0));
        assert_eq!(batcher.submit(1).await, Err(BatchError::TimedOut));
    }
}
