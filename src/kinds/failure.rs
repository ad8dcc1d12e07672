//! What the error of a service means to a task: the attempt is retried, or the task fails.

use legwork_engine::domain::{FieldError, TaskFailure};
use legwork_isolate::IsolateError;
use legwork_source::{QueryError, SourceError};

/// Turns the error of a service into what the task does next.
pub trait OrFail<T> {
    /// The value, or the failure that the error means.
    fn or_fail(self) -> Result<T, TaskFailure>;
}

impl<T> OrFail<T> for Result<T, SourceError> {
    fn or_fail(self) -> Result<T, TaskFailure> {
        self.map_err(source_failure)
    }
}

impl<T> OrFail<T> for Result<T, QueryError> {
    fn or_fail(self) -> Result<T, TaskFailure> {
        self.map_err(|error| source_failure(error.into()))
    }
}

/// What the error of a source means.
pub fn source_failure(error: SourceError) -> TaskFailure {
    match &error {
        SourceError::Away { .. } => TaskFailure::retry("SourceUnavailable", error),
        SourceError::Mismatch { .. } | SourceError::Statement { .. } => TaskFailure::fail("SourceMismatch", error),
        SourceError::Undeclared(_) => TaskFailure::fail("SourceUndeclared", error),
        SourceError::Refused { .. } => TaskFailure::fail("SourceError", error),
    }
}

/// What the error of a child process means to an attempt that works on `subject` (a stored path, say). `too_heavy` is the error type
/// where the work needs more memory or time than it may have.
pub fn child_failure(error: IsolateError, subject: &str, too_heavy: &str) -> TaskFailure {
    let message = format!("{subject}: {error}");
    match error {
        IsolateError::Refused { word, is_final: true, .. } => TaskFailure::fail(&word, message),
        IsolateError::Refused { word, .. } => TaskFailure::retry(&word, message),
        IsolateError::OutOfMemory { .. } | IsolateError::TimeLimit { .. } => TaskFailure::fail(too_heavy, message),
        // Another attempt with the same file would end the same way.
        IsolateError::Died { .. } => TaskFailure::fail("ChildDied", message),
        IsolateError::Killed { .. } => TaskFailure::retry("ChildKilled", message),
        IsolateError::Unavailable { .. } => TaskFailure::retry("ChildUnavailable", message),
    }
}

/// The wrong parts of a query, as errors of the request's fields.
pub fn to_field_errors(errors: Vec<QueryError>) -> Vec<FieldError> {
    errors.into_iter().map(|QueryError { pointer, detail }| FieldError::new(pointer, detail)).collect()
}
