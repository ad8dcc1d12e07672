//! A provider in the manner of Hubtel that a test can script, recipient by recipient.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::outbound::receiver::answer;

/// What the provider does with a message.
#[derive(Clone)]
pub enum Act {
    /// Takes it.
    Take,
    /// Says this, which may be nothing at all, and hangs up.
    Say(String),
    /// Says nothing, and waits.
    Silence,
}

/// The provider; it ends with the test.
pub struct Gateway {
    port: u16,
    messages: Arc<Mutex<Vec<(String, String)>>>,
    silent: watch::Receiver<usize>,
    serving: JoinHandle<()>,
}

impl Gateway {
    /// Acts by the number and how often it was asked to reach it before.
    pub async fn start(script: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let messages: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (silences, silent) = watch::channel(0);
        let (seen, script) = (messages.clone(), Arc::new(script));
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, script, silences) = (seen.clone(), script.clone(), silences.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let Some((to, text)) = read_message(&mut stream).await else { return };
                    let before = {
                        let mut seen = seen.lock();
                        let before = seen.iter().filter(|(known, _)| *known == to).count();
                        seen.push((to.clone(), text));
                        before
                    };
                    let said = match script(&to, before) {
                        Act::Take => answer("201 Created", "", &format!(r#"{{"status":0,"messageId":"id-{to}"}}"#)),
                        Act::Say(said) => said,
                        Act::Silence => {
                            silences.send_modify(|count| *count += 1);
                            return std::future::pending().await;
                        }
                    };
                    // A client that is gone is what some tests are about.
                    drop(stream.write_all(said.as_bytes()).await);
                });
            }
        });
        Self { port, messages, silent, serving }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/messages/send", self.port)
    }

    /// Waits until it keeps somebody waiting.
    pub async fn until_silent(&self) {
        self.silent.clone().wait_for(|&count| count > 0).await.unwrap();
    }

    /// What it was given, in order: number and text.
    pub fn messages(&self) -> Vec<(String, String)> {
        self.messages.lock().clone()
    }

    /// How often it was given something for each number.
    pub fn copies(&self) -> BTreeMap<String, usize> {
        let mut copies = BTreeMap::new();
        for (to, _) in self.messages.lock().iter() {
            *copies.entry(to.clone()).or_default() += 1;
        }
        copies
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn read_message(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(said) = line.strip_prefix("content-length: ") {
            length = said.parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    Some((body["To"].as_str()?.to_owned(), body["Content"].as_str()?.to_owned()))
}
