//! Reads what all kinds have, and `[defaults]`.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::{Known, Reader, is_wire_name, text_of};
use crate::kind::{Backoff, Data, EffectSteps, Kind, Limits, Runner};
use crate::param::{Params, read_params};
use crate::shape::duration_of;
use crate::tree::{Entry, Node, Path};
use crate::units::Rate;

const DEFAULT_HARD_LIMIT: Duration = Duration::from_mins(30);

/// A runner with what belongs to it.
pub(super) struct ReadRunner {
    pub(super) runner: Runner,
    pub(super) data: Data,
    pub(super) steps: EffectSteps,
}

impl Reader<'_> {
    pub(super) fn defaults(&mut self, node: Option<&Node>, path: &Path) -> Limits {
        let Some(node) = node else { return Limits::default() };
        if let Some(source) = self.source_name(node, path) {
            self.default_source = Some(source);
        }
        self.limits(node, path, &Limits::default())
    }

    /// The field `source`: one that the pack declares.
    pub(super) fn source_name(&mut self, node: &Node, path: &Path) -> Option<String> {
        let field = node.get("source")?;
        let name = field.text()?;
        if !self.sources.iter().any(|known| known == name) {
            let known = crate::fault::allowed(name, self.sources.iter().map(String::as_str));
            self.fault(
                field.at,
                &path.at("source"),
                format!("the pack declares no source {name:?}. Declare it, as in [sources.{name}].{known}"),
            );
        }
        Some(name.to_owned())
    }

    pub(super) fn kinds(&mut self, node: Option<&Node>, path: &Path, defaults: &Limits) -> Vec<Kind> {
        let entries = node.map(Node::entries).unwrap_or_default();
        entries.iter().filter_map(|entry| self.kind(entry, &path.at(&entry.key), defaults)).collect()
    }

    fn kind(&mut self, entry: &Entry, path: &Path, defaults: &Limits) -> Option<Kind> {
        let node = &entry.node;
        self.kind_name(entry, path);
        let params = read_params(self, node.get("params"), &path.at("params"));
        let source = self.source_name(node, path).or_else(|| self.default_source.clone());
        let mut known = Known::of(&params);
        let read = self.runner(entry, path, &mut known, source.as_deref())?;
        let with_outcome = known.with_outcome();
        let summary = self.value_field(node, "summary", path, &with_outcome);
        let result = self.value_field(node, "result", path, &with_outcome);
        // `row` and named queries are there when it is asked, what the effect gives is not.
        let mut before = Known { outcome: false, ..known.clone() };
        let after = read.steps.after.iter().chain(&read.steps.on_failure).chain(&read.steps.before);
        for name in after.filter_map(|step| step.name.as_ref()) {
            before.results.remove(name);
        }
        if matches!(read.runner, Runner::Sql(_) | Runner::Chain(_)) {
            before.results.clear();
        }
        let when = self.expression_field(node, "when", path, &before);
        let example = self.example(entry, &params, path);
        Some(Kind {
            name: entry.key.clone(),
            description: text_of(node, "description").unwrap_or_default(),
            celery_task: text_of(node, "celery_task"),
            source,
            limits: self.limits(node, path, defaults),
            rate: node.get("rate").and_then(Node::text).and_then(Rate::parse),
            needs_admin: node.get("scope").and_then(Node::text) == Some("admin"),
            example,
            when,
            data: read.data,
            steps: read.steps,
            runner: read.runner,
            summary,
            result,
            place: self.text.place(entry.key_at),
            params,
        })
    }

    fn kind_name(&mut self, entry: &Entry, path: &Path) {
        let name = &entry.key;
        if !is_wire_name(name) || !name.contains('.') || name.ends_with('.') {
            let message = format!(
                "{name:?} is not a name of a kind: a prefix, a dot and a name, of a-z, 0-9, _, - and ., 100 characters at most, as in [kinds.\"shop.send_invoice\"]."
            );
            self.fault(entry.key_at, path, message);
        } else if self.host.kinds.contains_key(name) {
            self.fault(
                entry.key_at,
                path,
                format!(
                    "there is a compiled kind {name:?} already. Use another prefix, or the runner `builtin` to bind its args."
                ),
            );
        }
    }

    fn example(&mut self, entry: &Entry, params: &Params, path: &Path) -> Map<String, Json> {
        let given = entry.node.get("example");
        let example = match given.map(Node::json) {
            Some(Json::Object(example)) => example,
            _ => params.example(),
        };
        let Err(faults) = params.apply(&example) else { return example };
        for fault in faults {
            let detail = format!("{}: {}", fault.pointer, fault.detail);
            let (at, field, message) = match given {
                Some(node) => (node.at, "example", format!("does not fit the params: {detail}.")),
                None => (
                    entry.key_at,
                    "params",
                    format!("no example can be made up for the params: {detail}. Give the param an `example`."),
                ),
            };
            self.fault(at, &path.at(field), message);
        }
        example
    }

    pub(super) fn limits(&mut self, node: &Node, path: &Path, defaults: &Limits) -> Limits {
        let whole = |name: &str| node.get(name).and_then(Node::integer);
        let duration = |name: &str| node.get(name).and_then(duration_of);
        if let Some((at, queue)) = node.get("queue").and_then(|queue| Some((queue.at, queue.text()?))) {
            self.queue_name(at, &path.at("queue"), queue);
        }
        let limits = Limits {
            queue: text_of(node, "queue").or_else(|| defaults.queue.clone()),
            priority: whole("priority").and_then(|number| u8::try_from(number).ok()).or(defaults.priority),
            max_retries: whole("max_retries").and_then(|number| u16::try_from(number).ok()).or(defaults.max_retries),
            retry: self.backoff(node, &path.at("retry")).or(defaults.retry),
            time_limit: duration("time_limit").or(defaults.time_limit),
            soft_time_limit: duration("soft_time_limit").or(defaults.soft_time_limit),
        };
        let hard = limits.time_limit.unwrap_or(DEFAULT_HARD_LIMIT);
        if let Some(soft) = limits.soft_time_limit.filter(|soft| *soft >= hard) {
            let named = ["soft_time_limit", "time_limit"].into_iter().find_map(|name| node.entry(name));
            if let Some(entry) = named {
                let message =
                    format!("must be below time_limit; they are {} and {} seconds.", soft.as_secs_f64(), hard.as_secs_f64());
                self.fault(entry.key_at, &path.at("soft_time_limit"), message);
            }
        }
        limits
    }

    fn backoff(&mut self, node: &Node, path: &Path) -> Option<Backoff> {
        let retry = node.get("retry")?;
        let is_fixed = match retry.get("backoff").and_then(Node::text) {
            Some("fixed") => true,
            Some("exponential") => false,
            _ => return None,
        };
        let others: &[&str] = if is_fixed { &["base", "cap", "jitter"] } else { &["delay"] };
        for entry in others.iter().filter_map(|name| retry.entry(name)) {
            let (backoff, own) = if is_fixed { ("fixed", "delay") } else { ("exponential", "base, cap and jitter") };
            self.fault(
                entry.key_at,
                &path.at(&entry.key),
                format!("has no meaning with backoff = {backoff:?}, which takes {own}. Remove it."),
            );
        }
        let duration = |name: &str, default| retry.get(name).and_then(duration_of).unwrap_or(default);
        if is_fixed {
            return Some(Backoff::Fixed(duration("delay", Duration::from_mins(1))));
        }
        let (base, cap) = (duration("base", Duration::from_mins(1)), duration("cap", Duration::from_hours(1)));
        if base > cap {
            let message = format!(
                "the first delay must not be above the longest; they are {} and {} seconds.",
                base.as_secs_f64(),
                cap.as_secs_f64()
            );
            self.fault(retry.at, path, message);
        }
        let jitter = retry.get("jitter").and_then(Node::number).unwrap_or(0.1);
        Some(Backoff::Exponential { base, cap, jitter })
    }
}
