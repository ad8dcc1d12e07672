//! `legwork status`.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::CliError;
use super::client::Client;
use super::output::{self, OutputArgs};
use crate::config::{Config, parse_duration};
use legwork_engine::domain::TaskId;

/// What a person looks for first.
const FIRST: [&str; 12] = [
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

/// Show how a task stands
///
/// With --wait, waits for its end and exits with 1 unless it ended well.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork status 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55
  legwork status 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55 --wait 30 --format json")]
pub(super) struct StatusArgs {
    /// The task's id
    task_id: TaskId,
    /// Wait for its end, so many seconds at most; a day where none are named
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1d", value_parser = parse_wait)]
    wait: Option<Duration>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: StatusArgs, config: Config) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    match args.wait {
        Some(wait) => print_end(&client, &args.task_id.to_string(), wait, args.output).await,
        None => print_status(&client.status(&args.task_id.to_string(), None).await?, args.output),
    }
}

/// Waits for a task's end and shows how it stands then. Fails unless it ended well.
pub(super) async fn print_end(client: &Client, task: &str, wait: Duration, output: OutputArgs) -> Result<(), CliError> {
    let status = client.status(task, Some(wait)).await?;
    print_status(&status, output)?;
    if status["successful"] == true {
        return Ok(());
    }
    if status["ready"] == false {
        output::say(&format!("legwork: the task has not ended within {} s", wait.as_secs_f64()));
    }
    Err(CliError::Shown)
}

fn print_status(status: &Value, output: OutputArgs) -> Result<(), CliError> {
    output.print(status, |status| output::fields(status, &FIRST))
}

pub(super) fn parse_wait(text: &str) -> Result<Duration, String> {
    parse_duration(text)
}
