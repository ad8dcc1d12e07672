//! The integration tests: one binary, a module for each capability.

mod conformance;
mod layering;
mod packaging;
mod redis_broker;
mod support;
