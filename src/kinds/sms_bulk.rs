//! `sms.bulk`: one text message for each of many recipients.
//!
//! The list, its passes and its ledger are those of [`bulk`]: who was handed over to the provider without an answer is `unknown`, nobody is messaged
//! twice and nobody is left out.

mod sender;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::bulk::{self, Rates, RecipientListWriter};
use super::delivery::OnUnknown;
use super::{Kind, TaskContext};
use crate::services::Services;
use crate::services::sms::{MessageText, PhoneNumber, SmsLength, check_sender};
use legwork_engine::domain::{Backoff, FieldError, RetryPolicy, TaskFailure};
use legwork_engine::store::{NewRecipient, RecipientCounts, RecipientFilter, RecipientState};

use sender::Texts;

/// Recipients that are read at once to count their segments.
const PAGE: u32 = 500;

/// Args of `sms.bulk`: recipients, and one text, or a text with places for what is each recipient's own.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SmsBulkArgs)]
#[serde(deny_unknown_fields)]
pub struct BulkSms {
    /// The recipients' numbers in the international form, for example `+233201234567`. One that is none is `rejected`, and the rest goes on; one that is
    /// there twice is messaged once. Either this or `recipients` is given.
    #[schema(min_items = 1, example = json!(["+233244123456", "+233201234567"]))]
    pub phone_numbers: Option<Vec<String>>,
    /// The same, where recipients have something of their own.
    #[schema(min_items = 1)]
    pub recipients: Option<Vec<SmsRecipient>>,
    /// The text, at most `SMS_MAX_SEGMENTS` segments. Where there is a context, `{{ name }}` and `{{ order.id }}` in it are places for what the
    /// context gives; else it is sent as it is.
    #[schema(example = "The clinic opens at 9.", min_length = 1)]
    pub message: String,
    /// What the text needs, for all recipients.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({ "clinic": "Akosombo" }))]
    pub context: Option<Map<String, Value>>,
    /// Who it comes from: 1 to 11 letters, digits, blanks and `.-_&` with a draft among them, or 3 to 15 digits. Default: `SMS_FROM`.
    #[schema(example = "Legwork")]
    pub sender_id: Option<String>,
    /// What to do with a recipient whose message was handed over without an answer: `hold` (the default) leaves it `unknown`, so that nobody gets
    /// it twice; `resend` sends it again.
    #[serde(default)]
    pub on_unknown: OnUnknown,
    /// Messages a second at most.
    #[schema(exclusive_minimum = 0, maximum = 100_000, example = 10)]
    pub rate: Option<f64>,
}

/// A recipient with something of its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SmsRecipient {
    /// The recipient's number in the international form, for example `+233201234567`.
    #[schema(example = "+233244123456")]
    pub phone_number: String,
    /// What the text needs for this recipient; goes over `context`.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({ "name": "Ama" }))]
    pub context: Option<Map<String, Value>>,
}

impl Kind for BulkSms {
    const NAME: &'static str = "sms.bulk";
    const DESCRIPTION: &'static str = "Sends one text message to each of many numbers, and records the outcome for each. After a crash it goes on where it stopped.";
    /// A provider that is away for some hours ends nothing.
    const RETRY: RetryPolicy = RetryPolicy {
        max_retries: 8,
        backoff: Backoff::Exponential { first: Duration::from_mins(1), cap: Duration::from_hours(1), jitter: 0.1 },
    };
    const HARD_LIMIT: Duration = Duration::from_hours(24);
    const ROUTE: Option<&'static str> = Some("/sms/bulk");
    const SENSITIVE: &'static [&'static str] = &["/message", "/context", "/recipients"];
    /// As large as that of `email.bulk`.
    const ARGS_LIMIT: usize = 8 << 20;

    fn example() -> Value {
        json!({ "phone_numbers": ["+233244123456", "+233201234567"], "message": "The clinic opens at 9." })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let (plain, own) = (self.phone_numbers.as_ref().map(Vec::len), self.recipients.as_ref().map(Vec::len));
        let mut field_errors = bulk::list_errors(("phone_numbers", plain), own, services.bulk.recipient_limit());
        if let Err(detail) = self.text().and_then(|_| services.sms.check_text(&self.message)) {
            field_errors.push(FieldError::new("/message", detail));
        }
        if let Some(Err(detail)) = self.sender_id.as_deref().map(check_sender) {
            field_errors.push(FieldError::new("/sender_id", detail));
        }
        field_errors.extend(bulk::rate_error("/rate", self.rate, "messages"));
        field_errors
    }

    async fn run(mut self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let sms = &cx.services.sms;
        if cx.suppressions.is_none() && !sms.is_outbox() {
            let why = "only the server knows the suppression list; submit the task to it, or leave SMS_PROVIDER unset";
            return Err(TaskFailure::fail("NeedsServer", why));
        }
        let text = self.text().map_err(|detail| TaskFailure::fail("BadArgs", format!("/message: {detail}")))?;
        if !bulk::is_listed(&cx).await? {
            self.write_list(&cx).await?;
        }
        // What only the list was made of.
        (self.phone_numbers, self.recipients) = (None, None);
        let from = self.sender_id.take().unwrap_or_else(|| sms.sender().to_owned());
        let texts = Texts::new(&cx, text, self.context.take().unwrap_or_default(), from);
        let resends = self.on_unknown == OnUnknown::Resend;
        let rates = Rates { all: self.rate, by_domain: None };
        // A message that is put into the outbox again replaces itself.
        let counts = bulk::deliver(&cx, texts.clone(), resends, sms.is_outbox(), rates).await?;
        let segments = segments(&cx, &texts).await?;
        to_outcome(&cx, counts, segments)
    }
}

impl BulkSms {
    /// With places only where somebody has something to put there: a text may hold anything, but hardly a place that was not meant as one.
    fn text(&self) -> Result<MessageText, String> {
        let parsed = MessageText::parse(&self.message);
        let has_context = self.context.is_some() || self.recipients.iter().flatten().any(|one| one.context.is_some());
        match parsed {
            parsed if has_context => parsed,
            Ok(parsed) if parsed.has_places() => {
                Err("has places like {{ name }}, and nobody has a context: give context, or recipients with a context each"
                    .into())
            }
            _ => Ok(MessageText::given(&self.message)),
        }
    }

    async fn write_list(&self, cx: &TaskContext) -> Result<(), TaskFailure> {
        let plain = self.phone_numbers.iter().flatten().map(|number| (number.as_str(), None));
        let own = self.recipients.iter().flatten().map(|one| (one.phone_number.as_str(), one.context.as_ref()));
        let mut list = RecipientListWriter::new(cx);
        for (part, (number, context)) in (0..).zip(plain.chain(own)) {
            list.add(new_recipient(cx, part, number, context)).await?;
        }
        list.finish().await
    }
}

/// A recipient of the args as the ledger takes it.
fn new_recipient(cx: &TaskContext, part: i32, number: &str, context: Option<&Map<String, Value>>) -> NewRecipient {
    let message_id = cx.effect_key(&part.to_string());
    let context = context.filter(|context| !context.is_empty()).map(|context| Value::Object(context.clone()).to_string());
    match PhoneNumber::parse(number) {
        Ok(to) => {
            let (recipient, address) = (to.as_str().to_owned(), to.as_str().to_owned());
            NewRecipient { part, recipient, address, message_id, context, refused: None }
        }
        Err(why) => bulk::refused(part, number, message_id, why),
    }
}

/// The segments of all messages that were taken.
async fn segments(cx: &TaskContext, texts: &Texts) -> Result<usize, TaskFailure> {
    let mut filter = RecipientFilter { states: vec![RecipientState::Accepted], after: None };
    let mut segments = 0;
    loop {
        let rows = cx.recipients.recipients(cx.task, &filter, PAGE).await.map_err(bulk::unavailable)?;
        let Some(last) = rows.last() else { return Ok(segments) };
        filter.after = Some(last.part);
        segments += rows.iter().filter_map(|row| texts.text(row).ok()).map(|text| SmsLength::of(&text).segments).sum::<usize>();
    }
}

/// What the task came to. Who was not reached is in the counts; it is a failure only where nobody was.
fn to_outcome(cx: &TaskContext, counts: RecipientCounts, segments: usize) -> Result<Value, TaskFailure> {
    let RecipientCounts { total, accepted, rejected, deferred, unknown, suppressed, .. } = counts;
    let sms = &cx.services.sms;
    let whereto = if sms.is_outbox() { "are in the outbox" } else { "were taken by the provider" };
    let mut message = format!("{accepted} of {total} messages {whereto}");
    for (count, what) in
        [(rejected, "rejected"), (deferred, "deferred for too long"), (unknown, "of unknown outcome"), (suppressed, "suppressed")]
    {
        if count > 0 {
            message.extend([", ", &count.to_string(), " ", what]);
        }
    }
    if accepted == 0 && suppressed < total {
        return Err(TaskFailure::fail("NobodyReached", format!("{message}; GET /tasks/{}/recipients says why", cx.task)));
    }
    Ok(json!({
        "success": true,
        "message": message,
        "provider": sms.provider(),
        "total": total,
        "accepted": accepted,
        "rejected": rejected,
        "deferred": deferred,
        "unknown": unknown,
        "suppressed": suppressed,
        "segments": segments,
    }))
}
