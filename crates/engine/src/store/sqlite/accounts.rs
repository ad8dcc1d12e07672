//! Accounts and revoked tokens.

use async_trait::async_trait;
use jiff::Timestamp;

use super::SqliteStore;
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::domain::{Principal, Scope, ScopeSet};
use crate::store::{AccountInfo, AccountRow, Accounts, NewAccount, StoreResult};

const CREATE_ACCOUNT: &str = "-- create_account
INSERT INTO accounts (name, password_hash, subject, scopes, created_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";

const SET_PASSWORD: &str = "-- set_password
UPDATE accounts SET password_hash = ?2 WHERE name = ?1";

const FIND_ACCOUNT: &str = "-- find_account
SELECT password_hash, subject, scopes FROM accounts WHERE name = ?1";

const ACCOUNTS: &str = "-- accounts
SELECT name, subject, scopes, created_at FROM accounts ORDER BY name LIMIT ?1";

const DELETE_ACCOUNT: &str = "-- delete_account
DELETE FROM accounts WHERE name = ?1";

const SET_SCOPES: &str = "-- set_scopes
UPDATE accounts SET scopes = ?2 WHERE name = ?1";

const REVOKE_TOKEN: &str = "-- revoke_token
INSERT INTO revoked_tokens (jti, expires_at) VALUES (?1, ?2)
ON CONFLICT (jti) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)";

const REVOKED_TOKENS: &str = "-- revoked_tokens
SELECT jti FROM revoked_tokens WHERE expires_at > ?1";

#[async_trait]
impl Accounts for SqliteStore {
    async fn create_account(&self, account: &NewAccount) -> StoreResult<bool> {
        let scopes: Vec<&str> = account.principal.scopes.iter().map(Scope::as_str).collect();
        let mut writer = self.writer().await;
        let query = sqlx::query(CREATE_ACCOUNT)
            .bind(account.name.as_str())
            .bind(account.password_hash.as_str())
            .bind(&*account.principal.subject)
            .bind(scopes.join(" "))
            .bind(account.created_at.as_microsecond());
        let done = query.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(done.rows_affected() > 0)
    }

    async fn set_password(&self, name: &str, password_hash: &str) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let query = sqlx::query(SET_PASSWORD).bind(name).bind(password_hash);
        let done = query.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(done.rows_affected() > 0)
    }

    async fn find_account(&self, name: &str) -> StoreResult<Option<AccountRow>> {
        let query = sqlx::query(FIND_ACCOUNT).bind(name);
        let row = query.fetch_optional(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(row.as_ref().map(account_row).transpose()?)
    }

    async fn accounts(&self, limit: u32) -> StoreResult<Vec<AccountInfo>> {
        let query = sqlx::query(ACCOUNTS).bind(limit);
        let rows = query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(account_info).collect::<Result<_, StatementError>>()?)
    }

    async fn delete_account(&self, name: &str) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let done = sqlx::query(DELETE_ACCOUNT).bind(name).execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(done.rows_affected() > 0)
    }

    async fn set_scopes(&self, name: &str, scopes: ScopeSet) -> StoreResult<bool> {
        let words: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
        let mut writer = self.writer().await;
        let query = sqlx::query(SET_SCOPES).bind(name).bind(words.join(" "));
        let done = query.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(done.rows_affected() > 0)
    }

    async fn revoke_token(&self, jti: &str, expires_at: Timestamp) -> StoreResult<()> {
        let mut writer = self.writer().await;
        let query = sqlx::query(REVOKE_TOKEN).bind(jti).bind(expires_at.as_microsecond());
        query.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(())
    }

    async fn revoked_tokens(&self, now: Timestamp) -> StoreResult<Vec<String>> {
        let query = sqlx::query_scalar(REVOKED_TOKENS).bind(now.as_microsecond());
        Ok(query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?)
    }
}

fn account_row(row: &sqlx::sqlite::SqliteRow) -> Result<AccountRow, StatementError> {
    let mut columns = Columns::of("accounts", row);
    Ok(AccountRow { password_hash: columns.get()?, principal: principal(&mut columns)? })
}

fn account_info(row: &sqlx::sqlite::SqliteRow) -> Result<AccountInfo, StatementError> {
    let mut columns = Columns::of("accounts", row);
    Ok(AccountInfo { name: columns.get()?, principal: principal(&mut columns)?, created_at: columns.time()? })
}

fn principal(columns: &mut Columns<'_>) -> Result<Principal, StatementError> {
    let subject = columns.get::<&str>()?.into();
    let words: &str = columns.get()?;
    let scopes = words.split_whitespace().map(str::parse).collect::<Result<ScopeSet, String>>();
    Ok(Principal { subject, scopes: scopes.map_err(|reason| columns.corrupt(reason))? })
}
