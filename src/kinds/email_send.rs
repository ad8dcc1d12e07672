//! `email.send`: one mail, by a template or given as text.
//!
//! What became of the mail is in the ledger, one row a task, because an attempt can die between the hand-over and its end. The row says
//! `sending` right before the message goes out; an attempt that finds it so does not send again, because the mail may have arrived.
//! That write is a claim, which an attempt that was given up meanwhile does not get: a worker that froze cannot send a second time.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Kind, TaskContext};
use crate::services::Services;
use crate::services::render::{Context, RenderError, Rendered, Scope};
use legwork_engine::domain::{Attempt, FieldError, TaskFailure};
use legwork_engine::store::{LedgerEntry, LedgerState, StoreError};
use legwork_mail::{MailDraft, MailOutcome, Message, Recipient, check_subject};

/// Its only mail.
const PART: i32 = 0;

/// Args of `email.send`: a mail by a template (`template_name` and `context`), or given as `text` and `html`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EmailSendArgs)]
#[serde(deny_unknown_fields)]
pub struct SendEmail {
    /// To whom: one address, as in `user@example.com` or `Ann Example <ann@example.org>`.
    #[schema(example = "user@example.com", min_length = 3, max_length = 500)]
    pub recipient_email: String,
    /// Its subject: one line of at most 500 characters.
    #[schema(example = "Test Subject", min_length = 1, max_length = 500)]
    pub subject: String,
    /// The template. Either this or `text` is given.
    #[schema(example = "test_template")]
    pub template_name: Option<String>,
    /// What the template needs, beside `site_name`, `frontend_url` and `user`.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({ "name": "Test User" }))]
    pub context: Option<Map<String, Value>>,
    /// The text, where there is no template.
    pub text: Option<String>,
    /// The same as HTML; only beside `text`. It is sent as it is.
    pub html: Option<String>,
    /// What to do where an attempt handed the mail over and no answer came: `hold` (the default) fails, so that nobody gets it twice;
    /// `resend` sends it again.
    #[serde(default)]
    pub on_unknown: OnUnknown,
}

/// What to do with a mail whose outcome is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Fail: it may have arrived.
    #[default]
    Hold,
    /// Send it again: it may arrive twice.
    Resend,
}

impl Kind for SendEmail {
    const NAME: &'static str = "email.send";
    const DESCRIPTION: &'static str = "Sends one mail, with HTML and text parts made by a template, or with a given text. Never twice, as far as the mail server tells.";
    const HARD_LIMIT: Duration = Duration::from_mins(5);
    const ROUTE: Option<&'static str> = Some("/email/send");
    const SENSITIVE: &'static [&'static str] = &["/context", "/text", "/html"];

    fn example() -> Value {
        json!({
            "recipient_email": "user@example.com",
            "subject": "Test Subject",
            "template_name": "test_template",
            "context": { "name": "Test User" },
        })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        let mut field_error = |pointer: &str, detail: String| field_errors.push(FieldError::new(pointer, detail));
        if let Err(detail) = Recipient::parse(&self.recipient_email) {
            field_error("/recipient_email", detail);
        }
        if let Err(detail) = check_subject(&self.subject) {
            field_error("/subject", detail);
        }
        let given = (self.template_name.as_deref(), self.text.as_deref(), self.html.as_deref());
        field_errors.extend(body_errors(given, self.context.is_some(), services));
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let to = Recipient::parse(&self.recipient_email).map_err(|detail| TaskFailure::fail("BadArgs", detail))?;
        if let Some(settled) = self.settled_before(&cx, &to).await? {
            return Ok(settled);
        }
        let Rendered { text, html } = self.body(&cx, &to)?;
        let mailer = &cx.services.mailer;
        let key = cx.effect_key(&PART.to_string());
        let (subject, now) = (self.subject.as_str(), cx.clock.now());
        let draft = MailDraft { key: &key, to: &to, subject, text, html, submitted_at: cx.submitted_at, now };
        let message = mailer.compose(draft).map_err(|error| TaskFailure::fail("MailError", error))?;

        let ready = match cx.or_cancelled(mailer.prepare(&message)).await? {
            Ok(ready) => ready,
            // Nothing was handed over, so there is nothing to remember.
            Err(outcome) => return self.outcome(&cx, &to, message.message_id(), outcome),
        };
        if mailer.is_outbox() {
            // Handed over again, the mail replaces itself: the file is its own ledger.
            let outcome = ready.hand_over().await;
            return self.outcome(&cx, &to, message.message_id(), outcome);
        }
        let claim = entry(&cx, &to, &message, LedgerState::Sending, None);
        let resend = self.on_unknown == OnUnknown::Resend;
        let holds = cx.ledger.claim_mail(&claim, cx.attempt, resend).await.map_err(unavailable)?;
        if !holds {
            return self.overtaken(&cx, &to).await;
        }
        let outcome = ready.hand_over().await;
        let (state, response) = recorded(&outcome);
        let became = entry(&cx, &to, &message, state, Some(response.to_owned()));
        if let Err(error) = cx.ledger.write_ledger(&[became]).await {
            tracing::warn!(task.id = %cx.task, attempt = %cx.attempt, state = state.as_str(), %error, "what became of a mail could not be written down");
        }
        self.outcome(&cx, &to, message.message_id(), outcome)
    }
}

/// What is wrong with `(template_name, text, html)`, of which either the first or the second is to be given.
pub(super) fn body_errors(
    given: (Option<&str>, Option<&str>, Option<&str>),
    has_context: bool,
    services: &Services,
) -> Vec<FieldError> {
    let mut field_errors = Vec::new();
    let mut field_error = |pointer: &str, detail: String| field_errors.push(FieldError::new(pointer, detail));
    match given {
        (Some(name), None, html) => {
            if let Err(error) = services.renderer.check_name(name) {
                field_error("/template_name", error.to_string());
            }
            if html.is_some() {
                field_error("/html", "stands beside text, not beside template_name: the template makes the HTML".into());
            }
        }
        (None, Some(_), _) => {
            if has_context {
                field_error("/context", "stands beside template_name, not beside text: a text is sent as it is".into());
            }
        }
        (Some(_), Some(_), _) => field_error("/text", "either template_name or text is given, not both".into()),
        (None, None, _) => field_error("/template_name", "is missing: either template_name or text is given".into()),
    }
    field_errors
}

/// What it means for a task that a mail cannot be rendered.
pub(super) fn failure(error: &RenderError) -> TaskFailure {
    let word = match error {
        RenderError::Unknown { .. } => "UnknownTemplate",
        RenderError::MissingVariable { .. } => "MissingVariable",
        RenderError::File { .. } | RenderError::Template { .. } => "TemplateError",
    };
    TaskFailure::fail(word, error)
}

impl SendEmail {
    fn body(&self, cx: &TaskContext, to: &Recipient) -> Result<Rendered, TaskFailure> {
        let Some(name) = &self.template_name else {
            return Ok(Rendered { text: self.text.clone().unwrap_or_default(), html: self.html.clone() });
        };
        let scope = Scope { recipient_email: to.address(), subject: &self.subject };
        let context = Context::new(self.context.clone().unwrap_or_default());
        cx.services.renderer.render(name, scope, &context).map_err(|error| failure(&error))
    }

    /// What an earlier attempt wrote down, where that decides: the result, or the failure. `None` means that the mail is to be sent.
    async fn settled_before(&self, cx: &TaskContext, to: &Recipient) -> Result<Option<Value>, TaskFailure> {
        if cx.attempt <= Attempt(1) {
            return Ok(None);
        }
        let Some(entry) = cx.or_cancelled(remembered(cx)).await?? else { return Ok(None) };
        if entry.state.is_to_be_sent(self.on_unknown == OnUnknown::Resend) {
            return Ok(None);
        }
        self.to_outcome(cx, to, entry).map(Some)
    }

    /// What to answer where the mail could not be claimed: this attempt was given up while it got ready, or the mail is settled.
    async fn overtaken(&self, cx: &TaskContext, to: &Recipient) -> Result<Value, TaskFailure> {
        match remembered(cx).await? {
            Some(entry) if matches!(entry.state, LedgerState::Accepted | LedgerState::Rejected) => self.to_outcome(cx, to, entry),
            // If that is wrong, the next attempt reads the ledger before all else.
            _ => {
                Err(TaskFailure::retry("Overtaken", "the task was given to another attempt: this one did not hand the mail over"))
            }
        }
    }

    /// What a settled entry says: the result, or the failure.
    fn to_outcome(&self, cx: &TaskContext, to: &Recipient, entry: LedgerEntry) -> Result<Value, TaskFailure> {
        let response = entry.response.unwrap_or_default();
        let outcome = match entry.state {
            LedgerState::Accepted => MailOutcome::Accepted { response },
            LedgerState::Rejected => MailOutcome::Rejected { code: None, response },
            LedgerState::Deferred => MailOutcome::NotSent { reason: response },
            LedgerState::Sending => {
                MailOutcome::Unknown { reason: "an earlier attempt ended while it handed the mail over".into() }
            }
            LedgerState::Unknown => MailOutcome::Unknown { reason: response },
        };
        self.outcome(cx, to, &entry.message_id, outcome)
    }

    fn outcome(&self, cx: &TaskContext, to: &Recipient, message_id: &str, outcome: MailOutcome) -> Result<Value, TaskFailure> {
        match outcome {
            MailOutcome::Accepted { response } => {
                let is_outbox = cx.services.mailer.is_outbox();
                let message = if is_outbox { "the mail is in the outbox" } else { "the mail server took the mail" };
                let (response, outbox_file) = if is_outbox { (None, Some(response)) } else { (Some(response), None) };
                Ok(json!({
                    "success": true,
                    "message": message,
                    "message_id": message_id,
                    "recipient_email": to.address(),
                    "response": response,
                    "outbox_file": outbox_file,
                }))
            }
            MailOutcome::Rejected { response, .. } => {
                Err(TaskFailure::fail("MailRejected", format!("the mail was refused: {response}")))
            }
            MailOutcome::Deferred { response, .. } => {
                Err(TaskFailure::retry("MailDeferred", format!("the mail was refused for now: {response}")))
            }
            MailOutcome::NotSent { reason } => Err(TaskFailure::retry("SmtpError", format!("the mail was not sent: {reason}"))),
            MailOutcome::Unknown { reason } => {
                let what = format!("the mail was handed over and may have arrived, but there is no answer: {reason}");
                Err(match self.on_unknown {
                    OnUnknown::Hold => {
                        TaskFailure::fail("MailOutcomeUnknown", what + "; it is not sent again (on_unknown is hold)")
                    }
                    OnUnknown::Resend => {
                        TaskFailure::retry("MailOutcomeUnknown", what + "; it is sent again (on_unknown is resend)")
                    }
                })
            }
        }
    }
}

fn recorded(outcome: &MailOutcome) -> (LedgerState, &str) {
    match outcome {
        MailOutcome::Accepted { response } => (LedgerState::Accepted, response),
        MailOutcome::Rejected { response, .. } => (LedgerState::Rejected, response),
        MailOutcome::Deferred { response, .. } => (LedgerState::Deferred, response),
        // A later attempt may send, as after a deferral.
        MailOutcome::NotSent { reason } => (LedgerState::Deferred, reason),
        MailOutcome::Unknown { reason } => (LedgerState::Unknown, reason),
    }
}

fn unavailable(error: StoreError) -> TaskFailure {
    TaskFailure::retry("LedgerUnavailable", error)
}

/// What the ledger says of the mail.
async fn remembered(cx: &TaskContext) -> Result<Option<LedgerEntry>, TaskFailure> {
    let entries = cx.ledger.read_ledger(cx.task).await.map_err(unavailable)?;
    Ok(entries.into_iter().find(|entry| entry.part == PART))
}

fn entry(cx: &TaskContext, to: &Recipient, message: &Message, state: LedgerState, response: Option<String>) -> LedgerEntry {
    LedgerEntry {
        task: cx.task,
        part: PART,
        recipient: to.address().to_owned(),
        message_id: message.message_id().to_owned(),
        state,
        response,
        updated_at: cx.clock.now(),
    }
}
