//! The settings of the server and of who calls it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use legwork_outbound::IpRange;
use legwork_schedule::Zone;
use secrecy::SecretString;

use super::parse::Reader;
use super::without_slash;

/// The HTTP server's settings.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// How users reach it, without a slash at the end.
    pub public_url: String,
    /// The zone of schedules that name none.
    pub timezone: Zone,
    /// Submissions per principal and second; `None` is no limit.
    pub rate_limit: Option<NonZeroU32>,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// The largest upload, in bytes.
    pub upload_limit: usize,
    /// How long uploads are kept; `None` for good.
    pub upload_retention: Option<Duration>,
    /// The longest time for a request, long polls and streams apart.
    pub request_timeout: Duration,
    /// The most tasks in one batch.
    pub batch_limit: usize,
    /// Origins that browsers may call from.
    pub cors_origins: Vec<String>,
    /// Whether `/metrics` is served.
    pub metrics: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpRange>,
}

/// How the commands reach a running server.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where it is, without a slash at the end.
    pub url: String,
    /// Whether `LEGWORK_URL` says so; else it is the server of this configuration.
    pub url_is_set: bool,
    /// The token to show; `None` where one is made of the secret.
    pub token: Option<SecretString>,
}

pub(super) fn http_config(reader: &mut Reader, listen: SocketAddr, public_url: String) -> HttpConfig {
    HttpConfig {
        listen,
        public_url,
        timezone: reader.zone("TIMEZONE"),
        rate_limit: reader.rate("RATE_LIMIT"),
        body_limit: reader.bytes("BODY_LIMIT"),
        upload_limit: reader.bytes("UPLOAD_LIMIT"),
        upload_retention: reader.duration_or_off("UPLOAD_RETENTION"),
        request_timeout: reader.at_least_a_second("REQUEST_TIMEOUT"),
        batch_limit: reader.at_least("BATCH_LIMIT", 1),
        cors_origins: reader.origins("CORS_ORIGINS"),
        metrics: reader.switch("METRICS"),
        trusted_proxies: reader.ranges("TRUSTED_PROXIES"),
    }
}

pub(super) fn client_config(reader: &mut Reader, listen: SocketAddr, public_url: Option<&String>) -> ClientConfig {
    let url = match reader.optional("LEGWORK_URL") {
        Some(_) => reader.url("LEGWORK_URL", &["http", "https"]).as_ref().map_or_else(String::new, without_slash),
        None => public_url.cloned().unwrap_or_else(|| format!("http://{}", reachable(listen))),
    };
    ClientConfig {
        url,
        url_is_set: reader.is_set("LEGWORK_URL"),
        token: reader.optional("LEGWORK_TOKEN").map(SecretString::from),
    }
}

/// The address to call where a server listens on all: the host itself.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
