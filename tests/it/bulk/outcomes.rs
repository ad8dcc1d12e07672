//! What the mail server does, and what that means for each recipient.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use legwork_engine::domain::TaskStatus;
use serde_json::json;

use super::{addresses, body, count_outcomes, mailing, outcomes, rows, run};
use crate::support::engine::Engine;
use crate::support::mime::Mime;
use crate::support::smtp::{Act, Moment, Setup, SmtpServer, Step};

/// Does `act` where the message of this address has come in.
fn at_message(address: &'static str, act: Act) -> impl Fn(&Step<'_>) -> Act + Send + Sync + 'static {
    move |step| match step.moment {
        Moment::Message(mail) if mail.to == [address] => act.clone(),
        _ => Act::Go,
    }
}

pub async fn the_documents_body_works_on_the_outbox(engine: Engine) {
    let (id, result) = run(
        &engine,
        json!({
            "recipient_emails": ["user1@example.com", "user2@example.com"],
            "subject": "Newsletter",
            "template_name": "newsletter",
            "context": { "content": "Newsletter content here" },
        }),
    )
    .await;
    assert_eq!(
        result,
        json!({
            "success": true, "message": "2 of 2 mails are in the outbox",
            "total": 2, "accepted": 2, "rejected": 0, "deferred": 0, "unknown": 0, "suppressed": 0,
        })
    );
    for row in rows(&engine, id).await {
        let file = engine.config.mail.outbox.join(row.response.unwrap());
        let mail = Mime::parse(&std::fs::read(file).unwrap());
        assert_eq!(mail.header("To").unwrap(), row.address);
        assert_eq!(mail.header("Message-ID").unwrap(), row.message_id);
        assert_eq!(mail.header("List-Unsubscribe"), None, "nobody could reach it");
        assert!(mail.parts.iter().all(|part| part.body.contains("Newsletter content here")), "{mail:?}");
    }
}

pub async fn each_recipient_is_mailed_once_and_its_answer_is_kept(engine: Engine) {
    let server = Setup::new()
        .pipelining()
        .say_when(|step| matches!(step.moment, Moment::RcptTo("r7@example.net")), "550 5.7.1 not wanted")
        .start()
        .await;
    let engine = mailing(&engine, &server);
    let mut to = addresses(60);
    to.extend(["R3@Example.NET", "nobody", "Ann <r4@example.net>", "r\u{0}@example.net"].map(str::to_owned));
    let (id, result) = run(&engine, body(&to)).await;
    assert_eq!(result["message"], "59 of 62 mails were taken by the mail server, 3 rejected");
    let copies = server.copies();
    assert_eq!(copies.len(), 59);
    assert!(copies.values().all(|&copies| copies == 1), "{copies:?}");
    let rows = rows(&engine, id).await;
    assert_eq!(rows.len(), 62, "who is there twice is mailed once");
    let by_state = count_outcomes(&engine, id).await;
    assert_eq!(by_state, BTreeMap::from([("accepted", 59), ("rejected", 3)]));
    assert_eq!(rows[7].response.as_deref(), Some("550 5.7.1 not wanted"));
    assert_eq!((rows[7].attempts, rows[60].attempts), (1, 0));
    assert_eq!(rows[60].response.as_deref(), Some("\"nobody\" is not an e-mail address: it has no '@'"));
    assert!(rows[0].response.as_deref().unwrap().starts_with("250 2.0.0 taken as number"), "{:?}", rows[0]);
    for mail in server.mails() {
        let read = Mime::parse(&mail.bytes);
        let row = rows.iter().find(|row| mail.to == [row.address.clone()]).unwrap();
        assert_eq!(read.header("Message-ID").unwrap(), row.message_id);
        assert!(read.header("List-Unsubscribe").unwrap().starts_with("<https://tasks.example.org/api/v1/unsubscribe/"));
        assert_eq!(read.header("List-Unsubscribe-Post").unwrap(), "List-Unsubscribe=One-Click");
        assert!(read.parts[1].body.contains("style=") && read.parts[1].body.contains("Unsubscribe"), "{read:?}");
    }
    assert!(server.counts().most_at_once <= 3, "{:?}", server.counts());
}

pub async fn a_server_without_pipelining_is_served_step_by_step(engine: Engine) {
    let server = Setup::new()
        .script(|step| match step.moment {
            Moment::RcptTo("r1@example.net") => Act::Say("550 5.7.1 no".into()),
            Moment::Message(mail) if mail.to == ["r2@example.net"] => Act::Say("554 5.7.1 spam".into()),
            _ => Act::Go,
        })
        .start()
        .await;
    let engine = mailing(&engine, &server);
    let (id, _) = run(&engine, body(&addresses(30))).await;
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 28), ("rejected", 2)]));
    assert!(server.copies().values().all(|&copies| copies == 1));
}

pub async fn an_address_at_which_the_server_hangs_up_holds_nobody_up(engine: Engine) {
    for pipelining in [true, false] {
        for at in ["RCPT", "DATA"] {
            let tries = AtomicUsize::new(0);
            let mut setup = Setup::new();
            if pipelining {
                setup = setup.pipelining();
            }
            let server = setup.script(move |step| {
                let is_it = match step.moment {
                    Moment::RcptTo(to) => at == "RCPT" && to == "r3@example.net",
                    Moment::Data => at == "DATA" && step.messages == 3 && step.connection == 1,
                    _ => false,
                };
                if is_it && tries.fetch_add(1, Ordering::SeqCst) < 1 { Act::Say("421 4.7.0 go away".into()) } else { Act::Go }
            });
            let server = server.start().await;
            let engine = mailing(&engine, &server).tuned(|config| config.bulk.connections = 1);
            let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
            let id = engine.submit("email.bulk", body(&addresses(10))).await;
            let row = engine.row_when(id, |row| row.status == TaskStatus::Pending && row.attempt.0 == 1).await;
            assert_eq!(
                count_outcomes(&engine, id).await,
                BTreeMap::from([("accepted", 9), ("deferred", 1)]),
                "{at} {pipelining}"
            );
            assert_eq!(row.progress.map(|progress| (progress.done, progress.total)), Some((9, Some(10))));
            engine.pass_delay(&scheduler, id).await;
            assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
            assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 10)]));
            assert!(server.copies().values().all(|&copies| copies == 1));
            pool.end().await;
        }
    }
}

pub async fn a_server_that_hangs_up_at_everybody_is_left_alone(engine: Engine) {
    let server = Setup::new().pipelining().script(|step| match step.moment {
        Moment::RcptTo(_) => Act::Say("421 4.7.0 come back later".into()),
        _ => Act::Go,
    });
    let server = server.start().await;
    let engine = mailing(&engine, &server).tuned(|config| config.bulk.connections = 1);
    let pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&addresses(20))).await;
    let status = engine.settled(id).await;
    assert_eq!((status.status, status.error.unwrap().kind.as_str()), (TaskStatus::Retry, "SmtpError"));
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("deferred", 3), ("queued", 17)]));
    pool.end().await;
}

pub async fn an_attempt_that_reaches_nobody_tells_how_far_the_others_came(engine: Engine) {
    let server = Setup::new()
        .pipelining()
        .script(|step| match step.moment {
            Moment::RcptTo("r3@example.net") => Act::Say("450 4.2.1 greylisted".into()),
            _ => Act::Go,
        })
        .start()
        .await;
    let engine = mailing(&engine, &server);
    let pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&addresses(5))).await;
    engine.row_when(id, |row| row.status == TaskStatus::Pending && row.attempt.0 == 1).await;
    pool.end().await;
    let away = engine.tuned(|config| config.mail.smtp.iter_mut().for_each(|smtp| smtp.port = 1));
    let pool = away.start_pool().await;
    away.pass_delay(&away.scheduler(), id).await;
    let row = away.row_when(id, |row| row.status == TaskStatus::Retry).await;
    assert_eq!(row.progress.map(|progress| (progress.done, progress.total)), Some((4, Some(5))));
    pool.end().await;
}

pub async fn a_recipient_refused_for_now_is_tried_again_later(engine: Engine) {
    let tries = AtomicUsize::new(0);
    let server = Setup::new()
        .pipelining()
        .script(move |step| match step.moment {
            Moment::RcptTo("r3@example.net") if tries.fetch_add(1, Ordering::SeqCst) < 2 => {
                Act::Say("450 4.2.1 greylisted".into())
            }
            _ => Act::Go,
        })
        .start()
        .await;
    let engine = mailing(&engine, &server);
    let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
    let id = engine.submit("email.bulk", body(&addresses(10))).await;
    for minutes in [1, 2] {
        let row = engine.row_when(id, |row| row.status == TaskStatus::Pending && row.attempt.0 == minutes).await;
        let wait = row.due_at.duration_since(engine.now()).as_secs();
        assert!((50 * i64::from(minutes)..=70 * i64::from(minutes)).contains(&wait), "{wait} s");
        assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 9), ("deferred", 1)]));
        engine.pass_delay(&scheduler, id).await;
    }
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 10)]));
    assert_eq!(rows(&engine, id).await[3].attempts, 3);
    assert_eq!(engine.row(id).await.retries_used, 0, "waiting spends nothing");
    assert!(server.copies().values().all(|&copies| copies == 1));
    pool.end().await;
}

pub async fn who_is_refused_for_now_for_ever_is_deferred_in_the_end(engine: Engine) {
    let server =
        Setup::new().say_when(|step| matches!(step.moment, Moment::RcptTo("r0@example.net")), "451 4.3.0 not now").start().await;
    let engine = mailing(&engine, &server);
    let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
    let id = engine.submit("email.bulk", body(&addresses(2))).await;
    for attempt in 1..8 {
        engine.row_when(id, |row| row.status == TaskStatus::Pending && row.attempt.0 == attempt).await;
        engine.pass_delay(&scheduler, id).await;
    }
    let status = engine.ended(id).await;
    assert_eq!(status.status, TaskStatus::Success, "{status:?}");
    assert!(status.result.unwrap().get().contains("1 deferred for too long"));
    assert_eq!(rows(&engine, id).await[0].attempts, 8);
    pool.end().await;
}

pub async fn a_mail_without_an_answer_is_unknown_and_held(engine: Engine) {
    for (act, pipelines) in [(Act::TakeAndClose, true), (Act::Close, false), (Act::Say("999 what".into()), true)] {
        let setup = Setup::new().script(at_message("r5@example.net", act));
        let server = if pipelines { setup.pipelining() } else { setup }.start().await;
        let engine = mailing(&engine, &server);
        let (id, result) = run(&engine, body(&addresses(20))).await;
        assert_eq!((&result["accepted"], &result["unknown"]), (&json!(19), &json!(1)), "{result}");
        assert_eq!(outcomes(&engine, id).await["r5@example.net"], "unknown");
        assert!(server.copies().values().all(|&copies| copies == 1));
    }
}

pub async fn a_mail_without_an_answer_is_sent_again_on_request(engine: Engine) {
    let tries = AtomicUsize::new(0);
    let server = Setup::new()
        .pipelining()
        .script(move |step| match step.moment {
            Moment::Message(mail) if mail.to == ["r5@example.net"] && tries.fetch_add(1, Ordering::SeqCst) == 0 => {
                Act::TakeAndClose
            }
            _ => Act::Go,
        })
        .start()
        .await;
    let engine = mailing(&engine, &server);
    let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
    let mut args = body(&addresses(20));
    args["on_unknown"] = "resend".into();
    let id = engine.submit("email.bulk", args).await;
    engine.row_when(id, |row| row.status == TaskStatus::Pending && row.attempt.0 == 1).await;
    engine.pass_delay(&scheduler, id).await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 20)]));
    let ids: Vec<String> = server
        .mails()
        .iter()
        .filter(|mail| mail.to == ["r5@example.net"])
        .map(|mail| Mime::parse(&mail.bytes).header("Message-ID").unwrap())
        .collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    pool.end().await;
}

pub async fn a_server_that_closes_now_and_then_loses_nobody(engine: Engine) {
    let server = Setup::new()
        .pipelining()
        .script(|step| match step.moment {
            Moment::MailFrom(_) if step.messages == 4 && step.connection % 2 == 0 => Act::Say("421 4.3.2 enough for now".into()),
            Moment::RcptTo(_) if step.messages == 7 => Act::Close,
            Moment::Message(_) if step.messages == 6 && step.connection % 3 == 0 => Act::TakeAnswerAndClose,
            _ => Act::Go,
        })
        .start()
        .await;
    let engine = mailing(&engine, &server);
    let (id, _) = run(&engine, body(&addresses(120))).await;
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 120)]));
    let copies = server.copies();
    assert!(copies.len() == 120 && copies.values().all(|&copies| copies == 1), "{copies:?}");
}

pub async fn a_server_that_is_away_costs_a_retry_and_nobody(engine: Engine) {
    let server = SmtpServer::start().await;
    let engine = mailing(&engine, &server);
    let away = engine.tuned(|config| config.mail.smtp.iter_mut().for_each(|smtp| smtp.port = 1));
    let pool = away.start_pool().await;
    let id = away.submit("email.bulk", body(&addresses(5))).await;
    let status = away.settled(id).await;
    assert_eq!((status.status, status.error.unwrap().kind.as_str()), (TaskStatus::Retry, "SmtpError"));
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("queued", 5)]));
    pool.end().await;
    let pool = engine.start_pool().await;
    engine.pass_delay(&engine.scheduler(), id).await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(server.copies().len(), 5);
    pool.end().await;
}

pub async fn a_server_that_refuses_the_sender_rejects_nobody(engine: Engine) {
    let server = Setup::new()
        .pipelining()
        .say_when(|step| matches!(step.moment, Moment::MailFrom(_)), "553 5.7.1 who are you")
        .start()
        .await;
    let engine = mailing(&engine, &server);
    let pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&addresses(5))).await;
    let status = engine.settled(id).await;
    assert_eq!(status.status, TaskStatus::Retry);
    assert!(status.error.unwrap().message.contains("553 5.7.1 who are you"));
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("queued", 5)]));
    pool.end().await;
}

pub async fn nobody_reached_is_a_failure(engine: Engine) {
    let pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&["nobody".to_owned(), "no.one".to_owned()])).await;
    let status = engine.ended(id).await;
    let error = status.error.unwrap();
    assert_eq!((status.status, error.kind.as_str()), (TaskStatus::Failure, "NobodyReached"));
    assert!(error.message.contains("0 of 2 mails") && error.message.contains("2 rejected"), "{}", error.message);
    pool.end().await;
}

pub async fn what_fails_for_everybody_fails_at_once(engine: Engine) {
    let pool = engine.start_pool().await;
    let args = json!({ "recipient_emails": addresses(3), "subject": "TaskEvent", "template_name": "newsletter" });
    let id = engine.submit("email.bulk", args).await;
    let status = engine.ended(id).await;
    assert_eq!((status.status, status.error.unwrap().kind.as_str()), (TaskStatus::Failure, "MissingVariable"));
    assert!(rows(&engine, id).await.is_empty());
    // Who has something of his own fails for himself.
    let own = |content: bool| if content { json!({ "content": "C" }) } else { json!({}) };
    let to: Vec<_> =
        addresses(3).iter().enumerate().map(|(n, email)| json!({ "email": email, "context": own(n != 1) })).collect();
    let args = json!({ "recipients": to, "subject": "TaskEvent", "template_name": "newsletter" });
    let id = engine.submit("email.bulk", args).await;
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 2), ("rejected", 1)]));
    assert!(rows(&engine, id).await[1].response.as_ref().unwrap().contains("needs content"));
    pool.end().await;
}
