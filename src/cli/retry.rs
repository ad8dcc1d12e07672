//! `legwork retry`.

use clap::Args;
use reqwest::Method;

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::config::Config;
use legwork_engine::domain::TaskId;

/// Run a failed or revoked task again, as a new task
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  legwork retry 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55")]
pub(super) struct RetryArgs {
    /// The task's id
    task_id: TaskId,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: RetryArgs, config: Config) -> Result<(), CliError> {
    let id = args.task_id.to_string();
    let path = ["tasks", &id, "retry"];
    let submitted = Client::new(&config)?.send(ApiRequest::new(Method::POST, &path)).await?;
    args.output.print(&submitted, |task| output::fields(task, &["task_id", "status", "retry_of", "status_url"]))
}
