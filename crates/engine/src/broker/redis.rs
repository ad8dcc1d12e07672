//! The broker on Redis Streams: one server, Sentinel or Cluster.
//!
//! - A stream per queue and band ([`keys`](super::keys) names them), with one consumer group, `workers`.
//!   An entry is a dispatch in 28 bytes.
//! - A read asks for no acknowledgement (`NOACK`), so Redis keeps no list of what was handed out. One script reads, and deletes what has been handed
//!   out. A dispatch that is lost on its way to a worker is found by its row.
//! - Three connections a process, each made when it is needed and made anew after every break: one for all commands, one that blocks in
//!   a read for the worker pool, one that listens to the signals.
//! - Whatever Redis loses (FLUSHALL, a fail-over, a restart without a file) is made again by the next call that misses it. The rows are
//!   the truth.

mod address;
mod entry;
mod fetch;
mod link;
mod readers;
mod script;
mod signals;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use redis::Value;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::address::Servers;
use self::entry::Read;
use self::fetch::{PendingFetch, Wake};
use self::link::{COMMAND_DEADLINE, Link, Request, to_broker_error};
use self::readers::Readers;
use self::script::ServerScript;
use self::signals::Signals;
use super::fair_share::FairShare;
use super::keys::{GROUP, Keys};
use super::{Broker, BrokerError, Delivery, FetchRequest, Signal};
use crate::domain::{Dispatch, PriorityBand, QueueName};

/// The broker on Redis.
pub struct RedisBroker {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    link: Link,
    readers: Readers,
    signals: Signals,
    fetch_script: ServerScript,
    oldest_waiting_script: ServerScript,
    fair_share: Mutex<FairShare>,
    wake: Wake,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl RedisBroker {
    /// Parses the URL and starts to listen to the signals. Redis need not be there: calls answer [`BrokerError::Unavailable`] until it is.
    /// Must be called within a tokio runtime. A URL that cannot work is [`BrokerError::Refused`].
    pub fn connect(url: &SecretString, prefix: &str) -> Result<Self, BrokerError> {
        let keys = Keys::new(prefix);
        let servers = Arc::new(Servers::parse(url.expose_secret(), keys.hash_tag())?);
        let inner = Arc::new(Inner {
            keys,
            link: Link::new(Arc::clone(&servers)),
            readers: Readers::new(Arc::clone(&servers)),
            signals: Signals::new(),
            fetch_script: ServerScript::new(include_str!("redis/fetch.lua")),
            oldest_waiting_script: ServerScript::new(include_str!("redis/oldest_waiting.lua")),
            fair_share: Mutex::default(),
            wake: Wake::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let listening = Arc::clone(&inner);
        inner.tasks.spawn(async move {
            listening.signals.run(&servers, &listening.keys.signals(), listening.closing.clone()).await;
        });
        Ok(Self { inner })
    }

    async fn send<T: redis::FromRedisValue>(&self, request: Request<'_>) -> Result<T, BrokerError> {
        self.inner.link.send(request).await.map_err(|error| to_broker_error(&error))
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn publish(&self, dispatches: &[Dispatch]) -> Result<(), BrokerError> {
        if dispatches.is_empty() {
            return Ok(());
        }
        self.send(Request::Many(&self.inner.dispatch(dispatches.iter(), dispatches.len()))).await
    }

    async fn accepts_dispatches(&self) -> Result<(), BrokerError> {
        // A write like that of a dispatch, into a stream that never exists.
        let mut write = redis::cmd("XADD");
        write.arg(self.inner.keys.probe()).arg("NOMKSTREAM").arg("*").arg("probe").arg(1);
        self.send::<Value>(Request::One(&write)).await.map(drop)
    }

    async fn fetch(&self, request: &FetchRequest) -> Result<Vec<Delivery>, BrokerError> {
        if self.inner.closing.is_cancelled() {
            return Err(BrokerError::Unavailable("the broker is closed".to_owned()));
        }
        PendingFetch::start(&self.inner, request.clone()).taken().await
    }

    fn wake(&self) {
        self.inner.wake.wake();
    }

    async fn oldest_waiting(&self, queue: &QueueName, band: PriorityBand) -> Result<Option<Timestamp>, BrokerError> {
        let key = self.inner.keys.stream(queue, band);
        let entries = self.inner.oldest_waiting_script.call(&self.inner.link, |call| {
            call.arg(1).arg(&key).arg(GROUP);
        });
        let mut read = Read::default();
        read.add_pairs(queue, band, entries.await.map_err(|error| to_broker_error(&error))?);
        Ok(read.deliveries.pop().map(|oldest| oldest.dispatch.dispatched_at))
    }

    /// This process hears it at once, whatever becomes of Redis; an error says that the others did not.
    async fn signal(&self, signal: &Signal) -> Result<(), BrokerError> {
        let message = self.inner.signals.publish_here(signal).map_err(|error| BrokerError::Refused(error.to_string()))?;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(self.inner.keys.signals()).arg(message);
        self.send(Request::One(&publish)).await
    }

    fn signals(&self) -> broadcast::Receiver<Arc<Signal>> {
        self.inner.signals.subscribe()
    }

    /// Answers when commands are answered and the signals of others are heard.
    async fn ping(&self) -> Result<(), BrokerError> {
        self.send::<Value>(Request::One(&redis::cmd("PING"))).await?;
        timeout(COMMAND_DEADLINE, self.inner.signals.listening())
            .await
            .map_err(|_elapsed| BrokerError::Unavailable("the signals of other processes are not heard".to_owned()))
    }

    async fn close(&self) {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.link.close();
        self.inner.readers.close();
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        self.inner.closing.cancel();
    }
}
