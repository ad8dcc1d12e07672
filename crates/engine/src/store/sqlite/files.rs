//! The list of stored files.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::SqliteStore;
use super::json;
use super::rows::Columns;
use super::statement_error::StatementError;
use crate::domain::{Attempt, FilePath, TaskId};
use crate::store::{FileRegistry, FileRow, StoreResult};

/// An attempt's file only while its task is in that attempt.
const WRITE_FILE: &str = "-- write_file
INSERT INTO files (path, size, content_type, sha256, principal, task, created_at, expires_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE ?9 IS NULL OR EXISTS (SELECT 1 FROM tasks WHERE id = ?6 AND status = 'STARTED' AND attempt = ?9)
ON CONFLICT (path) DO UPDATE SET size = excluded.size, content_type = excluded.content_type, sha256 = excluded.sha256,
    principal = excluded.principal, task = excluded.task, created_at = excluded.created_at, expires_at = excluded.expires_at";

const FIND_FILE: &str = "-- find_file
SELECT path, size, content_type, sha256, principal, task, created_at, expires_at FROM files WHERE path = ?1";

const FORGET_FILE: &str = "-- forget_file
DELETE FROM files WHERE path = ?1 AND created_at = ?2 AND sha256 = ?3";

const EXPIRED_FILES: &str = "-- expired_files
SELECT path FROM files WHERE expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at, path LIMIT ?2";

const FORGET_EXPIRED: &str = "-- forget_expired
DELETE FROM files WHERE path IN (SELECT value FROM jsonb_each(?1)) AND expires_at <= ?2";

#[async_trait]
impl FileRegistry for SqliteStore {
    async fn write_file(&self, file: &FileRow, attempt: Option<Attempt>) -> StoreResult<bool> {
        let size = i64::try_from(file.size).map_err(|error| StatementError::BadValue(error.to_string()))?;
        let mut writer = self.writer().await;
        let query = sqlx::query(WRITE_FILE)
            .bind(file.path.as_str())
            .bind(size)
            .bind(file.content_type.as_str())
            .bind(file.sha256.as_slice())
            .bind(&*file.principal)
            .bind(file.task.map(TaskId::as_uuid))
            .bind(file.created_at.as_microsecond())
            .bind(file.expires_at.map(Timestamp::as_microsecond))
            .bind(attempt.map(|attempt| attempt.0));
        Ok(query.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected() > 0)
    }

    async fn find_file(&self, path: &FilePath) -> StoreResult<Option<FileRow>> {
        let query = sqlx::query(FIND_FILE).bind(path.as_str());
        let row = query.fetch_optional(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(row.as_ref().map(file_row).transpose()?)
    }

    async fn forget_file(&self, file: &FileRow) -> StoreResult<bool> {
        let mut writer = self.writer().await;
        let query =
            sqlx::query(FORGET_FILE).bind(file.path.as_str()).bind(file.created_at.as_microsecond()).bind(&file.sha256[..]);
        Ok(query.execute(writer.connection()?).await.map_err(StatementError::from)?.rows_affected() > 0)
    }

    async fn expired_files(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<FilePath>> {
        let query = sqlx::query(EXPIRED_FILES).bind(now.as_microsecond()).bind(limit);
        let rows = query.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(rows.iter().map(|row| file_path(&mut Columns::of("files", row))).collect::<Result<_, StatementError>>()?)
    }

    async fn forget_expired(&self, paths: &[FilePath], now: Timestamp) -> StoreResult<usize> {
        let paths = json::texts(paths.iter().map(FilePath::as_str))?;
        let mut writer = self.writer().await;
        let query = sqlx::query(FORGET_EXPIRED).bind(paths).bind(now.as_microsecond());
        let done = query.execute(writer.connection()?).await.map_err(StatementError::from)?;
        Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
    }
}

fn file_path(columns: &mut Columns<'_>) -> Result<FilePath, StatementError> {
    let path: &str = columns.get()?;
    FilePath::parse(path).map_err(|error| columns.corrupt(error))
}

fn file_row(row: &SqliteRow) -> Result<FileRow, StatementError> {
    let mut columns = Columns::of("files", row);
    let (path, size, content_type) = (file_path(&mut columns)?, columns.number()?, columns.get()?);
    let sha256: &[u8] = columns.get()?;
    let sha256 = sha256.try_into().map_err(|_| columns.corrupt("the hash has not 32 bytes"))?;
    Ok(FileRow {
        path,
        size,
        content_type,
        sha256,
        principal: columns.get::<&str>()?.into(),
        task: columns.get::<Option<Uuid>>()?.map(Into::into),
        created_at: columns.time()?,
        expires_at: columns.maybe_time()?,
    })
}
