//! `legwork openapi`.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are the help text, where backticks would only stand in the way"
)]

use clap::Args;

use super::CliError;
use super::output::print;
use crate::http::openapi;
use crate::kinds::KindSet;

/// Print the OpenAPI document of the API
///
/// A running server serves the same at /openapi.json.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  legwork openapi > openapi.json")]
pub(super) struct OpenapiArgs {}

pub(super) fn run(_args: OpenapiArgs) -> Result<(), CliError> {
    print(&openapi::json(&KindSet::compiled()))
}
