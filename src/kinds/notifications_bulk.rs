//! `notifications.bulk`: a row in the application's notifications for many users, and a mail where asked.
//!
//! The rows are told by what they say and when their task was submitted, which no attempt changes: a second attempt inserts those that are
//! missing. So does a retry by hand, whose rows bear the time of the task at which the chain of retries started.

use crate::kinds::{OrFail as _, to_field_errors};
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::batches::{BATCH_ROWS, field};
use super::email_notify_user::NOTICE_TEMPLATE;
use super::notify_admins::part_of;
use super::people::{self, Person, RowKey};
use super::{Child, Kind, TaskContext};
use crate::services::Services;
use legwork_engine::domain::{FieldError, TaskFailure};
use legwork_mail::check_subject;
use legwork_source::model::{FieldRole, FieldType, Model, ModelRole};
use legwork_source::{Filter, Operator, Query, Row, Source, SourceError};

/// User ids in one submission.
const MOST_IDS: usize = 10_000;
/// Of those that are wrong, so many are named.
const IDS_LISTED: usize = 100;

/// Args of `notifications.bulk`: for the users of `user_ids`, or for those that `filters` let through.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NotificationsBulkArgs)]
#[serde(deny_unknown_fields)]
pub struct BulkNotice {
    /// The keys of the users, at most 10,000. Either this or `filters`.
    #[schema(example = json!([1, 2, 3]))]
    pub user_ids: Option<Vec<RowKey>>,
    /// Which users, as in `data.export`; empty for all. Either this or `user_ids`.
    #[schema(value_type = Option<Object>, example = json!({ "status": 1 }))]
    pub filters: Option<Map<String, Value>>,
    /// The heading of the notification.
    #[schema(example = "New opening hours", min_length = 1, max_length = 500)]
    pub title: String,
    /// The text of the notification.
    #[schema(example = "From Monday we are there from eight.", min_length = 1)]
    pub message: String,
    /// What sort of notification it is, in the application's words. Default: info.
    #[schema(example = "info")]
    pub notification_type: Option<String>,
    /// Whether each user gets a mail too.
    #[serde(default)]
    pub send_email: bool,
    /// The source that holds users and notifications. Default: app, or the only one.
    pub source: Option<String>,
}

impl Kind for BulkNotice {
    const NAME: &'static str = "notifications.bulk";
    const DESCRIPTION: &'static str = "Writes a notification for many users into the application's table, once each however often it is tried, and sends each a mail where asked.";
    const SENSITIVE: &'static [&'static str] = &["/message"];

    fn example() -> Value {
        json!({ "user_ids": [1, 2, 3], "title": "New opening hours", "message": "From Monday we are there from eight." })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        if let Err(detail) = check_subject(&self.title) {
            field_errors.push(FieldError::new("/title", detail));
        }
        if self.message.trim().is_empty() {
            field_errors.push(FieldError::new("/message", "is blank"));
        }
        let source = self.source.as_deref();
        let models = people::model_of(services, source, ModelRole::User)
            .and_then(|(_, users)| Ok((users, people::model_of(services, source, ModelRole::Notification)?.1)));
        let users = match models {
            Ok((users, notices)) => {
                field_errors.extend(Columns::of(notices).err().map(|error| FieldError::new("/source", error.to_string())));
                users
            }
            Err(field_error) => {
                field_errors.push(field_error);
                return field_errors;
            }
        };
        match (&self.user_ids, &self.filters) {
            (Some(ids), None) if ids.is_empty() || ids.len() > MOST_IDS => {
                field_errors.push(FieldError::new("/user_ids", format!("has {} ids; 1 to {MOST_IDS} are allowed", ids.len())));
            }
            (Some(ids), None) => {
                for (index, id) in ids.iter().enumerate() {
                    let found = Filter::all(users).and(&users.key, Operator::Eq, &id.into());
                    field_errors
                        .extend(found.err().map(|field_error| FieldError::new(format!("/user_ids/{index}"), field_error.detail)));
                }
            }
            (None, Some(filters)) => {
                field_errors.extend(to_field_errors(Filter::parse(users, filters, "/filters").err().unwrap_or_default()));
            }
            (Some(_), Some(_)) => {
                field_errors.push(FieldError::new("/filters", "must not be given together with user_ids; give one of them"));
            }
            (None, None) => field_errors.push(FieldError::new("/user_ids", "is missing; give user_ids or filters")),
        }
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let (source, users) = people::declared(&cx, self.source.as_deref(), ModelRole::User)?;
        let notices = people::declared(&cx, self.source.as_deref(), ModelRole::Notification)?.1;
        let work = Work { args: &self, cx: &cx, source, notices, columns: Columns::of(notices).or_fail()? };
        let mut done = Done::default();
        if let Some(ids) = &self.user_ids {
            let ids: Vec<Value> = ids.iter().map(Value::from).collect();
            let mut asked = BTreeSet::new();
            let ids: Vec<Value> = ids.into_iter().filter(|id| asked.insert(id.to_string())).collect();
            for part in ids.chunks(BATCH_ROWS as usize) {
                let filter =
                    Filter::all(users).and(&users.key, Operator::In, &part.into()).map_err(SourceError::from).or_fail()?;
                let found = cx.or_cancelled(source.page(&Query::of(filter), None, BATCH_ROWS)).await?.or_fail()?;
                let people: Vec<Person> = found.into_iter().map(|row| Person::of(users, row)).collect();
                let known: BTreeSet<String> = people.iter().map(|person| part_of(&person.key)).collect();
                done.unknown.extend(part.iter().filter(|id| !known.contains(&part_of(id))).cloned());
                work.notify(&people, &mut done).await?;
            }
            return Ok(done.result());
        }
        let filters = self.filters.clone().unwrap_or_default();
        let filter = Filter::parse(users, &filters, "/filters").map_err(|errors| wrong(&to_field_errors(errors)))?;
        let query = Query::of(filter);
        let mut after = None;
        loop {
            let rows = cx.or_cancelled(source.page(&query, after.as_ref(), BATCH_ROWS)).await?.or_fail()?;
            let is_last = rows.len() < BATCH_ROWS as usize;
            let people: Vec<Person> = rows.into_iter().map(|row| Person::of(users, row)).collect();
            after = people.last().map(|person| person.key.clone());
            work.notify(&people, &mut done).await?;
            if is_last {
                return Ok(done.result());
            }
        }
    }
}

fn wrong(field_errors: &[FieldError]) -> TaskFailure {
    let messages: Vec<String> =
        field_errors.iter().map(|field_error| format!("{} {}", field_error.pointer, field_error.detail)).collect();
    TaskFailure::fail("BadArgs", messages.join("; "))
}

/// The fields of a notification. Whose it is, what it says and when it was made have to be there, the last to the second at least: it tells
/// the rows of one task from those of another.
struct Columns<'m> {
    user: &'m str,
    body: &'m str,
    created: &'m str,
    title: Option<&'m str>,
    kind: Option<&'m str>,
    read: Option<&'m str>,
}

impl<'m> Columns<'m> {
    fn of(model: &'m Model) -> Result<Self, SourceError> {
        let created = field(model, FieldRole::Created)?;
        if created.kind != FieldType::Timestamp {
            let (model, name) = (&model.name, &created.name);
            return Err(SourceError::Undeclared(format!(
                "the field {name} of the model {model} is a date; notifications are told apart by a timestamp"
            )));
        }
        let name = |role| model.field_with(role).map(|field| field.name.as_str());
        Ok(Self {
            user: &field(model, FieldRole::User)?.name,
            body: &field(model, FieldRole::Body)?.name,
            created: &created.name,
            title: name(FieldRole::Title),
            kind: name(FieldRole::Kind),
            read: name(FieldRole::Read),
        })
    }
}

#[derive(Default)]
struct Done {
    notified: u64,
    inserted: u64,
    mails: u64,
    without_address: u64,
    unknown: Vec<Value>,
}

impl Done {
    fn result(self) -> Value {
        let Self { notified, inserted, mails, without_address, mut unknown } = self;
        let unknown_count = unknown.len();
        unknown.truncate(IDS_LISTED);
        json!({
            "success": true,
            "message": format!("{notified} {} notified", if notified == 1 { "user was" } else { "users were" }),
            "notified": notified,
            "inserted": inserted,
            "mails": mails,
            "without_address": without_address,
            "unknown": unknown_count,
            "unknown_user_ids": unknown,
        })
    }
}

/// One attempt at it.
struct Work<'a> {
    args: &'a BulkNotice,
    cx: &'a TaskContext,
    source: &'a Source,
    notices: &'a Model,
    columns: Columns<'a>,
}

impl Work<'_> {
    async fn notify(&self, people: &[Person], done: &mut Done) -> Result<(), TaskFailure> {
        self.cx.checkpoint()?;
        if people.is_empty() {
            return Ok(());
        }
        let rows: Vec<Row> = people.iter().map(|person| self.row(person)).collect();
        let same = [self.columns.user, self.columns.body, self.columns.created];
        let once_by: &[&str] = if self.cx.is_first_attempt() { &[] } else { &same };
        done.inserted += self.source.insert(self.notices, &rows, once_by).await.or_fail()?;
        done.notified += people.len() as u64;
        if self.args.send_email {
            let reachable: Vec<&Person> = people.iter().filter(|person| person.address.is_some()).collect();
            done.without_address += (people.len() - reachable.len()) as u64;
            let answers = self.cx.submit(reachable.iter().map(|person| self.mail(person)).collect()).await?;
            for answer in answers {
                answer?;
                done.mails += 1;
            }
        }
        self.cx.report_progress(done.notified, None, None);
        Ok(())
    }

    fn row(&self, person: &Person) -> Row {
        let (columns, args) = (&self.columns, self.args);
        let mut row = Row::new();
        row.insert(columns.user.into(), person.key.clone());
        row.insert(columns.body.into(), args.message.as_str().into());
        row.insert(columns.created.into(), self.cx.origin().submitted_at.to_string().into());
        let kind = args.notification_type.as_deref().unwrap_or("info");
        let more: [(Option<&str>, Value); 3] =
            [(columns.title, args.title.as_str().into()), (columns.kind, kind.into()), (columns.read, false.into())];
        row.extend(more.into_iter().filter_map(|(name, value)| Some((name?.to_owned(), value))));
        row
    }

    fn mail(&self, person: &Person) -> Child {
        let args = json!({
            "recipient_email": person.address,
            "subject": self.args.title,
            "template_name": NOTICE_TEMPLATE,
            "context": { "message": self.args.message, "user": person.row },
        });
        Child::new(format!("mail-{}", part_of(&person.key)), "email.send", args)
    }
}
