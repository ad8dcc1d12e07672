//! `legwork task show`.

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::CliError;
use super::client::{ApiRequest, Client};
use super::status::FIRST_FIELDS;
use crate::cli::output::{self, OutputArgs};
use crate::config::Config;
use legwork_engine::domain::TaskId;

const ATTEMPT_COLUMNS: [&str; 6] = ["attempt", "worker", "started_at", "ended_at", "outcome", "error"];

/// Show a task with its args and every attempt
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  legwork task show 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55")]
pub(super) struct ShowArgs {
    /// The task's id
    task_id: TaskId,
}

pub(super) async fn run(args: ShowArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let id = args.task_id.to_string();
    let task = Client::new(&config)?.send(ApiRequest::new(Method::GET, &["tasks", &id])).await?;
    output.print(&task, |task| {
        let mut fields = task.clone();
        let attempts = fields.as_object_mut().and_then(|fields| fields.remove("attempt_log")).unwrap_or_default();
        let rows: Vec<Vec<String>> = attempts.as_array().into_iter().flatten().map(attempt).collect();
        format!("{}\n{}", output::fields(&fields, &FIRST_FIELDS), output::table(&ATTEMPT_COLUMNS, &rows))
    })
}

fn attempt(attempt: &Value) -> Vec<String> {
    let cell = |column: &str| match &attempt[column] {
        Value::Object(error) => format!("{}: {}", output::cell(&error["type"]), output::cell(&error["message"])),
        value => output::cell(value),
    };
    ATTEMPT_COLUMNS.map(cell).to_vec()
}
