//! Submissions: any kind by name, many at once, and a typed route for each kind that has one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, post};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::error::{ApiError, Problem};
use super::super::extract::{IdempotencyKey, JsonBytes, Submitter, json_within};
use super::super::openapi;
use super::super::state::ApiState;
use crate::kinds::TaskKind;
use legwork_engine::domain::{FieldError, KindName, Principal, TaskId, TaskStatus};
use legwork_engine::queue::body::{BodyError, TaskBody};
use legwork_engine::queue::submit::{SubmitError, SubmitKey, SubmitTask, Submitted, canonical_hash};

const NAMED_PATH: &str = "/api/v1/tasks";
const BATCH_PATH: &str = "/api/v1/tasks/batch";
/// Keys of items are apart from keys of whole batches.
const BATCH_ITEM_SCOPE: &str = "/api/v1/tasks/batch/item";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key of a whole batch: each item's key is made of it and a number.
const MAX_BATCH_KEY_CHARS: usize = 240;

/// A task that is durable.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct TaskAccepted {
    /// Id of the new task.
    #[schema(value_type = uuid::Uuid)]
    pub(in crate::http) task_id: TaskId,
    /// The state of a new task: `PENDING`.
    #[schema(example = "PENDING")]
    pub(in crate::http) status: TaskStatus,
    /// Where its status is.
    #[schema(example = "/api/v1/tasks/status/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57")]
    pub(in crate::http) status_url: String,
}

/// What became of an item of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum BatchAnswerItem {
    /// The task was accepted and is stored.
    Accepted(TaskAccepted),
    /// The item was refused; its error says why.
    Refused(BatchRefusal),
}

/// An item that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct BatchRefusal {
    /// The reason of the refusal.
    error: Problem,
}

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct BatchAnswer {
    /// One answer for each item, in order.
    tasks: Vec<BatchAnswerItem>,
}

/// Where the status of a task is.
pub(in crate::http) fn status_url(id: TaskId) -> String {
    let mut text = String::with_capacity(64);
    text.push_str("/api/v1/tasks/status/");
    text.push_str(id.as_uuid().hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
    text
}

/// 202 for one task. Written by hand: this is the hot path, and the shape is fixed.
fn accepted(submitted: Submitted) -> Response {
    let url = status_url(submitted.id);
    let id = &url[url.len() - uuid::fmt::Hyphenated::LENGTH..];
    let mut body = String::with_capacity(160);
    for part in ["{\"task_id\":\"", id, "\",\"status\":\"PENDING\",\"status_url\":\"", &url, "\"}"] {
        body.push_str(part);
    }
    let mut response = (StatusCode::ACCEPTED, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(location) = HeaderValue::try_from(url) {
        headers.insert(LOCATION, location);
    }
    if submitted.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn key_for(scope: &str, key: Option<String>, body: &Bytes) -> Option<SubmitKey> {
    key.map(|key| SubmitKey { scope: scope.into(), key, body_hash: canonical_hash(body) })
}

/// Submit a task of any kind
///
/// Takes the kind's name, its args and the options. Answers when the task is durable: it is run, whatever happens then.
/// With an `Idempotency-Key`, the same key and body gives the first task's id again, also after a lost answer; the same key with another
/// body is refused. `GET /api/v1/tasks/kinds` lists the kinds with the schemas of their args.
#[utoipa::path(post, path = "/api/v1/tasks", tag = "submit", operation_id = "submitTask",
    security(("bearer" = ["tasks:submit"])), params(openapi::KeyParam),
    responses(
        (status = 202, response = openapi::Accepted),
        (status = 409, response = openapi::KeyReused),
        (status = 429, response = openapi::RateLimited),
    ))]
pub(in crate::http) async fn submit_task(
    Submitter(principal): Submitter,
    State(state): State<ApiState>,
    IdempotencyKey(key): IdempotencyKey,
    request: Request,
) -> Result<Response, ApiError> {
    // What a kind's own route takes is taken here as well.
    let largest = state.kinds.public().map(|kind| kind.policy.args_limit).max().unwrap_or_default();
    let body = json_within(request, state.config.body_limit.max(largest)).await?;
    state.admit(&principal, 1)?;
    let key = key_for(NAMED_PATH, key, &body);
    let parsed = TaskBody::of_named(&body)?;
    let command = command(&state, parsed, principal, key)?;
    Ok(accepted(state.queue.submit(command).await?))
}

fn command(state: &ApiState, body: TaskBody, principal: Principal, key: Option<SubmitKey>) -> Result<SubmitTask, ApiError> {
    // What is not known is refused further on.
    let kind = body.kind.as_deref().and_then(|name| KindName::parse(name).ok());
    if let Some(kind) = kind.and_then(|name| state.kinds.get(&name))
        && !principal.may(kind.scope)
    {
        return Err(ApiError::MissingScope(kind.scope));
    }
    Ok(SubmitTask {
        kind: body.kind.unwrap_or_default(),
        args: body.args,
        args_pointer: "/args",
        options: body.options,
        principal: principal.subject,
        internal: false,
        key,
    })
}

/// The route of a kind that has one: args and options side by side.
pub(in crate::http) fn typed_route(kind: &Arc<TaskKind>, path: &str) -> MethodRouter<ApiState> {
    let (kind, path): (Arc<TaskKind>, Arc<str>) = (kind.clone(), path.into());
    post(
        async move |Submitter(principal): Submitter,
                    State(state): State<ApiState>,
                    IdempotencyKey(key): IdempotencyKey,
                    request: Request|
                    -> Result<Response, ApiError> {
            let body = json_within(request, state.config.body_limit.max(kind.policy.args_limit)).await?;
            state.admit(&principal, 1)?;
            let key = key_for(&path, key, &body);
            let parsed = TaskBody { kind: Some(kind.policy.name.to_string()), ..TaskBody::of_typed(&body)? };
            let command = SubmitTask { args_pointer: "", ..command(&state, parsed, principal, key)? };
            Ok(accepted(state.queue.submit(command).await?))
        },
    )
}

/// Submit many tasks in one call
///
/// Each item answers for itself, in order: with its id, or with the problem that refused it. 202 says that at least one was accepted.
/// An `Idempotency-Key` covers the whole batch; instead of it, items may carry an `idempotency_key` each.
#[utoipa::path(post, path = "/api/v1/tasks/batch", tag = "submit", operation_id = "submitBatch",
    security(("bearer" = ["tasks:submit"])), params(openapi::BatchKeyParam),
    responses(
        (status = 202, description = "At least one task is durable.", body = BatchAnswer, headers(
            ("Idempotency-Replayed" = String, description = "`true` where every accepted task had been made by an earlier request."),
        )),
        (status = 409, response = openapi::KeyReused),
        (status = 429, response = openapi::RateLimited),
    ))]
pub(in crate::http) async fn submit_batch(
    Submitter(principal): Submitter,
    State(state): State<ApiState>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBytes(body): JsonBytes,
) -> Result<Response, ApiError> {
    let items = TaskBody::of_batch(&body)?;
    check_batch(&items, key.as_deref(), state.config.batch_limit)?;
    state.admit(&principal, items.len())?;
    let whole = key.map(|key| (key, canonical_hash(&body)));
    let mut commands = Vec::with_capacity(items.len());
    let parsed: Vec<Option<ApiError>> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let command = item.map_err(ApiError::from).and_then(|item| {
                let key = item_key(whole.as_ref(), &item, index);
                command(&state, item, principal.clone(), key)
            });
            match command {
                Ok(command) => {
                    commands.push(command);
                    None
                }
                Err(error) => Some(error),
            }
        })
        .collect();
    let is_keyed = whole.is_some();
    let mut submitted = submit_batch_of(&state, commands, is_keyed).await?.into_iter();
    let lost = || Err(SubmitError::NotStored("no answer".into()));
    let answers = parsed.into_iter().map(|refused| match refused {
        Some(error) => Err(error),
        None => submitted.next().unwrap_or_else(lost).map_err(ApiError::from),
    });
    batch_answer(answers.enumerate().map(|(index, answer)| answer.map_err(|error| at_item(index, error))).collect())
}

/// Submits what could be read. Under a key for the whole, one goes first: a key that was used with another body is then known before any
/// other task is made.
async fn submit_batch_of(
    state: &ApiState,
    mut commands: Vec<SubmitTask>,
    is_keyed: bool,
) -> Result<Vec<Result<Submitted, SubmitError>>, ApiError> {
    let mut answers = Vec::with_capacity(commands.len());
    while is_keyed && !commands.is_empty() && !answers.iter().any(Result::is_ok) {
        match state.queue.submit(commands.remove(0)).await {
            Err(SubmitError::KeyReused) => return Err(SubmitError::KeyReused.into()),
            answer => answers.push(answer),
        }
    }
    answers.extend(state.queue.submit_all(commands).await);
    Ok(answers)
}

fn check_batch(items: &[Result<TaskBody, BodyError>], key: Option<&str>, limit: usize) -> Result<(), ApiError> {
    if items.is_empty() {
        return Err(ApiError::field("/tasks", "is empty; at least one task is asked for"));
    }
    if items.len() > limit {
        return Err(ApiError::field("/tasks", format!("has {} items; allowed are {limit} (BATCH_LIMIT)", items.len())));
    }
    let Some(key) = key else { return Ok(()) };
    if key.len() > MAX_BATCH_KEY_CHARS {
        return Err(ApiError::field("Idempotency-Key", format!("has more than {MAX_BATCH_KEY_CHARS} characters")));
    }
    let keyed = |item: &&Result<TaskBody, BodyError>| item.as_ref().is_ok_and(|item| item.idempotency_key.is_some());
    match items.iter().find(keyed) {
        Some(_) => Err(ApiError::field("Idempotency-Key", "cannot be given together with an item's idempotency_key")),
        None => Ok(()),
    }
}

/// The key of an item: its place in a batch that has a key, or its own.
fn item_key(whole: Option<&(String, [u8; 32])>, item: &TaskBody, index: usize) -> Option<SubmitKey> {
    if let Some((key, body_hash)) = whole {
        return Some(SubmitKey { scope: BATCH_PATH.into(), key: format!("{key}#{index}"), body_hash: *body_hash });
    }
    let key = item.idempotency_key.clone()?;
    let args: serde_json::Value = serde_json::from_str(&item.args).unwrap_or_default();
    let body = json!({ "kind": item.kind, "args": args, "options": item.options });
    Some(SubmitKey { scope: BATCH_ITEM_SCOPE.into(), key, body_hash: canonical_hash(body.to_string().as_bytes()) })
}

fn batch_answer(answers: Vec<Result<Submitted, ApiError>>) -> Result<Response, ApiError> {
    if answers.iter().all(Result::is_err) {
        return Err(none_accepted(answers.into_iter().filter_map(Result::err).collect()));
    }
    let replayed = answers.iter().flatten().all(|submitted| submitted.replayed);
    let tasks = answers.into_iter().map(|answer| match answer {
        Ok(Submitted { id, .. }) => {
            let status = TaskStatus::Pending;
            BatchAnswerItem::Accepted(TaskAccepted { task_id: id, status, status_url: status_url(id) })
        }
        Err(error) => BatchAnswerItem::Refused(BatchRefusal { error: error.problem() }),
    });
    let mut response = (StatusCode::ACCEPTED, axum::Json(BatchAnswer { tasks: tasks.collect() })).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Nothing was accepted: the first failure of ours, if there is one (sending it again helps), else every error of every item.
fn none_accepted(errors: Vec<ApiError>) -> ApiError {
    let mut field_errors = Vec::new();
    for (index, error) in errors.into_iter().enumerate() {
        match error {
            ApiError::Unavailable(_) | ApiError::Internal(_) => return error,
            ApiError::Invalid(wrong) => field_errors.extend(wrong),
            other => field_errors.push(FieldError::new(format!("/tasks/{index}"), other.problem().detail)),
        }
    }
    ApiError::NoneAccepted(field_errors)
}

/// The errors of an item as errors of the batch.
fn at_item(index: usize, error: ApiError) -> ApiError {
    let ApiError::Invalid(wrong) = error else { return error };
    let moved = wrong
        .into_iter()
        .map(|field_error| FieldError::new(format!("/tasks/{index}{}", item_pointer(&field_error.pointer)), field_error.detail));
    ApiError::Invalid(moved.collect())
}

/// An error of an item's key is told by the name of the header elsewhere.
fn item_pointer(pointer: &str) -> &str {
    if pointer == "Idempotency-Key" { "/idempotency_key" } else { pointer }
}
