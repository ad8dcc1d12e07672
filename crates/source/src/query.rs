//! Checked queries: what may be asked of a model. Names come out of the declaration only; values are parsed to the type of their field.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::QueryError;
use crate::model::{FieldRole, FieldType, Model, ModelField};

/// Conditions of one query.
const MOST_CONDITIONS: usize = 50;
/// Values of one `in`.
const MOST_VALUES: usize = 10_000;

/// How a field is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Is the same; with null: is null.
    Eq,
    /// Is another, null included.
    Ne,
    /// The field is less than the value.
    Lt,
    /// Is less or the same.
    Lte,
    /// The field is greater than the value.
    Gt,
    /// Is greater or the same.
    Gte,
    /// Is one of a list.
    In,
    /// Holds a text, with regard to case.
    Contains,
    /// Is null (`true`) or is not (`false`).
    IsNull,
}

impl Operator {
    /// Every operator, in the order of their declaration.
    pub const ALL: [Self; 9] =
        [Self::Eq, Self::Ne, Self::Lt, Self::Lte, Self::Gt, Self::Gte, Self::In, Self::Contains, Self::IsNull];

    /// Its name in filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::In => "in",
            Self::Contains => "contains",
            Self::IsNull => "is_null",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    fn suits(self, kind: FieldType) -> bool {
        match self {
            Self::IsNull => true,
            Self::Eq | Self::Ne | Self::In => kind != FieldType::Json,
            Self::Contains => kind == FieldType::Text,
            Self::Lt | Self::Lte | Self::Gt | Self::Gte => {
                !matches!(kind, FieldType::Json | FieldType::Boolean | FieldType::Uuid)
            }
        }
    }
}

/// What a field is compared with: text as it is bound, which the statement casts to the field's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// A single value.
    One(String),
    /// A list of values, for `in`.
    Many(Vec<String>),
    /// The boolean of `is_null`.
    Whether(bool),
}

/// One condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) column: String,
    pub(super) kind: FieldType,
    pub(super) operator: Operator,
    pub(super) operand: Operand,
}

/// Conditions that all hold for the rows of one model.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(super) model: Arc<Model>,
    pub(super) conditions: Vec<Condition>,
}

impl Filter {
    /// Every row of a model.
    pub fn all(model: &Arc<Model>) -> Self {
        Self { model: model.clone(), conditions: Vec::new() }
    }

    /// A user's filters: `{"status": 1}` or `{"age": {"gte": 18, "lt": 65}}`. Only fields that the declaration opens for filters; every
    /// error is told, with a pointer below `at` (`/filters/age/gte`).
    pub fn parse(model: &Arc<Model>, filters: &Map<String, Value>, at: &str) -> Result<Self, Vec<QueryError>> {
        let mut field_errors = Vec::new();
        let mut conditions = Vec::new();
        for (name, wanted) in filters {
            let Some(field) = model.field(name).filter(|field| field.may_filter) else {
                field_errors.push(unknown_field(model, at, name));
                continue;
            };
            let at = pointer(at, name);
            let Value::Object(operators) = wanted else {
                take(condition(field, Operator::Eq, wanted, &at), &mut conditions, &mut field_errors);
                continue;
            };
            if operators.is_empty() {
                field_errors.push(QueryError::new(&at, format!("names no operator; allowed are {}", operators_of(field.kind))));
            }
            for (word, value) in operators {
                match Operator::parse(word).filter(|operator| operator.suits(field.kind)) {
                    Some(operator) => {
                        take(condition(field, operator, value, &pointer(&at, word)), &mut conditions, &mut field_errors);
                    }
                    None => field_errors.push(QueryError::new(pointer(&at, word), unknown_operator(word, field))),
                }
            }
        }
        if conditions.len() > MOST_CONDITIONS {
            field_errors.push(QueryError::new(at, format!("has {} conditions; {MOST_CONDITIONS} are allowed", conditions.len())));
        }
        if field_errors.is_empty() { Ok(Self { model: model.clone(), conditions }) } else { Err(field_errors) }
    }

    /// One condition more, by a kind itself: on any declared field.
    pub fn and(mut self, field: &str, operator: Operator, value: &Value) -> Result<Self, QueryError> {
        let found = self.model.field(field).ok_or_else(|| unknown_field(&self.model, "", field))?;
        if !operator.suits(found.kind) {
            return Err(QueryError::new(pointer("", field), unknown_operator(operator.as_str(), found)));
        }
        let condition = condition(found, operator, value, &pointer("", field))?;
        self.conditions.push(condition);
        Ok(self)
    }

    /// The same by the field's role.
    pub fn and_role(self, role: FieldRole, operator: Operator, value: &Value) -> Result<Self, QueryError> {
        let name = self.model.field_with(role).map(|field| field.name.clone());
        let name = name.ok_or_else(|| {
            QueryError::new("", format!("no field of the model {} has the role {role}; declare it in SOURCES", self.model.name))
        })?;
        self.and(&name, operator, value)
    }

    /// The model whose rows these are.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }
}

/// Fields of the rows that a filter lets through.
#[derive(Clone, Debug)]
pub struct Query {
    pub(super) filter: Filter,
    pub(super) fields: Vec<ModelField>,
}

impl Query {
    /// A user's query. An empty list of fields is all that may be asked for. Faults point at `/fields/…` and `/filters/…`.
    pub fn parse(model: &Arc<Model>, fields: &[String], filters: &Map<String, Value>) -> Result<Self, Vec<QueryError>> {
        let mut field_errors = Vec::new();
        let mut chosen: Vec<ModelField> = Vec::new();
        for (index, name) in fields.iter().enumerate() {
            let at = format!("/fields/{index}");
            match model.field(name).filter(|field| field.may_export) {
                None => {
                    let allowed: Vec<&str> = model.exportable().collect();
                    let known = allowed.join(", ");
                    field_errors.push(QueryError::new(
                        at,
                        format!("{name:?} is no field of the model {}; allowed are {known}", model.name),
                    ));
                }
                Some(field) if chosen.iter().any(|known| known.name == field.name) => {
                    field_errors.push(QueryError::new(at, format!("{name:?} is named twice")));
                }
                Some(field) => chosen.push(field.clone()),
            }
        }
        if fields.is_empty() {
            chosen = model.fields.iter().filter(|field| field.may_export).cloned().collect();
        }
        let filter = Filter::parse(model, filters, "/filters");
        match filter {
            Ok(filter) if field_errors.is_empty() => Ok(Self { filter, fields: chosen }),
            Ok(_) => Err(field_errors),
            Err(more) => {
                field_errors.extend(more);
                Err(field_errors)
            }
        }
    }

    /// All declared fields of the rows that a filter lets through; for kinds.
    pub fn of(filter: Filter) -> Self {
        let fields = filter.model.fields.clone();
        Self { filter, fields }
    }

    /// The model whose rows the query reads.
    pub fn model(&self) -> &Arc<Model> {
        &self.filter.model
    }

    /// Its fields, in the order of the answer.
    pub fn fields(&self) -> &[ModelField] {
        &self.fields
    }
}

fn take<T>(found: Result<T, QueryError>, good: &mut Vec<T>, field_errors: &mut Vec<QueryError>) {
    match found {
        Ok(one) => good.push(one),
        Err(field_error) => field_errors.push(field_error),
    }
}

fn condition(field: &ModelField, operator: Operator, value: &Value, at: &str) -> Result<Condition, QueryError> {
    let made = |operator, operand| Condition { column: field.column.clone(), kind: field.kind, operator, operand };
    let one = |value: &Value, at: &str| bound(field.kind, value).map_err(|reason| QueryError::new(at, reason));
    match (operator, value) {
        (Operator::Eq, Value::Null) => Ok(made(Operator::IsNull, Operand::Whether(true))),
        (Operator::Ne, Value::Null) => Ok(made(Operator::IsNull, Operand::Whether(false))),
        (Operator::IsNull, Value::Bool(is)) => Ok(made(operator, Operand::Whether(*is))),
        (Operator::IsNull, other) => Err(QueryError::new(at, format!("must be true or false; got {}", shortened(other)))),
        (Operator::In, Value::Array(values)) if values.is_empty() => {
            Err(QueryError::new(at, "is an empty list, which no row fits"))
        }
        (Operator::In, Value::Array(values)) if values.len() > MOST_VALUES => {
            Err(QueryError::new(at, format!("has {} values; {MOST_VALUES} are allowed", values.len())))
        }
        (Operator::In, Value::Array(values)) => {
            let parsed = values.iter().enumerate().map(|(index, value)| one(value, &format!("{at}/{index}")));
            Ok(made(operator, Operand::Many(parsed.collect::<Result<_, _>>()?)))
        }
        (Operator::In, other) => Err(QueryError::new(at, format!("{} is not a list of values", shortened(other)))),
        // Text without an operator that was meant as a list.
        (Operator::Eq, Value::Array(_)) => Err(QueryError::new(at, "is a list; write {\"in\": […]} for one of several values")),
        (operator, value) => Ok(made(operator, Operand::One(one(value, at)?))),
    }
}

/// The text to bind for a value of a type, in the form that both databases read.
pub(super) fn bound(kind: FieldType, value: &Value) -> Result<String, String> {
    let wrong = |what: &str| format!("{} is not {what}", shortened(value));
    match (kind, value) {
        (FieldType::Integer, Value::Number(number)) if number.is_i64() => Ok(number.to_string()),
        (FieldType::Integer, _) => Err(wrong("a whole number of 64 bits")),
        (FieldType::Number, Value::Number(number)) => Ok(number.to_string()),
        (FieldType::Number, _) => Err(wrong("a number")),
        (FieldType::Text, Value::String(text)) if text.contains('\0') => Err("holds the character NUL, which no text may".into()),
        (FieldType::Text, Value::String(text)) => Ok(text.clone()),
        (FieldType::Text, _) => Err(wrong("a text")),
        (FieldType::Boolean, Value::Bool(is)) => Ok(u8::from(*is).to_string()),
        (FieldType::Boolean, _) => Err(wrong("true or false")),
        (FieldType::Timestamp, Value::String(text)) => moment(text)
            .map(|at| written(at, 6))
            .ok_or_else(|| wrong("a time like 2026-01-31T12:00:00Z or a day like 2026-01-31")),
        (FieldType::Timestamp, _) => Err(wrong("a time like 2026-01-31T12:00:00Z or a day like 2026-01-31")),
        (FieldType::Date, Value::String(text)) => {
            text.parse::<Date>().map(|day| day.to_string()).map_err(|_| wrong("a day like 2026-01-31"))
        }
        (FieldType::Date, _) => Err(wrong("a day like 2026-01-31")),
        (FieldType::Uuid, Value::String(text)) => {
            Uuid::parse_str(text).map(|id| id.to_string()).map_err(|_| wrong("a UUID like 0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c2d"))
        }
        (FieldType::Uuid, _) => Err(wrong("a UUID like 0190f3a5-7c3e-7b60-8f3d-5a1e6f0b9c2d")),
        (FieldType::Json, value) => Ok(value.to_string()),
    }
}

/// A time in RFC 3339; without an offset it is UTC, and a day is its first moment.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let in_utc = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    text.parse::<Timestamp>().ok().or_else(|| text.parse::<DateTime>().ok().and_then(in_utc))
}

/// `2026-01-31 12:00:00.500000`, in UTC, with so many decimals, or none where they would all be zero.
pub(super) fn written(at: Timestamp, decimals: u8) -> String {
    let at = at.to_zoned(TimeZone::UTC).datetime();
    let whole = at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let micros = at.subsec_nanosecond() / 1_000;
    match (micros, decimals) {
        (0, _) => whole,
        (micros, 3) => format!("{whole}.{:03}", micros / 1_000),
        (micros, _) => format!("{whole}.{micros:06}"),
    }
}

fn unknown_field(model: &Model, at: &str, name: &str) -> QueryError {
    let allowed: Vec<&str> = model.filterable().collect();
    let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
    QueryError::new(pointer(at, name), format!("is no field of the model {} to filter by; allowed are {allowed}", model.name))
}

fn unknown_operator(word: &str, field: &ModelField) -> String {
    format!(
        "{word:?} is no operator of {}, which is of type {}; allowed are {}",
        field.name,
        field.kind,
        operators_of(field.kind)
    )
}

fn operators_of(kind: FieldType) -> String {
    let all: Vec<&str> = Operator::ALL.into_iter().filter(|one| one.suits(kind)).map(Operator::as_str).collect();
    all.join(", ")
}

/// A value for a message, cut where it is long.
fn shortened(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// The pointer to `name` below `at`.
pub(super) fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
