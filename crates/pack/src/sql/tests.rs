use serde_json::json;

use super::{Dialect, SqlType, SqlValue, split};
use crate::fault::Place;

/// The names of the parameters of each statement.
fn names(text: &str) -> Vec<Vec<&str>> {
    split(text).unwrap().iter().map(|statement| statement.names().map(|(name, _)| name).collect()).collect()
}

fn rendered(text: &str, dialect: Dialect, kind: &SqlType) -> String {
    split(text).unwrap()[0].rendered(dialect, Place::default(), |_| Some(kind.clone())).text
}

fn faults(text: &str) -> Vec<(usize, String)> {
    split(text).unwrap_err()
}

#[test]
fn names_are_found_outside_literals_comments_and_casts() {
    let cases: [(&str, &[&str]); 14] = [
        ("SELECT :a, :b_2 FROM t WHERE x=:a", &["a", "b_2", "a"]),
        ("SELECT ':no', 'it''s :no' , :yes", &["yes"]),
        ("SELECT \":no\", `:no`, :yes", &["yes"]),
        ("SELECT 1 -- :no\n, :yes", &["yes"]),
        ("SELECT /* :no /* :no */ :no */ :yes", &["yes"]),
        ("SELECT x::date, :yes::text, '1'::int", &["yes"]),
        ("SELECT $$ :no $$, $fn$ :no $$ :no $fn$, :yes", &["yes"]),
        ("SELECT E'it\\'s :no', :yes", &["yes"]),
        ("SELECT a[1:2], a[lo:hi], :yes", &["yes"]),
        ("SELECT e, 'x' AS e, :yes", &["yes"]),
        ("SELECT 12:no", &[]),
        ("SELECT '\\', :yes", &["yes"]),
        ("SELECT 'ünï', :yes, 'ä'", &["yes"]),
        (":first", &["first"]),
    ];
    for (text, expected) in cases {
        assert_eq!(names(text), [expected], "{text}");
    }
}

#[test]
fn statements_end_at_semicolons_that_are_not_inside_something() {
    assert_eq!(
        names("DELETE FROM a WHERE x = ';' AND y = :y; -- a comment; with one\n;;\n DELETE FROM b WHERE z = :z;\n"),
        [["y"], ["z"]]
    );
    let trigger =
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = CASE WHEN y THEN 1 ELSE 2 END; DELETE FROM b; END; SELECT 1";
    assert_eq!(split(trigger).unwrap().len(), 2);
    let function = "CREATE FUNCTION f() RETURNS int AS $$ BEGIN RETURN 1; END $$ LANGUAGE plpgsql; SELECT 1";
    assert_eq!(split(function).unwrap().len(), 2);
    assert_eq!(split("\n\n  SELECT 1; UPDATE t SET a = 1").unwrap()[1].words[0].text, "update");
}

#[test]
fn faults_of_sql_say_where() {
    let cases = [
        ("SELECT $1", 7, "numbered parameters"),
        ("SELECT 'open", 7, "never closed"),
        ("SELECT /* open", 7, "never closed"),
        ("SELECT $x$ open", 7, "never closed"),
        ("SELECT 1; COMMIT", 10, "COMMIT is not allowed"),
        ("pragma foreign_keys = on", 0, "PRAGMA is not allowed"),
        ("COPY t TO STDOUT", 0, "Use INSERT"),
        ("SELECT 1; SET ROLE admin", 10, "SET ROLE is not allowed"),
        ("set session authorization x", 0, "SET SESSION is not allowed"),
        ("SET LOCAL ROLE admin", 0, "SET LOCAL is not allowed"),
        ("VACUUM", 0, "outside of tasks"),
        ("/* x */ attach 'f' AS f", 8, "ATTACH is not allowed"),
        ("SELECT {{ params.x }}", 7, "SQL is no template"),
        (" -- nothing\n", 0, "holds no statement"),
    ];
    for (text, at, words) in cases {
        let faults = faults(text);
        assert_eq!(faults[0].0, at, "{text}");
        assert!(faults[0].1.contains(words), "{text}: {}", faults[0].1);
    }
}

#[test]
fn a_statement_has_one_placeholder_for_each_name() {
    let text = "SELECT * FROM t WHERE a = :a AND b = :b OR a > :a";
    let statement = split(text).unwrap()[0].rendered(Dialect::Postgres, Place::default(), |name| {
        Some(if name == "a" { SqlType::Integer } else { SqlType::Datetime })
    });
    assert_eq!(
        statement.text,
        "SELECT * FROM t WHERE a = CAST($1::text AS bigint) AND b = CAST($2::text AS timestamptz) OR a > CAST($1::text AS bigint)"
    );
    assert_eq!(statement.parameters.iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(rendered(text, Dialect::Sqlite, &SqlType::Integer), "SELECT * FROM t WHERE a = ?1 AND b = ?2 OR a > ?1");
}

#[test]
fn a_list_stands_as_a_subquery_of_its_items() {
    let list = SqlType::Integer.listed();
    let text = "DELETE FROM t WHERE id IN (:ids)";
    assert_eq!(rendered(text, Dialect::Sqlite, &list), "DELETE FROM t WHERE id IN (SELECT value FROM json_each(?1))");
    assert_eq!(
        rendered(text, Dialect::Postgres, &list),
        "DELETE FROM t WHERE id IN (SELECT CAST(item AS bigint) FROM jsonb_array_elements_text(CAST($1::text AS jsonb)) AS item)"
    );
    assert_eq!(SqlType::Json.listed(), SqlType::Json);
}

#[test]
fn values_arrive_as_their_types_say() {
    let text = |text: &str| SqlValue::Text(text.into());
    let cases = [
        (SqlType::Integer, json!(5), text("5"), SqlValue::Integer(5)),
        (SqlType::Integer, json!(5.0), text("5"), SqlValue::Integer(5)),
        (SqlType::Number, json!(1.5), text("1.5"), SqlValue::Real(1.5)),
        (SqlType::Number, json!("100.50"), text("100.50"), SqlValue::Real(100.5)),
        (SqlType::Boolean, json!(true), text("true"), SqlValue::Integer(1)),
        (SqlType::Boolean, json!(0), text("false"), SqlValue::Integer(0)),
        (SqlType::Date, json!("2026-01-31"), text("2026-01-31"), text("2026-01-31")),
        (SqlType::Datetime, json!("2026-01-31T09:00:00+01:00"), text("2026-01-31T08:00:00Z"), text("2026-01-31 08:00:00")),
        (SqlType::Datetime, json!("2026-01-31 08:00:00.5"), text("2026-01-31T08:00:00.5Z"), text("2026-01-31 08:00:00.500000")),
        (
            SqlType::Uuid,
            json!("0198C5A4-7D1E-7C3A-9F00-2B8D1C6E4A57"),
            text("0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57"),
            text("0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57"),
        ),
        (SqlType::Text, json!("x'; DROP TABLE t; --"), text("x'; DROP TABLE t; --"), text("x'; DROP TABLE t; --")),
        (SqlType::Json, json!({ "a": [1] }), text("{\"a\":[1]}"), text("{\"a\":[1]}")),
        (SqlType::Text.listed(), json!(["a", "b"]), text("[\"a\",\"b\"]"), text("[\"a\",\"b\"]")),
        (SqlType::Boolean.listed(), json!([true]), text("[\"true\"]"), text("[1]")),
        (SqlType::Integer, json!(null), SqlValue::Null, SqlValue::Null),
    ];
    for (kind, value, postgres, sqlite) in cases {
        assert_eq!(SqlValue::encode(&kind, &value, Dialect::Postgres).unwrap(), postgres, "{value}");
        assert_eq!(SqlValue::encode(&kind, &value, Dialect::Sqlite).unwrap(), sqlite, "{value}");
    }
    for (kind, value) in [
        (SqlType::Integer, json!("five")),
        (SqlType::Integer, json!(1.5)),
        (SqlType::Date, json!("2026-01-31T09:00:00Z")),
        (SqlType::Datetime, json!("2026-01-31")),
        (SqlType::Boolean, json!(2)),
        (SqlType::Text, json!([])),
        (SqlType::Integer.listed(), json!(1)),
    ] {
        let error = SqlValue::encode(&kind, &value, Dialect::Sqlite).unwrap_err();
        assert!(error.starts_with("must be ") && error.contains("; got "), "{error}");
    }
}

#[test]
fn an_error_does_not_quote_the_value_which_may_be_a_secret() {
    for kind in [SqlType::Integer, SqlType::Number, SqlType::Date, SqlType::Datetime, SqlType::Uuid, SqlType::Boolean] {
        for (kind, value) in [(kind.clone(), json!("s3cret")), (kind.listed(), json!(["s3cret"]))] {
            let error = SqlValue::encode(&kind, &value, Dialect::Postgres).unwrap_err();
            assert!(error.ends_with("; got another text, of 6 characters"), "{error}");
        }
    }
}

#[test]
fn what_a_query_must_not_do_is_found() {
    let write = |text: &str| split(text).unwrap()[0].write();
    for (text, at, words) in [
        ("DELETE FROM t", 0, "DELETE"),
        ("CREATE TABLE t (a INT)", 0, "CREATE"),
        ("SELECT 1 FROM t FOR UPDATE", 16, "FOR UPDATE"),
        ("SELECT 1 FROM t FOR NO KEY UPDATE SKIP LOCKED", 16, "FOR NO KEY UPDATE"),
        ("SELECT 1 FROM (SELECT 1 FROM t for key share) AS s", 31, "FOR KEY SHARE"),
        ("WITH a AS (DELETE FROM t RETURNING id) SELECT id FROM a", 11, "DELETE"),
        ("WITH a AS ( -- why\n update t SET b = 1 RETURNING id) SELECT id FROM a", 20, "UPDATE"),
        ("WITH a AS (SELECT 1) INSERT INTO t SELECT 1", 21, "INSERT"),
        ("SELECT 1 INTO copy FROM t", 9, "INTO"),
    ] {
        assert_eq!(write(text), Some((at, words.to_owned())), "{text}");
    }
    for text in [
        "SELECT 'DELETE FROM t' AS a, \"update\", deleted, update, count(delete) FROM t",
        "WITH a AS (SELECT 1 /* (DELETE FROM t) */) SELECT substring(b FOR 3), t.update FROM a",
        "VALUES (1)",
        "(SELECT 1) UNION (SELECT 2)",
        "SELECT a FROM t WHERE b = :update AND c = 1",
    ] {
        assert_eq!(write(text), None, "{text}");
    }
    let allowed = ["SET LOCAL lock_timeout TO '1s'", "UPDATE t SET role = 'x'", "LOCK TABLE t"];
    assert!(allowed.iter().all(|text| split(text).is_ok()));
}
