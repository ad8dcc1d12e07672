//! `legwork files`.

use clap::{Args, Subcommand};
use reqwest::Method;

use super::CliError;
use super::client::{ApiRequest, Client};
use crate::config::Config;

/// Remove stored files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork files remove uploads/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57.jpg")]
pub(super) struct FilesArgs {
    #[command(subcommand)]
    command: FilesCommand,
}

#[derive(Debug, Subcommand)]
enum FilesCommand {
    /// Remove files: links to them lead nowhere from then on
    Remove {
        /// Their paths, as uploads and results of tasks name them
        #[arg(required = true)]
        paths: Vec<String>,
    },
}

pub(super) async fn run(args: FilesArgs, config: Config) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    let FilesCommand::Remove { paths } = args.command;
    let mut outcome = Ok(());
    for path in paths {
        let parts: Vec<&str> = std::iter::once("files").chain(path.split('/')).collect();
        // One that is gone already keeps none of the others.
        if let Err(error) = client.send(ApiRequest::new(Method::DELETE, &parts)).await {
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}
