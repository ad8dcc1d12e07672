//! `legwork task retry`.

use clap::Args;
use reqwest::Method;

use super::CliError;
use super::client::{ApiRequest, Client};
use crate::cli::output::{self, OutputArgs};
use crate::config::Config;
use legwork_engine::domain::TaskId;

/// Run a failed or revoked task again, as a new task
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  legwork task retry 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55")]
pub(in crate::cli) struct RetryArgs {
    /// The task's id
    task_id: TaskId,
}

pub(in crate::cli) async fn run(args: RetryArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let id = args.task_id.to_string();
    let path = ["tasks", &id, "retry"];
    let submitted = Client::new(&config)?.send(ApiRequest::new(Method::POST, &path)).await?;
    output.print(&submitted, |task| output::fields(task, &["task_id", "status", "retry_of", "status_url"]))
}
