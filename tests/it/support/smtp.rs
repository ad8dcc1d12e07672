//! A mail server that speaks real SMTP on a free port of the loopback, keeps what it takes, and misbehaves as a test wants it to.
//!
//! It is strict: commands out of order, bare newlines and lines that are too long are refused. What happens is announced by a watch
//! ([`SmtpServer::until`]), so that no test has to poll.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How connections are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// Plain, and no STARTTLS is offered.
    #[default]
    None,
    /// Plain until STARTTLS; before it nothing is taken.
    StartTls,
    /// TLS from the start.
    Tls,
}

/// Where a conversation is. The server asks its script before it answers.
#[derive(Debug)]
pub enum Moment<'a> {
    /// Somebody has connected.
    Greeting,
    /// EHLO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH with this name.
    Auth(&'a str),
    /// MAIL FROM.
    MailFrom(&'a str),
    /// RCPT TO.
    RcptTo(&'a str),
    /// DATA.
    Data,
    /// The message has come in whole.
    Message(&'a Received),
    /// RSET.
    Reset,
}

/// A moment of one connection.
#[derive(Debug)]
pub struct Step<'a> {
    /// Which connection, from 1.
    pub connection: usize,
    /// How many messages came in over it before.
    pub messages: usize,
    /// What is happening.
    pub moment: Moment<'a>,
}

/// What the server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// What a good server does.
    Go,
    /// Answers this line, and takes nothing that came with it. 421 ends the connection.
    Say(String),
    /// Ends the connection without an answer.
    Close,
    /// Never answers, and keeps the connection.
    Silence,
    /// Keeps the message, and ends the connection without an answer.
    TakeAndClose,
    /// Keeps the message, and never answers.
    TakeAndSilence,
    /// Keeps the message, answers, and ends the connection.
    TakeAnswerAndClose,
}

/// A message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Over which connection.
    pub connection: usize,
    /// Who was logged in.
    pub user: Option<String>,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// MAIL FROM, without its parameters.
    pub from: String,
    /// The parameters of MAIL FROM.
    pub parameters: String,
    /// RCPT TO.
    pub to: Vec<String>,
    /// The message, without the dots that SMTP adds.
    pub bytes: Vec<u8>,
}

impl Received {
    /// The message as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).expect("messages are ASCII or UTF-8")
    }
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections taken.
    pub opened: usize,
    /// Connections ended.
    pub closed: usize,
    /// The most at once.
    pub most_at_once: usize,
    /// Messages kept.
    pub taken: usize,
    /// Conversations that hang because the script wanted silence.
    pub silent: usize,
}

type Script = dyn Fn(&Step<'_>) -> Act + Send + Sync;

/// How a server is to be.
#[derive(Clone, Default)]
pub struct Setup {
    protection: Protection,
    login: Option<(String, String)>,
    offers_utf8: bool,
    offers_pipelining: bool,
    script: Option<Arc<Script>>,
}

impl Setup {
    /// A plain server that takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Protects connections.
    pub fn protection(mut self, protection: Protection) -> Self {
        self.protection = protection;
        self
    }

    /// Takes mail from this user only.
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Offers SMTPUTF8.
    pub fn utf8(mut self) -> Self {
        self.offers_utf8 = true;
        self
    }

    /// Offers PIPELINING.
    pub fn pipelining(mut self) -> Self {
        self.offers_pipelining = true;
        self
    }

    /// Asks `script` at every moment.
    pub fn script(mut self, script: impl Fn(&Step<'_>) -> Act + Send + Sync + 'static) -> Self {
        self.script = Some(Arc::new(script));
        self
    }

    /// Says `line` at every MAIL, RCPT, DATA or message that `matches`.
    pub fn say_when(self, matches: impl Fn(&Step<'_>) -> bool + Send + Sync + 'static, line: &str) -> Self {
        let line = line.to_owned();
        self.script(move |step| if matches(step) { Act::Say(line.clone()) } else { Act::Go })
    }

    /// Starts it on a free port.
    pub async fn start(self) -> SmtpServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("a certificate");
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let state = Arc::new(State {
            acceptor: acceptor(certificate.clone(), key),
            setup: self,
            mails: Mutex::default(),
            counts: watch::Sender::new(Counts::default()),
        });
        let accepting = tokio::spawn(accept(listener, state.clone()));
        SmtpServer { address, certificate, state, accepting }
    }
}

/// A running server. Ends with its value.
pub struct SmtpServer {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

struct State {
    acceptor: TlsAcceptor,
    setup: Setup,
    mails: Mutex<Vec<Received>>,
    counts: watch::Sender<Counts>,
}

impl SmtpServer {
    /// A plain server that takes everything.
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A TLS configuration that trusts it, and nobody else.
    pub fn trust(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    /// The messages that it keeps, in the order of their coming.
    pub fn mails(&self) -> Vec<Received> {
        self.state.mails.lock().unwrap().clone()
    }

    /// How many messages each recipient got.
    pub fn copies(&self) -> BTreeMap<String, usize> {
        let mut copies = BTreeMap::new();
        for to in self.state.mails.lock().unwrap().iter().flat_map(|mail| &mail.to) {
            *copies.entry(to.clone()).or_default() += 1;
        }
        copies
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        *self.state.counts.borrow()
    }

    /// Waits until what has happened is enough.
    pub async fn until(&self, enough: impl Fn(&Counts) -> bool) -> Counts {
        let mut counts = self.state.counts.subscribe();
        let seen = counts.wait_for(|counts| enough(counts)).await.expect("the server runs");
        *seen
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn acceptor(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> TlsAcceptor {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Aborts the conversations when the server ends.
    let mut conversations = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let mut connection = 0;
        state.counts.send_modify(|counts| {
            counts.opened += 1;
            connection = counts.opened;
            counts.most_at_once = counts.most_at_once.max(counts.opened - counts.closed);
        });
        let state = state.clone();
        conversations.spawn(async move {
            // A client that goes away in the middle is what some tests are about.
            let _ended: io::Result<()> = converse(stream, connection, &state).await;
            state.counts.send_modify(|counts| counts.closed += 1);
        });
        while conversations.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, connection: usize, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if state.setup.protection == Protection::Tls {
        let stream = state.acceptor.accept(stream).await?;
        let mut talk = Talk::new(BufReader::new(stream), connection, true, state);
        if talk.greet().await? {
            talk.run().await?;
        }
        return Ok(());
    }
    let mut talk = Talk::new(BufReader::new(stream), connection, false, state);
    if !talk.greet().await? || talk.run().await? != Ended::StartTls {
        return Ok(());
    }
    let stream = state.acceptor.accept(talk.stream.into_inner()).await?;
    Talk::new(BufReader::new(stream), connection, true, state).run().await?;
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Ended {
    Closed,
    StartTls,
}

/// A line that is longer is refused.
const LONGEST_LINE: usize = 1_000;

struct Talk<'a, S> {
    stream: BufReader<S>,
    connection: usize,
    encrypted: bool,
    state: &'a State,
    messages: usize,
    greeted: bool,
    user: Option<String>,
    envelope: Option<Received>,
    line: Vec<u8>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Talk<'a, S> {
    fn new(stream: BufReader<S>, connection: usize, encrypted: bool, state: &'a State) -> Self {
        Self { stream, connection, encrypted, state, messages: 0, greeted: false, user: None, envelope: None, line: Vec::new() }
    }

    fn ask(&self, moment: Moment<'_>) -> Act {
        let step = Step { connection: self.connection, messages: self.messages, moment };
        self.state.setup.script.as_ref().map_or(Act::Go, |script| script(&step))
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// Does what the script wants instead of a good server's answer; `false` ends the connection.
    async fn instead(&mut self, act: Act) -> io::Result<bool> {
        match act {
            Act::Say(line) => {
                self.say(&line).await?;
                Ok(!line.starts_with("421"))
            }
            Act::Silence | Act::TakeAndSilence => {
                self.state.counts.send_modify(|counts| counts.silent += 1);
                tokio::io::copy_buf(&mut self.stream, &mut tokio::io::sink()).await?;
                Ok(false)
            }
            Act::Go | Act::Close | Act::TakeAndClose | Act::TakeAnswerAndClose => Ok(false),
        }
    }

    async fn greet(&mut self) -> io::Result<bool> {
        match self.ask(Moment::Greeting) {
            Act::Go => self.say("220 test.example ESMTP").await.map(|()| true),
            act => self.instead(act).await,
        }
    }

    /// Answers commands until the connection ends or is to be encrypted.
    async fn run(&mut self) -> io::Result<Ended> {
        while let Some(line) = self.command().await? {
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let goes_on = match verb.to_ascii_uppercase().as_str() {
                "EHLO" | "HELO" => self.ehlo().await?,
                "STARTTLS" => match self.ask(Moment::StartTls) {
                    Act::Go if self.state.setup.protection == Protection::StartTls && !self.encrypted => {
                        self.say("220 2.0.0 go ahead").await?;
                        return Ok(Ended::StartTls);
                    }
                    Act::Go => self.say("502 5.5.1 not offered").await.map(|()| true)?,
                    act => self.instead(act).await?,
                },
                "AUTH" => self.auth(rest).await?,
                "MAIL" => self.mail(rest).await?,
                "RCPT" => self.rcpt(rest).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.envelope = None;
                    match self.ask(Moment::Reset) {
                        Act::Go => self.say("250 2.0.0 forgotten").await.map(|()| true)?,
                        act => self.instead(act).await?,
                    }
                }
                "NOOP" => self.say("250 2.0.0 ok").await.map(|()| true)?,
                "QUIT" => self.say("221 2.0.0 bye").await.map(|()| false)?,
                _ => self.say("500 5.5.2 unknown command").await.map(|()| true)?,
            };
            if !goes_on {
                break;
            }
        }
        self.stream.shutdown().await?;
        Ok(Ended::Closed)
    }

    /// The next command line; `None` at the end of the connection.
    async fn command(&mut self) -> io::Result<Option<String>> {
        self.line.clear();
        if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&self.line).into_owned();
        Ok(Some(line.trim_end_matches("\r\n").to_owned()))
    }

    async fn ehlo(&mut self) -> io::Result<bool> {
        match self.ask(Moment::Ehlo) {
            Act::Go => {}
            act => return self.instead(act).await,
        }
        self.greeted = true;
        let setup = &self.state.setup;
        let mut offers = vec!["8BITMIME", "ENHANCEDSTATUSCODES"];
        offers.extend((setup.protection == Protection::StartTls && !self.encrypted).then_some("STARTTLS"));
        offers.extend(setup.login.is_some().then_some("AUTH PLAIN LOGIN"));
        offers.extend(setup.offers_utf8.then_some("SMTPUTF8"));
        offers.extend(setup.offers_pipelining.then_some("PIPELINING"));
        let lines = offers.join("\r\n250-");
        self.say(&format!("250-test.example\r\n250-{lines}\r\n250 SIZE 50000000")).await?;
        Ok(true)
    }

    async fn auth(&mut self, rest: &str) -> io::Result<bool> {
        let decoded = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let (user, password) = if mechanism.eq_ignore_ascii_case("PLAIN") {
            let text = decoded(initial);
            let mut fields = text.split('\0').skip(1).map(str::to_owned);
            (fields.next().unwrap_or_default(), fields.next().unwrap_or_default())
        } else {
            self.say("334 VXNlcm5hbWU6").await?;
            let user = decoded(&self.command().await?.unwrap_or_default());
            self.say("334 UGFzc3dvcmQ6").await?;
            (user, decoded(&self.command().await?.unwrap_or_default()))
        };
        match self.ask(Moment::Auth(&user)) {
            Act::Go if self.state.setup.login == Some((user.clone(), password)) => {
                self.user = Some(user);
                self.say("235 2.7.0 welcome").await?;
                Ok(true)
            }
            Act::Go => self.say("535 5.7.8 wrong name or password").await.map(|()| true),
            act => self.instead(act).await,
        }
    }

    async fn mail(&mut self, rest: &str) -> io::Result<bool> {
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return self.say("501 5.5.4 no sender").await.map(|()| true);
        };
        let setup = &self.state.setup;
        let refusal = if !self.greeted {
            Some("503 5.5.1 EHLO first")
        } else if setup.protection == Protection::StartTls && !self.encrypted {
            Some("530 5.7.0 STARTTLS first")
        } else if setup.login.is_some() && self.user.is_none() {
            Some("530 5.7.0 authentication required")
        } else if self.envelope.is_some() {
            Some("503 5.5.1 there is a sender already")
        } else if parameters.contains("SMTPUTF8") && !setup.offers_utf8 {
            Some("555 5.5.4 SMTPUTF8 is not offered")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.say(refusal).await.map(|()| true);
        }
        match self.ask(Moment::MailFrom(from)) {
            Act::Go => {
                self.envelope = Some(Received {
                    connection: self.connection,
                    user: self.user.clone(),
                    encrypted: self.encrypted,
                    from: from.to_owned(),
                    parameters: parameters.to_owned(),
                    to: Vec::new(),
                    bytes: Vec::new(),
                });
                self.say("250 2.1.0 ok").await?;
                Ok(true)
            }
            act => self.instead(act).await,
        }
    }

    async fn rcpt(&mut self, rest: &str) -> io::Result<bool> {
        let Some((to, _)) = path(rest, "TO:") else {
            return self.say("501 5.5.4 no recipient").await.map(|()| true);
        };
        let Some(envelope) = &self.envelope else {
            return self.say("503 5.5.1 MAIL first").await.map(|()| true);
        };
        if !to.is_ascii() && !envelope.parameters.contains("SMTPUTF8") {
            return self.say("553 5.6.7 not ASCII").await.map(|()| true);
        }
        match self.ask(Moment::RcptTo(to)) {
            Act::Go => {
                self.envelope.iter_mut().for_each(|envelope| envelope.to.push(to.to_owned()));
                self.say("250 2.1.5 ok").await?;
                Ok(true)
            }
            act => self.instead(act).await,
        }
    }

    async fn data(&mut self) -> io::Result<bool> {
        if self.envelope.as_ref().is_none_or(|envelope| envelope.to.is_empty()) {
            return self.say("503 5.5.1 RCPT first").await.map(|()| true);
        }
        match self.ask(Moment::Data) {
            Act::Go => self.say("354 go ahead").await?,
            act => return self.instead(act).await,
        }
        let (bytes, fault) = self.message().await?;
        let Some(mut mail) = self.envelope.take() else { return Ok(false) };
        mail.bytes = bytes;
        let messages = self.messages;
        self.messages += 1;
        if let Some(fault) = fault {
            return self.say(fault).await.map(|()| true);
        }
        let step = Step { connection: self.connection, messages, moment: Moment::Message(&mail) };
        let act = self.state.setup.script.as_ref().map_or(Act::Go, |script| script(&step));
        if matches!(act, Act::Go | Act::TakeAndClose | Act::TakeAndSilence | Act::TakeAnswerAndClose) {
            let number = {
                let mut mails = self.state.mails.lock().unwrap();
                mails.push(mail);
                mails.len()
            };
            self.state.counts.send_modify(|counts| counts.taken += 1);
            if matches!(act, Act::Go | Act::TakeAnswerAndClose) {
                self.say(&format!("250 2.0.0 taken as number {number}")).await?;
                return Ok(act == Act::Go);
            }
        }
        self.instead(act).await
    }

    /// Reads a message up to its dot, and says what is wrong with it.
    async fn message(&mut self) -> io::Result<(Vec<u8>, Option<&'static str>)> {
        let (mut bytes, mut fault) = (Vec::new(), None);
        loop {
            self.line.clear();
            if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.line == b".\r\n" {
                return Ok((bytes, fault));
            }
            if !self.line.ends_with(b"\r\n") || self.line[..self.line.len() - 2].contains(&b'\r') {
                fault = Some("554 5.6.0 a bare CR or LF");
            }
            if self.line.len() > LONGEST_LINE {
                fault = Some("554 5.6.0 a line is too long");
            }
            bytes.extend_from_slice(self.line.strip_prefix(b".").unwrap_or(&self.line));
        }
    }
}

/// The address and the parameters of `FROM:<a@b> X=Y`.
fn path<'l>(rest: &'l str, prefix: &str) -> Option<(&'l str, &'l str)> {
    let head = rest.get(..prefix.len())?;
    let tail = rest.get(prefix.len()..)?.trim_start().strip_prefix('<')?;
    let (address, parameters) = tail.split_once('>')?;
    head.eq_ignore_ascii_case(prefix).then(|| (address, parameters.trim()))
}
