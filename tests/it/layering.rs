//! Rules of the source that the compiler does not keep. Which crate may use which is in the `Cargo.toml` of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of the program that may wait by the clock, with the reason. Loops wait for events; for these, time itself is the event.
const SLEEPERS: &[(&str, &str)] = &[
    ("src/app.rs", "the pause before a database that is away at start is asked again"),
    ("src/cli/run.rs", "the limit of an attempt in the foreground, and the delay before its retry"),
    ("src/dashboard/live.rs", "the pause between two looks at a page that is open"),
    ("src/http/api/events.rs", "the pause between two looks at a task whose events may be lost"),
    ("src/http/server.rs", "the time that open connections have to end"),
    ("src/kinds/bulk.rs", "the rate that sending to many keeps to"),
    ("src/kinds/system.rs", "system.sleep sleeps; that is what it is for"),
    ("crates/engine/src/queue/fetch.rs", "the pause between two looks into the store while the broker is away"),
    ("crates/engine/src/queue/inspect.rs", "the deadline of a long poll"),
    ("crates/engine/src/queue/schedules.rs", "the pause before a change is tried again that another one overtook"),
    ("crates/engine/src/queue/settle.rs", "the pause before outcomes are written again to a store that was away"),
    ("crates/engine/src/scheduler.rs", "the pause between two steps of a duty"),
    ("crates/engine/src/worker/executor.rs", "the soft and the hard limit of an attempt"),
    ("crates/engine/src/worker/pool.rs", "pauses while nothing may be taken, and the grace of a revoke"),
    ("crates/engine/src/worker/progress.rs", "the pause in which progress is folded"),
    ("crates/isolate/src/idle_pool.rs", "ends children that were idle for long"),
    ("crates/mail/src/pool.rs", "closes connections that were idle for long"),
];

/// The longest file, in lines.
const MOST_LINES: usize = 600;

#[test]
fn only_named_files_wait_by_the_clock() {
    let waits = |file: &SourceFile| ["time::sleep(", "sleep_until("].iter().any(|call| file.text.contains(call));
    let found: BTreeSet<String> = all_files().into_iter().filter(waits).map(|file| file.name).collect();
    let named: BTreeSet<String> = SLEEPERS.iter().map(|(file, _)| (*file).to_owned()).collect();
    let unnamed: Vec<&String> = found.iter().filter(|file| !named.contains(*file) && !file.ends_with("layering.rs")).collect();
    assert!(unnamed.is_empty(), "tests wait for events, and so do loops; name the file in SLEEPERS with a reason: {unnamed:?}");
    let needless: Vec<&String> = named.difference(&found).collect();
    assert!(needless.is_empty(), "these exceptions of SLEEPERS are not needed any more: {needless:?}");
}

#[test]
fn errors_are_types_and_not_boxes() {
    let mut violations = Vec::new();
    for file in all_files().iter().filter(|file| !file.name.ends_with("layering.rs")) {
        let squeezed: String = file.text.chars().filter(|c| !c.is_whitespace()).collect();
        if ["Box<dynError", "Box<dynstd::error::Error", "Box<dyncore::error::Error"].iter().any(|bad| squeezed.contains(bad)) {
            violations.push(format!("{}: a boxed error: each layer has its own enum", file.name));
        }
    }
    assert_none("boxed errors", &violations);
}

#[test]
fn files_are_short_and_named_by_their_noun() {
    let mut violations = Vec::new();
    for file in all_files() {
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

/// A source file: its path from the root of the project, and its text.
struct SourceFile {
    name: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn all_files() -> Vec<SourceFile> {
    ["src", "crates", "tests"].into_iter().flat_map(rust_files).collect()
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

fn assert_none(what: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{what}:\n{}", violations.join("\n"));
}
