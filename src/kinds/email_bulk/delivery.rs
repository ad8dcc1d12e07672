//! Mail as a channel: by SMTP over connections, or into the outbox.
//!
//! A record and the claim of the next recipient share a write, and that write shares its commit with those of all other connections.

mod outbox;
mod send_loop;

use std::sync::atomic::AtomicU64;

use super::composer::BulkMailComposer;
use crate::kinds::TaskContext;
use crate::kinds::bulk::{self, Channel, RecipientQueue, SenderError, StopReason};
use legwork_engine::store::{RecipientRow, RecipientState, RecipientStep, Suppression, SuppressionReason};
use legwork_mail::{MailOutcome, Message};

/// What the connections of a task share.
type Delivery = bulk::Delivery<BulkMailComposer>;

impl Channel for BulkMailComposer {
    const ERROR_KIND: &'static str = "SmtpError";
    const THING: &'static str = "mail";

    fn width(&self, cx: &TaskContext) -> usize {
        cx.services.bulk.connections()
    }

    async fn send_all(delivery: &Delivery, recipient_queue: &RecipientQueue, answered: &AtomicU64) -> Result<(), SenderError> {
        if delivery.cx.services.mailer.is_outbox() {
            outbox::run(delivery, recipient_queue, answered).await?;
        } else {
            send_loop::run(delivery, recipient_queue, answered).await?;
        }
        Ok(())
    }
}

impl Delivery {
    /// What is to be recorded of a mail. `tries` counts this one.
    fn record(&self, part: i32, tries: u32, outcome: MailOutcome) -> RecipientStep {
        let (state, response, next_at) = match outcome {
            MailOutcome::Accepted { response } => (RecipientState::Accepted, response, None),
            MailOutcome::Rejected { response, .. } => (RecipientState::Rejected, response, None),
            MailOutcome::Deferred { response, .. } => (RecipientState::Deferred, response, self.again(tries)),
            MailOutcome::NotSent { reason } => (RecipientState::Deferred, reason, self.again(tries)),
            MailOutcome::Unknown { reason } => (RecipientState::Unknown, reason, self.again_if_unknown(tries)),
        };
        RecipientStep { response: Some(response), next_at, ..self.step(part, state) }
    }

    /// The mail for `row`; where there is none, what is to be recorded instead.
    fn mail(&self, row: &RecipientRow) -> Result<Message, RecipientStep> {
        self.channel
            .mail(row, self.cx.clock.now())
            .map_err(|response| self.record(row.part, row.attempts + 1, MailOutcome::Rejected { code: None, response }))
    }

    /// Puts an address on the suppression list of which the server says that it does not exist.
    async fn bounced(&self, row: &RecipientRow, outcome: &MailOutcome) {
        let (Some(list), true) = (&self.cx.suppressions, self.cx.services.bulk.suppresses_bounces()) else { return };
        let MailOutcome::Rejected { code: Some(550 | 551 | 553), response } = outcome else { return };
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
