//! Lists: live and ended tasks merged, newest first. Args and results stay where they are: 500 of them are a lot of memory.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use sqlx::postgres::Postgres;

use super::PgStore;
use super::rows::{ended_columns, live_columns, sql_time, task_row};
use super::statement_error::StatementError;
use crate::domain::{Cursor, KindName, Page, PageRequest, QueueName, TaskFilter, TaskId, TaskRow, TaskStatus};

const LIST_LIVE: &str = concat!("-- list_live\nSELECT ", live_columns!("'' AS args"), " FROM tasks WHERE true");
const LIST_ENDED: &str =
    concat!("-- list_ended\nSELECT ", ended_columns!("'' AS args", "NULL::text AS result"), " FROM task_results WHERE true");

impl PgStore {
    pub(super) async fn list_tasks(&self, filter: &TaskFilter, page: &PageRequest) -> Result<Page<TaskRow>, StatementError> {
        let wanted = usize::from(page.limit);
        // By id, so that a task that ends between the two reads is there once, as ended.
        let mut found: BTreeMap<TaskId, TaskRow> = BTreeMap::new();
        for ended in [false, true] {
            if asks_for(filter, ended) {
                let rows = query(filter, page, ended).build().fetch_all(&self.pool).await?;
                for row in &rows {
                    let row = task_row(row)?;
                    found.insert(row.id, row);
                }
            }
        }
        let mut items: Vec<TaskRow> = found.into_values().rev().collect();
        let has_more = items.len() > wanted;
        items.truncate(wanted);
        let next = items.last().filter(|_| has_more).map(|row| Cursor(row.id));
        Ok(Page { items, next })
    }
}

fn asks_for(filter: &TaskFilter, ended: bool) -> bool {
    filter.statuses.is_empty() || filter.statuses.iter().any(|status| status.is_ended() == ended)
}

/// The newest rows of one table that fit, one more than a page holds.
fn query(filter: &TaskFilter, page: &PageRequest, ended: bool) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(if ended { LIST_ENDED } else { LIST_LIVE });
    if !filter.statuses.is_empty() {
        let words: Vec<&'static str> = filter.statuses.iter().map(|status| status.as_str()).collect();
        query.push(" AND status = ANY(").push_bind(words).push(")");
        if ended && !filter.statuses.contains(&TaskStatus::Success) {
            // Said in these words the partial index is found.
            query.push(" AND status <> 'SUCCESS'");
        }
    }
    if let Some(Cursor(after)) = page.after {
        query.push(" AND id < ").push_bind(after.as_uuid());
    }
    let words = [
        ("kind", filter.kind.as_ref().map(KindName::as_str)),
        ("queue", filter.queue.as_ref().map(QueueName::as_str)),
        ("worker_name", filter.worker.as_deref()),
        ("principal", filter.principal.as_deref()),
    ];
    for (column, word) in words {
        if let Some(word) = word {
            query.push(" AND ").push(column).push(" = ").push_bind(word.to_owned());
        }
    }
    if let Some(from) = filter.submitted_from {
        query.push(" AND submitted_at >= ").push_bind(sql_time(from));
    }
    if let Some(to) = filter.submitted_to {
        query.push(" AND submitted_at < ").push_bind(sql_time(to));
    }
    if let Some(text) = &filter.text {
        let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        // The error's own words, not those of its JSON.
        let columns = ["kind", "args", "(error::json ->> 'type')", "(error::json ->> 'message')"];
        for (before, column) in [" AND (", " OR ", " OR ", " OR "].into_iter().zip(columns) {
            query.push(before).push(column).push(" ILIKE ").push_bind(pattern.clone());
        }
        query.push(")");
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(page.limit) + 1);
    query
}
