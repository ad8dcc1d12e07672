//! The decision that a rate limit makes: which of some tasks may start now, and when the others are to be tried again.
//!
//! The store keeps the recent starts of each limited kind in one row, which it locks while it decides. A task that may not start gets a *slot*:
//! the time at which it is dispatched again. Slots are a line, spaced by the rate, so that a long backlog is dispatched about once a task and not
//! all of it whenever one start is free. What comes later goes to the end of the line, unless more starts are free than the line needs.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::RateLimit;

/// Added to the span of a limit: the clocks of two workers differ by less.
const SLACK: SignedDuration = SignedDuration::from_millis(250);
/// Parts of a span. Starts within one part are kept as one entry at the latest of their times, so that a window has not many more entries than
/// this; a start is then forgotten later by a part at most, never earlier.
const PARTS: i64 = 200;

/// The recent starts of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RateWindow(Vec<Entry>);

/// Attempts that started at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    at: Timestamp,
    starts: u32,
}

/// The tasks of the kind that have a slot in the future.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    /// Tasks whose slot comes within the span of the limit.
    pub soon: u32,
    /// The last slot of all.
    pub end: Option<Timestamp>,
}

/// What becomes of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may start.
    Start,
    /// It is to be dispatched again at this time.
    Wait(Timestamp),
}

/// The span in which starts are counted.
pub(super) fn span(limit: RateLimit) -> SignedDuration {
    SignedDuration::try_from(limit.per).unwrap_or(SignedDuration::MAX).saturating_add(SLACK)
}

impl RateWindow {
    /// Decides on tasks, of which each is given by its slot, if it has one, in the order in which they are to start.
    pub(super) fn admit(&mut self, limit: RateLimit, now: Timestamp, line: Line, slots: &[Option<Timestamp>]) -> Vec<Admission> {
        let span = span(limit);
        let now = self.latest().map_or(now, |latest| latest.max(now));
        self.0.retain(|entry| entry.at > later(now, -span));
        let mut free = self.free(limit, now);
        let mut answers = vec![Admission::Start; slots.len()];
        // Tasks whose slot has come go first, then those that are early for their slot keep it, then come new ones.
        let (mut late, mut new) = (Vec::new(), Vec::new());
        for (place, slot) in slots.iter().enumerate() {
            match slot {
                Some(slot) if *slot > now => answers[place] = Admission::Wait(*slot),
                Some(_) if free > 0 => free -= 1,
                Some(_) => late.push(place),
                None => new.push(place),
            }
        }
        let mut unreserved = free.saturating_sub(line.soon);
        new.retain(|_| {
            let starts = unreserved > 0;
            unreserved = unreserved.saturating_sub(1);
            !starts
        });
        // Those that are admitted are taken for started.
        let mut ahead = self.clone();
        ahead.count(limit, now, count_starts(&answers, &late, &new));
        let spacing = span / i32::try_from(limit.starts.max(1)).unwrap_or(i32::MAX);
        for (count, place) in (1..).zip(&late) {
            answers[*place] = Admission::Wait(ahead.free_at(count, span, spacing, now));
        }
        let first_free = ahead.free_at(1, span, spacing, now);
        let mut end = line.end;
        for place in new {
            let slot = end.map_or(first_free, |end| later(end, spacing).max(first_free));
            answers[place] = Admission::Wait(slot);
            end = Some(slot);
        }
        answers
    }

    /// Counts attempts that have started.
    pub(super) fn count(&mut self, limit: RateLimit, now: Timestamp, starts: u32) {
        if starts == 0 {
            return;
        }
        let at = self.latest().map_or(now, |latest| latest.max(now));
        let part = (i64::try_from(span(limit).as_millis()).unwrap_or(i64::MAX) / PARTS).max(1);
        let part_of = |at: Timestamp| at.as_millisecond().div_euclid(part);
        match self.0.last_mut() {
            Some(last) if part_of(last.at) == part_of(at) => {
                *last = Entry { at, starts: last.starts.saturating_add(starts) };
            }
            _ => self.0.push(Entry { at, starts }),
        }
    }

    /// How many attempts may start now.
    pub(super) fn free(&self, limit: RateLimit, now: Timestamp) -> u32 {
        let now = self.latest().map_or(now, |latest| latest.max(now));
        let since = later(now, -span(limit));
        let used: u32 = self.0.iter().filter(|entry| entry.at > since).map(|entry| entry.starts).sum();
        limit.starts.saturating_sub(used)
    }

    fn latest(&self) -> Option<Timestamp> {
        self.0.last().map(|entry| entry.at)
    }

    /// When the next `count` starts have become free: an entry frees its starts at the end of its span.
    fn free_at(&self, count: u32, span: SignedDuration, spacing: SignedDuration, now: Timestamp) -> Timestamp {
        let (mut freed, mut at) = (0_u32, now);
        for entry in &self.0 {
            freed = freed.saturating_add(entry.starts);
            at = later(entry.at, span);
            if freed >= count {
                return at;
            }
        }
        let beyond = i32::try_from(count - freed).unwrap_or(i32::MAX);
        later(at, spacing.checked_mul(beyond).unwrap_or(SignedDuration::MAX))
    }
}

/// How many of the answers are starts, apart from the places that are still to be answered.
fn count_starts(answers: &[Admission], late: &[usize], new: &[usize]) -> u32 {
    let starts = answers.iter().filter(|answer| **answer == Admission::Start).count() - late.len() - new.len();
    u32::try_from(starts).unwrap_or(u32::MAX)
}

/// In whole microseconds, as the databases keep times: a slot that was cut off would come before its start is free.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    let exact = at.saturating_add(by).unwrap_or(Timestamp::MAX);
    let micros = exact.as_microsecond() + i64::from(exact.subsec_nanosecond() % 1_000 > 0);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TEN_A_MINUTE: RateLimit = RateLimit { starts: 10, per: Duration::from_mins(1) };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000_000_000 + millis).unwrap()
    }

    fn started(answers: &[Admission]) -> u32 {
        answers.iter().map(|answer| u32::from(*answer == Admission::Start)).sum()
    }

    #[test]
    fn as_many_start_at_once_as_the_limit_allows_and_the_others_stand_in_a_line() {
        let mut window = RateWindow::default();
        let answers = window.admit(TEN_A_MINUTE, at(0), Line::default(), &[None; 12]);
        assert_eq!(started(&answers), 10);
        assert_eq!(answers[10..], [60_250, 66_275].map(|millis| Admission::Wait(at(millis))));
        window.count(TEN_A_MINUTE, at(0), 10);
        let answers = window.admit(TEN_A_MINUTE, at(1_000), Line::default(), &[None; 3]);
        let slots = [60_250, 66_275, 72_300].map(|millis| Admission::Wait(at(millis)));
        assert_eq!(answers, slots);
        let line = Line { soon: 3, end: Some(at(72_300)) };
        assert_eq!(window.admit(TEN_A_MINUTE, at(2_000), line, &[None]), [Admission::Wait(at(78_325))]);
    }

    #[test]
    fn a_task_whose_slot_has_come_goes_before_new_ones_and_an_early_one_keeps_its_slot() {
        let mut window = RateWindow::default();
        window.count(TEN_A_MINUTE, at(0), 9);
        let slots = [None, Some(at(5_000)), Some(at(900)), Some(at(800))];
        let answers = window.admit(TEN_A_MINUTE, at(1_000), Line { soon: 1, end: Some(at(5_000)) }, &slots);
        assert_eq!(answers[1..], [Admission::Wait(at(5_000)), Admission::Start, Admission::Wait(at(60_250))]);
        assert!(matches!(answers[0], Admission::Wait(slot) if slot >= at(60_250)), "{answers:?}");
    }

    #[test]
    fn new_tasks_start_where_more_is_free_than_the_line_needs() {
        let mut window = RateWindow::default();
        let line = Line { soon: 8, end: Some(at(40_000)) };
        assert_eq!(started(&window.admit(TEN_A_MINUTE, at(0), line, &[None; 5])), 2);
    }

    #[test]
    fn a_clock_that_lags_does_not_count_a_start_as_older() {
        let mut window = RateWindow::default();
        window.count(TEN_A_MINUTE, at(10_000), 10);
        window.count(TEN_A_MINUTE, at(0), 1);
        assert_eq!(started(&window.admit(TEN_A_MINUTE, at(60_300), Line::default(), &[None])), 0);
        assert_eq!(started(&window.admit(TEN_A_MINUTE, at(70_300), Line::default(), &[None])), 1);
    }

    /// Arrivals that stay below the limit are never held up, however many starts a window has.
    #[test]
    fn a_steady_stream_below_the_limit_never_waits() {
        let limit = RateLimit { starts: 900, per: Duration::from_mins(1) };
        let mut window = RateWindow::default();
        for start in 0..5_000 {
            let now = at(start * 83);
            assert_eq!(started(&window.admit(limit, now, Line::default(), &[None])), 1, "start {start}");
            window.count(limit, now, 1);
            assert!(window.0.len() <= 210, "{} entries", window.0.len());
        }
    }

    /// Random tasks, random times at which they are tried, random workers' clocks: whatever comes, no span holds more starts than allowed, and
    /// everything starts in the end.
    #[test]
    fn no_span_ever_holds_more_starts_than_allowed() {
        let mut chance = fastrand::Rng::with_seed(7);
        for (starts, seconds) in [(1_usize, 1_i64), (3, 10), (10, 60), (250, 2)] {
            let per = Duration::from_secs(seconds.unsigned_abs());
            let limit = RateLimit { starts: u32::try_from(starts).unwrap(), per };
            let mut window = RateWindow::default();
            // Each is to be dispatched at a time; a slot is kept beside it.
            let total = starts * 4 + 3;
            let mut waiting: Vec<(i64, Option<Timestamp>)> = (0..total).map(|_| (chance.i64(0..seconds * 500), None)).collect();
            let (mut log, mut now) = (Vec::new(), 0_i64);
            while !waiting.is_empty() {
                now = now.max(waiting.iter().map(|(due, _)| *due).min().unwrap());
                let skew = chance.i64(-100..=100);
                let (due, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(due, _)| *due <= now);
                let soon = at(now + skew) + span(limit);
                let ahead = || rest.iter().filter_map(|(_, slot)| *slot).filter(|slot| *slot > at(now + skew));
                let line =
                    Line { soon: u32::try_from(ahead().filter(|slot| *slot <= soon).count()).unwrap(), end: ahead().max() };
                let slots: Vec<_> = due.iter().map(|(_, slot)| *slot).collect();
                let answers = window.admit(limit, at(now + skew), line, &slots);
                window.count(limit, at(now + skew), started(&answers));
                waiting = rest;
                for answer in answers {
                    match answer {
                        Admission::Start => log.push(now),
                        Admission::Wait(slot) => {
                            let due = slot.as_millisecond() - at(0).as_millisecond();
                            assert!(due + 100 >= now, "a slot in the past");
                            waiting.push((due.max(now + 1), Some(slot)));
                        }
                    }
                }
            }
            assert_eq!(log.len(), total);
            for window in log.windows(starts + 1) {
                let length = window.last().unwrap() - window[0];
                assert!(length >= seconds * 1_000, "{} starts within {length} ms of {limit:?}", starts + 1);
            }
        }
    }
}
