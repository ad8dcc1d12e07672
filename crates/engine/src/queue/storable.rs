//! What is written of an end that the database refuses: the same end, without the text that the database cannot hold.
//!
//! A database that is not in UTF-8 refuses some characters; another refuses a value for its size. The attempt has run, and running it again
//! would end the same way, so its end is written with less and less until the database takes it.

use crate::domain::{EndStatus, ErrorReport, Next};
use crate::store::Settlement;

const RESULT_NOT_STORED: &str = "ResultNotStored";
const END_NOT_STORED: &str = "EndNotStored";
/// Less than a report keeps of a message.
const MAX_ASCII_BYTES: usize = 2_000;

/// What to write instead of a settlement that was refused for `reason`; `None` where nothing can be left out any more.
pub(super) fn storable(settlement: Settlement, reason: &str) -> Option<Settlement> {
    if settlement.progress.is_some() {
        return Some(Settlement { progress: None, ..settlement });
    }
    let next = next_in_ascii(&settlement.next, reason);
    if next != settlement.next {
        return Some(Settlement { next, ..settlement });
    }
    match &settlement.next {
        Next::End { error: Some(error), .. } if error.kind == END_NOT_STORED => None,
        _ => {
            let message = format!("the end of the attempt cannot be stored: {}", ascii(reason));
            Some(Settlement { next: Next::failure(ErrorReport::new(END_NOT_STORED, message, false)), ..settlement })
        }
    }
}

fn next_in_ascii(next: &Next, reason: &str) -> Next {
    match next {
        Next::End { status: EndStatus::Success, .. } => {
            let message = format!("the result cannot be stored: {}", ascii(reason));
            Next::failure(ErrorReport::new(RESULT_NOT_STORED, message, false))
        }
        Next::End { status, error, reason, .. } => {
            Next::End { status: *status, result: None, error: error.as_ref().map(report_in_ascii), reason: *reason }
        }
        Next::Retry { due_at, error } => Next::Retry { due_at: *due_at, error: report_in_ascii(error) },
        Next::Crashed { due_at, crashes, error } => {
            Next::Crashed { due_at: *due_at, crashes: *crashes, error: report_in_ascii(error) }
        }
        Next::Release { due_at } => Next::Release { due_at: *due_at },
    }
}

fn report_in_ascii(error: &ErrorReport) -> ErrorReport {
    ErrorReport::new(ascii(&error.kind), ascii(&error.message), error.retryable)
}

/// `text` with every other character escaped as in Rust; every database takes what is left.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            plain.push(c);
        } else {
            plain.extend(c.escape_unicode());
        }
    }
    // A report cuts what is longer than it keeps, and marks that with a character that is not ASCII.
    plain.truncate(MAX_ASCII_BYTES);
    plain
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{TaskId, WorkerId};

    fn settlement(next: Next) -> Settlement {
        Settlement {
            id: TaskId::from(uuid::Uuid::from_u128(1)),
            attempt: crate::domain::Attempt(1),
            version: crate::domain::Version(1),
            worker: WorkerId::from(uuid::Uuid::from_u128(2)),
            worker_name: "w".into(),
            at: Timestamp::UNIX_EPOCH,
            progress: None,
            next,
        }
    }

    /// All that is written of a settlement which is refused every time.
    fn written(next: Next) -> Vec<Next> {
        let first = storable(settlement(next), "no such character (22P05) é");
        std::iter::successors(first, |refused| storable(refused.clone(), "again")).map(|one| one.next).collect()
    }

    #[test]
    fn a_result_that_cannot_be_stored_is_a_failure_and_never_written_for_ever() {
        let ends = written(Next::success("\"🎈\"".into()));
        let Next::End { status, error: Some(error), result, .. } = &ends[0] else { panic!("{ends:?}") };
        assert_eq!((*status, result), (EndStatus::Failure, &None));
        assert_eq!(error.message, "the result cannot be stored: no such character (22P05) \\u{e9}");
        assert_eq!(ends.len(), 2, "{ends:?}");
    }

    #[test]
    fn a_retry_whose_error_cannot_be_stored_stays_a_retry() {
        let retry = |message: &str| Next::Retry { due_at: Timestamp::UNIX_EPOCH, error: ErrorReport::new("E", message, true) };
        let ends = written(retry("a 🎈"));
        assert_eq!(ends[0], retry("a \\u{1f388}"));
        assert_eq!(ends.len(), 2, "{ends:?}");
    }
}
