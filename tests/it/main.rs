//! The integration tests: one binary, modules by capability.

mod conformance;
mod redis_broker;
mod support;
