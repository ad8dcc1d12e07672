//! Legwork does an application's legwork: it takes a task over HTTP, keeps it in a database, runs it on a pool of workers, retries it and
//! reports on it.
//!
//! The map, from the bottom to the top; a module uses only what stands above it in this list (a test reads the `use` lines):
//!
//! - [`domain`], [`clock`], [`shutdown`]: nouns and rules; time and chance as parameters; the end as a type
//! - [`config`], [`metrics`], [`telemetry`]: every setting; every metric; how we log
//! - [`store`], [`broker`]: the rows (Postgres, SQLite); the doorbell and the signals (Redis Streams, in-process)
//! - [`services`], [`auth`]: mail, text messages, templates, pictures, sources, files, outbound calls; tokens and passwords
//! - [`tasks`]: the kinds
//! - [`queue`]: submit, begin, settle, control, inspect; the only place that joins store and broker
//! - [`worker`], [`scheduler`], [`http`]: the pool; what time brings; the API
//! - [`app`], [`cli`]: the composition root; the commands

pub mod app;
pub mod auth;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod metrics;
pub mod queue;
pub mod scheduler;
pub mod services;
pub mod shutdown;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod worker;
