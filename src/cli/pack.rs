//! `legwork pack`: checks packs, makes a new one, shows what those of the configuration declare, and reloads those of a running server.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use legwork_pack::{Fault, PackSet, pack_schema, starter};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{ApiRequest, Client, ClientArgs};
use super::output::{Format, OutputArgs, print};
use super::{CliError, Vars, in_runtime, output};
use crate::config::{Config, Purpose, packs_value};
use crate::packs::{LoadedPacks, host, rehearse};
use legwork_engine::clock::{Clock as _, SyncedClock};

/// Check packs, make a new one, and show what packs declare
///
/// A pack is a folder that declares kinds of tasks, their schedules and the database that they work on. docs/packs.md describes it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork pack new shop
  legwork pack check shop
  legwork pack list --pack shop
  legwork pack reload
  legwork pack schema > pack.schema.json")]
pub(super) struct PackArgs {
    #[command(subcommand)]
    command: PackCommand,
}

#[derive(Debug, Subcommand)]
enum PackCommand {
    /// List every mistake of packs, with file, line and column; the exit code is 1 where there is any
    ///
    /// The statements are prepared for a database in memory, made of the scripts `schema` and `demo` of the source.
    Check(CheckArgs),
    /// Make a small pack that works, in a folder of its name
    New {
        /// The name: a-z, 0-9 and -
        name: String,
    },
    /// List the packs with their kinds and schedules
    List(ListArgs),
    /// Read the packs of a running server anew; a mistake changes nothing and is shown
    Reload(ClientArgs),
    /// Print the JSON Schema of pack.toml, for editors
    Schema,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The folders
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// A folder of a pack; may be repeated [PACKS]
    #[arg(long = "pack", value_name = "FOLDER")]
    packs: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: PackArgs, vars: Vars) -> Result<(), CliError> {
    match args.command {
        PackCommand::Check(args) => in_runtime(check(args, vars)),
        PackCommand::New { name } => new(&name),
        PackCommand::List(args) => list(&args, vars),
        PackCommand::Reload(client) => {
            let output = client.output;
            let config = super::configured(Purpose::Command, client.put_into(vars))?;
            in_runtime(reload(config, output))
        }
        PackCommand::Schema => print(&format!("{:#}\n", pack_schema())),
    }
}

async fn check(args: CheckArgs, vars: Vars) -> Result<(), CliError> {
    let config = Config::read_for(Purpose::Command, vars)?;
    let now = SyncedClock::start().now();
    let host = host(&config.packs, &config.render, Some(now)).map_err(|error| CliError::Failed(error.to_string()))?;
    let checked = PackSet::load(&args.folders, &host);
    let faults: Vec<Fault> = match &checked {
        Ok(set) => rehearse(set, now).await,
        Err(faults) => faults.iter().cloned().collect(),
    };
    if args.output.format == Format::Json {
        let list: Vec<Value> = faults.iter().map(of_fault).collect();
        print(&format!("{:#}\n", json!({ "faults": list })))?;
        return if faults.is_empty() { Ok(()) } else { Err(CliError::Shown) };
    }
    match checked {
        Ok(set) if faults.is_empty() => {
            let (kinds, schedules) = (set.kinds().count(), set.schedules().count());
            print(&format!("{} packs, {kinds} kinds and {schedules} schedules are right.\n", set.packs().len()))
        }
        _ => Err(CliError::Failed(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))),
    }
}

fn of_fault(fault: &Fault) -> Value {
    json!({
        "file": fault.place.file,
        "line": fault.place.line,
        "column": fault.place.column,
        "field": fault.field,
        "message": fault.message,
    })
}

fn new(name: &str) -> Result<(), CliError> {
    let files = starter(name).map_err(|error| CliError::Usage(error.to_string()))?;
    let folder = Path::new(name);
    if folder.exists() {
        return Err(CliError::Usage(format!("{name} is there already. Give another name, or remove it first")));
    }
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(CliError::io(format!("{} could not be made", parent.display())))?;
        }
        std::fs::write(&path, text).map_err(CliError::io(format!("{} could not be written", path.display())))?;
    }
    print(&format!("The pack is in the folder {name}.\n  legwork pack check {name}\n  legwork serve --pack {name}\n"))
}

async fn reload(config: Config, output: OutputArgs) -> Result<(), CliError> {
    let answer = Client::new(&config)?.send(ApiRequest::new(Method::POST, &["packs", "reload"])).await?;
    output.print(&answer, |answer| {
        let row = |pack: &Value| {
            let count = |field: &str| pack[field].as_array().map_or(0, Vec::len).to_string();
            vec![output::cell(&pack["name"]), count("kinds"), count("schedules")]
        };
        let rows: Vec<_> = answer["items"].as_array().into_iter().flatten().map(row).collect();
        output::table(&["pack", "kinds", "schedules"], &rows)
    })
}

fn list(args: &ListArgs, mut vars: Vars) -> Result<(), CliError> {
    if !args.packs.is_empty() {
        vars.insert("PACKS".into(), packs_value(&args.packs));
    }
    let mut config = Config::read_for(Purpose::Command, vars)?;
    let packs = LoadedPacks::load(&config.packs, &config.render, &mut config.sources)
        .map_err(|error| CliError::Failed(error.to_string()))?;
    let described: Vec<Value> = packs.set().packs().iter().map(described).collect();
    args.output.print(&json!({ "packs": described }), |answer| {
        let mut rows = Vec::new();
        for pack in answer["packs"].as_array().into_iter().flatten() {
            for kind in pack["kinds"].as_array().into_iter().flatten() {
                let cells = [&pack["name"], &kind["kind"], &kind["runner"]].map(output::cell);
                rows.push(cells.to_vec());
            }
        }
        output::table(&["pack", "kind", "runner"], &rows)
    })
}

/// A pack for people and programs; settings are named and not shown, because they may be secret.
fn described(pack: &legwork_pack::Pack) -> Value {
    let kinds: Vec<Value> = pack
        .kinds
        .iter()
        .map(|kind| json!({ "kind": kind.name, "runner": kind.runner.as_str(), "description": kind.description }))
        .collect();
    let schedules: Vec<Value> = pack
        .schedules
        .iter()
        .map(|schedule| json!({ "name": schedule.name, "kind": schedule.kind, "enabled": schedule.enabled }))
        .collect();
    json!({
        "name": pack.name,
        "description": pack.description,
        "timezone": pack.timezone,
        "sources": pack.sources.iter().map(|source| source.name.clone()).collect::<Vec<_>>(),
        "kinds": kinds,
        "schedules": schedules,
    })
}
