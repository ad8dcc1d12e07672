//! Text messages as a channel: one call a recipient.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kinds::TaskContext;
use crate::kinds::bulk::{self, Channel, Feed, Halt, Trouble};
use crate::services::Services;
use crate::services::sms::{MessageText, PhoneNumber, SmsFate, SmsMessage};
use legwork_engine::store::{RecipientRow, RecipientState, RecipientStep};

/// A carrier gives up that had no good answer so often in a row: a provider that hangs up on everybody makes few unknown.
const MOST_TROUBLES: u32 = 3;

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
    const TROUBLE: &'static str = "SmsError";
    const THING: &'static str = "message";

    fn width(&self, cx: &TaskContext) -> usize {
        cx.services.sms.connections()
    }

    async fn carry(delivery: &Delivery, feed: &Feed, answered: &AtomicU64) -> Result<(), Trouble> {
        let mut troubles = 0;
        while let Some(row) = feed.take().await {
            if delivery.halt.is_cancelled() {
                return Ok(());
            }
            let Some(fate) = handed_over(delivery, &row).await? else { continue };
            let trouble = trouble_of(&fate);
            let is_answer = matches!(fate, SmsFate::Accepted { .. } | SmsFate::Rejected { .. });
            delivery.write(&[delivery.record(&row, fate)]).await?;
            if is_answer {
                answered.fetch_add(1, Ordering::Relaxed);
                troubles = 0;
            }
            if let Some((trouble, is_final)) = trouble {
                troubles += 1;
                if is_final || troubles >= MOST_TROUBLES {
                    return Err(trouble);
                }
            }
        }
        Ok(())
    }
}

/// What became of a recipient's message; `None` where it was not for this attempt to send.
async fn handed_over(delivery: &Delivery, row: &RecipientRow) -> Result<Option<SmsFate>, Trouble> {
    let message = match delivery.channel.message(row) {
        Ok(message) => message,
        Err(response) => return Ok(Some(SmsFate::Rejected { response })),
    };
    let prepared = tokio::select! {
        prepared = delivery.cx.services.sms.prepare(&message) => prepared,
        () = delivery.halt.cancelled() => return Ok(None),
    };
    let ready = match prepared {
        Ok(ready) => ready,
        Err(fate) => return Ok(Some(fate)),
    };
    let claim = delivery.step(row.part, RecipientState::Sending);
    match delivery.write(&[claim]).await?.first().copied().flatten() {
        Some(RecipientState::Sending) => Ok(Some(ready.hand_over(delivery.cx.clock.now()).await)),
        Some(_) => Ok(None),
        None => {
            delivery.halt(Halt::Overtaken);
            Ok(None)
        }
    }
}

/// Why it may be that the next message would fare no better, and whether that is sure.
fn trouble_of(fate: &SmsFate) -> Option<(Trouble, bool)> {
    let (reason, after, is_final) = match fate {
        SmsFate::Accepted { .. } | SmsFate::Rejected { .. } => return None,
        SmsFate::Deferred { response, after } => (response, *after, after.is_some()),
        SmsFate::NotSent { reason } => (reason, None, true),
        SmsFate::Unwelcome { response } => (response, None, true),
        SmsFate::Unknown { reason } => (reason, None, false),
    };
    Some((Trouble { reason: reason.clone(), after }, is_final))
}

impl Delivery {
    /// What is to be recorded of a message.
    fn record(&self, row: &RecipientRow, fate: SmsFate) -> RecipientStep {
        let tries = row.attempts + 1;
        // What is the provider's trouble costs no recipient his turn.
        let in_turn = |after: Duration| Some(self.cx.clock.now() + after);
        let (state, response, reference, next_at) = match fate {
            SmsFate::Accepted { response, reference } => (RecipientState::Accepted, response, reference, None),
            SmsFate::Rejected { response } => (RecipientState::Rejected, response, None, None),
            SmsFate::Deferred { response, after: Some(after) } => (RecipientState::Deferred, response, None, in_turn(after)),
            SmsFate::Deferred { response, after: None } => (RecipientState::Deferred, response, None, self.again(tries)),
            SmsFate::NotSent { reason: response } | SmsFate::Unwelcome { response } => {
                (RecipientState::Deferred, response, None, in_turn(Duration::ZERO))
            }
            SmsFate::Unknown { reason } => (RecipientState::Unknown, reason, None, self.again_if_unknown(tries)),
        };
        RecipientStep { response: Some(response), reference, next_at, ..self.step(row.part, state) }
    }
}
