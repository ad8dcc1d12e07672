use super::*;

const NOW: &str = "2026-11-20T12:00:00Z";

fn kinds() -> TaskKinds {
    let declared = [("shop.tasks.mail", &["shop.mail"][..]), ("shop.tasks.twice", &["a.twice", "b.twice"])];
    TaskKinds {
        chosen: BTreeMap::from([("shop.tasks.chosen".to_owned(), "system.echo".to_owned())]),
        declared: declared
            .into_iter()
            .map(|(task, kinds)| (task.to_owned(), kinds.iter().map(|&kind| kind.to_owned()).collect()))
            .collect(),
        names: BTreeSet::from(["system.echo".to_owned(), "shop.mail".to_owned()]),
    }
}

fn records(rows: Value) -> BTreeMap<String, Record> {
    let rows: Vec<Value> = serde_json::from_value(rows).unwrap();
    rows.into_iter().map(|row| (row["id"].as_str().unwrap().to_owned(), Record::from(row))).collect()
}

/// What becomes of one periodic task: a plain one, with these columns in place of its own.
fn mapped(columns: &Value) -> Mapping {
    let mut row = json!({
        "name": "Echo", "task": "system.echo", "args": "[]", "kwargs": "{}", "enabled": "1", "one_off": "0", "crontab_id": "1", "headers": "{}",
        "total_run_count": "7", "description": ""
    });
    row.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
    let crontab = |id: &str, day: &str, weekday: &str| json!({ "id": id, "minute": "30", "hour": "9", "day_of_month": day, "month_of_year": "*", "day_of_week": weekday, "timezone": "Africa/Accra" });
    let tables = BeatTables {
        tasks: vec![Record::from(row)],
        crontabs: records(json!([crontab("1", "*", "mon-fri"), crontab("2", "13", "fri")])),
        intervals: records(json!([
            { "id": "1", "every": "5", "period": "minutes" }, { "id": "2", "every": "3000000", "period": "microseconds" },
            { "id": "3", "every": "1500000", "period": "microseconds" }, { "id": "4", "every": "0", "period": "hours" },
        ])),
        solars: records(json!([
            { "id": "1", "event": "dusk_civil", "latitude": "5.603700", "longitude": "-0.187000" },
            { "id": "2", "event": "eclipse", "latitude": "0", "longitude": "0" },
        ])),
        clocked: records(json!([
            { "id": "1", "clocked_time": "2030-01-01 09:00:00+00" }, { "id": "2", "clocked_time": "2020-01-01 09:00:00" },
        ])),
    };
    tables.mapped(&kinds(), NOW.parse().unwrap()).remove(0).mapping
}

fn schedule(columns: &Value) -> (Value, Vec<String>) {
    match mapped(columns) {
        Mapping::Schedule { body, notes } => (Value::Object(body), notes),
        other => panic!("{columns}: {other:?}"),
    }
}

fn reasons(columns: &Value) -> Vec<String> {
    match mapped(columns) {
        Mapping::Impossible(reasons) => reasons,
        other => panic!("{columns}: {other:?}"),
    }
}

#[test]
fn a_periodic_task_becomes_a_schedule() {
    let (body, notes) = schedule(&json!({}));
    let expected = json!({
        "name": "Echo", "kind": "system.echo", "enabled": true, "one_off": false, "args": {}, "crontab": "30 9 * * mon-fri", "timezone": "Africa/Accra"
    });
    assert_eq!((body, notes), (expected, Vec::new()));
}

#[test]
fn each_column_becomes_the_field_that_means_the_same() {
    let echo = |field: &str, value: Value| json!({ field: value });
    for (columns, fields) in [
        (json!({ "task": "shop.tasks.mail" }), echo("kind", json!("shop.mail"))),
        (json!({ "task": "shop.tasks.chosen" }), echo("kind", json!("system.echo"))),
        (json!({ "enabled": "0" }), echo("enabled", json!(false))),
        (json!({ "enabled": "true", "one_off": "true", "total_run_count": "0" }), json!({ "enabled": true, "one_off": true })),
        (json!({ "kwargs": "{\"a\": [1, null]}" }), echo("args", json!({ "a": [1, null] }))),
        (json!({ "description": "Why" }), echo("description", json!("Why"))),
        (json!({ "queue": "heavy", "expire_seconds": "600" }), json!({ "queue": "heavy", "expires": 600 })),
        (json!({ "expires": "2027-01-01 00:00:00.5" }), echo("end", json!("2027-01-01T00:00:00.5Z"))),
        (json!({ "start_time": "2026-12-01 01:00:00+01" }), echo("start", json!("2026-12-01T00:00:00Z"))),
        (
            json!({ "crontab_id": null, "solar_id": "1" }),
            echo("solar", json!({ "event": "dusk", "latitude": 5.6037, "longitude": -0.187 })),
        ),
        (json!({ "crontab_id": null, "clocked_id": "1" }), echo("clocked", json!("2030-01-01T09:00:00Z"))),
        (
            json!({ "crontab_id": null, "clocked_id": "2", "enabled": "0" }),
            json!({ "clocked": "2020-01-01T09:00:00Z", "enabled": false }),
        ),
    ] {
        let (body, _) = schedule(&columns);
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(&body[name], value, "{columns}: {body}");
        }
    }
}

#[test]
fn an_interval_is_counted_from_the_last_run_or_else_from_the_start() {
    let of = |id: &str, column: &str, time: &str| json!({ "crontab_id": null, "interval_id": id, column: time });
    for (columns, interval) in [
        (
            of("1", "last_run_at", "2026-11-20 11:58:03.123456"),
            json!({ "every": 5, "unit": "minutes", "from": "2026-11-20T11:58:03Z" }),
        ),
        (of("1", "start_time", "2026-12-24T00:00:00Z"), json!({ "every": 5, "unit": "minutes", "from": "2026-12-24T00:00:00Z" })),
        (
            of("2", "date_changed", "2026-01-01 00:00:00"),
            json!({ "every": 3, "unit": "seconds", "from": "2026-01-01T00:00:00Z" }),
        ),
        (of("1", "queue", "q"), json!({ "every": 5, "unit": "minutes" })),
    ] {
        assert_eq!(schedule(&columns).0["interval"], interval, "{columns}");
    }
}

#[test]
fn what_changes_on_the_way_is_said() {
    for (columns, field, value, words) in [
        (json!({ "priority": "0" }), "priority", json!(0), "0 was with Celery on Redis"),
        (json!({ "priority": "200" }), "priority", json!(9), "priority 200 becomes 9"),
        (json!({ "exchange": "x" }), "enabled", json!(true), "exchange is ignored"),
        (json!({ "routing_key": "x.#" }), "enabled", json!(true), "routing_key is ignored"),
        (json!({ "headers": "{\"a\": 1}" }), "enabled", json!(true), "headers is ignored"),
        (json!({ "one_off": "1", "total_run_count": "1" }), "enabled", json!(false), "has run"),
    ] {
        let (body, notes) = schedule(&columns);
        assert_eq!(body[field], value, "{columns}");
        assert!(notes.len() == 1 && notes[0].contains(words), "{columns}: {notes:?}");
    }
}

#[test]
fn what_cannot_be_mapped_has_reasons() {
    for (columns, words) in [
        (json!({ "task": "shop.tasks.none" }), "--map shop.tasks.none=KIND"),
        (json!({ "task": "shop.tasks.twice" }), "a.twice, b.twice"),
        (json!({ "args": "[1, \"a\"]" }), "[1,\"a\"]"),
        (json!({ "args": "nonsense" }), "not JSON"),
        (json!({ "kwargs": "[1]" }), "not a JSON object"),
        (json!({ "crontab_id": null }), "no schedule"),
        (json!({ "crontab_id": "9" }), "does not exist"),
        (json!({ "interval_id": "1" }), "several schedules"),
        (json!({ "crontab_id": "2" }), "Celery requires both"),
        (json!({ "crontab_id": null, "interval_id": "3" }), "1500000 microseconds"),
        (json!({ "crontab_id": null, "interval_id": "4" }), "not a period"),
        (json!({ "crontab_id": null, "solar_id": "2" }), "eclipse"),
        (json!({ "crontab_id": null, "clocked_id": "2" }), "2020-01-01T09:00:00Z has passed"),
        (json!({ "expires": "2026-11-20 12:00:00" }), "expired"),
        (json!({ "start_time": "soon" }), "not a time"),
    ] {
        let reasons = reasons(&columns);
        assert!(reasons.len() == 1 && reasons[0].contains(words), "{columns}: {reasons:?}");
    }
    assert_eq!(reasons(&json!({ "task": "x", "args": "[1]", "crontab_id": null })).len(), 3, "all reasons are told");
}

#[test]
fn every_event_is_one_of_ours() {
    for (_, event) in EVENTS {
        event.parse::<legwork_schedule::SolarEvent>().unwrap();
    }
}

#[test]
fn the_clean_up_of_results_is_not_needed() {
    assert!(matches!(mapped(&json!({ "task": "celery.backend_cleanup" })), Mapping::NotNeeded(_)));
}
