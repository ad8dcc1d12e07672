//! Whoever dies, whenever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use legwork_engine::domain::{TaskId, TaskStatus};
use legwork_engine::queue::control::Revoked;
use legwork_engine::store::QueueChange;

use super::{addresses, body, count_outcomes, mailing, outcomes, rows, succeeded_by};
use crate::support::engine::{Engine, PATIENCE, ann};
use crate::support::smtp::{Act, Moment, Setup, SmtpServer};

async fn until(server: &SmtpServer, taken: usize) {
    tokio::time::timeout(PATIENCE, server.until(|counts| counts.taken >= taken)).await.expect("mails came");
}

pub async fn a_worker_that_dies_within_a_hand_over_leaves_that_one_unknown(engine: Engine) {
    let server = Setup::new()
        .pipelining()
        .script(|step| match step.moment {
            Moment::Message(mail) if mail.to == ["r30@example.net"] => Act::TakeAndSilence,
            _ => Act::Go,
        })
        .start()
        .await;
    let engine = mailing(&engine, &server).tuned(|config| config.bulk.connections = 1);
    let pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&addresses(60))).await;
    tokio::time::timeout(PATIENCE, server.until(|counts| counts.silent > 0)).await.expect("it hangs");
    let (next, pool) = succeeded_by(&engine, pool).await;
    let status = next.ended(id).await;
    assert_eq!(status.status, TaskStatus::Success, "{status:?}");
    assert_eq!(count_outcomes(&next, id).await, BTreeMap::from([("accepted", 59), ("unknown", 1)]));
    assert_eq!(outcomes(&next, id).await["r30@example.net"], "unknown");
    let copies = server.copies();
    assert!(copies.len() == 60 && copies.values().all(|&copies| copies == 1), "{copies:?}");
    pool.end().await;
}

pub async fn a_worker_that_was_given_up_hands_nothing_over(engine: Engine) {
    let server = Setup::new().pipelining().start().await;
    // With one slot, the frozen worker takes nothing more.
    let engine = mailing(&engine, &server).tuned(|config| (config.bulk.connections, config.worker.concurrency) = (1, 1));
    let gate = engine.faults.hold("write_recipients");
    let frozen = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&addresses(40))).await;
    gate.arrived().await;
    let next = engine.another();
    let mut pool = next.start_pool().await;
    next.pass_lease(&next.scheduler(), &mut [&mut pool]).await;
    assert_eq!(next.ended(id).await.status, TaskStatus::Success);
    engine.faults.mend("write_recipients");
    gate.open();
    frozen.end().await;
    let copies = server.copies();
    assert!(copies.len() == 40 && copies.values().all(|&copies| copies == 1), "{copies:?}");
    pool.end().await;
}

pub async fn many_kills_mail_nobody_twice_and_leave_nobody_out(engine: Engine) {
    const PEOPLE: usize = 400;
    let server = Setup::new()
        .pipelining()
        .script(|step| match step.moment {
            Moment::Message(mail) if mail.to[0].trim_end_matches("@example.net").ends_with("50") => Act::TakeAndClose,
            _ => Act::Go,
        })
        .start()
        .await;
    let engine = mailing(&engine, &server);
    let mut pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&addresses(PEOPLE))).await;
    let (mut process, mut kills) = (engine, 0);
    for taken in [20, 90, 91, 200, 330] {
        until(&server, taken).await;
        (process, pool) = succeeded_by(&process, pool).await;
        kills += 1;
    }
    let status = process.ended(id).await;
    assert_eq!(status.status, TaskStatus::Success, "{status:?}");
    let copies = server.copies();
    assert!(copies.values().all(|&copies| copies == 1), "somebody was mailed twice: {copies:?}");
    let outcomes = outcomes(&process, id).await;
    assert_eq!(outcomes.len(), PEOPLE);
    let mut unknown = 0;
    for (address, outcome) in &outcomes {
        match *outcome {
            "accepted" => assert!(copies.contains_key(address), "{address} was left out"),
            "unknown" => unknown += 1,
            other => panic!("{address} is {other}"),
        }
    }
    let dropped = outcomes.iter().filter(|(address, _)| address.trim_end_matches("@example.net").ends_with("50"));
    let dropped: Vec<_> = dropped.map(|(_, outcome)| *outcome).collect();
    assert!(dropped.iter().all(|outcome| *outcome == "unknown"), "{dropped:?}");
    // One a connection and kill at most, beside those that the server dropped.
    assert!(unknown <= dropped.len() + 3 * kills, "{unknown} are unknown");
    pool.end().await;
}

pub async fn a_store_that_is_away_for_a_while_loses_no_answer(engine: Engine) {
    let server = Setup::new().pipelining().start().await;
    let engine = mailing(&engine, &server);
    let pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&addresses(200))).await;
    until(&server, 50).await;
    for field_error in 0..3 {
        if field_error == 1 {
            engine.faults.lose_answers("write_recipients");
        } else {
            engine.faults.fail("write_recipients");
        }
        let calls = engine.faults.calls("write_recipients");
        while engine.faults.calls("write_recipients") < calls + 2 {
            tokio::task::yield_now().await;
        }
        engine.faults.mend("write_recipients");
    }
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 200)]));
    assert!(server.copies().values().all(|&copies| copies == 1));
    pool.end().await;
}

/// A mail server that takes so many mails, and then only as many as are let through.
async fn gated(before: usize) -> (SmtpServer, Arc<AtomicBool>) {
    let (open, came) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let gate = open.clone();
    let server = Setup::new()
        .pipelining()
        .script(move |step| match step.moment {
            Moment::MailFrom(_) if !gate.load(Ordering::SeqCst) && came.fetch_add(1, Ordering::SeqCst) >= before => Act::Silence,
            _ => Act::Go,
        })
        .start()
        .await;
    (server, open)
}

pub async fn a_revoke_stops_in_the_middle(engine: Engine) {
    let (server, _gate) = gated(30).await;
    let engine = mailing(&engine, &server);
    let pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&addresses(100))).await;
    tokio::time::timeout(PATIENCE, server.until(|counts| counts.silent >= 1)).await.expect("it hangs");
    assert!(matches!(engine.queue.revoke(id, true, &ann()).await.unwrap(), Revoked::Revoking { .. }));
    assert_eq!(engine.ended(id).await.status, TaskStatus::Revoked);
    let count_outcomes = count_outcomes(&engine, id).await;
    assert!(count_outcomes["queued"] >= 70, "{count_outcomes:?}");
    assert!(server.copies().values().all(|&copies| copies == 1));
    pool.end().await;
}

pub async fn a_paused_queue_stops_in_the_middle_and_goes_on(engine: Engine) {
    let server = Setup::new().pipelining().start().await;
    let engine = mailing(&engine, &server);
    let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
    let mut args = body(&addresses(40));
    args["rate"] = 20.into();
    let id = engine.submit("email.bulk", args).await;
    until(&server, 3).await;
    let queue = engine.row(id).await.queue;
    engine.queue.change_queue(&queue, &QueueChange { paused: Some(true), concurrency: None }).await.unwrap();
    engine.row_when(id, |row| row.status == TaskStatus::Pending).await;
    let counts_then = count_outcomes(&engine, id).await;
    assert!(counts_then.keys().all(|outcome| ["accepted", "queued"].contains(outcome)), "{counts_then:?}");
    assert!(counts_then["queued"] > 0);
    engine.queue.change_queue(&queue, &QueueChange { paused: Some(false), concurrency: None }).await.unwrap();
    engine.clock.advance(std::time::Duration::from_secs(2));
    scheduler.dispatch_due().await.unwrap();
    assert_eq!(engine.ended(id).await.status, TaskStatus::Success);
    assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 40)]));
    assert!(server.copies().values().all(|&copies| copies == 1));
    pool.end().await;
}

pub async fn a_retry_by_hand_mails_those_who_were_not_reached(engine: Engine) {
    let (server, gate) = gated(30).await;
    let engine = mailing(&engine, &server);
    let pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", body(&addresses(50))).await;
    tokio::time::timeout(PATIENCE, server.until(|counts| counts.silent >= 3)).await.expect("it hangs");
    // An answer that is not yet recorded when the attempt is ended by force is of unknown outcome.
    engine.seen_when(|| count_outcomes(&engine, id), |count_outcomes| count_outcomes.get("accepted") == Some(&30)).await;
    engine.queue.revoke(id, true, &ann()).await.unwrap();
    assert_eq!(engine.ended(id).await.status, TaskStatus::Revoked);
    let reached = count_outcomes(&engine, id).await["accepted"];
    assert!(reached > 0 && reached < 50, "{reached}");
    gate.store(true, Ordering::SeqCst);
    let again: TaskId = engine.queue.retry(id, &ann()).await.unwrap().id;
    engine.note_accepted(again);
    assert_eq!(engine.ended(again).await.status, TaskStatus::Success);
    assert_eq!(count_outcomes(&engine, again).await, BTreeMap::from([("accepted", 50)]));
    let copies = server.copies();
    assert!(copies.len() == 50 && copies.values().all(|&copies| copies == 1), "{copies:?}");
    assert!(rows(&engine, again).await.iter().all(|row| row.message_id.contains(&id.to_string())), "Message-IDs stay");
    pool.end().await;
}
