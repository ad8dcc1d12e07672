//! `report.admin`: figures against rows made by hand, in both databases; the page; who is told.

mod figures;
mod page;
mod refused;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use legwork::app::build_services;
use legwork::config::Config;
use legwork::kinds::{Child, ChildEnd, Children, KindSet, TaskContext, TaskKind};
use legwork_engine::clock::{Clock, ManualClock};
use legwork_engine::domain::{Attempt, FieldError, FilePath, KindName, TaskFailure, TaskId};
use legwork_source::Sources;
use legwork_source::SourcesConfig;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};

use crate::support::context::context;
use crate::support::postgres::{drop_schema, fresh_schema, url};

/// The models of the tests; `{schema}` is replaced.
const MODELS: &str = r#"
[sources.app.models.user]
table = "{schema}users"
values = { active = 1, suspended = 2 }
fields = { id = "integer", first_name = "text", last_name = "text", status = "integer", created_at = "timestamp" }
[sources.app.models.admin]
table = "{schema}admins"
fields = { id = "integer", name = "text" }
[sources.app.models.content]
table = "{schema}contents"
[sources.app.models.content.fields]
id = "integer"
kind = "text"
author_id = "integer"
status = "text"
views = "integer"
published_at = "timestamp"
created_at = "date"
[sources.app.models.activity]
table = "{schema}activities"
fields = { id = "integer", user_id = "integer", action = "text", created_at = "timestamp" }
"#;

const TABLES: &str = "
CREATE TABLE users (id bigint PRIMARY KEY, first_name text, last_name text, status int, created_at {time});
CREATE TABLE admins (id bigint PRIMARY KEY, name text);
CREATE TABLE contents (id bigint PRIMARY KEY, kind text, author_id bigint, status text, views bigint, published_at {time}, created_at {day});
CREATE TABLE activities (id bigint PRIMARY KEY, user_id bigint, action text, created_at {time});
";

/// January 2024 and what is around it, to the second on both sides.
const ROWS: &str = "
INSERT INTO users VALUES
(1, 'Ada', 'Mensah', 1, '2023-11-15 00:00:00'), (2, 'Bob', 'Osei', 1, '2023-12-10 08:00:00'),
(3, 'Eve', '<b>&\"', 2, '2024-01-02 10:00:00'), (4, 'Dan', 'Ba', 1, '2024-01-31 23:59:59.9'), (5, 'Gil', 'Sow', 1, '2024-02-01 00:00:00');
INSERT INTO admins VALUES (1, 'Root');
INSERT INTO contents VALUES
(1, 'news', 1, 'published', 10, '2024-01-06 00:00:00', '2024-01-05'), (2, 'event', 2, 'draft', 0, NULL, '2024-01-31'),
(3, 'news', 1, 'published', 7, '2024-01-02 00:00:00', '2023-12-20');
INSERT INTO activities VALUES
(1, 1, 'login', '2023-11-30 23:59:59'), (2, 1, 'login', '2023-12-01 00:00:00'), (3, 2, 'view', '2023-12-31 23:59:59'),
(4, 1, 'login', '2024-01-01 00:00:00'), (5, 1, 'view', '2024-01-01 12:00:00'), (6, 2, 'view', '2024-01-01 13:00:00'),
(7, 3, 'view', '2024-01-15 07:00:00'), (8, NULL, 'view', '2024-01-15 09:00:00'), (9, 1, 'login', '2024-01-31 23:59:59.5'),
(10, 2, 'view', '2024-02-01 00:00:00');
";

/// Takes children as the engine does: what was said first under a part stays.
#[derive(Default)]
pub struct Post {
    taken: Mutex<BTreeMap<String, (TaskId, Value)>>,
}

#[async_trait]
impl Children for Post {
    async fn submit(&self, children: Vec<Child>) -> Vec<Result<TaskId, TaskFailure>> {
        let mut taken = self.taken.lock();
        let take = |child: Child| {
            assert_eq!(child.kind, "email.send");
            let fresh = (TaskId::made("2026-11-21T08:00:00Z".parse().unwrap()), child.args);
            Ok(taken.entry(child.part).or_insert(fresh).0)
        };
        children.into_iter().map(take).collect()
    }

    async fn ended(&self, _child: TaskId, _wait: Duration) -> Result<Option<ChildEnd>, TaskFailure> {
        Ok(None)
    }
}

/// One task's attempts, without an engine.
pub struct Bench {
    kind: Arc<TaskKind>,
    cx: TaskContext,
    post: Arc<Post>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(sources: Option<Sources>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vars = [("DATA_DIR", folder.path().to_str().unwrap()), ("FILES_SECRET", "a secret of the tests that signs links")];
        let vars = vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let mut services = build_services(&Config::read(vars.collect()).unwrap(), &clock()).unwrap();
        if let Some(sources) = sources {
            services.sources = sources;
        }
        let kind = KindSet::compiled().get(&KindName::parse("report.admin").unwrap()).unwrap().clone();
        let post = Arc::new(Post::default());
        let cx = TaskContext { children: post.clone(), ..context(&kind.policy.name, services, clock()) };
        Self { kind, cx, post, _folder: folder }
    }

    async fn attempt(&self, number: i32, args: &Value) -> Result<Value, TaskFailure> {
        let cx = TaskContext { attempt: Attempt(number), ..self.cx.clone() };
        self.kind.run(&args.to_string(), cx)?.await
    }

    async fn run(&self, args: &Value) -> Value {
        self.attempt(1, args).await.unwrap_or_else(|failure| panic!("{args}: {failure:?}"))
    }

    async fn page(&self, result: &Value) -> String {
        let path = FilePath::parse(result["file_path"].as_str().unwrap()).unwrap();
        String::from_utf8(self.cx.files.storage().read(&path, 1 << 20).await.unwrap()).unwrap()
    }

    fn field_errors(&self, args: &Value) -> Vec<FieldError> {
        self.kind.check(&args.to_string(), &self.cx.services).err().unwrap_or_default()
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()))
}

fn sources(url: &str, models: &str) -> Sources {
    let text = format!("[sources.app]\nurl = \"{url}\"\n{models}");
    let clock = clock();
    let now: legwork_source::Now = Arc::new(move || clock.now());
    Sources::new(&SourcesConfig::parse(&text, &BTreeMap::new()).unwrap(), &now).unwrap()
}

/// A report on January 2024.
fn january(report_type: &str) -> Value {
    json!({ "report_type": report_type, "date_from": "2024-01-01", "date_to": "2024-01-31" })
}

/// Runs a case on the same rows in both databases.
async fn both<C, F>(case: C)
where
    C: Fn(Bench) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    on_sqlite(&case).await;
    let schema = fresh_schema();
    let mut connection = PgConnection::connect(&url()).await.unwrap();
    let tables = TABLES.replace("{time}", "timestamptz").replace("{day}", "date");
    for text in [&format!("CREATE SCHEMA {schema}; SET search_path TO {schema}; SET TimeZone TO 'UTC'"), &tables, ROWS] {
        connection.execute(AssertSqlSafe(text.to_owned())).await.unwrap();
    }
    let bench = Bench::new(Some(sources(&url(), &MODELS.replace("{schema}", &format!("{schema}.")))));
    let services = bench.cx.services.clone();
    let ended = tokio::spawn(case(bench)).await;
    services.sources.close().await;
    drop_schema(&schema).await;
    ended.unwrap();
}

async fn on_sqlite<C, F>(case: &C)
where
    C: Fn(Bench) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
    for text in [&TABLES.replace("{time}", "text").replace("{day}", "text"), ROWS] {
        connection.execute(AssertSqlSafe(text.to_owned())).await.unwrap();
    }
    connection.close().await.unwrap();
    case(Bench::new(Some(sources(&format!("sqlite:{}", path.display()), &MODELS.replace("{schema}", ""))))).await;
}
