//! `sms.send`: one text message.
//!
//! The ledger works as that of `email.send`: it says `sending` right before the hand-over, and an attempt that finds it so does not send
//! again, because the message may have arrived. The write is a claim, which an attempt that was given up meanwhile does not get.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::email_send::OnUnknown;
use super::{Kind, TaskContext};
use crate::services::Services;
use crate::services::sms::{PhoneNumber, SmsLength, SmsMessage, SmsOutcome, check_sender};
use legwork_engine::domain::{Attempt, FieldError, TaskFailure};
use legwork_engine::store::{LedgerEntry, LedgerState, StoreError};

/// Its only message.
const PART: i32 = 0;

/// Args of `sms.send`. It has no `Debug`: a message may hold a code.
#[derive(Deserialize, ToSchema)]
#[schema(as = SmsSendArgs)]
#[serde(deny_unknown_fields)]
pub struct SendSms {
    /// To whom: a number in the international form (E.164), `+` and 7 to 15 digits.
    #[schema(example = "+233244123456", min_length = 8, max_length = 16)]
    pub phone_number: String,
    /// The text, at most `SMS_MAX_SEGMENTS` segments. It is kept secret: it may hold a code.
    #[schema(example = "Your verification code is 123456", min_length = 1)]
    pub message: String,
    /// Who it comes from: 1 to 11 letters, digits, blanks and `.-_&` with a draft among them, or 3 to 15 digits. Default: `SMS_FROM`.
    #[schema(example = "Legwork")]
    pub sender_id: Option<String>,
    /// What to do where an attempt handed the message over and no answer came: `hold` (the default) fails, so that nobody gets it twice;
    /// `resend` sends it again.
    #[serde(default)]
    pub on_unknown: OnUnknown,
}

/// What the ledger keeps of an answer.
#[derive(Default, Serialize, Deserialize)]
struct Said {
    response: String,
    reference: Option<String>,
}

impl Kind for SendSms {
    const NAME: &'static str = "sms.send";
    const DESCRIPTION: &'static str = "Sends one text message, through Hubtel, any provider by HTTP, or into the outbox. Never twice, as far as the provider tells.";
    const HARD_LIMIT: Duration = Duration::from_mins(5);
    const ROUTE: Option<&'static str> = Some("/sms/send");
    const SENSITIVE: &'static [&'static str] = &["/message"];

    fn example() -> Value {
        json!({ "phone_number": "+233244123456", "message": "Your verification code is 123456" })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        if let Err(detail) = PhoneNumber::parse(&self.phone_number) {
            field_errors.push(FieldError::new("/phone_number", detail));
        }
        if let Err(detail) = services.sms.check_text(&self.message) {
            field_errors.push(FieldError::new("/message", detail));
        }
        if let Some(Err(detail)) = self.sender_id.as_deref().map(check_sender) {
            field_errors.push(FieldError::new("/sender_id", detail));
        }
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let to = PhoneNumber::parse(&self.phone_number).map_err(|detail| TaskFailure::fail("BadArgs", detail))?;
        if cx.attempt > Attempt(1)
            && let Some(entry) = cx.or_cancelled(remembered(&cx)).await??
            && !entry.state.is_to_be_sent(self.resends())
        {
            return self.to_outcome(&cx, &to, entry);
        }
        let sms = &cx.services.sms;
        let message = SmsMessage {
            to: to.clone(),
            from: self.sender_id.clone().unwrap_or_else(|| sms.sender().to_owned()),
            text: self.message.clone(),
            key: cx.effect_key(&PART.to_string()),
            submitted_at: cx.submitted_at,
        };
        let ready = match cx.or_cancelled(sms.prepare(&message)).await? {
            Ok(ready) => ready,
            // Nothing was handed over, so there is nothing to remember.
            Err(outcome) => return self.outcome(&cx, &to, outcome),
        };
        if sms.is_outbox() {
            // Handed over again, the message replaces itself: the file is its own ledger.
            let outcome = ready.hand_over(cx.clock.now()).await;
            return self.outcome(&cx, &to, outcome);
        }
        let claim = entry(&cx, &message, LedgerState::Sending, None);
        if !cx.ledger.claim_mail(&claim, cx.attempt, self.resends()).await.map_err(unavailable)? {
            return self.overtaken(&cx, &to).await;
        }
        let outcome = ready.hand_over(cx.clock.now()).await;
        let (state, said) = recorded(&outcome);
        let became = entry(&cx, &message, state, serde_json::to_string(&said).ok());
        if let Err(error) = cx.ledger.write_ledger(&[became]).await {
            tracing::warn!(task.id = %cx.task, attempt = %cx.attempt, state = state.as_str(), %error, "what became of a text message could not be written down");
        }
        self.outcome(&cx, &to, outcome)
    }
}

impl SendSms {
    fn resends(&self) -> bool {
        self.on_unknown == OnUnknown::Resend
    }

    /// What to answer where the message could not be claimed: this attempt was given up while it got ready, or the message is settled.
    async fn overtaken(&self, cx: &TaskContext, to: &PhoneNumber) -> Result<Value, TaskFailure> {
        match remembered(cx).await? {
            Some(entry) if matches!(entry.state, LedgerState::Accepted | LedgerState::Rejected) => self.to_outcome(cx, to, entry),
            // If that is wrong, the next attempt reads the ledger before all else.
            _ => Err(TaskFailure::retry(
                "Overtaken",
                "the task was given to another attempt: this one did not hand the message over",
            )),
        }
    }

    /// What a settled entry says: the result, or the failure.
    fn to_outcome(&self, cx: &TaskContext, to: &PhoneNumber, entry: LedgerEntry) -> Result<Value, TaskFailure> {
        let said = entry.response.and_then(|text| serde_json::from_str::<Said>(&text).ok()).unwrap_or_default();
        let Said { response, reference } = said;
        let outcome = match entry.state {
            LedgerState::Accepted => SmsOutcome::Accepted { reference, response },
            LedgerState::Rejected => SmsOutcome::Rejected { response },
            LedgerState::Deferred => SmsOutcome::NotSent { reason: response },
            LedgerState::Sending => {
                SmsOutcome::Unknown { reason: "an earlier attempt ended while it handed the message over".into() }
            }
            LedgerState::Unknown => SmsOutcome::Unknown { reason: response },
        };
        self.outcome(cx, to, outcome)
    }

    fn outcome(&self, cx: &TaskContext, to: &PhoneNumber, outcome: SmsOutcome) -> Result<Value, TaskFailure> {
        Err(match outcome {
            SmsOutcome::Accepted { reference, response } => return Ok(self.result(cx, to, reference.as_deref(), &response)),
            SmsOutcome::Rejected { response } => TaskFailure::fail("SmsRejected", format!("the message was refused: {response}")),
            SmsOutcome::ProviderRefused { response } => {
                let what = format!("the provider will not work with these settings: {response}");
                TaskFailure::fail("SmsProviderRefused", what)
            }
            SmsOutcome::Deferred { response, after } => {
                let what = format!("the message was refused for now: {response}");
                match after {
                    Some(after) => TaskFailure::retry_after("SmsDeferred", what, after),
                    None => TaskFailure::retry("SmsDeferred", what),
                }
            }
            SmsOutcome::NotSent { reason } => TaskFailure::retry("SmsError", format!("the message was not sent: {reason}")),
            SmsOutcome::Unknown { reason } => {
                let what =
                    format!("the message was handed over and may have arrived, but there is no answer that says so: {reason}");
                if self.resends() {
                    TaskFailure::retry("SmsOutcomeUnknown", what + "; it is sent again (on_unknown is resend)")
                } else {
                    TaskFailure::fail("SmsOutcomeUnknown", what + "; it is not sent again (on_unknown is hold)")
                }
            }
        })
    }

    fn result(&self, cx: &TaskContext, to: &PhoneNumber, reference: Option<&str>, response: &str) -> Value {
        let sms = &cx.services.sms;
        let (message, response, file) = if sms.is_outbox() {
            ("the message is in the outbox", None, Some(response))
        } else {
            ("the provider took the message", Some(response), None)
        };
        let SmsLength { encoding, segments, .. } = SmsLength::of(&self.message);
        json!({
            "success": true,
            "message": message,
            "phone_number": to.as_str(),
            "provider": sms.provider(),
            "message_id": cx.effect_key(&PART.to_string()),
            "provider_message_id": reference,
            "encoding": encoding,
            "segments": segments,
            "response": response,
            "outbox_file": file,
        })
    }
}

fn recorded(outcome: &SmsOutcome) -> (LedgerState, Said) {
    let (state, response, reference) = match outcome {
        SmsOutcome::Accepted { response, reference } => (LedgerState::Accepted, response, reference.clone()),
        SmsOutcome::Rejected { response } | SmsOutcome::ProviderRefused { response } => (LedgerState::Rejected, response, None),
        // A later attempt may send, as after a deferral.
        SmsOutcome::Deferred { response, .. } | SmsOutcome::NotSent { reason: response } => {
            (LedgerState::Deferred, response, None)
        }
        SmsOutcome::Unknown { reason } => (LedgerState::Unknown, reason, None),
    };
    (state, Said { response: response.clone(), reference })
}

fn unavailable(error: StoreError) -> TaskFailure {
    TaskFailure::retry("LedgerUnavailable", error)
}

/// What the ledger says of the message.
async fn remembered(cx: &TaskContext) -> Result<Option<LedgerEntry>, TaskFailure> {
    let entries = cx.ledger.read_ledger(cx.task).await.map_err(unavailable)?;
    Ok(entries.into_iter().find(|entry| entry.part == PART))
}

fn entry(cx: &TaskContext, message: &SmsMessage, state: LedgerState, response: Option<String>) -> LedgerEntry {
    LedgerEntry {
        task: cx.task,
        part: PART,
        recipient: message.to.as_str().to_owned(),
        message_id: message.key.clone(),
        state,
        response,
        updated_at: cx.clock.now(),
    }
}
