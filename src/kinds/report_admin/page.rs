//! What the templates of the page and of the mail are given.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::figures::{Report, Top, Total};
use super::range::Step;
use super::{Object, ReportType};
use crate::services::chart::{self, Bar, BarChart, Line, LineChart, grouped};

/// How wide the charts are drawn, for a desk and for paper, and for a telephone.
const WIDE: u32 = 880;
const NARROW: u32 = 340;
/// A top list's bars, which have a table beside them.
const BARS: u32 = 440;

/// What the page shows; charts are SVG, everything else is text.
pub(super) fn context(report: &Report, about: ReportType, made_at: Timestamp) -> Object {
    let before = report.range.before();
    let head: Vec<&str> = report.series.iter().map(|column| column.label).collect();
    let rendered = json!({
        "title": about.title(),
        "lang": "en",
        "period": period(report.range.from, report.range.to),
        "period_before": period(before.from, before.to),
        "days": report.range.days(),
        "source": report.source,
        "made_at": moment(made_at),
        "is_empty": report.is_empty,
        "totals": report.totals.iter().map(compared).collect::<Vec<_>>(),
        "charts": charts(report),
        "tops": report.tops.iter().enumerate().map(top).collect::<Vec<_>>(),
        "by_week": report.range.step() == Step::Week,
        "head": head,
        "rows": rows(report),
    });
    object(rendered)
}

/// What the mail shows.
pub(super) fn mail_context(report: &Report, about: ReportType, url: Option<&str>, expires_at: Option<Timestamp>) -> Object {
    let before = report.range.before();
    object(json!({
        "title": about.title(),
        "period": period(report.range.from, report.range.to),
        "period_before": period(before.from, before.to),
        "is_empty": report.is_empty,
        "totals": report.totals.iter().map(compared).collect::<Vec<_>>(),
        "report_url": url,
        "expires": expires_at.map(moment),
    }))
}

fn object(value: Value) -> Object {
    if let Value::Object(object) = value { object } else { Object::new() }
}

/// A total with its change in words: `+23`, `+23.0 %`.
fn compared(total: &Total) -> Value {
    let change = total.change();
    let sign = match change {
        0 => "±",
        change if change > 0 => "+",
        _ => "\u{2212}",
    };
    let by = grouped(u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX));
    let percent = match total.per_mille().map(i128::unsigned_abs) {
        Some(per_mille) => format!("{sign}{}.{} %", grouped(u64::try_from(per_mille / 10).unwrap_or(u64::MAX)), per_mille % 10),
        None => "new".to_owned(),
    };
    json!({
        "label": total.label,
        "now": grouped(total.now),
        "before": grouped(total.before),
        "change": format!("{sign}{by}"),
        "percent": percent,
        "is_same": change == 0,
    })
}

fn charts(report: &Report) -> Vec<Value> {
    let labels = labels(report);
    let step = report.range.step().as_str();
    let one = |(index, (title, columns)): (usize, &(&'static str, Vec<usize>))| {
        let columns: Vec<_> = columns.iter().filter_map(|&column| report.series.get(column)).collect();
        let lines: Vec<Line<'_>> = columns.iter().map(|column| Line { name: column.label, values: &column.values }).collect();
        let names: Vec<&str> = columns.iter().map(|column| column.label).collect();
        let most = columns.iter().map(|column| {
            let most = column.values.iter().max().copied().unwrap_or(0);
            format!("at most {} {} a {step}", grouped(most), column.label)
        });
        let most: Vec<String> = most.collect();
        let (from, to) = (report.range.from, report.range.to);
        let description = format!(
            "{} by {step} from {from} to {to}: {}. The table below has every value.",
            names.join(" and "),
            most.join(", ")
        );
        let drawn = |size: &str, width| {
            let id = format!("chart-{index}-{size}");
            chart::lines(&LineChart { id: &id, title, description: &description, labels: &labels, lines: &lines, width })
        };
        json!({ "title": title, "wide": drawn("wide", WIDE), "narrow": drawn("narrow", NARROW) })
    };
    report.charts.iter().enumerate().map(one).collect()
}

/// What stands below the axis.
fn labels(report: &Report) -> Vec<String> {
    let format = match report.range.step() {
        Step::Day => "%-d %b",
        Step::Week => "%-d %b %y",
    };
    report.range.cuts().iter().map(|day| day.strftime(format).to_string()).collect()
}

fn top((index, top): (usize, &Top)) -> Value {
    let bars: Vec<Bar<'_>> = top.entries.iter().map(|entry| Bar { label: &entry.label, value: entry.count }).collect();
    let description = match top.entries.first() {
        Some(first) => format!("{} of {}; the longest bar is {} with {}.", top.counted, top.all, first.label, first.count),
        None => "There is nothing to show.".to_owned(),
    };
    let draw = |size: &str, width| {
        let id = format!("top-{index}-{size}");
        chart::bars(&BarChart { id: &id, title: top.title, description: &description, bars: &bars, width })
    };
    let row = |entry: &super::figures::Entry| json!({ "label": entry.label, "count": grouped(entry.count), "share": share(entry.count, top.all) });
    json!({
        "title": top.title,
        "noun": top.noun,
        "counted": top.counted,
        "wide": draw("wide", BARS),
        "narrow": draw("narrow", NARROW),
        "rows": top.entries.iter().map(row).collect::<Vec<_>>(),
    })
}

/// As in `12.5 %`.
fn share(count: u64, all: u64) -> String {
    let per_mille = (u128::from(count) * 2_000 + u128::from(all)).checked_div(u128::from(all) * 2).unwrap_or(0);
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

fn rows(report: &Report) -> Vec<Value> {
    let cuts = report.range.cuts();
    let row = |(index, day): (usize, &Date)| {
        let values = report.series.iter().map(|column| grouped(column.values.get(index).copied().unwrap_or(0)));
        json!({ "date": day, "weekday": day.strftime("%a").to_string(), "values": values.collect::<Vec<_>>() })
    };
    cuts.iter().enumerate().map(row).collect()
}

/// `1 to 31 January 2024`, with no more of the first day than differs.
fn period(from: Date, to: Date) -> String {
    let last = to.strftime("%-d %B %Y").to_string();
    let first = match from {
        from if from == to => return last,
        from if (from.year(), from.month()) == (to.year(), to.month()) => from.day().to_string(),
        from if from.year() == to.year() => from.strftime("%-d %B").to_string(),
        from => from.strftime("%-d %B %Y").to_string(),
    };
    format!("{first} to {last}")
}

fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%-d %B %Y, %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_period_says_no_more_of_its_first_day_than_differs() {
        let last = date(2024, 1, 31);
        assert_eq!(period(last, last), "31 January 2024");
        assert_eq!(period(date(2024, 1, 1), last), "1 to 31 January 2024");
        assert_eq!(period(date(2024, 1, 1), date(2024, 2, 2)), "1 January to 2 February 2024");
        assert_eq!(period(date(2023, 12, 1), last), "1 December 2023 to 31 January 2024");
    }

    #[test]
    fn shares_and_changes_are_told_with_one_decimal() {
        assert_eq!((share(1, 3).as_str(), share(2, 3).as_str(), share(3, 3).as_str()), ("33.3 %", "66.7 %", "100.0 %"));
        assert_eq!(share(0, 0), "0.0 %");
        let message = |now, before| {
            let rendered = compared(&Total { name: "a", label: "A", now, before });
            format!("{} {}", rendered["change"].as_str().unwrap(), rendered["percent"].as_str().unwrap())
        };
        assert_eq!(message(1_500, 1_000), "+500 +50.0 %");
        assert_eq!(message(1, 3), "\u{2212}2 \u{2212}66.7 %");
        assert_eq!((message(2, 2).as_str(), message(2, 0).as_str()), ("±0 ±0.0 %", "+2 new"));
    }
}
