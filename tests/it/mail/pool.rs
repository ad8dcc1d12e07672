//! The connections to the relay.

use std::sync::Arc;
use std::time::Duration;

use legwork_mail::SmtpSecurity;
use legwork_mail::{MailOutcome, Mailer};

use super::{draft, mailer, send, send_many, send_one, smtp, to_relay};
use crate::support::smtp::{Act, Moment, Setup, SmtpServer};

fn is_accepted(outcome: &MailOutcome) -> bool {
    matches!(outcome, MailOutcome::Accepted { .. })
}

#[tokio::test]
async fn many_mails_at_once_go_over_few_connections_and_each_goes_once() {
    let server = SmtpServer::start().await;
    let mailer = Arc::new(mailer(&server, |smtp| smtp.connections = 3));
    let outcomes = send_many(mailer, 300).await;
    assert!(outcomes.iter().all(is_accepted));
    let counts = server.counts();
    assert_eq!((counts.taken, counts.most_at_once, counts.opened), (300, 3, 3));
    let copies = server.copies();
    assert_eq!(copies.len(), 300);
    assert!(copies.values().all(|&copies| copies == 1));
}

#[tokio::test]
async fn a_connection_carries_so_many_messages_and_no_more() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, |smtp| smtp.messages_per_connection = 3);
    for _ in 0..7 {
        assert!(is_accepted(&send_one(&mailer).await));
    }
    let over: Vec<usize> = server.mails().iter().map(|mail| mail.connection).collect();
    assert_eq!(over, [1, 1, 1, 2, 2, 2, 3]);
}

#[tokio::test]
async fn a_kept_connection_that_broke_costs_nothing() {
    let server = Setup::new()
        .script(|step| match step.moment {
            Moment::Message(_) if step.connection == 1 => Act::TakeAnswerAndClose,
            // The server tells at the next mail that it had enough.
            Moment::MailFrom(_) if step.connection == 2 && step.messages == 1 => Act::Say("421 4.4.2 idle too long".into()),
            _ => Act::Go,
        })
        .start()
        .await;
    let mailer = mailer(&server, |_| ());
    for _ in 0..3 {
        assert!(is_accepted(&send_one(&mailer).await));
    }
    let over: Vec<usize> = server.mails().iter().map(|mail| mail.connection).collect();
    assert_eq!(over, [1, 2, 3]);
}

#[tokio::test]
async fn a_refused_mail_leaves_the_connection_usable() {
    let server = Setup::new()
        .script(|step| match &step.moment {
            Moment::RcptTo(to) if to.starts_with("nobody") => Act::Say("550 5.1.1 no such user".into()),
            Moment::Message(mail) if mail.to[0].starts_with("later") => Act::Say("451 4.3.0 later".into()),
            _ => Act::Go,
        })
        .start()
        .await;
    let mailer = mailer(&server, |_| ());
    for (to, accepted) in
        [("nobody@example.net", false), ("ann@example.net", true), ("later@example.net", false), ("bob@example.net", true)]
    {
        let outcome = send(&mailer, &draft(&mailer, "key-1", to)).await;
        assert_eq!(is_accepted(&outcome), accepted, "{to}: {outcome:?}");
    }
    assert_eq!(server.counts().opened, 1);
}

#[tokio::test]
async fn a_server_that_refuses_to_reset_gets_a_fresh_connection() {
    let server = Setup::new()
        .script(|step| match &step.moment {
            Moment::RcptTo(to) if to.starts_with("nobody") => Act::Say("550 5.1.1 no such user".into()),
            Moment::Reset => Act::Say("502 5.5.1 what".into()),
            _ => Act::Go,
        })
        .start()
        .await;
    let mailer = mailer(&server, |_| ());
    assert!(!is_accepted(&send(&mailer, &draft(&mailer, "key-1", "nobody@example.net")).await));
    assert!(is_accepted(&send_one(&mailer).await));
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = SmtpServer::start().await;
    let config = to_relay(smtp(&server, SmtpSecurity::Plain));
    let mailer = Arc::new(Mailer::with_tls(&config, server.trust(), Duration::from_millis(20)).unwrap());
    send_many(mailer.clone(), 20).await;
    let counts = server.until(|counts| counts.opened > 0 && counts.closed == counts.opened).await;
    assert!(is_accepted(&send_one(&mailer).await));
    server.until(|now| now.closed > counts.closed).await;
}

#[tokio::test]
async fn a_closed_mailer_says_goodbye_and_sends_no_more() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, |_| ());
    send_one(&mailer).await;
    mailer.close().await;
    server.until(|counts| counts.closed == 1).await;
    assert!(matches!(send_one(&mailer).await, MailOutcome::NotSent { .. }));
}

#[tokio::test]
async fn a_mail_that_is_dropped_before_its_hand_over_is_not_sent() {
    let server = SmtpServer::start().await;
    let mailer = mailer(&server, |smtp| smtp.connections = 1);
    let message = draft(&mailer, "key-1", "ann@example.net");
    drop(mailer.prepare(&message).await.unwrap_or_else(|outcome| panic!("{outcome:?}")));
    server.until(|counts| counts.closed == 1).await;
    assert!(server.mails().is_empty());
    assert!(is_accepted(&send_one(&mailer).await));
}
