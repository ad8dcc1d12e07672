//! By SMTP: one connection, mail after mail.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Delivery, Feed, Halt};
use legwork_engine::store::{RecipientRow, RecipientState, RecipientStep};
use legwork_mail::{Courier, CourierLost, MailFate, Parcel, Staging};

/// A courier that could not work so often in a row, without an answer to any mail, gives up.
const MOST_TROUBLES: u32 = 3;
/// The pause after the first of them; the next ones are longer.
const TROUBLE_PAUSE: Duration = Duration::from_millis(500);
/// A server that waited longer for the content than this may have gone: the mail is staged anew, so that its fate is not in doubt for that.
const LONGEST_CLAIM: Duration = Duration::from_secs(10);

/// "The service closes the connection" (RFC 5321, 3.8).
const CLOSING: u16 = 421;

/// An answer that takes longer is not waited for before the one before it is recorded.
const PROMPT: Duration = Duration::from_millis(5);

/// A mail and its recipient.
struct Item {
    row: RecipientRow,
    parcel: Parcel,
}

/// Hands mails over until the feed ends. The error says why it cannot go on.
pub(super) async fn run(delivery: &Delivery, feed: &Feed, answered: &AtomicU64) -> Result<(), String> {
    let mut round = Round { delivery, feed, answered, steps: Vec::new(), back: None, troubles: 0 };
    let ended = round.run().await;
    // What was handed over is recorded, whatever ended the round.
    let recorded = round.flush().await;
    ended.and(recorded)
}

/// How a courier's work ended.
enum Leg {
    /// The feed is at its end, or there was a halt.
    Over(Courier),
    /// It has carried as much as one connection may.
    Full(Courier),
    /// The connection is of no use any more.
    Lost(String),
    /// The mail that was staged is not to be sent: the connection waits for it, and is dropped.
    Dropped,
}

struct Round<'a> {
    delivery: &'a Delivery,
    feed: &'a Feed,
    answered: &'a AtomicU64,
    /// To be written with the next claim.
    steps: Vec<RecipientStep>,
    /// What a courier that was lost did not hand over.
    back: Option<Item>,
    /// Couriers lost in a row, without an answer in between.
    troubles: u32,
}

impl Round<'_> {
    async fn run(&mut self) -> Result<(), String> {
        // No connection without something to carry.
        while self.refill().await? {
            let slots = self.delivery.cx.services.bulk.slots().clone();
            let slot = tokio::select! {
                slot = slots.acquire_owned() => slot.map_err(|_| "the process is ending".to_owned())?,
                () = self.delivery.halt.cancelled() => return Ok(()),
            };
            let Some(opened) = self.delivery.cx.services.mailer.courier(slot).await else {
                return Err("there is no mail server".into());
            };
            let lost = match opened {
                Ok(courier) => match self.carry(courier).await? {
                    Leg::Over(courier) => {
                        courier.quit().await;
                        return Ok(());
                    }
                    Leg::Full(courier) => {
                        courier.quit().await;
                        if self.troubles == 0 {
                            continue;
                        }
                        "421 to mail after mail: it hangs up".to_owned()
                    }
                    Leg::Dropped => continue,
                    Leg::Lost(reason) => {
                        self.troubles += 1;
                        reason
                    }
                },
                Err(CourierLost(reason)) => {
                    self.troubles += 1;
                    reason
                }
            };
            self.flush().await?;
            if self.troubles >= MOST_TROUBLES {
                return Err(lost);
            }
            tracing::debug!(reason = lost, "a connection to the mail server was lost");
            if self.troubles > 1 {
                self.delivery.pause(TROUBLE_PAUSE * self.troubles).await;
            }
        }
        Ok(())
    }

    /// Sees to it that there is something to carry; `false` at the end.
    async fn refill(&mut self) -> Result<bool, String> {
        while self.back.is_none() && !self.delivery.halt.is_cancelled() {
            self.back = self.take_now();
            if self.back.is_none() {
                // Who waits writes first.
                self.flush().await?;
                let Some(row) = self.feed.take().await else { return Ok(false) };
                self.back = self.made(row);
            }
        }
        Ok(!self.delivery.halt.is_cancelled())
    }

    /// The next mail, if there is one now.
    fn take_now(&mut self) -> Option<Item> {
        while !self.delivery.halt.is_cancelled() {
            let row = self.feed.try_take()?;
            if let Some(item) = self.made(row) {
                return Some(item);
            }
        }
        None
    }

    fn made(&mut self, row: RecipientRow) -> Option<Item> {
        match self.delivery.mail(&row) {
            Ok(message) => Some(Item { parcel: message.parcel(), row }),
            Err(step) => {
                self.steps.push(step);
                None
            }
        }
    }

    /// Carries mails over one connection.
    async fn carry(&mut self, mut courier: Courier) -> Result<Leg, String> {
        let mut staged: Option<Item> = None;
        loop {
            let Some(item) = staged.take() else {
                if courier.left() == 0 {
                    return Ok(Leg::Full(courier));
                }
                let item = if self.refill().await? { self.back.take() } else { None };
                let Some(item) = item else { return Ok(Leg::Over(courier)) };
                match courier.stage(&item.parcel).await {
                    Ok(staging) => staged = self.staged(item, staging).await,
                    Err(CourierLost(reason)) => {
                        self.back = Some(item);
                        return Ok(Leg::Lost(reason));
                    }
                }
                continue;
            };
            let following =
                if courier.pipelines() && courier.left() > 1 { self.back.take().or_else(|| self.take_now()) } else { None };
            let began = Instant::now();
            if !self.claim(&item).await? {
                self.back = following;
                return Ok(Leg::Dropped);
            }
            if began.elapsed() > LONGEST_CLAIM {
                let reason = "the server waited too long for the message".to_owned();
                let now = self.delivery.cx.clock.now();
                let record = self.delivery.record(item.row.part, item.row.attempts + 1, MailFate::NotSent { reason });
                self.steps.push(RecipientStep { next_at: Some(now), ..record });
                self.back = following;
                return Ok(Leg::Dropped);
            }
            let fate = courier.hand_over(&item.parcel, following.as_ref().map(|following| &following.parcel)).await;
            self.answered(&item, fate);
            let next = self.next_staged(&mut courier).await?;
            match (next, following) {
                (Ok(Some(staging)), Some(following)) => staged = self.staged(following, staging).await,
                (Ok(_), following) => self.back = following,
                (Err(CourierLost(reason)), following) => {
                    self.back = following;
                    return Ok(Leg::Lost(reason));
                }
            }
        }
    }

    /// What became of staging the mail behind the last one. A server that takes its time does not keep the last answer from being recorded.
    async fn next_staged(&mut self, courier: &mut Courier) -> Result<Result<Option<Staging>, CourierLost>, String> {
        let mut staging = std::pin::pin!(courier.following());
        if let Ok(staging) = tokio::time::timeout(PROMPT, &mut staging).await {
            return Ok(staging);
        }
        self.flush().await?;
        Ok(staging.await)
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
                self.delivery.halt(Halt::Overtaken);
                Ok(false)
            }
        }
    }

    /// Notes what became of a mail that was handed over.
    fn answered(&mut self, item: &Item, fate: MailFate) {
        if !matches!(fate, MailFate::Unknown { .. }) {
            self.troubles = 0;
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        self.steps.push(self.delivery.record(item.row.part, item.row.attempts + 1, fate));
    }

    /// The item, if the server waits for it; else notes why not.
    async fn staged(&mut self, item: Item, staging: Staging) -> Option<Item> {
        match staging {
            Staging::Ready => Some(item),
            Staging::Refused { fate, at_recipient } => {
                if at_recipient {
                    self.delivery.bounced(&item.row, &fate).await;
                }
                if matches!(fate, MailFate::Deferred { code: CLOSING, .. }) {
                    // It is this one that waits; but a server that hangs up at all of them is in trouble.
                    self.troubles += 1;
                    self.steps.push(self.delivery.record(item.row.part, item.row.attempts + 1, fate));
                } else {
                    self.answered(&item, fate);
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
