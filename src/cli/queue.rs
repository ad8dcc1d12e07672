//! `legwork queue`: the queues of a running server.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::config::Config;

const COLUMNS: [&str; 8] = ["name", "depth", "scheduled", "running", "oldest_seconds", "rate", "workers", "paused"];

/// List, pause, resume, limit and purge queues
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork queue list
  legwork queue pause mail
  legwork queue limit mail 5
  legwork queue purge mail --format json")]
pub(super) struct QueueArgs {
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// List the queues: due, scheduled and running tasks, the age of the oldest due task in seconds, tasks ended per second
    List,
    /// Start no more tasks of a queue until it is resumed
    Pause(NameArgs),
    /// Continue with a paused queue
    Resume(NameArgs),
    /// Limit the tasks of a queue that run at once in each process
    Limit {
        #[command(flatten)]
        queue: NameArgs,
        /// The number, or off for no limit
        #[arg(value_parser = parse_limit)]
        limit: Limit,
    },
    /// End every waiting task of a queue as REVOKED
    Purge(NameArgs),
}

#[derive(Debug, Args)]
struct NameArgs {
    /// The queue
    queue: String,
}

#[derive(Clone, Copy, Debug)]
struct Limit(Option<u32>);

fn parse_limit(text: &str) -> Result<Limit, String> {
    match text {
        "off" => Ok(Limit(None)),
        number => {
            number.parse().map(|number| Limit(Some(number))).map_err(|_| "must be a whole number of at least 1, or off".into())
        }
    }
}

pub(super) async fn run(args: QueueArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    let (method, queue, verb) = match args.command {
        QueueCommand::List => return list(&client, output).await,
        QueueCommand::Limit { queue: NameArgs { queue }, limit: Limit(limit) } => {
            let path = ["queues", queue.as_str()];
            let request = ApiRequest::new(Method::PATCH, &path).body(json!({ "concurrency": limit }));
            let answer = client.send(request).await?;
            return output.print(&answer, |queue| output::fields(queue, &["name", "concurrency"]));
        }
        QueueCommand::Pause(args) => (Method::POST, args.queue, "pause"),
        QueueCommand::Resume(args) => (Method::POST, args.queue, "resume"),
        QueueCommand::Purge(args) => (Method::DELETE, args.queue, "tasks"),
    };
    let answer = client.send(ApiRequest::new(method, &["queues", &queue, verb])).await?;
    output.print(&answer, |queue| output::fields(queue, &["name", "queue"]))
}

async fn list(client: &Client, output: OutputArgs) -> Result<(), CliError> {
    let queues = client.send(ApiRequest::new(Method::GET, &["queues"])).await?;
    output.print(&queues, |queues| output::item_table(queues, &COLUMNS, |queue, column| output::cell(&queue[column])))
}
