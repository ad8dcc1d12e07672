//! Makes the mail of one recipient.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::BulkEmail;
use crate::kinds::TaskContext;
use crate::kinds::email_send::failure;
use crate::services::Services;
use crate::services::render::{Context, RenderError, Rendered, Scope};
use legwork_engine::domain::{TaskFailure, TaskId};
use legwork_engine::store::RecipientRow;
use legwork_mail::{DraftExtras, MailDraft, Message, Recipient};

/// What is common to all mails of a task.
pub(super) struct BulkMailComposer {
    services: Arc<Services>,
    task: TaskId,
    submitted_at: Timestamp,
    subject: String,
    body: Body,
    /// Whether each mail has its own link to unsubscribe.
    has_links: bool,
}

enum Body {
    Template { name: String, context: Context },
    Given(Rendered),
}

impl BulkMailComposer {
    pub(super) fn new(cx: &TaskContext, args: &BulkEmail) -> Self {
        let body = match &args.template_name {
            Some(name) => Body::Template { name: name.clone(), context: Context::new(args.context.clone().unwrap_or_default()) },
            None => Body::Given(Rendered { text: args.text.clone().unwrap_or_default(), html: args.html.clone() }),
        };
        let bulk = &cx.services.bulk;
        Self {
            services: cx.services.clone(),
            task: cx.task,
            submitted_at: cx.submitted_at,
            subject: args.subject.clone(),
            body,
            has_links: args.list_unsubscribe.unwrap_or_else(|| bulk.links_by_default()) && bulk.can_link(),
        }
    }

    /// Finds out what would fail for everybody: a template that is gone, and, where nobody has anything of his own (`is_common`), a variable that
    /// is missing.
    pub(super) fn try_out(&self, is_common: bool) -> Result<(), TaskFailure> {
        let Body::Template { name, context } = &self.body else { return Ok(()) };
        let scope = Scope { recipient_email: "nobody@example.org", subject: &self.subject };
        let renderer = &self.services.renderer;
        let tried = if is_common { renderer.render(name, scope, context).map(drop) } else { renderer.check_name(name) };
        tried.map_err(|error| failure(&error))
    }

    /// The mail for `row`. The error says why there is none.
    pub(super) fn mail(&self, row: &RecipientRow, now: Timestamp) -> Result<Message, String> {
        let to = Recipient::parse(&row.recipient)?;
        let link = self.has_links.then(|| self.services.bulk.unsubscribe_link(&row.address, self.task)).flatten();
        let Rendered { text, html } = self.rendered(row, &to, link.as_deref()).map_err(|error| error.to_string())?;
        let mut headers = Vec::new();
        if let Some(link) = link {
            headers.push(("List-Unsubscribe", format!("<{link}>")));
            headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        // The key is what the Message-ID was made of.
        let key = row.message_id.trim_start_matches('<').split('@').next().unwrap_or_default();
        let extras = DraftExtras::default();
        let draft = MailDraft { key, to: &to, subject: &self.subject, text, html, submitted_at: self.submitted_at, now, extras };
        self.services.mailer.compose_with(draft, &row.message_id, &headers).map_err(|error| error.to_string())
    }

    fn rendered(&self, row: &RecipientRow, to: &Recipient, link: Option<&str>) -> Result<Rendered, RenderError> {
        let (name, context) = match &self.body {
            Body::Given(rendered) => return Ok(rendered.clone()),
            Body::Template { name, context } => (name, context),
        };
        let mut context = context.clone();
        if let Some(link) = link {
            context = Context::new(Map::from_iter([("unsubscribe_url".to_owned(), link.into())])).and(&context);
        }
        if let Some(own) = row.context.as_deref().and_then(|own| serde_json::from_str::<Map<String, Value>>(own).ok()) {
            context = context.and(&Context::new(own));
        }
        let scope = Scope { recipient_email: to.address(), subject: &self.subject };
        self.services.renderer.render(name, scope, &context)
    }
}
