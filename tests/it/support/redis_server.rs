//! Redis servers of a test's own, to be killed, frozen and started again.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running `redis-server` on a port of its own, without a file: a restart finds it empty. Killed when dropped.
pub struct RedisServer {
    pub port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    child: Child,
    log: Option<BufReader<ChildStdout>>,
}

impl RedisServer {
    /// Starts one, with more arguments.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(TempDir::new().unwrap(), free_port(), &|_, port| {
            let own = ["--port".to_owned(), port.to_string()];
            own.into_iter().chain(arguments.iter().map(|&argument| argument.to_owned())).collect()
        })
    }

    /// Starts one with the arguments that `arguments` makes of its folder and its port.
    pub fn start_with(arguments: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        Self::start_in(TempDir::new().unwrap(), free_port(), &arguments)
    }

    fn start_in(folder: TempDir, port: u16, arguments: &dyn Fn(&Path, u16) -> Vec<String>) -> Self {
        let arguments = arguments(folder.path(), port);
        let (child, log) = spawn(folder.path(), &arguments);
        Self { port, folder, arguments, child, log: Some(log) }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on its port.
    pub fn restart(&mut self) {
        let (child, log) = spawn(self.folder.path(), &self.arguments);
        self.child = child;
        self.log = Some(log);
    }

    /// It answers nothing until it is thawed; its connections stay open.
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Resolves when it logs a line that contains `text`.
    pub async fn logged(&mut self, text: &str) {
        let (mut log, text) = (self.log.take().unwrap(), text.to_owned());
        let log = tokio::task::spawn_blocking(move || {
            read_until(&mut log, &text);
            log
        });
        self.log = Some(log.await.unwrap());
    }

    /// A plain connection, to look at the server and to harm it.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been killed by the test.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on at present.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(folder: &Path, arguments: &[String]) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new("redis-server")
        .args(arguments)
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--enable-debug-command", "yes"])
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server must be installed for the tests, as scripts/test does");
    let mut log = BufReader::new(child.stdout.take().unwrap());
    // A sentinel has no such line; it tells its id when it has bound its port.
    read_until(
        &mut log,
        if arguments.iter().any(|one| one == "--sentinel") { "Sentinel ID is" } else { "Ready to accept connections" },
    );
    (child, log)
}

fn read_until(log: &mut impl BufRead, text: &str) {
    let mut actual = String::new();
    loop {
        let at = actual.len();
        assert!(log.read_line(&mut actual).unwrap() > 0, "the server ended before it said {text:?}: {actual}");
        if actual[at..].contains(text) {
            return;
        }
    }
}
