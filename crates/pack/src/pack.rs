//! What a pack declares beside its kinds.

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

/// A pack that was read and found right.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The name of its zone.
    pub timezone: String,
    /// Its zone.
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
    /// Patterns of kinds and their queues; the first that fits counts.
    pub routes: Vec<Route>,
    /// The files of `templates/emails`, by name with ending.
    pub email_templates: BTreeMap<String, String>,
    /// The files of `templates/reports`, by name with ending.
    pub report_templates: BTreeMap<String, String>,
    /// Evaluates its values.
    pub engine: Arc<Engine>,
}

impl Pack {
    /// A kind by name.
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    /// What expressions see as `settings`, the secret ones included.
    pub fn settings_json(&self) -> Map<String, Json> {
        self.settings.iter().map(|(name, setting)| (name.clone(), setting.value.clone())).collect()
    }
}

/// A setting.
#[derive(Clone)]
pub struct Setting {
    /// Its value.
    pub value: Json,
    /// The environment variable that it comes from.
    pub env: Option<String>,
    /// Whether it never appears in a log or a result.
    pub secret: bool,
    /// What it is for.
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
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: Option<SourceUrl>,
    /// The demonstration that stands in for it.
    pub demo: Option<DemoSource>,
    /// Where it is declared.
    pub place: Place,
}

/// Where a database is.
#[derive(Clone, PartialEq, Eq)]
pub enum SourceUrl {
    /// The environment variable that says so.
    Env(String),
    /// `sqlite:…` or `postgres://…`
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
    /// Makes the tables.
    pub schema: Script,
    /// Fills them.
    pub demo: Option<Script>,
}

/// A file of statements, in both dialects. Its parameters are `:now` and `:today`.
#[derive(Clone, Debug)]
pub struct Script {
    /// The statements for `SQLite`.
    pub sqlite: Vec<Statement>,
    /// The statements for Postgres.
    pub postgres: Vec<Statement>,
}

impl Script {
    /// The statements for a dialect, in order.
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
    /// Its name for users.
    pub name: String,
    /// The source.
    pub source: Option<String>,
    /// The table, as in `users` or `shop.users`.
    pub table: String,
    /// The field that tells rows apart.
    pub key: String,
    /// Its fields, in the order of the file.
    pub fields: Vec<ModelField>,
    /// The fields that exports may contain; all where it is `None`.
    pub export: Option<Vec<String>>,
    /// The fields that filters may name; those of `export` where it is `None`.
    pub filter: Option<Vec<String>>,
    /// What the model is to compiled kinds.
    pub role: Option<String>,
    /// The role of a field, and the field.
    pub roles: Vec<(String, String)>,
    /// Named values of the field with the role `status`.
    pub values: Map<String, Json>,
    /// Whether compiled kinds may change rows.
    pub write: bool,
    /// Where it is declared.
    pub place: Place,
}

/// A field of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelField {
    /// Its name for users.
    pub name: String,
    /// `integer`, `number`, `text`, `boolean`, `timestamp`, `date`, `uuid` or `json`.
    pub kind: String,
    /// The column.
    pub column: String,
}

/// Which queue the tasks of some kinds go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// A pattern of kinds; `*` stands for any run of characters.
    pub pattern: String,
    /// The queue.
    pub queue: String,
}

/// When a kind is run by the clock.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name for users.
    pub name: String,
    /// The kind that is run.
    pub kind: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it fires, its zone included.
    pub timing: Timing,
    /// The args of its tasks.
    pub args: Map<String, Json>,
    /// The queue of its tasks.
    pub queue: Option<String>,
    /// The priority of its tasks.
    pub priority: Option<u8>,
    /// Whether it fires.
    pub enabled: bool,
    /// It does not fire before.
    pub start: Option<Timestamp>,
    /// It does not fire after.
    pub end: Option<Timestamp>,
    /// Whether it fires once and is then disabled.
    pub one_off: bool,
    /// Its tasks expire so long after their nominal time.
    pub expires: Option<Duration>,
    /// What becomes of missed firings.
    pub missed: MissedPolicy,
    /// What happens where the task of the firing before has not ended.
    pub overlap: OverlapPolicy,
    /// Each firing is delayed by up to so much.
    pub jitter: Duration,
    /// Where it is declared.
    pub place: Place,
}
