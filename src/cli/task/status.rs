//! `legwork task status`, also `legwork status`.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::CliError;
use super::client::Client;
use crate::cli::output::{self, OutputArgs};
use crate::config::{Config, parse_duration};
use legwork_engine::domain::TaskId;

/// The fields of a task that are shown first.
pub(super) const FIRST_FIELDS: [&str; 12] = [
    "task_id",
    "kind",
    "status",
    "reason",
    "result",
    "error",
    "waiting_for",
    "progress",
    "queue",
    "priority",
    "attempts",
    "worker",
];

/// Show the status of a task
///
/// With --wait, waits for its end and exits with 1 unless it succeeded.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork status 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55
  legwork status 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55 --wait 30s --format json")]
pub(in crate::cli) struct StatusArgs {
    /// The task's id
    task_id: TaskId,
    /// Wait for its end, at most this long, as in 30s or 5m; a day if no time is given
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "1d", value_parser = parse_duration)]
    wait: Option<Duration>,
}

pub(in crate::cli) async fn run(args: StatusArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    match args.wait {
        Some(wait) => show_end(&client, &args.task_id.to_string(), wait, output).await,
        None => show(&client.status(&args.task_id.to_string(), None).await?, output),
    }
}

/// Waits for a task's end and shows its status then. Fails unless it succeeded.
pub(super) async fn show_end(client: &Client, task: &str, wait: Duration, output: OutputArgs) -> Result<(), CliError> {
    let status = client.status(task, Some(wait)).await?;
    show(&status, output)?;
    if status["successful"] == true {
        return Ok(());
    }
    if status["ready"] == false {
        output::say(&format!("legwork: the task did not end within {} s", wait.as_secs_f64()));
    }
    Err(CliError::Shown)
}

fn show(status: &Value, output: OutputArgs) -> Result<(), CliError> {
    output.print(status, |status| output::fields(status, &FIRST_FIELDS))
}
