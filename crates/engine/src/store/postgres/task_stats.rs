//! Counts of what ended.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::rows::{corrupt, sql_time, word};
use super::statement_error::StatementError;
use super::{PgStore, pooled};
use crate::domain::KindName;
use crate::store::{EndedGroup, StoreResult, TaskStats};

/// Half a microsecond is added because seconds are a float: 1.001 s must not become 1000 ms.
const ENDED_GROUPS: &str = "-- ended_groups
SELECT kind, status,
    CASE WHEN ms < 1000 THEN ms WHEN ms < 10000 THEN ms / 10 * 10 WHEN ms < 100000 THEN ms / 100 * 100
        WHEN ms < 1000000 THEN ms / 1000 * 1000 WHEN ms < 10000000 THEN ms / 10000 * 10000 ELSE ms / 100000 * 100000 END AS bucket,
    count(*), coalesce(sum(ms), 0)::int8
FROM (
    SELECT kind, status,
        CASE WHEN started_at IS NOT NULL
            THEN greatest(floor(date_part('epoch', ended_at - started_at) * 1000 + 0.0005), 0)::int8 END AS ms
    FROM task_results WHERE ended_at >= $1 AND ended_at < $2
) AS ended
GROUP BY 1, 2, 3";

#[async_trait]
impl TaskStats for PgStore {
    async fn ended_groups(&self, from: Timestamp, to: Timestamp) -> StoreResult<Vec<EndedGroup>> {
        pooled(async {
            let rows = sqlx::query(ENDED_GROUPS).bind(sql_time(from)).bind(sql_time(to)).fetch_all(&self.pool).await?;
            rows.iter().map(ended_group).collect()
        })
        .await
    }
}

fn ended_group(row: &PgRow) -> Result<EndedGroup, StatementError> {
    const TABLE: &str = "task_results";
    let number = |column: usize| u64::try_from(row.try_get::<i64, _>(column)?).map_err(|error| corrupt(TABLE, error));
    Ok(EndedGroup {
        kind: KindName::from_store(row.try_get(0)?),
        status: word(TABLE, row.try_get(1)?)?,
        millis: row.try_get::<Option<i64>, _>(2)?.map(i64::unsigned_abs),
        tasks: number(3)?,
        total_millis: number(4)?,
    })
}
