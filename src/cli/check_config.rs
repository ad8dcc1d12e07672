//! `legwork check-config`.

use clap::Args;
use serde_json::{Value, json};

use super::output::{Format, OutputArgs, print};
use super::{CliError, Vars};
use crate::config::{self, Config, EffectiveSetting};

/// Check the configuration, and show what is in effect
///
/// Lists every mistake at once and exits with 2 where there is any. Secrets are shown as ***.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork check-config
  legwork check-config --example > .env.example")]
pub(super) struct CheckConfigArgs {
    /// Print every setting with its default and its meaning instead
    #[arg(long)]
    example: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &CheckConfigArgs, vars: &Vars) -> Result<(), CliError> {
    if args.example {
        return print(&config::env_example());
    }
    let config = Config::read(vars.clone()).inspect_err(|mistakes| {
        if args.output.format == Format::Json {
            let list: Vec<Value> = mistakes.0.iter().map(|one| json!({ "setting": one.setting, "detail": one.detail })).collect();
            // The mistakes are told on standard error all the same.
            drop(print(&format!("{:#}", json!({ "mistakes": list }))));
        }
    })?;
    let settings = config::effective_settings(&config, vars);
    match args.output.format {
        Format::Json => print(&format!("{:#}", json!({ "mistakes": [], "settings": settings }))),
        Format::Text => print(&settings.iter().map(line).collect::<Vec<_>>().concat()),
    }
}

fn line(setting: &EffectiveSetting) -> String {
    let origin = if setting.is_set { "" } else { "  # default" };
    format!("{}={}{origin}\n", setting.name, setting.value)
}
