//! A kind for tests: it does what its plan says, announces each start, and waits where it is told to.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use legwork::kinds::{Child, Kind, TaskContext};
use legwork_engine::domain::{TaskFailure, TaskId};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

/// Args of `test.probe`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Whose switch it reports to.
    pub switch: String,
    /// What each attempt does; the last one goes for all that follow.
    pub plan: Vec<Step>,
}

/// What one attempt does.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Returns its attempt's number.
    Succeed,
    /// Returns so many bytes.
    Return(usize),
    /// Fails, to be tried again.
    Retry,
    /// Fails, not to be tried again before so many seconds.
    RetryAfter(u64),
    /// Fails for good.
    Fail,
    /// Panics.
    Panic,
    /// Waits to be released, or to be asked to stop.
    Wait,
    /// Waits to be released, deaf to all requests.
    Deaf,
    /// Waits to be released, deaf to all requests, and fails then, to be tried again.
    DeafRetry,
    /// Submits two echoes, which say in which attempt, and returns their ids.
    Submit,
    /// The same, and fails then, to be tried again.
    SubmitRetry,
    /// Submits an echo and a probe of this switch and plan, and ends so: a success returns their ids, else they are the message.
    SubmitProbe { switch: String, plan: Value, ending: Ending },
    /// Submits a child that is refused, and one that is not.
    SubmitBad,
    /// Tells progress, then waits to be released, or to be asked to stop.
    Progress,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Succeed,
    Retry,
    Fail,
}

/// The test's end of a probe.
#[derive(Debug)]
pub struct Switch {
    name: String,
    started: Semaphore,
    released: Semaphore,
    runs: Mutex<Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    /// The tasks in the order in which their attempts started.
    tasks: Vec<TaskId>,
    now: usize,
    most_at_once: usize,
}

/// One attempt that runs.
struct Run(Arc<Switch>);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.runs.lock().now -= 1;
    }
}

static SWITCHES: LazyLock<Mutex<HashMap<String, Arc<Switch>>>> = LazyLock::new(Mutex::default);

impl Switch {
    /// A switch of its own for one test.
    pub fn new() -> Arc<Self> {
        let name = format!("{:x}", fastrand::u64(..));
        let switch = Arc::new(Self {
            name: name.clone(),
            started: Semaphore::new(0),
            released: Semaphore::new(0),
            runs: Mutex::default(),
        });
        SWITCHES.lock().insert(name, switch.clone());
        switch
    }

    /// The step that submits a probe of this switch with a plan, and ends so.
    pub fn submitted(&self, plan: &Value, ending: &str) -> Value {
        json!({ "submit_probe": { "switch": self.name, "plan": plan, "ending": ending } })
    }

    /// Args of a probe with this plan.
    pub fn args(&self, plan: &Value) -> Value {
        json!({ "switch": self.name, "plan": plan })
    }

    /// Waits until an attempt has started.
    pub async fn started(&self) {
        let permit = tokio::time::timeout(Duration::from_secs(30), self.started.acquire()).await;
        permit.expect("an attempt started").unwrap().forget();
    }

    /// Lets `count` waiting attempts go on.
    pub fn release(&self, count: usize) {
        self.released.add_permits(count);
    }

    /// How many attempts have started.
    pub fn runs(&self) -> usize {
        self.runs.lock().tasks.len()
    }

    /// The tasks in the order in which their attempts started.
    pub fn order(&self) -> Vec<TaskId> {
        self.runs.lock().tasks.clone()
    }

    /// How many attempts ran at the same time at most.
    pub fn most_at_once(&self) -> usize {
        self.runs.lock().most_at_once
    }
}

impl Kind for Probe {
    const NAME: &'static str = "test.probe";
    const DESCRIPTION: &'static str = "Does what its plan says.";

    fn example() -> Value {
        json!({ "switch": "x", "plan": ["succeed"] })
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let switch = SWITCHES.lock().get(&self.switch).cloned().expect("the test keeps its switch");
        let (run, _running) = {
            let mut runs = switch.runs.lock();
            runs.tasks.push(cx.task);
            runs.now += 1;
            runs.most_at_once = runs.most_at_once.max(runs.now);
            (runs.tasks.len(), Run(switch.clone()))
        };
        let step = self.plan.get(run - 1).or(self.plan.last()).cloned().unwrap_or(Step::Succeed);
        switch.started.add_permits(1);
        match step {
            Step::Succeed => {}
            Step::Return(bytes) => return Ok(Value::String("x".repeat(bytes))),
            Step::Retry => return Err(TaskFailure::retry("ProbeError", "as planned")),
            Step::RetryAfter(seconds) => {
                return Err(TaskFailure::retry_after("ProbeError", "as planned", Duration::from_secs(seconds)));
            }
            Step::Fail => return Err(TaskFailure::fail("ProbeError", "as planned")),
            Step::Panic => panic!("as planned"),
            Step::Wait => cx.or_cancelled(switch.released.acquire()).await?.unwrap().forget(),
            Step::Deaf => switch.released.acquire().await.unwrap().forget(),
            Step::DeafRetry => {
                switch.released.acquire().await.unwrap().forget();
                return Err(TaskFailure::retry("ProbeError", "as planned"));
            }
            Step::Submit | Step::SubmitRetry => {
                let child = |part: &str| Child::new(part, "system.echo", json!({ "part": part, "attempt": cx.attempt }));
                let ids = cx.submit(vec![child("a"), child("b")]).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
                if matches!(step, Step::SubmitRetry) {
                    return Err(TaskFailure::retry("ProbeError", "as planned"));
                }
                return Ok(json!(ids));
            }
            Step::SubmitProbe { switch, plan, ending } => {
                let probe = Child::new("b", "test.probe", json!({ "switch": switch, "plan": plan }));
                let children = vec![Child::new("a", "system.echo", json!({})), probe];
                let ids = cx.submit(children).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
                return match ending {
                    Ending::Succeed => Ok(json!(ids)),
                    Ending::Retry => Err(TaskFailure::retry("ProbeError", json!(ids))),
                    Ending::Fail => Err(TaskFailure::fail("ProbeError", json!(ids))),
                };
            }
            Step::SubmitBad => {
                let bad = Child::new("bad", "http.call", json!({ "url": 5, "headers": { "host": "hidden" }, "json": "hidden" }));
                let unknown = Child::new("unknown", "system.callback", json!({}));
                let good = Child::new("good", "system.echo", json!({}));
                let answers = cx.submit(vec![bad, unknown, good]).await?;
                let actual = answers.into_iter().map(|answer| match answer {
                    Ok(id) => id.to_string(),
                    Err(TaskFailure::Fail(error)) => error.to_string(),
                    Err(other) => panic!("{other:?}"),
                });
                return Ok(actual.collect());
            }
            Step::Progress => {
                cx.report_progress(u64::from(cx.attempt.0.unsigned_abs()), Some(9), Some("half way".into()));
                cx.or_cancelled(switch.released.acquire()).await?.unwrap().forget();
            }
        }
        Ok(json!({ "attempt": cx.attempt }))
    }
}
