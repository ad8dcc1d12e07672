//! Counts, sums and the like by group, for reports.

use serde_json::Value;

use super::query::Filter;
use super::record::json_of;
use super::sql::{Dialect, Sql};
use super::{Source, SourceError};
use crate::model::{FieldType, Model, ModelField};

/// What rows are grouped by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// The value of a field.
    Field(String),
    /// The day (UTC) of a time, as `2026-01-31`.
    Day(String),
    /// The Monday (UTC) of the week of a time, as `2026-01-26`.
    Week(String),
}

/// What is measured of a group, beside its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The sum of a field.
    Sum(String),
    /// How many different values a field has.
    Distinct(String),
    /// The mean of a field.
    Mean(String),
    /// How many rows have a value in a field.
    Present(String),
}

/// In which order the groups come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By what they are grouped by.
    #[default]
    Group,
    /// The largest count first, ties by what they are grouped by.
    Count,
}

/// A question for counts.
#[derive(Clone, Debug)]
pub struct Aggregation {
    /// Selects the rows to aggregate.
    pub filter: Filter,
    /// By what; empty for one row of totals.
    pub groups: Vec<Group>,
    /// What else than the count.
    pub measures: Vec<Measure>,
    /// The order of the groups in the answer.
    pub order: Order,
    /// Most groups in the answer; the others are left out.
    pub limit: u32,
}

/// The figures of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregationRow {
    /// What it is grouped by, in the order of the question.
    pub group: Vec<Value>,
    /// Number of rows in the group.
    pub count: u64,
    /// What was measured, in the order of the question; a sum of nothing is 0, a mean of nothing `None`.
    pub measures: Vec<Option<f64>>,
}

impl Source {
    /// Counts, by group. No rows give no group, and one row of zeros where there is nothing to group by.
    pub async fn aggregate(&self, aggregation: &Aggregation) -> Result<Vec<AggregationRow>, SourceError> {
        let sql = statement(self.dialect(), aggregation)?;
        let kinds =
            aggregation.groups.iter().map(|group| group.kind(aggregation.filter.model())).collect::<Result<Vec<_>, _>>()?;
        let rows = self.rows(&sql).await?;
        Ok(rows.into_iter().map(|cells| row_of(&kinds, cells)).collect())
    }
}

impl Group {
    fn field<'m>(&self, model: &'m Model) -> Result<&'m ModelField, SourceError> {
        let (Self::Field(name) | Self::Day(name) | Self::Week(name)) = self;
        declared(model, name)
    }

    fn kind(&self, model: &Model) -> Result<FieldType, SourceError> {
        let field = self.field(model)?;
        Ok(match self {
            Self::Field(_) => field.kind,
            Self::Day(_) | Self::Week(_) => FieldType::Date,
        })
    }

    fn expression(&self, sql: &Sql, model: &Model) -> Result<String, SourceError> {
        let field = self.field(model)?;
        let column = sql.dialect.quoted(&field.column);
        Ok(match (self, sql.dialect) {
            (Self::Field(_), Dialect::Sqlite)
                if !matches!(field.kind, FieldType::Boolean | FieldType::Timestamp | FieldType::Date) =>
            {
                column
            }
            (Self::Field(_), _) => sql.answered(field),
            (Self::Day(_), Dialect::Sqlite) => format!("date({column}, 'auto')"),
            // The session's zone is UTC.
            (Self::Day(_), _) if field.kind == FieldType::Date => column,
            (Self::Day(_), _) => format!("CAST(CAST({column} AS timestamptz) AS date)"),
            // The next Sunday, or the day itself where it is one, and back to its Monday.
            (Self::Week(_), Dialect::Sqlite) => format!("date({column}, 'auto', 'weekday 0', '-6 days')"),
            (Self::Week(_), _) => format!("CAST(date_trunc('week', CAST({column} AS timestamptz)) AS date)"),
        })
    }
}

fn statement(dialect: Dialect, aggregation: &Aggregation) -> Result<Sql, SourceError> {
    let model = aggregation.filter.model().clone();
    let mut sql = Sql::new(dialect, "SELECT ");
    let expressions = aggregation.groups.iter().map(|group| group.expression(&sql, &model)).collect::<Result<Vec<_>, _>>()?;
    let places: Vec<String> = (1..=expressions.len()).map(|place| place.to_string()).collect();
    // The order is that of the values, not of their texts: text is made outside.
    for place in &places {
        sql.push(&["CAST(g", place, " AS text), "]);
    }
    sql.push(&["CAST(n AS text)"]);
    for index in 0..aggregation.measures.len() {
        sql.push(&[", CAST(m", &index.to_string(), " AS text)"]);
    }
    sql.push(&[" FROM (SELECT "]);
    for (place, expression) in places.iter().zip(&expressions) {
        sql.push(&[expression, " AS g", place, ", "]);
    }
    sql.push(&["COUNT(*) AS n"]);
    for (index, measure) in aggregation.measures.iter().enumerate() {
        let expression = measure.expression(dialect, &model)?;
        sql.push(&[", ", &expression, " AS m", &index.to_string()]);
    }
    sql.push(&[" FROM ", &dialect.table(&model)]).filter(&aggregation.filter, &[]);
    if !places.is_empty() {
        sql.push(&[" GROUP BY ", &places.join(", ")]);
    }
    sql.push(&[") AS groups"]);
    let by_group = places.iter().map(|place| format!("g{place}"));
    let by_count = (aggregation.order == Order::Count).then(|| "n DESC".to_owned());
    let order: Vec<String> = by_count.into_iter().chain(by_group).collect();
    if !order.is_empty() {
        sql.push(&[" ORDER BY ", &order.join(", ")]);
    }
    sql.push(&[" LIMIT ", &aggregation.limit.to_string()]);
    Ok(sql)
}

impl Measure {
    fn expression(&self, dialect: Dialect, model: &Model) -> Result<String, SourceError> {
        let (Self::Sum(name) | Self::Distinct(name) | Self::Mean(name) | Self::Present(name)) = self;
        let column = dialect.quoted(&declared(model, name)?.column);
        Ok(match self {
            Self::Sum(_) => format!("COALESCE(SUM({column}), 0)"),
            Self::Distinct(_) => format!("COUNT(DISTINCT {column})"),
            Self::Mean(_) => format!("AVG({column})"),
            Self::Present(_) => format!("COUNT({column})"),
        })
    }
}

fn declared<'m>(model: &'m Model, name: &str) -> Result<&'m ModelField, SourceError> {
    model
        .field(name)
        .ok_or_else(|| SourceError::Undeclared(format!("the model {} has no field {name:?}; declare it in SOURCES", model.name)))
}

fn row_of(kinds: &[FieldType], cells: Vec<Option<String>>) -> AggregationRow {
    let mut cells = cells.into_iter();
    let group = kinds.iter().map(|&kind| json_of(kind, cells.next().flatten().as_deref())).collect();
    let count = cells.next().flatten().and_then(|text| text.parse().ok()).unwrap_or(0);
    AggregationRow { group, count, measures: cells.map(|text| text?.parse().ok()).collect() }
}
