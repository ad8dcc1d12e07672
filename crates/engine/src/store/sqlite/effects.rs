//! Recorded effects, in `SQLite`.

use async_trait::async_trait;

use super::SqliteStore;
use super::statement_error::StatementError;
use crate::domain::TaskId;
use crate::store::{EffectRecord, EffectRecords, StoreResult};

const RECORD_EFFECT: &str = "-- record_effect
INSERT INTO effects (task, part, outcome, recorded_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

const FIND_EFFECT: &str = "-- find_effect
SELECT outcome FROM effects WHERE task = ?1 AND part = ?2";

/// What the retries by hand of a chain need is kept for as long as one of them may come.
pub(super) const PRUNE_EFFECT_RECORDS: &str = "-- prune_effect_records
DELETE FROM effects WHERE (task, part) IN (
    SELECT task, part FROM effects e
    WHERE recorded_at < ?1 AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = e.task)
      AND NOT EXISTS (SELECT 1 FROM task_results t WHERE t.id = e.task)
      AND NOT EXISTS (SELECT 1 FROM retry_origins o WHERE o.origin = e.task)
    ORDER BY recorded_at LIMIT ?2)";

#[async_trait]
impl EffectRecords for SqliteStore {
    async fn record_effect(&self, effect: &EffectRecord) -> StoreResult<()> {
        let mut writer = self.writer().await;
        let record = sqlx::query(RECORD_EFFECT)
            .bind(effect.task.as_uuid())
            .bind(&effect.part)
            .bind(&effect.outcome)
            .bind(effect.recorded_at.as_microsecond());
        record.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(())
    }

    async fn effect_outcome(&self, task: TaskId, part: &str) -> StoreResult<Option<String>> {
        let find = sqlx::query_scalar(FIND_EFFECT).bind(task.as_uuid()).bind(part);
        Ok(find.fetch_optional(&mut *self.reader().await?).await.map_err(StatementError::from)?)
    }
}
