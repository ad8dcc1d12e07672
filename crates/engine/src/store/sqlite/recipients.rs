//! The ledger of bulk recipients, in `SQLite`.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::json::{JsonRows, texts};
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::domain::{Attempt, TaskId};
use crate::store::{
    AttemptStanding, NewRecipient, RecipientCounts, RecipientFilter, RecipientLedger, RecipientRow, RecipientState,
    RecipientStep, Resend, StoreResult,
};

/// Takes the list over that this retry by hand goes on with: first its rows, then the list, in one transaction.
const INHERIT_RECIPIENTS: &str = "-- inherit_recipients
INSERT INTO recipients (task, part, attempts, updated_at, state, address, recipient, message_id, response, reference, context)
SELECT t.id, r.part,
       CASE WHEN r.state = 'accepted' THEN r.attempts ELSE 0 END, ?2,
       CASE WHEN r.state = 'unknown' THEN 'sending'
            WHEN r.state IN ('deferred', 'suppressed') OR (r.state = 'rejected' AND r.attempts > 0) THEN 'queued' ELSE r.state END,
       r.address, r.recipient, r.message_id, r.response, r.reference, r.context
FROM tasks t LEFT JOIN retry_origins o ON o.task = t.id
JOIN recipient_lists l ON l.task = coalesce(o.list, t.retry_of) AND l.complete JOIN recipients r ON r.task = l.task
WHERE t.id = ?1
ON CONFLICT DO NOTHING";

const INHERIT_LIST: &str = "-- inherit_list
INSERT INTO recipient_lists (task, created_at, complete)
SELECT t.id, ?2, 1 FROM tasks t LEFT JOIN retry_origins o ON o.task = t.id
JOIN recipient_lists l ON l.task = coalesce(o.list, t.retry_of) AND l.complete WHERE t.id = ?1
ON CONFLICT DO NOTHING";

/// Also a list that never becomes whole is to be forgotten some day.
const OPEN_LIST: &str = "-- open_list
INSERT INTO recipient_lists (task, created_at) SELECT id, ?2 FROM tasks WHERE id = ?1 ON CONFLICT DO NOTHING";

const FIND_LIST: &str = "-- find_list
SELECT complete FROM recipient_lists WHERE task = ?1";

const ADD_RECIPIENTS: &str = "-- add_recipients
INSERT INTO recipients (task, part, updated_at, state, address, recipient, message_id, response, context)
SELECT ?1, value ->> 0, ?2, CASE WHEN value ->> 5 IS NULL THEN 'queued' ELSE 'rejected' END,
       value ->> 1, value ->> 2, value ->> 3, value ->> 5, value ->> 4
FROM jsonb_each(?3) WHERE EXISTS (SELECT 1 FROM tasks WHERE id = ?1)
ON CONFLICT DO NOTHING";

const COMPLETE_LIST: &str = "-- complete_list
INSERT INTO recipient_lists (task, created_at, complete) SELECT id, ?2, 1 FROM tasks WHERE id = ?1
ON CONFLICT (task) DO UPDATE SET complete = 1";

const ADOPT: &str = "-- adopt
UPDATE recipients SET state = 'unknown', updated_at = ?3,
    next_at = CASE WHEN attempts < ?5 THEN ?4 END,
    response = 'an attempt ended while it handed this over'
WHERE task = ?1 AND state = 'sending' AND attempt < ?2";

const FIND_ATTEMPT_STANDING: &str = "-- find_attempt_standing
SELECT q.paused_at IS NOT NULL FROM tasks t LEFT JOIN queues q ON q.name = t.queue
WHERE t.id = ?1 AND t.attempt = ?2 AND t.status = 'STARTED'";

const COUNT_RECIPIENTS: &str = "-- count_recipients
SELECT state, count(*), min(next_at) FROM recipients WHERE task = ?1 GROUP BY state";

macro_rules! columns {
    ($state:literal) => {
        concat!(
            "r.part, r.address, r.recipient, r.message_id, ",
            $state,
            ", r.response, r.reference, r.attempts, r.next_at, r.context, r.updated_at"
        )
    };
}

const TO_SEND: &str = concat!(
    "-- to_send\nSELECT ",
    columns!("CASE WHEN EXISTS (SELECT 1 FROM suppressions s WHERE s.address = r.address) THEN 'suppressed' ELSE r.state END"),
    " FROM recipients r WHERE r.task = ?1 AND r.part > ?2 AND (r.state = 'queued' OR (r.state IN ('deferred', 'unknown') AND r.next_at <= ?3)) \
     ORDER BY r.part LIMIT ?4"
);

const FIND_RECIPIENTS: &str = concat!(
    "-- find_recipients\nSELECT ",
    columns!("r.state"),
    " FROM recipients r WHERE r.task = ?1 AND r.part > ?2 AND (?3 = '[]' OR r.state IN (SELECT value FROM json_each(?3))) \
     ORDER BY r.part LIMIT ?4"
);

const WRITE_RECIPIENTS: &str = "-- write_recipients
UPDATE recipients AS r
SET state = CASE WHEN o.state = 'sending' AND EXISTS (SELECT 1 FROM suppressions s WHERE s.address = r.address) THEN 'suppressed' ELSE o.state END,
    attempts = r.attempts + CASE WHEN r.state = 'sending' OR (r.state = 'unknown' AND r.attempt = o.attempt) OR o.state = 'suppressed' THEN 0 ELSE 1 END,
    attempt = o.attempt, response = o.response, reference = o.reference, next_at = o.next_at, updated_at = o.at
FROM (
    SELECT unhex(u.value ->> 0) AS task, u.value ->> 1 AS part, u.value ->> 2 AS attempt, u.value ->> 3 AS state, u.value ->> 4 AS response,
           u.value ->> 5 AS reference, u.value ->> 6 AS next_at, u.value ->> 7 AS at, t.id IS NOT NULL AS present
    FROM jsonb_each(?1) u
    LEFT JOIN tasks t ON t.id = unhex(u.value ->> 0) AND t.attempt = u.value ->> 2 AND t.status = 'STARTED'
) o
WHERE r.task = o.task AND r.part = o.part
  AND ((o.present AND (r.state = 'queued' OR (r.state IN ('deferred', 'unknown') AND r.next_at IS NOT NULL)))
       OR (r.attempt = o.attempt AND CASE WHEN o.state = 'sending' THEN r.state = 'sending' AND o.present
                                          ELSE r.state IN ('sending', 'unknown') END))
RETURNING task, part, state";

/// A list goes with its task's result.
pub(super) const PRUNE_RECIPIENTS: &str = "-- prune_recipients
DELETE FROM recipients WHERE (task, part) IN (
    SELECT r.task, r.part FROM recipient_lists l JOIN recipients r ON r.task = l.task
    WHERE l.created_at < ?1 AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = l.task)
      AND NOT EXISTS (SELECT 1 FROM task_results t WHERE t.id = l.task)
      AND NOT EXISTS (SELECT 1 FROM retry_origins o WHERE o.list = l.task)
    LIMIT ?2)";

pub(super) const PRUNE_LISTS: &str = "-- prune_lists
DELETE FROM recipient_lists WHERE task IN (
    SELECT l.task FROM recipient_lists l
    WHERE l.created_at < ?1 AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = l.task)
      AND NOT EXISTS (SELECT 1 FROM task_results t WHERE t.id = l.task)
      AND NOT EXISTS (SELECT 1 FROM retry_origins o WHERE o.list = l.task)
      AND NOT EXISTS (SELECT 1 FROM recipients r WHERE r.task = l.task)
    LIMIT ?2)";

fn recipient(row: &SqliteRow) -> Result<RecipientRow, StatementError> {
    let mut columns = Columns::of("recipients", row);
    let part = columns.get()?;
    let address: String = columns.get()?;
    Ok(RecipientRow {
        part,
        recipient: columns.get::<Option<String>>()?.unwrap_or_else(|| address.clone()),
        address,
        message_id: columns.get()?,
        state: state(&mut columns)?,
        response: columns.get()?,
        reference: columns.get()?,
        attempts: columns.number()?,
        next_at: columns.maybe_time()?,
        context: columns.get()?,
        updated_at: columns.time()?,
    })
}

fn state(columns: &mut Columns<'_>) -> Result<RecipientState, StatementError> {
    let word: &str = columns.get()?;
    word.parse().map_err(|reason: String| columns.corrupt(reason))
}

async fn counted(connection: &mut SqliteConnection, task: TaskId) -> Result<RecipientCounts, StatementError> {
    let mut counts = RecipientCounts::default();
    for row in sqlx::query(COUNT_RECIPIENTS).bind(task.as_uuid()).fetch_all(connection).await? {
        let mut columns = Columns::of("recipients", &row);
        let state = state(&mut columns)?;
        let number = columns.number()?;
        counts.add(state, number, columns.maybe_time()?);
    }
    Ok(counts)
}

async fn stands(connection: &mut SqliteConnection, task: TaskId, attempt: Attempt) -> Result<AttemptStanding, StatementError> {
    let find = sqlx::query_scalar(FIND_ATTEMPT_STANDING).bind(task.as_uuid()).bind(attempt.0);
    Ok(match find.fetch_optional(connection).await? {
        Some(true) => AttemptStanding::Paused,
        Some(false) => AttemptStanding::Present,
        None => AttemptStanding::Overtaken,
    })
}

fn rows(steps: &[RecipientStep]) -> Result<String, StatementError> {
    let mut rows = JsonRows::new();
    for step in steps {
        rows.row()
            .id(Some(step.task.as_uuid()))
            .value(&step.part)
            .value(&step.attempt.0)
            .value(&step.state.as_str())
            .text(step.response.as_deref())
            .text(step.reference.as_deref())
            .time(step.next_at)
            .time(Some(step.at))
            .end()?;
    }
    rows.text()
}

#[async_trait]
impl RecipientLedger for SqliteStore {
    async fn open_list(&self, task: TaskId, now: Timestamp) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let find = sqlx::query_scalar(FIND_LIST).bind(task.as_uuid()).fetch_optional(&mut *transaction);
        if let Some(complete) = find.await.map_err(StatementError::from)? {
            return Ok(complete);
        }
        let mut written = [0; 3];
        for (rows, statement) in written.iter_mut().zip([INHERIT_RECIPIENTS, INHERIT_LIST, OPEN_LIST]) {
            let write = sqlx::query(statement).bind(task.as_uuid()).bind(now.as_microsecond()).execute(&mut *transaction);
            *rows = write.await.map_err(StatementError::from)?.rows_affected();
        }
        transaction.commit().await.map_err(StatementError::from)?;
        let [_, inherited, _] = written;
        Ok(inherited > 0)
    }

    async fn add_recipients(&self, task: TaskId, recipients: &[NewRecipient], now: Timestamp) -> StoreResult<()> {
        let mut rows = JsonRows::new();
        for one in recipients {
            rows.row()
                .value(&one.part)
                .text(Some(&one.address))
                .text((one.recipient != one.address).then_some(one.recipient.as_str()))
                .text(Some(&one.message_id))
                .text(one.context.as_deref())
                .text(one.refused.as_deref())
                .end()?;
        }
        let rows = rows.text()?;
        let mut writer = self.writer().await;
        let add_recipients = sqlx::query(ADD_RECIPIENTS).bind(task.as_uuid()).bind(now.as_microsecond()).bind(rows);
        add_recipients.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(())
    }

    async fn complete_list(&self, task: TaskId, now: Timestamp) -> StoreResult<()> {
        let mut writer = self.writer().await;
        let complete = sqlx::query(COMPLETE_LIST).bind(task.as_uuid()).bind(now.as_microsecond());
        complete.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(())
    }

    async fn adopt(
        &self,
        task: TaskId,
        attempt: Attempt,
        resend: Option<Resend>,
        now: Timestamp,
    ) -> StoreResult<Option<RecipientCounts>> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        if stands(&mut transaction, task, attempt).await? == AttemptStanding::Overtaken {
            return Ok(None);
        }
        sqlx::query(ADOPT)
            .bind(task.as_uuid())
            .bind(attempt.0)
            .bind(now.as_microsecond())
            .bind(resend.map(|resend| resend.at.as_microsecond()))
            .bind(resend.map_or(0, |resend| resend.most_attempts))
            .execute(&mut *transaction)
            .await
            .map_err(StatementError::from)?;
        let counts = counted(&mut transaction, task).await?;
        transaction.commit().await.map_err(StatementError::from)?;
        Ok(Some(counts))
    }

    async fn to_send(&self, task: TaskId, after: Option<i32>, now: Timestamp, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        let find = sqlx::query(TO_SEND).bind(task.as_uuid()).bind(after.unwrap_or(-1)).bind(now.as_microsecond()).bind(limit);
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(recipient).collect::<Result<_, StatementError>>()?)
    }

    async fn write_recipients(&self, steps: &[RecipientStep]) -> StoreResult<Vec<Option<RecipientState>>> {
        let rows = rows(steps)?;
        let mut write = self.shared().await?;
        let written =
            sqlx::query(WRITE_RECIPIENTS).bind(rows).fetch_all(write.connection()?).await.map_err(StatementError::from)?;
        write.commit().await?;
        let mut states: HashMap<(TaskId, i32), RecipientState> = HashMap::with_capacity(written.len());
        for row in &written {
            let mut columns = Columns::of("recipients", row);
            let key = (columns.id()?, columns.get()?);
            states.insert(key, state(&mut columns)?);
        }
        Ok(steps.iter().map(|step| states.remove(&(step.task, step.part))).collect())
    }

    async fn attempt_standing(&self, task: TaskId, attempt: Attempt) -> StoreResult<AttemptStanding> {
        Ok(stands(&mut *self.reader().await?, task, attempt).await?)
    }

    async fn recipients(&self, task: TaskId, filter: &RecipientFilter, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        let states = texts(filter.states.iter().map(|state| state.as_str()))?;
        let find = sqlx::query(FIND_RECIPIENTS).bind(task.as_uuid()).bind(filter.after.unwrap_or(-1)).bind(states).bind(limit);
        let rows = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(recipient).collect::<Result<_, StatementError>>()?)
    }

    async fn count_recipients(&self, task: TaskId) -> StoreResult<RecipientCounts> {
        Ok(counted(&mut *self.reader().await?, task).await?)
    }
}
