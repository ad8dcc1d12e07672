//! The end of tasks: rows move from `tasks` to `task_results`. Every operation that ends tasks does it here, in a transaction of its own.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::insert::insert_rows;
use super::json::{self, JsonRows};
use super::rows::{Columns, ended_columns, task_row};
use super::statement_error::StatementError;
use crate::domain::{
    Attempt, Dispatch, EndReason, EndStatus, ErrorReport, Progress, TaskId, TaskStatus, Version, WorkerId, callback_task,
};
use crate::store::Ended;

/// A running attempt: its row must have this version and worker. The attempt number tells the row by which it was ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fence {
    pub(super) version: Version,
    pub(super) attempt: Attempt,
    pub(super) worker: WorkerId,
}

/// A task to end, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndOrder<'a> {
    pub(super) id: TaskId,
    /// The version and worker that must be the present ones; `None` ends a waiting row.
    pub(super) fence: Option<Fence>,
    /// Whether it ends only if its revoke was requested.
    pub(super) if_revoked: bool,
    pub(super) at: Timestamp,
    pub(super) status: EndStatus,
    pub(super) result: Option<&'a str>,
    /// `None` leaves what is written.
    pub(super) progress: Option<&'a Progress>,
    pub(super) error: Option<&'a ErrorReport>,
    pub(super) reason: Option<EndReason>,
}

impl EndOrder<'_> {
    /// The end of a waiting row as REVOKED.
    pub(super) const fn waiting(id: TaskId, at: Timestamp, reason: EndReason) -> Self {
        let status = EndStatus::Revoked;
        Self { id, fence: None, if_revoked: false, at, status, result: None, progress: None, error: None, reason: Some(reason) }
    }
}

/// An order is `[id, version, worker, if_revoked, ended_at, status, result, error, reason, progress]`.
const END_TASKS: &str = "-- end_tasks
INSERT INTO task_results (id, submitted_at, due_at, expires_at, started_at, ended_at, revoke_requested_at, hard_limit_ms,
    soft_limit_ms, attempt, retries_used, max_retries, crashes, priority, worker, retry_of, status, kind, queue, principal,
    worker_name, args, progress, result, error, reason, callback_url)
SELECT t.id, t.submitted_at, t.due_at, t.expires_at, t.started_at, o.value ->> 4, t.revoke_requested_at, t.hard_limit_ms,
    t.soft_limit_ms, t.attempt, t.retries_used, t.max_retries, t.crashes, t.priority, t.worker, t.retry_of, o.value ->> 5, t.kind,
    t.queue, t.principal, t.worker_name, t.args, coalesce(o.value ->> 9, t.progress), o.value ->> 6,
    CASE WHEN o.value ->> 5 <> 'SUCCESS' THEN coalesce(o.value ->> 7, t.error) END, o.value ->> 8, t.callback_url
FROM jsonb_each(?1) o
CROSS JOIN tasks t ON t.id = unhex(o.value ->> 0)
WHERE CASE WHEN o.value ->> 2 IS NULL THEN t.status <> 'STARTED'
           ELSE t.status = 'STARTED' AND t.version = o.value ->> 1 AND t.worker = unhex(o.value ->> 2) END
  AND (NOT o.value ->> 3 OR t.revoke_requested_at IS NOT NULL)
RETURNING id, attempt, worker, callback_url IS NOT NULL";

const FORGET_LIVE: &str = "-- forget_live
DELETE FROM tasks WHERE id IN (SELECT unhex(value) FROM jsonb_each(?1))";

/// The orders that ended something, but for first attempts that succeeded.
const WRITE_LAST_ATTEMPTS: &str = "-- write_last_attempts
INSERT INTO attempts (task, attempt, worker_name, started_at, ended_at, outcome, error)
SELECT r.id, r.attempt, r.worker_name, r.started_at, r.ended_at, lower(r.status), o.value ->> 7
FROM jsonb_each(?1) o
CROSS JOIN task_results r ON r.id = unhex(o.value ->> 0)";

const FIND_CALLBACKS: &str = concat!(
    "-- find_callbacks\nSELECT ",
    ended_columns!(),
    " FROM task_results WHERE id IN (SELECT unhex(value) FROM jsonb_each(?1)) AND callback_url IS NOT NULL"
);

/// What the move says of a row: the fence that held, and whether somebody is to be told.
type Moved = HashMap<TaskId, (Attempt, Option<WorkerId>, bool)>;

/// Ends what the orders name, where it can be ended; the answers are in the order of the orders, none of which is there twice.
pub(super) async fn end_tasks(
    transaction: &mut SqliteConnection,
    orders: &[EndOrder<'_>],
) -> Result<Vec<Option<Ended>>, StatementError> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let moved = move_rows(transaction, orders).await?;
    let held = |order: &&EndOrder<'_>| {
        moved.get(&order.id).is_some_and(|(attempt, worker, _)| {
            order.fence.is_none_or(|fence| fence.attempt == *attempt && Some(fence.worker) == *worker)
        })
    };
    write_last_attempts(transaction, orders.iter().filter(held)).await?;
    let reported = moved.iter().filter(|(_, (_, _, reported))| *reported).map(|(id, _)| *id).collect();
    let mut callbacks = insert_callbacks(transaction, reported).await?;
    let ended = |order: &EndOrder<'_>| {
        held(&order).then(|| Ended { id: order.id, status: order.status, callback: callbacks.remove(&order.id) })
    };
    Ok(orders.iter().map(ended).collect())
}

async fn move_rows(transaction: &mut SqliteConnection, orders: &[EndOrder<'_>]) -> Result<Moved, StatementError> {
    let rows = sqlx::query(END_TASKS).bind(order_rows(orders.iter())?).fetch_all(&mut *transaction).await?;
    let mut moved = Moved::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::of("task_results", row);
        let id = columns.id()?;
        moved.insert(id, (columns.attempt()?, columns.get::<Option<Uuid>>()?.map(WorkerId::from), columns.get()?));
    }
    if !moved.is_empty() {
        sqlx::query(FORGET_LIVE).bind(json::ids(moved.keys().copied())?).execute(transaction).await?;
    }
    Ok(moved)
}

fn order_rows<'a>(orders: impl Iterator<Item = &'a EndOrder<'a>>) -> Result<String, StatementError> {
    let mut rows = JsonRows::new();
    for order in orders {
        let error = order.error.map(json::json).transpose()?;
        let progress = order.progress.map(json::json).transpose()?;
        rows.row()
            .id(Some(order.id.as_uuid()))
            .value(&order.fence.map(|fence| fence.version))
            .id(order.fence.map(|fence| fence.worker.as_uuid()))
            .value(&order.if_revoked)
            .time(Some(order.at))
            .value(&TaskStatus::from(order.status))
            .text(order.result)
            .text(error.as_deref())
            .value(&order.reason)
            .text(progress.as_deref())
            .end()?;
    }
    rows.text()
}

async fn write_last_attempts<'a>(
    transaction: &mut SqliteConnection,
    orders: impl Iterator<Item = &'a EndOrder<'a>>,
) -> Result<(), StatementError> {
    let is_notified =
        |order: &&EndOrder<'_>| order.fence.is_some_and(|fence| order.status != EndStatus::Success || fence.attempt > Attempt(1));
    let mut orders = orders.filter(is_notified).peekable();
    if orders.peek().is_some() {
        sqlx::query(WRITE_LAST_ATTEMPTS).bind(order_rows(orders)?).execute(transaction).await?;
    }
    Ok(())
}

/// Inserts the callbacks of tasks that were ended in this transaction; answers with their dispatches.
async fn insert_callbacks(
    transaction: &mut SqliteConnection,
    ids: Vec<TaskId>,
) -> Result<HashMap<TaskId, Dispatch>, StatementError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(FIND_CALLBACKS).bind(json::ids(ids)?).fetch_all(&mut *transaction).await?;
    let mut callbacks = Vec::with_capacity(rows.len());
    for row in &rows {
        let row = task_row(row)?;
        let now = row.ended_at.unwrap_or(row.due_at);
        callbacks.extend(callback_task(&row, now).map(|callback| (row.id, callback)));
    }
    insert_rows(transaction, callbacks.iter().map(|(_, callback)| (callback, true))).await?;
    Ok(callbacks.into_iter().map(|(id, callback)| (id, callback.dispatch())).collect())
}
