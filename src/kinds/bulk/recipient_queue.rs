//! Which recipient is next, and when: a page of the ledger at a time, at the pace that was asked for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use legwork_engine::store::RecipientRow;

/// A queue between the one who reads the ledger and those who hand over. Bounded, so that memory stays flat.
pub(in crate::kinds) struct RecipientQueue {
    rows: Mutex<VecDeque<RecipientRow>>,
    ready: Semaphore,
    room: Semaphore,
}

impl RecipientQueue {
    pub(in crate::kinds) fn of(room: usize) -> Self {
        Self { rows: Mutex::default(), ready: Semaphore::new(0), room: Semaphore::new(room) }
    }

    /// Adds one; waits for room. `false` once nobody takes any more.
    pub(in crate::kinds) async fn put(&self, row: RecipientRow) -> bool {
        let Ok(room) = self.room.acquire().await else { return false };
        room.forget();
        self.rows.lock().push_back(row);
        self.ready.add_permits(1);
        true
    }

    /// The next one; `None` at the end.
    pub(in crate::kinds) async fn take(&self) -> Option<RecipientRow> {
        if let Ok(one) = self.ready.acquire().await {
            one.forget();
        }
        self.pop()
    }

    /// The next one, if there is one now.
    pub(in crate::kinds) fn try_take(&self) -> Option<RecipientRow> {
        self.ready.try_acquire().ok()?.forget();
        self.pop()
    }

    /// Nothing more will come: what is there may still be taken.
    pub(in crate::kinds) fn end(&self) {
        self.ready.close();
    }

    /// Nobody will take any more.
    pub(in crate::kinds) fn abandon(&self) {
        self.room.close();
    }

    fn pop(&self) -> Option<RecipientRow> {
        let row = self.rows.lock().pop_front();
        if row.is_some() {
            self.room.add_permits(1);
        }
        row
    }
}

/// Recipients that wait for their domain's turn at most. Behind so many of a busy domain, others wait with them.
const HELD_BACK: usize = 1_000;
/// So far a pace that fell behind is caught up: what the timer's grain costs, and not enough for a burst.
const CAUGHT_UP: Duration = Duration::from_millis(2);

/// Lets recipients through one by one, at no more than so many a second, and so many a second for each domain.
pub(in crate::kinds) struct RateLimiter {
    gap: Duration,
    domain_gap: Duration,
    next: Instant,
    domains: HashMap<String, Instant>,
    held: BinaryHeap<Held>,
}

/// A recipient and when its domain is next; the earliest is the greatest.
struct Held(Reverse<(Instant, i32)>, RecipientRow);

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl RateLimiter {
    /// Rates are a second; `None` is no limit.
    pub(in crate::kinds) fn new(rate: Option<f64>, rate_per_domain: Option<f64>, now: Instant) -> Self {
        let gap = |rate: Option<f64>| rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64((1.0 / rate).min(86_400.0)));
        let (gap, domain_gap) = (gap(rate), gap(rate_per_domain));
        Self { gap, domain_gap, next: now, domains: HashMap::new(), held: BinaryHeap::new() }
    }

    /// Whether more recipients may be added.
    pub(in crate::kinds) fn has_room(&self) -> bool {
        let most = if self.domain_gap.is_zero() { 1 } else { HELD_BACK };
        self.held.len() < most
    }

    /// Adds a recipient, due as soon as the rates allow.
    pub(in crate::kinds) fn add(&mut self, row: RecipientRow, now: Instant) {
        let mut at = now;
        if !self.domain_gap.is_zero() {
            let domain = row.address.rsplit('@').next().unwrap_or_default();
            if let Some(next) = self.domains.get_mut(domain) {
                at = now.max(*next);
                *next = at + self.domain_gap;
            } else {
                self.domains.insert(domain.to_owned(), at + self.domain_gap);
            }
        }
        self.held.push(Held(Reverse((at, row.part)), row));
    }

    /// When the next one may go; `None` where there is none.
    pub(in crate::kinds) fn due(&self) -> Option<Instant> {
        self.held.peek().map(|held| held.0.0.0.max(self.next))
    }

    /// Lets the next one go.
    pub(in crate::kinds) fn release(&mut self, now: Instant) -> Option<RecipientRow> {
        let Held(_, row) = self.held.pop()?;
        let earliest = now.checked_sub(CAUGHT_UP).unwrap_or(now);
        self.next = self.next.max(earliest) + self.gap;
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use legwork_engine::store::RecipientState;

    fn row(part: i32, domain: &str) -> RecipientRow {
        RecipientRow {
            part,
            recipient: String::new(),
            address: format!("{part}@{domain}"),
            message_id: String::new(),
            state: RecipientState::Queued,
            response: None,
            reference: None,
            attempts: 0,
            next_at: None,
            context: None,
            updated_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// When each recipient goes, in milliseconds, if all are there from the start.
    fn limited(mut rate_limiter: RateLimiter, rows: Vec<RecipientRow>, start: Instant) -> Vec<(i32, u128)> {
        for row in rows {
            rate_limiter.add(row, start);
        }
        let (mut now, mut went) = (start, Vec::new());
        while let Some(due) = rate_limiter.due() {
            now = now.max(due);
            let row = rate_limiter.release(now).unwrap();
            went.push((row.part, (now - start).as_millis()));
        }
        went
    }

    #[test]
    fn a_rate_is_never_exceeded_in_any_second() {
        let start = Instant::now();
        let rows = (0..50).map(|part| row(part, "example.org")).collect();
        let went = limited(RateLimiter::new(Some(20.0), None, start), rows, start);
        assert_eq!(went[0].1, 0);
        for (index, (part, at)) in went.iter().enumerate() {
            assert_eq!(usize::try_from(*part).unwrap(), index, "in their order");
            let within = went.iter().filter(|(_, other)| (*at..at + 1_000).contains(other)).count();
            assert!(within <= 20, "{within} in the second from {at}");
        }
    }

    #[test]
    fn a_busy_domain_does_not_hold_up_the_others() {
        let start = Instant::now();
        let mut rows: Vec<_> = (0..5).map(|part| row(part, "busy.example")).collect();
        rows.push(row(5, "other.example"));
        let went = limited(RateLimiter::new(None, Some(2.0), start), rows, start);
        assert_eq!(went, [(0, 0), (5, 0), (1, 500), (2, 1000), (3, 1500), (4, 2000)]);
    }

    #[tokio::test]
    async fn a_recipient_queue_ends_after_what_is_in_it() {
        let recipient_queue = RecipientQueue::of(2);
        assert!(recipient_queue.put(row(0, "a")).await && recipient_queue.put(row(1, "a")).await);
        recipient_queue.end();
        assert_eq!(recipient_queue.take().await.map(|row| row.part), Some(0));
        assert_eq!(recipient_queue.take().await.map(|row| row.part), Some(1));
        assert_eq!(recipient_queue.take().await, None);
        recipient_queue.abandon();
        assert!(!recipient_queue.put(row(2, "a")).await);
    }
}
