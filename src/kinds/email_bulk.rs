//! `email.bulk`: one mail for each of many recipients.
//!
//! Each recipient has a row in the ledger, which says what became of it; the args are read once, when the task first starts. A connection to
//! the mail server claims one recipient at a time, when the server already waits for the content, and hands over only what it has claimed. So
//! whatever dies and whenever: nobody is mailed twice, nobody is left out, and `unknown` are those for whom the hand-over had started and no answer was
//! had and written down, one for each connection at most. With `on_unknown: resend` these are mailed again, under the same Message-ID.

mod composer;
mod delivery;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::bulk::{self, Rates, RecipientListWriter};
use super::delivery::OnUnknown;
use super::email_send::body_errors;
use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{Backoff, FieldError, RetryPolicy, TaskFailure};
use legwork_engine::store::{NewRecipient, RecipientCounts};
use legwork_mail::{Recipient, check_subject};

use composer::BulkMailComposer;

/// Args of `email.bulk`: recipients, and a mail by a template (`template_name` and `context`), or given as `text` and `html`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EmailBulkArgs)]
#[serde(deny_unknown_fields)]
pub struct BulkEmail {
    /// The recipients' addresses, for example `user@example.com` or `Ann Example <ann@example.org>`. One that is none is `rejected`, and the rest goes on; one
    /// that is there twice is mailed once. Either this or `recipients` is given.
    #[schema(min_items = 1, example = json!(["user1@example.com", "user2@example.com"]))]
    pub recipient_emails: Option<Vec<String>>,
    /// The same, where recipients have something of their own.
    #[schema(min_items = 1)]
    pub recipients: Option<Vec<BulkRecipient>>,
    /// Its subject: one line of at most 500 characters.
    #[schema(example = "Newsletter", min_length = 1, max_length = 500)]
    pub subject: String,
    /// The template. Either this or `text` is given.
    #[schema(example = "newsletter")]
    pub template_name: Option<String>,
    /// What the template needs, for all recipients. `unsubscribe_url` is there where `list_unsubscribe` is on.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({ "content": "Newsletter content here" }))]
    pub context: Option<Map<String, Value>>,
    /// The text, where there is no template.
    pub text: Option<String>,
    /// The same content as HTML. Only together with `text`; it is sent unchanged.
    pub html: Option<String>,
    /// What to do with a recipient whose mail was handed over without an answer: `hold` (the default) leaves it `unknown`, so that nobody gets it
    /// twice; `resend` sends it again.
    #[serde(default)]
    pub on_unknown: OnUnknown,
    /// Mails a second at most.
    #[schema(exclusive_minimum = 0, maximum = 100_000, example = 100)]
    pub rate: Option<f64>,
    /// Mails a second at most to the addresses of one domain.
    #[schema(exclusive_minimum = 0, maximum = 100_000, example = 20)]
    pub rate_per_domain: Option<f64>,
    /// Whether mails have `List-Unsubscribe` with a link of their own, by which the recipient gets no bulk mail any more. On where `PUBLIC_URL` is set.
    pub list_unsubscribe: Option<bool>,
}

/// A recipient with something of its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRecipient {
    /// The recipient's mail address.
    #[schema(example = "user1@example.com")]
    pub email: String,
    /// What the template needs for this recipient; goes over `context`.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({ "name": "Ann" }))]
    pub context: Option<Map<String, Value>>,
}

impl Kind for BulkEmail {
    const NAME: &'static str = "email.bulk";
    const DESCRIPTION: &'static str = "Sends one mail to each of many recipients, from a template or a given text, and records the outcome for each. After a crash it goes on where it stopped.";
    /// A mail server that is away for some hours ends no newsletter.
    const RETRY: RetryPolicy = RetryPolicy {
        max_retries: 8,
        backoff: Backoff::Exponential { first: Duration::from_mins(1), cap: Duration::from_hours(1), jitter: 0.1 },
    };
    const HARD_LIMIT: Duration = Duration::from_hours(24);
    const ROUTE: Option<&'static str> = Some("/email/bulk");
    const SENSITIVE: &'static [&'static str] = &["/context", "/text", "/html", "/recipients"];
    /// A hundred thousand addresses, or ten thousand recipients with a good deal of their own.
    const ARGS_LIMIT: usize = 8 << 20;

    fn example() -> Value {
        json!({
            "recipient_emails": ["user1@example.com", "user2@example.com"],
            "subject": "Newsletter",
            "template_name": "newsletter",
            "context": { "content": "Newsletter content here" },
        })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = self.list_errors(services.bulk.recipient_limit());
        if let Err(detail) = check_subject(&self.subject) {
            field_errors.push(FieldError::new("/subject", detail));
        }
        let given = (self.template_name.as_deref(), self.text.as_deref(), self.html.as_deref());
        field_errors.extend(body_errors(given, self.context.is_some(), services));
        field_errors.extend(bulk::rate_error("/rate", self.rate, "mails"));
        field_errors.extend(bulk::rate_error("/rate_per_domain", self.rate_per_domain, "mails"));
        if self.list_unsubscribe == Some(true) && !services.bulk.can_link() {
            field_errors
                .push(FieldError::new("/list_unsubscribe", "needs JWT_SECRET, which signs the links; set it on the server"));
        }
        field_errors
    }

    async fn run(mut self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let mailer = &cx.services.mailer;
        if cx.suppressions.is_none() && !mailer.is_outbox() {
            let why = "only the server knows the suppression list; submit the task to it, or leave SMTP_URL unset";
            return Err(TaskFailure::fail("NeedsServer", why));
        }
        let composer = BulkMailComposer::new(&cx, &self);
        if !bulk::is_listed(&cx).await? {
            self.write_list(&cx, &composer).await?;
        }
        // What only the list was made of.
        (self.recipient_emails, self.recipients) = (None, None);
        let rates = Rates { all: self.rate, by_domain: self.rate_per_domain };
        // A mail that is put into the outbox again replaces itself.
        let counts = bulk::deliver(&cx, composer, self.resends(), mailer.is_outbox(), rates).await?;
        to_outcome(&cx, counts)
    }
}

impl BulkEmail {
    fn resends(&self) -> bool {
        self.on_unknown == OnUnknown::Resend
    }

    fn list_errors(&self, limit: usize) -> Vec<FieldError> {
        let (plain, own) = (self.recipient_emails.as_ref().map(Vec::len), self.recipients.as_ref().map(Vec::len));
        let mut field_errors = bulk::list_errors(("recipient_emails", plain), own, limit);
        if field_errors.is_empty() && self.text.is_some() && self.recipients.iter().flatten().any(|one| one.context.is_some()) {
            field_errors.push(FieldError::new(
                "/recipients",
                "must not have a context together with text; give template_name to use one",
            ));
        }
        field_errors
    }

    /// Writes the list into the ledger. Cut off in the middle, it is written again, with the same parts.
    async fn write_list(&self, cx: &TaskContext, composer: &BulkMailComposer) -> Result<(), TaskFailure> {
        composer.try_out(self.recipients.iter().flatten().all(|one| one.context.is_none()))?;
        let plain = self.recipient_emails.iter().flatten().map(|email| (email.as_str(), None));
        let own = self.recipients.iter().flatten().map(|one| (one.email.as_str(), one.context.as_ref()));
        let mut list = RecipientListWriter::new(cx);
        for (part, (email, context)) in (0..).zip(plain.chain(own)) {
            list.add(new_recipient(cx, part, email, context)).await?;
        }
        list.finish().await
    }
}

/// A recipient of the args as the ledger takes it.
fn new_recipient(cx: &TaskContext, part: i32, email: &str, context: Option<&Map<String, Value>>) -> NewRecipient {
    let key = cx.effect_key(&part.to_string());
    let message_id = cx.services.mailer.message_id(&key);
    let context = context.filter(|context| !context.is_empty()).map(|context| Value::Object(context.clone()).to_string());
    match Recipient::parse(email) {
        Ok(to) => {
            let (recipient, address) = (email.trim().to_owned(), to.address().to_lowercase());
            NewRecipient { part, recipient, address, message_id, context, refused: None }
        }
        Err(why) => bulk::refused(part, email, message_id, why),
    }
}

/// What the task came to. Who was not reached is in the counts; it is a failure only where nobody was.
fn to_outcome(cx: &TaskContext, counts: RecipientCounts) -> Result<Value, TaskFailure> {
    let RecipientCounts { total, accepted, rejected, deferred, unknown, suppressed, .. } = counts;
    let is_outbox = cx.services.mailer.is_outbox();
    let whereto = if is_outbox { "are in the outbox" } else { "were taken by the mail server" };
    let mut message = format!("{accepted} of {total} mails {whereto}");
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
        "total": total,
        "accepted": accepted,
        "rejected": rejected,
        "deferred": deferred,
        "unknown": unknown,
        "suppressed": suppressed,
    }))
}
