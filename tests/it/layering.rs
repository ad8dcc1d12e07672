//! The layers of the design, read from the source: who may use whom, and which crate lives where.
//!
//! Paths are found in the tokens of every file (comments and strings removed, `use` groups, `super` and `self` resolved), so that a path
//! inside a function counts like one at the top.

mod paths;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use paths::{PathUse, paths_of};

/// Top-level modules, from the bottom to the top. A module uses only what is in a group above its own line; within a group there is no use.
const LAYERS: &[&[&str]] = &[
    &["domain"],
    &["clock", "shutdown"],
    &["config"],
    &["metrics", "telemetry"],
    &["store", "broker", "limits"],
    &["services", "auth"],
    &["tasks", "packs"],
    &["queue"],
    &["worker", "scheduler", "http"],
    &["app"],
    &["cli"],
];

/// Crates that live in one place only, and that place (files, or folders below `src/`).
const HOMES: &[(&str, &[&str])] = &[
    ("axum", &["http"]),
    ("axum_extra", &["http"]),
    ("tower_http", &["http"]),
    ("utoipa_axum", &["http"]),
    ("utoipa_swagger_ui", &["http"]),
    ("sqlx", &["store", "services/source"]),
    ("jiff_sqlx", &["store", "services/source"]),
    ("redis", &["broker/redis", "limits/redis"]),
    ("lettre", &["services/mail"]),
    ("mozjpeg", &["services/image"]),
    ("mozjpeg_sys", &["services/image"]),
    ("fast_image_resize", &["services/image"]),
    ("moxcms", &["services/image"]),
    ("image_webp", &["services/image"]),
    ("object_store", &["services/files"]),
];

/// Who may hold the broker: the queue, and the composition root that makes it.
const HOLDERS: &[&str] = &["queue", "app"];

/// What others may know of the broker: what it carries, not the broker.
const CARRIED: &[&str] = &["BrokerError", "Delivery", "QueueQuota", "Signal", "FetchRequest"];

/// Files of the program that may wait by the clock, with the reason. Loops wait for events; for these, time itself is the event.
const SLEEPERS: &[(&str, &str)] = &[
    ("src/app.rs", "the pause before a database that is away at start is asked again"),
    ("src/cli/run.rs", "the limit of an attempt in the foreground, and the delay before its retry"),
    ("src/http/api/events.rs", "the pause between two looks at a task whose news may be lost"),
    ("src/http/server.rs", "the time that open connections have to end"),
    ("src/queue/inspect.rs", "the deadline of a long poll"),
    ("src/queue/fetch.rs", "the pause between two looks into the store while the broker is away"),
    ("src/queue/settle.rs", "the pause before outcomes are written again to a store that was away"),
    ("src/scheduler.rs", "the pause between two steps of a duty"),
    ("src/services/isolate/idle_pool.rs", "ends children that were idle for long"),
    ("src/services/mail/pool.rs", "closes connections that were idle for long"),
    ("src/tasks/bulk.rs", "the rate that what goes to many keeps to"),
    ("src/tasks/system.rs", "system.sleep sleeps; that is what it is for"),
    ("src/worker/executor.rs", "the soft and the hard limit of an attempt"),
    ("src/worker/pool.rs", "pauses while nothing may be taken, and the grace of a revoke"),
    ("src/worker/progress.rs", "the pause in which progress is folded"),
];

/// The longest file, in lines.
const MOST_LINES: usize = 600;

#[test]
fn a_module_uses_only_the_layers_below_it() {
    let violations = each_path(&rust_files("src"), |file, used| {
        let from = top_module(file)?;
        let to = used.segments.get(1).filter(|_| used.segments[0] == "crate")?;
        let (Some(own), Some(other)) = (layer_of(from), layer_of(to)) else { return None };
        let allowed = from == to || other < own;
        (!allowed).then(|| format!("`{from}` uses `{used}`, but `{to}` is not below it"))
    });
    assert_none("uses against the layers", &violations);
}

#[test]
fn every_module_has_its_layer() {
    let layered: BTreeSet<&str> = LAYERS.iter().flat_map(|layer| layer.iter().copied()).collect();
    let violations: Vec<String> = rust_files("src")
        .iter()
        .filter_map(|file| top_module(&file.name).filter(|module| !layered.contains(module)).map(|module| (file, module)))
        .map(|(file, module)| {
            format!("{}:1: module `{module}` is in no layer: add it to LAYERS in tests/it/layering.rs", file.name)
        })
        .collect();
    assert_none("modules without a layer", &violations);
}

#[test]
fn a_crate_of_the_outside_is_used_in_its_home_only() {
    let violations = each_path(&rust_files("src"), |file, used| {
        let (name, homes) = HOMES.iter().find(|(name, _)| used.segments[0] == *name)?;
        let below = file.trim_start_matches("src/").trim_end_matches(".rs");
        let at_home = homes.iter().any(|home| below == *home || below.starts_with(&format!("{home}/")));
        (!at_home).then(|| format!("`{used}`: the crate `{name}` is used only in src/{}", homes.join(", src/")))
    });
    assert_none("crates away from home", &violations);
}

#[test]
fn only_the_queue_joins_store_and_broker() {
    let violations = each_path(&rust_files("src"), |file, used| {
        let from = top_module(file)?;
        if from == "broker" || HOLDERS.contains(&from) || !used.segments.iter().take(2).eq(["crate", "broker"]) {
            return None;
        }
        let carried = used.segments.get(2).is_some_and(|name| CARRIED.contains(&name.as_str()));
        (!carried).then(|| format!("`{used}`: `{from}` may name what the broker carries ({}), not hold it", CARRIED.join(", ")))
    });
    assert_none("modules that hold the broker beside the queue", &violations);
}

#[test]
fn nothing_waits_by_the_clock_but_what_is_named_here() {
    let mut files = rust_files("src");
    files.extend(rust_files("tests"));
    let violations = each_path(&files, |file, used| {
        let sleeps = matches!(used.segments.last().map(String::as_str), Some("sleep" | "sleep_until"))
            && used.segments.iter().any(|segment| segment == "time");
        let named = is_named(SLEEPERS, file);
        (sleeps && !named)
            .then(|| format!("`{used}`: tests wait for events, and so do loops; see SLEEPERS in tests/it/layering.rs"))
    });
    assert_none("sleeps", &violations);
}

#[test]
fn errors_are_types_and_not_boxes() {
    let mut files = rust_files("src");
    files.extend(rust_files("tests"));
    let mut violations = Vec::new();
    for file in &files {
        for (line, text) in paths::code_lines(&file.text) {
            let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            if ["Box<dynError", "Box<dynstd::error::Error", "Box<dyncore::error::Error"].iter().any(|bad| squeezed.contains(bad))
            {
                violations.push(format!("{}:{line}: a boxed error: each layer has its own enum", file.name));
            }
        }
    }
    assert_none("boxed errors", &violations);
}

#[test]
fn files_are_short_and_named_by_their_noun() {
    let mut files = rust_files("src");
    files.extend(rust_files("tests"));
    let mut violations = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        if lines > MOST_LINES {
            violations.push(format!("{}:{lines}: {lines} lines, more than {MOST_LINES}: it wants to be two files", file.name));
        }
        let stem = Path::new(&file.name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if matches!(stem.as_str(), "mod" | "utils" | "util" | "helpers" | "common" | "misc") {
            violations.push(format!("{}:1: name a file by what it holds (foo.rs beside foo/)", file.name));
        }
    }
    assert_none("files", &violations);
}

#[test]
fn both_dialects_have_the_same_migrations() {
    let [postgres, sqlite] = ["postgres", "sqlite"].map(|dialect| {
        let folder = root().join("migrations").join(dialect);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>()
    });
    assert!(!postgres.is_empty(), "migrations/postgres is empty");
    assert_eq!(postgres, sqlite, "migrations/postgres and migrations/sqlite must hold the same numbers and names");
    for (index, name) in postgres.iter().enumerate() {
        let number = format!("{:04}_", index + 1);
        assert!(
            name.starts_with(&number) && Path::new(name).extension().is_some_and(|end| end == "sql"),
            "migrations/postgres/{name}: expected {number}NAME.sql"
        );
    }
}

#[test]
fn every_exception_is_still_needed() {
    let waits = |text: &str| ["sleep(", "sleep_until("].iter().any(|call| text.contains(call));
    for (file, reason) in SLEEPERS {
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(waits(&text), "{file}: the exception ({reason}) is not needed any more");
    }
}

/// A source file: its path from the root of the project, and its text.
struct SourceFile {
    name: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<SourceFile> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push(SourceFile { name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(!found.is_empty(), "no source files in {folder}");
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The top-level module that a file belongs to; none for `lib.rs` and `main.rs`, which may use everything.
fn top_module(file: &str) -> Option<&str> {
    let name = file.strip_prefix("src/")?;
    let first = name.split('/').next()?.trim_end_matches(".rs");
    (!matches!(first, "lib" | "main")).then_some(first)
}

fn is_named(exceptions: &[(&str, &str)], file: &str) -> bool {
    exceptions.iter().any(|(name, _)| *name == file)
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn each_path(files: &[SourceFile], fault: impl Fn(&str, &PathUse) -> Option<String>) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        for used in paths_of(&file.name, &file.text) {
            violations.extend(fault(&file.name, &used).map(|text| format!("{}:{}: {text}", file.name, used.line)));
        }
    }
    violations
}

fn assert_none(what: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{what}:\n{}", violations.join("\n"));
}
