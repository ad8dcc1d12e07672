//! What becomes of nominal times that have come due: which ones fire, and which ones are recorded as missed, and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ScheduleError;
use crate::plan::{FiringPlan, Occurrence};

/// Which of the missed firings are made up for.
///
/// A firing is **missed** if the scheduler finds it late: more than [`ON_TIME_SECONDS`] after its due time, or when a later firing of the same schedule is
/// due as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedMode {
    /// None: missed firings are recorded, and the next one on time is made.
    Skip,
    /// The last one only, however many were missed.
    #[default]
    Last,
    /// All of them, up to a limit; the oldest beyond it are recorded as missed.
    All,
}

/// How missed firings are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MissedPolicy {
    mode: MissedMode,
    limit: u32,
    max_lateness: Option<u32>,
}

/// A firing that is found at most so many seconds after its due time is on time.
pub const ON_TIME_SECONDS: i64 = 60;
/// The most firings that one schedule makes up for at once.
pub const MAX_CATCH_UP: i64 = 1_000;
/// The limit of [`MissedMode::All`] where none is given.
pub const DEFAULT_CATCH_UP: u32 = 10;
/// How many missed firings of one schedule are listed one by one; the older ones are summed up.
pub const MAX_MISSED_LISTED: usize = 100;

impl Default for MissedPolicy {
    fn default() -> Self {
        Self { mode: MissedMode::default(), limit: DEFAULT_CATCH_UP, max_lateness: None }
    }
}

impl MissedPolicy {
    /// Checks a policy. `limit` concerns `all` (default 10); `max_lateness` is in seconds after the due time and concerns `last` and `all`.
    pub fn new(mode: MissedMode, limit: Option<i64>, max_lateness: Option<i64>) -> Result<Self, ScheduleError> {
        let limit = in_range("missed_limit", limit.unwrap_or(DEFAULT_CATCH_UP.into()), 1, MAX_CATCH_UP)?;
        let max_lateness = max_lateness.map(|value| in_range("max_lateness", value, 1, i64::from(u32::MAX))).transpose()?;
        Ok(Self { mode, limit, max_lateness })
    }

    /// Which of the missed firings are made up for.
    pub fn mode(&self) -> MissedMode {
        self.mode
    }

    /// How many firings `all` makes up for at once.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How many seconds after its due time a firing is still made.
    pub fn max_lateness(&self) -> Option<u32> {
        self.max_lateness
    }

    /// Why a firing is not made, or `None` if it is. `later` is the number of later firings that are due as well.
    fn refuses(&self, late_seconds: i64, later: usize) -> Option<MissedReason> {
        let too_late = self.max_lateness.is_some_and(|max| late_seconds > i64::from(max).max(ON_TIME_SECONDS));
        match self.mode {
            MissedMode::Skip | MissedMode::Last if later > 0 => Some(MissedReason::Superseded),
            MissedMode::Skip if late_seconds > ON_TIME_SECONDS => Some(MissedReason::Late),
            MissedMode::All if later >= self.limit as usize => Some(MissedReason::OverLimit),
            _ => too_late.then_some(MissedReason::TooLate),
        }
    }
}

fn in_range(field: &'static str, value: i64, min: i64, max: i64) -> Result<u32, ScheduleError> {
    let error = ScheduleError::OutOfRange { field, value, min, max };
    u32::try_from(value).ok().filter(|_| (min..=max).contains(&value)).ok_or(error)
}

/// What a schedule does when the task of an earlier firing has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// It fires all the same.
    #[default]
    Allow,
    /// It does not fire.
    Skip,
    /// It fires, and the task waits for the one before it; if another one waits already, it does not fire.
    QueueOne,
}

/// What becomes of one firing under an [`OverlapPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverlapDecision {
    /// Make the task, due at once.
    Fire,
    /// Make the task, and start it only after the one before it has ended.
    FireAfterCurrent,
    /// Makes no task for this firing.
    Skip,
}

impl OverlapPolicy {
    /// Decides about one firing. `unfinished` is the number of tasks of the schedule that wait or run.
    pub fn decide(self, unfinished: usize) -> OverlapDecision {
        match (self, unfinished) {
            (Self::Allow, _) | (_, 0) => OverlapDecision::Fire,
            (Self::QueueOne, 1) => OverlapDecision::FireAfterCurrent,
            (Self::Skip | Self::QueueOne, _) => OverlapDecision::Skip,
        }
    }
}

/// Why a nominal time was not made into a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedReason {
    /// No scheduler ran when it was due, and the policy is `skip`.
    Late,
    /// A later firing was due as well, and the policy makes the last one only.
    Superseded,
    /// More firings were due than the policy makes up for at once.
    OverLimit,
    /// It was found later than `max_lateness` allows.
    TooLate,
    /// The task of an earlier firing had not ended.
    Overlap,
    /// The schedule fires once, and it has fired.
    OneOff,
}

impl MissedReason {
    /// The name in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Superseded => "superseded",
            Self::OverLimit => "over_limit",
            Self::TooLate => "too_late",
            Self::Overlap => "overlap",
            Self::OneOff => "one_off",
        }
    }

    /// The reason as a sentence.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Late => "No scheduler was running when this firing was due, and the schedule skips missed firings.",
            Self::Superseded => "A later firing of the schedule was due as well, and only the last one is made.",
            Self::OverLimit => "More firings were missed than the schedule makes up for at once.",
            Self::TooLate => "The firing was found later than the schedule's maximal lateness.",
            Self::Overlap => "The task of an earlier firing had not ended.",
            Self::OneOff => "The schedule fires once only, and it has fired.",
        }
    }
}

/// What is known when a schedule is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// The newest nominal time that was decided about, or the time at which the schedule was made, changed or enabled. Nothing at or before it fires.
    pub considered: Timestamp,
    /// The time at which the decision is made.
    pub now: Timestamp,
    /// How many tasks of the schedule wait or run. It matters to `skip` and `queue_one` only.
    pub unfinished: usize,
}

/// What becomes of the nominal times that have come due.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// The firings to make, the oldest first.
    pub fire: Vec<Firing>,
    /// The firings to record as missed, the oldest first: [`MAX_MISSED_LISTED`] at most, and as many as the policy would have made.
    pub missed: Vec<Missed>,
    /// The missed firings that are older than all those of `missed` and `fire`, if there were too many to list.
    pub older: Option<MissedSpan>,
    /// The newest nominal time that this decision is about: the next [`Situation::considered`]. `None` if nothing was due.
    pub considered: Option<Timestamp>,
    /// The schedule has nothing left to do: it was a one-off that has fired, or no nominal time is ahead.
    pub finished: bool,
}

/// A firing to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firing {
    /// Its nominal and its due time.
    pub occurrence: Occurrence,
    /// Whether it is made up for, that is, found late or with a later one due.
    pub late: bool,
    /// Whether its task must wait until the task before it has ended (`queue_one`).
    pub after_current: bool,
}

/// A firing to record as missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The nominal time of the firing that was missed.
    pub nominal: Timestamp,
    /// Why it is not made.
    pub reason: MissedReason,
}

/// Missed firings that are recorded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissedSpan {
    /// The nominal time of the oldest.
    pub first: Timestamp,
    /// The nominal time of the newest.
    pub last: Timestamp,
    /// Why they are not made.
    pub reason: MissedReason,
}

/// Decides what becomes of the nominal times after `considered` that are due by `now`.
///
/// The work is bounded whatever has been missed: the search goes backward from `now`.
pub fn decide(plan: &FiringPlan, missed: &MissedPolicy, overlap: OverlapPolicy, situation: Situation) -> Decision {
    let Situation { considered, now, .. } = situation;
    let made_at_most = if missed.mode == MissedMode::All { missed.limit as usize } else { 1 };
    let wanted = made_at_most + MAX_MISSED_LISTED;
    let (due, older) = nominal_times(plan, considered, now, wanted, |occurrence| occurrence.due <= now);
    let mut decision = Decision { considered: due.last().map(|last| last.nominal), ..Decision::default() };
    let mut unfinished = situation.unfinished;
    let mut fired = false;
    let count = due.len();
    for (index, occurrence) in due.into_iter().enumerate() {
        let late_seconds = now.duration_since(occurrence.due).as_secs();
        let later = count - index - 1;
        let refused = missed.refuses(late_seconds, later).or((fired && plan.is_one_off()).then_some(MissedReason::OneOff));
        let overlapping = overlap.decide(unfinished);
        let reason = refused.or((overlapping == OverlapDecision::Skip).then_some(MissedReason::Overlap));
        if let Some(reason) = reason {
            decision.missed.push(Missed { nominal: occurrence.nominal, reason });
            continue;
        }
        decision.fire.push(Firing {
            occurrence,
            late: late_seconds > ON_TIME_SECONDS || later > 0,
            after_current: overlapping == OverlapDecision::FireAfterCurrent,
        });
        (fired, unfinished) = (true, unfinished + 1);
    }
    decision.older = older.map(|(first, last)| {
        let reason = if missed.mode == MissedMode::All { MissedReason::OverLimit } else { MissedReason::Superseded };
        MissedSpan { first, last, reason }
    });
    let newest = decision.considered.unwrap_or(considered);
    decision.finished = (fired && plan.is_one_off()) || plan.next_after(newest).is_none();
    decision
}

/// The nominal times that a change of a schedule passes over: those after `considered` up to `now`, also where jitter has put off their due time.
///
/// The answer has the newest of them, the oldest first, [`MAX_MISSED_LISTED`] at most, and the first and last of those that are older.
pub fn passed_over(
    plan: &FiringPlan,
    considered: Timestamp,
    now: Timestamp,
) -> (Vec<Occurrence>, Option<(Timestamp, Timestamp)>) {
    nominal_times(plan, considered, now, MAX_MISSED_LISTED, |_| true)
}

/// The nominal times after `considered` up to `now` that `counts`, the oldest first, `wanted` at most; and the oldest and newest of those that are older.
fn nominal_times(
    plan: &FiringPlan,
    considered: Timestamp,
    now: Timestamp,
    wanted: usize,
    counts: impl Fn(&Occurrence) -> bool,
) -> (Vec<Occurrence>, Option<(Timestamp, Timestamp)>) {
    let mut listed: Vec<Occurrence> = Vec::new();
    let mut before = next_nanosecond(now);
    let mut left_out = None;
    while let Some(nominal) = plan.previous_before(before).filter(|nominal| *nominal > considered) {
        if listed.len() == wanted {
            left_out = plan.next_after(considered).map(|first| (first, nominal));
            break;
        }
        let occurrence = Occurrence { nominal, due: plan.due_at(nominal) };
        if counts(&occurrence) {
            listed.push(occurrence);
        }
        before = nominal;
    }
    listed.reverse();
    (listed, left_out)
}

fn next_nanosecond(instant: Timestamp) -> Timestamp {
    instant.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MAX)
}
