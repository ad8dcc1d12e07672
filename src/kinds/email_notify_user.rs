//! `email.notify_user`: a notification by mail to a user whose key is known, not the address.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;
use utoipa::ToSchema;

use super::delivery::OnUnknown;
use super::email_send::SendEmail;
use super::people::{self, RowKey};
use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, TaskFailure};
use legwork_mail::check_subject;
use legwork_source::model::ModelRole;

/// The template of a notification.
pub(super) const NOTICE_TEMPLATE: &str = "notification";

/// Args of `email.notify_user`: the user and the message to send.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EmailNotifyUserArgs)]
#[serde(deny_unknown_fields)]
pub struct NotifyUser {
    /// The key of the user.
    #[schema(example = 1)]
    pub user_id: RowKey,
    /// The subject: one line of at most 500 characters.
    #[schema(example = "Your appointment tomorrow", min_length = 1, max_length = 500)]
    pub subject: String,
    /// What it says; a blank line starts a paragraph.
    #[schema(example = "We expect you at nine.", min_length = 1)]
    pub message: String,
    /// Where a button in the mail leads.
    #[schema(example = "https://example.org/appointments")]
    pub action_url: Option<String>,
    /// What the button says. Default: Open.
    pub action_label: Option<String>,
    /// The template, which gets `message` and `user`. Default: notification.
    pub template_name: Option<String>,
    /// The source that holds the row. Default: app, or the only one.
    pub source: Option<String>,
    /// What to do with a mail that was handed over without an answer, as in `email.send`.
    #[serde(default)]
    pub on_unknown: OnUnknown,
}

impl Kind for NotifyUser {
    const NAME: &'static str = "email.notify_user";
    const DESCRIPTION: &'static str = "Sends a notification by mail to a user by key: the address is read from the application's table. Never twice, as far as the mail server tells.";
    const HARD_LIMIT: Duration = Duration::from_mins(5);
    const SENSITIVE: &'static [&'static str] = &["/message"];

    fn example() -> Value {
        json!({ "user_id": 1, "subject": "Your appointment tomorrow", "message": "We expect you at nine." })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        field_errors.extend(people::check_key(services, self.source.as_deref(), ModelRole::User, &self.user_id, "/user_id"));
        if let Err(detail) = check_subject(&self.subject) {
            field_errors.push(FieldError::new("/subject", detail));
        }
        if self.message.trim().is_empty() {
            field_errors.push(FieldError::new("/message", "is blank"));
        }
        match (&self.action_url, &self.action_label) {
            (Some(url), _) if !is_link(url) => {
                field_errors.push(FieldError::new("/action_url", format!("{url:?} is no link with http, https, mailto or tel")));
            }
            (None, Some(_)) => {
                field_errors.push(FieldError::new(
                    "/action_label",
                    "is only allowed together with action_url: it is the text of the button",
                ));
            }
            _ => {}
        }
        if let Err(error) = services.renderer.check_name(self.template()) {
            field_errors.push(FieldError::new("/template_name", error.to_string()));
        }
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let person = people::find(&cx, self.source.as_deref(), ModelRole::User, &self.user_id).await?;
        let template = self.template().to_owned();
        let mut context =
            Map::from_iter([("message".to_owned(), self.message.into()), ("user".to_owned(), person.row.clone().into())]);
        let more = [("action_url", self.action_url), ("action_label", self.action_label)];
        context.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
        let draft = SendEmail {
            recipient_email: person.address(ModelRole::User)?.to_owned(),
            subject: self.subject,
            template_name: Some(template),
            context: Some(context),
            on_unknown: self.on_unknown,
            ..SendEmail::default()
        };
        let mut result = draft.run(cx).await?;
        result["user_id"] = person.key;
        Ok(result)
    }
}

/// Whether a button in a mail may lead there.
fn is_link(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "mailto" | "tel"))
}

impl NotifyUser {
    fn template(&self) -> &str {
        self.template_name.as_deref().unwrap_or(NOTICE_TEMPLATE)
    }
}
