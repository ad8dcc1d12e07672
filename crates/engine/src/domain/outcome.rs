//! What a run returned, and how a failing line says what to do about it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An attempt's or a task's error, as stored and as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorReport {
    /// What went wrong, as a stable word: `SmtpError`, `TimeLimitExceeded`, `WorkerLost`, `Panic`, ….
    #[serde(rename = "type")]
    #[schema(example = "SmtpError")]
    pub kind: String,
    /// What went wrong, for a person. Never holds a secret.
    #[schema(example = "the mail server answered 450 4.2.1 mailbox busy")]
    pub message: String,
    /// Whether another attempt could have helped.
    pub retryable: bool,
}

/// The longest error message that is kept, in bytes.
const MAX_MESSAGE_BYTES: usize = 4_000;

impl ErrorReport {
    /// A report; control characters are replaced and a long message is cut.
    pub fn new(kind: impl Into<String>, message: impl fmt::Display, retryable: bool) -> Self {
        let mut message: String =
            message.to_string().chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        if message.len() > MAX_MESSAGE_BYTES {
            let end = (0..=MAX_MESSAGE_BYTES).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        Self { kind: kind.into(), message, retryable }
    }
}

impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// How a handler fails. The line that fails decides: [`TaskFailure::retry`] or [`TaskFailure::fail`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskFailure {
    /// Another attempt may help.
    Retry {
        /// The error to record.
        error: ErrorReport,
        /// The least time to wait, where the other side named one (`Retry-After`).
        after: Option<Duration>,
    },
    /// No attempt will help: FAILURE at once.
    Fail(ErrorReport),
    /// Nothing went wrong, but it cannot go on before `after` has passed: the task is released, which spends nothing.
    Later {
        /// The least time before the next attempt.
        after: Duration,
    },
    /// The handler stopped at a checkpoint because it was asked to; the engine knows why.
    Stopped,
}

impl TaskFailure {
    /// A failure that another attempt may mend.
    pub fn retry(kind: &str, message: impl fmt::Display) -> Self {
        Self::Retry { error: ErrorReport::new(kind, message, true), after: None }
    }

    /// The same, not to be tried again before `after` has passed.
    pub fn retry_after(kind: &str, message: impl fmt::Display, after: Duration) -> Self {
        Self::Retry { error: ErrorReport::new(kind, message, true), after: Some(after) }
    }

    /// A failure that no attempt will mend.
    pub fn fail(kind: &str, message: impl fmt::Display) -> Self {
        Self::Fail(ErrorReport::new(kind, message, false))
    }
}

/// What one attempt came to, as the executor saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned; the result as JSON text.
    Success(String),
    /// It failed and may be tried again.
    Retry {
        /// The error to record.
        error: ErrorReport,
        /// The least time to wait.
        after: Option<Duration>,
    },
    /// It failed for good.
    Fail(ErrorReport),
    /// It was stopped because the task was revoked.
    Revoked,
    /// It was stopped, or never run, for a reason that is not its own (shutdown, an unknown kind, a lost lease): no budget is spent.
    Release {
        /// The least time before the next attempt.
        after: Duration,
    },
}
