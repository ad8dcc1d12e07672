//! The connection for commands: one, multiplexed, made when it is first needed and made anew when it has gone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind};
use tokio::time::{Instant, timeout};

use super::address::{Servers, late};
use crate::broker::BrokerError;

/// A command that is not answered by then has failed. Long, because a loaded box is slow; callers in a hurry have a deadline of their own.
pub(super) const COMMAND_DEADLINE: Duration = Duration::from_secs(1);

/// What is to be sent.
#[derive(Clone, Copy)]
pub(super) enum Request<'a> {
    One(&'a Cmd),
    Many(&'a Pipeline),
}

/// The way to Redis for everything that does not block there.
pub(super) struct Link {
    servers: Arc<Servers>,
    state: Mutex<State>,
}

/// An attempt to connect and then its outcome, shared by all who need it. It runs on where nobody waits any more, because a caller with a
/// deadline of few milliseconds would otherwise never get connected.
type Connecting = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

#[derive(Default)]
struct State {
    connection: Option<Connecting>,
    /// Which connection it is, so that only the one that has failed is given up.
    generation: u64,
    /// Since when there are callers who gave up and nobody who got an answer.
    silent_since: Option<Instant>,
    closed: bool,
}

impl Link {
    /// Connects with the first command.
    pub fn new(servers: Arc<Servers>) -> Self {
        Self { servers, state: Mutex::default() }
    }

    /// Sends and waits for the answer. What a dead connection or a server that is no longer the master has left undone is sent once more;
    /// every command of this broker may be done twice.
    pub async fn send<T: FromRedisValue>(&self, request: Request<'_>) -> RedisResult<T> {
        let mut watch = Watchdog { link: self, started: Instant::now(), answered: false };
        let answer = match self.send_once(request).await {
            Err(error) if is_gone(&error) || is_elsewhere(&error) => self.send_once(request).await,
            answer => answer,
        };
        watch.answered = true;
        answer
    }

    /// Gives the connection up; every later command fails.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.connection = None;
    }

    async fn send_once<T: FromRedisValue>(&self, request: Request<'_>) -> RedisResult<T> {
        let (generation, connecting) = self.connection()?;
        let mut connection = match timeout(COMMAND_DEADLINE, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                self.forget(generation);
                // Not an error of a dead connection: asking once more at once would find the same.
                let unreachable = error.is_io_error();
                return Err(if unreachable { (ErrorKind::Client, "cannot connect", error.to_string()).into() } else { error });
            }
            Err(_elapsed) => return Err(late()),
        };
        let answer = match request {
            Request::One(command) => command.query_async(&mut connection).await,
            Request::Many(pipeline) => pipeline.query_async(&mut connection).await,
        };
        match &answer {
            // A connection that does not answer may be half open, or lead to a master that is one no more.
            Err(error) if is_gone(error) || is_elsewhere(error) || error.is_timeout() => self.forget(generation),
            _ => self.state.lock().silent_since = None,
        }
        answer
    }

    fn connection(&self) -> RedisResult<(u64, Connecting)> {
        let mut state = self.state.lock();
        if state.closed {
            return Err((ErrorKind::Client, "the broker is closed").into());
        }
        if state.silent_since.is_some_and(|since| since.elapsed() > COMMAND_DEADLINE) {
            state.connection = None;
            state.silent_since = None;
        }
        if let Some(connecting) = &state.connection {
            return Ok((state.generation, connecting.clone()));
        }
        let servers = Arc::clone(&self.servers);
        let attempt = tokio::spawn(async move { servers.connect(Some(COMMAND_DEADLINE)).await });
        let connecting = attempt.map(|ended| ended.unwrap_or_else(|_cancelled| Err(late()))).boxed().shared();
        state.connection = Some(connecting.clone());
        state.generation += 1;
        Ok((state.generation, connecting))
    }

    fn forget(&self, generation: u64) {
        let mut state = self.state.lock();
        if state.generation == generation {
            state.connection = None;
            state.silent_since = None;
        }
    }
}

/// Notices callers that stop waiting before the answer or the deadline: where all do, only this tells that the connection is dead.
struct Watchdog<'a> {
    link: &'a Link,
    started: Instant,
    answered: bool,
}

impl Drop for Watchdog<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.link.state.lock().silent_since.get_or_insert(self.started);
        }
    }
}

/// Whether the connection has ended.
pub(super) fn is_gone(error: &RedisError) -> bool {
    error.is_connection_dropped()
}

/// Whether the server is not, or no longer, the one for our keys.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
        )
    )
}

/// What an error of the crate means to the caller of the port. A server that loads, fails over or cannot be reached is away; the rest
/// does not pass by itself.
pub(super) fn to_broker_error(error: &RedisError) -> BrokerError {
    let away = matches!(
        error.kind(),
        ErrorKind::Io
            | ErrorKind::Client
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain)
    );
    if away || is_elsewhere(error) {
        BrokerError::Unavailable(error.to_string())
    } else {
        BrokerError::Refused(error.to_string())
    }
}
