//! What ended, counted.

use std::sync::Arc;

use legwork_engine::domain::{EndReason, KindName, NewTask, Next, TaskStatus};
use legwork_engine::store::{EndedGroup, RevokeAnswer, RevokeOrder, Store};

use crate::support::tasks::{at, inserted, mishap, settle, started, task};

fn kind(name: &str) -> KindName {
    KindName::parse(name).unwrap()
}

/// A task of a kind that ran for so many milliseconds from `at(second)` on.
async fn ran(store: &Arc<dyn Store>, name: &str, second: i64, millis: i64, next: Next) {
    let new = NewTask { kind: kind(name), ..task(second) };
    let started_task = started(store, new, second).await;
    settle(store, &started_task, at(second) + jiff::SignedDuration::from_millis(millis), next).await;
}

async fn groups(store: &Arc<dyn Store>, from: i64, to: i64) -> Vec<EndedGroup> {
    let mut groups = store.ended_groups(at(from), at(to)).await.unwrap();
    groups.sort_by_key(|group| (group.kind.clone(), group.status.as_str(), group.millis));
    groups
}

fn group(name: &str, status: TaskStatus, millis: Option<u64>, tasks: u64, total_millis: u64) -> EndedGroup {
    EndedGroup { kind: kind(name), status, millis, tasks, total_millis }
}

pub async fn what_ended_is_grouped_by_kind_state_and_time(store: Arc<dyn Store>) {
    let well = || Next::success("1".into());
    // Three digits count; 1.001 s and its like must not be a millisecond short.
    for millis in [0, 7, 7, 999, 1_001, 1_009, 1_010, 12_345, 123_456, 4_567_890] {
        ran(&store, "a.run", 0, millis, well()).await;
    }
    ran(&store, "a.run", 0, 7, Next::failure(mishap())).await;
    ran(&store, "b.run", 0, 7, Next::revoked(EndReason::Revoked)).await;
    let never = inserted(&store, NewTask { kind: kind("b.run"), ..task(0) }).await;
    let order = RevokeOrder { id: never, terminate: false, now: at(1) };
    assert!(matches!(store.revoke(&order).await.unwrap(), RevokeAnswer::Revoked(_)));
    let expected = [
        group("a.run", TaskStatus::Failure, Some(7), 1, 7),
        group("a.run", TaskStatus::Success, Some(0), 1, 0),
        group("a.run", TaskStatus::Success, Some(7), 2, 14),
        group("a.run", TaskStatus::Success, Some(999), 1, 999),
        group("a.run", TaskStatus::Success, Some(1_000), 2, 2_010),
        group("a.run", TaskStatus::Success, Some(1_010), 1, 1_010),
        group("a.run", TaskStatus::Success, Some(12_300), 1, 12_345),
        group("a.run", TaskStatus::Success, Some(123_000), 1, 123_456),
        group("a.run", TaskStatus::Success, Some(4_560_000), 1, 4_567_890),
        group("b.run", TaskStatus::Revoked, None, 1, 0),
        group("b.run", TaskStatus::Revoked, Some(7), 1, 7),
    ];
    assert_eq!(groups(&store, 0, 10_000).await, expected);
}

pub async fn only_what_ended_within_the_time_counts(store: Arc<dyn Store>) {
    for second in [10, 20, 30] {
        ran(&store, "a.run", second, 0, Next::success("1".into())).await;
    }
    started(&store, task(0), 15).await;
    assert_eq!(groups(&store, 10, 30).await, [group("a.run", TaskStatus::Success, Some(0), 2, 0)]);
    assert_eq!(groups(&store, 31, 99).await, []);
}
