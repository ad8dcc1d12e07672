//! A batch that is refused for one bad row is cut in halves until that row stands alone.

use std::ops::Range;

use super::{StoreError, StoreResult};

/// What is written of a batch, and what is left.
pub(super) struct BisectedBatch<A> {
    left: Vec<Range<usize>>,
    answers: Vec<Option<Result<A, StoreError>>>,
}

impl<A> BisectedBatch<A> {
    /// A batch of so many rows.
    pub(super) fn of(rows: usize) -> Self {
        let whole = 0..rows;
        Self { left: if rows == 0 { Vec::new() } else { vec![whole] }, answers: (0..rows).map(|_| None).collect() }
    }

    /// The next part to write; parts come in the order of the batch.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        self.left.pop()
    }

    /// Takes the answers of a part, in order. The error of a whole batch is the batch's; that of a part is its rows'.
    pub(super) fn take(&mut self, part: Range<usize>, outcome: Result<Vec<A>, impl Into<StoreError>>) -> StoreResult<()> {
        match outcome.map_err(Into::into) {
            Ok(answers) => {
                for (place, answer) in self.answers[part].iter_mut().zip(answers) {
                    *place = Some(Ok(answer));
                }
            }
            Err(StoreError::Refused(reason)) if part.len() == 1 => {
                self.answers[part.start] = Some(Err(StoreError::Refused(reason)));
            }
            Err(StoreError::Refused(_)) => {
                let middle = part.start + part.len() / 2;
                self.left.push(middle..part.end);
                self.left.push(part.start..middle);
            }
            Err(error) if part.len() == self.answers.len() => return Err(error),
            Err(error) => {
                let reason = error.to_string();
                for place in &mut self.answers[part] {
                    *place = Some(Err(StoreError::Unavailable(reason.clone())));
                }
            }
        }
        Ok(())
    }

    /// The answers, in the order of the rows.
    pub(super) fn answers(self) -> Vec<Result<A, StoreError>> {
        let missing = || Err(StoreError::Database("a row of the batch was not answered".into()));
        self.answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
    }
}
