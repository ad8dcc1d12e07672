//! The commands. Results go to standard output and nothing else does; what a command has to say goes to standard error.
//!
//! Commands that look at or steer a running system go through the API of its server ([`client`]), also because an embedded store belongs to
//! one process.

mod check_config;
mod child;
mod client;
mod encryption_key;
mod files;
mod healthcheck;
mod kind_args;
mod migrate;
mod openapi;
mod output;
mod queues;
mod retry;
mod revoke;
mod run;
mod serve;
mod status;
mod submit;
mod suppressions;
mod token;
mod user;
mod workers;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::AppError;
use crate::auth::{IssueError, KeyError, PasswordError};
use crate::config::{self, Config, Mistakes, Purpose};
use crate::telemetry::{self, LogOutput};
use legwork_engine::domain::FieldError;
use legwork_engine::store::StoreError;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage, args or configuration
  3  not found, or no server answers

Settings come from the environment; `legwork check-config --example` lists them.";

const EXAMPLES: &str = "\
Examples:
  legwork                                        start a server with everything in it
  legwork run system.echo --arg hello=world      run a task here and now, without a server
  legwork submit email.send --arg recipient_email=ann@example.org --arg subject=Hello --arg template_name=notification
  legwork status 019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55
  legwork token create --subject shop --scope tasks:submit --ttl 30d
";

/// Durable background tasks over HTTP, in one binary.
///
/// Without a command it serves.
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
    Worker(serve::WorkerArgs),
    Migrate(migrate::MigrateArgs),
    Run(run::RunArgs),
    Submit(submit::SubmitArgs),
    Status(status::StatusArgs),
    Revoke(revoke::RevokeArgs),
    Retry(retry::RetryArgs),
    Queues(queues::QueuesArgs),
    Suppressions(suppressions::SuppressionsArgs),
    Files(files::FilesArgs),
    Workers(workers::WorkersArgs),
    Token(token::TokenArgs),
    User(user::UserArgs),
    EncryptionKey(encryption_key::EncryptionKeyArgs),
    Openapi(openapi::OpenapiArgs),
    CheckConfig(check_config::CheckConfigArgs),
    Healthcheck(healthcheck::HealthcheckArgs),
}

/// Why a command ends without success.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// The configuration has mistakes.
    #[error("the configuration has mistakes:\n{0}")]
    Config(#[from] Mistakes),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Args are wrong, here or by the server's word.
    #[error("{detail}{}", listed(.errors))]
    BadArgs { detail: String, errors: Vec<FieldError> },
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// No server answers.
    #[error("no server answers at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// It was tried, and failed.
    #[error("{0}")]
    Failed(String),
    /// It failed, and the result that was printed says so.
    #[error("")]
    Shown,
    /// The server could not start, or ended badly; or its parts could not be put together here.
    #[error(transparent)]
    App(#[from] AppError),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys of tokens are wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No token could be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The password cannot be taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Reading or writing here failed.
    #[error("{what}: {source}")]
    Io { what: &'static str, source: std::io::Error },
}

impl CliError {
    fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Usage(_)
            | Self::BadArgs { .. }
            | Self::Key(_)
            | Self::Issue(IssueError::NoSecret)
            | Self::Password(PasswordError::Length) => 2,
            Self::NotFound(_) | Self::Unreachable { .. } => 3,
            _ => 1,
        }
    }
}

fn listed(errors: &[FieldError]) -> String {
    let lines: Vec<String> = errors.iter().map(|error| format!("\n  {}: {}", error.pointer, error.detail)).collect();
    lines.concat()
}

/// The environment as it is, from which each command takes its configuration.
type Vars = BTreeMap<String, String>;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    if let Some(ended) = child::run(std::env::args_os()) {
        return ended;
    }
    let cli = Cli::parse();
    let Err(error) = dispatch(cli.command.unwrap_or(Command::Serve(cli.serve)), config::environment()) else {
        return ExitCode::SUCCESS;
    };
    let text = error.to_string();
    if !text.is_empty() {
        // Where standard error is closed, nobody is left to tell.
        drop(writeln!(std::io::stderr(), "legwork: {}", text.replace('\n', "\n  ")));
    }
    ExitCode::from(error.exit_code())
}

fn dispatch(command: Command, vars: Vars) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => in_runtime(serve::serve(args, vars)),
        Command::Worker(args) => in_runtime(serve::worker(args, vars)),
        Command::Migrate(args) => in_runtime(migrate::run(args, configured(Purpose::Command, vars)?)),
        Command::Run(args) => in_runtime(run::run(args, configured(Purpose::Work, vars)?)),
        Command::Submit(args) => in_runtime(submit::run(args, configured(Purpose::Command, vars)?)),
        Command::Status(args) => in_runtime(status::run(args, configured(Purpose::Command, vars)?)),
        Command::Revoke(args) => in_runtime(revoke::run(args, configured(Purpose::Command, vars)?)),
        Command::Retry(args) => in_runtime(retry::run(args, configured(Purpose::Command, vars)?)),
        Command::Queues(args) => in_runtime(queues::run(args, configured(Purpose::Command, vars)?)),
        Command::Suppressions(args) => in_runtime(suppressions::run(args, configured(Purpose::Command, vars)?)),
        Command::Files(args) => in_runtime(files::run(args, configured(Purpose::Command, vars)?)),
        Command::Workers(args) => in_runtime(workers::run(args, configured(Purpose::Command, vars)?)),
        Command::Token(args) => in_runtime(token::run(args, configured(Purpose::Command, vars)?)),
        Command::User(args) => in_runtime(user::run(args, configured(Purpose::Command, vars)?)),
        Command::EncryptionKey(args) => encryption_key::run(args),
        Command::Openapi(args) => openapi::run(args),
        Command::CheckConfig(args) => check_config::run(&args, &vars),
        Command::Healthcheck(args) => in_runtime(healthcheck::run(args, configured(Purpose::Command, vars)?)),
    }
}

/// The configuration of a one-shot command, which logs to standard error.
fn configured(purpose: Purpose, vars: Vars) -> Result<Config, CliError> {
    let config = Config::read_for(purpose, vars)?;
    telemetry::start(&config.log, LogOutput::Stderr);
    Ok(config)
}

fn in_runtime(work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::io("the runtime"))?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

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
}
