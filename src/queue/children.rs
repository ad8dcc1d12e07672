//! The engine's side of [`Children`]: what a task submits is submitted as by its owner, once.

use std::sync::Arc;

use async_trait::async_trait;

use super::Queue;
use super::options::TaskOptions;
use super::submit::{SubmitError, SubmitKey, SubmitTask, canonical_hash};
use crate::domain::{Begun, FieldError, KindName, Priority, TaskFailure, TaskId};
use crate::store::EFFECT_SCOPE;
use crate::tasks::{Child, Children};

/// What submits in the name of one running task.
struct TaskChildren {
    queue: Arc<Queue>,
    parent: TaskId,
    principal: Arc<str>,
}

impl Queue {
    /// Where `task` submits its children.
    pub fn children_of(self: &Arc<Self>, task: &Begun) -> Arc<dyn Children> {
        Arc::new(TaskChildren { queue: self.clone(), parent: task.id, principal: task.principal.clone() })
    }
}

#[async_trait]
impl Children for TaskChildren {
    async fn submit(&self, children: Vec<Child>) -> Vec<Result<TaskId, TaskFailure>> {
        let names: Vec<(String, &'static str)> = children.iter().map(|child| (child.part.clone(), child.kind)).collect();
        let commands = children.into_iter().map(|child| self.command(child)).collect();
        let answers = self.queue.submit_all(commands).await;
        let answers = answers.into_iter().zip(names);
        answers
            .map(|(answer, (part, kind))| answer.map(|taken| taken.id).map_err(|error| self.failure(&part, kind, error)))
            .collect()
    }
}

impl TaskChildren {
    fn command(&self, child: Child) -> SubmitTask {
        let key = format!("{}.{}", self.parent, child.part);
        let options = TaskOptions {
            queue: child.queue.map(|queue| queue.to_string()),
            priority: child.priority.map(Priority::get),
            ..TaskOptions::default()
        };
        SubmitTask {
            kind: child.kind.to_owned(),
            args: child.args.to_string(),
            args_pointer: "",
            options,
            principal: self.principal.clone(),
            internal: false,
            // What the first attempt submitted stays, even where this one would say it in other words.
            key: Some(SubmitKey { scope: EFFECT_SCOPE.into(), body_hash: canonical_hash(key.as_bytes()), key }),
        }
    }

    fn failure(&self, part: &str, kind: &str, error: SubmitError) -> TaskFailure {
        let what = format!("the task {kind} ({part}) could not be submitted");
        match error {
            SubmitError::NotStored(_) | SubmitError::Queue(_) => TaskFailure::retry("NotSubmitted", format!("{what}: {error}")),
            SubmitError::Invalid(faults) => {
                let told: Vec<String> = faults.iter().map(|fault| self.told(kind, fault)).collect();
                TaskFailure::fail("BadChild", format!("{what}: {}", told.join("; ")))
            }
            error => TaskFailure::fail("BadChild", format!("{what}: {error}")),
        }
    }

    /// A fault in words for a log: what it says of an arg that may be secret stays out.
    fn told(&self, kind: &str, fault: &FieldError) -> String {
        let kind = KindName::parse(kind).ok().and_then(|name| self.queue.kinds().get(&name).cloned());
        let is_sensitive = kind.is_some_and(|kind| kind.sensitive.iter().any(|secret| fault.pointer.starts_with(secret)));
        if is_sensitive { format!("{} is wrong", fault.pointer) } else { format!("{} {}", fault.pointer, fault.detail) }
    }
}
