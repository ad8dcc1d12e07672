//! What the kinds share that reach many, whatever the channel: the list is made once, and then passed over until nothing is left to do.
//!
//! In a pass, a reader feeds senders, and each sender claims, hands over and records, recipient after recipient. How it hands over is the
//! [`Channel`]'s; that nobody is reached twice and nobody is left out rests on the recipients' ledger.

mod recipient_queue;

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::TaskContext;
use legwork_engine::domain::{FieldError, RetryPolicy, TaskFailure};
use legwork_engine::store::{
    AttemptStanding, NewRecipient, RecipientCounts, RecipientRow, RecipientState, RecipientStep, Resend, StoreError,
};

use recipient_queue::RateLimiter;
pub(super) use recipient_queue::RecipientQueue;

/// So often a recipient is tried who is refused for now; with the pauses between, some two hours.
pub(super) const MOST_ATTEMPTS: u32 = 8;
/// The largest rate, a second.
const FASTEST: f64 = 100_000.0;
/// Recipients in one write when the list is made.
const RECIPIENTS_PER_WRITE: usize = 1_000;
/// What is kept of an address that is none, in characters.
const LONGEST_REFUSED: usize = 300;
/// The pause before the next attempt where the other side failed after some recipients.
const SERVER_PAUSE: Duration = Duration::from_mins(1);
/// Recipients that are read at once.
const PAGE: u32 = 500;
/// How often it is looked whether the queue was paused, or the task given to another.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pauses before a write is tried again that the store did not take.
const WRITE_PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// A way to reach recipients.
pub(super) trait Channel: Send + Sync + Sized + 'static {
    /// The word of the failure where no sender can go on.
    const ERROR_KIND: &'static str;
    /// What is handed over, as in `mail`.
    const THING: &'static str;

    /// Most senders that work at the same time.
    fn width(&self, cx: &TaskContext) -> usize;

    /// Works off the `recipient_queue`: claims, hands over and records, until the recipient queue ends or there is a stop. Counts in `answered` who had an
    /// answer. The error says why it cannot go on.
    fn send_all(
        delivery: &Delivery<Self>,
        recipient_queue: &RecipientQueue,
        answered: &AtomicU64,
    ) -> impl Future<Output = Result<(), SenderError>> + Send;
}

/// Why a sender cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SenderError {
    pub(super) reason: String,
    /// How long the other side asked us to wait.
    pub(super) after: Option<Duration>,
}

impl From<String> for SenderError {
    fn from(reason: String) -> Self {
        Self { reason, after: None }
    }
}

/// How a pass ended.
#[derive(Debug)]
enum PassEnd {
    /// Everybody that was due has been seen to.
    Done,
    /// It was asked to stop.
    Stopped,
    /// The queue was paused.
    Paused,
    /// The task was given to another attempt.
    Overtaken,
    /// No sender could go on.
    Failed {
        /// How many recipients had an answer before.
        answered: u64,
        /// The error that stopped the last sender.
        sender_error: SenderError,
    },
}

/// Why senders stop before the end of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    Stopped,
    Paused,
    Overtaken,
}

/// Limits on how fast messages are handed over, in messages a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// The limit over all recipients; `None` for no limit.
    pub(super) all: Option<f64>,
    /// The limit for each mail domain; `None` for no limit.
    pub(super) by_domain: Option<f64>,
}

/// What is wrong with a list: either `plain` (so many) or `recipients` (so many) is to be given.
pub(super) fn list_errors(plain: (&str, Option<usize>), own: Option<usize>, limit: usize) -> Vec<FieldError> {
    let (name, count) = plain;
    let (pointer, count) = match (count, own) {
        (Some(count), None) => (format!("/{name}"), count),
        (None, Some(count)) => ("/recipients".to_owned(), count),
        (Some(_), Some(_)) => {
            return vec![FieldError::new("/recipients", format!("must not be given together with {name}; give one of them"))];
        }
        (None, None) => {
            return vec![FieldError::new(format!("/{name}"), "is missing; give this or recipients")];
        }
    };
    if count == 0 {
        return vec![FieldError::new(pointer, "is empty; give at least one recipient")];
    }
    if count > limit {
        return vec![FieldError::new(
            pointer,
            format!("has {count} recipients; at most {limit} are allowed (BULK_RECIPIENT_LIMIT)"),
        )];
    }
    Vec::new()
}

/// What is wrong with a rate of `things` (`mails`) a second.
pub(super) fn rate_error(pointer: &str, rate: Option<f64>, things: &str) -> Option<FieldError> {
    let is_wrong = rate.is_some_and(|rate| !(rate > 0.0 && rate <= FASTEST));
    is_wrong.then(|| FieldError::new(pointer, format!("must be greater than 0 and at most {FASTEST} {things} a second")))
}

/// What stands in the ledger for a text that is no address: it may hold anything.
pub(super) fn refused(part: i32, given: &str, message_id: String, why: String) -> NewRecipient {
    let shortened = given.chars().take(LONGEST_REFUSED).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    let shortened: String = shortened.collect();
    NewRecipient { part, address: shortened.to_lowercase(), recipient: shortened, message_id, context: None, refused: Some(why) }
}

/// Opens the task's list. Returns whether it is there already.
pub(super) async fn is_listed(cx: &TaskContext) -> Result<bool, TaskFailure> {
    cx.or_cancelled(cx.recipients.open_list(cx.task, cx.clock.now())).await?.map_err(unavailable)
}

/// Writes the list into the ledger. Cut off in the middle, it is written again, with the same parts. Who is there twice is reached once.
pub(super) struct RecipientListWriter<'a> {
    cx: &'a TaskContext,
    seen: HashSet<String>,
    some: Vec<NewRecipient>,
}

impl<'a> RecipientListWriter<'a> {
    pub(super) fn new(cx: &'a TaskContext) -> Self {
        Self { cx, seen: HashSet::new(), some: Vec::with_capacity(RECIPIENTS_PER_WRITE) }
    }

    pub(super) async fn add(&mut self, recipient: NewRecipient) -> Result<(), TaskFailure> {
        if self.seen.insert(recipient.address.clone()) {
            self.some.push(recipient);
        }
        if self.some.len() == RECIPIENTS_PER_WRITE { self.write().await } else { Ok(()) }
    }

    /// Writes the last, partly filled batch.
    pub(super) async fn finish(mut self) -> Result<(), TaskFailure> {
        if !self.some.is_empty() {
            self.write().await?;
        }
        self.cx.recipients.complete_list(self.cx.task, self.cx.clock.now()).await.map_err(unavailable)
    }

    async fn write(&mut self) -> Result<(), TaskFailure> {
        let cx = self.cx;
        cx.or_cancelled(cx.recipients.add_recipients(cx.task, &self.some, cx.clock.now())).await?.map_err(unavailable)?;
        self.some.clear();
        Ok(())
    }
}

/// Passes over the list until nothing is left to be done. With `resends`, what is of unknown outcome is handed over again; `is_repeatable` says that
/// doing so by a killed attempt's successor reaches nobody twice.
pub(super) async fn deliver<C: Channel>(
    cx: &TaskContext,
    channel: C,
    resends: bool,
    is_repeatable: bool,
    rates: Rates,
) -> Result<RecipientCounts, TaskFailure> {
    let resend = Resend { at: cx.clock.now(), most_attempts: MOST_ATTEMPTS };
    let resend = (resends || is_repeatable).then_some(resend);
    let mut counts = adopted(cx, resend).await?;
    let delivery = Delivery::new(cx, channel, counts, resends);
    loop {
        let now = cx.clock.now();
        if counts.queued == 0 && counts.next_at.is_none_or(|at| at > now) {
            // Whatever an attempt before this one claimed while this one started.
            let counts = adopted(cx, None).await?;
            if counts.sending > 0 {
                // The next attempt adopts it.
                let what = format!("what became of a {} could not be written down", C::THING);
                return Err(TaskFailure::retry("Unrecorded", what));
            }
            if let Some(at) = counts.next_at {
                return Err(TaskFailure::Later { after: wait_until(at.duration_since(now)) });
            }
            cx.report_progress(counts.total, Some(counts.total), None);
            return Ok(counts);
        }
        match delivery.pass(counts.total - counts.accepted, rates).await? {
            PassEnd::Done => {}
            PassEnd::Stopped => return Err(TaskFailure::Stopped),
            PassEnd::Paused => return Err(TaskFailure::Later { after: Duration::ZERO }),
            PassEnd::Overtaken => return Err(overtaken()),
            PassEnd::Failed { answered: 0, sender_error: SenderError { reason, after } } => {
                return Err(match after {
                    Some(after) => TaskFailure::retry_after(C::ERROR_KIND, reason, after),
                    None => TaskFailure::retry(C::ERROR_KIND, reason),
                });
            }
            PassEnd::Failed { sender_error: SenderError { reason, after }, .. } => {
                tracing::warn!(task.id = %cx.task, attempt = %cx.attempt, reason, "the receiving server has errors; the task goes on later");
                return Err(TaskFailure::Later { after: after.unwrap_or(SERVER_PAUSE) });
            }
        }
        counts = cx.recipients.count_recipients(cx.task).await.map_err(unavailable)?;
    }
}

async fn adopted(cx: &TaskContext, resend: Option<Resend>) -> Result<RecipientCounts, TaskFailure> {
    let counts = cx.recipients.adopt(cx.task, cx.attempt, resend, cx.clock.now()).await.map_err(unavailable)?;
    counts.ok_or_else(overtaken)
}

/// What the senders of a task share.
pub(super) struct Delivery<C> {
    pub(super) cx: TaskContext,
    pub(super) channel: C,
    resends: bool,
    total: u64,
    /// Recipients for whom nothing follows.
    done: AtomicU64,
    stop_reason: Mutex<Option<StopReason>>,
    pub(super) stop: CancellationToken,
}

impl<C: Channel> Delivery<C> {
    fn new(cx: &TaskContext, channel: C, counts: RecipientCounts, resends: bool) -> Arc<Self> {
        // Not those of unknown outcome: whoever dies at every hand-over has made no progress.
        let done = counts.accepted + counts.rejected + counts.suppressed;
        // An attempt's row starts without progress, and this one may end before it reaches anybody.
        cx.report_progress(done, Some(counts.total), None);
        Arc::new(Self {
            cx: cx.clone(),
            channel,
            resends,
            total: counts.total,
            done: AtomicU64::new(done),
            stop_reason: Mutex::new(None),
            stop: CancellationToken::new(),
        })
    }

    /// Goes over the list once, by at most as many senders as there are recipients `left`.
    async fn pass(self: &Arc<Self>, left: u64, rates: Rates) -> Result<PassEnd, TaskFailure> {
        let width = usize::try_from(left).unwrap_or(usize::MAX).clamp(1, self.channel.width(&self.cx));
        let recipient_queue = Arc::new(RecipientQueue::of(2 * width));
        let answered = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..width {
            let (delivery, recipient_queue, answered) = (self.clone(), recipient_queue.clone(), answered.clone());
            senders.spawn(async move { C::send_all(&delivery, &recipient_queue, &answered).await });
        }
        let reading = async {
            let read = self.read(&recipient_queue, RateLimiter::new(rates.all, rates.by_domain, Instant::now())).await;
            recipient_queue.end();
            read
        };
        let working = async {
            let mut sender_error = None;
            while let Some(ended) = senders.join_next().await {
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(reason)) => sender_error = Some(reason),
                    Err(error) => sender_error = Some(format!("a sender ended badly: {error}").into()),
                }
            }
            recipient_queue.abandon();
            sender_error
        };
        let both = async { tokio::join!(reading, working) };
        let (read, sender_error) = tokio::select! {
            both = both => both,
            // Never ends by itself.
            never = self.look() => match never {},
        };
        read?;
        let stop_reason = *self.stop_reason.lock();
        Ok(match (stop_reason, sender_error) {
            (Some(StopReason::Overtaken), _) => PassEnd::Overtaken,
            (Some(StopReason::Stopped), _) => PassEnd::Stopped,
            (Some(StopReason::Paused), _) => PassEnd::Paused,
            (None, Some(sender_error)) => PassEnd::Failed { answered: answered.load(Ordering::Relaxed), sender_error },
            (None, None) => PassEnd::Done,
        })
    }

    /// Watches for whatever ends the pass early.
    async fn look(&self) -> std::convert::Infallible {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = self.cx.stop.cancelled() => {
                    self.stop_for(StopReason::Stopped);
                    std::future::pending::<()>().await;
                }
                _ = looks.tick() => match self.cx.recipients.attempt_standing(self.cx.task, self.cx.attempt).await {
                    Ok(AttemptStanding::Present) => {}
                    Ok(AttemptStanding::Paused) => self.stop_for(StopReason::Paused),
                    Ok(AttemptStanding::Overtaken) => self.stop_for(StopReason::Overtaken),
                    Err(error) => tracing::debug!(task.id = %self.cx.task, %error, "how the task stands could not be read"),
                },
            }
        }
    }

    pub(super) fn stop_for(&self, why: StopReason) {
        self.stop_reason.lock().get_or_insert(why);
        self.stop.cancel();
    }

    /// Reads the list page by page into the recipient queue.
    async fn read(&self, recipient_queue: &RecipientQueue, mut rate_limiter: RateLimiter) -> Result<(), TaskFailure> {
        let (mut after, mut page, mut is_over) = (None, Vec::new().into_iter(), false);
        loop {
            while !is_over && rate_limiter.has_room() {
                if let Some(row) = page.next() {
                    rate_limiter.add(row, Instant::now());
                    continue;
                }
                let rows = self.page(&mut after).await?;
                is_over = rows.is_none();
                page = rows.unwrap_or_default().into_iter();
            }
            let Some(due) = rate_limiter.due() else { return Ok(()) };
            let released = async {
                if due > Instant::now() {
                    tokio::time::sleep_until(due).await;
                }
                match rate_limiter.release(Instant::now()) {
                    Some(row) => recipient_queue.put(row).await,
                    None => true,
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                goes_on = released => if !goes_on { return Ok(()) },
            }
        }
    }

    /// The next page, without those who are suppressed: these are recorded at once. `None` at the end of the list.
    async fn page(&self, after: &mut Option<i32>) -> Result<Option<Vec<RecipientRow>>, TaskFailure> {
        let cx = &self.cx;
        let mut rows = cx.recipients.to_send(cx.task, *after, cx.clock.now(), PAGE).await.map_err(unavailable)?;
        let Some(last) = rows.last() else { return Ok(None) };
        *after = Some(last.part);
        let suppressed: Vec<RecipientStep> = rows
            .extract_if(.., |row| row.state == RecipientState::Suppressed)
            .map(|row| self.step(row.part, RecipientState::Suppressed))
            .collect();
        if !suppressed.is_empty() {
            self.write(&suppressed).await.map_err(|reason| TaskFailure::retry("LedgerUnavailable", reason))?;
        }
        Ok(Some(rows))
    }

    pub(super) fn step(&self, part: i32, state: RecipientState) -> RecipientStep {
        let (task, attempt, at) = (self.cx.task, self.cx.attempt, self.cx.clock.now());
        RecipientStep { task, attempt, part, state, response: None, reference: None, next_at: None, at }
    }

    /// When who was refused for now is tried again. `tries` counts the last one.
    pub(super) fn again(&self, tries: u32) -> Option<Timestamp> {
        let retries = u16::try_from(tries.saturating_sub(1)).unwrap_or(u16::MAX);
        let delay = RetryPolicy::DEFAULT.delay(retries, self.cx.clock.chance(), None);
        (tries < MOST_ATTEMPTS).then(|| self.cx.clock.now() + delay)
    }

    /// The same for what is of unknown outcome.
    pub(super) fn again_if_unknown(&self, tries: u32) -> Option<Timestamp> {
        self.resends.then(|| self.again(tries)).flatten()
    }

    /// Writes steps, again and again for a while where the store is away: all of them may be written twice. The answers are in order.
    pub(super) async fn write(&self, steps: &[RecipientStep]) -> Result<Vec<Option<RecipientState>>, String> {
        let mut pauses = WRITE_PAUSES.iter();
        loop {
            let error = match self.cx.recipients.write_recipients(steps).await {
                Ok(states) => {
                    self.count(steps, &states);
                    return Ok(states);
                }
                Err(error) => error,
            };
            let pause = pauses.next().filter(|_| matches!(error, StoreError::Unavailable(_)));
            let Some(pause) = pause else { return Err(error.to_string()) };
            self.pause(*pause).await;
        }
    }

    /// Tells the progress of those for whom nothing follows.
    fn count(&self, steps: &[RecipientStep], states: &[Option<RecipientState>]) {
        let is_final = |step: &RecipientStep, state: &Option<RecipientState>| match state {
            Some(RecipientState::Sending) | None => false,
            Some(_) => step.next_at.is_none(),
        };
        let ended = steps.iter().zip(states).filter(|(step, state)| is_final(step, state)).count() as u64;
        if ended > 0 {
            let done = self.done.fetch_add(ended, Ordering::Relaxed) + ended;
            self.cx.report_progress(done.min(self.total), Some(self.total), None);
        }
    }

    /// Waits, but not past a stop.
    pub(super) async fn pause(&self, pause: Duration) {
        drop(tokio::time::timeout(pause, self.stop.cancelled()).await);
    }
}

fn wait_until(distance: SignedDuration) -> Duration {
    Duration::try_from(distance).unwrap_or_default()
}

pub(super) fn unavailable(error: StoreError) -> TaskFailure {
    TaskFailure::retry("LedgerUnavailable", error)
}

fn overtaken() -> TaskFailure {
    TaskFailure::retry("Overtaken", "the task was given to another attempt: this one handed nothing over any more")
}
