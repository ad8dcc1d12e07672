//! What ended and what waited over time: counted once a minute, folded into steps of ten minutes and of an hour, and kept for a month. So
//! a chart reads tens of rows, however many tasks there were.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Queue, QueueError};
use crate::domain::TaskStatus;
use crate::store::{EndedGroup, SampleStep, StoreResult};

const MINUTE: SampleStep = 60;
const TEN_MINUTES: SampleStep = 600;
const HOUR: SampleStep = 3_600;
/// How long the samples of each step are kept: what the longest chart made of them shows, and some more.
const RETENTION: [(SampleStep, SignedDuration); 3] = [
    (MINUTE, SignedDuration::from_hours(3)),
    (TEN_MINUTES, SignedDuration::from_hours(30)),
    (HOUR, SignedDuration::from_hours(24 * 32)),
];
/// A settlement may be written a little after the end that it tells of.
const LATE: SignedDuration = SignedDuration::from_secs(5);
/// Minutes that are made up for after a time without a scheduler.
const MOST_MISSED: i64 = 60;
/// How long firings of schedules are kept.
const FIRING_RETENTION: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Entries of the audit log are kept for so long.
const AUDIT_RETENTION: SignedDuration = SignedDuration::from_hours(24 * 400);
/// So many entries one step deletes.
const AUDIT_BATCH: u32 = 1_000;

/// Counts of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KindSample {
    /// Tasks that ended as SUCCESS.
    #[serde(rename = "s")]
    pub succeeded: u64,
    /// Tasks that ended as FAILURE.
    #[serde(rename = "f")]
    pub failed: u64,
    /// Tasks that ended as REVOKED.
    #[serde(rename = "r")]
    pub revoked: u64,
    /// How many last attempts took about so many milliseconds.
    #[serde(rename = "t")]
    pub run_millis: BTreeMap<u64, u64>,
}

impl KindSample {
    /// Number of tasks that ended, in any state.
    pub fn ended(&self) -> u64 {
        self.succeeded + self.failed + self.revoked
    }

    /// Adds the counts of another sample.
    pub fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.revoked += other.revoked;
        for (millis, tasks) in &other.run_millis {
            *self.run_millis.entry(*millis).or_default() += tasks;
        }
    }

    /// The run time in seconds that this share of the attempts did not exceed; `None` where none ran.
    pub fn run_seconds(&self, share: f64) -> Option<f64> {
        let all = as_float(self.run_millis.values().sum());
        let mut seen = 0;
        self.run_millis.iter().find_map(|(millis, tasks)| {
            seen += tasks;
            (as_float(seen) >= all * share).then_some(as_float(*millis) / 1e3)
        })
    }
}

/// The due tasks of one queue. A longer step shows the largest values in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueSample {
    /// Tasks that were due.
    #[serde(rename = "d")]
    pub due: u64,
    /// Seconds for which the oldest of them had been due.
    #[serde(rename = "o")]
    pub oldest_seconds: f64,
}

/// The counts of one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// The counts of each kind.
    #[serde(rename = "k")]
    pub kinds: BTreeMap<String, KindSample>,
    /// The counts of each queue.
    #[serde(rename = "q")]
    pub queues: BTreeMap<String, QueueSample>,
}

impl Sample {
    /// The sum over all kinds.
    pub fn all_kinds(&self) -> KindSample {
        let mut all = KindSample::default();
        self.kinds.values().for_each(|kind| all.add(kind));
        all
    }

    /// The sum over all queues; `oldest_seconds` is the largest.
    pub fn all_queues(&self) -> QueueSample {
        self.queues.values().fold(QueueSample::default(), |all, queue| QueueSample {
            due: all.due + queue.due,
            oldest_seconds: all.oldest_seconds.max(queue.oldest_seconds),
        })
    }

    /// Adds the sample of a part of the step.
    pub fn fold(&mut self, part: &Self) {
        for (kind, counts) in &part.kinds {
            self.kinds.entry(kind.clone()).or_default().add(counts);
        }
        for (queue, counts) in &part.queues {
            let most = self.queues.entry(queue.clone()).or_default();
            most.due = most.due.max(counts.due);
            most.oldest_seconds = most.oldest_seconds.max(counts.oldest_seconds);
        }
    }

    fn of_groups(groups: Vec<EndedGroup>) -> Self {
        let mut sample = Self::default();
        for group in groups {
            let kind = sample.kinds.entry(group.kind.to_string()).or_default();
            match group.status {
                TaskStatus::Success => kind.succeeded += group.tasks,
                TaskStatus::Failure => kind.failed += group.tasks,
                _ => kind.revoked += group.tasks,
            }
            if let Some(millis) = group.millis {
                *kind.run_millis.entry(rounded(millis)).or_default() += group.tasks;
            }
        }
        sample
    }
}

/// The time that a chart covers, up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticsRange {
    /// 60 minutes, in steps of one minute.
    Hour,
    /// 24 hours, in steps of ten minutes.
    Day,
    /// 7 days, in hours.
    Week,
    /// 30 days, in hours.
    Month,
}

impl StatisticsRange {
    /// The step, and the number of steps.
    const fn steps(self) -> (SampleStep, i64) {
        match self {
            Self::Hour => (MINUTE, 60),
            Self::Day => (TEN_MINUTES, 144),
            Self::Week => (HOUR, 168),
            Self::Month => (HOUR, 720),
        }
    }
}

/// The counts of a range: every step of it, oldest first; `None` where nobody counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// The length of a step, in seconds.
    pub step_seconds: SampleStep,
    /// The beginning of each step, and its counts.
    pub steps: Vec<(Timestamp, Option<Sample>)>,
}

impl Queue {
    /// The counts of a range that ends with the last whole step.
    pub async fn statistics(&self, range: StatisticsRange) -> Result<Statistics, QueueError> {
        let (step, count) = range.steps();
        let end = floor(self.clock.now(), step);
        let from = earlier(end, i64::from(step) * count);
        let mut found: BTreeMap<Timestamp, Sample> = self.read_samples(step, from, end).await?;
        let steps = (0..count).map(|place| earlier(end, i64::from(step) * (count - place)));
        Ok(Statistics { step_seconds: step, steps: steps.map(|at| (at, found.remove(&at))).collect() })
    }

    /// Counts the minutes that have passed and were not counted, folds them, and deletes what is old: how many steps were written.
    pub async fn count_once(&self) -> StoreResult<usize> {
        let now = self.clock.now();
        let end = floor(now.checked_sub(LATE).unwrap_or(now), MINUTE);
        let from = earlier(end, i64::from(MINUTE) * MOST_MISSED);
        let known = self.read_samples(MINUTE, from, end).await?;
        let latest = earlier(end, i64::from(MINUTE));
        if known.contains_key(&latest) {
            return Ok(0);
        }
        let mut written = 0;
        // Before the first count there is nothing to make up for.
        let first = known.keys().next().copied().unwrap_or(latest);
        let mut at = first;
        while at < end {
            let next = earlier(at, -i64::from(MINUTE));
            if !known.contains_key(&at) {
                let mut sample = Sample::of_groups(self.store.ended_groups(at, next).await?);
                if at == latest {
                    sample.queues = self.waiting_now(now).await?;
                }
                written += usize::from(self.write(MINUTE, at, &sample).await?);
            }
            at = next;
        }
        written += self.fold_latest(TEN_MINUTES, MINUTE, end).await?;
        written += self.fold_latest(HOUR, TEN_MINUTES, end).await?;
        for (step, age) in RETENTION {
            self.store.prune_samples(step, now.checked_sub(age).unwrap_or(now)).await?;
        }
        self.store.prune_audit(now.checked_sub(AUDIT_RETENTION).unwrap_or(now), AUDIT_BATCH).await?;
        self.store.prune_firings(now.checked_sub(FIRING_RETENTION).unwrap_or(now), AUDIT_BATCH).await?;
        Ok(written)
    }

    /// Writes the latest whole step out of the shorter ones in it.
    async fn fold_latest(&self, step: SampleStep, part: SampleStep, end: Timestamp) -> StoreResult<usize> {
        let end = floor(end, step);
        let from = earlier(end, i64::from(step));
        if !self.store.samples(step, from, end).await?.is_empty() {
            return Ok(0);
        }
        let parts = self.read_samples(part, from, end).await?;
        if parts.is_empty() {
            return Ok(0);
        }
        let mut whole = Sample::default();
        for part in parts.values() {
            whole.fold(part);
        }
        self.write(step, from, &whole).await.map(usize::from)
    }

    async fn write(&self, step: SampleStep, at: Timestamp, sample: &Sample) -> StoreResult<bool> {
        let text = serde_json::to_string(sample).unwrap_or_else(|_| "{}".into());
        self.store.write_sample(step, at, &text).await
    }

    async fn read_samples(&self, step: SampleStep, from: Timestamp, to: Timestamp) -> StoreResult<BTreeMap<Timestamp, Sample>> {
        let rows = self.store.samples(step, from, to).await?;
        // What a newer version wrote and this one cannot read counts as not counted.
        Ok(rows.into_iter().filter_map(|(at, text)| serde_json::from_str(&text).ok().map(|sample| (at, sample))).collect())
    }

    async fn waiting_now(&self, now: Timestamp) -> StoreResult<BTreeMap<String, QueueSample>> {
        let counts = self.store.queue_counts(now).await?;
        let sample = |counts: crate::store::QueueCounts| {
            let oldest = counts.oldest_due_at.map_or(0.0, |due| now.duration_since(due).as_secs_f64().max(0.0));
            (counts.name.to_string(), QueueSample { due: counts.waiting, oldest_seconds: oldest.round() })
        };
        Ok(counts.into_iter().filter(|counts| counts.waiting > 0).map(sample).collect())
    }
}

/// How often minutes are counted: often enough that a chart is at most so much behind.
pub const COUNT_EVERY: Duration = Duration::from_secs(10);

/// One of twelve values for each power of ten, the nearest below: times are told with an error of a fifth, in few groups.
fn rounded(millis: u64) -> u64 {
    const SERIES: [u64; 12] = [10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82];
    let mut scale = 1;
    while millis / scale >= 100 {
        scale *= 10;
    }
    let leading = millis / scale;
    if leading < 10 {
        return millis;
    }
    SERIES.into_iter().rev().find(|value| *value <= leading).unwrap_or(leading) * scale
}

fn floor(at: Timestamp, step: SampleStep) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(i64::from(step))).unwrap_or(at)
}

fn earlier(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(at)
}

#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds need no more than fifteen digits here")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(succeeded: u64, failed: u64, millis: &[(u64, u64)]) -> KindSample {
        KindSample { succeeded, failed, revoked: 0, run_millis: millis.iter().copied().collect() }
    }

    #[test]
    fn parts_of_a_step_add_up_and_the_most_that_waited_counts() {
        let part = |due, oldest_seconds| Sample {
            kinds: [("a.b".into(), kind(3, 1, &[(10, 4)]))].into(),
            queues: [("default".into(), QueueSample { due, oldest_seconds })].into(),
        };
        let mut whole = part(5, 60.0);
        whole.fold(&part(9, 2.0));
        assert_eq!(whole.all_kinds(), kind(6, 2, &[(10, 8)]));
        assert_eq!(whole.all_queues(), QueueSample { due: 9, oldest_seconds: 60.0 });
    }

    #[test]
    fn a_share_of_the_run_times_is_found_without_the_tasks() {
        let counts = kind(100, 0, &[(10, 90), (470, 5), (2_200, 5)]);
        assert_eq!(
            [counts.run_seconds(0.5), counts.run_seconds(0.95), counts.run_seconds(1.0)],
            [Some(0.01), Some(0.47), Some(2.2)]
        );
        assert_eq!(KindSample::default().run_seconds(0.5), None);
    }

    #[test]
    fn run_times_fall_into_few_groups() {
        assert_eq!([0, 7, 11, 99, 1_234, 99_999].map(rounded), [0, 7, 10, 82, 1_200, 82_000]);
        let groups: std::collections::BTreeSet<u64> = (0..100_000).map(rounded).collect();
        assert!(groups.len() <= 10 + 12 * 4, "{}", groups.len());
    }

    #[test]
    fn a_sample_is_small_and_reads_what_older_versions_wrote() {
        let sample = Sample { kinds: [("a.b".into(), kind(1, 0, &[(10, 1)]))].into(), queues: BTreeMap::new() };
        let text = serde_json::to_string(&sample).unwrap();
        assert_eq!(text, r#"{"k":{"a.b":{"s":1,"f":0,"r":0,"t":{"10":1}}},"q":{}}"#);
        assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample);
        assert_eq!(serde_json::from_str::<Sample>("{}").unwrap(), Sample::default());
    }
}
