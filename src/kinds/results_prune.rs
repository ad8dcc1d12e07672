//! `results.prune`: forgets old results before their time. The scheduler does it by itself at theirs.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, Scope, TaskFailure};

const DAY: f64 = 86_400.0;
const MOST_DAYS: f64 = 36_500.0;

/// Args of `results.prune`: the age from which results are deleted.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ResultsPruneArgs)]
#[serde(deny_unknown_fields)]
pub struct PruneResults {
    /// The age in days from which results are deleted. Default: `RESULT_RETENTION`.
    #[schema(minimum = 1, maximum = 36_500, example = 30)]
    pub older_than_days: Option<f64>,
}

impl Kind for PruneResults {
    const NAME: &'static str = "results.prune";
    const DESCRIPTION: &'static str = "Forgets results, attempts and ledgers that are older than a number of days. With Postgres whole days go at once. Needs the scope admin.";
    const SCOPE: Scope = Scope::Admin;
    const NEEDS_ENGINE: bool = true;

    fn example() -> Value {
        json!({ "older_than_days": 30 })
    }

    fn check(&self, _services: &Services) -> Vec<FieldError> {
        match self.older_than_days {
            Some(days) if !(1.0..=MOST_DAYS).contains(&days) => {
                vec![FieldError::new("/older_than_days", format!("must be between 1 and {MOST_DAYS} days; got {days}"))]
            }
            _ => Vec::new(),
        }
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let age = match self.older_than_days {
            Some(days) => Duration::from_secs_f64(days.clamp(1.0, MOST_DAYS) * DAY),
            None => cx.upkeep.result_retention(),
        };
        let mut steps = 0_u64;
        loop {
            let more = cx.or_cancelled(cx.upkeep.prune_results(age)).await?;
            steps += 1;
            if !more.map_err(|error| TaskFailure::retry("StoreUnavailable", error))? {
                break;
            }
            cx.report_progress(steps, None, None);
        }
        let days = age.as_secs_f64() / DAY;
        Ok(
            json!({ "success": true, "message": format!("results older than {days} days are forgotten"), "older_than_days": days }),
        )
    }
}
