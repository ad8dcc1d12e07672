//! The integration tests: one binary, a module for each capability.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what fails in a helper of the tests fails the test")]

mod api;
mod application;
mod auth;
mod bad_schedules;
mod bulk;
mod calls;
mod cli;
mod commands;
mod conformance;
mod docs;
mod encrypted;
mod engine;
mod faults;
mod files;
mod images;
mod imports;
mod layering;
mod mail;
mod migrations;
mod outbound;
mod packaging;
mod packs;
mod redis_broker;
mod reports;
mod sms;
mod sources;
mod sqlite;
mod store_postgres;
mod support;
