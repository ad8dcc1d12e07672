//! Where Redis is: one server, or whoever Sentinel or the Cluster says it is now.
//!
//! Every key of a prefix lies in one slot, so a Cluster too is one server at a time. All three forms therefore come down to one question,
//! asked at every connect: which server is it now?

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, RedisResult, TlsCertificates, aio::MultiplexedConnection, aio::PubSub,
};
use url::Url;

use crate::broker::BrokerError;

/// A connection that is not there by then is not waited for.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// The servers that a URL names.
pub(super) struct Servers {
    form: Form,
    tls: Option<TlsCertificates>,
    /// The seed that answered last is asked first.
    seed: AtomicUsize,
}

enum Form {
    One(ConnectionInfo),
    /// `master` has everything but the address, which the sentinels tell.
    Sentinel {
        seeds: Vec<ConnectionInfo>,
        service: String,
        master: ConnectionInfo,
    },
    /// The owner of the slot of `hash_tag`.
    Cluster {
        seeds: Vec<ConnectionInfo>,
        hash_tag: String,
    },
}

impl Servers {
    /// Parses `redis://`, `rediss://`, `unix://`, `redis+unix://`, `redis[s]+sentinel://[user:password@]host:port,…/service[/db]` and
    /// `redis[s]+cluster://[user:password@]host:port,…`. `?ca=/path.pem` names the authority that TLS trusts instead of the public ones;
    /// `?sentinel_user=` and `?sentinel_password=` are for the sentinels themselves. No message repeats the URL: it may hold a password.
    pub fn parse(url: &str, hash_tag: &str) -> Result<Self, BrokerError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("is not a URL"))?;
        if rest.contains('#') {
            return Err(wrong("has a part after '#', which means nothing here; TLS is always checked"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let options = Options::parse(query)?;
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let form = match (base, kind) {
            ("redis" | "rediss" | "unix", "") | ("redis", "unix") => Form::One(one(url)?),
            ("redis" | "rediss", "sentinel") => sentinel(base, rest, &options)?,
            ("redis" | "rediss", "cluster") => cluster(base, rest, hash_tag)?,
            _ => {
                return Err(wrong("has a scheme that is none of redis, rediss, unix, redis+unix, redis+sentinel, redis+cluster"));
            }
        };
        if options.tls.is_some() && base != "rediss" {
            return Err(wrong("names a ca, but does not ask for TLS: its scheme must start with rediss"));
        }
        Ok(Self { form, tls: options.tls, seed: AtomicUsize::new(0) })
    }

    /// A connection for commands. With `None` an answer may take for ever, as a blocking read needs it.
    pub async fn connect(&self, response_deadline: Option<Duration>) -> RedisResult<MultiplexedConnection> {
        connect(&self.master().await?, response_deadline).await
    }

    /// A connection for subscriptions.
    pub async fn subscriber(&self) -> RedisResult<PubSub> {
        let client = self.master().await?;
        tokio::time::timeout(CONNECT_DEADLINE, client.get_async_pubsub()).await.map_err(|_elapsed| late())?
    }

    async fn master(&self) -> RedisResult<Client> {
        let seeds = match &self.form {
            Form::One(info) => return self.client(info.clone()),
            Form::Sentinel { seeds, .. } | Form::Cluster { seeds, .. } => seeds,
        };
        let first = self.seed.load(Ordering::Relaxed);
        let mut failure = RedisError::from((ErrorKind::InvalidClientConfig, "no server is named"));
        for turn in 0..seeds.len() {
            let index = (first + turn) % seeds.len();
            match self.ask_sentinel(&seeds[index]).await {
                Ok(client) => {
                    self.seed.store(index, Ordering::Relaxed);
                    return Ok(client);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn ask_sentinel(&self, seed: &ConnectionInfo) -> RedisResult<Client> {
        let mut connection = connect(&self.client(seed.clone())?, Some(CONNECT_DEADLINE)).await?;
        match &self.form {
            Form::Sentinel { service, master, .. } => {
                let mut question = redis::cmd("SENTINEL");
                question.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
                let found: Option<(String, u16)> = question.query_async(&mut connection).await?;
                let (host, port) =
                    found.ok_or((ErrorKind::MasterNameNotFoundBySentinel, "no such service is known to the sentinel"))?;
                self.client_if_master(at(master, host, port)).await
            }
            Form::Cluster { hash_tag, .. } => {
                let slot: i64 = redis::cmd("CLUSTER").arg("KEYSLOT").arg(hash_tag).query_async(&mut connection).await?;
                let ranges: Vec<redis::Value> = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
                let (host, port) = owner(&ranges, slot).ok_or((ErrorKind::ClusterConnectionNotFound, "nobody owns the slot"))?;
                // A node that does not know its own name answers without one.
                let host = if host.is_empty() { host_of(seed) } else { host };
                self.client(at(seed, host, port))
            }
            Form::One(info) => self.client(info.clone()),
        }
    }

    /// A sentinel may be behind: what it names must say itself that it is the master.
    async fn client_if_master(&self, info: ConnectionInfo) -> RedisResult<Client> {
        let client = self.client(info)?;
        let mut connection = connect(&client, Some(CONNECT_DEADLINE)).await?;
        let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
        match role.first().map(redis::from_redis_value_ref::<String>) {
            Some(Ok(role)) if role == "master" => Ok(client),
            _ => Err((ErrorKind::MasterNameNotFoundBySentinel, "the server that the sentinel names is not the master").into()),
        }
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        match &self.tls {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }
}

async fn connect(client: &Client, response_deadline: Option<Duration>) -> RedisResult<MultiplexedConnection> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_DEADLINE)).set_response_timeout(response_deadline);
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// The error of an answer that did not come in time.
pub(super) fn late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

#[derive(Default)]
struct Options {
    tls: Option<TlsCertificates>,
    sentinel: RedisConnectionInfo,
}

impl Options {
    fn parse(query: &str) -> Result<Self, BrokerError> {
        let mut options = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "ca" => {
                    let pem = std::fs::read(&*value)
                        .map_err(|error| BrokerError::Refused(format!("the ca file {value:?} cannot be read: {error}")))?;
                    options.tls = Some(TlsCertificates { client_tls: None, root_cert: Some(pem) });
                }
                "sentinel_user" => options.sentinel = options.sentinel.set_username(&value),
                "sentinel_password" => options.sentinel = options.sentinel.set_password(&value),
                // These are the redis crate's, for sockets.
                "db" | "user" | "pass" => {}
                _ => {
                    return Err(wrong(
                        "has an option that is none of ca, sentinel_user, sentinel_password, and db, user, pass of a socket",
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn wrong(what: &str) -> BrokerError {
    BrokerError::Refused(format!("the Redis URL {what}"))
}

fn one(url: &str) -> Result<ConnectionInfo, BrokerError> {
    let mut url = Url::parse(url).map_err(|error| wrong(&format!("does not parse: {error}")))?;
    if matches!(url.scheme(), "redis" | "rediss") {
        url.set_query(None);
    }
    url.into_connection_info().map_err(|error| wrong(&format!("does not parse: {error}")))
}

fn sentinel(base: &str, rest: &str, options: &Options) -> Result<Form, BrokerError> {
    let (authority, path) =
        rest.split_once('/').ok_or_else(|| wrong("lacks the service after the sentinels, as in …:26379/mymaster"))?;
    let (service, db) = path.split_once('/').unwrap_or((path, ""));
    if service.is_empty() {
        return Err(wrong("lacks the service after the sentinels, as in …:26379/mymaster"));
    }
    let (login, hosts) = split_login(authority);
    let seeds = hosts
        .map(
            |host| Ok(one(&format!("{base}://{}", with_port(host, SENTINEL_PORT)))?.set_redis_settings(options.sentinel.clone())),
        )
        .collect::<Result<Vec<_>, BrokerError>>()?;
    // The address is a place holder, which every answer of a sentinel replaces.
    let master = one(&format!("{base}://{login}sentinel/{db}"))?;
    Ok(Form::Sentinel { seeds, service: service.to_owned(), master })
}

fn cluster(base: &str, rest: &str, hash_tag: &str) -> Result<Form, BrokerError> {
    let (authority, db) = rest.split_once('/').unwrap_or((rest, ""));
    if !matches!(db, "" | "0") {
        return Err(wrong("names a database, but a Cluster has number 0 only; use REDIS_PREFIX to share it"));
    }
    let (login, hosts) = split_login(authority);
    let seeds = hosts
        .map(|host| one(&format!("{base}://{login}{}", with_port(host, REDIS_PORT))))
        .collect::<Result<Vec<_>, BrokerError>>()?;
    Ok(Form::Cluster { seeds, hash_tag: hash_tag.to_owned() })
}

/// `user:password@` with its `@` (or nothing), and the hosts.
fn split_login(authority: &str) -> (&str, impl Iterator<Item = &str>) {
    let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    (login, hosts.split(',').map(str::trim))
}

fn with_port(host: &str, port: u16) -> String {
    let after_brackets = host.rsplit(']').next().unwrap_or(host);
    if after_brackets.contains(':') { host.to_owned() } else { format!("{host}:{port}") }
}

/// `like`, at another address.
fn at(like: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let addr = match like.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    like.clone().set_addr(addr)
}

fn host_of(info: &ConnectionInfo) -> String {
    match info.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    }
}

/// Who owns `slot`, in the answer of CLUSTER SLOTS: ranges of first slot, last slot, master, replicas.
fn owner(ranges: &[redis::Value], slot: i64) -> Option<(String, u16)> {
    ranges.iter().find_map(|range| {
        let redis::Value::Array(parts) = range else { return None };
        let [redis::Value::Int(first), redis::Value::Int(last), redis::Value::Array(master), ..] = parts.as_slice() else {
            return None;
        };
        let [host, port, ..] = master.as_slice() else { return None };
        let host: Option<String> = redis::from_redis_value_ref(host).ok()?;
        (*first..=*last).contains(&slot).then(|| Some((host.unwrap_or_default(), redis::from_redis_value_ref(port).ok()?)))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Form {
        Servers::parse(url, "{legwork}").unwrap().form
    }

    fn refused(url: &str) -> String {
        Servers::parse(url, "{legwork}").err().unwrap().to_string()
    }

    #[test]
    fn one_server_is_named_with_user_password_and_database() {
        let Form::One(info) = parsed("redis://ann:s%40crt@cache:7000/3") else { panic!("not one") };
        assert_eq!(info.addr().to_string(), "cache:7000");
        assert_eq!(info.redis_settings().username(), Some("ann"));
        assert_eq!(info.redis_settings().password(), Some("s@crt"));
        assert_eq!(info.redis_settings().db(), 3);
        let Form::One(info) = parsed("rediss://cache") else { panic!("not one") };
        assert!(matches!(info.addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
        let Form::One(info) = parsed("redis+unix:///run/redis.sock?db=2") else { panic!("not one") };
        assert_eq!((info.addr().to_string().as_str(), info.redis_settings().db()), ("/run/redis.sock", 2));
    }

    #[test]
    fn sentinels_and_clusters_are_lists_of_hosts() {
        let Form::Sentinel { seeds, service, master } = parsed("redis+sentinel://ann:pw@a,b:1,[::1]/main/4?sentinel_password=x")
        else {
            panic!("not sentinel")
        };
        let hosts: Vec<String> = seeds.iter().map(|seed| seed.addr().to_string()).collect();
        assert_eq!(hosts, ["a:26379", "b:1", "::1:26379"]);
        assert_eq!((service.as_str(), master.redis_settings().db()), ("main", 4));
        assert_eq!(master.redis_settings().username(), Some("ann"));
        assert_eq!(seeds[0].redis_settings().password(), Some("x"));
        let Form::Cluster { seeds, .. } = parsed("rediss+cluster://:pw@a:7001,b:7002") else { panic!("not cluster") };
        assert_eq!(seeds.len(), 2);
        assert!(matches!(seeds[1].addr(), ConnectionAddr::TcpTls { port: 7002, .. }));
        assert_eq!(seeds[1].redis_settings().password(), Some("pw"));
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_it() {
        for (url, why) in [
            ("amqp://:hidden@h", "scheme"),
            ("redis+sentinel://:hidden@h:1", "service"),
            ("redis+cluster://:hidden@h:1/5", "database"),
            ("rediss://:hidden@h#insecure", "'#'"),
            ("redis://:hidden@h?ca=/dev/null", "rediss"),
            ("redis://:hidden@h?tls=off", "option"),
            ("redis://:hidden@h/x", "database"),
        ] {
            let message = refused(url);
            assert!(message.contains(why) && !message.contains("hidden"), "{url}: {message}");
        }
    }
}
