//! The connections to the relay: at most K at once, each used for N messages, closed when nobody has used it for a while.
//!
//! A kept connection may have died since. That shows at the first step of a transaction, where trying again is safe: the mail then goes
//! over a fresh one. Nothing is tried again from the message on.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::connect::HelloName;
use super::smtp_connection::{ConnectionLost, EnvelopeReply, RefusedCopy, SmtpConnection, WireMessage};
use super::{MailError, MailOutcome, Message};
use crate::settings::SmtpConfig;

/// The roots that browsers trust.
pub(super) fn public_roots() -> Result<ClientConfig, MailError> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| MailError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

pub(super) struct Pool {
    config: SmtpConfig,
    tls: TlsConnector,
    hello: HelloName,
    /// One permit for each connection in use.
    slots: Semaphore,
    idle: Arc<IdlePool>,
}

/// The connections that nobody uses, the one used last at the back.
struct IdlePool {
    keep: Duration,
    state: Mutex<IdlePoolState>,
}

#[derive(Default)]
struct IdlePoolState {
    idle: VecDeque<(Instant, SmtpConnection)>,
    is_watched: bool,
    is_closed: bool,
}

impl Pool {
    pub(super) fn new(config: SmtpConfig, tls: Arc<ClientConfig>, keep: Duration) -> Result<Self, MailError> {
        if config.connections == 0 || config.messages_per_connection == 0 {
            return Err(MailError::Message("a pool of no connections, or of no messages over one, sends nothing".into()));
        }
        Ok(Self {
            slots: Semaphore::new(config.connections),
            config,
            tls: TlsConnector::from(tls),
            hello: HelloName::of_this_host(),
            idle: Arc::new(IdlePool { keep, state: Mutex::default() }),
        })
    }

    /// Waits for its turn and goes as far as the server's "go ahead".
    pub(super) async fn stage(&self, message: &Message) -> Result<Staged<'_>, MailOutcome> {
        let closed = || MailOutcome::NotSent { reason: "the mailer is closed".into() };
        let slot = self.slots.acquire().await.map_err(|_| closed())?;
        let wire_message = message.wire_message();
        while let Some(mut connection) = self.idle.take() {
            if connection.left() == 0 {
                connection.quit().await;
                continue;
            }
            let reply = connection.stage(&wire_message).await;
            if let Err(error) = &reply {
                tracing::debug!(%error, "a kept connection to the mail server had ended");
            } else if !connection.is_lost() {
                return self.staged(reply, connection, wire_message, slot);
            }
            // The server has closed it meanwhile, or is about to. The others may be as old: a fresh one is tried at once.
            self.idle.clear();
        }
        let mut connection = self.open(None).await.map_err(|ConnectionLost(reason)| MailOutcome::NotSent { reason })?;
        let reply = connection.stage(&wire_message).await;
        self.staged(reply, connection, wire_message, slot)
    }

    /// Derives the mail's outcome from the reply to its envelope. A connection that can be used again is kept.
    fn staged<'a>(
        &'a self,
        reply: Result<EnvelopeReply, ConnectionLost>,
        connection: SmtpConnection,
        wire_message: WireMessage,
        slot: SemaphorePermit<'a>,
    ) -> Result<Staged<'a>, MailOutcome> {
        match reply {
            Ok(EnvelopeReply::Ready { refused_copies }) => {
                Ok(Staged { pool: self, connection, wire_message, refused_copies, slot })
            }
            Ok(EnvelopeReply::Refused { outcome, .. }) => {
                self.idle.put(connection);
                Err(outcome)
            }
            Err(ConnectionLost(reason)) => Err(MailOutcome::NotSent { reason }),
        }
    }

    async fn open(&self, slot: Option<OwnedSemaphorePermit>) -> Result<SmtpConnection, ConnectionLost> {
        SmtpConnection::open(&self.config, &self.tls, &self.hello, slot).await
    }

    /// A connection of its own for many mails.
    pub(super) async fn bulk_connection(&self, slot: OwnedSemaphorePermit) -> Result<SmtpConnection, ConnectionLost> {
        self.open(Some(slot)).await
    }

    /// Opens a connection of its own, as a mail would, and ends it.
    pub(super) async fn probe(&self) -> Result<String, String> {
        let connection = self.open(None).await.map_err(|ConnectionLost(reason)| reason)?;
        connection.quit().await;
        Ok(format!("{}:{} answers", self.config.host, self.config.port))
    }

    pub(super) async fn close(&self) {
        self.slots.close();
        for connection in self.idle.close() {
            connection.quit().await;
        }
    }
}

/// A connection whose server waits for the message. Dropped, the connection ends and the server forgets the transaction.
pub(super) struct Staged<'a> {
    pool: &'a Pool,
    connection: SmtpConnection,
    wire_message: WireMessage,
    pub(super) refused_copies: Vec<RefusedCopy>,
    slot: SemaphorePermit<'a>,
}

impl Staged<'_> {
    pub(super) async fn send(mut self) -> MailOutcome {
        let outcome = self.connection.hand_over(&self.wire_message, None).await;
        self.pool.idle.put(self.connection);
        drop(self.slot);
        outcome
    }
}

impl IdlePool {
    fn take(&self) -> Option<SmtpConnection> {
        let mut state = self.state.lock();
        let (since, connection) = state.idle.pop_back()?;
        if since.elapsed() < self.keep {
            return Some(connection);
        }
        // The last one used is too old, so all are.
        state.idle.clear();
        None
    }

    /// Keeps a connection over which another mail may go. A full one is kept too, and ended in good order by the next mail.
    fn put(self: &Arc<Self>, connection: SmtpConnection) {
        let mut state = self.state.lock();
        if state.is_closed || connection.is_lost() {
            return;
        }
        state.idle.push_back((Instant::now(), connection));
        if !state.is_watched {
            state.is_watched = true;
            tokio::spawn(watch(Arc::downgrade(self), self.keep));
        }
    }

    fn clear(&self) {
        self.state.lock().idle.clear();
    }

    fn close(&self) -> Vec<SmtpConnection> {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.idle.drain(..).map(|(_, connection)| connection).collect()
    }

    /// Takes what has been idle too long, and tells when to look again; `None` once nothing is left to watch.
    fn expired(&self) -> (Vec<SmtpConnection>, Option<Instant>) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let count = state.idle.iter().take_while(|(since, _)| *since + self.keep <= now).count();
        let expired = state.idle.drain(..count).map(|(_, connection)| connection).collect();
        let next = state.idle.front().map(|(since, _)| *since + self.keep);
        state.is_watched = next.is_some();
        (expired, next)
    }
}

/// Closes idle connections until there are none; one such task at a time, only while connections are idle.
async fn watch(idle: Weak<IdlePool>, keep: Duration) {
    let mut wake = Instant::now() + keep;
    loop {
        tokio::time::sleep_until(wake).await;
        let Some(idle) = idle.upgrade() else { return };
        let (expired, next) = idle.expired();
        drop(idle);
        for connection in expired {
            connection.quit().await;
        }
        match next {
            Some(next) => wake = next,
            None => return,
        }
    }
}
