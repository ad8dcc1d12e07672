//! Start: one compare-and-set for a batch.

use std::collections::{HashMap, HashSet};

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::PgStore;
use super::ends::{EndOrder, place};
use super::hot_connections::HOT_LIMIT;
use super::rows::{count, limit, maybe_time, sql_time, time};
use super::statement_error::{RetryBudget, StatementError, within};
use crate::domain::{Attempt, EndReason, KindName, Origin, QueueName, StartedTask, TaskRef};
use crate::store::{StartAnswer, StartBatch, StoreError, StoreResult};

/// `$3` now, `$4` exclusive, `$5` and `$6` the worker. The references come sorted by id. What is locked here cannot change before the
/// updates, so these need no join, and the answers come from what was seen.
///
/// A row that was dispatched at its due time is due, whatever this clock says: it may lag behind the one that dispatched.
///
/// What only a retry by hand has is looked up for those alone.
///
/// `= ANY (ARRAY[…])` is an equality that the planner can use one way only, from the reference to the row. Statistics of a table that
/// was empty a minute ago would else have it read the table for each reference.
const START_TASKS: &str = "-- start_tasks
WITH seen AS MATERIALIZED (
    SELECT r.place, t.id,
           CASE WHEN t.expires_at <= $3 THEN 'expired'
                WHEN t.queue = ANY (ARRAY(SELECT name FROM queues WHERE paused_at IS NOT NULL)) THEN 'paused'
                WHEN t.due_at > $3 AND (t.dispatched_at IS NULL OR t.dispatched_at < t.due_at) THEN 'early'
                WHEN t.crashes >= 2 AND NOT $4 THEN 'exclusive'
                ELSE 'started' END AS verdict,
           t.kind, t.queue, t.args, t.principal, t.submitted_at, t.attempt, t.retries_used, t.max_retries, t.crashes,
           t.hard_limit_ms, t.soft_limit_ms, t.retry_of IS NOT NULL AS retries
    FROM UNNEST($1::uuid[], $2::int4[]) WITH ORDINALITY AS r (id, version, place)
    JOIN tasks t ON t.id = ANY (ARRAY[r.id]) AND t.version = r.version
    WHERE t.status <> 'STARTED'
    FOR UPDATE OF t SKIP LOCKED
), started AS (
    UPDATE tasks
    SET status = 'STARTED', attempt = attempt + 1, version = version + 1, worker = $5, worker_name = $6, started_at = $3,
        dispatch_at = NULL, dispatched_at = NULL, limited_until = NULL, progress = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM seen WHERE verdict = 'started'))
), paused AS (
    UPDATE tasks SET dispatch_at = GREATEST(due_at, $3 + interval '1 second'), dispatched_at = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM seen WHERE verdict = 'paused'))
), early AS (
    UPDATE tasks SET dispatch_at = due_at, dispatched_at = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM seen WHERE verdict = 'early'))
)
SELECT place, verdict, kind, queue, args, principal, submitted_at, retries_used, max_retries, crashes,
       hard_limit_ms, soft_limit_ms, attempt,
       CASE WHEN retries THEN (SELECT o.origin FROM retry_origins o WHERE o.task = seen.id) END,
       CASE WHEN retries THEN (SELECT o.submitted_at FROM retry_origins o WHERE o.task = seen.id) END
FROM seen";

/// A reference's place in its batch, and what became of it; `None` where it has expired.
pub(super) type Decision = (usize, Option<StartAnswer>);

impl PgStore {
    pub(super) async fn start_tasks(&self, batch: &StartBatch<'_>) -> StoreResult<Vec<StartAnswer>> {
        if batch.refs.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = vec![StartAnswer::Gone; batch.refs.len()];
        let mut expired = HashMap::new();
        for (at, answer) in self.decide(batch).await? {
            match answer {
                Some(answer) => answers[at] = answer,
                None => drop(expired.insert(batch.refs[at].id, at)),
            }
        }
        let orders = expired.keys().map(|&id| EndOrder::waiting(id, batch.now, EndReason::Expired)).collect();
        match self.end_waiting(orders).await {
            Ok(ends) => {
                for ended in ends {
                    if let Some(&at) = expired.get(&ended.id) {
                        answers[at] = StartAnswer::Ended(ended);
                    }
                }
            }
            // What has started has started, and must be told; the sweep ends the expired ones later.
            Err(error) => tracing::warn!(error = %StoreError::from(error), "expired tasks could not be ended"),
        }
        Ok(answers)
    }

    /// Starts what has no rate limit, and then of each limited kind what its limit allows.
    async fn decide(&self, batch: &StartBatch<'_>) -> Result<Vec<Decision>, StatementError> {
        let limited = self.limited_refs(batch).await?;
        if limited.is_empty() {
            return self.start_or_postpone(batch).await;
        }
        let is_limited: HashSet<usize> = limited.values().flatten().map(|(place, _)| *place).collect();
        let others: Vec<usize> = (0..batch.refs.len()).filter(|place| !is_limited.contains(place)).collect();
        let refs: Vec<TaskRef> = others.iter().map(|place| batch.refs[*place]).collect();
        let mut decisions = self.start_or_postpone(&StartBatch { refs: &refs, ..*batch }).await?;
        for (place, _) in &mut decisions {
            *place = others[*place];
        }
        for (kind, candidates) in limited {
            let Some((_, limit)) = batch.limits.iter().find(|(name, _)| *name == kind) else { continue };
            match self.start_limited(batch, &kind, *limit, &candidates).await {
                Ok(of_kind) => decisions.extend(of_kind),
                // The others have started, which must be told; these are dispatched again by the sweep of lost dispatches.
                Err(error) => {
                    tracing::warn!(task.kind = %kind, error = %StoreError::from(error), "tasks of a limited kind could not be started");
                }
            }
        }
        Ok(decisions)
    }

    /// What became of the references, by their places in the batch; `None` for those that have expired.
    async fn start_or_postpone(&self, batch: &StartBatch<'_>) -> Result<Vec<Decision>, StatementError> {
        if batch.refs.is_empty() {
            return Ok(Vec::new());
        }
        let mut retry_budget = RetryBudget::default();
        loop {
            let mut lease = self.starts.lease().await?;
            let outcome = within(HOT_LIMIT, start_once(lease.connection()?, batch)).await;
            lease.done(&outcome);
            match outcome {
                // A start that may have been written is not repeated: its rows are STARTED, and the heartbeat releases those it does not know.
                Err(error) if retry_budget.allows(&error, false) => {}
                outcome => return outcome,
            }
        }
    }
}

pub(super) async fn start_once(connection: &mut PgConnection, batch: &StartBatch<'_>) -> Result<Vec<Decision>, StatementError> {
    let places = sorted(batch.refs);
    let rows = sqlx::query(START_TASKS)
        .bind(places.iter().map(|&at| batch.refs[at].id.as_uuid()).collect::<Vec<_>>())
        .bind(places.iter().map(|&at| batch.refs[at].version.0).collect::<Vec<_>>())
        .bind(sql_time(batch.now))
        .bind(batch.exclusive)
        .bind(batch.worker.as_uuid())
        .bind(batch.worker_name)
        .fetch_all(connection)
        .await?;
    let answer = |row| {
        let at = places[place(row)?];
        let answer = match row.try_get(1)? {
            "started" => Some(StartAnswer::Started(Box::new(started(row, batch, batch.refs[at])?))),
            "exclusive" => Some(StartAnswer::NeedsExclusive),
            "expired" => None,
            _ => Some(StartAnswer::Postponed),
        };
        Ok((at, answer))
    };
    rows.iter().map(answer).collect()
}

/// The places of the references in the order of their ids, each reference once.
fn sorted(refs: &[TaskRef]) -> Vec<usize> {
    let mut seen = HashSet::with_capacity(refs.len());
    let mut places: Vec<usize> = (0..refs.len()).filter(|&at| seen.insert(refs[at])).collect();
    places.sort_unstable_by_key(|&at| refs[at].id);
    places
}

/// Where a chain of retries by hand started, of the last two columns.
fn origin(row: &PgRow) -> Result<Option<Origin>, StatementError> {
    let task: Option<Uuid> = row.try_get(13)?;
    Ok(task.zip(maybe_time(row, 14)?).map(|(task, submitted_at)| Origin { task: task.into(), submitted_at }))
}

fn started(row: &PgRow, batch: &StartBatch<'_>, reference: TaskRef) -> Result<StartedTask, StatementError> {
    Ok(StartedTask {
        id: reference.id,
        attempt: Attempt(row.try_get::<i32, _>(12)?.saturating_add(1)),
        version: reference.version.next(),
        kind: KindName::from_store(row.try_get(2)?),
        queue: QueueName::from_store(row.try_get(3)?),
        args: row.try_get(4)?,
        principal: row.try_get::<&str, _>(5)?.into(),
        submitted_at: time(row, 6)?,
        retry_origin: origin(row)?,
        started_at: batch.now,
        retries_used: count(row.try_get(7)?),
        max_retries: count(row.try_get(8)?),
        crashes: count(row.try_get(9)?),
        hard_limit: limit(row.try_get(10)?),
        soft_limit: row.try_get::<Option<i64>, _>(11)?.map(limit),
    })
}
