//! The commands that go through the API, against a server that runs: what they print, and how they end.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::{Process, ended, output_of};
use crate::support::redis_server::free_port;

/// An embedded server, and the environment of commands on its machine.
struct Served {
    vars: Vec<(&'static str, String)>,
    process: Process,
    _folder: TempDir,
}

impl Served {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vars = vec![
            ("DATA_DIR", folder.path().to_str().unwrap().to_owned()),
            ("LISTEN", format!("127.0.0.1:{}", free_port())),
            ("WORKER_NAME", "here".to_owned()),
        ];
        let mut process = Process::start(&["serve"], &vars);
        process.said("is up").await;
        Self { vars, process, _folder: folder }
    }

    async fn json(&self, words: &[&str]) -> Value {
        let words = [words, &["--format", "json"]].concat();
        serde_json::from_str(&output_of(&words, &self.vars).await).unwrap()
    }

    async fn says(&self, words: &[&str]) -> String {
        output_of(words, &self.vars).await
    }

    /// The exit code, and what it said on standard error.
    async fn fails(&self, words: &[&str]) -> (i32, String) {
        ended(words, &self.vars).await
    }
}

#[tokio::test]
async fn a_task_is_submitted_watched_revoked_and_retried() {
    let served = Served::start().await;
    let done = served.json(&["submit", "system.echo", "--arg", "hello=world", "--wait", "30"]).await;
    assert_eq!((&done["status"], &done["result"]["hello"]), (&json!("SUCCESS"), &json!("world")));
    let id = done["task_id"].as_str().unwrap();
    assert_eq!(served.json(&["status", id]).await["status"], "SUCCESS");
    assert!(served.says(&["status", id]).await.contains("SUCCESS"));

    let later = served.json(&["submit", "system.echo", "--countdown", "600"]).await;
    let later = later["task_id"].as_str().unwrap();
    served.says(&["revoke", later]).await;
    assert_eq!(served.json(&["status", later]).await["status"], "REVOKED");
    let again = served.json(&["task", "retry", later]).await;
    let again = again["task_id"].as_str().unwrap();
    assert_eq!(served.json(&["status", again, "--wait", "30"]).await["status"], "SUCCESS");

    let unknown = "019a8f6e-7c1b-7c3e-9b1a-2f6d1c0a4e55";
    assert_eq!(served.fails(&["status", unknown]).await.0, 3);
    assert_eq!(served.fails(&["revoke", id]).await.0, 1, "it has ended");
    let (code, said) = served.fails(&["submit", "system.sleep", "--arg", "seconds=long"]).await;
    assert!(code == 2 && said.contains("seconds"), "{said}");
    assert!(served.process.end().await.success());
}

#[tokio::test]
async fn who_sends_all_of_too_large_a_body_before_reading_gets_the_answer() {
    let served = Served::start().await;
    let address = &served.vars.iter().find(|(name, _)| *name == "LISTEN").unwrap().1;
    let token = served.says(&["token", "create", "--subject", "ann", "--scope", "tasks:submit"]).await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    let body = vec![b' '; 16 << 20];
    let head = format!(
        "POST /api/v1/tasks HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        token.trim(),
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&body).await.unwrap();
    let mut start = [0; 12];
    connection.read_exact(&mut start).await.unwrap();
    assert_eq!(std::str::from_utf8(&start).unwrap(), "HTTP/1.1 413");
}

#[tokio::test]
async fn queues_and_workers_are_steered() {
    let served = Served::start().await;
    assert_eq!(served.json(&["queue", "pause", "default"]).await["paused"], true);
    let task = served.json(&["submit", "system.echo"]).await;
    let id = task["task_id"].as_str().unwrap();
    assert_eq!(served.json(&["status", id]).await["status"], "PENDING");
    assert!(served.says(&["queue", "list"]).await.contains("default"));
    assert_eq!(served.json(&["queue", "resume", "default"]).await["paused"], false);
    assert_eq!(served.json(&["queue", "limit", "default", "5"]).await["concurrency"], 5);
    assert_eq!(served.json(&["queue", "limit", "default", "off"]).await["concurrency"], Value::Null);
    assert_eq!(served.json(&["status", id, "--wait", "30"]).await["status"], "SUCCESS");

    assert!(served.says(&["worker", "list"]).await.contains("here"));
    served.says(&["worker", "drain", "here"]).await;
    let waiting = served.json(&["submit", "system.echo"]).await;
    assert_eq!(served.json(&["queue", "purge", "default"]).await["purged"], 1, "{waiting}");
    assert_eq!(served.fails(&["worker", "drain", "elsewhere"]).await.0, 3);
    assert!(served.process.end().await.success());
}

#[tokio::test]
async fn suppressions_and_files_are_kept() {
    let served = Served::start().await;
    let added = served.json(&["suppression", "add", "ann@example.org", "bob@example.org", "--detail", "asked"]).await;
    assert_eq!(added["added"], 2);
    served.says(&["suppression", "remove", "ann@example.org"]).await;
    let listed = served.json(&["suppression", "list"]).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["address"], "bob@example.org");
    assert_eq!(served.fails(&["suppression", "remove", "ann@example.org"]).await.0, 3);

    let exported = served
        .json(&["submit", "data.export", "--args", r#"{"model_name":"user","fields":["id","email"]}"#, "--wait", "30"])
        .await;
    let path = exported["result"]["file_path"].as_str().unwrap_or_else(|| panic!("{exported}"));
    let (code, said) = served.fails(&["file", "remove", "exports/none.csv", path]).await;
    assert!(code == 3 && said.contains("exports/none.csv"), "{said}");
    let (code, said) = served.fails(&["file", "remove", path]).await;
    assert!(code == 3 && said.contains(path), "{said}");
    assert!(served.process.end().await.success());
}

#[tokio::test]
async fn tasks_are_listed_shown_watched_and_changed() {
    let served = Served::start().await;
    let done = served.json(&["task", "submit", "system.echo", "--arg", "hello=world", "--wait", "30s"]).await;
    let done = done["task_id"].as_str().unwrap();
    assert!(served.says(&["task", "show", done]).await.contains("success"), "the table of attempts");
    assert_eq!(served.json(&["task", "show", done]).await["args"]["hello"], "world");
    let events = served.says(&["task", "events", done, "--format", "json"]).await;
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["data"]["status"]), (&json!("status"), &json!("SUCCESS")));
    assert!(served.says(&["task", "events", done]).await.starts_with("SUCCESS"));

    let later = served.json(&["task", "submit", "system.echo", "--countdown", "1h", "--time-limit", "5s"]).await;
    let later = later["task_id"].as_str().unwrap();
    let changed = served.json(&["task", "change", later, "--priority", "9", "--queue", "heavy"]).await;
    assert_eq!((&changed["priority"], &changed["queue"]), (&json!(9), &json!("heavy")));
    assert_eq!(served.fails(&["task", "change", later]).await.0, 2, "nothing to change");
    assert_eq!(served.json(&["task", "show", later]).await["time_limit"], 5.0);

    let waiting = served.json(&["task", "list", "--status", "PENDING", "--queue", "heavy"]).await;
    assert_eq!(waiting["items"][0]["task_id"], later);
    assert!(served.says(&["task", "list"]).await.contains("SUBMITTED AT"));
    assert_eq!(served.json(&["task", "list", "--limit", "1"]).await["items"].as_array().unwrap().len(), 1);

    let bulk = r#"{"phone_numbers": ["+233244123456", "nobody"], "message": "We open at 9."}"#;
    let bulk = served.json(&["submit", "sms.bulk", "--args", bulk, "--wait", "30s"]).await;
    let rejected = served.json(&["task", "recipients", bulk["task_id"].as_str().unwrap(), "--outcome", "rejected"]).await;
    assert_eq!(rejected["items"][0]["recipient"], "nobody");
    assert!(served.process.end().await.success());
}

#[tokio::test]
async fn kinds_are_listed_and_shown() {
    let served = Served::start().await;
    assert!(served.says(&["kind", "list"]).await.contains("email.send"));
    let shown = served.says(&["kind", "show", "email.send"]).await;
    assert!(shown.contains("recipient_email") && shown.contains("OnUnknown"), "{shown}");
    assert_eq!(served.json(&["kind", "show", "email.send"]).await["kind"], "email.send");
    assert_eq!(served.fails(&["kind", "show", "email.nobody"]).await.0, 3);
    assert!(served.process.end().await.success());
}

#[tokio::test]
async fn an_image_is_uploaded_downloaded_and_removed() {
    let served = Served::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [fetched, again] = ["a \"b\".jpg", "c.jpg"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let saved = served.json(&["file", "download", "uploads/image.jpg", "--output", &fetched]).await;
    let size = std::fs::metadata(&fetched).unwrap().len();
    assert_eq!(saved["bytes"], size);
    let stored = served.json(&["file", "upload", &fetched]).await;
    assert_eq!(stored["size"], size);
    let path = stored["file_path"].as_str().unwrap();
    served.says(&["file", "download", path, "-o", &again]).await;
    assert!(std::fs::read(&fetched).unwrap() == std::fs::read(&again).unwrap());
    served.says(&["file", "remove", path]).await;
    assert_eq!(served.fails(&["file", "download", path, "-o", &again]).await.0, 3);
    assert_eq!(served.fails(&["file", "upload", "/nowhere.jpg"]).await.0, 1);
    assert!(served.process.end().await.success());
}

#[tokio::test]
async fn url_and_token_have_precedence_over_the_environment() {
    let mut served = Served::start().await;
    let token = served.says(&["token", "create", "--subject", "ann", "--scope", "tasks:submit"]).await;
    let url = format!("http://{}", served.vars.iter().find(|(name, _)| *name == "LISTEN").unwrap().1);
    served.vars = vec![("LEGWORK_URL", "http://127.0.0.1:1".into()), ("LEGWORK_TOKEN", "none".into())];
    let to = ["--url", &url, "--token", &token];
    served.json(&[&["submit", "system.echo"][..], &to].concat()).await;
    let (code, said) = served.fails(&[&["queue", "list", "--format", "json"][..], &to].concat()).await;
    let error: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &error["error"]["code"]), (1, &json!("scope_missing")), "{said}");
    let (code, said) = served.fails(&["submit", "system.sleep", "--format", "json", "--url", &url, "--token", &token]).await;
    let error: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &error["error"]["errors"][0]["pointer"]), (2, &json!("/args/seconds")), "{said}");
    assert!(served.process.end().await.success());
}
