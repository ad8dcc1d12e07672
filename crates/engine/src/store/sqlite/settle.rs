//! Settle: what ends moves, what waits again is updated, and what is neither is looked for among the ended.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::SqliteStore;
use super::ends::{EndOrder, Fence, end_tasks};
use super::json::{self, JsonRows};
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::domain::{Attempt, EndReason, ErrorReport, Next, TaskId, TaskStatus, Version, WorkerId};
use crate::store::{AttemptEnd, Settled, Settlement};

/// The rows whose fence holds: a row is `[id, version, worker, due_at, outcome, crashes, error, ended_at, progress]`.
const HELD: &str = "-- held
SELECT o.key, t.retries_used > 0
FROM jsonb_each(?1) o
CROSS JOIN tasks t ON t.id = unhex(o.value ->> 0)
WHERE t.status = 'STARTED' AND t.version = o.value ->> 1 AND t.worker = unhex(o.value ->> 2)";

const WRITE_ATTEMPTS: &str = "-- write_attempts
INSERT INTO attempts (task, attempt, worker_name, started_at, ended_at, outcome, error)
SELECT t.id, t.attempt, t.worker_name, t.started_at, o.value ->> 7, o.value ->> 4, o.value ->> 6
FROM jsonb_each(?1) o
CROSS JOIN tasks t ON t.id = unhex(o.value ->> 0)
WHERE o.value ->> 4 IS NOT NULL";

const WAIT_AGAIN: &str = "-- wait_again
UPDATE tasks
SET status = CASE WHEN o.value ->> 4 IS NOT NULL OR retries_used > 0 THEN 'RETRY' ELSE 'PENDING' END,
    retries_used = retries_used + (o.value ->> 4 IS 'retry'), crashes = coalesce(o.value ->> 5, crashes),
    error = coalesce(o.value ->> 6, error), progress = coalesce(o.value ->> 8, progress),
    progress_peak = CASE WHEN o.value ->> 4 IS 'crashed'
        THEN max(coalesce(progress_peak, 0), coalesce(min(coalesce(o.value ->> 8, progress) ->> '$.done', 9223372036854775807), 0))
        ELSE progress_peak END,
    due_at = o.value ->> 3, dispatch_at = o.value ->> 3, dispatched_at = NULL, worker = NULL, version = version + 1
FROM jsonb_each(?1) o
WHERE tasks.id = unhex(o.value ->> 0)";

const FIND_OWN_RESULTS: &str = "-- find_own_results
SELECT id, attempt, worker FROM task_results WHERE id IN (SELECT unhex(value) FROM jsonb_each(?1))";

/// What waits as the settlement left it, one version on. Whatever has happened since would show: a start or a change in the version, the
/// write of another (the rescue) in the due time.
const FIND_OWN_WAITS: &str = "-- find_own_waits
SELECT o.key
FROM jsonb_each(?1) o
CROSS JOIN tasks t ON t.id = unhex(o.value ->> 0)
WHERE t.status <> 'STARTED' AND t.version = (o.value ->> 1) + 1 AND t.due_at = o.value ->> 3";

impl SqliteStore {
    pub(super) async fn settle_part(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StatementError> {
        let mut answers: Vec<Option<Settled>> = vec![None; settlements.len()];
        // Of equal settlements the first one counts; the others find its result.
        let mut seen = HashSet::with_capacity(settlements.len());
        let firsts: Vec<usize> = (0..settlements.len()).filter(|&place| seen.insert(fence(&settlements[place]))).collect();
        let orders: Vec<EndOrder<'_>> = firsts.iter().map(|&place| end_order(&settlements[place])).collect();

        let mut write = self.shared().await?;
        let transaction = write.connection()?;
        for (&place, ended) in firsts.iter().zip(end_tasks(transaction, &orders).await?) {
            answers[place] = ended.map(Settled::Ended);
        }
        let waits: Vec<Wait<'_>> = firsts
            .iter()
            .filter(|&&place| answers[place].is_none())
            .filter_map(|&place| wait(place, &settlements[place]))
            .collect();
        if !waits.is_empty() {
            wait_again(transaction, &waits, &mut answers).await?;
        }
        if answers.iter().any(Option::is_none) {
            look_for_own_results(transaction, settlements, &mut answers).await?;
        }
        write.commit().await?;
        Ok(answers.into_iter().map(|answer| answer.unwrap_or(Settled::Superseded)).collect())
    }
}

const fn fence(settlement: &Settlement) -> (TaskId, Version, WorkerId) {
    (settlement.id, settlement.version, settlement.worker)
}

/// How the settlement ends the task; one that would have it wait again ends it only if its revoke was requested.
fn end_order(settlement: &Settlement) -> EndOrder<'_> {
    let order = EndOrder {
        fence: Some(Fence { version: settlement.version, attempt: settlement.attempt, worker: settlement.worker }),
        progress: settlement.progress.as_ref(),
        ..EndOrder::waiting(settlement.id, settlement.at, EndReason::Revoked)
    };
    match &settlement.next {
        Next::End { status, result, error, reason } => {
            EndOrder { status: *status, result: result.as_deref(), error: error.as_ref(), reason: *reason, ..order }
        }
        Next::Retry { .. } | Next::Crashed { .. } | Next::Release { .. } => EndOrder { if_revoked: true, ..order },
    }
}

/// A settlement after which the task waits again.
#[derive(Clone, Copy)]
struct Wait<'a> {
    place: usize,
    settlement: &'a Settlement,
    due_at: Timestamp,
    outcome: Option<AttemptEnd>,
    crashes: Option<u16>,
    error: Option<&'a ErrorReport>,
}

fn wait(place: usize, settlement: &Settlement) -> Option<Wait<'_>> {
    let wait = |due_at, outcome, crashes, error| Some(Wait { place, settlement, due_at, outcome, crashes, error });
    match &settlement.next {
        Next::End { .. } => None,
        Next::Retry { due_at, error } => wait(*due_at, Some(AttemptEnd::Retry), None, Some(error)),
        Next::Crashed { due_at, crashes, error } => wait(*due_at, Some(AttemptEnd::Crashed), Some(*crashes), Some(error)),
        Next::Release { due_at } => wait(*due_at, None, None, None),
    }
}

fn wait_rows(waits: &[Wait<'_>]) -> Result<String, StatementError> {
    let mut rows = JsonRows::new();
    for wait in waits {
        let error = wait.error.map(json::json).transpose()?;
        let progress = wait.settlement.progress.as_ref().map(json::json).transpose()?;
        rows.row()
            .id(Some(wait.settlement.id.as_uuid()))
            .value(&wait.settlement.version)
            .id(Some(wait.settlement.worker.as_uuid()))
            .time(Some(wait.due_at))
            .value(&wait.outcome.map(AttemptEnd::as_str))
            .value(&wait.crashes)
            .text(error.as_deref())
            .time(Some(wait.settlement.at))
            .text(progress.as_deref())
            .end()?;
    }
    rows.text()
}

async fn wait_again(
    transaction: &mut SqliteConnection,
    waits: &[Wait<'_>],
    answers: &mut [Option<Settled>],
) -> Result<(), StatementError> {
    let mut held = Vec::with_capacity(waits.len());
    for row in sqlx::query(HELD).bind(wait_rows(waits)?).fetch_all(&mut *transaction).await? {
        let mut columns = Columns::of("tasks", &row);
        let wait = waits[columns.number::<usize>()?];
        let was_retried: bool = columns.get()?;
        let status = if wait.outcome.is_some() || was_retried { TaskStatus::Retry } else { TaskStatus::Pending };
        answers[wait.place] = Some(Settled::Waiting { status, due_at: wait.due_at });
        held.push(wait);
    }
    if held.is_empty() {
        return Ok(());
    }
    let rows = wait_rows(&held)?;
    if held.iter().any(|wait| wait.outcome.is_some()) {
        sqlx::query(WRITE_ATTEMPTS).bind(rows.as_str()).execute(&mut *transaction).await?;
    }
    sqlx::query(WAIT_AGAIN).bind(rows.as_str()).execute(transaction).await?;
    Ok(())
}

/// Tells settlements that had been written before from such that came too late.
async fn look_for_own_results(
    transaction: &mut SqliteConnection,
    settlements: &[Settlement],
    answers: &mut [Option<Settled>],
) -> Result<(), StatementError> {
    look_for_own_waits(transaction, settlements, answers).await?;
    let missing =
        settlements.iter().zip(answers.iter()).filter(|(_, answer)| answer.is_none()).map(|(settlement, _)| settlement.id);
    let found = sqlx::query(FIND_OWN_RESULTS).bind(json::ids(missing)?).fetch_all(transaction).await?;
    let mut results: HashMap<TaskId, (Attempt, Option<WorkerId>)> = HashMap::with_capacity(found.len());
    for row in &found {
        let mut columns = Columns::of("task_results", row);
        let id = columns.id()?;
        results.insert(id, (columns.attempt()?, columns.get::<Option<Uuid>>()?.map(WorkerId::from)));
    }
    for (settlement, answer) in settlements.iter().zip(answers).filter(|(_, answer)| answer.is_none()) {
        let own = results.get(&settlement.id) == Some(&(settlement.attempt, Some(settlement.worker)));
        *answer = Some(if own { Settled::Already } else { Settled::Superseded });
    }
    Ok(())
}

async fn look_for_own_waits(
    transaction: &mut SqliteConnection,
    settlements: &[Settlement],
    answers: &mut [Option<Settled>],
) -> Result<(), StatementError> {
    let missing = (0..settlements.len()).filter(|&place| answers[place].is_none());
    let waits: Vec<Wait<'_>> = missing.filter_map(|place| wait(place, &settlements[place])).collect();
    if waits.is_empty() {
        return Ok(());
    }
    for row in sqlx::query(FIND_OWN_WAITS).bind(wait_rows(&waits)?).fetch_all(transaction).await? {
        let place = Columns::of("tasks", &row).number::<usize>()?;
        answers[waits[place].place] = Some(Settled::Already);
    }
    Ok(())
}
