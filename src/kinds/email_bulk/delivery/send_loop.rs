//! By SMTP: one connection, mail after mail.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Delivery, RecipientQueue, StopReason};
use legwork_engine::store::{RecipientRow, RecipientState, RecipientStep};
use legwork_mail::{ConnectionLost, EnvelopeReply, MailOutcome, RefusedAt, SmtpConnection, WireMessage};

/// A connection that could not work so often in a row, without an answer to any mail, gives up.
const MOST_FAILURES: u32 = 3;
/// The pause after the first of them; the next ones are longer.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);
/// A server that waited longer for the content than this may have gone: the mail is staged anew, so that its outcome is not in doubt for that.
const LONGEST_CLAIM: Duration = Duration::from_secs(10);

/// "The service closes the connection" (RFC 5321, 3.8).
const CLOSING: u16 = 421;

/// An answer that takes longer is not waited for before the one before it is recorded.
const PROMPT: Duration = Duration::from_millis(5);

/// A mail and its recipient.
struct Item {
    row: RecipientRow,
    wire_message: WireMessage,
}

/// Hands mails over until the recipient queue ends. The error says why it cannot go on.
pub(super) async fn run(delivery: &Delivery, recipient_queue: &RecipientQueue, answered: &AtomicU64) -> Result<(), String> {
    let mut send_loop = SendLoop { delivery, recipient_queue, answered, steps: Vec::new(), back: None, failures: 0 };
    let ended = send_loop.run().await;
    // What was handed over is recorded, whatever ended the send loop.
    let recorded = send_loop.flush().await;
    ended.and(recorded)
}

/// How a connection's work ended.
enum SessionEnd {
    /// The recipient queue is at its end, or there was a stop.
    Over(SmtpConnection),
    /// It has carried as much as one connection may.
    Full(SmtpConnection),
    /// The connection is of no use any more.
    Lost(String),
    /// The mail that was staged is not to be sent: the connection waits for it, and is dropped.
    Dropped,
}

struct SendLoop<'a> {
    delivery: &'a Delivery,
    recipient_queue: &'a RecipientQueue,
    answered: &'a AtomicU64,
    /// To be written with the next claim.
    steps: Vec<RecipientStep>,
    /// What a connection that was lost did not hand over.
    back: Option<Item>,
    /// Connections lost in a row, without an answer in between.
    failures: u32,
}

impl SendLoop<'_> {
    async fn run(&mut self) -> Result<(), String> {
        // No connection without something to carry.
        while self.refill().await? {
            let slots = self.delivery.cx.services.bulk.slots().clone();
            let slot = tokio::select! {
                slot = slots.acquire_owned() => slot.map_err(|_| "the process is ending".to_owned())?,
                () = self.delivery.stop.cancelled() => return Ok(()),
            };
            let Some(opened) = self.delivery.cx.services.mailer.bulk_connection(slot).await else {
                return Err("there is no mail server".into());
            };
            let lost = match opened {
                Ok(smtp_connection) => match self.send_all(smtp_connection).await? {
                    SessionEnd::Over(smtp_connection) => {
                        smtp_connection.quit().await;
                        return Ok(());
                    }
                    SessionEnd::Full(smtp_connection) => {
                        smtp_connection.quit().await;
                        if self.failures == 0 {
                            continue;
                        }
                        "421 to mail after mail: it hangs up".to_owned()
                    }
                    SessionEnd::Dropped => continue,
                    SessionEnd::Lost(reason) => {
                        self.failures += 1;
                        reason
                    }
                },
                Err(ConnectionLost(reason)) => {
                    self.failures += 1;
                    reason
                }
            };
            self.flush().await?;
            if self.failures >= MOST_FAILURES {
                return Err(lost);
            }
            tracing::debug!(reason = lost, "a connection to the mail server was lost");
            if self.failures > 1 {
                self.delivery.pause(FAILURE_PAUSE * self.failures).await;
            }
        }
        Ok(())
    }

    /// Sees to it that there is something to carry; `false` at the end.
    async fn refill(&mut self) -> Result<bool, String> {
        while self.back.is_none() && !self.delivery.stop.is_cancelled() {
            self.back = self.take_now();
            if self.back.is_none() {
                // Who waits writes first.
                self.flush().await?;
                let Some(row) = self.recipient_queue.take().await else { return Ok(false) };
                self.back = self.made(row);
            }
        }
        Ok(!self.delivery.stop.is_cancelled())
    }

    /// The next mail, if there is one now.
    fn take_now(&mut self) -> Option<Item> {
        while !self.delivery.stop.is_cancelled() {
            let row = self.recipient_queue.try_take()?;
            if let Some(item) = self.made(row) {
                return Some(item);
            }
        }
        None
    }

    fn made(&mut self, row: RecipientRow) -> Option<Item> {
        match self.delivery.mail(&row) {
            Ok(message) => Some(Item { wire_message: message.wire_message(), row }),
            Err(step) => {
                self.steps.push(step);
                None
            }
        }
    }

    /// Carries mails over one connection.
    async fn send_all(&mut self, mut smtp_connection: SmtpConnection) -> Result<SessionEnd, String> {
        let mut staged: Option<Item> = None;
        loop {
            let Some(item) = staged.take() else {
                if smtp_connection.left() == 0 {
                    return Ok(SessionEnd::Full(smtp_connection));
                }
                let item = if self.refill().await? { self.back.take() } else { None };
                let Some(item) = item else { return Ok(SessionEnd::Over(smtp_connection)) };
                match of_the_mail(smtp_connection.stage(&item.wire_message).await) {
                    Ok(reply) => staged = self.staged(item, reply).await,
                    Err(ConnectionLost(reason)) => {
                        self.back = Some(item);
                        return Ok(SessionEnd::Lost(reason));
                    }
                }
                continue;
            };
            let next_item = if smtp_connection.pipelines() && smtp_connection.left() > 1 {
                self.back.take().or_else(|| self.take_now())
            } else {
                None
            };
            let started = Instant::now();
            if !self.claim(&item).await? {
                self.back = next_item;
                return Ok(SessionEnd::Dropped);
            }
            if started.elapsed() > LONGEST_CLAIM {
                let reason = "the server waited too long for the message".to_owned();
                let now = self.delivery.cx.clock.now();
                let record = self.delivery.record(item.row.part, item.row.attempts + 1, MailOutcome::NotSent { reason });
                self.steps.push(RecipientStep { next_at: Some(now), ..record });
                self.back = next_item;
                return Ok(SessionEnd::Dropped);
            }
            let outcome =
                smtp_connection.hand_over(&item.wire_message, next_item.as_ref().map(|next_item| &next_item.wire_message)).await;
            self.answered(&item, outcome);
            let next = self.next_staged(&mut smtp_connection).await?;
            match (next, next_item) {
                (Ok(Some(reply)), Some(next_item)) => staged = self.staged(next_item, reply).await,
                (Ok(_), next_item) => self.back = next_item,
                (Err(ConnectionLost(reason)), next_item) => {
                    self.back = next_item;
                    return Ok(SessionEnd::Lost(reason));
                }
            }
        }
    }

    /// What became of staging the mail behind the last one. A server that takes its time does not keep the last answer from being recorded.
    async fn next_staged(
        &mut self,
        smtp_connection: &mut SmtpConnection,
    ) -> Result<Result<Option<EnvelopeReply>, ConnectionLost>, String> {
        let next = async { smtp_connection.next_envelope().await?.map(|reply| of_the_mail(Ok(reply))).transpose() };
        let mut reply = std::pin::pin!(next);
        if let Ok(reply) = tokio::time::timeout(PROMPT, &mut reply).await {
            return Ok(reply);
        }
        self.flush().await?;
        Ok(reply.await)
    }

    /// Claims what is staged, and writes what there is to record. `false` where it is not to be handed over.
    async fn claim(&mut self, item: &Item) -> Result<bool, String> {
        self.steps.push(self.delivery.step(item.row.part, RecipientState::Sending));
        let written = self.delivery.write(&self.steps).await;
        if written.is_err() {
            // Nothing is handed over; what is left may still be recorded.
            self.steps.pop();
        } else {
            self.steps.clear();
        }
        match written?.last().copied().flatten() {
            Some(RecipientState::Sending) => Ok(true),
            Some(_) => Ok(false),
            None => {
                self.delivery.stop_for(StopReason::Overtaken);
                Ok(false)
            }
        }
    }

    /// Notes what became of a mail that was handed over.
    fn answered(&mut self, item: &Item, outcome: MailOutcome) {
        if !matches!(outcome, MailOutcome::Unknown { .. }) {
            self.failures = 0;
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        self.steps.push(self.delivery.record(item.row.part, item.row.attempts + 1, outcome));
    }

    /// The item, if the server waits for it; else notes why not.
    async fn staged(&mut self, item: Item, reply: EnvelopeReply) -> Option<Item> {
        match reply {
            EnvelopeReply::Ready { .. } => Some(item),
            EnvelopeReply::Refused { outcome, at } => {
                if at == RefusedAt::Recipient {
                    self.delivery.bounced(&item.row, &outcome).await;
                }
                if matches!(outcome, MailOutcome::Deferred { code: CLOSING, .. }) {
                    // It is this one that waits; but a server that hangs up at all of them is in trouble.
                    self.failures += 1;
                    self.steps.push(self.delivery.record(item.row.part, item.row.attempts + 1, outcome));
                } else {
                    self.answered(&item, outcome);
                }
                None
            }
        }
    }

    /// Writes what there is to record.
    async fn flush(&mut self) -> Result<(), String> {
        if self.steps.is_empty() {
            return Ok(());
        }
        self.delivery.write(&self.steps).await?;
        self.steps.clear();
        Ok(())
    }
}

/// An answer that is about the mail. A refusal of the sender is not: every mail of this task has the same sender, so the server does not work with
/// us, and the connection counts as lost.
fn of_the_mail(reply: Result<EnvelopeReply, ConnectionLost>) -> Result<EnvelopeReply, ConnectionLost> {
    match reply? {
        EnvelopeReply::Refused { outcome, at: RefusedAt::Sender } => {
            let response = match outcome {
                MailOutcome::Rejected { response, .. } | MailOutcome::Deferred { response, .. } => response,
                _ => String::new(),
            };
            Err(ConnectionLost(format!("the sender was refused: {response}")))
        }
        reply => Ok(reply),
    }
}
