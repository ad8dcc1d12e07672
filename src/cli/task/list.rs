//! `legwork task list`.

use clap::Args;
use serde_json::{Value, json};

use super::CliError;
use super::client::Client;
use crate::cli::output::{self, OutputArgs};
use crate::config::Config;

const COLUMNS: [&str; 7] = ["task_id", "kind", "status", "queue", "attempts", "submitted_at", "remark"];

/// List tasks, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork task list
  legwork task list --status FAILURE,REVOKED --kind email.send --limit 100
  legwork task list --from 2030-01-01T00:00:00Z --format json")]
pub(super) struct ListArgs {
    /// Only tasks in these states: PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only tasks of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only tasks in this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only tasks that the worker of this name ran
    #[arg(long)]
    worker: Option<String>,
    /// Only tasks submitted at or after this time, as in 2030-01-01T09:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only tasks submitted before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only tasks with this text in kind, args or error
    #[arg(long, value_name = "TEXT")]
    containing: Option<String>,
    /// The largest number of tasks
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

pub(super) async fn run(args: ListArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let filters = [
        ("status", args.status),
        ("kind", args.kind),
        ("queue", args.queue),
        ("worker", args.worker),
        ("from", args.from),
        ("to", args.to),
        ("q", args.containing),
    ];
    let query: Vec<(&'static str, String)> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let tasks = Client::new(&config)?.list(&["tasks"], &query, args.limit).await?;
    output.print(&json!({ "items": tasks }), |list| output::item_table(list, &COLUMNS, remark))
}

/// The cells of a task; the remark says why it failed, why it was revoked, or what it waits for.
fn remark(task: &Value, column: &str) -> String {
    if column != "remark" {
        return output::cell(&task[column]);
    }
    let remarks = [&task["error"]["type"], &task["reason"], &task["waiting_for"]["reason"]];
    remarks.into_iter().find(|remark| remark.is_string()).map_or_else(String::new, output::cell)
}
