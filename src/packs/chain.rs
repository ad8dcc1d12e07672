//! The runner `chain`: kinds one after the other, each a task of its own.
//!
//! An attempt submits the task of a link, waits for its end for a moment, and is released where that takes longer, so that no slot is held. The
//! next attempt finds the tasks of the links again by their names, and goes on where they are.

use std::time::Duration;

use legwork_engine::children::ChildEnd;
use legwork_engine::domain::{ErrorReport, TaskFailure, TaskId};
use legwork_pack::Link;
use serde_json::{Map, Value, json};

use super::attempt::PackAttempt;
use super::effect::Effect;
use super::steps::value_failure;
use crate::kinds::Child;

/// How long an attempt waits for the end of a link's task.
const WAIT: Duration = Duration::from_millis(500);
/// The pause before the next look at a task that runs for long: a tenth of its age, within these limits.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What became of a link.
enum LinkEnd {
    Done(Value),
    Skipped,
    Failed(ErrorReport),
}

pub(super) async fn run(attempt: &mut PackAttempt, links: &[Link]) -> Result<Effect, TaskFailure> {
    let mut outcomes = Vec::new();
    for (done, link) in (0_u64..).zip(links) {
        attempt.cx.report_progress(done, Some(links.len() as u64), Some(link.name.clone()));
        let (task, end) = run_link(attempt, link).await?;
        let mut outcome = Map::from_iter([("link".to_owned(), Value::from(link.name.as_str()))]);
        if let Some(task) = task {
            outcome.insert("task_id".into(), task.to_string().into());
        }
        let result = match end {
            LinkEnd::Done(result) => {
                outcome.insert("status".into(), "SUCCESS".into());
                result
            }
            LinkEnd::Skipped => {
                outcome.insert("status".into(), Value::Null);
                Value::Null
            }
            LinkEnd::Failed(error) if link.continues => {
                outcome.insert("status".into(), "FAILURE".into());
                outcome.insert("error".into(), json!({ "type": error.kind, "message": error.message }));
                Value::Null
            }
            LinkEnd::Failed(error) => {
                let message = format!("the link {:?} ({}) failed: {}: {}", link.name, link.kind, error.kind, error.message);
                return Err(TaskFailure::fail("LinkFailed", message));
            }
        };
        outcomes.push(Value::Object(outcome));
        attempt.results.insert(link.name.clone(), result);
        attempt.scope.set("results", attempt.results.clone().into());
    }
    Ok(Effect::new(format!("{} links have run", outcomes.len()), json!({ "links": outcomes })))
}

/// Runs a link as far as that is possible now; an error says when to go on where its task takes longer.
async fn run_link(attempt: &PackAttempt, link: &Link) -> Result<(Option<TaskId>, LinkEnd), TaskFailure> {
    let engine = &attempt.kind.runtime.pack.engine;
    let holds = link.when.as_ref().map_or(Ok(true), |when| engine.holds(when, &attempt.scope)).map_err(value_failure)?;
    if !holds {
        return Ok((None, LinkEnd::Skipped));
    }
    let mut args = attempt.value(&link.args)?;
    if let Some(fields) = args.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    } else {
        args = json!({});
    }
    let child = Child::new(format!("link-{}", link.name), link.kind.clone(), args);
    let task = match attempt.cx.submit(vec![child]).await?.pop() {
        Some(Ok(task)) => task,
        Some(Err(TaskFailure::Fail(error))) => return Ok((None, LinkEnd::Failed(error))),
        Some(Err(other)) => return Err(other),
        None => return Err(TaskFailure::retry("NotSubmitted", format!("the link {:?} was not answered", link.name))),
    };
    let end = match attempt.cx.or_cancelled(attempt.cx.children.ended(task, WAIT)).await?? {
        Some(ChildEnd::Success(result)) => LinkEnd::Done(result),
        Some(ChildEnd::Failure(error)) => LinkEnd::Failed(error),
        Some(ChildEnd::Revoked) => LinkEnd::Failed(ErrorReport::new("Revoked", format!("its task {task} was revoked"), false)),
        Some(ChildEnd::Forgotten) => LinkEnd::Done(Value::Null),
        None => {
            let age = attempt.cx.clock.now().duration_since(task.made_at()).unsigned_abs();
            return Err(TaskFailure::Later { after: (age / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE) });
        }
    };
    Ok((Some(task), end))
}
