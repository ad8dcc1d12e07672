//! Schedules: which kind is run by the clock, and when.

use std::sync::Arc;

use jiff::Timestamp;
use legwork_schedule::{FiringPlan, MissedMode, MissedPolicy, Occurrence, OverlapPolicy, ScheduleError, Timing, jitter_seed};
use serde::{Deserialize, Serialize};

use super::{KindName, Priority, QueueName, ScheduleId, TaskId};

/// What a schedule does and when, as its owner set it. It is stored as JSON; args are kept apart from it, because they may be secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// The kind of the tasks that it makes.
    pub kind: KindName,
    /// The purpose, for people; may be empty.
    #[serde(default)]
    pub description: String,
    /// The nominal times.
    pub timing: Timing,
    /// No nominal time before this counts.
    #[serde(default)]
    pub start: Option<Timestamp>,
    /// No nominal time at or after this counts.
    #[serde(default)]
    pub end: Option<Timestamp>,
    /// Whether the schedule is disabled by its first firing.
    #[serde(default)]
    pub one_off: bool,
    /// A task that has not started so many seconds after its nominal time is REVOKED; `None` waits for ever.
    #[serde(default)]
    pub expires_seconds: Option<u32>,
    /// The queue of the tasks; `None` takes that of the kind.
    #[serde(default)]
    pub queue: Option<QueueName>,
    /// The priority of the tasks; `None` takes the default, 5.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// Which firings are made up for that no scheduler was there to make.
    #[serde(default)]
    pub missed: MissedMode,
    /// How many firings `all` makes up for at once.
    #[serde(default = "default_catch_up")]
    pub missed_limit: u32,
    /// A firing that is found more than so many seconds after its due time is not made; `None` makes it however late it is.
    #[serde(default)]
    pub max_lateness_seconds: Option<u32>,
    /// What happens while the task of an earlier firing has not ended.
    #[serde(default)]
    pub overlap: OverlapPolicy,
    /// Tasks are made up to so many seconds after their nominal time.
    #[serde(default)]
    pub jitter_seconds: u32,
}

fn default_catch_up() -> u32 {
    legwork_schedule::DEFAULT_CATCH_UP
}

impl ScheduleSpec {
    /// The nominal times within start and end, with the jitter of the schedule `id`.
    pub fn plan(&self, id: ScheduleId) -> Result<FiringPlan, ScheduleError> {
        FiringPlan::new(self.timing.clone())
            .with_window(self.start, self.end)?
            .with_one_off(self.one_off)
            .with_jitter(i64::from(self.jitter_seconds), jitter_seed(id.as_uuid().as_bytes()))
    }

    /// Whether the nominal and due times are those of `other`; what the tasks are may differ.
    pub fn has_times_of(&self, other: &Self) -> bool {
        let times = |spec: &Self| (spec.start, spec.end, spec.one_off, spec.jitter_seconds);
        self.timing == other.timing && times(self) == times(other)
    }

    /// The policy for firings that no scheduler was there to make.
    pub fn missed_policy(&self) -> Result<MissedPolicy, ScheduleError> {
        MissedPolicy::new(self.missed, Some(i64::from(self.missed_limit)), self.max_lateness_seconds.map(i64::from))
    }
}

/// A schedule as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleRow {
    /// The id.
    pub id: ScheduleId,
    /// The name, unique among all schedules.
    pub name: String,
    /// The pack that declares it; `None` for one that a user made.
    pub pack: Option<String>,
    /// The name under which its pack declares it. An admin may change `name`; this stays, so that the pack finds the schedule again.
    pub declared_name: Option<String>,
    /// What it does and when.
    pub spec: ScheduleSpec,
    /// The args of its tasks, as JSON text.
    pub args: String,
    /// What its pack declared when it was last synchronized, as JSON text ([`Declaration`]). It tells an admin's changes from old declarations.
    pub declared: Option<String>,
    /// Whether it fires.
    pub enabled: bool,
    /// Why it does not fire, where Legwork disabled it.
    pub disabled_reason: Option<String>,
    /// The owner of its tasks.
    pub principal: Arc<str>,
    /// The fence: every write names the version that it knows, and raises it.
    pub version: i32,
    /// The time at which it was made.
    pub created_at: Timestamp,
    /// The time of the last change by a user or a pack.
    pub updated_at: Timestamp,
    /// Nominal times up to this one were decided about, or lie before the last change.
    pub considered_until: Timestamp,
    /// The next nominal time; `None` where it is disabled or nothing is ahead.
    pub next_nominal: Option<Timestamp>,
    /// The next nominal time plus jitter.
    pub next_due: Option<Timestamp>,
    /// The nominal time of a firing that waits for the task before it (`queue_one`).
    pub queued_nominal: Option<Timestamp>,
}

impl ScheduleRow {
    /// A schedule of a user that is made at `now`. Its first nominal time is not planned yet.
    pub fn new(name: String, spec: ScheduleSpec, args: String, enabled: bool, principal: Arc<str>, now: Timestamp) -> Self {
        Self {
            id: ScheduleId::made(now),
            name,
            pack: None,
            declared_name: None,
            spec,
            args,
            declared: None,
            enabled,
            disabled_reason: None,
            principal,
            version: 0,
            created_at: now,
            updated_at: now,
            considered_until: now,
            next_nominal: None,
            next_due: None,
            queued_nominal: None,
        }
    }
}

/// A stored schedule whose row this process cannot read: something else wrote it, or a newer version. It can be disabled and deleted by its id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the stored schedule {name:?} ({id}) cannot be read: {reason}; disable it or delete it, or use the version that wrote it"
)]
pub struct UnreadableSchedule {
    /// The id.
    pub id: ScheduleId,
    /// The name, unique among all schedules.
    pub name: String,
    /// The pack that declares it.
    pub pack: Option<String>,
    /// The name under which its pack declares it.
    pub declared_name: Option<String>,
    /// Whether it would fire.
    pub enabled: bool,
    /// The next nominal time plus jitter.
    pub next_due: Option<Timestamp>,
    /// What is wrong with the row.
    pub reason: String,
}

/// A row of the table of schedules: one bad row does not hide the others.
pub type StoredSchedule = Result<ScheduleRow, Box<UnreadableSchedule>>;

/// A schedule as a pack declares it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declaration {
    /// What it does and when.
    pub spec: ScheduleSpec,
    /// The args of its tasks, as JSON text.
    pub args: String,
    /// Whether it fires before an admin decides otherwise.
    pub enabled: bool,
}

/// A name with its declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredSchedule {
    /// The name of the schedule.
    pub name: String,
    /// Its declaration.
    pub declaration: Declaration,
}

/// What made a firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FiringTrigger {
    /// The clock.
    Clock,
    /// A user, by "run now".
    Manual,
}

/// What became of a nominal time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FiringOutcome {
    /// A task was made.
    Fired,
    /// It waits until the task before it has ended (`queue_one`).
    Queued,
    /// No task was made, by a policy of the schedule.
    Missed,
    /// No task could be made: the kind is unknown, or refuses the args.
    Refused,
}

macro_rules! named {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// The name in the API and in the database.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(format!(concat!("{:?} is not a ", stringify!($type)), text)),
                }
            }
        }
    };
}
named!(FiringTrigger { Clock => "clock", Manual => "manual" });
named!(FiringOutcome { Fired => "fired", Queued => "queued", Missed => "missed", Refused => "refused" });

/// A firing: a nominal time of a schedule, and what became of it. There is one for each nominal time and trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiringRow {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The time that the schedule names; for a manual firing, the time of the request.
    pub nominal: Timestamp,
    /// What made it.
    pub trigger: FiringTrigger,
    /// The nominal time plus jitter.
    pub due: Timestamp,
    /// The time at which it was decided about.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: FiringOutcome,
    /// The reason, as a sentence; `None` for a firing on time.
    pub reason: Option<String>,
    /// The task that was made.
    pub task: Option<TaskId>,
    /// The first of several missed nominal times that this row sums up; `None` where it is about one.
    pub missed_since: Option<Timestamp>,
    /// Who asked for a manual firing; `None` for one that the clock made.
    pub run_by: Option<Arc<str>>,
}

impl FiringRow {
    /// A firing by the clock, decided about at `at`. It has no task yet.
    pub fn by_clock(schedule: ScheduleId, occurrence: Occurrence, at: Timestamp, outcome: FiringOutcome) -> Self {
        Self {
            schedule,
            nominal: occurrence.nominal,
            trigger: FiringTrigger::Clock,
            due: occurrence.due,
            at,
            outcome,
            reason: None,
            task: None,
            missed_since: None,
            run_by: None,
        }
    }
}

/// Stops all firings and all fetching while it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// The time at which it was switched on.
    pub since: Timestamp,
    /// The reason, for people; may be empty.
    pub reason: String,
    /// Who switched it on.
    pub principal: String,
}
