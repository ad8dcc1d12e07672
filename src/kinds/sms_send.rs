//! `sms.send`: one text message.

use std::time::Duration;

use legwork_engine::domain::{FieldError, TaskFailure};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::delivery::{Accepted, ChannelNames, OnUnknown, OneMessage, Outcome, PART};
use super::{Kind, TaskContext};
use crate::services::Services;
use crate::services::sms::{PhoneNumber, SmsLength, SmsMessage, check_sender};

const NAMES: ChannelNames = ChannelNames {
    thing: "message",
    rejected: "SmsRejected",
    provider_refused: "SmsProviderRefused",
    deferred: "SmsDeferred",
    not_sent: "SmsError",
    unknown: "SmsOutcomeUnknown",
    has_references: true,
};

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
        let sms = &cx.services.sms;
        let message = SmsMessage {
            to: to.clone(),
            from: self.sender_id.clone().unwrap_or_else(|| sms.sender().to_owned()),
            text: self.message.clone(),
            key: cx.effect_key(&PART.to_string()),
            submitted_at: cx.submitted_at,
        };
        let delivery = OneMessage {
            cx: &cx,
            names: &NAMES,
            recipient: to.as_str(),
            message_id: &message.key,
            on_unknown: self.on_unknown,
            is_outbox: sms.is_outbox(),
        };
        let accepted = if let Some((accepted, _)) = delivery.settled_before().await? {
            accepted
        } else {
            let prepare = async { sms.prepare(&message).await.map_err(Outcome::from) };
            let now = cx.clock.now();
            delivery.deliver(prepare, |ready| async move { ready.hand_over(now).await.into() }).await?
        };
        Ok(self.result(&cx, &message, &accepted))
    }
}

impl SendSms {
    fn result(&self, cx: &TaskContext, message: &SmsMessage, accepted: &Accepted) -> Value {
        let sms = &cx.services.sms;
        let (text, response, file) = if sms.is_outbox() {
            ("the message is in the outbox", None, Some(&accepted.response))
        } else {
            ("the provider took the message", Some(&accepted.response), None)
        };
        let SmsLength { encoding, segments, .. } = SmsLength::of(&self.message);
        json!({
            "success": true,
            "message": text,
            "phone_number": message.to.as_str(),
            "provider": sms.provider(),
            "message_id": message.key,
            "provider_message_id": accepted.reference,
            "encoding": encoding,
            "segments": segments,
            "response": response,
            "outbox_file": file,
        })
    }
}
