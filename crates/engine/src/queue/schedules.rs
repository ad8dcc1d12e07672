//! Schedules: what users and packs set. [`super::firing`] makes tasks of what is due.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use legwork_schedule::{Occurrence, ScheduleError, passed_over};

use super::Queue;
use super::options::TaskOptions;
use super::submit::{SubmitError, SubmitTask};
use crate::broker::Signal;
use crate::clock::to_micros;
use crate::domain::{
    FieldError, FiringOutcome, FiringRow, FiringTrigger, KindName, Maintenance, ScheduleId, ScheduleRow, ScheduleSpec,
    StoredSchedule, TaskId, UnreadableSchedule,
};
use crate::store::encrypted::unreadable_args;
use crate::store::{ScheduleFilter, ScheduleKey, ScheduleWrite, StoreError, StoreResult};

/// How often a write is tried anew whose schedule another process has changed meanwhile.
const WRITE_TRIES: u32 = 20;
/// The longest pause before such a try; the first is a hundredth of it, and each may be twice as long as the one before.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How often a manual firing is tried whose microsecond is taken.
const FIRING_TRIES: u32 = 20;
/// The longest name of a schedule, in characters.
const LONGEST_NAME: usize = 200;
/// Why a schedule is disabled whose contents cannot be read.
const DISABLED_UNREAD: &str = "it was disabled while it could not be read";

/// A schedule to be made, or what it is to become.
#[derive(Clone, Debug, PartialEq)]
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
    /// The stored row cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Box<UnreadableSchedule>),
    /// The args cannot be decrypted with the keys of this process.
    #[error("{0}; give the key back, or disable or delete the schedule")]
    Encrypted(String),
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
    let pointer = match error.field() {
        "expression" => "/crontab".to_owned(),
        "at" => "/clocked".to_owned(),
        "every" | "unit" | "from" => "/interval".to_owned(),
        field @ ("event" | "latitude" | "longitude") => format!("/solar/{field}"),
        field => format!("/{field}"),
    };
    FieldError::new(pointer, error.to_string())
}

/// What a check of a draft has to know of the schedule as it is.
#[derive(Clone, Copy, Default)]
struct Present<'a> {
    /// The schedule; `None` where the draft makes one.
    row: Option<&'a ScheduleRow>,
    /// Whether the nominal times stay as they were planned.
    keeps_times: bool,
}

impl Queue {
    /// Makes a schedule. The first firing lies in the future: making it never fires by itself.
    pub async fn create_schedule(&self, draft: ScheduleDraft, principal: Arc<str>) -> Result<ScheduleRow, ScheduleOpError> {
        let now = self.clock.now();
        self.check_draft(&draft, &principal, now, Present::default()).await?;
        let ScheduleDraft { name, spec, args, enabled } = draft;
        let mut row = ScheduleRow::new(name, spec, args, enabled, principal, now);
        plan_ahead(&mut row, now)?;
        if self.store.create_schedule(&row).await? { Ok(row) } else { Err(ScheduleOpError::NameTaken(row.name)) }
    }

    /// Changes a schedule. `change` gets its present state; a change never fires by itself.
    ///
    /// Nominal times are planned anew only where the timing changes, or whether the schedule is enabled. Those that such a change passes over are recorded
    /// as missed. An arg that may be secret and still is the text that is shown instead of it stays as it was.
    pub async fn change_schedule(
        &self,
        key: &ScheduleKey,
        change: impl Fn(&ScheduleRow) -> Result<ScheduleDraft, Vec<FieldError>>,
    ) -> Result<ScheduleRow, ScheduleOpError> {
        for tries in 0..WRITE_TRIES {
            let row = self.schedule(key).await?;
            if let Some(reason) = unreadable_args(&row) {
                return Err(ScheduleOpError::Encrypted(reason));
            }
            let mut draft = change(&row).map_err(ScheduleOpError::Invalid)?;
            if draft.spec.kind == row.spec.kind
                && let Some(kind) = self.runner.kind(&row.spec.kind)
            {
                draft.args = kind.unmask_args(&draft.args, &row.args);
            }
            if draft == draft_of(&row) {
                return Ok(row);
            }
            let (changed, firings) = self.changed(&row, draft).await?;
            match self.store.write_schedule(&changed, row.version, &firings).await? {
                ScheduleWrite::Done => return Ok(ScheduleRow { version: row.version + 1, ..changed }),
                ScheduleWrite::NameTaken => return Err(ScheduleOpError::NameTaken(changed.name)),
                ScheduleWrite::Stale => self.pause_before_retry(tries).await,
            }
        }
        Err(ScheduleOpError::Conflict)
    }

    /// A schedule as a draft makes it, and what becomes of the nominal times that the change passes over.
    async fn changed(&self, row: &ScheduleRow, draft: ScheduleDraft) -> Result<(ScheduleRow, Vec<FiringRow>), ScheduleOpError> {
        let now = self.clock.now();
        let keeps_times = draft.spec.has_times_of(&row.spec) && draft.enabled == row.enabled;
        if (&draft.spec, &draft.args, &draft.name) != (&row.spec, &row.args, &row.name) {
            self.check_draft(&draft, &row.principal, now, Present { row: Some(row), keeps_times }).await?;
        }
        let ScheduleDraft { name, spec, args, enabled } = draft;
        let disabled_reason = row.disabled_reason.clone().filter(|_| !enabled);
        let mut changed = ScheduleRow { name, spec, args, enabled, disabled_reason, updated_at: now, ..row.clone() };
        if keeps_times {
            return Ok((changed, Vec::new()));
        }
        let firings = replan(row, &mut changed, now, if enabled { CHANGED } else { DISABLED })?;
        if enabled && changed.next_nominal.is_none() {
            let refused = changed.spec.plan(changed.id)?.require_future(now).err();
            return Err(refused.map_or(ScheduleOpError::Conflict, Into::into));
        }
        Ok((changed, firings))
    }

    /// Lets the process go on that changed the schedule first; several do not come back at the same time.
    async fn pause_before_retry(&self, tries: u32) {
        let longest = (LONGEST_PAUSE / 100).saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
        tokio::time::sleep(longest.mul_f64(self.clock.chance())).await;
    }

    /// Enables a schedule, or changes nothing where it is enabled.
    pub async fn enable_schedule(&self, key: &ScheduleKey) -> Result<ScheduleRow, ScheduleOpError> {
        self.change_schedule(key, |row| Ok(ScheduleDraft { enabled: true, ..draft_of(row) })).await
    }

    /// Disables a schedule: the schedule, or `None` where it is disabled and cannot be read here.
    pub async fn disable_schedule(&self, key: &ScheduleKey) -> Result<Option<ScheduleRow>, ScheduleOpError> {
        let id = match self.change_schedule(key, |row| Ok(ScheduleDraft { enabled: false, ..draft_of(row) })).await {
            Ok(row) => return Ok(Some(row)),
            Err(ScheduleOpError::Unreadable(row)) => row.id,
            Err(ScheduleOpError::Encrypted(_)) => self.schedule(key).await?.id,
            Err(error) => return Err(error),
        };
        if !self.store.disable_schedule(id, DISABLED_UNREAD, self.clock.now()).await? {
            return Err(ScheduleOpError::NotFound);
        }
        match self.schedule(&ScheduleKey::Id(id)).await {
            Ok(row) => Ok(Some(row)),
            Err(ScheduleOpError::Unreadable(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A schedule by id or name.
    pub async fn schedule(&self, key: &ScheduleKey) -> Result<ScheduleRow, ScheduleOpError> {
        Ok(self.store.find_schedule(key).await?.ok_or(ScheduleOpError::NotFound)??)
    }

    /// Up to `limit` schedules, by name.
    pub async fn schedules(&self, filter: &ScheduleFilter, limit: u32) -> StoreResult<Vec<StoredSchedule>> {
        self.store.schedules(filter, limit).await
    }

    /// Deletes a schedule and its firings, also one that cannot be read; its tasks stay.
    pub async fn delete_schedule(&self, key: &ScheduleKey) -> Result<(), ScheduleOpError> {
        let id = match self.schedule(key).await {
            Ok(row) => row.id,
            Err(ScheduleOpError::Unreadable(row)) => row.id,
            Err(error) => return Err(error),
        };
        if self.store.delete_schedule(id).await? { Ok(()) } else { Err(ScheduleOpError::NotFound) }
    }

    /// Up to `limit` firings of a schedule that are older than `before`, the newest first.
    pub async fn firings(&self, id: ScheduleId, before: Option<Timestamp>, limit: u32) -> StoreResult<Vec<FiringRow>> {
        self.store.firings(id, before, limit).await
    }

    /// Makes a task of a schedule now, as it was read, whether it is enabled or not. Its nominal times and its version are not touched.
    pub async fn run_schedule(&self, row: &ScheduleRow, run_by: &Arc<str>) -> Result<TaskId, ScheduleOpError> {
        if let Some(reason) = unreadable_args(row) {
            return Err(ScheduleOpError::Encrypted(reason));
        }
        let now = self.clock.now();
        let mut task = self.scheduled_task(row, now, now)?;
        self.know_queues(std::slice::from_ref(&task.task.queue)).await?;
        task.dispatched = self.dispatcher.is_trusted();
        // The clock fires at whole seconds only: so no two firings of a schedule have the same time, whatever made them.
        let is_whole = now.subsec_nanosecond() == 0;
        let nominal = to_micros(if is_whole { now + SignedDuration::from_micros(1) } else { now });
        let occurrence = Occurrence { nominal, due: nominal };
        let mut firing = FiringRow {
            trigger: FiringTrigger::Manual,
            task: Some(task.task.id),
            run_by: Some(run_by.clone()),
            ..FiringRow::by_clock(row.id, occurrence, now, FiringOutcome::Fired)
        };
        for _ in 0..FIRING_TRIES {
            if self.store.insert_manual_firing(&firing, &task).await? {
                self.metrics.task_submitted(&task.task.kind, &task.task.queue);
                if task.dispatched {
                    self.dispatcher.dispatch_promptly(vec![task.task.dispatch()]).await;
                }
                return Ok(task.task.id);
            }
            // The schedule is gone, or somebody else ran it in the same microsecond: then this is the one after it.
            self.schedule(&ScheduleKey::Id(row.id)).await?;
            let later = SignedDuration::from_micros(1) + SignedDuration::from_secs_f64(self.clock.chance() / 1_000.0);
            firing.nominal = to_micros(firing.nominal + later);
            firing.due = firing.nominal;
        }
        Err(ScheduleOpError::Conflict)
    }

    /// Checks a schedule as it is to be: name, kind, args, queue, timing.
    async fn check_draft(
        &self,
        draft: &ScheduleDraft,
        principal: &Arc<str>,
        now: Timestamp,
        present: Present<'_>,
    ) -> Result<(), ScheduleOpError> {
        let mut field_errors = Vec::new();
        if present.row.is_none_or(|row| row.name != draft.name)
            && let Err(detail) = check_name(&draft.name)
        {
            field_errors.push(FieldError::new("/name", detail));
        }
        match draft.spec.plan(ScheduleId::made(now)) {
            Ok(plan) if draft.enabled && !present.keeps_times => {
                field_errors.extend(plan.require_future(now).err().map(|error| field_error(&error)));
            }
            Ok(_) => {}
            Err(error) => field_errors.push(field_error(&error)),
        }
        if let Err(error) = draft.spec.missed_policy() {
            field_errors.push(field_error(&error));
        }
        field_errors.extend(self.masks_left(draft, present.row.map(|row| &row.spec.kind)));
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
                let detail = format!("there is no kind {kind:?}; `legwork kind list` and GET /api/v1/tasks/kinds list the kinds");
                field_errors.push(FieldError::new("/kind", detail));
            }
            Err(error) => return Err(error.into()),
        }
        if field_errors.is_empty() { Ok(()) } else { Err(ScheduleOpError::Invalid(field_errors)) }
    }

    /// The args of a draft that are the placeholder of a hidden value, by the new kind and by the one that showed them.
    fn masks_left(&self, draft: &ScheduleDraft, shown_by: Option<&KindName>) -> Vec<FieldError> {
        let kinds = std::iter::once(&draft.spec.kind).chain(shown_by.filter(|kind| **kind != draft.spec.kind));
        let kinds = kinds.filter_map(|name| self.runner.kind(name));
        let mut left: Vec<FieldError> = kinds.flat_map(|kind| kind.masks_left(&draft.args)).collect();
        left.sort_unstable_by(|a, b| a.pointer.cmp(&b.pointer));
        left.dedup();
        left.into_iter().map(|error| FieldError::new(format!("/args{}", error.pointer), error.detail)).collect()
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

    /// How long the longest due schedule has been due. Schedules that cannot be read do not count: the log and the list of schedules name them.
    pub async fn schedule_lateness(&self) -> StoreResult<SignedDuration> {
        if self.store.maintenance().await?.is_some() {
            return Ok(SignedDuration::ZERO);
        }
        let now = self.clock.now();
        let unreadable = self.unreadable_schedules.lock().clone();
        let limit = u32::try_from(unreadable.len()).unwrap_or(u32::MAX).saturating_add(1);
        let due = self.store.oldest_due(now, limit).await?;
        let longest = due.into_iter().find(|(id, _)| !unreadable.contains(id));
        Ok(longest.map_or(SignedDuration::ZERO, |(_, due)| now.duration_since(due)))
    }
}

/// Why a firing is missed that was due, or queued, when its schedule was changed.
pub(super) const CHANGED: &str = "The schedule was changed before this firing was made.";
/// The same of a schedule that was disabled.
pub(super) const DISABLED: &str = "The schedule was disabled before this firing was made.";

/// Sets the next nominal time after `now`, or none where the schedule is disabled.
pub(super) fn plan_ahead(row: &mut ScheduleRow, now: Timestamp) -> Result<(), ScheduleError> {
    let next = if row.enabled { row.spec.plan(row.id)?.next_occurrence(now) } else { None };
    (row.next_nominal, row.next_due) = (next.map(|next| next.nominal), next.map(|next| next.due));
    Ok(())
}

/// Plans a changed schedule from now on. The answer is what becomes of the nominal times of `row` that have come and have no firing, and of its queued firing:
/// they are missed, because of `why`.
pub(super) fn replan(
    row: &ScheduleRow,
    changed: &mut ScheduleRow,
    now: Timestamp,
    why: &str,
) -> Result<Vec<FiringRow>, ScheduleError> {
    let missed = |occurrence| {
        let firing = FiringRow::by_clock(row.id, occurrence, now, FiringOutcome::Missed);
        FiringRow { reason: Some(why.to_owned()), ..firing }
    };
    let mut firings = Vec::new();
    if let Ok(plan) = row.spec.plan(row.id) {
        let occurrence = |nominal| Occurrence { nominal, due: plan.due_at(nominal) };
        firings.extend(row.queued_nominal.map(|nominal| missed(occurrence(nominal))));
        if row.enabled && row.next_nominal.is_some() {
            let (listed, older) = passed_over(&plan, row.considered_until, now);
            firings.extend(older.map(|(first, last)| FiringRow { missed_since: Some(first), ..missed(occurrence(last)) }));
            firings.extend(listed.into_iter().map(missed));
        }
    }
    // Another process, whose clock is ahead, may have decided about later times.
    changed.considered_until = row.considered_until.max(now);
    changed.queued_nominal = None;
    plan_ahead(changed, changed.considered_until)?;
    Ok(firings)
}

/// The present state of a schedule, as a draft.
pub(super) fn draft_of(row: &ScheduleRow) -> ScheduleDraft {
    ScheduleDraft { name: row.name.clone(), spec: row.spec.clone(), args: row.args.clone(), enabled: row.enabled }
}

/// Checks the name of a schedule: it has to be readable in one line, and to name the schedule in a path.
pub fn check_name(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > LONGEST_NAME {
        return Err(format!("must have 1 to {LONGEST_NAME} characters, not only blanks; got {length}"));
    }
    if name.trim() != name {
        return Err("must not begin or end with a blank".into());
    }
    if let Some(hidden) = name.chars().find(|c| is_unseen(*c)) {
        let code = u32::from(hidden);
        return Err(format!("must be one line of visible characters; remove the control or format character U+{code:04X}"));
    }
    if [".", "..", "preview", "sync"].iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(format!("must not be {name:?}, which has another meaning in a path; choose another name"));
    }
    if name.parse::<ScheduleId>().is_ok() {
        return Err(
            "must not look like an id (a UUID), because a schedule is named by its id or by its name; choose another name".into(),
        );
    }
    Ok(())
}

/// Whether a character cannot be seen, or breaks the line.
fn is_unseen(c: char) -> bool {
    use unicode_general_category::GeneralCategory as Category;
    let category = unicode_general_category::get_general_category(c);
    matches!(category, Category::Control | Category::Format | Category::LineSeparator | Category::ParagraphSeparator)
}
