//! Charts of the kept counts.

use jiff::Timestamp;
use serde::Serialize;

use super::chart::{Axis, Caption, Chart, Legend, Series, spark};
use super::format;
use super::view::{Choice, Tone, with_query};
use legwork_engine::queue::statistics::{KindSample, QueueSample, Sample, Statistics, StatisticsRange};

/// The ranges: what stands in the address, its label, the range.
const RANGES: [(&str, &str, StatisticsRange); 4] = [
    ("hour", "Hour", StatisticsRange::Hour),
    ("day", "Day", StatisticsRange::Day),
    ("week", "Week", StatisticsRange::Week),
    ("month", "Month", StatisticsRange::Month),
];
/// Kinds that a list shows.
const KINDS_SHOWN: usize = 8;
/// Points of a small line.
const SPARK_POINTS: usize = 24;

/// A range by its word; an unknown one is the hour.
pub(super) fn range_of(word: &str) -> (&'static str, StatisticsRange) {
    RANGES.iter().find(|(name, ..)| *name == word).map_or(("hour", StatisticsRange::Hour), |(name, _, range)| (name, *range))
}

/// The links to all ranges.
pub(super) fn ranges(path: &str, current: &str, more: &[(&str, &str)]) -> Vec<Choice> {
    let choice = |(name, label, _): (&'static str, &'static str, StatisticsRange)| Choice {
        label: label.into(),
        url: with_query(path, more.iter().copied().chain([("range", if name == "hour" { "" } else { name })])),
        current: name == current,
        count: None,
    };
    RANGES.map(choice).into()
}

/// The range in words, behind a figure.
pub(super) fn range_words(range: StatisticsRange) -> &'static str {
    match range {
        StatisticsRange::Hour => "last hour",
        StatisticsRange::Day => "last 24 hours",
        StatisticsRange::Week => "last 7 days",
        StatisticsRange::Month => "last 30 days",
    }
}

/// Counts of a range, reduced to what is charted.
pub(super) struct History<'a> {
    axis: Axis,
    minutes: f64,
    words: &'static str,
    steps: Vec<Option<&'a Sample>>,
    whole: Sample,
}

impl<'a> History<'a> {
    /// Prepares the charts of the given counts.
    pub(super) fn new(statistics: &'a Statistics, range: StatisticsRange) -> Self {
        let mut whole = Sample::default();
        statistics.steps.iter().filter_map(|(_, sample)| sample.as_ref()).for_each(|sample| whole.fold(sample));
        Self {
            axis: Axis {
                steps: statistics.steps.iter().map(|(at, _): &(Timestamp, _)| at.to_string()).collect(),
                is_days: matches!(range, StatisticsRange::Week | StatisticsRange::Month),
            },
            minutes: f64::from(statistics.step_seconds) / 60.0,
            words: range_words(range),
            steps: statistics.steps.iter().map(|(_, sample)| sample.as_ref()).collect(),
            whole,
        }
    }

    /// All kinds together, over the whole range.
    pub(super) fn all_kinds(&self) -> KindSample {
        self.whole.all_kinds()
    }

    fn kind(&self, name: Option<&str>) -> (KindSample, Vec<Option<KindSample>>) {
        let of = |sample: &Sample| match name {
            Some(name) => sample.kinds.get(name).cloned().unwrap_or_default(),
            None => sample.all_kinds(),
        };
        (of(&self.whole), self.steps.iter().map(|step| step.map(of)).collect())
    }

    /// How many tasks ended, and how, of one kind or of all.
    pub(super) fn throughput(&self, kind: Option<&str>) -> Chart {
        let (whole, steps) = self.kind(kind);
        let per_minute = |count: u64| as_float(count) / self.minutes;
        let good = |step: &KindSample| per_minute(step.ended() - step.failed);
        let covered = as_float(self.steps.iter().flatten().count() as u64).max(1.0) * self.minutes;
        let ended = whole.ended();
        let caption = Caption {
            id: "throughput",
            title: "Throughput",
            value: format::number(round(as_float(ended) / covered)),
            unit: "tasks a minute",
            summary: format!(
                "{} ended in the {}, {} of them as FAILURE.",
                format::count(ended, "task"),
                self.words,
                format::number(whole.failed)
            ),
        };
        let legend = vec![
            Legend { tone: Tone::C1, label: "Ended well", value: Some(format::short(ended - whole.failed)) },
            Legend { tone: Tone::Bad, label: "Failed", value: Some(format::short(whole.failed)) },
        ];
        let series = [
            Series { tone: Tone::C1, values: steps.iter().map(|step| step.as_ref().map(good)).collect(), is_area: false },
            Series {
                tone: Tone::Bad,
                values: steps.iter().map(|step| step.as_ref().map(|step| per_minute(step.failed))).collect(),
                is_area: false,
            },
        ];
        Chart::new(caption, &self.axis, legend).stacked(&series, plain).told(&self.axis, |step| match &steps[step] {
            Some(step) => format!("{} ended\n{} failed", format::number(step.ended()), format::number(step.failed)),
            None => "not counted".into(),
        })
    }

    /// How long attempts ran, of one kind or of all.
    pub(super) fn run_time(&self, kind: Option<&str>) -> Chart {
        let (whole, steps) = self.kind(kind);
        let at = |share| whole.run_seconds(share).map_or_else(|| "–".into(), format::duration);
        let caption = Caption {
            id: "run-time",
            title: "Run time",
            value: at(0.95),
            unit: "p95 of attempts",
            summary: format!("Half of the attempts of the {} took at most {}, 95 % at most {}.", self.words, at(0.5), at(0.95)),
        };
        let legend = vec![
            Legend { tone: Tone::C1, label: "p50", value: Some(at(0.5)) },
            Legend { tone: Tone::C2, label: "p95", value: Some(at(0.95)) },
        ];
        let line = |tone, share, is_area| Series {
            tone,
            values: steps.iter().map(|step| step.as_ref().and_then(|step| step.run_seconds(share))).collect(),
            is_area,
        };
        let series = [line(Tone::C2, 0.95, true), line(Tone::C1, 0.5, false)];
        Chart::new(caption, &self.axis, legend).lines(&series, true, format::duration).told(&self.axis, |step| {
            let at = |share| {
                steps[step].as_ref().and_then(|step| step.run_seconds(share)).map_or_else(|| "–".into(), format::duration)
            };
            format!("p50 {}\np95 {}", at(0.5), at(0.95))
        })
    }

    /// Which share of what ended failed.
    pub(super) fn failures(&self) -> Chart {
        let (whole, steps) = self.kind(None);
        let caption = Caption {
            id: "failures",
            title: "Failures",
            value: format::percent(failure_rate(&whole)),
            unit: "of tasks that ended",
            summary: format!("{} of the tasks that ended in the {} failed.", format::percent(failure_rate(&whole)), self.words),
        };
        let legend = vec![Legend { tone: Tone::Bad, label: "Failed", value: Some(format::short(whole.failed)) }];
        let rates = steps.iter().map(|step| step.as_ref().map(|step| failure_rate(step) * 100.0)).collect();
        let series = [Series { tone: Tone::Bad, values: rates, is_area: false }];
        Chart::new(caption, &self.axis, legend).stacked(&series, |percent| format!("{} %", plain(percent))).told(
            &self.axis,
            |step| {
                steps[step]
                    .as_ref()
                    .map_or_else(|| "not counted".into(), |step| format!("{} failed", format::percent(failure_rate(step))))
            },
        )
    }

    /// What waited, in one queue or in all; `due` and `oldest` are the present figures.
    pub(super) fn waiting(&self, queue: Option<&str>, due: u64, oldest: Option<f64>) -> Chart {
        let of = |sample: &Sample| match queue {
            Some(name) => sample.queues.get(name).copied().unwrap_or_default(),
            None => sample.all_queues(),
        };
        let steps: Vec<Option<QueueSample>> = self.steps.iter().map(|step| step.map(of)).collect();
        let most = of(&self.whole);
        let caption = Caption {
            id: "waiting",
            title: "Waiting",
            value: format::number(due),
            unit: "due tasks",
            summary: format!(
                "At most {} waited in the {}, the oldest for {}.",
                format::count(most.due, "due task"),
                self.words,
                format::duration(most.oldest_seconds)
            ),
        };
        let oldest = oldest.map_or_else(|| "–".into(), format::duration);
        let legend = vec![
            Legend { tone: Tone::Info, label: "Due", value: None },
            Legend { tone: Tone::Warn, label: "Oldest", value: Some(oldest) },
        ];
        let series = [
            Series {
                tone: Tone::Info,
                values: steps.iter().map(|step| step.map(|step| as_float(step.due))).collect(),
                is_area: true,
            },
            Series {
                tone: Tone::Warn,
                values: steps.iter().map(|step| step.map(|step| step.oldest_seconds)).collect(),
                is_area: false,
            },
        ];
        Chart::new(caption, &self.axis, legend).lines(&series, false, plain).told(&self.axis, |step| match steps[step] {
            Some(step) => format!("{} due\noldest {}", format::number(step.due), format::duration(step.oldest_seconds)),
            None => "not counted".into(),
        })
    }

    /// The kinds of which most ended, or which failed most.
    pub(super) fn kinds(&self, worst_first: bool) -> Vec<KindRow> {
        let mut rows: Vec<KindRow> = self.whole.kinds.iter().map(|(kind, counts)| self.kind_row(kind, counts)).collect();
        rows.sort_by(|a, b| {
            let by_failures = b.failure_rate.total_cmp(&a.failure_rate);
            let by_count = b.ended.cmp(&a.ended);
            if worst_first { by_failures.then(by_count) } else { by_count }
        });
        rows.truncate(KINDS_SHOWN);
        rows
    }

    fn kind_row(&self, kind: &str, counts: &KindSample) -> KindRow {
        let ended: Vec<f64> = self
            .steps
            .iter()
            .map(|step| step.and_then(|step| step.kinds.get(kind)).map_or(0.0, |step| as_float(step.ended())))
            .collect();
        let per_point = ended.len().div_ceil(SPARK_POINTS).max(1);
        let points: Vec<f64> = ended.chunks(per_point).map(|part| part.iter().sum()).collect();
        KindRow {
            kind: kind.to_owned(),
            url: format!("/kinds/{}", super::view::path_segment(kind)),
            ended: counts.ended(),
            failed: counts.failed,
            failed_url: with_query("/tasks", [("status", "FAILURE"), ("kind", kind)]),
            failure_rate: failure_rate(counts),
            p95_seconds: counts.run_seconds(0.95),
            spark: spark(&points),
        }
    }
}

/// A kind in a list.
#[derive(Serialize)]
pub(super) struct KindRow {
    kind: String,
    url: String,
    ended: u64,
    failed: u64,
    failed_url: String,
    failure_rate: f64,
    p95_seconds: Option<f64>,
    spark: String,
}

fn failure_rate(counts: &KindSample) -> f64 {
    let judged = counts.succeeded + counts.failed;
    if judged == 0 { 0.0 } else { as_float(counts.failed) / as_float(judged) }
}

/// A number of an axis.
fn plain(value: f64) -> String {
    if value >= 1_000.0 { format::short(round(value)) } else { format!("{}", (value * 100.0).round() / 100.0) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are not negative and far below 2^63")]
fn round(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "a chart needs no more than fifteen digits")]
fn as_float(count: u64) -> f64 {
    count as f64
}
