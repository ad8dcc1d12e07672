//! The state machine: one function says what follows an attempt, one what follows a crash.
//!
//! ```text
//! PENDING ──start──▶ STARTED ──success──▶ SUCCESS
//!    │                 │  │ └──failure───▶ FAILURE
//!    │                 │  └──revoked─────▶ REVOKED
//!    │   ┌──retry──────┘
//!    │   ▼         ▲
//!    │ RETRY ─start┘      release: STARTED ▶ PENDING (or RETRY, where a retry was used)
//!    └───┴──revoke, expiry, purge──▶ REVOKED
//! ```

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::outcome::{ErrorReport, Outcome};
use super::retry::RetryPolicy;
use super::task::EndReason;

/// The state of a task, in Celery's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskStatus {
    /// The task waits for its first attempt.
    Pending,
    /// An attempt is running.
    Started,
    /// The task waits for another attempt.
    Retry,
    /// The task ended with a result.
    Success,
    /// The task ended with an error.
    Failure,
    /// The task was ended by a revoke, an expiry or a purge.
    Revoked,
}

impl TaskStatus {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Pending, Self::Started, Self::Retry, Self::Success, Self::Failure, Self::Revoked];

    /// Its word, in the API and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Started => "STARTED",
            Self::Retry => "RETRY",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Revoked => "REVOKED",
        }
    }

    /// Whether the state is final.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Revoked)
    }

    /// Whether a task in this state waits to be started.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Pending | Self::Retry)
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TaskStatus {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| format!("{word:?} is not a status; allowed are PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED"))
    }
}

/// The final state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndStatus {
    /// The task has a result.
    Success,
    /// The task failed and is not retried any more.
    Failure,
    /// The task was revoked, expired or purged.
    Revoked,
}

impl From<EndStatus> for TaskStatus {
    fn from(end: EndStatus) -> Self {
        match end {
            EndStatus::Success => Self::Success,
            EndStatus::Failure => Self::Failure,
            EndStatus::Revoked => Self::Revoked,
        }
    }
}

/// The facts that decide what follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// Retries used before this attempt.
    pub retries_used: u16,
    /// Most retries after the first attempt.
    pub max_retries: u16,
    /// Workers that died with this task since it last made progress.
    pub crashes: u16,
    /// Whether a revoke was requested. If so, no retry follows.
    pub revoke_requested: bool,
}

/// What happens to a task after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The task has ended.
    End {
        /// The final state.
        status: EndStatus,
        /// The result as JSON text, for a SUCCESS.
        result: Option<String>,
        /// The error, for a FAILURE.
        error: Option<ErrorReport>,
        /// The reason, for REVOKED.
        reason: Option<EndReason>,
    },
    /// The attempt failed, and the task is due again at `due_at`. One retry is used.
    Retry {
        /// When the task is due again.
        due_at: Timestamp,
        /// The error of the attempt.
        error: ErrorReport,
    },
    /// The worker died, and the task is due again at `due_at`. One crash is counted (or the count starts again at 1); no retry is used.
    Crashed {
        /// When the task is due again.
        due_at: Timestamp,
        /// The number of crashes from now on.
        crashes: u16,
        /// The error that the record of the attempt shows.
        error: ErrorReport,
    },
    /// The task is due again at `due_at`, as if the attempt had not been made. Nothing is counted.
    Release {
        /// When the task is due again.
        due_at: Timestamp,
    },
}

impl Next {
    /// The task ends as SUCCESS with `result`, which is JSON text.
    pub fn success(result: String) -> Self {
        Self::End { status: EndStatus::Success, result: Some(result), error: None, reason: None }
    }

    /// The task ends as FAILURE with `error`.
    pub fn failure(error: ErrorReport) -> Self {
        Self::End { status: EndStatus::Failure, result: None, error: Some(error), reason: None }
    }

    /// The task ends as REVOKED for `reason`.
    pub fn revoked(reason: EndReason) -> Self {
        Self::End { status: EndStatus::Revoked, result: None, error: None, reason: Some(reason) }
    }
}

/// What follows `outcome`. `chance` (in `0.0..1.0`) is for the jitter.
///
/// A result that is there is kept even where a revoke came too late; any other outcome of a task whose end was asked for is REVOKED.
pub fn after(outcome: Outcome, facts: RunFacts, policy: &RetryPolicy, now: Timestamp, chance: f64) -> Next {
    match outcome {
        Outcome::Success(result) => Next::success(result),
        outcome if facts.revoke_requested || outcome == Outcome::Revoked => Next::revoked(EndReason::Revoked),
        Outcome::Retry { error, after } if facts.retries_used < facts.max_retries => {
            let delay = policy.delay(facts.retries_used, chance, after);
            Next::Retry { due_at: later(now, delay), error }
        }
        Outcome::Fail(error) | Outcome::Retry { error, .. } => Next::failure(error),
        Outcome::Release { after } => Next::Release { due_at: later(now, after) },
        Outcome::Revoked => Next::revoked(EndReason::Revoked),
    }
}

/// The number of dead workers after which a task is a FAILURE.
const MAX_CRASHES: u16 = 3;

/// What follows the death of the worker that ran it. `progressed` says whether the lost attempt had come further than any before it, which forgives
/// the crashes before it: a long bulk mail outlives many kills.
pub fn after_crash(facts: RunFacts, progressed: bool, worker: &str, now: Timestamp) -> Next {
    let crashes = if progressed { 1 } else { facts.crashes + 1 };
    if facts.revoke_requested {
        return Next::revoked(EndReason::Revoked);
    }
    if crashes >= MAX_CRASHES {
        let message = format!("{crashes} workers died while they ran it, the last one {worker}; it is not tried again");
        return Next::failure(ErrorReport::new("WorkerLost", message, false));
    }
    let message = format!("worker {worker} died or lost its lease while it ran the task");
    Next::Crashed { due_at: now, crashes, error: ErrorReport::new("WorkerLost", message, true) }
}

fn later(now: Timestamp, delay: std::time::Duration) -> Timestamp {
    jiff::SignedDuration::try_from(delay).ok().and_then(|delay| now.checked_add(delay).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn facts() -> RunFacts {
        RunFacts { retries_used: 0, max_retries: 3, crashes: 0, revoke_requested: false }
    }

    fn broken() -> Outcome {
        Outcome::Retry { error: ErrorReport::new("X", "x", true), after: None }
    }

    #[test]
    fn retries_are_spent_and_then_it_is_a_failure() {
        let now = Timestamp::UNIX_EPOCH;
        let next = after(broken(), facts(), &RetryPolicy::DEFAULT, now, 0.5);
        assert!(matches!(next, Next::Retry { due_at, .. } if due_at.as_second() == 60));
        let spent = RunFacts { retries_used: 3, ..facts() };
        let next = after(broken(), spent, &RetryPolicy::DEFAULT, now, 0.5);
        assert!(matches!(next, Next::End { status: EndStatus::Failure, .. }));
    }

    #[test]
    fn no_retry_follows_a_revoke_but_a_result_is_kept() {
        let revoked = RunFacts { revoke_requested: true, ..facts() };
        let now = Timestamp::UNIX_EPOCH;
        for outcome in [broken(), Outcome::Release { after: Duration::ZERO }, Outcome::Revoked] {
            let next = after(outcome, revoked, &RetryPolicy::DEFAULT, now, 0.5);
            assert_eq!(next, Next::revoked(EndReason::Revoked));
        }
        let next = after(Outcome::Success("1".into()), revoked, &RetryPolicy::DEFAULT, now, 0.5);
        assert_eq!(next, Next::success("1".into()));
    }

    #[test]
    fn the_third_crash_is_the_last_unless_there_was_progress() {
        let twice = RunFacts { crashes: 2, ..facts() };
        let now = Timestamp::UNIX_EPOCH;
        assert!(matches!(after_crash(twice, false, "w", now), Next::End { status: EndStatus::Failure, .. }));
        assert!(matches!(after_crash(twice, true, "w", now), Next::Crashed { crashes: 1, .. }));
    }
}
