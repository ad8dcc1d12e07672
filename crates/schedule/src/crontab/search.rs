//! The next and the previous time of a [`Rule`], found field by field, and their instants in a zone.
//!
//! Local times are seconds since 1970 as the zone's clocks show them. The search goes through the stretches of constant offset: within one, local times
//! and instants differ by a constant, so a gap or an overlap can only lie between two stretches.

use jiff::Timestamp;

use super::calendar::{DAY, FIRST_YEAR, LAST_YEAR, date, days_in_month, days_since_1970, weekday};
use super::{Crontab, Rule};
use crate::zone::{DstGap, DstOverlap, DstPolicy, Segment, Zone, second_after, second_before};

/// No two offsets of one zone differ by more, so a local time within this distance of a stretch may lie in the neighbouring one.
const SPREAD: i64 = 2 * DAY;

impl Crontab {
    /// The first firing after an instant, in a zone. It is `None` at the end of the calendar only.
    pub fn next_after(&self, after: Timestamp, zone: &Zone, policy: DstPolicy) -> Option<Timestamp> {
        let mut bound = second_after(after);
        loop {
            let segment = zone.segment(bound);
            if self.fires_at_start(&segment, policy) && segment.start.is_some_and(|start| start.second >= bound) {
                return segment.start.and_then(|start| Timestamp::from_second(start.second).ok());
            }
            let local = self.rule.next((bound + segment.offset).max(self.first_local(&segment, policy)))?;
            if local <= self.last_local(&segment, policy) {
                return Timestamp::from_second(local - segment.offset).ok();
            }
            // Nothing matches before `local`, so the stretches that end well before it need no look. A stretch that begins soon may show local times
            // before those that were searched once more, so it is never passed over.
            let end = segment.end?.second;
            bound = if end < bound + SPREAD { end } else { end.max(local - segment.offset - SPREAD) };
        }
    }

    /// The last firing before an instant, in a zone. It is `None` at the start of the calendar only.
    pub fn previous_before(&self, before: Timestamp, zone: &Zone, policy: DstPolicy) -> Option<Timestamp> {
        let mut bound = second_before(before);
        loop {
            let segment = zone.segment(bound);
            let local = self.rule.previous((bound + segment.offset).min(self.last_local(&segment, policy)))?;
            if local >= self.first_local(&segment, policy) {
                return Timestamp::from_second(local - segment.offset).ok();
            }
            let start = segment.start?;
            if self.fires_at_start(&segment, policy) {
                return Timestamp::from_second(start.second).ok();
            }
            // As above: a stretch that ended just before may have shown local times after those that were searched.
            let end = start.second - 1;
            bound = if end > bound - SPREAD { end } else { end.min(local - segment.offset + SPREAD) };
        }
    }

    /// Whether a stretch starts with a firing that the gap before it has moved there.
    fn fires_at_start(&self, segment: &Segment, policy: DstPolicy) -> bool {
        segment.start.is_some_and(|start| {
            let gap = start.second + start.other..start.second + segment.offset;
            !self.runs_every_hour()
                && policy.gap == DstGap::ShiftForward
                && !gap.is_empty()
                && self.rule.next(gap.start).is_some_and(|local| local < gap.end)
        })
    }

    /// The first local time of a stretch that counts: after the repeated ones, if only their first occurrence counts.
    fn first_local(&self, segment: &Segment, policy: DstPolicy) -> i64 {
        segment.start.map_or(i64::MIN, |start| {
            let starts = start.second + segment.offset;
            if policy.overlap == DstOverlap::First && !self.runs_every_hour() {
                starts.max(start.second + start.other)
            } else {
                starts
            }
        })
    }

    /// The last local time of a stretch that counts: before those that will be repeated, if only their second occurrence counts.
    fn last_local(&self, segment: &Segment, policy: DstPolicy) -> i64 {
        segment.end.map_or(i64::MAX, |end| {
            let ends = end.second + segment.offset;
            let counts = if policy.overlap == DstOverlap::Second && !self.runs_every_hour() {
                ends.min(end.second + end.other)
            } else {
                ends
            };
            counts - 1
        })
    }
}

impl Rule {
    /// The first matching local time at or after `local`.
    fn next(&self, local: i64) -> Option<i64> {
        let minute = -(-local).div_euclid(60);
        let day = minute.div_euclid(DAY / 60);
        let of_day = minute.rem_euclid(DAY / 60);
        let first = self.next_day(day)?;
        if first == day
            && let Some(found) = self.next_minute(of_day)
        {
            return Some(at(day, found));
        }
        let day = if first == day { self.next_day(day + 1)? } else { first };
        self.next_minute(0).map(|found| at(day, found))
    }

    /// The last matching local time at or before `local`.
    fn previous(&self, local: i64) -> Option<i64> {
        let minute = local.div_euclid(60);
        let day = minute.div_euclid(DAY / 60);
        let of_day = minute.rem_euclid(DAY / 60);
        let last = self.previous_day(day)?;
        if last == day
            && let Some(found) = self.previous_minute(of_day)
        {
            return Some(at(day, found));
        }
        let day = if last == day { self.previous_day(day - 1)? } else { last };
        self.previous_minute(DAY / 60 - 1).map(|found| at(day, found))
    }

    /// The first matching minute of a day at or after one.
    fn next_minute(&self, of_day: i64) -> Option<i64> {
        let (hour, minute) = (of_day / 60, of_day % 60);
        if self.hours >> hour & 1 == 1
            && let Some(found) = lowest(self.minutes & (u64::MAX << minute))
        {
            return Some(hour * 60 + found);
        }
        let later = lowest(u64::from(self.hours) & (u64::MAX << hour << 1))?;
        lowest(self.minutes).map(|found| later * 60 + found)
    }

    /// The last matching minute of a day at or before one.
    fn previous_minute(&self, of_day: i64) -> Option<i64> {
        let (hour, minute) = (of_day / 60, of_day % 60);
        if self.hours >> hour & 1 == 1
            && let Some(found) = highest(self.minutes & (u64::MAX >> (63 - minute)))
        {
            return Some(hour * 60 + found);
        }
        let earlier = highest(u64::from(self.hours) & !(u64::MAX << hour))?;
        highest(self.minutes).map(|found| earlier * 60 + found)
    }

    fn next_day(&self, day: i64) -> Option<i64> {
        let (mut year, mut month, day_of_month) = date(day);
        let mut from = day_of_month;
        while year <= LAST_YEAR {
            if let Some(found) = lowest(u64::from(self.days(year, month)) & (u64::MAX << from)) {
                return Some(days_since_1970(year, month, 1) + found - 1);
            }
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            from = 1;
        }
        None
    }

    fn previous_day(&self, day: i64) -> Option<i64> {
        let (mut year, mut month, day_of_month) = date(day);
        let mut to = day_of_month;
        while year >= FIRST_YEAR {
            if let Some(found) = highest(u64::from(self.days(year, month)) & (u64::MAX >> (63 - to))) {
                return Some(days_since_1970(year, month, 1) + found - 1);
            }
            (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
            to = 31;
        }
        None
    }

    /// The matching days of a month, one bit each.
    fn days(&self, year: i64, month: u32) -> u32 {
        if self.months >> month & 1 == 0 {
            return 0;
        }
        let first = weekday(days_since_1970(year, month, 1));
        let week = u64::from(self.days_of_week);
        let weeks = week | week << 7 | week << 14 | week << 21 | week << 28 | week << 35;
        // Bit 1 is the first of the month.
        let by_weekday = (weeks >> first) << 1;
        let by_day = u64::from(self.days_of_month);
        let matching = if self.either_day { by_weekday | by_day } else { by_weekday & by_day };
        let month_has = (u64::MAX >> (63 - days_in_month(year, month))) & !1;
        u32::try_from(matching & month_has).unwrap_or_default()
    }
}

fn at(day: i64, minute: i64) -> i64 {
    day * DAY + minute * 60
}

fn lowest(bits: u64) -> Option<i64> {
    (bits != 0).then(|| i64::from(bits.trailing_zeros()))
}

fn highest(bits: u64) -> Option<i64> {
    (bits != 0).then(|| i64::from(bits.ilog2()))
}
