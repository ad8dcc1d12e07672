//! A transaction whose running statement ends when it is dropped.
//!
//! The server does not notice that nobody waits for an answer any more: a statement of an attempt that was stopped would run on, hold its locks
//! and keep its connection from the pool, up to the limit of the statement.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Postgres};

/// How long the cancellation may take. What could not be cancelled ends by its own limit.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// An open transaction.
pub(crate) struct Stoppable {
    /// `None` once it was committed or dropped.
    transaction: Option<sqlx::Transaction<'static, Postgres>>,
    /// Cancels from another connection.
    options: Box<PgConnectOptions>,
    /// The server process that runs the statements of the transaction.
    backend: i32,
    is_running: bool,
}

impl Stoppable {
    pub(super) async fn new(
        mut transaction: sqlx::Transaction<'static, Postgres>,
        options: PgConnectOptions,
    ) -> Result<Self, sqlx::Error> {
        let backend = sqlx::query_scalar("SELECT pg_backend_pid()").persistent(false).fetch_one(&mut *transaction).await?;
        Ok(Self { transaction: Some(transaction), options: Box::new(options), backend, is_running: false })
    }

    /// The connection, for a statement that runs until [`Stoppable::ended`] is called.
    pub(crate) fn running(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.is_running = true;
        self.transaction.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// The statement was answered.
    pub(crate) fn ended(&mut self) {
        self.is_running = false;
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        match self.transaction.take() {
            Some(transaction) => transaction.commit().await,
            None => Err(sqlx::Error::PoolClosed),
        }
    }
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        let (true, Some(transaction)) = (self.is_running, self.transaction.take()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (options, backend) = (self.options.clone(), self.backend);
        // Nobody else gets the connection before the transaction is dropped, so no statement but its own can be hit.
        runtime.spawn(async move {
            let cancelled = tokio::time::timeout(CANCEL_LIMIT, cancel(&options, backend)).await;
            if !matches!(cancelled, Ok(Ok(()))) {
                tracing::warn!(backend, "a statement of a stopped attempt could not be cancelled, and ends by its own limit");
            }
            drop(transaction);
        });
    }
}

async fn cancel(options: &PgConnectOptions, backend: i32) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query("SELECT pg_cancel_backend($1)").bind(backend).persistent(false).execute(&mut connection).await?;
    connection.close().await
}
