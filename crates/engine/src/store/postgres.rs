//! The store in Postgres: a schema of its own, a pool for what is asked now and then, and held connections for the hot path.

mod accounts;
mod audit;
mod control;
mod effects;
mod ends;
mod files;
mod hot_connections;
mod insert;
mod list;
mod migrations;
mod partitions;
mod rate;
mod reads;
mod recipients;
mod rows;
mod schedules;
mod settle;
mod start;
mod statement_error;
mod suppressions;
mod sweeps;
mod task_stats;
mod workers;

use std::str::FromStr as _;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use self::hot_connections::{HotConnections, Session};
use self::rows::time;
use self::statement_error::{StatementError, within};
use super::{
    InsertAnswer, Settled, Settlement, StartAnswer, StartBatch, Store, StoreError, StoreResult, SubmittedTask, TaskWrites,
};

/// What the planner must not do on the hot path: the tables grow from nothing to millions within one statistics interval, and the one
/// right plan, a nested loop over the primary key, is right at every size. It also takes the rows in the order of the batch.
const HOT_SETTINGS: &str = "SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off; SET enable_bitmapscan TO off; \
    SET enable_hashjoin TO off; SET enable_mergejoin TO off; \
    SET statement_timeout TO '10s'; SET idle_in_transaction_session_timeout TO '30s'";
const POOL_SETTINGS: &str = "SET statement_timeout TO '15s'; SET idle_in_transaction_session_timeout TO '30s'";

/// So many writes of one sort are worth having under way: one is computed while the other waits for the disk.
const CONCURRENT_WRITES: usize = 2;
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
/// The client's limit for what goes through the pool; the server's own is shorter.
const POOL_LIMIT: Duration = Duration::from_secs(20);

/// The store in a schema of a Postgres database.
pub struct PgStore {
    pool: PgPool,
    pooled: Session,
    inserts: HotConnections,
    starts: HotConnections,
    settles: HotConnections,
    recipients: HotConnections,
    schema: String,
}

impl std::fmt::Debug for PgStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgStore").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PgStore {
    /// A store in `schema` of the database that `url` names, with a pool of at most `connections` beside the held ones (eight at most).
    ///
    /// Nothing is connected yet and nothing migrated: a database that is away shows at the first operation, as
    /// [`StoreError::Unavailable`]. Only a URL that cannot be read fails here.
    #[expect(clippy::unused_async, reason = "the sides of the store are opened alike")]
    pub async fn connect(url: &str, schema: &str, connections: u32) -> StoreResult<Self> {
        let mut options = PgConnectOptions::from_str(url)
            .map_err(|error| StoreError::Database(format!("the database URL cannot be read: {error}")))?;
        if options.get_application_name().is_none() {
            options = options.application_name("legwork");
        }
        let pooled = Session::new(options.clone(), schema, POOL_SETTINGS);
        let hot = Session::new(options, schema, HOT_SETTINGS);
        let setup = pooled.clone();
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(1))
            .acquire_timeout(ACQUIRE_LIMIT)
            .after_connect(move |connection, _| {
                let setup = setup.clone();
                Box::pin(async move { setup.set_up(connection).await })
            })
            .connect_lazy_with(pooled.options().clone());
        Ok(Self {
            pool,
            pooled,
            inserts: HotConnections::new(hot.clone(), CONCURRENT_WRITES),
            starts: HotConnections::new(hot.clone(), CONCURRENT_WRITES),
            settles: HotConnections::new(hot.clone(), CONCURRENT_WRITES),
            recipients: HotConnections::new(hot, CONCURRENT_WRITES),
            schema: schema.to_owned(),
        })
    }
}

/// Runs what goes through the pool, within its limit.
async fn pooled<T>(work: impl Future<Output = Result<T, StatementError>>) -> StoreResult<T> {
    Ok(within(POOL_LIMIT, work).await?)
}

#[async_trait]
impl TaskWrites for PgStore {
    async fn insert(&self, tasks: &[SubmittedTask]) -> StoreResult<Vec<Result<InsertAnswer, StoreError>>> {
        self.insert_tasks(tasks).await
    }

    async fn start(&self, batch: &StartBatch<'_>) -> StoreResult<Vec<StartAnswer>> {
        self.start_tasks(batch).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> StoreResult<Vec<Result<Settled, StoreError>>> {
        self.settle_tasks(settlements).await
    }
}

const PING: &str = "-- ping
SELECT clock_timestamp()";

#[async_trait]
impl Store for PgStore {
    async fn migrate(&self) -> StoreResult<()> {
        migrations::run(&self.pooled, &self.schema).await
    }

    async fn is_migrated(&self) -> StoreResult<bool> {
        pooled(migrations::are_run(&self.pool)).await
    }

    async fn ping(&self) -> StoreResult<Timestamp> {
        pooled(async { time(&sqlx::query(PING).fetch_one(&self.pool).await?, 0) }).await
    }

    async fn close(&self) {
        for connections in [&self.inserts, &self.starts, &self.settles, &self.recipients] {
            connections.close().await;
        }
        self.pool.close().await;
    }

    fn concurrent_writes(&self) -> usize {
        CONCURRENT_WRITES
    }

    fn is_exclusive(&self) -> bool {
        false
    }
}
