//! The ledger of single mails, in `SQLite`.

use async_trait::async_trait;

use super::SqliteStore;
use super::json::JsonRows;
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::domain::{Attempt, TaskId};
use crate::store::{LedgerEntry, LedgerState, MailLedger, StoreResult};

/// Rows are taken in their order, so that of two entries of one part the later one stays.
const WRITE_LEDGER: &str = "-- write_ledger
INSERT INTO mail_ledger (task, part, recipient, message_id, state, response, updated_at)
SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
FROM jsonb_each(?1) WHERE true
ON CONFLICT (task, part) DO UPDATE SET recipient = excluded.recipient, message_id = excluded.message_id, state = excluded.state,
    response = excluded.response, updated_at = excluded.updated_at";

/// `?2` is the attempt, `?3` whether to send again.
const CLAIM_MAIL: &str = "-- claim_mail
INSERT INTO mail_ledger (task, part, recipient, message_id, state, response, updated_at)
SELECT t.id, o.value ->> 1, o.value ->> 2, o.value ->> 3, o.value ->> 4, o.value ->> 5, o.value ->> 6
FROM jsonb_each(?1) o
CROSS JOIN tasks t ON t.id = unhex(o.value ->> 0)
WHERE t.status = 'STARTED' AND t.attempt = ?2
ON CONFLICT (task, part) DO UPDATE SET recipient = excluded.recipient, message_id = excluded.message_id, state = excluded.state,
    response = excluded.response, updated_at = excluded.updated_at
WHERE mail_ledger.state = 'deferred' OR (?3 AND mail_ledger.state IN ('sending', 'unknown'))";

const READ_LEDGER: &str = "-- read_ledger
SELECT part, recipient, message_id, state, response, updated_at FROM mail_ledger WHERE task = ?1 ORDER BY part";

#[async_trait]
impl MailLedger for SqliteStore {
    async fn write_ledger(&self, entries: &[LedgerEntry]) -> StoreResult<()> {
        let rows = rows(entries)?;
        let mut writer = self.writer().await;
        sqlx::query(WRITE_LEDGER).bind(rows).execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(())
    }

    async fn claim_mail(&self, entry: &LedgerEntry, attempt: Attempt, resend: bool) -> StoreResult<bool> {
        let row = rows(std::slice::from_ref(entry))?;
        let mut writer = self.writer().await;
        let claim = sqlx::query(CLAIM_MAIL).bind(row).bind(attempt.0).bind(resend);
        Ok(claim.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected() > 0)
    }

    async fn read_ledger(&self, task: TaskId) -> StoreResult<Vec<LedgerEntry>> {
        let query = sqlx::query(READ_LEDGER).bind(task.as_uuid());
        let rows = query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(|row| entry(task, row)).collect::<Result<_, StatementError>>()?)
    }
}

fn rows(entries: &[LedgerEntry]) -> Result<String, StatementError> {
    let mut rows = JsonRows::new();
    for entry in entries {
        rows.row()
            .id(Some(entry.task.as_uuid()))
            .value(&entry.part)
            .text(Some(&entry.recipient))
            .text(Some(&entry.message_id))
            .value(&entry.state.as_str())
            .text(entry.response.as_deref())
            .time(Some(entry.updated_at))
            .end()?;
    }
    rows.text()
}

fn entry(task: TaskId, row: &sqlx::sqlite::SqliteRow) -> Result<LedgerEntry, StatementError> {
    let mut columns = Columns::of("mail_ledger", row);
    Ok(LedgerEntry {
        task,
        part: columns.get()?,
        recipient: columns.get()?,
        message_id: columns.get()?,
        state: state(&mut columns)?,
        response: columns.get()?,
        updated_at: columns.time()?,
    })
}

fn state(columns: &mut Columns<'_>) -> Result<LedgerState, StatementError> {
    let word: &str = columns.get()?;
    [LedgerState::Sending, LedgerState::Accepted, LedgerState::Rejected, LedgerState::Deferred, LedgerState::Unknown]
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| columns.corrupt(format!("{word:?} is not a state of a mail")))
}
