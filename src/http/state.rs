//! The values that all handlers share.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::error::ApiError;
use super::health::Readiness;
use super::limit::SubmitLimit;
use super::openapi;
use crate::auth::{LoginThrottle, Passwords, Tokens};
use crate::config::HttpConfig;
use crate::dashboard::{Dashboard, DashboardConfig};
use crate::files::FileService;
use crate::kinds::KindSet;
use crate::packs::RunningPacks;
use crate::services::Services;
use legwork_engine::domain::Principal;
use legwork_engine::queue::Queue;
use legwork_engine::shutdown::Shutdown;

/// Passwords that are hashed at once: each takes 19 MiB and a core.
const PASSWORDS_AT_ONCE: usize = 2;

/// What the API is made of.
pub struct ApiParts {
    /// The engine of this process.
    pub queue: Arc<Queue>,
    /// The kinds that can be submitted.
    pub kinds: KindSet,
    /// The packs that were loaded, whose schedules can be brought in line.
    pub packs: Arc<RunningPacks>,
    /// What kinds may use.
    pub services: Arc<Services>,
    /// The storage with the table that lists its files.
    pub files: FileService,
    /// Who verifies tokens. The app keeps its set of revoked ids current.
    pub tokens: Arc<Tokens>,
    /// Addresses, limits and timeouts of the server.
    pub config: HttpConfig,
    /// What must hold for `/readyz`.
    pub readiness: Readiness,
    /// The end: streams end with it, and readiness turns red.
    pub shutdown: Shutdown,
    /// The settings of the dashboard.
    pub dashboard: DashboardConfig,
    /// Whether tasks are served, or health and metrics only (a bare worker).
    pub serves_tasks: bool,
}

/// The shared values behind [`ApiState`].
pub struct Shared {
    pub(crate) queue: Arc<Queue>,
    pub(crate) kinds: KindSet,
    pub(crate) packs: Arc<RunningPacks>,
    pub(crate) services: Arc<Services>,
    pub(crate) files: FileService,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) config: HttpConfig,
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: Shutdown,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: LoginThrottle,
    pub(super) submit_limit: Option<SubmitLimit>,
    /// When the gauges of queues were last refreshed.
    pub(super) gauges_read_at: Mutex<Option<Timestamp>>,
    pub(crate) dashboard: Dashboard,
    /// The document of the kinds as they were at a generation; empty where tasks are not served.
    openapi: Mutex<(u64, Bytes)>,
    /// The methods of each path of the document; made for the first who asks.
    methods: OnceLock<HashMap<String, String>>,
    pub(super) serves_tasks: bool,
}

/// A handle to what handlers share; clones are cheap.
#[derive(Clone)]
pub struct ApiState(Arc<Shared>);

impl ApiState {
    /// Puts the API together.
    pub fn new(parts: ApiParts) -> Self {
        let ApiParts { queue, kinds, packs, services, files, tokens, config, readiness, shutdown, dashboard, serves_tasks } =
            parts;
        let openapi = if serves_tasks { openapi::json(&kinds).into() } else { Bytes::new() };
        let openapi = Mutex::new((kinds.generation(), openapi));
        Self(Arc::new(Shared {
            submit_limit: config.rate_limit.map(SubmitLimit::new),
            queue,
            kinds,
            packs,
            services,
            files,
            tokens,
            config,
            readiness,
            shutdown,
            passwords: Passwords::new(PASSWORDS_AT_ONCE),
            throttle: LoginThrottle::default(),
            dashboard: Dashboard::new(dashboard),
            gauges_read_at: Mutex::default(),
            openapi,
            methods: OnceLock::new(),
            serves_tasks,
        }))
    }

    /// The current time, by the engine's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.queue.clock().now()
    }

    /// The document, made anew after the kinds have changed.
    pub(super) fn openapi(&self) -> Bytes {
        let mut document = self.openapi.lock();
        let generation = self.kinds.generation();
        if self.serves_tasks && document.0 != generation {
            *document = (generation, openapi::json(&self.kinds).into());
        }
        document.1.clone()
    }

    /// The methods that a path of the document takes, as in `GET, POST`; empty where it has no such path.
    pub(super) fn methods_of(&self, path: &str) -> &str {
        self.methods.get_or_init(|| openapi::methods(&self.openapi())).get(path).map_or("", String::as_str)
    }

    /// Lets `count` submissions in, or answers 429.
    pub(super) fn admit(&self, principal: &Principal, count: usize) -> Result<(), ApiError> {
        match &self.submit_limit {
            Some(limit) => limit.admit(&principal.subject, u32::try_from(count).unwrap_or(u32::MAX)),
            None => Ok(()),
        }
    }

    /// The client's address: the peer's, or, where the peer is a trusted proxy, the last in `X-Forwarded-For` that is none.
    pub(crate) fn client_address(&self, parts: &Parts) -> IpAddr {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let is_trusted = |address: IpAddr| self.config.trusted_proxies.iter().any(|range| range.contains(address));
        if !is_trusted(peer) {
            return peer;
        }
        let forwarded = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let mut client = peer;
        // Each proxy appends the address of its client. What is left of the last untrusted address was written by that client.
        for text in forwarded.flat_map(|value| value.split(',')).collect::<Vec<_>>().into_iter().rev() {
            let Some(address) = forwarded_address(text) else { break };
            client = address;
            if !is_trusted(address) {
                break;
            }
        }
        client
    }
}

/// An address in `X-Forwarded-For`. Some proxies add the client's port, and write IPv6 addresses in brackets.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let in_brackets = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = in_brackets.unwrap_or(text).parse().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

impl std::ops::Deref for ApiState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_address_may_have_a_port_and_brackets() {
        for (text, address) in [
            ("203.0.113.9", Some("203.0.113.9")),
            (" 203.0.113.9:51234", Some("203.0.113.9")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("\"[2001:db8::1]:443\"", Some("2001:db8::1")),
            ("unknown", None),
            ("203.0.113.9:x", None),
            ("", None),
        ] {
            assert_eq!(forwarded_address(text), address.map(|address| address.parse().unwrap()), "{text:?}");
        }
    }
}
