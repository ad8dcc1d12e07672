//! `legwork task submit`, also `legwork submit`.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::CliError;
use super::client::{ApiRequest, Client};
use super::status;
use crate::cli::kind_args::{ARG_HELP, KindArgs};
use crate::cli::output::{self, OutputArgs};
use crate::config::{Config, parse_duration};

/// Submit a task to a running server
///
/// Prints its id and state. With --wait, waits for its end, prints its status, and exits with 1 unless it succeeded.
#[derive(Debug, Args)]
#[command(after_help = format!("\
{ARG_HELP}

Examples:
  legwork submit system.sleep --arg seconds=2 --time-limit 30s --wait 10s
  legwork submit email.send --arg recipient_email=ann@example.org --arg subject=Hello --arg template_name=notification \\
      --arg context.message='Come and see' --countdown 1h
  legwork submit system.echo --args '{{\"hello\": \"world\"}}' --queue heavy --priority 9 --format json"))]
pub(in crate::cli) struct SubmitArgs {
    /// The kind, as in email.send
    kind: String,
    #[command(flatten)]
    args: KindArgs,
    /// The queue; by default that of the kind
    #[arg(long)]
    queue: Option<String>,
    /// 0 to 9: 7 to 9 are started before 4 to 6, and these before 0 to 3; 5 by default
    #[arg(long, value_name = "0-9")]
    priority: Option<u8>,
    /// Start no earlier than after this time, as in 90s or 2h
    #[arg(long, value_name = "DURATION", conflicts_with = "eta", value_parser = parse_duration)]
    countdown: Option<Duration>,
    /// Start no earlier than at this time, as in 2030-01-01T09:00:00Z
    #[arg(long, value_name = "TIME")]
    eta: Option<String>,
    /// Do not start later than this: a duration from now, or a time
    #[arg(long, value_name = "DURATION|TIME")]
    expires: Option<String>,
    /// Retries after the first attempt; by default those of the kind
    #[arg(long, value_name = "N")]
    max_retries: Option<u16>,
    /// End an attempt after this time, as in 30s; by default the kind's limit
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    time_limit: Option<Duration>,
    /// Ask an attempt to stop after this time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    soft_time_limit: Option<Duration>,
    /// The URL that gets a signed POST when the task has ended
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// Submitting the same task with the same key again returns the first task
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait for its end, at most this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    wait: Option<Duration>,
}

pub(in crate::cli) async fn run(mut args: SubmitArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let key = args.idempotency_key.take();
    let client = Client::new(&config)?;
    let schema = if args.args.need_schema() { schema_of(&client, &args.kind).await } else { Value::Null };
    let (body, args_text) = (body(&args), args.args.text_for(&schema)?);
    let submitted =
        client.send(ApiRequest::new(Method::POST, &["tasks"]).body(body).args(args_text).idempotency_key(key)).await?;
    let (Some(wait), Some(id)) = (args.wait, submitted["task_id"].as_str()) else {
        return output.print(&submitted, |task| output::fields(task, &["task_id", "status", "status_url"]));
    };
    status::show_end(&client, id, wait, output).await
}

/// The schema of a kind's args; null where the token may not read it, or there is no such kind, which the submission finds out.
async fn schema_of(client: &Client, kind: &str) -> Value {
    let kinds = client.send(ApiRequest::new(Method::GET, &["tasks", "kinds"])).await.unwrap_or_default();
    let mut known = kinds["kinds"].as_array().into_iter().flatten();
    known.find(|known| known["kind"] == kind).map(|known| known["args_schema"].clone()).unwrap_or_default()
}

fn body(args: &SubmitArgs) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            body.insert(name.to_owned(), value);
        }
    };
    put("kind", json!(args.kind));
    put("queue", json!(args.queue));
    put("priority", json!(args.priority));
    put("countdown", json!(args.countdown.map(|time| time.as_secs_f64())));
    put("eta", json!(args.eta));
    put("expires", json!(args.expires).as_str().map_or(Value::Null, moment));
    put("max_retries", json!(args.max_retries));
    put("time_limit", json!(args.time_limit.map(|time| time.as_secs_f64())));
    put("soft_time_limit", json!(args.soft_time_limit.map(|time| time.as_secs_f64())));
    put("callback_url", json!(args.callback_url));
    body.into()
}

/// Seconds if it is a duration, else a time for the server to check.
fn moment(text: &str) -> Value {
    parse_duration(text).map_or_else(|_| json!(text), |time| json!(time.as_secs_f64()))
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
        body(&Line::try_parse_from(["submit"].iter().chain(words)).unwrap().submit)
    }

    #[test]
    fn a_body_holds_what_was_given_and_nothing_else() {
        assert_eq!(body_of(&["system.echo"]), json!({"kind": "system.echo"}));
        let given = [
            "system.sleep",
            "--arg",
            "seconds=1",
            "--queue",
            "heavy",
            "--priority",
            "9",
            "--expires",
            "90s",
            "--time-limit",
            "30s",
            "--max-retries",
            "0",
        ];
        assert_eq!(
            body_of(&given),
            json!({"kind": "system.sleep", "queue": "heavy", "priority": 9, "expires": 90.0, "max_retries": 0, "time_limit": 30.0})
        );
        assert_eq!(body_of(&["k", "--expires", "2030-01-01T00:00:00Z"])["expires"], "2030-01-01T00:00:00Z");
    }
}
