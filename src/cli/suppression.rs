//! `legwork suppression`: the list of addresses and numbers that get nothing in bulk.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::config::Config;

const COLUMNS: [&str; 5] = ["address", "reason", "detail", "principal", "created_at"];
/// Addresses in one request.
const CHUNK: usize = 1_000;

/// List, add and remove addresses and numbers that get nothing in bulk
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork suppression list --reason bounced
  legwork suppression add ann@example.org bob@example.org --detail 'asked by telephone'
  legwork suppression remove ann@example.org")]
pub(super) struct SuppressionArgs {
    #[command(subcommand)]
    command: SuppressionCommand,
}

#[derive(Debug, Subcommand)]
enum SuppressionCommand {
    /// List the addresses, with the reason and with who added them
    List {
        /// Only addresses with this text in them
        #[arg(long, value_name = "TEXT")]
        containing: Option<String>,
        /// Only addresses with this reason: manual, unsubscribed, bounced, complained
        #[arg(long)]
        reason: Option<String>,
        /// The largest number of addresses; by default all
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Add addresses to the list
    Add {
        /// The addresses
        #[arg(required = true)]
        addresses: Vec<String>,
        /// The reason: manual, unsubscribed, bounced or complained
        #[arg(long, default_value = "manual")]
        reason: String,
        /// A note
        #[arg(long)]
        detail: Option<String>,
    },
    /// Remove an address from the list
    Remove {
        /// The address
        address: String,
    },
}

pub(super) async fn run(args: SuppressionArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    match args.command {
        SuppressionCommand::List { containing, reason, limit } => {
            let filters = [("q", containing), ("reason", reason)];
            let query: Vec<(&'static str, String)> =
                filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let items = client.list(&["suppressions"], &query, limit.unwrap_or(usize::MAX)).await?;
            output.print(&json!({ "items": items }), |list| {
                output::item_table(list, &COLUMNS, |item, column| output::cell(&item[column]))
            })
        }
        SuppressionCommand::Add { addresses, reason, detail } => {
            let mut added = 0;
            for some in addresses.chunks(CHUNK) {
                let body = json!({ "addresses": some, "reason": reason, "detail": detail });
                let answer = client.send(ApiRequest::new(Method::POST, &["suppressions"]).body(body)).await?;
                added += answer["added"].as_u64().unwrap_or_default();
            }
            output.print(&json!({ "added": added }), |answer| output::fields(answer, &["added"]))
        }
        SuppressionCommand::Remove { address } => {
            client.send(ApiRequest::new(Method::DELETE, &["suppressions", &address])).await.map(drop)
        }
    }
}
