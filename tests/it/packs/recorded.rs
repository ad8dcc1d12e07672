//! An effect outside that took place is not repeated, whatever becomes of the steps behind it, and whatever later attempts read.

use std::path::Path;

use legwork_engine::domain::{Origin, TaskFailure, TaskId};
use legwork_engine::store::transient::TransientLedger;
use serde_json::json;

use super::ground::{Ground, Side, on};

const PACK: &str = r#"
[pack]
name = "shop"
description = "Tells people things."

[sources.shop]
url = "env:SHOP_DATABASE_URL"
schema = "schema.sql"
demo = "demo.sql"

[kinds."shop.tell_one"]
description = "Mails one person, and notes it."
runner = "email"
query = "SELECT email FROM people WHERE told = 0 ORDER BY id LIMIT 1"
to = "{{ row.email }}"
subject = "Note"
text = "Hello {{ row.email }}."

[[kinds."shop.tell_one".after]]
sql = "UPDATE people SET told = 1 WHERE email = :email AND (SELECT is_open FROM gate) = 1"
bind = { email = "{{ row.email }}" }
required = true

[[kinds."shop.tell_one".on_failure]]
sql = "INSERT INTO failures (is_retryable) VALUES (:is_retryable)"
bind = { is_retryable = "{{ 1 if error.retryable else 0 }}" }

[kinds."shop.tell_all"]
description = "Mails everybody who was not told."
runner = "email"
query = "SELECT email FROM people WHERE told = 0 ORDER BY id"
to = "{{ rows | map(attribute='email') | list }}"
subject = "Note"
text = "Hello."
"#;

const SCHEMA: &str = "
CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL, told INTEGER NOT NULL);
CREATE TABLE gate (is_open INTEGER NOT NULL);
CREATE TABLE failures (is_retryable INTEGER NOT NULL);
";

const ROWS: &str = "
INSERT INTO people (id, email, told) VALUES (1, 'ann@example.org', 0), (2, 'Bob <bob@example.org>', 0);
INSERT INTO gate (is_open) VALUES (0);
";

async fn with_shop(case: impl AsyncFn(&Ground)) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "pack.toml", PACK);
    write(folder.path(), "schema.sql", SCHEMA);
    write(folder.path(), "demo.sql", ROWS);
    on(folder.path().to_str().unwrap(), Side::Sqlite, case).await;
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_after_a_failed_step_goes_on_behind_the_mail() {
    with_shop(async |ground| {
        let cx = ground.task("shop.tell_one");
        let failed = ground.attempt(&cx, "shop.tell_one", 1, &json!({})).await.unwrap_err();
        assert!(matches!(&failed, TaskFailure::Fail(error) if error.kind == "NotFound"), "{failed:?}");
        assert_eq!(ground.mails().len(), 1);
        // Another person would be the first one now.
        ground.change("INSERT INTO people (id, email, told) VALUES (0, 'eve@example.org', 0)").await;
        ground.change("UPDATE gate SET is_open = 1").await;
        let result = ground.attempt(&cx, "shop.tell_one", 2, &json!({})).await.unwrap();
        assert_eq!(result["success"], true);
        assert_eq!(ground.mails().len(), 1, "the mail of the first attempt counts");
        assert_eq!(ground.number("SELECT COUNT(*) AS n FROM people WHERE told = 1 AND email LIKE 'ann%'").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_by_hand_goes_on_behind_the_mail_too() {
    with_shop(async |ground| {
        let first = ground.task("shop.tell_one");
        ground.attempt(&first, "shop.tell_one", 1, &json!({})).await.unwrap_err();
        ground.change("UPDATE gate SET is_open = 1").await;
        let mut retry = first.clone();
        retry.task = TaskId::made(first.clock.now());
        retry.files.task = retry.task;
        retry.retry_origin = Some(Origin { task: first.task, submitted_at: first.submitted_at });
        ground.attempt(&retry, "shop.tell_one", 1, &json!({})).await.unwrap();
        assert_eq!(ground.mails().len(), 1);
        assert_eq!(ground.number("SELECT SUM(told) AS n FROM people").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_whose_record_was_lost_is_guarded_by_the_ledger() {
    with_shop(async |ground| {
        let mut cx = ground.task("shop.tell_one");
        ground.attempt(&cx, "shop.tell_one", 1, &json!({})).await.unwrap_err();
        ground.change("UPDATE gate SET is_open = 1").await;
        cx.effects = std::sync::Arc::new(TransientLedger::default());
        ground.attempt(&cx, "shop.tell_one", 2, &json!({})).await.unwrap();
        assert_eq!(ground.mails().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_read_different_lists_mail_nobody_twice() {
    with_shop(async |ground| {
        let cx = ground.task("shop.tell_all");
        let first = ground.attempt(&cx, "shop.tell_all", 1, &json!({})).await.unwrap();
        assert_eq!(first["messages"].as_array().unwrap().len(), 2, "{first}");
        assert_eq!(ground.mails().len(), 2);
        // One was told meanwhile, another one is new, and the spelling of the third has changed.
        ground.change("UPDATE people SET told = 1 WHERE id = 1").await;
        ground.change("INSERT INTO people (id, email, told) VALUES (0, 'eve@example.org', 0)").await;
        ground.change("UPDATE people SET email = 'BOB@example.org' WHERE id = 2").await;
        ground.attempt(&cx, "shop.tell_all", 2, &json!({})).await.unwrap();
        assert_eq!(ground.mails().len(), 3, "only the new one gets a mail");
        ground.change("UPDATE people SET told = 1 WHERE id = 0").await;
        ground.attempt(&cx, "shop.tell_all", 3, &json!({})).await.unwrap();
        assert_eq!(ground.mails().len(), 3, "a list of one is a list");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_failure_knows_whether_another_attempt_follows() {
    with_shop(async |ground| {
        for (retries_left, expected) in [(1, 1), (0, 0)] {
            let mut cx = ground.task("shop.tell_one");
            cx.retries_left = retries_left;
            // The outbox cannot be written: a failure that another attempt may mend.
            ground.break_outbox();
            let failed = ground.attempt(&cx, "shop.tell_one", 1, &json!({})).await.unwrap_err();
            assert!(matches!(failed, TaskFailure::Retry { .. }), "{failed:?}");
            let last = "SELECT is_retryable AS n FROM failures ORDER BY rowid DESC LIMIT 1";
            assert_eq!(ground.number(last).await, expected);
        }
    })
    .await;
}
