//! Runs the commands of pages as a reader would: in one shell a page, in the folder of an embedded server.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::page::{Block, Page};
use crate::support::process::{Process, output_of};
use crate::support::redis_server::free_port;

/// The server of the documents, which the test replaces by its own.
const DOCUMENTED: &str = "127.0.0.1:8000";
/// Stands before the output of each block.
const MARK: char = '\u{1e}';
/// Longer than any page takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs pages one after the other on one server.
pub async fn pages(pages: &[Page]) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut server = Process::start(&["serve"], &[("LISTEN", address.clone())]);
    server.said("is up").await;
    let vars = [("LISTEN", address.clone()), ("DATA_DIR", server.folder().join("data").to_str().unwrap().to_owned())];
    let token = output_of(&["token", "create", "--subject", "reader", "--scope", "admin"], &vars).await;
    let reader = Reader { folder: server.folder().to_owned(), address, token };
    for page in pages {
        reader.read(page).await;
    }
    assert!(server.end().await.success());
}

/// Somebody who has started the server and has a token.
struct Reader {
    folder: std::path::PathBuf,
    address: String,
    token: String,
}

impl Reader {
    async fn read(&self, page: &Page) {
        let outputs = self.run(page).await;
        let mut outputs = outputs.iter();
        let mut last = "";
        for block in &page.blocks {
            match block {
                Block::Commands { .. } => last = outputs.next().map_or("", String::as_str),
                Block::Answer { line, value, is_result } => {
                    let place = format!("{}:{line}", page.path);
                    let answer =
                        last_json(last).unwrap_or_else(|| panic!("{place}: the commands before it print no JSON:\n{last}"));
                    let answer = if *is_result { self.result(&answer, &place).await } else { answer };
                    compare(value, &answer, *is_result, &place, "");
                }
                Block::File { .. } | Block::Shown => {}
            }
        }
    }

    /// What each block of commands printed.
    async fn run(&self, page: &Page) -> Vec<String> {
        let program = Path::new(env!("CARGO_BIN_EXE_legwork"));
        let mut script = format!("set -euo pipefail\nexport PATH='{}':\"$PATH\"\n", program.parent().unwrap().display());
        let mut lines = Vec::new();
        for block in &page.blocks {
            match block {
                Block::Commands { line, text } => {
                    script.extend(["printf '", &MARK.to_string(), "'\n", &text.replace(DOCUMENTED, &self.address)]);
                    lines.push(*line);
                }
                Block::File { name, text } => std::fs::write(self.folder.join(name), text).unwrap(),
                Block::Answer { .. } | Block::Shown => {}
            }
        }
        let mut shell = Command::new("bash");
        for setting in legwork::config::SETTINGS {
            shell.env_remove(setting.name);
        }
        shell.args(["-c", &script]).current_dir(&self.folder).stdin(Stdio::null()).kill_on_drop(true);
        shell.env("LISTEN", &self.address).env("TOKEN", &self.token);
        let output = tokio::time::timeout(PATIENCE, shell.output()).await.expect("the page's commands end").unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let outputs: Vec<String> = printed.split(MARK).skip(1).map(str::to_owned).collect();
        let line = outputs.len().checked_sub(1).map_or(0, |last| lines[last]);
        assert!(
            output.status.success(),
            "{}:{line}: this block fails ({}):\n{}\n{}",
            page.path,
            output.status,
            outputs.last().map_or("", String::as_str),
            String::from_utf8_lossy(&output.stderr)
        );
        outputs
    }

    /// The result of the task that was submitted.
    async fn result(&self, submitted: &Value, place: &str) -> Value {
        let path = submitted["status_url"].as_str().unwrap_or_else(|| panic!("{place}: no submission: {submitted}"));
        let url = format!("http://{}{path}?wait=30", self.address);
        let bearer = format!("Authorization: Bearer {}", self.token);
        let answer =
            Command::new("curl").args(["--silent", "--noproxy", "*", "--header", &bearer, &url]).output().await.unwrap().stdout;
        let status: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(status["status"], "SUCCESS", "{place}: {status:#}");
        status["result"].clone()
    }
}

/// The last JSON object of an output, which may begin in the middle of a line.
fn last_json(output: &str) -> Option<Value> {
    let mut starts = output.match_indices('{').map(|(at, _)| at);
    starts.find_map(|at| serde_json::from_str(output[at..].trim()).ok())
}

/// Fields whose value is a word of the API, so that the documented one must be the real one.
const WORDS: [&str; 8] = ["status", "success", "ready", "successful", "code", "outcome", "healthy", "format"];

/// Whether a documented value must be the real one. `success` is also the name of a count, and a count differs from run to run.
fn is_word(name: &str, value: &Value) -> bool {
    WORDS.contains(&name) && !(name == "success" && value.is_number())
}

/// An answer has all documented fields, of the documented types. A result has no others. What is documented as null or `{}` stands for anything.
fn compare(documented: &Value, actual: &Value, is_whole: bool, place: &str, pointer: &str) {
    match (documented, actual) {
        (Value::Null, _) => {}
        (Value::Object(fields), Value::Object(real)) => {
            for (name, value) in fields {
                let pointer = format!("{pointer}/{name}");
                let found = real.get(name).unwrap_or_else(|| panic!("{place}: the answer has no {pointer}: {actual:#}"));
                compare(value, found, is_whole, place, &pointer);
                assert!(!is_word(name, value) || value == found, "{place}: {pointer} is {found}, not {value}");
            }
            let undocumented: Vec<&String> = real.keys().filter(|name| !fields.contains_key(*name)).collect();
            assert!(
                !is_whole || fields.is_empty() || undocumented.is_empty(),
                "{place}: {pointer}: not documented: {undocumented:?}"
            );
        }
        (Value::Array(items), Value::Array(real)) => {
            assert!(items.is_empty() || !real.is_empty(), "{place}: {pointer} is empty");
            for (index, (item, real)) in items.iter().zip(real).enumerate() {
                compare(item, real, is_whole, place, &format!("{pointer}/{index}"));
            }
        }
        _ => {
            let is_alike = std::mem::discriminant(documented) == std::mem::discriminant(actual);
            assert!(is_alike, "{place}: {pointer} is {actual}, which is of another type than {documented}");
        }
    }
}
