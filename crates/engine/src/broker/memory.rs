//! The broker inside one process: the same contract as Redis, kept by one lock and a list of those who wait.
//!
//! A publish wakes at most as many waiting receives as it brings references, and only such as serve their queues. A receive that was woken
//! and goes away before it has looked wakes the next one in its place.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, timeout_at};

use super::turns::{Turn, Turns};
use super::{Broker, BrokerError, Delivery, Lane, Signal, Want};
use crate::clock::Clock;
use crate::domain::{Band, Doorbell, QueueName, TaskRef, WorkerId};

/// A listener that falls behind by more loses the oldest; signals may be lost.
const KEPT_SIGNALS: usize = 4096;

/// The broker of a single process.
pub struct MemoryBroker {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    signals: broadcast::Sender<Arc<Signal>>,
}

#[derive(Default)]
struct State {
    lanes: HashMap<QueueName, [Stream; 3]>,
    /// The name of the next entry; entries sort by age.
    next_entry: u64,
    turns: Turns,
    waiting: VecDeque<Waiter>,
    next_waiter: u64,
    /// A wake that found nobody waiting ends the next wait.
    woken_ahead: bool,
    closed: bool,
}

/// One queue and band.
#[derive(Default)]
struct Stream {
    waiting: VecDeque<Entry>,
    held: BTreeMap<u64, Held>,
}

struct Entry {
    name: u64,
    task: TaskRef,
    rung_at: Timestamp,
}

struct Held {
    entry: Entry,
    since: Timestamp,
}

struct Waiter {
    id: u64,
    queues: Vec<QueueName>,
    bell: oneshot::Sender<Bell>,
}

/// Why a waiting receive goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bell {
    /// Something has come for it.
    Work,
    /// It is to return.
    Wake,
}

impl MemoryBroker {
    /// Holds nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), signals: broadcast::Sender::new(KEPT_SIGNALS) }
    }

    /// What is there, or else a place in the line of those who wait.
    fn take_or_line_up(&self, want: &Want, may_wait: bool) -> Result<Taken<'_>, BrokerError> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        let taken = state.take(want, now);
        if !taken.is_empty() || !may_wait || std::mem::take(&mut state.woken_ahead) {
            return Ok(Taken::Now(taken));
        }
        let (bell, rung) = oneshot::channel();
        let id = state.next_waiter;
        state.next_waiter += 1;
        let queues: Vec<QueueName> = match want.max {
            0 => Vec::new(),
            _ => want.lanes.iter().filter(|lane| lane.max > 0).map(|lane| lane.queue.clone()).collect(),
        };
        state.waiting.push_back(Waiter { id, queues: queues.clone(), bell });
        Ok(Taken::Later(InLine { broker: self, id, queues, rung: Some(rung) }))
    }
}

enum Taken<'a> {
    Now(Vec<Delivery>),
    Later(InLine<'a>),
}

/// A place among those who wait.
struct InLine<'a> {
    broker: &'a MemoryBroker,
    id: u64,
    queues: Vec<QueueName>,
    /// `None` once it was answered.
    rung: Option<oneshot::Receiver<Bell>>,
}

impl InLine<'_> {
    /// The bell, or `None` at the deadline.
    async fn wait(mut self, until: Instant) -> Option<Bell> {
        let rung = self.rung.as_mut()?;
        let bell = timeout_at(until, rung).await.ok()?.ok();
        self.rung = None;
        bell
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let Some(mut rung) = self.rung.take() else { return };
        let mut state = self.broker.state.lock();
        if let Some(at) = state.waiting.iter().position(|waiter| waiter.id == self.id) {
            state.waiting.remove(at);
        } else if rung.try_recv() == Ok(Bell::Work) {
            // It was woken in place of another, who must not sleep beside work.
            state.pass_on(&self.queues);
        }
    }
}

impl State {
    /// Takes what is there by the rules of the port, and holds it.
    fn take(&mut self, want: &Want, now: Timestamp) -> Vec<Delivery> {
        let mut lanes: Vec<Lane> =
            want.lanes.iter().filter(|lane| lane.max > 0 && self.lanes.contains_key(&lane.queue)).cloned().collect();
        if want.max == 0 || lanes.is_empty() {
            return Vec::new();
        }
        let turn = self.turns.next(want.max);
        let first = turn.first_lane % lanes.len();
        lanes.rotate_left(first);
        let mut hand = Hand { lanes: &mut self.lanes, room: lanes, left: want.max, now, taken: Vec::new() };
        hand.fill(turn);
        let taken = hand.taken;
        self.turns.handed_out(taken.len());
        taken
    }

    /// Wakes up to `count` of those who wait for this queue, in the order in which they came.
    fn ring(&mut self, queue: &QueueName, mut count: usize) {
        let mut at = 0;
        while count > 0 && at < self.waiting.len() {
            if !self.waiting[at].queues.contains(queue) {
                at += 1;
            } else if let Some(waiter) = self.waiting.remove(at)
                && waiter.bell.send(Bell::Work).is_ok()
            {
                count -= 1;
            }
        }
    }

    fn pass_on(&mut self, queues: &[QueueName]) {
        for queue in queues {
            let count = self.lanes.get(queue).map_or(0, |bands| bands.iter().map(|stream| stream.waiting.len()).sum());
            self.ring(queue, count.min(1));
        }
    }

    fn wake_all(&mut self) {
        for waiter in self.waiting.drain(..) {
            // Who does not listen any more has gone by himself.
            let _heard = waiter.bell.send(Bell::Wake);
        }
    }
}

/// A receive at work.
struct Hand<'a> {
    lanes: &'a mut HashMap<QueueName, [Stream; 3]>,
    /// What each lane may still give, in the order of their turn.
    room: Vec<Lane>,
    left: usize,
    now: Timestamp,
    taken: Vec<Delivery>,
}

impl Hand<'_> {
    /// Band by band, but for what is owed to those below the first one that has work.
    fn fill(&mut self, turn: Turn) {
        let mut owed = turn.owed;
        let mut top = None;
        for band in Band::ALL {
            if self.take(band, self.left.saturating_sub(owed)) > 0 && top.is_none() {
                top = Some(band);
            }
        }
        let (one, other) = if turn.lowest_first { (Band::Low, Band::Normal) } else { (Band::Normal, Band::Low) };
        let half = owed.div_ceil(2);
        for (band, share) in [(one, half), (other, owed - half), (one, owed), (other, owed)] {
            if top.is_none_or(|top| band > top) {
                owed -= self.take(band, share.min(owed).min(self.left));
            }
        }
        for band in Band::ALL {
            self.take(band, self.left);
        }
    }

    /// Takes up to `count` of one band, the lanes sharing it evenly, and what one leaves goes to the others.
    fn take(&mut self, band: Band, count: usize) -> usize {
        let mut left = count;
        loop {
            let mut open = (0..self.room.len()).filter(|&lane| self.offers(lane, band) > 0).count();
            if left == 0 || open == 0 {
                return count - left;
            }
            for lane in 0..self.room.len() {
                let offers = self.offers(lane, band);
                if offers > 0 && left > 0 {
                    let share = offers.min(left.div_ceil(open));
                    open -= 1;
                    self.draw(lane, band, share);
                    left -= share;
                }
            }
        }
    }

    fn offers(&self, lane: usize, band: Band) -> usize {
        let lane = &self.room[lane];
        self.lanes.get(&lane.queue).map_or(0, |bands| bands[band as usize].waiting.len().min(lane.max))
    }

    fn draw(&mut self, lane: usize, band: Band, count: usize) {
        let lane = &mut self.room[lane];
        let Some(bands) = self.lanes.get_mut(&lane.queue) else { return };
        let stream = &mut bands[band as usize];
        lane.max -= count;
        self.left -= count;
        for entry in stream.waiting.drain(..count) {
            self.taken.push(delivery(&lane.queue, band, &entry));
            stream.held.insert(entry.name, Held { entry, since: self.now });
        }
    }
}

fn delivery(queue: &QueueName, band: Band, entry: &Entry) -> Delivery {
    Delivery {
        doorbell: Doorbell { task: entry.task, queue: queue.clone(), band, rung_at: entry.rung_at },
        entry: entry.name.to_string(),
    }
}

fn closed() -> BrokerError {
    BrokerError::Unavailable("the broker is closed".to_owned())
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, doorbells: &[Doorbell]) -> Result<(), BrokerError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        for run in doorbells.chunk_by(|one, next| one.queue == next.queue) {
            let queue = &run[0].queue;
            let mut name = state.next_entry;
            if !state.lanes.contains_key(queue) {
                state.lanes.insert(queue.clone(), Default::default());
            }
            if let Some(bands) = state.lanes.get_mut(queue) {
                for doorbell in run {
                    let entry = Entry { name, task: doorbell.task, rung_at: doorbell.rung_at };
                    bands[doorbell.band as usize].waiting.push_back(entry);
                    name += 1;
                }
            }
            state.next_entry = name;
            state.ring(queue, run.len());
        }
        Ok(())
    }

    async fn receive(&self, want: &Want) -> Result<Vec<Delivery>, BrokerError> {
        let until = Instant::now() + want.wait;
        loop {
            let in_line = match self.take_or_line_up(want, Instant::now() < until)? {
                Taken::Now(taken) => return Ok(taken),
                Taken::Later(in_line) => in_line,
            };
            match in_line.wait(until).await {
                Some(Bell::Work) => {}
                Some(Bell::Wake) | None => return Ok(Vec::new()),
            }
        }
    }

    fn wake(&self) {
        let mut state = self.state.lock();
        state.woken_ahead = state.waiting.is_empty();
        state.wake_all();
    }

    async fn acknowledge(&self, deliveries: &[Delivery]) -> Result<(), BrokerError> {
        let mut state = self.state.lock();
        for delivery in deliveries {
            let Ok(name) = delivery.entry.parse::<u64>() else { continue };
            if let Some(bands) = state.lanes.get_mut(&delivery.doorbell.queue) {
                bands[delivery.doorbell.band as usize].held.remove(&name);
            }
        }
        Ok(())
    }

    async fn reclaim(
        &self,
        _worker: WorkerId,
        queues: &[QueueName],
        idle: Duration,
        max: usize,
    ) -> Result<Vec<Delivery>, BrokerError> {
        let now = self.clock.now();
        let idle = jiff::SignedDuration::try_from(idle).unwrap_or(jiff::SignedDuration::MAX);
        let mut state = self.state.lock();
        let mut taken = Vec::new();
        for band in Band::ALL {
            for queue in queues {
                let Some(bands) = state.lanes.get_mut(queue) else { continue };
                let held = bands[band as usize].held.values_mut();
                let idle_ones = held.filter(|held| now.duration_since(held.since) >= idle);
                for held in idle_ones.take(max - taken.len()) {
                    held.since = now;
                    taken.push(delivery(queue, band, &held.entry));
                }
            }
        }
        Ok(taken)
    }

    async fn oldest_held(&self, queue: &QueueName, band: Band) -> Result<Option<Timestamp>, BrokerError> {
        let state = self.state.lock();
        let Some(stream) = state.lanes.get(queue).map(|bands| &bands[band as usize]) else { return Ok(None) };
        let waiting = stream.waiting.front();
        let held = stream.held.first_key_value().map(|(_, held)| &held.entry);
        Ok(waiting.into_iter().chain(held).min_by_key(|entry| entry.name).map(|entry| entry.rung_at))
    }

    /// Who it was handed to is not kept: what a worker left behind becomes idle, and is reclaimed.
    async fn leave(&self, _worker: WorkerId, _queues: &[QueueName]) -> Result<(), BrokerError> {
        Ok(())
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
