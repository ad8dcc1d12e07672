//! `legwork run`: a task in the foreground, with the services of a worker, and neither a server nor a row in a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::Args;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::kind_args::{ARG_HELP, KindArgs};
use super::output::{self, OutputArgs};
use super::{CliError, Vars};
use crate::app;
use crate::config::{Config, packs_value, parse_duration};
use crate::files::{FileService, TaskFiles};
use crate::kinds::upkeep::NoEngine;
use crate::kinds::{Child, ChildEnd, Children, KindSet, NoChildren, ProgressSink, TaskContext, TaskKind};
use crate::packs::LoadedPacks;
use crate::services::Services;
use legwork_engine::clock::{Clock, SyncedClock};
use legwork_engine::domain::{Attempt, ErrorReport, KindName, Principal, Progress, TaskFailure, TaskId};
use legwork_engine::store::transient::{TransientFiles, TransientLedger};

/// Run a task in the foreground, without a server
///
/// Checks the args, runs the kind in the foreground, and prints its result. Nothing is kept of it. Ctrl-C asks it to stop, a second one ends it.
/// A failed attempt is tried again, after the kind's own delays, only where --max-retries says so.
#[derive(Debug, Args)]
#[command(after_help = format!("\
{ARG_HELP}

Examples:
  legwork run system.echo --arg hello=world
  legwork run system.sleep --arg seconds=2
  legwork run blt.send_weekly_stats --pack packs/blt
  legwork run email.send --arg recipient_email=ann@example.org --arg subject=Hello --arg template_name=notification \\
      --arg context.message='Come and see'"))]
pub(super) struct RunArgs {
    /// The kind, as in email.send
    kind: String,
    #[command(flatten)]
    args: KindArgs,
    /// Retries after the first attempt
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_retries: u16,
    /// End an attempt after this time, as in 30s; by default the kind's limit
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    time_limit: Option<Duration>,
    /// A folder of a pack; may be repeated [PACKS]
    #[arg(long = "pack", value_name = "FOLDER")]
    packs: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl RunArgs {
    /// The settings that its flags change.
    pub(super) fn put_into(&self, mut vars: Vars) -> Vars {
        if !self.packs.is_empty() {
            vars.insert("PACKS".into(), packs_value(&self.packs));
        }
        vars
    }
}

pub(super) async fn run(args: RunArgs, mut config: Config) -> Result<(), CliError> {
    let packs = LoadedPacks::load(&config.packs, &config.render, &mut config.sources).map_err(app::AppError::from)?;
    let kinds = KindSet::with(packs.kinds());
    let kind = find(&kinds, &args.kind)?;
    if kind.needs_engine {
        let name = &kind.policy.name;
        return Err(CliError::Usage(format!("{name} asks the running server: submit it instead, with legwork submit {name}")));
    }
    let object = args.args.text_for(&kind.json_schema)?;
    let config = app::with_secrets(config)?;
    let clock: Arc<dyn Clock> = Arc::new(SyncedClock::start());
    let services = Arc::new(app::build_services(&config, &clock)?);
    packs.lend_templates(&services.renderer);
    kind.check(&object, &services)
        .map_err(|errors| CliError::BadArgs { detail: format!("the args do not fit {}", kind.policy.name), errors })?;
    let limit = args.time_limit.unwrap_or(kind.policy.hard_limit);
    let foreground = Foreground::new(kinds, kind, object, services.clone(), limit);
    let ended = foreground.to_the_end(args.max_retries).await;
    services.sources.close().await;
    services.mailer.close().await;
    let result = ended?;
    args.output.print(&result, |result| output::fields(result, &["success", "message"]))
}

fn find(kinds: &KindSet, name: &str) -> Result<Arc<TaskKind>, CliError> {
    let known = KindName::parse(name).ok().and_then(|name| kinds.get(&name)).filter(|kind| kind.policy.is_public);
    known.ok_or_else(|| {
        let names: Vec<String> = kinds.public().map(|kind| kind.policy.name.to_string()).collect();
        let packs = "A kind of a pack needs --pack FOLDER, or PACKS";
        CliError::Usage(format!("the kind {name:?} is unknown here. {packs}. Known are {}", names.join(", ")))
    })
}

/// A task that runs here.
struct Foreground {
    kind: Arc<TaskKind>,
    args: String,
    limit: Duration,
    clock: Arc<SyncedClock>,
    cx: TaskContext,
}

impl Foreground {
    fn new(kinds: KindSet, kind: Arc<TaskKind>, args: String, services: Arc<Services>, limit: Duration) -> Self {
        let clock = Arc::new(SyncedClock::start());
        let task = TaskId::made(clock.now());
        let ledger = Arc::new(TransientLedger::default());
        let files = TaskFiles {
            file_service: FileService::new(services.files.clone(), Arc::new(TransientFiles::default())),
            task,
            attempt: Attempt(1),
            principal: Principal::system().subject,
            clock: clock.clone(),
        };
        let alone = TaskContext {
            task,
            attempt: Attempt(1),
            kind: kind.policy.name.clone(),
            submitted_at: clock.now(),
            retry_origin: None,
            retries_left: 0,
            deadline: None,
            services,
            ledger: ledger.clone(),
            effects: ledger.clone(),
            recipients: ledger,
            suppressions: None,
            files,
            upkeep: Arc::new(NoEngine),
            clock: clock.clone(),
            stop: CancellationToken::new(),
            progress: Arc::new(StderrProgress),
            children: Arc::new(NoChildren),
        };
        let children = AtOnce { kinds, cx: alone.clone(), done: tokio::sync::Mutex::default() };
        let cx = TaskContext { children: Arc::new(children), ..alone };
        Self { kind, args, limit, clock, cx }
    }

    /// Attempts until one succeeds, or none may follow.
    async fn to_the_end(&self, max_retries: u16) -> Result<Value, CliError> {
        let (mut retries, mut attempt) = (0, 0);
        loop {
            attempt += 1;
            let (error, after) = match self.attempt(attempt, max_retries - retries).await? {
                Ok(result) => return Ok(result),
                Err(TaskFailure::Later { after }) => {
                    output::say(&format!("it goes on in {} s", after.as_secs_f64().ceil()));
                    pause(after).await?;
                    continue;
                }
                Err(TaskFailure::Retry { error, after }) if retries < max_retries => (error, after),
                Err(TaskFailure::Retry { error, .. } | TaskFailure::Fail(error)) => return Err(failed(&error)),
                Err(TaskFailure::Stopped) => return Err(CliError::Failed("stopped".into())),
            };
            let delay = self.kind.policy.retry.delay(retries, self.clock.chance(), after);
            output::say(&format!("{}: {}; retry {} in {} s", error.kind, error.message, retries + 1, delay.as_secs()));
            pause(delay).await?;
            retries += 1;
        }
    }

    async fn attempt(&self, attempt: i32, retries_left: u16) -> Result<Result<Value, TaskFailure>, CliError> {
        let mut cx = self.cx.clone();
        cx.attempt = Attempt(attempt);
        cx.retries_left = retries_left;
        cx.deadline = cx.clock.now().checked_add(self.limit).ok();
        cx.files.attempt = cx.attempt;
        let span = tracing::info_span!("attempt", task.id = %cx.task, task.kind = %cx.kind, attempt = %cx.attempt);
        let stop = cx.stop.clone();
        let work = match self.kind.run(&self.args, cx) {
            Ok(work) => tokio::spawn(work.instrument(span)),
            Err(failure) => return Ok(Err(failure)),
        };
        let handle = work.abort_handle();
        tokio::select! {
            ended = work => ended.map_err(|error| CliError::Failed(format!("the task ended badly: {error}"))),
            () = tokio::time::sleep(self.limit) => {
                handle.abort();
                Err(CliError::Failed(format!("it ran past its limit of {} s", self.limit.as_secs_f64())))
            }
            () = interrupted(&stop) => {
                handle.abort();
                Err(CliError::Failed("ended at once".into()))
            }
        }
    }
}

/// Waits before the next attempt.
async fn pause(delay: Duration) -> Result<(), CliError> {
    tokio::select! {
        () = tokio::time::sleep(delay) => Ok(()),
        _ = tokio::signal::ctrl_c() => Err(CliError::Failed("stopped while it waited for its next attempt".into())),
    }
}

/// The first Ctrl-C asks the work to stop; the second one resolves this.
async fn interrupted(stop: &CancellationToken) {
    for is_first in [true, false] {
        if tokio::signal::ctrl_c().await.is_err() {
            return std::future::pending().await;
        }
        if is_first {
            output::say("Asked to stop; Ctrl-C again ends it at once.");
            stop.cancel();
        }
    }
}

fn failed(error: &ErrorReport) -> CliError {
    CliError::Failed(format!("{}: {}", error.kind, error.message))
}

/// Tells progress on standard error.
struct StderrProgress;

impl ProgressSink for StderrProgress {
    fn report(&self, Progress { done, total, message }: Progress) {
        let of = total.map(|total| format!("/{total}")).unwrap_or_default();
        let message = message.map(|text| format!(" {text}")).unwrap_or_default();
        output::say(&format!("progress {done}{of}{message}"));
    }
}

/// Runs what a task submits at once and here, once a part.
struct AtOnce {
    kinds: KindSet,
    /// The submitter's. What it submits has an `AtOnce` of its own.
    cx: TaskContext,
    done: tokio::sync::Mutex<BTreeMap<String, (TaskId, Value)>>,
}

#[async_trait]
impl Children for AtOnce {
    async fn submit(&self, children: Vec<Child>) -> Vec<Result<TaskId, TaskFailure>> {
        let mut done = self.done.lock().await;
        let mut answers = Vec::with_capacity(children.len());
        for child in children {
            let part = child.part.clone();
            let answer = match done.get(&part) {
                Some((id, _)) => Ok(*id),
                None => self.run(child).await.map(|(id, result)| {
                    done.insert(part, (id, result));
                    id
                }),
            };
            answers.push(answer);
        }
        answers
    }

    async fn ended(&self, child: TaskId, _wait: Duration) -> Result<Option<ChildEnd>, TaskFailure> {
        let done = self.done.lock().await;
        let result = done.values().find(|(id, _)| *id == child).map(|(_, result)| result.clone());
        Ok(Some(result.map_or(ChildEnd::Forgotten, ChildEnd::Success)))
    }
}

impl AtOnce {
    async fn run(&self, child: Child) -> Result<(TaskId, Value), TaskFailure> {
        let kind = find(&self.kinds, &child.kind).map_err(|error| TaskFailure::fail("BadChild", error))?;
        let args = child.args.to_string();
        if let Err(field_errors) = kind.check(&args, &self.cx.services) {
            let reported: Vec<String> =
                field_errors.into_iter().map(|field_error| format!("{} {}", field_error.pointer, field_error.detail)).collect();
            return Err(TaskFailure::fail("BadChild", reported.join("; ")));
        }
        let now = self.cx.clock.now();
        let id = TaskId::made(now);
        let files = TaskFiles { task: id, attempt: Attempt(1), ..self.cx.files.clone() };
        let cx = TaskContext {
            task: id,
            attempt: Attempt(1),
            retries_left: 0,
            kind: kind.policy.name.clone(),
            submitted_at: now,
            files,
            ..self.cx.clone()
        };
        let children = Self { kinds: self.kinds.clone(), cx: cx.clone(), done: tokio::sync::Mutex::default() };
        let cx = TaskContext { children: Arc::new(children), ..cx };
        let result = kind.run(&args, cx)?.await?;
        output::say(&format!("{} {}: {}", kind.policy.name, child.part, result["message"].as_str().unwrap_or("done")));
        Ok((id, result))
    }
}
