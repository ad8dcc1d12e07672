//! How what was counted is called.

use crate::kinds::OrFail as _;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Entry, ReportQuery};
use legwork_engine::domain::TaskFailure;
use legwork_source::model::{FieldRole, Model, ModelField, ModelRole};
use legwork_source::{Filter, Operator, Query, Row, SourceError};

/// What is shown of a value that is a text without letters, or null.
const NOTHING: &str = "(none)";

/// The field with a role.
pub(super) fn role(model: &Model, role: FieldRole) -> Result<&ModelField, SourceError> {
    model.field_with(role).ok_or_else(|| {
        SourceError::Undeclared(format!("no field of the model {} has the role {role}; declare it in SOURCES", model.name))
    })
}

/// Values are called by themselves.
pub(super) fn plain(found: Vec<(Value, u64)>) -> Vec<Entry> {
    found.into_iter().map(|(key, count)| Entry { label: label_of(&key), key, count }).collect()
}

/// Values of a status are called as the declaration names them.
pub(super) fn statuses(model: &Model, found: Vec<(Value, u64)>) -> Vec<Entry> {
    let name = |key: &Value| model.values.iter().find(|(_, value)| *value == key).map(|(name, _)| name.clone());
    found.into_iter().map(|(key, count)| Entry { label: name(&key).unwrap_or_else(|| label_of(&key)), key, count }).collect()
}

impl ReportQuery<'_> {
    /// Keys of people are called by their names, with the key behind: `Ada Mensah (12)`. They are looked for in the model with a role, or
    /// among the users where no model has it.
    pub(super) async fn people(&self, of: ModelRole, found: Vec<(Value, u64)>) -> Result<Vec<Entry>, TaskFailure> {
        let Ok(model) = self.source.model_with(of).or_else(|_| self.source.model_with(ModelRole::User)) else {
            return Ok(plain(found));
        };
        let keys: Vec<&Value> = found.iter().map(|(key, _)| key).filter(|key| !key.is_null()).collect();
        // Keys of another type than that of the model name nobody.
        let filter = Filter::all(model).and(&model.key, Operator::In, &json!(keys));
        let Ok(filter) = filter else { return Ok(plain(found)) };
        let limit = super::LONGEST_LIST;
        let rows = self.cx.or_cancelled(self.source.page(&Query::of(filter), None, limit)).await?.or_fail()?;
        let called = rows.iter().filter_map(|row| Some((label_of(row.get(&model.key)?), name(model, row)?)));
        let names: HashMap<String, String> = called.collect();
        let label = |key: &Value| {
            let key = label_of(key);
            names.get(&key).map_or_else(|| key.clone(), |name| format!("{name} ({key})"))
        };
        Ok(found.into_iter().map(|(key, count)| Entry { label: label(&key), key, count }).collect())
    }
}

/// First and last name where both are declared, else the name, else the address.
fn name(model: &Model, row: &Row) -> Option<String> {
    let text = |field: &str| row.get(field).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    if let (Some(first), Some(last)) = (text("first_name"), text("last_name")) {
        return Some(format!("{first} {last}"));
    }
    let of_role = |role| model.field_with(role).and_then(|field| text(&field.name));
    of_role(FieldRole::Name).or_else(|| of_role(FieldRole::Address)).map(str::to_owned)
}

fn label_of(value: &Value) -> String {
    const MOST: usize = 200;
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.trim().is_empty() { NOTHING.to_owned() } else { text.chars().take(MOST).collect() }
}
