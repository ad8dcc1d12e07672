//! Reads the declaration of sources: the file that `SOURCES` names. Every mistake is told, with its line.

mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, de::DeString};
use url::Url;

use self::table::{DeclarationPath, json_of};
use crate::RawStatement;
use crate::model::{FieldRole, FieldType, Model, ModelField, ModelRole};

/// The source that kinds use unless they are told another.
pub const DEFAULT_SOURCE: &str = "app";
/// What the demonstration source declares.
const DEMO: &str = include_str!("demo.toml");
/// The longest name of a table or column, in bytes: that of Postgres.
const LONGEST_IDENTIFIER: usize = 63;
/// The names that the values of a status may have.
const VALUE_NAMES: [&str; 7] = ["active", "inactive", "suspended", "draft", "scheduled", "published", "expired"];

/// Where a source's database is.
#[derive(Clone, Debug)]
pub enum SourcePlace {
    /// The URL of a Postgres database. It may hold a password.
    Postgres(SecretString),
    /// A `SQLite` file that is there.
    Sqlite(PathBuf),
    /// A `SQLite` file that is made, and filled for demonstration, where it is missing.
    Demo(PathBuf),
    /// A `SQLite` file that is made by a script where it is missing.
    Scripted(PathBuf, DemoScript),
    /// A `SQLite` database in memory that is made by a script.
    Memory(DemoScript),
}

impl SourcePlace {
    /// Whether two places are one database. Of a file that a script makes, the path counts.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Postgres(one), Self::Postgres(another)) => one.expose_secret() == another.expose_secret(),
            (Self::Sqlite(one), Self::Sqlite(another))
            | (Self::Demo(one), Self::Demo(another))
            | (Self::Scripted(one, _), Self::Scripted(another, _)) => one == another,
            _ => false,
        }
    }

    /// The database of a URL: `postgres://user:password@host/database` or `sqlite:path`.
    pub fn parse(url: &str) -> Option<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return (!path.is_empty()).then(|| Self::Sqlite(path.into()));
        }
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql") && url.host().is_some());
        parsed.map(|_| Self::Postgres(url.into()))
    }
}

/// The statements that make a demonstration file, as of a time.
#[derive(Clone)]
pub struct DemoScript(Arc<dyn Fn(Timestamp) -> Result<Vec<RawStatement>, String> + Send + Sync>);

impl DemoScript {
    /// A script of whatever `statements` gives; its error is told as one of the file.
    pub fn new(statements: impl Fn(Timestamp) -> Result<Vec<RawStatement>, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(statements))
    }

    pub(crate) fn statements(&self, now: Timestamp) -> Result<Vec<RawStatement>, sqlx::Error> {
        (self.0)(now).map_err(|reason| sqlx::Error::Configuration(reason.into()))
    }
}

impl fmt::Debug for DemoScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DemoScript")
    }
}

/// A source as the declaration file describes it.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The database to connect to.
    pub place: SourcePlace,
    /// Its models, by name.
    pub models: BTreeMap<String, Arc<Model>>,
}

/// The declared sources, by name; never empty.
#[derive(Clone, Debug)]
pub struct SourcesConfig {
    /// The declared sources, by name.
    pub sources: BTreeMap<String, SourceConfig>,
}

impl SourcesConfig {
    /// The name of a source that is another database, has other models, or is missing in one of the two; `None` where they are the same.
    pub fn first_difference<'s>(&'s self, other: &'s Self) -> Option<&'s str> {
        let differs = |name: &&String| match (self.sources.get(*name), other.sources.get(*name)) {
            (Some(one), Some(another)) => !one.place.is_same(&another.place) || one.models != another.models,
            _ => true,
        };
        self.sources.keys().chain(other.sources.keys()).find(differs).map(String::as_str)
    }

    /// The demonstration source alone, in the file `demo.db` of a folder.
    pub fn demo(data_dir: &Path) -> Self {
        let mut config = Self::parse(DEMO, &BTreeMap::new()).unwrap_or_else(|_| Self { sources: BTreeMap::new() });
        for source in config.sources.values_mut() {
            source.place = SourcePlace::Demo(data_dir.join("demo.db"));
        }
        config
    }

    /// Reads a declaration. `vars` are the environment, which a `url = "env:NAME"` refers to. Each mistake starts with its line.
    pub fn parse(text: &str, vars: &BTreeMap<String, String>) -> Result<Self, Vec<String>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader { text, vars, mistakes: Vec::new() };
        for error in &errors {
            reader.wrong(error.span().unwrap_or_default().start, error.message().trim());
        }
        // What could not be read would only be missed again.
        if !errors.is_empty() {
            return Err(reader.into_messages());
        }
        let sources = reader.root(root.get_ref());
        if reader.mistakes.is_empty() { Ok(Self { sources }) } else { Err(reader.into_messages()) }
    }
}

type Table<'a> = DeTable<'a>;
type Key<'a> = Spanned<DeString<'a>>;
type Item<'a> = Spanned<DeValue<'a>>;

struct Reader<'a> {
    text: &'a str,
    vars: &'a BTreeMap<String, String>,
    /// With the place in the text.
    mistakes: Vec<(usize, String)>,
}

impl<'a> Reader<'a> {
    fn wrong(&mut self, at: usize, what: impl Into<String>) {
        self.mistakes.push((at, what.into()));
    }

    /// All mistakes in the order of their lines.
    fn into_messages(mut self) -> Vec<String> {
        self.mistakes.sort_by_key(|(at, _)| *at);
        let line = |at: usize| self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1;
        self.mistakes.iter().map(|(at, what)| format!("line {}: {what}", line(*at))).collect()
    }

    fn root(&mut self, root: &Table<'a>) -> BTreeMap<String, SourceConfig> {
        let place = DeclarationPath::root();
        let mut sources = BTreeMap::new();
        for (name, item) in self.entries(root, &place, &["sources"], &["sources"]).tables("sources", self) {
            let place = DeclarationPath::root().at("sources").at(name.get_ref());
            if self.is_name(name, &place)
                && let Some(source) = self.source(item, &place, name.span().start)
            {
                sources.insert(name.get_ref().to_string(), source);
            }
        }
        if sources.is_empty() && self.mistakes.is_empty() {
            self.wrong(0, "declares no source; one starts with [sources.app]");
        }
        sources
    }

    fn source(&mut self, table: &Table<'a>, place: &DeclarationPath, at: usize) -> Option<SourceConfig> {
        let mut entries = self.entries_at(table, place, at, &["url", "models"], &["url", "models"]);
        let url = entries.text("url", self).and_then(|(text, at)| self.url(&text, place, at));
        let mut models: BTreeMap<String, Arc<Model>> = BTreeMap::new();
        for (name, item) in entries.tables("models", self) {
            let place = place.at("models").at(name.get_ref());
            if self.is_name(name, &place) {
                let model = self.model(name.get_ref(), item, &place, name.span().start);
                self.claim_role(&models, &model, &place, name.span().start);
                models.insert(name.get_ref().to_string(), Arc::new(model));
            }
        }
        give_usual_roles(&mut models);
        Some(SourceConfig { place: url?, models })
    }

    /// A role belongs to one model of a source.
    fn claim_role(&mut self, models: &BTreeMap<String, Arc<Model>>, model: &Model, place: &DeclarationPath, at: usize) {
        let Some(role) = model.role else { return };
        if let Some(other) = models.values().find(|other| other.role == Some(role)) {
            self.wrong(at, format!("{place}.role: {:?} has the role {role} already", other.name));
        }
    }

    fn url(&mut self, text: &str, place: &DeclarationPath, at: usize) -> Option<SourcePlace> {
        let place = place.at("url");
        let (text, origin) = match text.strip_prefix("env:") {
            None => (text.to_owned(), "it".to_owned()),
            Some(name) => {
                let value = self.vars.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
                let Some(value) = value else {
                    self.wrong(at, format!("{place}: the environment variable {name:?} is not set"));
                    return None;
                };
                (value.to_owned(), format!("the environment variable {name}"))
            }
        };
        let found = SourcePlace::parse(&text);
        match (&found, text.starts_with("sqlite:")) {
            (Some(_), _) => {}
            (None, true) => self.wrong(at, format!("{place}: names no file, as in sqlite:data/app.db")),
            // The value may hold a password, so it is not told.
            (None, false) => {
                self.wrong(at, format!("{place}: {origin} is neither postgres://user:password@host/database nor sqlite:path"));
            }
        }
        found
    }

    fn model(&mut self, name: &str, table: &Table<'a>, place: &DeclarationPath, at: usize) -> Model {
        const KNOWN: &[&str] = &["table", "key", "fields", "export", "filter", "role", "roles", "values", "write"];
        let mut entries = self.entries_at(table, place, at, KNOWN, &["fields"]);
        let fields = self.fields(entries.take("fields"), place);
        let is_field = |name: &str| fields.iter().any(|field| field.name == name);
        let mut fields_allowed = |reader: &mut Self, entry: &str| {
            let names = entries.texts(entry, reader)?;
            for (name, at) in &names {
                if !is_field(name) {
                    reader.wrong(*at, format!("{}: {name:?} is none of its fields", place.at(entry)));
                }
            }
            Some(names.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let export = fields_allowed(self, "export");
        let filter = fields_allowed(self, "filter");
        let key = entries.text("key", self).unwrap_or_else(|| ("id".to_owned(), at));
        if !fields.is_empty() && !is_field(&key.0) {
            self.wrong(key.1, format!("{}: {:?} is none of its fields", place.at("key"), key.0));
        }
        let table = entries.text("table", self).map_or_else(|| name.to_owned(), |(table, at)| self.table_name(table, place, at));
        let role = entries.text("role", self).and_then(|(text, at)| {
            let role = ModelRole::parse(&text);
            if role.is_none() {
                self.wrong(
                    at,
                    format!("{}: {text:?} is not one of {}", place.at("role"), ModelRole::ALL.map(ModelRole::as_str).join(", ")),
                );
            }
            role
        });
        let may_write = entries.switch("write", self).unwrap_or(false);
        let mut model = Model {
            name: name.to_owned(),
            table,
            key: key.0,
            fields,
            role,
            roles: BTreeMap::new(),
            values: BTreeMap::new(),
            may_write,
        };
        model.roles = self.roles(entries.take("roles"), &model, place);
        model.values = self.values(entries.take("values"), &model, place);
        for field in &mut model.fields {
            field.may_export = export.as_ref().is_none_or(|names| names.contains(&field.name));
            field.may_filter = filter.as_ref().map_or(field.may_export, |names| names.contains(&field.name));
        }
        model
    }

    fn fields(&mut self, item: Option<(&Key<'a>, &Item<'a>)>, place: &DeclarationPath) -> Vec<ModelField> {
        let place = place.at("fields");
        let Some((key, item)) = item else { return Vec::new() };
        let DeValue::Table(table) = item.get_ref() else {
            self.wrong(item.span().start, format!("{place}: is not a table of name = \"type\""));
            return Vec::new();
        };
        if table.is_empty() {
            self.wrong(key.span().start, format!("{place}: names no field"));
        }
        let mut in_order: Vec<(&Key<'a>, &Item<'a>)> = table.iter().collect();
        in_order.sort_by_key(|(key, _)| key.span().start);
        let mut fields = Vec::new();
        for (name, item) in in_order {
            let place = place.at(name.get_ref());
            if self.is_name(name, &place) {
                fields.extend(self.field(name.get_ref(), item, &place));
            }
        }
        fields
    }

    /// A field: its type, or a table of type and column.
    fn field(&mut self, name: &str, item: &Item<'a>, place: &DeclarationPath) -> Option<ModelField> {
        let (kind, column) = match item.get_ref() {
            DeValue::String(text) => (Some((text.to_string(), item.span().start)), None),
            DeValue::Table(table) => {
                let mut entries = self.entries_at(table, place, item.span().start, &["type", "column"], &["type"]);
                (entries.text("type", self), entries.text("column", self))
            }
            _ => {
                self.wrong(item.span().start, format!("{place}: is neither \"type\" nor {{ type = …, column = … }}"));
                return None;
            }
        };
        let (kind, at) = kind?;
        let Some(kind) = FieldType::parse(&kind) else {
            self.wrong(
                at,
                format!("{place}: the type {kind:?} is not one of {}", FieldType::ALL.map(FieldType::as_str).join(", ")),
            );
            return None;
        };
        let (column, at) = column.unwrap_or_else(|| (name.to_owned(), at));
        let column = self.identifier(column, &place.at("column"), at);
        Some(ModelField { name: name.to_owned(), column, kind, may_export: true, may_filter: true })
    }

    fn roles(
        &mut self,
        item: Option<(&Key<'a>, &Item<'a>)>,
        model: &Model,
        place: &DeclarationPath,
    ) -> BTreeMap<FieldRole, String> {
        let place = place.at("roles");
        let mut roles = BTreeMap::new();
        for (name, (field, at)) in self.texts_of(item, &place) {
            let Some(role) = FieldRole::parse(&name) else {
                let known: Vec<&str> = FieldRole::ALL.iter().map(|role| role.as_str()).collect();
                self.wrong(at, format!("{place}: {name:?} is not one of {}", known.join(", ")));
                continue;
            };
            match model.field(&field) {
                None => self.wrong(at, format!("{place}.{role}: {field:?} is none of its fields")),
                Some(found) if !fits(role, found.kind) => {
                    let allowed: Vec<&str> = role.types().iter().map(|kind| kind.as_str()).collect();
                    self.wrong(
                        at,
                        format!("{place}.{role}: {field:?} is of type {}; such a field is {}", found.kind, allowed.join(" or ")),
                    );
                }
                Some(_) => drop(roles.insert(role, field)),
            }
        }
        for &role in FieldRole::ALL {
            let usual = role.usual_names().iter().find_map(|name| model.field(name)).filter(|field| fits(role, field.kind));
            if let (Some(field), false) = (usual, roles.contains_key(&role)) {
                roles.insert(role, field.name.clone());
            }
        }
        roles
    }

    fn values(&mut self, item: Option<(&Key<'a>, &Item<'a>)>, model: &Model, place: &DeclarationPath) -> BTreeMap<String, Value> {
        let place = place.at("values");
        let mut values = BTreeMap::new();
        let Some((key, item)) = item else { return values };
        let DeValue::Table(table) = item.get_ref() else {
            self.wrong(item.span().start, format!("{place}: is not a table of name = value"));
            return values;
        };
        let Some(status) = model.field_with(FieldRole::Status) else {
            self.wrong(key.span().start, format!("{place}: no field has the role status, whose values these would be"));
            return values;
        };
        for (name, item) in table {
            let at = item.span().start;
            if !VALUE_NAMES.contains(&name.get_ref().as_ref()) {
                self.wrong(at, format!("{place}: {:?} is not one of {}", name.get_ref(), VALUE_NAMES.join(", ")));
                continue;
            }
            match json_of(item.get_ref()).filter(|value| is_of(status.kind, value)) {
                Some(value) => drop(values.insert(name.get_ref().to_string(), value)),
                None => {
                    self.wrong(at, format!("{place}.{}: is not of the type of {}, {}", name.get_ref(), status.name, status.kind));
                }
            }
        }
        values
    }

    fn table_name(&mut self, table: String, place: &DeclarationPath, at: usize) -> String {
        let place = place.at("table");
        if table.split('.').count() > 2 {
            self.wrong(at, format!("{place}: {table:?} is neither table nor schema.table"));
        }
        for part in table.split('.') {
            self.identifier(part.to_owned(), &place, at);
        }
        table
    }

    fn identifier(&mut self, name: String, place: &DeclarationPath, at: usize) -> String {
        if name.is_empty() || name.len() > LONGEST_IDENTIFIER || name.chars().any(char::is_control) {
            self.wrong(at, format!("{place}: {name:?} must have 1 to {LONGEST_IDENTIFIER} bytes and no control characters"));
        }
        name
    }

    /// What users write: letters, digits and underscores.
    fn is_name(&mut self, name: &Key<'a>, place: &DeclarationPath) -> bool {
        let text = name.get_ref();
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_name = starts_well && is_plain && text.len() <= LONGEST_IDENTIFIER;
        if !is_name {
            self.wrong(
                name.span().start,
                format!("{place}: a name is a letter followed by letters, digits and underscores, {LONGEST_IDENTIFIER} at most"),
            );
        }
        is_name
    }
}

fn fits(role: FieldRole, kind: FieldType) -> bool {
    role.types().is_empty() || role.types().contains(&kind)
}

fn is_of(kind: FieldType, value: &Value) -> bool {
    match kind {
        FieldType::Integer => value.is_i64(),
        FieldType::Number => value.is_number(),
        FieldType::Boolean => value.is_boolean(),
        FieldType::Json => false,
        _ => value.is_string(),
    }
}

/// A model has the role that its name says, unless another one claims it.
fn give_usual_roles(models: &mut BTreeMap<String, Arc<Model>>) {
    for role in ModelRole::ALL {
        if models.values().any(|model| model.role == Some(role)) {
            continue;
        }
        if let Some(model) = models.get_mut(role.as_str()).filter(|model| model.role.is_none()) {
            Arc::make_mut(model).role = Some(role);
        }
    }
}

#[cfg(test)]
mod tests;
