//! `legwork task recipients`.

use clap::Args;
use serde_json::json;

use super::CliError;
use super::client::Client;
use crate::cli::output::{self, OutputArgs};
use crate::config::Config;
use legwork_engine::domain::TaskId;

const COLUMNS: [&str; 5] = ["recipient", "outcome", "attempts", "updated_at", "response"];

/// List the delivery outcome of each recipient of a bulk mail or a bulk text message
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork task recipients 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55
  legwork task recipients 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55 --outcome rejected,unknown --format json")]
pub(super) struct RecipientsArgs {
    /// The task's id
    task_id: TaskId,
    /// Only recipients with these outcomes: queued, sending, accepted, rejected, deferred, unknown, suppressed
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// The largest number of recipients; by default all
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(super) async fn run(args: RecipientsArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let id = args.task_id.to_string();
    let query: Vec<(&'static str, String)> = args.outcome.into_iter().map(|outcome| ("outcome", outcome)).collect();
    let limit = args.limit.unwrap_or(usize::MAX);
    let recipients = Client::new(&config)?.list(&["tasks", &id, "recipients"], &query, limit).await?;
    output.print(&json!({ "items": recipients }), |list| {
        output::item_table(list, &COLUMNS, |recipient, column| output::cell(&recipient[column]))
    })
}
