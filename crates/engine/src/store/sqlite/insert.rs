//! Insert: one statement for the rows; three more where there are keys.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::json::JsonRows;
use super::rows::{Columns, millis};
use super::statement_error::StatementError;
use crate::domain::{NewTask, TaskId};
use crate::store::bisected_batch::BisectedBatch;
use crate::store::{
    InsertAnswer, Settled, Settlement, StartAnswer, StartBatch, StoreError, StoreResult, SubmittedTask, TaskWrites,
};

const INSERT_TASKS: &str = "-- insert_tasks
INSERT INTO tasks (id, kind, queue, priority, args, principal, submitted_at, due_at, dispatch_at, dispatched_at, expires_at,
    max_retries, hard_limit_ms, soft_limit_ms, callback_url, retry_of)
SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
    value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14, unhex(value ->> 15)
FROM jsonb_each(?1)";

const FIND_KEYS: &str = "-- find_keys
SELECT o.key, k.body_hash, k.task
FROM jsonb_each(?1) o
CROSS JOIN idempotency_keys k ON k.principal = o.value ->> 0 AND k.scope = o.value ->> 1 AND k.key = o.value ->> 2";

const INSERT_KEYS: &str = "-- insert_keys
INSERT INTO idempotency_keys (principal, scope, key, body_hash, task, created_at)
SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), unhex(value ->> 4), value ->> 5 FROM jsonb_each(?1)";

#[async_trait]
impl TaskWrites for SqliteStore {
    async fn insert(&self, tasks: &[SubmittedTask]) -> StoreResult<Vec<Result<InsertAnswer, StoreError>>> {
        let mut parts = BisectedBatch::of(tasks.iter().map(SubmittedTask::bytes));
        while let Some(part) = parts.next() {
            let outcome = self.insert_part(&tasks[part.clone()]).await;
            parts.take(part, outcome)?;
        }
        Ok(parts.answers())
    }

    async fn start(&self, batch: &StartBatch<'_>) -> StoreResult<Vec<StartAnswer>> {
        Ok(self.start_tasks(batch).await?)
    }

    async fn settle(&self, settlements: &[Settlement]) -> StoreResult<Vec<Result<Settled, StoreError>>> {
        let mut parts = BisectedBatch::of(settlements.iter().map(Settlement::bytes));
        while let Some(part) = parts.next() {
            let outcome = self.settle_part(&settlements[part.clone()]).await;
            parts.take(part, outcome)?;
        }
        Ok(parts.answers())
    }
}

impl SqliteStore {
    async fn insert_part(&self, tasks: &[SubmittedTask]) -> Result<Vec<InsertAnswer>, StatementError> {
        if tasks.iter().any(|submitted| submitted.key.is_some()) {
            return self.insert_with_keys(tasks).await;
        }
        let rows = task_rows(tasks.iter().map(|submitted| (&submitted.task, submitted.dispatched)))?;
        let mut write = self.shared().await?;
        sqlx::query(INSERT_TASKS).bind(rows).execute(write.connection()?).await?;
        write.commit().await?;
        Ok(vec![InsertAnswer::Inserted; tasks.len()])
    }

    async fn insert_with_keys(&self, tasks: &[SubmittedTask]) -> Result<Vec<InsertAnswer>, StatementError> {
        let mut write = self.shared().await?;
        let transaction = write.connection()?;
        let answers = answers_by_key(transaction, tasks).await?;
        let new: Vec<&SubmittedTask> =
            tasks.iter().zip(&answers).filter(|(_, answer)| **answer == InsertAnswer::Inserted).map(|(task, _)| task).collect();
        if !new.is_empty() {
            insert_rows(transaction, new.iter().map(|submitted| (&submitted.task, submitted.dispatched))).await?;
            sqlx::query(INSERT_KEYS).bind(new_keys(&new)?).execute(&mut *transaction).await?;
        }
        write.commit().await?;
        Ok(answers)
    }
}

/// A key with all that it is unique by.
type FullKey<'a> = (&'a str, &'a str, &'a str);

fn full_key(submitted: &SubmittedTask) -> Option<FullKey<'_>> {
    submitted.key.as_ref().map(|key| (&*submitted.task.principal, &*key.scope, &*key.key))
}

/// What becomes of each task, by the keys that are kept and by the keys of those before it in the batch.
async fn answers_by_key(
    transaction: &mut SqliteConnection,
    tasks: &[SubmittedTask],
) -> Result<Vec<InsertAnswer>, StatementError> {
    let asked: Vec<FullKey<'_>> = tasks.iter().filter_map(full_key).collect();
    let mut rows = JsonRows::new();
    for (principal, scope, key) in &asked {
        rows.row().text(Some(principal)).text(Some(scope)).text(Some(key)).end()?;
    }
    let mut taken: HashMap<FullKey<'_>, ([u8; 32], TaskId)> = HashMap::new();
    for row in sqlx::query(FIND_KEYS).bind(rows.text()?).fetch_all(transaction).await? {
        let mut columns = Columns::of("idempotency_keys", &row);
        let place: usize = columns.number()?;
        let body_hash = <[u8; 32]>::try_from(columns.get::<&[u8]>()?).map_err(|error| columns.corrupt(error))?;
        taken.insert(asked[place], (body_hash, columns.id()?));
    }
    let mut answers = Vec::with_capacity(tasks.len());
    for submitted in tasks {
        let answer = match (full_key(submitted), &submitted.key) {
            (Some(full), Some(key)) => match taken.get(&full) {
                None => {
                    taken.insert(full, (key.body_hash, submitted.task.id));
                    InsertAnswer::Inserted
                }
                Some((body_hash, first)) if *body_hash == key.body_hash => InsertAnswer::Replayed(*first),
                Some(_) => InsertAnswer::KeyReused,
            },
            _ => InsertAnswer::Inserted,
        };
        answers.push(answer);
    }
    Ok(answers)
}

/// The key rows of tasks that are inserted with one.
fn new_keys(tasks: &[&SubmittedTask]) -> Result<String, StatementError> {
    let mut rows = JsonRows::new();
    for submitted in tasks {
        let Some(key) = &submitted.key else { continue };
        rows.row()
            .text(Some(&submitted.task.principal))
            .text(Some(&key.scope))
            .text(Some(&key.key))
            .bytes(&key.body_hash)
            .id(Some(submitted.task.id.as_uuid()))
            .time(Some(submitted.task.submitted_at))
            .end()?;
    }
    rows.text()
}

/// Inserts tasks within a transaction; each says whether its submitter dispatches.
pub(super) async fn insert_rows<'a>(
    transaction: &mut SqliteConnection,
    tasks: impl Iterator<Item = (&'a NewTask, bool)>,
) -> Result<(), StatementError> {
    sqlx::query(INSERT_TASKS).bind(task_rows(tasks)?).execute(transaction).await?;
    Ok(())
}

fn task_rows<'a>(tasks: impl Iterator<Item = (&'a NewTask, bool)>) -> Result<String, StatementError> {
    let mut rows = JsonRows::new();
    for (task, dispatched) in tasks {
        rows.row()
            .id(Some(task.id.as_uuid()))
            .value(&task.kind)
            .value(&task.queue)
            .value(&task.priority)
            .text(Some(&task.args))
            .text(Some(&task.principal))
            .time(Some(task.submitted_at))
            .time(Some(task.due_at))
            .time((!dispatched).then_some(task.due_at))
            .time(dispatched.then_some(task.submitted_at))
            .time(task.expires_at)
            .value(&task.max_retries)
            .value(&millis(task.hard_limit))
            .value(&task.soft_limit.map(millis))
            .text(task.callback_url.as_deref())
            .id(task.retry_of.map(TaskId::as_uuid))
            .end()?;
    }
    rows.text()
}
