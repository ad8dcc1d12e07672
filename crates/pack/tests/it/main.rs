//! Tests of whole packs, by the crate's public API.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod documentation;
mod faults;
mod model;
mod support;
