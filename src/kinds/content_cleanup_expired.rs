//! `content.cleanup_expired`: contents that have expired, and activity logs past their age.

use crate::kinds::OrFail as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::batches::{BATCH_ROWS, all_of, field};
use super::people;
use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, Scope, TaskFailure};
use legwork_source::model::{FieldRole, ModelRole};
use legwork_source::{Filter, Operator, Row, SourceError};

/// The age of what is old, unless the args say otherwise.
pub(super) const DEFAULT_DAYS: u32 = 90;
/// Most days that `days` may name: ten years.
const MOST_DAYS: u32 = 3_650;

/// Args of `content.cleanup_expired`: the age from which activity logs are deleted.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ContentCleanupExpiredArgs)]
#[serde(deny_unknown_fields)]
pub struct CleanupExpired {
    /// The age in days from which activity logs are deleted. Default: 90.
    #[schema(minimum = 1, maximum = 3_650, example = 90)]
    pub days: Option<u32>,
    /// The source that holds contents and activity logs. Default: app, or the only one.
    pub source: Option<String>,
}

impl Kind for CleanupExpired {
    const NAME: &'static str = "content.cleanup_expired";
    const DESCRIPTION: &'static str = "Makes contents whose time has passed expired (deletes them where the application has no such state), and deletes activity logs older than 90 days or as given. Needs the scope admin.";
    const SCOPE: Scope = Scope::Admin;

    fn example() -> Value {
        json!({ "days": 90 })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let source = self.source.as_deref();
        let mut field_errors: Vec<FieldError> = check_days(self.days).into_iter().collect();
        let models = people::model_of(services, source, ModelRole::Content)
            .and_then(|_| people::model_of(services, source, ModelRole::Activity));
        field_errors.extend(models.err());
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let (source, contents) = people::declared(&cx, self.source.as_deref(), ModelRole::Content)?;
        let activities = people::declared(&cx, self.source.as_deref(), ModelRole::Activity)?.1;
        let now = Value::from(cx.clock.now().to_string());
        let mut over =
            Filter::all(contents).and_role(FieldRole::ExpiresAt, Operator::Lte, &now).map_err(SourceError::from).or_fail()?;
        let expired = contents.values.get("expired");
        let set = match expired {
            Some(value) => {
                over = over.and_role(FieldRole::Status, Operator::Ne, value).map_err(SourceError::from).or_fail()?;
                Some(Row::from_iter([(field(contents, FieldRole::Status).or_fail()?.name.clone(), value.clone())]))
            }
            None => None,
        };
        let (over, set) = (&over, set.as_ref());
        let contents = all_of(&cx, 0, |after| async move {
            match set {
                Some(set) => source.update(over, set, after.as_ref(), BATCH_ROWS).await,
                None => source.delete(over, after.as_ref(), BATCH_ROWS).await,
            }
        })
        .await?;
        let before = days_before(cx.clock.now(), self.days);
        let old =
            &Filter::all(activities).and_role(FieldRole::Created, Operator::Lt, &before).map_err(SourceError::from).or_fail()?;
        let logs = all_of(&cx, contents, |after| async move { source.delete(old, after.as_ref(), BATCH_ROWS).await }).await?;
        Ok(json!({
            "success": true,
            "message": format!("{contents} contents have expired, {logs} activity logs were deleted"),
            "expired": contents,
            "deleted_activities": logs,
            "before": before,
        }))
    }
}

/// What is wrong with an age in days.
pub(super) fn check_days(days: Option<u32>) -> Option<FieldError> {
    let wrong = days.filter(|days| !(1..=MOST_DAYS).contains(days))?;
    Some(FieldError::new("/days", format!("must be between 1 and {MOST_DAYS}; got {wrong}")))
}

/// The moment so many days before `now`.
pub(super) fn days_before(now: Timestamp, days: Option<u32>) -> Value {
    let age = Duration::from_hours(24 * u64::from(days.unwrap_or(DEFAULT_DAYS)));
    now.checked_sub(age).unwrap_or(Timestamp::MIN).to_string().into()
}
