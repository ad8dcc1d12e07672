//! `legwork healthcheck`.

use std::time::Duration;

use clap::Args;

use super::CliError;
use super::client::{chain_of, http_client};
use super::output::print;
use crate::config::{Config, reachable};

/// Whether the server of this configuration lives: GET /healthz at LISTEN
///
/// Made for HEALTHCHECK of a Dockerfile: exits with 0 or 1, also where nothing answers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  HEALTHCHECK CMD [\"legwork\", \"healthcheck\"]")]
pub(super) struct HealthcheckArgs {
    /// How long the answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    timeout: f64,
}

pub(super) async fn run(args: HealthcheckArgs, config: Config) -> Result<(), CliError> {
    let url = format!("http://{}/healthz", reachable(config.http.listen));
    let limit = Duration::try_from_secs_f64(args.timeout).map_err(|error| CliError::Usage(format!("--timeout: {error}")))?;
    let answer = http_client()?.get(&url).timeout(limit).send().await;
    match answer {
        Ok(answer) if answer.status().is_success() => print("ok"),
        Ok(answer) => Err(CliError::Failed(format!("{url} answered {}", answer.status()))),
        Err(error) => Err(CliError::Failed(format!("{url} does not answer: {}", chain_of(&error)))),
    }
}
