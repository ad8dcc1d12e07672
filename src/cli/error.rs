//! Why a command fails: its message, its code for programs, and the exit code of the process.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::app::AppError;
use crate::auth::{IssueError, KeyError, PasswordError};
use crate::config::Mistakes;
use legwork_engine::domain::FieldError;
use legwork_engine::store::StoreError;

/// Why a command ends without success.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The configuration has mistakes.
    #[error("the configuration has mistakes:\n{0}")]
    Config(#[from] Mistakes),
    /// The command line cannot be carried out as it is written.
    #[error("{0}")]
    Usage(String),
    /// Args of a task are wrong, as found before a server was asked.
    #[error("{detail}{}", lines(.detail, .errors))]
    BadArgs { detail: String, errors: Vec<FieldError> },
    /// The server refused the request, with its HTTP status and its code for programs.
    #[error("{detail}{}", lines(.detail, .errors))]
    Refused { status: u16, code: String, detail: String, errors: Vec<FieldError> },
    /// A name or an id is unknown.
    #[error("{0}")]
    NotFound(String),
    /// No server answers.
    #[error("no server answers at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The work was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// The work failed, and the result that was printed says so.
    #[error("")]
    Shown,
    /// The server could not start, or ended with an error; or its parts could not be put together here.
    #[error(transparent)]
    App(#[from] AppError),
    /// The database refused a statement or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys for tokens are wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No token could be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The password cannot be used.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Reading or writing on this machine failed.
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
}

impl CliError {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }

    /// 1: failed. 2: wrong usage, args or configuration. 3: not found, or no server answers.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Usage(_)
            | Self::BadArgs { .. }
            | Self::Refused { status: 400 | 422, .. }
            | Self::Key(_)
            | Self::Issue(IssueError::NoSecret)
            | Self::Password(PasswordError::Length) => 2,
            Self::NotFound(_) | Self::Unreachable { .. } | Self::Refused { status: 404, .. } => 3,
            _ => 1,
        }
    }

    /// A stable word for programs.
    fn code(&self) -> &str {
        match self {
            Self::Config(_) => "configuration",
            Self::Usage(_) => "usage",
            Self::BadArgs { .. } => "invalid",
            Self::Refused { code, .. } => code,
            Self::NotFound(_) => "not_found",
            Self::Unreachable { .. } => "unreachable",
            Self::Key(_) | Self::Issue(_) => "token",
            Self::Password(_) => "password",
            Self::Store(_) => "database",
            Self::Failed(_) | Self::Shown | Self::App(_) | Self::Io { .. } => "failed",
        }
    }

    /// The error for programs.
    fn json(&self) -> Value {
        let (message, errors) = match self {
            Self::BadArgs { detail, errors } | Self::Refused { detail, errors, .. } => (detail.clone(), json!(errors)),
            Self::Config(mistakes) => {
                let list: Vec<Value> =
                    mistakes.0.iter().map(|one| json!({ "setting": one.setting, "detail": one.detail })).collect();
                ("the configuration has mistakes".to_owned(), list.into())
            }
            error => (error.to_string(), json!([])),
        };
        error_json(self.code(), &message, &errors)
    }

    /// Prints the error to standard error, as JSON if the command was asked for it.
    pub(super) fn report(&self, as_json: bool) {
        let text = match self {
            Self::Shown => return,
            error if as_json => error.json().to_string(),
            error => format!("legwork: {}", error.to_string().replace('\n', "\n  ")),
        };
        // A closed standard error leaves nowhere to report to.
        drop(writeln!(std::io::stderr(), "{text}"));
    }
}

/// The form of an error on standard error with `--format json`.
pub(super) fn error_json(code: &str, message: &str, errors: &Value) -> Value {
    json!({ "error": { "code": code, "message": message, "errors": errors } })
}

/// The wrong fields, a line each. A single one is often named by the detail already.
fn lines(detail: &str, errors: &[FieldError]) -> String {
    if let [only] = errors
        && detail.contains(&only.detail)
    {
        return String::new();
    }
    let lines: Vec<String> = errors.iter().map(|error| format!("\n  {}: {}", error.pointer, error.detail)).collect();
    lines.concat()
}
