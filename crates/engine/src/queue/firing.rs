//! The step that makes tasks of the schedules that are due.
//!
//! No leader is needed. A step writes the schedule's next state by compare-and-set on its version, the firings, and their tasks in one transaction. So
//! any number of schedulers may look at the same schedule at once, and a scheduler that dies has either fired or not.
//!
//! One schedule does not hold up the others: each is looked at once in a tick, rows that cannot be read are passed over, and a batch that the store
//! refuses is written schedule by schedule.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use legwork_schedule::{FiringPlan, MissedPolicy, Occurrence, OverlapPolicy, Situation, decide};

use super::Queue;
use super::options::{Moment, TaskOptions};
use super::submit::{SubmitError, SubmitTask};
use crate::domain::{
    FieldError, FiringOutcome, FiringRow, QueueName, ScheduleId, ScheduleRow, StoredSchedule, TaskId, UnreadableSchedule,
};
use crate::store::encrypted::unreadable_args;
use crate::store::{ScheduleStep, StoreError, StoreResult, SubmittedTask};

/// So many schedules are looked at in one step.
const SCHEDULE_BATCH: u32 = 500;
/// So many batches are looked at in one tick.
const FIRE_BATCHES: usize = 100;
/// How long a process that cannot make the task of a due schedule (it does not know the kind, or lacks the key of the args) leaves it to others.
/// It is shorter than the minute after which a due schedule makes a process unready.
const PATIENCE: SignedDuration = SignedDuration::from_secs(55);

impl Queue {
    /// Makes tasks of the schedules that are due. Each is looked at once: how many were.
    pub async fn fire_due(&self) -> StoreResult<usize> {
        let now = self.clock.now();
        let mut unreadable = BTreeSet::new();
        let mut looked_at = 0;
        let mut after = None;
        for _ in 0..FIRE_BATCHES {
            if self.store.maintenance().await?.is_some() {
                return Ok(looked_at);
            }
            let batch = self.store.due_schedules(now, after, SCHEDULE_BATCH).await?;
            let is_full = batch.len() >= SCHEDULE_BATCH as usize;
            after = batch.last().and_then(|last| match last {
                Ok(row) => row.next_due.map(|due| (due, row.id)),
                Err(row) => row.next_due.map(|due| (due, row.id)),
            });
            looked_at += self.fire_batch(batch, now, &mut unreadable).await?;
            if !is_full || after.is_none() {
                break;
            }
        }
        looked_at += self.fire_queued(now, &mut unreadable).await?;
        *self.unreadable_schedules.lock() = unreadable;
        Ok(looked_at)
    }

    /// Makes the firings that waited for the task before them.
    async fn fire_queued(&self, now: Timestamp, unreadable: &mut BTreeSet<ScheduleId>) -> StoreResult<usize> {
        let (mut looked_at, mut after) = (0, None);
        for _ in 0..FIRE_BATCHES {
            if self.store.maintenance().await?.is_some() {
                break;
            }
            let batch = self.store.queued_schedules(now, after, SCHEDULE_BATCH).await?;
            let is_full = batch.len() >= SCHEDULE_BATCH as usize;
            after = batch.last().map(|last| last.as_ref().map_or_else(|row| row.id, |row| row.id));
            looked_at += self.fire_batch(batch, now, unreadable).await?;
            if !is_full {
                break;
            }
        }
        Ok(looked_at)
    }

    /// Takes a step of each schedule: how many were looked at.
    async fn fire_batch(
        &self,
        batch: Vec<StoredSchedule>,
        now: Timestamp,
        unreadable: &mut BTreeSet<ScheduleId>,
    ) -> StoreResult<usize> {
        let looked_at = batch.len();
        let mut rows = Vec::with_capacity(looked_at);
        for schedule in batch {
            match schedule {
                Ok(row) => rows.push(row),
                Err(row) => {
                    self.note_unreadable(&row);
                    unreadable.insert(row.id);
                }
            }
        }
        let counted: Vec<ScheduleId> = rows
            .iter()
            .filter(|row| row.spec.overlap != OverlapPolicy::Allow || row.queued_nominal.is_some())
            .map(|row| row.id)
            .collect();
        let unfinished: HashMap<ScheduleId, usize> = if counted.is_empty() {
            HashMap::new()
        } else {
            counted.iter().copied().zip(self.store.unfinished_tasks(&counted).await?).collect()
        };
        let mut steps: Vec<ScheduleStep> =
            rows.iter().filter_map(|row| self.step_of(row, unfinished.get(&row.id).copied().unwrap_or(0), now)).collect();
        self.know_queues_of(&mut steps).await?;
        if !steps.is_empty() {
            self.apply(steps).await?;
        }
        Ok(looked_at)
    }

    /// Logs a row that cannot be read, once for as long as it stays so.
    fn note_unreadable(&self, row: &UnreadableSchedule) {
        if !self.unreadable_schedules.lock().contains(&row.id) {
            tracing::error!(schedule = row.name, id = %row.id, reason = row.reason, "a stored schedule cannot be read; it does not fire");
        }
    }

    /// Makes the queues of the tasks known. Where there is no room for another queue, the firing is refused.
    async fn know_queues_of(&self, steps: &mut [ScheduleStep]) -> StoreResult<()> {
        let mut queues: Vec<QueueName> = steps.iter().flat_map(|step| &step.tasks).map(|task| task.task.queue.clone()).collect();
        queues.sort_unstable();
        queues.dedup();
        let refused = self.know_each(&queues).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        if !refused.is_empty() {
            for step in steps {
                refuse_queues(step, &refused);
            }
        }
        Ok(())
    }

    /// Writes steps and dispatches the tasks that they made.
    async fn apply(&self, mut steps: Vec<ScheduleStep>) -> StoreResult<()> {
        let trusted = self.dispatcher.is_trusted();
        for task in steps.iter_mut().flat_map(|step| &mut step.tasks) {
            task.dispatched = trusted;
        }
        let answers = match self.store.step_schedules(&steps).await {
            Ok(answers) => answers,
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            Err(error) if steps.len() == 1 => return Err(error),
            // One step that the store refuses does not keep the others from being written.
            Err(_) => self.apply_each(&steps).await?,
        };
        let mut dispatches = Vec::new();
        for (step, made) in steps.iter().zip(answers) {
            let Some(made) = made else { continue };
            for task in step.tasks.iter().filter(|task| made.contains(&task.task.id)) {
                self.metrics.task_submitted(&task.task.kind, &task.task.queue);
                if task.dispatched {
                    dispatches.push(task.task.dispatch());
                }
            }
        }
        self.dispatcher.dispatch_promptly(dispatches).await;
        Ok(())
    }

    async fn apply_each(&self, steps: &[ScheduleStep]) -> StoreResult<Vec<Option<Vec<TaskId>>>> {
        let mut answers = Vec::with_capacity(steps.len());
        for step in steps {
            match self.store.step_schedules(std::slice::from_ref(step)).await {
                Ok(answer) => answers.extend(answer),
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                Err(error) => {
                    tracing::error!(schedule = step.schedule.name, id = %step.schedule.id, %error, "a firing cannot be written");
                    answers.push(None);
                }
            }
        }
        Ok(answers)
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
        if self.leaves_to_others(row, now) {
            return None;
        }
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
        if row.enabled && row.next_due.is_some_and(|due| due <= now) {
            // A queued firing counts as one more that waits.
            let waiting = usize::from(step.schedule.queued_nominal.is_some());
            let situation = Situation { considered: row.considered_until, now, unfinished: unfinished + waiting };
            self.decide_due(&mut step, &plan, &missed, situation);
        }
        (!step.firings.is_empty() || step.schedule != *row).then_some(step)
    }

    fn decide_due(&self, step: &mut ScheduleStep, plan: &FiringPlan, missed: &MissedPolicy, situation: Situation) {
        let (now, id) = (situation.now, step.schedule.id);
        let decision = decide(plan, missed, step.schedule.spec.overlap, situation);
        let occurrence = |nominal| Occurrence { nominal, due: plan.due_at(nominal) };
        if let Some(span) = decision.older {
            let reason = Some(span.reason.describe().to_owned());
            let firing = FiringRow::by_clock(id, occurrence(span.last), now, FiringOutcome::Missed);
            step.firings.push(FiringRow { missed_since: Some(span.first), reason, ..firing });
        }
        for missed in &decision.missed {
            let reason = Some(missed.reason.describe().to_owned());
            let firing = FiringRow::by_clock(id, occurrence(missed.nominal), now, FiringOutcome::Missed);
            step.firings.push(FiringRow { reason, ..firing });
        }
        for firing in &decision.fire {
            if firing.after_current {
                let reason = Some("It waits until the task before it has ended.".to_owned());
                step.schedule.queued_nominal = Some(firing.occurrence.nominal);
                let queued = FiringRow::by_clock(id, firing.occurrence, now, FiringOutcome::Queued);
                step.firings.push(FiringRow { reason, ..queued });
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
            let is_refused = step.firings.iter().any(|firing| firing.outcome == FiringOutcome::Refused);
            let why = match (plan.is_one_off(), is_refused) {
                (true, true) => "it was to fire once, and its task was refused; its firings say why",
                (true, false) => "it was to fire once, and has fired",
                (false, _) => "no firing is ahead",
            };
            step.schedule.enabled = false;
            step.schedule.disabled_reason = Some(why.into());
        }
    }

    /// Whether another process is to fire this schedule, which knows the kind and has the key of the args. After a while there is none.
    fn leaves_to_others(&self, row: &ScheduleRow, now: Timestamp) -> bool {
        let is_able = self.runner.kind(&row.spec.kind).is_some() && unreadable_args(row).is_none();
        !is_able && row.next_due.is_some_and(|due| now.duration_since(due) < PATIENCE)
    }

    /// Adds a firing with its task, or with the reason why there can be none.
    fn fire(&self, step: &mut ScheduleStep, occurrence: Occurrence, reason: Option<String>, now: Timestamp) {
        let firing = FiringRow::by_clock(step.schedule.id, occurrence, now, FiringOutcome::Fired);
        match self.task_of(&step.schedule, occurrence.nominal, now) {
            Ok(task) => {
                step.firings.push(FiringRow { task: Some(task.task.id), reason, ..firing });
                step.tasks.push(task);
            }
            Err(refusal) => {
                tracing::warn!(schedule = step.schedule.name, reason = refusal.0, "a firing made no task");
                step.firings.push(FiringRow { outcome: FiringOutcome::Refused, reason: Some(refusal.0), ..firing });
            }
        }
    }

    /// The task of a firing. `nominal` decides when it expires.
    fn task_of(&self, row: &ScheduleRow, nominal: Timestamp, now: Timestamp) -> Result<SubmittedTask, Refusal> {
        if let Some(reason) = unreadable_args(row) {
            return Err(Refusal(format!("The task was refused: {reason}")));
        }
        self.scheduled_task(row, nominal, now).map_err(|error| Refusal::of(&error))
    }

    /// The task that a schedule makes for `nominal`, checked as a submission is.
    pub(super) fn scheduled_task(
        &self,
        row: &ScheduleRow,
        nominal: Timestamp,
        now: Timestamp,
    ) -> Result<SubmittedTask, SubmitError> {
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
}

/// Why a firing makes no task, as a sentence.
struct Refusal(String);

impl Refusal {
    /// The reason, with the wrong fields.
    fn of(error: &SubmitError) -> Self {
        Self(match error {
            SubmitError::Invalid(errors) => refused_fields(errors),
            SubmitError::UnknownKind(kind) => {
                format!("No scheduler knows the kind {kind}: its pack is not loaded, or the kind was removed.")
            }
            error => format!("The task was refused: {error}"),
        })
    }
}

fn refused_fields(errors: &[FieldError]) -> String {
    let each: Vec<String> = errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect();
    format!("The task was refused: {}", each.join("; "))
}

/// Turns the firings of a step whose tasks go to a refused queue into refused ones.
fn refuse_queues(step: &mut ScheduleStep, refused: &BTreeMap<QueueName, Vec<FieldError>>) {
    let ScheduleStep { tasks, firings, .. } = step;
    tasks.retain(|task| {
        let Some(errors) = refused.get(&task.task.queue) else { return true };
        for firing in firings.iter_mut().filter(|firing| firing.task == Some(task.task.id)) {
            (firing.outcome, firing.task, firing.reason) = (FiringOutcome::Refused, None, Some(refused_fields(errors)));
        }
        false
    });
}
