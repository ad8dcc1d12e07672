//! The kind `image.process`: what it refuses at submission, and what its result says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use legwork::app::build_services;
use legwork::config::Config;
use legwork::kinds::upkeep::NoEngine;
use legwork::kinds::{KindSet, NoChildren, ProgressSink, TaskContext};
use legwork_engine::clock::{Clock, ManualClock};
use legwork_engine::domain::{Attempt, KindName, Progress, TaskFailure, TaskId};
use legwork_engine::store::transient::TransientLedger;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{PROGRAM, make};
use crate::support::files;
use crate::support::ledger::MemoryLedger;

struct NoProgress;

impl ProgressSink for NoProgress {
    fn report(&self, _progress: Progress) {}
}

struct Bench {
    folder: tempfile::TempDir,
    cx: TaskContext,
}

impl Bench {
    fn new() -> Self {
        Self::keeping(None)
    }

    fn keeping(retention: Option<Duration>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vars =
            [("DATA_DIR", folder.path().to_str().unwrap()), ("FILES_SECRET", "a secret of the tests that signs the links")];
        let mut config = Config::read(vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).unwrap();
        config.isolate.program = PROGRAM.into();
        config.image.retention = retention;
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()));
        let services = Arc::new(build_services(&config, &clock).unwrap());
        let task = TaskId::made(clock.now());
        let cx = TaskContext {
            task,
            attempt: Attempt(1),
            kind: KindName::parse("image.process").unwrap(),
            submitted_at: clock.now(),
            retry_origin: None,
            retries_left: 0,
            deadline: None,
            files: files::task_files(services.files.clone(), task, clock.clone()),
            services,
            ledger: Arc::new(MemoryLedger::default()),
            effects: Arc::new(TransientLedger::default()),
            upkeep: Arc::new(NoEngine),
            clock,
            recipients: Arc::new(TransientLedger::default()),
            suppressions: None,
            stop: CancellationToken::new(),
            progress: Arc::new(NoProgress),
            children: Arc::new(NoChildren),
        };
        Self { folder, cx }
    }

    fn stored(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join("files").join(path)
    }

    fn upload(&self, path: &str, bytes: &[u8]) {
        let stored = self.stored(path);
        std::fs::create_dir_all(stored.parent().unwrap()).unwrap();
        std::fs::write(stored, bytes).unwrap();
    }

    async fn run(&self, args: &Value) -> Result<Value, TaskFailure> {
        let kinds = KindSet::compiled();
        kinds.get(&self.cx.kind).unwrap().run(&args.to_string(), self.cx.clone())?.await
    }

    /// Each error as `pointer: detail`.
    fn field_errors(&self, args: &Value) -> Vec<String> {
        let kinds = KindSet::compiled();
        let field_errors =
            kinds.get(&self.cx.kind).unwrap().check(&args.to_string(), &self.cx.services).err().unwrap_or_default();
        field_errors.into_iter().map(|field_error| format!("{}: {}", field_error.pointer, field_error.detail)).collect()
    }

    fn names_in(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.stored(folder)) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The body of the document.
fn body() -> Value {
    json!({ "file_path": "uploads/image.jpg", "max_width": 1200, "max_height": 800, "quality": 85 })
}

#[tokio::test]
async fn the_documents_body_makes_an_image_and_two_thumbnails() {
    let bench = Bench::new();
    bench.upload("uploads/image.jpg", &make::jpeg(1_600, 1_200));
    assert_eq!(bench.field_errors(&body()), Vec::<String>::new());
    let result = bench.run(&body()).await.unwrap();
    let task = bench.cx.task;
    assert_eq!(result["success"], true);
    assert_eq!(result["message"], "JPEG of 1600 × 1200 became JPEG of 1067 × 800");
    assert_eq!(result["file_path"], format!("images/{task}.jpg"));
    assert_eq!((&result["width"], &result["height"]), (&json!(1067), &json!(800)));
    let written = std::fs::metadata(bench.stored(&format!("images/{task}.jpg"))).unwrap().len();
    let original = std::fs::metadata(bench.stored("uploads/image.jpg")).unwrap().len();
    assert_eq!(result["bytes"], written);
    assert_eq!(result["original"], json!({ "width": 1600, "height": 1200, "bytes": original, "format": "jpeg" }));
    assert_eq!(result["bytes_saved"], original.cast_signed() - written.cast_signed());
    assert_eq!((&result["format"], &result["animation"]), (&json!("jpeg"), &json!("none")));
    let thumbnails = result["thumbnails"].as_array().unwrap();
    for (thumbnail, size) in thumbnails.iter().zip([150, 300]) {
        assert_eq!(thumbnail["file_path"], format!("images/{task}_{size}.jpg"));
        assert_eq!((&thumbnail["width"], &thumbnail["height"]), (&json!(size), &json!(size)));
        assert!(
            thumbnail["download_url"].as_str().unwrap().contains(&format!("/api/v1/files/images/{task}_{size}.jpg?expires="))
        );
    }
    assert_eq!(bench.names_in("images"), [format!("{task}.jpg"), format!("{task}_150.jpg"), format!("{task}_300.jpg")]);
    assert_eq!(bench.names_in(".tmp"), Vec::<String>::new());

    // A second attempt writes the same files again.
    let again = bench.run(&body()).await.unwrap();
    assert_eq!(again, result);
    assert_eq!(bench.names_in("images").len(), 3);
}

#[tokio::test]
async fn formats_and_fits_are_in_the_names() {
    let bench = Bench::new();
    bench.upload("uploads/a.png", &make::plain_png(400, 300));
    let args = json!({
        "file_path": "uploads/a.png", "format": "webp",
        "thumbnails": [{ "size": 100 }, { "size": 100, "fit": "fit" }],
    });
    assert_eq!(bench.field_errors(&args), Vec::<String>::new());
    let result = bench.run(&args).await.unwrap();
    let task = bench.cx.task;
    assert_eq!(bench.names_in("images"), [format!("{task}.webp"), format!("{task}_100.webp"), format!("{task}_100_fit.webp")]);
    assert_eq!((&result["width"], &result["thumbnails"][1]["height"]), (&json!(400), &json!(75)));
    let none = bench.run(&json!({ "file_path": "uploads/a.png", "thumbnails": [] })).await.unwrap();
    assert_eq!(none["thumbnails"], json!([]));
}

#[tokio::test]
async fn what_is_wrong_is_told_at_submission_each_by_its_field() {
    let bench = Bench::new();
    bench.upload("uploads/image.jpg", b"x");
    let missing = bench.field_errors(&json!({ "file_path": "uploads/none.jpg" }));
    assert_eq!(missing, ["/file_path: there is no stored file uploads/none.jpg"]);
    let wrong = json!({
        "file_path": "uploads/image.jpg", "max_width": 0, "max_height": 20_000, "quality": 101,
        "thumbnails": [{ "size": 0 }, { "size": 9 }, { "size": 9, "fit": "crop" }, { "size": 5_000 }],
    });
    let pointers: Vec<String> =
        bench.field_errors(&wrong).iter().map(|field_error| field_error.split(": ").next().unwrap().to_owned()).collect();
    for pointer in ["/max_width", "/max_height", "/quality", "/thumbnails/0/size", "/thumbnails/2", "/thumbnails/3/size"] {
        assert!(pointers.contains(&pointer.to_owned()), "{pointer}: {pointers:?}");
    }
    for path in ["/etc/passwd", "../secret", "uploads/../../etc/passwd", "uploads%2f..%2fx", "uploads\\x", "", ".tmp/x"] {
        let field_errors = bench.field_errors(&json!({ "file_path": path }));
        assert!(field_errors.len() == 1 && field_errors[0].starts_with("/file_path: "), "{path}: {field_errors:?}");
    }
    let unknown = bench.field_errors(&json!({ "file_path": "uploads/image.jpg", "format": "bmp" }));
    assert!(unknown[0].starts_with("/format: "), "{unknown:?}");
}

#[tokio::test]
async fn images_are_kept_as_long_as_the_setting_says_and_links_no_longer() {
    for (retention, kept, link) in [
        (None, json!(null), "2026-11-28T08:00:00Z"),
        (Some(Duration::from_hours(24)), json!("2026-11-22T08:00:00Z"), "2026-11-22T08:00:00Z"),
        (Some(Duration::from_hours(24 * 30)), json!("2026-12-21T08:00:00Z"), "2026-11-28T08:00:00Z"),
    ] {
        let bench = Bench::keeping(retention);
        bench.upload("uploads/a.png", &make::plain_png(40, 30));
        let result = bench.run(&json!({ "file_path": "uploads/a.png", "thumbnails": [{ "size": 10 }] })).await.unwrap();
        for made in [&result, &result["thumbnails"][0]] {
            assert_eq!((&made["expires_at"], &made["download_url_expires_at"]), (&kept, &json!(link)));
            let row = bench.cx.files.file_service.find(&files::path(made["file_path"].as_str().unwrap())).await.unwrap().unwrap();
            assert_eq!(json!(row.expires_at), kept);
        }
    }
}

#[cfg(not(feature = "avif"))]
#[tokio::test]
async fn avif_is_refused_at_submission_by_a_program_without_it() {
    let bench = Bench::new();
    bench.upload("uploads/image.jpg", b"x");
    let field_errors = bench.field_errors(&json!({ "file_path": "uploads/image.jpg", "format": "avif" }));
    assert_eq!(field_errors, ["/format: this program was built without AVIF as an output; build it with --features avif"]);
}

#[cfg(feature = "avif")]
#[tokio::test]
async fn avif_is_written_by_a_program_with_it() {
    let bench = Bench::new();
    bench.upload("uploads/image.jpg", &make::jpeg(64, 48));
    let result = bench.run(&json!({ "file_path": "uploads/image.jpg", "format": "avif", "thumbnails": [] })).await.unwrap();
    assert_eq!(result["format"], "avif");
    let bytes = std::fs::read(bench.stored(result["file_path"].as_str().unwrap())).unwrap();
    assert_eq!(&bytes[4..12], b"ftypavif");
}

#[tokio::test]
async fn what_is_wrong_with_the_file_fails_at_once_names_it_and_leaves_nothing() {
    let bench = Bench::new();
    bench.upload("uploads/text.jpg", b"this is a text");
    bench.upload("uploads/cut.jpg", &make::jpeg(640, 480)[..2_000]);
    std::os::unix::fs::symlink("/etc/hostname", bench.stored("uploads/link.jpg")).unwrap();
    for (path, word, message) in [
        ("uploads/none.jpg", "FileNotFound", "there is no stored file uploads/none.jpg"),
        (
            "uploads/link.jpg",
            "FileRefused",
            "the stored path uploads/link.jpg cannot be used: it is a link, and links are not followed",
        ),
        (
            "uploads/text.jpg",
            "NotAnImage",
            "uploads/text.jpg: it is not a JPEG, PNG, WebP or GIF image: its first bytes are those of no such format",
        ),
        ("uploads/cut.jpg", "BrokenImage", "uploads/cut.jpg: it is a damaged JPEG image: it is cut off, or its data is damaged"),
    ] {
        let failure = bench.run(&json!({ "file_path": path })).await.unwrap_err();
        let TaskFailure::Fail(report) = failure else { panic!("{failure:?}") };
        assert_eq!((report.kind.as_str(), report.message.as_str()), (word, message));
    }
    assert_eq!(bench.names_in("images"), Vec::<String>::new());
    assert_eq!(bench.names_in(".tmp"), Vec::<String>::new());
}

#[tokio::test]
async fn a_stop_in_the_middle_ends_the_child_and_leaves_nothing() {
    let bench = Bench::new();
    bench.upload("uploads/slow.gif", &make::slow_gif(90));
    let args = json!({ "file_path": "uploads/slow.gif", "max_width": 500, "max_height": 500, "animated": "keep" });
    let mut children = bench.cx.services.isolate.children();
    let (outcome, ()) = tokio::join!(bench.run(&args), async {
        children.wait_for(|ids| ids.len() == 1).await.unwrap();
        bench.cx.stop.cancel();
    });
    assert_eq!(outcome.unwrap_err(), TaskFailure::Stopped);
    children.wait_for(Vec::is_empty).await.unwrap();
    assert_eq!(bench.names_in(".tmp"), Vec::<String>::new());
    assert!(!Path::new(&bench.stored("images")).exists());
}
