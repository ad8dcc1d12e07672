//! `legwork import celery-beat`: the tables that django-celery-beat makes, in both databases, become schedules of a running server.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use crate::support::postgres::{drop_schema, fresh_schema, observer, url};
use crate::support::process::{Process, output_of, run};
use crate::support::redis_server::free_port;

const ROWS: &str = include_str!("imports/rows.sql");

fn rows(truths: [&str; 2], offset: &str) -> String {
    ROWS.replace("{true}", truths[0]).replace("{false}", truths[1]).replace("{z}", offset)
}

/// An embedded server, and the environment of commands on its machine.
struct Served {
    vars: Vec<(&'static str, String)>,
    process: Process,
    folder: TempDir,
}

impl Served {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").to_str().unwrap().to_owned();
        let vars = vec![("DATA_DIR", data), ("LISTEN", format!("127.0.0.1:{}", free_port()))];
        let mut process = Process::start(&["serve"], &vars);
        process.said("is up").await;
        Self { vars, process, folder }
    }

    /// The exit code of an import, and its report.
    async fn import(&self, database: &str, words: &[&str]) -> (i32, Value) {
        let map = ["--map", "shop.tasks.dusk=system.echo"];
        let words = [&["import", "celery-beat", "--database", database][..], &map, words, &["--format", "json"]].concat();
        let output = run(&words, &self.vars).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"));
        (output.status.code().unwrap(), report)
    }

    /// The exit code of an import that cannot begin, and what it says.
    async fn refused(&self, database: &str, words: &[&str]) -> (i32, String) {
        let output = run(&[&["import", "celery-beat", "--database", database][..], words].concat(), &self.vars).await;
        assert!(output.stdout.is_empty());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    async fn schedule(&self, name: &str) -> Value {
        serde_json::from_str(&output_of(&["schedule", "show", name, "--format", "json"], &self.vars).await).unwrap()
    }
}

fn outcome<'r>(report: &'r Value, name: &str) -> (&'r str, String) {
    let items = report["items"].as_array().unwrap();
    let line = items.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("{name}: {report:#}"));
    (line["outcome"].as_str().unwrap(), line["reasons"].to_string())
}

async fn the_periodic_tasks_become_schedules(served: &Served, database: &str) {
    for (words, done) in [(&["--dry-run"][..], "would add"), (&[], "added"), (&[], "exists"), (&["--dry-run"], "exists")] {
        let (code, report) = served.import(database, words).await;
        assert_eq!(code, 1, "some are not imported: {report:#}");
        for name in ["Echo on weekdays", "Health", "Dusk", "Once"] {
            assert_eq!(outcome(&report, name).0, done, "{name}: {report:#}");
        }
        assert_eq!(outcome(&report, "celery.backend_cleanup").0, "not needed");
        for (name, words) in [
            ("Friday the 13th", "by hand"),
            ("Positional", "[1]"),
            ("Refused", "seconds"),
            ("Unknown", "--map shop.tasks.nobody=KIND"),
        ] {
            let (outcome, reasons) = outcome(&report, name);
            assert_eq!(outcome, "not imported", "{name}");
            assert!(reasons.contains(words), "{name}: {reasons}");
        }
        assert_eq!((&report["not_imported"], &report[done.replace(' ', "_")]), (&json!(4), &json!(4)), "{report:#}");
    }
    let echo = served.schedule("Echo on weekdays").await;
    for (field, value) in [
        ("kind", json!("system.echo")),
        ("crontab", json!("30 9 * * mon-fri")),
        ("timezone", json!("Africa/Accra")),
        ("args", json!({ "a": { "b": [1, null] } })),
        ("queue", json!("heavy")),
        ("priority", json!(3)),
        ("expires", json!(600)),
        ("enabled", json!(true)),
        ("description", json!("On weekdays")),
    ] {
        assert_eq!(echo[field], value, "{field}: {echo:#}");
    }
    let health = served.schedule("Health").await;
    assert_eq!(health["kind"], "au-vlp.system_health_check", "the pack names the Celery task");
    let next = health["next_runs"][0]["nominal"].as_str().unwrap();
    assert!(next.ends_with("3:00Z"), "the phase of the last run is kept: {next}");
    let dusk = served.schedule("Dusk").await;
    assert_eq!(
        (&dusk["solar"]["event"], &dusk["solar"]["latitude"], &dusk["enabled"]),
        (&json!("dusk"), &json!(5.6037), &json!(false))
    );
    let once = served.schedule("Once").await;
    assert_eq!((&once["one_off"], &once["next_runs"][0]["nominal"]), (&json!(true), &json!("2099-01-01T09:00:00Z")));
}

async fn make_sqlite(path: &Path, script: &str) -> String {
    let url = format!("sqlite:{}", path.display());
    let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    connection.execute(AssertSqlSafe(script.to_owned())).await.unwrap();
    connection.close().await.unwrap();
    url
}

#[tokio::test]
async fn the_periodic_tasks_of_a_sqlite_database_become_schedules() {
    let served = Served::start().await;
    let script = [include_str!("imports/sqlite.sql"), &rows(["1", "0"], "")].concat();
    let database = make_sqlite(&served.folder.path().join("db.sqlite3"), &script).await;
    the_periodic_tasks_become_schedules(&served, &database).await;
    assert!(served.process.end().await.success());
}

#[tokio::test]
async fn the_periodic_tasks_of_a_postgres_database_become_schedules() {
    let served = Served::start().await;
    let schema = fresh_schema();
    let mut connection = observer(&schema).await;
    let script = [include_str!("imports/postgres.sql"), &rows(["true", "false"], "+00")].concat();
    connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.unwrap();
    the_periodic_tasks_become_schedules(&served, &format!("{}?options=-csearch_path%3D{schema}", url())).await;
    drop_schema(&schema).await;
    assert!(served.process.end().await.success());
}

#[tokio::test]
async fn a_database_that_cannot_be_read_is_told_without_its_password() {
    let served = Served::start().await;
    let folder = served.folder.path();
    let empty = make_sqlite(&folder.join("empty.db"), "CREATE TABLE other (id INTEGER)").await;
    let old = include_str!("imports/sqlite.sql").replace(", \"crontab_id\" integer NULL", ", \"crontab_no\" integer NULL");
    let old = make_sqlite(&folder.join("old.db"), &old).await;
    std::fs::write(folder.join("text.db"), "this is a text, and it is long enough to be looked at as a database".repeat(20))
        .unwrap();
    let in_folder = |name: &str| format!("sqlite:{}", folder.join(name).display());
    let elsewhere = format!("postgres://ann:s3cret@127.0.0.1:{}/shop", free_port());
    for (database, code, words) in [
        ("mysql://ann:s3cret@localhost/shop", 2, "must be postgres://user:password@host/database or sqlite:path"),
        ("postgres://ann:s3cret@localhost:99999/shop", 2, "must be postgres://"),
        ("sqlite:", 2, "must be postgres://"),
        (elsewhere.as_str(), 1, "cannot be read"),
        (&in_folder("missing.db"), 1, "unable to open database file"),
        (&in_folder("text.db"), 1, "not a database"),
        (&empty, 1, "django_celery_beat_periodictask"),
        (&old, 1, "no column crontab_id"),
    ] {
        let (found, said) = served.refused(database, &[]).await;
        assert_eq!(found, code, "{database}: {said}");
        assert!(said.contains(words) && !said.contains("s3cret"), "{database}: {said}");
    }
    let (code, said) = served.refused(&empty, &["--map", "a.b=no.kind"]).await;
    assert!(code == 2 && said.contains("no kind \"no.kind\""), "{said}");
    let (code, said) = served.refused(&empty, &["--map", "a.b"]).await;
    assert!(code == 2 && said.contains("shop.tasks.send_invoices=shop.send_invoices"), "{said}");
    assert!(served.process.end().await.success());
}
