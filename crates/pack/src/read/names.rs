//! The names that an expression may use, by where it stands.

use std::collections::BTreeSet;

use crate::fault::allowed;
use crate::param::Params;

/// Settings that every pack has.
const SETTINGS: [&str; 2] = ["site_name", "frontend_url"];
const PACK: [&str; 2] = ["name", "timezone"];
const TASK: [&str; 4] = ["id", "kind", "attempt", "submitted_at"];
const ERROR: [&str; 3] = ["type", "message", "retryable"];

/// What is known where an expression stands.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one name is known")]
pub(crate) struct Known<'a> {
    pub(crate) params: &'a Params,
    /// Whether the variable `row` exists.
    pub(crate) row: bool,
    /// `rows` too, where `row` is known.
    pub(crate) rows: bool,
    /// Steps, queries and links whose results are there.
    pub(crate) results: BTreeSet<String>,
    pub(crate) outcome: bool,
    pub(crate) error: bool,
    /// Names of a template's own context.
    pub(crate) extra: BTreeSet<String>,
}

impl<'a> Known<'a> {
    /// Params, clock and settings alone.
    pub(crate) fn of(params: &'a Params) -> Self {
        Self { params, row: false, rows: false, results: BTreeSet::new(), outcome: false, error: false, extra: BTreeSet::new() }
    }

    pub(crate) fn with_outcome(&self) -> Self {
        Self { outcome: true, ..self.clone() }
    }

    pub(crate) fn with_extra(&self, names: impl IntoIterator<Item = String>) -> Self {
        let mut known = self.clone();
        known.extra.extend(names);
        known
    }

    /// What is wrong with a name like `params.days`; `None` where it is known.
    pub(crate) fn fault_of(&self, name: &str, settings: &BTreeSet<String>) -> Option<String> {
        let mut parts = name.split('.');
        let root = parts.next().unwrap_or_default();
        let part = parts.next();
        if self.extra.contains(root) {
            return None;
        }
        let among = |what: &str, known: &[&str]| {
            let part = part.filter(|part| !known.contains(part))?;
            let list = allowed(part, known.iter().copied());
            Some(if list.is_empty() {
                format!("`{name}`: there is no {what} {part:?}.")
            } else {
                format!("`{name}`: there is no {what} {part:?}.{list}")
            })
        };
        match root {
            "now" | "today" => None,
            "params" => among("param", &self.params.names().collect::<Vec<_>>()),
            "settings" => {
                let known: Vec<&str> = settings.iter().map(String::as_str).chain(SETTINGS).collect();
                among("setting", &known)
            }
            "pack" => among("field", &PACK),
            "task" => among("field", &TASK),
            "results" if !self.results.is_empty() => {
                among("result", &self.results.iter().map(String::as_str).collect::<Vec<_>>())
            }
            "row" if self.row => None,
            "rows" if self.rows => None,
            "outcome" if self.outcome => None,
            "error" if self.error => among("field", &ERROR),
            "results" => {
                Some(format!("`{name}`: no named step, query or link comes before this. Name one, or remove the expression."))
            }
            "row" | "rows" => Some(format!("`{root}`: no `query` is read before this. Give the kind a `query`.")),
            "outcome" => Some("`outcome` is known after the effect only: in `after`, `summary` and `result`.".into()),
            "error" => Some("`error` is known in `on_failure` only.".into()),
            other => Some(format!("the name {other:?} is unknown here.{}", allowed(other, self.roots()))),
        }
    }

    fn roots(&self) -> Vec<&str> {
        let mut roots = vec!["params", "now", "today", "settings", "pack", "task"];
        let more = [
            ("row", self.row),
            ("rows", self.rows),
            ("results", !self.results.is_empty()),
            ("outcome", self.outcome),
            ("error", self.error),
        ];
        roots.extend(more.iter().filter(|(_, is_known)| *is_known).map(|(name, _)| *name));
        roots.extend(self.extra.iter().map(String::as_str));
        roots
    }
}
