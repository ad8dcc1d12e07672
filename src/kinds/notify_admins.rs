//! `notify.admins`: a mail to every active admin, each a task of its own, submitted once.

use crate::kinds::OrFail as _;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::batches::BATCH_ROWS;
use super::email_notify_user::NOTICE_TEMPLATE;
use super::people::{self, Person};
use super::{Child, Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, TaskFailure};
use legwork_mail::check_subject;
use legwork_source::model::{FieldRole, Model, ModelRole};
use legwork_source::{Filter, Operator, Query, SourceError};

/// The ids that a result names.
const IDS_LISTED: usize = 100;

/// Args of `notify.admins`: a `message`, or a template of its own.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NotifyAdminsArgs)]
#[serde(deny_unknown_fields)]
pub struct NotifyAdmins {
    /// The subject: one line of at most 500 characters.
    #[schema(example = "Disk almost full", min_length = 1, max_length = 500)]
    pub subject: String,
    /// What it says; a blank line starts a paragraph. Needed unless there is a `template_name`.
    #[schema(example = "Only 2 GB are left on the file server.")]
    pub message: Option<String>,
    /// The template, which gets `message`, `user` (the admin's row) and the context. Default: notification.
    pub template_name: Option<String>,
    /// What the template needs besides.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub context: Option<Map<String, Value>>,
    /// The source that holds the admins. Default: app, or the only one.
    pub source: Option<String>,
}

impl Kind for NotifyAdmins {
    const NAME: &'static str = "notify.admins";
    const DESCRIPTION: &'static str =
        "Sends a mail to every active admin of the application: one email.send task each, once however often it is tried.";
    const SENSITIVE: &'static [&'static str] = &["/message", "/context"];

    fn example() -> Value {
        json!({ "subject": "Disk almost full", "message": "Only 2 GB are left on the file server." })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        field_errors.extend(people::model_of(services, self.source.as_deref(), ModelRole::Admin).err());
        if let Err(detail) = check_subject(&self.subject) {
            field_errors.push(FieldError::new("/subject", detail));
        }
        if self.template_name.is_none() && self.message.as_ref().is_none_or(|message| message.trim().is_empty()) {
            field_errors.push(FieldError::new("/message", "is missing or blank; give message or template_name"));
        }
        if let Err(error) = services.renderer.check_name(self.template()) {
            field_errors.push(FieldError::new("/template_name", error.to_string()));
        }
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let (source, model) = people::declared(&cx, self.source.as_deref(), ModelRole::Admin)?;
        let query = Query::of(active(model).or_fail()?);
        let (mut ids, mut refused, mut without_address) = (Vec::new(), Vec::new(), 0_u64);
        let mut after = None;
        loop {
            cx.checkpoint()?;
            let rows = cx.or_cancelled(source.page(&query, after.as_ref(), BATCH_ROWS)).await?.or_fail()?;
            let is_last = rows.len() < BATCH_ROWS as usize;
            let people: Vec<Person> = rows.into_iter().map(|row| Person::of(model, row)).collect();
            after = people.last().map(|person| person.key.clone());
            let reachable: Vec<&Person> = people.iter().filter(|person| person.address.is_some()).collect();
            without_address += (people.len() - reachable.len()) as u64;
            let answers = cx.submit(reachable.iter().map(|person| self.child(person)).collect()).await?;
            for (person, answer) in reachable.iter().zip(answers) {
                match answer {
                    Ok(id) => ids.push(id),
                    Err(TaskFailure::Fail(error)) => refused.push(json!({ "id": person.key, "error": error.message })),
                    Err(other) => return Err(other),
                }
            }
            cx.report_progress(ids.len() as u64, None, None);
            if is_last {
                break;
            }
        }
        let submitted = ids.len();
        ids.truncate(IDS_LISTED);
        refused.truncate(IDS_LISTED);
        Ok(json!({
            "success": true,
            "message": format!("{submitted} admins are being notified by mail"),
            "submitted": submitted,
            "without_address": without_address,
            "refused": refused,
            "task_ids": ids,
        }))
    }
}

impl NotifyAdmins {
    fn template(&self) -> &str {
        self.template_name.as_deref().unwrap_or(NOTICE_TEMPLATE)
    }

    fn child(&self, person: &Person) -> Child {
        let mut context = self.context.clone().unwrap_or_default();
        if let Some(message) = &self.message {
            context.insert("message".into(), message.as_str().into());
        }
        context.insert("user".into(), person.row.clone().into());
        let args = json!({
            "recipient_email": person.address,
            "subject": self.subject,
            "template_name": self.template(),
            "context": context,
        });
        Child::new(format!("admin-{}", part_of(&person.key)), "email.send", args)
    }
}

/// A key as it stands in the part of a child.
pub(super) fn part_of(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

/// The active rows of a model; all, where the declaration does not say which are.
fn active(model: &Arc<Model>) -> Result<Filter, SourceError> {
    let all = Filter::all(model);
    match model.values.get("active") {
        Some(value) if model.field_with(FieldRole::Status).is_some() => {
            Ok(all.and_role(FieldRole::Status, Operator::Eq, value)?)
        }
        _ => Ok(all),
    }
}
