//! The demonstration source: users, admins, contents, activity logs and notifications, a few thousand rows. The same rows for everybody,
//! dated back from when the file is made, so that there is always something scheduled, expired, old and unread.

mod rows;

use std::path::Path;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, SqliteConnection};

use crate::DemoScript;
use crate::raw::of_sqlite;

const SCHEMA: &str = include_str!("demo/schema.sql");

/// Makes the file unless it is there. It appears whole or not at all, whoever else makes it at the same time.
pub(super) async fn make(path: &Path, now: Timestamp, script: Option<&DemoScript>) -> Result<(), sqlx::Error> {
    if path.try_exists()? {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let part = path.with_extension(format!("{:016x}.part", fastrand::u64(..)));
    let made = fill_file(&part, now, script).await;
    let placed = made.and_then(|()| match std::fs::hard_link(&part, path) {
        // Somebody was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => Ok(linked?),
    });
    if let Err(error) = std::fs::remove_file(&part) {
        tracing::debug!(path = %part.display(), %error, "a temporary file could not be removed");
    }
    placed
}

async fn fill_file(path: &Path, now: Timestamp, script: Option<&DemoScript>) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Delete);
    let mut connection = options.disable_statement_logging().connect().await?;
    fill(&mut connection, now, script).await?;
    connection.close().await
}

/// Makes the tables and rows in one transaction.
pub(super) async fn fill(
    connection: &mut SqliteConnection,
    now: Timestamp,
    script: Option<&DemoScript>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    if let Some(script) = script {
        for statement in script.statements(now)? {
            of_sqlite(&statement).execute(&mut *transaction).await?;
        }
        return transaction.commit().await;
    }
    transaction.execute(SCHEMA).await?;
    for (table, rows) in rows::all(now) {
        insert(&mut transaction, table, rows).await?;
    }
    transaction.commit().await
}

/// Rows as JSON arrays, in the order of the table's columns.
async fn insert(connection: &mut SqliteConnection, table: &str, rows: Vec<serde_json::Value>) -> Result<(), sqlx::Error> {
    let width = rows.first().and_then(serde_json::Value::as_array).map_or(0, Vec::len);
    let columns: Vec<String> = (0..width).map(|index| format!("json_extract(value, '$[{index}]')")).collect();
    let statement = format!("INSERT INTO {table} SELECT {} FROM json_each(?1)", columns.join(", "));
    sqlx::query(AssertSqlSafe(statement)).bind(serde_json::Value::Array(rows).to_string()).execute(connection).await.map(drop)
}
