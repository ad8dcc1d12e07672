//! `legwork migrate`.

use clap::Args;
use serde_json::json;

use super::CliError;
use super::output::OutputArgs;
use crate::app;
use crate::config::Config;

/// Bring the database's schema up to date
///
/// Servers do this by themselves at their start; this is for those who want it done before. On the embedded database the server must be
/// stopped meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  DATABASE_URL=postgres://… legwork migrate")]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: MigrateArgs, config: Config) -> Result<(), CliError> {
    let store = app::build_store(&config.store).await.map_err(|error| match error {
        error if config.is_embedded() => {
            CliError::Failed(format!("{error} (a server brings it up to date by itself at its start)"))
        }
        error => error.into(),
    })?;
    let was_current = store.is_migrated().await.unwrap_or(false);
    let migrated = async {
        store.migrate().await?;
        // For servers whose role may make none.
        store.make_partitions(store.ping().await?).await
    }
    .await;
    store.close().await;
    migrated?;
    args.output.print(&json!({ "migrated": !was_current }), |_| {
        if was_current { "The schema was up to date.".into() } else { "The schema is up to date now.".into() }
    })
}
