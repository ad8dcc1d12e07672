//! `legwork encryption-key`.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are the help text, where backticks would only stand in the way"
)]

use clap::Args;
use secrecy::ExposeSecret as _;

use super::{CliError, output};
use crate::auth::secrets::new_encryption_key;
use crate::config::parse_key_id;
use legwork_engine::clock::{Clock as _, SyncedClock};

/// Make a key for ENCRYPTION_KEYS, and print it
///
/// A new key goes in front of those that there are: the first encrypts, all decrypt. An old one may go once nothing is kept that it encrypted,
/// which is after RESULT_RETENTION and when each older schedule was changed. Nothing is kept of the key here.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork encryption-key
  ENCRYPTION_KEYS=$(legwork encryption-key --id k2),$ENCRYPTION_KEYS")]
pub(super) struct EncryptionKeyArgs {
    /// Its id, 1 to 32 letters, digits, '-' and '_'; by default the day and a random number
    #[arg(long, value_name = "ID", value_parser = parse_key_id)]
    id: Option<String>,
}

pub(super) fn run(args: EncryptionKeyArgs) -> Result<(), CliError> {
    // Two keys of one day need two ids: an id that is used twice makes what one of them encrypted unreadable.
    let id = args.id.unwrap_or_else(|| format!("k{}-{:08x}", SyncedClock::start().now().strftime("%Y%m%d"), fastrand::u32(..)));
    let key = new_encryption_key().map_err(|error| CliError::Failed(error.to_string()))?;
    output::print(&format!("{id}:{}", key.expose_secret()))
}
