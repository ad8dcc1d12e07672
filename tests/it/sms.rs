//! Text messages: what providers are told and what their answers mean, and that nobody gets one twice.

mod bulk;
mod gateway;
mod provider;
mod send;

use std::sync::Arc;

use legwork::app::build_services;
use legwork::config::Config;
use legwork::kinds::{KindSet, TaskContext, TaskKind};
use legwork_engine::clock::{Clock, ManualClock};
use legwork_engine::domain::{Attempt, FieldError, KindName, TaskFailure};
use serde_json::{Value, json};

use crate::support::context::context;

/// Links to files are signed.
const SECRET: &str = "a-secret-of-the-sms-tests-long-enough";

/// One task's attempts, without an engine.
struct Bench {
    kind: Arc<TaskKind>,
    cx: TaskContext,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(kind: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let more = [
            ("DATA_DIR", folder.path().to_str().unwrap()),
            ("OUTBOUND_ALLOW", "127.0.0.0/8"),
            ("SMS_TIMEOUT", "20s"),
            ("FILES_SECRET", SECRET),
        ];
        let vars = more.iter().chain(settings).map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()));
        let services = build_services(&Config::read(vars.collect()).unwrap(), &clock).unwrap();
        let kind = KindSet::compiled().get(&KindName::parse(kind).unwrap()).unwrap().clone();
        let cx = context(&kind.policy.name, services, clock);
        Self { kind, cx, folder }
    }

    /// `sms.send` through Hubtel at `url`.
    fn hubtel(url: &str) -> Self {
        Self::new("sms.send", &hubtel(url))
    }

    /// `sms.send` through a provider at `url`, by templates.
    fn http(url: &str, settings: &[(&str, &str)]) -> Self {
        let mut all = vec![("SMS_PROVIDER", "http"), ("SMS_HTTP_URL", url)];
        all.extend(settings);
        Self::new("sms.send", &all)
    }

    async fn run(&self, attempt: i32, args: &Value) -> Result<Value, TaskFailure> {
        let cx = TaskContext { attempt: Attempt(attempt), ..self.cx.clone() };
        self.kind.run(&args.to_string(), cx)?.await
    }

    fn field_errors(&self, args: &Value) -> Vec<FieldError> {
        self.kind.check(&args.to_string(), &self.cx.services).err().unwrap_or_default()
    }
}

fn hubtel(url: &str) -> [(&str, &str); 4] {
    [("SMS_PROVIDER", "hubtel"), ("HUBTEL_URL", url), ("HUBTEL_CLIENT_ID", "client"), ("HUBTEL_CLIENT_SECRET", "s3cret")]
}

fn body() -> Value {
    json!({ "phone_number": "+233201234567", "message": "Your code is 123456" })
}

/// Word, and whether another attempt follows.
fn failed(outcome: &Result<Value, TaskFailure>) -> (String, bool) {
    match outcome {
        Err(TaskFailure::Fail(error)) => (error.kind.clone(), false),
        Err(TaskFailure::Retry { error, .. }) => (error.kind.clone(), true),
        other => panic!("{other:?} is no failure"),
    }
}
