//! The migrations of the `SQLite` schema, in order.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr as _, SqliteConnection};

use super::statement_error::StatementError;
use crate::store::StoreError;

const APPLIED: &str = "-- applied_migrations
SELECT version FROM _sqlx_migrations WHERE success";

const HAS_TABLE: &str = "-- has_migrations
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'";

fn all() -> Vec<Migration> {
    let engine = include_str!("../../../../../migrations/sqlite/0001_engine.sql");
    let files = include_str!("../../../../../migrations/sqlite/0002_files.sql");
    let recipients = include_str!("../../../../../migrations/sqlite/0003_recipients.sql");
    let retries = include_str!("../../../../../migrations/sqlite/0004_retries.sql");
    let lists = include_str!("../../../../../migrations/sqlite/0005_lists.sql");
    let older_retries = include_str!("../../../../../migrations/sqlite/0006_older_retries.sql");
    let progress_peak = include_str!("../../../../../migrations/sqlite/0007_progress_peak.sql");
    let words = include_str!("../../../../../migrations/sqlite/0008_words.sql");
    let version = include_str!("../../../../../migrations/sqlite/0009_version.sql");
    let audit = include_str!("../../../../../migrations/sqlite/0010_audit.sql");
    let schedules = include_str!("../../../../../migrations/sqlite/0011_schedules.sql");
    let effects = include_str!("../../../../../migrations/sqlite/0012_effects.sql");
    let rate_limits = include_str!("../../../../../migrations/sqlite/0013_rate_limits.sql");
    let schedule_names = include_str!("../../../../../migrations/sqlite/0014_schedule_names.sql");
    vec![
        Migration::new(1, "engine".into(), MigrationType::Simple, engine.into_sql_str(), false),
        Migration::new(2, "files".into(), MigrationType::Simple, files.into_sql_str(), false),
        Migration::new(3, "recipients".into(), MigrationType::Simple, recipients.into_sql_str(), false),
        Migration::new(4, "retries".into(), MigrationType::Simple, retries.into_sql_str(), false),
        Migration::new(5, "lists".into(), MigrationType::Simple, lists.into_sql_str(), false),
        Migration::new(6, "older retries".into(), MigrationType::Simple, older_retries.into_sql_str(), false),
        Migration::new(7, "progress peak".into(), MigrationType::Simple, progress_peak.into_sql_str(), false),
        Migration::new(8, "words".into(), MigrationType::Simple, words.into_sql_str(), false),
        Migration::new(9, "version".into(), MigrationType::Simple, version.into_sql_str(), false),
        Migration::new(10, "audit".into(), MigrationType::Simple, audit.into_sql_str(), false),
        Migration::new(11, "schedules".into(), MigrationType::Simple, schedules.into_sql_str(), false),
        Migration::new(12, "effects".into(), MigrationType::Simple, effects.into_sql_str(), false),
        Migration::new(13, "rate limits".into(), MigrationType::Simple, rate_limits.into_sql_str(), false),
        Migration::new(14, "schedule names".into(), MigrationType::Simple, schedule_names.into_sql_str(), false),
    ]
}

/// Applies what is missing. No other process can be at it: the file is ours.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StatementError> {
    let mut migrator = Migrator::with_migrations(all());
    // A newer program may have been here, and the older one was put back.
    migrator.set_ignore_missing(true);
    let outcome = migrator.run_direct(None, connection, false).await;
    outcome.map_err(|error| StatementError::Other(StoreError::Database(format!("the migration failed: {error}"))))
}

pub(super) async fn is_migrated(connection: &mut SqliteConnection) -> Result<bool, StatementError> {
    let tables: i64 = sqlx::query_scalar(HAS_TABLE).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(false);
    }
    let applied: Vec<i64> = sqlx::query_scalar(APPLIED).fetch_all(connection).await?;
    Ok(all().iter().all(|migration| applied.contains(&migration.version)))
}
