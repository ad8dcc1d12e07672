//! `legwork completions` and `legwork man`.

use clap::{Args, Command};
use clap_complete::Shell;

use super::CliError;
use super::output::print_bytes;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork completions bash > /etc/bash_completion.d/legwork
  legwork completions fish > ~/.config/fish/completions/legwork.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the manual page
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  legwork man > /usr/local/share/man/man1/legwork.1")]
pub(super) struct ManArgs {}

pub(super) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "legwork", &mut script);
    print_bytes(&script)
}

pub(super) fn man(_args: ManArgs, command: Command) -> Result<(), CliError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(CliError::io("the manual page"))?;
    print_bytes(&page)
}
