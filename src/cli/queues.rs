//! `legwork queues`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::config::Config;

const COLUMNS: [&str; 8] = ["name", "depth", "scheduled", "running", "oldest_seconds", "rate", "workers", "paused"];

/// List, pause, resume, limit and purge queues
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork queues
  legwork queues pause mail
  legwork queues limit mail 5
  legwork queues purge mail --format json")]
pub(super) struct QueuesArgs {
    #[command(subcommand)]
    command: Option<QueuesCommand>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum QueuesCommand {
    /// Every queue: tasks that are due, scheduled, running; the age of the oldest; ends a second [default]
    List(OutputArgs),
    /// Start nothing more of a queue until it is resumed
    Pause(QueueArgs),
    /// Go on with a paused queue
    Resume(QueueArgs),
    /// Run so many tasks of a queue at once in each process, or as many as there are slots (off)
    Limit(LimitArgs),
    /// End every waiting task of a queue as REVOKED
    Purge(QueueArgs),
}

#[derive(Debug, Args)]
struct QueueArgs {
    /// The queue
    queue: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct LimitArgs {
    #[command(flatten)]
    queue: QueueArgs,
    /// The number, or off
    #[arg(value_parser = parse_limit)]
    limit: Limit,
}

#[derive(Clone, Copy, Debug)]
struct Limit(Option<u32>);

fn parse_limit(text: &str) -> Result<Limit, String> {
    match text {
        "off" => Ok(Limit(None)),
        number => {
            number.parse().map(|number| Limit(Some(number))).map_err(|_| "give a whole number of at least 1, or off".into())
        }
    }
}

pub(super) async fn run(args: QueuesArgs, config: Config) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    let (method, args, word) = match args.command {
        None => return list(&client, args.output).await,
        Some(QueuesCommand::List(output)) => return list(&client, output).await,
        Some(QueuesCommand::Limit(LimitArgs { queue: args, limit: Limit(limit) })) => {
            let path = ["queues", args.queue.as_str()];
            let answer = client.send(ApiRequest::new(Method::PATCH, &path).body(json!({ "concurrency": limit }))).await?;
            return args.output.print(&answer, |queue| output::fields(queue, &["name", "concurrency"]));
        }
        Some(QueuesCommand::Pause(args)) => (Method::POST, args, "pause"),
        Some(QueuesCommand::Resume(args)) => (Method::POST, args, "resume"),
        Some(QueuesCommand::Purge(args)) => (Method::DELETE, args, "tasks"),
    };
    let answer = client.send(ApiRequest::new(method, &["queues", &args.queue, word])).await?;
    args.output.print(&answer, |queue| output::fields(queue, &["name", "queue"]))
}

async fn list(client: &Client, output: OutputArgs) -> Result<(), CliError> {
    let queues = client.send(ApiRequest::new(Method::GET, &["queues"])).await?;
    output.print(&queues, |queues| {
        let row = |queue: &Value| COLUMNS.map(|column| output::cell(&queue[column])).to_vec();
        let rows: Vec<Vec<String>> = queues["items"].as_array().into_iter().flatten().map(row).collect();
        output::table(&COLUMNS.map(|column| if column == "oldest_seconds" { "oldest (s)" } else { column }), &rows)
    })
}
