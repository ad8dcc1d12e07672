//! The compiled kinds as the code that the engine runs.

use std::sync::Arc;

use async_trait::async_trait;
use legwork_engine::domain::{FieldError, FilePath, KindName, TaskFailure};
use legwork_engine::{AttemptContext, KindPolicy, RunFuture, TaskRunner};
use serde_json::Value;

use super::upkeep::EngineUpkeep;
use super::{KindSet, TaskContext};
use crate::files::{FileError, FileService, FileUpkeep, TaskFiles};
use crate::services::Services;

/// Runs the kinds of a process.
pub struct KindRunner {
    /// The kinds.
    pub kinds: KindSet,
    /// What kinds may use.
    pub services: Arc<Services>,
    /// The stored files.
    pub files: FileService,
    /// Removes files that nobody needs.
    pub upkeep: FileUpkeep,
}

impl KindRunner {
    fn context(&self, attempt: AttemptContext) -> TaskContext {
        let engine = &attempt.engine;
        TaskContext {
            services: self.services.clone(),
            ledger: engine.mail_ledger(),
            effects: engine.effect_records(),
            files: TaskFiles {
                file_service: self.files.clone(),
                task: attempt.task,
                attempt: attempt.attempt,
                principal: attempt.principal,
                clock: attempt.clock.clone(),
            },
            upkeep: Arc::new(EngineUpkeep { engine: engine.clone(), files: self.upkeep.clone() }),
            recipients: engine.recipient_ledger(),
            suppressions: Some(engine.suppressions()),
            task: attempt.task,
            attempt: attempt.attempt,
            kind: attempt.kind,
            submitted_at: attempt.submitted_at,
            retry_origin: attempt.retry_origin,
            retries_left: attempt.retries_left,
            deadline: Some(attempt.deadline),
            clock: attempt.clock,
            stop: attempt.stop,
            progress: attempt.progress,
            children: attempt.children,
        }
    }
}

#[async_trait]
impl TaskRunner for KindRunner {
    fn kind(&self, name: &KindName) -> Option<Arc<KindPolicy>> {
        self.kinds.get(name).map(|kind| kind.policy.clone())
    }

    fn kinds(&self) -> Vec<Arc<KindPolicy>> {
        self.kinds.iter().map(|kind| kind.policy.clone()).collect()
    }

    fn check(&self, kind: &KindName, args: &str) -> Result<(), Vec<FieldError>> {
        self.kinds.get(kind).map_or(Ok(()), |kind| kind.check(args, &self.services))
    }

    /// An arg that names a file of another principal gets the same error as one that names a missing file. Where the presence of a file
    /// cannot be checked at submission (a bucket), the attempt finds out about both.
    async fn check_access(&self, kind: &KindName, args: &str, principal: &str) -> Result<Vec<FieldError>, String> {
        let pointers = self.kinds.get(kind).map_or_else(Vec::new, |kind| kind.files.clone());
        if pointers.is_empty() || !self.services.files.can_check_presence() {
            return Ok(Vec::new());
        }
        let args: Value = serde_json::from_str(args).unwrap_or_default();
        let mut errors = Vec::new();
        for (pointer, text) in pointers.iter().flat_map(|pointer| texts_at(&args, pointer)) {
            let Ok(path) = FilePath::parse(text) else { continue };
            let is_open = self.files.is_open_to(&path, principal).await;
            if !is_open.map_err(|error| error.to_string())? {
                errors.push(FieldError::new(pointer, FileError::NotFound(path).to_string()));
            }
        }
        Ok(errors)
    }

    fn check_callback(&self, url: &str) -> Result<(), String> {
        // The parser of URLs drops some control characters without an error.
        if url.chars().any(char::is_control) {
            return Err("holds a control character; a URL has none".into());
        }
        if self.services.webhook_signer.is_none() {
            return Err("cannot be used: callbacks are signed, and no WEBHOOK_SECRET is set".into());
        }
        self.services.fetcher.check_url(url).map(drop)
    }

    fn start(&self, attempt: AttemptContext, args: &str) -> Result<RunFuture, TaskFailure> {
        let Some(kind) = self.kinds.get(&attempt.kind) else {
            return Err(TaskFailure::fail("UnknownKind", format!("no worker knows the kind {}", attempt.kind)));
        };
        kind.run(args, self.context(attempt))
    }
}

/// The texts at a pointer, each with its own pointer. A pointer that ends in `/*` names all items of a list.
fn texts_at<'a>(args: &'a Value, pointer: &str) -> Vec<(String, &'a str)> {
    let texts: Vec<(String, Option<&str>)> = match pointer.strip_suffix("/*") {
        None => vec![(pointer.to_owned(), args.pointer(pointer).and_then(Value::as_str))],
        Some(list) => {
            let items = args.pointer(list).and_then(Value::as_array).into_iter().flatten();
            items.enumerate().map(|(index, item)| (format!("{list}/{index}"), item.as_str())).collect()
        }
    };
    texts.into_iter().filter_map(|(pointer, text)| Some((pointer, text?))).collect()
}
