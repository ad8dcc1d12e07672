//! Which queues a pool reads now, and how much of each: served, known, not paused, with room under its limit.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::broker::QueueQuota;
use crate::domain::QueueName;
use crate::store::QueueRow;

/// How many slots each queue may take and takes.
pub struct QueueSlots {
    /// Served queues; empty means all.
    served: Vec<QueueName>,
    /// Limits of this process, by configuration.
    limits: BTreeMap<QueueName, usize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rows: Vec<QueueRow>,
    is_in_maintenance: bool,
    taken: HashMap<QueueName, usize>,
}

impl QueueSlots {
    /// Knows no queue yet.
    pub fn new(served: Vec<QueueName>, limits: BTreeMap<QueueName, usize>) -> Self {
        Self { served, limits, state: Mutex::default() }
    }

    /// Takes the store's rows over, and whether there is maintenance, during which nothing is read. Returns whether anything changed.
    pub fn refresh(&self, rows: Vec<QueueRow>, is_in_maintenance: bool) -> bool {
        let mut state = self.state.lock();
        let is_new = state.rows != rows || state.is_in_maintenance != is_in_maintenance;
        (state.rows, state.is_in_maintenance) = (rows, is_in_maintenance);
        is_new
    }

    /// The served queues that are known.
    pub fn queues(&self) -> Vec<QueueName> {
        self.state.lock().rows.iter().map(|row| &row.name).filter(|name| self.serves(name)).cloned().collect()
    }

    fn serves(&self, name: &QueueName) -> bool {
        self.served.is_empty() || self.served.contains(name)
    }

    fn limit(&self, row: &QueueRow) -> Option<usize> {
        let own = self.limits.get(&row.name).copied();
        let shared = row.concurrency.map(|limit| limit as usize);
        match (own, shared) {
            (Some(own), Some(shared)) => Some(own.min(shared)),
            (own, shared) => own.or(shared),
        }
    }

    /// What may be read with `free` slots.
    pub fn open(&self, free: usize) -> Vec<QueueQuota> {
        let state = self.state.lock();
        if state.is_in_maintenance {
            return Vec::new();
        }
        let readable = state.rows.iter().filter(|row| row.paused_at.is_none() && self.serves(&row.name));
        readable
            .filter_map(|row| {
                let taken = state.taken.get(&row.name).copied().unwrap_or(0);
                let max = self.limit(row).map_or(free, |limit| limit.saturating_sub(taken).min(free));
                (max > 0).then(|| QueueQuota { queue: row.name.clone(), max })
            })
            .collect()
    }

    /// Notes that a task of `queue` takes a slot.
    pub fn take(&self, queue: &QueueName) {
        let mut state = self.state.lock();
        if let Some(taken) = state.taken.get_mut(queue) {
            *taken += 1;
        } else {
            state.taken.insert(queue.clone(), 1);
        }
    }

    /// Notes that it gives the slot up. Returns whether that opened a queue that was closed.
    pub fn give_up(&self, queue: &QueueName) -> bool {
        let mut state = self.state.lock();
        let limit = state.rows.iter().find(|row| row.name == *queue).and_then(|row| self.limit(row));
        let Some(taken) = state.taken.get_mut(queue) else { return false };
        let was_closed = limit.is_some_and(|limit| *taken >= limit);
        *taken = taken.saturating_sub(1);
        was_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> QueueName {
        QueueName::parse(name).unwrap()
    }

    fn row(queue: &str, paused: bool, concurrency: Option<u32>) -> QueueRow {
        QueueRow { name: name(queue), paused_at: paused.then_some(jiff::Timestamp::UNIX_EPOCH), concurrency }
    }

    fn open(slots: &QueueSlots, free: usize) -> Vec<(String, usize)> {
        slots.open(free).into_iter().map(|quota| (quota.queue.to_string(), quota.max)).collect()
    }

    #[test]
    fn paused_and_unserved_queues_are_closed_and_limits_hold() {
        let slots = QueueSlots::new(vec![name("a"), name("b"), name("c")], BTreeMap::from([(name("b"), 2)]));
        slots.refresh(vec![row("a", false, None), row("b", false, Some(5)), row("c", true, None), row("d", false, None)], false);
        assert_eq!(open(&slots, 10), [("a".to_owned(), 10), ("b".to_owned(), 2)]);
        slots.take(&name("b"));
        assert_eq!(open(&slots, 10), [("a".to_owned(), 10), ("b".to_owned(), 1)]);
        slots.take(&name("b"));
        assert_eq!(open(&slots, 10), [("a".to_owned(), 10)]);
        assert!(slots.give_up(&name("b")), "the quota was closed and is open again");
        assert!(!slots.give_up(&name("b")));
    }
}
