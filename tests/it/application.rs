//! Kinds that work on the application's own tables, on the demonstration and on a Postgres declared in other words.

mod mails;
mod notices;
mod upkeep;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use legwork::kinds::TaskContext;
use legwork_engine::domain::{Attempt, KindName, PageRequest, QueueName, StartedTask, TaskFailure, TaskFilter, TaskId, Version};
use legwork_source::SourcesConfig;
use legwork_source::{Filter, Query, Row, Source};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::support::context::context;
use crate::support::engine::{Engine, ann, embedded, production};
use crate::support::mime::Mime;
use crate::support::postgres::{drop_schema, fresh_schema, url};

/// Other names than those of the demonstration, so that only roles find the fields.
const MODELS: &str = r#"
[sources.app]
url = "{url}"
[sources.app.models.user]
table = "{schema}.members"
key = "number"
write = true
values = { active = "on" }
roles = { address = "contact", name = "called", status = "flag" }
[sources.app.models.user.fields]
number = "integer"
contact = "text"
called = "text"
flag = "text"
[sources.app.models.admin]
table = "{schema}.staff"
key = "id"
values = { active = true }
roles = { address = "mail", status = "works_here" }
fields = { id = "uuid", mail = "text", works_here = "boolean", role = "text" }
[sources.app.models.content]
table = "{schema}.pages"
write = true
values = { scheduled = "later", published = "out" }
roles = { status = "state", publish_at = "goes_out", published_at = "went_out", expires_at = "ends" }
fields = { id = "integer", state = "text", goes_out = "timestamp", went_out = "timestamp", ends = "timestamp" }
[sources.app.models.activity]
table = "{schema}.log"
write = true
roles = { created = "at" }
fields = { id = "integer", at = "timestamp" }
[sources.app.models.notification]
table = "{schema}.notes"
write = true
roles = { user = "member", body = "words", created = "made", read = "seen", title = "head" }
fields = { id = "integer", member = "integer", head = "text", words = "text", seen = "boolean", made = "timestamp" }
"#;

/// Times are told from 2026-11-21 08:00, when the tests start.
const TABLES: &str = r"
CREATE TABLE members (number bigint PRIMARY KEY, contact text, called text, flag text);
CREATE TABLE staff (id uuid PRIMARY KEY, mail text, works_here boolean, role text);
CREATE TABLE pages (id int PRIMARY KEY, state text, goes_out timestamptz, went_out timestamptz, ends timestamptz);
CREATE TABLE log (id int PRIMARY KEY, at timestamptz);
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, member bigint REFERENCES members, head text, words text,
    seen boolean, made timestamptz);
INSERT INTO members SELECT n, 'm' || n || '@example.org', 'Member ' || n, CASE WHEN n % 2 = 1 THEN 'on' ELSE 'off' END
    FROM generate_series(1, 1201) n;
UPDATE members SET contact = NULL WHERE number = 7;
INSERT INTO staff VALUES ('0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c01', 'a@example.org', true, 'chief'),
    ('0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c02', 'b@example.org', true, NULL),
    ('0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c03', 'c@example.org', false, NULL),
    ('0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c04', 'no address', true, NULL);
INSERT INTO pages SELECT n, 'later', timestamptz '{now}' + (n - 650) * interval '1 minute', NULL, NULL FROM generate_series(1, 1300) n;
INSERT INTO pages SELECT n, 'out', NULL, NULL, timestamptz '{now}' + (n - 2010) * interval '1 day' FROM generate_series(2001, 2020) n;
INSERT INTO log SELECT n, timestamptz '{now}' - n * interval '1 hour' FROM generate_series(1, 4000) n;
INSERT INTO notes (member, head, words, seen, made)
    SELECT 1, 'h', 'w', n % 2 = 0, timestamptz '{now}' - n * interval '1 day' FROM generate_series(1, 200) n;
";

/// Runs a case on the demonstration with both pairs, and on Postgres as a source.
async fn everywhere<C, F>(case: C)
where
    C: Fn(Place) -> F + Copy + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    embedded(move |engine| on(engine, case)).await;
    production(move |engine| on(engine, case)).await;
    let schema = fresh_schema();
    let mut connection = PgConnection::connect(&url()).await.unwrap();
    let text = format!("CREATE SCHEMA {schema}; SET search_path TO {schema}; {TABLES}");
    connection.execute(AssertSqlSafe(text.replace("{now}", "2026-11-21T08:00:00Z"))).await.unwrap();
    let declared = MODELS.replace("{url}", &url()).replace("{schema}", &schema);
    let sources = SourcesConfig::parse(&declared, &BTreeMap::new()).unwrap();
    embedded(move |engine| on(engine.tuned(|config| config.sources = sources), case)).await;
    drop_schema(&schema).await;
}

async fn on<C, F>(engine: Engine, case: C)
where
    C: Fn(Place) -> F,
    F: Future<Output = ()>,
{
    let place = Place::new(engine.clone());
    case(place).await;
    engine.services.sources.close().await;
    drop(std::fs::remove_dir_all(&engine.config.data_dir));
}

/// An engine with a source, and tasks whose attempts are run by hand.
#[derive(Clone)]
struct Place {
    engine: Engine,
    source: Arc<Source>,
}

impl Place {
    fn new(engine: Engine) -> Self {
        let source = engine.services.sources.get(None).unwrap().clone();
        Self { engine, source }
    }

    fn is_demo(&self) -> bool {
        self.source.model("user").unwrap().key == "id"
    }

    fn new_task(&self) -> TaskId {
        TaskId::made(self.engine.now())
    }

    fn context(&self, kind: &str, task: TaskId, attempt: i32) -> TaskContext {
        let started_task = StartedTask {
            id: task,
            attempt: Attempt(attempt),
            version: Version::FIRST.next(),
            kind: KindName::from_store(kind),
            queue: QueueName::from_store("default"),
            args: String::new(),
            principal: "ann".into(),
            submitted_at: task.made_at(),
            retry_origin: None,
            started_at: self.engine.now(),
            retries_used: 0,
            max_retries: 3,
            crashes: 0,
            hard_limit: Duration::from_mins(30),
            soft_limit: None,
        };
        let base = context(&started_task.kind, self.engine.services.clone(), self.engine.clock.clone());
        TaskContext {
            task,
            attempt: started_task.attempt,
            submitted_at: started_task.submitted_at,
            children: self.engine.queue.children_of(&started_task),
            ..base
        }
    }

    /// One attempt of a task, after the check of its args.
    async fn attempt(&self, kind: &str, task: TaskId, attempt: i32, args: Value) -> Result<Value, TaskFailure> {
        assert_eq!(self.field_errors(kind, &args), Vec::<String>::new(), "{args}");
        let found = self.engine.kinds.get(&KindName::from_store(kind)).unwrap().clone();
        let result = found.run(&args.to_string(), self.context(kind, task, attempt))?.await?;
        assert!(result["success"] == true && result["message"].is_string(), "{result}");
        Ok(result)
    }

    async fn run(&self, kind: &str, args: Value) -> Result<Value, TaskFailure> {
        self.attempt(kind, self.new_task(), 1, args).await
    }

    /// Submits a task that does all its work and fails then, retries it by hand with the same end, and once more so that it succeeds;
    /// between the first two something happens to what it did. Its children run at the end. Returns the last result.
    async fn retried_until_it_succeeds<F: Future<Output = ()>>(
        &self,
        kind: &str,
        args: Value,
        happens: impl FnOnce() -> F,
    ) -> Value {
        let failing = self.engine.tuned(|config| {
            config.worker.result_limit = 10;
            config.worker.queues = vec![QueueName::from_store("first")];
        });
        let pool = failing.start_pool().await;
        let mut last = failing.submit_with(kind, args, json!({ "queue": "first" })).await;
        assert_eq!(failing.ended(last).await.error.unwrap().kind, "ResultTooLarge");
        happens().await;
        last = self.retried(last).await;
        assert_eq!(failing.ended(last).await.error.unwrap().kind, "ResultTooLarge");
        pool.end().await;
        failing.services.sources.close().await;
        let pool = self.engine.start_pool().await;
        last = self.retried(last).await;
        let ended = self.engine.ended(last).await;
        let filter = TaskFilter { kind: Some(KindName::from_store("email.send")), ..TaskFilter::default() };
        let page = PageRequest { after: None, limit: 100 };
        for child in self.engine.ground().store.list(&filter, &page).await.unwrap().items {
            assert_eq!(self.engine.ended(child.id).await.successful, Some(true));
        }
        pool.end().await;
        serde_json::from_str(ended.result.unwrap_or_else(|| panic!("{:?}", ended.error)).get()).unwrap()
    }

    /// Retries a task by hand, a second later.
    async fn retried(&self, id: TaskId) -> TaskId {
        self.engine.clock.advance(Duration::from_secs(1));
        let retry = self.engine.queue.retry(id, &ann()).await.unwrap().id;
        self.engine.note_accepted(retry);
        retry
    }

    /// How many mails are in the outbox.
    fn outbox_files(&self) -> usize {
        std::fs::read_dir(self.engine.config.data_dir.join("outbox")).map_or(0, Iterator::count)
    }

    /// What is wrong with args, with pointers.
    fn field_errors(&self, kind: &str, args: &Value) -> Vec<String> {
        let kind = self.engine.kinds.get(&KindName::from_store(kind)).unwrap();
        let field_errors = kind.check(&args.to_string(), &self.engine.services).err().unwrap_or_default();
        field_errors.into_iter().map(|field_error| format!("{} {}", field_error.pointer, field_error.detail)).collect()
    }

    /// The rows of a model that filters let through.
    async fn rows(&self, model: &str, filters: Value) -> Vec<Row> {
        let model = self.source.model(model).unwrap();
        let filter = Filter::parse(model, filters.as_object().unwrap(), "").unwrap();
        self.source.page(&Query::of(filter), None, 10_000).await.unwrap()
    }

    async fn count(&self, model: &str, filters: Value) -> u64 {
        self.rows(model, filters).await.len() as u64
    }

    /// The mails in the outbox, by recipient.
    fn mails(&self) -> BTreeMap<String, Mime> {
        let Ok(folder) = std::fs::read_dir(self.engine.config.data_dir.join("outbox")) else { return BTreeMap::new() };
        let mails = folder.map(|entry| Mime::parse(&std::fs::read(entry.unwrap().path()).unwrap()));
        mails.map(|mail| (mail.header("To").unwrap(), mail)).collect()
    }
}

/// The word and the message of a failure that no attempt mends.
fn failure(outcome: Result<Value, TaskFailure>) -> (String, String) {
    match outcome {
        Err(TaskFailure::Fail(error)) => (error.kind, error.message),
        other => panic!("{other:?} is no failure for good"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_works_on_the_demonstration() {
    embedded(|engine| {
        on(engine, |place| async move {
            for kind in [
                "email.welcome",
                "email.notify_user",
                "notify.admins",
                "notifications.bulk",
                "content.publish_scheduled",
                "content.cleanup_expired",
                "notifications.cleanup",
            ] {
                let example = place.engine.kinds.get(&KindName::from_store(kind)).unwrap().example.clone();
                place.run(kind, example).await.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
            }
            for kind in ["content.publish_scheduled", "content.cleanup_expired", "notifications.cleanup"] {
                let field_errors = place.field_errors(kind, &json!({ "source": "nope" }));
                assert!(
                    field_errors
                        .iter()
                        .any(|field_error| field_error.starts_with("/source there is no source \"nope\"; there are app")),
                    "{field_errors:?}"
                );
            }
        })
    })
    .await;
}
