//! Insert: one statement for a batch without keys, one transaction for a batch with some.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::{Connection as _, Postgres, Row as _};
use uuid::Uuid;

use super::PgStore;
use super::hot_connections::HOT_LIMIT;
use super::rows::{earliest_end, millis, sql_time};
use super::statement_error::{RetryBudget, StatementError, within};
use crate::domain::{NewTask, TaskId};
use crate::store::bisected_batch::BisectedBatch;
use crate::store::{IdempotencyKey, InsertAnswer, StoreError, StoreResult, SubmittedTask};

macro_rules! insert_sql {
    () => {
        "INSERT INTO tasks (id, kind, queue, priority, args, principal, submitted_at, due_at, expires_at, max_retries,
                   hard_limit_ms, soft_limit_ms, callback_url, retry_of, dispatch_at, dispatched_at)
SELECT id, kind, queue, priority, args, principal, submitted_at, due_at, expires_at, max_retries,
       hard_limit_ms, soft_limit_ms, callback_url, retry_of,
       CASE WHEN NOT dispatched THEN due_at END, CASE WHEN dispatched THEN submitted_at END
FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::int2[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
            $9::timestamptz[], $10::int4[], $11::int8[], $12::int8[], $13::text[], $14::uuid[], $15::bool[])
     AS new (id, kind, queue, priority, args, principal, submitted_at, due_at,
             expires_at, max_retries, hard_limit_ms, soft_limit_ms, callback_url, retry_of, dispatched)"
    };
}

const INSERT_TASKS: &str = concat!("-- insert_tasks\n", insert_sql!());

/// What is there already stays; the ids of the others come back.
const INSERT_MISSING: &str = concat!("-- insert_missing\n", insert_sql!(), " ON CONFLICT (id) DO NOTHING RETURNING id");

const INSERT_KEYS: &str = "-- insert_keys
INSERT INTO idempotency_keys (principal, scope, key, body_hash, task, created_at)
SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::timestamptz[])
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING
RETURNING task";

const FIND_KEYS: &str = "-- find_keys
SELECT k.principal, k.scope, k.key, k.body_hash, k.task
FROM UNNEST($1::text[], $2::text[], $3::text[]) AS asked (principal, scope, key)
JOIN idempotency_keys k USING (principal, scope, key)";

/// Which of the tasks are there, as they were submitted, and whether they have ended.
const FIND_WRITTEN: &str = "-- find_written
WITH asked AS (
    SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) AS asked (id, kind, principal, submitted_at)
)
SELECT id, false FROM tasks JOIN asked USING (id, kind, principal, submitted_at)
UNION ALL
SELECT id, true FROM task_results JOIN asked USING (id, kind, principal, submitted_at) WHERE ended_at >= $5";

type Insert = Query<'static, Postgres, PgArguments>;

fn insert<'a>(sql: &'static str, tasks: &(impl ExactSizeIterator<Item = (&'a NewTask, bool)> + Clone)) -> Insert {
    macro_rules! column {
        ($value:expr) => {
            tasks.clone().map($value).collect::<Vec<_>>()
        };
    }
    sqlx::query(sql)
        .bind(column!(|(task, _)| task.id.as_uuid()))
        .bind(column!(|(task, _)| task.kind.as_str()))
        .bind(column!(|(task, _)| task.queue.as_str()))
        .bind(column!(|(task, _)| i16::from(task.priority.get())))
        .bind(column!(|(task, _)| task.args.as_str()))
        .bind(column!(|(task, _)| &*task.principal))
        .bind(column!(|(task, _)| sql_time(task.submitted_at)))
        .bind(column!(|(task, _)| sql_time(task.due_at)))
        .bind(column!(|(task, _)| task.expires_at.map(sql_time)))
        .bind(column!(|(task, _)| i32::from(task.max_retries)))
        .bind(column!(|(task, _)| millis(task.hard_limit)))
        .bind(column!(|(task, _)| task.soft_limit.map(millis)))
        .bind(column!(|(task, _)| task.callback_url.as_deref()))
        .bind(column!(|(task, _)| task.retry_of.map(TaskId::as_uuid)))
        .bind(column!(|(_, dispatched)| dispatched))
}

/// Inserts tasks that no key guards, in one statement. The flag says whether a row is dispatched.
pub(super) async fn insert_rows<'a>(
    connection: &mut PgConnection,
    tasks: impl ExactSizeIterator<Item = (&'a NewTask, bool)> + Clone,
) -> Result<(), StatementError> {
    insert(INSERT_TASKS, &tasks).execute(connection).await?;
    Ok(())
}

type KeyName<'a> = (&'a str, &'a str, &'a str);

fn key_name<'a>(task: &'a SubmittedTask, key: &'a IdempotencyKey) -> KeyName<'a> {
    (&task.task.principal, &key.scope, &key.key)
}

/// How the tasks of a batch share keys.
struct Folded<'a> {
    /// The tasks to write: those without a key, and the first of each key.
    rows: Vec<&'a SubmittedTask>,
    /// For each task of the batch: its place in `rows`, or that of the first with its key.
    places: Vec<usize>,
}

fn fold(tasks: &[SubmittedTask]) -> Folded<'_> {
    let mut first_of_key: HashMap<KeyName<'_>, usize> = HashMap::new();
    let mut rows = Vec::with_capacity(tasks.len());
    let mut places = Vec::with_capacity(tasks.len());
    for task in tasks {
        let next = rows.len();
        let place = task.key.as_ref().map_or(next, |key| *first_of_key.entry(key_name(task, key)).or_insert(next));
        if place == next {
            rows.push(task);
        }
        places.push(place);
    }
    Folded { rows, places }
}

/// The answer to a task whose key an earlier one of the batch has.
fn follow(
    task: &SubmittedTask,
    first: &SubmittedTask,
    answer: &Result<InsertAnswer, StoreError>,
) -> Result<InsertAnswer, StoreError> {
    let same_body = match (&task.key, &first.key) {
        (Some(key), Some(first_key)) => key.body_hash == first_key.body_hash,
        _ => false,
    };
    match answer {
        Ok(InsertAnswer::Inserted) if same_body => Ok(InsertAnswer::Replayed(first.task.id)),
        Ok(InsertAnswer::Replayed(id)) if same_body => Ok(InsertAnswer::Replayed(*id)),
        // The stored key may have the hash of this one, not of the first; who asks again by itself learns so.
        Ok(_) => Ok(InsertAnswer::KeyReused),
        Err(StoreError::Refused(reason)) => Err(StoreError::Refused(reason.clone())),
        Err(error) => Err(StoreError::Unavailable(error.to_string())),
    }
}

impl PgStore {
    pub(super) async fn insert_tasks(&self, tasks: &[SubmittedTask]) -> StoreResult<Vec<Result<InsertAnswer, StoreError>>> {
        let folded = fold(tasks);
        let mut parts = BisectedBatch::of(folded.rows.iter().map(|task| task.bytes()));
        while let Some(part) = parts.next() {
            let outcome = self.insert_part(&folded.rows[part.clone()]).await;
            parts.take(part, outcome)?;
        }
        let mut answers: Vec<_> = parts.answers().into_iter().map(Some).collect();
        if folded.rows.len() == tasks.len() {
            return Ok(answers.into_iter().flatten().collect());
        }
        let followers: Vec<_> = tasks
            .iter()
            .zip(&folded.places)
            .map(|(task, &place)| {
                let first = folded.rows[place];
                let answer = answers[place].as_ref().filter(|_| !std::ptr::eq(task, first));
                answer.map(|answer| follow(task, first, answer))
            })
            .collect();
        let firsts = followers.into_iter().zip(folded.places);
        Ok(firsts.filter_map(|(follower, place)| follower.or_else(|| answers[place].take())).collect())
    }

    async fn insert_part(&self, tasks: &[&SubmittedTask]) -> Result<Vec<InsertAnswer>, StatementError> {
        let mut retry_budget = RetryBudget::default();
        loop {
            let mut lease = self.inserts.lease().await?;
            let outcome = within(HOT_LIMIT, insert_once(lease.connection()?, tasks, retry_budget.was_lost)).await;
            lease.done(&outcome);
            match outcome {
                Err(error) if retry_budget.allows(&error, true) => {}
                outcome => return outcome,
            }
        }
    }
}

/// Inserts a batch in one transaction.
async fn insert_once(
    connection: &mut PgConnection,
    tasks: &[&SubmittedTask],
    after_loss: bool,
) -> Result<Vec<InsertAnswer>, StatementError> {
    let has_keys = tasks.iter().any(|task| task.key.is_some());
    if !has_keys && !after_loss {
        let rows: Vec<_> = tasks.iter().map(|task| (&task.task, task.dispatched)).collect();
        insert_rows(connection, rows.iter().copied()).await?;
        return Ok(vec![InsertAnswer::Inserted; tasks.len()]);
    }
    let mut transaction = connection.begin().await?;
    let answers = if has_keys { claim_keys(&mut transaction, tasks).await? } else { vec![InsertAnswer::Inserted; tasks.len()] };
    let new = tasks.iter().zip(&answers).filter(|(_, answer)| **answer == InsertAnswer::Inserted);
    let new: Vec<&SubmittedTask> = new.map(|(task, _)| *task).collect();
    if after_loss {
        insert_missing(&mut transaction, &new).await?;
    } else {
        let rows: Vec<_> = new.iter().map(|task| (&task.task, task.dispatched)).collect();
        insert_rows(&mut transaction, rows.iter().copied()).await?;
    }
    transaction.commit().await?;
    Ok(answers)
}

/// Inserts what the lost try has not written. That try may still be under way, so a look beforehand is not enough: the insert waits for
/// it, and a second look finds what the try wrote and a worker ended since.
async fn insert_missing(connection: &mut PgConnection, tasks: &[&SubmittedTask]) -> Result<(), StatementError> {
    let written = find_written(connection, tasks).await?;
    let missing: Vec<&SubmittedTask> = tasks.iter().filter(|task| !written.contains_key(&task.task.id)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = missing.iter().map(|task| (&task.task, task.dispatched)).collect();
    let inserted = insert(INSERT_MISSING, &rows.iter().copied()).fetch_all(&mut *connection).await?;
    let inserted: HashSet<Uuid> = inserted.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let written = find_written(connection, &missing).await?;
    for task in missing {
        match (inserted.contains(&task.task.id.as_uuid()), written.get(&task.task.id)) {
            (true, Some(true)) => return Err(StatementError::Again("a task ended while it was inserted again".into())),
            (false, None) => return Err(StatementError::BadValue(format!("another task has the id {}", task.task.id))),
            _ => {}
        }
    }
    Ok(())
}

/// Those of the tasks that are there, each with whether it has ended.
async fn find_written(connection: &mut PgConnection, tasks: &[&SubmittedTask]) -> Result<HashMap<TaskId, bool>, StatementError> {
    let Some(oldest) = tasks.iter().map(|task| task.task.id).min() else { return Ok(HashMap::new()) };
    let rows = sqlx::query(FIND_WRITTEN)
        .bind(tasks.iter().map(|task| task.task.id.as_uuid()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| task.task.kind.as_str()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| &*task.task.principal).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| sql_time(task.task.submitted_at)).collect::<Vec<_>>())
        .bind(earliest_end(oldest))
        .fetch_all(connection)
        .await?;
    let mut written = HashMap::with_capacity(rows.len());
    for row in &rows {
        let has_ended: bool = row.try_get(1)?;
        *written.entry(row.try_get::<Uuid, _>(0)?.into()).or_insert(false) |= has_ended;
    }
    Ok(written)
}

/// Claims the keys of a batch in which no key comes twice.
async fn claim_keys(connection: &mut PgConnection, tasks: &[&SubmittedTask]) -> Result<Vec<InsertAnswer>, StatementError> {
    let keyed: Vec<_> = tasks.iter().filter_map(|task| task.key.as_ref().map(|key| (*task, key))).collect();
    let principals: Vec<&str> = keyed.iter().map(|(task, _)| &*task.task.principal).collect();
    let scopes: Vec<&str> = keyed.iter().map(|(_, key)| &*key.scope).collect();
    let keys: Vec<&str> = keyed.iter().map(|(_, key)| &*key.key).collect();
    let claimed: Vec<Uuid> = sqlx::query_scalar(INSERT_KEYS)
        .bind(&principals)
        .bind(&scopes)
        .bind(&keys)
        .bind(keyed.iter().map(|(_, key)| key.body_hash.as_slice()).collect::<Vec<_>>())
        .bind(keyed.iter().map(|(task, _)| task.task.id.as_uuid()).collect::<Vec<_>>())
        .bind(keyed.iter().map(|(task, _)| sql_time(task.task.submitted_at)).collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    if claimed.len() == keyed.len() {
        return Ok(vec![InsertAnswer::Inserted; tasks.len()]);
    }
    let found = sqlx::query(FIND_KEYS).bind(&principals).bind(&scopes).bind(&keys).fetch_all(connection).await?;
    let mut holders: HashMap<[Arc<str>; 3], (Vec<u8>, Uuid)> = HashMap::with_capacity(found.len());
    for row in found {
        let name = [row.try_get::<&str, _>(0)?.into(), row.try_get::<&str, _>(1)?.into(), row.try_get::<&str, _>(2)?.into()];
        holders.insert(name, (row.try_get(3)?, row.try_get(4)?));
    }
    let answer = |task: &&SubmittedTask| {
        let Some(key) = &task.key else { return Ok(InsertAnswer::Inserted) };
        let name = [task.task.principal.clone(), key.scope.clone(), key.key.clone()];
        match holders.get(&name) {
            Some((_, holder)) if *holder == task.task.id.as_uuid() => Ok(InsertAnswer::Inserted),
            Some((hash, holder)) if hash.as_slice() == key.body_hash => Ok(InsertAnswer::Replayed((*holder).into())),
            Some(_) => Ok(InsertAnswer::KeyReused),
            None => Err(StatementError::Again("an idempotency key was pruned while it was asked for".into())),
        }
    };
    tasks.iter().map(answer).collect()
}
