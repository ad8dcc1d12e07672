//! The SMTP client: mails over one connection, pipelined where the server allows it (RFC 2920).
//!
//! MAIL, RCPT and DATA of a mail go out in one write, in a bulk mailing behind the content of the mail before. A mail then costs one round trip
//! instead of five. DATA waits for the answers where a mail has several recipients, because the content must not reach the others if the first one
//! is refused.
//!
//! A mail is *staged* when the server waits for its content; nothing is handed over before [`SmtpConnection::hand_over`]. A connection that met trouble
//! is of no use any more; what it had staged was not handed over.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsConnector;

use super::MailOutcome;
use super::connect::{
    ByteStream, CLOSING, Connected, GOODBYE, HelloName, LARGEST_REPLY, MESSAGE_PATIENCE, connect, sanitize_reply, within,
};
use crate::settings::SmtpConfig;

/// The server waits for the content.
const GO_AHEAD: u16 = 354;

/// A mail as a connection takes it: its envelope, and its content with the dots that SMTP wants.
#[derive(Clone, Debug)]
pub struct WireMessage {
    from: String,
    /// The recipient, and behind it those that get a copy.
    to: Vec<String>,
    content: Vec<u8>,
}

impl WireMessage {
    /// `bytes` is the message, with CRLF at the end of each line.
    pub(super) fn new(from: &str, to: Vec<String>, bytes: &[u8]) -> Self {
        let mut content = Vec::with_capacity(bytes.len() + 64);
        if bytes.first() == Some(&b'.') {
            content.push(b'.');
        }
        let mut written = 0;
        for newline in memchr::memmem::find_iter(bytes, b"\n.") {
            content.extend_from_slice(&bytes[written..=newline]);
            content.push(b'.');
            written = newline + 1;
        }
        content.extend_from_slice(&bytes[written..]);
        content.extend_from_slice(if bytes.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" });
        Self { from: from.to_owned(), to, content }
    }

    fn needs_utf8(&self) -> bool {
        !self.from.is_ascii() || self.to.iter().any(|to| !to.is_ascii())
    }
}

/// The server's reply to the envelope of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeReply {
    /// The server waits for its content.
    Ready {
        /// The recipients of copies that the server refused. They get nothing; the others get the mail.
        refused_copies: Vec<RefusedCopy>,
    },
    /// The server refused it, for good or for now; nothing was handed over. The connection goes on, unless the code is 421.
    Refused {
        /// The outcome of the mail that was refused.
        outcome: MailOutcome,
        /// The command that was refused.
        at: RefusedAt,
    },
}

/// The command at which a server refused a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedAt {
    /// MAIL FROM: the server does not work with this sender.
    Sender,
    /// The reply to `RCPT TO`.
    Recipient,
    /// DATA, or the mail was not offered because the server cannot take it.
    Data,
}

/// A recipient of a copy that the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCopy {
    /// The address that the server refused.
    pub address: String,
    /// The answer of the server, the code included.
    pub response: String,
}

/// The connection cannot be used any more. Mails that were staged on it were not handed over; another connection takes them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConnectionLost(pub String);

/// An SMTP connection that sends many mails, one after the other.
pub struct SmtpConnection {
    stream: BufReader<Box<dyn ByteStream>>,
    config: SmtpConfig,
    pipelines: bool,
    takes_utf8: bool,
    /// Messages that may still go over it.
    left: u32,
    /// A transaction was left open.
    needs_reset: bool,
    pipelined: Pipelined,
    out: Vec<u8>,
    /// Held for as long as the connection lives; `None` where its user holds the slot.
    _slot: Option<OwnedSemaphorePermit>,
}

/// The state of the mail that was to be staged behind the last one.
enum Pipelined {
    Nothing,
    /// The server was asked, and its answers are not read yet.
    Asked,
    /// The server was not asked: it cannot take it.
    Refused(EnvelopeReply),
    /// The connection has ended before.
    Lost,
}

/// One reply of the server, all of its lines.
struct Reply {
    code: u16,
    /// The code and the text of all lines, on one line.
    text: String,
    offers: Vec<String>,
}

impl Reply {
    fn is_good(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// The outcome for the mail if the reply is a refusal; `None` if it is none.
    fn refusal(&self) -> Option<MailOutcome> {
        match self.code {
            400..500 => Some(MailOutcome::Deferred { code: self.code, response: self.text.clone() }),
            500..600 => Some(MailOutcome::Rejected { code: Some(self.code), response: self.text.clone() }),
            _ => None,
        }
    }
}

impl SmtpConnection {
    /// Connects, protects and logs in. The error says what failed, and holds no secret.
    pub(super) async fn open(
        config: &SmtpConfig,
        tls: &TlsConnector,
        hello: &HelloName,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, ConnectionLost> {
        let Connected { stream, is_greeted } = connect(config, tls, hello).await.map_err(ConnectionLost)?;
        let mut connection = Self {
            stream: BufReader::new(stream),
            config: config.clone(),
            pipelines: false,
            takes_utf8: false,
            left: config.messages_per_connection,
            needs_reset: false,
            pipelined: Pipelined::Nothing,
            out: Vec::new(),
            _slot: slot,
        };
        match connection.greet(hello, is_greeted).await {
            Ok(()) => Ok(connection),
            Err(reason) => Err(connection.lost(&reason)),
        }
    }

    async fn greet(&mut self, hello: &HelloName, is_greeted: bool) -> Result<(), String> {
        if !is_greeted {
            let greeting = self.answer("the greeting").await?;
            if !greeting.is_good() {
                return Err(greeting.text);
            }
        }
        let offers = self.command("EHLO", format!("EHLO {hello}\r\n").as_bytes()).await?;
        if !offers.is_good() {
            return Err(offers.text);
        }
        let has = |word: &str| offers.offers.iter().any(|offer| offer == word);
        self.pipelines = has("PIPELINING");
        self.takes_utf8 = has("SMTPUTF8");
        let auth = offers.offers.iter().find(|offer| offer.starts_with("AUTH ")).cloned().unwrap_or_default();
        let Some((user, password)) = self.config.login.clone() else { return Ok(()) };
        let encoded = |text: &str| format!("{}\r\n", STANDARD.encode(text));
        let answer = if auth.contains("PLAIN") || !auth.contains("LOGIN") {
            let secret = encoded(&format!("\0{user}\0{}", password.expose_secret()));
            self.command("AUTH", format!("AUTH PLAIN {secret}").as_bytes()).await?
        } else {
            self.command("AUTH", b"AUTH LOGIN\r\n").await?;
            self.command("AUTH", encoded(&user).as_bytes()).await?;
            self.command("AUTH", encoded(password.expose_secret()).as_bytes()).await?
        };
        if answer.is_good() { Ok(()) } else { Err(format!("the login failed: {}", answer.text)) }
    }

    /// How many more messages the connection takes before it is closed.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Whether the next envelope can be sent together with the content of this mail.
    pub fn pipelines(&self) -> bool {
        self.pipelines
    }

    /// Whether the server has closed the connection, or has announced that it will.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.pipelined, Pipelined::Lost)
    }

    /// Goes as far as the server's "go ahead".
    pub async fn stage(&mut self, wire_message: &WireMessage) -> Result<EnvelopeReply, ConnectionLost> {
        if let Some(refused) = self.cannot_take(wire_message) {
            return Ok(refused);
        }
        let staged = if self.pipelines && wire_message.to.len() == 1 {
            self.out.clear();
            self.add_envelope(wire_message);
            match self.flush().await {
                Ok(()) => self.staged().await,
                Err(reason) => Err(reason),
            }
        } else {
            self.stage_step_by_step(wire_message).await
        };
        staged.map_err(|reason| self.lost(&reason))
    }

    /// Sends the content of the staged mail, and what stages `following` (of one recipient) behind it, which [`Self::next_envelope`] then tells of. From here on only an
    /// answer tells the mail's outcome.
    pub async fn hand_over(&mut self, wire_message: &WireMessage, following: Option<&WireMessage>) -> MailOutcome {
        self.out.clear();
        self.out.extend_from_slice(&wire_message.content);
        self.left = self.left.saturating_sub(1);
        self.needs_reset = false;
        self.pipelined = match following.map(|following| (following, self.cannot_take(following))) {
            None => Pipelined::Nothing,
            Some((_, Some(refused))) => Pipelined::Refused(refused),
            Some((following, None)) => {
                self.add_envelope(following);
                Pipelined::Asked
            }
        };
        let (outcome, goes_on) = self.content_outcome().await;
        if !goes_on {
            self.pipelined = Pipelined::Lost;
        }
        outcome
    }

    /// The reply to the envelope that was sent behind the last mail; `None` if none was sent.
    pub async fn next_envelope(&mut self) -> Result<Option<EnvelopeReply>, ConnectionLost> {
        let reply = match std::mem::replace(&mut self.pipelined, Pipelined::Nothing) {
            Pipelined::Nothing => Ok(None),
            Pipelined::Refused(refused) => Ok(Some(refused)),
            Pipelined::Asked => self.staged().await.map(Some),
            Pipelined::Lost => Err("the connection ended with the mail before".to_owned()),
        };
        reply.map_err(|reason| self.lost(&reason))
    }

    /// Reads the outcome of the content that was sent, and whether the connection can go on.
    async fn content_outcome(&mut self) -> (MailOutcome, bool) {
        let patience = self.config.timeout * MESSAGE_PATIENCE;
        let answer = match self.flush().await {
            Ok(()) => within(patience, "the message", read_reply(&mut self.stream)).await.and_then(|reply| reply),
            Err(reason) => Err(reason),
        };
        match answer {
            Ok(reply) if reply.is_good() => (MailOutcome::Accepted { response: reply.text }, true),
            Ok(reply) => match reply.refusal() {
                Some(outcome) => (outcome, reply.code != CLOSING),
                None => (MailOutcome::Unknown { reason: format!("an answer that is none: {}", reply.text) }, false),
            },
            Err(reason) => (MailOutcome::Unknown { reason }, false),
        }
    }

    /// Says goodbye; whether it is heard does not matter.
    pub async fn quit(mut self) {
        if let Err(reason) = within(GOODBYE, "QUIT", self.command("QUIT", b"QUIT\r\n")).await.and_then(|answer| answer) {
            tracing::debug!(reason, "a mail server did not answer to QUIT");
        }
    }

    fn cannot_take(&self, wire_message: &WireMessage) -> Option<EnvelopeReply> {
        let response = "the address is not ASCII and the mail server does not offer SMTPUTF8";
        let outcome = MailOutcome::Rejected { code: None, response: response.into() };
        (wire_message.needs_utf8() && !self.takes_utf8).then_some(EnvelopeReply::Refused { outcome, at: RefusedAt::Data })
    }

    /// Adds the commands that stage a mail.
    fn add_envelope(&mut self, wire_message: &WireMessage) {
        if self.needs_reset {
            self.out.extend_from_slice(b"RSET\r\n");
        }
        let utf8 = if wire_message.needs_utf8() { " SMTPUTF8" } else { "" };
        for part in ["MAIL FROM:<", &wire_message.from, ">", utf8, "\r\n"] {
            self.out.extend_from_slice(part.as_bytes());
        }
        for to in &wire_message.to {
            for part in ["RCPT TO:<", to, ">\r\n"] {
                self.out.extend_from_slice(part.as_bytes());
            }
        }
        self.out.extend_from_slice(b"DATA\r\n");
    }

    /// Reads the answers to what [`Self::add_envelope`] asked.
    async fn staged(&mut self) -> Result<EnvelopeReply, String> {
        if std::mem::take(&mut self.needs_reset) {
            self.reset_done().await?;
        }
        let sender = self.answer("MAIL FROM").await?;
        if sender.code == CLOSING {
            // Nothing comes behind it.
            return self.refused(&sender, RefusedAt::Sender);
        }
        let recipient = self.answer("RCPT TO").await?;
        if recipient.code == CLOSING {
            return self.refused(&recipient, RefusedAt::Recipient);
        }
        let data = self.answer("DATA").await?;
        self.needs_reset = true;
        if data.code == GO_AHEAD && !(sender.is_good() && recipient.is_good()) {
            // The server waits for the content of a mail that it has refused. Empty content ends that.
            self.command("an empty message", b".\r\n").await?;
        }
        if !sender.is_good() {
            self.refused(&sender, RefusedAt::Sender)
        } else if !recipient.is_good() {
            self.refused(&recipient, RefusedAt::Recipient)
        } else if data.code == GO_AHEAD {
            Ok(EnvelopeReply::Ready { refused_copies: Vec::new() })
        } else {
            self.refused(&data, RefusedAt::Data)
        }
    }

    async fn stage_step_by_step(&mut self, wire_message: &WireMessage) -> Result<EnvelopeReply, String> {
        if std::mem::take(&mut self.needs_reset) {
            self.send(b"RSET\r\n").await?;
            self.reset_done().await?;
        }
        self.out.clear();
        self.add_envelope(wire_message);
        let commands_text = std::mem::take(&mut self.out);
        let mut commands = commands_text.split_inclusive(|&byte| byte == b'\n');
        let mut next = || commands.next().unwrap_or_default();
        let sender = self.command("MAIL FROM", next()).await?;
        self.needs_reset = true;
        if !sender.is_good() {
            return self.refused(&sender, RefusedAt::Sender);
        }
        let mut refused_copies = Vec::new();
        for (index, address) in wire_message.to.iter().enumerate() {
            let recipient = self.command("RCPT TO", next()).await?;
            if recipient.is_good() {
                continue;
            }
            if index == 0 || recipient.code == CLOSING {
                return self.refused(&recipient, RefusedAt::Recipient);
            }
            refused_copies.push(RefusedCopy { address: address.clone(), response: recipient.text });
        }
        let data = self.command("DATA", next()).await?;
        if data.code == GO_AHEAD { Ok(EnvelopeReply::Ready { refused_copies }) } else { self.refused(&data, RefusedAt::Data) }
    }

    /// Derives the outcome from a refusal. Code 421 ends the connection.
    fn refused(&mut self, reply: &Reply, at: RefusedAt) -> Result<EnvelopeReply, String> {
        if reply.code == CLOSING {
            // This mail may be the reason for the server's end, so another one comes next.
            (self.left, self.pipelined) = (0, Pipelined::Lost);
        }
        match reply.refusal() {
            Some(outcome) => Ok(EnvelopeReply::Refused { outcome, at }),
            None => Err(format!("an answer that is none: {}", reply.text)),
        }
    }

    async fn reset_done(&mut self) -> Result<(), String> {
        let reset = self.answer("RSET").await?;
        if reset.is_good() { Ok(()) } else { Err(format!("the answer to RSET: {}", reset.text)) }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.out.clear();
        self.out.extend_from_slice(bytes);
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), String> {
        let stream = self.stream.get_mut();
        let written = async {
            stream.write_all(&self.out).await?;
            stream.flush().await
        };
        within(self.config.timeout * MESSAGE_PATIENCE, "what was sent", written)
            .await?
            .map_err(|error: io::Error| error.to_string())
    }

    async fn command(&mut self, what: &str, bytes: &[u8]) -> Result<Reply, String> {
        self.send(bytes).await?;
        self.answer(what).await
    }

    async fn answer(&mut self, what: &str) -> Result<Reply, String> {
        within(self.config.timeout, what, read_reply(&mut self.stream)).await?
    }

    fn lost(&self, reason: &str) -> ConnectionLost {
        ConnectionLost(format!("{}:{}: {}", self.config.host, self.config.port, sanitize_reply(reason)))
    }
}

async fn read_reply(stream: &mut BufReader<Box<dyn ByteStream>>) -> Result<Reply, String> {
    let mut reader = stream.take(LARGEST_REPLY);
    let (mut text, mut offers, mut line) = (String::new(), Vec::new(), Vec::new());
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).await.map_err(|error| error.to_string())?;
        if line.last() != Some(&b'\n') {
            return Err("the connection ended in the middle of an answer".into());
        }
        let read = String::from_utf8_lossy(&line);
        let read = read.trim_end();
        let code = read.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit())).and_then(|code| code.parse().ok());
        let Some(code) = code.filter(|code| (200..600).contains(code)) else {
            return Err(sanitize_reply(&format!("an answer that is none: {read}")));
        };
        let rest = read.get(4..).unwrap_or_default();
        if text.is_empty() {
            text.push_str(&read[..3]);
        }
        text.push(' ');
        text.push_str(rest);
        match read.as_bytes().get(3) {
            Some(b'-') => offers.push(rest.to_ascii_uppercase()),
            Some(b' ') | None => {
                if !offers.is_empty() {
                    offers.push(rest.to_ascii_uppercase());
                }
                return Ok(Reply { code, text: sanitize_reply(&text), offers });
            }
            Some(_) => return Err(sanitize_reply(&format!("an answer that is none: {read}"))),
        }
    }
}
