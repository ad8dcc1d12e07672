//! Into the outbox: a mail that is put there again replaces itself.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Delivery, Feed, Halt};
use legwork_engine::store::RecipientState;
use legwork_mail::MailFate;

/// Puts mails into the outbox until the feed ends. The error says why it cannot go on.
pub(super) async fn run(delivery: &Delivery, feed: &Feed, answered: &AtomicU64) -> Result<(), String> {
    while let Some(row) = feed.take().await {
        if delivery.halt.is_cancelled() {
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
                delivery.halt(Halt::Overtaken);
                return Ok(());
            }
        }
        let fate = match delivery.cx.services.mailer.prepare(&message).await {
            Ok(ready) => ready.hand_over().await,
            Err(fate) => fate,
        };
        let failed = match &fate {
            MailFate::NotSent { reason } => Some(reason.clone()),
            _ => None,
        };
        delivery.write(&[delivery.record(row.part, row.attempts + 1, fate)]).await?;
        if let Some(reason) = failed {
            return Err(reason);
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
