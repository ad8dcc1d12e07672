//! Addresses that get nothing in bulk.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::SqliteStore;
use super::json::{JsonRows, texts};
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::domain::TaskId;
use crate::store::{StoreResult, Suppression, SuppressionFilter, SuppressionReason, Suppressions};

const SUPPRESS: &str = "-- suppress
INSERT INTO suppressions (address, reason, detail, principal, task, created_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4), value ->> 5 FROM jsonb_each(?1) WHERE true
ON CONFLICT DO NOTHING";

const UNSUPPRESS: &str = "-- unsuppress
DELETE FROM suppressions WHERE address = ?1";

const FIND_SUPPRESSIONS: &str = "-- find_suppressions
SELECT address, reason, detail, principal, task, created_at FROM suppressions
WHERE address > ?1 AND (?2 IS NULL OR instr(address, ?2) > 0) AND (?3 IS NULL OR reason = ?3)
ORDER BY address LIMIT ?4";

const SUPPRESSED_AMONG: &str = "-- suppressed_among
SELECT address FROM suppressions WHERE address IN (SELECT value FROM json_each(?1))";

fn suppression(row: &SqliteRow) -> Result<Suppression, StatementError> {
    let mut columns = Columns::of("suppressions", row);
    Ok(Suppression {
        address: columns.get()?,
        reason: {
            let word: &str = columns.get()?;
            word.parse().map_err(|reason: String| columns.corrupt(reason))?
        },
        detail: columns.get()?,
        principal: columns.get()?,
        task: columns.get::<Option<Uuid>>()?.map(Into::into),
        created_at: columns.time()?,
    })
}

#[async_trait]
impl Suppressions for SqliteStore {
    async fn suppress(&self, suppressions: &[Suppression]) -> StoreResult<u64> {
        let mut rows = JsonRows::new();
        for one in suppressions {
            rows.row()
                .text(Some(&one.address))
                .value(&one.reason.as_str())
                .text(one.detail.as_deref())
                .text(one.principal.as_deref())
                .id(one.task.map(TaskId::as_uuid))
                .time(Some(one.created_at))
                .end()?;
        }
        let rows = rows.text()?;
        let mut writer = self.writer().await;
        let insert = sqlx::query(SUPPRESS).bind(rows).execute(writer.connection()?);
        Ok(insert.await.map_err(StatementError::from)?.rows_affected())
    }

    async fn unsuppress(&self, address: &str) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let delete = sqlx::query(UNSUPPRESS).bind(address).execute(writer.connection()?);
        Ok(delete.await.map_err(StatementError::from)?.rows_affected() > 0)
    }

    async fn suppressions(&self, filter: &SuppressionFilter, limit: u32) -> StoreResult<Vec<Suppression>> {
        let find = sqlx::query(FIND_SUPPRESSIONS)
            .bind(filter.after.as_deref().unwrap_or_default())
            .bind(filter.text.as_deref())
            .bind(filter.reason.map(SuppressionReason::as_str))
            .bind(limit);
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(suppression).collect::<Result<_, StatementError>>()?)
    }

    async fn suppressed_among(&self, addresses: &[String]) -> StoreResult<Vec<String>> {
        let find = sqlx::query_scalar(SUPPRESSED_AMONG).bind(texts(addresses)?);
        Ok(find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?)
    }
}
