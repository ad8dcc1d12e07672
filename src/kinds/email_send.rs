//! `email.send`: one mail, by a template or given as text, with copies and attachments.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::TryFutureExt as _;
use legwork_engine::domain::{FieldError, FilePath, TaskFailure};
use legwork_mail::{Attachment, DraftExtras, MailDraft, MailOutcome, Recipient, RefusedCopy, check_subject};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::delivery::{ChannelNames, OnUnknown, OneMessage, Outcome, PART};
use super::{Kind, TaskContext};
use crate::files::FileError;
use crate::services::Services;
use crate::services::render::{Context, RenderError, Rendered, Scope};

/// Recipients of copies of one mail, `cc` and `bcc` together.
const MOST_COPIES: usize = 50;
/// Attachments of one mail.
const MOST_ATTACHMENTS: usize = 20;
/// The attachments of one mail together, in bytes. On the wire they take a third more, and many relays refuse more than 25 MB.
const MOST_ATTACHED_BYTES: usize = 15 << 20;

const NAMES: ChannelNames = ChannelNames {
    thing: "mail",
    rejected: "MailRejected",
    provider_refused: "MailRejected",
    deferred: "MailDeferred",
    not_sent: "SmtpError",
    unknown: "MailOutcomeUnknown",
    has_references: false,
};

/// Args of `email.send`: a mail by a template (`template_name` and `context`), or given as `text` and `html`.
#[derive(Debug, Default, Deserialize, ToSchema)]
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
    /// The same content as HTML. Only together with `text`; it is sent unchanged.
    pub html: Option<String>,
    /// Addresses that get a copy, whom every recipient sees. At most 50 together with `bcc`.
    #[serde(default)]
    #[schema(example = json!(["colleague@example.com"]), max_items = 50)]
    pub cc: Vec<String>,
    /// Addresses that get a copy, whom no other recipient sees.
    #[serde(default)]
    #[schema(example = json!(["archive@example.com"]), max_items = 50)]
    pub bcc: Vec<String>,
    /// The address that answers go to. Default: the sender.
    #[schema(example = "help@example.com", min_length = 3, max_length = 500)]
    pub reply_to: Option<String>,
    /// The sender, of a domain that `MAIL_FROM_DOMAINS` allows. Default: `MAIL_FROM`.
    #[schema(min_length = 3, max_length = 500)]
    pub from: Option<String>,
    /// Paths of stored files that go with the mail: at most 20, of 15 MiB together.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub attachments: Vec<String>,
    /// What to do where an attempt handed the mail over and no answer came: `hold` (the default) fails, so that nobody gets it twice;
    /// `resend` sends it again.
    #[serde(default)]
    pub on_unknown: OnUnknown,
}

impl Kind for SendEmail {
    const NAME: &'static str = "email.send";
    const DESCRIPTION: &'static str = "Sends one mail, with HTML and text parts made by a template, or with a given text. Never twice, as far as the mail server tells.";
    const HARD_LIMIT: Duration = Duration::from_mins(5);
    const ROUTE: Option<&'static str> = Some("/email/send");
    const SENSITIVE: &'static [&'static str] = &["/context", "/text", "/html"];
    const FILES: &'static [&'static str] = &["/attachments/*"];

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
        field_errors.extend(self.extras_errors(services));
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let to = address(&self.recipient_email)?;
        let mailer = &cx.services.mailer;
        let key = cx.effect_key(&PART.to_string());
        let message_id = mailer.message_id(&key);
        let delivery = OneMessage {
            cx: &cx,
            names: &NAMES,
            recipient: to.address(),
            message_id: &message_id,
            on_unknown: self.on_unknown,
            is_outbox: mailer.is_outbox(),
        };
        if let Some((accepted, message_id)) = delivery.settled_before().await? {
            return Ok(self.result(&cx, &to, &message_id, &accepted.response, None));
        }
        let Rendered { text, html } = self.body(&cx, &to)?;
        let extras = self.extras(&cx, &to).await?;
        let (subject, now) = (self.subject.as_str(), cx.clock.now());
        let draft = MailDraft { key: &key, to: &to, subject, text, html, submitted_at: cx.submitted_at, now, extras };
        let message = mailer.compose(draft).map_err(|error| TaskFailure::fail("MailError", error))?;
        let mut refused_copies = None;
        let prepare = async {
            let ready = mailer.prepare(&message).await?;
            refused_copies = Some(ready.refused_copies().to_vec());
            Ok::<_, MailOutcome>(ready)
        };
        let accepted =
            delivery.deliver(prepare.map_err(Outcome::from), |ready| async move { ready.hand_over().await.into() }).await?;
        Ok(self.result(&cx, &to, &message_id, &accepted.response, refused_copies))
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
                field_error("/html", "is only allowed together with text: a template makes its own HTML".into());
            }
        }
        (None, Some(_), _) => {
            if has_context {
                field_error("/context", "is only allowed together with template_name: a text is sent as it is".into());
            }
        }
        (Some(_), Some(_), _) => field_error("/text", "must not be given together with template_name; give one of them".into()),
        (None, None, _) => field_error("/template_name", "is missing; give template_name or text".into()),
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

    /// The wrong fields among copies, senders and attachments.
    fn extras_errors(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        for (field, addresses) in [("cc", &self.cc), ("bcc", &self.bcc)] {
            for (index, address) in addresses.iter().enumerate() {
                if let Err(detail) = Recipient::parse(address) {
                    field_errors.push(FieldError::new(format!("/{field}/{index}"), detail));
                }
            }
        }
        let copies = self.cc.len() + self.bcc.len();
        if copies > MOST_COPIES {
            let pointer = if self.cc.len() > MOST_COPIES { "/cc" } else { "/bcc" };
            let detail =
                format!("cc and bcc have {copies} addresses together; {MOST_COPIES} are allowed; send more by email.bulk");
            field_errors.push(FieldError::new(pointer, detail));
        }
        if let Some(Err(detail)) = self.reply_to.as_deref().map(Recipient::parse) {
            field_errors.push(FieldError::new("/reply_to", detail));
        }
        let author = self.from.as_deref().map(|from| services.mailer.check_author(&Recipient::parse(from)?));
        if let Some(Err(detail)) = author {
            field_errors.push(FieldError::new("/from", detail));
        }
        if self.attachments.len() > MOST_ATTACHMENTS {
            let detail = format!("has {} files; {MOST_ATTACHMENTS} are allowed", self.attachments.len());
            field_errors.push(FieldError::new("/attachments", detail));
        }
        for (index, path) in self.attachments.iter().enumerate() {
            let pointer = format!("/attachments/{index}");
            match FilePath::parse(path) {
                Err(error) => field_errors.push(FieldError::new(pointer, error.to_string())),
                Ok(path) if services.files.is_known_missing(&path) => {
                    field_errors.push(FieldError::new(pointer, FileError::NotFound(path).to_string()));
                }
                Ok(_) => {}
            }
        }
        field_errors
    }

    /// Copies, senders and attachments as the composer takes them. An address that is named twice gets one mail.
    async fn extras(&self, cx: &TaskContext, to: &Recipient) -> Result<DraftExtras, TaskFailure> {
        let mut known = HashSet::from([to.address().to_lowercase()]);
        let mut copies = |addresses: &[String]| -> Result<Vec<Recipient>, TaskFailure> {
            let parsed: Result<Vec<Recipient>, TaskFailure> = addresses.iter().map(|text| address(text)).collect();
            Ok(parsed?.into_iter().filter(|copy| known.insert(copy.address().to_lowercase())).collect())
        };
        Ok(DraftExtras {
            cc: copies(&self.cc)?,
            bcc: copies(&self.bcc)?,
            reply_to: self.reply_to.as_deref().map(address).transpose()?,
            from: self.from.as_deref().map(address).transpose()?,
            attachments: self.read_attachments(cx).await?,
        })
    }

    async fn read_attachments(&self, cx: &TaskContext) -> Result<Vec<Attachment>, TaskFailure> {
        let mut left = MOST_ATTACHED_BYTES;
        let mut attachments = Vec::with_capacity(self.attachments.len());
        for text in &self.attachments {
            let path = FilePath::parse(text).map_err(|error| TaskFailure::fail("BadArgs", error))?;
            let bytes = cx.or_cancelled(cx.files.read(&path, left)).await?.map_err(|error| match error {
                FileError::TooLarge { .. } => {
                    let limit = MOST_ATTACHED_BYTES >> 20;
                    TaskFailure::fail(
                        "AttachmentsTooLarge",
                        format!("the attachments have more than {limit} MiB together, at {path}"),
                    )
                }
                FileError::NotFound(_) => TaskFailure::fail("FileNotFound", error),
                error => error.failure(),
            })?;
            left -= bytes.len();
            let name = path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
            let content_type = content_type_of(&name).to_owned();
            attachments.push(Attachment { name, content_type, bytes });
        }
        Ok(attachments)
    }

    fn result(
        &self,
        cx: &TaskContext,
        to: &Recipient,
        message_id: &str,
        response: &str,
        refused_copies: Option<Vec<RefusedCopy>>,
    ) -> Value {
        let (message, response, outbox_file) = if cx.services.mailer.is_outbox() {
            ("the mail is in the outbox", None, Some(response))
        } else {
            ("the mail server took the mail", Some(response), None)
        };
        let mut result = json!({
            "success": true,
            "message": message,
            "message_id": message_id,
            "recipient_email": to.address(),
            "response": response,
            "outbox_file": outbox_file,
        });
        if !self.cc.is_empty() || !self.bcc.is_empty() {
            let refused = |copy: RefusedCopy| json!({ "email": copy.address, "response": copy.response });
            result["refused_copies"] = refused_copies.map(|copies| copies.into_iter().map(refused).collect::<Vec<_>>()).into();
        }
        result
    }
}

fn address(text: &str) -> Result<Recipient, TaskFailure> {
    Recipient::parse(text).map_err(|detail| TaskFailure::fail("BadArgs", detail))
}

/// The media type of a file by its ending; what is unknown is a download.
fn content_type_of(name: &str) -> &'static str {
    let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "csv" => "text/csv",
        "txt" | "log" => "text/plain",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "ndjson" => "application/x-ndjson",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        _ => "application/octet-stream",
    }
}
