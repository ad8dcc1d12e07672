//! `legwork task change`.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::CliError;
use super::client::{ApiRequest, Client};
use super::status::FIRST_FIELDS;
use crate::cli::output::{self, OutputArgs};
use crate::config::Config;
use legwork_engine::domain::TaskId;

/// Change the time, the queue or the priority of a waiting task
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork task change 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55 --priority 9
  legwork task change 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55 --eta 2030-01-01T09:00:00Z --queue heavy")]
#[command(group(clap::ArgGroup::new("changes").required(true).multiple(true).args(["eta", "queue", "priority"])))]
pub(super) struct ChangeArgs {
    /// The task's id
    task_id: TaskId,
    /// Start no earlier than this time, as in 2030-01-01T09:00:00Z
    #[arg(long, value_name = "TIME")]
    eta: Option<String>,
    /// The queue
    #[arg(long)]
    queue: Option<String>,
    /// 0 to 9: 7 to 9 are started before 4 to 6, and these before 0 to 3
    #[arg(long, value_name = "0-9")]
    priority: Option<u8>,
}

pub(super) async fn run(args: ChangeArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let id = args.task_id.to_string();
    let changes = [("eta", json!(args.eta)), ("queue", json!(args.queue)), ("priority", json!(args.priority))];
    let body: Map<String, Value> =
        changes.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect();
    let path = ["tasks", id.as_str()];
    let request = ApiRequest::new(Method::PATCH, &path).body(body.into());
    let task = Client::new(&config)?.send(request).await?;
    output.print(&task, |task| output::fields(task, &FIRST_FIELDS))
}
