//! The fields of every table of `pack.toml`.

use std::time::Duration;

use crate::shape::{Field, Shape, Table};

const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(24 * 366);
const SECOND: Duration = Duration::from_secs(1);
const NO_TIME: Duration = Duration::ZERO;

const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, required: false, doc }
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, required: true, doc }
}

/// The names of the runners.
pub(crate) const RUNNER_NAMES: [&str; 9] = ["sql", "fan_out", "email", "sms", "http", "report", "export", "chain", "builtin"];

/// The fields of a runner, by its name.
pub(crate) fn runner(name: &str) -> Option<&'static Table> {
    RUNNERS.iter().find(|(known, _)| *known == name).map(|(_, table)| *table)
}

pub(crate) static RUNNERS: [(&str, &Table); 9] = [
    ("sql", &SQL),
    ("fan_out", &FAN_OUT),
    ("email", &EMAIL),
    ("sms", &SMS),
    ("http", &HTTP),
    ("report", &REPORT),
    ("export", &EXPORT),
    ("chain", &CHAIN),
    ("builtin", &BUILTIN),
];

pub(crate) static ROOT: Table = Table {
    name: "pack.toml",
    doc: "A pack of Legwork: sources, models, kinds and schedules that are declared, not compiled.",
    fields: &[&[
        required("pack", Shape::Table(&PACK), "Begin the file with a table [pack], which names and describes the pack."),
        field("settings", Shape::Map(&Shape::PlainOr(&SETTING)), "Values that expressions see as settings.NAME."),
        field("sources", Shape::Map(&Shape::Table(&SOURCE)), "The databases, by name."),
        field("models", Shape::Map(&Shape::Table(&MODEL)), "Tables that compiled kinds and exports may use, by name."),
        field("defaults", Shape::Table(&DEFAULTS), "What holds for all kinds of the pack, unless they say otherwise."),
        field("kinds", Shape::Map(&Shape::Kind), "The kinds, by name, as in [kinds.\"shop.send_invoice\"]."),
        field("schedules", Shape::Map(&Shape::Table(&SCHEDULE)), "The schedules, by the name that users see."),
        field(
            "routes",
            Shape::Map(&Shape::Text),
            "Queues by pattern of kinds, as in \"shop.notify*\" = \"mail\"; the first that fits.",
        ),
    ]],
};

static PACK: Table = Table {
    name: "pack",
    doc: "What the pack is called.",
    fields: &[&[
        required("name", Shape::Text, "Give the name of the pack: a-z, 0-9 and -, beginning with a letter."),
        required("description", Shape::Text, "Say in a sentence or two what the pack does."),
        field(
            "timezone",
            Shape::Text,
            "The IANA zone of `today`, of formatted times, and of schedules without their own. Default: UTC.",
        ),
    ]],
};

static SETTING: Table = Table {
    name: "setting",
    doc: "A setting that comes from the environment.",
    fields: &[&[
        required("env", Shape::Text, "Give the environment variable that holds the value."),
        field("default", Shape::AnyPlain, "The value where the variable is not set. Without it, the variable has to be set."),
        field("secret", Shape::Boolean, "Whether the value never appears in a log or a result. Default: false."),
        field("description", Shape::Text, "What the setting is for."),
    ]],
};

static SOURCE: Table = Table {
    name: "source",
    doc: "A database of the application.",
    fields: &[&[
        field("url", Shape::Text, "Where the database is: env:NAME, sqlite:PATH or postgres://…"),
        field("schema", Shape::Text, "The SQL file that makes the tables of the demonstration source."),
        field("demo", Shape::Text, "The SQL file that fills the demonstration source."),
        field("description", Shape::Text, "What the source holds."),
    ]],
};

static MODEL: Table = Table {
    name: "model",
    doc: "A table that compiled kinds and exports may use, as in the SOURCES file.",
    fields: &[&[
        field("source", Shape::Text, "The source. Default: that of [defaults], or the only one of the pack."),
        field("table", Shape::Text, "The table, as in users or shop.users. Default: the model's name."),
        field("key", Shape::Text, "The field that tells rows apart. Default: id."),
        required(
            "fields",
            Shape::Map(&Shape::TextOr(&MODEL_FIELD)),
            "Give the fields, as in { id = \"integer\", email = \"text\" }.",
        ),
        field("export", Shape::Texts, "The fields that exports may contain. Default: all."),
        field("filter", Shape::Texts, "The fields that filters may name. Default: those of `export`."),
        field(
            "role",
            Shape::Choice(&["user", "admin", "content", "activity", "notification"]),
            "What the model is to compiled kinds.",
        ),
        field("roles", Shape::Map(&Shape::Text), "What its fields are to compiled kinds, as in { address = \"mail\" }."),
        field("values", Shape::Plain, "Named values of the field with the role status, as in { active = 1 }."),
        field("write", Shape::Boolean, "Whether compiled kinds may change rows. Default: false."),
    ]],
};

static MODEL_FIELD: Table = Table {
    name: "model_field",
    doc: "A field of a model whose column has another name.",
    fields: &[&[
        required("type", Shape::Choice(&FIELD_TYPES), "Give the type of the field."),
        field("column", Shape::Text, "The column. Default: the field's name."),
    ]],
};

/// The types of the fields of models.
pub(crate) const FIELD_TYPES: [&str; 8] = ["integer", "number", "text", "boolean", "timestamp", "date", "uuid", "json"];

static DEFAULTS: Table = Table {
    name: "defaults",
    doc: "What holds for all kinds of the pack, unless they say otherwise.",
    fields: &[&[field("source", Shape::Text, "The source of kinds and models.")], LIMITS],
};

/// How tasks of a kind are run.
const LIMITS: &[Field] = &[
    field("queue", Shape::Text, "The queue. Default: default."),
    field("priority", Shape::Integer(0, 9), "7 to 9 come before 4 to 6, and these before 0 to 3. Default: 5."),
    field("max_retries", Shape::Integer(0, 100), "Retries after the first attempt. Default: 3."),
    field("retry", Shape::Table(&RETRY), "The delays between attempts. Default: 60 s, doubled each time, at most 1 h, ±10 %."),
    field("time_limit", Shape::Duration(SECOND, DAY), "An attempt that takes longer is ended. Default: 30m."),
    field("soft_time_limit", Shape::Duration(SECOND, DAY), "An attempt that takes longer is asked to stop, and may be retried."),
];

static RETRY: Table = Table {
    name: "retry",
    doc: "The delays between attempts.",
    fields: &[&[
        required("backoff", Shape::Choice(&["exponential", "fixed"]), "Say whether delays grow: exponential or fixed."),
        field("base", Shape::Duration(NO_TIME, DAY), "With exponential: the first delay, doubled each time. Default: 60s."),
        field("cap", Shape::Duration(NO_TIME, DAY), "With exponential: the longest delay. Default: 1h."),
        field("jitter", Shape::Number(0.0, 1.0), "With exponential: the share by which a delay varies either way. Default: 0.1."),
        field("delay", Shape::Duration(NO_TIME, DAY), "With fixed: the delay. Default: 60s."),
    ]],
};

/// What all kinds have.
pub(crate) const KIND: &[Field] = &[
    required("description", Shape::Text, "Say in a sentence or two what the kind does, for the user who chooses."),
    required("runner", Shape::Choice(&RUNNER_NAMES), "Give the runner of the kind."),
    field("celery_task", Shape::Text, "The name of the task in Celery, by which `legwork import celery-beat` finds the kind."),
    field("source", Shape::Text, "The source of its SQL. Default: that of [defaults], or the only one of the pack."),
    LIMITS[0],
    LIMITS[1],
    LIMITS[2],
    LIMITS[3],
    LIMITS[4],
    LIMITS[5],
    field("rate", Shape::Rate, "Most starts over all workers, for example 10/m: N/s, N/m, N/h, N/d."),
    field("scope", Shape::Choice(&["submit", "admin"]), "What a token must allow that submits it. Default: submit."),
    field("example", Shape::Plain, "Args that work. Default: the examples of the params."),
    field("params", Shape::Map(&PARAM_SHAPE), "The args, by name: a type, or a table with a type."),
    field("when", Shape::Expression, "An expression. Where it does not hold, nothing is done and the task is a SUCCESS."),
    field("summary", Shape::Text, "The `message` of the result. A value."),
    field("result", Shape::Values, "The fields of the result, in place of the runner's own. Values."),
];

/// The types of params.
pub(crate) const PARAM_TYPES: [&str; 11] =
    ["string", "integer", "number", "boolean", "date", "datetime", "uuid", "email", "phone", "list", "object"];

static PARAM_SHAPE: Shape = Shape::TextOr(&PARAM);

static PARAM: Table = Table {
    name: "param",
    doc: "An arg of a kind.",
    fields: &[&[
        required("type", Shape::Choice(&PARAM_TYPES), "Give the type."),
        field("description", Shape::Text, "What the arg means."),
        field(
            "optional",
            Shape::Boolean,
            "Whether it may be left out: it is then null. Default: false, or true where there is a default.",
        ),
        field("default", Shape::AnyPlain, "Its value where it is left out."),
        field("example", Shape::AnyPlain, "A value that works."),
        field("secret", Shape::Boolean, "Whether it never appears in a log or an answer. Default: false."),
        field("enum", Shape::AnyPlain, "The values that are allowed: a list."),
        field("min", Shape::Number(f64::MIN, f64::MAX), "The least number."),
        field("max", Shape::Number(f64::MIN, f64::MAX), "The greatest number."),
        field("min_length", Shape::Integer(0, i64::MAX), "The fewest characters."),
        field("max_length", Shape::Integer(0, i64::MAX), "The most characters."),
        field("pattern", Shape::Text, "A regular expression that the text has to match."),
        field("items", Shape::TextOr(&PARAM), "With list: the type of the items."),
        field("min_items", Shape::Integer(0, i64::MAX), "With list: the fewest items."),
        field("max_items", Shape::Integer(0, i64::MAX), "With list: the most items."),
        field("fields", Shape::Map(&Shape::TextOr(&PARAM)), "With object: its fields. Without: any object."),
    ]],
};

const BIND: Shape = Shape::Map(&Shape::TextOr(&BOUND));

static BOUND: Table = Table {
    name: "bound_value",
    doc: "A value that is bound to a parameter of a statement.",
    fields: &[&[
        required("type", Shape::Choice(&PARAM_TYPES), "Give the type under which the value is bound."),
        required("value", Shape::Value, "Give the value, as in \"{{ now | minus(days=90) }}\"."),
        field("items", Shape::Choice(&PARAM_TYPES), "With list: the type of the items."),
    ]],
};

const MAX_ROWS: Field = field("max_rows", Shape::Integer(1, 10_000), "More rows than this are a failure. Default: 1000.");
const BIND_FIELD: Field = field("bind", BIND, "Values for parameters of the statement that are not params of the kind.");

/// One statement or several of a row of steps.
static STEP: Table = Table {
    name: "step",
    doc: "A step: SQL that is run with those before and after it in one transaction.",
    fields: &[&[
        field("name", Shape::Name, "Its name: its result is results.NAME."),
        required("sql", Shape::Sql, "Give the SQL: a statement, or a file that ends in .sql."),
        field(
            "rows",
            Shape::Choice(&["none", "one", "many"]),
            "What it gives: none (the number of affected rows), one, many. Default: none.",
        ),
        MAX_ROWS,
        field("required", Shape::Boolean, "Whether no row is a FAILURE that is not retried. Default: false."),
        field("when", Shape::Expression, "An expression. Where it does not hold, the step is skipped and its result is null."),
        BIND_FIELD,
    ]],
};

static QUERY_SHAPE: Shape = Shape::Table(&QUERY);

static QUERY: Table = Table {
    name: "query",
    doc: "A named query.",
    fields: &[&[
        required("sql", Shape::Sql, "Give the SQL: one statement, or a file that ends in .sql."),
        field("rows", Shape::Choice(&["one", "many"]), "What it gives: one or many. Default: many."),
        MAX_ROWS,
        BIND_FIELD,
    ]],
};

const DATA: &[Field] = &[
    field("query", Shape::Sql, "SQL that gives `row` and `rows`."),
    field("bind", BIND, "Values for parameters of `query` that are not params of the kind."),
    field("max_rows", Shape::Integer(1, 10_000), "More rows of `query` than this are a failure. Default: 1000."),
    field("no_row", Shape::Choice(&["fail", "skip", "continue"]), "What no row of `query` means. Default: fail."),
    field("queries", Shape::Map(&QUERY_SHAPE), "Named queries: their rows are results.NAME."),
];

const EFFECT: &[Field] = &[
    field("before", Shape::List(&STEP), "Steps before the effect, in one transaction."),
    field(
        "after",
        Shape::List(&STEP),
        "Steps after the effect, in one transaction. They may run again, so they have to be idempotent.",
    ),
    field("on_failure", Shape::List(&STEP), "Steps after each attempt whose effect failed, in one transaction."),
];

static SQL: Table = Table {
    name: "sql",
    doc: "Runs statements in one transaction.",
    fields: &[&[
        field("sql", Shape::Sql, "The SQL, where there is one step: a statement, or a file that ends in .sql."),
        field("rows", Shape::Choice(&["none", "one", "many"]), "With `sql`: what it gives. Default: none."),
        MAX_ROWS,
        field("required", Shape::Boolean, "With `sql`: whether no row is a FAILURE that is not retried. Default: false."),
        BIND_FIELD,
        field("steps", Shape::List(&STEP), "The steps, in place of `sql`."),
    ]],
};

static FAN_OUT: Table = Table {
    name: "fan_out",
    doc: "Makes one child task, or several, for each row of a query.",
    fields: &[&[
        required("query", Shape::Sql, "Give the SQL whose rows become child tasks."),
        BIND_FIELD,
        field(
            "no_row",
            Shape::Choice(&["fail", "skip"]),
            "What no row of `query` means: fail is a FAILURE, not retried; skip is a SUCCESS. Default: skip.",
        ),
        required("key", Shape::Text, "Give the column that tells the rows apart, by which a child is created once."),
        field("batch", Shape::Integer(1, 5_000), "Rows in one submission. Default: 500."),
        required("children", Shape::List(&CHILD), "Give the kinds that are submitted for each row."),
    ]],
};

static CHILD: Table = Table {
    name: "child",
    doc: "A child task of each row.",
    fields: &[&[
        required("kind", Shape::Text, "Give the kind of the child."),
        field("args", Shape::Values, "Its args. Values over params and row."),
        field("when", Shape::Expression, "An expression over params and row. Where it does not hold, the row has no such child."),
        field("queue", Shape::Text, "The queue. Default: by the routing, else the kind's."),
        field("priority", Shape::Integer(0, 9), "The priority. Default: the kind's."),
        field("countdown", Shape::Duration(NO_TIME, YEAR), "Begin after so long. Not together with eta."),
        field("eta", Shape::Value, "Begin at this time. A value. Not together with countdown."),
        field("expires", Shape::Duration(SECOND, YEAR), "Do not begin after so long."),
    ]],
};

static EMAIL: Table = Table {
    name: "email",
    doc: "Sends a mail.",
    fields: &[
        &[
            required("to", Shape::Value, "Give the address, or a list of up to 100: one mail each. A value."),
            required("subject", Shape::Text, "Give the subject: one line. A value."),
            field(
                "template",
                Shape::Text,
                "The template in templates/emails of the pack, else of the program. Either this or text.",
            ),
            field("context", Shape::Values, "What the template sees beside params, row, results and so on. Values."),
            field("text", Shape::Text, "The text, where there is no template. A value."),
            field("html", Shape::Text, "The same as HTML, beside text. A value; what it inserts is escaped."),
            field("cc", Shape::Value, "Addresses that get a copy. A value."),
            field("bcc", Shape::Value, "Addresses that get a copy unseen. A value."),
            field("reply_to", Shape::Value, "Where answers go. A value."),
            field("from", Shape::Value, "Who it comes from. A value. Default: the settings'."),
            field("attachments", Shape::Value, "Paths of stored files. A value that is a list."),
            field(
                "on_unknown",
                Shape::Choice(&["hold", "resend"]),
                "What to do where the mail was handed over and no answer came. Default: hold.",
            ),
        ],
        DATA,
        EFFECT,
    ],
};

static SMS: Table = Table {
    name: "sms",
    doc: "Sends a text message.",
    fields: &[
        &[
            required("to", Shape::Value, "Give the number (+233244123456), or a list of up to 100. A value."),
            required("message", Shape::Text, "Give the text. A value."),
            field("sender_id", Shape::Text, "Who it comes from. A value. Default: SMS_FROM."),
            field(
                "on_unknown",
                Shape::Choice(&["hold", "resend"]),
                "What to do where the message was handed over and no answer came. Default: hold.",
            ),
        ],
        DATA,
        EFFECT,
    ],
};

static HTTP: Table = Table {
    name: "http",
    doc: "Calls the application by a signed request.",
    fields: &[
        &[
            required("url", Shape::Text, "Give the URL. A value."),
            field("method", Shape::Choice(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]), "The method. Default: POST."),
            field("headers", Shape::Values, "Headers. Values."),
            field("json", Shape::Value, "The body. A value. Not with GET or HEAD."),
            field(
                "timeout",
                Shape::Duration(Duration::from_millis(1), Duration::from_secs(1_700)),
                "For all of the call. Default: 30s.",
            ),
            field("expected_status", Shape::Integers(200, 599), "The statuses that are a success. Default: 200 to 299."),
        ],
        DATA,
        EFFECT,
    ],
};

static REPORT: Table = Table {
    name: "report",
    doc: "Puts the rows of named queries into a template, or gives them as the result.",
    fields: &[
        &[
            field(
                "template",
                Shape::Text,
                "The template in templates/reports: NAME is NAME.html; or a name with its ending, as payouts.csv.",
            ),
            field("context", Shape::Values, "What the template sees beside params, results and so on. Values."),
            field(
                "file",
                Shape::TextOrFalse,
                "The name of the file that is kept. A value. Default: TEMPLATE-TODAY.ENDING. false: none is kept.",
            ),
            field("mail", Shape::Table(&MAIL), "Who gets the report by mail."),
        ],
        DATA,
        EFFECT,
    ],
};

static MAIL: Table = Table {
    name: "mail",
    doc: "A mail with the link to a file, or with the file.",
    fields: &[&[
        required("to", Shape::Value, "Give the address or addresses. A value; null or empty for no mail."),
        required("subject", Shape::Text, "Give the subject. A value."),
        field("template", Shape::Text, "The template in templates/emails. Either this or text."),
        field("context", Shape::Values, "What the template sees beside params, results, outcome and so on. Values."),
        field("text", Shape::Text, "The text, where there is no template. A value."),
        field("when", Shape::Expression, "An expression. Where it does not hold, no mail is sent."),
        field("attach", Shape::Boolean, "Whether the file is attached. Default: false."),
    ]],
};

static EXPORT: Table = Table {
    name: "export",
    doc: "Writes rows of a model or of a query into a file in private storage.",
    fields: &[
        &[
            field("model", Shape::Text, "The declared model whose rows are exported. Either this or query."),
            field("filters", Shape::Values, "With model: which rows, as in data.export. Values."),
            field("fields", Shape::Texts, "With model: which fields. Default: all that may be exported."),
            field("query", Shape::Sql, "The SQL whose rows are exported. Either this or model."),
            BIND_FIELD,
            field("format", Shape::Choice(&["csv", "ndjson", "xlsx"]), "The format. Default: csv."),
            field("gzip", Shape::Boolean, "Whether the file is compressed; csv and ndjson only. Default: false."),
            field("bom", Shape::Boolean, "Whether a byte order mark comes first; csv only. Default: false."),
            field(
                "formula_guard",
                Shape::Boolean,
                "Whether texts that look like formulas are disarmed; csv only. Default: true.",
            ),
            field("file", Shape::Text, "The name of the file. A value. Default: the task's id and the ending of the format."),
            field("mail", Shape::Table(&MAIL), "Who gets the file by mail."),
        ],
        EFFECT,
    ],
};

static CHAIN: Table = Table {
    name: "chain",
    doc: "Runs kinds one after the other, each a task of its own.",
    fields: &[&[required("links", Shape::List(&LINK), "Give the kinds, in order.")]],
};

static LINK: Table = Table {
    name: "link",
    doc: "A link of a chain.",
    fields: &[&[
        required("name", Shape::Name, "Give its name: its result is results.NAME for later links."),
        required("kind", Shape::Text, "Give the kind."),
        field("args", Shape::Values, "Its args. Values over params and the results of earlier links."),
        field("when", Shape::Expression, "An expression. Where it does not hold, the link is skipped and its result is null."),
        field(
            "on_failure",
            Shape::Choice(&["stop", "continue"]),
            "What happens to the chain if the link fails for good. Default: stop.",
        ),
    ]],
};

static BUILTIN: Table = Table {
    name: "builtin",
    doc: "Runs a compiled kind with args that the pack binds.",
    fields: &[
        &[
            required("kind", Shape::Text, "Give the compiled kind, as in notifications.cleanup."),
            field("args", Shape::Values, "Its args. Values; an optional one that is null is left out."),
        ],
        DATA,
        EFFECT,
    ],
};

static SCHEDULE: Table = Table {
    name: "schedule",
    doc: "When a kind is run by the clock: exactly one of crontab, interval, clocked, solar.",
    fields: &[&[
        required("kind", Shape::Text, "Give the kind that is run."),
        field("description", Shape::Text, "What the schedule is for."),
        field("crontab", Shape::Text, "Minute, hour, day of month, month, day of week, as in 0 9 * * 1; or @daily and its like."),
        field("interval", Shape::DurationOr(&INTERVAL), "Every so long, counted from a fixed start."),
        field("clocked", Shape::Time, "Once, at this time: in the schedule's zone, or with an offset."),
        field("solar", Shape::Table(&SOLAR), "At an event of the sun at a place."),
        field("timezone", Shape::Text, "The IANA zone. Default: the pack's."),
        field("args", Shape::Plain, "The args of its tasks. Plain values."),
        field("queue", Shape::Text, "The queue of its tasks. Default: by the routing, else the kind's."),
        field("priority", Shape::Integer(0, 9), "The priority of its tasks. Default: the kind's."),
        field("enabled", Shape::Boolean, "Whether it fires. Default: true."),
        field("start", Shape::Time, "It does not fire before this time."),
        field("end", Shape::Time, "It does not fire after this time."),
        field("one_off", Shape::Boolean, "Whether it fires once and is then disabled. Default: false."),
        field("expires", Shape::Duration(SECOND, YEAR), "Its tasks expire so long after their nominal time."),
        field("missed", Shape::Choice(&["skip", "last", "all"]), "What becomes of missed firings. Default: last."),
        field("missed_limit", Shape::Integer(1, 1_000), "With missed = all: most firings that are made up for. Default: 10."),
        field("max_lateness", Shape::Duration(SECOND, YEAR), "A missed firing that is later than this is skipped."),
        field(
            "overlap",
            Shape::Choice(&["allow", "skip", "queue_one"]),
            "What happens if the task of the last firing has not ended. Default: allow.",
        ),
        field(
            "dst_gap",
            Shape::Choice(&["next", "skip"]),
            "A local time that does not exist: the first instant after it, or none. Default: next.",
        ),
        field("dst_overlap", Shape::Choice(&["first", "second", "both"]), "A local time that exists twice. Default: first."),
        field("jitter", Shape::Duration(NO_TIME, DAY), "Each firing is delayed by up to so much."),
    ]],
};

/// The units of an interval, as in the API.
const INTERVAL_UNITS: [&str; 5] = ["seconds", "minutes", "hours", "days", "weeks"];

static INTERVAL: Table = Table {
    name: "interval",
    doc: "Every so long, counted from a fixed start.",
    fields: &[&[
        required("every", Shape::Integer(1, 31_536_000), "Give the number of units between firings, as in every = 6."),
        required("unit", Shape::Choice(&INTERVAL_UNITS), "Give the unit of `every`, as in unit = \"hours\"."),
        field(
            "from",
            Shape::Time,
            "The start that firings are counted from. Default: midnight of Monday, 1970-01-05, in the zone.",
        ),
    ]],
};

/// The events of the sun, and Celery's names for some of them.
const SOLAR_EVENTS: [&str; 12] = [
    "dawn",
    "sunrise",
    "noon",
    "sunset",
    "dusk",
    "dawn_civil",
    "dawn_nautical",
    "dawn_astronomical",
    "solar_noon",
    "dusk_civil",
    "dusk_nautical",
    "dusk_astronomical",
];

static SOLAR: Table = Table {
    name: "solar",
    doc: "An event of the sun at a place.",
    fields: &[&[
        required("event", Shape::Choice(&SOLAR_EVENTS), "Give the event."),
        required("latitude", Shape::Number(-90.0, 90.0), "Give the latitude in degrees, north positive."),
        required("longitude", Shape::Number(-180.0, 180.0), "Give the longitude in degrees, east positive."),
    ]],
};
