//! How a worker gets its references: one script takes what is there; where nothing is, one blocking read waits for the first.
//!
//! Every fetch runs in a task of its own and hands over through a channel, so that a caller who drops the future loses nothing: what
//! comes after that is published again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use redis::{RedisError, RedisResult, Value};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Inner;
use super::entry::Read;
use super::link::{Request, to_broker_error};
use super::readers::LONGEST_BLOCK;
use crate::broker::keys::{CONSUMER, FIELD, GROUP};
use crate::broker::{BrokerError, Delivery, FetchRequest, QueueQuota};
use crate::domain::{PriorityBand, QueueName};

type Answer = Result<Vec<Delivery>, BrokerError>;

/// Ends waiting fetches. One that starts to wait just after the wake ends too, so that no wake is lost.
#[derive(Default)]
pub(super) struct Wake {
    notify: Notify,
    waiting: AtomicUsize,
}

impl Wake {
    /// Ends those that wait, or the next one.
    pub fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.notify.notify_waiters();
        } else {
            self.notify.notify_one();
        }
    }

    async fn woken(&self) {
        let mut woken = std::pin::pin!(self.notify.notified());
        Notified::enable(woken.as_mut());
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _count = Waiting(&self.waiting);
        woken.await;
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The caller's end of a fetch.
pub(super) struct PendingFetch {
    inner: Arc<Inner>,
    answer: oneshot::Receiver<Answer>,
}

impl PendingFetch {
    /// Starts a fetch in a task of its own.
    pub fn start(inner: &Arc<Inner>, request: FetchRequest) -> Self {
        let (reply, answer) = oneshot::channel();
        inner.tasks.spawn(serve(Arc::clone(inner), request, reply));
        Self { inner: Arc::clone(inner), answer }
    }

    /// Waits for the result of the fetch.
    pub async fn taken(&mut self) -> Answer {
        (&mut self.answer).await.unwrap_or_else(|_ended| Err(BrokerError::Unavailable("the broker is closed".to_owned())))
    }
}

impl Drop for PendingFetch {
    fn drop(&mut self) {
        self.answer.close();
        // It may have been handed over in the moment in which the caller went.
        if let Ok(Ok(unwanted)) = self.answer.try_recv() {
            let inner = Arc::clone(&self.inner);
            self.inner.tasks.spawn(async move { release_deliveries(&inner, &unwanted).await });
        }
    }
}

async fn serve(inner: Arc<Inner>, request: FetchRequest, mut reply: oneshot::Sender<Answer>) {
    let quotas: Vec<&QueueQuota> = request.quotas.iter().filter(|quota| quota.max > 0).collect();
    let taken = match take(&inner, &request, &quotas).await {
        Ok(taken) if taken.is_empty() && !request.wait.is_zero() => wait_for_one(&inner, &request, &quotas, &mut reply).await,
        taken => taken,
    };
    if let Err(Ok(unwanted)) = reply.send(taken.map_err(|error| to_broker_error(&error))) {
        release_deliveries(&inner, &unwanted).await;
    }
}

/// Publishes again what was taken and is not wanted. What fails here is found by the sweep of lost dispatches.
pub(super) async fn release_deliveries(inner: &Inner, unwanted: &[Delivery]) {
    if unwanted.is_empty() {
        return;
    }
    let dispatches = inner.dispatch(unwanted.iter().map(|delivery| &delivery.dispatch), unwanted.len());
    if let Err(error) = inner.link.send::<()>(Request::Many(&dispatches)).await {
        tracing::warn!(%error, count = unwanted.len(), "fetched dispatches whose caller has gone could not be published again; the sweep of lost dispatches will find them");
    }
}

/// Takes what is there, without waiting.
async fn take(inner: &Inner, request: &FetchRequest, quotas: &[&QueueQuota]) -> RedisResult<Vec<Delivery>> {
    if request.max == 0 || quotas.is_empty() {
        return Ok(Vec::new());
    }
    let turn = inner.fair_share.lock().next(request.max);
    let mut quotas = quotas.to_vec();
    let first = turn.first_queue % quotas.len();
    quotas.rotate_left(first);
    let streams: Vec<(&QueueName, PriorityBand)> =
        PriorityBand::ALL.into_iter().flat_map(|band| quotas.iter().map(move |quota| (&quota.queue, band))).collect();
    let answer: Vec<Vec<Value>> = inner
        .fetch_script
        .call(&inner.link, |call| {
            call.arg(streams.len());
            for (queue, band) in &streams {
                call.arg(inner.keys.stream(queue, *band));
            }
            call.arg(GROUP).arg(CONSUMER).arg(request.max).arg(turn.owed).arg(i32::from(turn.lowest_first));
            for quota in &quotas {
                call.arg(quota.max);
            }
        })
        .await?;
    let deliveries = unflatten(answer, &streams).into_deliveries();
    inner.fair_share.lock().handed_out(deliveries.len());
    Ok(deliveries)
}

fn unflatten(answer: Vec<Vec<Value>>, streams: &[(&QueueName, PriorityBand)]) -> Read {
    let mut read = Read::default();
    for flat in answer {
        let mut values = flat.into_iter();
        let Some(Value::Int(index)) = values.next() else { continue };
        let Some((queue, band)) = usize::try_from(index).ok().and_then(|index| streams.get(index)) else { continue };
        for payload in values {
            if let Value::BulkString(payload) = payload {
                read.add(queue, *band, &payload);
            }
        }
    }
    read
}

async fn wait_for_one(
    inner: &Inner,
    request: &FetchRequest,
    quotas: &[&QueueQuota],
    reply: &mut oneshot::Sender<Answer>,
) -> RedisResult<Vec<Delivery>> {
    let until = Instant::now() + request.wait;
    let call_off = async {
        tokio::select! {
            () = inner.wake.woken() => {}
            () = reply.closed() => {}
            () = inner.closing.cancelled() => {}
        }
    }
    .boxed()
    .shared();
    if request.max == 0 || quotas.is_empty() {
        // Nothing may be taken now; the caller comes again when it has been woken.
        drop(tokio::time::timeout_at(until, call_off).await);
        return Ok(Vec::new());
    }
    loop {
        let block = until.saturating_duration_since(Instant::now()).min(LONGEST_BLOCK);
        // BLOCK 0 would be for ever.
        if block.as_millis() == 0 {
            return Ok(Vec::new());
        }
        let command = blocking_read(inner, quotas, block);
        let answer = inner.readers.read(&inner.link, &command, block, &call_off).await;
        let called_off = call_off.peek().is_some();
        match answer {
            Ok(Value::Nil) if called_off => return Ok(Vec::new()),
            Ok(Value::Nil) => {}
            Ok(answer) => {
                let deliveries = first_entries(inner, quotas, answer).into_deliveries();
                return Ok(fitting(inner, request, deliveries).await);
            }
            Err(error) if lacks_groups(&error) && called_off => return Ok(Vec::new()),
            Err(error) if lacks_groups(&error) => make_groups(inner, quotas).await?,
            Err(error) => return Err(error),
        }
    }
}

/// A read that waits for one entry. It does not delete the entry, which the next fetch does.
fn blocking_read(inner: &Inner, quotas: &[&QueueQuota], block: Duration) -> redis::Cmd {
    let mut command = redis::cmd("XREADGROUP");
    command.arg("GROUP").arg(GROUP).arg(CONSUMER).arg("COUNT").arg(1);
    command.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(1)).arg("NOACK").arg("STREAMS");
    for band in PriorityBand::ALL {
        for quota in quotas {
            command.arg(inner.keys.stream(&quota.queue, band));
        }
    }
    for _ in 0..PriorityBand::ALL.len() * quotas.len() {
        command.arg(">");
    }
    command
}

/// What a blocking read answers: for each stream that had something, its key and one entry.
fn first_entries(inner: &Inner, quotas: &[&QueueQuota], answer: Value) -> Read {
    let mut read = Read::default();
    let by_key: HashMap<Vec<u8>, (&QueueName, PriorityBand)> = PriorityBand::ALL
        .into_iter()
        .flat_map(|band| {
            quotas.iter().map(move |quota| (inner.keys.stream(&quota.queue, band).into_bytes(), (&quota.queue, band)))
        })
        .collect();
    let Value::Array(streams) = answer else { return read };
    for stream in streams {
        let Value::Array(parts) = stream else { continue };
        let Ok([Value::BulkString(key), Value::Array(entries)]) = <[Value; 2]>::try_from(parts) else { continue };
        if let Some((queue, band)) = by_key.get(&key) {
            read.add_pairs(queue, *band, entries);
        }
    }
    read
}

/// A blocking read that finds several streams filled takes one of each. What is more than the caller wants is published again.
async fn fitting(inner: &Inner, request: &FetchRequest, deliveries: Vec<Delivery>) -> Vec<Delivery> {
    let mut room: HashMap<&QueueName, usize> = request.quotas.iter().map(|quota| (&quota.queue, quota.max)).collect();
    let mut left = request.max;
    let (fits, surplus) =
        deliveries.into_iter().partition::<Vec<_>, _>(|delivery| match room.get_mut(&delivery.dispatch.queue) {
            Some(room) if *room > 0 && left > 0 => {
                *room -= 1;
                left -= 1;
                true
            }
            _ => false,
        });
    release_deliveries(inner, &surplus).await;
    inner.fair_share.lock().handed_out(fits.len());
    fits
}

/// The stream is new, or somebody has deleted it (UNBLOCKED: while we waited).
fn lacks_groups(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED"))
}

async fn make_groups(inner: &Inner, quotas: &[&QueueQuota]) -> RedisResult<()> {
    let mut pipeline = redis::pipe();
    for quota in quotas {
        for band in PriorityBand::ALL {
            pipeline.cmd("XGROUP").arg("CREATE").arg(inner.keys.stream(&quota.queue, band)).arg(GROUP).arg(0).arg("MKSTREAM");
        }
    }
    // BUSYGROUP is an answer too: it is there.
    pipeline.ignore_errors();
    let _each: Vec<RedisResult<()>> = inner.link.send(Request::Many(&pipeline)).await?;
    Ok(())
}

impl Inner {
    /// A pipeline that dispatches these.
    pub(super) fn dispatch<'a>(
        &self,
        dispatches: impl Iterator<Item = &'a crate::domain::Dispatch>,
        commands: usize,
    ) -> redis::Pipeline {
        let mut pipeline = redis::Pipeline::with_capacity(commands);
        let mut stream: Option<(&QueueName, PriorityBand, String)> = None;
        for dispatch in dispatches {
            let key = match &stream {
                Some((queue, band, key)) if *band == dispatch.band && *queue == &dispatch.queue => key,
                _ => &stream.insert((&dispatch.queue, dispatch.band, self.keys.stream(&dispatch.queue, dispatch.band))).2,
            };
            pipeline.cmd("XADD").arg(key).arg("*").arg(FIELD).arg(super::entry::encode(dispatch).as_slice());
        }
        pipeline
    }
}
