//! A child process, as its parent sees it.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::IsolateError;
use super::frame::{self, Answer};
use crate::IsolateConfig;

/// Time that a child has for ending after it has closed its output.
const LAST_GRACE: Duration = Duration::from_secs(2);
/// So much of its last words is read.
const LAST_WORDS_BYTES: u64 = 4 << 10;
/// The start of Rust's message when memory runs out.
const OUT_OF_MEMORY: &str = "memory allocation of";
/// The allocator would reserve a gigabyte ahead, which counts against the limit; and it would give back after each image what the next one
/// needs again.
const ALLOCATOR: [(&str, &str); 2] = [("MIMALLOC_ARENA_EAGER_COMMIT", "0"), ("MIMALLOC_PURGE_DELAY", "-1")];

/// A child that is kept; dropped, it is killed.
pub(super) struct Process {
    child: Option<Child>,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    id: u32,
    alive: Arc<watch::Sender<Vec<u32>>>,
    turn: Option<OwnedSemaphorePermit>,
    /// Number of requests that this child has answered.
    pub(super) served: u32,
}

impl Process {
    pub(super) fn start(config: &IsolateConfig, alive: Arc<watch::Sender<Vec<u32>>>) -> Result<Self, IsolateError> {
        let failed = |error: io::Error| IsolateError::Unavailable { reason: format!("{}: {error}", config.program.display()) };
        let mut command = Command::new(&config.program);
        command.arg0("legwork").arg("child").arg(config.max_memory.to_string());
        command.env_clear().envs(ALLOCATOR).kill_on_drop(true);
        // An interrupt at the terminal is for us: what runs may finish.
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take(), child.id());
        let (Some(stdin), Some(stdout), Some(stderr), Some(id)) = pipes else {
            return Err(failed(io::Error::other("it ended at once")));
        };
        alive.send_modify(|ids| ids.push(id));
        Ok(Self { child: Some(child), stdin, stdout, stderr, id, alive, turn: None, served: 0 })
    }

    /// Takes the turn that it works in; given back by [`Process::let_go`], or once it has really ended.
    pub(super) fn hold(&mut self, turn: OwnedSemaphorePermit) {
        self.turn = Some(turn);
    }

    pub(super) fn let_go(&mut self) {
        self.turn = None;
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Sends one request and reads its answer. After an error the child must not be used again.
    pub(super) async fn call(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.served += 1;
        self.stdin.write_all(&frame::prefix(request)?).await?;
        self.stdin.write_all(request).await?;
        self.stdin.flush().await?;
        let mut length = [0; 4];
        self.stdout.read_exact(&mut length).await?;
        let mut bytes = vec![0; frame::checked(length)?];
        self.stdout.read_exact(&mut bytes).await?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }

    /// Waits for the child to end and finds out why it did not answer.
    pub(super) async fn autopsy(mut self, reason: io::Error, config: &IsolateConfig) -> IsolateError {
        let Some(mut child) = self.child.take() else { return IsolateError::Died { how: reason.to_string() } };
        let ended = tokio::time::timeout(LAST_GRACE, child.wait()).await;
        self.child = Some(child);
        let Ok(Ok(status)) = ended else { return IsolateError::Died { how: format!("it does not answer: {reason}") } };
        let mut words = Vec::new();
        let mut stderr = (&mut self.stderr).take(LAST_WORDS_BYTES);
        if !matches!(tokio::time::timeout(LAST_GRACE, stderr.read_to_end(&mut words)).await, Ok(Ok(_))) {
            words.clear();
        }
        diagnose(status, &String::from_utf8_lossy(&words), config)
    }
}

/// Derives the error from the exit status and the error output of a child that did not answer.
fn diagnose(status: ExitStatus, words: &str, config: &IsolateConfig) -> IsolateError {
    use rustix::process::Signal;
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let how = if last.is_empty() { status.to_string() } else { format!("{status}: {last}") };
    if words.contains(OUT_OF_MEMORY) {
        return IsolateError::OutOfMemory { limit_mib: config.max_memory >> 20 };
    }
    let Some(signal) = status.signal() else {
        return if status.success() { IsolateError::Killed { how } } else { IsolateError::Died { how } };
    };
    let is = |known: Signal| known.as_raw() == signal;
    if is(Signal::XCPU) {
        return IsolateError::TimeLimit { limit: config.time_limit };
    }
    if [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT].into_iter().any(is) {
        return IsolateError::Killed { how };
    }
    IsolateError::Died { how }
}

impl Drop for Process {
    /// Kills it, and waits for its end elsewhere: until then its turn is taken and it counts as alive.
    fn drop(&mut self) {
        let (id, alive, turn) = (self.id, self.alive.clone(), self.turn.take());
        let forget = move || {
            alive.send_modify(|ids| ids.retain(|known| *known != id));
            drop(turn);
        };
        let Some(mut child) = self.child.take() else { return forget() };
        if let Err(error) = child.start_kill() {
            tracing::debug!(%error, "a child could not be killed: it has ended");
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return forget() };
        runtime.spawn(async move {
            if let Err(error) = child.wait().await {
                tracing::debug!(%error, "the end of a child could not be awaited");
            }
            forget();
        });
    }
}
