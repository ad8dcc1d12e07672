//! Reads a checked document into the types of a pack.
//!
//! The shapes have been checked before, so a field of the wrong type is passed over here: its fault is told already.

mod addresses;
mod kinds;
mod names;
mod runners;
mod schedules;
mod sources;
mod statements;
mod templates;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;
use legwork_schedule::Zone;

pub(crate) use names::Known;

use crate::engine::{Engine, Expression, Value};
use crate::fault::{Fault, allowed};
use crate::files::{DECLARATION, PackFiles};
use crate::host::Host;
use crate::pack::{Pack, Route};
use crate::shape;
use crate::tree::{self, Node, Path, Text, Toml};
use templates::TemplateUse;

/// What was read of one pack, and the faults in it.
pub(crate) struct ReadPack {
    /// `None` where the document could not be read at all.
    pub(crate) pack: Option<Pack>,
    pub(crate) faults: Vec<Fault>,
}

/// Reads the pack of some files. What of it could be read is given beside the faults, so that checks over all packs can go on.
pub(crate) fn read(files: &PackFiles, host: &Host) -> ReadPack {
    let label = files.label_of(DECLARATION);
    let text = Text { label: &label, text: files.text(DECLARATION).unwrap_or_default() };
    let root = match tree::parse(text) {
        Ok(root) => root,
        Err(faults) => return ReadPack { pack: None, faults },
    };
    let faults = shape::check(&root, text);
    let header = root.get("pack");
    let named = header.and_then(|pack| pack.get("timezone")).and_then(Node::text).unwrap_or("UTC");
    let zone = TimeZone::get(named).unwrap_or(TimeZone::UTC);
    let engine = Arc::new(Engine::new(&zone));
    let mut reader = Reader {
        text,
        files,
        host,
        engine: &engine,
        faults,
        settings: BTreeSet::new(),
        sources: Vec::new(),
        default_source: None,
        templates: Vec::new(),
    };
    let pack = reader.pack(&root, named, &zone, engine.clone());
    let mut faults = reader.faults;
    faults.extend(templates::check(files, &engine, &reader.templates, &reader.settings));
    ReadPack { pack: Some(pack), faults }
}

/// What reading needs, and what it has found.
pub(crate) struct Reader<'a> {
    pub(crate) text: Text<'a>,
    files: &'a PackFiles,
    host: &'a Host,
    engine: &'a Engine,
    faults: Vec<Fault>,
    settings: BTreeSet<String>,
    sources: Vec<String>,
    default_source: Option<String>,
    templates: Vec<TemplateUse>,
}

impl Reader<'_> {
    pub(crate) fn fault(&mut self, at: usize, path: &Path, message: impl Into<String>) {
        self.faults.push(self.text.fault(at, path, message));
    }

    fn pack(&mut self, root: &Node, timezone: &str, zone: &TimeZone, engine: Arc<Engine>) -> Pack {
        let path = Path::default();
        let (name, description) = self.header(root, &path.at("pack"));
        let settings = self.settings(root.get("settings"), &path.at("settings"));
        let sources = self.sources(root.get("sources"), &path.at("sources"));
        let defaults = self.defaults(root.get("defaults"), &path.at("defaults"));
        let models = self.models(root.get("models"), &path.at("models"));
        let kinds = self.kinds(root.get("kinds"), &path.at("kinds"), &defaults);
        let schedules = self.schedules(root.get("schedules"), &path.at("schedules"), timezone);
        let routes = self.routes(root.get("routes"), &path.at("routes"), &kinds);
        Pack {
            name,
            description,
            timezone: timezone.to_owned(),
            zone: zone.clone(),
            settings,
            sources,
            models,
            kinds,
            schedules,
            routes,
            email_templates: templates::files_of(self.files, templates::EMAILS),
            report_templates: templates::files_of(self.files, templates::REPORTS),
            engine,
        }
    }

    fn header(&mut self, root: &Node, path: &Path) -> (String, String) {
        let Some(pack) = root.get("pack") else { return (String::new(), String::new()) };
        let name = pack.get("name");
        if let Some((name, text)) = name.and_then(|name| Some((name, name.text()?)))
            && !is_pack_name(text)
        {
            let message =
                format!("{text:?} is not a name of a pack: a-z, 0-9 and -, beginning with a letter, 63 characters at most.");
            self.fault(name.at, &path.at("name"), message);
        }
        if let Some((node, zone)) = pack.get("timezone").and_then(|zone| Some((zone, zone.text()?))) {
            self.zone(node.at, &path.at("timezone"), zone);
        }
        (text_of(pack, "name").unwrap_or_default(), text_of(pack, "description").unwrap_or_default())
    }

    /// A zone by name.
    fn zone(&mut self, at: usize, path: &Path, name: &str) -> Option<Zone> {
        Zone::named(name).map_err(|error| self.fault(at, path, format!("{}.", error.to_string().trim_end_matches('.')))).ok()
    }

    fn routes(&mut self, node: Option<&Node>, path: &Path, kinds: &[crate::kind::Kind]) -> Vec<Route> {
        let mut routes = Vec::new();
        for entry in node.map(Node::entries).unwrap_or_default() {
            let path = path.at(&entry.key);
            let Some(queue) = entry.node.text() else { continue };
            self.queue_name(entry.node.at, &path, queue);
            if !kinds.iter().any(|kind| fits(entry.key.as_bytes(), kind.name.as_bytes())) {
                let known = allowed(&entry.key, kinds.iter().map(|kind| kind.name.as_str()));
                self.fault(
                    entry.key_at,
                    &path,
                    format!("the pattern matches no kind of this pack. A * matches any run of characters.{known}"),
                );
            }
            routes.push(Route { pattern: entry.key.clone(), queue: queue.to_owned() });
        }
        routes
    }

    fn queue_name(&mut self, at: usize, path: &Path, name: &str) {
        if !is_wire_name(name) {
            self.fault(at, path, format!("{name:?} is not a name of a queue: a-z, 0-9, _, - and ., beginning with a letter or digit, 100 characters at most."));
        }
    }

    /// A field that is a value.
    fn value_field(&mut self, node: &Node, name: &str, path: &Path, known: &Known<'_>) -> Option<Value> {
        let path = path.at(name);
        node.get(name).map(|node| self.value(node, &path, known))
    }

    /// A value. The expressions in it are checked.
    fn value(&mut self, node: &Node, path: &Path, known: &Known<'_>) -> Value {
        let place = self.text.place(node.at);
        let field = path.to_string();
        match &node.value {
            Toml::Text(text) => {
                let value = Value::text(text, field, place);
                let found = self.engine.names_in(&value).into_iter().map(|(_, names)| names).collect::<Vec<_>>();
                for names in found {
                    self.check_names(node.at, path, names, known);
                }
                value
            }
            Toml::List(items) => {
                let items = items.iter().enumerate().map(|(index, item)| self.value(item, &path.item(index), known)).collect();
                Value::list(items, field, place)
            }
            Toml::Table(entries) => {
                let entries = entries
                    .iter()
                    .map(|entry| (entry.key.clone(), self.value(&entry.node, &path.at(&entry.key), known)))
                    .collect();
                Value::table(entries, field, place)
            }
            _ => Value::plain(node.json(), field, place),
        }
    }

    /// A table of values; an empty one where the field is missing.
    fn values_field(&mut self, node: &Node, name: &str, path: &Path, known: &Known<'_>) -> Value {
        self.value_field(node, name, path, known)
            .unwrap_or_else(|| Value::table(Vec::new(), path.at(name).to_string(), self.text.place(node.at)))
    }

    /// A field that is an expression.
    fn expression_field(&mut self, node: &Node, name: &str, path: &Path, known: &Known<'_>) -> Option<Expression> {
        let path = path.at(name);
        let node = node.get(name)?;
        let source = node.text()?;
        if source.contains("{{") {
            self.fault(node.at, &path, "an expression is written bare. Remove the {{ and }}.");
            return None;
        }
        let expression = Expression::new(source, path.to_string(), self.text.place(node.at));
        let names = self.engine.names_of(&expression);
        self.check_names(node.at, &path, names, known);
        Some(expression)
    }

    fn check_names(&mut self, at: usize, path: &Path, names: Result<BTreeSet<String>, String>, known: &Known<'_>) {
        match names {
            Err(reason) => self.fault(at, path, format!("the expression does not parse: {}", ended(&reason))),
            Ok(names) => {
                for name in names {
                    if let Some(message) = known.fault_of(&name, &self.settings) {
                        self.fault(at, path, message);
                    }
                }
            }
        }
    }
}

/// A sentence with its end.
pub(crate) fn ended(sentence: &str) -> String {
    if sentence.ends_with(['.', '?']) { sentence.to_owned() } else { format!("{sentence}.") }
}

/// A text field, where it is one.
pub(crate) fn text_of(node: &Node, name: &str) -> Option<String> {
    node.get(name)?.text().map(str::to_owned)
}

/// a-z, 0-9 and `-`, beginning with a letter.
pub(crate) fn is_pack_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A name of a kind or of a queue.
pub(crate) fn is_wire_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.len() <= 100
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Whether a name fits a pattern, in which a `*` stands for any run of characters.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| fits(rest, &name[skipped..])),
        Some((first, rest)) => name.split_first().is_some_and(|(byte, name)| byte == first && fits(rest, name)),
    }
}
