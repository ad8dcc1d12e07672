//! Checks over all packs: names that are declared twice, kinds that do not exist, args that do not fit, circles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::engine::Value;
use crate::fault::{Fault, Place, allowed};
use crate::host::Host;
use crate::kind::{Kind, Runner};
use crate::pack::Pack;
use crate::tree::Path;

/// Checks packs against each other and against the host.
pub(crate) fn check(packs: &[Pack], host: &Host) -> Vec<Fault> {
    let mut checks = Checks { host, kinds: BTreeMap::new(), faults: Vec::new() };
    for kind in packs.iter().flat_map(|pack| &pack.kinds) {
        checks.kinds.entry(kind.name.as_str()).or_insert(kind);
    }
    checks.doubles(packs);
    for kind in packs.iter().flat_map(|pack| &pack.kinds) {
        checks.kind(kind);
    }
    for schedule in packs.iter().flat_map(|pack| &pack.schedules) {
        let field = field_of("schedules", &schedule.name);
        if checks.is_known(&schedule.kind, &schedule.place, &format!("{field}.kind")) {
            checks.plain_args(&schedule.kind, &schedule.args, &schedule.place, &format!("{field}.args"));
        }
    }
    checks.models(packs);
    checks.circles();
    checks.faults
}

struct Checks<'a> {
    host: &'a Host,
    kinds: BTreeMap<&'a str, &'a Kind>,
    faults: Vec<Fault>,
}

impl<'a> Checks<'a> {
    fn fault(&mut self, place: &Place, field: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault { place: place.clone(), field: field.into(), message: message.into() });
    }

    /// Names that belong to one pack only.
    fn doubles(&mut self, packs: &[Pack]) {
        let mut taken: BTreeMap<(&str, &str), (&str, &Place)> = BTreeMap::new();
        for pack in packs {
            let kinds = pack.kinds.iter().map(|kind| ("kind", kind.name.as_str(), &kind.place));
            let sources = pack.sources.iter().map(|source| ("source", source.name.as_str(), &source.place));
            let schedules = pack.schedules.iter().map(|schedule| ("schedule", schedule.name.as_str(), &schedule.place));
            for (what, name, place) in kinds.chain(sources).chain(schedules) {
                if let Some((owner, first)) = taken.insert((what, name), (&pack.name, place)) {
                    let message = format!(
                        "the pack {owner} declares a {what} {name:?} already ({first}). Rename one of them, or load one of the packs only."
                    );
                    self.fault(place, field_of(&format!("{what}s"), name), message);
                }
            }
        }
        for (index, pack) in packs.iter().enumerate() {
            if packs[..index].iter().any(|other| other.name == pack.name) {
                let place = pack.kinds.first().map(|kind| Place { line: 1, column: 1, ..kind.place.clone() }).unwrap_or_default();
                self.fault(
                    &place,
                    "pack.name",
                    format!("another pack has the name {:?} already. Rename one of them.", pack.name),
                );
            }
        }
    }

    fn kind(&mut self, kind: &Kind) {
        let field = field_of("kinds", &kind.name);
        match &kind.runner {
            Runner::FanOut(fan_out) => {
                for (index, child) in fan_out.children.iter().enumerate() {
                    self.call(&child.kind, &child.args, &kind.place, &format!("{field}.children[{index}]"));
                }
            }
            Runner::Chain(links) => {
                if kind.rate.is_some() {
                    let message =
                        "is not allowed for a chain, which looks at its links many times. Give the kinds of the links a rate.";
                    self.fault(&kind.place, format!("{field}.rate"), message);
                }
                for (index, link) in links.iter().enumerate() {
                    self.call(&link.kind, &link.args, &kind.place, &format!("{field}.links[{index}]"));
                }
            }
            Runner::Builtin(builtin) => self.builtin(kind, &builtin.kind, &builtin.args, &field),
            _ => {}
        }
    }

    /// A kind that is submitted with args.
    fn call(&mut self, name: &str, args: &Value, place: &Place, field: &str) {
        if name.is_empty() {
            // Told by the shape.
            return;
        }
        // The args know their own line.
        let place = if args.entry_names().next().is_some() { &args.place } else { place };
        if self.is_known(name, place, &format!("{field}.kind")) {
            self.args(name, args, place, &format!("{field}.args"));
        }
    }

    fn builtin(&mut self, kind: &Kind, name: &str, args: &Value, field: &str) {
        if self.host.kinds.contains_key(name) {
            return self.args(name, args, &kind.place, &format!("{field}.args"));
        }
        let message = if self.kinds.contains_key(name) {
            format!("{name:?} is a kind of a pack; the runner `builtin` is for compiled ones. Use a `chain` with one link.")
        } else {
            format!("there is no compiled kind {name:?}.{}", allowed(name, self.host.kinds.keys().map(String::as_str)))
        };
        self.fault(&kind.place, format!("{field}.kind"), message);
    }

    fn is_known(&mut self, name: &str, place: &Place, field: &str) -> bool {
        if self.kinds.contains_key(name) || self.host.kinds.contains_key(name) {
            return true;
        }
        let known = self.kinds.keys().copied().chain(self.host.kinds.keys().map(String::as_str)).collect::<Vec<_>>();
        let known = allowed(name, known);
        self.fault(place, field, format!("there is no kind {name:?}.{known}"));
        false
    }

    /// The names of args, and those that are plain.
    fn args(&mut self, kind: &str, args: &Value, place: &Place, field: &str) {
        let names: Vec<&str> = args.entry_names().collect();
        let constants: Map<String, Json> =
            args.entries().iter().filter_map(|(name, value)| Some((name.clone(), value.constant()?))).collect();
        self.arg_names(kind, &names, place, field);
        self.constants(kind, &constants, place, field);
    }

    /// The names of the args of a kind, those that it needs, and whether it takes others.
    fn known_args(&self, kind: &str) -> Option<(Vec<String>, Vec<String>, bool)> {
        Some(match (self.kinds.get(kind), self.host.kinds.get(kind)) {
            (Some(kind), _) => {
                let required = kind.params.iter().filter(|(_, param)| !param.optional).map(|(name, _)| name.to_owned());
                (kind.params.names().map(str::to_owned).collect(), required.collect(), false)
            }
            (None, Some(kind)) => {
                let known = owned(kind.arg_names());
                let takes_any = known.is_empty() && kind.schema["additionalProperties"] != false;
                (known, owned(kind.required()), takes_any)
            }
            (None, None) => return None,
        })
    }

    fn arg_names(&mut self, kind: &str, names: &[&str], place: &Place, field: &str) {
        let Some((known, required, takes_any)) = self.known_args(kind) else { return };
        for name in names.iter().filter(|name| !takes_any && !known.iter().any(|known| known == *name)) {
            let list = allowed(name, known.iter().map(String::as_str));
            let list = if list.is_empty() { " It takes no args.".to_owned() } else { list };
            self.fault(place, field, format!("the kind {kind:?} has no arg {name:?}.{list}"));
        }
        for name in required.iter().filter(|name| !names.contains(&name.as_str())) {
            self.fault(place, field, format!("the kind {kind:?} needs the arg {name:?}, which is missing. Give it."));
        }
    }

    /// The values of args that are known when the pack is loaded. What is missing or unknown is told by [`Checks::arg_names`].
    fn constants(&mut self, kind: &str, constants: &Map<String, Json>, place: &Place, field: &str) {
        let faults = match (self.kinds.get(kind), self.host.kinds.get(kind)) {
            (Some(kind), _) => kind.params.apply(constants).err().unwrap_or_default(),
            (None, Some(kind)) => kind.faults(constants),
            (None, None) => return,
        };
        let Some((known, _, takes_any)) = self.known_args(kind) else { return };
        let is_of_value = |pointer: &str| {
            let name = pointer.split('/').nth(1).unwrap_or_default();
            constants.contains_key(name) && (takes_any || known.iter().any(|known| known == name))
        };
        for fault in faults.into_iter().filter(|fault| is_of_value(&fault.pointer)) {
            self.fault(place, field, format!("{}: {}.", fault.pointer, fault.detail.trim_end_matches('.')));
        }
    }

    /// The args of a schedule: they are plain all through.
    fn plain_args(&mut self, kind: &str, args: &Map<String, Json>, place: &Place, field: &str) {
        let Some(faults) = self.kinds.get(kind).map(|kind| kind.params.apply(args).err().unwrap_or_default()) else {
            self.arg_names(kind, &args.keys().map(String::as_str).collect::<Vec<_>>(), place, field);
            return self.constants(kind, args, place, field);
        };
        for fault in faults {
            self.fault(place, field, format!("{}: {}.", fault.pointer, fault.detail));
        }
    }

    /// The models of exports.
    fn models(&mut self, packs: &[Pack]) {
        for pack in packs {
            let known: BTreeSet<&str> = pack.models.iter().map(|model| model.name.as_str()).collect();
            for kind in &pack.kinds {
                let Runner::Export(export) = &kind.runner else { continue };
                let crate::kind::ExportRows::Model { model, fields, .. } = &export.rows else { continue };
                let field = field_of("kinds", &kind.name) + ".model";
                match pack.models.iter().find(|known| known.name == *model) {
                    None => {
                        let known = allowed(model, known.iter().copied());
                        self.fault(
                            &kind.place,
                            field,
                            format!("the pack declares no model {model:?}. Declare it, as in [models.{model}].{known}"),
                        );
                    }
                    Some(declared) => {
                        let names: Vec<&str> = declared.fields.iter().map(|field| field.name.as_str()).collect();
                        for name in fields.iter().filter(|name| !names.contains(&name.as_str())) {
                            let known = allowed(name, names.iter().copied());
                            self.fault(
                                &kind.place,
                                field.replace(".model", ".fields"),
                                format!("the model {model:?} has no field {name:?}.{known}"),
                            );
                        }
                    }
                }
            }
        }
    }

    /// A kind that comes back to itself over its children and links would never end.
    fn circles(&mut self) {
        let mut told: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
        let kinds: Vec<&Kind> = self.kinds.values().copied().collect();
        for kind in kinds {
            let Some(circle) = self.circle(kind) else { continue };
            if told.insert(circle.iter().copied().collect()) {
                let way = circle.join(" → ");
                let message = format!(
                    "reaches itself: {way} → {}. A task of it would never end. Remove one of these links or children.",
                    kind.name
                );
                self.fault(&kind.place, field_of("kinds", &kind.name), message);
            }
        }
    }

    /// The shortest way from a kind back to itself.
    fn circle(&self, start: &Kind) -> Option<Vec<&'a str>> {
        let mut ways: Vec<Vec<&str>> = vec![vec![*self.kinds.get_key_value(start.name.as_str())?.0]];
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                let last = way.last().and_then(|name| self.kinds.get(name))?;
                for next in calls(last) {
                    if next == start.name {
                        return Some(way);
                    }
                    if let Some((name, _)) = self.kinds.get_key_value(next).filter(|(name, _)| seen.insert(name)) {
                        longer.push(way.iter().copied().chain([*name]).collect());
                    }
                }
            }
            ways = longer;
        }
        None
    }
}

/// The kinds that a kind submits.
fn calls(kind: &Kind) -> Vec<&str> {
    match &kind.runner {
        Runner::FanOut(fan_out) => fan_out.children.iter().map(|child| child.kind.as_str()).collect(),
        Runner::Chain(links) => links.iter().map(|link| link.kind.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The path of an entry, as the loader writes it.
fn field_of(table: &str, name: &str) -> String {
    Path::default().at(table).at(name).to_string()
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}
