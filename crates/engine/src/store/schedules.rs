//! Schedules, their firings, and the maintenance switch.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{StoreResult, SubmittedTask};
use crate::domain::{FiringRow, Maintenance, ScheduleId, ScheduleRow};

/// Names one schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleKey {
    /// By its id.
    Id(ScheduleId),
    /// By its name.
    Name(String),
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

    /// Writes all of a schedule if it still has `expected_version`, and raises the version by one.
    async fn write_schedule(&self, schedule: &ScheduleRow, expected_version: i32) -> StoreResult<ScheduleWrite>;

    /// A schedule by id or name.
    async fn find_schedule(&self, key: &ScheduleKey) -> StoreResult<Option<ScheduleRow>>;

    /// Up to `limit` schedules, by name.
    async fn schedules(&self, filter: &ScheduleFilter, limit: u32) -> StoreResult<Vec<ScheduleRow>>;

    /// Deletes a schedule and its firings. Its tasks stay. Returns whether there was one.
    async fn delete_schedule(&self, id: ScheduleId) -> StoreResult<bool>;

    /// Up to `limit` enabled schedules that are due at `now`, the longest due first, and as many that have a queued firing.
    async fn due_schedules(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<ScheduleRow>>;

    /// For each schedule, how many of its ten newest tasks wait or run; none is left out.
    async fn unfinished_tasks(&self, schedules: &[ScheduleId]) -> StoreResult<Vec<usize>>;

    /// Writes steps in one transaction; for each, the tasks that were inserted, or `None` where the schedule had another version.
    async fn step_schedules(&self, steps: &[ScheduleStep]) -> StoreResult<Vec<Option<Vec<crate::domain::TaskId>>>>;

    /// Up to `limit` firings of a schedule, the newest first, older than `before`.
    async fn firings(&self, schedule: ScheduleId, before: Option<Timestamp>, limit: u32) -> StoreResult<Vec<FiringRow>>;

    /// Deletes up to `limit` firings that were decided about before `before`: how many.
    async fn prune_firings(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;

    /// How long the longest due schedule has been due at `now`; `None` where none is due.
    async fn oldest_due(&self, now: Timestamp) -> StoreResult<Option<Timestamp>>;

    /// The maintenance that is switched on, if any.
    async fn maintenance(&self) -> StoreResult<Option<Maintenance>>;

    /// Switches maintenance on, where it is off, or off.
    async fn set_maintenance(&self, maintenance: Option<&Maintenance>) -> StoreResult<()>;
}
