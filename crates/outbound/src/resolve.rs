//! Names become addresses here, and only addresses that may be called leave. The connection goes to what was checked, so a name
//! that changes its mind between a check and a connection (DNS rebinding) gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;
use crate::IpRange;

/// Resolves host names to IP addresses. Tests replace it by a fixed table.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of `host`.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Resolves names with the operating system's resolver.
pub(super) struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Every address of the name is one that may not be called.
#[derive(Debug, thiserror::Error)]
#[error("{host} is at {ip}, which is {what}; only public addresses and those in OUTBOUND_ALLOW may be called")]
pub(super) struct RefusedAddress {
    pub(super) host: String,
    pub(super) ip: IpAddr,
    pub(super) what: &'static str,
}

/// The reasons why a name has no usable address.
enum Unresolved {
    /// The lookup failed.
    Lookup(io::Error),
    /// The name resolves to an address that must not be called.
    Refused(RefusedAddress),
}

/// Lets through what may be called.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) allow: Arc<[IpRange]>,
}

impl Guard {
    async fn allowed(self, host: String) -> Result<Addrs, Unresolved> {
        let found = self.lookup.lookup(&host).await.map_err(Unresolved::Lookup)?;
        let mut refused = None;
        let mut allowed = Vec::with_capacity(found.len());
        for ip in found {
            match address::check(ip, &self.allow) {
                Ok(()) => allowed.push(SocketAddr::new(ip, 0)),
                Err(what) => refused = Some(RefusedAddress { host: host.clone(), ip, what }),
            }
        }
        match refused {
            Some(refused) if allowed.is_empty() => Err(Unresolved::Refused(refused)),
            _ => Ok(Box::new(allowed.into_iter())),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.clone().allowed(name.as_str().to_owned());
        // Each error goes out as itself: who called looks for the refusal among its causes.
        Box::pin(async {
            allowed.await.map_err(|unresolved| match unresolved {
                Unresolved::Lookup(error) => error.into(),
                Unresolved::Refused(refused) => refused.into(),
            })
        })
    }
}
