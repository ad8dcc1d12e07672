//! Into the outbox: a mail that is put there again replaces itself.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Delivery, RecipientQueue, StopReason};
use legwork_engine::store::RecipientState;
use legwork_mail::MailOutcome;

/// Puts mails into the outbox until the recipient queue ends. The error says why it cannot go on.
pub(super) async fn run(delivery: &Delivery, recipient_queue: &RecipientQueue, answered: &AtomicU64) -> Result<(), String> {
    while let Some(row) = recipient_queue.take().await {
        if delivery.stop.is_cancelled() {
            return Ok(());
        }
        let message = match delivery.mail(&row) {
            Ok(message) => message,
            Err(step) => {
                delivery.write(&[step]).await?;
                continue;
            }
        };
        let claim = delivery.step(row.part, RecipientState::Sending);
        match delivery.write(&[claim]).await?.first().copied().flatten() {
            Some(RecipientState::Sending) => {}
            Some(_) => continue,
            None => {
                delivery.stop_for(StopReason::Overtaken);
                return Ok(());
            }
        }
        let outcome = match delivery.cx.services.mailer.prepare(&message).await {
            Ok(ready) => ready.hand_over().await,
            Err(outcome) => outcome,
        };
        let failed = match &outcome {
            MailOutcome::NotSent { reason } => Some(reason.clone()),
            _ => None,
        };
        delivery.write(&[delivery.record(row.part, row.attempts + 1, outcome)]).await?;
        if let Some(reason) = failed {
            return Err(reason);
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
