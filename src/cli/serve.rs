//! `legwork serve`, and the start of `legwork worker`: flags have precedence over the environment.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are the help text, where backticks would only stand in the way"
)]

use clap::Args;

use super::{CliError, Vars};
use crate::app;
use crate::config::{Config, packs_value};
use crate::telemetry::{self, LogOutput};

/// Start the server: API, worker and scheduler, or the roles that --roles names
///
/// With nothing configured it runs embedded: SQLite in DATA_DIR, an in-process queue, mails into an outbox.
/// It migrates its database by itself. SIGTERM and Ctrl-C end it in good order, a second one ends it at once.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  legwork serve
  legwork serve --listen 0.0.0.0:8000 --concurrency 20
  legwork serve --pack packs/blt --pack packs/events
  DATABASE_URL=postgres://… REDIS_URL=redis://… JWT_SECRET=… legwork serve --roles api,scheduler")]
pub(super) struct ServeArgs {
    /// What this process does: api, worker, scheduler, with commas [ROLES]
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    pub(super) roles: Vec<String>,
    /// Address and port of the HTTP server [LISTEN]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    #[command(flatten)]
    pub(super) pool: PoolArgs,
}

/// The settings of the worker pool, for `serve` and `worker`.
#[derive(Debug, Default, Args)]
pub(super) struct PoolArgs {
    /// Tasks that run at once in this process [CONCURRENCY]
    #[arg(long, value_name = "N")]
    pub(super) concurrency: Option<String>,
    /// Queues that it serves, with commas [QUEUES]
    #[arg(long, value_delimiter = ',', value_name = "QUEUE")]
    queues: Vec<String>,
    /// A folder of a pack; may be repeated [PACKS]
    #[arg(long = "pack", value_name = "FOLDER")]
    packs: Vec<String>,
    /// Its name; %h is the host, %p the process id [WORKER_NAME]
    #[arg(long)]
    name: Option<String>,
}

pub(super) async fn serve(args: ServeArgs, mut vars: Vars) -> Result<(), CliError> {
    put(&mut vars, "ROLES", joined(&args.roles));
    put(&mut vars, "LISTEN", args.listen);
    Box::pin(start(args.pool, vars)).await
}

pub(super) async fn worker(pool: PoolArgs, mut vars: Vars) -> Result<(), CliError> {
    put(&mut vars, "ROLES", Some("worker".into()));
    Box::pin(start(pool, vars)).await
}

async fn start(pool: PoolArgs, mut vars: Vars) -> Result<(), CliError> {
    put(&mut vars, "CONCURRENCY", pool.concurrency);
    put(&mut vars, "QUEUES", joined(&pool.queues));
    put(&mut vars, "WORKER_NAME", pool.name);
    put(&mut vars, "PACKS", (!pool.packs.is_empty()).then(|| packs_value(&pool.packs)));
    let config = Config::read(vars)?;
    telemetry::start(&config.log, LogOutput::Stdout);
    Ok(app::serve(config).await?)
}

fn put(vars: &mut Vars, name: &str, value: Option<String>) {
    if let Some(value) = value {
        vars.insert(name.to_owned(), value);
    }
}

fn joined(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| items.join(","))
}
