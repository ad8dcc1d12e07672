//! A web server that gives the answers it was told, one a connection, and remembers what it was asked.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

use std::sync::Arc;

/// An answer of HTTP/1.1; `headers` are whole lines.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// A request as it came.
pub struct Request {
    /// Its first line.
    pub line: String,
    /// Its body.
    pub body: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The server; it ends with the test.
pub struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    gate: Arc<Mutex<()>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// Listens on a free port of the loopback address.
    pub async fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(())));
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let serving = tokio::spawn(serve(listener, answers, requests.clone(), gate.clone()));
        Self { port, requests, gate, serving }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Keeps it from closing a connection after an answer.
    pub fn hold(&self) -> OwnedMutexGuard<()> {
        self.gate.clone().try_lock_owned().unwrap()
    }

    /// What it was asked, in order. Every request is remembered before it is answered.
    pub async fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().await)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, answers: Vec<String>, requests: Arc<Mutex<Vec<Request>>>, gate: Arc<Mutex<()>>) {
    for answer in answers {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        requests.lock().await.push(read_request(&mut stream).await);
        // A client that has read enough hangs up; that is its right.
        if stream.write_all(answer.as_bytes()).await.is_ok() {
            drop(gate.lock().await);
        }
    }
    std::future::pending::<()>().await;
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Request {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.remove(0);
    let headers: Vec<(String, String)> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    Request { line, body: String::from_utf8(body).unwrap(), headers }
}
