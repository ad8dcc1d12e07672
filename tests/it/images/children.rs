//! The children: how they live and how they end. What they run is this program, or a script that behaves badly.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use legwork::kinds::child_failure;
use legwork_engine::domain::TaskFailure;
use legwork_image::{Animated, ProcessedImage};
use legwork_isolate::{Isolate, IsolateError};
use serde_json::{Value, json};

use super::{PROGRAM, Studio, config, make};
use crate::support::engine::PATIENCE;

/// A child that does what the script says.
fn script(folder: &Path, text: &str) -> Isolate {
    let path = folder.join("child");
    // Written whole before it is run, and by a process that holds it open no more.
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    Isolate::new(config(path))
}

async fn asked(isolate: &Isolate) -> Result<Value, IsolateError> {
    isolate.call("nothing", &json!({})).await
}

/// Waits until so many children live.
async fn until(isolate: &Isolate, count: usize) -> Vec<u32> {
    let mut children = isolate.children();
    let found = tokio::time::timeout(PATIENCE, children.wait_for(|ids| ids.len() == count)).await;
    found.expect("children come and go").unwrap().clone()
}

fn is_there(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

#[tokio::test]
async fn a_child_is_kept_for_the_next_request() {
    let studio = Studio::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        studio.made(&studio.recipe(&make::jpeg(64, 48))).await;
        ids.push(studio.isolate.children().borrow().clone());
    }
    assert!(ids[0].len() == 1 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_child_is_replaced_after_its_number_of_requests() {
    let mut settings = config(PROGRAM);
    settings.requests_per_child = 2;
    let studio = Studio::with(settings);
    let mut ids = Vec::new();
    for _ in 0..4 {
        studio.made(&studio.recipe(&make::jpeg(64, 48))).await;
        ids.push(studio.isolate.children().borrow().last().copied());
    }
    until(&studio.isolate, 0).await;
    assert!(ids[0] != ids[2], "{ids:?}");
}

#[tokio::test]
async fn a_child_that_nobody_needs_ends() {
    let mut settings = config(PROGRAM);
    settings.keep = Duration::from_millis(1);
    let studio = Studio::with(settings);
    studio.made(&studio.recipe(&make::jpeg(64, 48))).await;
    until(&studio.isolate, 0).await;
    studio.made(&studio.recipe(&make::jpeg(64, 48))).await;
}

#[tokio::test]
async fn there_are_never_more_children_than_are_allowed() {
    let studio = Studio::new();
    let recipe = studio.recipe(&make::jpeg(640, 480));
    let calls = (0..12).map(|index| {
        let mut recipe = recipe.clone();
        recipe.output = studio.path(&format!("output-{index}"));
        let isolate = studio.isolate.clone();
        tokio::spawn(async move {
            let made: ProcessedImage = isolate.call(legwork_image::WORK, &recipe).await.unwrap();
            (made.size.width, isolate.children().borrow().len())
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let (width, children) = call.await.unwrap();
        assert!(width == 40 && children <= 2, "{children}");
    }
}

#[tokio::test]
async fn a_child_gets_no_environment_no_files_of_ours_and_limits() {
    let studio = Studio::new();
    let _held = std::fs::File::create(studio.path("held")).unwrap();
    studio.made(&studio.recipe(&make::jpeg(64, 48))).await;
    let id = studio.isolate.children().borrow()[0];
    let environment = std::fs::read_to_string(format!("/proc/{id}/environ")).unwrap();
    let names: Vec<&str> = environment.split_terminator('\0').map(|pair| pair.split('=').next().unwrap()).collect();
    assert_eq!(names, ["MIMALLOC_ARENA_EAGER_COMMIT", "MIMALLOC_PURGE_DELAY"]);
    let mut open: Vec<_> = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"]);
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let of = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line.trim_start_matches(name).split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(of("Max data size"), (300_u64 << 20).to_string());
    assert_eq!((of("Max core file size"), of("Max processes"), of("Max open files")), ("0".into(), "0".into(), "32".into()));
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(id.cast_signed())).unwrap();
    assert_eq!(group.as_raw_nonzero().get(), id.cast_signed(), "an interrupt at our terminal is not for it");
}

#[tokio::test]
async fn memory_beyond_the_limit_ends_the_work_and_names_the_setting() {
    let mut settings = config(PROGRAM);
    settings.max_memory = 40 << 20;
    let studio = Studio::with(settings);
    // The recipe claims that there is more, so that only the limit itself is in the way.
    let mut recipe = studio.recipe(&make::plain_png(4_000, 4_000));
    (recipe.max_width, recipe.max_height) = (4_000, 4_000);
    let error = studio.run(&recipe).await.unwrap_err();
    assert_eq!(error, IsolateError::OutOfMemory { limit_mib: 40 });
    let actual = child_failure(error, "uploads/x.png", "ImageTooHeavy");
    let TaskFailure::Fail(actual) = actual else { panic!("{actual:?}") };
    assert_eq!(actual.kind, "ImageTooHeavy");
    assert_eq!(actual.message, "uploads/x.png: it takes more memory than the 40 MiB that CHILD_MAX_MEMORY allows");
    // The next one has a child of its own.
    studio.made(&studio.recipe(&make::jpeg(64, 48))).await;
}

#[tokio::test]
async fn a_child_that_never_answers_is_ended_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("child");
    std::fs::write(&path, "#!/bin/sh\nexec /bin/sleep 1000\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut settings = config(path);
    settings.time_limit = Duration::from_millis(50);
    let isolate = Isolate::new(settings);
    let error = asked(&isolate).await.unwrap_err();
    assert_eq!(error, IsolateError::TimeLimit { limit: Duration::from_millis(50) });
    assert!(matches!(child_failure(error, "x", "ImageTooHeavy"), TaskFailure::Fail(actual) if actual.kind == "ImageTooHeavy"));
    until(&isolate, 0).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_kills_its_child() {
    let folder = tempfile::tempdir().unwrap();
    let isolate = script(folder.path(), "exec /bin/sleep 1000");
    let call = {
        let isolate = isolate.clone();
        tokio::spawn(async move { asked(&isolate).await })
    };
    let id = until(&isolate, 1).await[0];
    assert!(is_there(id));
    call.abort();
    until(&isolate, 0).await;
    assert!(!is_there(id), "it has ended, and was waited for");
}

#[tokio::test]
async fn each_way_to_die_has_its_meaning() {
    let folder = tempfile::tempdir().unwrap();
    for (text, word, is_final) in [
        ("kill -ABRT $$", "ChildDied", true),
        ("kill -SEGV $$", "ChildDied", true),
        ("kill -BUS $$", "ChildDied", true),
        ("echo it is all over >&2; exit 3", "ChildDied", true),
        ("echo 'memory allocation of 5 bytes failed' >&2; kill -ABRT $$", "Heavy", true),
        ("kill -XCPU $$", "Heavy", true),
        ("kill -KILL $$", "ChildKilled", false),
        ("kill -TERM $$", "ChildKilled", false),
        ("exit 0", "ChildKilled", false),
        ("printf '\\377\\377\\377\\377'; exit 4", "ChildDied", true),
        ("printf '\\002\\000\\000\\000{}'; exit 5", "ChildDied", true),
    ] {
        let isolate = script(folder.path(), text);
        let error = asked(&isolate).await.unwrap_err();
        let actual = match child_failure(error.clone(), "uploads/x.jpg", "Heavy") {
            TaskFailure::Fail(actual) => (actual.kind, true, actual.message),
            TaskFailure::Retry { error: actual, .. } => (actual.kind, false, actual.message),
            other => panic!("{other:?} is no failure"),
        };
        assert_eq!((actual.0.as_str(), actual.1), (word, is_final), "{text}: {error:?}");
        assert!(actual.2.starts_with("uploads/x.jpg: "), "{}", actual.2);
        until(&isolate, 0).await;
    }
}

#[tokio::test]
async fn the_last_words_of_a_child_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let isolate = script(folder.path(), "echo it is all over >&2; exit 3");
    let error = asked(&isolate).await.unwrap_err();
    assert_eq!(error.to_string(), "it killed the process that worked on it: exit status: 3: it is all over");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_tried_again_later() {
    let isolate = Isolate::new(config("/nonexistent/legwork"));
    let error = asked(&isolate).await.unwrap_err();
    assert!(matches!(&error, IsolateError::Unavailable { reason } if reason.contains("/nonexistent/legwork")), "{error:?}");
    assert!(matches!(child_failure(error, "x", "Heavy"), TaskFailure::Retry { .. }));
}

#[tokio::test]
async fn work_that_a_child_does_not_know_is_refused_and_the_child_lives() {
    let isolate = Isolate::new(config(PROGRAM));
    let refused = IsolateError::Refused {
        word: "UnknownWork".into(),
        message: "nothing is no work of this program".into(),
        is_final: true,
    };
    assert_eq!(asked(&isolate).await.unwrap_err(), refused);
    let bad: Result<Value, _> = isolate.call(legwork_image::WORK, &json!({ "source": 5 })).await;
    assert!(matches!(bad, Err(IsolateError::Refused { word, is_final: true, .. }) if word == "BadRequest"));
    assert_eq!(isolate.children().borrow().len(), 1);
}

#[test]
fn a_child_ends_with_its_parent_even_in_the_middle_of_work() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::write(&source, make::slow_gif(90)).unwrap();
    let mut recipe = super::recipe(&source, &folder.path().join("output"));
    (recipe.animated, recipe.max_width, recipe.max_height) = (Animated::Keep, 500, 500);
    let request = serde_json::to_vec(&json!({ "work": legwork_image::WORK, "cpu_seconds": 600, "args": recipe })).unwrap();
    let mut child = Command::new(PROGRAM)
        .args(["child", "600000000"])
        .env_clear()
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&u32::try_from(request.len()).unwrap().to_le_bytes()).unwrap();
    stdin.write_all(&request).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert!(!folder.path().join("output").exists(), "it did not finish its work first");
}

#[test]
fn a_child_is_started_by_its_own_words_only() {
    let ended = Command::new(PROGRAM).arg("child").env_clear().output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let help = Command::new(PROGRAM).arg("--help").env_clear().output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains("child"));
}
