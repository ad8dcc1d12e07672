//! Users and admins of the application, as the kinds that write to them find them in its tables.

use crate::kinds::{OrFail as _, source_failure};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::TaskContext;
use crate::services::Services;
use legwork_engine::domain::{FieldError, TaskFailure};
use legwork_mail::Recipient;
use legwork_source::model::{FieldRole, Model, ModelRole};
use legwork_source::{Filter, Operator, Row, Source, SourceError};

/// The key of a row: a number, or a text such as a UUID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum RowKey {
    /// An integer key.
    Number(i64),
    /// A key of text, for example a UUID.
    Text(String),
}

impl From<&RowKey> for Value {
    fn from(key: &RowKey) -> Self {
        match key {
            RowKey::Number(number) => Self::from(*number),
            RowKey::Text(text) => Self::from(text.as_str()),
        }
    }
}

/// A person to write to.
#[derive(Clone, Debug)]
pub struct Person {
    /// The key of the row.
    pub key: Value,
    /// The address, if the row has one that mail can go to.
    pub address: Option<String>,
    /// The row: what templates know as `user`.
    pub row: Row,
}

impl Person {
    /// A person of a row of `model`.
    pub fn of(model: &Model, row: Row) -> Self {
        let address = model.field_with(FieldRole::Address).and_then(|field| row.get(&field.name)?.as_str());
        let address = address.filter(|address| Recipient::parse(address).is_ok()).map(str::to_owned);
        Self { key: row.get(&model.key).cloned().unwrap_or_default(), address, row }
    }

    /// The address, or the failure of a task that cannot do without.
    pub fn address(&self, role: ModelRole) -> Result<&str, TaskFailure> {
        let missing = || TaskFailure::fail("NoAddress", format!("the {role} {} has no e-mail address", self.key));
        self.address.as_deref().ok_or_else(missing)
    }
}

/// The source of a name, and its model with a role. The error points at `/source`.
pub fn model_of<'s>(
    services: &'s Services,
    source: Option<&str>,
    role: ModelRole,
) -> Result<(&'s Arc<Source>, &'s Arc<Model>), FieldError> {
    let field_error = |detail: String| FieldError::new("/source", detail);
    let source = services.sources.get(source).map_err(field_error)?;
    let model = source.model_with(role).map_err(|error| field_error(error.to_string()))?;
    Ok((source, model))
}

/// The same for a run: what was declared at submission may not be any more.
pub fn declared<'c>(
    cx: &'c TaskContext,
    source: Option<&str>,
    role: ModelRole,
) -> Result<(&'c Arc<Source>, &'c Arc<Model>), TaskFailure> {
    model_of(&cx.services, source, role).map_err(|field_error| source_failure(SourceError::Undeclared(field_error.detail)))
}

/// What is wrong with a key that is to be one of the model with a role, at `pointer`.
pub fn check_key(services: &Services, source: Option<&str>, role: ModelRole, key: &RowKey, pointer: &str) -> Option<FieldError> {
    let model = match model_of(services, source, role) {
        Ok((_, model)) => model,
        Err(field_error) => return Some(field_error),
    };
    let found = Filter::all(model).and(&model.key, Operator::Eq, &key.into());
    found.err().map(|field_error| FieldError::new(pointer, field_error.detail))
}

/// The person with a key. One that is not there is a failure at once.
pub async fn find(cx: &TaskContext, source: Option<&str>, role: ModelRole, key: &RowKey) -> Result<Person, TaskFailure> {
    let (source, model) = declared(cx, source, role)?;
    let key = Value::from(key);
    let row = cx.or_cancelled(source.find(model, &key)).await?.or_fail()?;
    let row = row.ok_or_else(|| {
        TaskFailure::fail(
            "NotFound",
            format!("there is no {role} {key} in the model {} of the source {}", model.name, source.name()),
        )
    })?;
    Ok(Person::of(model, row))
}
