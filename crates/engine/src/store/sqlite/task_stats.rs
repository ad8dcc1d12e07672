//! Counts of what ended.

use async_trait::async_trait;
use jiff::Timestamp;

use super::SqliteStore;
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::store::{EndedGroup, StoreResult, TaskStats};

const ENDED_GROUPS: &str = "-- ended_groups
SELECT kind, status,
    CASE WHEN ms < 1000 THEN ms WHEN ms < 10000 THEN ms / 10 * 10 WHEN ms < 100000 THEN ms / 100 * 100
        WHEN ms < 1000000 THEN ms / 1000 * 1000 WHEN ms < 10000000 THEN ms / 10000 * 10000 ELSE ms / 100000 * 100000 END AS bucket,
    count(*), coalesce(sum(ms), 0)
FROM (
    SELECT kind, status, iif(started_at IS NULL, NULL, max(ended_at - started_at, 0) / 1000) AS ms
    FROM task_results WHERE ended_at >= ?1 AND ended_at < ?2
)
GROUP BY 1, 2, 3";

#[async_trait]
impl TaskStats for SqliteStore {
    async fn ended_groups(&self, from: Timestamp, to: Timestamp) -> StoreResult<Vec<EndedGroup>> {
        let query = sqlx::query(ENDED_GROUPS).bind(from.as_microsecond()).bind(to.as_microsecond());
        let rows = query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        let group = |row| {
            let mut columns = Columns::of("task_results", row);
            let (kind, status) = (columns.kind()?, columns.word()?);
            let millis: Option<i64> = columns.get()?;
            let (tasks, total_millis) = (columns.number()?, columns.number()?);
            Ok(EndedGroup { kind, status, millis: millis.map(i64::unsigned_abs), tasks, total_millis })
        };
        Ok(rows.iter().map(group).collect::<Result<_, StatementError>>()?)
    }
}
