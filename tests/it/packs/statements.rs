//! Statements of packs in a real database of either sort.

use std::time::Duration;

use legwork_source::{Access, RawStatement};
use serde_json::json;

use super::ground::{Ground, Side, on_texts};

const HEAD: &str = r#"
[pack]
name = "probe"
description = "What the tests need."
[sources.probe]
url = "env:PROBE_DATABASE_URL"
schema = "schema.sql"
demo = "demo.sql"
"#;
const SCHEMA: &str = "CREATE TABLE things (id INTEGER PRIMARY KEY, amount NUMERIC)";
const DEMO: &str = "INSERT INTO things (id, amount) VALUES (1, 0.1), (2, 20), (3, NULL)";

async fn on(kinds: &str, files: &[(&str, &str)], case: impl AsyncFn(&Ground)) {
    let declaration = format!("{HEAD}{kinds}");
    let own = [("pack.toml", declaration.as_str()), ("schema.sql", SCHEMA), ("demo.sql", DEMO)];
    on_texts(&[&own, files].concat(), case).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_may_change_rows_inside_a_with_and_give_them() {
    const KINDS: &str = r#"
[kinds."probe.take"]
description = "Takes rows out."
runner = "sql"
sql = "take.sql"
rows = "many"
"#;
    let files = [
        ("take.sql", "DELETE FROM things WHERE id < 3 RETURNING id"),
        (
            "take.postgres.sql",
            "WITH gone AS (DELETE FROM things WHERE id < 3 RETURNING id), kept AS (SELECT 1) SELECT id FROM gone ORDER BY id",
        ),
    ];
    on(KINDS, &files, async |ground| {
        assert_eq!(ground.packs.prepare(&ground.services.sources).await, Ok(()));
        let result = ground.run("probe.take", &json!({})).await.unwrap();
        assert_eq!(result["rows"], json!([{ "id": 1 }, { "id": 2 }]), "{result}");
        assert_eq!(ground.number("SELECT COUNT(*) AS n FROM things").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_postgres_keep_their_digits_both_ways() {
    const KINDS: &str = r#"
[kinds."probe.keep"]
description = "Keeps a number."
runner = "sql"
[[kinds."probe.keep".steps]]
name = "large"
sql = "SELECT CAST('12345678901234567.89' AS NUMERIC) AS amount, CAST(0.5 AS NUMERIC) AS half"
rows = "one"
[[kinds."probe.keep".steps]]
sql = "UPDATE things SET amount = :amount WHERE id = 1"
bind = { amount = { type = "number", value = "{{ results.large.amount }}" } }
[[kinds."probe.keep".steps]]
name = "kept"
sql = "SELECT CAST(amount AS text) AS amount FROM things WHERE id = 1"
rows = "one"
"#;
    on(KINDS, &[], async |ground| {
        let result = ground.run("probe.keep", &json!({})).await.unwrap();
        assert_eq!(result["large"]["half"], 0.5);
        if ground.side == Side::Postgres {
            assert_eq!(result["large"]["amount"], "12345678901234567.89");
            assert_eq!(result["kept"]["amount"], "12345678901234567.89");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_writes_after_all_is_a_failure_without_retries() {
    const KINDS: &str = r#"
[kinds."probe.next"]
description = "Reads, or so it seems."
runner = "builtin"
kind = "system.echo"
query = "next.sql"
"#;
    let files = [
        ("next.sql", "SELECT 1 AS number"),
        ("next.postgres.sql", "SELECT nextval(pg_get_serial_sequence('counted', 'id')) AS number"),
    ];
    on(KINDS, &files, async |ground| {
        if ground.side == Side::Sqlite {
            return;
        }
        ground.change("CREATE TABLE counted (id BIGINT GENERATED ALWAYS AS IDENTITY)").await;
        let message = ground.outcome("probe.next", &json!({})).await.unwrap_err();
        assert!(message.starts_with("SourceError: ") && message.contains("read-only transaction"), "{message}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_postgres_ends_when_its_transaction_is_dropped() {
    let statement = |text: &str| RawStatement { text: text.to_owned(), values: Vec::new() };
    on("", &[], async |ground| {
        let source = ground.services.sources.get(Some("probe")).unwrap();
        if !source.is_postgres() {
            return;
        }
        // The key is that of this test's schema, so that no other test waits for it.
        let key = "hashtext(current_schema())";
        let mut stopped = source.begin(Access::Write).await.unwrap();
        stopped.execute(&statement("UPDATE things SET amount = 5 WHERE id = 1")).await.unwrap();
        stopped.execute(&statement(&format!("SELECT pg_advisory_lock({key})"))).await.unwrap();
        let long = statement(&format!("SELECT pg_advisory_unlock({key}), pg_sleep(600)"));
        let mut waiting = source.begin(Access::Write).await.unwrap();
        let lock = statement(&format!("SELECT pg_advisory_xact_lock({key})"));
        tokio::select! {
            ended = stopped.execute(&long) => panic!("{ended:?}"),
            // The long statement runs: it has given the key up.
            locked = waiting.execute(&lock) => drop(locked.unwrap()),
        }
        drop(stopped);
        let changed = waiting.execute(&statement("UPDATE things SET amount = 6 WHERE id = 1")).await;
        assert_eq!(changed, Ok(1), "the row is free, because the stopped transaction is gone");
        waiting.commit().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_postgres_ends_with_its_attempt() {
    const KINDS: &str = r#"
[kinds."probe.limit"]
description = "Tells the limit of its statements."
runner = "sql"
sql = "limit.sql"
rows = "one"
"#;
    let files = [
        ("limit.sql", "SELECT '91s' AS statements"),
        ("limit.postgres.sql", "SELECT current_setting('statement_timeout') AS statements"),
    ];
    on(KINDS, &files, async |ground| {
        let mut cx = ground.task("probe.limit");
        cx.deadline = cx.clock.now().checked_add(Duration::from_secs(90)).ok();
        let result = ground.attempt(&cx, "probe.limit", 1, &json!({})).await.unwrap();
        assert_eq!(result["row"]["statements"], "91s", "a second after its limit");
    })
    .await;
}
