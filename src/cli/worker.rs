//! `legwork worker`: starts a worker process; its verbs show and control the workers of a running server.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::client::{ApiRequest, Client, ClientArgs};
use super::output::{self, OutputArgs};
use super::serve::{self, PoolArgs};
use super::{CliError, Vars, configured};
use crate::config::{Config, Purpose};

const COLUMNS: [&str; 7] = ["health", "active", "slots", "total", "failed", "queues", "started_at"];

/// Start a process that only runs tasks; or list, drain and end workers
///
/// Without a verb it starts a worker. A worker needs Postgres and Redis (`DATABASE_URL`, `REDIS_URL`), serves all queues unless --queues names some,
/// and opens LISTEN (health, metrics) only if it is set.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  DATABASE_URL=postgres://… REDIS_URL=redis://… FILES_SECRET=… legwork worker
  legwork worker --queues mail,default --concurrency 20 --name mail-%h
  legwork worker list
  legwork worker drain mail-host1")]
pub(super) struct WorkerArgs {
    #[command(subcommand)]
    command: Option<WorkerCommand>,
    #[command(flatten)]
    pool: PoolArgs,
}

#[derive(Debug, Subcommand)]
enum WorkerCommand {
    /// List the live workers
    List(ClientArgs),
    /// Make a worker fetch nothing more; it finishes what runs, and stays
    Drain(NameArgs),
    /// End a worker in good order, and its process
    Shutdown(NameArgs),
}

#[derive(Debug, Args)]
struct NameArgs {
    /// The worker's name
    name: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: WorkerArgs, vars: Vars) -> Result<(), CliError> {
    match args.command {
        None => serve::worker(args.pool, vars).await,
        Some(WorkerCommand::List(client)) => {
            let (config, output) = asking(client, vars)?;
            list(&config, output).await
        }
        Some(WorkerCommand::Drain(NameArgs { name, client })) => order(client, vars, &name, "drain").await,
        Some(WorkerCommand::Shutdown(NameArgs { name, client })) => order(client, vars, &name, "shutdown").await,
    }
}

fn asking(client: ClientArgs, vars: Vars) -> Result<(Config, OutputArgs), CliError> {
    let output = client.output;
    Ok((configured(Purpose::Command, client.put_into(vars))?, output))
}

async fn order(client: ClientArgs, vars: Vars, name: &str, verb: &str) -> Result<(), CliError> {
    let (config, output) = asking(client, vars)?;
    let answer = Client::new(&config)?.send(ApiRequest::new(Method::POST, &["workers", name, verb])).await?;
    output.print(&answer, |order| output::fields(order, &["worker"]))
}

async fn list(config: &Config, output: OutputArgs) -> Result<(), CliError> {
    let workers = Client::new(config)?.send(ApiRequest::new(Method::GET, &["tasks", "workers"])).await?;
    output.print(&workers, |answer| {
        let row = |(name, worker): (&String, &Value)| {
            let serves_all = worker["queues"].as_array().is_some_and(Vec::is_empty);
            let cells = COLUMNS.map(|column| match column {
                "queues" if serves_all => "all".to_owned(),
                column => output::cell(&worker[column]),
            });
            std::iter::once(name.clone()).chain(cells).collect::<Vec<String>>()
        };
        let rows: Vec<Vec<String>> = answer["workers"].as_object().into_iter().flatten().map(row).collect();
        let head: Vec<&str> = std::iter::once("name").chain(COLUMNS).collect();
        output::table(&head, &rows)
    })
}
