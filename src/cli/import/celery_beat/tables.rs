//! Reads the tables of django-celery-beat, as they are in Postgres and in `SQLite`.
//!
//! Every column is read as text, so that both databases answer alike. Columns that a version of django-celery-beat does not have yet are left out.

use std::collections::BTreeMap;

use legwork_source::{Access, RawStatement, Source, SourceError, Transaction};
use serde_json::{Map, Value};

use super::super::super::CliError;

/// The tables, and the columns that are read of each. Those of the first list must exist.
const TABLES: [Table; 5] = [
    Table {
        name: "django_celery_beat_periodictask",
        required: &["name", "task", "args", "kwargs", "enabled", "crontab_id", "interval_id"],
        optional: &[
            "queue",
            "exchange",
            "routing_key",
            "headers",
            "priority",
            "expires",
            "expire_seconds",
            "one_off",
            "start_time",
            "last_run_at",
            "total_run_count",
            "date_changed",
            "description",
            "solar_id",
            "clocked_id",
        ],
    },
    Table {
        name: "django_celery_beat_crontabschedule",
        required: &["id", "minute", "hour", "day_of_week", "day_of_month", "month_of_year"],
        optional: &["timezone"],
    },
    Table { name: "django_celery_beat_intervalschedule", required: &["id", "every", "period"], optional: &[] },
    Table { name: "django_celery_beat_solarschedule", required: &["id", "event", "latitude", "longitude"], optional: &[] },
    Table { name: "django_celery_beat_clockedschedule", required: &["id", "clocked_time"], optional: &[] },
];

struct Table {
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
}

/// A row, whose values are texts.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Record(Map<String, Value>);

impl Record {
    /// A value that is neither null nor empty.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        self.0.get(column).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A truth value: `true` in Postgres, `1` in `SQLite`.
    pub(super) fn flag(&self, column: &str) -> bool {
        matches!(self.text(column), Some("true" | "t" | "1"))
    }

    /// A number, where the value is one.
    pub(super) fn number<N: std::str::FromStr>(&self, column: &str) -> Option<N> {
        self.text(column)?.parse().ok()
    }
}

#[cfg(test)]
impl From<Value> for Record {
    fn from(value: Value) -> Self {
        Self(value.as_object().cloned().unwrap_or_default())
    }
}

/// The rows of all tables. Schedules are found by their id.
#[derive(Debug, Default)]
pub(in super::super) struct BeatTables {
    /// The periodic tasks, by name.
    pub(super) tasks: Vec<Record>,
    pub(super) crontabs: BTreeMap<String, Record>,
    pub(super) intervals: BTreeMap<String, Record>,
    pub(super) solars: BTreeMap<String, Record>,
    pub(super) clocked: BTreeMap<String, Record>,
}

/// Reads all tables from one snapshot.
pub(in super::super) async fn read(source: &Source) -> Result<BeatTables, CliError> {
    let mut transaction = source.begin(Access::Read).await.map_err(failed)?;
    let mut missing = Vec::new();
    for table in &TABLES {
        if !exists(&mut transaction, source, table.name).await.map_err(failed)? {
            missing.push(table.name);
        }
    }
    if !missing.is_empty() {
        return Err(CliError::Failed(format!(
            "the database has no table {}. --database must name the database of the Django application, after `python manage.py migrate \
             django_celery_beat`; in Postgres, the schema of the tables must be in the search_path of the user",
            missing.join(", ")
        )));
    }
    let [tasks, crontabs, intervals, solars, clocked] = &TABLES;
    let mut tables = BeatTables {
        tasks: rows(&mut transaction, tasks).await?,
        crontabs: by_id(rows(&mut transaction, crontabs).await?),
        intervals: by_id(rows(&mut transaction, intervals).await?),
        solars: by_id(rows(&mut transaction, solars).await?),
        clocked: by_id(rows(&mut transaction, clocked).await?),
    };
    tables.tasks.sort_by(|a, b| a.text("name").cmp(&b.text("name")));
    Ok(tables)
}

async fn exists(transaction: &mut Transaction<'_>, source: &Source, table: &str) -> Result<bool, SourceError> {
    let text = if source.is_postgres() {
        format!("SELECT CAST(to_regclass('{table}') AS text) AS found")
    } else {
        format!("SELECT name AS found FROM sqlite_master WHERE name = '{table}'")
    };
    let rows = transaction.rows(&RawStatement { text, values: Vec::new() }, 1).await?;
    Ok(rows.first().is_some_and(|row| row.get("found").is_some_and(Value::is_string)))
}

async fn rows(transaction: &mut Transaction<'_>, table: &Table) -> Result<Vec<Record>, CliError> {
    let Table { name, required, optional } = table;
    let present = transaction.columns(&format!("SELECT * FROM {name}")).await.map_err(failed)?;
    let is_present = |column: &&str| present.iter().any(|found| found == column);
    if let Some(column) = required.iter().find(|column| !is_present(column)) {
        return Err(CliError::Failed(format!(
            "the table {name} has no column {column}, so it is not one of django-celery-beat, or of a version before 1.3. Bring the tables up to \
             date with `python manage.py migrate django_celery_beat`"
        )));
    }
    let columns = required.iter().chain(optional.iter().filter(|column| is_present(column)));
    let columns: Vec<String> = columns.map(|column| format!("CAST({column} AS text) AS {column}")).collect();
    let text = format!("SELECT {} FROM {name}", columns.join(", "));
    let rows = transaction.rows(&RawStatement { text, values: Vec::new() }, usize::MAX).await.map_err(failed)?;
    Ok(rows.into_iter().map(Record).collect())
}

fn by_id(rows: Vec<Record>) -> BTreeMap<String, Record> {
    rows.into_iter().filter_map(|row| Some((row.text("id")?.to_owned(), row))).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by it")]
fn failed(error: SourceError) -> CliError {
    CliError::Failed(format!(
        "the tables of django-celery-beat cannot be read: {error}. Check --database, and whether the database answers"
    ))
}
