//! A pack with its services, over a fresh database of either sort, and what its kinds send.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use legwork::app::{build_services, with_secrets};
use legwork::config::Config;
use legwork::kinds::{Child, Children, KindSet, TaskContext, TaskKind};
use legwork::packs::{LoadedPacks, demonstration};
use legwork::services::Services;
use legwork_engine::children::ChildEnd;
use legwork_engine::clock::{Clock, ManualClock};
use legwork_engine::domain::{Attempt, KindName, TaskFailure, TaskId};
use legwork_pack::{Dialect, Kind};
use legwork_source::{Access, RawStatement, Row, Source};
use parking_lot::Mutex;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::context::context;
use crate::support::postgres::{drop_schema, fresh_schema, url};

/// A Monday, five minutes past nine in the morning.
const NOW: &str = "2026-03-09T09:05:00Z";

/// Where the application's database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Sqlite,
    Postgres,
}

/// A pack, ready to run its kinds.
pub struct Ground {
    pub side: Side,
    pub packs: LoadedPacks,
    pub services: Arc<Services>,
    kinds: KindSet,
    clock: Arc<ManualClock>,
    data_dir: PathBuf,
    children: Arc<Inline>,
}

/// The settings of a process with a pack.
pub fn vars(pack: &str, data_dir: &Path) -> BTreeMap<String, String> {
    let packs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packs").join(pack);
    let set = [("DATA_DIR", data_dir.display().to_string()), ("PACKS", packs.display().to_string())];
    set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub async fn on_both(pack: &str, case: impl AsyncFn(&Ground)) {
    for side in [Side::Sqlite, Side::Postgres] {
        on(pack, side, &case).await;
    }
}

pub async fn on(pack: &str, side: Side, case: impl AsyncFn(&Ground)) {
    let folder = tempfile::tempdir().unwrap();
    on_vars(pack, side, vars(pack, folder.path()), folder.path(), case).await;
}

/// A pack called `probe` that is made of texts, on both sides. Its source `probe` has the tables of `schema.sql`.
pub async fn on_texts(texts: &[(&str, &str)], case: impl AsyncFn(&Ground)) {
    for side in [Side::Sqlite, Side::Postgres] {
        let folder = tempfile::tempdir().unwrap();
        let pack = written(folder.path(), texts);
        on_vars("probe", side, vars(&pack, folder.path()), folder.path(), &case).await;
    }
}

/// Writes a pack called `probe` into a folder; returns its path.
pub fn written(folder: &Path, texts: &[(&str, &str)]) -> String {
    let pack = folder.join("probe");
    for (path, text) in texts {
        let path = pack.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    pack.display().to_string()
}

async fn on_vars(name: &str, side: Side, mut vars: BTreeMap<String, String>, folder: &Path, case: impl AsyncFn(&Ground)) {
    let schema = fresh_schema();
    if side == Side::Postgres {
        let mut connection = PgConnection::connect(&url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut connection).await.unwrap();
        let name = format!("{}_DATABASE_URL", name.replace('-', "_").to_uppercase());
        vars.insert(name, format!("{}?options=-csearch_path%3D{schema}", url()));
    }
    let ground = Ground::new(side, vars, folder);
    ground.fill().await;
    case(&ground).await;
    ground.services.sources.close().await;
    drop_schema(&schema).await;
}

impl Ground {
    fn new(side: Side, vars: BTreeMap<String, String>, data_dir: &Path) -> Self {
        let mut config = with_secrets(Config::read(vars).unwrap()).unwrap();
        let packs = LoadedPacks::load(&config.packs, &config.render, &mut config.sources).unwrap();
        let clock = Arc::new(ManualClock::at(NOW.parse().unwrap()));
        let shared: Arc<dyn Clock> = clock.clone();
        let services = Arc::new(build_services(&config, &shared).unwrap());
        packs.lend_templates(&services.renderer);
        let kinds = KindSet::with(packs.kinds());
        let children =
            Arc::new(Inline { kinds: kinds.clone(), services: services.clone(), clock: shared, done: Mutex::default() });
        // The image that the examples name.
        let files = data_dir.join("files/uploads");
        std::fs::create_dir_all(&files).unwrap();
        let image = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/image.jpg");
        std::fs::copy(image, files.join("image.jpg")).unwrap();
        Self { side, packs, services, kinds, clock, data_dir: data_dir.to_owned(), children }
    }

    /// Postgres gets the rows that the file of a demonstration has.
    async fn fill(&self) {
        let pack = &self.packs.set().packs()[0];
        for declared in &pack.sources {
            let source = self.services.sources.get(Some(&declared.name)).unwrap();
            if !source.is_postgres() {
                continue;
            }
            let mut transaction = source.begin(Access::Write).await.unwrap();
            for statement in demonstration(pack, &declared.name, Dialect::Postgres, self.clock.now()).unwrap() {
                transaction.execute(&statement).await.unwrap_or_else(|error| panic!("{error}\n{}", statement.text));
            }
            transaction.commit().await.unwrap();
        }
    }

    /// The result of a kind without its defaults, or `TYPE: message` of its error.
    pub async fn outcome(&self, name: &str, args: &Value) -> Result<Value, String> {
        self.run(name, args).await.map_err(|failure| match failure {
            TaskFailure::Retry { error, .. } => format!("retry {}: {}", error.kind, error.message),
            TaskFailure::Fail(error) => format!("{}: {}", error.kind, error.message),
            other => format!("{other:?}"),
        })
    }

    /// The kinds that the pack declares.
    pub fn declared(&self) -> Vec<Kind> {
        self.packs.set().kinds().map(|(_, kind)| kind.clone()).collect()
    }

    pub fn kind(&self, name: &str) -> Arc<TaskKind> {
        self.kinds.get(&KindName::parse(name).unwrap()).unwrap()
    }

    /// Runs a task of a kind; its children are run at once.
    pub async fn run(&self, name: &str, args: &Value) -> Result<Value, TaskFailure> {
        let mut cx = context(&KindName::parse(name).unwrap(), self.services.clone(), self.clock.clone());
        cx.children = self.children.clone();
        self.attempt(&cx, name, 1, args).await
    }

    /// The context of a task whose attempts a test runs one by one.
    pub fn task(&self, name: &str) -> TaskContext {
        let mut cx = context(&KindName::parse(name).unwrap(), self.services.clone(), self.clock.clone());
        cx.children = self.children.clone();
        cx
    }

    pub async fn attempt(&self, cx: &TaskContext, name: &str, attempt: i32, args: &Value) -> Result<Value, TaskFailure> {
        let kind = self.kind(name);
        let text = args.to_string();
        if let Err(errors) = kind.check(&text, &self.services) {
            return Err(TaskFailure::fail("BadArgs", format!("{errors:?}")));
        }
        let mut cx = cx.clone();
        cx.attempt = Attempt(attempt);
        kind.run(&text, cx)?.await
    }

    /// The kinds of the children that were made, in order.
    pub fn children(&self) -> Vec<String> {
        self.children.done.lock().iter().map(|(_, kind, ..)| kind.clone()).collect()
    }

    fn source(&self) -> Arc<Source> {
        let pack = &self.packs.set().packs()[0];
        self.services.sources.get(Some(&pack.sources[0].name)).unwrap().clone()
    }

    /// Rows of the application's database.
    pub async fn rows(&self, sql: &str) -> Vec<Row> {
        let source = self.source();
        let mut transaction = source.begin(Access::Read).await.unwrap();
        transaction.rows(&RawStatement { text: sql.to_owned(), values: Vec::new() }, 10_000).await.unwrap()
    }

    /// Changes the application's database.
    pub async fn change(&self, sql: &str) {
        let source = self.source();
        let mut transaction = source.begin(Access::Write).await.unwrap();
        transaction.execute(&RawStatement { text: sql.to_owned(), values: Vec::new() }).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// The single number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql).await;
        rows[0].values().next().unwrap().as_i64().unwrap()
    }

    /// Puts a file where the outbox has its folder, so that no mail can be handed over.
    pub fn break_outbox(&self) {
        let outbox = self.data_dir.join("outbox");
        if outbox.is_dir() {
            std::fs::remove_dir_all(&outbox).unwrap();
        }
        std::fs::write(outbox, "").unwrap();
    }

    /// The mails in the outbox.
    pub fn mails(&self) -> Vec<String> {
        texts(&self.data_dir.join("outbox"), "eml")
    }
}

fn texts(folder: &Path, ending: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Runs children at once, each part of a parent once.
struct Inline {
    kinds: KindSet,
    services: Arc<Services>,
    clock: Arc<dyn Clock>,
    done: Mutex<Vec<(String, String, TaskId, Value)>>,
}

#[async_trait]
impl Children for Inline {
    async fn submit(&self, children: Vec<Child>) -> Vec<Result<TaskId, TaskFailure>> {
        let mut answers = Vec::new();
        for child in children {
            let known =
                self.done.lock().iter().find(|(part, kind, ..)| *part == child.part && *kind == child.kind).map(|done| done.2);
            let answer = match known {
                Some(id) => Ok(id),
                None => self.run(child).await,
            };
            answers.push(answer);
        }
        answers
    }

    async fn ended(&self, child: TaskId, _wait: Duration) -> Result<Option<ChildEnd>, TaskFailure> {
        let result = self.done.lock().iter().find(|done| done.2 == child).map(|done| done.3.clone());
        Ok(result.map(ChildEnd::Success))
    }
}

impl Inline {
    async fn run(&self, child: Child) -> Result<TaskId, TaskFailure> {
        let name = KindName::parse(&child.kind).unwrap();
        let kind = self.kinds.get(&name).unwrap();
        let args = child.args.to_string();
        if let Err(errors) = kind.check(&args, &self.services) {
            return Err(TaskFailure::fail("BadChild", format!("{errors:?}")));
        }
        let mut cx = context(&name, self.services.clone(), self.clock.clone());
        cx.children = Arc::new(Self {
            kinds: self.kinds.clone(),
            services: self.services.clone(),
            clock: self.clock.clone(),
            done: Mutex::default(),
        });
        let id = cx.task;
        let result = kind.run(&args, cx)?.await?;
        self.done.lock().push((child.part, child.kind.into_owned(), id, result));
        Ok(id)
    }
}
