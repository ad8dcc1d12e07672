//! Whole processes over servers of their own, killed in the middle of their work: nothing is lost, and no effect is seen twice.

mod bulk;

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::postgres;
use crate::support::process::{Process, output_of};
use crate::support::redis_server::{RedisServer, free_port};
use crate::support::smtp::SmtpServer;

/// A database of its own for one cluster; dropped when the case ends, however it ends.
async fn in_database<C, F>(case: C)
where
    C: FnOnce(String) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let name = postgres::fresh_schema();
    statement(format!("CREATE DATABASE {name}")).await;
    let mut url = reqwest::Url::parse(&postgres::url()).unwrap();
    url.set_path(&name);
    let ended = tokio::spawn(case(url.into())).await;
    statement(format!("DROP DATABASE {name} WITH (FORCE)")).await;
    ended.unwrap();
}

async fn statement(text: String) {
    let mut connection = PgConnection::connect(&postgres::url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_told_as_an_error_after_a_few_tries() {
    let mut url = reqwest::Url::parse(&postgres::url()).unwrap();
    url.set_path("no_such_database");
    let vars = [
        ("DATABASE_URL", url.to_string()),
        ("JWT_SECRET", "a-secret-of-the-fault-tests-long-enough".to_owned()),
        ("LISTEN", format!("127.0.0.1:{}", free_port())),
    ];
    let mut server = Process::start(&["serve"], &vars);
    server.said("ERROR legwork::app: still waiting for the database: DATABASE_URL may be wrong").await;
}

/// An API with a scheduler, and workers, over a database, a Redis and a mail server.
struct Cluster {
    vars: Vec<(&'static str, String)>,
    api: String,
    token: String,
    client: reqwest::Client,
    redis: RedisServer,
    smtp: SmtpServer,
    workers: Vec<Process>,
    _server: Process,
}

impl Cluster {
    async fn start(database: String, workers: usize) -> Self {
        Self::mailing(database, workers, SmtpServer::start().await).await
    }

    async fn mailing(database: String, workers: usize, smtp: SmtpServer) -> Self {
        let redis = RedisServer::start(&[]);
        let listen = format!("127.0.0.1:{}", free_port());
        let vars = vec![
            ("DATABASE_URL", database),
            ("DATABASE_CONNECTIONS", "4".to_owned()),
            ("REDIS_URL", redis.url()),
            ("SMTP_URL", format!("smtp://127.0.0.1:{}", smtp.port())),
            ("JWT_SECRET", "a-secret-of-the-fault-tests-long-enough".to_owned()),
            ("LEASE", "3s".to_owned()),
            ("RATE_LIMIT", "off".to_owned()),
            ("SHUTDOWN_GRACE", "100ms".to_owned()),
        ];
        let token = output_of(&["token", "create", "--subject", "ann", "--scope", "admin"], &vars).await;
        let mut server = Process::start(&["serve", "--roles", "api,scheduler", "--listen", &listen], &vars);
        server.said("is up").await;
        // Another test of this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let api = format!("http://{listen}/api/v1");
        let mut cluster = Self { vars, api, token, client, redis, smtp, workers: Vec::new(), _server: server };
        for _ in 0..workers {
            cluster.start_worker(10).await;
        }
        cluster
    }

    async fn start_worker(&mut self, slots: usize) {
        let mut worker = Process::start(&["worker", "--concurrency", &slots.to_string()], &self.vars);
        worker.said("running").await;
        self.workers.push(worker);
    }

    /// Submits tasks in one call; their ids.
    async fn submit(&self, tasks: Vec<Value>) -> Vec<String> {
        let call =
            self.client.post(format!("{}/tasks/batch", self.api)).bearer_auth(&self.token).json(&json!({ "tasks": tasks }));
        let answer = call.send().await.unwrap();
        let (status, body): (_, Value) = (answer.status(), answer.json().await.unwrap());
        assert_eq!(status, 202, "{body}");
        body["tasks"].as_array().unwrap().iter().map(|task| task["task_id"].as_str().unwrap().to_owned()).collect()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.api)).bearer_auth(&self.token).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Long-polls until the task has ended.
    async fn ended(&self, id: &str) -> Value {
        let path = format!("/tasks/status/{id}?wait=30");
        for _ in 0..2 {
            let status = self.get(&path).await;
            if status["ready"] == true {
                return status;
            }
        }
        panic!("a task has not ended: {}", self.get(&format!("/tasks/{id}")).await);
    }

    async fn all_ended(&self, ids: &[String]) -> Vec<Value> {
        let mut ended = Vec::with_capacity(ids.len());
        for some in ids.chunks(100) {
            ended.extend(join_all(some.iter().map(|id| self.ended(id))).await);
        }
        ended
    }

    /// Each effect was seen once, but for those that are recorded as unknown; and what has ended has been run as often as it says.
    async fn check(&self, ended: &[Value]) {
        let copies = self.smtp.copies();
        assert!(copies.values().all(|&copies| copies == 1), "somebody got a mail twice: {copies:?}");
        let mut by_status: BTreeMap<String, usize> = BTreeMap::new();
        for task in ended {
            *by_status.entry(task["status"].to_string()).or_default() += 1;
            match task["status"].as_str().unwrap() {
                "SUCCESS" => {
                    let recipient = &task["result"]["recipient_email"];
                    assert!(recipient.as_str().is_none_or(|to| copies.contains_key(to)), "nobody got it: {task}");
                }
                _ => assert_eq!(task["error"]["type"], "MailOutcomeUnknown", "{task}"),
            }
            if task["attempts"].as_i64().unwrap() > 1 {
                self.check_attempts(task).await;
            }
        }
        assert!(by_status["\"SUCCESS\""] * 100 >= ended.len() * 95, "{by_status:?}");
    }

    /// No attempt started after the end.
    async fn check_attempts(&self, task: &Value) {
        let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let detail = self.get(&format!("/tasks/{}", task["task_id"].as_str().unwrap())).await;
        for attempt in detail["attempt_log"].as_array().unwrap() {
            assert!(time(&attempt["started_at"]) <= time(&task["ended_at"]), "{detail}");
        }
    }
}

/// So many tasks, one in ten a mail to somebody of its own, and one in ten a short sleep.
fn mixed(from: usize, count: usize) -> Vec<Value> {
    let task = |number: usize| match number % 10 {
        0 => json!({
            "kind": "email.send",
            "args": { "recipient_email": format!("user{number}@example.org"), "subject": "Hello", "text": "Hello" },
        }),
        1 => json!({ "kind": "system.sleep", "args": { "seconds": 0.2 } }),
        _ => json!({ "kind": "system.echo", "args": { "number": number } }),
    };
    (from..from + count).map(task).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_nothing_and_mail_nobody_twice() {
    in_database(|database| async move {
        let mut cluster = Cluster::start(database, 3).await;
        let mut ids = cluster.submit(mixed(0, 500)).await;
        ids.extend(cluster.submit(mixed(500, 500)).await);
        for victim_after in [100, 300] {
            cluster.ended(&ids[victim_after]).await;
            cluster.workers.remove(0).kill().await;
            cluster.start_worker(10).await;
        }
        let ended = cluster.all_ended(&ids).await;
        assert_eq!(ended.len(), 1_000);
        cluster.check(&ended).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_comes_back_empty_and_is_flushed_loses_nothing() {
    in_database(|database| async move {
        let mut cluster = Cluster::start(database, 2).await;
        let mut ids = cluster.submit(mixed(0, 400)).await;
        cluster.ended(&ids[100]).await;
        cluster.redis.kill();
        ids.extend(cluster.submit(mixed(400, 200)).await);
        cluster.ended(&ids[500]).await;
        cluster.redis.restart();
        ids.extend(cluster.submit(mixed(600, 300)).await);
        let _flushed: () = redis::cmd("FLUSHALL").query_async(&mut cluster.redis.connection().await).await.unwrap();
        ids.extend(cluster.submit(mixed(900, 100)).await);
        let ended = cluster.all_ended(&ids).await;
        assert_eq!(ended.len(), 1_000);
        cluster.check(&ended).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_told_to_end_releases_what_runs_and_exits_with_0() {
    in_database(|database| async move {
        let mut cluster = Cluster::start(database, 1).await;
        let ids = cluster.submit((0..5).map(|_| json!({ "kind": "system.sleep", "args": { "seconds": 2 } })).collect()).await;
        let quick = cluster.submit(mixed(2, 1)).await;
        cluster.ended(&quick[0]).await;
        let first = cluster.workers.remove(0);
        let status = first.end().await;
        assert_eq!(status.code(), Some(0));
        assert_eq!(cluster.get("/tasks/workers").await["total_workers"], 0);
        for id in &ids {
            let task = cluster.get(&format!("/tasks/status/{id}")).await;
            assert_eq!((&task["status"], &task["retries"]), (&json!("PENDING"), &json!(0)), "{task}");
        }
        cluster.start_worker(10).await;
        for task in cluster.all_ended(&ids).await {
            assert_eq!((&task["status"], &task["retries"]), (&json!("SUCCESS"), &json!(0)), "{task}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_process_that_is_killed_goes_on_where_it_was() {
    let folder = tempfile::TempDir::new().unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let vars = [
        ("DATA_DIR", folder.path().to_str().unwrap().to_owned()),
        ("JWT_SECRET", "a-secret-of-the-fault-tests-long-enough".to_owned()),
        ("LISTEN", listen.clone()),
    ];
    drop(rustls::crypto::ring::default_provider().install_default());
    let (client, api) = (reqwest::Client::builder().no_proxy().build().unwrap(), format!("http://{listen}/api/v1"));
    let token = output_of(&["token", "create", "--subject", "ann", "--scope", "admin"], &vars).await;
    let mut process = Process::start(&["serve"], &vars);
    process.said("is up").await;
    let sleep = json!({ "kind": "system.sleep", "args": { "seconds": 1 } });
    let call = client.post(format!("{api}/tasks")).bearer_auth(&token).json(&sleep);
    let task: Value = call.send().await.unwrap().json().await.unwrap();
    process.kill().await;
    let mut process = Process::start(&["serve"], &vars);
    process.said("is up").await;
    let path = format!("{api}/tasks/status/{}?wait=30", task["task_id"].as_str().unwrap());
    let status: Value = client.get(path).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(status["status"], "SUCCESS", "{status}");
    assert_eq!(process.end().await.code(), Some(0));
}
