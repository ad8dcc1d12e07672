//! The databases and models that packs add to those of the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use legwork_pack::{DemoSource, Dialect, Pack, Scope, Script, Source, SourceUrl, SqlValue};
use legwork_source::{Bound, DemoScript, RawStatement, SourceConfig, SourcePlace, SourcesConfig};
use serde_json::{Map, Value, json};

use super::built_in;
use crate::config::PacksConfig;

/// Adds the sources of a pack to `sources`. What SOURCES declares stays as it is and only gets the models that it lacks. The errors say what is
/// wrong, with file, line and column.
pub(super) fn add(pack: &Pack, config: &PacksConfig, sources: &mut SourcesConfig) -> Vec<String> {
    let mut errors = Vec::new();
    for source in &pack.sources {
        let found = place_of(pack, source, config, sources).and_then(|place| Ok((place, models_of(pack, source)?)));
        let (place, models) = match found {
            Ok(found) => found,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        // The models of the program's own demonstration are those of its tables.
        if matches!(place, SourcePlace::Scripted(..)) {
            sources.sources.remove(&source.name);
        }
        let known = sources
            .sources
            .entry(source.name.clone())
            .or_insert_with(|| SourceConfig { place: place.clone(), models: BTreeMap::new() });
        known.place = place;
        for (name, model) in models {
            known.models.entry(name).or_insert(model);
        }
    }
    errors
}

/// Where the database of a source is: as SOURCES says, as its own URL says, or the demonstration.
fn place_of(pack: &Pack, source: &Source, config: &PacksConfig, sources: &SourcesConfig) -> Result<SourcePlace, String> {
    let declared = sources.sources.get(&source.name).map(|known| known.place.clone());
    if let (Some(place), false) = (&declared, matches!(declared, Some(SourcePlace::Demo(_)))) {
        return Ok(place.clone());
    }
    let field = format!("{}: sources.{}", source.place, source.name);
    let url = match &source.url {
        Some(SourceUrl::Env(name)) => config.vars.get(name).map(|value| value.trim().to_owned()).filter(|url| !url.is_empty()),
        Some(SourceUrl::Url(url)) => Some(url.clone()),
        None => None,
    };
    if let Some(url) = url {
        return SourcePlace::parse(&url).ok_or_else(|| {
            // The value may hold a password, so it is not told.
            let what = match &source.url {
                Some(SourceUrl::Env(name)) => format!("{field}: the variable {name}"),
                _ => format!("{}: sources.{}.url: the URL", source.url_place, source.name),
            };
            format!("{what} names no database. Write postgres://user:password@host/database or sqlite:path.")
        });
    }
    let Some(demo) = source.demo.as_ref().filter(|_| config.allows_demo) else {
        // The program's own demonstration has the tables of the pack that is part of the program.
        if let Some(place) = declared.filter(|_| config.allows_demo) {
            return Ok(place);
        }
        let set = match &source.url {
            Some(SourceUrl::Env(name)) => format!("Set the variable {name}, or declare"),
            _ => "Declare".to_owned(),
        };
        let demo = if source.demo.is_some() { ", or set DEMO=on for the pack's demonstration" } else { "" };
        return Err(format!("{field}: no database is known for it. {set} a source of this name in the file SOURCES{demo}."));
    };
    if let Some(place) = declared.filter(|_| pack.name == built_in::NAME) {
        return Ok(place);
    }
    let file = format!("{}-{}.db", pack.name, source.name);
    Ok(SourcePlace::Scripted(config.data_dir.join(file), script_of(pack, demo)))
}

/// The statements of a demonstration, as of a time, for `SQLite`.
fn script_of(pack: &Pack, demo: &DemoSource) -> DemoScript {
    let scripts: Vec<Script> = std::iter::once(demo.schema.clone()).chain(demo.demo.clone()).collect();
    let (engine, zone) = (pack.engine.clone(), pack.zone.clone());
    DemoScript::new(move |now| {
        let scope = scope_of(now, &zone);
        scripts
            .iter()
            .map(|script| statements(&engine, script, Dialect::Sqlite, &scope))
            .collect::<Result<Vec<_>, _>>()
            .map(|all| all.concat())
    })
}

/// The sources of a pack that have scripts, each as a database in memory; those without are left out.
pub(super) fn in_memory(pack: &Pack) -> SourcesConfig {
    let scripted = pack.sources.iter().filter_map(|source| {
        let place = SourcePlace::Memory(script_of(pack, source.demo.as_ref()?));
        Some((source.name.clone(), SourceConfig { place, models: BTreeMap::new() }))
    });
    SourcesConfig { sources: scripted.collect() }
}

fn scope_of(now: Timestamp, zone: &TimeZone) -> Scope {
    let today = now.to_zoned(zone.clone()).date().to_string();
    Scope::new().with("now", now.to_string().into()).with("today", today.into())
}

/// The statements of a script with their values.
fn statements(
    engine: &legwork_pack::Engine,
    script: &Script,
    dialect: Dialect,
    scope: &Scope,
) -> Result<Vec<RawStatement>, String> {
    let none = |place: &legwork_pack::Place| legwork_pack::Sql {
        sqlite: Vec::new(),
        postgres: Vec::new(),
        bind: Vec::new(),
        place: place.clone(),
    };
    let bound = script.statements(dialect).iter().map(|statement| {
        let values = engine.bound(&none(&statement.place), statement, dialect, scope).map_err(|error| error.to_string())?;
        Ok(RawStatement { text: statement.text.clone(), values: values.into_iter().map(to_bound).collect() })
    });
    bound.collect()
}

/// The statements that make the demonstration of a source in a database of a dialect, with rows dated back from `now`.
pub fn demonstration(pack: &Pack, source: &str, dialect: Dialect, now: Timestamp) -> Result<Vec<RawStatement>, String> {
    let found = pack.sources.iter().find(|known| known.name == source).and_then(|known| known.demo.as_ref());
    let demo = found.ok_or_else(|| format!("the pack {} has no demonstration of the source {source}", pack.name))?;
    let scope = scope_of(now, &pack.zone);
    let mut all = statements(&pack.engine, &demo.schema, dialect, &scope)?;
    if let Some(rows) = &demo.demo {
        all.extend(statements(&pack.engine, rows, dialect, &scope)?);
    }
    Ok(all)
}

/// A value of the pack as the source binds it.
pub(super) fn to_bound(value: SqlValue) -> Bound {
    match value {
        SqlValue::Null => Bound::Null,
        SqlValue::Integer(number) => Bound::Integer(number),
        SqlValue::Real(number) => Bound::Real(number),
        SqlValue::Text(text) => Bound::Text(text),
    }
}

/// The models of a source, by the reader of the SOURCES file, so that both have the same checks.
fn models_of(pack: &Pack, source: &Source) -> Result<BTreeMap<String, Arc<legwork_source::model::Model>>, String> {
    let own = |model: &&legwork_pack::Model| match &model.source {
        Some(name) => *name == source.name,
        None => pack.sources.len() == 1 || pack.sources.first().is_some_and(|first| first.name == source.name),
    };
    let mut models = Map::new();
    for model in pack.models.iter().filter(own) {
        let mut fields = Map::new();
        for field in &model.fields {
            fields.insert(field.name.clone(), json!({ "type": field.kind, "column": field.column }));
        }
        let mut table = Map::new();
        table.insert("table".into(), model.table.clone().into());
        table.insert("key".into(), model.key.clone().into());
        table.insert("write".into(), model.write.into());
        if let Some(role) = &model.role {
            table.insert("role".into(), role.clone().into());
        }
        for (name, list) in [("export", &model.export), ("filter", &model.filter)] {
            if let Some(list) = list {
                table.insert(name.into(), list.clone().into());
            }
        }
        table.insert("fields".into(), fields.into());
        if !model.roles.is_empty() {
            let roles: Map<String, Value> =
                model.roles.iter().map(|(role, field)| (role.clone(), field.clone().into())).collect();
            table.insert("roles".into(), roles.into());
        }
        if !model.values.is_empty() {
            table.insert("values".into(), model.values.clone().into());
        }
        models.insert(model.name.clone(), table.into());
    }
    if models.is_empty() {
        return Ok(BTreeMap::new());
    }
    let text = toml_of(&json!({ "sources": { (source.name.as_str()): { "url": "sqlite:models.db", "models": models } } }));
    let parsed = SourcesConfig::parse(&text, &BTreeMap::new())
        .map_err(|mistakes| format!("{}: models of the source {}: {}", source.place, source.name, mistakes.join("; ")))?;
    Ok(parsed.sources.into_values().next().map(|source| source.models).unwrap_or_default())
}

/// JSON as the inline tables of TOML; null is left out.
fn toml_of(value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    let lines: Vec<String> =
        fields.map(|(name, value)| format!("{} = {}\n", Value::from(name.as_str()), inline(value))).collect();
    lines.concat()
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{} = {}", Value::from(name.as_str()), inline(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
