//! The signals between processes: one Pub/Sub channel, one connection that listens to it and comes back after every break.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::RedisResult;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::address::{Servers, late};
use super::link::COMMAND_DEADLINE;
use crate::broker::Signal;

/// A listener that falls behind by more loses the oldest; signals may be lost.
const KEPT_SIGNALS: usize = 4096;
/// A connection that is silent is asked whether it lives so often: a half-open one never tells.
const PING_EVERY: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What goes over the channel. `from` lets a process pass over its own: it has heard them already.
#[derive(Serialize, Deserialize)]
struct Message<S> {
    from: u64,
    payload: S,
}

/// Hears the channel, and spreads what it hears inside the process.
pub(super) struct Signals {
    from: u64,
    spread: broadcast::Sender<Arc<Signal>>,
    hearing: watch::Sender<bool>,
}

impl Signals {
    /// Creates the set of subscribers, which is empty.
    pub fn new() -> Self {
        Self { from: fastrand::u64(..), spread: broadcast::Sender::new(KEPT_SIGNALS), hearing: watch::Sender::new(false) }
    }

    /// Hears what is told from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Signal>> {
        self.spread.subscribe()
    }

    /// Tells this process, and makes the message that tells the others.
    pub fn publish_here(&self, signal: &Signal) -> Result<String, serde_json::Error> {
        self.spread_out(signal.clone());
        serde_json::to_string(&Message { from: self.from, payload: signal })
    }

    /// Resolves when the channel is listened to.
    pub async fn listening(&self) {
        let mut hearing = self.hearing.subscribe();
        // An error would say that the sender has gone; it lives in `self`.
        drop(hearing.wait_for(|&hearing| hearing).await);
    }

    /// Receives signals from `channel` until `end` is cancelled; reconnects on errors.
    pub async fn run(&self, servers: &Servers, channel: &str, end: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            let broken = tokio::select! {
                () = end.cancelled() => return,
                broken = self.listen(servers, channel) => broken,
            };
            if self.hearing.send_replace(false) {
                pause = FIRST_PAUSE;
            }
            if let Err(error) = broken {
                tracing::debug!(%error, "the signals of other processes are not heard");
            }
            if timeout(pause, end.cancelled()).await.is_ok() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn listen(&self, servers: &Servers, channel: &str) -> RedisResult<()> {
        let (mut sink, mut messages) = servers.subscriber().await?.split();
        timeout(COMMAND_DEADLINE, sink.subscribe(channel)).await.map_err(|_elapsed| late())??;
        self.hearing.send_replace(true);
        loop {
            match timeout(PING_EVERY, messages.next()).await {
                Ok(Some(message)) => self.deliver(message.get_payload_bytes()),
                Ok(None) => return Ok(()),
                Err(_silence) => {
                    let _pong: redis::Value = timeout(COMMAND_DEADLINE, sink.ping()).await.map_err(|_elapsed| late())??;
                }
            }
        }
    }

    fn deliver(&self, payload: &[u8]) {
        match serde_json::from_slice::<Message<Signal>>(payload) {
            Ok(message) if message.from == self.from => {}
            Ok(message) => self.spread_out(message.payload),
            // A newer version may tell what this one does not know.
            Err(error) => tracing::debug!(%error, "a signal is not understood"),
        }
    }

    fn spread_out(&self, signal: Signal) {
        // An error says that nobody listens.
        drop(self.spread.send(Arc::new(signal)));
    }
}
