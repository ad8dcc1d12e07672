//! Schedules: what users and packs set, and the step that makes tasks of what is due.
//!
//! No leader is needed. A step writes the schedule's next state by compare-and-set on its version, the firings, and their tasks in one transaction. So
//! any number of schedulers may look at the same schedule at once, and a scheduler that dies has either fired or not.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use legwork_schedule::{FiringPlan, Occurrence, OverlapPolicy, ScheduleError, Situation, decide};

use super::Queue;
use super::options::{Moment, TaskOptions};
use super::submit::{SubmitError, SubmitTask};
use crate::broker::Signal;
use crate::clock::to_micros;
use crate::domain::{
    FieldError, FiringOutcome, FiringRow, FiringTrigger, Maintenance, QueueName, ScheduleId, ScheduleRow, ScheduleSpec, TaskId,
};
use crate::store::{ScheduleFilter, ScheduleKey, ScheduleStep, ScheduleWrite, StoreError, StoreResult, SubmittedTask};

/// So many schedules are looked at in one step.
pub const SCHEDULE_BATCH: u32 = 500;
/// How long a process that does not know the kind of a due schedule leaves it to others.
const UNKNOWN_KIND_PATIENCE: SignedDuration = SignedDuration::from_secs(60);
/// How often a write is tried anew whose schedule another process has changed meanwhile.
const WRITE_TRIES: usize = 5;
/// The longest name of a schedule, in characters.
const LONGEST_NAME: usize = 200;

/// A schedule to be made, or what it is to become.
#[derive(Clone, Debug)]
pub struct ScheduleDraft {
    /// The name, unique among all schedules.
    pub name: String,
    /// What it does and when.
    pub spec: ScheduleSpec,
    /// The args of its tasks, as JSON text.
    pub args: String,
    /// Whether it fires.
    pub enabled: bool,
}

/// Why a schedule could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleOpError {
    /// There is no such schedule.
    #[error("there is no such schedule")]
    NotFound,
    /// Another schedule has the name.
    #[error("a schedule named {0:?} exists already; choose another name, or change that one")]
    NameTaken(String),
    /// Others changed it again and again meanwhile.
    #[error("the schedule was changed by others at the same time; read it again and repeat the change")]
    Conflict,
    /// Fields are wrong.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<FieldError>),
    /// The task of a manual firing was refused.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ScheduleError> for ScheduleOpError {
    fn from(error: ScheduleError) -> Self {
        Self::Invalid(vec![field_error(&error)])
    }
}

/// The error of a timing or policy, at its field of the request.
pub fn field_error(error: &ScheduleError) -> FieldError {
    FieldError::new(format!("/{}", error.field()), error.to_string())
}

impl Queue {
    /// Makes a schedule. The first firing lies in the future: making it never fires by itself.
    pub async fn create_schedule(&self, draft: ScheduleDraft, principal: Arc<str>) -> Result<ScheduleRow, ScheduleOpError> {
        let now = self.clock.now();
        self.check_draft(&draft, &principal, now).await?;
        let ScheduleDraft { name, spec, args, enabled } = draft;
        let mut row = ScheduleRow {
            id: ScheduleId::made(now),
            name,
            pack: None,
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
        };
        plan_ahead(&mut row, now)?;
        if self.store.create_schedule(&row).await? { Ok(row) } else { Err(ScheduleOpError::NameTaken(row.name)) }
    }

    /// Changes a schedule. `change` gets its present state; a change never fires by itself.
    pub async fn change_schedule(
        &self,
        key: &ScheduleKey,
        change: impl Fn(&ScheduleRow) -> Result<ScheduleDraft, Vec<FieldError>>,
    ) -> Result<ScheduleRow, ScheduleOpError> {
        for _ in 0..WRITE_TRIES {
            let row = self.store.find_schedule(key).await?.ok_or(ScheduleOpError::NotFound)?;
            let draft = change(&row).map_err(ScheduleOpError::Invalid)?;
            let now = self.clock.now();
            let ScheduleDraft { name, spec, args, enabled } = draft.clone();
            let is_new_work = (&spec, &args) != (&row.spec, &row.args);
            if is_new_work || name != row.name {
                self.check_draft(&draft, &row.principal, now).await?;
            }
            let mut changed = ScheduleRow { name, spec, args, enabled, disabled_reason: None, updated_at: now, ..row.clone() };
            if is_new_work || enabled != row.enabled {
                (changed.considered_until, changed.queued_nominal) = (now, None);
                plan_ahead(&mut changed, now)?;
            }
            if enabled && changed.next_nominal.is_none() {
                return Err(changed
                    .spec
                    .plan(changed.id)?
                    .require_future(now)
                    .err()
                    .map_or(ScheduleOpError::Conflict, Into::into));
            }
            match self.store.write_schedule(&changed, row.version).await? {
                ScheduleWrite::Done => return Ok(ScheduleRow { version: row.version + 1, ..changed }),
                ScheduleWrite::NameTaken => return Err(ScheduleOpError::NameTaken(changed.name)),
                ScheduleWrite::Stale => {}
            }
        }
        Err(ScheduleOpError::Conflict)
    }

    /// Enables or disables a schedule.
    pub async fn enable_schedule(&self, key: &ScheduleKey, enabled: bool) -> Result<ScheduleRow, ScheduleOpError> {
        self.change_schedule(key, |row| Ok(ScheduleDraft { enabled, ..draft_of(row) })).await
    }

    /// A schedule by id or name.
    pub async fn schedule(&self, key: &ScheduleKey) -> Result<ScheduleRow, ScheduleOpError> {
        self.store.find_schedule(key).await?.ok_or(ScheduleOpError::NotFound)
    }

    /// Up to `limit` schedules, by name.
    pub async fn schedules(&self, filter: &ScheduleFilter, limit: u32) -> StoreResult<Vec<ScheduleRow>> {
        self.store.schedules(filter, limit).await
    }

    /// Deletes a schedule and its firings; its tasks stay.
    pub async fn delete_schedule(&self, key: &ScheduleKey) -> Result<ScheduleRow, ScheduleOpError> {
        let row = self.schedule(key).await?;
        if self.store.delete_schedule(row.id).await? { Ok(row) } else { Err(ScheduleOpError::NotFound) }
    }

    /// Up to `limit` firings of a schedule that are older than `before`, the newest first.
    pub async fn firings(&self, id: ScheduleId, before: Option<Timestamp>, limit: u32) -> StoreResult<Vec<FiringRow>> {
        self.store.firings(id, before, limit).await
    }

    /// Makes a task of a schedule now, whether it is enabled or not. Its nominal times are not touched.
    pub async fn run_schedule(&self, key: &ScheduleKey) -> Result<(ScheduleRow, TaskId), ScheduleOpError> {
        for _ in 0..WRITE_TRIES {
            let row = self.schedule(key).await?;
            let now = self.clock.now();
            let task = self.task_of(&row, now, now)?;
            self.know_queues(std::slice::from_ref(&task.task.queue)).await?;
            let firing = FiringRow {
                schedule: row.id,
                nominal: to_micros(now),
                trigger: FiringTrigger::Manual,
                due: to_micros(now),
                at: now,
                outcome: FiringOutcome::Fired,
                reason: None,
                task: Some(task.task.id),
                missed_since: None,
            };
            let id = task.task.id;
            let step =
                ScheduleStep { expected_version: row.version, schedule: row.clone(), firings: vec![firing], tasks: vec![task] };
            if self.apply(vec![step]).await? > 0 {
                return Ok((row, id));
            }
        }
        Err(ScheduleOpError::Conflict)
    }

    /// Makes tasks of the schedules that are due, [`SCHEDULE_BATCH`] at most: how many schedules were looked at.
    pub async fn fire_due_once(&self) -> StoreResult<usize> {
        if self.store.maintenance().await?.is_some() {
            return Ok(0);
        }
        let now = self.clock.now();
        let due = self.store.due_schedules(now, SCHEDULE_BATCH).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let counted: Vec<ScheduleId> = due
            .iter()
            .filter(|row| row.spec.overlap != OverlapPolicy::Allow || row.queued_nominal.is_some())
            .map(|row| row.id)
            .collect();
        let unfinished: HashMap<ScheduleId, usize> = if counted.is_empty() {
            HashMap::new()
        } else {
            counted.iter().copied().zip(self.store.unfinished_tasks(&counted).await?).collect()
        };
        let looked_at = due.len();
        let steps: Vec<ScheduleStep> =
            due.into_iter().filter_map(|row| self.step_of(&row, unfinished.get(&row.id).copied().unwrap_or(0), now)).collect();
        let mut queues: Vec<QueueName> = steps.iter().flat_map(|step| &step.tasks).map(|task| task.task.queue.clone()).collect();
        queues.sort_unstable();
        queues.dedup();
        if let Err(error) = self.know_queues(&queues).await {
            return Err(StoreError::Unavailable(error.to_string()));
        }
        if !steps.is_empty() {
            self.apply(steps).await?;
        }
        Ok(looked_at)
    }

    /// Writes steps and dispatches the tasks that they made: how many schedules were stepped.
    async fn apply(&self, mut steps: Vec<ScheduleStep>) -> StoreResult<usize> {
        let trusted = self.dispatcher.is_trusted();
        for task in steps.iter_mut().flat_map(|step| &mut step.tasks) {
            task.dispatched = trusted;
        }
        let answers = self.store.step_schedules(&steps).await?;
        let mut dispatches = Vec::new();
        let mut applied = 0;
        for (step, made) in steps.iter().zip(answers) {
            let Some(made) = made else { continue };
            applied += 1;
            for task in step.tasks.iter().filter(|task| made.contains(&task.task.id)) {
                self.metrics.task_submitted(&task.task.kind, &task.task.queue);
                if task.dispatched {
                    dispatches.push(task.task.dispatch());
                }
            }
        }
        self.dispatcher.dispatch_promptly(dispatches).await;
        Ok(applied)
    }

    /// What becomes of one schedule now; `None` where nothing does.
    fn step_of(&self, row: &ScheduleRow, unfinished: usize, now: Timestamp) -> Option<ScheduleStep> {
        let mut step =
            ScheduleStep { schedule: row.clone(), expected_version: row.version, firings: Vec::new(), tasks: Vec::new() };
        let (Ok(plan), Ok(missed)) = (row.spec.plan(row.id), row.spec.missed_policy()) else {
            step.schedule.enabled = false;
            step.schedule.disabled_reason = Some("its timing cannot be read any more".into());
            return Some(step);
        };
        let mut unfinished = unfinished;
        if let Some(nominal) = row.queued_nominal
            && unfinished == 0
        {
            let occurrence = Occurrence { nominal, due: plan.due_at(nominal) };
            step.schedule.queued_nominal = None;
            let reason = Some("The task before it has ended.".to_owned());
            self.fire(&mut step, occurrence, reason, now);
            unfinished = step.tasks.len();
        }
        let is_due = row.enabled && row.next_due.is_some_and(|due| due <= now);
        if is_due && !self.leaves_to_others(row, now) {
            // A queued firing counts as one more that waits.
            let waiting = usize::from(step.schedule.queued_nominal.is_some());
            let situation = Situation { considered: row.considered_until, now, unfinished: unfinished + waiting };
            self.decide_due(&mut step, &plan, &missed, situation);
        }
        (!step.firings.is_empty() || step.schedule != *row).then_some(step)
    }

    fn decide_due(
        &self,
        step: &mut ScheduleStep,
        plan: &FiringPlan,
        missed: &legwork_schedule::MissedPolicy,
        situation: Situation,
    ) {
        let now = situation.now;
        let decision = decide(plan, missed, step.schedule.spec.overlap, situation);
        if let Some(span) = decision.older {
            let reason = Some(span.reason.describe().to_owned());
            let firing = firing_row(&step.schedule, span.last, plan.due_at(span.last), now, FiringOutcome::Missed, reason);
            step.firings.push(FiringRow { missed_since: Some(span.first), ..firing });
        }
        for missed in &decision.missed {
            let due = plan.due_at(missed.nominal);
            let reason = Some(missed.reason.describe().to_owned());
            step.firings.push(firing_row(&step.schedule, missed.nominal, due, now, FiringOutcome::Missed, reason));
        }
        for firing in &decision.fire {
            if firing.after_current {
                let reason = Some("It waits until the task before it has ended.".to_owned());
                let Occurrence { nominal, due } = firing.occurrence;
                step.schedule.queued_nominal = Some(nominal);
                step.firings.push(firing_row(&step.schedule, nominal, due, now, FiringOutcome::Queued, reason));
            } else {
                let reason = firing.late.then(|| "It was made up for: no scheduler made it when it was due.".to_owned());
                self.fire(step, firing.occurrence, reason, now);
            }
        }
        if let Some(considered) = decision.considered {
            step.schedule.considered_until = considered;
        }
        let next = plan.next_occurrence(step.schedule.considered_until).filter(|_| !decision.finished);
        (step.schedule.next_nominal, step.schedule.next_due) = (next.map(|next| next.nominal), next.map(|next| next.due));
        if decision.finished {
            step.schedule.enabled = false;
            let why = if plan.is_one_off() { "it was to fire once, and has fired" } else { "no firing is ahead" };
            step.schedule.disabled_reason = Some(why.into());
        }
    }

    /// Whether another process, which knows the kind, is to fire this schedule.
    fn leaves_to_others(&self, row: &ScheduleRow, now: Timestamp) -> bool {
        self.runner.kind(&row.spec.kind).is_none()
            && row.next_due.is_some_and(|due| now.duration_since(due) < UNKNOWN_KIND_PATIENCE)
    }

    /// Adds a firing with its task, or with the reason why there can be none.
    fn fire(&self, step: &mut ScheduleStep, occurrence: Occurrence, reason: Option<String>, now: Timestamp) {
        let Occurrence { nominal, due } = occurrence;
        let firing = firing_row(&step.schedule, nominal, due, now, FiringOutcome::Fired, reason);
        match self.task_of(&step.schedule, nominal, now) {
            Ok(task) => {
                step.firings.push(FiringRow { task: Some(task.task.id), ..firing });
                step.tasks.push(task);
            }
            Err(error) => {
                let reason = refusal(&error);
                tracing::warn!(schedule = step.schedule.name, reason, "a firing made no task");
                step.firings.push(FiringRow { outcome: FiringOutcome::Refused, reason: Some(reason), ..firing });
            }
        }
    }

    /// The task of a firing. `nominal` decides when it expires.
    fn task_of(&self, row: &ScheduleRow, nominal: Timestamp, now: Timestamp) -> Result<SubmittedTask, SubmitError> {
        let expires_at = row.spec.expires_seconds.map(|seconds| nominal + SignedDuration::from_secs(i64::from(seconds)));
        if expires_at.is_some_and(|at| at <= now) {
            let detail = "the task would have expired before it was made";
            return Err(SubmitError::Invalid(vec![FieldError::new("/expires", detail)]));
        }
        self.resolved(SubmitTask {
            kind: row.spec.kind.to_string(),
            args: row.args.clone(),
            args_pointer: "/args",
            options: TaskOptions {
                queue: row.spec.queue.as_ref().map(ToString::to_string),
                priority: row.spec.priority.map(crate::domain::Priority::get),
                expires: expires_at.map(|at| Moment::At(at.to_string())),
                ..TaskOptions::default()
            },
            principal: row.principal.clone(),
            internal: false,
            key: None,
        })
    }

    /// Checks a schedule as it is to be: name, kind, args, queue, timing.
    async fn check_draft(&self, draft: &ScheduleDraft, principal: &Arc<str>, now: Timestamp) -> Result<(), ScheduleOpError> {
        let mut field_errors = Vec::new();
        if let Err(detail) = check_name(&draft.name) {
            field_errors.push(FieldError::new("/name", detail));
        }
        match draft.spec.plan(ScheduleId::made(now)) {
            Ok(plan) if draft.enabled => field_errors.extend(plan.require_future(now).err().map(|error| field_error(&error))),
            Ok(_) => {}
            Err(error) => field_errors.push(field_error(&error)),
        }
        if let Err(error) = draft.spec.missed_policy() {
            field_errors.push(field_error(&error));
        }
        let command = SubmitTask {
            kind: draft.spec.kind.to_string(),
            args: draft.args.clone(),
            args_pointer: "/args",
            options: TaskOptions { queue: draft.spec.queue.as_ref().map(ToString::to_string), ..TaskOptions::default() },
            principal: principal.clone(),
            internal: false,
            key: None,
        };
        let hidden = self.hidden_files(&command).await?;
        match self.prepare(command, hidden) {
            Ok(_) => {}
            Err(SubmitError::Invalid(errors)) => field_errors.extend(errors),
            Err(SubmitError::UnknownKind(kind)) => {
                let detail = format!("there is no kind {kind:?}; GET /api/v1/tasks/kinds lists the kinds");
                field_errors.push(FieldError::new("/kind", detail));
            }
            Err(error) => return Err(error.into()),
        }
        if field_errors.is_empty() { Ok(()) } else { Err(ScheduleOpError::Invalid(field_errors)) }
    }

    /// The maintenance that is switched on, if any.
    pub async fn maintenance(&self) -> StoreResult<Option<Maintenance>> {
        self.store.maintenance().await
    }

    /// Switches maintenance on or off and tells all workers. Switching it on again keeps the first reason.
    pub async fn set_maintenance(&self, reason: Option<String>, principal: &str) -> StoreResult<Option<Maintenance>> {
        let on = reason.map(|reason| Maintenance { since: self.clock.now(), reason, principal: principal.to_owned() });
        self.store.set_maintenance(on.as_ref()).await?;
        self.snapshot_cache.forget();
        self.send_signal(Signal::Queues).await;
        self.store.maintenance().await
    }

    /// How long the longest due schedule has been due.
    pub async fn schedule_lateness(&self) -> StoreResult<SignedDuration> {
        if self.store.maintenance().await?.is_some() {
            return Ok(SignedDuration::ZERO);
        }
        let now = self.clock.now();
        Ok(self.store.oldest_due(now).await?.map_or(SignedDuration::ZERO, |due| now.duration_since(due)))
    }
}

/// Sets the next nominal time after `now`, or none where the schedule is disabled.
pub(super) fn plan_ahead(row: &mut ScheduleRow, now: Timestamp) -> Result<(), ScheduleError> {
    let next = if row.enabled { row.spec.plan(row.id)?.next_occurrence(now) } else { None };
    (row.next_nominal, row.next_due) = (next.map(|next| next.nominal), next.map(|next| next.due));
    Ok(())
}

/// The present state of a schedule, as a draft.
pub(super) fn draft_of(row: &ScheduleRow) -> ScheduleDraft {
    ScheduleDraft { name: row.name.clone(), spec: row.spec.clone(), args: row.args.clone(), enabled: row.enabled }
}

fn firing_row(
    row: &ScheduleRow,
    nominal: Timestamp,
    due: Timestamp,
    at: Timestamp,
    outcome: FiringOutcome,
    reason: Option<String>,
) -> FiringRow {
    let (trigger, due) = (FiringTrigger::Clock, to_micros(due));
    FiringRow { schedule: row.id, nominal, trigger, due, at, outcome, reason, task: None, missed_since: None }
}

/// Why a task was refused, with the wrong fields.
fn refusal(error: &SubmitError) -> String {
    match error {
        SubmitError::Invalid(errors) => {
            let each: Vec<String> = errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect();
            format!("The task was refused: {}", each.join("; "))
        }
        SubmitError::UnknownKind(kind) => {
            format!("No scheduler knows the kind {kind}: its pack is not loaded, or the kind was removed.")
        }
        error => format!("The task was refused: {error}"),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > LONGEST_NAME {
        return Err(format!("must have 1 to {LONGEST_NAME} characters, not only blanks; got {length}"));
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return Err("must be one line without control characters, and without blanks at its ends".into());
    }
    Ok(())
}
