//! One pass over the list: a reader feeds couriers, and each courier claims, hands over and records, recipient after recipient.
//!
//! A record and the claim of the next recipient share a write, and that write shares its commit with those of all other couriers.

mod courier;
mod outbox;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::feed::{Feed, Pacer};
use super::press::Press;
use super::{MOST_ATTEMPTS, unavailable};
use crate::domain::{RetryPolicy, TaskFailure};
use crate::services::mail::{MailFate, Message};
use crate::store::{
    RecipientCounts, RecipientRow, RecipientState, RecipientStep, Standing, StoreError, Suppression, SuppressionReason,
};
use crate::tasks::TaskContext;

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

/// How a pass ended.
#[derive(Debug)]
pub(super) enum PassEnd {
    /// Everybody that was due has been seen to.
    Done,
    /// It was asked to stop.
    Stopped,
    /// The queue was paused.
    Paused,
    /// The task was given to another attempt.
    Overtaken,
    /// No courier could go on.
    Trouble {
        /// How many recipients had an answer before.
        answered: u64,
        /// What happened last.
        reason: String,
    },
}

/// Why couriers stop before the end of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halt {
    Stopped,
    Paused,
    Overtaken,
}

/// What the couriers of a task share.
pub(super) struct Delivery {
    cx: TaskContext,
    press: Press,
    resends: bool,
    total: u64,
    /// Recipients for whom nothing follows.
    done: AtomicU64,
    halted: Mutex<Option<Halt>>,
    halt: CancellationToken,
}

impl Delivery {
    pub(super) fn new(cx: &TaskContext, press: Press, counts: RecipientCounts, resends: bool) -> Arc<Self> {
        let done = counts.accepted + counts.rejected + counts.suppressed;
        Arc::new(Self {
            cx: cx.clone(),
            press,
            resends,
            total: counts.total,
            done: AtomicU64::new(done),
            halted: Mutex::new(None),
            halt: CancellationToken::new(),
        })
    }

    /// Goes over the list once, by at most as many couriers as there are recipients `left`. Rates are a second: in all, and by domain.
    pub(super) async fn pass(
        self: &Arc<Self>,
        left: u64,
        (rate, rate_per_domain): (Option<f64>, Option<f64>),
    ) -> Result<PassEnd, TaskFailure> {
        let width = usize::try_from(left).unwrap_or(usize::MAX).clamp(1, self.cx.services.bulk.connections());
        let feed = Arc::new(Feed::of(2 * width));
        let answered = Arc::new(AtomicU64::new(0));
        let mut couriers = JoinSet::new();
        for _ in 0..width {
            let (delivery, feed, answered) = (self.clone(), feed.clone(), answered.clone());
            couriers.spawn(async move {
                if delivery.cx.services.mailer.is_outbox() {
                    outbox::run(&delivery, &feed, &answered).await
                } else {
                    courier::run(&delivery, &feed, &answered).await
                }
            });
        }
        let reading = async {
            let read = self.read(&feed, Pacer::new(rate, rate_per_domain, Instant::now())).await;
            feed.end();
            read
        };
        let working = async {
            let mut trouble = None;
            while let Some(ended) = couriers.join_next().await {
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(reason)) => trouble = Some(reason),
                    Err(error) => trouble = Some(format!("a courier ended badly: {error}")),
                }
            }
            feed.abandon();
            trouble
        };
        let both = async { tokio::join!(reading, working) };
        let (read, trouble) = tokio::select! {
            both = both => both,
            // Never ends by itself.
            never = self.look() => match never {},
        };
        read?;
        let halted = *self.halted.lock();
        Ok(match (halted, trouble) {
            (Some(Halt::Overtaken), _) => PassEnd::Overtaken,
            (Some(Halt::Stopped), _) => PassEnd::Stopped,
            (Some(Halt::Paused), _) => PassEnd::Paused,
            (None, Some(reason)) => PassEnd::Trouble { answered: answered.load(Ordering::Relaxed), reason },
            (None, None) => PassEnd::Done,
        })
    }

    /// Watches for whatever ends the pass early.
    async fn look(&self) -> std::convert::Infallible {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = self.cx.stop.cancelled() => {
                    self.halt(Halt::Stopped);
                    std::future::pending::<()>().await;
                }
                _ = looks.tick() => match self.cx.recipients.standing(self.cx.task, self.cx.attempt).await {
                    Ok(Standing::Present) => {}
                    Ok(Standing::Paused) => self.halt(Halt::Paused),
                    Ok(Standing::Overtaken) => self.halt(Halt::Overtaken),
                    Err(error) => tracing::debug!(task.id = %self.cx.task, %error, "how the task stands could not be read"),
                },
            }
        }
    }

    fn halt(&self, why: Halt) {
        self.halted.lock().get_or_insert(why);
        self.halt.cancel();
    }

    /// Reads the list page by page into the feed.
    async fn read(&self, feed: &Feed, mut pacer: Pacer) -> Result<(), TaskFailure> {
        let (mut after, mut page, mut is_over) = (None, Vec::new().into_iter(), false);
        loop {
            while !is_over && pacer.has_room() {
                if let Some(row) = page.next() {
                    pacer.add(row, Instant::now());
                    continue;
                }
                let rows = self.page(&mut after).await?;
                is_over = rows.is_none();
                page = rows.unwrap_or_default().into_iter();
            }
            let Some(due) = pacer.due() else { return Ok(()) };
            let released = async {
                if due > Instant::now() {
                    tokio::time::sleep_until(due).await;
                }
                match pacer.release(Instant::now()) {
                    Some(row) => feed.put(row).await,
                    None => true,
                }
            };
            tokio::select! {
                biased;
                () = self.halt.cancelled() => return Ok(()),
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

    fn step(&self, part: i32, state: RecipientState) -> RecipientStep {
        let (task, attempt, at) = (self.cx.task, self.cx.attempt, self.cx.clock.now());
        RecipientStep { task, attempt, part, state, response: None, reference: None, next_at: None, at }
    }

    /// What is to be recorded of a mail. `tries` counts this one.
    fn record(&self, part: i32, tries: u32, fate: MailFate) -> RecipientStep {
        let again = || {
            let retries = u16::try_from(tries.saturating_sub(1)).unwrap_or(u16::MAX);
            let delay = RetryPolicy::DEFAULT.delay(retries, self.cx.clock.chance(), None);
            (tries < MOST_ATTEMPTS).then(|| self.cx.clock.now() + delay)
        };
        let (state, response, next_at) = match fate {
            MailFate::Accepted { response } => (RecipientState::Accepted, response, None),
            MailFate::Rejected { response, .. } => (RecipientState::Rejected, response, None),
            MailFate::Deferred { response, .. } => (RecipientState::Deferred, response, again()),
            MailFate::NotSent { reason } => (RecipientState::Deferred, reason, again()),
            MailFate::Unknown { reason } => (RecipientState::Unknown, reason, self.resends.then(again).flatten()),
        };
        RecipientStep { response: Some(response), next_at, ..self.step(part, state) }
    }

    /// The mail for `row`; where there is none, what is to be recorded instead.
    fn mail(&self, row: &RecipientRow) -> Result<Message, RecipientStep> {
        self.press.mail(row, self.cx.clock.now()).map_err(|response| {
            self.record(row.part, row.attempts + 1, MailFate::Rejected { code: None, response })
        })
    }

    /// Writes steps, again and again for a while where the store is away: all of them may be written twice. The answers are in order.
    async fn write(&self, steps: &[RecipientStep]) -> Result<Vec<Option<RecipientState>>, String> {
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
            self.cx.tell(done.min(self.total), Some(self.total), None);
        }
    }

    /// Waits, but not past a halt.
    async fn pause(&self, pause: Duration) {
        drop(tokio::time::timeout(pause, self.halt.cancelled()).await);
    }

    /// Puts an address on the suppression list of which the server says that it does not exist.
    async fn bounced(&self, row: &RecipientRow, fate: &MailFate) {
        let (Some(list), true) = (&self.cx.suppressions, self.cx.services.bulk.suppresses_bounces()) else { return };
        let MailFate::Rejected { code: Some(550 | 551 | 553), response } = fate else { return };
        let is_of_address = response.split_whitespace().nth(1).is_some_and(|word| word.starts_with("5.1."));
        if !is_of_address {
            return;
        }
        let suppression = Suppression {
            address: row.address.clone(),
            reason: SuppressionReason::Bounced,
            detail: Some(response.clone()),
            principal: None,
            task: Some(self.cx.task),
            created_at: self.cx.clock.now(),
        };
        if let Err(error) = list.suppress(&[suppression]).await {
            tracing::warn!(task.id = %self.cx.task, %error, "an address that does not exist could not be put on the suppression list");
        }
    }
}
