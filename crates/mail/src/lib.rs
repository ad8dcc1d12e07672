//! Mail: builds messages and hands them over, to a relay by SMTP or into the outbox, a folder of `.eml` files.
//!
//! Handing over has two steps, so that the caller can write down what it is about to do at the last moment: [`Mailer::prepare`] does all
//! that can be undone (SMTP up to the server's "go ahead" after DATA), and [`Ready::hand_over`] sends the message. Dropping either future
//! is allowed: before the hand-over nothing was sent, within it the outcome of the mail is unknown, which is what the caller wrote down.
//! A mail is never sent twice from here: what was handed over without an answer is [`MailOutcome::Unknown`], not tried again.

mod address;
mod connect;
mod message;
pub mod outbox;
mod pool;
mod settings;
mod smtp_connection;

use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use rustls::ClientConfig;
use tokio::sync::OwnedSemaphorePermit;

pub use settings::{MailConfig, SenderDomains, SmtpConfig, SmtpSecurity};

use outbox::Outbox;

pub use address::{Recipient, check_subject};
pub use message::{Attachment, DraftExtras, MailDraft, Message};
pub use smtp_connection::{ConnectionLost, EnvelopeReply, RefusedAt, RefusedCopy, SmtpConnection, WireMessage};

use pool::{Pool, Staged};

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// The reasons why the mailer could not be set up, or a message not composed.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// `MAIL_FROM` is not a sender.
    #[error("MAIL_FROM: {0}")]
    Sender(String),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// The message cannot be built of these parts.
    #[error("the message cannot be built: {0}")]
    Message(String),
}

/// The outcome of handing over a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailOutcome {
    /// The server took it, or it is in the outbox.
    Accepted {
        /// The server's reply; with the outbox, the name of the file.
        response: String,
    },
    /// Refused for good: another attempt would be refused too.
    Rejected {
        /// The server's code; `None` where the mail was not offered because the server cannot take it (no SMTPUTF8).
        code: Option<u16>,
        /// The server's reply, the code included.
        response: String,
    },
    /// The server refused the message with a 4xx code; a later attempt may succeed.
    Deferred {
        /// The SMTP reply code, 400 to 499.
        code: u16,
        /// The server's reply, the code included.
        response: String,
    },
    /// Nothing was handed over: there was trouble with the connection, its protection or the login. Another attempt is safe.
    NotSent {
        /// What failed, as text for the task's error.
        reason: String,
    },
    /// The mail was handed over, and no reply came that could be understood. It may or may not be delivered.
    Unknown {
        /// What failed, as text for the task's error.
        reason: String,
    },
}

/// Sends mail. One a process.
pub struct Mailer {
    from: Mailbox,
    sender_domains: SenderDomains,
    route: Route,
}

enum Route {
    Outbox(Outbox),
    Smtp(Pool),
}

impl Mailer {
    /// A mailer as configured. Connects to nothing yet.
    pub fn new(config: &MailConfig) -> Result<Self, MailError> {
        Self::with_tls(config, Arc::new(pool::public_roots()?), IDLE)
    }

    /// Like [`Mailer::new`], with given TLS settings and idle time.
    pub fn with_tls(config: &MailConfig, tls: Arc<ClientConfig>, idle: Duration) -> Result<Self, MailError> {
        let from = Recipient::parse(&config.from).map_err(MailError::Sender)?;
        let route = match &config.smtp {
            Some(smtp) => Route::Smtp(Pool::new(smtp.clone(), tls, idle)?),
            None => Route::Outbox(Outbox::new(config.outbox.clone())),
        };
        let from = from.into_mailbox();
        Ok(Self { from, sender_domains: config.sender_domains.clone(), route })
    }

    /// Builds the message: the same bytes for the same draft.
    pub fn compose(&self, draft: MailDraft<'_>) -> Result<Message, MailError> {
        message::compose(&self.from, draft)
    }

    /// Builds a message that has a Message-ID already, with more headers: names, and values of one line of ASCII.
    pub fn compose_with(
        &self,
        draft: MailDraft<'_>,
        message_id: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Message, MailError> {
        message::compose_with(&self.from, draft, message_id, headers)
    }

    /// Checks that a mail may name `author` as its sender. The error says what is allowed.
    pub fn check_author(&self, author: &Recipient) -> Result<(), String> {
        let domain = author.mailbox().email.domain();
        let allowed = match &self.sender_domains {
            SenderDomains::Any => return Ok(()),
            SenderDomains::OfSender => vec![self.from.email.domain().to_owned()],
            SenderDomains::Only(domains) => domains.clone(),
        };
        if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)) {
            return Ok(());
        }
        Err(format!("must be an address of {}; got the domain {domain}. MAIL_FROM_DOMAINS allows others.", allowed.join(", ")))
    }

    /// The Message-ID of the draft with this key.
    pub fn message_id(&self, key: &str) -> String {
        message::id_of(&self.from, key)
    }

    /// A connection of its own for many mails, which holds `slot` for as long as it lives. `None` with the outbox.
    pub async fn bulk_connection(&self, slot: OwnedSemaphorePermit) -> Option<Result<SmtpConnection, ConnectionLost>> {
        match &self.route {
            Route::Outbox(_) => None,
            Route::Smtp(pool) => Some(pool.bulk_connection(slot).await),
        }
    }

    /// Whether mails are written to the outbox. A mail that is written again replaces its file, so the outbox needs no ledger.
    pub fn is_outbox(&self) -> bool {
        matches!(self.route, Route::Outbox(_))
    }

    /// Does all but the hand-over. `Err` says what became of the mail if that was its end: rejected, deferred, or not sent.
    pub async fn prepare<'a>(&'a self, message: &'a Message) -> Result<Ready<'a>, MailOutcome> {
        let to = match &self.route {
            Route::Outbox(outbox) => Destination::Outbox(outbox),
            Route::Smtp(pool) => Destination::Smtp(Box::new(pool.stage(message).await?)),
        };
        Ok(Ready { message, to })
    }

    /// Checks whether mail can be handed over, and returns the relay or folder. Connects and says `EHLO`, or looks at the outbox; sends nothing.
    pub async fn probe(&self) -> Result<String, String> {
        match &self.route {
            Route::Outbox(outbox) => outbox.probe().await,
            Route::Smtp(pool) => pool.probe().await,
        }
    }

    /// Says goodbye on all idle connections and opens no more.
    pub async fn close(&self) {
        if let Route::Smtp(pool) = &self.route {
            pool.close().await;
        }
    }
}

/// A mail that only waits for its hand-over. Dropped, it is not sent.
pub struct Ready<'a> {
    message: &'a Message,
    to: Destination<'a>,
}

enum Destination<'a> {
    Outbox(&'a Outbox),
    Smtp(Box<Staged<'a>>),
}

impl Ready<'_> {
    /// The recipients of copies that the mail server refused; they get nothing. Empty with the outbox.
    pub fn refused_copies(&self) -> &[RefusedCopy] {
        match &self.to {
            Destination::Outbox(_) => &[],
            Destination::Smtp(staged) => &staged.refused_copies,
        }
    }

    /// Hands the mail over. Call it without a stop in between: once started, only its answer tells the mail's outcome.
    pub async fn hand_over(self) -> MailOutcome {
        match self.to {
            Destination::Outbox(outbox) => {
                let name = self.message.file_name();
                match outbox.put(name, self.message.bytes.clone()).await {
                    Ok(()) => MailOutcome::Accepted { response: name.to_owned() },
                    Err(reason) => MailOutcome::NotSent { reason },
                }
            }
            Destination::Smtp(staged) => staged.send().await,
        }
    }
}
