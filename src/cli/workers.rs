//! `legwork workers`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::config::Config;

const COLUMNS: [&str; 7] = ["health", "active", "slots", "total", "failed", "queues", "started_at"];

/// List, drain and end workers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork workers
  legwork workers drain mail-host1
  legwork workers shutdown mail-host1")]
pub(super) struct WorkersArgs {
    #[command(subcommand)]
    command: Option<WorkersCommand>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum WorkersCommand {
    /// Every live worker of the cluster [default]
    List(OutputArgs),
    /// Let a worker fetch nothing more; it finishes what runs, and stays
    Drain(WorkerArgs),
    /// Let a worker end in good order, its process too
    Shutdown(WorkerArgs),
}

#[derive(Debug, Args)]
struct WorkerArgs {
    /// The worker's name
    name: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: WorkersArgs, config: Config) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    let (args, word) = match args.command {
        None => return list(&client, args.output).await,
        Some(WorkersCommand::List(output)) => return list(&client, output).await,
        Some(WorkersCommand::Drain(args)) => (args, "drain"),
        Some(WorkersCommand::Shutdown(args)) => (args, "shutdown"),
    };
    let answer = client.send(ApiRequest::new(Method::POST, &["workers", &args.name, word])).await?;
    args.output.print(&answer, |order| output::fields(order, &["worker"]))
}

async fn list(client: &Client, output: OutputArgs) -> Result<(), CliError> {
    let cluster = client.send(ApiRequest::new(Method::GET, &["tasks", "workers"])).await?;
    output.print(&cluster, |cluster| {
        let row = |(name, worker): (&String, &Value)| {
            let serves_all = worker["queues"].as_array().is_some_and(Vec::is_empty);
            let cells = COLUMNS.map(|column| match column {
                "queues" if serves_all => "all".to_owned(),
                column => output::cell(&worker[column]),
            });
            std::iter::once(name.clone()).chain(cells).collect::<Vec<String>>()
        };
        let rows: Vec<Vec<String>> = cluster["workers"].as_object().into_iter().flatten().map(row).collect();
        let head: Vec<&str> = std::iter::once("name").chain(COLUMNS).collect();
        output::table(&head, &rows)
    })
}
