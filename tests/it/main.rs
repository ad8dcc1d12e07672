//! The integration tests: one binary, modules by capability.

mod conformance;
mod store_postgres;
mod sqlite;
mod support;
