//! A service on `legwork-engine` alone: a kind of its own, a durable queue in one SQLite file, a pool of workers, and answers.
//!
//! ```console
//! $ cargo run -p legwork-engine --example word_count
//! "the row is the truth": {"words":5} after 1 attempt
//! "": failed with EmptyText: a text without words cannot be counted
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use legwork_engine::broker::SharedBroker;
use legwork_engine::broker::memory::MemoryBroker;
use legwork_engine::clock::SyncedClock;
use legwork_engine::domain::{FieldError, KindName, Principal, QueueName, RetryPolicy, Routing, TaskFailure, WorkerId};
use legwork_engine::metrics::Metrics;
use legwork_engine::queue::options::TaskOptions;
use legwork_engine::queue::submit::{SubmitError, SubmitTask};
use legwork_engine::queue::{Queue, QueueError, QueueParts, SubmitConfig};
use legwork_engine::scheduler::{Scheduler, SchedulerConfig};
use legwork_engine::shutdown::Shutdown;
use legwork_engine::store::sqlite::SqliteStore;
use legwork_engine::store::{SharedStore, StoreError};
use legwork_engine::worker::WorkerConfig;
use legwork_engine::worker::heartbeat::Heartbeat;
use legwork_engine::worker::pool::{Pool, PoolParts};
use legwork_engine::{AttemptContext, KindPolicy, RunFuture, TaskRunner};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_hours(24);
/// A worker that sent no heartbeat for so long is dead, and its tasks run again elsewhere.
const LEASE: Duration = Duration::from_secs(30);

/// Why the service cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task was refused.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A task cannot be looked at.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A task ended longer ago than results are kept.
    #[error("the task was forgotten")]
    Forgotten,
    /// The workers ended with a panic.
    #[error(transparent)]
    Workers(#[from] tokio::task::JoinError),
    /// The folder of the database cannot be made.
    #[error(transparent)]
    Folder(#[from] std::io::Error),
}

/// The args of the only kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WordCount {
    text: String,
}

impl WordCount {
    /// The result of an attempt. [`TaskFailure`] says whether another attempt may help: not here.
    fn run(&self) -> Result<Value, TaskFailure> {
        match self.text.split_whitespace().count() {
            0 => Err(TaskFailure::fail("EmptyText", "a text without words cannot be counted")),
            words => Ok(json!({ "words": words })),
        }
    }
}

/// Tells the engine which kinds exist, checks the args of submissions, and runs attempts.
struct WordCounter {
    policy: Arc<KindPolicy>,
}

#[async_trait]
impl TaskRunner for WordCounter {
    fn kind(&self, name: &KindName) -> Option<Arc<KindPolicy>> {
        (*name == self.policy.name).then(|| self.policy.clone())
    }

    fn kinds(&self) -> Vec<Arc<KindPolicy>> {
        vec![self.policy.clone()]
    }

    fn check(&self, _kind: &KindName, args: &str) -> Result<(), Vec<FieldError>> {
        serde_json::from_str::<WordCount>(args).map(drop).map_err(|error| vec![FieldError::new(String::new(), error.to_string())])
    }

    fn start(&self, _attempt: AttemptContext, args: &str) -> Result<RunFuture, TaskFailure> {
        let args: WordCount = serde_json::from_str(args).map_err(|error| TaskFailure::fail("BadArgs", error))?;
        Ok(Box::pin(async move { args.run() }))
    }
}

/// Counts the words of each text, each in a task of its own, and returns a line for each.
///
/// `folder` keeps the database: tasks that were accepted before the process ended are run by the next process.
pub async fn count_words(folder: &Path, texts: &[&str]) -> Result<Vec<String>, ServiceError> {
    let shutdown = Shutdown::new();
    let store: SharedStore = Arc::new(SqliteStore::open(&folder.join("tasks.db")).await?);
    store.migrate().await?;
    let queue = start_engine(&store, &shutdown);
    let workers = start_workers(&queue, &store, &shutdown);

    let mut lines = Vec::new();
    for text in texts {
        let task = SubmitTask {
            kind: "text.count_words".into(),
            args: json!({ "text": text }).to_string(),
            args_pointer: "/args",
            options: TaskOptions::default(),
            principal: "example".into(),
            internal: false,
            key: None,
        };
        // The task is durable when this returns.
        let id = queue.submit(task).await?.id;
        let status = queue.wait(id, LEASE, &Principal::system()).await?.ok_or(ServiceError::Forgotten)?;
        lines.push(match (&status.result, &status.error) {
            (Some(result), _) => format!("{text:?}: {result} after {} attempt", status.attempts),
            (None, Some(error)) => format!("{text:?}: failed with {}: {}", error.kind, error.message),
            (None, None) => format!("{text:?}: has not ended yet"),
        });
    }

    shutdown.start();
    workers.await?;
    shutdown.finished().await;
    store.close().await;
    Ok(lines)
}

fn start_engine(store: &SharedStore, shutdown: &Shutdown) -> Arc<Queue> {
    let policy = KindPolicy {
        name: KindName::from_store("text.count_words"),
        queue: QueueName::from_store("default"),
        retry: RetryPolicy::DEFAULT,
        rate: None,
        hard_limit: Duration::from_mins(1),
        soft_limit: None,
        args_limit: 0,
        is_public: true,
        sensitive: Vec::new(),
    };
    let broker: SharedBroker = Arc::new(MemoryBroker::default());
    let config =
        SubmitConfig { args_limit: 64 << 10, routing: Routing::default(), key_retention: DAY, result_retention: 30 * DAY };
    let parts = QueueParts {
        store: store.clone(),
        broker,
        clock: Arc::new(SyncedClock::start()),
        runner: Arc::new(WordCounter { policy: Arc::new(policy) }),
        config,
        metrics: Arc::new(Metrics::new()),
        lease: LEASE,
    };
    let queue = Queue::start(parts, shutdown);
    Scheduler::new(queue.clone(), SchedulerConfig { lease: LEASE, result_retention: 30 * DAY, key_retention: DAY })
        .start(shutdown);
    queue
}

fn start_workers(queue: &Arc<Queue>, store: &SharedStore, shutdown: &Shutdown) -> tokio::task::JoinHandle<()> {
    let config = WorkerConfig {
        name: None,
        concurrency: 10,
        queues: Vec::new(),
        queue_concurrency: BTreeMap::new(),
        grace: LEASE,
        lease: LEASE,
        result_limit: 64 << 10,
    };
    let worker = WorkerId::made(queue.clock().now());
    let name = "example";
    let pool = Pool::new(PoolParts { queue: queue.clone(), config: config.clone(), worker, worker_name: name.into() });
    let heartbeat = Heartbeat::new(pool.clone(), queue.clone(), config, worker, name, shutdown.clone());
    let (store, shutdown) = (store.clone(), shutdown.clone());
    tokio::spawn(async move {
        // A pool starts attempts only while its heartbeats are written.
        let stop = CancellationToken::new();
        tokio::join!(heartbeat.run(&store, stop.clone()), async {
            pool.run(shutdown).await;
            stop.cancel();
        });
    })
}

/// Runs the example on two texts, in a folder below the working folder.
#[expect(clippy::print_stdout, reason = "the output of the example")]
#[cfg(not(test))]
#[tokio::main]
async fn main() -> Result<(), ServiceError> {
    let folder = Path::new("data/word_count");
    std::fs::create_dir_all(folder)?;
    for line in count_words(folder, &["the row is the truth", ""]).await? {
        println!("{line}");
    }
    Ok(())
}
