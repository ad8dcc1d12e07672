//! `legwork task revoke`, also `legwork revoke`.

use clap::Args;
use reqwest::Method;

use super::CliError;
use super::client::{ApiRequest, Client};
use crate::cli::output::{self, OutputArgs};
use crate::config::Config;
use legwork_engine::domain::TaskId;

/// Revoke a task
///
/// A waiting task is REVOKED at once. A running task is asked to stop, and is stopped at once with --terminate. A task that has ended stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  legwork revoke 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55 --terminate")]
pub(in crate::cli) struct RevokeArgs {
    /// The task's id
    task_id: TaskId,
    /// Stop a running task at once
    #[arg(long)]
    terminate: bool,
}

pub(in crate::cli) async fn run(args: RevokeArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let id = args.task_id.to_string();
    let path = ["tasks", "revoke", &id];
    let request = ApiRequest::new(Method::DELETE, &path);
    let request = if args.terminate { request.query("terminate", true) } else { request };
    let revoked = Client::new(&config)?.send(request).await?;
    output.print(&revoked, |task| output::fields(task, &["task_id", "status", "outcome", "deadline"]))
}
