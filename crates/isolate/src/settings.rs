//! The settings of child processes.

use std::path::PathBuf;
use std::time::Duration;

/// The limits of child processes.
#[derive(Clone, Debug)]
pub struct IsolateConfig {
    /// Path of the program that is started as `PROGRAM child`. It is this program itself.
    pub program: PathBuf,
    /// Most children that run at the same time. Further calls wait.
    pub children: usize,
    /// Bytes of memory that one may have.
    pub max_memory: u64,
    /// Requests before one is replaced.
    pub requests_per_child: u32,
    /// The longest time for one request.
    pub time_limit: Duration,
    /// How long an idle child is kept for reuse.
    pub keep: Duration,
}
