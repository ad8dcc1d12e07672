//! Schedules, their firings, and the maintenance switch.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{StoreResult, SubmittedTask};
use crate::domain::{FiringRow, Maintenance, ScheduleId, ScheduleRow, StoredSchedule, TaskId};

/// The columns of a schedule that a change writes, in the order in which both dialects bind them.
macro_rules! schedule_fields {
    () => {
        "name, pack, declared_name, spec, args, declared, enabled, disabled_reason, principal, created_at, updated_at, considered_until,
    next_nominal, next_due, queued_nominal"
    };
}
/// All columns of a schedule, in the order in which both dialects bind and read them.
macro_rules! schedule_columns {
    () => {
        concat!("id, version, ", $crate::store::schedules::schedule_fields!())
    };
}
/// The columns of a firing, in the order in which both dialects bind and read them.
macro_rules! firing_columns {
    () => {
        "schedule, nominal, made_by, due, at, outcome, reason, task, missed_since, run_by"
    };
}
pub(super) use {firing_columns, schedule_columns, schedule_fields};

/// Names one schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleKey {
    /// By its id.
    Id(ScheduleId),
    /// By its name.
    Name(String),
    /// By the pack that declares it, and the name under which it does so.
    Declared {
        /// The name of the pack.
        pack: String,
        /// The name in the pack.
        name: String,
    },
}

/// Which schedules are asked for. Empty fields ask for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleFilter {
    /// Enabled or disabled ones.
    pub enabled: Option<bool>,
    /// Declared by this pack.
    pub pack: Option<String>,
    /// With this text in the name, in any case.
    pub text: Option<String>,
    /// After the schedule with this name, in the order of names.
    pub after: Option<String>,
}

/// The result of a write that names a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleWrite {
    /// It was written.
    Done,
    /// Another schedule has the name.
    NameTaken,
    /// The schedule has another version by now, or is gone.
    Stale,
}

/// What the scheduler decided about one schedule: its next state, the firings, and the tasks that they make. It is written as a whole or not at all.
#[derive(Clone, Debug)]
pub struct ScheduleStep {
    /// The schedule after the step. Only what a firing changes is written: enabled, its reason, and the times.
    pub schedule: ScheduleRow,
    /// The version before the step; the write raises it by one.
    pub expected_version: i32,
    /// What became of nominal times. A row that is `queued` already is replaced; any other row that is there stays.
    pub firings: Vec<FiringRow>,
    /// The tasks of the firings that are written. The task of a firing that was there before is not inserted.
    pub tasks: Vec<SubmittedTask>,
}

/// Schedules and their firings.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Inserts a schedule; `false` where its name is taken.
    async fn create_schedule(&self, schedule: &ScheduleRow) -> StoreResult<bool>;

    /// Writes all of a schedule if it still has `expected_version`, and raises the version by one. `firings` are what becomes of nominal times that the
    /// change passes over; they are written in the same transaction, as those of a step.
    async fn write_schedule(
        &self,
        schedule: &ScheduleRow,
        expected_version: i32,
        firings: &[FiringRow],
    ) -> StoreResult<ScheduleWrite>;

    /// A schedule by its key.
    async fn find_schedule(&self, key: &ScheduleKey) -> StoreResult<Option<StoredSchedule>>;

    /// Up to `limit` schedules, by name.
    async fn schedules(&self, filter: &ScheduleFilter, limit: u32) -> StoreResult<Vec<StoredSchedule>>;

    /// Disables a schedule without reading it, whatever its version is. A firing that is queued becomes a missed one with `reason`. Returns whether
    /// there was a schedule.
    async fn disable_schedule(&self, id: ScheduleId, reason: &str, now: Timestamp) -> StoreResult<bool>;

    /// Deletes a schedule and its firings. Its tasks stay. Returns whether there was one.
    async fn delete_schedule(&self, id: ScheduleId) -> StoreResult<bool>;

    /// Up to `limit` enabled schedules that are due at `now`, the longest due first, by id among equals, after `after`.
    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, ScheduleId)>,
        limit: u32,
    ) -> StoreResult<Vec<StoredSchedule>>;

    /// Up to `limit` schedules that have a queued firing and are not due at `now`, by id, after `after`.
    async fn queued_schedules(&self, now: Timestamp, after: Option<ScheduleId>, limit: u32) -> StoreResult<Vec<StoredSchedule>>;

    /// For each schedule, how many of its ten newest tasks wait or run; none is left out.
    async fn unfinished_tasks(&self, schedules: &[ScheduleId]) -> StoreResult<Vec<usize>>;

    /// Writes steps in one transaction; for each, the tasks that were inserted, or `None` where the schedule had another version.
    async fn step_schedules(&self, steps: &[ScheduleStep]) -> StoreResult<Vec<Option<Vec<TaskId>>>>;

    /// Writes a manual firing with its task, and leaves the schedule as it is. Nothing is written and the answer is `false` where the schedule is gone, or
    /// has a manual firing at this microsecond.
    async fn insert_manual_firing(&self, firing: &FiringRow, task: &SubmittedTask) -> StoreResult<bool>;

    /// Up to `limit` firings of a schedule, the newest first, older than `before`.
    async fn firings(&self, schedule: ScheduleId, before: Option<Timestamp>, limit: u32) -> StoreResult<Vec<FiringRow>>;

    /// Deletes up to `limit` firings that were decided about before `before`: how many.
    async fn prune_firings(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;

    /// Up to `limit` enabled schedules that are due at `now`, the longest due first, with the time since which each is due.
    async fn oldest_due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<(ScheduleId, Timestamp)>>;

    /// The maintenance that is switched on, if any.
    async fn maintenance(&self) -> StoreResult<Option<Maintenance>>;

    /// Switches maintenance on, where it is off, or off.
    async fn set_maintenance(&self, maintenance: Option<&Maintenance>) -> StoreResult<()>;
}
