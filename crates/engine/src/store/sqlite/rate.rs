//! Starts of kinds that have a rate limit. There is one writer, so the window of a kind needs no lock.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::json::JsonRows;
use super::rows::Columns;
use super::start::references;
use super::statement_error::StatementError;
use crate::domain::{KindName, RateLimit, TaskRef};
use crate::store::rate_window::{Admission, Line, RateWindow, span};
use crate::store::{RateLines, StartBatch, StoreResult};

/// The references to tasks of limited kinds, most urgent first. Those that have expired are ended whatever their limit.
const LIMITED_REFS: &str = "-- limited_refs
SELECT o.key, t.kind, t.limited_until
FROM jsonb_each(?1) o
CROSS JOIN tasks t ON t.id = unhex(o.value ->> 0) AND t.version = o.value ->> 1
WHERE t.kind IN (SELECT value FROM jsonb_each(?2)) AND t.status <> 'STARTED' AND (t.expires_at IS NULL OR t.expires_at > ?3)
ORDER BY t.priority DESC, t.id";

/// A task whose slot came within this is on its way to a worker.
const ON_THEIR_WAY_MICROS: i64 = 10_000_000;

const FIND_WINDOW: &str = "-- find_window
SELECT starts FROM rate_windows WHERE kind = ?1";

const WRITE_WINDOW: &str = "-- write_window
INSERT INTO rate_windows (kind, starts) VALUES (?1, ?2) ON CONFLICT (kind) DO UPDATE SET starts = excluded.starts";

/// `?2` is now, `?3` the end of the span, `?4` as many as count.
const FIND_LINE: &str = "-- find_line
SELECT (SELECT count(*) FROM (SELECT 1 FROM tasks WHERE kind = ?1 AND limited_until > ?2 AND limited_until <= ?3 LIMIT ?4)),
       (SELECT max(limited_until) FROM tasks WHERE kind = ?1 AND limited_until > ?2)";

const POSTPONE: &str = "-- postpone_limited
UPDATE tasks SET dispatch_at = o.value ->> 2, dispatched_at = NULL, limited_until = o.value ->> 2
FROM jsonb_each(?1) o
WHERE tasks.id = unhex(o.value ->> 0) AND tasks.version = o.value ->> 1 AND tasks.status <> 'STARTED'";

const LIMITED_KINDS: &str = "-- limited_kinds
SELECT DISTINCT kind FROM tasks WHERE limited_until > ?1";

/// `?3` as many as may start, less those whose slot has just come (after `?5`): these are on their way. `?4` is their slot then, null without a
/// limit.
const ADVANCE_LINE: &str = "-- advance_line
UPDATE tasks SET dispatch_at = ?2, dispatched_at = NULL, limited_until = ?4
WHERE id IN (
    SELECT id FROM tasks WHERE kind = ?1 AND limited_until > ?2 AND status <> 'STARTED'
    ORDER BY limited_until
    LIMIT max(?3 - (SELECT count(*) FROM tasks WHERE kind = ?1 AND limited_until <= ?2 AND limited_until > ?5), 0))";

/// A reference to a task of a limited kind: its place in the batch, and the slot of the task.
pub(super) type Candidate = (usize, Option<Timestamp>);

#[async_trait]
impl RateLines for SqliteStore {
    async fn limited_kinds(&self, now: Timestamp) -> StoreResult<Vec<KindName>> {
        let find = sqlx::query_scalar(LIMITED_KINDS).bind(now.as_microsecond());
        let kinds: Vec<String> = find.fetch_all(&mut *self.reader().await?).await.map_err(StatementError::from)?;
        Ok(kinds.iter().map(|kind| KindName::from_store(kind)).collect())
    }

    async fn advance_line(&self, kind: &KindName, limit: Option<RateLimit>, now: Timestamp) -> StoreResult<u64> {
        let mut writer = self.writer().await;
        let connection = writer.connection()?;
        let free = match limit {
            None => u32::MAX,
            Some(limit) => find_window(connection, kind).await?.free(limit, now),
        };
        let micros = now.as_microsecond();
        let advance = sqlx::query(ADVANCE_LINE)
            .bind(kind.as_str())
            .bind(micros)
            .bind(free)
            .bind(limit.map(|_| micros))
            .bind(micros - ON_THEIR_WAY_MICROS);
        Ok(advance.execute(connection).await.map_err(StatementError::from)?.rows_affected())
    }
}

async fn find_window(connection: &mut SqliteConnection, kind: &KindName) -> Result<RateWindow, StatementError> {
    let text: Option<String> = sqlx::query_scalar(FIND_WINDOW).bind(kind.as_str()).fetch_optional(connection).await?;
    match text {
        Some(text) => serde_json::from_str(&text).map_err(|error| StatementError::BadValue(error.to_string())),
        None => Ok(RateWindow::default()),
    }
}

/// The references of a batch to tasks of limited kinds, by kind.
pub(super) async fn limited_refs(
    connection: &mut SqliteConnection,
    batch: &StartBatch<'_>,
) -> Result<BTreeMap<KindName, Vec<Candidate>>, StatementError> {
    let mut limited: BTreeMap<KindName, Vec<Candidate>> = BTreeMap::new();
    if batch.limits.is_empty() {
        return Ok(limited);
    }
    let kinds: Vec<&str> = batch.limits.iter().map(|(kind, _)| kind.as_str()).collect();
    let kinds = serde_json::to_string(&kinds).map_err(|error| StatementError::BadValue(error.to_string()))?;
    for row in sqlx::query(LIMITED_REFS)
        .bind(references(batch.refs)?)
        .bind(kinds)
        .bind(batch.now.as_microsecond())
        .fetch_all(connection)
        .await?
    {
        let mut columns = Columns::of("tasks", &row);
        let (place, kind) = (columns.number()?, columns.kind()?);
        limited.entry(kind).or_default().push((place, columns.maybe_time()?));
    }
    Ok(limited)
}

/// Decides which of the candidates may start, and postpones the others. Returns the window, in which the starts are to be counted, and the
/// places of both.
pub(super) async fn admit(
    connection: &mut SqliteConnection,
    batch: &StartBatch<'_>,
    kind: &KindName,
    limit: RateLimit,
    candidates: &[Candidate],
) -> Result<(RateWindow, Vec<usize>, Vec<usize>), StatementError> {
    let mut window = find_window(&mut *connection, kind).await?;
    let line = find_line(connection, kind, limit, batch.now).await?;
    let slots: Vec<_> = candidates.iter().map(|(_, slot)| *slot).collect();
    let (mut admitted, mut denied, mut postponed) = (Vec::new(), Vec::new(), JsonRows::new());
    for ((place, _), admission) in candidates.iter().zip(window.admit(limit, batch.now, line, &slots)) {
        match admission {
            Admission::Start => admitted.push(*place),
            Admission::Wait(slot) => {
                denied.push(*place);
                let TaskRef { id, version } = batch.refs[*place];
                postponed.row().id(Some(id.as_uuid())).value(&version).time(Some(slot)).end()?;
            }
        }
    }
    if !postponed.is_empty() {
        sqlx::query(POSTPONE).bind(postponed.text()?).execute(connection).await?;
    }
    Ok((window, admitted, denied))
}

/// Writes the window of a kind.
pub(super) async fn write_window(
    connection: &mut SqliteConnection,
    kind: &KindName,
    window: &RateWindow,
) -> Result<(), StatementError> {
    let text = serde_json::to_string(window).map_err(|error| StatementError::BadValue(error.to_string()))?;
    sqlx::query(WRITE_WINDOW).bind(kind.as_str()).bind(text).execute(connection).await?;
    Ok(())
}

async fn find_line(
    connection: &mut SqliteConnection,
    kind: &KindName,
    limit: RateLimit,
    now: Timestamp,
) -> Result<Line, StatementError> {
    let row = sqlx::query(FIND_LINE)
        .bind(kind.as_str())
        .bind(now.as_microsecond())
        .bind(now.saturating_add(span(limit)).unwrap_or(Timestamp::MAX).as_microsecond())
        .bind(limit.starts)
        .fetch_one(connection)
        .await?;
    let mut columns = Columns::of("tasks", &row);
    Ok(Line { soon: columns.number()?, end: columns.maybe_time()? })
}
