//! `content.publish_scheduled`: what is scheduled and whose time has come is published.

use crate::kinds::OrFail as _;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::batches::{BATCH_ROWS, field, named_value};
use super::people;
use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, TaskFailure};
use legwork_source::model::{FieldRole, ModelRole};
use legwork_source::{Filter, Operator, Query, Row, SourceError};

/// The ids that a result names.
const IDS_LISTED: usize = 1_000;

/// Args of `content.publish_scheduled`, which publishes what is due.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ContentPublishScheduledArgs)]
#[serde(deny_unknown_fields)]
pub struct PublishScheduled {
    /// The source that holds the contents. Default: app, or the only one.
    pub source: Option<String>,
}

impl Kind for PublishScheduled {
    const NAME: &'static str = "content.publish_scheduled";
    const DESCRIPTION: &'static str =
        "Publishes the contents that are scheduled and whose time has come. To be run every few minutes.";

    fn example() -> Value {
        json!({})
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        people::model_of(services, self.source.as_deref(), ModelRole::Content).err().into_iter().collect()
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let (source, model) = people::declared(&cx, self.source.as_deref(), ModelRole::Content)?;
        let now = Value::from(cx.clock.now().to_string());
        let due = Filter::all(model)
            .and_role(FieldRole::Status, Operator::Eq, named_value(model, "scheduled").or_fail()?)
            .and_then(|filter| filter.and_role(FieldRole::PublishAt, Operator::Lte, &now))
            .map_err(SourceError::from)
            .or_fail()?;
        let mut set = Row::from_iter([(
            field(model, FieldRole::Status).or_fail()?.name.clone(),
            named_value(model, "published").or_fail()?.clone(),
        )]);
        if let Some(field) = model.field_with(FieldRole::PublishedAt) {
            set.insert(field.name.clone(), now);
        }
        let query = Query::of(due.clone());
        let (mut published, mut ids) = (0, Vec::new());
        loop {
            cx.checkpoint()?;
            // What was published is not due any more, so the next page starts anew.
            let rows = cx.or_cancelled(source.page(&query, None, BATCH_ROWS)).await?.or_fail()?;
            if rows.is_empty() {
                break;
            }
            let keys: Vec<Value> = rows.iter().filter_map(|row| row.get(&model.key).cloned()).collect();
            let of_page = due.clone().and(&model.key, Operator::In, &keys.clone().into()).map_err(SourceError::from).or_fail()?;
            let batch = source.update(&of_page, &set, None, BATCH_ROWS).await.or_fail()?;
            // Where none was changed somebody else has published them.
            if batch.rows > 0 {
                published += batch.rows;
                ids.extend(keys);
                cx.report_progress(published, None, None);
            }
        }
        ids.truncate(IDS_LISTED);
        Ok(
            json!({ "success": true, "message": format!("{published} contents were published"), "published": published, "ids": ids }),
        )
    }
}
