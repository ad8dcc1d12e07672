//! The schema, brought up to date.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgPool;
use sqlx::{Executor as _, SqlSafeStr as _};

use super::hot_connections::{Session, quoted};
use super::statement_error::StatementError;
use crate::store::{StoreError, StoreResult};

const HAS_SCHEMA: &str = "-- has_schema
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";

const HAS_VERSIONS: &str = "-- has_versions
SELECT to_regclass('_sqlx_migrations') IS NOT NULL";

const FIND_VERSIONS: &str = "-- find_versions
SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";

fn migrations() -> Vec<Migration> {
    let engine = include_str!("../../../../../migrations/postgres/0001_engine.sql").into_sql_str();
    let files = include_str!("../../../../../migrations/postgres/0002_files.sql").into_sql_str();
    let recipients = include_str!("../../../../../migrations/postgres/0003_recipients.sql").into_sql_str();
    let retries = include_str!("../../../../../migrations/postgres/0004_retries.sql").into_sql_str();
    let lists = include_str!("../../../../../migrations/postgres/0005_lists.sql").into_sql_str();
    let older_retries = include_str!("../../../../../migrations/postgres/0006_older_retries.sql").into_sql_str();
    let progress_peak = include_str!("../../../../../migrations/postgres/0007_progress_peak.sql").into_sql_str();
    let words = include_str!("../../../../../migrations/postgres/0008_words.sql").into_sql_str();
    let version = include_str!("../../../../../migrations/postgres/0009_version.sql").into_sql_str();
    let audit = include_str!("../../../../../migrations/postgres/0010_audit.sql").into_sql_str();
    let schedules = include_str!("../../../../../migrations/postgres/0011_schedules.sql").into_sql_str();
    let effects = include_str!("../../../../../migrations/postgres/0012_effects.sql").into_sql_str();
    let rate_limits = include_str!("../../../../../migrations/postgres/0013_rate_limits.sql").into_sql_str();
    let schedule_names = include_str!("../../../../../migrations/postgres/0014_schedule_names.sql").into_sql_str();
    vec![
        Migration::new(1, "engine".into(), MigrationType::Simple, engine, false),
        Migration::new(2, "files".into(), MigrationType::Simple, files, false),
        Migration::new(3, "recipients".into(), MigrationType::Simple, recipients, false),
        Migration::new(4, "retries".into(), MigrationType::Simple, retries, false),
        Migration::new(5, "lists".into(), MigrationType::Simple, lists, false),
        Migration::new(6, "older retries".into(), MigrationType::Simple, older_retries, false),
        Migration::new(7, "progress peak".into(), MigrationType::Simple, progress_peak, false),
        Migration::new(8, "words".into(), MigrationType::Simple, words, false),
        Migration::new(9, "version".into(), MigrationType::Simple, version, false),
        Migration::new(10, "audit".into(), MigrationType::Simple, audit, false),
        Migration::new(11, "schedules".into(), MigrationType::Simple, schedules, false),
        Migration::new(12, "effects".into(), MigrationType::Simple, effects, false),
        Migration::new(13, "rate limits".into(), MigrationType::Simple, rate_limits, false),
        Migration::new(14, "schedule names".into(), MigrationType::Simple, schedule_names, false),
    ]
}

/// Makes the schema if need be and runs what is missing, under the migrator's lock, on a connection of its own.
pub(super) async fn run(session: &Session, schema: &str) -> StoreResult<()> {
    let mut connection = session.open().await?;
    // Waiting for another that migrates may take longer than any statement should.
    connection.execute("-- lift_timeout\nSET statement_timeout TO 0").await.map_err(StatementError::from)?;
    let mut migrator = Migrator::with_migrations(migrations());
    // A newer program may have been here: while a cluster is updated, the older one goes on, and can start again.
    migrator.set_ignore_missing(true);
    let has_schema: bool =
        sqlx::query_scalar(HAS_SCHEMA).bind(schema).fetch_one(&mut connection).await.map_err(StatementError::from)?;
    if !has_schema {
        // Only if it is missing: the statement asks for a right on the database even where it has nothing to make.
        migrator.create_schema(quoted(schema));
    }
    migrator.run_direct(None, &mut connection, false).await.map_err(|error| match error {
        MigrateError::Execute(error) => StatementError::from(error).into(),
        error => StoreError::Database(format!("the schema {schema} cannot be migrated: {error}")),
    })
}

/// Whether every migration of this program has run.
pub(super) async fn are_run(pool: &PgPool) -> Result<bool, StatementError> {
    if !sqlx::query_scalar::<_, bool>(HAS_VERSIONS).fetch_one(pool).await? {
        return Ok(false);
    }
    let run: Vec<i64> = sqlx::query_scalar(FIND_VERSIONS).fetch_all(pool).await?;
    Ok(migrations().iter().all(|migration| run.contains(&migration.version)))
}
