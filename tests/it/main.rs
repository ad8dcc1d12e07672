//! The integration tests: one binary, a module for each capability.

mod auth;
mod conformance;
mod engine;
mod layering;
mod mail;
mod outbound;
mod packaging;
mod redis_broker;
mod sqlite;
mod support;
