//! A blind judge is no judge: who could not reach the store for a while must not declare others dead.

use std::time::Duration;

use jiff::Timestamp;

/// Says whether this process may judge: only after the store has answered without a gap for a whole lease. Times are the store's.
#[derive(Debug)]
pub struct Judge {
    lease: Duration,
    sees_since: Option<Timestamp>,
    last_answer: Option<Timestamp>,
}

impl Judge {
    /// Has seen nothing yet.
    pub fn new(lease: Duration) -> Self {
        Self { lease, sees_since: None, last_answer: None }
    }

    /// Notes that the store answered at `now`; whether it may judge.
    pub fn saw_the_store(&mut self, now: Timestamp) -> bool {
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
    fn it_judges_only_after_a_lease_without_a_gap() {
        let mut judge = Judge::new(Duration::from_secs(30));
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut first_judgement = None;
        for second in 0..=40 {
            if judge.saw_the_store(at(second)) {
                first_judgement.get_or_insert(second);
            }
        }
        assert_eq!(first_judgement, Some(30));
        assert!(!judge.saw_the_store(at(60)), "it was blind for 20 s");
        assert!(!judge.saw_the_store(at(61)));
        assert!((62..=90).map(|second| judge.saw_the_store(at(second))).last().unwrap());
    }
}
