//! Outbound HTTP to addresses that users name: bounded in where, how long and how much.
//!
//! Private, loopback, link-local and other special addresses are refused unless `OUTBOUND_ALLOW` names them: as literals (however
//! they are written) before a connection, as names after they were looked up, and again on every redirect. No proxy of the
//! environment is used, no cookie kept, no name of a user in a URL.

mod address;
mod range;
mod resolve;
mod settings;
pub mod webhook;

use std::error::Error;
use std::iter::successors;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Once};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Response, StatusCode};
use url::{Host, Url};

pub use range::IpRange;
pub use settings::OutboundConfig;

use resolve::{Guard, RefusedAddress, SystemLookup};

pub use resolve::Lookup;

/// The `User-Agent` header of every call.
pub const USER_AGENT: &str = concat!("legwork/", env!("CARGO_PKG_VERSION"));

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 3;
/// Most bytes of a response's body that are read; the rest is dropped.
const BODY_LIMIT: usize = 64 * 1024;
/// For a TCP and TLS connection; the time limit of the whole call holds besides.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Connections that wait to be used again, and how long.
const IDLE_CONNECTIONS: usize = 4;
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// The reasons why a call got no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The call is not allowed. Further attempts would be refused as well.
    #[error("{reason}")]
    Refused {
        /// What is not allowed, as a sentence for the user.
        reason: String,
    },
    /// There was no connection over which it could have been sent; there may be the next time.
    #[error("{reason}")]
    Unreachable {
        /// The error of the connection or of the HTTP exchange, as text.
        reason: String,
    },
    /// The call failed after it may have been received. A further attempt may succeed.
    #[error("{reason}")]
    Failed {
        /// The error of the connection or of the HTTP exchange, as text.
        reason: String,
    },
}

impl FetchError {
    fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into() }
    }
}

/// Outbound calls cannot be made at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outbound HTTP cannot be set up: {0}")]
pub struct SetupError(String);

/// The redirects that a call follows, and the headers that are sent along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// All. A POST stays a POST, but for 303. Only `authorization` and `cookie` stay behind where another origin is next.
    Any,
    /// All of a GET or HEAD; 307 and 308 of the other methods, with their body, which goes to no other origin: that is refused. To another
    /// origin go the headers that say what is accepted, and nothing else: neither signature nor key. A redirect that is not followed is the
    /// answer.
    Careful,
    /// None: a redirect is the answer.
    Never,
}

impl Redirects {
    const fn follows(self, method: &Method, status: StatusCode) -> bool {
        match status.as_u16() {
            _ if matches!(self, Self::Never) => false,
            307 | 308 => true,
            301..=303 => matches!(self, Self::Any) || matches!(*method, Method::GET | Method::HEAD),
            _ => false,
        }
    }

    /// Takes away what another origin may not see.
    fn leave_behind(self, headers: &mut HeaderMap) {
        match self {
            Self::Any => {
                headers.remove(AUTHORIZATION);
                headers.remove(COOKIE);
            }
            Self::Careful | Self::Never => {
                let plain = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE];
                let kept = plain.into_iter().filter_map(|name| headers.remove(&name).map(|value| (name, value)));
                *headers = kept.collect();
            }
        }
    }
}

/// One outbound call. It has no `Debug`, because its headers and body may be secret.
#[derive(Clone)]
pub struct Call {
    /// The request's HTTP method.
    pub method: Method,
    /// The URL to call. It is checked again at the time of the call.
    pub url: String,
    /// Headers; none of them may hold control characters.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// For all of it, redirects and the answer's body included.
    pub time_limit: Duration,
    /// The redirects to follow.
    pub redirects: Redirects,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status of the response.
    pub status: StatusCode,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// The body of the response, at most 64 KiB of it.
    pub body: Vec<u8>,
    /// Whether the body was, or may have been, longer than what was read.
    pub is_cut: bool,
}

impl Answer {
    /// How long the other side asks us to wait: seconds or an HTTP date, which is compared with `now`. A date that has passed is
    /// zero.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        parse_retry_after(self.headers.get(RETRY_AFTER)?.to_str().ok()?, now)
    }
}

/// Calls others. One a process; clones share its connections.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    allow: Arc<[IpRange]>,
}

impl Fetcher {
    /// Takes the ranges that are allowed besides public addresses.
    pub fn new(config: &OutboundConfig) -> Result<Self, SetupError> {
        Self::with_lookup(config, Arc::new(SystemLookup))
    }

    /// Like [`Fetcher::new`], with another way to resolve names. The addresses it returns are checked all the same.
    pub fn with_lookup(config: &OutboundConfig, lookup: Arc<dyn Lookup>) -> Result<Self, SetupError> {
        let allow: Arc<[IpRange]> = config.allow.clone().into();
        let guard = Guard { lookup, allow: allow.clone() };
        Ok(Self { client: client_of(&guard)?, allow })
    }

    /// Checks a URL as far as that can be done without asking the network: its form, its scheme, a literal address. For
    /// submissions; the answer is for the user.
    pub fn check_url(&self, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        self.check_parsed(&url)?;
        Ok(url)
    }

    /// Makes a call. At most three redirects are followed, each checked as the first URL was; none from https to http.
    pub async fn call(&self, call: Call) -> Result<Answer, FetchError> {
        let limit = call.time_limit;
        match tokio::time::timeout(limit, self.follow(call)).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::failed(format!("no full answer within {} s", limit.as_secs_f64()))),
        }
    }

    async fn follow(&self, call: Call) -> Result<Answer, FetchError> {
        let mut url = self.check_url(&call.url).map_err(|reason| FetchError::refused(format!("the URL {reason}")))?;
        let mut headers = header_map(&call.headers)?;
        let Call { mut method, mut body, redirects, .. } = call;
        for hop in 0..=MAX_REDIRECTS {
            let request = self.client.request(method.clone(), url.clone()).headers(headers.clone()).body(body.clone());
            let response = request.send().await.map_err(|error| match explain(error) {
                // The first one has received it.
                FetchError::Unreachable { reason } if hop > 0 => FetchError::Failed { reason },
                error => error,
            })?;
            if !redirects.follows(&method, response.status()) {
                return read(response).await;
            }
            let Some(next) = self.redirect_of(&response, &url)? else { return read(response).await };
            if response.status() == StatusCode::SEE_OTHER && method != Method::HEAD {
                method = Method::GET;
                body = Vec::new();
            }
            if next.origin() != url.origin() {
                if redirects == Redirects::Careful && !body.is_empty() {
                    let reason = "the answer is a redirect to another origin, which is not to get the body";
                    return Err(FetchError::refused(reason));
                }
                redirects.leave_behind(&mut headers);
            }
            url = next;
        }
        let reason = format!("more than {MAX_REDIRECTS} redirects");
        // A caller that follows every redirect tries again later, because the receiver's mistake may be temporary.
        Err(if redirects == Redirects::Any { FetchError::failed(reason) } else { FetchError::refused(reason) })
    }

    /// The target of a redirect; `None` if the response names none.
    fn redirect_of(&self, response: &Response, from: &Url) -> Result<Option<Url>, FetchError> {
        let Some(location) = response.headers().get(LOCATION) else { return Ok(None) };
        self.redirect_target(from, location)
            .map(Some)
            .map_err(|reason| FetchError::refused(format!("the answer is a redirect whose URL {reason}")))
    }

    fn redirect_target(&self, from: &Url, location: &HeaderValue) -> Result<Url, String> {
        let text = location.to_str().map_err(|_| "is not ASCII")?;
        let next = from.join(text).map_err(|error| format!("cannot be read: {error}"))?;
        self.check_parsed(&next)?;
        if from.scheme() == "https" && next.scheme() != "https" {
            return Err("gives up https".into());
        }
        Ok(next)
    }

    fn check_parsed(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("has the scheme {:?}; allowed are http and https", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user name or password, which is not allowed".into());
        }
        let refused = |ip: IpAddr| address::check(ip, &self.allow).err().map(|what| (ip, what));
        let special = match url.host() {
            None => return Err("has no host".into()),
            Some(Host::Ipv4(ip)) => refused(ip.into()),
            Some(Host::Ipv6(ip)) => refused(ip.into()),
            // The one name whose address is known without asking; either loopback address will do.
            Some(Host::Domain(name)) if is_localhost(name) => {
                refused(Ipv4Addr::LOCALHOST.into()).filter(|_| refused(Ipv6Addr::LOCALHOST.into()).is_some())
            }
            Some(Host::Domain(_)) => None,
        };
        match special {
            None => Ok(()),
            Some((ip, what)) => {
                Err(format!("leads to {ip}, which is {what}; only public addresses and those in OUTBOUND_ALLOW may be called"))
            }
        }
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// A client on the certificates of the system; on Mozilla's, which are compiled in, where a slim image has none.
fn client_of(guard: &Guard) -> Result<Client, SetupError> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("another provider of TLS cryptography was installed before ours");
        }
    });
    let on_system = builder_of(guard).build();
    on_system
        .or_else(|_| builder_of(guard).tls_backend_preconfigured(compiled_in_roots()).build())
        .map_err(|error| SetupError(chain_of(error)))
}

fn builder_of(guard: &Guard) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .dns_resolver(Arc::new(guard.clone()))
        .redirect(Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_LIMIT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_LIMIT)
}

/// Trust in the certificates of Mozilla's list, which is compiled in.
pub fn compiled_in_roots() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, FetchError> {
    let wrong = |name: &str| FetchError::refused(format!("the header {name} cannot be sent: its value must be visible ASCII"));
    let pairs = headers.iter().map(|(name, value)| {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(name))?;
        Ok((parsed, HeaderValue::from_str(value).map_err(|_| wrong(name))?))
    });
    pairs.collect()
}

async fn read(mut response: Response) -> Result<Answer, FetchError> {
    let (status, headers) = (response.status(), response.headers().clone());
    let declared = response.content_length();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(explain)? {
        let room = BODY_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == BODY_LIMIT {
            // It does not wait for a further chunk, because none may ever come.
            let is_cut = chunk.len() > room || declared != Some(BODY_LIMIT as u64);
            return Ok(Answer { status, headers, body, is_cut });
        }
    }
    Ok(Answer { status, headers, body, is_cut: false })
}

fn explain(error: reqwest::Error) -> FetchError {
    let refused = successors(error.source(), |&cause| cause.source()).find_map(|cause| cause.downcast_ref::<RefusedAddress>());
    if let Some(refused) = refused {
        return FetchError::refused(refused.to_string());
    }
    if error.is_connect() {
        return FetchError::Unreachable { reason: chain_of(error) };
    }
    FetchError::failed(chain_of(error))
}

/// The error and its causes in one line, without the URL: its query may hold secrets.
fn chain_of(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut texts: Vec<String> = Vec::new();
    for cause in successors(Some(&error as &dyn Error), |&cause| cause.source()) {
        let text = cause.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(allow: &[(&str, u8)]) -> Fetcher {
        let allow = allow.iter().map(|&(ip, prefix)| IpRange { address: ip.parse().unwrap(), prefix }).collect();
        Fetcher::new(&OutboundConfig { allow, webhook_secret: None }).unwrap()
    }

    #[test]
    fn literal_addresses_are_refused_however_they_are_written() {
        let fetcher = fetcher(&[]);
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1:8000/",
            "http://%31%32%37.0.0.1/",
            "http://①②⑦.0.0.1/",
            "http://127。0。0。1/",
            "http://0/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:7f00:1::]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1/",
            "http://localhost/",
            "http://LOCALHOST.:80/",
            "http://a.localhost/",
            "http:127.0.0.1",
            "http:\\\\127.0.0.1\\",
            "https://192.168.0.1/",
        ] {
            let reason = fetcher.check_url(url).expect_err(url);
            assert!(reason.contains("only public addresses and those in OUTBOUND_ALLOW"), "{url}: {reason}");
        }
    }

    #[test]
    fn what_is_no_plain_web_address_is_refused_with_the_reason() {
        let fetcher = fetcher(&[]);
        for (url, reason) in [
            ("file:///etc/passwd", "has the scheme \"file\"; allowed are http and https"),
            ("gopher://example.org/", "has the scheme \"gopher\"; allowed are http and https"),
            ("http://example.org@127.0.0.1/", "holds a user name or password, which is not allowed"),
            ("https://user:secret@example.org/", "holds a user name or password, which is not allowed"),
            ("/relative", "is not a URL: relative URL without a base"),
            ("http://", "is not a URL: empty host"),
        ] {
            assert_eq!(fetcher.check_url(url).unwrap_err(), reason, "{url}");
        }
    }

    #[test]
    fn public_and_allowed_addresses_pass() {
        let fetcher = fetcher(&[("127.0.0.1", 32), ("10.0.0.0", 8)]);
        for url in
            ["https://example.org/hook?a=b", "http://1.1.1.1/", "http://127.0.0.1:9/", "http://localhost/", "http://10.9.8.7/"]
        {
            fetcher.check_url(url).expect(url);
        }
        fetcher.check_url("http://127.0.0.2/").expect_err("another loopback address");
    }

    #[test]
    fn a_redirect_may_not_give_up_https_nor_lead_where_a_call_may_not_go() {
        let fetcher = fetcher(&[]);
        let from = Url::parse("https://example.org/a/b").unwrap();
        let target = |location| fetcher.redirect_target(&from, &HeaderValue::from_static(location));
        assert_eq!(target("../c?d").unwrap().as_str(), "https://example.org/c?d");
        assert_eq!(target("//example.net/").unwrap().as_str(), "https://example.net/");
        assert_eq!(target("http://example.org/").unwrap_err(), "gives up https");
        assert!(target("https://[::ffff:169.254.169.254]/").unwrap_err().contains("link-local"));
        assert!(target("file:///etc/passwd").unwrap_err().contains("scheme"));
        assert!(target("https://a@example.org/").unwrap_err().contains("user name"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
