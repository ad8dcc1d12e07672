//! The program as a process: started with an environment of its own, listened to, told to end, and killed.

use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::engine::PATIENCE;

/// A running `legwork`. Killed when dropped.
pub struct Process {
    child: Child,
    lines: watch::Receiver<Vec<String>>,
    folder: TempDir,
}

impl Process {
    /// Starts it with these arguments and this environment, and nothing else of either.
    pub fn start(args: &[&str], vars: &[(&str, String)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_legwork"))
            .args(args)
            .env_clear()
            .envs(vars.iter().map(|(name, value)| (*name, value.as_str())))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let (said, lines) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = out.next_line().await {
                said.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        Self { child, lines, folder }
    }

    /// The folder that it works in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Resolves when it has said a line that contains `text`.
    pub async fn said(&mut self, text: &str) {
        let heard = self.lines.wait_for(|lines| lines.iter().any(|line| line.contains(text)));
        let is_said = tokio::time::timeout(PATIENCE, heard).await.is_ok_and(|heard| heard.is_ok());
        assert!(is_said, "it never said {text:?}:\n{}", self.lines.borrow().join("\n"));
    }

    /// As `kill -9` does.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Tells it to end by SIGTERM, and waits until it has.
    pub async fn end(mut self) -> ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        tokio::time::timeout(Duration::from_mins(1), self.child.wait()).await.expect("it ended").unwrap()
    }
}

/// Runs a command to its end, and gives what it printed.
pub async fn output_of(args: &[&str], vars: &[(&str, String)]) -> String {
    let output = run(args, vars).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs a command to its end, and gives its exit code and what it said on standard error.
pub async fn ended(args: &[&str], vars: &[(&str, String)]) -> (i32, String) {
    let output = run(args, vars).await;
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Runs a command to its end.
pub async fn run(args: &[&str], vars: &[(&str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_legwork"));
    command.args(args).env_clear().envs(vars.iter().map(|(name, value)| (*name, value.as_str()))).stdin(Stdio::null());
    command.output().await.unwrap()
}
