//! The end of tasks: one statement moves the rows. Every operation that ends tasks does it here.

use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use uuid::Uuid;

use super::PgStore;
use super::hot_connections::HOT_LIMIT;
use super::insert::insert_rows;
use super::rows::{earliest_end, ended_columns, sql_time, task_row};
use super::statement_error::{RetryBudget, StatementError, within};
use crate::domain::{Dispatch, EndReason, EndStatus, TaskId, TaskStatus, Version, WorkerId, callback_task};
use crate::store::Ended;

/// A task to end, and how.
#[derive(Clone, Debug)]
pub(super) struct EndOrder<'a> {
    pub(super) id: TaskId,
    /// The version that must be the present one, if it matters.
    pub(super) version: Option<Version>,
    /// The worker that must run it; without one a waiting row is ended.
    pub(super) worker: Option<WorkerId>,
    pub(super) at: Timestamp,
    pub(super) status: EndStatus,
    pub(super) result: Option<&'a str>,
    /// As JSON; `None` leaves what is written.
    pub(super) progress: Option<String>,
    /// The error report as JSON text.
    pub(super) error: Option<String>,
    pub(super) reason: Option<EndReason>,
}

impl EndOrder<'_> {
    /// The end of a waiting row as REVOKED.
    pub(super) const fn waiting(id: TaskId, at: Timestamp, reason: EndReason) -> Self {
        let status = EndStatus::Revoked;
        Self { id, version: None, worker: None, at, status, result: None, progress: None, error: None, reason: Some(reason) }
    }
}

impl PgStore {
    /// Ends waiting tasks, as far as they still wait; the answers are by id.
    pub(super) async fn end_waiting(&self, mut orders: Vec<EndOrder<'_>>) -> Result<Vec<Ended>, StatementError> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        orders.sort_unstable_by_key(|order| order.id);
        let mut answers = vec![None; orders.len()];
        let mut retry_budget = RetryBudget::default();
        loop {
            let mut lease = self.settles.lease().await?;
            let outcome = within(HOT_LIMIT, Box::pin(end_tasks(lease.connection()?, &orders, &mut answers))).await;
            lease.done(&outcome);
            match outcome {
                Ok(()) => return Ok(answers.into_iter().flatten().collect()),
                Err(error) if retry_budget.allows(&error, false) => {
                    self.make_room(&error, orders.iter().map(|order| order.at)).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Moves rows, and answers with the places of those it moved. Rows with a callback stay unless `$10` says that the caller sees to it.
/// The orders come sorted by id and are joined one by one (see `start.rs` for how), so that rows are taken in id order.
const END_TASKS: &str = "-- end_tasks
WITH ended AS (
    DELETE FROM tasks t
    USING UNNEST($1::uuid[], $2::int4[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
          WITH ORDINALITY AS o (id, version, worker, ended_at, status, result, error, reason, progress, place)
    WHERE t.id = ANY (ARRAY[o.id])
      AND (t.callback_url IS NULL OR $10)
      AND t.version = COALESCE(o.version, t.version)
      AND CASE WHEN o.worker IS NULL THEN t.status <> 'STARTED' ELSE t.status = 'STARTED' AND t.worker = o.worker END
    RETURNING o.place, t.id, t.submitted_at, t.due_at, t.expires_at, t.started_at, o.ended_at, t.revoke_requested_at,
              t.hard_limit_ms, t.soft_limit_ms, t.attempt, t.retries_used, t.max_retries, t.crashes, t.priority, t.worker,
              t.retry_of, o.status, t.kind, t.queue, t.principal, t.worker_name, t.args,
              COALESCE(o.progress, t.progress) AS progress, o.result,
              CASE WHEN o.status <> 'SUCCESS' THEN COALESCE(o.error, t.error) END AS error,
              o.error AS own_error, o.reason, t.callback_url
), kept AS (
    INSERT INTO task_results (id, submitted_at, due_at, expires_at, started_at, ended_at, revoke_requested_at,
        hard_limit_ms, soft_limit_ms, attempt, retries_used, max_retries, crashes, priority, worker,
        retry_of, status, kind, queue, principal, worker_name, args, progress, result, error, reason, callback_url)
    SELECT id, submitted_at, due_at, expires_at, started_at, ended_at, revoke_requested_at,
        hard_limit_ms, soft_limit_ms, attempt, retries_used, max_retries, crashes, priority, worker,
        retry_of, status, kind, queue, principal, worker_name, args, progress, result, error, reason, callback_url
    FROM ended
), written AS (
    INSERT INTO attempts (task, attempt, worker_name, started_at, ended_at, outcome, error)
    SELECT id, attempt, worker_name, started_at, ended_at, lower(status), own_error
    FROM ended
    WHERE worker IS NOT NULL AND NOT (status = 'SUCCESS' AND attempt = 1)
)
SELECT place FROM ended";

const FIND_CALLBACKS: &str = concat!(
    "-- find_callbacks\nSELECT ",
    ended_columns!(),
    " FROM task_results WHERE id = ANY($1) AND ended_at >= $2 AND callback_url IS NOT NULL"
);

/// Ends what the orders name, where it can be ended, and writes the answers in the order of the orders, which is by id; what it
/// has done before an error is answered too.
///
/// One statement of its own transaction where no task has a callback and none is missing; else one more transaction for the rest.
pub(super) async fn end_tasks(
    connection: &mut PgConnection,
    orders: &[EndOrder<'_>],
    answers: &mut [Option<Ended>],
) -> Result<(), StatementError> {
    for place in move_rows(connection, orders, false).await? {
        answers[place] = Some(ended(&orders[place], None));
    }
    let rest: Vec<usize> = (0..orders.len()).filter(|&place| answers[place].is_none()).collect();
    if rest.is_empty() {
        return Ok(());
    }
    let again: Vec<_> = rest.iter().map(|&place| orders[place].clone()).collect();
    let mut transaction = connection.begin().await?;
    let ends = end_tasks_within(&mut transaction, &again).await?;
    transaction.commit().await?;
    for (place, end) in rest.into_iter().zip(ends) {
        answers[place] = end;
    }
    Ok(())
}

/// The same in a transaction of the caller, rows with callbacks included.
async fn end_tasks_within(transaction: &mut PgConnection, orders: &[EndOrder<'_>]) -> Result<Vec<Option<Ended>>, StatementError> {
    let mut answers: Vec<Option<Ended>> = vec![None; orders.len()];
    let moved = move_rows(transaction, orders, true).await?;
    let ids: Vec<TaskId> = moved.iter().map(|&place| orders[place].id).collect();
    let mut dispatches = insert_callbacks(transaction, &ids).await?;
    for place in moved {
        let found = dispatches.iter().position(|(id, _)| *id == orders[place].id);
        let callback = found.map(|found| dispatches.swap_remove(found).1);
        answers[place] = Some(ended(&orders[place], callback));
    }
    Ok(answers)
}

const fn ended(order: &EndOrder<'_>, callback: Option<Dispatch>) -> Ended {
    Ended { id: order.id, status: order.status, callback }
}

/// The places of the orders whose rows were moved.
async fn move_rows(
    connection: &mut PgConnection,
    orders: &[EndOrder<'_>],
    with_callbacks: bool,
) -> Result<Vec<usize>, StatementError> {
    macro_rules! column {
        ($value:expr) => {
            orders.iter().map($value).collect::<Vec<_>>()
        };
    }
    let places: Vec<i64> = sqlx::query_scalar(END_TASKS)
        .bind(column!(|order| order.id.as_uuid()))
        .bind(column!(|order| order.version.map(|version| version.0)))
        .bind(column!(|order| order.worker.map(WorkerId::as_uuid)))
        .bind(column!(|order| sql_time(order.at)))
        .bind(column!(|order| TaskStatus::from(order.status).as_str()))
        .bind(column!(|order| order.result))
        .bind(column!(|order| order.error.as_deref()))
        .bind(column!(|order| order.reason.map(EndReason::as_str)))
        .bind(column!(|order| order.progress.as_deref()))
        .bind(with_callbacks)
        .fetch_all(connection)
        .await?;
    Ok(places.into_iter().filter_map(from_one).collect())
}

/// A place that the database counts from 1, counted from 0.
pub(super) fn from_one(place: i64) -> Option<usize> {
    usize::try_from(place).ok()?.checked_sub(1)
}

/// Inserts the callbacks of tasks that were ended in this transaction; answers with their dispatches.
async fn insert_callbacks(connection: &mut PgConnection, ids: &[TaskId]) -> Result<Vec<(TaskId, Dispatch)>, StatementError> {
    let Some(oldest) = ids.iter().min() else { return Ok(Vec::new()) };
    let uuids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query(FIND_CALLBACKS).bind(uuids).bind(earliest_end(*oldest)).fetch_all(&mut *connection).await?;
    let mut callbacks = Vec::with_capacity(rows.len());
    for row in &rows {
        let row = task_row(row)?;
        let now = row.ended_at.unwrap_or(row.due_at);
        callbacks.extend(callback_task(&row, now).map(|callback| (row.id, callback)));
    }
    if !callbacks.is_empty() {
        insert_rows(connection, callbacks.iter().map(|(_, callback)| (callback, true))).await?;
    }
    Ok(callbacks.into_iter().map(|(id, callback)| (id, callback.dispatch())).collect())
}

/// The place that the first column of an answer names.
pub(super) fn place(row: &sqlx::postgres::PgRow) -> Result<usize, StatementError> {
    from_one(row.try_get(0)?).ok_or_else(|| super::rows::corrupt("tasks", "a place is not in the batch"))
}
