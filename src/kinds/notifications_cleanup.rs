//! `notifications.cleanup`: notifications that were read and are old.

use crate::kinds::OrFail as _;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::batches::{BATCH_ROWS, all_of};
use super::content_cleanup_expired::{check_days, days_before};
use super::people;
use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, Scope, TaskFailure};
use legwork_source::model::{FieldRole, ModelRole};
use legwork_source::{Filter, Operator, SourceError};

/// Args of `notifications.cleanup`: the age from which read notifications are deleted.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NotificationsCleanupArgs)]
#[serde(deny_unknown_fields)]
pub struct CleanupNotifications {
    /// The age in days from which read notifications are deleted. Default: 90.
    #[schema(minimum = 1, maximum = 3_650, example = 90)]
    pub days: Option<u32>,
    /// The source that holds the notifications. Default: app, or the only one.
    pub source: Option<String>,
}

impl Kind for CleanupNotifications {
    const NAME: &'static str = "notifications.cleanup";
    const DESCRIPTION: &'static str =
        "Deletes notifications that were read and are older than 90 days or as given. Unread ones stay. Needs the scope admin.";
    const SCOPE: Scope = Scope::Admin;

    fn example() -> Value {
        json!({ "days": 90 })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors: Vec<FieldError> = check_days(self.days).into_iter().collect();
        field_errors.extend(people::model_of(services, self.source.as_deref(), ModelRole::Notification).err());
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let (source, model) = people::declared(&cx, self.source.as_deref(), ModelRole::Notification)?;
        let before = days_before(cx.clock.now(), self.days);
        let read = Filter::all(model);
        let read = match model.field_with(FieldRole::Read) {
            Some(_) => read.and_role(FieldRole::Read, Operator::Eq, &true.into()),
            None => read.and_role(FieldRole::ReadAt, Operator::IsNull, &false.into()),
        };
        let old = read.and_then(|filter| filter.and_role(FieldRole::Created, Operator::Lt, &before));
        let old = &old.map_err(SourceError::from).or_fail()?;
        let deleted = all_of(&cx, 0, |after| async move { source.delete(old, after.as_ref(), BATCH_ROWS).await }).await?;
        Ok(json!({
            "success": true,
            "message": format!("{deleted} notifications were deleted"),
            "deleted": deleted,
            "before": before,
        }))
    }
}
