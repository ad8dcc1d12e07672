//! The kind `email.send`: its args, its result, and its ledger.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use legwork::config::{SmsConfig, SmsProvider};
use legwork::kinds::upkeep::NoEngine;
use legwork::kinds::{KindSet, NoChildren, ProgressSink, TaskContext};
use legwork::services::Services;
use legwork::services::sms::Sms;
use legwork_engine::clock::{Clock, ManualClock};
use legwork_engine::domain::{Attempt, KindName, Next, Progress, TaskFailure, TaskId};
use legwork_engine::store::sqlite::SqliteStore;
use legwork_engine::store::transient::TransientLedger;
use legwork_engine::store::{LedgerEntry, LedgerState, MailLedger as _, Store};
use legwork_isolate::Isolate;
use legwork_mail::MailConfig;
use legwork_mail::Mailer;
use legwork_outbound::Fetcher;
use legwork_outbound::OutboundConfig;
use legwork_source::Sources;
use legwork_source::SourcesConfig;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{bulk, mailer, renderer, to_outbox};
use crate::images;
use crate::support::faulty::FaultyStore;
use crate::support::files;
use crate::support::ledger::MemoryLedger;
use crate::support::mime::Mime;
use crate::support::smtp::{Act, Moment, Setup, SmtpServer};
use crate::support::tasks::{at, mishap, reference, settle, start_ref, started, task};

/// A mail reads no source.
fn no_sources() -> Sources {
    let now: legwork_source::Now = Arc::new(|| at(0));
    Sources::new(&SourcesConfig { sources: BTreeMap::new() }, &now).unwrap()
}

/// A mail is no text message.
fn no_sms(fetcher: &Fetcher) -> Sms {
    let config = SmsConfig {
        provider: SmsProvider::Outbox,
        from: "Legwork".into(),
        outbox: "/nonexistent".into(),
        connections: 1,
        timeout: Duration::from_secs(1),
        max_segments: 1,
    };
    Sms::new(&config, fetcher.clone()).unwrap()
}

struct NoProgress;

impl ProgressSink for NoProgress {
    fn report(&self, _progress: Progress) {}
}

#[derive(Clone)]
struct Bench {
    ledger: Arc<MemoryLedger>,
    cx: TaskContext,
}

impl Bench {
    fn new(mailer: Mailer) -> Self {
        Self::with_ledger(mailer, Arc::default())
    }

    fn with_ledger(mailer: Mailer, ledger: Arc<MemoryLedger>) -> Self {
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        let outbound = OutboundConfig { allow: Vec::new(), webhook_secret: None };
        let fetcher = Fetcher::new(&outbound).unwrap();
        let clock = Arc::new(clock);
        // Mails keep no files: the folder is never made.
        let files = files::storage(Path::new("/nonexistent"));
        let services = Services {
            mailer,
            renderer: renderer(),
            bulk: bulk(),
            sms: no_sms(&fetcher),
            fetcher,
            webhook_signer: None,
            sources: no_sources(),
            export_retention: Duration::ZERO,
            image_retention: None,
            files: files.clone(),
            isolate: Isolate::new(images::config("/nonexistent")),
            image_limits: images::LIMITS,
        };
        let task = TaskId::made(clock.now());
        let cx = TaskContext {
            task,
            attempt: Attempt(1),
            kind: KindName::parse("email.send").unwrap(),
            submitted_at: clock.now(),
            retry_origin: None,
            retries_left: 0,
            deadline: None,
            services: Arc::new(services),
            ledger: ledger.clone(),
            effects: Arc::new(TransientLedger::default()),
            files: files::task_files(files, task, clock.clone()),
            upkeep: Arc::new(NoEngine),
            clock,
            recipients: Arc::new(TransientLedger::default()),
            suppressions: None,
            stop: CancellationToken::new(),
            progress: Arc::new(NoProgress),
            children: Arc::new(NoChildren),
        };
        Self { ledger, cx }
    }

    async fn run(&self, attempt: i32, args: &Value) -> Result<Value, TaskFailure> {
        let kinds = KindSet::compiled();
        let kind = kinds.get(&KindName::parse("email.send").unwrap()).unwrap();
        let mut cx = self.cx.clone();
        cx.attempt = Attempt(attempt);
        kind.run(&args.to_string(), cx)?.await
    }

    /// The pointers of what is wrong with `args`, and everything that is said.
    fn field_errors(&self, args: &Value) -> (Vec<String>, String) {
        let kinds = KindSet::compiled();
        let kind = kinds.get(&KindName::parse("email.send").unwrap()).unwrap();
        let field_errors = kind.check(&args.to_string(), &self.cx.services).err().unwrap_or_default();
        let said: Vec<String> =
            field_errors.iter().map(|field_error| format!("{}: {}", field_error.pointer, field_error.detail)).collect();
        (field_errors.into_iter().map(|field_error| field_error.pointer).collect(), said.join("\n"))
    }

    async fn remember(&self, state: LedgerState, response: Option<&str>) {
        let entry = LedgerEntry {
            task: self.cx.task,
            part: 0,
            recipient: "user@example.com".into(),
            message_id: "<before@example.org>".into(),
            state,
            response: response.map(str::to_owned),
            updated_at: self.cx.clock.now(),
        };
        self.ledger.write_ledger(&[entry]).await.unwrap();
    }
}

/// The body of the document.
fn body() -> Value {
    json!({
        "recipient_email": "user@example.com",
        "subject": "Test Subject",
        "template_name": "test_template",
        "context": { "name": "Test User" }
    })
}

fn outbox() -> (tempfile::TempDir, Bench) {
    let folder = tempfile::tempdir().unwrap();
    let config: MailConfig = to_outbox(folder.path());
    let bench = Bench::new(Mailer::new(&config).unwrap());
    (folder, bench)
}

/// Type, and whether another attempt follows.
fn failed(outcome: Result<Value, TaskFailure>) -> (String, bool) {
    match outcome {
        Err(TaskFailure::Retry { error, .. }) => (error.kind, true),
        Err(TaskFailure::Fail(error)) => (error.kind, false),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_documents_body_puts_a_mail_with_both_parts_into_the_outbox() {
    let (folder, bench) = outbox();
    assert_eq!(bench.field_errors(&body()).0, Vec::<String>::new());
    let result = bench.run(1, &body()).await.unwrap();
    let name = result["outbox_file"].as_str().unwrap();
    assert!(name.contains(&bench.cx.task.to_string()), "{name}");
    assert_eq!(result["success"], true);
    assert_eq!(result["recipient_email"], "user@example.com");
    let mail = Mime::parse(&std::fs::read(folder.path().join("outbox").join(name)).unwrap());
    assert_eq!(mail.header("Subject").as_deref(), Some("Test Subject"));
    assert_eq!(mail.header("Message-ID").as_deref(), result["message_id"].as_str());
    assert!(mail.parts[0].body.starts_with("Hello Test User,"), "{}", mail.parts[0].body);
    assert!(mail.parts[1].body.contains("Hello Test User,") && mail.parts[1].body.contains("style="));
}

/// A mail to Ann with copies to Bo and, unseen, to Cy.
fn with_copies() -> Value {
    json!({
        "recipient_email": "ann@example.net", "subject": "S", "text": "T", "reply_to": "help@example.org",
        "cc": ["Bo <bo@example.net>", "ann@example.net"], "bcc": ["cy@example.net"], "from": "Shop <shop@example.org>",
    })
}

#[tokio::test]
async fn copies_go_to_everybody_once_and_the_unseen_ones_are_unseen() {
    let server = SmtpServer::start().await;
    let bench = Bench::new(mailer(&server, |_| ()));
    assert_eq!(bench.field_errors(&with_copies()).0, Vec::<String>::new());
    let result = bench.run(1, &with_copies()).await.unwrap();
    assert_eq!(result["refused_copies"], json!([]));
    let mails = server.mails();
    assert_eq!(
        (mails.len(), &mails[0].to[..]),
        (1, &["ann@example.net", "bo@example.net", "cy@example.net"].map(String::from)[..])
    );
    let mail = Mime::parse(&mails[0].bytes);
    assert_eq!(mail.header("From").as_deref(), Some("Shop <shop@example.org>"));
    assert_eq!(mail.header("Sender").as_deref(), Some("Legwork <legwork@example.org>"));
    assert_eq!(mail.header("Reply-To").as_deref(), Some("help@example.org"));
    assert_eq!(mail.header("Cc").as_deref(), Some("Bo <bo@example.net>"));
    assert!(!mails[0].text().contains("cy@example.net"));
}

#[tokio::test]
async fn a_refused_copy_is_told_of_and_a_refused_recipient_sends_nothing_to_anybody() {
    for (refused, taken) in [("bo@example.net", 1), ("ann@example.net", 0)] {
        let server = Setup::new()
            .script(move |step| match &step.moment {
                Moment::RcptTo(to) if *to == refused => Act::Say("550 5.1.1 no such user".into()),
                _ => Act::Go,
            })
            .start()
            .await;
        let bench = Bench::new(mailer(&server, |_| ()));
        let outcome = bench.run(1, &with_copies()).await;
        assert_eq!(server.counts().taken, taken, "{refused}");
        if taken == 1 {
            let refused_copies = json!([{ "email": "bo@example.net", "response": "550 5.1.1 no such user" }]);
            assert_eq!(outcome.unwrap()["refused_copies"], refused_copies);
            assert_eq!(server.mails()[0].to, ["ann@example.net", "cy@example.net"]);
        } else {
            assert_eq!(failed(outcome), ("MailRejected".to_owned(), false));
        }
    }
}

#[tokio::test]
async fn each_wrong_copy_sender_and_attachment_is_named() {
    let (_folder, bench) = outbox();
    let args = json!({
        "recipient_email": "ann@example.net", "subject": "S", "text": "T",
        "cc": ["bo@example.net", "no address"], "bcc": ["x@y@z@", "a\r\nBcc: b@example.net"], "reply_to": "nobody",
        "from": "boss@elsewhere.example", "attachments": ["../secret", "exports/missing.csv"],
    });
    let (pointers, said) = bench.field_errors(&args);
    assert_eq!(pointers, ["/cc/1", "/bcc/0", "/bcc/1", "/reply_to", "/from", "/attachments/0", "/attachments/1"], "{said}");
    assert!(said.contains("/from: must be an address of example.org; got the domain elsewhere.example"), "{said}");
    let many: Vec<String> = (0..51).map(|number| format!("a{number}@example.net")).collect();
    let args = json!({ "recipient_email": "ann@example.net", "subject": "S", "text": "T", "bcc": many });
    assert_eq!(bench.field_errors(&args).0, ["/bcc"]);
}

#[tokio::test]
async fn a_text_may_be_given_instead_of_a_template() {
    let (folder, bench) = outbox();
    let args = json!({ "recipient_email": "Ann <a@example.org>", "subject": "S", "text": "T", "html": "<p>H</p>" });
    assert_eq!(bench.field_errors(&args).0, Vec::<String>::new());
    let result = bench.run(1, &args).await.unwrap();
    let file = folder.path().join("outbox").join(result["outbox_file"].as_str().unwrap());
    let mail = Mime::parse(&std::fs::read(file).unwrap());
    assert_eq!(mail.parts.iter().map(|part| part.body.as_str()).collect::<Vec<_>>(), ["T", "<p>H</p>"]);
    assert_eq!(result["recipient_email"], "a@example.org");
}

#[tokio::test]
async fn what_is_wrong_with_args_is_named_field_by_field() {
    let (_folder, bench) = outbox();
    let with = |field: &str, value: Value| {
        let mut args = body();
        args[field] = value;
        args
    };
    let without = |field: &str| {
        let mut args = body();
        args.as_object_mut().unwrap().remove(field);
        args
    };
    for (args, pointer, word) in [
        (with("recipient_email", "nobody".into()), "/recipient_email", "has no '@'"),
        (with("recipient_email", "a@example.org\r\nBcc: b@example.org".into()), "/recipient_email", "line break"),
        (with("recipient_email", "Ann\nX: y <a@example.org>".into()), "/recipient_email", "line break"),
        (with("subject", "Hi\r\nBcc: b@example.org".into()), "/subject", "line break"),
        (with("subject", "Hi\nthere".into()), "/subject", "line break"),
        (with("subject", "".into()), "/subject", "shorter than 1"),
        (with("subject", " ".into()), "/subject", "blank"),
        (with("template_name", "nope".into()), "/template_name", "welcome_user"),
        (with("template_name", "../../etc/passwd".into()), "/template_name", "there is no template"),
        (with("text", "T".into()), "/text", "give one of them"),
        (with("html", "<p>".into()), "/html", "together with text"),
        (without("template_name"), "/template_name", "give template_name or text"),
        (with("recipient_email", 5.into()), "/recipient_email", "string"),
        (with("context", "x".into()), "/context", "object"),
        (with("on_unknown", "guess".into()), "/on_unknown", "hold"),
    ] {
        let (pointers, said) = bench.field_errors(&args);
        assert!(pointers == [pointer] && said.contains(word), "{args}: {said}");
    }
    let (pointers, said) = bench.field_errors(&with("copy", "b@example.org".into()));
    assert!(pointers.contains(&"/copy".to_owned()) && said.contains("recipient_email"), "{said}");
    let (pointers, _) = bench.field_errors(&json!({ "recipient_email": "x", "subject": "\n", "template_name": "y" }));
    assert_eq!(pointers, ["/recipient_email", "/subject", "/template_name"]);
}

#[tokio::test]
async fn a_missing_variable_fails_at_once_and_is_named() {
    let (_folder, bench) = outbox();
    let mut args = body();
    args["template_name"] = "newsletter".into();
    let Err(TaskFailure::Fail(error)) = bench.run(1, &args).await else { panic!("fails") };
    assert_eq!(error.kind, "MissingVariable");
    assert!(error.message.contains("needs content") && error.message.contains("newsletter.html, line"), "{}", error.message);
}

#[tokio::test]
async fn the_ledger_says_sending_when_the_message_comes_and_not_before() {
    let ledger = Arc::new(MemoryLedger::default());
    let seen = ledger.clone();
    let server = Setup::new()
        .script(move |step| {
            match step.moment {
                Moment::Data => assert_eq!(seen.states(), []),
                Moment::Message(_) => assert_eq!(seen.states(), [LedgerState::Sending]),
                _ => {}
            }
            Act::Go
        })
        .start()
        .await;
    let bench = Bench::with_ledger(mailer(&server, |_| ()), ledger);
    let result = bench.run(1, &body()).await.unwrap();
    assert_eq!(bench.ledger.states(), [LedgerState::Sending, LedgerState::Accepted]);
    let entry = bench.ledger.last().unwrap();
    assert_eq!(Some(entry.message_id.as_str()), result["message_id"].as_str());
    assert_eq!((entry.part, entry.recipient.as_str()), (0, "user@example.com"));
    assert_eq!(result["response"], "250 2.0.0 taken as number 1");
    assert!(server.mails()[0].text().contains(&entry.message_id));
}

#[tokio::test]
async fn what_became_of_the_mail_decides_what_becomes_of_the_task() {
    for (act, word, is_retried, last) in [
        (Act::Say("550 5.7.1 spam".into()), "MailRejected", false, Some(LedgerState::Rejected)),
        (Act::Say("450 4.2.1 busy".into()), "MailDeferred", true, Some(LedgerState::Deferred)),
        (Act::TakeAndClose, "MailOutcomeUnknown", false, Some(LedgerState::Unknown)),
    ] {
        let server = Setup::new()
            .script(move |step| if matches!(step.moment, Moment::Message(_)) { act.clone() } else { Act::Go })
            .start()
            .await;
        let bench = Bench::new(mailer(&server, |_| ()));
        assert_eq!(failed(bench.run(1, &body()).await), (word.to_owned(), is_retried));
        assert_eq!(bench.ledger.last().map(|entry| entry.state), last, "{word}");
    }
    let server = Setup::new().script(|_| Act::Close).start().await;
    let bench = Bench::new(mailer(&server, |_| ()));
    assert_eq!(failed(bench.run(1, &body()).await), ("SmtpError".to_owned(), true));
    assert_eq!(bench.ledger.last(), None);
}

#[tokio::test]
async fn a_mail_that_was_accepted_before_is_not_sent_again() {
    let server = SmtpServer::start().await;
    let bench = Bench::new(mailer(&server, |_| ()));
    bench.remember(LedgerState::Accepted, Some("250 taken")).await;
    let result = bench.run(2, &body()).await.unwrap();
    assert_eq!((&result["message_id"], &result["response"]), (&json!("<before@example.org>"), &json!("250 taken")));
    assert_eq!(server.counts().opened, 0);
}

#[tokio::test]
async fn a_mail_whose_outcome_is_unknown_is_sent_again_only_on_request() {
    let server = SmtpServer::start().await;
    for state in [LedgerState::Sending, LedgerState::Unknown] {
        let bench = Bench::new(mailer(&server, |_| ()));
        bench.remember(state, None).await;
        let taken = server.counts().taken;
        assert_eq!(failed(bench.run(2, &body()).await), ("MailOutcomeUnknown".to_owned(), false));
        assert_eq!(server.counts().taken, taken);
        let mut args = body();
        args["on_unknown"] = "resend".into();
        bench.run(3, &args).await.unwrap();
        assert_eq!(server.counts().taken, taken + 1);
    }
}

#[tokio::test]
async fn with_resend_an_unknown_outcome_is_followed_by_another_attempt() {
    let server = Setup::new()
        .script(|step| match step.moment {
            Moment::Message(_) if step.connection == 1 => Act::Close,
            _ => Act::Go,
        })
        .start()
        .await;
    let bench = Bench::new(mailer(&server, |_| ()));
    let mut args = body();
    args["on_unknown"] = "resend".into();
    assert_eq!(failed(bench.run(1, &args).await), ("MailOutcomeUnknown".to_owned(), true));
    bench.run(2, &args).await.unwrap();
    assert_eq!(server.copies()["user@example.com"], 1);
}

#[tokio::test]
async fn a_deferred_mail_is_sent_by_the_next_attempt_and_a_rejected_one_is_not() {
    let server = SmtpServer::start().await;
    let bench = Bench::new(mailer(&server, |_| ()));
    bench.remember(LedgerState::Rejected, Some("550 no")).await;
    assert_eq!(failed(bench.run(2, &body()).await), ("MailRejected".to_owned(), false));
    bench.remember(LedgerState::Deferred, Some("450 busy")).await;
    bench.run(3, &body()).await.unwrap();
    assert_eq!(server.counts().taken, 1);
}

#[tokio::test]
async fn without_its_ledger_nothing_is_sent() {
    let server = SmtpServer::start().await;
    let bench = Bench::new(mailer(&server, |_| ()));
    bench.ledger.go_away();
    assert_eq!(failed(bench.run(1, &body()).await), ("LedgerUnavailable".to_owned(), true));
    assert_eq!(failed(bench.run(2, &body()).await), ("LedgerUnavailable".to_owned(), true));
    server.until(|counts| counts.closed == counts.opened).await;
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_stop_before_the_hand_over_sends_nothing() {
    let server =
        Setup::new().script(|step| if matches!(step.moment, Moment::RcptTo(_)) { Act::Silence } else { Act::Go }).start().await;
    let bench = Bench::new(mailer(&server, |_| ()));
    let args = body();
    let (outcome, ()) = tokio::join!(bench.run(1, &args), async {
        server.until(|counts| counts.silent == 1).await;
        bench.cx.stop.cancel();
    });
    assert_eq!(outcome, Err(TaskFailure::Stopped));
    assert_eq!((bench.ledger.states(), server.mails()), (vec![], vec![]));
}

#[tokio::test]
async fn a_stop_within_the_hand_over_waits_for_the_answer() {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let server = Setup::new()
        .script(move |step| {
            if matches!(step.moment, Moment::Message(_)) {
                stopping.cancel();
            }
            Act::Go
        })
        .start()
        .await;
    let mut bench = Bench::new(mailer(&server, |_| ()));
    bench.cx.stop = stop;
    bench.run(1, &body()).await.unwrap();
    assert_eq!(bench.ledger.states(), [LedgerState::Sending, LedgerState::Accepted]);
}

/// Attempt 1 gets ready, freezes before it claims its mail, and is given up. `meanwhile` is what becomes of attempt 2 before the worker
/// thaws; the answer is what attempt 1 comes to then.
async fn thawed(bench: &mut Bench, meanwhile: impl AsyncFnOnce(Bench)) -> Result<Value, TaskFailure> {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("legwork.db")).await.unwrap());
    store.migrate().await.unwrap();
    let first = started(&store, task(0), 1).await;
    bench.cx.task = first.id;
    let frozen = FaultyStore::over(store.clone(), Arc::default());
    let gate = frozen.hold("claim_mail");
    let mut thawing = bench.clone();
    thawing.cx.ledger = frozen;
    bench.cx.ledger = FaultyStore::over(store.clone(), Arc::default());
    let args = body();
    let (outcome, ()) = tokio::join!(thawing.run(1, &args), async {
        gate.arrived().await;
        settle(&store, &first, at(2), Next::Crashed { due_at: at(2), crashes: 1, error: mishap() }).await;
        start_ref(&store, 2, reference(first.id, 2), at(3)).await;
        meanwhile(bench.clone()).await;
        gate.open();
    });
    store.close().await;
    outcome
}

#[tokio::test]
async fn a_worker_that_froze_before_its_hand_over_does_not_send_what_the_next_attempt_has_sent() {
    let server = SmtpServer::start().await;
    let mut bench = Bench::new(mailer(&server, |_| ()));
    let outcome = thawed(&mut bench, async |bench| drop(bench.run(2, &body()).await.unwrap())).await;
    assert_eq!(outcome.unwrap()["response"], "250 2.0.0 taken as number 1");
    assert_eq!(server.copies()["user@example.com"], 1);
}

#[tokio::test]
async fn a_worker_that_froze_before_its_hand_over_leaves_the_mail_to_the_next_attempt() {
    let server = SmtpServer::start().await;
    let mut bench = Bench::new(mailer(&server, |_| ()));
    assert_eq!(failed(thawed(&mut bench, async |_| ()).await), ("Overtaken".to_owned(), true));
    assert!(server.mails().is_empty());
}
