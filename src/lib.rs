//! Legwork does an application's legwork: it takes a task over HTTP, keeps it in a database, runs it on a pool of workers, retries it and
//! reports on it.
//!
//! The engine and the parts that know nothing of tasks are crates of their own (`crates/`). What is here joins them to a program:
//!
//! - [`config`]: every setting; [`telemetry`]: how it logs
//! - [`services`], [`files`], [`auth`]: what kinds use; stored files; tokens and passwords
//! - [`kinds`]: the compiled kinds, and the runner through which the engine runs them
//! - [`http`]: the API; [`dashboard`]: its pages for people
//! - [`app`], [`cli`]: the composition root; the commands

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod dashboard;
pub mod files;
pub mod http;
pub mod kinds;
pub mod packs;
pub mod services;
pub mod telemetry;
