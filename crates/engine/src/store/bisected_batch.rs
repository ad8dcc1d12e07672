//! A batch in parts: none has more bytes than one statement should, and one that is refused for a bad row is cut in halves until that row
//! stands alone.

use std::ops::Range;

use super::{StoreError, StoreResult};

/// The bytes of one part at most, but for a row that is larger by itself.
const PART_BYTES: usize = 32 << 20;

/// What is written of a batch, and what is left.
pub(super) struct BisectedBatch<A> {
    left: Vec<Range<usize>>,
    answers: Vec<Option<Result<A, StoreError>>>,
}

impl<A> BisectedBatch<A> {
    /// A batch of rows of these sizes, in bytes.
    pub(super) fn of(sizes: impl IntoIterator<Item = usize>) -> Self {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let (mut rows, mut bytes) = (0, 0_usize);
        for size in sizes {
            bytes = bytes.saturating_add(size);
            match parts.last_mut() {
                Some(part) if bytes <= PART_BYTES => part.end += 1,
                _ => {
                    bytes = size;
                    parts.push(rows..rows + 1);
                }
            }
            rows += 1;
        }
        parts.reverse();
        Self { left: parts, answers: (0..rows).map(|_| None).collect() }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(sizes: &[usize]) -> Vec<Range<usize>> {
        let mut batch = BisectedBatch::<()>::of(sizes.iter().copied());
        std::iter::from_fn(|| batch.next()).collect()
    }

    #[test]
    fn parts_are_bounded_by_bytes_and_come_in_order() {
        assert_eq!(parts(&[]), []);
        assert_eq!(parts(&[1, 1, 1]), vec![0..3; 1]);
        assert_eq!(parts(&[PART_BYTES, 1, PART_BYTES - 1, 2 * PART_BYTES, 1]), [0..1, 1..3, 3..4, 4..5]);
    }

    #[test]
    fn a_refused_part_is_halved_until_the_bad_row_stands_alone() {
        let mut batch = BisectedBatch::of([0; 5]);
        while let Some(part) = batch.next() {
            let refused = Err(StoreError::Refused("bad".into()));
            let outcome = if part.contains(&3) { refused } else { Ok(part.clone().collect()) };
            batch.take(part, outcome).unwrap();
        }
        let answers: Vec<_> = batch.answers().into_iter().map(Result::ok).collect();
        assert_eq!(answers, [Some(0), Some(1), Some(2), None, Some(4)]);
    }
}
