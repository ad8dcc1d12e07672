//! Kinds for trying, and for tests: `system.echo` and `system.sleep`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, TaskFailure};

/// Args of `system.echo`: any object.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EchoArgs)]
pub struct Echo {
    /// The fields that the result repeats.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Kind for Echo {
    const NAME: &'static str = "system.echo";
    const DESCRIPTION: &'static str =
        "Gives its args back as its result. For trying things out, and for measuring what a task costs.";

    fn example() -> Value {
        json!({ "hello": "world" })
    }

    async fn run(self, _cx: TaskContext) -> Result<Value, TaskFailure> {
        let mut result = Map::new();
        result.insert("success".into(), true.into());
        result.insert("message".into(), "echo".into());
        result.extend(self.fields);
        Ok(Value::Object(result))
    }
}

/// Args of `system.sleep`: how long to sleep.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SleepArgs)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// How long to sleep, in seconds.
    #[schema(minimum = 0, maximum = 86_400, example = 2.5)]
    pub seconds: f64,
}

/// The longest sleep, in seconds: a day.
const LONGEST_SLEEP: f64 = 86_400.0;

impl Kind for Sleep {
    const NAME: &'static str = "system.sleep";
    const DESCRIPTION: &'static str =
        "Sleeps, tells progress every second, and stops when it is asked to. For trying revokes, limits and restarts.";

    fn example() -> Value {
        json!({ "seconds": 2.5 })
    }

    fn check(&self, _services: &Services) -> Vec<FieldError> {
        if (0.0..=LONGEST_SLEEP).contains(&self.seconds) {
            return Vec::new();
        }
        vec![FieldError::new("/seconds", format!("must be between 0 and {LONGEST_SLEEP} seconds; got {}", self.seconds))]
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let total = Duration::from_secs_f64(self.seconds);
        let mut slept = Duration::ZERO;
        while slept < total {
            let step = total.saturating_sub(slept).min(Duration::from_secs(1));
            cx.or_cancelled(tokio::time::sleep(step)).await?;
            slept += step;
            cx.report_progress(slept.as_secs(), Some(total.as_secs()), None);
        }
        Ok(json!({ "success": true, "message": format!("slept {} s", self.seconds), "seconds": self.seconds }))
    }
}
