//! How a worker gets its references: one script takes what is there; where nothing is, one blocking read waits for the first.
//!
//! Every receive runs in a task of its own and hands over through a channel, so that a caller who drops the future loses nothing: what
//! comes after that is rung again.

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
use super::link::{Request, judge};
use super::readers::LONGEST_BLOCK;
use crate::broker::keys::{FIELD, GROUP};
use crate::broker::{BrokerError, Delivery, Lane, Want};
use crate::domain::{Band, QueueName, WorkerId};

type Answer = Result<Vec<Delivery>, BrokerError>;

/// Ends waiting receives. One that begins to wait just after the wake ends too, so that no wake is lost.
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

/// The caller's end of a receive.
pub(super) struct Handover {
    inner: Arc<Inner>,
    answer: oneshot::Receiver<Answer>,
}

impl Handover {
    /// Begins a receive.
    pub fn begin(inner: &Arc<Inner>, want: Want) -> Self {
        let (hand, answer) = oneshot::channel();
        inner.tasks.spawn(serve(Arc::clone(inner), want, hand));
        Self { inner: Arc::clone(inner), answer }
    }

    /// What it got.
    pub async fn taken(&mut self) -> Answer {
        (&mut self.answer).await.unwrap_or_else(|_ended| Err(BrokerError::Unavailable("the broker is closed".to_owned())))
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.answer.close();
        // It may have been handed over in the moment in which the caller went.
        if let Ok(Ok(unwanted)) = self.answer.try_recv() {
            let inner = Arc::clone(&self.inner);
            self.inner.tasks.spawn(async move { give_back(&inner, &unwanted).await });
        }
    }
}

async fn serve(inner: Arc<Inner>, want: Want, mut hand: oneshot::Sender<Answer>) {
    let lanes: Vec<&Lane> = want.lanes.iter().filter(|lane| lane.max > 0).collect();
    let taken = match take(&inner, &want, &lanes).await {
        Ok(taken) if taken.is_empty() && !want.wait.is_zero() => wait_for_one(&inner, &want, &lanes, &mut hand).await,
        taken => taken,
    };
    if let Err(Ok(unwanted)) = hand.send(taken.map_err(|error| judge(&error))) {
        give_back(&inner, &unwanted).await;
    }
}

/// Rings again what was taken and is not wanted, and forgets it where it was. What fails here is found by the reclaim.
pub(super) async fn give_back(inner: &Inner, unwanted: &[Delivery]) {
    if let Err(error) = ring_again(inner, unwanted).await {
        tracing::warn!(%error, count = unwanted.len(), "references that nobody waits for could not be rung again; the reclaim will find them");
    }
}

/// The same, for who has to know whether it was done.
pub(super) async fn ring_again(inner: &Inner, unwanted: &[Delivery]) -> RedisResult<()> {
    if unwanted.is_empty() {
        return Ok(());
    }
    // One after the other: a server that is full refuses to ring, and would forget all the same.
    let rings = inner.ring(unwanted.iter().map(|delivery| &delivery.doorbell), unwanted.len());
    inner.link.ask::<()>(Request::Many(&rings)).await?;
    let mut forgets = redis::pipe();
    inner.add_forget(
        &mut forgets,
        unwanted.iter().map(|delivery| (&delivery.doorbell.queue, delivery.doorbell.band, &*delivery.entry)),
    );
    inner.link.ask(Request::Many(&forgets)).await
}

/// Takes what is there, without waiting.
async fn take(inner: &Inner, want: &Want, lanes: &[&Lane]) -> RedisResult<Vec<Delivery>> {
    if want.max == 0 || lanes.is_empty() {
        return Ok(Vec::new());
    }
    let turn = inner.turns.lock().next(want.max);
    let mut lanes = lanes.to_vec();
    let first = turn.first_lane % lanes.len();
    lanes.rotate_left(first);
    let streams: Vec<(&QueueName, Band)> =
        Band::ALL.into_iter().flat_map(|band| lanes.iter().map(move |lane| (&lane.queue, band))).collect();
    let consumer = want.worker.to_string();
    let call = |name: &str, script: &str| {
        let mut call = redis::cmd(name);
        call.arg(script).arg(streams.len());
        for (queue, band) in &streams {
            call.arg(inner.keys.stream(queue, *band));
        }
        call.arg(GROUP).arg(&consumer).arg(want.max).arg(turn.owed).arg(i32::from(turn.lowest_first));
        for lane in &lanes {
            call.arg(lane.max);
        }
        call
    };
    let answer: Vec<Vec<Value>> = match inner.link.ask(Request::One(&call("EVALSHA", inner.script.get_hash()))).await {
        Err(error) if error.code() == Some("NOSCRIPT") => inner.link.ask(Request::One(&call("EVAL", RECEIVE))).await?,
        answer => answer?,
    };
    let read = unflatten(answer, &streams);
    inner.turns.lock().handed_out(read.deliveries.len());
    Ok(settled(inner, read).await)
}

/// The script that [`take`] calls.
pub(super) const RECEIVE: &str = include_str!("receive.lua");

fn unflatten(answer: Vec<Vec<Value>>, streams: &[(&QueueName, Band)]) -> Read {
    let mut read = Read::default();
    for flat in answer {
        let mut values = flat.into_iter();
        let Some(Value::Int(index)) = values.next() else { continue };
        let Some((queue, band)) = usize::try_from(index).ok().and_then(|index| streams.get(index)) else { continue };
        while let (Some(Value::BulkString(entry)), Some(Value::BulkString(payload))) = (values.next(), values.next()) {
            read.add(queue, *band, String::from_utf8_lossy(&entry).into_owned(), &payload);
        }
    }
    read
}

/// Throws away what nobody here has written, and leaves the rest.
pub(super) async fn settled(inner: &Inner, read: Read) -> Vec<Delivery> {
    if !read.strange.is_empty() {
        tracing::warn!(count = read.strange.len(), "entries that this program did not write are thrown away");
        let mut pipeline = redis::pipe();
        inner.add_forget(&mut pipeline, read.strange.iter().map(|(queue, band, entry)| (queue, *band, entry.as_str())));
        if let Err(error) = inner.link.ask::<()>(Request::Many(&pipeline)).await {
            tracing::debug!(%error, "strange entries stay");
        }
    }
    read.deliveries
}

async fn wait_for_one(
    inner: &Inner,
    want: &Want,
    lanes: &[&Lane],
    hand: &mut oneshot::Sender<Answer>,
) -> RedisResult<Vec<Delivery>> {
    let until = Instant::now() + want.wait;
    let call_off = async {
        tokio::select! {
            () = inner.wake.woken() => {}
            () = hand.closed() => {}
            () = inner.closing.cancelled() => {}
        }
    }
    .boxed()
    .shared();
    if want.max == 0 || lanes.is_empty() {
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
        let command = blocking_read(inner, want.worker, lanes, block);
        let answer = inner.readers.read(&inner.link, &command, block, &call_off).await;
        let called_off = call_off.peek().is_some();
        match answer {
            Ok(Value::Nil) if called_off => return Ok(Vec::new()),
            Ok(Value::Nil) => {}
            Ok(answer) => return Ok(fitting(inner, want, settled(inner, first_entries(inner, lanes, answer)).await).await),
            Err(error) if lacks_groups(&error) && called_off => return Ok(Vec::new()),
            Err(error) if lacks_groups(&error) => make_groups(inner, lanes).await?,
            Err(error) => return Err(error),
        }
    }
}

fn blocking_read(inner: &Inner, worker: WorkerId, lanes: &[&Lane], block: Duration) -> redis::Cmd {
    let mut command = redis::cmd("XREADGROUP");
    command.arg("GROUP").arg(GROUP).arg(worker.to_string()).arg("COUNT").arg(1);
    command.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(1)).arg("STREAMS");
    for band in Band::ALL {
        for lane in lanes {
            command.arg(inner.keys.stream(&lane.queue, band));
        }
    }
    for _ in 0..Band::ALL.len() * lanes.len() {
        command.arg(">");
    }
    command
}

/// What a blocking read answers: for each stream that had something, its key and one entry.
fn first_entries(inner: &Inner, lanes: &[&Lane], answer: Value) -> Read {
    let mut read = Read::default();
    let by_key: HashMap<Vec<u8>, (&QueueName, Band)> = Band::ALL
        .into_iter()
        .flat_map(|band| lanes.iter().map(move |lane| (inner.keys.stream(&lane.queue, band).into_bytes(), (&lane.queue, band))))
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

/// A blocking read that finds several streams filled takes one of each. What is more than the caller wants is rung again.
async fn fitting(inner: &Inner, want: &Want, deliveries: Vec<Delivery>) -> Vec<Delivery> {
    let mut room: HashMap<&QueueName, usize> = want.lanes.iter().map(|lane| (&lane.queue, lane.max)).collect();
    let mut left = want.max;
    let (fits, surplus) =
        deliveries.into_iter().partition::<Vec<_>, _>(|delivery| match room.get_mut(&delivery.doorbell.queue) {
            Some(room) if *room > 0 && left > 0 => {
                *room -= 1;
                left -= 1;
                true
            }
            _ => false,
        });
    give_back(inner, &surplus).await;
    inner.turns.lock().handed_out(fits.len());
    fits
}

/// The stream is new, or somebody has deleted it (UNBLOCKED: while we waited).
fn lacks_groups(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED"))
}

async fn make_groups(inner: &Inner, lanes: &[&Lane]) -> RedisResult<()> {
    let mut pipeline = redis::pipe();
    for lane in lanes {
        for band in Band::ALL {
            pipeline.cmd("XGROUP").arg("CREATE").arg(inner.keys.stream(&lane.queue, band)).arg(GROUP).arg(0).arg("MKSTREAM");
        }
    }
    // BUSYGROUP is an answer too: it is there.
    pipeline.ignore_errors();
    let _each: Vec<RedisResult<()>> = inner.link.ask(Request::Many(&pipeline)).await?;
    Ok(())
}

impl Inner {
    /// A pipeline that rings these.
    pub(super) fn ring<'a>(
        &self,
        doorbells: impl Iterator<Item = &'a crate::domain::Doorbell>,
        commands: usize,
    ) -> redis::Pipeline {
        let mut pipeline = redis::Pipeline::with_capacity(commands);
        let mut lane: Option<(&QueueName, Band, String)> = None;
        for doorbell in doorbells {
            let key = match &lane {
                Some((queue, band, key)) if *band == doorbell.band && *queue == &doorbell.queue => key,
                _ => &lane.insert((&doorbell.queue, doorbell.band, self.keys.stream(&doorbell.queue, doorbell.band))).2,
            };
            pipeline.cmd("XADD").arg(key).arg("*").arg(FIELD).arg(super::entry::encode(doorbell).as_slice());
        }
        pipeline
    }

    /// Adds what forgets these entries: one XDEL and one XACK a stream. In this order: where only the first is done, the reclaim clears the
    /// rest; an entry that is off the group's list and still in the stream nobody would ever find again.
    pub(super) fn add_forget<'a>(
        &self,
        pipeline: &mut redis::Pipeline,
        entries: impl Iterator<Item = (&'a QueueName, Band, &'a str)>,
    ) {
        let mut streams: Vec<(&QueueName, Band, Vec<&str>)> = Vec::new();
        for (queue, band, entry) in entries.filter(|(.., entry)| !entry.is_empty()) {
            match streams.iter_mut().find(|(known, of, _)| *of == band && *known == queue) {
                Some((.., names)) => names.push(entry),
                None => streams.push((queue, band, vec![entry])),
            }
        }
        for (queue, band, names) in streams {
            let key = self.keys.stream(queue, band);
            pipeline.cmd("XDEL").arg(&key).arg(&names);
            pipeline.cmd("XACK").arg(&key).arg(GROUP).arg(&names);
        }
    }
}
