//! The durable task queue of Legwork.
//!
//! A task is a row in a store (Postgres or SQLite). Submitting writes the row; a dispatch through a broker (Redis Streams or an
//! in-process queue) tells a free worker that the task is due; the worker starts an attempt by a compare-and-set on the row, runs it, and
//! settles it by a fenced write. The engine knows no HTTP, no mail and no kinds: what a task does is the business of a [`TaskRunner`],
//! which the program that embeds the engine supplies.
//!
//! The modules, from the bottom to the top; each uses only those above it:
//!
//! - [`domain`]: ids, tasks, states, outcomes, retry policies; pure. [`clock`] and [`shutdown`]: time and the end of the process as parameters.
//! - [`store`] and [`broker`]: the two ports, each with two implementations.
//! - [`runner`]: the port to the code that runs tasks. [`metrics`]: what is counted.
//! - [`queue`]: submit, fetch, start, settle, control and query; the only module that joins store and broker.
//! - [`worker`] and [`scheduler`]: the pool of slots, and what happens because time passed.

pub mod broker;
pub mod children;
pub mod clock;
pub mod domain;
pub mod metrics;
pub mod queue;
pub mod runner;
pub mod scheduler;
pub mod shutdown;
pub mod store;
pub mod worker;

pub use runner::{AttemptContext, KindPolicy, ProgressSink, RunFuture, TaskRunner};
