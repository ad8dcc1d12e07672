//! `system.health_check`: looks at what everything stands on, all at once, each with its latency.

use std::future::Future;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{Kind, TaskContext};
use crate::files::FileError;
use legwork_engine::domain::{FilePath, TaskFailure};

/// A check that takes longer has failed.
const CHECK_LIMIT: Duration = Duration::from_secs(10);
/// Work that has been due for so long is not being fetched as it should.
const LATE: Duration = Duration::from_mins(5);
/// If the check's own file is left behind, it goes with the next prune after this.
const FILE_KEPT: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
const PROBE: &[u8] = b"Legwork writes this to see whether it can, and removes it.\n";

/// Args of `system.health_check`: none.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = HealthCheckArgs)]
#[serde(deny_unknown_fields)]
pub struct CheckHealth {}

impl Kind for CheckHealth {
    const NAME: &'static str = "system.health_check";
    const DESCRIPTION: &'static str = "Looks at database, cache (the broker), queues, storage and mail, each with its latency. The task succeeds also where one of them does not: its result says so in `healthy` and `failed`.";
    const HARD_LIMIT: Duration = Duration::from_mins(1);
    const NEEDS_ENGINE: bool = true;

    fn example() -> Value {
        json!({})
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let checks = async {
            tokio::join!(
                timed("database", database(&cx)),
                timed("cache", cx.upkeep.ping_broker()),
                timed("queue", queues(&cx)),
                timed("storage", storage(&cx)),
                timed("mail", mail(&cx)),
            )
        };
        let (database, cache, queue, storage, mail) = cx.or_cancelled(Box::pin(checks)).await?;
        let all = [database, cache, queue, storage, mail];
        let failed: Vec<&str> = all.iter().filter(|check| check.outcome.is_err()).map(|check| check.name).collect();
        let message = if failed.is_empty() {
            "database, cache, queue, storage and mail are well".to_owned()
        } else {
            format!("not well: {}", failed.join(", "))
        };
        let checks: Map<String, Value> = all.iter().map(|check| (check.name.to_owned(), check.to_json())).collect();
        Ok(json!({
            "success": true,
            "message": message,
            "healthy": failed.is_empty(),
            "failed": failed,
            "checked_at": cx.clock.now(),
            "checks": checks,
        }))
    }
}

/// How one thing is.
struct Check {
    name: &'static str,
    outcome: Result<(), String>,
    latency: Duration,
}

impl Check {
    fn to_json(&self) -> Value {
        let latency_ms = (self.latency.as_secs_f64() * 1e5).round() / 1e2;
        match &self.outcome {
            Ok(()) => json!({ "status": "ok", "latency_ms": latency_ms }),
            Err(error) => json!({ "status": "failed", "latency_ms": latency_ms, "error": error }),
        }
    }
}

async fn timed(name: &'static str, check: impl Future<Output = Result<(), String>>) -> Check {
    let started = Instant::now();
    let outcome = tokio::time::timeout(CHECK_LIMIT, check).await;
    let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", CHECK_LIMIT.as_secs())));
    Check { name, outcome, latency: started.elapsed() }
}

async fn database(cx: &TaskContext) -> Result<(), String> {
    cx.upkeep.ping_database().await.map_err(|error| error.to_string())
}

/// Queues are well where due work is being fetched.
async fn queues(cx: &TaskContext) -> Result<(), String> {
    let busy = cx.upkeep.busy_queues().await.map_err(|error| error.to_string())?;
    let late = busy.iter().filter(|queue| queue.oldest >= LATE);
    let messages: Vec<String> = late
        .map(|queue| {
            let (name, due, seconds, workers) = (&queue.name, queue.due, queue.oldest.as_secs(), queue.workers);
            format!("{name} has {due} due tasks, the oldest for {seconds} s, and {workers} workers serve it")
        })
        .collect();
    if messages.is_empty() { Ok(()) } else { Err(messages.join("; ")) }
}

/// Writes, reads and removes a small file.
async fn storage(cx: &TaskContext) -> Result<(), String> {
    let path = FilePath::parse(&format!("health/{}.txt", cx.task)).map_err(|error| error.to_string())?;
    let whole = async {
        let now = cx.clock.now();
        let mut writer = cx.files.create(path.clone(), "text/plain", Some(now.checked_add(FILE_KEPT).unwrap_or(now))).await?;
        writer.write(PROBE).await?;
        writer.finish().await?;
        let read = cx.files.storage().read(&path, PROBE.len()).await?;
        cx.files.file_service.remove(&path).await?;
        Ok::<_, FileError>(read == PROBE)
    };
    match whole.await {
        Ok(true) => Ok(()),
        Ok(false) => Err("what was read is not what was written".into()),
        Err(error) => Err(error.to_string()),
    }
}

async fn mail(cx: &TaskContext) -> Result<(), String> {
    cx.services.mailer.probe().await.map(drop)
}
