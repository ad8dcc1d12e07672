//! The operations, by resource. A handler takes the request apart, calls the queue once and answers.

pub(super) mod audit;
pub(super) mod auth;
pub(super) mod events;
pub(super) mod files;
pub(super) mod kinds;
pub(super) mod queues;
pub(super) mod recipients;
pub(super) mod schedules;
pub(super) mod submit;
pub(super) mod suppressions;
pub(super) mod tasks;
pub(super) mod workers;

use std::time::Duration;

/// What every path of the API starts with.
pub(super) const PREFIX: &str = "/api/v1";

/// The longest long poll. Many proxies cut a request that is silent for 60 s.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(50);

/// How long an upload may take that goes on.
pub(super) const LONGEST_UPLOAD: Duration = Duration::from_mins(10);
