//! Mail as a channel: by SMTP over couriers, or into the outbox.
//!
//! A record and the claim of the next recipient share a write, and that write shares its commit with those of all other couriers.

mod courier;
mod outbox;

use std::sync::atomic::AtomicU64;

use super::press::Press;
use crate::kinds::TaskContext;
use crate::kinds::bulk::{self, Channel, Feed, Halt, Trouble};
use legwork_engine::store::{RecipientRow, RecipientState, RecipientStep, Suppression, SuppressionReason};
use legwork_mail::{MailFate, Message};

/// What the couriers of a task share.
type Delivery = bulk::Delivery<Press>;

impl Channel for Press {
    const TROUBLE: &'static str = "SmtpError";
    const THING: &'static str = "mail";

    fn width(&self, cx: &TaskContext) -> usize {
        cx.services.bulk.connections()
    }

    async fn carry(delivery: &Delivery, feed: &Feed, answered: &AtomicU64) -> Result<(), Trouble> {
        if delivery.cx.services.mailer.is_outbox() {
            outbox::run(delivery, feed, answered).await?;
        } else {
            courier::run(delivery, feed, answered).await?;
        }
        Ok(())
    }
}

impl Delivery {
    /// What is to be recorded of a mail. `tries` counts this one.
    fn record(&self, part: i32, tries: u32, fate: MailFate) -> RecipientStep {
        let (state, response, next_at) = match fate {
            MailFate::Accepted { response } => (RecipientState::Accepted, response, None),
            MailFate::Rejected { response, .. } => (RecipientState::Rejected, response, None),
            MailFate::Deferred { response, .. } => (RecipientState::Deferred, response, self.again(tries)),
            MailFate::NotSent { reason } => (RecipientState::Deferred, reason, self.again(tries)),
            MailFate::Unknown { reason } => (RecipientState::Unknown, reason, self.again_if_unknown(tries)),
        };
        RecipientStep { response: Some(response), next_at, ..self.step(part, state) }
    }

    /// The mail for `row`; where there is none, what is to be recorded instead.
    fn mail(&self, row: &RecipientRow) -> Result<Message, RecipientStep> {
        self.channel
            .mail(row, self.cx.clock.now())
            .map_err(|response| self.record(row.part, row.attempts + 1, MailFate::Rejected { code: None, response }))
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
