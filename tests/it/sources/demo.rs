//! The demonstration shows something real to every kind.

use jiff::SignedDuration;
use legwork_source::model::{FieldRole, ModelRole};
use legwork_source::{Filter, Operator, Query};
use serde_json::{Value, json};

use super::demo;
use crate::support::tasks;

fn days_ago(days: i64) -> Value {
    (tasks::start() - SignedDuration::from_hours(24 * days)).to_string().into()
}

#[tokio::test]
async fn every_kind_finds_something_in_the_demonstration() {
    let folder = tempfile::tempdir().unwrap();
    let sources = demo(folder.path());
    let source = sources.get(None).unwrap();
    let model = |role| source.model_with(role).unwrap();
    for role in [ModelRole::User, ModelRole::Admin] {
        let row = source.find(model(role), &json!(1)).await.unwrap().unwrap();
        assert_eq!(row["status"], 1);
        assert!(row["email"].as_str().unwrap().contains('@'));
    }
    let count = async |role, conditions: &[(FieldRole, Operator, Value)]| {
        let all = Filter::all(model(role));
        let filter =
            conditions.iter().fold(all, |filter, (field, operator, value)| filter.and_role(*field, *operator, value).unwrap());
        source.count(&filter).await.unwrap()
    };
    let now = days_ago(0);
    let status = |word: &str| (FieldRole::Status, Operator::Eq, json!(word));
    assert!(count(ModelRole::User, &[(FieldRole::Status, Operator::Eq, json!(1))]).await > 900);
    assert!(count(ModelRole::User, &[(FieldRole::Status, Operator::Ne, json!(1))]).await > 50);
    assert!(count(ModelRole::Content, &[status("scheduled"), (FieldRole::PublishAt, Operator::Lte, now.clone())]).await > 5);
    assert!(count(ModelRole::Content, &[status("scheduled"), (FieldRole::PublishAt, Operator::Gt, now.clone())]).await > 5);
    assert!(count(ModelRole::Content, &[status("published"), (FieldRole::ExpiresAt, Operator::Lt, now.clone())]).await > 5);
    assert!(count(ModelRole::Activity, &[(FieldRole::Created, Operator::Lt, days_ago(90))]).await > 100);
    assert_eq!(count(ModelRole::Activity, &[(FieldRole::Created, Operator::Lt, days_ago(121))]).await, 0);
    assert!(count(ModelRole::Activity, &[(FieldRole::Created, Operator::Gte, days_ago(7))]).await > 100);
    let old = (FieldRole::Created, Operator::Lt, days_ago(90));
    assert!(count(ModelRole::Notification, &[(FieldRole::Read, Operator::Eq, json!(true)), old.clone()]).await > 100);
    assert!(count(ModelRole::Notification, &[(FieldRole::Read, Operator::Eq, json!(false)), old]).await > 100);
    for role in ModelRole::ALL {
        assert_eq!(count(role, &[(FieldRole::Created, Operator::Gt, now.clone())]).await, 0, "{role}: rows of the future");
    }
    sources.close().await;
}

#[tokio::test]
async fn the_demonstration_is_the_same_for_all_and_is_made_once() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let all = [demo(folders[0].path()), demo(folders[0].path()), demo(folders[1].path())];
    let (first, second, third) = tokio::join!(all[0].prepare(), all[1].prepare(), all[2].prepare());
    for made in [first, second, third] {
        made.unwrap();
    }
    let mut pages = Vec::new();
    for sources in &all {
        let source = sources.get(None).unwrap();
        let users = Query::of(Filter::all(source.model("user").unwrap()));
        pages.push(source.page(&users, None, 50).await.unwrap());
        sources.close().await;
    }
    assert!(pages[0] == pages[1] && pages[1] == pages[2]);
    let files: Vec<_> = std::fs::read_dir(folders[0].path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["demo.db"]);
}
