//! Connections of the hot path: held for long, without the pool's pings, replaced when they break.

use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::statement_error::{StatementError, within};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The client's limit for a hot statement; the server's own is shorter, so that it is this one only if the server is frozen.
pub(super) const HOT_LIMIT: Duration = Duration::from_secs(12);

/// How to open a connection, and what to say on it first.
#[derive(Clone, Debug)]
pub(super) struct Session {
    options: PgConnectOptions,
    setup: String,
}

impl Session {
    /// Connections in `schema`, set up by further `SET` statements.
    pub(super) fn new(options: PgConnectOptions, schema: &str, settings: &str) -> Self {
        let setup = format!("SET search_path TO {}; SET jit TO off; {settings}", quoted(schema));
        Self { options, setup }
    }

    /// Says what is to be said first.
    pub(super) async fn set_up(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        connection.execute(AssertSqlSafe(self.setup.clone())).await.map(drop)
    }

    /// Opens a connection with the settings of the hot path.
    pub(super) async fn open(&self) -> Result<PgConnection, StatementError> {
        within(CONNECT_LIMIT, async {
            let mut connection = self.options.connect().await?;
            self.set_up(&mut connection).await?;
            Ok(connection)
        })
        .await
    }

    /// How to open it.
    pub(super) const fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

/// A name as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A few connections for one sort of write.
pub(super) struct HotConnections {
    session: Session,
    idle: Mutex<Vec<PgConnection>>,
    permits: Semaphore,
}

impl HotConnections {
    /// A set of at most `width` connections; none is opened yet.
    pub(super) fn new(session: Session, width: usize) -> Self {
        Self { session, idle: Mutex::new(Vec::new()), permits: Semaphore::new(width) }
    }

    /// A connection, opened if need be.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, StatementError> {
        let permit = self.permits.acquire().await.map_err(|_| StatementError::Lost("the store is closed".into()))?;
        // The lock must not be held over the opening.
        let kept = self.idle.lock().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => Box::pin(self.session.open()).await?,
        };
        Ok(Lease { connections: self, connection: Some(connection), _permit: permit })
    }

    /// Closes the set; who waits for a connection gets an error.
    pub(super) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        for connection in idle {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a connection did not close well");
            }
        }
    }
}

/// A connection in use.
///
/// Dropped in the middle of a statement it goes back all the same: the driver reads what is left of the old answer before it sends
/// the next statement, so the next write on it waits for the one that was given up.
pub(super) struct Lease<'a> {
    connections: &'a HotConnections,
    connection: Option<PgConnection>,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// The leased connection; an error once it was given back.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StatementError> {
        self.connection.as_mut().ok_or_else(|| StatementError::Lost("the connection was given back".into()))
    }

    /// Looks at what became of the work: a lost connection is not given back, and those that lay idle are doubted too.
    pub(super) fn done<T>(mut self, outcome: &Result<T, StatementError>) {
        if matches!(outcome, Err(StatementError::Lost(_))) {
            self.connection = None;
            self.connections.idle.lock().clear();
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| !self.connections.permits.is_closed()) {
            self.connections.idle.lock().push(connection);
        }
    }
}
