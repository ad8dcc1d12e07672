//! CPU-bound work on what strangers give us, in child processes of this program.
//!
//! A child is `legwork child`: it reads requests from its standard input and writes answers to its standard output, each a length (four bytes,
//! the least significant first) and so many bytes of JSON. Large data goes by paths. It has a limit of memory, a limit of time for each
//! request, no environment, no open files of ours, and ends when we do. Whatever happens to a child, the server goes on.
//!
//! Children are kept warm for the next request, and ended after a number of requests, when they have grown, or when nobody needs them for a
//! while. A call that is dropped kills its child.

pub mod child;
mod frame;
mod idle_pool;
mod process;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};

pub use settings::IsolateConfig;

use frame::{Answer, Request};
use idle_pool::IdlePool;
use process::Process;

/// The reasons why a call to a child failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsolateError {
    /// The child examined its input and refused it.
    #[error("{message}")]
    Refused {
        /// A stable machine-readable code, chosen by the work.
        word: String,
        /// The reason, as a sentence for people.
        message: String,
        /// Whether every further attempt would be refused as well.
        is_final: bool,
    },
    /// The child needed more memory than the limit allows.
    #[error("it takes more memory than the {limit_mib} MiB that CHILD_MAX_MEMORY allows")]
    OutOfMemory {
        /// The memory limit in MiB, from `CHILD_MAX_MEMORY`.
        limit_mib: u64,
    },
    /// The call took longer than its time limit.
    #[error("it takes longer than the {} s that CHILD_TIME_LIMIT allows", .limit.as_secs_f64())]
    TimeLimit {
        /// The time limit, from `CHILD_TIME_LIMIT`.
        limit: Duration,
    },
    /// The work itself ended the child, for example by a crash of the decoder.
    #[error("it killed the process that worked on it: {how}")]
    Died {
        /// The exit status or the signal that ended the child.
        how: String,
    },
    /// The child was killed from outside, or it ended before it could work.
    #[error("the process that worked on it was ended from outside: {how}")]
    Killed {
        /// The exit status or the signal that ended the child.
        how: String,
    },
    /// The operating system could not start a child.
    #[error("no process could be started to work on it: {reason}")]
    Unavailable {
        /// The operating system's error, as text.
        reason: String,
    },
}

/// The children of one process. Clones share them.
#[derive(Clone)]
pub struct Isolate {
    config: Arc<IsolateConfig>,
    turns: Arc<Semaphore>,
    idle_pool: Arc<IdlePool>,
    alive: Arc<watch::Sender<Vec<u32>>>,
}

impl Isolate {
    /// Prepares the pool. Children are started when the first calls need them.
    pub fn new(config: IsolateConfig) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(config.children)),
            idle_pool: Arc::new(IdlePool::new(config.keep)),
            alive: Arc::new(watch::Sender::new(Vec::new())),
            config: Arc::new(config),
        }
    }

    /// The process ids of the children that live, busy or not, the oldest first.
    pub fn children(&self) -> watch::Receiver<Vec<u32>> {
        self.alive.subscribe()
    }

    /// Has a child do `work`; waits for a free one first. Dropped, it kills the child.
    pub async fn call<A, R>(&self, work: &str, args: &A) -> Result<R, IsolateError>
    where
        A: Serialize + Sync,
        R: DeserializeOwned,
    {
        let unfit = |error: serde_json::Error| IsolateError::Unavailable { reason: error.to_string() };
        let seconds = self.config.time_limit.as_secs().saturating_add(1);
        let request = serde_json::to_vec(&Request { work, cpu_seconds: seconds, args }).map_err(unfit)?;
        let closed = |_| IsolateError::Unavailable { reason: "the server is ending".into() };
        let turn = self.turns.clone().acquire_owned().await.map_err(closed)?;
        let mut process = match self.idle_pool.take() {
            Some(process) => process,
            None => Process::start(&self.config, self.alive.clone())?,
        };
        process.hold(turn);
        let limit = self.config.time_limit;
        let Answer { resident, outcome } = match tokio::time::timeout(limit, process.call(&request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => return Err(process.autopsy(reason, &self.config).await),
            Err(_) => return Err(IsolateError::TimeLimit { limit }),
        };
        let has_grown = resident > self.config.max_memory / 4;
        if process.served < self.config.requests_per_child && !has_grown {
            process.let_go();
            self.idle_pool.put(process);
        }
        match outcome {
            Ok(done) => serde_json::from_str(done.get()).map_err(unfit),
            Err(refusal) => {
                let child::Refusal { word, message, is_final } = refusal;
                Err(IsolateError::Refused { word, message, is_final })
            }
        }
    }
}
