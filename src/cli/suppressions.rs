//! `legwork suppressions`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::config::Config;

const COLUMNS: [&str; 5] = ["address", "reason", "detail", "principal", "created_at"];
/// Addresses in one request.
const AT_ONCE: usize = 1_000;

/// List, add and remove addresses that get no bulk mail
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork suppressions list --reason bounced
  legwork suppressions add ann@example.org bob@example.org --detail 'asked by telephone'
  legwork suppressions remove ann@example.org")]
pub(super) struct SuppressionsArgs {
    #[command(subcommand)]
    command: SuppressionsCommand,
}

#[derive(Debug, Subcommand)]
enum SuppressionsCommand {
    /// The addresses, with who or what put them on the list
    List {
        /// Only those with this text in the address
        #[arg(long, value_name = "TEXT")]
        containing: Option<String>,
        /// Only those for this reason: manual, unsubscribed, bounced, complained
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Put addresses on the list
    Add {
        /// The addresses
        #[arg(required = true)]
        addresses: Vec<String>,
        /// manual, unsubscribed, bounced or complained
        #[arg(long, default_value = "manual")]
        reason: String,
        /// A note
        #[arg(long)]
        detail: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take an address off the list
    Remove {
        /// The address
        address: String,
    },
}

pub(super) async fn run(args: SuppressionsArgs, config: Config) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    match args.command {
        SuppressionsCommand::List { containing, reason, output } => list(&client, containing, reason, output).await,
        SuppressionsCommand::Add { addresses, reason, detail, output } => {
            let mut added = 0;
            for some in addresses.chunks(AT_ONCE) {
                let body = json!({ "addresses": some, "reason": reason, "detail": detail });
                let answer = client.send(ApiRequest::new(Method::POST, &["suppressions"]).body(body)).await?;
                added += answer["added"].as_u64().unwrap_or_default();
            }
            output.print(&json!({ "added": added }), |answer| output::fields(answer, &["added"]))
        }
        SuppressionsCommand::Remove { address } => {
            client.send(ApiRequest::new(Method::DELETE, &["suppressions", &address])).await.map(drop)
        }
    }
}

async fn list(client: &Client, text: Option<String>, reason: Option<String>, output: OutputArgs) -> Result<(), CliError> {
    let mut items: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut request = ApiRequest::new(Method::GET, &["suppressions"]).query("limit", AT_ONCE);
        for (name, value) in [("q", &text), ("reason", &reason), ("cursor", &cursor)] {
            if let Some(value) = value {
                request = request.query(name, value);
            }
        }
        let mut page = client.send(request).await?;
        if let Some(more) = page["items"].as_array_mut() {
            items.append(more);
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    output.print(&json!({ "items": items }), |list| {
        let row = |item: &Value| COLUMNS.map(|column| output::cell(&item[column])).to_vec();
        let rows: Vec<Vec<String>> = list["items"].as_array().into_iter().flatten().map(row).collect();
        output::table(&COLUMNS, &rows)
    })
}
