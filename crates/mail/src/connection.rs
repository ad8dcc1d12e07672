//! One SMTP connection: opened, protected and logged in, and the steps of a transaction on it, each with a deadline.
//!
//! `TCP_NODELAY` is set, because the message and the dot behind it are written apart; without it each mail takes 40 ms.
//! STARTTLS is done here and not by the client library, because what a stranger slipped in before the handshake must not be read after
//! it as if it were the server's word.

use std::fmt::{self, Display};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error as ClientError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::settings::{SmtpConfig, SmtpSecurity};

/// The answer to a message may take so many times as long as one to a command: the server may check it before it answers, and giving
/// up early makes its outcome unknown.
pub(super) const MESSAGE_PATIENCE: u32 = 4;
/// How long a goodbye may take.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);
/// The server is about to close the connection.
pub(super) const CLOSING: u16 = 421;

/// Why a step failed.
#[derive(Debug)]
pub(super) enum SmtpError {
    /// The server said no: 4xx or 5xx.
    Refused { code: u16, response: String },
    /// No SMTPUTF8, and the address needs it.
    CannotTake(String),
    /// The connection broke, nothing came in time, or what came is not SMTP.
    Broken(String),
}

impl SmtpError {
    /// Whether the connection is of no use any more.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Refused { code: CLOSING, .. })
    }
}

impl Display for SmtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { response, .. } => f.write_str(response),
            Self::CannotTake(reason) | Self::Broken(reason) => f.write_str(reason),
        }
    }
}

/// The longest text of a server that is passed on, in characters.
const LONGEST_TEXT: usize = 500;

/// What a server said, fit for a log, a terminal and a result: on one line, without control characters, cut to [`LONGEST_TEXT`].
pub(super) fn sanitize_reply(text: &str) -> String {
    let tame = |c: char| match c {
        '\t' | '\n' | '\r' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    let mut sanitized: String = text.trim_end().chars().take(LONGEST_TEXT).map(tame).collect();
    if text.trim_end().chars().nth(LONGEST_TEXT).is_some() {
        sanitized.push('…');
    }
    sanitized
}

impl From<ClientError> for SmtpError {
    fn from(error: ClientError) -> Self {
        let text = std::error::Error::source(&error).map(ToString::to_string);
        match error.status() {
            Some(code) => {
                Self::Refused { code: code.into(), response: sanitize_reply(&format!("{code} {}", text.unwrap_or_default())) }
            }
            None => Self::Broken(sanitize_reply(&error.to_string())),
        }
    }
}

pub(super) struct Connection {
    smtp: Box<AsyncSmtpConnection>,
    timeout: Duration,
    /// Messages handed over so far.
    pub(super) sent: u32,
    /// A transaction was left open.
    needs_reset: bool,
}

impl Connection {
    /// Connects, protects and logs in. The error says what failed, and holds no secret.
    pub(super) async fn open(config: &SmtpConfig, tls: &TlsConnector, hello: &ClientId) -> Result<Self, String> {
        let timeout = config.timeout;
        let at = format!("{}:{}", config.host, config.port);
        let stream = connect(config, tls, hello).await?;
        let smtp = within(timeout, "EHLO", AsyncSmtpConnection::connect_with_transport(stream, hello))
            .await
            .and_then(|greeted| greeted.map_err(|error| SmtpError::from(error).to_string()))
            .map_err(|reason| format!("{at}: {reason}"))?;
        let mut connection = Self { smtp: Box::new(smtp), timeout, sent: 0, needs_reset: false };
        if let Some((user, password)) = &config.login {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let login = connection.smtp.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
            within(timeout, "AUTH", login)
                .await
                .and_then(|answer| answer.map_err(|error| SmtpError::from(error).to_string()))
                .map_err(|reason| format!("{at}: the login failed: {reason}"))?;
        }
        Ok(connection)
    }

    /// Goes as far as the server's "go ahead": MAIL FROM, RCPT TO, DATA.
    pub(super) async fn stage(&mut self, envelope: &Envelope) -> Result<(), SmtpError> {
        if self.needs_reset {
            // A server that does not know RSET any more refuses the connection, not this mail.
            self.command("RSET", Rset).await.map_err(|error| SmtpError::Broken(format!("the answer to RSET: {error}")))?;
        }
        let needs_utf8 = envelope.to().iter().chain(envelope.from()).any(|address| !AsRef::<str>::as_ref(address).is_ascii());
        let mut options = Vec::new();
        if needs_utf8 {
            if !self.smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(SmtpError::CannotTake("the address is not ASCII and the mail server does not offer SMTPUTF8".into()));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        self.needs_reset = true;
        self.command("MAIL FROM", Mail::new(envelope.from().cloned(), options)).await?;
        for to in envelope.to() {
            self.command("RCPT TO", Rcpt::new(to.clone(), Vec::new())).await?;
        }
        let answer = self.command("DATA", Data).await?;
        if answer.has_code(354) {
            Ok(())
        } else {
            Err(SmtpError::Broken(format!("an answer to DATA that is none: {}", answer.code())))
        }
    }

    /// Sends the message. From here on only an answer tells its outcome.
    pub(super) async fn send(&mut self, message: &[u8]) -> Result<String, SmtpError> {
        // The client library ends the last line itself.
        let message = message.strip_suffix(b"\r\n").unwrap_or(message);
        let answer = within(self.timeout * MESSAGE_PATIENCE, "the message", self.smtp.message(message))
            .await
            .map_err(SmtpError::Broken)??;
        let code = u16::from(answer.code());
        let text = sanitize_reply(&format!("{code} {}", answer.message().collect::<Vec<_>>().join(" ")));
        if !(200..300).contains(&code) {
            return Err(SmtpError::Broken(format!("an answer that is none: {text}")));
        }
        self.sent += 1;
        self.needs_reset = false;
        Ok(text)
    }

    /// Says goodbye; whether it is heard does not matter.
    pub(super) async fn quit(mut self) {
        if let Err(reason) = within(GOODBYE, "QUIT", self.smtp.quit()).await {
            tracing::debug!(reason, "a mail server did not answer to QUIT");
        }
    }

    async fn command(&mut self, name: &str, command: impl Display) -> Result<Response, SmtpError> {
        Ok(within(self.timeout, name, self.smtp.command(command)).await.map_err(SmtpError::Broken)??)
    }
}

/// Connects and protects, up to where the server greets (after STARTTLS, a greeting in its stead). The error says what failed.
pub(super) async fn connect(
    config: &SmtpConfig,
    tls: &TlsConnector,
    hello: &ClientId,
) -> Result<Box<dyn AsyncTokioStream>, String> {
    let timeout = config.timeout;
    let at = format!("{}:{}", config.host, config.port);
    let tcp = within(timeout, "connect", TcpStream::connect((config.host.as_str(), config.port)))
        .await
        .and_then(|connected| connected.map_err(|error| error.to_string()))
        .map_err(|reason| format!("{at}: {reason}"))?;
    let stream = async {
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        match config.security {
            SmtpSecurity::Plain => Ok(Box::new(tcp) as Box<dyn AsyncTokioStream>),
            SmtpSecurity::Tls => Ok(Box::new(secured(tls, &config.host, tcp, timeout, b"").await?) as _),
            SmtpSecurity::StartTls => {
                let tcp = within(timeout, "STARTTLS", ask_for_tls(tcp, hello)).await??;
                // Who speaks on starts with a greeting, and after STARTTLS the server gives none.
                Ok(Box::new(secured(tls, &config.host, tcp, timeout, b"220 secured\r\n").await?) as _)
            }
        }
    };
    stream.await.map_err(|reason: String| format!("{at}: {reason}"))
}

pub(super) async fn within<T>(timeout: Duration, what: &str, work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(timeout, work).await.map_err(|_| format!("no answer to {what} within {timeout:?}"))
}

async fn secured(
    tls: &TlsConnector,
    host: &str,
    tcp: TcpStream,
    timeout: Duration,
    greeting: &'static [u8],
) -> Result<Secured, String> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| format!("{host:?} is not a name that a certificate can have"))?;
    let stream = within(timeout, "the TLS handshake", tls.connect(name, tcp))
        .await?
        .map_err(|error| format!("the TLS handshake failed: {error}"))?;
    Ok(Secured { greeting, stream })
}

/// Greeting, EHLO and STARTTLS in plain text. Without STARTTLS there is no connection: it is never used unprotected instead.
async fn ask_for_tls(tcp: TcpStream, hello: &ClientId) -> Result<TcpStream, String> {
    let mut reader = BufReader::new(tcp);
    expect(&read_reply(&mut reader).await?, "220", "the greeting")?;
    reader.write_all(format!("EHLO {hello}\r\n").as_bytes()).await.map_err(|error| error.to_string())?;
    let offers = read_reply(&mut reader).await?;
    expect(&offers, "250", "EHLO")?;
    if !offers.iter().any(|line| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"))) {
        return Err("the mail server does not offer STARTTLS, and without it nothing is sent".into());
    }
    reader.write_all(b"STARTTLS\r\n").await.map_err(|error| error.to_string())?;
    expect(&read_reply(&mut reader).await?, "220", "STARTTLS")?;
    if !reader.buffer().is_empty() {
        return Err("something was sent between STARTTLS and the TLS handshake".into());
    }
    Ok(reader.into_inner())
}

/// The largest reply that is read before TLS, in bytes.
pub(super) const LARGEST_REPLY: u64 = 16 * 1024;

async fn read_reply(reader: &mut BufReader<TcpStream>) -> Result<Vec<String>, String> {
    let mut reader = reader.take(LARGEST_REPLY);
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).await.map_err(|error| error.to_string())?;
        let line = String::from_utf8_lossy(&line).into_owned();
        if !line.ends_with('\n') {
            return Err("the connection ended in the middle of an answer".into());
        }
        let line = line.trim_end().to_owned();
        let is_last = line.as_bytes().get(3) != Some(&b'-');
        lines.push(line);
        if is_last {
            return Ok(lines);
        }
    }
}

fn expect(reply: &[String], code: &str, what: &str) -> Result<(), String> {
    let last = reply.last().map_or("", String::as_str);
    if last.starts_with(code) {
        Ok(())
    } else {
        Err(format!("the answer to {what} was {:?}", last.chars().take(200).collect::<String>()))
    }
}

/// A TLS stream that is read from after `greeting`.
#[derive(Debug)]
struct Secured {
    greeting: &'static [u8],
    stream: TlsStream<TcpStream>,
}

impl AsyncTokioStream for Secured {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Secured {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.greeting.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let (now, later) = self.greeting.split_at(self.greeting.len().min(buf.remaining()));
        buf.put_slice(now);
        self.greeting = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
