use serde_json::json;

use super::*;
use crate::SourcesConfig;

fn user() -> Arc<Model> {
    let mut config = SourcesConfig::demo(std::path::Path::new("data"));
    let mut model = config.sources.remove("app").unwrap().models["user"].clone();
    let fields = &mut Arc::make_mut(&mut model).fields;
    fields.iter_mut().find(|field| field.name == "phone").unwrap().may_filter = false;
    fields.iter_mut().find(|field| field.name == "last_name").unwrap().may_export = false;
    model
}

fn field_errors(fields: &[&str], filters: &Value) -> Vec<(String, String)> {
    let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
    let field_errors = Query::parse(&user(), &fields, filters.as_object().unwrap()).err().unwrap_or_default();
    field_errors.into_iter().map(|field_error| (field_error.pointer, field_error.detail)).collect()
}

#[test]
fn every_fault_points_at_its_place_and_names_what_is_allowed() {
    for (filters, pointer, words) in [
        (json!({ "nope": 1 }), "/filters/nope", "is no field of the model user to filter by; allowed are id, email"),
        (json!({ "phone": "1" }), "/filters/phone", "is no field of the model user to filter by"),
        (json!({ "id; DROP TABLE users": 1 }), "/filters/id; DROP TABLE users", "is no field"),
        (json!({ "a/b~c": 1 }), "/filters/a~1b~0c", "is no field"),
        (json!({ "status": { "gt": "1" } }), "/filters/status/gt", "\"1\" is not a whole number"),
        (json!({ "status": "1 OR 1=1" }), "/filters/status", "is not a whole number"),
        (json!({ "status": 1.5 }), "/filters/status", "1.5 is not a whole number"),
        (
            json!({ "status": { "= 1 OR 1": 1 } }),
            "/filters/status/= 1 OR 1",
            "is no operator of status, which is of type integer; allowed are eq, ne, lt, lte, gt, gte, in, is_null",
        ),
        (json!({ "status": { "contains": "1" } }), "/filters/status/contains", "is no operator"),
        (json!({ "status": {} }), "/filters/status", "names no operator"),
        (json!({ "status": [1, 2] }), "/filters/status", "write {\"in\""),
        (json!({ "status": { "in": [] } }), "/filters/status/in", "empty list"),
        (json!({ "status": { "in": [1, "2"] } }), "/filters/status/in/1", "\"2\" is not a whole number"),
        (json!({ "status": { "in": 1 } }), "/filters/status/in", "is not a list"),
        (json!({ "status": { "is_null": 1 } }), "/filters/status/is_null", "must be true or false"),
        (json!({ "is_verified": 1 }), "/filters/is_verified", "1 is not true or false"),
        (json!({ "is_verified": { "gt": true } }), "/filters/is_verified/gt", "allowed are eq, ne, in, is_null"),
        (json!({ "email": 5 }), "/filters/email", "5 is not a text"),
        (json!({ "email": "a\u{0}b" }), "/filters/email", "NUL"),
        (json!({ "created_at": "yesterday" }), "/filters/created_at", "\"yesterday\" is not a time like"),
    ] {
        let reported = field_errors(&[], &filters);
        assert!(reported.len() == 1 && reported[0].0 == pointer && reported[0].1.contains(words), "{filters}: {reported:?}");
    }
}

#[test]
fn fields_are_checked_one_by_one_and_together_with_filters() {
    let reported = field_errors(&["id", "nope\" FROM users--", "id", "last_name"], &json!({ "x": 1 }));
    let pointers: Vec<&str> = reported.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/fields/1", "/fields/2", "/fields/3", "/filters/x"]);
    assert!(reported[0].1.contains("allowed are id, email, first_name, phone"), "{reported:?}");
    assert_eq!(reported[1].1, "\"id\" is named twice");
}

#[test]
fn no_fields_are_all_that_may_be_asked_for() {
    let query = Query::parse(&user(), &[], &Map::new()).unwrap();
    let names: Vec<&str> = query.fields().iter().map(|field| field.name.as_str()).collect();
    assert!(names.starts_with(&["id", "email", "first_name", "phone"]) && !names.contains(&"last_name"), "{names:?}");
}

#[test]
fn conditions_are_bounded_in_number() {
    let many: Vec<i64> = (0..10_001).collect();
    assert_eq!(field_errors(&[], &json!({ "id": { "in": many } }))[0].0, "/filters/id/in");
    let all = json!({ "id": { "gt": 1, "gte": 2, "lt": 5, "lte": 6, "ne": 3, "in": [4], "eq": 4, "is_null": false } });
    let query = Query::parse(&user(), &[], all.as_object().unwrap()).unwrap();
    assert_eq!(query.filter.conditions.len(), 8);
}

#[test]
fn times_are_taken_with_and_without_an_offset_and_days_as_their_first_moment() {
    for (text, expected) in [
        ("2026-01-31T12:00:00Z", "2026-01-31 12:00:00"),
        ("2026-01-31T12:00:00.25+02:00", "2026-01-31 10:00:00.250000"),
        ("2026-01-31T12:00:00", "2026-01-31 12:00:00"),
        ("2026-01-31 12:00:00+00", "2026-01-31 12:00:00"),
        ("2026-01-31", "2026-01-31 00:00:00"),
    ] {
        assert_eq!(bound(FieldType::Timestamp, &json!(text)).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn a_kind_may_use_any_declared_field() {
    let filter = Filter::all(&user()).and("phone", Operator::Contains, &json!("+233")).unwrap();
    let filter = filter.and_role(FieldRole::Status, Operator::Eq, &json!(1)).unwrap();
    assert_eq!(filter.conditions.len(), 2);
    let missing = Filter::all(&user()).and_role(FieldRole::ExpiresAt, Operator::Lt, &json!("2026-01-01")).unwrap_err();
    assert!(missing.detail.contains("no field of the model user has the role expires_at"), "{}", missing.detail);
}
