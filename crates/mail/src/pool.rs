//! The connections to the relay: at most K at once, each used for N messages, closed when nobody has used it for a while.
//!
//! A kept connection may have died since. That shows at the first step of a transaction, where trying again is safe: the mail then goes
//! over a fresh one. Nothing is tried again from the message on.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lettre::transport::smtp::extension::ClientId;
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::connection::{CLOSING, Connection, SmtpError};
use super::smtp_connection::{ConnectionLost, SmtpConnection};
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
    hello: ClientId,
    /// One for each connection in use.
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
    idle: VecDeque<(Instant, Connection)>,
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
            hello: ClientId::default(),
            idle: Arc::new(IdlePool { keep, state: Mutex::default() }),
        })
    }

    /// Waits for its turn and goes as far as the server's "go ahead".
    pub(super) async fn stage(&self, message: &Message) -> Result<Staged<'_>, MailOutcome> {
        let closed = || MailOutcome::NotSent { reason: "the mailer is closed".into() };
        let slot = self.slots.acquire().await.map_err(|_| closed())?;
        while let Some(mut connection) = self.idle.take() {
            if connection.sent >= self.config.messages_per_connection {
                connection.quit().await;
                continue;
            }
            match connection.stage(&message.envelope).await {
                Ok(()) => return Ok(Staged { pool: self, connection, slot }),
                // The server has closed it meanwhile, or is about to. The others may be as old: a fresh one is tried at once.
                Err(error) if error.ends_connection() => {
                    tracing::debug!(%error, "a kept connection to the mail server had ended");
                    self.idle.clear();
                }
                Err(error) => return Err(self.refused(connection, error)),
            }
        }
        let mut connection =
            Connection::open(&self.config, &self.tls, &self.hello).await.map_err(|reason| MailOutcome::NotSent { reason })?;
        match connection.stage(&message.envelope).await {
            Ok(()) => Ok(Staged { pool: self, connection, slot }),
            Err(error) => Err(self.refused(connection, error)),
        }
    }

    /// What a refusal before the message means for the mail; the connection is kept if it is of use.
    fn refused(&self, connection: Connection, error: SmtpError) -> MailOutcome {
        if !error.ends_connection() {
            self.idle.put(connection);
        }
        match error {
            SmtpError::Refused { code, response } => refusal(code, response),
            SmtpError::CannotTake(response) => MailOutcome::Rejected { code: None, response },
            SmtpError::Broken(reason) => {
                MailOutcome::NotSent { reason: format!("{}:{}: {reason}", self.config.host, self.config.port) }
            }
        }
    }

    /// A connection of its own for many mails.
    pub(super) async fn bulk_connection(&self, slot: OwnedSemaphorePermit) -> Result<SmtpConnection, ConnectionLost> {
        SmtpConnection::open(&self.config, &self.tls, &self.hello, slot).await
    }

    /// Opens a connection of its own, as a mail would, and ends it.
    pub(super) async fn probe(&self) -> Result<String, String> {
        let connection = Connection::open(&self.config, &self.tls, &self.hello).await?;
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

fn refusal(code: u16, response: String) -> MailOutcome {
    if code >= 500 { MailOutcome::Rejected { code: Some(code), response } } else { MailOutcome::Deferred { code, response } }
}

/// A connection whose server waits for the message. Dropped, the connection ends and the server forgets the transaction.
pub(super) struct Staged<'a> {
    pool: &'a Pool,
    connection: Connection,
    slot: SemaphorePermit<'a>,
}

impl Staged<'_> {
    pub(super) async fn send(mut self, message: &Message) -> MailOutcome {
        let outcome = match self.connection.send(&message.bytes).await {
            Ok(response) => MailOutcome::Accepted { response },
            Err(SmtpError::Refused { code, response }) => {
                if code != CLOSING {
                    self.pool.idle.put(self.connection);
                }
                return refusal(code, response);
            }
            Err(error) => return MailOutcome::Unknown { reason: error.to_string() },
        };
        self.pool.idle.put(self.connection);
        drop(self.slot);
        outcome
    }
}

impl IdlePool {
    fn take(&self) -> Option<Connection> {
        let mut state = self.state.lock();
        let (since, connection) = state.idle.pop_back()?;
        if since.elapsed() < self.keep {
            return Some(connection);
        }
        // The last one used is too old, so all are.
        state.idle.clear();
        None
    }

    fn put(self: &Arc<Self>, connection: Connection) {
        let mut state = self.state.lock();
        if state.is_closed {
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

    fn close(&self) -> Vec<Connection> {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.idle.drain(..).map(|(_, connection)| connection).collect()
    }

    /// Takes what has been idle too long, and tells when to look again; `None` once nothing is left to watch.
    fn expired(&self) -> (Vec<Connection>, Option<Instant>) {
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
