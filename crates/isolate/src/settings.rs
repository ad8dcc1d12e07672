//! The settings of child processes.

use std::path::PathBuf;
use std::time::Duration;

/// How CPU-bound work is kept apart.
#[derive(Clone, Debug)]
pub struct IsolateConfig {
    /// What is started as `PROGRAM child`: this program.
    pub program: PathBuf,
    /// Most children that run at the same time. Further calls wait.
    pub children: usize,
    /// Bytes of memory that one may have.
    pub max_memory: u64,
    /// Requests before one is replaced.
    pub requests_per_child: u32,
    /// The longest time for one request.
    pub time_limit: Duration,
    /// How long one is kept that nobody needs.
    pub keep: Duration,
}
