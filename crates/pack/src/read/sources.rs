//! Reads settings, sources and models.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{Reader, text_of};
use crate::fault::allowed;
use crate::fields::FIELD_TYPES;
use crate::pack::{DemoSource, Model, ModelField, Setting, Source, SourceUrl};
use crate::shape::is_name;
use crate::tree::{Entry, Node, Path, Toml};

/// What a field may be to compiled kinds.
const FIELD_ROLES: [&str; 18] = [
    "address",
    "phone",
    "name",
    "status",
    "created",
    "title",
    "body",
    "kind",
    "user",
    "action",
    "author",
    "read",
    "read_at",
    "publish_at",
    "published_at",
    "expires_at",
    "views",
    "last_seen",
];
/// The names that the values of a status may have.
const VALUE_NAMES: [&str; 7] = ["active", "inactive", "suspended", "draft", "scheduled", "published", "expired"];

impl Reader<'_> {
    /// The name of a setting, source or model.
    fn plain_name(&mut self, entry: &Entry, path: &Path) {
        let is_plain = is_name(&entry.key.to_ascii_lowercase());
        if !is_plain {
            self.fault(
                entry.key_at,
                path,
                format!("{:?} is not a name: letters, digits and _, beginning with a letter, 63 characters at most.", entry.key),
            );
        }
    }

    pub(super) fn settings(&mut self, node: Option<&Node>, path: &Path) -> BTreeMap<String, Setting> {
        let mut settings = BTreeMap::new();
        for entry in node.map(Node::entries).unwrap_or_default() {
            let path = path.at(&entry.key);
            self.plain_name(entry, &path);
            if matches!(entry.key.as_str(), "site_name" | "frontend_url") {
                self.fault(entry.key_at, &path, format!("settings.{} is the server's own. Choose another name.", entry.key));
            }
            self.settings.insert(entry.key.clone());
            if let Some(setting) = self.setting(entry, &path) {
                settings.insert(entry.key.clone(), setting);
            }
        }
        settings
    }

    fn setting(&mut self, entry: &Entry, path: &Path) -> Option<Setting> {
        let node = &entry.node;
        if !matches!(node.value, Toml::Table(_)) {
            return Some(Setting { value: node.json(), env: None, secret: false, description: None });
        }
        let env = text_of(node, "env")?;
        let given = self.host.vars.as_ref().and_then(|vars| vars.get(&env)).filter(|value| !value.trim().is_empty());
        let default = node.get("default").map(Node::json);
        let value = match (given, default) {
            (Some(given), _) => given.clone().into(),
            (None, Some(default)) => default,
            (None, None) => {
                if self.host.vars.is_some() {
                    let message = format!("the environment variable {env} is not set. Set it, or give the setting a `default`.");
                    self.fault(entry.key_at, path, message);
                }
                Json::String(String::new())
            }
        };
        let secret = node.get("secret").and_then(Node::boolean).unwrap_or(false);
        Some(Setting { value, env: Some(env), secret, description: text_of(node, "description") })
    }

    pub(super) fn sources(&mut self, node: Option<&Node>, path: &Path) -> Vec<Source> {
        let entries = node.map(Node::entries).unwrap_or_default();
        self.sources = entries.iter().map(|entry| entry.key.clone()).collect();
        if let [only] = self.sources.as_slice() {
            self.default_source = Some(only.clone());
        }
        entries.iter().map(|entry| self.source(entry, &path.at(&entry.key))).collect()
    }

    fn source(&mut self, entry: &Entry, path: &Path) -> Source {
        self.plain_name(entry, path);
        let node = &entry.node;
        let url = node.get("url").and_then(|url| self.source_url(url, &path.at("url")));
        let schema = self.script(node, "schema", path);
        let demo = self.script(node, "demo", path);
        if let (Some(entry), None) = (node.entry("demo"), node.get("schema")) {
            self.fault(
                entry.key_at,
                &path.at("demo"),
                "fills the tables that `schema` makes, which is missing. Give a `schema`, or remove it.",
            );
        }
        let demo = schema.map(|schema| DemoSource { schema, demo });
        let place = self.text.place(entry.key_at);
        let url_place = node.get("url").map_or_else(|| place.clone(), |url| self.text.place(url.at));
        Source { name: entry.key.clone(), url, url_place, demo, place }
    }

    fn source_url(&mut self, node: &Node, path: &Path) -> Option<SourceUrl> {
        let url = node.text()?;
        if let Some(name) = url.strip_prefix("env:") {
            let is_variable = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_variable {
                self.fault(node.at, path, format!("{name:?} is not the name of an environment variable. Write env:NAME."));
            }
            return Some(SourceUrl::Env(name.to_owned()));
        }
        let is_known =
            ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        if !is_known {
            // It may hold a password, so it is not shown.
            self.fault(node.at, path, "must be env:NAME, sqlite:PATH or postgres://user@host/database.");
        }
        Some(SourceUrl::Url(url.to_owned()))
    }

    pub(super) fn models(&mut self, node: Option<&Node>, path: &Path) -> Vec<Model> {
        let entries = node.map(Node::entries).unwrap_or_default();
        let models: Vec<Model> = entries.iter().map(|entry| self.model(entry, &path.at(&entry.key))).collect();
        for (index, model) in models.iter().enumerate() {
            let same = |other: &&Model| other.source == model.source && other.role == model.role;
            if let (Some(role), Some(other)) = (&model.role, models[..index].iter().find(same)) {
                let at = entries.get(index).map_or(0, |entry| entry.key_at);
                self.fault(
                    at,
                    &path.at(&model.name).at("role"),
                    format!("the model {:?} has the role {role} already. A source has one model of a role.", other.name),
                );
            }
        }
        models
    }

    fn model(&mut self, entry: &Entry, path: &Path) -> Model {
        self.plain_name(entry, path);
        let node = &entry.node;
        let fields = self.model_fields(node, &path.at("fields"));
        let source = self.source_name(node, path).or_else(|| self.default_source.clone());
        if source.is_none() {
            self.no_source(entry.key_at, path);
        }
        let key = text_of(node, "key").unwrap_or_else(|| "id".into());
        self.is_field(&fields, node.get("key").map_or(entry.key_at, |key| key.at), &path.at("key"), &key);
        let listed = |reader: &mut Self, name: &str| {
            let items = node.get(name)?.items();
            for item in items {
                reader.is_field(&fields, item.at, &path.at(name), item.text().unwrap_or_default());
            }
            Some(items.iter().filter_map(Node::text).map(str::to_owned).collect::<Vec<_>>())
        };
        let (export, filter) = (listed(self, "export"), listed(self, "filter"));
        let roles = self.field_roles(node, &path.at("roles"), &fields);
        let values = self.named_values(node, &path.at("values"));
        Model {
            table: text_of(node, "table").unwrap_or_else(|| entry.key.clone()),
            name: entry.key.clone(),
            source,
            key,
            fields,
            export,
            filter,
            role: text_of(node, "role"),
            roles,
            values,
            write: node.get("write").and_then(Node::boolean).unwrap_or(false),
            place: self.text.place(entry.key_at),
        }
    }

    fn model_fields(&mut self, node: &Node, path: &Path) -> Vec<ModelField> {
        let mut fields = Vec::new();
        for entry in node.get("fields").map(Node::entries).unwrap_or_default() {
            let path = path.at(&entry.key);
            self.plain_name(entry, &path);
            let column = text_of(&entry.node, "column").unwrap_or_else(|| entry.key.clone());
            let kind = entry.node.text().map(str::to_owned).or_else(|| text_of(&entry.node, "type"));
            let Some(kind) = kind else { continue };
            if !FIELD_TYPES.contains(&kind.as_str()) {
                // In the long form the shape told it.
                if entry.node.text().is_some() {
                    self.fault(entry.node.at, &path, format!("the type {kind:?} is unknown.{}", allowed(&kind, FIELD_TYPES)));
                }
                continue;
            }
            fields.push(ModelField { name: entry.key.clone(), kind, column });
        }
        fields
    }

    fn is_field(&mut self, fields: &[ModelField], at: usize, path: &Path, name: &str) {
        if !fields.is_empty() && !fields.iter().any(|field| field.name == name) {
            let known = allowed(name, fields.iter().map(|field| field.name.as_str()));
            self.fault(at, path, format!("the model has no field {name:?}.{known}"));
        }
    }

    fn field_roles(&mut self, node: &Node, path: &Path, fields: &[ModelField]) -> Vec<(String, String)> {
        let mut roles = Vec::new();
        for entry in node.get("roles").map(Node::entries).unwrap_or_default() {
            let path = path.at(&entry.key);
            if !FIELD_ROLES.contains(&entry.key.as_str()) {
                self.fault(
                    entry.key_at,
                    &path,
                    format!("the role {:?} is unknown.{}", entry.key, allowed(&entry.key, FIELD_ROLES)),
                );
            }
            if let Some(field) = entry.node.text() {
                self.is_field(fields, entry.node.at, &path, field);
                roles.push((entry.key.clone(), field.to_owned()));
            }
        }
        roles
    }

    fn named_values(&mut self, node: &Node, path: &Path) -> Map<String, Json> {
        let entries = node.get("values").map(Node::entries).unwrap_or_default();
        for entry in entries.iter().filter(|entry| !VALUE_NAMES.contains(&entry.key.as_str())) {
            let known = allowed(&entry.key, VALUE_NAMES);
            self.fault(entry.key_at, &path.at(&entry.key), format!("the value {:?} is unknown.{known}", entry.key));
        }
        entries.iter().map(|entry| (entry.key.clone(), entry.node.json())).collect()
    }
}
