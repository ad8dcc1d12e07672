//! The declarations of a pack other than its kinds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use legwork_schedule::{MissedPolicy, OverlapPolicy, Timing};
use serde_json::{Map, Value as Json};

use crate::engine::Engine;
use crate::fault::Place;
use crate::kind::Kind;
use crate::sql::{Dialect, Statement};

/// A pack that was read and passed every check.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Name of the pack.
    pub name: String,
    /// A sentence that says what the pack is for.
    pub description: String,
    /// IANA name of the pack's time zone.
    pub timezone: String,
    /// The time zone of schedules and of `today`.
    pub zone: TimeZone,
    /// Its settings, by name.
    pub settings: BTreeMap<String, Setting>,
    /// Its sources, in the order of the file.
    pub sources: Vec<Source>,
    /// Its models, in the order of the file.
    pub models: Vec<Model>,
    /// Its kinds, in the order of the file.
    pub kinds: Vec<Kind>,
    /// Its schedules, in the order of the file.
    pub schedules: Vec<Schedule>,
    /// Patterns of kinds with their queues. The first pattern that matches decides.
    pub routes: Vec<Route>,
    /// The files of `templates/emails`, by name with ending.
    pub email_templates: BTreeMap<String, String>,
    /// The files of `templates/reports`, by name with ending.
    pub report_templates: BTreeMap<String, String>,
    /// Evaluates the expressions of the pack.
    pub engine: Arc<Engine>,
}

impl Pack {
    /// Finds a kind by its name.
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    /// The variable `settings` of expressions, with the secret settings.
    pub fn settings_json(&self) -> Map<String, Json> {
        self.settings.iter().map(|(name, setting)| (name.clone(), setting.value.clone())).collect()
    }
}

/// A setting of the pack with its value.
#[derive(Clone)]
pub struct Setting {
    /// The value that expressions see.
    pub value: Json,
    /// The environment variable that gives the value, if there is one.
    pub env: Option<String>,
    /// Whether the value is kept out of logs and results.
    pub secret: bool,
    /// A sentence that says what the setting is for.
    pub description: Option<String>,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.secret { "[secret]".to_owned() } else { self.value.to_string() };
        f.debug_struct("Setting").field("value", &value).field("env", &self.env).finish_non_exhaustive()
    }
}

/// A database of the application.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name of the source.
    pub name: String,
    /// URL of the database, if the pack gives one.
    pub url: Option<SourceUrl>,
    /// The place of its `url`, for messages; that of the declaration where it has none.
    pub url_place: Place,
    /// The demonstration database that replaces the source, if there is one.
    pub demo: Option<DemoSource>,
    /// The place of the declaration, for messages.
    pub place: Place,
}

/// Where the URL of a database comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SourceUrl {
    /// The environment variable that holds the URL.
    Env(String),
    /// The URL itself: `sqlite:…` or `postgres://…`. It may hold a password.
    Url(String),
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            // It may hold a password.
            Self::Url(_) => f.write_str("[url]"),
        }
    }
}

/// The tables and rows of a demonstration source.
#[derive(Clone, Debug)]
pub struct DemoSource {
    /// The script that creates the tables.
    pub schema: Script,
    /// The script that fills the tables, if there is one.
    pub demo: Option<Script>,
}

/// A script in both dialects. Its parameters are `:now` and `:today`.
#[derive(Clone, Debug)]
pub struct Script {
    /// The statements for `SQLite`.
    pub sqlite: Vec<Statement>,
    /// The statements for Postgres.
    pub postgres: Vec<Statement>,
}

impl Script {
    /// The statements for `dialect`, in order.
    pub fn statements(&self, dialect: Dialect) -> &[Statement] {
        match dialect {
            Dialect::Postgres => &self.postgres,
            Dialect::Sqlite => &self.sqlite,
        }
    }
}

/// A table that compiled kinds and exports may use.
#[derive(Clone, Debug)]
pub struct Model {
    /// The name that users see.
    pub name: String,
    /// Name of the source that holds the table, if the model names one.
    pub source: Option<String>,
    /// The table, as in `users` or `shop.users`.
    pub table: String,
    /// The field that identifies a row.
    pub key: String,
    /// Its fields, in the order of the file.
    pub fields: Vec<ModelField>,
    /// The fields that exports may contain; `None` for all.
    pub export: Option<Vec<String>>,
    /// The fields that filters may name; `None` for those of `export`.
    pub filter: Option<Vec<String>>,
    /// The role in which compiled kinds use the model, if it has one.
    pub role: Option<String>,
    /// The roles of fields: pairs of role and field.
    pub roles: Vec<(String, String)>,
    /// Named values of the field with the role `status`.
    pub values: Map<String, Json>,
    /// Whether compiled kinds may change rows of the table.
    pub write: bool,
    /// The place of the declaration, for messages.
    pub place: Place,
}

/// A field of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelField {
    /// The name that users see.
    pub name: String,
    /// `integer`, `number`, `text`, `boolean`, `timestamp`, `date`, `uuid` or `json`.
    pub kind: String,
    /// Name of the column in the table.
    pub column: String,
}

/// A rule that routes the tasks of some kinds to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// A pattern of kinds, in which `*` matches any run of characters.
    pub pattern: String,
    /// Name of the queue.
    pub queue: String,
}

/// A schedule: when a kind is run, and with which args.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The name that users see.
    pub name: String,
    /// The kind of the tasks.
    pub kind: String,
    /// A sentence that says what the schedule is for.
    pub description: Option<String>,
    /// When it fires, its zone included.
    pub timing: Timing,
    /// The args of its tasks.
    pub args: Map<String, Json>,
    /// The queue of its tasks.
    pub queue: Option<String>,
    /// The priority of its tasks.
    pub priority: Option<u8>,
    /// Whether the schedule fires at all; a disabled one makes no tasks.
    pub enabled: bool,
    /// The time before which the schedule does not fire.
    pub start: Option<Timestamp>,
    /// The time after which the schedule does not fire.
    pub end: Option<Timestamp>,
    /// Whether it fires once and is then disabled.
    pub one_off: bool,
    /// Time after the nominal time at which a task expires.
    pub expires: Option<Duration>,
    /// What happens to firings that were missed.
    pub missed: MissedPolicy,
    /// What happens if the task of the last firing has not ended.
    pub overlap: OverlapPolicy,
    /// The most by which a firing is delayed at random.
    pub jitter: Duration,
    /// The place of the declaration, for messages.
    pub place: Place,
}
