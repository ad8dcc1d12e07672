//! Tasks that submit others, and what is shown of secret args.

use std::time::Duration;

use legwork::domain::{TaskId, TaskStatus};
use legwork::store::Prune;
use serde_json::{Value, json};

use crate::outbound::receiver::{Receiver, answer};
use crate::support::engine::Engine;
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
    // A retry by hand is another task, with children of its own.
    let again = engine.submit("test.probe", Switch::new().args(&json!(["submit"]))).await;
    engine.ended(again).await;
    assert!(ids(engine.row(again).await.result.as_deref().unwrap()).iter().all(|id| !children.contains(id)));
    pool.end().await;
}

pub async fn a_child_that_is_refused_says_why_and_the_others_are_taken(engine: Engine) {
    let pool = engine.start_pool().await;
    let parent = engine.submit("test.probe", Switch::new().args(&json!(["submit_bad"]))).await;
    let told = result(&engine, parent).await;
    let line = |index: usize| told[index].as_str().unwrap().to_owned();
    assert!(line(0).starts_with("BadChild: the task http.call (bad) could not be submitted: /url "), "{told}");
    assert!(!line(0).contains("hidden"), "{told}");
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
    let shown = serde_json::to_string(&engine.detail(id).await).unwrap();
    assert!(!shown.contains("hidden") && shown.contains(r#""headers":"[sensitive]""#) && shown.contains("/work"), "{shown}");
    pool.end().await;
}
