//! The day partitions of what ended: made ahead, dropped whole.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::PgStore;
use super::statement_error::StatementError;
use crate::store::{StoreError, StoreResult};

/// The tables that are partitioned by day.
const TABLES: [&str; 2] = ["task_results", "attempts"];
/// So many days after today are made ahead.
const DAYS_AHEAD: i32 = 3;

/// The SQLSTATE of a right that the role lacks.
const MISSING_RIGHT: &str = "42501";

const FIND_PARTITIONS: &str = "-- find_partitions
SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass ORDER BY c.relname";

const LOCK_PARTITIONS: &str = "-- lock_partitions
SELECT pg_advisory_xact_lock(hashtextextended('legwork partitions of ' || current_schema(), 0))";

fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The start of the first day of which [`PgStore::drop_partitions`] keeps what ended on it.
pub(super) fn first_kept(before: Timestamp) -> Timestamp {
    day_of(before).to_zoned(TimeZone::UTC).map_or(before, |start| start.timestamp())
}

fn name_of(table: &str, day: Date) -> String {
    format!("{table}_{}", day.strftime("%Y%m%d"))
}

/// The day of a partition; `None` for a table that is not one of ours.
fn day_in(table: &str, name: &str) -> Option<Date> {
    Date::strptime("%Y%m%d", name.strip_prefix(table)?.strip_prefix('_')?).ok()
}

impl PgStore {
    /// Makes the partitions of today and the days ahead. Fails where that of today is missing, and warns where one of the days ahead is.
    pub(super) async fn make_partitions_ahead(&self, now: Timestamp) -> StoreResult<()> {
        let today = day_of(now);
        self.make_partitions_of(vec![today]).await?;
        let days = (1..=DAYS_AHEAD).filter_map(|ahead| today.checked_add(jiff::Span::new().days(ahead)).ok());
        if let Err(error) = self.make_partitions_of(days.collect()).await {
            tracing::warn!(error = %StoreError::from(error), "a partition of the days ahead is missing");
        }
        Ok(())
    }

    /// Makes the partitions of these times if it is for their sake that a write failed.
    pub(super) async fn make_room(
        &self,
        error: &StatementError,
        times: impl Iterator<Item = Timestamp>,
    ) -> Result<(), StatementError> {
        if !matches!(error, StatementError::NoPartition) {
            return Ok(());
        }
        let mut days: Vec<_> = times.map(day_of).collect();
        days.sort_unstable();
        days.dedup();
        self.make_partitions_of(days).await
    }

    async fn make_partitions_of(&self, days: Vec<Date>) -> Result<(), StatementError> {
        let mut connection = self.pool.acquire().await?;
        for table in TABLES {
            let missing = missing(&mut connection, table, &days).await?;
            if missing.is_empty() {
                continue;
            }
            let mut transaction = connection.begin().await?;
            sqlx::query(LOCK_PARTITIONS).execute(&mut *transaction).await?;
            // Another may have made them while this one waited for the lock.
            for day in self::missing(&mut transaction, table, &missing).await? {
                make(&mut transaction, table, day).await.map_err(|error| self.not_made(&name_of(table, day), error))?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Says which partition is missing, and which right would help where it is a right.
    fn not_made(&self, name: &str, error: sqlx::Error) -> StatementError {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned();
        match StatementError::from(error) {
            StatementError::Other(StoreError::Database(reason)) if code == MISSING_RIGHT => {
                StatementError::Other(StoreError::Database(format!(
                    "the partition {name} is missing and this role may not make it: {reason}. Give the role CREATE on the schema {schema} \
                     and ownership of its tables, or run `legwork migrate` as their owner every few days",
                    schema = self.schema
                )))
            }
            StatementError::Other(StoreError::Database(reason)) => StatementError::Other(StoreError::Database(format!(
                "the partition {name} is missing and cannot be made: {reason}"
            ))),
            error => error,
        }
    }

    /// Drops the partitions whose every row ended before `before`. One that cannot be locked soon is left for the next time.
    pub(super) async fn drop_partitions(&self, before: Timestamp) -> Result<(), StatementError> {
        let first_kept = day_of(before);
        let mut connection = self.pool.acquire().await?;
        for table in TABLES {
            let names: Vec<String> = sqlx::query_scalar(FIND_PARTITIONS).bind(table).fetch_all(&mut *connection).await?;
            for name in names.into_iter().filter(|name| day_in(table, name).is_some_and(|day| day < first_kept)) {
                let mut transaction = connection.begin().await?;
                transaction.execute("-- limit_lock_wait\nSET LOCAL lock_timeout = '300ms'").await?;
                match transaction.execute(AssertSqlSafe(format!("-- drop_partition\nDROP TABLE {name}"))).await {
                    Ok(_) => transaction.commit().await?,
                    Err(error) => {
                        tracing::info!(%error, partition = name, "a partition is dropped another time");
                        transaction.rollback().await?;
                    }
                }
            }
        }
        Ok(())
    }
}

async fn missing(connection: &mut PgConnection, table: &str, days: &[Date]) -> Result<Vec<Date>, StatementError> {
    let names: Vec<String> = sqlx::query_scalar(FIND_PARTITIONS).bind(table).fetch_all(connection).await?;
    Ok(days.iter().copied().filter(|&day| !names.contains(&name_of(table, day))).collect())
}

/// Makes a partition apart and attaches it: that locks the table against no write, as `CREATE … PARTITION OF` would.
async fn make(connection: &mut PgConnection, table: &str, day: Date) -> Result<(), sqlx::Error> {
    let Ok(next) = day.tomorrow() else { return Ok(()) };
    let name = name_of(table, day);
    let sql = format!(
        "-- make_partition
        CREATE TABLE {name} (LIKE {table} INCLUDING ALL) WITH (autovacuum_vacuum_insert_scale_factor = 0.5);
        ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')"
    );
    connection.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}
