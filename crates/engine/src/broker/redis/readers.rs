//! Connections for blocking reads: each read has one for itself, because everything behind it on the connection would wait with it.
//!
//! A read is never dropped half way while its connection lives: what it had taken would be nobody's. It is ended by CLIENT UNBLOCK, and
//! where that fails by closing the connection.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use tokio::time::timeout;

use super::address::{Servers, late};
use super::link::{COMMAND_DEADLINE, Link, Request, is_elsewhere, is_gone};

/// One read blocks at most so long; a longer wait is several reads.
pub(super) const LONGEST_BLOCK: Duration = Duration::from_secs(5);
/// An answer that comes so much after the end of the block is not waited for.
const GRACE: Duration = Duration::from_secs(2);
/// One pool has one read at a time; a second connection is kept for the moment in which one read ends and the next starts.
const KEPT_IDLE: usize = 2;
/// An unblock that arrives before its read has no effect, so it is repeated up to this many times.
const UNBLOCK_TRIES: usize = 5;
/// The pause between two unblocks.
const UNBLOCK_PAUSE: Duration = Duration::from_millis(20);

/// The connections that no read is on.
pub(super) struct Readers {
    servers: Arc<Servers>,
    idle: Mutex<Vec<Reader>>,
}

struct Reader {
    connection: MultiplexedConnection,
    /// Its name for CLIENT UNBLOCK.
    id: i64,
    fresh: bool,
}

impl Readers {
    /// Connects with the first read.
    pub fn new(servers: Arc<Servers>) -> Self {
        Self { servers, idle: Mutex::default() }
    }

    /// Sends a blocking command that blocks for `block`; ends it early when `call_off` resolves, and answers what it had got by then.
    pub async fn read(
        &self,
        link: &Link,
        command: &Cmd,
        block: Duration,
        call_off: &(impl Future<Output = ()> + Clone),
    ) -> RedisResult<Value> {
        loop {
            let mut reader = tokio::select! {
                reader = self.reader() => reader?,
                () = call_off.clone() => return Ok(Value::Nil),
            };
            match reader.read(link, command, block, call_off.clone()).await {
                // It had died while it was idle, or its server is not the one for our keys any more.
                Err(error) if (is_gone(&error) || is_elsewhere(&error)) && !reader.fresh => {}
                Ok(Some(answer)) => {
                    self.keep(reader);
                    return Ok(answer);
                }
                Ok(None) => return Ok(Value::Nil),
                // An answer of the server leaves the connection as good as it was.
                Err(error) if error.code().is_some() && !is_elsewhere(&error) => {
                    self.keep(reader);
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the idle ones.
    pub fn close(&self) {
        self.idle.lock().clear();
    }

    async fn reader(&self) -> RedisResult<Reader> {
        if let Some(reader) = self.idle.lock().pop() {
            return Ok(reader);
        }
        let mut connection = self.servers.connect(None).await?;
        let mut question = redis::cmd("CLIENT");
        question.arg("ID");
        let id = timeout(COMMAND_DEADLINE, question.query_async(&mut connection)).await.map_err(|_elapsed| late())??;
        Ok(Reader { connection, id, fresh: true })
    }

    fn keep(&self, mut reader: Reader) {
        reader.fresh = false;
        let mut idle = self.idle.lock();
        if idle.len() < KEPT_IDLE {
            idle.push(reader);
        }
    }
}

impl Reader {
    /// The answer, or `None` where the read was called off and did not end by itself.
    async fn read(
        &mut self,
        link: &Link,
        command: &Cmd,
        block: Duration,
        call_off: impl Future<Output = ()>,
    ) -> RedisResult<Option<Value>> {
        let mut answer = pin!(command.query_async::<Value>(&mut self.connection));
        tokio::select! {
            answer = timeout(block + GRACE, &mut answer) => return answer.map_err(|_elapsed| late())?.map(Some),
            () = call_off => {}
        }
        let mut unblock = redis::cmd("CLIENT");
        unblock.arg("UNBLOCK").arg(self.id);
        for _ in 0..UNBLOCK_TRIES {
            let ended = timeout(UNBLOCK_PAUSE, async {
                tokio::select! {
                    biased;
                    answer = &mut answer => Some(answer),
                    Err(_refused) = link.send::<Value>(Request::One(&unblock)) => None,
                }
            });
            match ended.await {
                Ok(Some(answer)) => return answer.map(Some),
                Ok(None) => break,
                Err(_pause_is_over) => {}
            }
        }
        // The caller drops the connection, which ends the read on the server too.
        Ok(None)
    }
}
