//! `legwork submit`.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::CliError;
use super::client::{ApiRequest, Client};
use super::kind_args::{ARG_HELP, KindArgs};
use super::output::{self, OutputArgs};
use super::status;
use crate::config::Config;

/// Submit a task to a running server
///
/// Prints its id and state. With --wait, prints how it stands once it has ended, and exits with 1 unless it ended well.
#[derive(Debug, Args)]
#[command(after_help = format!("\
{ARG_HELP}

Examples:
  legwork submit system.sleep --arg seconds=2 --wait 10
  legwork submit email.send --arg recipient_email=ann@example.org --arg subject=Hello --arg template_name=notification \\
      --arg context.message='Come and see' --countdown 60
  legwork submit system.echo --args '{{\"hello\": \"world\"}}' --queue heavy --priority 9 --format json"))]
pub(super) struct SubmitArgs {
    /// The kind, as in email.send
    kind: String,
    #[command(flatten)]
    args: KindArgs,
    /// The queue; by default that of the kind
    #[arg(long)]
    queue: Option<String>,
    /// 0 to 9 in three bands: 7 to 9 come before 4 to 6, and these before 0 to 3; 5 by default
    #[arg(long, value_name = "0-9")]
    priority: Option<u8>,
    /// Start after so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "eta", allow_negative_numbers = true)]
    countdown: Option<f64>,
    /// Start at this time, as in 2030-01-01T09:00:00Z
    #[arg(long, value_name = "TIME")]
    eta: Option<String>,
    /// Do not start after this: seconds from now, or a time
    #[arg(long, value_name = "SECONDS|TIME")]
    expires: Option<String>,
    /// Retries after the first attempt; by default those of the kind
    #[arg(long, value_name = "N")]
    max_retries: Option<u16>,
    /// End an attempt after so many seconds
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<f64>,
    /// Who gets a signed POST at the end
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// The same key again gives the same task again
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait so many seconds for its end
    #[arg(long, value_name = "SECONDS", value_parser = status::parse_wait)]
    wait: Option<Duration>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(mut args: SubmitArgs, config: Config) -> Result<(), CliError> {
    let key = args.idempotency_key.take();
    let body = body(&args)?;
    let client = Client::new(&config)?;
    let submitted = client.send(ApiRequest::new(Method::POST, &["tasks"]).body(body).idempotency_key(key)).await?;
    let (Some(wait), Some(id)) = (args.wait, submitted["task_id"].as_str()) else {
        return args.output.print(&submitted, |task| output::fields(task, &["task_id", "status", "status_url"]));
    };
    status::print_end(&client, id, wait, args.output).await
}

fn body(args: &SubmitArgs) -> Result<Value, CliError> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            body.insert(name.to_owned(), value);
        }
    };
    put("kind", json!(args.kind));
    put("args", args.args.object()?.into());
    put("queue", json!(args.queue));
    put("priority", json!(args.priority));
    put("countdown", json!(args.countdown));
    put("eta", json!(args.eta));
    put("expires", json!(args.expires).as_str().map_or(Value::Null, moment));
    put("max_retries", json!(args.max_retries));
    put("time_limit", json!(args.time_limit));
    put("callback_url", json!(args.callback_url));
    Ok(body.into())
}

/// Seconds where it is a number, else a time for the server to judge.
fn moment(text: &str) -> Value {
    text.parse::<f64>().map_or_else(|_| json!(text), |seconds| json!(seconds))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        submit: SubmitArgs,
    }

    fn body_of(words: &[&str]) -> Value {
        body(&Line::try_parse_from(["submit"].iter().chain(words)).unwrap().submit).unwrap()
    }

    #[test]
    fn a_body_holds_what_was_given_and_nothing_else() {
        assert_eq!(body_of(&["system.echo"]), json!({"kind": "system.echo", "args": {}}));
        let given = [
            "system.sleep",
            "--arg",
            "seconds=1",
            "--queue",
            "heavy",
            "--priority",
            "9",
            "--expires",
            "90",
            "--max-retries",
            "0",
        ];
        assert_eq!(
            body_of(&given),
            json!({"kind": "system.sleep", "args": {"seconds": 1}, "queue": "heavy", "priority": 9, "expires": 90.0, "max_retries": 0})
        );
        assert_eq!(body_of(&["k", "--expires", "2030-01-01T00:00:00Z"])["expires"], "2030-01-01T00:00:00Z");
    }
}
