//! `email.welcome`: a mail to a new user or admin, with what the application's table says of them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::delivery::OnUnknown;
use super::email_send::SendEmail;
use super::people::{self, RowKey};
use super::{Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, TaskFailure};
use legwork_mail::check_subject;
use legwork_source::model::ModelRole;

/// Args of `email.welcome`: the key of the new user or admin, and the subject.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EmailWelcomeArgs)]
#[serde(deny_unknown_fields)]
pub struct WelcomeEmail {
    /// The type of the new account, which selects the template `welcome_user` or `welcome_admin`. Default: `user`.
    #[serde(default)]
    pub user_type: UserType,
    /// The key of the user, where `user_type` is `user`.
    #[schema(example = 1)]
    pub user_id: Option<RowKey>,
    /// The key of the admin, where `user_type` is `admin`.
    pub admin_id: Option<RowKey>,
    /// The subject. Default: Welcome to, and the name of the site.
    #[schema(min_length = 1, max_length = 500)]
    pub subject: Option<String>,
    /// The source that holds the row. Default: app, or the only one.
    pub source: Option<String>,
    /// What to do with a mail that was handed over without an answer, as in `email.send`.
    #[serde(default)]
    pub on_unknown: OnUnknown,
}

/// The type of user, which selects the template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserType {
    /// One who uses the application.
    #[default]
    User,
    /// One who runs it.
    Admin,
}

impl UserType {
    const fn role(self) -> ModelRole {
        match self {
            Self::User => ModelRole::User,
            Self::Admin => ModelRole::Admin,
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Self::User => "welcome_user",
            Self::Admin => "welcome_admin",
        }
    }

    /// The field of the key that is needed, and that of the other.
    const fn pointers(self) -> [&'static str; 2] {
        match self {
            Self::User => ["/user_id", "/admin_id"],
            Self::Admin => ["/admin_id", "/user_id"],
        }
    }
}

impl Kind for WelcomeEmail {
    const NAME: &'static str = "email.welcome";
    const DESCRIPTION: &'static str = "Welcomes a user or an admin by mail, with what the application's table says of them. Never twice, as far as the mail server tells.";
    const HARD_LIMIT: Duration = Duration::from_mins(5);
    const ROUTE: Option<&'static str> = Some("/email/welcome");

    fn example() -> Value {
        json!({ "user_type": "user", "user_id": 1 })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        let [wanted, other] = self.user_type.pointers();
        let (key, beside) = self.keys();
        let source = self.source.as_deref();
        match key {
            None => field_errors.push(FieldError::new(
                wanted,
                format!("is missing; it is required with the user_type {}", self.user_type.role()),
            )),
            Some(key) => field_errors.extend(people::check_key(services, source, self.user_type.role(), key, wanted)),
        }
        if beside.is_some() {
            field_errors.push(FieldError::new(other, format!("is not allowed with the user_type {}", self.user_type.role())));
        }
        if let Some(Err(detail)) = self.subject.as_deref().map(check_subject) {
            field_errors.push(FieldError::new("/subject", detail));
        }
        if let Err(error) = services.renderer.check_name(self.user_type.template()) {
            field_errors.push(FieldError::new("/user_type", error.to_string()));
        }
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let role = self.user_type.role();
        let key = self.keys().0.ok_or_else(|| TaskFailure::fail("BadArgs", "the args name neither a user nor an admin"))?;
        let person = people::find(&cx, self.source.as_deref(), role, key).await?;
        let subject = self.subject.clone().unwrap_or_else(|| format!("Welcome to {}", cx.services.renderer.site_name()));
        let draft = SendEmail {
            recipient_email: person.address(role)?.to_owned(),
            subject,
            template_name: Some(self.user_type.template().to_owned()),
            context: Some(Map::from_iter([("user".to_owned(), Value::Object(person.row.clone()))])),
            on_unknown: self.on_unknown,
            ..SendEmail::default()
        };
        let mut result = draft.run(cx).await?;
        result["user_type"] = role.as_str().into();
        result["id"] = person.key;
        Ok(result)
    }
}

impl WelcomeEmail {
    /// The key that the type asks for, and the one that it does not.
    const fn keys(&self) -> (Option<&RowKey>, Option<&RowKey>) {
        match self.user_type {
            UserType::User => (self.user_id.as_ref(), self.admin_id.as_ref()),
            UserType::Admin => (self.admin_id.as_ref(), self.user_id.as_ref()),
        }
    }
}
