//! `system.aggregate_metrics`: what ended within a time, by kind: counts, rates, and how long it took.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, Scope, TaskFailure, TaskStatus};
use legwork_engine::store::EndedGroup;

/// Most minutes that one task may aggregate: 31 days.
const MOST_MINUTES: u32 = 44_640;
const DEFAULT_MINUTES: u32 = 60;

/// Args of `system.aggregate_metrics`: the length of the time to aggregate.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AggregateMetricsArgs)]
#[serde(deny_unknown_fields)]
pub struct AggregateMetrics {
    /// The length of the time to aggregate, in minutes up to now.
    #[serde(default = "default_minutes")]
    #[schema(minimum = 1, maximum = 44_640, default = 60, example = 60)]
    pub window_minutes: u32,
}

const fn default_minutes() -> u32 {
    DEFAULT_MINUTES
}

impl Kind for AggregateMetrics {
    const NAME: &'static str = "system.aggregate_metrics";
    const DESCRIPTION: &'static str = "Counts what ended within a number of minutes, by kind and state, with rates and with the mean, the 50th, 95th and 99th percentile and the longest of the times that it took. Needs the scope admin.";
    const SCOPE: Scope = Scope::Admin;
    const NEEDS_ENGINE: bool = true;

    fn example() -> Value {
        json!({ "window_minutes": 60 })
    }

    fn check(&self, _services: &Services) -> Vec<FieldError> {
        if (1..=MOST_MINUTES).contains(&self.window_minutes) {
            return Vec::new();
        }
        let detail = format!("must be between 1 and {MOST_MINUTES} minutes; got {}", self.window_minutes);
        vec![FieldError::new("/window_minutes", detail)]
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let to = cx.clock.now();
        let from = to.checked_sub(SignedDuration::from_mins(self.window_minutes.into())).unwrap_or(Timestamp::MIN);
        let groups = cx.or_cancelled(cx.upkeep.ended_groups(from, to)).await?;
        let groups = groups.map_err(|error| TaskFailure::retry("StoreUnavailable", error))?;
        let seconds = f64::from(self.window_minutes) * 60.0;
        let mut by_kind: BTreeMap<&str, Vec<&EndedGroup>> = BTreeMap::new();
        for group in &groups {
            by_kind.entry(group.kind.as_str()).or_default().push(group);
        }
        let kinds = by_kind.into_iter().map(|(kind, groups)| {
            let mut of_kind = figures(&groups, seconds);
            of_kind["kind"] = kind.into();
            of_kind
        });
        let kinds: Vec<Value> = kinds.collect();
        let all = figures(&groups.iter().collect::<Vec<_>>(), seconds);
        let message = format!("{} tasks of {} kinds ended in {} minutes", all["total"], kinds.len(), self.window_minutes);
        Ok(json!({ "success": true, "message": message, "from": from, "to": to, "all": all, "kinds": kinds }))
    }
}

/// What some groups come to over a time of so many seconds.
fn figures(groups: &[&EndedGroup], seconds: f64) -> Value {
    let count = |status| groups.iter().filter(|group| group.status == status).map(|group| group.tasks).sum::<u64>();
    let (success, failure, revoked) = (count(TaskStatus::Success), count(TaskStatus::Failure), count(TaskStatus::Revoked));
    let total = success + failure + revoked;
    let judged = success + failure;
    let mut times: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut ran, mut total_millis) = (0, 0);
    for group in groups {
        if let Some(millis) = group.millis {
            *times.entry(millis).or_default() += group.tasks;
            ran += group.tasks;
            total_millis += group.total_millis;
        }
    }
    let at = |share: f64| percentile(&times, ran, share).map(|millis| float(millis) / 1e3);
    json!({
        "total": total,
        "success": success,
        "failure": failure,
        "revoked": revoked,
        "per_second": float(total) / seconds,
        "failure_rate": (judged > 0).then(|| float(failure) / float(judged)),
        "seconds": {
            "mean": (ran > 0).then(|| float(total_millis) / float(ran) / 1e3),
            "p50": at(0.50),
            "p95": at(0.95),
            "p99": at(0.99),
            "longest": at(1.0),
        },
    })
}

/// The least time that this share of all did not exceed; `None` where nothing ran.
fn percentile(times: &BTreeMap<u64, u64>, ran: u64, share: f64) -> Option<u64> {
    let mut seen = 0;
    times.iter().find_map(|(millis, tasks)| {
        seen += tasks;
        (float(seen) >= float(ran) * share).then_some(*millis)
    })
}

/// For ratios. Beyond 2^53 a count loses its last digit, which is no matter here.
#[expect(clippy::cast_precision_loss, reason = "ratios need no more than fifteen digits")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use legwork_engine::domain::KindName;

    fn group(status: TaskStatus, millis: Option<u64>, tasks: u64) -> EndedGroup {
        let total_millis = millis.unwrap_or(0) * tasks;
        EndedGroup { kind: KindName::parse("a.b").unwrap(), status, millis, tasks, total_millis }
    }

    #[test]
    fn figures_are_made_of_groups() {
        let groups = [
            group(TaskStatus::Success, Some(10), 90),
            group(TaskStatus::Success, Some(100), 5),
            group(TaskStatus::Failure, Some(2_000), 5),
            group(TaskStatus::Revoked, None, 20),
        ];
        let rendered = figures(&groups.iter().collect::<Vec<_>>(), 60.0);
        assert_eq!(
            rendered,
            json!({
                "total": 120, "success": 95, "failure": 5, "revoked": 20, "per_second": 2.0, "failure_rate": 0.05,
                "seconds": { "mean": 0.114, "p50": 0.01, "p95": 0.1, "p99": 2.0, "longest": 2.0 },
            })
        );
    }

    #[test]
    fn nothing_has_no_rate_and_no_times() {
        let rendered = figures(&[], 60.0);
        assert_eq!(
            (&rendered["total"], &rendered["failure_rate"], &rendered["seconds"]["mean"]),
            (&json!(0), &Value::Null, &Value::Null)
        );
        assert_eq!(rendered["seconds"]["p50"], Value::Null);
    }
}
