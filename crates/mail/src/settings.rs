//! The settings of mail.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Where mail is sent, in whose name, and at what speed.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The relay; `None` is the outbox.
    pub smtp: Option<SmtpConfig>,
    /// The folder of the outbox.
    pub outbox: PathBuf,
    /// The sender, as in `Legwork <legwork@example.org>`.
    pub from: String,
    /// The domains of other senders that a mail may name.
    pub sender_domains: SenderDomains,
}

/// The domains of senders that a mail may name instead of the configured sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SenderDomains {
    /// The domain of the configured sender.
    #[default]
    OfSender,
    /// Only these domains.
    Only(Vec<String>),
    /// Every domain: the applications are trusted to send in anybody's name.
    Any,
}

/// The SMTP relay that takes all outgoing mail.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// Host name or IP address of the relay.
    pub host: String,
    /// TCP port of the relay, for example 587 or 465.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: SmtpSecurity,
    /// User name and password. `None` means that the relay is used without authentication.
    pub login: Option<(String, SecretString)>,
    /// Most connections that are open at the same time.
    pub connections: usize,
    /// Messages over one connection at most.
    pub messages_per_connection: u32,
    /// Time limit of one SMTP command.
    pub timeout: Duration,
}

/// How an SMTP connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// `smtp://`: plain, for a relay on the same host or network.
    Plain,
    /// `smtp+starttls://`: plain at first, then TLS, or nothing.
    StartTls,
    /// `smtps://`: TLS from the start.
    Tls,
}
