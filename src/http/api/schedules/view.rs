//! What a user gets to see of a schedule and its firings.

use std::sync::Arc;

use jiff::Timestamp;
use legwork_engine::domain::{
    FiringOutcome, FiringRow, FiringTrigger, Principal, ScheduleId, ScheduleRow, TaskId, UnreadableSchedule,
};
use legwork_engine::store::encrypted::unreadable_args;
use legwork_schedule::{FiringPlan, Zone};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::super::error::ApiError;
use super::super::super::state::ApiState;
use super::NEXT_RUNS;
use super::body::ScheduleBody;

/// A coming firing.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct NextRun {
    /// The nominal time in the zone of the schedule, with its offset from UTC.
    #[schema(example = "2030-03-25T09:00:00+00:00")]
    local: String,
    /// The same in UTC.
    nominal: Timestamp,
    /// The nominal time plus jitter: when the task is made.
    due: Timestamp,
}

/// The next `count` firings after `now`.
pub(super) fn next_runs(plan: &FiringPlan, zone: &Zone, now: Timestamp, count: usize) -> Vec<NextRun> {
    plan.upcoming(now, count)
        .into_iter()
        .map(|next| NextRun {
            local: next.nominal.to_zoned(zone.time_zone().clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            nominal: next.nominal,
            due: next.due,
        })
        .collect()
}

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub(in crate::http) struct ScheduleView {
    /// The id.
    #[schema(value_type = uuid::Uuid)]
    id: ScheduleId,
    /// The pack that declares it; null for one that a user made.
    #[schema(example = "au-vlp")]
    pack: Option<String>,
    /// The schedule as it can be sent. Args that may be secret are hidden; `args_hidden` says why `args` is null.
    #[serde(flatten)]
    body: ScheduleBody,
    /// The timing in words.
    #[schema(example = "At 09:00 on Monday (Africa/Accra)")]
    when: String,
    /// Why `args` is null: it belongs to another principal, its args are encrypted with a key that the server does not have, or
    /// its kind is not known here, so that nobody can say which args are secret. Null where the args are shown.
    args_hidden: Option<String>,
    /// Why Legwork disabled it; null where it did not.
    disabled_reason: Option<String>,
    /// The coming firings; empty where it is disabled.
    next_runs: Vec<NextRun>,
    /// The last firing; null before the first.
    last_firing: Option<FiringView>,
    /// The time at which it was made.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// A page of schedules.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ScheduleList {
    /// The schedules, by name.
    pub(super) items: Vec<ScheduleView>,
    /// The schedules between them whose rows this version cannot read. They do not fire; they can be disabled and deleted.
    pub(super) unreadable: Vec<UnreadableView>,
    /// Where the next page starts; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// A stored schedule that this version cannot read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnreadableSchedule)]
pub(in crate::http) struct UnreadableView {
    /// The id.
    #[schema(value_type = uuid::Uuid)]
    id: ScheduleId,
    /// The name.
    name: String,
    /// The pack that declares it; null for one that a user made.
    #[schema(example = "au-vlp")]
    pack: Option<String>,
    /// Whether it would fire.
    enabled: bool,
    /// What is wrong with it.
    reason: String,
}

impl From<UnreadableSchedule> for UnreadableView {
    fn from(row: UnreadableSchedule) -> Self {
        let UnreadableSchedule { id, name, pack, enabled, reason, .. } = row;
        Self { id, name, pack, enabled, reason }
    }
}

impl ScheduleView {
    pub(super) async fn of(row: ScheduleRow, state: &ApiState, viewer: &Principal) -> Result<Self, ApiError> {
        let last = state.queue.firings(row.id, None, 1).await?.pop();
        let (args, args_hidden) = shown_args(&row, state, viewer);
        let body = ScheduleBody::of(&row).with_args(&args);
        let zone = row.spec.timing.timezone();
        let plan = row.spec.plan(row.id).ok().filter(|_| row.enabled);
        // What was decided about does not come again, also where this process's clock is behind.
        let after = state.now().max(row.considered_until);
        Ok(Self {
            id: row.id,
            pack: row.pack.clone(),
            body,
            when: row.spec.timing.describe(),
            args_hidden,
            disabled_reason: row.disabled_reason.clone(),
            next_runs: plan.map(|plan| next_runs(&plan, zone, after, NEXT_RUNS)).unwrap_or_default(),
            last_firing: last.map(FiringView::from),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// The args that a viewer gets to see, and why they are none where they are hidden.
fn shown_args(row: &ScheduleRow, state: &ApiState, viewer: &Principal) -> (String, Option<String>) {
    let hidden = |reason: String| ("null".to_owned(), Some(reason));
    if viewer.sees_only().is_some_and(|subject| subject != row.principal) {
        return hidden("the schedule belongs to another principal".to_owned());
    }
    if let Some(reason) = unreadable_args(row) {
        return hidden(reason);
    }
    match state.queue.runner().kind(&row.spec.kind) {
        Some(kind) => (kind.mask_args(row.args.clone()), None),
        None => hidden(format!("the kind {} is not known here: its pack is not loaded, or it was removed", row.spec.kind)),
    }
}

/// A firing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleFiring)]
pub(in crate::http) struct FiringView {
    /// The time that the schedule names; for a manual firing, the time of the request.
    nominal: Timestamp,
    /// What made it.
    trigger: FiringTrigger,
    /// The nominal time plus jitter.
    due: Timestamp,
    /// The time at which it was decided about.
    at: Timestamp,
    /// What became of it.
    outcome: FiringOutcome,
    /// Why; null for a firing on time.
    #[schema(example = "The task of an earlier firing had not ended.")]
    reason: Option<String>,
    /// The task that was made.
    #[schema(value_type = Option<uuid::Uuid>)]
    task_id: Option<TaskId>,
    /// The first of several missed nominal times that this entry sums up; null where it is about one.
    missed_since: Option<Timestamp>,
    /// Who asked for a manual firing; null for one that the clock made.
    #[schema(value_type = Option<String>, example = "ann")]
    run_by: Option<Arc<str>>,
}

impl From<FiringRow> for FiringView {
    fn from(row: FiringRow) -> Self {
        let FiringRow { nominal, trigger, due, at, outcome, reason, task, missed_since, run_by, .. } = row;
        Self { nominal, trigger, due, at, outcome, reason, task_id: task, missed_since, run_by }
    }
}

/// A page of firings.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct FiringList {
    /// The firings, the newest first.
    pub(super) items: Vec<FiringView>,
    /// Where the next page starts; null on the last.
    pub(super) next_cursor: Option<String>,
}
