//! The broker inside one process: the same contract as Redis, kept by one lock and a list of those who wait.
//!
//! A publish wakes at most as many waiting fetches as it brings references, and only such as serve their queues. A fetch that was woken
//! and goes away before it has looked wakes the next one in its place.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, timeout_at};

use super::fair_share::{FairShare, Turn};
use super::{Broker, BrokerError, Delivery, FetchRequest, QueueQuota, Signal};
use crate::domain::{Dispatch, PriorityBand, QueueName, TaskRef};

/// A listener that falls behind by more loses the oldest; signals may be lost.
const KEPT_SIGNALS: usize = 4096;

/// The broker of a single process.
pub struct MemoryBroker {
    state: Mutex<State>,
    signals: broadcast::Sender<Arc<Signal>>,
}

#[derive(Default)]
struct State {
    streams: HashMap<QueueName, [Stream; 3]>,
    fair_share: FairShare,
    waiting: VecDeque<Waiter>,
    next_waiter: u64,
    /// A wake that found nobody waiting ends the next wait.
    woken_ahead: bool,
    closed: bool,
}

/// One queue and band.
type Stream = VecDeque<Entry>;

struct Entry {
    task: TaskRef,
    dispatched_at: Timestamp,
}

struct Waiter {
    id: u64,
    queues: Vec<QueueName>,
    waker: oneshot::Sender<WakeReason>,
}

/// Why a waiting fetch goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WakeReason {
    /// Something has come for it.
    Work,
    /// It is to return.
    Wake,
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self { state: Mutex::default(), signals: broadcast::Sender::new(KEPT_SIGNALS) }
    }
}

impl MemoryBroker {
    /// What is there, or else a place in the line of those who wait.
    fn take_or_wait(&self, request: &FetchRequest, may_wait: bool) -> Result<Taken<'_>, BrokerError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        let taken = state.take(request);
        if !taken.is_empty() || !may_wait || std::mem::take(&mut state.woken_ahead) {
            return Ok(Taken::Now(taken));
        }
        let (waker, woken) = oneshot::channel();
        let id = state.next_waiter;
        state.next_waiter += 1;
        let queues: Vec<QueueName> = match request.max {
            0 => Vec::new(),
            _ => request.quotas.iter().filter(|quota| quota.max > 0).map(|quota| quota.queue.clone()).collect(),
        };
        state.waiting.push_back(Waiter { id, queues: queues.clone(), waker });
        Ok(Taken::Later(WaitingFetch { broker: self, id, queues, woken: Some(woken) }))
    }
}

enum Taken<'a> {
    Now(Vec<Delivery>),
    Later(WaitingFetch<'a>),
}

/// A place among those who wait.
struct WaitingFetch<'a> {
    broker: &'a MemoryBroker,
    id: u64,
    queues: Vec<QueueName>,
    /// `None` once it was answered.
    woken: Option<oneshot::Receiver<WakeReason>>,
}

impl WaitingFetch<'_> {
    /// Why the wait ended; `None` at the deadline.
    async fn wait(mut self, until: Instant) -> Option<WakeReason> {
        let woken = self.woken.as_mut()?;
        let reason = timeout_at(until, woken).await.ok()?.ok();
        self.woken = None;
        reason
    }
}

impl Drop for WaitingFetch<'_> {
    fn drop(&mut self) {
        let Some(mut woken) = self.woken.take() else { return };
        let mut state = self.broker.state.lock();
        if let Some(at) = state.waiting.iter().position(|waiter| waiter.id == self.id) {
            state.waiting.remove(at);
        } else if woken.try_recv() == Ok(WakeReason::Work) {
            // It was woken in place of another, who must not sleep beside work.
            state.pass_on(&self.queues);
        }
    }
}

impl State {
    /// Takes what is there by the rules of the port.
    fn take(&mut self, request: &FetchRequest) -> Vec<Delivery> {
        let mut quotas: Vec<QueueQuota> =
            request.quotas.iter().filter(|quota| quota.max > 0 && self.streams.contains_key(&quota.queue)).cloned().collect();
        if request.max == 0 || quotas.is_empty() {
            return Vec::new();
        }
        let turn = self.fair_share.next(request.max);
        let first = turn.first_queue % quotas.len();
        quotas.rotate_left(first);
        let mut selection = Selection { streams: &mut self.streams, room: quotas, left: request.max, taken: Vec::new() };
        selection.fill(turn);
        let taken = selection.taken;
        self.fair_share.handed_out(taken.len());
        taken
    }

    /// Wakes up to `count` of those who wait for this queue, in the order in which they came.
    fn wake_waiters(&mut self, queue: &QueueName, mut count: usize) {
        let mut at = 0;
        while count > 0 && at < self.waiting.len() {
            if !self.waiting[at].queues.contains(queue) {
                at += 1;
            } else if let Some(waiter) = self.waiting.remove(at)
                && waiter.waker.send(WakeReason::Work).is_ok()
            {
                count -= 1;
            }
        }
    }

    fn pass_on(&mut self, queues: &[QueueName]) {
        for queue in queues {
            let count = self.streams.get(queue).map_or(0, |bands| bands.iter().map(VecDeque::len).sum());
            self.wake_waiters(queue, count.min(1));
        }
    }

    fn wake_all(&mut self) {
        for waiter in self.waiting.drain(..) {
            // Who does not listen any more has gone by himself.
            let _sent = waiter.waker.send(WakeReason::Wake);
        }
    }
}

/// A fetch under way.
struct Selection<'a> {
    streams: &'a mut HashMap<QueueName, [Stream; 3]>,
    /// What each queue may still give, in the order of their turn.
    room: Vec<QueueQuota>,
    left: usize,
    taken: Vec<Delivery>,
}

impl Selection<'_> {
    /// Band by band, but for what is owed to those below the first one that has work.
    fn fill(&mut self, turn: Turn) {
        let mut owed = turn.owed;
        let mut top = None;
        for band in PriorityBand::ALL {
            if self.take(band, self.left.saturating_sub(owed)) > 0 && top.is_none() {
                top = Some(band);
            }
        }
        let (one, other) =
            if turn.lowest_first { (PriorityBand::Low, PriorityBand::Normal) } else { (PriorityBand::Normal, PriorityBand::Low) };
        let half = owed.div_ceil(2);
        for (band, share) in [(one, half), (other, owed - half), (one, owed), (other, owed)] {
            if top.is_none_or(|top| band > top) {
                owed -= self.take(band, share.min(owed).min(self.left));
            }
        }
        for band in PriorityBand::ALL {
            self.take(band, self.left);
        }
    }

    /// Takes up to `count` of one band, the queues sharing it evenly, and what one leaves goes to the others.
    fn take(&mut self, band: PriorityBand, count: usize) -> usize {
        let mut left = count;
        loop {
            let mut open = (0..self.room.len()).filter(|&quota| self.offers(quota, band) > 0).count();
            if left == 0 || open == 0 {
                return count - left;
            }
            for quota in 0..self.room.len() {
                let offers = self.offers(quota, band);
                if offers > 0 && left > 0 {
                    let share = offers.min(left.div_ceil(open));
                    open -= 1;
                    self.take_from(quota, band, share);
                    left -= share;
                }
            }
        }
    }

    fn offers(&self, quota: usize, band: PriorityBand) -> usize {
        let quota = &self.room[quota];
        self.streams.get(&quota.queue).map_or(0, |bands| bands[band as usize].len().min(quota.max))
    }

    fn take_from(&mut self, quota: usize, band: PriorityBand, count: usize) {
        let quota = &mut self.room[quota];
        let Some(bands) = self.streams.get_mut(&quota.queue) else { return };
        let stream = &mut bands[band as usize];
        quota.max -= count;
        self.left -= count;
        let queue = &quota.queue;
        self.taken.extend(stream.drain(..count).map(|Entry { task, dispatched_at }| Delivery {
            dispatch: Dispatch { task, queue: queue.clone(), band, dispatched_at },
        }));
    }
}

fn closed() -> BrokerError {
    BrokerError::Unavailable("the broker is closed".to_owned())
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, dispatches: &[Dispatch]) -> Result<(), BrokerError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        for run in dispatches.chunk_by(|one, next| one.queue == next.queue) {
            let queue = &run[0].queue;
            if !state.streams.contains_key(queue) {
                state.streams.insert(queue.clone(), Default::default());
            }
            if let Some(bands) = state.streams.get_mut(queue) {
                for dispatch in run {
                    let entry = Entry { task: dispatch.task, dispatched_at: dispatch.dispatched_at };
                    bands[dispatch.band as usize].push_back(entry);
                }
            }
            state.wake_waiters(queue, run.len());
        }
        Ok(())
    }

    async fn accepts_dispatches(&self) -> Result<(), BrokerError> {
        if self.state.lock().closed { Err(closed()) } else { Ok(()) }
    }

    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Delivery>, BrokerError> {
        let until = Instant::now() + request.wait;
        loop {
            let waiting = match self.take_or_wait(request, Instant::now() < until)? {
                Taken::Now(taken) => return Ok(taken),
                Taken::Later(waiting) => waiting,
            };
            match waiting.wait(until).await {
                Some(WakeReason::Work) => {}
                Some(WakeReason::Wake) | None => return Ok(Vec::new()),
            }
        }
    }

    fn wake(&self) {
        let mut state = self.state.lock();
        state.woken_ahead = state.waiting.is_empty();
        state.wake_all();
    }

    async fn oldest_waiting(&self, queue: &QueueName, band: PriorityBand) -> Result<Option<Timestamp>, BrokerError> {
        let state = self.state.lock();
        let oldest = state.streams.get(queue).and_then(|bands| bands[band as usize].front());
        Ok(oldest.map(|entry| entry.dispatched_at))
    }

    async fn signal(&self, signal: &Signal) -> Result<(), BrokerError> {
        // An error says that nobody listens.
        drop(self.signals.send(Arc::new(signal.clone())));
        Ok(())
    }

    fn signals(&self) -> broadcast::Receiver<Arc<Signal>> {
        self.signals.subscribe()
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.wake_all();
    }
}
