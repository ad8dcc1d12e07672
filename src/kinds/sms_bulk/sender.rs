//! Text messages as a channel: one call a recipient.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kinds::TaskContext;
use crate::kinds::bulk::{self, Channel, RecipientQueue, SenderError, StopReason};
use crate::services::Services;
use crate::services::sms::{MessageText, PhoneNumber, SmsMessage, SmsOutcome};
use legwork_engine::store::{RecipientRow, RecipientState, RecipientStep};

/// A sender gives up that had no good answer so often in a row: a provider that hangs up on everybody makes few unknown.
const MOST_FAILURES: u32 = 3;

/// What is common to all messages of a task.
#[derive(Clone)]
pub(super) struct Texts {
    services: Arc<Services>,
    text: MessageText,
    context: Arc<Map<String, Value>>,
    from: String,
    submitted_at: Timestamp,
}

type Delivery = bulk::Delivery<Texts>;

impl Texts {
    pub(super) fn new(cx: &TaskContext, text: MessageText, context: Map<String, Value>, from: String) -> Self {
        let context = Arc::new(context);
        Self { services: cx.services.clone(), text, context, from, submitted_at: cx.submitted_at }
    }

    /// The text for `row`. The error says why there is none.
    pub(super) fn text(&self, row: &RecipientRow) -> Result<String, String> {
        let own = row.context.as_deref().and_then(|own| serde_json::from_str::<Map<String, Value>>(own).ok());
        let text = self.text.fill(&self.context, &own.unwrap_or_default())?;
        self.services.sms.check_text(&text).map_err(|detail| format!("the message {detail}"))?;
        Ok(text)
    }

    fn message(&self, row: &RecipientRow) -> Result<SmsMessage, String> {
        Ok(SmsMessage {
            to: PhoneNumber::parse(&row.recipient)?,
            from: self.from.clone(),
            text: self.text(row)?,
            key: row.message_id.clone(),
            submitted_at: self.submitted_at,
        })
    }
}

impl Channel for Texts {
    const ERROR_KIND: &'static str = "SmsError";
    const THING: &'static str = "message";

    fn width(&self, cx: &TaskContext) -> usize {
        cx.services.sms.connections()
    }

    async fn send_all(delivery: &Delivery, recipient_queue: &RecipientQueue, answered: &AtomicU64) -> Result<(), SenderError> {
        let mut failures = 0;
        while let Some(row) = recipient_queue.take().await {
            if delivery.stop.is_cancelled() {
                return Ok(());
            }
            let Some(outcome) = send_one(delivery, &row).await? else { continue };
            let sender_error = sender_error_of(&outcome);
            let is_answer = matches!(outcome, SmsOutcome::Accepted { .. } | SmsOutcome::Rejected { .. });
            delivery.write(&[delivery.record(&row, outcome)]).await?;
            if is_answer {
                answered.fetch_add(1, Ordering::Relaxed);
                failures = 0;
            }
            if let Some((sender_error, is_final)) = sender_error {
                failures += 1;
                if is_final || failures >= MOST_FAILURES {
                    return Err(sender_error);
                }
            }
        }
        Ok(())
    }
}

/// What became of a recipient's message; `None` where it was not for this attempt to send.
async fn send_one(delivery: &Delivery, row: &RecipientRow) -> Result<Option<SmsOutcome>, SenderError> {
    let message = match delivery.channel.message(row) {
        Ok(message) => message,
        Err(response) => return Ok(Some(SmsOutcome::Rejected { response })),
    };
    let prepared = tokio::select! {
        prepared = delivery.cx.services.sms.prepare(&message) => prepared,
        () = delivery.stop.cancelled() => return Ok(None),
    };
    let ready = match prepared {
        Ok(ready) => ready,
        Err(outcome) => return Ok(Some(outcome)),
    };
    let claim = delivery.step(row.part, RecipientState::Sending);
    match delivery.write(&[claim]).await?.first().copied().flatten() {
        Some(RecipientState::Sending) => Ok(Some(ready.hand_over(delivery.cx.clock.now()).await)),
        Some(_) => Ok(None),
        None => {
            delivery.stop_for(StopReason::Overtaken);
            Ok(None)
        }
    }
}

/// Why it may be that the next message would fare no better, and whether that is sure.
fn sender_error_of(outcome: &SmsOutcome) -> Option<(SenderError, bool)> {
    let (reason, after, is_final) = match outcome {
        SmsOutcome::Accepted { .. } | SmsOutcome::Rejected { .. } => return None,
        SmsOutcome::Deferred { response, after } => (response, *after, after.is_some()),
        SmsOutcome::NotSent { reason } => (reason, None, true),
        SmsOutcome::ProviderRefused { response } => (response, None, true),
        SmsOutcome::Unknown { reason } => (reason, None, false),
    };
    Some((SenderError { reason: reason.clone(), after }, is_final))
}

impl Delivery {
    /// What is to be recorded of a message.
    fn record(&self, row: &RecipientRow, outcome: SmsOutcome) -> RecipientStep {
        let tries = row.attempts + 1;
        // What is the provider's trouble costs no recipient his turn.
        let in_turn = |after: Duration| Some(self.cx.clock.now() + after);
        let (state, response, reference, next_at) = match outcome {
            SmsOutcome::Accepted { response, reference } => (RecipientState::Accepted, response, reference, None),
            SmsOutcome::Rejected { response } => (RecipientState::Rejected, response, None, None),
            SmsOutcome::Deferred { response, after: Some(after) } => (RecipientState::Deferred, response, None, in_turn(after)),
            SmsOutcome::Deferred { response, after: None } => (RecipientState::Deferred, response, None, self.again(tries)),
            SmsOutcome::NotSent { reason: response } | SmsOutcome::ProviderRefused { response } => {
                (RecipientState::Deferred, response, None, in_turn(Duration::ZERO))
            }
            SmsOutcome::Unknown { reason } => (RecipientState::Unknown, reason, None, self.again_if_unknown(tries)),
        };
        RecipientStep { response: Some(response), reference, next_at, ..self.step(row.part, state) }
    }
}
