//! Settle: one fenced statement for what ends, one for what waits again.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::PgStore;
use super::ends::{EndOrder, end_tasks, place};
use super::hot_connections::HOT_LIMIT;
use super::rows::{done_of, earliest_end, json, sql_time, word};
use super::statement_error::{RetryBudget, StatementError, within};
use crate::domain::{Attempt, EndReason, Next, TaskId, TaskStatus, WorkerId};
use crate::store::bisected_batch::BisectedBatch;
use crate::store::{Settled, Settlement, StoreError, StoreResult};

/// Makes rows wait again, joined one by one (see `start.rs` for how; `=` for the worker would open another way). Those whose revoke was requested stay, and are ended by who finds them missing in the answer.
const WAIT_AGAIN: &str = concat!(
    "-- wait_again
WITH waits AS (
    SELECT * FROM UNNEST($1::uuid[], $2::int4[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::int4[], $8::text[],
                         $9::text[])
        WITH ORDINALITY AS w (id, version, worker, ended_at, due_at, outcome, crashes, error, progress, place)
), moved AS (
    UPDATE tasks t
    SET status = CASE WHEN w.outcome IS NOT NULL OR t.retries_used > 0 THEN 'RETRY' ELSE 'PENDING' END,
        retries_used = t.retries_used + CASE WHEN w.outcome = 'retry' THEN 1 ELSE 0 END,
        crashes = COALESCE(w.crashes, t.crashes), error = COALESCE(w.error, t.error),
        progress = COALESCE(w.progress, t.progress),
        progress_peak = CASE WHEN w.outcome = 'crashed' THEN GREATEST(t.progress_peak, ",
    done_of!("COALESCE(w.progress, t.progress)"),
    ") ELSE t.progress_peak END,
        due_at = w.due_at, dispatch_at = w.due_at, dispatched_at = NULL, worker = NULL, version = t.version + 1
    FROM waits w
    WHERE t.id = ANY (ARRAY[w.id]) AND t.status = 'STARTED' AND t.version = w.version AND t.worker IS NOT DISTINCT FROM w.worker
      AND t.revoke_requested_at IS NULL
    RETURNING w.place, t.status, t.id, t.attempt, t.worker_name, t.started_at, w.ended_at, w.outcome, w.error
), written AS (
    INSERT INTO attempts (task, attempt, worker_name, started_at, ended_at, outcome, error)
    SELECT id, attempt, worker_name, started_at, ended_at, outcome, error FROM moved WHERE outcome IS NOT NULL
)
SELECT place, status FROM moved"
);

const FIND_OWN_RESULTS: &str = "-- find_own_results
SELECT id, attempt, worker FROM task_results WHERE id = ANY($1) AND ended_at >= $2";

/// What waits as the settlement left it, one version on. Whatever has happened since would show: a start or a change in the version, the
/// write of another (the rescue) in the due time.
const FIND_OWN_WAITS: &str = "-- find_own_waits
SELECT w.place
FROM UNNEST($1::uuid[], $2::int4[], $3::timestamptz[]) WITH ORDINALITY AS w (id, version, due_at, place)
JOIN tasks t ON t.id = ANY (ARRAY[w.id]) AND t.version = w.version + 1 AND t.due_at = w.due_at
WHERE t.status <> 'STARTED'";

impl PgStore {
    pub(super) async fn settle_tasks(&self, settlements: &[Settlement]) -> StoreResult<Vec<Result<Settled, StoreError>>> {
        let mut known = vec![None; settlements.len()];
        let mut parts = BisectedBatch::of(settlements.iter().map(Settlement::bytes));
        while let Some(part) = parts.next() {
            let outcome = self.settle_part(&settlements[part.clone()], &mut known[part.clone()]).await;
            parts.take(part, outcome)?;
        }
        Ok(parts.answers())
    }

    /// Settles a part of a batch. What is known from an earlier try stays in `known` over a failure.
    async fn settle_part(
        &self,
        settlements: &[Settlement],
        known: &mut [Option<Settled>],
    ) -> Result<Vec<Settled>, StatementError> {
        let mut retry_budget = RetryBudget::default();
        loop {
            let mut lease = self.settles.lease().await?;
            let outcome = within(HOT_LIMIT, settle_once(lease.connection()?, settlements, known)).await;
            lease.done(&outcome);
            match outcome {
                Ok(()) => return Ok(known.iter_mut().map(|known| known.take().unwrap_or(Settled::Superseded)).collect()),
                // What a lost try has written answers as `Already`.
                Err(error) if retry_budget.allows(&error, true) => {
                    self.make_room(&error, settlements.iter().map(|settlement| settlement.at)).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Settles what is not known yet: what ends, then what waits again, then what was not found.
async fn settle_once(
    connection: &mut PgConnection,
    settlements: &[Settlement],
    known: &mut [Option<Settled>],
) -> Result<(), StatementError> {
    let mut places: Vec<usize> = (0..settlements.len()).filter(|&at| known[at].is_none()).collect();
    places.sort_by_key(|&at| settlements[at].id);
    let (ends, waits): (Vec<usize>, Vec<usize>) =
        places.into_iter().partition(|&at| matches!(settlements[at].next, Next::End { .. }));
    end(connection, settlements, &ends, known).await?;
    wait_again(connection, settlements, &waits, known).await?;
    // What is missing now was held back by its requested revoke alone, if the fence lets it through: a running row's fence is never
    // regained.
    let revoked: Vec<usize> = waits.into_iter().filter(|&at| known[at].is_none()).collect();
    end(connection, settlements, &revoked, known).await?;
    look_for_own_results(connection, settlements, known).await
}

async fn end(
    connection: &mut PgConnection,
    settlements: &[Settlement],
    places: &[usize],
    known: &mut [Option<Settled>],
) -> Result<(), StatementError> {
    if places.is_empty() {
        return Ok(());
    }
    let orders = places.iter().map(|&at| end_order(&settlements[at])).collect::<Result<Vec<_>, _>>()?;
    let mut ends = vec![None; orders.len()];
    let outcome = end_tasks(connection, &orders, &mut ends).await;
    for (&at, ended) in places.iter().zip(ends) {
        known[at] = ended.map(Settled::Ended);
    }
    outcome
}

fn end_order(settlement: &Settlement) -> Result<EndOrder<'_>, StatementError> {
    let revoked = EndOrder {
        version: Some(settlement.version),
        worker: Some(settlement.worker),
        progress: settlement.progress.as_ref().map(json).transpose()?,
        ..EndOrder::waiting(settlement.id, settlement.at, EndReason::Revoked)
    };
    Ok(match &settlement.next {
        Next::End { status, result, error, reason } => EndOrder {
            status: *status,
            result: result.as_deref(),
            error: error.as_ref().map(json).transpose()?,
            reason: *reason,
            ..revoked
        },
        // The row waits no more: its revoke was requested.
        Next::Retry { .. } | Next::Crashed { .. } | Next::Release { .. } => revoked,
    })
}

/// What a row that waits again is told.
#[derive(Default)]
struct Wait {
    due_at: Option<jiff_sqlx::Timestamp>,
    outcome: Option<&'static str>,
    crashes: Option<i32>,
    error: Option<String>,
    progress: Option<String>,
}

impl Wait {
    fn of(settlement: &Settlement) -> Result<Self, StatementError> {
        let progress = settlement.progress.as_ref().map(json).transpose()?;
        let waits = Self { due_at: due_at(&settlement.next).map(sql_time), progress, ..Self::default() };
        Ok(match &settlement.next {
            Next::Retry { error, .. } => Self { outcome: Some("retry"), error: Some(json(error)?), ..waits },
            Next::Crashed { crashes, error, .. } => {
                let crashes = Some(i32::from(*crashes));
                Self { outcome: Some("crashed"), crashes, error: Some(json(error)?), ..waits }
            }
            Next::Release { .. } | Next::End { .. } => waits,
        })
    }
}

const fn due_at(next: &Next) -> Option<jiff::Timestamp> {
    match next {
        Next::Retry { due_at, .. } | Next::Crashed { due_at, .. } | Next::Release { due_at } => Some(*due_at),
        Next::End { .. } => None,
    }
}

async fn wait_again(
    connection: &mut PgConnection,
    settlements: &[Settlement],
    waits: &[usize],
    known: &mut [Option<Settled>],
) -> Result<(), StatementError> {
    if waits.is_empty() {
        return Ok(());
    }
    let rows: Vec<&Settlement> = waits.iter().map(|&at| &settlements[at]).collect();
    let waiting = rows.iter().map(|row| Wait::of(row)).collect::<Result<Vec<_>, _>>()?;
    let moved = sqlx::query(WAIT_AGAIN)
        .bind(rows.iter().map(|row| row.id.as_uuid()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.version.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.worker.as_uuid()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| sql_time(row.at)).collect::<Vec<_>>())
        .bind(waiting.iter().map(|wait| wait.due_at).collect::<Vec<_>>())
        .bind(waiting.iter().map(|wait| wait.outcome).collect::<Vec<_>>())
        .bind(waiting.iter().map(|wait| wait.crashes).collect::<Vec<_>>())
        .bind(waiting.iter().map(|wait| wait.error.as_deref()).collect::<Vec<_>>())
        .bind(waiting.iter().map(|wait| wait.progress.as_deref()).collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    for row in &moved {
        let at = waits[place(row)?];
        let status: TaskStatus = word("tasks", row.try_get(1)?)?;
        known[at] = due_at(&settlements[at].next).map(|due_at| Settled::Waiting { status, due_at });
    }
    Ok(())
}

/// Tells settlements that had been written before from such that came too late.
async fn look_for_own_results(
    connection: &mut PgConnection,
    settlements: &[Settlement],
    known: &mut [Option<Settled>],
) -> Result<(), StatementError> {
    look_for_own_waits(connection, settlements, known).await?;
    let missing = || settlements.iter().zip(known.iter()).filter(|(_, answer)| answer.is_none());
    let ids: Vec<Uuid> = missing().map(|(settlement, _)| settlement.id.as_uuid()).collect();
    let Some(oldest) = missing().map(|(settlement, _)| settlement.id).min() else { return Ok(()) };
    let found = sqlx::query(FIND_OWN_RESULTS).bind(ids).bind(earliest_end(oldest)).fetch_all(connection).await?;
    let mut results: HashMap<TaskId, (Attempt, Option<WorkerId>)> = HashMap::with_capacity(found.len());
    for row in &found {
        let worker: Option<Uuid> = row.try_get(2)?;
        results.insert(row.try_get::<Uuid, _>(0)?.into(), (Attempt(row.try_get(1)?), worker.map(WorkerId::from)));
    }
    for (settlement, answer) in settlements.iter().zip(known).filter(|(_, answer)| answer.is_none()) {
        let own = results.get(&settlement.id) == Some(&(settlement.attempt, Some(settlement.worker)));
        *answer = Some(if own { Settled::Already } else { Settled::Superseded });
    }
    Ok(())
}

async fn look_for_own_waits(
    connection: &mut PgConnection,
    settlements: &[Settlement],
    known: &mut [Option<Settled>],
) -> Result<(), StatementError> {
    let waits: Vec<(usize, jiff_sqlx::Timestamp)> = settlements
        .iter()
        .enumerate()
        .filter(|(at, _)| known[*at].is_none())
        .filter_map(|(at, settlement)| due_at(&settlement.next).map(|due_at| (at, sql_time(due_at))))
        .collect();
    if waits.is_empty() {
        return Ok(());
    }
    let found = sqlx::query(FIND_OWN_WAITS)
        .bind(waits.iter().map(|&(at, _)| settlements[at].id.as_uuid()).collect::<Vec<_>>())
        .bind(waits.iter().map(|&(at, _)| settlements[at].version.0).collect::<Vec<_>>())
        .bind(waits.iter().map(|&(_, due_at)| due_at).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    for row in &found {
        known[waits[place(row)?].0] = Some(Settled::Already);
    }
    Ok(())
}
