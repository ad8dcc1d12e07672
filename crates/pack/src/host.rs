//! What a pack is checked against beside itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::param::ArgFault;

/// What the program offers to packs.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The compiled kinds, by name.
    pub kinds: BTreeMap<String, HostKind>,
    /// The program's mail templates, by name without ending.
    pub email_templates: BTreeSet<String>,
    /// The environment, from which settings come. Without it, as in a check on another machine, settings have their defaults.
    pub vars: Option<BTreeMap<String, String>>,
    /// The time. With it, a clocked schedule in the past is refused; a server that has loaded the pack before gives none.
    pub now: Option<Timestamp>,
}

/// A kind that is compiled into the server, as packs see it.
#[derive(Clone, Debug, Default)]
pub struct HostKind {
    /// The JSON Schema of its args: an object with `properties` and `required`.
    pub schema: Json,
    /// Checks args that are known when a pack is loaded.
    pub check: Option<ArgsCheck>,
}

/// What is wrong with some of the args of a compiled kind.
type CheckFn = dyn Fn(&Map<String, Json>) -> Vec<ArgFault> + Send + Sync;

/// The check of a compiled kind's args.
#[derive(Clone)]
pub struct ArgsCheck(Arc<CheckFn>);

impl ArgsCheck {
    /// A check that calls `check`. Args that are missing may be among the faults; they are not told.
    pub fn new(check: impl Fn(&Map<String, Json>) -> Vec<ArgFault> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }
}

impl fmt::Debug for ArgsCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArgsCheck")
    }
}

impl HostKind {
    pub(crate) fn faults(&self, args: &Map<String, Json>) -> Vec<ArgFault> {
        self.check.as_ref().map(|ArgsCheck(check)| check(args)).unwrap_or_default()
    }

    /// The names of its args.
    pub(crate) fn arg_names(&self) -> Vec<&str> {
        self.schema["properties"]
            .as_object()
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// The args that it cannot do without.
    pub(crate) fn required(&self) -> Vec<&str> {
        self.schema["required"].as_array().map(|names| names.iter().filter_map(Json::as_str).collect()).unwrap_or_default()
    }
}
