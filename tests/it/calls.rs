//! Kinds that reach into the application: signed calls.

mod corpus;
mod http_call;

use std::sync::Arc;

use legwork::app::build_services;
use legwork::config::Config;
use legwork::kinds::{KindSet, TaskContext, TaskKind};
use legwork::services::Services;
use legwork_engine::clock::{Clock, ManualClock};
use legwork_engine::domain::{FieldError, KindName, TaskFailure};
use legwork_outbound::Fetcher;
use serde_json::Value;

use crate::support::context::context;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One task's attempts, without an engine.
struct Bench {
    kind: Arc<TaskKind>,
    cx: TaskContext,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// A task of `kind` that may call the addresses `allow`.
    fn new(kind: &str, allow: &str) -> Self {
        Self::with(kind, &[("OUTBOUND_ALLOW", allow), ("WEBHOOK_SECRET", SECRET)], |_| {})
    }

    /// The same, with names looked up by `fetcher`.
    fn looking_up(kind: &str, fetcher: Fetcher) -> Self {
        Self::with(kind, &[("WEBHOOK_SECRET", SECRET)], |services| services.fetcher = fetcher)
    }

    fn with(kind: &str, settings: &[(&str, &str)], change: impl FnOnce(&mut Services)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = [
            ("DATA_DIR", folder.path().to_str().unwrap()),
            ("FILES_SECRET", "a secret of the tests that signs the links to files"),
        ];
        let vars = settings.iter().chain(&place).map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()));
        let mut services = build_services(&Config::read(vars.collect()).unwrap(), &clock).unwrap();
        change(&mut services);
        let kind = KindSet::compiled().get(&KindName::parse(kind).unwrap()).unwrap().clone();
        let cx = context(&kind.policy.name, services, clock);
        Self { kind, cx, _folder: folder }
    }

    async fn run(&self, args: &Value) -> Result<Value, TaskFailure> {
        self.kind.run(&args.to_string(), self.cx.clone())?.await
    }

    fn field_errors(&self, args: &Value) -> Vec<FieldError> {
        self.kind.check(&args.to_string(), &self.cx.services).err().unwrap_or_default()
    }
}

/// Word, message, and whether another attempt follows.
fn failed(outcome: Result<Value, TaskFailure>) -> (String, String, bool) {
    match outcome {
        Err(TaskFailure::Fail(error)) => (error.kind, error.message, false),
        Err(TaskFailure::Retry { error, .. }) => (error.kind, error.message, true),
        other => panic!("{other:?} is no failure"),
    }
}
