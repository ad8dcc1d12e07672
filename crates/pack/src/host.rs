//! What a pack is checked against beside itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value as Json;

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
}

impl HostKind {
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
