//! `legwork revoke`.

use clap::Args;
use reqwest::Method;

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::config::Config;
use legwork_engine::domain::TaskId;

/// Revoke a task
///
/// A waiting task is REVOKED at once. A running one is asked to stop, and stopped at once with --terminate. One that has ended stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  legwork revoke 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55 --terminate")]
pub(super) struct RevokeArgs {
    /// The task's id
    task_id: TaskId,
    /// Stop it at once, where it runs
    #[arg(long)]
    terminate: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: RevokeArgs, config: Config) -> Result<(), CliError> {
    let id = args.task_id.to_string();
    let path = ["tasks", "revoke", &id];
    let request = ApiRequest::new(Method::DELETE, &path);
    let request = if args.terminate { request.query("terminate", true) } else { request };
    let revoked = Client::new(&config)?.send(request).await?;
    args.output.print(&revoked, |task| output::fields(task, &["task_id", "status", "outcome", "deadline"]))
}
