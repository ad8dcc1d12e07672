//! The broker on Redis Streams: one server, Sentinel or Cluster.
//!
//! - A stream per queue and band ([`keys`](super::keys) names them), with one consumer group, `workers`, whose consumers are worker ids.
//!   An entry is a dispatch in 28 bytes. Handing out puts it on the group's list of the worker; the acknowledgement takes it off and
//!   deletes it, so the first entry of a stream is the oldest that is held.
//! - Three connections a process, each made when it is needed and made anew after every break: one for all commands, one that blocks in
//!   a read for the worker pool, one that listens to the signals.
//! - Whatever Redis loses (FLUSHALL, a fail-over, a restart without a file) is made again by the next call that misses it. The rows are
//!   the truth.

mod address;
mod entry;
mod fetch;
mod link;
mod readers;
mod signals;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use redis::{RedisResult, Script, Value};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::address::Servers;
use self::entry::Read;
use self::fetch::{FETCH, PendingFetch, Wake, dispatch_again, settled};
use self::link::{COMMAND_DEADLINE, Link, Request, to_broker_error};
use self::readers::Readers;
use self::signals::Signals;
use super::fair_share::FairShare;
use super::keys::{GROUP, Keys};
use super::{Broker, BrokerError, Delivery, FetchRequest, Signal};
use crate::domain::{Dispatch, PriorityBand, QueueName, WorkerId};

/// References that a worker still holds when it leaves are read so many at a time.
const LEFT_BEHIND: usize = 1000;

/// Entries that nobody holds any more are cleared away so many at a look.
const ORPHANS_A_LOOK: usize = 100;

/// What Redis tells of a consumer group, by name.
type Group = HashMap<String, Value>;

/// The broker on Redis.
pub struct RedisBroker {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    link: Link,
    readers: Readers,
    signals: Signals,
    script: Script,
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
            script: Script::new(FETCH),
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

    /// One stream's share of a reclaim.
    async fn reclaim_of(
        &self,
        worker: WorkerId,
        (queue, band): (&QueueName, PriorityBand),
        idle: Duration,
        max: usize,
    ) -> Result<Vec<Delivery>, BrokerError> {
        let mut taken: Vec<Delivery> = Vec::new();
        let mut cursor = "0-0".to_owned();
        loop {
            let mut claim = redis::cmd("XAUTOCLAIM");
            claim.arg(self.inner.keys.stream(queue, band)).arg(GROUP).arg(worker.to_string());
            claim.arg(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)).arg(&cursor).arg("COUNT").arg(max - taken.len());
            let answer: Vec<Value> = match self.inner.link.send(Request::One(&claim)).await {
                // Nothing was ever read from it, so nothing is held.
                Err(error) if error.code() == Some("NOGROUP") => return Ok(taken),
                answer => answer.map_err(|error| to_broker_error(&error))?,
            };
            let mut parts = answer.into_iter();
            let (Some(Value::BulkString(next)), Some(Value::Array(entries))) = (parts.next(), parts.next()) else {
                return Err(BrokerError::Refused("XAUTOCLAIM answered something else than a cursor and entries".to_owned()));
            };
            let mut read = Read::default();
            read.add_pairs(queue, band, entries);
            taken.append(&mut settled(&self.inner, read).await);
            cursor = String::from_utf8_lossy(&next).into_owned();
            if cursor == "0-0" || taken.len() >= max {
                return Ok(taken);
            }
        }
    }

    /// Whether an entry was acknowledged and not deleted, as a connection that breaks between the two leaves it. Nobody will ever be given
    /// it, and as the first of its stream it would pass for the oldest that is held.
    async fn is_orphan(&self, key: &str, entry: &str) -> Result<bool, BrokerError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("XINFO").arg("GROUPS").arg(key);
        pipeline.cmd("XPENDING").arg(key).arg(GROUP).arg(entry).arg(entry).arg(1);
        // A stream that was never read has no group.
        pipeline.ignore_errors();
        let (groups, pending): (RedisResult<Vec<Group>>, RedisResult<Vec<Value>>) = self.send(Request::Many(&pipeline)).await?;
        let (Ok(groups), Ok(pending)) = (groups, pending) else { return Ok(false) };
        let is_ours = |group: &&Group| matches!(group.get("name"), Some(Value::BulkString(name)) if name == GROUP.as_bytes());
        let last = match groups.iter().find(is_ours).and_then(|group| group.get("last-delivered-id")) {
            Some(Value::BulkString(last)) => String::from_utf8_lossy(last).into_owned(),
            _ => return Ok(false),
        };
        Ok(pending.is_empty() && entry_number(entry).zip(entry_number(&last)).is_some_and(|(entry, last)| entry <= last))
    }

    /// What a worker holds of these streams.
    async fn held_by(&self, worker: WorkerId, streams: &[(&QueueName, PriorityBand)]) -> Result<Vec<Delivery>, BrokerError> {
        let mut pipeline = redis::pipe();
        for (queue, band) in streams {
            pipeline.cmd("XREADGROUP").arg("GROUP").arg(GROUP).arg(worker.to_string()).arg("COUNT").arg(LEFT_BEHIND);
            pipeline.arg("STREAMS").arg(self.inner.keys.stream(queue, *band)).arg(0);
        }
        // Streams that were never read have no group.
        pipeline.ignore_errors();
        let answers: Vec<RedisResult<Value>> = self.send(Request::Many(&pipeline)).await?;
        let mut read = Read::default();
        for ((queue, band), answer) in streams.iter().zip(answers) {
            let Ok(Value::Array(mut one)) = answer else { continue };
            let Some(Value::Array(mut parts)) = one.pop() else { continue };
            if let Some(Value::Array(entries)) = parts.pop() {
                read.add_pairs(queue, *band, entries);
            }
        }
        Ok(settled(&self.inner, read).await)
    }
}

/// An entry's name as numbers, which sort by age.
fn entry_number(name: &str) -> Option<(u64, u64)> {
    let (time, number) = name.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}

/// The streams of these queues, most urgent band first.
fn streams_of(queues: &[QueueName]) -> Vec<(&QueueName, PriorityBand)> {
    PriorityBand::ALL.into_iter().flat_map(|band| queues.iter().map(move |queue| (queue, band))).collect()
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

    async fn acknowledge(&self, deliveries: &[Delivery]) -> Result<(), BrokerError> {
        let mut pipeline = redis::pipe();
        self.inner.add_forget(&mut pipeline, deliveries.iter().map(|one| (&one.dispatch.queue, one.dispatch.band, &*one.entry)));
        if pipeline.is_empty() {
            return Ok(());
        }
        self.send(Request::Many(&pipeline)).await
    }

    async fn reclaim(
        &self,
        worker: WorkerId,
        queues: &[QueueName],
        idle: Duration,
        max: usize,
    ) -> Result<Vec<Delivery>, BrokerError> {
        let mut taken = Vec::new();
        for stream in streams_of(queues) {
            if taken.len() >= max {
                break;
            }
            taken.append(&mut self.reclaim_of(worker, stream, idle, max - taken.len()).await?);
        }
        Ok(taken)
    }

    async fn oldest_held(&self, queue: &QueueName, band: PriorityBand) -> Result<Option<Timestamp>, BrokerError> {
        let key = self.inner.keys.stream(queue, band);
        let mut question = redis::cmd("XRANGE");
        question.arg(&key).arg("-").arg("+").arg("COUNT").arg(1);
        let mut passed_over = 0;
        loop {
            let mut read = Read::default();
            read.add_pairs(queue, band, self.send(Request::One(&question)).await?);
            let Some(oldest) = read.deliveries.pop() else { return Ok(None) };
            if passed_over >= ORPHANS_A_LOOK || !self.is_orphan(&key, &oldest.entry).await? {
                return Ok(Some(oldest.dispatch.dispatched_at));
            }
            self.send::<()>(Request::One(redis::cmd("XDEL").arg(&key).arg(&oldest.entry))).await?;
            passed_over += 1;
        }
    }

    async fn leave(&self, worker: WorkerId, queues: &[QueueName]) -> Result<(), BrokerError> {
        let streams = streams_of(queues);
        if streams.is_empty() {
            return Ok(());
        }
        // With a consumer its list goes. A read that was called off late may have left something on it.
        dispatch_again(&self.inner, &self.held_by(worker, &streams).await?).await.map_err(|error| to_broker_error(&error))?;
        let mut pipeline = redis::pipe();
        for (queue, band) in streams {
            pipeline.cmd("XGROUP").arg("DELCONSUMER").arg(self.inner.keys.stream(queue, band)).arg(GROUP).arg(worker.to_string());
        }
        pipeline.ignore_errors();
        let _each: Vec<RedisResult<Value>> = self.send(Request::Many(&pipeline)).await?;
        Ok(())
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
