//! The tests of the public API: one binary, a module for each subject.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper of the tests fails the test")]

mod clock_changes;
mod crontab;
mod decisions;
mod timings;
