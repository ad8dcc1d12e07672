//! The parts of the documents that are written from the code: the settings, and limits and args of each kind.
//!
//! They stand between `<!-- generated: WHAT -->` and `<!-- end of the generated part -->`. `UPDATE_DOCS=1` makes the test write them.

use std::collections::BTreeSet;
use std::time::Duration;

use legwork::config::SETTINGS;
use legwork::kinds::{KindSet, TaskKind};
use legwork_engine::domain::Backoff;
use serde_json::{Map, Value};

use super::page::Page;
use super::{documents, root};

const END: &str = "<!-- end of the generated part -->";

/// The kinds that users may submit.
pub fn kind_names() -> BTreeSet<String> {
    KindSet::compiled().public().map(|kind| kind.policy.name.to_string()).collect()
}

#[test]
fn generated_parts_are_current() {
    let is_update = std::env::var_os("UPDATE_DOCS").is_some();
    let kinds = KindSet::compiled();
    for path in documents() {
        let text = Page::read(&path).text;
        let current = with_generated_parts(&text, |what| match what.split_once(' ') {
            None if what == "settings" => settings(),
            Some(("kind", name)) => {
                let kind = kinds.public().find(|kind| kind.policy.name.as_str() == name);
                kind_part(&kind.unwrap_or_else(|| panic!("{path}: there is no kind {name}")))
            }
            _ => panic!("{path}: nothing is generated that is called {what:?}"),
        });
        if is_update {
            std::fs::write(root().join(&path), current).unwrap();
        } else {
            assert!(current == text, "{path} is not current: UPDATE_DOCS=1 scripts/test docs::generated writes it");
        }
    }
}

fn with_generated_parts(text: &str, render: impl Fn(&str) -> String) -> String {
    let mut pieces = text.split("<!-- generated: ");
    let mut written = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (what, rest) = piece.split_once(" -->").expect("a mark ends");
        let (_, after) = rest.split_once(END).expect("a generated part ends");
        written.extend(["<!-- generated: ", what, " -->\n", &render(what), END, after]);
    }
    written
}

/// The first setting of each section of the page.
const SECTIONS: &[(&str, &str)] = &[
    ("ROLES", "Process"),
    ("DATABASE_URL", "Database and Redis"),
    ("JWT_SECRET", "Tokens and requests"),
    ("WORKER_NAME", "Workers and retention"),
    ("SMTP_URL", "Mail"),
    ("SMS_PROVIDER", "Text messages"),
    ("TEMPLATES_DIR", "Templates and outbound requests"),
    ("SOURCES", "Sources and files"),
    ("CHILDREN", "Child processes and images"),
    ("LOG_LEVEL", "Logs"),
    ("LEGWORK_URL", "Command line"),
];

fn settings() -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        if let Some((_, title)) = SECTIONS.iter().find(|(first, _)| *first == setting.name) {
            text.extend(["\n## ", title, "\n\n| Setting | Default | Meaning |\n|---|---|---|\n"]);
        }
        let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        text += &row(&[&format!("`{}`", setting.name), &default, setting.doc]);
    }
    for (first, title) in SECTIONS {
        assert!(SETTINGS.iter().any(|setting| setting.name == *first), "the section {title:?} begins with an unknown setting");
    }
    text
}

/// What a reader needs to know before the first submission.
fn kind_part(kind: &TaskKind) -> String {
    let any = format!("`POST /api/v1/tasks` with `\"kind\": \"{}\"`", kind.policy.name);
    let route = kind.route.map_or(any.clone(), |route| format!("`POST /api/v1/tasks{route}`, or {any}"));
    let mut part = "| | |\n|---|---|\n".to_owned();
    part += &row(&["Request", &route]);
    part += &row(&["Scope", &format!("`{}`", kind.scope)]);
    part += &row(&["Queue", &format!("`{}`", kind.policy.queue)]);
    part += &row(&["Retries", &retries(kind)]);
    part += &row(&["Time limit", &span(kind.policy.hard_limit)]);
    if !kind.policy.sensitive.is_empty() {
        let names: Vec<String> =
            kind.policy.sensitive.iter().map(|pointer| format!("`{}`", pointer.trim_start_matches('/'))).collect();
        part += &row(&["Sensitive args", &names.join(", ")]);
    }
    part += "\n## Args\n\n";
    part + &args(&kind.json_schema)
}

fn retries(kind: &TaskKind) -> String {
    let count = kind.policy.retry.max_retries;
    match kind.policy.retry.backoff {
        Backoff::Exponential { first, cap, jitter } => format!(
            "{count}, after {}, {}, {} … (at most {}, ±{:.0} %)",
            span(first),
            span(first * 2),
            span(first * 4),
            span(cap),
            jitter * 100.0
        ),
        Backoff::Fixed(delay) => format!("{count}, after {}", span(delay)),
    }
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=299 => format!("{seconds} s"),
        300..=3_599 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

fn args(schema: &Value) -> String {
    let none = Map::new();
    let fields = schema["properties"].as_object().unwrap_or(&none);
    if fields.is_empty() {
        let is_open = schema["additionalProperties"].is_object();
        return if is_open { "Any object.\n".into() } else { "None.\n".into() };
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort_by_key(|name| (!required.contains(&name.as_str()), (*name).clone()));
    let mut table = "| Arg | Type | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    for name in names {
        let field = &fields[name];
        let default = match &field["default"] {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            default => format!("`{default}`"),
        };
        let described = field["description"].as_str().or_else(|| field["oneOf"][0]["description"].as_str());
        table += &row(&[&format!("`{name}`"), &type_of(field, schema), &default, described.unwrap_or_default()]);
    }
    table
}

/// A field's type and range, for people.
fn type_of(field: &Value, schema: &Value) -> String {
    if let Some(reference) = field["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return type_of(&schema["$defs"][name], schema);
    }
    if let Some(words) = field["enum"].as_array() {
        return words.iter().map(|word| format!("`{}`", word.as_str().unwrap_or_default())).collect::<Vec<_>>().join(", ");
    }
    if let Some(branches) = field["oneOf"].as_array() {
        let types: Vec<String> = branches.iter().map(|branch| type_of(branch, schema)).filter(|one| one != "null").collect();
        return types.join(" or ");
    }
    let kind = match &field["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("any"),
        kind => kind.as_str().unwrap_or("any JSON"),
    };
    let kind = match (kind, field["format"].as_str()) {
        ("string", Some("date")) => "date".to_owned(),
        ("string", _) => "text".to_owned(),
        ("array", _) => format!("list of {}", type_of(&field["items"], schema)),
        (kind, _) => kind.to_owned(),
    };
    let above = field["minimum"].as_f64().map(|least| format!("{least} to"));
    let above = above.or_else(|| field["exclusiveMinimum"].as_f64().map(|least| format!("more than {least}, at most")));
    match (above, field["maximum"].as_f64()) {
        (Some(above), Some(most)) => format!("{kind}, {above} {most}"),
        _ => match field["maxLength"].as_u64().or_else(|| field["maxItems"].as_u64()) {
            Some(most) if kind == "text" => format!("{kind}, at most {most} characters"),
            Some(most) => format!("{kind}, at most {most}"),
            None => kind,
        },
    }
}

/// A row of a table. What would end a cell is escaped.
fn row(cells: &[&str]) -> String {
    let cells: Vec<String> =
        cells.iter().map(|cell| cell.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    format!("| {} |\n", cells.join(" | "))
}
