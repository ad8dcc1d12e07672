//! Kinds and their runners, as a pack declares them.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::engine::{Expression, Value};
use crate::fault::Place;
use crate::param::Params;
use crate::sql::Sql;
use crate::units::Rate;

/// Most rows that a query may return if it declares no `max_rows`.
pub const DEFAULT_MAX_ROWS: u32 = 1_000;
/// Rows of a fan-out that are submitted together if it declares no `batch`.
pub const DEFAULT_BATCH: u32 = 500;

/// A kind that a pack declares.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Name of the kind, for example `events.mark_ended_events_as_completed`.
    pub name: String,
    /// A sentence that says what tasks of this kind do.
    pub description: String,
    /// Name of the Celery task that the kind replaces, if it replaces one.
    pub celery_task: Option<String>,
    /// The source of its SQL; `None` where it has none, or where the pack declares no source.
    pub source: Option<String>,
    /// Queue, priority, retries and time limits of the kind's tasks.
    pub limits: Limits,
    /// Most starts in a period over all workers; `None` for no limit.
    pub rate: Option<Rate>,
    /// Whether only a token with the scope `admin` may submit it.
    pub needs_admin: bool,
    /// The typed args of the kind.
    pub params: Params,
    /// Example args that pass the check.
    pub example: Map<String, Json>,
    /// A condition. If it is false, the task does nothing.
    pub when: Option<Expression>,
    /// The data that is read before the effect.
    pub data: Data,
    /// Steps around the effect.
    pub steps: EffectSteps,
    /// The effect of the kind.
    pub runner: Runner,
    /// The message in the result, if the kind declares one.
    pub summary: Option<Value>,
    /// The fields of the result, which replace those of the runner.
    pub result: Option<Value>,
    /// The place of the declaration, for messages.
    pub place: Place,
}

/// How tasks of a kind are run. `None` is the default: that of the compiled kind for [`Runner::Builtin`], else Legwork's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// The queue of the kind's tasks.
    pub queue: Option<String>,
    /// The priority, 0 to 9.
    pub priority: Option<u8>,
    /// Retries after the first attempt.
    pub max_retries: Option<u16>,
    /// The delays between attempts.
    pub retry: Option<Backoff>,
    /// The hard limit of an attempt.
    pub time_limit: Option<Duration>,
    /// The soft limit of an attempt. It is less than the hard limit.
    pub soft_time_limit: Option<Duration>,
}

/// The delays between attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backoff {
    /// `base · 2^n`, at most `cap`, give or take `jitter` (a share).
    Exponential {
        /// The delay before the first retry.
        base: Duration,
        /// The longest delay, before jitter.
        cap: Duration,
        /// The share by which a delay varies either way.
        jitter: f64,
    },
    /// The same delay before every retry.
    Fixed(Duration),
}

/// The data that is read before the effect, in one read-only transaction.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// The query that gives `row` and `rows`.
    pub query: Option<Query>,
    /// What happens if `query` returns no row.
    pub no_row: NoRow,
    /// Named queries, in the order of the file: `results.NAME`.
    pub queries: Vec<(String, Query)>,
}

/// A query with a limit on its rows.
#[derive(Clone, Debug)]
pub struct Query {
    /// The SQL of the query: one statement.
    pub sql: Sql,
    /// The rows of the result that are kept.
    pub rows: Rows,
    /// Most rows that the query may return. More are a FAILURE.
    pub max_rows: u32,
}

/// The part of a statement's result that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// The number of affected rows.
    #[default]
    Affected,
    /// The first row, or null.
    One,
    /// All rows, as a list.
    Many,
}

/// What happens if a query returns no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoRow {
    /// The task is a FAILURE and is not retried.
    #[default]
    Fail,
    /// The task is a SUCCESS that did nothing.
    Skip,
    /// `row` is null, and the task goes on.
    Continue,
}

/// Steps around the effect of a runner; each list is one transaction.
#[derive(Clone, Debug, Default)]
pub struct EffectSteps {
    /// Steps that run before the effect.
    pub before: Vec<Step>,
    /// Steps that run after the effect. They may run more than once.
    pub after: Vec<Step>,
    /// Steps that run after each attempt whose effect failed.
    pub on_failure: Vec<Step>,
}

/// One of several steps that share a transaction.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its result is `results.NAME`; `None` where it has no name.
    pub name: Option<String>,
    /// The statements: one, unless `rows` is [`Rows::Affected`].
    pub sql: Sql,
    /// The part of the statement's result that is kept.
    pub rows: Rows,
    /// Most rows that the statement may return. More are a FAILURE.
    pub max_rows: u32,
    /// Whether no row, affected or found, is a FAILURE that is not retried.
    pub required: bool,
    /// A condition. If it is false, the step is skipped and its result is null.
    pub when: Option<Expression>,
}

/// The effect of a kind.
#[derive(Clone, Debug)]
pub enum Runner {
    /// Runs statements in one transaction.
    Sql(Vec<Step>),
    /// Submits child tasks for each row of a query.
    FanOut(Box<FanOut>),
    /// Sends a mail.
    Email(Box<Email>),
    /// Sends a text message.
    Sms(Box<Sms>),
    /// Calls the application over HTTP.
    Http(Box<Http>),
    /// Renders the rows of queries with a template.
    Report(Box<Report>),
    /// Writes rows into a file.
    Export(Box<Export>),
    /// Runs other kinds, one after the other.
    Chain(Vec<Link>),
    /// Runs a compiled kind with bound args.
    Builtin(Box<Builtin>),
}

impl Runner {
    /// The name of the runner in `pack.toml`.
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

/// A fan-out: child tasks for each row of a query.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// The query whose rows become children.
    pub query: Sql,
    /// What happens if there is no row and no earlier attempt has made children: [`NoRow::Fail`] or [`NoRow::Skip`].
    pub no_row: NoRow,
    /// The column that identifies a row. A child is created once for each of its values, over all attempts.
    pub key: String,
    /// Number of rows that are submitted together.
    pub batch: u32,
    /// The children of a row, in order; at least one.
    pub children: Vec<ChildSpec>,
}

/// A child task that each row gets.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// Kind of the child task.
    pub kind: String,
    /// The child's args: a table of values over `params` and `row`.
    pub args: Value,
    /// A condition. If it is false, the row has no such child.
    pub when: Option<Expression>,
    /// Queue of the child task.
    pub queue: Option<String>,
    /// Priority of the child task, 0 to 9.
    pub priority: Option<u8>,
    /// Delay before the child may start.
    pub countdown: Option<Duration>,
    /// Time before which the child does not start.
    pub eta: Option<Value>,
    /// Delay after which the child expires if it has not started.
    pub expires: Option<Duration>,
}

/// The content of a mail.
#[derive(Clone, Debug)]
pub enum Body {
    /// Content from a template.
    Template {
        /// Name of the template, without its ending.
        name: String,
        /// Whether the template is the pack's own. Otherwise it belongs to the program.
        is_own: bool,
        /// Variables for the template: a table of values.
        context: Value,
    },
    /// Content given as text.
    Text {
        /// The `text/plain` part.
        text: Value,
        /// The same content as HTML.
        html: Option<Value>,
    },
}

/// What happens to a message that was handed over and not answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// The task fails, because the message may have arrived.
    #[default]
    Hold,
    /// The message is sent again, so it may arrive twice.
    Resend,
}

/// The runner that sends a mail.
#[derive(Clone, Debug)]
pub struct Email {
    /// An address, or a list of up to 100.
    pub to: Value,
    /// The subject, on one line.
    pub subject: Value,
    /// The content of the mail.
    pub body: Body,
    /// Addresses that get a copy.
    pub cc: Option<Value>,
    /// Addresses that get a copy and are not shown to the others.
    pub bcc: Option<Value>,
    /// The address for replies, if it is not the sender's.
    pub reply_to: Option<Value>,
    /// The sender, if it is not the default one.
    pub from: Option<Value>,
    /// A list of paths of stored files.
    pub attachments: Option<Value>,
    /// What happens if the hand-over was not answered.
    pub on_unknown: OnUnknown,
}

/// The runner that sends a text message.
#[derive(Clone, Debug)]
pub struct Sms {
    /// A number, or a list of up to 100.
    pub to: Value,
    /// The text of the message.
    pub message: Value,
    /// The sender that the recipient sees, if it is not the default.
    pub sender_id: Option<Value>,
    /// What happens if the hand-over was not answered.
    pub on_unknown: OnUnknown,
}

/// The runner that makes a signed HTTP call.
#[derive(Clone, Debug)]
pub struct Http {
    /// The HTTP method, in capitals.
    pub method: String,
    /// The URL to call.
    pub url: Value,
    /// A table of headers.
    pub headers: Option<Value>,
    /// The body, which is sent as JSON.
    pub json: Option<Value>,
    /// Time limit of the whole call.
    pub timeout: Duration,
    /// The statuses that mean success; 200 to 299 if the list is empty.
    pub expected_status: Vec<u16>,
}

/// The runner that renders a report. Its queries are those of [`Data`].
#[derive(Clone, Debug)]
pub struct Report {
    /// The file of the template in `templates/reports`, as in `weekly.html`.
    pub template: Option<String>,
    /// Further variables for the template: a table of values.
    pub context: Option<Value>,
    /// Whether and where the page is stored.
    pub file: ReportFile,
    /// The mail that carries the report, if there is one.
    pub mail: Option<FileMail>,
}

/// Whether the page of a report is stored, and under which name.
#[derive(Clone, Debug)]
pub enum ReportFile {
    /// Stored under the name of the template and the day. Nothing is stored without a template.
    Default,
    /// Stored under this name.
    Named(Value),
    /// Not stored.
    None,
}

/// A mail that carries a file or a link to it.
#[derive(Clone, Debug)]
pub struct FileMail {
    /// An address, a list of addresses, or null for no mail.
    pub to: Value,
    /// The subject, on one line.
    pub subject: Value,
    /// The content of the mail.
    pub body: Body,
    /// A condition. If it is false, no mail is sent.
    pub when: Option<Expression>,
    /// Whether the file is attached.
    pub attach: bool,
}

/// The runner that writes rows into a file.
#[derive(Clone, Debug)]
pub struct Export {
    /// The rows of the file.
    pub rows: ExportRows,
    /// `csv`, `ndjson` or `xlsx`.
    pub format: String,
    /// Whether the file is compressed.
    pub gzip: bool,
    /// Whether the file begins with a byte order mark.
    pub bom: bool,
    /// Whether texts that a spreadsheet would take for formulas are made harmless.
    pub formula_guard: bool,
    /// Name of the file, if the pack gives one.
    pub file: Option<Value>,
    /// The mail that carries the file, if there is one.
    pub mail: Option<FileMail>,
}

/// The rows that an export writes.
#[derive(Clone, Debug)]
pub enum ExportRows {
    /// Rows of a model.
    Model {
        /// Name of the model.
        model: String,
        /// The filters: a table of values, as in `data.export`.
        filters: Option<Value>,
        /// The fields to write; empty for all that may be exported.
        fields: Vec<String>,
    },
    /// Rows of a query.
    Query(Sql),
}

/// A link of a chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its result is `results.NAME` for later links.
    pub name: String,
    /// Kind of the task that the link runs.
    pub kind: String,
    /// The link's args: a table of values over `params` and `results`.
    pub args: Value,
    /// A condition. If it is false, the link is skipped.
    pub when: Option<Expression>,
    /// Whether the chain goes on if the link failed for good.
    pub continues: bool,
}

/// The runner that calls a compiled kind with bound args.
#[derive(Clone, Debug)]
pub struct Builtin {
    /// Name of the compiled kind.
    pub kind: String,
    /// Args of the compiled kind: a table of values.
    pub args: Value,
}
