//! Starts of kinds that have a rate limit. The row of the kind's window is locked while it is decided which of its tasks may start.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::hot_connections::HOT_LIMIT;
use super::rows::{corrupt, json, maybe_time, sql_time};
use super::start::{Decision, start_once};
use super::statement_error::{StatementError, within};
use super::{PgStore, pooled};
use crate::domain::{KindName, RateLimit, TaskRef};
use crate::store::rate_window::{Admission, Line, RateWindow, span};
use crate::store::{RateLines, StartAnswer, StartBatch, StoreResult};

/// The references to tasks of limited kinds, most urgent first. Those that have expired are ended whatever their limit.
const LIMITED_REFS: &str = "-- limited_refs
SELECT r.place, t.kind, t.limited_until
FROM UNNEST($1::uuid[], $2::int4[]) WITH ORDINALITY AS r (id, version, place)
JOIN tasks t ON t.id = ANY (ARRAY[r.id]) AND t.version = r.version
WHERE t.kind = ANY ($3) AND t.status <> 'STARTED' AND (t.expires_at IS NULL OR t.expires_at > $4)
ORDER BY t.priority DESC, t.id";

const MAKE_WINDOW: &str = "-- make_window
INSERT INTO rate_windows (kind, starts) VALUES ($1, '[]') ON CONFLICT DO NOTHING";

const LOCK_WINDOW: &str = "-- lock_window
SELECT starts FROM rate_windows WHERE kind = $1 FOR UPDATE";

const WRITE_WINDOW: &str = "-- write_window
UPDATE rate_windows SET starts = $2 WHERE kind = $1";

/// `$2` now, `$3` the end of the span, `$4` as many as count.
const FIND_LINE: &str = "-- find_line
SELECT (SELECT count(*) FROM
            (SELECT FROM tasks WHERE kind = $1 AND limited_until > $2 AND limited_until <= $3 LIMIT $4) AS soon),
       (SELECT max(limited_until) FROM tasks WHERE kind = $1 AND limited_until > $2)";

const POSTPONE: &str = "-- postpone_limited
UPDATE tasks SET dispatch_at = o.at, dispatched_at = NULL, limited_until = o.at
FROM UNNEST($1::uuid[], $2::int4[], $3::timestamptz[]) AS o (id, version, at)
WHERE tasks.id = ANY (ARRAY[o.id]) AND tasks.version = o.version AND tasks.status <> 'STARTED'";

const LIMITED_KINDS: &str = "-- limited_kinds
SELECT DISTINCT kind FROM tasks WHERE limited_until > $1";

/// `$3` as many as may start, less those whose slot has just come: these are on their way. `$4` is their slot then, null without a limit.
const ADVANCE_LINE: &str = "-- advance_line
UPDATE tasks SET dispatch_at = $2, dispatched_at = NULL, limited_until = $4
WHERE id = ANY (ARRAY(
    SELECT id FROM tasks WHERE kind = $1 AND limited_until > $2 AND status <> 'STARTED'
    ORDER BY limited_until
    LIMIT GREATEST($3 - (SELECT count(*) FROM tasks WHERE kind = $1 AND limited_until <= $2 AND limited_until > $2 - interval '10 seconds'), 0)
    FOR UPDATE SKIP LOCKED))";

/// A reference to a task of a limited kind: its place in the batch, and the slot of the task.
pub(super) type Candidate = (usize, Option<Timestamp>);

impl PgStore {
    /// The references of a batch to tasks of limited kinds, by kind.
    pub(super) async fn limited_refs(
        &self,
        batch: &StartBatch<'_>,
    ) -> Result<BTreeMap<KindName, Vec<Candidate>>, StatementError> {
        let mut limited: BTreeMap<KindName, Vec<Candidate>> = BTreeMap::new();
        if batch.limits.is_empty() {
            return Ok(limited);
        }
        let mut lease = self.starts.lease().await?;
        let find = sqlx::query(LIMITED_REFS)
            .bind(batch.refs.iter().map(|reference| reference.id.as_uuid()).collect::<Vec<_>>())
            .bind(batch.refs.iter().map(|reference| reference.version.0).collect::<Vec<_>>())
            .bind(batch.limits.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>())
            .bind(sql_time(batch.now))
            .fetch_all(lease.connection()?);
        let found = within(HOT_LIMIT, async { Ok(find.await?) }).await;
        lease.done(&found);
        for row in found? {
            let place = usize::try_from(row.try_get::<i64, _>(0)? - 1).map_err(|error| corrupt("tasks", error))?;
            let kind = KindName::from_store(row.try_get(1)?);
            limited.entry(kind).or_default().push((place, maybe_time(&row, 2)?));
        }
        Ok(limited)
    }

    /// Starts as many of the candidates as the limit of their kind allows, and postpones the others.
    pub(super) async fn start_limited(
        &self,
        batch: &StartBatch<'_>,
        kind: &KindName,
        limit: RateLimit,
        candidates: &[Candidate],
    ) -> Result<Vec<Decision>, StatementError> {
        let mut lease = self.starts.lease().await?;
        let outcome = within(HOT_LIMIT, start_within_limit(lease.connection()?, batch, kind, limit, candidates)).await;
        lease.done(&outcome);
        outcome
    }
}

#[async_trait]
impl RateLines for PgStore {
    async fn limited_kinds(&self, now: Timestamp) -> StoreResult<Vec<KindName>> {
        pooled(async {
            let kinds: Vec<String> = sqlx::query_scalar(LIMITED_KINDS).bind(sql_time(now)).fetch_all(&self.pool).await?;
            Ok(kinds.iter().map(|kind| KindName::from_store(kind)).collect())
        })
        .await
    }

    async fn advance_line(&self, kind: &KindName, limit: Option<RateLimit>, now: Timestamp) -> StoreResult<u64> {
        pooled(async {
            let mut transaction = self.pool.begin().await?;
            let free = match limit {
                None => i64::from(i32::MAX),
                Some(limit) => {
                    let text: Option<String> =
                        sqlx::query_scalar(LOCK_WINDOW).bind(kind.as_str()).fetch_optional(&mut *transaction).await?;
                    let window: Option<RateWindow> = text
                        .map(|text| serde_json::from_str(&text))
                        .transpose()
                        .map_err(|error| corrupt("rate_windows", error))?;
                    i64::from(window.map_or(limit.starts, |window| window.free(limit, now)))
                }
            };
            let advance =
                sqlx::query(ADVANCE_LINE).bind(kind.as_str()).bind(sql_time(now)).bind(free).bind(limit.map(|_| sql_time(now)));
            let advanced = advance.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            Ok(advanced)
        })
        .await
    }
}

async fn start_within_limit(
    connection: &mut PgConnection,
    batch: &StartBatch<'_>,
    kind: &KindName,
    limit: RateLimit,
    candidates: &[Candidate],
) -> Result<Vec<Decision>, StatementError> {
    let mut transaction = connection.begin().await?;
    sqlx::query(MAKE_WINDOW).bind(kind.as_str()).execute(&mut *transaction).await?;
    let text: String = sqlx::query_scalar(LOCK_WINDOW).bind(kind.as_str()).fetch_one(&mut *transaction).await?;
    let mut window: RateWindow = serde_json::from_str(&text).map_err(|error| corrupt("rate_windows", error))?;
    let line = find_line(&mut transaction, kind, limit, batch.now).await?;
    let slots: Vec<_> = candidates.iter().map(|(_, slot)| *slot).collect();
    let (mut admitted, mut postponed, mut decisions) = (Vec::new(), Vec::new(), Vec::new());
    for ((place, _), admission) in candidates.iter().zip(window.admit(limit, batch.now, line, &slots)) {
        match admission {
            Admission::Start => admitted.push(*place),
            Admission::Wait(slot) => {
                postponed.push((batch.refs[*place], slot));
                decisions.push((*place, Some(StartAnswer::Postponed)));
            }
        }
    }
    let refs: Vec<TaskRef> = admitted.iter().map(|place| batch.refs[*place]).collect();
    let mut starts = 0;
    for (at, answer) in start_once(&mut transaction, &StartBatch { refs: &refs, ..*batch }).await? {
        starts += u32::from(matches!(answer, Some(StartAnswer::Started(_))));
        decisions.push((admitted[at], answer));
    }
    window.count(limit, batch.now, starts);
    sqlx::query(WRITE_WINDOW).bind(kind.as_str()).bind(json(&window)?).execute(&mut *transaction).await?;
    postpone(&mut transaction, &postponed).await?;
    transaction.commit().await?;
    Ok(decisions)
}

async fn find_line(
    connection: &mut PgConnection,
    kind: &KindName,
    limit: RateLimit,
    now: Timestamp,
) -> Result<Line, StatementError> {
    let row = sqlx::query(FIND_LINE)
        .bind(kind.as_str())
        .bind(sql_time(now))
        .bind(sql_time(now.saturating_add(span(limit)).unwrap_or(Timestamp::MAX)))
        .bind(i64::from(limit.starts))
        .fetch_one(connection)
        .await?;
    Ok(Line { soon: u32::try_from(row.try_get::<i64, _>(0)?).unwrap_or(u32::MAX), end: maybe_time(&row, 1)? })
}

async fn postpone(connection: &mut PgConnection, postponed: &[(TaskRef, Timestamp)]) -> Result<(), StatementError> {
    if postponed.is_empty() {
        return Ok(());
    }
    sqlx::query(POSTPONE)
        .bind(postponed.iter().map(|(reference, _)| reference.id.as_uuid()).collect::<Vec<_>>())
        .bind(postponed.iter().map(|(reference, _)| reference.version.0).collect::<Vec<_>>())
        .bind(postponed.iter().map(|(_, slot)| sql_time(*slot)).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
