//! Logs: a filter by module, as text for people or as one JSON object a line.
//!
//! Every line within an attempt carries its span's fields (`task.id`, `task.kind`, `attempt`). Args, tokens and passwords are never given
//! to a log; that is the duty of whoever logs.

mod json;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::LogConfig;

pub use json::JsonLines;

/// The stream to which log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// A server's: its logs are its output.
    Stdout,
    /// A command's: its output is its result.
    Stderr,
}

/// Starts logging for the process. A second call changes nothing.
pub fn start(config: &LogConfig, output: LogOutput) {
    let (writer, is_terminal) = match output {
        LogOutput::Stdout => (BoxMakeWriter::new(io::stdout), io::stdout().is_terminal()),
        LogOutput::Stderr => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = if config.json {
        lines.fmt_fields(JsonLines::fields()).event_format(JsonLines).boxed()
    } else {
        lines.compact().with_ansi(is_terminal).boxed()
    };
    // The configuration has checked the filter.
    let filter = EnvFilter::builder().parse(directives(&config.level)).unwrap_or_default();
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_err() {
        tracing::debug!("logging had been started before");
    }
}

/// Libraries that tell too much: sqlx of every "IF NOT EXISTS" that did, the others of every step in every mail that is made.
const TALKERS: [&str; 3] = ["sqlx", "selectors", "html5ever"];

/// The filter that `level` asks for: `info` where it names modules alone; and nothing of [`TALKERS`] below a warning, unless they are named.
fn directives(level: &str) -> String {
    let parts: Vec<&str> = level.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let global = parts.iter().rev().find(|part| !part.contains('='));
    let is_quiet = global.is_some_and(|level| ["off", "error"].iter().any(|quiet| quiet.eq_ignore_ascii_case(level)));
    let hushed = TALKERS.iter().filter(|talker| !is_quiet && !parts.iter().any(|part| part.starts_with(**talker)));
    let mut filter: Vec<String> = global.is_none().then(|| "info".to_owned()).into_iter().collect();
    filter.extend(hushed.map(|talker| format!("{talker}=warn")));
    filter.extend(parts.iter().map(|part| (*part).to_owned()));
    filter.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_alone_leave_the_rest_at_info_and_sqlx_speaks_where_it_is_named() {
        for (level, filter) in [
            ("info", "sqlx=warn,selectors=warn,html5ever=warn,info"),
            ("debug, legwork::http=trace", "sqlx=warn,selectors=warn,html5ever=warn,debug,legwork::http=trace"),
            ("legwork::queue=debug", "info,sqlx=warn,selectors=warn,html5ever=warn,legwork::queue=debug"),
            ("sqlx=debug", "info,selectors=warn,html5ever=warn,sqlx=debug"),
            ("warn,sqlx::query=info", "selectors=warn,html5ever=warn,warn,sqlx::query=info"),
            ("off", "off"),
            ("ERROR", "ERROR"),
        ] {
            assert_eq!(directives(level), filter);
            assert!(EnvFilter::builder().parse(filter).is_ok(), "{filter}");
        }
    }
}
