//! `legwork kind`: the kinds of a running server.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::config::Config;

const COLUMNS: [&str; 3] = ["kind", "queue", "description"];
const ARG_COLUMNS: [&str; 4] = ["arg", "type", "required", "description"];
/// Fields of a kind that are shown before its args.
const FIRST_FIELDS: [&str; 7] = ["kind", "description", "route", "queue", "max_retries", "time_limit", "soft_time_limit"];

/// List the kinds of tasks, and show what one takes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork kind list
  legwork kind show email.send
  legwork kind show email.send --format json")]
pub(super) struct KindArgs {
    #[command(subcommand)]
    command: KindCommand,
}

#[derive(Debug, Subcommand)]
enum KindCommand {
    /// List the kinds that can be submitted
    List,
    /// Show a kind with its limits, its args and an example
    Show {
        /// The kind, as in email.send
        kind: String,
    },
}

pub(super) async fn run(args: KindArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let mut kinds = Client::new(&config)?.send(ApiRequest::new(Method::GET, &["tasks", "kinds"])).await?;
    let kinds = kinds["kinds"].as_array_mut().map(std::mem::take).unwrap_or_default();
    match args.command {
        KindCommand::List => output.print(&json!({ "items": kinds }), |list| {
            output::item_table(list, &COLUMNS, |kind, column| output::cell(&kind[column]))
        }),
        KindCommand::Show { kind } => {
            let found = kinds.into_iter().find(|one| one["kind"] == kind.as_str());
            let unknown = || CliError::NotFound(format!("the kind {kind:?} is unknown; `legwork kind list` shows all kinds"));
            output.print(&found.ok_or_else(unknown)?, details)
        }
    }
}

fn details(kind: &Value) -> String {
    let object = kind.as_object();
    let limits = FIRST_FIELDS.iter().filter_map(|&name| object?.get_key_value(name));
    let limits: Value = limits.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into();
    let schema = &kind["args_schema"];
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let row = |(name, field): (&String, &Value)| {
        let is_required = if required.contains(&name.as_str()) { "yes" } else { "no" };
        let description = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        vec![name.clone(), type_name(field), is_required.to_owned(), description]
    };
    let rows: Vec<Vec<String>> = schema["properties"].as_object().into_iter().flatten().map(row).collect();
    let example = format!("example  {}\n", kind["example"]);
    format!("{}\n{}\n{example}", output::fields(&limits, &FIRST_FIELDS), output::table(&ARG_COLUMNS, &rows))
}

/// The type of a field in a word. `--format json` shows the whole schema.
fn type_name(field: &Value) -> String {
    let reference = field["$ref"].as_str().or_else(|| field["oneOf"][0]["$ref"].as_str());
    if let Some(name) = reference.and_then(|reference| reference.rsplit('/').next()) {
        return name.to_owned();
    }
    match &field["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("any").to_owned(),
        Value::String(name) => name.clone(),
        _ => "any".to_owned(),
    }
}
