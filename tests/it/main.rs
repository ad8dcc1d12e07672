//! The integration tests: one binary, modules by capability.

mod conformance;
mod sqlite;
mod support;
