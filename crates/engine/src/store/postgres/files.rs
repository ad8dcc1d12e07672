//! The list of stored files.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::rows::{corrupt, maybe_time, sql_time, time};
use super::statement_error::StatementError;
use super::{PgStore, pooled};
use crate::domain::{Attempt, FilePath, TaskId};
use crate::store::{FileRegistry, FileRow, StoreResult};

/// An attempt's file only while its task is in that attempt.
const WRITE_FILE: &str = "-- write_file
WITH present AS MATERIALIZED (
    SELECT id FROM tasks WHERE id = $6 AND status = 'STARTED' AND attempt = $9 FOR SHARE
)
INSERT INTO files (path, size, content_type, sha256, principal, task, created_at, expires_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE $9 IS NULL OR EXISTS (SELECT FROM present)
ON CONFLICT (path) DO UPDATE SET size = excluded.size, content_type = excluded.content_type, sha256 = excluded.sha256,
    principal = excluded.principal, task = excluded.task, created_at = excluded.created_at, expires_at = excluded.expires_at";

const FIND_FILE: &str = "-- find_file
SELECT path, size, content_type, sha256, principal, task, created_at, expires_at FROM files WHERE path = $1";

const FORGET_FILE: &str = "-- forget_file
DELETE FROM files WHERE path = $1 AND created_at = $2 AND sha256 = $3";

/// The path breaks ties by its bytes, as the other side does.
const EXPIRED_FILES: &str = "-- expired_files
SELECT path FROM files WHERE expires_at <= $1 ORDER BY expires_at, path COLLATE \"C\" LIMIT $2";

/// Rows are taken in the order of their key, so that two that prune do not wait for each other.
const FORGET_EXPIRED: &str = "-- forget_expired
DELETE FROM files WHERE path IN (
    SELECT path FROM files WHERE path = ANY ($1) AND expires_at <= $2 ORDER BY path FOR UPDATE)";

#[async_trait]
impl FileRegistry for PgStore {
    async fn write_file(&self, file: &FileRow, attempt: Option<Attempt>) -> StoreResult<bool> {
        pooled(async {
            let size = i64::try_from(file.size).map_err(|error| StatementError::BadValue(error.to_string()))?;
            let write = sqlx::query(WRITE_FILE)
                .bind(file.path.as_str())
                .bind(size)
                .bind(&file.content_type)
                .bind(file.sha256.as_slice())
                .bind(&*file.principal)
                .bind(file.task.map(TaskId::as_uuid))
                .bind(sql_time(file.created_at))
                .bind(file.expires_at.map(sql_time))
                .bind(attempt.map(|attempt| attempt.0));
            Ok(write.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }

    async fn find_file(&self, path: &FilePath) -> StoreResult<Option<FileRow>> {
        pooled(async {
            let found = sqlx::query(FIND_FILE).bind(path.as_str()).fetch_optional(&self.pool).await?;
            found.as_ref().map(file_row).transpose()
        })
        .await
    }

    async fn forget_file(&self, file: &FileRow) -> StoreResult<bool> {
        pooled(async {
            let forget = sqlx::query(FORGET_FILE).bind(file.path.as_str()).bind(sql_time(file.created_at)).bind(&file.sha256[..]);
            Ok(forget.execute(&self.pool).await?.rows_affected() > 0)
        })
        .await
    }

    async fn expired_files(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<FilePath>> {
        pooled(async {
            let find = sqlx::query(EXPIRED_FILES).bind(sql_time(now)).bind(i64::from(limit));
            find.fetch_all(&self.pool).await?.iter().map(file_path).collect()
        })
        .await
    }

    async fn forget_expired(&self, paths: &[FilePath], now: Timestamp) -> StoreResult<usize> {
        pooled(async {
            let paths: Vec<&str> = paths.iter().map(FilePath::as_str).collect();
            let forget = sqlx::query(FORGET_EXPIRED).bind(paths).bind(sql_time(now));
            Ok(usize::try_from(forget.execute(&self.pool).await?.rows_affected()).unwrap_or(usize::MAX))
        })
        .await
    }
}

/// The path in the first column.
fn file_path(row: &PgRow) -> Result<FilePath, StatementError> {
    FilePath::parse(row.try_get(0)?).map_err(|error| corrupt("files", error))
}

fn file_row(row: &PgRow) -> Result<FileRow, StatementError> {
    let (size, sha256): (i64, &[u8]) = (row.try_get(1)?, row.try_get(3)?);
    Ok(FileRow {
        path: file_path(row)?,
        size: u64::try_from(size).map_err(|error| corrupt("files", error))?,
        content_type: row.try_get(2)?,
        sha256: sha256.try_into().map_err(|error| corrupt("files", error))?,
        principal: row.try_get::<&str, _>(4)?.into(),
        task: row.try_get::<Option<Uuid>, _>(5)?.map(Into::into),
        created_at: time(row, 6)?,
        expires_at: maybe_time(row, 7)?,
    })
}
