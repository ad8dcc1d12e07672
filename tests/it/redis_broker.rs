//! What only Redis can do to its broker: break, and stand somewhere else.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod faults;
mod forms;
