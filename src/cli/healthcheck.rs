//! `legwork healthcheck`.

use std::time::Duration;

use clap::Args;

use super::CliError;
use super::client::{chain_of, http_client};
use super::output::print;
use crate::config::{Config, parse_duration, reachable};

/// Check whether the server of this configuration answers: GET /healthz at LISTEN
///
/// For HEALTHCHECK of a Dockerfile: exits with 0 or 1, also if nothing answers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  HEALTHCHECK CMD [\"legwork\", \"healthcheck\"]")]
pub(super) struct HealthcheckArgs {
    /// The longest time for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_duration)]
    timeout: Duration,
}

pub(super) async fn run(args: HealthcheckArgs, config: Config) -> Result<(), CliError> {
    let url = format!("http://{}/healthz", reachable(config.http.listen));
    let answer = http_client()?.get(&url).timeout(args.timeout).send().await;
    match answer {
        Ok(answer) if answer.status().is_success() => print("ok"),
        Ok(answer) => Err(CliError::Failed(format!("{url} answered {}", answer.status()))),
        Err(error) => Err(CliError::Failed(format!("{url} does not answer: {}", chain_of(&error)))),
    }
}
