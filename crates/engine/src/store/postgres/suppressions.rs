//! Addresses that get nothing in bulk.

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::rows::{sql_time, time, word};
use super::statement_error::StatementError;
use super::{PgStore, pooled};
use crate::domain::TaskId;
use crate::store::{StoreResult, Suppression, SuppressionFilter, SuppressionReason, Suppressions};

const SUPPRESS: &str = "-- suppress
INSERT INTO suppressions (address, reason, detail, principal, task, created_at)
SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[]) ORDER BY 1
ON CONFLICT DO NOTHING";

const UNSUPPRESS: &str = "-- unsuppress
DELETE FROM suppressions WHERE address = $1";

const FIND_SUPPRESSIONS: &str = "-- find_suppressions
SELECT address, reason, detail, principal, task, created_at FROM suppressions
WHERE address COLLATE \"C\" > $1 AND ($2::text IS NULL OR strpos(address, $2) > 0) AND ($3::text IS NULL OR reason = $3)
ORDER BY address COLLATE \"C\" LIMIT $4";

const SUPPRESSED_AMONG: &str = "-- suppressed_among
SELECT address FROM suppressions WHERE address = ANY ($1)";

fn suppression(row: &PgRow) -> Result<Suppression, StatementError> {
    Ok(Suppression {
        address: row.try_get(0)?,
        reason: word("suppressions", row.try_get(1)?)?,
        detail: row.try_get(2)?,
        principal: row.try_get(3)?,
        task: row.try_get::<Option<Uuid>, _>(4)?.map(Into::into),
        created_at: time(row, 5)?,
    })
}

#[async_trait]
impl Suppressions for PgStore {
    async fn suppress(&self, suppressions: &[Suppression]) -> StoreResult<u64> {
        macro_rules! column {
            ($value:expr) => {
                suppressions.iter().map($value).collect::<Vec<_>>()
            };
        }
        pooled(async {
            let insert = sqlx::query(SUPPRESS)
                .bind(column!(|one| one.address.as_str()))
                .bind(column!(|one| one.reason.as_str()))
                .bind(column!(|one| one.detail.as_deref()))
                .bind(column!(|one| one.principal.as_deref()))
                .bind(column!(|one| one.task.map(TaskId::as_uuid)))
                .bind(column!(|one| sql_time(one.created_at)));
            Ok(insert.execute(&self.pool).await?.rows_affected())
        })
        .await
    }

    async fn unsuppress(&self, address: &str) -> StoreResult<bool> {
        pooled(async { Ok(sqlx::query(UNSUPPRESS).bind(address).execute(&self.pool).await?.rows_affected() > 0) }).await
    }

    async fn suppressions(&self, filter: &SuppressionFilter, limit: u32) -> StoreResult<Vec<Suppression>> {
        pooled(async {
            let find = sqlx::query(FIND_SUPPRESSIONS)
                .bind(filter.after.as_deref().unwrap_or_default())
                .bind(filter.text.as_deref())
                .bind(filter.reason.map(SuppressionReason::as_str))
                .bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(suppression).collect()
        })
        .await
    }

    async fn suppressed_among(&self, addresses: &[String]) -> StoreResult<Vec<String>> {
        pooled(async { Ok(sqlx::query_scalar(SUPPRESSED_AMONG).bind(addresses).fetch_all(&self.pool).await?) }).await
    }
}
