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

/// Where logs go.
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
    let filter = EnvFilter::builder().parse(&config.level).unwrap_or_default();
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_err() {
        tracing::debug!("logging had been started before");
    }
}
