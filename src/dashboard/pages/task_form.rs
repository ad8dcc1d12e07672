//! A new task from a form made of its kind's schema; the same form retries a task with other args.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::access::{Fields, Posted, Visitor};
use super::super::error::PageError;
use super::super::form::Notice;
use super::super::schema_form::{Field, SchemaForm, place_errors};
use super::super::view::{Fact, with_query};
use super::super::{format, shell};
use crate::http::{ApiState, AuditNote};
use crate::kinds::TaskKind;
use legwork_engine::domain::{FieldError, KindName, TaskId};
use legwork_engine::queue::body::{BodyError, TaskBody};
use legwork_engine::queue::control::ControlError;
use legwork_engine::queue::submit::{SubmitError, SubmitTask};
use legwork_engine::runner::SENSITIVE_TEXT;

/// Options of a submission: name, label, control, hint, help.
const OPTIONS: [(&str, &str, &str, &str, &str); 8] = [
    ("queue", "Queue", "text", "", "Empty means the queue of the kind."),
    ("priority", "Priority", "number", "0 to 9", "9 is the most urgent, 5 the default."),
    ("countdown", "Start after", "number", "seconds", ""),
    ("eta", "Start at", "text", "RFC 3339", "Such as 2030-01-31T09:00:00+01:00. Not together with Start after."),
    ("expires", "Not after", "text", "RFC 3339", "If it has not started by then, it is revoked."),
    ("max_retries", "Retries", "number", "", ""),
    ("time_limit", "Time limit", "number", "seconds", ""),
    ("callback_url", "Callback", "text", "URL", "Gets a signed POST when the task has ended."),
];

#[derive(Serialize)]
struct KindChoice {
    kind: String,
    description: std::sync::Arc<str>,
    url: String,
}

#[derive(Serialize)]
struct Group {
    label: String,
    kinds: Vec<KindChoice>,
}

/// The command that does the same.
pub(super) fn curl(public_url: &str, path: &str, body: &Value) -> String {
    let body = serde_json::to_string(body).unwrap_or_default().replace('\'', r"'\''");
    format!(
        "curl -X POST {public_url}{path} \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    )
}

/// What the form is about: a new task, or the retry of one.
struct Subject {
    retry_of: Option<TaskId>,
    args: Option<Value>,
}

/// The choice of a kind, or the form of one.
pub(in crate::dashboard) async fn show(
    visitor: Visitor,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    if !visitor.is_operator() {
        return Err(PageError::Forbidden("submit tasks"));
    }
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let Some(kind) = KindName::parse(query.text("kind")).ok() else { return Ok(choose(&state, &visitor)) };
    let kind = public_kind(&state, &kind)?;
    let retry_of: Option<TaskId> = query.text("retry_of").parse::<uuid::Uuid>().ok().map(Into::into);
    let source = retry_of.or_else(|| query.text("like").parse::<uuid::Uuid>().ok().map(Into::into));
    let args = match source {
        Some(id) => {
            let task = state.queue.detail(id, &visitor.principal).await?.ok_or_else(PageError::no_task)?;
            let args: Option<Value> = task.args.and_then(|args| serde_json::from_str(args.get()).ok());
            // A retry keeps what is hidden; another task has to be given it.
            args.map(|args| if retry_of.is_some() { args } else { without_hidden(args) })
        }
        None => None,
    };
    let subject = Subject { retry_of, args };
    Ok(form(&state, &visitor, &kind, &subject, None, &[]))
}

fn without_hidden(mut args: Value) -> Value {
    if let Some(fields) = args.as_object_mut() {
        fields.retain(|_, value| *value != SENSITIVE_TEXT);
    }
    args
}

fn public_kind(state: &ApiState, name: &KindName) -> Result<std::sync::Arc<TaskKind>, PageError> {
    let kind = state.kinds.get(name).filter(|kind| kind.policy.is_public);
    kind.ok_or_else(|| PageError::NotFound(format!("The kind {name} is unknown here.")))
}

fn choose(state: &ApiState, visitor: &Visitor) -> Response {
    let mut groups: Vec<Group> = Vec::new();
    for kind in state.kinds.public() {
        let name = kind.policy.name.to_string();
        let label = format::sentence(name.split('.').next().unwrap_or_default());
        let choice = KindChoice {
            url: with_query("/tasks/new", [("kind", name.as_str())]),
            kind: name,
            description: kind.description.clone(),
        };
        match groups.last_mut().filter(|group| group.label == label) {
            Some(group) => group.kinds.push(choice),
            None => groups.push(Group { label, kinds: vec![choice] }),
        }
    }
    shell::page(state, visitor, "task_new", view! { title => "New task", groups })
}

fn option_fields(filled: Option<&Fields>, subject: &Subject) -> Vec<Field> {
    if subject.retry_of.is_some() {
        return Vec::new();
    }
    OPTIONS
        .into_iter()
        .map(|(name, label, control, hint, help)| {
            let value = filled.map(|fields| fields.text(name)).unwrap_or_default();
            let mut field = Field::plain(name, label, control, value);
            field.hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
            field.help = Some(help.to_owned()).filter(|help| !help.is_empty());
            field
        })
        .collect()
}

fn form(
    state: &ApiState,
    visitor: &Visitor,
    kind: &TaskKind,
    subject: &Subject,
    filled: Option<&Fields>,
    errors: &[FieldError],
) -> Response {
    let schema = SchemaForm::new(&kind.json_schema);
    let args = match (filled, &subject.args) {
        (Some(fields), _) => schema.read(fields).0,
        (None, Some(args)) => args.clone(),
        (None, None) => kind.example.clone(),
    };
    let mut fields = schema.fields(&args);
    if let Some(filled) = filled {
        refill(&mut fields, filled);
    }
    let mut options = option_fields(filled, subject);
    let (of_options, of_args): (Vec<_>, Vec<_>) = errors.iter().cloned().partition(|error| is_option(&error.pointer));
    let mut listed = place_errors(&mut fields, &of_args);
    listed.extend(place_errors(&mut options, &of_options));
    let name = kind.policy.name.to_string();
    let limit = format::duration(kind.policy.hard_limit.as_secs_f64());
    let facts = [
        Fact::text("Queue", state.queue.queue_of(&kind.policy).to_string()),
        Fact::text("Retries", kind.policy.retry.max_retries.to_string()),
        Fact::text("Time limit", limit),
    ];
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let retry = subject
        .retry_of
        .map(|id| view! { id => id.to_string(), short_id => format::clip(&id.to_string(), 8), url => format!("/tasks/{id}") });
    let view = view! {
        title => if subject.retry_of.is_some() { "Retry with other args" } else { "New task" },
        retry_of => retry,
        kind => view! { kind => name, description => kind.description, facts },
        form => view! { fields, errors => listed, options_open => !of_options.is_empty(), options },
        action => with_query("/tasks", [("kind", name.as_str())]),
        cancel_url => subject.retry_of.map_or_else(|| "/tasks".into(), |id| format!("/tasks/{id}")),
        curl => curl(&state.config.public_url, "/api/v1/tasks", &json!({"kind": name, "args": args})),
    };
    shell::answer(state, visitor, status, "task_new", view)
}

/// JSON that could not be read stays in its field as it was written.
fn refill(fields: &mut [Field], filled: &Fields) {
    for field in fields {
        if field.control == "json"
            && let Some(text) = filled.raw(&field.name)
        {
            field.value = text.into();
        }
        refill(&mut field.fields, filled);
    }
}

fn is_option(pointer: &str) -> bool {
    OPTIONS.iter().any(|(name, ..)| pointer.strip_prefix('/') == Some(*name))
}

/// The options that were filled in, as the API takes them.
fn options_of(fields: &Fields) -> Map<String, Value> {
    OPTIONS
        .into_iter()
        .filter_map(|(name, _, control, ..)| {
            let text = fields.text(name);
            let number = || serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
            let value = if control == "number" { number().unwrap_or_else(|| text.into()) } else { text.into() };
            (!text.is_empty()).then(|| (name.to_owned(), value))
        })
        .collect()
}

/// Submits the task of a form, or retries one with its args.
pub(in crate::dashboard) async fn submit(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    posted: Posted,
) -> Result<Response, PageError> {
    let Posted { visitor, fields } = posted.by_operator()?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let name = KindName::parse(query.text("kind")).map_err(|_| PageError::Malformed("The form does not name a kind."))?;
    let kind = public_kind(&state, &name)?;
    if !visitor.principal.may(kind.scope) {
        return Err(PageError::Forbidden("submit tasks of this kind"));
    }
    let (args, errors) = SchemaForm::new(&kind.json_schema).read(&fields);
    let subject = Subject { retry_of: fields.text("retry_of").parse::<uuid::Uuid>().ok().map(Into::into), args: None };
    let refused = |errors: &[FieldError]| Ok(form(&state, &visitor, &kind, &subject, Some(&fields), errors));
    if !errors.is_empty() {
        return refused(&errors);
    }
    if let Some(id) = subject.retry_of {
        return match state.queue.retry_with(id, &args.to_string(), &visitor.principal).await {
            Ok(submitted) => {
                let url = format!("/tasks/{}", submitted.id);
                let note = AuditNote {
                    target: Some(id.to_string()),
                    ..AuditNote::detail(format!("Retried with other args as {}", submitted.id))
                };
                Ok(note.on(Notice::done("The task was retried with the new args: this is the new one.").shown_at(&url)))
            }
            Err(ControlError::Invalid(errors)) => refused(&errors),
            Err(error) => Err(error.into()),
        };
    }
    let mut body = options_of(&fields);
    body.insert("kind".into(), name.to_string().into());
    body.insert("args".into(), args);
    let parsed = match TaskBody::of_named(Value::Object(body).to_string().as_bytes()) {
        Ok(parsed) => parsed,
        Err(BodyError::Invalid(errors)) => return refused(&errors),
        Err(BodyError::Malformed(_)) => return Err(PageError::Malformed("The form cannot be read.")),
    };
    let command = SubmitTask {
        kind: name.to_string(),
        args: parsed.args,
        args_pointer: "/args",
        options: parsed.options,
        principal: visitor.principal.subject.clone(),
        internal: false,
        key: None,
    };
    match state.queue.submit(command).await {
        Ok(submitted) => {
            let note = AuditNote { target: Some(submitted.id.to_string()), ..AuditNote::detail(name.to_string()) };
            Ok(note.on(Notice::done("The task was submitted.").shown_at(&format!("/tasks/{}", submitted.id))))
        }
        Err(SubmitError::Invalid(errors)) => refused(&errors),
        Err(error) => Err(crate::http::ApiError::from(error).into()),
    }
}
