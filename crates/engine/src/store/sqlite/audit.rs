//! The audit log and the kept counts.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::SqliteStore;
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::store::{AuditEntry, AuditFilter, AuditLog, SampleStep, Samples, StoreResult};

const WRITE_AUDIT: &str = "-- write_audit
INSERT INTO audit_log (id, at, principal, action, target, detail, outcome, source, address)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";

const FIND_AUDIT: &str = "-- find_audit
SELECT id, at, principal, action, target, detail, outcome, source, address FROM audit_log
WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR principal = ?2) AND (?3 IS NULL OR action = ?3)
    AND (?4 IS NULL OR instr(lower(target), ?4) > 0 OR instr(lower(detail), ?4) > 0)
ORDER BY id DESC LIMIT ?5";

const PRUNE_AUDIT: &str = "-- prune_audit
DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < ?1 ORDER BY at LIMIT ?2)";

const WRITE_SAMPLE: &str = "-- write_sample
INSERT INTO samples (step, at, sample) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

const FIND_SAMPLES: &str = "-- find_samples
SELECT at, sample FROM samples WHERE step = ?1 AND at >= ?2 AND at < ?3 ORDER BY at";

const PRUNE_SAMPLES: &str = "-- prune_samples
DELETE FROM samples WHERE step = ?1 AND at < ?2";

fn audit_entry(row: &SqliteRow) -> Result<AuditEntry, StatementError> {
    let mut columns = Columns::of("audit_log", row);
    Ok(AuditEntry {
        id: columns.get::<Uuid>()?,
        at: columns.time()?,
        principal: columns.get()?,
        action: columns.get()?,
        target: columns.get()?,
        detail: columns.get()?,
        outcome: columns.get()?,
        source: columns.get()?,
        address: columns.get()?,
    })
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn write_audit(&self, entry: &AuditEntry) -> StoreResult<()> {
        let mut writer = self.writer().await;
        let write = sqlx::query(WRITE_AUDIT)
            .bind(entry.id)
            .bind(entry.at.as_microsecond())
            .bind(entry.principal.as_str())
            .bind(entry.action.as_str())
            .bind(entry.target.as_str())
            .bind(entry.detail.as_str())
            .bind(entry.outcome.as_str())
            .bind(entry.source.as_str())
            .bind(entry.address.as_str());
        write.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(())
    }

    async fn audit(&self, filter: &AuditFilter, limit: u32) -> StoreResult<Vec<AuditEntry>> {
        let find = sqlx::query(FIND_AUDIT)
            .bind(filter.before)
            .bind(filter.principal.as_deref())
            .bind(filter.action.as_deref())
            .bind(filter.text.as_deref().map(str::to_lowercase))
            .bind(limit);
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(audit_entry).collect::<Result<_, StatementError>>()?)
    }

    async fn prune_audit(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let mut writer = self.writer().await;
        let prune = sqlx::query(PRUNE_AUDIT).bind(before.as_microsecond()).bind(limit);
        Ok(prune.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected())
    }
}

#[async_trait]
impl Samples for SqliteStore {
    async fn write_sample(&self, step: SampleStep, at: Timestamp, sample: &str) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let write = sqlx::query(WRITE_SAMPLE).bind(step).bind(at.as_microsecond()).bind(sample);
        Ok(write.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected() > 0)
    }

    async fn samples(&self, step: SampleStep, from: Timestamp, to: Timestamp) -> StoreResult<Vec<(Timestamp, String)>> {
        let find = sqlx::query(FIND_SAMPLES).bind(step).bind(from.as_microsecond()).bind(to.as_microsecond());
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        let sample = |row| {
            let mut columns = Columns::of("samples", row);
            Ok((columns.time()?, columns.get()?))
        };
        Ok(rows.iter().map(sample).collect::<Result<_, StatementError>>()?)
    }

    async fn prune_samples(&self, step: SampleStep, before: Timestamp) -> StoreResult<u64> {
        let mut writer = self.writer().await;
        let prune = sqlx::query(PRUNE_SAMPLES).bind(step).bind(before.as_microsecond());
        Ok(prune.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected())
    }
}
