//! What runners receive.

use std::time::Duration;

use legwork_pack::{Backoff, Dialect, NoRow, Rows, Runner, Scope, SqlValue};
use serde_json::{Value as Json, json};

use super::support::load;

#[test]
fn limits_come_from_the_kind_then_from_the_defaults() {
    let packs = load(
        r#"
[defaults]
queue = "heavy"
max_retries = 5
retry = { backoff = "fixed", delay = 60 }
time_limit = 300
soft_time_limit = 270
[kinds."p.a"]
description = "d"
runner = "sql"
sql = "DELETE FROM t"
rate = "10/m"
[kinds."p.b"]
description = "d"
runner = "sql"
sql = "DELETE FROM t"
queue = "light"
time_limit = "1h"
retry = { backoff = "exponential" }
scope = "admin"
"#,
    )
    .unwrap();
    let (a, b) = (packs.kind("p.a").unwrap().1, packs.kind("p.b").unwrap().1);
    assert_eq!((a.limits.queue.as_deref(), b.limits.queue.as_deref()), (Some("heavy"), Some("light")));
    assert_eq!((a.limits.time_limit, b.limits.time_limit), (Some(Duration::from_mins(5)), Some(Duration::from_hours(1))));
    assert_eq!(a.limits.soft_time_limit, Some(Duration::from_secs(270)));
    assert_eq!(a.limits.retry, Some(Backoff::Fixed(Duration::from_mins(1))));
    assert_eq!(
        b.limits.retry,
        Some(Backoff::Exponential { base: Duration::from_mins(1), cap: Duration::from_hours(1), jitter: 0.1 })
    );
    assert_eq!((a.needs_admin, b.needs_admin), (false, true));
    assert_eq!(a.rate.map(|rate| rate.to_string()).as_deref(), Some("10/m"));
    assert_eq!(a.source.as_deref(), Some("s"));
}

#[test]
fn an_email_reads_sends_and_notes() {
    let packs = load(
        r#"
[kinds."p.mail"]
description = "d"
runner = "email"
query = "SELECT email, name FROM users WHERE id = :user_id AND created_at > :since"
bind = { since = { type = "datetime", value = "{{ now | minus(days=90) }}" } }
no_row = "skip"
when = "row.email and results.totals.n > 0"
to = "{{ row.email }}"
subject = "Hello {{ row.name }}"
text = "{{ results.totals.n }}"
[kinds."p.mail".params]
user_id = "integer"
[kinds."p.mail".queries.totals]
sql = "SELECT COUNT(*) AS n FROM t"
rows = "one"
[[kinds."p.mail".after]]
name = "logged"
sql = "INSERT INTO log (task, user_id, message) VALUES (:task_id, :user_id, :message)"
bind = { message = "{{ outcome.message_id }}" }
[[kinds."p.mail".on_failure]]
name = "logged"
sql = "INSERT INTO log (task, user_id, message) VALUES (:task_id, :user_id, :message)"
bind = { message = "{{ error.message }}" }
"#,
    )
    .unwrap();
    let (pack, kind) = packs.kind("p.mail").unwrap();
    let query = kind.data.query.as_ref().unwrap();
    assert_eq!(kind.data.no_row, NoRow::Skip);
    assert_eq!(kind.data.queries[0].1.rows, Rows::One);
    let scope = Scope::new()
        .with("now", json!("2026-06-01T12:00:00Z"))
        .with("params", Json::Object(kind.params.parse(r#"{"user_id":7}"#).unwrap()))
        .with("task", json!({ "id": "t" }));
    let statement = &query.sql.statements(Dialect::Sqlite)[0];
    assert_eq!(statement.text, "SELECT email, name FROM users WHERE id = ?1 AND created_at > ?2");
    let bound = pack.engine.bound(&query.sql, statement, Dialect::Sqlite, &scope).unwrap();
    assert_eq!(bound, [SqlValue::Integer(7), SqlValue::Text("2026-03-03 12:00:00".into())]);
    let statement = &query.sql.statements(Dialect::Postgres)[0];
    let bound = pack.engine.bound(&query.sql, statement, Dialect::Postgres, &scope).unwrap();
    assert_eq!(bound, [SqlValue::Text("7".into()), SqlValue::Text("2026-03-03T12:00:00Z".into())]);

    let scope = scope.with("row", json!({ "email": "a@b.c", "name": "Ann" })).with("results", json!({ "totals": { "n": 3 } }));
    assert!(pack.engine.holds(kind.when.as_ref().unwrap(), &scope).unwrap());
    let Runner::Email(email) = &kind.runner else { panic!("an email") };
    assert_eq!(pack.engine.text(&email.to, &scope).unwrap(), "a@b.c");
    assert_eq!(pack.engine.text(&email.subject, &scope).unwrap(), "Hello Ann");
    assert_eq!((kind.steps.after.len(), kind.steps.on_failure.len()), (1, 1));
}

#[test]
fn a_fan_out_makes_children_of_rows() {
    let packs = load(
        r#"
[kinds."p.all"]
description = "d"
runner = "fan_out"
query = "SELECT id, phone FROM users"
key = "id"
no_row = "fail"
[[kinds."p.all".children]]
kind = "p.one"
args = { user_id = "{{ row.id }}", note = "for {{ row.id }}" }
when = "row.phone"
eta = "{{ now | plus(hours=1) }}"
[kinds."p.one"]
description = "d"
runner = "sms"
to = "+233244123456"
message = "{{ params.note }}"
params = { user_id = "integer", note = "string" }
"#,
    )
    .unwrap();
    let (pack, kind) = packs.kind("p.all").unwrap();
    let Runner::FanOut(fan_out) = &kind.runner else { panic!("a fan-out") };
    assert_eq!((fan_out.batch, fan_out.no_row, fan_out.key.as_str()), (500, NoRow::Fail, "id"));
    let child = &fan_out.children[0];
    let scope = Scope::new().with("now", json!("2026-06-01T12:00:00Z")).with("row", json!({ "id": 7, "phone": null }));
    assert!(!pack.engine.holds(child.when.as_ref().unwrap(), &scope).unwrap());
    let args = pack.engine.value(&child.args, &scope).unwrap();
    assert_eq!(args, json!({ "user_id": 7, "note": "for 7" }));
    packs.kind("p.one").unwrap().1.params.apply(args.as_object().unwrap()).unwrap();
    assert_eq!(pack.engine.value(child.eta.as_ref().unwrap(), &scope).unwrap(), json!("2026-06-01T13:00:00Z"));
}

#[test]
fn a_secret_setting_is_not_shown() {
    let packs = load("[settings]\ntoken = { env = \"T\", default = \"hidden\", secret = true }\n").unwrap();
    assert_eq!(packs.packs()[0].settings_json()["token"], "hidden");
    assert!(!format!("{:?}", packs.packs()[0]).contains("hidden"));
}
