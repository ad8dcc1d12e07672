//! Recorded effects, in Postgres.

use async_trait::async_trait;

use super::rows::sql_time;
use super::{PgStore, pooled};
use crate::domain::TaskId;
use crate::store::{EffectRecord, EffectRecords, StoreResult};

const RECORD_EFFECT: &str = "-- record_effect
INSERT INTO effects (task, part, outcome, recorded_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

const FIND_EFFECT: &str = "-- find_effect
SELECT outcome FROM effects WHERE task = $1 AND part = $2";

/// What the retries by hand of a chain need is kept for as long as one of them may come.
pub(super) const PRUNE_EFFECT_RECORDS: &str = "-- prune_effect_records
DELETE FROM effects WHERE (task, part) IN
    (SELECT task, part FROM effects e
     WHERE recorded_at < $1 AND NOT EXISTS (SELECT FROM tasks t WHERE t.id = e.task)
       AND NOT EXISTS (SELECT FROM task_results t WHERE t.id = ANY (ARRAY[e.task]))
       AND NOT EXISTS (SELECT FROM retry_origins o WHERE o.origin = e.task)
     ORDER BY recorded_at LIMIT $2)";

#[async_trait]
impl EffectRecords for PgStore {
    async fn record_effect(&self, effect: &EffectRecord) -> StoreResult<()> {
        pooled(async {
            sqlx::query(RECORD_EFFECT)
                .bind(effect.task.as_uuid())
                .bind(&effect.part)
                .bind(&effect.outcome)
                .bind(sql_time(effect.recorded_at))
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    async fn effect_outcome(&self, task: TaskId, part: &str) -> StoreResult<Option<String>> {
        pooled(async { Ok(sqlx::query_scalar(FIND_EFFECT).bind(task.as_uuid()).bind(part).fetch_optional(&self.pool).await?) })
            .await
    }
}
