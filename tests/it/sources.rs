//! Sources and exports: declared models over Postgres and SQLite, and the demonstration.

mod demo;
mod export;
mod reads;
mod writes;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use legwork_source::SourcesConfig;
use legwork_source::model::Model;
use legwork_source::{Filter, Query, Row, Source, Sources};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};

use crate::support::postgres::{drop_schema, fresh_schema, url};
use crate::support::tasks;

/// The models of the tests; `{table}` is replaced.
const MODELS: &str = r#"
[sources.app.models.person]
table = "{schema}people"
write = true
[sources.app.models.person.fields]
id = "integer"
name = "text"
mood = "text"
height = "number"
is_here = "boolean"
born = "date"
seen_at = "timestamp"
token = "uuid"
extra = "json"
odd = { type = "text", column = "odd \"name\"" }
[sources.app.models.closed]
table = "{schema}people"
fields = { id = "integer" }
[sources.app.models.crowd]
table = "{schema}crowd"
fields = { id = "integer", name = "text" }
[sources.app.models.ghost]
table = "{schema}ghosts"
fields = { id = "integer", name = "text" }
[sources.app.models.hollow]
table = "{schema}people"
fields = { id = "integer", nothing = "text" }
"#;

const POSTGRES: &str = r#"
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE people (id int PRIMARY KEY, name varchar(100), mood mood, height numeric(8,2), is_here boolean, born date,
    seen_at timestamptz, token uuid, extra jsonb, "odd ""name""" text);
CREATE VIEW crowd AS SELECT n AS id, 'somebody with a name ' || n AS name FROM generate_series(1, 40000) n;
"#;
const SQLITE: &str = r#"
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, mood TEXT, height REAL, is_here INTEGER, born TEXT,
    seen_at TEXT, token TEXT, extra TEXT, "odd ""name""" TEXT);
CREATE VIEW crowd AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 40000)
    SELECT n AS id, 'somebody with a name ' || n AS name FROM n;
"#;
const ROWS: &str = r#"
INSERT INTO people VALUES
(1, 'Ann', 'glad', 1.75, {true}, '1990-05-01', '2026-01-31 12:00:00', '0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c2d', '{"a": 1}', 'x'),
(2, 'Bob "the, builder"', 'sad', -2.5, {false}, '1980-01-01', '2026-02-01 00:00:00.5', NULL, NULL, ''),
(3, '=1+1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(4, E'two\nlines', 'glad', 180, {true}, '2001-12-31', '2025-12-31 23:59:59', '0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c2e', '[1, "x"]', '-5'),
(5, 'Zoë ✓ 名', 'sad', 0, {false}, '1970-01-01', '1970-01-01 00:00:00', NULL, 'null', '@sum')
"#;

/// Runs a case on the same rows in both databases.
pub async fn both<C, F>(case: C)
where
    C: Fn(Arc<Source>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    both_declared(|config| {
        let sources = Sources::new(&config, &now()).unwrap();
        let running = Box::pin(case(sources.get(None).unwrap().clone()));
        async move {
            running.await;
            sources.close().await;
        }
    })
    .await;
}

/// The same for a case that uses the declaration.
pub async fn both_declared<C, F>(case: C)
where
    C: Fn(SourcesConfig) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
    let rows = ROWS.replace("{true}", "1").replace("{false}", "0").replace("E'two\\nlines'", "'two' || char(10) || 'lines'");
    for text in ["PRAGMA journal_mode = WAL", SQLITE, &rows] {
        connection.execute(AssertSqlSafe(text.to_owned())).await.unwrap();
    }
    connection.close().await.unwrap();
    case(declared(&format!("sqlite:{}", path.display()), "")).await;
    in_postgres(&case).await;
}

/// The same in Postgres alone.
pub async fn in_postgres<C, F>(case: &C)
where
    C: Fn(SourcesConfig) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let schema = fresh_schema();
    let mut connection = PgConnection::connect(&url()).await.unwrap();
    let rows = ROWS.replace("{true}", "true").replace("{false}", "false");
    for text in [&format!("CREATE SCHEMA {schema}; SET search_path TO {schema}; SET TimeZone TO 'UTC'"), POSTGRES, &rows] {
        connection.execute(AssertSqlSafe(text.to_owned())).await.unwrap();
    }
    let ended = tokio::spawn(case(declared(&url(), &format!("{schema}.")))).await;
    drop_schema(&schema).await;
    ended.unwrap();
}

/// The tests' models as the source `app` at a URL.
pub fn declared(url: &str, schema: &str) -> SourcesConfig {
    let text = format!("[sources.app]\nurl = \"{url}\"\n{}", MODELS.replace("{schema}", schema));
    SourcesConfig::parse(&text, &BTreeMap::new()).unwrap()
}

/// The same, set up.
pub fn sources(url: &str, schema: &str) -> Sources {
    Sources::new(&declared(url, schema), &now()).unwrap()
}

/// The demonstration in a folder.
pub fn demo(folder: &Path) -> Sources {
    Sources::new(&SourcesConfig::demo(folder), &now()).unwrap()
}

fn now() -> legwork_source::Now {
    Arc::new(tasks::start)
}

pub fn model(source: &Source, name: &str) -> Arc<Model> {
    source.model(name).unwrap().clone()
}

/// The rows that filters let through, in the order of the key.
pub async fn found(source: &Source, filters: &Value) -> Vec<Row> {
    let filter = Filter::parse(&model(source, "person"), filters.as_object().unwrap(), "/filters").unwrap();
    source.page(&Query::of(filter), None, 100).await.unwrap_or_else(|error| panic!("{filters}: {error}"))
}

/// Their keys.
pub async fn ids(source: &Source, filters: &Value) -> Vec<i64> {
    found(source, filters).await.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}
