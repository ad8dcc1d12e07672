//! Tasks that submit others, and what is shown of secret args.

use std::time::Duration;

use legwork_engine::children::ChildEnd;
use legwork_engine::domain::{StartedTask, TaskId, TaskStatus};
use legwork_engine::store::{LedgerEntry, LedgerState, Prune};
use serde_json::{Value, json};

use crate::outbound::receiver::{Receiver, answer};
use crate::support::engine::{Engine, PATIENCE, ann};
use crate::support::probe::Switch;

fn ids(result: &str) -> Vec<TaskId> {
    serde_json::from_str(result).unwrap()
}

async fn result(engine: &Engine, id: TaskId) -> Value {
    let ended = engine.ended(id).await;
    serde_json::from_str(ended.result.unwrap_or_else(|| panic!("{:?}", ended.error)).get()).unwrap()
}

pub async fn a_task_submits_others_once_however_many_attempts_do_so(engine: Engine) {
    let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
    let plan = json!(["submit_retry", "submit_retry", "submit"]);
    let parent = engine.submit("test.probe", Switch::new().args(&plan)).await;
    for attempt in 1..=2 {
        engine.row_when(parent, |row| row.attempt.0 == attempt && row.status == TaskStatus::Retry).await;
        // The keys of a task that lives are not forgotten, however old they are.
        let (now, past) = (engine.now() + Duration::from_hours(48), engine.now() - Duration::from_hours(24));
        let prune = Prune { results_before: past, keys_before: now, workers_before: past, now, limit: 100 };
        engine.ground().store.prune(&prune).await.unwrap();
        engine.pass_delay(&scheduler, parent).await;
    }
    engine.ended(parent).await;
    let children = ids(engine.row(parent).await.result.as_deref().unwrap());
    assert_eq!(children.len(), 2);
    for (child, part) in children.iter().zip(["a", "b"]) {
        engine.note_accepted(*child);
        // What the first attempt said stays.
        let echo = result(&engine, *child).await;
        assert_eq!((&echo["part"], &echo["attempt"]), (&json!(part), &json!(1)));
        assert_eq!(&*engine.row(*child).await.principal, "ann");
    }
    // Another submission has children of its own.
    let again = engine.submit("test.probe", Switch::new().args(&json!(["submit"]))).await;
    engine.ended(again).await;
    assert!(ids(engine.row(again).await.result.as_deref().unwrap()).iter().all(|id| !children.contains(id)));
    pool.end().await;
}

/// Retries a task by hand, a second later.
async fn retried(engine: &Engine, id: TaskId) -> TaskId {
    engine.clock.advance(Duration::from_secs(1));
    let retry = engine.queue.retry(id, &ann()).await.unwrap().id;
    engine.note_accepted(retry);
    retry
}

/// What a task submitted that has failed with the ids as its message.
async fn actual(engine: &Engine, id: TaskId) -> Vec<TaskId> {
    ids(&engine.settled(id).await.error.unwrap().message)
}

pub async fn a_retry_by_hand_finds_the_children_of_its_chain_and_retries_what_failed(engine: Engine) {
    let (pool, scheduler) = (engine.start_pool().await, engine.scheduler());
    let (switch, child) = (Switch::new(), Switch::new());
    let step = |ending| child.submitted(&json!(["fail", "fail", "succeed"]), ending);
    let plan = json!([step("fail"), step("retry"), step("fail"), step("succeed")]);
    let first = engine.submit("test.probe", switch.args(&plan)).await;
    let made = actual(&engine, first).await;
    let (echo, probe) = (made[0], made[1]);
    assert_eq!(engine.ended(echo).await.status, TaskStatus::Success);
    assert_eq!(engine.ended(probe).await.status, TaskStatus::Failure);
    let second = retried(&engine, first).await;
    let again = actual(&engine, second).await;
    assert_eq!((again[0], engine.row(again[1]).await.retry_of), (echo, Some(probe)));
    assert_eq!(engine.ended(again[1]).await.status, TaskStatus::Failure);
    // Another attempt of the same retry finds what this one submitted, although that has failed.
    engine.pass_delay(&scheduler, second).await;
    assert_eq!(engine.ended(second).await.status, TaskStatus::Failure);
    assert_eq!(actual(&engine, second).await, again);
    let third = retried(&engine, second).await;
    engine.ended(third).await;
    let last = ids(engine.row(third).await.result.as_deref().unwrap());
    assert_eq!((last[0], engine.row(last[1]).await.retry_of), (echo, Some(again[1])));
    assert_eq!(engine.ended(last[1]).await.status, TaskStatus::Success);
    assert_eq!(child.runs(), 3);
    pool.end().await;
}

pub async fn a_retry_by_hand_leaves_a_child_alone_that_was_revoked_or_may_have_arrived(engine: Engine) {
    let pool = engine.start_pool().await;
    let states =
        [LedgerState::Sending, LedgerState::Accepted, LedgerState::Unknown, LedgerState::Deferred, LedgerState::Rejected];
    for state in std::iter::once(None).chain(states.map(Some)) {
        let (switch, child) = (Switch::new(), Switch::new());
        let plan = json!([if state.is_some() { "fail" } else { "wait" }, "succeed"]);
        let plan = json!([child.submitted(&plan, "fail"), child.submitted(&plan, "succeed")]);
        let first = engine.submit("test.probe", switch.args(&plan)).await;
        let probe = actual(&engine, first).await[1];
        match state {
            None => {
                child.started().await;
                engine.queue.revoke(probe, false, &ann()).await.unwrap();
            }
            Some(state) => {
                let (recipient, message_id) = ("a@example.org".into(), "m".into());
                let entry =
                    LedgerEntry { task: probe, part: 0, recipient, message_id, state, response: None, updated_at: engine.now() };
                engine.ground().store.write_ledger(&[entry]).await.unwrap();
            }
        }
        engine.ended(probe).await;
        let second = retried(&engine, first).await;
        engine.ended(second).await;
        let stands = ids(engine.row(second).await.result.as_deref().unwrap())[1];
        let is_retried = matches!(state, Some(LedgerState::Deferred | LedgerState::Rejected));
        assert_eq!((stands != probe, engine.row(stands).await.retry_of), (is_retried, is_retried.then_some(probe)), "{state:?}");
        engine.ended(stands).await;
    }
    pool.end().await;
}

pub async fn a_child_that_is_refused_says_why_and_the_others_are_taken(engine: Engine) {
    let pool = engine.start_pool().await;
    let parent = engine.submit("test.probe", Switch::new().args(&json!(["submit_bad"]))).await;
    let actual = result(&engine, parent).await;
    let line = |index: usize| actual[index].as_str().unwrap().to_owned();
    assert!(line(0).starts_with("BadChild: the task http.call (bad) could not be submitted: /url "), "{actual}");
    assert!(!line(0).contains("hidden"), "{actual}");
    assert_eq!(
        line(1),
        "BadChild: the task system.callback (unknown) could not be submitted: kind \"system.callback\" is unknown"
    );
    engine.ended(line(2).parse().unwrap()).await;
    pool.end().await;
}

pub async fn a_call_runs_through_the_engine_and_its_secrets_are_not_shown(engine: Engine) {
    let pool = engine.start_pool().await;
    let receiver = Receiver::start(&[&answer("200 OK", "", "done")]).await;
    let args = json!({ "url": receiver.url("/work"), "headers": { "x-key": "hidden" }, "json": { "card": "hidden" } });
    let id = engine.submit("http.call", args).await;
    assert_eq!(result(&engine, id).await["body"], "done");
    assert_eq!(receiver.requests().await[0].header("x-key"), Some("hidden"));
    let rendered = serde_json::to_string(&engine.detail(id).await).unwrap();
    assert!(
        !rendered.contains("hidden") && rendered.contains(r#""headers":"[sensitive]""#) && rendered.contains("/work"),
        "{rendered}"
    );
    pool.end().await;
}

pub async fn the_end_of_a_child_is_waited_for(engine: Engine) {
    let pool = engine.start_pool().await;
    let switch = Switch::new();
    let parent = engine.submit("test.probe", switch.args(&json!(["wait"]))).await;
    switch.started().await;
    let row = engine.row(parent).await;
    let of_parent = StartedTask {
        id: parent,
        attempt: row.attempt,
        version: row.version,
        kind: row.kind,
        queue: row.queue,
        args: row.args,
        principal: row.principal,
        submitted_at: row.submitted_at,
        retry_origin: None,
        started_at: engine.now(),
        retries_used: 0,
        max_retries: row.max_retries,
        crashes: 0,
        hard_limit: row.hard_limit,
        soft_limit: None,
    };
    let children = engine.queue.children_of(&of_parent);
    assert_eq!(children.ended(parent, Duration::ZERO).await.unwrap(), None, "it runs");
    let ended = tokio::spawn(async move { children.ended(parent, PATIENCE).await });
    switch.release(1);
    assert!(matches!(ended.await.unwrap().unwrap(), Some(ChildEnd::Success(_))));
    let children = engine.queue.children_of(&of_parent);
    let failed = engine.submit("test.probe", Switch::new().args(&json!(["fail"]))).await;
    let end = children.ended(failed, PATIENCE).await.unwrap();
    assert!(matches!(&end, Some(ChildEnd::Failure(error)) if error.kind == "ProbeError"), "{end:?}");
    let revoked = engine.submit_with("system.echo", json!({}), json!({ "countdown": 3_600 })).await;
    engine.queue.revoke(revoked, false, &ann()).await.unwrap();
    assert_eq!(children.ended(revoked, PATIENCE).await.unwrap(), Some(ChildEnd::Revoked));
    let unknown = TaskId::made(engine.now());
    assert_eq!(children.ended(unknown, PATIENCE).await.unwrap(), Some(ChildEnd::Forgotten));
    pool.end().await;
}
