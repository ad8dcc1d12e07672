//! How a connection to the relay is made: opened and protected, each step with a deadline.
//!
//! `TCP_NODELAY` is set, because the message and the dot behind it are written apart; without it each mail takes 40 ms.
//! STARTTLS is done here, so that bytes which were sent before the handshake are never read after it as if they were the server's answer.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::settings::{SmtpConfig, SmtpSecurity};

/// The answer to a message may take so many times as long as one to a command: the server may check it before it answers, and giving
/// up early makes its outcome unknown.
pub(super) const MESSAGE_PATIENCE: u32 = 4;
/// How long the reply to `QUIT` may take.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);
/// The server is about to close the connection.
pub(super) const CLOSING: u16 = 421;

/// The longest text of a server that is passed on, in characters.
const LONGEST_TEXT: usize = 500;

/// Makes a server's reply safe for logs, terminals and results: one line, no control characters, at most [`LONGEST_TEXT`].
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

/// A connection that bytes are read from and written to.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> ByteStream for T {}

/// The name by which this host introduces itself (RFC 5321, 4.1.4).
#[derive(Clone, Debug)]
pub(super) struct HelloName(String);

impl HelloName {
    /// The name of this host, or the literal of the loopback address where the host's name could not be one of a domain.
    pub(super) fn of_this_host() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        Self(if name.split('.').all(is_label) { name } else { "[127.0.0.1]".to_owned() })
    }
}

impl fmt::Display for HelloName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stream to a relay, before EHLO.
pub(super) struct Connected {
    pub(super) stream: Box<dyn ByteStream>,
    /// Whether the server has sent its greeting before STARTTLS. It sends none after it.
    pub(super) is_greeted: bool,
}

/// Connects and protects. The error says what failed.
pub(super) async fn connect(config: &SmtpConfig, tls: &TlsConnector, hello: &HelloName) -> Result<Connected, String> {
    let timeout = config.timeout;
    let at = format!("{}:{}", config.host, config.port);
    let tcp = within(timeout, "connect", TcpStream::connect((config.host.as_str(), config.port)))
        .await
        .and_then(|connected| connected.map_err(|error| error.to_string()))
        .map_err(|reason| format!("{at}: {reason}"))?;
    let connected = async {
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        match config.security {
            SmtpSecurity::Plain => Ok(Connected { stream: Box::new(tcp), is_greeted: false }),
            SmtpSecurity::Tls => {
                Ok(Connected { stream: Box::new(secured(tls, &config.host, tcp, timeout).await?), is_greeted: false })
            }
            SmtpSecurity::StartTls => {
                let tcp = within(timeout, "STARTTLS", ask_for_tls(tcp, hello)).await??;
                Ok(Connected { stream: Box::new(secured(tls, &config.host, tcp, timeout).await?), is_greeted: true })
            }
        }
    };
    connected.await.map_err(|reason: String| format!("{at}: {reason}"))
}

/// Waits for `work` up to `timeout`. The error names `what` had no answer.
pub(super) async fn within<T>(timeout: Duration, what: &str, work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(timeout, work).await.map_err(|_| format!("no answer to {what} within {timeout:?}"))
}

async fn secured(tls: &TlsConnector, host: &str, tcp: TcpStream, timeout: Duration) -> Result<TlsStream<TcpStream>, String> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| format!("{host:?} is not a name that a certificate can have"))?;
    within(timeout, "the TLS handshake", tls.connect(name, tcp))
        .await?
        .map_err(|error| format!("the TLS handshake failed: {error}"))
}

/// Greeting, EHLO and STARTTLS in plain text. Without STARTTLS there is no connection: it is never used unprotected instead.
async fn ask_for_tls(tcp: TcpStream, hello: &HelloName) -> Result<TcpStream, String> {
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
