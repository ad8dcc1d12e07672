use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use super::{Engine, Expression, Scope, Value};
use crate::fault::Place;

fn scope() -> Scope {
    Scope::new()
        .with("now", json!("2026-03-29T00:30:00Z"))
        .with("today", json!("2026-03-29"))
        .with("params", json!({ "ids": [1, 2], "name": "Ann", "none": null, "days": 2, "code": "<b>" }))
        .with("row", json!({ "at": "2026-03-28 20:00:00", "total": 1234.5, "address": { "city": "Ho" } }))
}

fn evaluated(text: &str) -> Result<Json, String> {
    let engine = Engine::new(&TimeZone::get("Europe/London").unwrap());
    engine.value(&Value::text(text, "f".into(), Place::default()), &scope()).map_err(|error| error.to_string())
}

fn is(text: &str, expected: impl Into<Json>) {
    assert_eq!(evaluated(text).unwrap(), expected.into(), "{text}");
}

#[test]
fn one_expression_keeps_its_type() {
    is("{{ params.ids }}", json!([1, 2]));
    is("{{ params.none }}", json!(null));
    is(" {{- params.days * 2 -}} ", json!(4));
    is("{{ {'a': {'b': params.days}} }}", json!({ "a": { "b": 2 } }));
    is("{{ '}}' }}", json!("}}"));
    is("{{ params.name if params.days > 1 else none }}", json!("Ann"));
}

#[test]
fn other_texts_are_rendered() {
    is("plain", json!("plain"));
    is("{{ params.days }}{{ params.days }}", json!("22"));
    is("Hello {{ params.name }}, {{ params.none }}.", json!("Hello Ann, ."));
    is("{% if params.days > 1 %}many{% endif %}", json!("many"));
    is("{{ params.code }} is not escaped", json!("<b> is not escaped"));
}

#[test]
fn what_is_unknown_is_an_error_that_names_the_field() {
    for text in ["{{ row.nothing }}", "{{ nothing }}", "x {{ row.nothing }}", "{{ row.nothing + 1 }}"] {
        let error = evaluated(text).unwrap_err();
        assert!(error.starts_with("f: "), "{text}: {error}");
    }
    assert!(evaluated("{{ range(100000000) | length }}").is_err());
}

#[test]
fn html_is_escaped() {
    let engine = Engine::new(&TimeZone::UTC);
    let html = |text: &str| engine.html(&Value::text(text, "f".into(), Place::default()), &scope()).unwrap();
    assert_eq!(html("<p>{{ params.code }}</p>"), "<p>&lt;b&gt;</p>");
    assert_eq!(html("{{ params.code }}"), "&lt;b&gt;");
    assert_eq!(html("{{ params.none }}"), "");
}

#[test]
fn times_move_by_the_calendar_of_the_zone() {
    // The clocks go forward at 01:00 UTC on this day.
    is("{{ now | plus(days=1) }}", json!("2026-03-29T23:30:00Z"));
    is("{{ now | plus(hours=24) }}", json!("2026-03-30T00:30:00Z"));
    is("{{ now | minus(days=90) }}", json!("2025-12-29T00:30:00Z"));
    is("{{ today | minus(weeks=1) }}", json!("2026-03-22"));
    is("{{ '2026-01-31' | plus(months=1) }}", json!("2026-02-28"));
    is("{{ row.at | plus(minutes=params.days) }}", json!("2026-03-28T20:02:00Z"));
    is("{{ now | start_of('week') }}", json!("2026-03-23T00:00:00Z"));
    is("{{ '2026-06-15T12:34:56Z' | start_of('day') }}", json!("2026-06-14T23:00:00Z"));
    is("{{ '2026-06-15T12:34:56Z' | start_of('hour') }}", json!("2026-06-15T12:00:00Z"));
    is("{{ today | start_of('month') }}", json!("2026-03-01"));
    for wrong in [
        "{{ today | plus(hours=1) }}",
        "{{ now | plus(fortnights=1) }}",
        "{{ 'soon' | plus(days=1) }}",
        "{{ now | start_of('age') }}",
    ] {
        assert!(evaluated(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn times_and_numbers_are_formatted() {
    is("{{ '2026-06-15T12:34:56Z' | datetime }}", json!("2026-06-15 13:34"));
    is("{{ row.at | datetime('%-d %B %Y, %H:%M') }}", json!("28 March 2026, 20:00"));
    is("{{ '2026-06-15T23:34:56Z' | date }}", json!("2026-06-16"));
    is("{{ '2026-06-15T23:34:56Z' | date('%A', tz='UTC') }}", json!("Monday"));
    is("{{ today | date('%-d %b') }}", json!("29 Mar"));
    is("{{ row.total | number(2) }}", json!("1,234.50"));
    is("{{ -1234567.891 | number }}", json!("-1,234,568"));
    is("{{ -0.001 | number(2) }}", json!("0.00"));
    is("{{ 0.125 | percent(1) }}", json!("12.5%"));
    assert!(evaluated("{{ now | datetime(tz='Mars/Olympus') }}").unwrap_err().contains("no time zone"));
}

#[test]
fn a_condition_holds_or_not() {
    let engine = Engine::new(&TimeZone::UTC);
    let holds = |source: &str| engine.holds(&Expression::new(source, "f".into(), Place::default()), &scope()).unwrap();
    assert!(holds("row.address.city"));
    assert!(holds("params.days > 1 and not params.none"));
    assert!(!holds("params.none"));
    assert!(!holds("params.name == 'Bob'"));
    assert!(holds("true"));
}
