//! Retention: a few rows a call, so that no write waits long behind it.

use jiff::Timestamp;

use super::SqliteStore;
use super::statement_error::StatementError;
use crate::store::Prune;

const PRUNE_RESULTS: &str = "-- prune_results
DELETE FROM task_results WHERE id IN (SELECT id FROM task_results WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2)";

const PRUNE_ATTEMPTS: &str = "-- prune_attempts
DELETE FROM attempts WHERE (task, attempt) IN (SELECT task, attempt FROM attempts WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2)";

/// The ledger of a task is kept for as long as it lives, whose next attempt must not send twice, and for as long as its result: a parent
/// that is retried looks at what became of its children.
const PRUNE_LEDGER: &str = "-- prune_ledger
DELETE FROM mail_ledger WHERE (task, part) IN (
    SELECT task, part FROM mail_ledger
    WHERE updated_at < ?1 AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = mail_ledger.task)
      AND NOT EXISTS (SELECT 1 FROM task_results WHERE task_results.id = mail_ledger.task)
    ORDER BY updated_at LIMIT ?2)";

const PRUNE_KEYS: &str = "-- prune_keys
DELETE FROM idempotency_keys WHERE (principal, scope, key) IN (
    SELECT principal, scope, key FROM idempotency_keys
    WHERE created_at < ?1 AND scope <> 'effect'
    ORDER BY created_at LIMIT ?2)";

/// What a task submitted is found again by its next attempt, and by those of its retries by hand.
const PRUNE_EFFECTS: &str = "-- prune_effects
DELETE FROM idempotency_keys WHERE (principal, scope, key) IN (
    SELECT principal, scope, key FROM idempotency_keys
    WHERE created_at < ?1 AND scope = 'effect'
      AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = unhex(replace(substr(key, 1, 36), '-', '')))
      AND NOT EXISTS (SELECT 1 FROM task_results WHERE task_results.id = unhex(replace(substr(key, 1, 36), '-', '')))
      AND NOT EXISTS (SELECT 1 FROM retry_origins WHERE origin = unhex(replace(substr(key, 1, 36), '-', '')))
    ORDER BY created_at LIMIT ?2)";

const PRUNE_ORIGINS: &str = "-- prune_origins
DELETE FROM retry_origins WHERE task IN (
    SELECT task FROM retry_origins o
    WHERE created_at < ?1 AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = o.task)
      AND NOT EXISTS (SELECT 1 FROM task_results t WHERE t.id = o.task)
    ORDER BY created_at LIMIT ?2)";

const PRUNE_WORKERS: &str = "-- prune_workers
DELETE FROM workers WHERE id IN (SELECT id FROM workers WHERE dead AND heartbeat_at < ?1 LIMIT ?2)";

const PRUNE_TOKENS: &str = "-- prune_tokens
DELETE FROM revoked_tokens WHERE jti IN (SELECT jti FROM revoked_tokens WHERE expires_at < ?1 LIMIT ?2)";

impl SqliteStore {
    /// One transaction a table, so that others write in between. Whether any came to its limit, so that more may be left.
    pub(super) async fn prune_rows(&self, prune: &Prune) -> Result<bool, StatementError> {
        let old = prune.results_before;
        let has_more_results = self.prune_by(PRUNE_RESULTS, old, prune.limit).await?;
        let mut has_more = has_more_results;
        for (statement, before) in [
            (PRUNE_ATTEMPTS, old),
            (PRUNE_KEYS, prune.keys_before),
            (PRUNE_WORKERS, prune.workers_before),
            (PRUNE_TOKENS, prune.now),
        ] {
            has_more |= self.prune_by(statement, before, prune.limit).await?;
        }
        // What was kept beside results goes behind them: before, each look would pass by all that is still to stay.
        if !has_more_results {
            for (statement, before) in [
                (PRUNE_ORIGINS, old),
                (PRUNE_LEDGER, old),
                (super::recipients::PRUNE_RECIPIENTS, old),
                (super::recipients::PRUNE_LISTS, old),
                (super::effects::PRUNE_EFFECT_RECORDS, old),
                (PRUNE_EFFECTS, old.min(prune.keys_before)),
            ] {
                has_more |= self.prune_by(statement, before, prune.limit).await?;
            }
        }
        Ok(has_more)
    }

    async fn prune_by(&self, statement: &'static str, before: Timestamp, limit: u32) -> Result<bool, StatementError> {
        let mut writer = self.writer().await;
        let query = sqlx::query(statement).bind(before.as_microsecond()).bind(limit);
        Ok(query.execute(writer.connection()?).await?.rows_affected() >= u64::from(limit))
    }
}
