//! The runner `chain`: links in order, their results for those behind them, and what a failed one does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use legwork::kinds::{Child, ChildEnd, Children};
use legwork_engine::domain::{ErrorReport, TaskFailure, TaskId};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::ground::{Ground, Side, on};

const PACK: &str = r#"
[pack]
name = "shop"
description = "Counts, tells and cleans up."

[sources.shop]
url = "env:SHOP_DATABASE_URL"
schema = "schema.sql"

[kinds."shop.count"]
description = "Counts."
runner = "sql"
source = "shop"
sql = "SELECT COUNT(*) AS n FROM things WHERE id < :below"
rows = "one"

[kinds."shop.count".params]
below = { type = "integer", example = 3 }

[kinds."shop.all"]
description = "Counts, then counts by what was counted."
runner = "chain"

[[kinds."shop.all".links]]
name = "first"
kind = "shop.count"
args = { below = "{{ params.below }}" }

[[kinds."shop.all".links]]
name = "none"
kind = "shop.count"
args = { below = 1 }
when = "results.first.row.n > 100"

[[kinds."shop.all".links]]
name = "may_fail"
kind = "shop.count"
args = { below = 2 }
on_failure = "continue"

[[kinds."shop.all".links]]
name = "last"
kind = "shop.count"
args = { below = "{{ results.first.row.n + (0 if results.may_fail else 100) }}" }

[kinds."shop.all".params]
below = { type = "integer", example = 3 }
"#;

const SCHEMA: &str = "CREATE TABLE things (id INTEGER PRIMARY KEY); INSERT INTO things VALUES (1), (2), (3), (4);";

async fn with_shop(case: impl AsyncFn(&Ground)) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pack.toml"), PACK).unwrap();
    std::fs::write(folder.path().join("schema.sql"), SCHEMA).unwrap();
    on(folder.path().to_str().unwrap(), Side::Sqlite, case).await;
}

/// Children that end as the test says, by their parts; those of which it says nothing run.
#[derive(Default)]
struct Scripted {
    ends: Mutex<BTreeMap<String, ChildEnd>>,
    submitted: Mutex<BTreeMap<String, (TaskId, Value)>>,
}

impl Scripted {
    fn ends(&self, part: &str, end: ChildEnd) {
        self.ends.lock().insert(part.to_owned(), end);
    }

    fn args(&self, part: &str) -> Value {
        self.submitted.lock()[part].1.clone()
    }
}

#[async_trait]
impl Children for Scripted {
    async fn submit(&self, children: Vec<Child>) -> Vec<Result<TaskId, TaskFailure>> {
        let mut submitted = self.submitted.lock();
        let answers = children.into_iter().map(|child| {
            let fresh = (TaskId::made("2026-03-09T09:05:00Z".parse().unwrap()), child.args);
            Ok(submitted.entry(child.part).or_insert(fresh).0)
        });
        answers.collect()
    }

    async fn ended(&self, child: TaskId, _wait: Duration) -> Result<Option<ChildEnd>, TaskFailure> {
        let submitted = self.submitted.lock();
        let part = submitted.iter().find(|(_, (id, _))| *id == child).map(|(part, _)| part.clone()).unwrap();
        Ok(self.ends.lock().get(&part).cloned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_run_in_order_with_the_results_of_those_before() {
    with_shop(async |ground| {
        let result = ground.run("shop.all", &json!({ "below": 4 })).await.unwrap();
        assert_eq!(ground.children(), ["shop.count"; 3]);
        let states: Vec<_> = result["links"].as_array().unwrap().iter().map(|link| link["status"].clone()).collect();
        assert_eq!(states, [json!("SUCCESS"), json!(null), json!("SUCCESS"), json!("SUCCESS")], "{result}");
        assert_eq!(result["links"][1]["link"], "none");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_takes_long_is_waited_for_without_a_slot_and_found_again() {
    with_shop(async |ground| {
        let children = Arc::new(Scripted::default());
        let mut cx = ground.task("shop.all");
        cx.children = children.clone();
        let args = json!({ "below": 4 });
        let waits = ground.attempt(&cx, "shop.all", 1, &args).await.unwrap_err();
        assert!(matches!(waits, TaskFailure::Later { after } if after >= Duration::from_secs(1)), "{waits:?}");
        children.ends("link-first", ChildEnd::Success(json!({ "row": { "n": 7 } })));
        children.ends("link-may_fail", ChildEnd::Failure(ErrorReport::new("SourceError", "the table is locked", false)));
        let waits = ground.attempt(&cx, "shop.all", 1, &args).await.unwrap_err();
        assert!(matches!(waits, TaskFailure::Later { .. }), "{waits:?}");
        assert_eq!(children.args("link-last"), json!({ "below": 107 }), "a failed link that may fail has no result");
        children.ends("link-last", ChildEnd::Success(json!({ "row": { "n": 4 } })));
        let result = ground.attempt(&cx, "shop.all", 1, &args).await.unwrap();
        assert_eq!(result["links"][2]["error"]["type"], "SourceError", "{result}");
        assert_eq!(children.submitted.lock().len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_failed_or_was_revoked_ends_the_chain() {
    with_shop(async |ground| {
        let ends = [ChildEnd::Failure(ErrorReport::new("SourceError", "the table is locked", false)), ChildEnd::Revoked];
        for (end, words) in ends.into_iter().zip(["the table is locked", "was revoked"]) {
            let children = Arc::new(Scripted::default());
            children.ends("link-first", end);
            let mut cx = ground.task("shop.all");
            cx.children = children;
            match ground.attempt(&cx, "shop.all", 1, &json!({ "below": 4 })).await.unwrap_err() {
                TaskFailure::Fail(error) => {
                    assert_eq!(error.kind, "LinkFailed");
                    assert!(error.message.contains("\"first\" (shop.count)") && error.message.contains(words), "{error:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}
