//! Takes a task in: parse, check, resolve, one group commit, the answer, the dispatch.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::batch::{Answers, BatchError, Flush};
use super::dispatcher::Dispatcher;
use super::options::TaskOptions;
use super::{Queue, QueueError};
use crate::broker::Signal;
use crate::domain::{FieldError, KindName, NewTask, QueueName, TaskId};
use crate::metrics::Metrics;
use crate::runner::KindPolicy;
use crate::store::{IdempotencyKey, InsertAnswer, SharedStore, StoreError, SubmittedTask};

/// A submission, whoever makes it.
#[derive(Clone, Debug)]
pub struct SubmitTask {
    /// The kind's name, as given.
    pub kind: String,
    /// The args as JSON text.
    pub args: String,
    /// What comes before a pointer into the args: empty on typed routes, `/args` elsewhere.
    pub args_pointer: &'static str,
    /// The submission options, not yet checked.
    pub options: TaskOptions,
    /// Name of the principal that submits and will own the task.
    pub principal: Arc<str>,
    /// Whether kinds that are not public are allowed.
    pub internal: bool,
    /// The key under which a repetition finds it again.
    pub key: Option<SubmitKey>,
}

/// An idempotency key, as the caller gave it.
#[derive(Clone, Debug)]
pub struct SubmitKey {
    /// The path that it was used on.
    pub scope: Arc<str>,
    /// The key itself.
    pub key: String,
    /// SHA-256 of the canonical body.
    pub body_hash: [u8; 32],
}

/// SHA-256 of a JSON text in canonical form: keys sorted, no white space.
pub fn canonical_hash(json: &[u8]) -> [u8; 32] {
    let canonical = serde_json::from_slice::<Value>(json).map(|value| value.to_string());
    let bytes = canonical.as_deref().map_or(json, str::as_bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// A submission that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Id of the task.
    pub id: TaskId,
    /// Whether an earlier submission with the same key had created the task.
    pub replayed: bool,
}

/// The reasons why a submission was refused.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// No kind has this name.
    #[error("kind {0:?} is unknown")]
    UnknownKind(String),
    /// Fields of the submission are wrong; each error names its field.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<FieldError>),
    /// The args are too large.
    #[error("the args have {size} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Size of the args in bytes.
        size: usize,
        /// Largest size allowed, in bytes.
        limit: usize,
    },
    /// The key was used with another body.
    #[error("the Idempotency-Key was used before with another body")]
    KeyReused,
    /// The task could not be stored, or it is not known whether it was.
    #[error("the task could not be stored: {0}")]
    NotStored(String),
    /// An internal error of the engine.
    #[error(transparent)]
    Queue(QueueError),
}

pub(super) type InsertResult = Result<InsertAnswer, StoreError>;

/// The longest key, in characters.
const MAX_KEY_CHARS: usize = 255;
/// So many queues there may be.
const MAX_QUEUES: usize = 1_000;
/// Stored files that the items of a batch name and that are looked for at once.
const LOOKS_AT_ONCE: usize = 8;

impl Queue {
    /// Takes one task. Returns when it is durable.
    pub async fn submit(&self, command: SubmitTask) -> Result<Submitted, SubmitError> {
        let hidden = self.hidden_files(&command).await?;
        let task = self.prepare(command, hidden)?;
        self.know_queues(std::slice::from_ref(&task.task.queue)).await?;
        let id = task.task.id;
        submitted(id, self.inserts.submit(task).await)
    }

    /// Takes many, each for itself; the answers are in order.
    pub async fn submit_all(&self, commands: Vec<SubmitTask>) -> Vec<Result<Submitted, SubmitError>> {
        let looks: Vec<_> = commands.iter().map(|command| self.hidden_files(command)).collect();
        let hidden: Vec<_> = stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await;
        let prepared: Vec<_> = commands.into_iter().zip(hidden).map(|(command, hidden)| self.prepare(command, hidden?)).collect();
        let queues: Vec<QueueName> = prepared.iter().flatten().map(|task| task.task.queue.clone()).collect();
        let refused = match self.know_each(&queues).await {
            Ok(refused) => refused,
            Err(error) => {
                let reason = error.to_string();
                let not_stored = |item: Result<_, SubmitError>| item.and(Err(SubmitError::NotStored(reason.clone())));
                return prepared.into_iter().map(not_stored).collect();
            }
        };
        let mut tasks = Vec::with_capacity(prepared.len());
        let prepared: Vec<Result<TaskId, SubmitError>> = prepared
            .into_iter()
            .map(|item| {
                let task = item?;
                if let Some(field_errors) = refused.get(&task.task.queue) {
                    return Err(SubmitError::Invalid(field_errors.clone()));
                }
                let id = task.task.id;
                tasks.push(task);
                Ok(id)
            })
            .collect();
        let mut answers = self.inserts.submit_all(tasks).await.into_iter();
        prepared
            .into_iter()
            .map(|item| {
                let id = item?;
                submitted(id, answers.next().unwrap_or(Err(BatchError::Closed)))
            })
            .collect()
    }

    /// Makes queues known as far as there is room; the others, with what is wrong with them.
    pub(super) async fn know_each(&self, queues: &[QueueName]) -> Result<BTreeMap<QueueName, Vec<FieldError>>, SubmitError> {
        let mut refused = BTreeMap::new();
        match self.know_queues(queues).await {
            Ok(()) => return Ok(refused),
            // Together they are too many; first come, first served.
            Err(SubmitError::Invalid(_)) => {}
            Err(error) => return Err(error),
        }
        for queue in queues {
            if refused.contains_key(queue) {
                continue;
            }
            match self.know_queues(std::slice::from_ref(queue)).await {
                Ok(()) => {}
                Err(SubmitError::Invalid(field_errors)) => drop(refused.insert(queue.clone(), field_errors)),
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }

    /// Parses, checks and resolves a submission; `hidden` is what [`Self::hidden_files`] says of it.
    pub(super) fn prepare(&self, command: SubmitTask, hidden: Vec<FieldError>) -> Result<SubmittedTask, SubmitError> {
        match self.resolved(command) {
            Err(SubmitError::Invalid(mut field_errors)) => {
                // The file itself may be missing too.
                let messages: Vec<String> = field_errors.iter().map(|field_error| field_error.pointer.clone()).collect();
                field_errors.extend(hidden.into_iter().filter(|field_error| !messages.contains(&field_error.pointer)));
                Err(SubmitError::Invalid(field_errors))
            }
            Ok(_) if !hidden.is_empty() => Err(SubmitError::Invalid(hidden)),
            done => done,
        }
    }

    /// The args that refer to something which the principal may not read, with pointers into the body.
    pub(super) async fn hidden_files(&self, command: &SubmitTask) -> Result<Vec<FieldError>, SubmitError> {
        let Ok(kind) = self.kind_of(command) else { return Ok(Vec::new()) };
        let found = self.runner.check_access(&kind.name, &command.args, &command.principal).await;
        let found = found.map_err(SubmitError::NotStored)?;
        Ok(found.into_iter().map(|field_error| at_body(field_error, command.args_pointer)).collect())
    }

    pub(super) fn resolved(&self, command: SubmitTask) -> Result<SubmittedTask, SubmitError> {
        let kind = self.kind_of(&command)?;
        let limit = self.config.args_limit.max(kind.args_limit);
        if command.args.len() > limit {
            return Err(SubmitError::TooLarge { size: command.args.len(), limit });
        }
        let now = self.clock.now();
        let mut field_errors = Vec::new();
        if let Err(wrong) = self.runner.check(&kind.name, &command.args) {
            field_errors.extend(wrong.into_iter().map(|field_error| at_body(field_error, command.args_pointer)));
        }
        let resolved = command.options.resolve(now, |url| self.runner.check_callback(url));
        let key = command.key.map(|key| key_of(key, &mut field_errors));
        match resolved {
            Ok(options) if field_errors.is_empty() => Ok(SubmittedTask {
                task: self.new_task(&kind, command.args, options, command.principal, now),
                dispatched: false,
                key,
            }),
            Ok(_) => Err(SubmitError::Invalid(field_errors)),
            Err(wrong) => {
                field_errors.extend(wrong);
                Err(SubmitError::Invalid(field_errors))
            }
        }
    }

    fn kind_of(&self, command: &SubmitTask) -> Result<Arc<KindPolicy>, SubmitError> {
        let name = KindName::parse(&command.kind).ok();
        name.and_then(|name| self.runner.kind(&name))
            .filter(|kind| kind.is_public || command.internal)
            .ok_or_else(|| SubmitError::UnknownKind(command.kind.clone()))
    }

    fn new_task(
        &self,
        kind: &KindPolicy,
        args: String,
        options: super::options::ResolvedOptions,
        principal: Arc<str>,
        now: Timestamp,
    ) -> NewTask {
        let hard_limit = options.hard_limit.unwrap_or(kind.hard_limit);
        NewTask {
            id: TaskId::made(now),
            queue: options.queue.unwrap_or_else(|| self.queue_of(kind)),
            kind: kind.name.clone(),
            priority: options.priority,
            args,
            principal,
            submitted_at: now,
            due_at: options.due_at,
            expires_at: options.expires_at,
            max_retries: options.max_retries.unwrap_or(kind.retry.max_retries),
            hard_limit,
            soft_limit: options.soft_limit.or(kind.soft_limit).filter(|soft| *soft < hard_limit),
            callback_url: options.callback_url,
            retry_of: None,
        }
    }

    /// Makes queues known before the first task goes into them, so that workers that serve all queues look there.
    pub(super) async fn know_queues(&self, queues: &[QueueName]) -> Result<(), SubmitError> {
        let mut new: Vec<QueueName> = {
            let known = self.known_queues.read();
            queues.iter().filter(|queue| !known.contains(*queue)).cloned().collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        new.sort_unstable();
        new.dedup();
        let there = self.store.queues().await.map_err(|error| SubmitError::NotStored(error.to_string()))?;
        let unheard_of = new.iter().filter(|queue| there.iter().all(|row| row.name != **queue)).count();
        if unheard_of > 0 && there.len() + unheard_of > MAX_QUEUES {
            let detail = format!("would be one of more than {MAX_QUEUES} queues; use one that exists");
            return Err(SubmitError::Invalid(vec![FieldError::new("/queue", detail)]));
        }
        match self.store.ensure_queues(&new, self.clock.now()).await {
            Ok(any_new) => {
                self.known_queues.write().extend(new);
                if any_new {
                    self.send_signal(Signal::Queues).await;
                }
                Ok(())
            }
            Err(error) => Err(SubmitError::NotStored(error.to_string())),
        }
    }
}

/// An error of the args, as an error of the body that holds them at `args_pointer`.
fn at_body(error: FieldError, args_pointer: &str) -> FieldError {
    FieldError { pointer: format!("{args_pointer}{}", error.pointer), detail: error.detail }
}

fn submitted(id: TaskId, answer: Result<InsertResult, BatchError>) -> Result<Submitted, SubmitError> {
    match answer {
        Ok(Ok(InsertAnswer::Inserted)) => Ok(Submitted { id, replayed: false }),
        Ok(Ok(InsertAnswer::Replayed(first))) => Ok(Submitted { id: first, replayed: true }),
        Ok(Ok(InsertAnswer::KeyReused)) => Err(SubmitError::KeyReused),
        Ok(Err(error @ StoreError::Unavailable(_))) => Err(SubmitError::NotStored(error.to_string())),
        Ok(Err(error)) => Err(SubmitError::Queue(error.into())),
        Err(error) => Err(SubmitError::NotStored(error.to_string())),
    }
}

fn key_of(key: SubmitKey, field_errors: &mut Vec<FieldError>) -> IdempotencyKey {
    let printable = key.key.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if key.key.is_empty() || key.key.len() > MAX_KEY_CHARS || !printable {
        let detail = format!("is not 1 to {MAX_KEY_CHARS} printable ASCII characters");
        field_errors.push(FieldError::new("Idempotency-Key", detail));
    }
    IdempotencyKey { scope: key.scope, key: key.key.into(), body_hash: key.body_hash }
}

/// The group commit of submissions.
pub(super) struct SubmitFlush {
    pub(super) store: SharedStore,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Flush<SubmittedTask, InsertResult> for SubmitFlush {
    async fn flush(&self, mut tasks: Vec<SubmittedTask>, answers: Answers<InsertResult>) {
        // While the broker is away, rows are left to the sweep of due tasks from the start; no second write is needed for them.
        let trusted = self.dispatcher.is_trusted();
        for task in &mut tasks {
            task.dispatched = trusted && task.task.due_at <= task.task.submitted_at;
        }
        let timer = self.metrics.store_timer("insert");
        let written = self.store.insert(&tasks).await;
        drop(timer);
        let results = match written {
            Ok(results) => results,
            Err(error) => {
                answers.send(tasks.iter().map(|_| Err(error.clone())));
                return;
            }
        };
        let mut dispatches = Vec::with_capacity(tasks.len());
        for (task, result) in tasks.iter().zip(&results) {
            if matches!(result, Ok(InsertAnswer::Inserted)) {
                self.metrics.task_submitted(&task.task.kind, &task.task.queue);
                if task.dispatched {
                    dispatches.push(task.task.dispatch());
                }
            }
        }
        // Durable is what 202 promises; the dispatch follows, and holds up the next commit only.
        answers.send(results);
        self.dispatcher.dispatch_promptly(dispatches).await;
    }

    fn bytes(&self, task: &SubmittedTask) -> usize {
        task.bytes()
    }
}
