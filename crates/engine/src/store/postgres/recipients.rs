//! The ledger of bulk recipients, in Postgres.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::ends::from_one;
use super::hot_connections::HOT_LIMIT;
use super::rows::{maybe_time, sql_time, time, word};
use super::statement_error::{RetryBudget, StatementError, within};
use super::{PgStore, pooled};
use crate::domain::{Attempt, TaskId};
use crate::store::{
    AttemptStanding, NewRecipient, RecipientCounts, RecipientFilter, RecipientLedger, RecipientRow, RecipientState,
    RecipientStep, Resend, StoreResult,
};

/// Takes the list over that this retry by hand goes on with. Never complete before it is whole: one statement.
const INHERIT_LIST: &str = "-- inherit_list
WITH source AS (
    SELECT t.id AS task, l.task AS list
    FROM tasks t LEFT JOIN retry_origins o ON o.task = t.id JOIN recipient_lists l ON l.task = COALESCE(o.list, t.retry_of) AND l.complete
    WHERE t.id = $1
), taken AS (
    INSERT INTO recipient_lists (task, created_at, complete) SELECT task, $2, true FROM source
    ON CONFLICT (task) DO NOTHING
    RETURNING task
)
INSERT INTO recipients (task, part, attempts, updated_at, state, address, recipient, message_id, response, reference, context)
SELECT taken.task, r.part,
       CASE WHEN r.state = 'accepted' THEN r.attempts ELSE 0 END, $2,
       CASE WHEN r.state = 'unknown' THEN 'sending'
            WHEN r.state IN ('deferred', 'suppressed') OR (r.state = 'rejected' AND r.attempts > 0) THEN 'queued' ELSE r.state END,
       r.address, r.recipient, r.message_id, r.response, r.reference, r.context
FROM taken JOIN source USING (task) JOIN recipients r ON r.task = source.list
ON CONFLICT DO NOTHING";

/// Also a list that never becomes whole is to be forgotten some day.
const OPEN_LIST: &str = "-- open_list
INSERT INTO recipient_lists (task, created_at) SELECT id, $2 FROM tasks WHERE id = $1 ON CONFLICT DO NOTHING";

const FIND_LIST: &str = "-- find_list
SELECT complete FROM recipient_lists WHERE task = $1";

const ADD_RECIPIENTS: &str = "-- add_recipients
INSERT INTO recipients (task, part, updated_at, state, address, recipient, message_id, response, context)
SELECT $1, o.part, $2, CASE WHEN o.refused IS NULL THEN 'queued' ELSE 'rejected' END, o.address, o.recipient, o.message_id, o.refused, o.context
FROM UNNEST($3::int4[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
     AS o (part, address, recipient, message_id, context, refused)
WHERE EXISTS (SELECT FROM tasks t WHERE t.id = $1)
ON CONFLICT DO NOTHING";

const COMPLETE_LIST: &str = "-- complete_list
INSERT INTO recipient_lists (task, created_at, complete) SELECT id, $2, true FROM tasks WHERE id = $1
ON CONFLICT (task) DO UPDATE SET complete = true";

const ADOPT: &str = "-- adopt
UPDATE recipients SET state = 'unknown', updated_at = $3,
    next_at = CASE WHEN attempts < $5 THEN $4 END,
    response = 'an attempt ended while it handed this over'
WHERE task = $1 AND state = 'sending' AND attempt < $2";

const FIND_ATTEMPT_STANDING: &str = "-- find_attempt_standing
SELECT q.paused_at IS NOT NULL FROM tasks t LEFT JOIN queues q ON q.name = t.queue
WHERE t.id = $1 AND t.attempt = $2 AND t.status = 'STARTED'";

const COUNT_RECIPIENTS: &str = "-- count_recipients
SELECT state, count(*), min(next_at) FROM recipients WHERE task = $1 GROUP BY state";

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
    columns!("CASE WHEN EXISTS (SELECT FROM suppressions s WHERE s.address = r.address) THEN 'suppressed' ELSE r.state END"),
    " FROM recipients r WHERE r.task = $1 AND r.part > $2 AND (r.state = 'queued' OR (r.state IN ('deferred', 'unknown') AND r.next_at <= $3)) \
     ORDER BY r.part LIMIT $4"
);

const FIND_RECIPIENTS: &str = concat!(
    "-- find_recipients\nSELECT ",
    columns!("r.state"),
    " FROM recipients r WHERE r.task = $1 AND r.part > $2 AND (cardinality($3::text[]) = 0 OR r.state = ANY ($3)) ORDER BY r.part LIMIT $4"
);

/// The steps come sorted by task and part, so that rows are taken in that order. A row is the claimer's alone, so no lock on its task is
/// needed: of two attempts that both believe to be the present one, only one gets it.
const WRITE_RECIPIENTS: &str = "-- write_recipients
UPDATE recipients r
SET state = CASE WHEN o.state = 'sending' AND EXISTS (SELECT FROM suppressions s WHERE s.address = r.address) THEN 'suppressed' ELSE o.state END,
    attempts = r.attempts + CASE WHEN r.state = 'sending' OR (r.state = 'unknown' AND r.attempt = o.attempt) OR o.state = 'suppressed' THEN 0 ELSE 1 END,
    attempt = o.attempt, response = o.response, reference = o.reference, next_at = o.next_at, updated_at = o.at
FROM (
    SELECT u.*, t.id IS NOT NULL AS present
    FROM UNNEST($1::uuid[], $2::int4[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
         WITH ORDINALITY AS u (task, part, attempt, state, response, reference, next_at, at, place)
    LEFT JOIN tasks t ON t.id = u.task AND t.attempt = u.attempt AND t.status = 'STARTED'
    OFFSET 0
) o
WHERE r.task = o.task AND r.part = o.part
  AND ((o.present AND (r.state = 'queued' OR (r.state IN ('deferred', 'unknown') AND r.next_at IS NOT NULL)))
       OR (r.attempt = o.attempt AND CASE WHEN o.state = 'sending' THEN r.state = 'sending' AND o.present
                                          ELSE r.state IN ('sending', 'unknown') END))
RETURNING o.place, r.state";

/// A list goes with its task's result, and with the retries that go on with it.
pub(super) const PRUNE_RECIPIENTS: &str = "-- prune_recipients
DELETE FROM recipients WHERE (task, part) IN
    (SELECT r.task, r.part FROM recipient_lists l JOIN recipients r ON r.task = l.task
     WHERE l.created_at < $1 AND NOT EXISTS (SELECT FROM tasks t WHERE t.id = l.task)
       AND NOT EXISTS (SELECT FROM task_results t WHERE t.id = ANY (ARRAY[l.task]))
       AND NOT EXISTS (SELECT FROM retry_origins o WHERE o.list = l.task)
     LIMIT $2)";

pub(super) const PRUNE_LISTS: &str = "-- prune_lists
DELETE FROM recipient_lists WHERE task IN
    (SELECT l.task FROM recipient_lists l
     WHERE l.created_at < $1 AND NOT EXISTS (SELECT FROM tasks t WHERE t.id = l.task)
       AND NOT EXISTS (SELECT FROM task_results t WHERE t.id = ANY (ARRAY[l.task]))
       AND NOT EXISTS (SELECT FROM retry_origins o WHERE o.list = l.task)
       AND NOT EXISTS (SELECT FROM recipients r WHERE r.task = l.task)
     LIMIT $2)";

fn recipient(row: &PgRow) -> Result<RecipientRow, StatementError> {
    let address: String = row.try_get(1)?;
    Ok(RecipientRow {
        part: row.try_get(0)?,
        recipient: row.try_get::<Option<String>, _>(2)?.unwrap_or_else(|| address.clone()),
        address,
        message_id: row.try_get(3)?,
        state: word("recipients", row.try_get(4)?)?,
        response: row.try_get(5)?,
        reference: row.try_get(6)?,
        attempts: row.try_get::<i32, _>(7)?.unsigned_abs(),
        next_at: maybe_time(row, 8)?,
        context: row.try_get(9)?,
        updated_at: time(row, 10)?,
    })
}

async fn counted(store: &PgStore, task: TaskId) -> Result<RecipientCounts, StatementError> {
    let mut counts = RecipientCounts::default();
    for row in sqlx::query(COUNT_RECIPIENTS).bind(task.as_uuid()).fetch_all(&store.pool).await? {
        let number: i64 = row.try_get(1)?;
        counts.add(word("recipients", row.try_get(0)?)?, number.unsigned_abs(), maybe_time(&row, 2)?);
    }
    Ok(counts)
}

async fn stands(store: &PgStore, task: TaskId, attempt: Attempt) -> Result<AttemptStanding, StatementError> {
    let find = sqlx::query_scalar(FIND_ATTEMPT_STANDING).bind(task.as_uuid()).bind(attempt.0);
    Ok(match find.fetch_optional(&store.pool).await? {
        Some(true) => AttemptStanding::Paused,
        Some(false) => AttemptStanding::Present,
        None => AttemptStanding::Overtaken,
    })
}

/// The states that the rows of these steps have now, in the order of the steps, which is by task and part.
async fn write(connection: &mut PgConnection, steps: &[&RecipientStep]) -> Result<Vec<Option<RecipientState>>, StatementError> {
    macro_rules! column {
        ($value:expr) => {
            steps.iter().map($value).collect::<Vec<_>>()
        };
    }
    let rows = sqlx::query(WRITE_RECIPIENTS)
        .bind(column!(|step| step.task.as_uuid()))
        .bind(column!(|step| step.part))
        .bind(column!(|step| step.attempt.0))
        .bind(column!(|step| step.state.as_str()))
        .bind(column!(|step| step.response.as_deref()))
        .bind(column!(|step| step.reference.as_deref()))
        .bind(column!(|step| step.next_at.map(sql_time)))
        .bind(column!(|step| sql_time(step.at)))
        .fetch_all(connection)
        .await?;
    let mut states = vec![None; steps.len()];
    for row in &rows {
        if let Some(place) = from_one(row.try_get(0)?).and_then(|place| states.get_mut(place)) {
            *place = Some(word("recipients", row.try_get(1)?)?);
        }
    }
    Ok(states)
}

impl PgStore {
    async fn write_sorted(&self, steps: &[&RecipientStep]) -> Result<Vec<Option<RecipientState>>, StatementError> {
        let mut retry_budget = RetryBudget::default();
        loop {
            let mut lease = self.recipients.lease().await?;
            let outcome = within(HOT_LIMIT, Box::pin(write(lease.connection()?, steps))).await;
            lease.done(&outcome);
            match outcome {
                // A step whose answer was lost applies again, but for a record that came from an open row: that one is as it is to be.
                Err(error) if retry_budget.allows(&error, false) => {}
                outcome => return outcome,
            }
        }
    }
}

#[async_trait]
impl RecipientLedger for PgStore {
    async fn open_list(&self, task: TaskId, now: Timestamp) -> StoreResult<bool> {
        pooled(async {
            let find = || sqlx::query_scalar::<_, bool>(FIND_LIST).bind(task.as_uuid()).fetch_optional(&self.pool);
            if let Some(complete) = find().await? {
                return Ok(complete);
            }
            for statement in [INHERIT_LIST, OPEN_LIST] {
                sqlx::query(statement).bind(task.as_uuid()).bind(sql_time(now)).execute(&self.pool).await?;
            }
            Ok(find().await?.unwrap_or(false))
        })
        .await
    }

    async fn add_recipients(&self, task: TaskId, recipients: &[NewRecipient], now: Timestamp) -> StoreResult<()> {
        macro_rules! column {
            ($value:expr) => {
                recipients.iter().map($value).collect::<Vec<_>>()
            };
        }
        pooled(async {
            sqlx::query(ADD_RECIPIENTS)
                .bind(task.as_uuid())
                .bind(sql_time(now))
                .bind(column!(|one| one.part))
                .bind(column!(|one| one.address.as_str()))
                .bind(column!(|one| (one.recipient != one.address).then_some(one.recipient.as_str())))
                .bind(column!(|one| one.message_id.as_str()))
                .bind(column!(|one| one.context.as_deref()))
                .bind(column!(|one| one.refused.as_deref()))
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    async fn complete_list(&self, task: TaskId, now: Timestamp) -> StoreResult<()> {
        pooled(async {
            sqlx::query(COMPLETE_LIST).bind(task.as_uuid()).bind(sql_time(now)).execute(&self.pool).await?;
            Ok(())
        })
        .await
    }

    async fn adopt(
        &self,
        task: TaskId,
        attempt: Attempt,
        resend: Option<Resend>,
        now: Timestamp,
    ) -> StoreResult<Option<RecipientCounts>> {
        pooled(async {
            if stands(self, task, attempt).await? == AttemptStanding::Overtaken {
                return Ok(None);
            }
            let most = resend.map_or(0, |resend| i32::try_from(resend.most_attempts).unwrap_or(i32::MAX));
            sqlx::query(ADOPT)
                .bind(task.as_uuid())
                .bind(attempt.0)
                .bind(sql_time(now))
                .bind(resend.map(|resend| sql_time(resend.at)))
                .bind(most)
                .execute(&self.pool)
                .await?;
            counted(self, task).await.map(Some)
        })
        .await
    }

    async fn to_send(&self, task: TaskId, after: Option<i32>, now: Timestamp, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        pooled(async {
            let find =
                sqlx::query(TO_SEND).bind(task.as_uuid()).bind(after.unwrap_or(-1)).bind(sql_time(now)).bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(recipient).collect()
        })
        .await
    }

    async fn write_recipients(&self, steps: &[RecipientStep]) -> StoreResult<Vec<Option<RecipientState>>> {
        let mut order: Vec<usize> = (0..steps.len()).collect();
        order.sort_unstable_by_key(|&place| (steps[place].task, steps[place].part));
        let sorted: Vec<&RecipientStep> = order.iter().map(|&place| &steps[place]).collect();
        let states = self.write_sorted(&sorted).await?;
        let mut answers = vec![None; steps.len()];
        for (place, state) in order.into_iter().zip(states) {
            answers[place] = state;
        }
        Ok(answers)
    }

    async fn attempt_standing(&self, task: TaskId, attempt: Attempt) -> StoreResult<AttemptStanding> {
        pooled(stands(self, task, attempt)).await
    }

    async fn recipients(&self, task: TaskId, filter: &RecipientFilter, limit: u32) -> StoreResult<Vec<RecipientRow>> {
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        pooled(async {
            let find = sqlx::query(FIND_RECIPIENTS)
                .bind(task.as_uuid())
                .bind(filter.after.unwrap_or(-1))
                .bind(states)
                .bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(recipient).collect()
        })
        .await
    }

    async fn count_recipients(&self, task: TaskId) -> StoreResult<RecipientCounts> {
        pooled(counted(self, task)).await
    }
}
