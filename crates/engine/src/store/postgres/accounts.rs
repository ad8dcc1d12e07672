//! Accounts, revoked tokens, and the memory of mails.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::rows::{corrupt, sql_time, time, word};
use super::statement_error::StatementError;
use super::{PgStore, pooled};
use crate::domain::{Attempt, Principal, Scope, ScopeSet, TaskId};
use crate::store::{AccountInfo, AccountRow, Accounts, LedgerEntry, LedgerState, MailLedger, NewAccount, StoreResult};

const CREATE_ACCOUNT: &str = "-- create_account
INSERT INTO accounts (name, password_hash, subject, scopes, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

const SET_PASSWORD: &str = "-- set_password
UPDATE accounts SET password_hash = $2 WHERE name = $1";

const FIND_ACCOUNT: &str = "-- find_account
SELECT password_hash, subject, scopes FROM accounts WHERE name = $1";

const ACCOUNTS: &str = "-- accounts
SELECT name, subject, scopes, created_at FROM accounts ORDER BY name LIMIT $1";

const DELETE_ACCOUNT: &str = "-- delete_account
DELETE FROM accounts WHERE name = $1";

const SET_SCOPES: &str = "-- set_scopes
UPDATE accounts SET scopes = $2 WHERE name = $1";

const REVOKE_TOKEN: &str = "-- revoke_token
INSERT INTO revoked_tokens (jti, expires_at) VALUES ($1, $2) ON CONFLICT (jti) DO UPDATE SET expires_at = excluded.expires_at";

const FIND_REVOKED_TOKENS: &str = "-- find_revoked_tokens
SELECT jti FROM revoked_tokens WHERE expires_at > $1 ORDER BY jti";

const WRITE_LEDGER: &str = "-- write_ledger
INSERT INTO mail_ledger (task, part, recipient, message_id, state, response, updated_at)
SELECT * FROM UNNEST($1::uuid[], $2::int4[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
ORDER BY 1, 2
ON CONFLICT (task, part) DO UPDATE
SET recipient = excluded.recipient, message_id = excluded.message_id, state = excluded.state, response = excluded.response,
    updated_at = excluded.updated_at";

/// `$8` the attempt, `$9` whether to send again. The lock waits for a settlement under way, so that what it decides is seen.
const CLAIM_MAIL: &str = "-- claim_mail
WITH present AS MATERIALIZED (
    SELECT id FROM tasks WHERE id = $1 AND status = 'STARTED' AND attempt = $8 FOR SHARE
)
INSERT INTO mail_ledger AS m (task, part, recipient, message_id, state, response, updated_at)
SELECT id, $2, $3, $4, $5, $6, $7 FROM present
ON CONFLICT (task, part) DO UPDATE
SET recipient = excluded.recipient, message_id = excluded.message_id, state = excluded.state, response = excluded.response,
    updated_at = excluded.updated_at
WHERE m.state = 'deferred' OR ($9 AND m.state IN ('sending', 'unknown'))";

const READ_LEDGER: &str = "-- read_ledger
SELECT part, recipient, message_id, state, response, updated_at FROM mail_ledger WHERE task = $1 ORDER BY part";

fn ledger_entry(task: TaskId, row: &PgRow) -> Result<LedgerEntry, StatementError> {
    let state: &str = row.try_get(3)?;
    let known = [LedgerState::Sending, LedgerState::Accepted, LedgerState::Rejected, LedgerState::Deferred, LedgerState::Unknown];
    let state = known
        .into_iter()
        .find(|known| known.as_str() == state)
        .ok_or_else(|| corrupt("mail_ledger", format!("{state:?} is not a state")))?;
    Ok(LedgerEntry {
        task,
        part: row.try_get(0)?,
        recipient: row.try_get(1)?,
        message_id: row.try_get(2)?,
        state,
        response: row.try_get(4)?,
        updated_at: time(row, 5)?,
    })
}

/// Of the columns `subject` and `scopes`, the second and the third of a row.
fn principal(row: &PgRow) -> Result<Principal, StatementError> {
    let scopes: &str = row.try_get(2)?;
    let scopes = scopes.split_whitespace().map(|name| word("accounts", name)).collect::<Result<_, _>>()?;
    Ok(Principal { subject: row.try_get::<&str, _>(1)?.into(), scopes })
}

#[async_trait]
impl Accounts for PgStore {
    async fn create_account(&self, account: &NewAccount) -> StoreResult<bool> {
        let scopes: Vec<&str> = account.principal.scopes.iter().map(Scope::as_str).collect();
        pooled(async {
            let create = sqlx::query(CREATE_ACCOUNT)
                .bind(&account.name)
                .bind(&account.password_hash)
                .bind(&*account.principal.subject)
                .bind(scopes.join(" "))
                .bind(sql_time(account.created_at));
            Ok(create.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }

    async fn set_password(&self, name: &str, password_hash: &str) -> StoreResult<bool> {
        pooled(async {
            let set = sqlx::query(SET_PASSWORD).bind(name).bind(password_hash);
            Ok(set.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }

    async fn find_account(&self, name: &str) -> StoreResult<Option<AccountRow>> {
        pooled(async {
            let found = sqlx::query(FIND_ACCOUNT).bind(name).fetch_optional(&self.pool).await?;
            let Some(row) = found else { return Ok(None) };
            Ok(Some(AccountRow { password_hash: row.try_get(0)?, principal: principal(&row)? }))
        })
        .await
    }

    async fn accounts(&self, limit: u32) -> StoreResult<Vec<AccountInfo>> {
        pooled(async {
            let rows = sqlx::query(ACCOUNTS).bind(i64::from(limit)).fetch_all(&self.pool).await?;
            let info =
                |row: &PgRow| Ok(AccountInfo { name: row.try_get(0)?, principal: principal(row)?, created_at: time(row, 3)? });
            rows.iter().map(info).collect()
        })
        .await
    }

    async fn delete_account(&self, name: &str) -> StoreResult<bool> {
        pooled(async { Ok(sqlx::query(DELETE_ACCOUNT).bind(name).execute(&self.pool).await?.rows_affected() > 0) }).await
    }

    async fn set_scopes(&self, name: &str, scopes: ScopeSet) -> StoreResult<bool> {
        let words: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
        pooled(async {
            let set = sqlx::query(SET_SCOPES).bind(name).bind(words.join(" "));
            Ok(set.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }

    async fn revoke_token(&self, jti: &str, expires_at: Timestamp) -> StoreResult<()> {
        pooled(async {
            let revoke = sqlx::query(REVOKE_TOKEN).bind(jti).bind(sql_time(expires_at));
            Ok(revoke.execute(&self.pool).await.map(drop)?)
        })
        .await
    }

    async fn revoked_tokens(&self, now: Timestamp) -> StoreResult<Vec<String>> {
        pooled(async { Ok(sqlx::query_scalar(FIND_REVOKED_TOKENS).bind(sql_time(now)).fetch_all(&self.pool).await?) }).await
    }
}

#[async_trait]
impl MailLedger for PgStore {
    async fn write_ledger(&self, entries: &[LedgerEntry]) -> StoreResult<()> {
        // One statement takes a row once: the last word on each mail is the one to keep.
        let last: BTreeMap<(TaskId, i32), &LedgerEntry> = entries.iter().map(|entry| ((entry.task, entry.part), entry)).collect();
        let entries: Vec<&LedgerEntry> = last.into_values().collect();
        pooled(async {
            sqlx::query(WRITE_LEDGER)
                .bind(entries.iter().map(|entry| entry.task.as_uuid()).collect::<Vec<Uuid>>())
                .bind(entries.iter().map(|entry| entry.part).collect::<Vec<_>>())
                .bind(entries.iter().map(|entry| entry.recipient.as_str()).collect::<Vec<_>>())
                .bind(entries.iter().map(|entry| entry.message_id.as_str()).collect::<Vec<_>>())
                .bind(entries.iter().map(|entry| entry.state.as_str()).collect::<Vec<_>>())
                .bind(entries.iter().map(|entry| entry.response.as_deref()).collect::<Vec<_>>())
                .bind(entries.iter().map(|entry| sql_time(entry.updated_at)).collect::<Vec<_>>())
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    async fn claim_mail(&self, entry: &LedgerEntry, attempt: Attempt, resend: bool) -> StoreResult<bool> {
        pooled(async {
            let claim = sqlx::query(CLAIM_MAIL)
                .bind(entry.task.as_uuid())
                .bind(entry.part)
                .bind(&entry.recipient)
                .bind(&entry.message_id)
                .bind(entry.state.as_str())
                .bind(&entry.response)
                .bind(sql_time(entry.updated_at))
                .bind(attempt.0)
                .bind(resend);
            Ok(claim.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }

    async fn read_ledger(&self, task: TaskId) -> StoreResult<Vec<LedgerEntry>> {
        pooled(async {
            let rows = sqlx::query(READ_LEDGER).bind(task.as_uuid()).fetch_all(&self.pool).await?;
            rows.iter().map(|row| ledger_entry(task, row)).collect()
        })
        .await
    }
}
