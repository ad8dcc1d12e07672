//! The audit log and the kept counts.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::rows::{sql_time, time};
use super::statement_error::StatementError;
use super::{PgStore, pooled};
use crate::store::{AuditEntry, AuditFilter, AuditLog, SampleStep, Samples, StoreResult};

const WRITE_AUDIT: &str = "-- write_audit
INSERT INTO audit_log (id, at, principal, action, target, detail, outcome, source, address) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING";

const FIND_AUDIT: &str = "-- find_audit
SELECT id, at, principal, action, target, detail, outcome, source, address FROM audit_log
WHERE ($1::uuid IS NULL OR id < $1) AND ($2::text IS NULL OR principal = $2) AND ($3::text IS NULL OR action = $3)
    AND ($4::text IS NULL OR strpos(lower(target), $4) > 0 OR strpos(lower(detail), $4) > 0)
ORDER BY id DESC LIMIT $5";

const PRUNE_AUDIT: &str = "-- prune_audit
DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < $1 ORDER BY at LIMIT $2)";

const WRITE_SAMPLE: &str = "-- write_sample
INSERT INTO samples (step, at, sample) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

const FIND_SAMPLES: &str = "-- find_samples
SELECT at, sample FROM samples WHERE step = $1 AND at >= $2 AND at < $3 ORDER BY at";

const PRUNE_SAMPLES: &str = "-- prune_samples
DELETE FROM samples WHERE step = $1 AND at < $2";

fn audit_entry(row: &PgRow) -> Result<AuditEntry, StatementError> {
    Ok(AuditEntry {
        id: row.try_get(0)?,
        at: time(row, 1)?,
        principal: row.try_get(2)?,
        action: row.try_get(3)?,
        target: row.try_get(4)?,
        detail: row.try_get(5)?,
        outcome: row.try_get(6)?,
        source: row.try_get(7)?,
        address: row.try_get(8)?,
    })
}

#[async_trait]
impl AuditLog for PgStore {
    async fn write_audit(&self, entry: &AuditEntry) -> StoreResult<()> {
        pooled(async {
            let write = sqlx::query(WRITE_AUDIT)
                .bind(entry.id)
                .bind(sql_time(entry.at))
                .bind(&entry.principal)
                .bind(&entry.action)
                .bind(&entry.target)
                .bind(&entry.detail)
                .bind(&entry.outcome)
                .bind(&entry.source)
                .bind(&entry.address);
            Ok(write.execute(&self.pool).await.map(drop)?)
        })
        .await
    }

    async fn audit(&self, filter: &AuditFilter, limit: u32) -> StoreResult<Vec<AuditEntry>> {
        pooled(async {
            let find = sqlx::query(FIND_AUDIT)
                .bind(filter.before)
                .bind(filter.principal.as_deref())
                .bind(filter.action.as_deref())
                .bind(filter.text.as_deref().map(str::to_lowercase))
                .bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(audit_entry).collect()
        })
        .await
    }

    async fn prune_audit(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        pooled(async {
            let prune = sqlx::query(PRUNE_AUDIT).bind(sql_time(before)).bind(i64::from(limit));
            Ok(prune.execute(&self.pool).await?.rows_affected())
        })
        .await
    }
}

#[async_trait]
impl Samples for PgStore {
    async fn write_sample(&self, step: SampleStep, at: Timestamp, sample: &str) -> StoreResult<bool> {
        pooled(async {
            let write = sqlx::query(WRITE_SAMPLE).bind(step).bind(sql_time(at)).bind(sample);
            Ok(write.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }

    async fn samples(&self, step: SampleStep, from: Timestamp, to: Timestamp) -> StoreResult<Vec<(Timestamp, String)>> {
        pooled(async {
            let find = sqlx::query(FIND_SAMPLES).bind(step).bind(sql_time(from)).bind(sql_time(to));
            find.fetch_all(&self.pool).await?.iter().map(|row| Ok((time(row, 0)?, row.try_get(1)?))).collect()
        })
        .await
    }

    async fn prune_samples(&self, step: SampleStep, before: Timestamp) -> StoreResult<u64> {
        pooled(async {
            let prune = sqlx::query(PRUNE_SAMPLES).bind(step).bind(sql_time(before));
            Ok(prune.execute(&self.pool).await?.rows_affected())
        })
        .await
    }
}
