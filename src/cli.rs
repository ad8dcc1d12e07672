//! The commands. Results go to standard output and nothing else does; messages and errors go to standard error.
//!
//! Nouns (`task`, `queue`, `worker` …) have the verbs of the API. These commands go through the API of a running server ([`client`]), also because an embedded
//! store belongs to one process.

mod check_config;
mod child;
mod client;
mod completions;
mod encryption_key;
mod error;
mod file;
mod healthcheck;
mod import;
mod kind;
mod kind_args;
mod migrate;
mod openapi;
mod output;
mod pack;
mod queue;
mod run;
mod schedule;
mod serve;
mod suppression;
mod task;
mod token;
mod user;
mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use serde_json::json;

use self::client::ClientArgs;
use self::error::CliError;
use crate::config::{self, Config, Purpose};
use crate::telemetry::{self, LogOutput};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage, args or configuration
  3  not found, or no server answers

Settings come from the environment and from the file .env in the working folder; `legwork check-config --example` lists them.";

const EXAMPLES: &str = "\
Examples:
  legwork                                        start a server with all roles
  legwork run system.echo --arg hello=world      run a task in the foreground, without a server
  legwork submit email.send --arg recipient_email=ann@example.org --arg subject=Hello --arg template_name=notification
  legwork status 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55
  legwork token create --subject shop --scope tasks:submit --ttl 30d
";

/// Durable background tasks over HTTP, in one binary.
///
/// Without a command it starts the server.
#[derive(Debug, Parser)]
#[command(name = "legwork", version, after_help = format!("{EXAMPLES}\n{EXIT_CODES}"), args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Worker(worker::WorkerArgs),
    Migrate(migrate::MigrateArgs),
    Run(run::RunArgs),
    Submit(Asking<task::submit::SubmitArgs>),
    Status(Asking<task::status::StatusArgs>),
    Revoke(Asking<task::revoke::RevokeArgs>),
    Task(Asking<task::TaskArgs>),
    Kind(Asking<kind::KindArgs>),
    Pack(pack::PackArgs),
    Queue(Asking<queue::QueueArgs>),
    #[command(visible_alias = "schedules")]
    Schedule(Asking<schedule::ScheduleArgs>),
    Import(Asking<import::ImportArgs>),
    Maintenance(Asking<schedule::MaintenanceArgs>),
    File(Asking<file::FileArgs>),
    Suppression(Asking<suppression::SuppressionArgs>),
    Token(Asking<token::TokenArgs>),
    User(Asking<user::UserArgs>),
    EncryptionKey(encryption_key::EncryptionKeyArgs),
    Openapi(openapi::OpenapiArgs),
    CheckConfig(check_config::CheckConfigArgs),
    Healthcheck(healthcheck::HealthcheckArgs),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

// A command that asks a server. This is no doc comment, because it would be the help of every such command; the args of the command have it.
#[derive(Debug, clap::Args)]
struct Asking<A: clap::Args> {
    #[command(flatten)]
    args: A,
    #[command(flatten)]
    client: ClientArgs,
}

/// The settings from the environment, from which each command reads its configuration.
type Vars = BTreeMap<String, String>;

/// Reads the command line and carries it out.
pub fn main() -> ExitCode {
    if let Some(ended) = child::run(std::env::args_os()) {
        return ended;
    }
    let as_json = asks_for_json(std::env::args_os());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error, as_json),
    };
    let dispatched = config::environment()
        .map_err(CliError::from)
        .and_then(|vars| dispatch(cli.command.unwrap_or(Command::Serve(cli.serve)), vars));
    match dispatched {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report(as_json);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Whether errors are to be JSON. This is read before the command line is parsed, because a command line that cannot be parsed is an error too.
fn asks_for_json(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.collect();
    args.iter().any(|arg| arg == "--format=json") || args.windows(2).any(|two| two[0] == "--format" && two[1] == "json")
}

/// Prints what clap says: help and version to standard output, mistakes to standard error.
fn wrong_usage(error: &clap::Error, as_json: bool) -> ExitCode {
    if as_json && error.use_stderr() {
        let message = error.render().to_string();
        let message = message.strip_prefix("error: ").unwrap_or(&message).trim();
        output::say(&error::error_json("usage", message, &json!([])).to_string());
    } else {
        // A closed output leaves nowhere to print to.
        drop(error.print());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn dispatch(command: Command, vars: Vars) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => in_runtime(serve::serve(args, vars)),
        Command::Worker(args) => in_runtime(worker::run(args, vars)),
        Command::Migrate(args) => in_runtime(migrate::run(args, configured(Purpose::Command, vars)?)),
        Command::Run(args) => {
            let vars = args.put_into(vars);
            in_runtime(run::run(args, configured(Purpose::Work, vars)?))
        }
        Command::Submit(asking) => asking.run(vars, task::submit::run),
        Command::Status(asking) => asking.run(vars, task::status::run),
        Command::Revoke(asking) => asking.run(vars, task::revoke::run),
        Command::Task(asking) => asking.run(vars, task::run),
        Command::Kind(asking) => asking.run(vars, kind::run),
        Command::Pack(args) => pack::run(args, vars),
        Command::Queue(asking) => asking.run(vars, queue::run),
        Command::Schedule(asking) => asking.run(vars, schedule::run),
        Command::Import(asking) => asking.run(vars, import::run),
        Command::Maintenance(asking) => asking.run(vars, schedule::maintenance),
        Command::File(asking) => asking.run(vars, file::run),
        Command::Suppression(asking) => asking.run(vars, suppression::run),
        Command::Token(asking) => asking.run(vars, token::run),
        Command::User(asking) => asking.run(vars, user::run),
        Command::EncryptionKey(args) => encryption_key::run(args),
        Command::Openapi(args) => openapi::run(args),
        Command::CheckConfig(args) => check_config::run(&args, &vars),
        Command::Healthcheck(args) => in_runtime(healthcheck::run(args, configured(Purpose::Command, vars)?)),
        Command::Completions(args) => completions::completions(&args, Cli::command()),
        Command::Man(args) => completions::man(args, Cli::command()),
    }
}

impl<A: clap::Args> Asking<A> {
    /// Runs the command with the configuration that `--url` and `--token` change.
    fn run<F>(self, vars: Vars, run: impl FnOnce(A, Config, output::OutputArgs) -> F) -> Result<(), CliError>
    where
        F: Future<Output = Result<(), CliError>>,
    {
        let output = self.client.output;
        let config = configured(Purpose::Command, self.client.put_into(vars))?;
        in_runtime(run(self.args, config, output))
    }
}

/// The configuration of a one-shot command, which logs to standard error.
fn configured(purpose: Purpose, vars: Vars) -> Result<Config, CliError> {
    let config = Config::read_for(purpose, vars)?;
    telemetry::start(&config.log, LogOutput::Stderr);
    Ok(config)
}

fn in_runtime(work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::io("the runtime could not start"))?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_serve_and_takes_its_flags() {
        let cli = Cli::try_parse_from(["legwork", "--listen", "0.0.0.0:80", "--roles", "api"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.listen.as_deref(), Some("0.0.0.0:80"));
        let cli = Cli::try_parse_from(["legwork", "serve", "--concurrency", "7"]).unwrap();
        let Some(Command::Serve(args)) = cli.command else { panic!("serve") };
        assert_eq!(args.pool.concurrency.as_deref(), Some("7"));
    }

    #[test]
    fn url_and_token_are_accepted_before_and_after_the_verb() {
        for words in [["task", "--url", "http://h", "list"], ["task", "list", "--url", "http://h"]] {
            let cli = Cli::try_parse_from(["legwork"].iter().chain(&words)).unwrap();
            let Some(Command::Task(asking)) = cli.command else { panic!("task") };
            assert_eq!(asking.client.url.as_deref(), Some("http://h"));
        }
    }

    #[test]
    fn errors_are_json_if_the_command_line_says_so() {
        let asks = |words: &[&str]| asks_for_json(words.iter().map(OsString::from));
        assert!(asks(&["legwork", "submit", "--format", "json"]) && asks(&["legwork", "--format=json"]));
        assert!(!asks(&["legwork", "submit", "--format", "text"]) && !asks(&["legwork", "json"]));
    }
}
