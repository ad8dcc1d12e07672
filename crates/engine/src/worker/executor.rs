//! Runs one attempt, as named steps: decode → run (limits, stops, panics) → outcome → settle.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;

use super::progress::ProgressBook;
use super::running::{CancelHandle, Running, RunningAttempt, StopReason};
use crate::domain::{EndStatus, ErrorReport, Next, Outcome, RetryPolicy, RunFacts, StartedTask, TaskFailure, WorkerId, after};
use crate::queue::Queue;
use crate::runner::{AttemptContext, RunFuture};
use crate::store::encrypted::{encrypted_with, unreadable};
use crate::store::{Settled, Settlement};

/// How long a task waits that this version of the program cannot run; another worker may.
const RELEASE_PAUSE: Duration = Duration::from_secs(30);
/// After so many attempts nobody is coming who can run it.
const MAX_RELEASES: i32 = 100;

/// Runs attempts. One a pool.
pub struct Executor {
    /// The engine, for starts and settlements.
    pub queue: Arc<Queue>,
    /// The attempts that run in this pool.
    pub running: Arc<Running>,
    /// Collects progress until it is written.
    pub progress: Arc<ProgressBook>,
    /// Id of the worker.
    pub worker: WorkerId,
    /// Name of the worker, for the record of attempts.
    pub worker_name: Arc<str>,
    /// The largest result, in bytes.
    pub result_limit: usize,
}

impl Executor {
    /// Registers an attempt that has started: from here on the heartbeat knows of it.
    pub fn register(&self, task: &StartedTask) -> Arc<CancelHandle> {
        let cancel_handle = Arc::new(CancelHandle::default());
        let attempt = RunningAttempt { attempt: task.attempt, started_at: task.started_at, cancel_handle: cancel_handle.clone() };
        self.running.add(task.id, attempt);
        cancel_handle
    }

    /// Runs an attempt to its end and hands the end over. `slot` is given up as soon as the settlement has its place in the next write.
    pub async fn execute<S: Send>(&self, task: StartedTask, cancel_handle: Arc<CancelHandle>, slot: S) {
        let span = tracing::info_span!("attempt", task.id = %task.id, task.kind = %task.kind, attempt = %task.attempt);
        let started = tokio::time::Instant::now();
        let outcome = self.run(&task, &cancel_handle).instrument(span.clone()).await;
        let seconds = started.elapsed().as_secs_f64();
        let (next, policy_word) = self.decide_next(&task, outcome, &cancel_handle);
        self.queue.metrics().attempt_ended(&task.kind, policy_word, seconds);
        span.in_scope(|| log_end(&task, &next, seconds));
        self.settle(&task, next, slot).await;
    }

    /// Decodes the args and runs the kind's code.
    async fn run(&self, task: &StartedTask, cancel_handle: &Arc<CancelHandle>) -> Outcome {
        let runner = self.queue.runner();
        if runner.kind(&task.kind).is_none() {
            let message = format!("no worker knows the kind {}", task.kind);
            return release_or(task, ErrorReport::new("UnknownKind", message, false));
        }
        if let Some(key) = encrypted_with(&task.args) {
            return release_or(task, ErrorReport::new("EncryptedArgs", unreadable("args", key), false));
        }
        match runner.start(self.context(task, cancel_handle), &task.args) {
            Ok(work) => self.supervise(task, cancel_handle, work).await,
            Err(TaskFailure::Fail(error) | TaskFailure::Retry { error, .. }) => release_or(task, error),
            Err(TaskFailure::Later { after }) => Outcome::Release { after },
            Err(TaskFailure::Stopped) => Outcome::Release { after: Duration::ZERO },
        }
    }

    fn context(&self, task: &StartedTask, cancel_handle: &CancelHandle) -> AttemptContext {
        let clock = self.queue.clock().clone();
        AttemptContext {
            deadline: clock.now() + task.soft_limit.unwrap_or(task.hard_limit),
            task: task.id,
            attempt: task.attempt,
            kind: task.kind.clone(),
            principal: task.principal.clone(),
            submitted_at: task.submitted_at,
            retry_origin: task.retry_origin,
            retries_left: task.max_retries.saturating_sub(task.retries_used),
            clock,
            stop: cancel_handle.requested().clone(),
            progress: self.progress.sink(task.id, task.attempt),
            children: self.queue.children_of(task),
            engine: self.queue.clone(),
        }
    }

    /// Watches the work: its end, its limits, and whoever wants it stopped. A panic ends the attempt, not the worker.
    async fn supervise(&self, task: &StartedTask, cancel_handle: &CancelHandle, work: RunFuture) -> Outcome {
        let mut work = AbortOnDrop(tokio::spawn(work.in_current_span()));
        let hard_limit = tokio::time::sleep(task.hard_limit);
        tokio::pin!(hard_limit);
        let soft_limit = tokio::time::sleep(task.soft_limit.unwrap_or(task.hard_limit));
        tokio::pin!(soft_limit);
        let mut soft_is_ahead = task.soft_limit.is_some();
        loop {
            tokio::select! {
                biased;
                ended = &mut work.0 => return self.outcome(ended, cancel_handle),
                () = cancel_handle.forced() => return stopped(cancel_handle.reason()),
                () = &mut hard_limit => {
                    let message = format!("it ran past its limit of {} s", task.hard_limit.as_secs_f64());
                    return Outcome::Fail(ErrorReport::new("TimeLimitExceeded", message, false));
                }
                () = &mut soft_limit, if soft_is_ahead => {
                    soft_is_ahead = false;
                    cancel_handle.cancel(StopReason::SoftLimit);
                }
            }
        }
    }

    fn outcome(&self, ended: Result<Result<serde_json::Value, TaskFailure>, JoinError>, cancel_handle: &CancelHandle) -> Outcome {
        match ended {
            Ok(Ok(result)) => {
                let text = result.to_string();
                if text.len() > self.result_limit {
                    let message = format!("the result has {} bytes; allowed are {}", text.len(), self.result_limit);
                    return Outcome::Fail(ErrorReport::new("ResultTooLarge", message, false));
                }
                Outcome::Success(text)
            }
            Ok(Err(TaskFailure::Retry { error, after })) => Outcome::Retry { error, after },
            Ok(Err(TaskFailure::Fail(error))) => Outcome::Fail(error),
            Ok(Err(TaskFailure::Later { after })) => Outcome::Release { after },
            Ok(Err(TaskFailure::Stopped)) => stopped(cancel_handle.reason()),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Outcome::Retry { error: ErrorReport::new("Panic", panic_text(panic.as_ref()), true), after: None },
                Err(_) => stopped(cancel_handle.reason()),
            },
        }
    }

    fn decide_next(&self, task: &StartedTask, outcome: Outcome, cancel_handle: &CancelHandle) -> (Next, &'static str) {
        let facts = RunFacts {
            retries_used: task.retries_used,
            max_retries: task.max_retries,
            crashes: task.crashes,
            revoke_requested: cancel_handle.reason() == Some(StopReason::Revoked),
        };
        let policy = self.queue.runner().kind(&task.kind).map_or(RetryPolicy::DEFAULT, |kind| kind.retry);
        let clock = self.queue.clock();
        let next = after(outcome, facts, &policy, clock.now(), clock.chance());
        let word = match &next {
            Next::End { status: EndStatus::Success, .. } => "success",
            Next::End { status: EndStatus::Failure, .. } => "failure",
            Next::End { status: EndStatus::Revoked, .. } => "revoked",
            Next::Retry { .. } => "retry",
            Next::Crashed { .. } => "crashed",
            Next::Release { .. } => "released",
        };
        (next, word)
    }

    async fn settle<S: Send>(&self, task: &StartedTask, next: Next, slot: S) {
        let now = self.queue.clock().now();
        let ends = matches!(next, Next::End { .. });
        let is_failure = matches!(next, Next::Retry { .. } | Next::End { status: EndStatus::Failure, .. });
        let settlement = Settlement {
            id: task.id,
            attempt: task.attempt,
            version: task.version,
            worker: self.worker,
            worker_name: self.worker_name.clone(),
            at: now,
            progress: self.progress.take_last(task.id, task.attempt),
            next,
        };
        let answer = self.queue.settle(settlement).await;
        drop(slot);
        let settled = match answer {
            Some(answer) => answer.await.ok(),
            None => None,
        };
        let is_task_end = match settled {
            Some(Ok(Settled::Ended(_))) => true,
            Some(Ok(Settled::Already)) => ends,
            _ => false,
        };
        self.running.ended(now, is_failure, is_task_end);
        self.running.remove(task.id, task.attempt);
    }
}

/// Hands a task back that this program cannot run, because another version may; after many attempts nobody can.
fn release_or(task: &StartedTask, error: ErrorReport) -> Outcome {
    if task.attempt.0 >= MAX_RELEASES {
        return Outcome::Fail(error);
    }
    tracing::warn!(task.id = %task.id, task.kind = %task.kind, %error, "this version cannot run the task and releases it");
    Outcome::Release { after: RELEASE_PAUSE }
}

/// What a stop comes to, by its reason.
fn stopped(reason: Option<StopReason>) -> Outcome {
    match reason {
        Some(StopReason::Revoked) => Outcome::Revoked,
        Some(StopReason::Shutdown | StopReason::LeaseLost) => Outcome::Release { after: Duration::ZERO },
        Some(StopReason::SoftLimit) => {
            let error = ErrorReport::new("SoftTimeLimitExceeded", "it was asked to stop at its soft limit, and did", true);
            Outcome::Retry { error, after: None }
        }
        None => {
            Outcome::Retry { error: ErrorReport::new("Stopped", "it stopped without having been asked to", true), after: None }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the kind's code panicked".to_owned())
}

fn log_end(task: &StartedTask, next: &Next, seconds: f64) {
    let duration_ms = (seconds * 1000.0).round();
    match next {
        Next::End { status: EndStatus::Failure, error: Some(error), .. } => {
            tracing::error!(queue = %task.queue, duration_ms, %error, "the task failed");
        }
        Next::Retry { due_at, error } => {
            tracing::warn!(queue = %task.queue, duration_ms, %error, %due_at, retries = task.retries_used + 1, "the attempt failed and will be retried");
        }
        Next::Release { .. } => tracing::info!(queue = %task.queue, duration_ms, "the attempt was released"),
        Next::End { status, .. } => tracing::debug!(queue = %task.queue, duration_ms, ?status, "the task ended"),
        Next::Crashed { .. } => {}
    }
}

/// The work ends with whoever watches it: a forced stop, a limit, or a runtime that shuts down.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
