//! Reads one setting at a time and collects every mistake.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use url::Url;

use super::settings::SETTINGS;
use super::{
    BucketConfig, Config, Database, EncryptionKey, IpRange, Mistake, Mistakes, Purpose, Roles, SmtpConfig, SmtpSecurity,
    SourcesConfig, Storage,
};
use legwork_engine::domain::QueueName;
use legwork_mail::{Recipient, SenderDomains};
use legwork_schedule::Zone;

/// With less a child could not even start.
const LEAST_CHILD_MEMORY: u64 = 32 << 20;
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const MIN_SECRET_CHARS: usize = 32;
const ENCRYPTION_KEY_BYTES: usize = 32;
const REDIS_SCHEMES: [&str; 8] =
    ["redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster", "unix", "redis+unix"];

pub(super) struct Reader {
    pub(super) vars: BTreeMap<String, String>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    pub(super) fn new(vars: BTreeMap<String, String>) -> Self {
        Self { vars, mistakes: Vec::new() }
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.vars.get(name).is_some_and(|value| !value.trim().is_empty())
    }

    pub(super) fn optional(&self, name: &'static str) -> Option<String> {
        self.is_set(name).then(|| self.vars[name].trim().to_owned())
    }

    pub(super) fn text(&self, name: &'static str) -> String {
        self.optional(name).unwrap_or_else(|| default_of(name).to_owned())
    }

    pub(super) fn wrong(&mut self, setting: &'static str, detail: impl Display) {
        self.mistakes.push(Mistake { setting, detail: detail.to_string() });
    }

    /// Parses the value; a mistake is noted and the default stands in until [`finish`](Reader::finish) refuses all.
    pub(super) fn with<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        match parse(&self.text(name)) {
            Ok(value) => value,
            Err(detail) => {
                self.wrong(name, detail);
                #[expect(clippy::expect_used, reason = "a test parses every default")]
                parse(default_of(name)).expect("the default parses")
            }
        }
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> T {
        self.with(name, |text| text.parse().map_err(|error: T::Err| format!("{text:?}: {error}")))
    }

    pub(super) fn address(&mut self, name: &'static str) -> SocketAddr {
        self.with(name, |text| {
            text.parse().map_err(|_| format!("{text:?} is not an IP address with a port, as in 127.0.0.1:8000 or [::]:8000"))
        })
    }

    pub(super) fn at_least<T: FromStr + PartialOrd + Display + Copy>(&mut self, name: &'static str, least: T) -> T {
        self.with(name, |text| match text.parse::<T>() {
            Ok(number) if number >= least => Ok(number),
            _ => Err(format!("{text:?} is not a whole number of at least {least}")),
        })
    }

    pub(super) fn children(&mut self, name: &'static str) -> usize {
        if self.is_set(name) {
            return self.with(name, |text| {
                let number = text.parse().ok().filter(|&number: &usize| number > 0);
                number.or(text.is_empty().then_some(1)).ok_or_else(|| format!("{text:?} is not a whole number of at least 1"))
            });
        }
        std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
    }

    pub(super) fn list(&self, name: &'static str) -> Vec<String> {
        items(&self.text(name)).map(str::to_owned).collect()
    }

    /// Origins as browsers send them (RFC 6454), or `*` alone for any.
    pub(super) fn origins(&mut self, name: &'static str) -> Vec<String> {
        self.with(name, |text| {
            let origins: Vec<String> = items(text).map(str::to_owned).collect();
            match origins.iter().find(|origin| !is_origin(origin) && (*origin != "*" || origins.len() > 1)) {
                Some(wrong) => {
                    Err(format!("{wrong:?} is no origin like https://app.example.org (nor is * alone given, for any)"))
                }
                None => Ok(origins),
            }
        })
    }

    pub(super) fn parsed_list<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Vec<T> {
        self.with(name, |text| items(text).map(|item| item.parse().map_err(|error: T::Err| error.to_string())).collect())
    }

    pub(super) fn duration(&mut self, name: &'static str) -> Duration {
        self.with(name, parse_duration)
    }

    pub(super) fn at_least_a_second(&mut self, name: &'static str) -> Duration {
        self.with(name, |text| {
            let duration = parse_duration(text)?;
            if duration < Duration::from_secs(1) { Err(format!("{text:?} is shorter than a second")) } else { Ok(duration) }
        })
    }

    pub(super) fn duration_or_off(&mut self, name: &'static str) -> Option<Duration> {
        self.with(name, |text| match text {
            "off" => Ok(None),
            text => parse_duration(text).map(Some).map_err(|error| format!("{error}; off is allowed too")),
        })
    }

    pub(super) fn bytes(&mut self, name: &'static str) -> usize {
        self.with(name, parse_bytes)
    }

    pub(super) fn rate(&mut self, name: &'static str) -> Option<NonZeroU32> {
        self.with(name, |text| match text {
            "off" => Ok(None),
            number => number.parse().map(Some).map_err(|_| format!("{text:?} is neither off nor a whole number of at least 1")),
        })
    }

    pub(super) fn switch(&mut self, name: &'static str) -> bool {
        self.choice(name, &["on", "off"]) == "on"
    }

    pub(super) fn choice(&mut self, name: &'static str, allowed: &'static [&'static str]) -> String {
        self.with(name, |text| {
            let known = allowed.contains(&text);
            if known { Ok(text.to_owned()) } else { Err(format!("{text:?} is not one of {}", allowed.join(", "))) }
        })
    }

    pub(super) fn roles(&mut self, name: &'static str) -> Roles {
        self.with(name, parse_roles)
    }

    pub(super) fn prefix(&mut self, name: &'static str) -> String {
        self.with(name, |text| {
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':'));
            if plain { Ok(text.to_owned()) } else { Err(format!("{text:?} may hold letters, digits and _ - . : only")) }
        })
    }

    pub(super) fn url(&mut self, name: &'static str, schemes: &[&str]) -> Option<Url> {
        let text = self.optional(name)?;
        match Url::parse(&text) {
            Ok(url) if schemes.contains(&url.scheme()) && url.host().is_some() => return Some(url),
            Ok(_) => self.wrong(name, format!("is not a URL with a host and one of the schemes {}", schemes.join(", "))),
            Err(error) => self.wrong(name, format!("is not a URL: {error}")),
        }
        None
    }

    pub(super) fn database(&mut self, data_dir: &Path) -> Database {
        match self.optional("DATABASE_URL") {
            None => Database::Sqlite(data_dir.join("legwork.db")),
            Some(text) if text.starts_with("sqlite:") => {
                Database::Sqlite(text.trim_start_matches("sqlite:").trim_start_matches("//").into())
            }
            Some(text) => {
                self.url("DATABASE_URL", &["postgres", "postgresql"]);
                Database::Postgres(text.into())
            }
        }
    }

    pub(super) fn redis(&mut self, names: &[&'static str]) -> Option<SecretString> {
        let name = *names.iter().find(|name| self.is_set(name))?;
        let text = self.optional(name)?;
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        if !REDIS_SCHEMES.contains(&scheme) {
            self.wrong(name, format!("is not a URL with one of the schemes {}", REDIS_SCHEMES.join(", ")));
        }
        Some(text.into())
    }

    pub(super) fn secrets(&mut self, name: &'static str) -> Vec<SecretString> {
        let secrets = self.list(name);
        if secrets.iter().any(|secret| secret.chars().count() < MIN_SECRET_CHARS) {
            self.wrong(name, format!("every secret must have at least {MIN_SECRET_CHARS} characters"));
        }
        secrets.into_iter().map(SecretString::from).collect()
    }

    pub(super) fn public_key(&mut self, name: &'static str) -> Option<String> {
        let text = self.optional(name)?.replace("\\n", "\n");
        if text.contains("-----BEGIN") {
            return Some(text);
        }
        match std::fs::read_to_string(&text) {
            Ok(pem) if pem.contains("-----BEGIN") => Some(pem),
            Ok(_) => {
                self.wrong(name, format!("the file {text:?} holds no PEM block"));
                None
            }
            Err(error) => {
                self.wrong(name, format!("is neither a PEM block nor a file that can be read: {error}"));
                None
            }
        }
    }

    pub(super) fn webhook_secret(&mut self, name: &'static str) -> Option<SecretString> {
        let text = self.optional(name)?;
        let key = text.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
        if !key.is_some_and(|key| (24..=64).contains(&key.len())) {
            self.wrong(name, "is not whsec_ followed by the base64 of 24 to 64 bytes");
        }
        Some(text.into())
    }

    /// The declared sources; the demonstration where no file is named.
    pub(super) fn sources(&mut self, name: &'static str, data_dir: &Path) -> SourcesConfig {
        let demo = SourcesConfig::demo(data_dir);
        let Some(path) = self.optional(name) else { return demo };
        match std::fs::read_to_string(&path).map_err(|error| vec![format!("cannot be read: {error}")]) {
            Ok(text) => match SourcesConfig::parse(&text, &self.vars) {
                Ok(config) => return config,
                Err(mistakes) => mistakes.into_iter().for_each(|mistake| self.wrong(name, format!("{path}, {mistake}"))),
            },
            Err(mistakes) => mistakes.into_iter().for_each(|mistake| self.wrong(name, format!("{path} {mistake}"))),
        }
        demo
    }

    /// `id:base64` with commas. A mistake is told by the id, never by the key.
    pub(super) fn encryption_keys(&mut self, name: &'static str) -> Vec<EncryptionKey> {
        let mut keys: Vec<EncryptionKey> = Vec::new();
        for item in self.list(name) {
            let (id, secret) = item.split_once(':').unwrap_or_default();
            if parse_key_id(id).is_err() {
                self.wrong(name, "holds a key without an id; each is id:base64, the id 1 to 32 letters, digits, '-' and '_'");
            } else if STANDARD.decode(secret).map_or(0, |bytes| bytes.len()) != ENCRYPTION_KEY_BYTES {
                self.wrong(
                    name,
                    format!("has {id:?}, whose key is not the base64 of 32 bytes; `legwork encryption-key` makes one"),
                );
            } else if keys.iter().any(|key| key.id == id) {
                self.wrong(name, format!("has {id:?} twice"));
            }
            keys.push(EncryptionKey { id: id.to_owned(), secret: secret.into() });
        }
        keys
    }

    pub(super) fn ranges(&mut self, name: &'static str) -> Vec<IpRange> {
        self.with(name, |text| items(text).map(parse_range).collect())
    }

    pub(super) fn queue_numbers(&mut self, name: &'static str) -> BTreeMap<QueueName, usize> {
        self.with(name, |text| {
            items(text)
                .map(|item| {
                    let wrong = || format!("{item:?} is not queue=number, as in heavy=2");
                    let (queue, number) = item.split_once('=').ok_or_else(wrong)?;
                    let queue = QueueName::parse(queue.trim()).map_err(|error| error.to_string())?;
                    let number = number.trim().parse().ok().filter(|&number| number > 0).ok_or_else(wrong)?;
                    Ok((queue, number))
                })
                .collect()
        })
    }

    pub(super) fn log_filter(&mut self, name: &'static str) -> String {
        self.with(name, |text| {
            for item in items(text) {
                let (module, level) = item.rsplit_once('=').map_or((None, item), |(module, level)| (Some(module), level));
                let is_level = LOG_LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
                if !is_level || module.is_some_and(str::is_empty) {
                    let allowed = LOG_LEVELS.join(", ");
                    return Err(format!("{item:?} is neither one of {allowed} nor module=level, as in legwork::queue=debug"));
                }
            }
            let filter = items(text).collect::<Vec<_>>().join(",");
            let checked = tracing_subscriber::EnvFilter::builder().parse(&filter);
            checked.map(|_| filter).map_err(|error| format!("{text:?}: {error}"))
        })
    }

    pub(super) fn mailbox(&mut self, name: &'static str) -> String {
        self.with(name, |text| {
            let one_line = !text.chars().any(char::is_control);
            if one_line && text.contains('@') {
                Ok(text.to_owned())
            } else {
                Err(format!("{text:?} is not a sender like Legwork <legwork@example.org>"))
            }
        })
    }

    pub(super) fn zone(&mut self, name: &'static str) -> Zone {
        let text = self.text(name);
        Zone::named(&text).unwrap_or_else(|error| {
            self.wrong(name, error);
            Zone::UTC
        })
    }

    pub(super) fn sender_domains(&mut self, name: &'static str) -> SenderDomains {
        let Some(text) = self.optional(name) else { return SenderDomains::OfSender };
        let domains: Vec<String> = items(&text).map(str::to_owned).collect();
        if domains == ["*"] {
            return SenderDomains::Any;
        }
        let is_domain = |domain: &str| Recipient::parse(&format!("sender@{domain}")).is_ok();
        if let Some(wrong) = domains.iter().find(|domain| !is_domain(domain)) {
            self.wrong(name, format!("{wrong:?} is not a domain, as in example.org; * alone allows all"));
        }
        SenderDomains::Only(domains)
    }

    pub(super) fn smtp(&mut self) -> Option<SmtpConfig> {
        let url = self.url("SMTP_URL", &["smtp", "smtps", "smtp+starttls"])?;
        let (security, default_port) = match url.scheme() {
            "smtps" => (SmtpSecurity::Tls, 465),
            "smtp+starttls" => (SmtpSecurity::StartTls, 587),
            _ => (SmtpSecurity::Plain, 25),
        };
        let login = (!url.username().is_empty())
            .then(|| (percent_decoded(url.username()), SecretString::from(percent_decoded(url.password().unwrap_or_default()))));
        Some(SmtpConfig {
            host: url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(default_port),
            security,
            login,
            connections: self.at_least("SMTP_CONNECTIONS", 1),
            messages_per_connection: self.at_least("SMTP_MESSAGES_PER_CONNECTION", 1),
            timeout: self.duration("SMTP_TIMEOUT"),
        })
    }

    pub(super) fn storage(&mut self, data_dir: &Path) -> Storage {
        let folder = data_dir.join("files");
        let Some(text) = self.optional("STORAGE_URL") else { return Storage::Folder(folder) };
        let wrong = "is neither file:///absolute/path nor s3://bucket/prefix";
        match Url::parse(&text) {
            Ok(url) if url.scheme() == "file" => match url.to_file_path() {
                Ok(path) => return Storage::Folder(path),
                Err(()) => self.wrong("STORAGE_URL", wrong),
            },
            Ok(url) if url.scheme() == "s3" && url.host_str().is_some() => return Storage::Bucket(self.bucket(&url)),
            _ => self.wrong("STORAGE_URL", wrong),
        }
        Storage::Folder(folder)
    }

    fn bucket(&mut self, url: &Url) -> BucketConfig {
        if !cfg!(feature = "s3") {
            self.wrong("STORAGE_URL", "this build keeps files in a folder only; build with --features s3 for a bucket");
        }
        self.url("AWS_ENDPOINT_URL", &["http", "https"]);
        let login = match (self.optional("AWS_ACCESS_KEY_ID"), self.optional("AWS_SECRET_ACCESS_KEY")) {
            (Some(key), Some(secret)) => Some((key, secret.into())),
            (None, None) => None,
            _ => {
                self.wrong("AWS_SECRET_ACCESS_KEY", "and AWS_ACCESS_KEY_ID are set together, or neither is");
                None
            }
        };
        BucketConfig {
            bucket: url.host_str().unwrap_or_default().to_owned(),
            prefix: percent_decoded(url.path().trim_matches('/')),
            endpoint: self.optional("AWS_ENDPOINT_URL").map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
            region: self.text("AWS_REGION"),
            login,
            session_token: self.optional("AWS_SESSION_TOKEN").map(SecretString::from),
        }
    }

    /// The configuration, or every mistake, those that only show when settings meet included.
    pub(super) fn finish(mut self, config: Config, purpose: Purpose) -> Result<Config, Mistakes> {
        let on_postgres = !config.is_embedded();
        let has_all_roles = config.roles.api && config.roles.worker && config.roles.scheduler;
        if on_postgres && config.broker.redis.is_none() && !has_all_roles {
            self.wrong("REDIS_URL", "is required where the roles are spread over processes: it is how they dispatch each other");
        }
        if !on_postgres && !has_all_roles {
            self.wrong(
                "ROLES",
                "the embedded database serves one process with all roles; set DATABASE_URL and REDIS_URL to spread them",
            );
        }
        // A command signs no links; where it needs a token of its own, it asks for the secret itself.
        let needs_secrets = on_postgres && purpose == Purpose::Work;
        if needs_secrets && config.roles.api && config.auth.secrets.is_empty() && config.auth.public_key.is_none() {
            self.wrong("JWT_SECRET", "is required with Postgres (or JWT_PUBLIC_KEY); try: openssl rand -hex 32");
        }
        if needs_secrets && config.files.secrets.is_empty() {
            self.wrong("FILES_SECRET", "is required with Postgres where JWT_SECRET is not set; try: openssl rand -hex 32");
        }
        if config.isolate.max_memory < LEAST_CHILD_MEMORY {
            self.wrong("CHILD_MAX_MEMORY", "must be at least 32MiB");
        }
        let lease = config.scheduler.lease;
        if lease < Duration::from_secs(3) || lease > Duration::from_hours(1) {
            self.wrong("LEASE", "must be 3s to 1h");
        }
        if self.mistakes.is_empty() { Ok(config) } else { Err(Mistakes(self.mistakes)) }
    }
}

fn default_of(name: &str) -> &'static str {
    SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.default)
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn percent_decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("v={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// Parses a list of roles with commas between them, for example `api,worker,scheduler`.
pub(super) fn parse_roles(text: &str) -> Result<Roles, String> {
    let mut roles = Roles { api: false, worker: false, scheduler: false };
    for item in items(text) {
        match item {
            "api" => roles.api = true,
            "worker" => roles.worker = true,
            "scheduler" => roles.scheduler = true,
            "all" => roles = Roles { api: true, worker: true, scheduler: true },
            other => return Err(format!("{other:?} is not one of api, worker, scheduler")),
        }
    }
    if roles.api || roles.worker || roles.scheduler { Ok(roles) } else { Err("names no role".into()) }
}

impl FromStr for Roles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_roles(text)
    }
}

/// Parses `500ms`, `30s`, `5m`, `2h`, `30d`; a bare number is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration like 500ms, 30s, 5m, 2h or 30d");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

/// Whether it is scheme, host and perhaps a port, and nothing else, as browsers send it. Programs around web pages have schemes of their own.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let of = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte))
    };
    of(scheme, b"+-.") && of(host, b"-._:[]") && Url::parse(text).is_ok()
}

/// Parses the id of an encryption key.
pub fn parse_key_id(id: &str) -> Result<String, String> {
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_id { Ok(id.to_owned()) } else { Err("is not 1 to 32 letters, digits, '-' and '_'".into()) }
}

fn parse_bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is not a size like 4096, 256KiB or 1MiB");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: usize = number.parse().map_err(|_| wrong())?;
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

fn parse_range(text: &str) -> Result<IpRange, String> {
    let wrong = || format!("{text:?} is not an address or a range like 10.0.0.0/8");
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: std::net::IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => most,
        Some(prefix) => prefix.parse().ok().filter(|&bits| bits <= most).ok_or_else(wrong)?,
    };
    Ok(IpRange { address, prefix })
}
