//! What the server does, and what that means for the mail.

use std::time::Duration;

use legwork_mail::SmtpSecurity;
use legwork_mail::{MailOutcome, Mailer};
use secrecy::SecretString;

use super::{draft, mailer, send, send_one, smtp, to_relay};
use crate::support::smtp::{Act, Moment, Protection, Setup, SmtpServer, Step};

fn rejected(code: u16, response: &str) -> MailOutcome {
    MailOutcome::Rejected { code: Some(code), response: response.into() }
}

fn deferred(code: u16, response: &str) -> MailOutcome {
    MailOutcome::Deferred { code, response: response.into() }
}

fn at(name: &str, step: &Step<'_>) -> bool {
    let here = match step.moment {
        Moment::Greeting => "greeting",
        Moment::Ehlo => "ehlo",
        Moment::StartTls => "starttls",
        Moment::Auth(_) => "auth",
        Moment::MailFrom(_) => "mail",
        Moment::RcptTo(_) => "rcpt",
        Moment::Data => "data",
        Moment::Message(_) => "message",
        Moment::Reset => "reset",
    };
    here == name
}

/// The outcome of a mail to a server that does `act` at the moment `name`, and how many mails it kept.
async fn outcome_where(name: &'static str, act: Act) -> (MailOutcome, usize) {
    // Short only where it is waited for: elsewhere a slow machine must not run into it.
    let is_silent = matches!(act, Act::Silence | Act::TakeAndSilence);
    let timeout = if is_silent { Duration::from_millis(300) } else { Duration::from_secs(20) };
    let server = Setup::new().script(move |step| if at(name, step) { act.clone() } else { Act::Go }).start().await;
    let outcome = send_one(&mailer(&server, |smtp| smtp.timeout = timeout)).await;
    (outcome, server.mails().len())
}

#[tokio::test]
async fn an_accepted_mail_comes_with_the_servers_words() {
    let server = SmtpServer::start().await;
    let outcome = send_one(&mailer(&server, |_| ())).await;
    assert_eq!(outcome, MailOutcome::Accepted { response: "250 2.0.0 taken as number 1".into() });
    let mails = server.mails();
    assert_eq!((mails[0].from.as_str(), mails[0].to.as_slice()), ("legwork@example.org", &["ann@example.net".to_owned()][..]));
}

#[tokio::test]
async fn what_a_server_says_is_tamed_before_it_is_passed_on() {
    let said = format!("550 5.7.1 \u{1b}[31mred\u{7} {}", "x".repeat(900));
    for moment in ["mail", "message"] {
        let (outcome, _) = outcome_where(moment, Act::Say(said.clone())).await;
        let MailOutcome::Rejected { code: Some(550), response } = outcome else { panic!("{moment}: {outcome:?}") };
        assert!(response.starts_with("550 5.7.1 \u{fffd}[31mred\u{fffd} xxx"), "{response}");
        assert_eq!(response.chars().count(), 501, "{response}");
    }
    let (outcome, _) = outcome_where("message", Act::Say("250 2.0.0 \u{1b}]0;taken".into())).await;
    assert_eq!(outcome, MailOutcome::Accepted { response: "250 2.0.0 \u{fffd}]0;taken".into() });
    let (outcome, _) = outcome_where("greeting", Act::Say("554 \u{1b}[2Jno".into())).await;
    assert!(matches!(&outcome, MailOutcome::NotSent { reason } if reason.contains("554 \u{fffd}[2Jno")), "{outcome:?}");
}

#[tokio::test]
async fn a_refusal_is_final_with_5_and_passing_with_4_wherever_it_comes() {
    for moment in ["mail", "rcpt", "data", "message"] {
        let (outcome, kept) = outcome_where(moment, Act::Say("550 5.1.1 no such user".into())).await;
        assert_eq!((outcome, kept), (rejected(550, "550 5.1.1 no such user"), 0), "{moment}");
        let (outcome, kept) = outcome_where(moment, Act::Say("450-4.2.1 mailbox\r\n450 4.2.1 busy".into())).await;
        assert!(
            matches!(&outcome, MailOutcome::Deferred { code: 450, response } if response.contains("busy")),
            "{moment}: {outcome:?}"
        );
        assert_eq!(kept, 0, "{moment}");
        let (outcome, kept) = outcome_where(moment, Act::Say("421 4.3.2 shutting down".into())).await;
        assert_eq!((outcome, kept), (deferred(421, "421 4.3.2 shutting down"), 0), "{moment}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_connection_is_not_one_of_the_mail() {
    for moment in ["greeting", "ehlo"] {
        for line in ["554 5.3.2 no service here", "421 4.3.2 too many connections"] {
            let (outcome, _) = outcome_where(moment, Act::Say(line.into())).await;
            let MailOutcome::NotSent { reason } = outcome else { panic!("{moment}, {line}: {outcome:?}") };
            assert!(reason.contains(line), "{reason}");
        }
    }
}

#[tokio::test]
async fn trouble_before_the_message_means_that_it_was_not_sent() {
    for moment in ["greeting", "ehlo", "mail", "rcpt", "data"] {
        let garbage = [Act::Say("SSH-2.0-OpenSSH_9".into()), Act::Say("999 what".into()), Act::Say("\0\u{1}\u{2}".into())];
        for act in [Act::Close, Act::Silence].into_iter().chain(garbage) {
            let (outcome, kept) = outcome_where(moment, act.clone()).await;
            assert!(matches!(outcome, MailOutcome::NotSent { .. }), "{moment}, {act:?}: {outcome:?}");
            assert_eq!(kept, 0, "{moment}, {act:?}");
        }
    }
    let (outcome, _) = outcome_where("data", Act::Say("250 what".into())).await;
    assert!(matches!(outcome, MailOutcome::NotSent { .. }), "{outcome:?}");
}

#[tokio::test]
async fn no_answer_to_the_message_means_that_its_outcome_is_unknown() {
    for (act, kept) in [
        (Act::Close, 0),
        (Act::Silence, 0),
        (Act::TakeAndClose, 1),
        (Act::TakeAndSilence, 1),
        (Act::Say("what".into()), 0),
        (Act::Say("354 more".into()), 0),
    ] {
        let (outcome, found) = outcome_where("message", act.clone()).await;
        assert!(matches!(outcome, MailOutcome::Unknown { .. }), "{act:?}: {outcome:?}");
        assert_eq!(found, kept, "{act:?}");
    }
}

#[tokio::test]
async fn the_sender_and_the_login_are_those_of_the_settings() {
    let server = Setup::new()
        .login("ann", "word")
        .script(|step| match step.moment {
            Moment::MailFrom(from) if from != "legwork@example.org" => Act::Say("553 5.7.1 not yours".into()),
            Moment::Auth(user) if user != "ann" => Act::Close,
            _ => Act::Go,
        })
        .start()
        .await;
    let mailer = mailer(&server, |smtp| smtp.login = Some(("ann".into(), SecretString::from("word"))));
    assert!(matches!(send_one(&mailer).await, MailOutcome::Accepted { .. }));
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_named() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, |smtp| smtp.port = 1);
    let MailOutcome::NotSent { reason } = send_one(&mailer).await else { panic!("not sent") };
    assert!(reason.contains("127.0.0.1:1"), "{reason}");
}

#[tokio::test]
async fn tls_and_starttls_protect_login_and_mail() {
    for (protection, security) in [(Protection::StartTls, SmtpSecurity::StartTls), (Protection::Tls, SmtpSecurity::Tls)] {
        let server = Setup::new().protection(protection).login("ann", "p4ss:w/ord").start().await;
        let mailer = mailer(&server, |smtp| {
            smtp.security = security;
            smtp.login = Some(("ann".into(), SecretString::from("p4ss:w/ord")));
        });
        let outcome = send_one(&mailer).await;
        assert!(matches!(outcome, MailOutcome::Accepted { .. }), "{protection:?}: {outcome:?}");
        let mails = server.mails();
        assert!(mails[0].encrypted && mails[0].user.as_deref() == Some("ann"), "{mails:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_without_the_password() {
    let server = Setup::new().login("ann", "right").start().await;
    let mailer = mailer(&server, |smtp| smtp.login = Some(("ann".into(), SecretString::from("wrong-word"))));
    let MailOutcome::NotSent { reason } = send_one(&mailer).await else { panic!("not sent") };
    assert!(reason.contains("the login failed: 535 5.7.8") && !reason.contains("wrong-word"), "{reason}");
}

#[tokio::test]
async fn without_starttls_nothing_is_sent_in_the_clear() {
    let tries = [
        Setup::new(),
        Setup::new().protection(Protection::StartTls).say_when(|step| at("starttls", step), "454 4.7.0 not now"),
        // A stranger on the line adds an answer that would be read after the handshake as if it were the server's.
        Setup::new().protection(Protection::StartTls).say_when(|step| at("starttls", step), "220 go ahead\r\n250 me"),
    ];
    for setup in tries {
        let server = setup.login("ann", "word").start().await;
        let mailer = mailer(&server, |smtp| {
            smtp.security = SmtpSecurity::StartTls;
            smtp.login = Some(("ann".into(), SecretString::from("word")));
        });
        let outcome = send_one(&mailer).await;
        let MailOutcome::NotSent { reason } = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("STARTTLS"), "{reason}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    for (protection, security) in [(Protection::StartTls, SmtpSecurity::StartTls), (Protection::Tls, SmtpSecurity::Tls)] {
        let server = Setup::new().protection(protection).start().await;
        let mailer = Mailer::new(&to_relay(smtp(&server, security))).unwrap();
        let MailOutcome::NotSent { reason } = send_one(&mailer).await else { panic!("not sent") };
        assert!(reason.contains("the TLS handshake failed"), "{reason}");
    }
}

#[tokio::test]
async fn an_international_address_needs_a_server_that_takes_it() {
    for (setup, is_taken) in [(Setup::new().utf8(), true), (Setup::new(), false)] {
        let server = setup.start().await;
        let mailer = mailer(&server, |_| ());
        let outcome = send(&mailer, &draft(&mailer, "key-1", "jürgen@bücher.example")).await;
        if is_taken {
            assert!(matches!(outcome, MailOutcome::Accepted { .. }), "{outcome:?}");
            assert_eq!(server.mails()[0].to, ["jürgen@xn--bcher-kva.example"]);
            assert!(server.mails()[0].parameters.contains("SMTPUTF8"));
        } else {
            assert!(
                matches!(&outcome, MailOutcome::Rejected { code: None, response } if response.contains("SMTPUTF8")),
                "{outcome:?}"
            );
        }
        // The connection is as good as before.
        assert!(matches!(send_one(&mailer).await, MailOutcome::Accepted { .. }));
        assert_eq!(server.counts().opened, 1);
    }
}
