//! Every setting: its name, its default, its check. The only reader of the environment.
//!
//! [`SETTINGS`] is the list; `.env.example` is written from it and a test compares the two. [`Config::read`] reports every mistake at once.

mod effective;
mod files;
mod http;
mod isolate;
mod packs;
mod parse;
mod settings;
mod sms;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use legwork_engine::queue::SubmitConfig;
use legwork_engine::scheduler::SchedulerConfig;
use legwork_engine::store::EncryptionKey;
use legwork_engine::worker::WorkerConfig;
use legwork_isolate::IsolateConfig;
use legwork_mail::{MailConfig, SmtpConfig, SmtpSecurity};
use legwork_outbound::{IpRange, OutboundConfig};
use legwork_source::SourcesConfig;
use secrecy::SecretString;
use url::Url;

pub use effective::{EffectiveSetting, effective_settings};
pub use files::{BucketConfig, FilesConfig, Storage};
pub use http::{ClientConfig, HttpConfig, reachable};
pub use isolate::ImageConfig;
pub use packs::{PacksConfig, packs_value};
pub use parse::{parse_duration, parse_key_id};
pub use settings::{SETTINGS, Setting, env_example};
pub use sms::{SmsConfig, SmsHttpConfig, SmsProvider};

use files::files_config;
use http::{client_config, http_config};
use isolate::isolate_config;
use packs::packs_config;
use parse::Reader;

/// The roles of a process, in any mix. By default it has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Whether the process serves the HTTP API and the dashboard.
    pub api: bool,
    /// Whether the process runs tasks.
    pub worker: bool,
    /// Whether the process does scheduled work: it dispatches due tasks, rescues and prunes.
    pub scheduler: bool,
}

/// Lists the roles with commas between them, for example `api, worker`.
impl std::fmt::Display for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [(self.api, "api"), (self.worker, "worker"), (self.scheduler, "scheduler")];
        let names: Vec<&str> = all.into_iter().filter_map(|(is_on, name)| is_on.then_some(name)).collect();
        f.write_str(&names.join(", "))
    }
}

/// The database that keeps the rows.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file in `DATA_DIR`.
    Sqlite(PathBuf),
    /// A Postgres database, by its URL from `DATABASE_URL`.
    Postgres(SecretString),
}

/// The database of the store, its connections and its encryption.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The database that keeps the rows.
    pub database: Database,
    /// Connections for everything but the batched writes, which hold their own.
    pub connections: u32,
    /// What args, results and errors are encrypted with: the first encrypts, all open; none leaves them in clear.
    pub encryption: Vec<EncryptionKey>,
}

/// The broker's address and the prefix of its keys.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// `REDIS_URL`; `None` means in-process.
    pub redis: Option<SecretString>,
    /// What every key starts with.
    pub prefix: String,
}

/// The keys of tokens.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// HS256 secrets; the first signs, all verify.
    pub secrets: Vec<SecretString>,
    /// A public key in PEM form, for RS256 or `EdDSA`.
    pub public_key: Option<String>,
    /// The `iss` claim of tokens that are issued or accepted.
    pub issuer: String,
    /// The `aud` claim of tokens that are issued or accepted.
    pub audience: String,
}

/// The settings of what goes to many at once.
#[derive(Clone, Debug)]
pub struct BulkConfig {
    /// Recipients of one task at most.
    pub recipient_limit: usize,
    /// Connections to the mail server at most, beside those for single mails.
    pub connections: usize,
    /// Whether an address that does not exist is put on the suppression list.
    pub suppress_bounces: bool,
    /// What links to unsubscribe start with, without a slash at the end.
    pub public_url: String,
    /// Whether users can reach that, as far as the settings tell.
    pub is_public: bool,
}

/// What templates and pages say of the site.
#[derive(Clone, Debug)]
pub struct RenderConfig {
    /// The folder with `emails/`.
    pub templates_dir: PathBuf,
    /// The value of `site_name` in templates.
    pub site_name: String,
    /// The value of `frontend_url` in templates.
    pub frontend_url: String,
}

/// Level and format of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// A filter, as in `info` or `info,legwork::queue=debug`.
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
}

/// Everything, by section. A module takes its own section.
#[derive(Clone, Debug)]
pub struct Config {
    /// What this process does.
    pub roles: Roles,
    /// Where files are kept.
    pub data_dir: PathBuf,
    /// The database and its connections.
    pub store: StoreConfig,
    /// Redis, or the broker inside the process.
    pub broker: BrokerConfig,
    /// The HTTP server's address and limits.
    pub http: HttpConfig,
    /// Whether `LISTEN` was set (a bare worker listens only then).
    pub listen_is_set: bool,
    /// The keys and claims of tokens.
    pub auth: AuthConfig,
    /// Limits and defaults of submissions.
    pub submit: SubmitConfig,
    /// What goes to many at once.
    pub bulk: BulkConfig,
    /// The worker's slots, queues and limits.
    pub worker: WorkerConfig,
    /// Intervals and retention times of the scheduler.
    pub scheduler: SchedulerConfig,
    /// The SMTP relay or the outbox.
    pub mail: MailConfig,
    /// The provider of text messages.
    pub sms: SmsConfig,
    /// The templates of mails.
    pub render: RenderConfig,
    /// Limits of outbound HTTP calls.
    pub outbound: OutboundConfig,
    /// The application's databases.
    pub sources: SourcesConfig,
    /// Packs.
    pub packs: PacksConfig,
    /// How long an exported file can be fetched.
    pub export_retention: Duration,
    /// The storage of files and the links to them.
    pub files: FilesConfig,
    /// The limits of child processes.
    pub isolate: IsolateConfig,
    /// The limits and formats of images.
    pub image: ImageConfig,
    /// Level and format of the log.
    pub log: LogConfig,
    /// The server and token that the command line uses by default.
    pub client: ClientConfig,
}

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Name of the setting.
    pub setting: &'static str,
    /// What is wrong with it, and what is allowed.
    pub detail: String,
}

/// Every mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let end = if index + 1 == self.0.len() { "" } else { "\n" };
            write!(f, "{}: {}{end}", mistake.setting, mistake.detail)?;
        }
        Ok(())
    }
}

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To serve, or to run tasks.
    Work,
    /// A command that asks a server or the database, and ends.
    Command,
}

/// The file in the working folder whose settings are read as well.
const ENV_FILE: &str = ".env";

/// The settings for [`Config::read`]: the process's environment, and those of the file `.env` in the working folder that the environment does not
/// have. Values that are not Unicode are passed over: no setting has one.
pub fn environment() -> Result<BTreeMap<String, String>, Mistakes> {
    let mut vars = env_file(Path::new(ENV_FILE))?;
    vars.extend(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))));
    Ok(vars)
}

/// The settings in a file of lines `NAME=value`; none if there is no such file.
fn env_file(path: &Path) -> Result<BTreeMap<String, String>, Mistakes> {
    let wrong = |detail: String| Mistakes(vec![Mistake { setting: ENV_FILE, detail }]);
    let lines = match dotenvy::from_path_iter(path) {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return Ok(BTreeMap::new()),
        Err(error) => return Err(wrong(format!("{} cannot be read: {error}", path.display()))),
    };
    // The parser's own message repeats the line, which may hold a secret.
    let in_line = |_| wrong(format!("{} has a line that is not NAME=value; put values with spaces into quotes", path.display()));
    lines.map(|line| line.map_err(in_line)).collect()
}

impl Config {
    /// Reads settings from `vars`; an empty value is as good as none.
    pub fn read(vars: BTreeMap<String, String>) -> Result<Self, Mistakes> {
        Self::read_for(Purpose::Work, vars)
    }

    /// The same for a purpose, which says what is required.
    pub fn read_for(purpose: Purpose, vars: BTreeMap<String, String>) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(vars);
        let data_dir: PathBuf = reader.text("DATA_DIR").into();
        let listen = reader.address("LISTEN");
        let database = reader.database(&data_dir);
        let packs = packs_config(&mut reader, &data_dir, matches!(database, Database::Sqlite(_)));
        let redis = reader.redis(&["REDIS_URL", "REDISCLOUD_URL", "CELERY_BROKER_URL"]);
        let public_url = match reader.optional("PUBLIC_URL") {
            Some(_) => reader.url("PUBLIC_URL", &["http", "https"]).as_ref().map_or_else(String::new, without_slash),
            None => format!("http://{listen}"),
        };
        let public_url_is_set = reader.is_set("PUBLIC_URL");
        let key_retention = reader.at_least_a_second("IDEMPOTENCY_RETENTION");
        let result_retention = reader.at_least_a_second("RESULT_RETENTION");
        let lease = reader.duration("LEASE");
        let config = Self {
            roles: reader.roles("ROLES"),
            store: StoreConfig {
                database,
                connections: reader.at_least("DATABASE_CONNECTIONS", 1),
                encryption: reader.encryption_keys("ENCRYPTION_KEYS"),
            },
            broker: BrokerConfig { redis, prefix: reader.prefix("REDIS_PREFIX") },
            http: http_config(&mut reader, listen, public_url.clone()),
            listen_is_set: reader.is_set("LISTEN"),
            auth: AuthConfig {
                secrets: reader.secrets("JWT_SECRET"),
                public_key: reader.public_key("JWT_PUBLIC_KEY"),
                issuer: reader.text("JWT_ISSUER"),
                audience: reader.text("JWT_AUDIENCE"),
            },
            submit: SubmitConfig {
                args_limit: reader.bytes("ARGS_LIMIT"),
                routing: reader.parsed("ROUTES"),
                key_retention,
                result_retention,
            },
            bulk: bulk_config(&mut reader, public_url.clone(), public_url_is_set),
            worker: worker_config(&mut reader, lease),
            scheduler: SchedulerConfig { lease, result_retention, key_retention },
            mail: MailConfig {
                smtp: reader.smtp(),
                outbox: data_dir.join("outbox"),
                from: reader.mailbox("MAIL_FROM"),
                sender_domains: reader.sender_domains("MAIL_FROM_DOMAINS"),
            },
            sms: reader.sms(&data_dir),
            render: render_config(&mut reader, &public_url),
            outbound: OutboundConfig {
                allow: reader.ranges("OUTBOUND_ALLOW"),
                webhook_secret: reader.webhook_secret("WEBHOOK_SECRET"),
            },
            packs,
            sources: reader.sources("SOURCES", &data_dir),
            export_retention: reader.duration("EXPORT_RETENTION"),
            files: files_config(&mut reader, &data_dir, public_url.clone()),
            isolate: isolate_config(&mut reader),
            image: ImageConfig {
                max_bytes: reader.bytes("IMAGE_MAX_BYTES") as u64,
                max_pixels: reader.at_least("IMAGE_MAX_PIXELS", 1),
                retention: reader.duration_or_off("IMAGE_RETENTION"),
            },
            client: client_config(&mut reader, listen, public_url_is_set.then_some(&public_url)),
            log: LogConfig {
                level: reader.log_filter("LOG_LEVEL"),
                json: reader.choice("LOG_FORMAT", &["text", "json"]) == "json",
            },
            data_dir,
        };
        reader.finish(config.with_file_secrets(), purpose)
    }

    /// Links are signed by the secrets of the tokens where they have none of their own, so that all processes agree.
    fn with_file_secrets(mut self) -> Self {
        if self.files.secrets.is_empty() {
            self.files.secrets.clone_from(&self.auth.secrets);
        }
        self
    }

    /// Whether nothing but this process can be using the store.
    pub fn is_embedded(&self) -> bool {
        matches!(self.store.database, Database::Sqlite(_))
    }
}

fn without_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn render_config(reader: &mut Reader, public_url: &str) -> RenderConfig {
    RenderConfig {
        templates_dir: reader.text("TEMPLATES_DIR").into(),
        site_name: reader.text("SITE_NAME"),
        frontend_url: match reader.optional("FRONTEND_URL") {
            Some(_) => reader.url("FRONTEND_URL", &["http", "https"]).as_ref().map_or_else(String::new, without_slash),
            None => public_url.to_owned(),
        },
    }
}

fn bulk_config(reader: &mut Reader, public_url: String, is_public: bool) -> BulkConfig {
    BulkConfig {
        recipient_limit: reader.at_least("BULK_RECIPIENT_LIMIT", 1),
        connections: reader.at_least("BULK_CONNECTIONS", 1),
        suppress_bounces: reader.switch("BULK_SUPPRESS_BOUNCES"),
        public_url,
        is_public,
    }
}

fn worker_config(reader: &mut Reader, lease: Duration) -> WorkerConfig {
    WorkerConfig {
        name: reader.optional("WORKER_NAME"),
        concurrency: reader.at_least("CONCURRENCY", 1),
        queues: reader.parsed_list("QUEUES"),
        queue_concurrency: reader.queue_numbers("QUEUE_CONCURRENCY"),
        grace: reader.duration("SHUTDOWN_GRACE"),
        lease,
        result_limit: reader.bytes("RESULT_LIMIT"),
    }
}

#[cfg(test)]
mod tests;
