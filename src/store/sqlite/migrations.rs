//! The schema.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr as _, SqliteConnection};

use super::fault::Fault;
use crate::store::StoreError;

const APPLIED: &str = "-- applied_migrations
SELECT count(*) FROM _sqlx_migrations WHERE success";

const HAS_TABLE: &str = "-- has_migrations
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'";

fn all() -> Vec<Migration> {
    let engine = include_str!("../../../migrations/sqlite/0001_engine.sql");
    vec![Migration::new(1, "engine".into(), MigrationType::Simple, engine.into_sql_str(), false)]
}

/// Applies what is missing. No other process can be at it: the file is ours.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), Fault> {
    let outcome = Migrator::with_migrations(all()).run_direct(None, connection, false).await;
    outcome.map_err(|error| Fault::Other(StoreError::Database(format!("the migration failed: {error}"))))
}

pub(super) async fn is_migrated(connection: &mut SqliteConnection) -> Result<bool, Fault> {
    let tables: i64 = sqlx::query_scalar(HAS_TABLE).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(false);
    }
    let applied: i64 = sqlx::query_scalar(APPLIED).fetch_one(connection).await?;
    Ok(usize::try_from(applied).is_ok_and(|applied| applied >= all().len()))
}
