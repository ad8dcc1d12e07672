//! A kind of a pack as a kind of the process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use legwork_engine::domain::{
    Backoff, FieldError, KindName, QueueName, RateLimit, RetryPolicy, Scope as TokenScope, TaskFailure,
};
use legwork_engine::{KindPolicy, RunFuture};
use legwork_pack::{Kind, Pack, PackSet, Runner};
use serde_json::{Map, Value};

use super::attempt;
use super::redact::{RedactedProgress, Secrets};
use crate::config::RenderConfig;
use crate::kinds::{ArgsError, Behavior, DeclaredKind, KindSet, TaskContext, TaskKind};
use crate::services::Services;
use crate::services::render::Renderer;

/// The limit of an attempt where neither the kind nor its pack names one.
const HARD_LIMIT: Duration = Duration::from_mins(30);

/// What the kinds of a pack share.
pub(super) struct PackRuntime {
    pub pack: Pack,
    /// Renders the mails and pages of the pack.
    pub renderer: Arc<Renderer>,
    /// What expressions see as `settings`.
    pub settings: Value,
}

impl PackRuntime {
    pub(super) fn new(pack: Pack, renderer: Arc<Renderer>, render: &RenderConfig) -> Self {
        let mut settings = Map::new();
        settings.insert("site_name".into(), render.site_name.clone().into());
        settings.insert("frontend_url".into(), render.frontend_url.clone().into());
        settings.extend(pack.settings_json());
        Self { pack, renderer, settings: settings.into() }
    }
}

/// A kind, and what it needs at each attempt.
pub(super) struct PackKind {
    pub runtime: Arc<PackRuntime>,
    pub kind: Kind,
    /// The compiled kind of the runner `builtin`.
    pub compiled: Option<Arc<TaskKind>>,
}

impl PackKind {
    /// The secrets among the args of a task, and those of the pack.
    pub(super) fn secrets_of(&self, params: &Map<String, Value>) -> Secrets {
        Secrets::of(&self.runtime.pack, &self.kind, params)
    }
}

struct PackBehavior(Arc<PackKind>);

impl Behavior for PackBehavior {
    fn check(&self, args: &str, _services: &Services) -> Result<(), ArgsError> {
        let checked = self.0.kind.params.parse(args);
        checked.map(drop).map_err(|faults| {
            ArgsError::All(faults.into_iter().map(|fault| FieldError::new(fault.pointer, fault.detail)).collect())
        })
    }

    fn run(&self, args: &str, cx: TaskContext) -> Result<RunFuture, TaskFailure> {
        let params = self.0.kind.params.parse(args).map_err(|faults| {
            // The words of a fault may hold the value that was refused.
            let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
            TaskFailure::fail("BadArgs", format!("the args do not fit the kind any more: {}", pointers.join(", ")))
        })?;
        let kind = self.0.clone();
        let secrets = kind.secrets_of(&params);
        let progress = Arc::new(RedactedProgress { inner: cx.progress.clone(), secrets: secrets.clone() });
        let cx = TaskContext { progress, ..cx };
        Ok(Box::pin(async move { secrets.outcome(attempt::run(kind, params, cx).await) }))
    }
}

/// Makes a kind of the process of a kind of a pack.
pub(super) fn task_kind(runtime: &Arc<PackRuntime>, kind: &Kind, compiled_kinds: &KindSet, is_for_admins: bool) -> TaskKind {
    let compiled = match &kind.runner {
        Runner::Builtin(builtin) => compiled_kinds.get(&KindName::from_store(&builtin.kind)),
        _ => None,
    };
    let needs_engine = compiled.as_ref().is_some_and(|kind| kind.needs_engine);
    TaskKind::declared(DeclaredKind {
        policy: policy_of(&runtime.pack, kind, compiled.as_deref()),
        pack: runtime.pack.name.as_str().into(),
        celery_task: kind.celery_task.as_deref().map(Into::into),
        description: kind.description.clone(),
        scope: if is_for_admins { TokenScope::Admin } else { TokenScope::Submit },
        example: kind.example.clone().into(),
        json_schema: kind.params.json_schema(),
        needs_engine,
        behavior: Arc::new(PackBehavior(Arc::new(PackKind { runtime: runtime.clone(), kind: kind.clone(), compiled }))),
    })
}

/// The kinds that a kind runs or submits.
fn kinds_within(kind: &Kind) -> Vec<&str> {
    match &kind.runner {
        Runner::Builtin(builtin) => vec![&builtin.kind],
        Runner::FanOut(fan_out) => fan_out.children.iter().map(|child| child.kind.as_str()).collect(),
        Runner::Chain(links) => links.iter().map(|link| link.kind.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The kinds of packs that only administrators may submit. What a kind asks for is asked for by the kinds that run or submit it as well,
/// however many lie between: else a pack would open to everybody what is for administrators.
pub(super) fn for_admins(set: &PackSet, compiled: &KindSet) -> BTreeSet<String> {
    let is_compiled = |name: &str| compiled.get(&KindName::from_store(name)).is_some_and(|kind| kind.scope == TokenScope::Admin);
    let mut admins: BTreeSet<String> = BTreeSet::new();
    loop {
        let is_admins = |kind: &Kind| {
            kind.needs_admin || kinds_within(kind).into_iter().any(|name| is_compiled(name) || admins.contains(name))
        };
        let found: BTreeSet<String> =
            set.kinds().filter(|(_, kind)| is_admins(kind)).map(|(_, kind)| kind.name.clone()).collect();
        if found.len() == admins.len() {
            return admins;
        }
        admins = found;
    }
}

/// What the engine has to know: what the pack says, else what the compiled kind says, else the defaults.
fn policy_of(pack: &Pack, kind: &Kind, compiled: Option<&TaskKind>) -> KindPolicy {
    let own = compiled.map(|kind| &kind.policy);
    let limits = &kind.limits;
    let route = pack.routes.iter().find(|route| fits(route.pattern.as_bytes(), kind.name.as_bytes()));
    let queue = route.map(|route| route.queue.as_str()).or(limits.queue.as_deref());
    let retry = own.map_or(RetryPolicy::DEFAULT, |own| own.retry);
    KindPolicy {
        name: KindName::from_store(&kind.name),
        queue: match (queue, own) {
            (Some(queue), _) => QueueName::from_store(queue),
            (None, Some(own)) => own.queue.clone(),
            (None, None) => QueueName::from_store("default"),
        },
        retry: RetryPolicy {
            max_retries: limits.max_retries.unwrap_or(retry.max_retries),
            backoff: match limits.retry {
                Some(legwork_pack::Backoff::Exponential { base, cap, jitter }) => {
                    Backoff::Exponential { first: base, cap, jitter }
                }
                Some(legwork_pack::Backoff::Fixed(delay)) => Backoff::Fixed(delay),
                None => retry.backoff,
            },
        },
        rate: kind.rate.map(|rate| RateLimit { starts: rate.starts, per: rate.per }),
        hard_limit: limits.time_limit.or(own.map(|own| own.hard_limit)).unwrap_or(HARD_LIMIT),
        soft_limit: limits.soft_time_limit.or(own.and_then(|own| own.soft_limit)),
        args_limit: own.map_or(0, |own| own.args_limit),
        is_public: true,
        sensitive: kind.params.secrets().into_iter().collect(),
    }
}

/// Whether a name fits a pattern, in which `*` stands for any run of characters.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => fits(rest, name) || name.split_first().is_some_and(|(_, name)| fits(pattern, name)),
        (Some((expected, rest)), Some((found, name))) => expected == found && fits(rest, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, name, does) in [
            ("a.*", "a.b", true),
            ("a.*_n*", "a.send_notification", true),
            ("a.b", "a.bc", false),
            ("*", "", true),
            ("*.c", "a.b.c", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), does, "{pattern} {name}");
        }
    }
}
