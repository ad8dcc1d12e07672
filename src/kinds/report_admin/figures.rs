//! The figures of a report, as the source counts them. What a declaration leaves out is left out of the figures.
//!
//! Each figure is a statement of its own: where rows are written meanwhile they may differ by those. A total that is the sum of a series is
//! that sum.

mod named;
mod report_query;

use crate::kinds::OrFail as _;
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::{Value, json};

use super::range::DayRange;
use super::{Object, ReportQuery, ReportType};
use crate::kinds::TaskContext;
use legwork_engine::domain::TaskFailure;
use legwork_source::model::{FieldRole, Model, ModelRole};
use legwork_source::{Group, Measure, Source, SourceError};

/// Entries of a top list.
pub(super) const LONGEST_LIST: u32 = 10;

/// All figures of a report.
pub(super) struct Report {
    pub(super) range: DayRange,
    pub(super) source: String,
    pub(super) totals: Vec<Total>,
    /// The columns of the series, one value a cut of the range.
    pub(super) series: Vec<Column>,
    /// What is drawn together: places in `series`.
    pub(super) charts: Vec<(&'static str, Vec<usize>)>,
    pub(super) tops: Vec<Top>,
    /// Whether nothing happened within the range.
    pub(super) is_empty: bool,
}

/// A figure of the whole range, and of the one before.
pub(super) struct Total {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) now: u64,
    pub(super) before: u64,
}

/// A figure by day or week.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) values: Vec<u64>,
}

/// A list of the most frequent.
pub(super) struct Top {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// What an entry is.
    pub(super) noun: &'static str,
    /// The name of what the entries count, in the plural.
    pub(super) counted: &'static str,
    pub(super) entries: Vec<Entry>,
    /// Of how many the entries are a part.
    pub(super) all: u64,
}

/// An entry of a list.
pub(super) struct Entry {
    pub(super) key: Value,
    pub(super) label: String,
    pub(super) count: u64,
}

impl Total {
    fn new(name: &'static str, label: &'static str, now: u64, before: u64) -> Self {
        Self { name, label, now, before }
    }

    pub(super) fn change(&self) -> i128 {
        i128::from(self.now) - i128::from(self.before)
    }

    /// The change in tenths of a percent; `None` where there was nothing before and there is something now.
    pub(super) fn per_mille(&self) -> Option<i128> {
        match (self.now, self.before) {
            (0, 0) => Some(0),
            (_, 0) => None,
            (_, before) => {
                let (change, before) = (self.change() * 1_000, i128::from(before));
                // Rounded half away from zero.
                Some((change.abs() * 2 + before) / (2 * before) * change.signum())
            }
        }
    }
}

impl Report {
    /// What of the task's result is figures.
    pub(super) fn result(&self) -> Object {
        let before = self.range.before();
        let compared = |total: &Total| {
            #[expect(clippy::cast_precision_loss, reason = "a percentage of fifteen digits is exact enough")]
            let percent = total.per_mille().map(|per_mille| per_mille as f64 / 10.0);
            let change = i64::try_from(total.change()).ok();
            (total.name.to_owned(), json!({ "previous": total.before, "change": change, "percent": percent }))
        };
        let point = |(index, day): (usize, &Date)| {
            let values = self.series.iter().map(|column| (column.name.to_owned(), json!(column.values.get(index))));
            let date = [("date".to_owned(), json!(day))];
            Value::Object(date.into_iter().chain(values).collect())
        };
        let entry = |entry: &Entry| json!({ "key": entry.key, "label": entry.label, "count": entry.count });
        let list = |top: &Top| (top.name.to_owned(), Value::Array(top.entries.iter().map(entry).collect()));
        let totals = self.totals.iter().map(|total| (total.name.to_owned(), total.now.into()));
        let figures = json!({
            "date_from": self.range.from,
            "date_to": self.range.to,
            "totals": Value::Object(totals.collect()),
            "step": self.range.step().as_str(),
            "series": self.range.cuts().iter().enumerate().map(point).collect::<Vec<_>>(),
            "top": Value::Object(self.tops.iter().map(list).collect()),
            "comparison": {
                "date_from": before.from,
                "date_to": before.to,
                "totals": Value::Object(self.totals.iter().map(compared).collect()),
            },
        });
        if let Value::Object(figures) = figures { figures } else { Object::new() }
    }
}

/// Whether a source declares what a report on a role cannot do without.
pub(super) fn check(source: &Source, role: ModelRole) -> Result<(), SourceError> {
    let model = source.model_with(role)?;
    named::role(model, FieldRole::Created).map(|_| ())
}

/// Counts everything of a report.
pub(super) async fn collect(
    cx: &TaskContext,
    source: &Arc<Source>,
    about: ReportType,
    range: DayRange,
) -> Result<Report, TaskFailure> {
    check(source, about.role()).or_fail()?;
    let query = ReportQuery { cx, source, range };
    let model = source.model_with(about.role()).or_fail()?;
    match about {
        ReportType::Activity => activity(&query, model).await,
        ReportType::Users => users(&query, model).await,
        ReportType::Content => content(&query, model).await,
    }
}

async fn activity(query: &ReportQuery<'_>, model: &Arc<Model>) -> Result<Report, TaskFailure> {
    let user = model.field_with(FieldRole::User).map(|field| field.name.clone());
    let action = model.field_with(FieldRole::Action).map(|field| field.name.clone());
    let distinct: Vec<Measure> = [&user, &action].into_iter().flatten().cloned().map(Measure::Distinct).collect();
    let (now, before) = (query.within(model, FieldRole::Created).or_fail()?, query.before(model, FieldRole::Created).or_fail()?);
    let (of_now, of_before) = (query.measured(now.clone(), &distinct).await?, query.measured(before, &distinct).await?);
    let by_day = query.series(now.clone(), FieldRole::Created, user.clone().map(Measure::Distinct)).await?;
    let actions = sum(&by_day.counts);
    let mut report = query.report(actions == 0);
    report.totals.push(Total::new("actions", "Actions", actions, of_before.count));
    report.series.push(Column { name: "actions", label: "actions", values: by_day.counts });
    let mut measured = of_now.measures.into_iter().zip(of_before.measures);
    if let Some(user) = user {
        let (people, before) = measured.next().unwrap_or_default();
        report.totals.push(Total::new("active_users", "Active users", people, before));
        report.series.push(Column { name: "active_users", label: "active users", values: by_day.measures });
        let found = query.top(now.clone(), &Group::Field(user)).await?;
        let entries = query.people(ModelRole::User, found).await?;
        let (title, counted) = ("Most active users", "actions");
        report.tops.push(Top { name: "users", title, noun: "User", counted, entries, all: actions });
    }
    if let Some(action) = action {
        let (kinds, before) = measured.next().unwrap_or_default();
        report.totals.push(Total::new("action_kinds", "Kinds of actions", kinds, before));
        let entries = named::plain(query.top(now, &Group::Field(action)).await?);
        let (title, counted) = ("Actions by kind", "actions");
        report.tops.push(Top { name: "actions", title, noun: "Action", counted, entries, all: actions });
    }
    report.charts.push(("Activity", (0..report.series.len()).collect()));
    Ok(report)
}

async fn users(query: &ReportQuery<'_>, model: &Arc<Model>) -> Result<Report, TaskFailure> {
    let now = query.within(model, FieldRole::Created).or_fail()?;
    let new = query.series(now.clone(), FieldRole::Created, None).await?.counts;
    let before = query.count(&query.before(model, FieldRole::Created).or_fail()?).await?;
    let earlier = query.count(&query.until(model, FieldRole::Created).or_fail()?).await?;
    let came = sum(&new);
    let all = new.iter().scan(earlier, |all, more| {
        *all += more;
        Some(*all)
    });
    let all: Vec<u64> = all.collect();
    let mut report = query.report(came == 0);
    report.totals.push(Total::new("new_users", "New users", came, before));
    report.totals.push(Total::new("users", "Users in all", earlier + came, earlier));
    report.series.push(Column { name: "new_users", label: "new users", values: new });
    report.series.push(Column { name: "users", label: "users in all", values: all });
    report.charts.extend([("New users", vec![0]), ("Users in all", vec![1])]);
    query.active_users(&mut report).await?;
    if let Some(status) = model.field_with(FieldRole::Status) {
        let entries = named::statuses(model, query.top(now, &Group::Field(status.name.clone())).await?);
        let (title, counted) = ("New users by status", "new users");
        report.tops.push(Top { name: "statuses", title, noun: "Status", counted, entries, all: came });
    }
    Ok(report)
}

impl ReportQuery<'_> {
    /// Adds who did something, where activity is declared.
    async fn active_users(&self, report: &mut Report) -> Result<(), TaskFailure> {
        let Ok(model) = self.source.model_with(ModelRole::Activity) else { return Ok(()) };
        let (Some(user), Some(_)) = (model.field_with(FieldRole::User), model.field_with(FieldRole::Created)) else {
            return Ok(());
        };
        let distinct = Measure::Distinct(user.name.clone());
        let (now, before) =
            (self.within(model, FieldRole::Created).or_fail()?, self.before(model, FieldRole::Created).or_fail()?);
        let of_now = self.measured(now.clone(), std::slice::from_ref(&distinct)).await?;
        let of_before = self.measured(before, std::slice::from_ref(&distinct)).await?;
        let by_day = self.series(now.clone(), FieldRole::Created, Some(distinct)).await?;
        let people = |measured: &report_query::Measured| measured.measures.first().copied().unwrap_or_default();
        report.totals.push(Total::new("active_users", "Active users", people(&of_now), people(&of_before)));
        report.charts.push(("Active users", vec![report.series.len()]));
        report.series.push(Column { name: "active_users", label: "active users", values: by_day.measures });
        report.is_empty &= of_now.count == 0;
        let found = self.top(now, &Group::Field(user.name.clone())).await?;
        let entries = self.people(ModelRole::User, found).await?;
        let (title, counted) = ("Most active users", "actions");
        report.tops.push(Top { name: "users", title, noun: "User", counted, entries, all: of_now.count });
        Ok(())
    }
}

async fn content(query: &ReportQuery<'_>, model: &Arc<Model>) -> Result<Report, TaskFailure> {
    let views: Vec<Measure> =
        model.field_with(FieldRole::Views).map(|field| Measure::Sum(field.name.clone())).into_iter().collect();
    let (now, before) = (query.within(model, FieldRole::Created).or_fail()?, query.before(model, FieldRole::Created).or_fail()?);
    let created = query.series(now.clone(), FieldRole::Created, None).await?.counts;
    let (of_now, of_before) = (query.measured(now.clone(), &views).await?, query.measured(before, &views).await?);
    let earlier = query.count(&query.until(model, FieldRole::Created).or_fail()?).await?;
    let made = sum(&created);
    let mut report = query.report(made == 0);
    report.totals.push(Total::new("created", "Created", made, of_before.count));
    report.series.push(Column { name: "created", label: "created", values: created });
    if model.field_with(FieldRole::PublishedAt).is_some() {
        let published =
            query.series(query.within(model, FieldRole::PublishedAt).or_fail()?, FieldRole::PublishedAt, None).await?.counts;
        let before = query.count(&query.before(model, FieldRole::PublishedAt).or_fail()?).await?;
        report.is_empty &= sum(&published) == 0;
        report.totals.push(Total::new("published", "Published", sum(&published), before));
        report.series.push(Column { name: "published", label: "published", values: published });
    }
    report.totals.push(Total::new("contents", "Contents in all", earlier + made, earlier));
    if let (Some(&views), Some(&before)) = (of_now.measures.first(), of_before.measures.first()) {
        report.totals.push(Total::new("views", "Views of the created", views, before));
    }
    report.charts.push(("Created and published", (0..report.series.len()).collect()));
    let lists = [
        (FieldRole::Kind, "kinds", "Created by kind", "Kind"),
        (FieldRole::Status, "statuses", "Created by status", "Status"),
        (FieldRole::Author, "authors", "Created by author", "Author"),
    ];
    for (role, name, title, noun) in lists {
        let Some(field) = model.field_with(role) else { continue };
        let found = query.top(now.clone(), &Group::Field(field.name.clone())).await?;
        let entries = match role {
            FieldRole::Author => query.people(ModelRole::Admin, found).await?,
            FieldRole::Status => named::statuses(model, found),
            _ => named::plain(found),
        };
        report.tops.push(Top { name, title, noun, counted: "created", entries, all: made });
    }
    Ok(report)
}

fn sum(values: &[u64]) -> u64 {
    values.iter().fold(0, |sum, &value| sum.saturating_add(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_in_percent_and_never_divides_by_zero() {
        let per_mille = |now, before| Total::new("a", "A", now, before).per_mille();
        assert_eq!(per_mille(0, 0), Some(0));
        assert_eq!(per_mille(5, 0), None);
        assert_eq!(per_mille(0, 5), Some(-1_000));
        assert_eq!(per_mille(123, 100), Some(230));
        assert_eq!((per_mille(2, 3), per_mille(4, 3)), (Some(-333), Some(333)));
        assert_eq!((per_mille(1, 16), per_mille(31, 16)), (Some(-938), Some(938)));
        assert_eq!(per_mille(u64::MAX, 1), Some((i128::from(u64::MAX) - 1) * 1_000));
    }
}
