//! `legwork import`: takes over the schedules of another system, through the API of a running server.

mod celery_beat;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::{Args, Subcommand};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use self::celery_beat::{Mapped, Mapping, TaskKinds};
use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::config::Config;
use legwork_engine::clock::{Clock as _, SyncedClock};
use legwork_engine::domain::FieldError;
use legwork_source::{Now, Source};

const COLUMNS: [&str; 4] = ["name", "outcome", "kind", "reason"];
/// The fields of a schedule that `POST /schedules/preview` takes.
const TIMING_FIELDS: [&str; 5] = ["crontab", "interval", "clocked", "solar", "timezone"];

/// Take over the schedules of another system
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork import celery-beat --database postgres://shop@localhost/shop --dry-run
  legwork import celery-beat --database sqlite:db.sqlite3 --map shop.tasks.send_invoices=shop.send_invoices

A password on the command line can be seen by other users of this machine: Postgres takes it from PGPASSWORD or from ~/.pgpass as well.")]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    command: ImportCommand,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Add a schedule for each periodic task of django-celery-beat; the exit code is 1 where one cannot be added
    CeleryBeat(CeleryBeatArgs),
}

#[derive(Debug, Args)]
struct CeleryBeatArgs {
    /// The database of the Django application: <postgres://user@host/database> or sqlite:path
    #[arg(long, value_name = "URL")]
    database: SecretString,
    /// The kind for a Celery task; may be repeated
    #[arg(long = "map", value_name = "TASK=KIND", value_parser = pair)]
    maps: Vec<(String, String)>,
    /// Add nothing; report what would be added
    #[arg(long)]
    dry_run: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').map(|(task, kind)| (task.trim(), kind.trim())) {
        Some((task, kind)) if !task.is_empty() && !kind.is_empty() => Ok((task.to_owned(), kind.to_owned())),
        _ => Err("must be the name of a Celery task and of a kind, as in shop.tasks.send_invoices=shop.send_invoices".to_owned()),
    }
}

/// What became of a periodic task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Added,
    WouldAdd,
    /// A schedule has the name, and is left alone.
    Exists,
    NotNeeded,
    NotImported,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Added, Self::WouldAdd, Self::Exists, Self::NotNeeded, Self::NotImported];

    fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::WouldAdd => "would add",
            Self::Exists => "exists",
            Self::NotNeeded => "not needed",
            Self::NotImported => "not imported",
        }
    }
}

/// A line of the report.
struct Line {
    name: String,
    task: String,
    kind: Option<String>,
    outcome: Outcome,
    /// Why, and what changed on the way.
    reasons: Vec<String>,
}

pub(super) async fn run(args: ImportArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let ImportCommand::CeleryBeat(args) = args.command;
    let clock = SyncedClock::start();
    let now = clock.now();
    let told: Now = Arc::new(move || now);
    let source = Source::connect("--database", &args.database, &told).map_err(|error| CliError::Usage(error.to_string()))?;
    let server = Server::read(Client::new(&config)?).await?;
    let kinds = server.task_kinds(&args.maps)?;
    let tables = celery_beat::read(&source).await?;
    let mut lines = Vec::new();
    for mapped in tables.mapped(&kinds, now) {
        lines.push(server.import(mapped, args.dry_run).await?);
    }
    output.print(&report(&lines), |report| {
        output::item_table(report, &COLUMNS, |line, column| match column {
            "reason" => output::cell(&line["reasons"].as_array().map(|reasons| joined(reasons)).unwrap_or_default().into()),
            column => output::cell(&line[column]),
        })
    })?;
    if lines.iter().any(|line| line.outcome == Outcome::NotImported) { Err(CliError::Shown) } else { Ok(()) }
}

fn joined(reasons: &[Value]) -> String {
    reasons.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
}

fn report(lines: &[Line]) -> Value {
    let mut report = Map::new();
    for outcome in Outcome::ALL {
        let count = lines.iter().filter(|line| line.outcome == outcome).count();
        report.insert(outcome.as_str().replace(' ', "_"), count.into());
    }
    let items = lines.iter().map(|line| {
        let Line { name, task, kind, outcome, reasons } = line;
        json!({ "name": name, "task": task, "kind": kind, "outcome": outcome.as_str(), "reasons": reasons })
    });
    report.insert("items".to_owned(), items.collect());
    Value::Object(report)
}

/// A server with its kinds and schedules.
struct Server {
    client: Client,
    kinds: Vec<Value>,
    schedules: Vec<Value>,
}

impl Server {
    async fn read(client: Client) -> Result<Self, CliError> {
        let mut kinds = client.send(ApiRequest::new(Method::GET, &["tasks", "kinds"])).await?;
        let kinds = kinds["kinds"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let schedules = client.list(&["schedules"], &[], usize::MAX).await?;
        Ok(Self { client, kinds, schedules })
    }

    /// Which kind does the work of which Celery task. A kind of `--map` that the server does not know is a mistake of the command line.
    fn task_kinds(&self, maps: &[(String, String)]) -> Result<TaskKinds, CliError> {
        let mut declared: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut names = BTreeSet::new();
        for kind in &self.kinds {
            let name = kind["kind"].as_str().unwrap_or_default();
            names.insert(name.to_owned());
            if let Some(task) = kind["celery_task"].as_str() {
                declared.entry(task.to_owned()).or_default().push(name.to_owned());
            }
        }
        if let Some((task, kind)) = maps.iter().find(|(_, kind)| !names.contains(kind)) {
            return Err(CliError::Usage(format!(
                "--map {task}={kind}: the server has no kind {kind:?}; `legwork kind list` shows all kinds"
            )));
        }
        Ok(TaskKinds { chosen: maps.iter().cloned().collect(), declared, names })
    }

    async fn import(&self, mapped: Mapped, dry_run: bool) -> Result<Line, CliError> {
        let Mapped { name, task, mapping } = mapped;
        let (kind, outcome, reasons) = match mapping {
            Mapping::NotNeeded(reason) => (None, Outcome::NotNeeded, vec![reason]),
            Mapping::Impossible(_) | Mapping::Schedule { .. }
                if self.schedules.iter().any(|one| one["name"] == name.as_str()) =>
            {
                (None, Outcome::Exists, vec![exists()])
            }
            Mapping::Impossible(reasons) => (None, Outcome::NotImported, reasons),
            Mapping::Schedule { body, notes } => {
                let kind = body.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
                let (outcome, reasons) = if dry_run { self.check(&body).await? } else { self.add(body).await? };
                let notes = if outcome == Outcome::NotImported { Vec::new() } else { notes };
                let twins = self.twins(&kind).into_iter().filter(|_| matches!(outcome, Outcome::Added | Outcome::WouldAdd));
                (Some(kind), outcome, reasons.into_iter().chain(notes).chain(twins).collect())
            }
        };
        Ok(Line { name, task, kind, outcome, reasons })
    }

    /// Adds a schedule. What the server refuses is a line of the report, and the others go on.
    async fn add(&self, body: Map<String, Value>) -> Result<(Outcome, Vec<String>), CliError> {
        match self.client.send(ApiRequest::new(Method::POST, &["schedules"]).body(Value::Object(body))).await {
            Ok(_) => Ok((Outcome::Added, Vec::new())),
            Err(CliError::Refused { status: 409, code, .. }) if code == "name_taken" => Ok((Outcome::Exists, vec![exists()])),
            Err(error) => refused(error),
        }
    }

    /// Checks what can be checked without adding it: the timing, and the args by the schema of the kind.
    async fn check(&self, body: &Map<String, Value>) -> Result<(Outcome, Vec<String>), CliError> {
        let kind = self.kinds.iter().find(|kind| Some(&kind["kind"]) == body.get("kind"));
        let errors = kind.zip(body.get("args")).map(|(kind, args)| schema_errors(&kind["args_schema"], args)).unwrap_or_default();
        if !errors.is_empty() {
            return Ok((Outcome::NotImported, errors));
        }
        let timing: Map<String, Value> =
            TIMING_FIELDS.iter().filter_map(|&field| Some((field.to_owned(), body.get(field)?.clone()))).collect();
        match self.client.send(ApiRequest::new(Method::POST, &["schedules", "preview"]).body(Value::Object(timing))).await {
            Ok(_) => Ok((Outcome::WouldAdd, Vec::new())),
            Err(error) => refused(error),
        }
    }

    /// Schedules of packs that make tasks of the same kind: both would fire.
    fn twins(&self, kind: &str) -> Option<String> {
        let twin = self.schedules.iter().find(|one| one["kind"] == kind && one["enabled"] == true && one["pack"].is_string())?;
        let (name, pack) = (output::cell(&twin["name"]), output::cell(&twin["pack"]));
        Some(format!(
            "the schedule {name:?} of the pack {pack} runs the same kind: disable one of them if they stand for the same work"
        ))
    }
}

fn exists() -> String {
    "a schedule has this name and is left as it is".to_owned()
}

/// The reasons of a refusal; other errors end the import.
fn refused(error: CliError) -> Result<(Outcome, Vec<String>), CliError> {
    match error {
        CliError::Refused { status: 400 | 409 | 413 | 422, detail, errors, .. } => {
            let line = |error: &FieldError| format!("{}: {}", error.pointer, error.detail);
            let reasons = if errors.is_empty() { vec![detail] } else { errors.iter().map(line).collect() };
            Ok((Outcome::NotImported, reasons))
        }
        other => Err(other),
    }
}

/// What the schema of a kind finds wrong with args. A schema that cannot be used finds nothing; the server checks args anyway.
fn schema_errors(schema: &Value, args: &Value) -> Vec<String> {
    let Ok(validator) = jsonschema::options().build(schema) else { return Vec::new() };
    validator.iter_errors(args).map(|error| format!("/args{}: {error}", error.instance_path())).collect()
}
