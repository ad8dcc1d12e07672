//! Whether workers may be declared dead: not by a process that could not reach the store for a while.

use std::time::Duration;

use jiff::Timestamp;

/// Says whether this process may declare workers dead: only after the store has answered without a gap for a whole lease. Times are the store's.
#[derive(Debug)]
pub struct RescueGuard {
    lease: Duration,
    sees_since: Option<Timestamp>,
    last_answer: Option<Timestamp>,
}

impl RescueGuard {
    /// Has seen nothing yet.
    pub fn new(lease: Duration) -> Self {
        Self { lease, sees_since: None, last_answer: None }
    }

    /// Since when the store has answered without a gap, and its clock went on without a step.
    pub const fn sees_since(&self) -> Option<Timestamp> {
        self.sees_since
    }

    /// Notes that the store answered at `now`; whether workers may be declared dead.
    pub fn note_store_answer(&mut self, now: Timestamp) -> bool {
        let longest_gap = self.lease / 3;
        let is_gap = self.last_answer.is_none_or(|last| now < last || now.duration_since(last).unsigned_abs() > longest_gap);
        if is_gap {
            self.sees_since = Some(now);
        }
        self.last_answer = Some(now);
        self.sees_since.is_some_and(|since| now.duration_since(since).unsigned_abs() >= self.lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_allows_rescue_only_after_a_lease_without_a_gap() {
        let mut rescue_guard = RescueGuard::new(Duration::from_secs(30));
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut first_rescue = None;
        for second in 0..=40 {
            if rescue_guard.note_store_answer(at(second)) {
                first_rescue.get_or_insert(second);
            }
        }
        assert_eq!(first_rescue, Some(30));
        assert!(!rescue_guard.note_store_answer(at(60)), "it was blind for 20 s");
        assert!(!rescue_guard.note_store_answer(at(61)));
        assert!((62..=90).map(|second| rescue_guard.note_store_answer(at(second))).last().unwrap());
    }
}
