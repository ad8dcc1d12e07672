//! The questions that a report asks of its source.

use crate::kinds::OrFail as _;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::{Value, json};

use super::named::role;
use super::{LONGEST_LIST, Report, ReportQuery};
use crate::kinds::report_admin::range::{DayRange, Step};
use legwork_engine::domain::TaskFailure;
use legwork_source::model::{FieldRole, Model};
use legwork_source::{Aggregation, AggregationRow, Filter, Group, Measure, Operator, Order, SourceError};

/// More than the weeks of the longest range.
const MOST_CUTS: u32 = 400;

/// Counts of a whole range.
pub(super) struct Measured {
    pub(super) count: u64,
    /// What was measured, in the order of the question.
    pub(super) measures: Vec<u64>,
}

/// Counts by day or week, one for every cut of the range.
pub(super) struct Cuts {
    pub(super) counts: Vec<u64>,
    /// What was measured; zeros where nothing was asked for.
    pub(super) measures: Vec<u64>,
}

impl ReportQuery<'_> {
    /// A report without figures.
    pub(super) fn report(&self, is_empty: bool) -> Report {
        Report {
            range: self.range,
            source: self.source.name().to_owned(),
            totals: Vec::new(),
            series: Vec::new(),
            charts: Vec::new(),
            tops: Vec::new(),
            is_empty,
        }
    }

    /// The rows whose time is within the range.
    pub(super) fn within(&self, model: &Arc<Model>, time: FieldRole) -> Result<Filter, SourceError> {
        between(model, time, self.range)
    }

    /// Those of the range before.
    pub(super) fn before(&self, model: &Arc<Model>, time: FieldRole) -> Result<Filter, SourceError> {
        between(model, time, self.range.before())
    }

    /// Those before the range starts.
    pub(super) fn until(&self, model: &Arc<Model>, time: FieldRole) -> Result<Filter, SourceError> {
        Ok(Filter::all(model).and_role(time, Operator::Lt, &json!(self.range.from))?)
    }

    pub(super) async fn count(&self, filter: &Filter) -> Result<u64, TaskFailure> {
        self.cx.or_cancelled(self.source.count(filter)).await?.or_fail()
    }

    pub(super) async fn measured(&self, filter: Filter, measures: &[Measure]) -> Result<Measured, TaskFailure> {
        let aggregation = Aggregation { filter, groups: Vec::new(), measures: measures.to_vec(), order: Order::Group, limit: 1 };
        let row = self.aggregate(&aggregation).await?.into_iter().next();
        let row = row.unwrap_or(AggregationRow { group: Vec::new(), count: 0, measures: vec![None; measures.len()] });
        Ok(Measured { count: row.count, measures: row.measures.into_iter().map(whole).collect() })
    }

    /// Counts by the day or the week of a time.
    pub(super) async fn series(&self, filter: Filter, time: FieldRole, measure: Option<Measure>) -> Result<Cuts, TaskFailure> {
        let field = role(filter.model(), time).or_fail()?.name.clone();
        let group = match self.range.step() {
            Step::Day => Group::Day(field),
            Step::Week => Group::Week(field),
        };
        let measures = measure.into_iter().collect();
        let aggregation = Aggregation { filter, groups: vec![group], measures, order: Order::Group, limit: MOST_CUTS };
        let rows = self.aggregate(&aggregation).await?;
        let day_of = |row: &AggregationRow| row.group.first()?.as_str()?.parse::<Date>().ok();
        let by_day: HashMap<Date, AggregationRow> = rows.into_iter().filter_map(|row| Some((day_of(&row)?, row))).collect();
        let found = |day: &Date| by_day.get(&self.range.floor(*day));
        let cuts = self.range.cuts();
        Ok(Cuts {
            counts: cuts.iter().map(|day| found(day).map_or(0, |row| row.count)).collect(),
            measures: cuts.iter().map(|day| found(day).map_or(0, |row| whole(row.measures.first().copied().flatten()))).collect(),
        })
    }

    /// The most frequent values of a group.
    pub(super) async fn top(&self, filter: Filter, group: &Group) -> Result<Vec<(Value, u64)>, TaskFailure> {
        let groups = vec![group.clone()];
        let aggregation = Aggregation { filter, groups, measures: Vec::new(), order: Order::Count, limit: LONGEST_LIST };
        let rows = self.aggregate(&aggregation).await?;
        Ok(rows.into_iter().map(|row| (row.group.into_iter().next().unwrap_or_default(), row.count)).collect())
    }

    async fn aggregate(&self, aggregation: &Aggregation) -> Result<Vec<AggregationRow>, TaskFailure> {
        self.cx.or_cancelled(self.source.aggregate(aggregation)).await?.or_fail()
    }
}

fn between(model: &Arc<Model>, time: FieldRole, range: DayRange) -> Result<Filter, SourceError> {
    let from = Filter::all(model).and_role(time, Operator::Gte, &json!(range.from))?;
    Ok(from.and_role(time, Operator::Lt, &json!(range.end()))?)
}

/// A measure as a count; below zero it is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "such a cast saturates, and what is measured is a count"
)]
fn whole(measure: Option<f64>) -> u64 {
    measure.unwrap_or(0.0).round() as u64
}
