//! Kinds and their runners, as a pack declares them.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::engine::{Expression, Value};
use crate::fault::Place;
use crate::param::Params;
use crate::sql::Sql;
use crate::units::Rate;

/// The rows that a query may give where nothing is said.
pub const DEFAULT_MAX_ROWS: u32 = 1_000;
/// The rows of a fan-out that are submitted at once where nothing is said.
pub const DEFAULT_BATCH: u32 = 500;

/// A kind without code.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name, as in `events.mark_ended_events_as_completed`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The task's name in Celery.
    pub celery_task: Option<String>,
    /// The source of its SQL; `None` where it has none, or where the pack declares no source.
    pub source: Option<String>,
    /// How its tasks are run.
    pub limits: Limits,
    /// At most so many starts over all workers.
    pub rate: Option<Rate>,
    /// At most so many at once over all workers.
    pub concurrency: Option<u32>,
    /// Whether only a token with the scope `admin` may submit it.
    pub needs_admin: bool,
    /// Its args.
    pub params: Params,
    /// Args that work.
    pub example: Map<String, Json>,
    /// Where it does not hold, nothing is done.
    pub when: Option<Expression>,
    /// What is read before the effect.
    pub data: Data,
    /// Steps around the effect.
    pub steps: EffectSteps,
    /// What it does.
    pub runner: Runner,
    /// The message of its result.
    pub summary: Option<Value>,
    /// The fields of its result, in place of the runner's own.
    pub result: Option<Value>,
    /// Where it is declared.
    pub place: Place,
}

/// How tasks of a kind are run. `None` is the default: that of the compiled kind for [`Runner::Builtin`], else Legwork's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// The queue.
    pub queue: Option<String>,
    /// The priority, 0 to 9.
    pub priority: Option<u8>,
    /// Retries after the first attempt.
    pub max_retries: Option<u16>,
    /// The delays between attempts.
    pub retry: Option<Backoff>,
    /// The hard limit of an attempt.
    pub time_limit: Option<Duration>,
    /// The soft limit of an attempt; below the hard one.
    pub soft_time_limit: Option<Duration>,
}

/// The delays between attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backoff {
    /// `base · 2^n`, at most `cap`, give or take `jitter` (a share).
    Exponential {
        /// The first delay.
        base: Duration,
        /// The longest delay.
        cap: Duration,
        /// The share by which a delay varies either way.
        jitter: f64,
    },
    /// Always the same.
    Fixed(Duration),
}

/// What is read before the effect, in one read-only transaction.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Gives `row` and `rows`.
    pub query: Option<Query>,
    /// What no row of `query` means.
    pub no_row: NoRow,
    /// Named queries, in the order of the file: `results.NAME`.
    pub queries: Vec<(String, Query)>,
}

/// A query.
#[derive(Clone, Debug)]
pub struct Query {
    /// One statement.
    pub sql: Sql,
    /// What it gives.
    pub rows: Rows,
    /// More rows are a failure.
    pub max_rows: u32,
}

/// What a statement gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// The number of affected rows.
    #[default]
    Affected,
    /// The first row, or null.
    One,
    /// All rows.
    Many,
}

/// What no row of a query means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoRow {
    /// A FAILURE that is not retried.
    #[default]
    Fail,
    /// A SUCCESS that did nothing.
    Skip,
    /// `row` is null, and the task goes on.
    Continue,
}

/// Steps around the effect of a runner; each list is one transaction.
#[derive(Clone, Debug, Default)]
pub struct EffectSteps {
    /// Before the effect.
    pub before: Vec<Step>,
    /// After the effect; maybe more than once.
    pub after: Vec<Step>,
    /// After each attempt whose effect failed.
    pub on_failure: Vec<Step>,
}

/// SQL of several in one transaction.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its result is `results.NAME`; `None` where it has no name.
    pub name: Option<String>,
    /// The statements: one, unless `rows` is [`Rows::Affected`].
    pub sql: Sql,
    /// What it gives.
    pub rows: Rows,
    /// More rows are a failure.
    pub max_rows: u32,
    /// Whether no row, affected or found, is a FAILURE that is not retried.
    pub required: bool,
    /// Where it does not hold, the step is skipped and its result is null.
    pub when: Option<Expression>,
}

/// What a kind does.
#[derive(Clone, Debug)]
pub enum Runner {
    /// Statements in one transaction.
    Sql(Vec<Step>),
    /// Child tasks for each row of a query.
    FanOut(Box<FanOut>),
    /// A mail.
    Email(Box<Email>),
    /// A text message.
    Sms(Box<Sms>),
    /// A call into the application.
    Http(Box<Http>),
    /// Queries into a template.
    Report(Box<Report>),
    /// Rows into a file.
    Export(Box<Export>),
    /// Kinds one after the other.
    Chain(Vec<Link>),
    /// A compiled kind.
    Builtin(Box<Builtin>),
}

impl Runner {
    /// Its name in `pack.toml`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Sql(_) => "sql",
            Self::FanOut(_) => "fan_out",
            Self::Email(_) => "email",
            Self::Sms(_) => "sms",
            Self::Http(_) => "http",
            Self::Report(_) => "report",
            Self::Export(_) => "export",
            Self::Chain(_) => "chain",
            Self::Builtin(_) => "builtin",
        }
    }
}

/// One child task, or several, for each row.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// Its rows become children.
    pub query: Sql,
    /// What no row means, where no earlier attempt has made children: [`NoRow::Fail`] or [`NoRow::Skip`].
    pub no_row: NoRow,
    /// The column that tells the rows apart: a child is created once for each of its values, over all attempts.
    pub key: String,
    /// Rows in one submission.
    pub batch: u32,
    /// The children of a row, in order; at least one.
    pub children: Vec<ChildSpec>,
}

/// A child task of each row.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// Its kind.
    pub kind: String,
    /// Its args: a table of values over `params` and `row`.
    pub args: Value,
    /// Where it does not hold, the row has no such child.
    pub when: Option<Expression>,
    /// The queue.
    pub queue: Option<String>,
    /// The priority.
    pub priority: Option<u8>,
    /// Begin after so long.
    pub countdown: Option<Duration>,
    /// Begin at this time.
    pub eta: Option<Value>,
    /// Do not begin after so long.
    pub expires: Option<Duration>,
}

/// What a mail says.
#[derive(Clone, Debug)]
pub enum Body {
    /// A template.
    Template {
        /// Its name, without ending.
        name: String,
        /// Whether it is the pack's own; else it is the program's.
        is_own: bool,
        /// What it sees besides: a table of values.
        context: Value,
    },
    /// A text.
    Text {
        /// The text.
        text: Value,
        /// The same as HTML.
        html: Option<Value>,
    },
}

/// What to do with a message that was handed over without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Fail: it may have arrived.
    #[default]
    Hold,
    /// Send it again: it may arrive twice.
    Resend,
}

/// A mail.
#[derive(Clone, Debug)]
pub struct Email {
    /// An address, or a list of up to 100.
    pub to: Value,
    /// One line.
    pub subject: Value,
    /// What it says.
    pub body: Body,
    /// Addresses that get a copy.
    pub cc: Option<Value>,
    /// Addresses that get a copy unseen.
    pub bcc: Option<Value>,
    /// Where answers go.
    pub reply_to: Option<Value>,
    /// Who it comes from.
    pub from: Option<Value>,
    /// Paths of stored files: a list.
    pub attachments: Option<Value>,
    /// What to do where no answer came.
    pub on_unknown: OnUnknown,
}

/// A text message.
#[derive(Clone, Debug)]
pub struct Sms {
    /// A number, or a list of up to 100.
    pub to: Value,
    /// The text.
    pub message: Value,
    /// Who it comes from.
    pub sender_id: Option<Value>,
    /// What to do where no answer came.
    pub on_unknown: OnUnknown,
}

/// A signed call.
#[derive(Clone, Debug)]
pub struct Http {
    /// The method, in capitals.
    pub method: String,
    /// Where to.
    pub url: Value,
    /// A table of headers.
    pub headers: Option<Value>,
    /// The body.
    pub json: Option<Value>,
    /// For all of the call.
    pub timeout: Duration,
    /// The statuses that are a success; 200 to 299 where it is empty.
    pub expected_status: Vec<u16>,
}

/// Queries into a template. Its queries are those of [`Data`].
#[derive(Clone, Debug)]
pub struct Report {
    /// The file of the template in `templates/reports`, as in `weekly.html`.
    pub template: Option<String>,
    /// What the template sees besides: a table of values.
    pub context: Option<Value>,
    /// The file that is kept.
    pub file: ReportFile,
    /// Who gets it by mail.
    pub mail: Option<FileMail>,
}

/// Whether the page of a report is kept, and how it is called.
#[derive(Clone, Debug)]
pub enum ReportFile {
    /// Under the name of the template and of the day; nothing where there is no template.
    Default,
    /// Under this name.
    Named(Value),
    /// It is not kept.
    None,
}

/// A mail about a file.
#[derive(Clone, Debug)]
pub struct FileMail {
    /// An address, a list, or null for no mail.
    pub to: Value,
    /// One line.
    pub subject: Value,
    /// What it says.
    pub body: Body,
    /// Where it does not hold, no mail is sent.
    pub when: Option<Expression>,
    /// Whether the file is attached.
    pub attach: bool,
}

/// Rows into a file.
#[derive(Clone, Debug)]
pub struct Export {
    /// Which rows.
    pub rows: ExportRows,
    /// `csv`, `ndjson` or `xlsx`.
    pub format: String,
    /// Whether the file is compressed.
    pub gzip: bool,
    /// Whether a byte order mark comes first.
    pub bom: bool,
    /// Whether texts that look like formulas are disarmed.
    pub formula_guard: bool,
    /// The name of the file.
    pub file: Option<Value>,
    /// Who gets it by mail.
    pub mail: Option<FileMail>,
}

/// Which rows an export has.
#[derive(Clone, Debug)]
pub enum ExportRows {
    /// Those of a model.
    Model {
        /// The model.
        model: String,
        /// The filters: a table of values, as in `data.export`.
        filters: Option<Value>,
        /// The fields; all that may be exported where it is empty.
        fields: Vec<String>,
    },
    /// Those of a query.
    Query(Sql),
}

/// A link of a chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its result is `results.NAME` for later links.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its args: a table of values over `params` and `results`.
    pub args: Value,
    /// Where it does not hold, the link is skipped.
    pub when: Option<Expression>,
    /// Whether the chain goes on where the link failed for good.
    pub continues: bool,
}

/// A compiled kind with args bound.
#[derive(Clone, Debug)]
pub struct Builtin {
    /// The compiled kind.
    pub kind: String,
    /// Its args: a table of values.
    pub args: Value,
}
