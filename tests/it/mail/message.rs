//! Messages as they arrive.

use std::os::unix::fs::PermissionsExt as _;

use legwork_mail::{DraftExtras, MailDraft, MailOutcome, Recipient};

use super::{draft, mailer, send, send_one, to_outbox};
use crate::support::mime::Mime;
use crate::support::smtp::SmtpServer;

#[tokio::test]
async fn both_parts_arrive_as_they_were_given() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, |_| ());
    let to = Recipient::parse("\"Jürgen, der Größte\" <j@example.net>").unwrap();
    let text = format!(".\n..\n.x\nFrom here\n--\n=_key-1.0\nGrüße, 日本 🎉\n{}\n", "long ".repeat(400));
    let html = format!("<!DOCTYPE html>\n<p>ü = \"{}\"</p>\n", "x".repeat(3_000));
    let subject = "Änderungen an Ihrem Konto: ".repeat(10);
    let draft = MailDraft {
        key: "key-1.0",
        to: &to,
        subject: &subject,
        text: text.clone(),
        html: Some(html.clone()),
        submitted_at: "2026-11-21T08:00:00Z".parse().unwrap(),
        now: "2026-11-21T08:00:01Z".parse().unwrap(),
        extras: DraftExtras::default(),
    };
    let message = mailer.compose(draft).unwrap();
    let outcome = send(&mailer, &message).await;
    assert!(matches!(outcome, MailOutcome::Accepted { .. }), "{outcome:?}");

    let mail = Mime::parse(&server.mails()[0].bytes);
    let mut names = mail.header_names();
    names.sort_unstable();
    let expected = ["Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"];
    assert_eq!(names, expected);
    assert_eq!(mail.decoded_header("Subject"), subject.trim());
    assert_eq!(mail.header("Message-ID").as_deref(), Some("<key-1.0@example.org>"));
    assert_eq!(mail.header("Date").as_deref(), Some("Sat, 21 Nov 2026 08:00:01 +0000"));
    assert!(mail.decoded_header("To").contains("Jürgen, der Größte"), "{}", mail.decoded_header("To"));
    assert!(mail.header("Content-Type").unwrap().starts_with("multipart/alternative"));
    let kinds: Vec<_> = mail.parts.iter().map(|part| part.header("Content-Type").unwrap()).collect();
    assert_eq!(kinds, ["text/plain; charset=utf-8", "text/html; charset=utf-8"]);
    assert_eq!(mail.parts[0].body.trim_end(), text.trim_end());
    assert_eq!(mail.parts[1].body.trim_end(), html.trim_end());
}

#[tokio::test]
async fn the_outbox_holds_the_same_message_under_a_name_that_sorts_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = SmtpServer::start().await;
    let outbox = legwork_mail::Mailer::new(&to_outbox(folder.path())).unwrap();
    let outcome = send_one(&outbox).await;
    assert_eq!(outcome, MailOutcome::Accepted { response: "20261121T080000.000000Z-key-1.0.eml".into() });
    send_one(&mailer(&server, |_| ())).await;
    let file = std::fs::read(folder.path().join("outbox/20261121T080000.000000Z-key-1.0.eml")).unwrap();
    assert_eq!(file, server.mails()[0].bytes);
    let mode = |path: &str| std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("outbox"), mode("outbox/20261121T080000.000000Z-key-1.0.eml")), (0o700, 0o600), "nobody else reads it");
}

#[tokio::test]
async fn a_mail_that_goes_into_the_outbox_twice_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = legwork_mail::Mailer::new(&to_outbox(folder.path())).unwrap();
    send_one(&outbox).await;
    send_one(&outbox).await;
    send(&outbox, &draft(&outbox, "key-2.0", "bob@example.net")).await;
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path().join("outbox")).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["20261121T080000.000000Z-key-1.0.eml", "20261121T080000.000000Z-key-2.0.eml"]);
}

#[tokio::test]
async fn an_outbox_that_cannot_be_written_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("outbox"), "a file").unwrap();
    let outbox = legwork_mail::Mailer::new(&to_outbox(folder.path())).unwrap();
    let MailOutcome::NotSent { reason } = send_one(&outbox).await else { panic!("not sent") };
    assert!(reason.contains("outbox"), "{reason}");
}
