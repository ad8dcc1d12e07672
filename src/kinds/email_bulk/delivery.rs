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

    /// Puts an address on the suppression list if the server says that it does not exist.
    async fn bounced(&self, row: &RecipientRow, outcome: &MailOutcome) {
        let (Some(list), true) = (&self.cx.suppressions, self.cx.services.bulk.suppresses_bounces()) else { return };
        let MailOutcome::Rejected { code: Some(550 | 551 | 553), response } = outcome else { return };
        if !is_bad_recipient(response) {
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

/// Whether a permanent refusal says that the recipient's address does not exist. By the enhanced status codes of RFC 3463 and RFC 7505: bad
/// mailbox, bad system, bad syntax, moved, and a domain that takes no mail. The others of the same class, as 5.1.7 and 5.1.8, are about the
/// sender: the next mail to the same recipient may well be taken.
fn is_bad_recipient(response: &str) -> bool {
    matches!(response.split_whitespace().nth(1), Some("5.1.1" | "5.1.2" | "5.1.3" | "5.1.6" | "5.1.10"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_of_the_recipient_suppress_an_address() {
        for response in [
            "550 5.1.1 no such user",
            "550 5.1.2 no such domain",
            "553 5.1.3 bad syntax",
            "551 5.1.6 moved",
            "550 5.1.10 null MX",
        ] {
            assert!(is_bad_recipient(response), "{response}");
        }
        for response in [
            "550 5.1.7 bad sender syntax",
            "550 5.1.8 sender's domain not found",
            "550 5.1.0 address rejected",
            "550 5.7.1 refused by policy",
            "550 no such user",
            "550",
        ] {
            assert!(!is_bad_recipient(response), "{response}");
        }
    }
}
