//! `legwork task`: tasks of a running server. `legwork submit`, `status` and `revoke` are short forms.

mod change;
mod events;
mod list;
mod recipients;
pub(super) mod retry;
pub(super) mod revoke;
mod show;
pub(super) mod status;
pub(super) mod submit;

use clap::{Args, Subcommand};

use super::output::OutputArgs;
use super::{CliError, client};
use crate::config::Config;

/// Submit, list, watch, change, retry and revoke tasks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork task submit system.echo --arg hello=world
  legwork task list --status FAILURE --limit 10
  legwork task retry 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55")]
pub(super) struct TaskArgs {
    #[command(subcommand)]
    command: TaskCommand,
}

#[derive(Debug, Subcommand)]
enum TaskCommand {
    Submit(submit::SubmitArgs),
    List(list::ListArgs),
    Status(status::StatusArgs),
    Show(show::ShowArgs),
    Events(events::EventsArgs),
    Recipients(recipients::RecipientsArgs),
    Change(change::ChangeArgs),
    Retry(retry::RetryArgs),
    Revoke(revoke::RevokeArgs),
}

pub(super) async fn run(args: TaskArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    match args.command {
        TaskCommand::Submit(args) => submit::run(args, config, output).await,
        TaskCommand::List(args) => list::run(args, config, output).await,
        TaskCommand::Status(args) => status::run(args, config, output).await,
        TaskCommand::Show(args) => show::run(args, config, output).await,
        TaskCommand::Events(args) => events::run(args, config, output).await,
        TaskCommand::Recipients(args) => recipients::run(args, config, output).await,
        TaskCommand::Change(args) => change::run(args, config, output).await,
        TaskCommand::Retry(args) => retry::run(args, config, output).await,
        TaskCommand::Revoke(args) => revoke::run(args, config, output).await,
    }
}
