//! The mail ledger: what became of each mail of a task.

use std::sync::Arc;

use legwork::domain::TaskId;
use legwork::store::{LedgerEntry, LedgerState, Store};

use crate::support::tasks::at;

pub async fn entries_are_read_by_part(store: Arc<dyn Store>) {
    let (task, other) = (TaskId::made(at(0)), TaskId::made(at(0)));
    let entries = [entry(task, 2), entry(task, 0), entry(other, 0), entry(task, 1)];
    store.write_ledger(&entries).await.unwrap();
    assert_eq!(store.read_ledger(task).await.unwrap(), [entry(task, 0), entry(task, 1), entry(task, 2)]);
    assert_eq!(store.read_ledger(TaskId::made(at(0))).await.unwrap(), []);
    store.write_ledger(&[]).await.unwrap();
}

pub async fn a_later_entry_replaces_an_earlier_one_of_its_part(store: Arc<dyn Store>) {
    let task = TaskId::made(at(0));
    store.write_ledger(&[entry(task, 0), entry(task, 1)]).await.unwrap();
    for state in [LedgerState::Deferred, LedgerState::Rejected, LedgerState::Unknown, LedgerState::Accepted] {
        let later = LedgerEntry { state, response: Some("250 it's \"ok\"".into()), updated_at: at(5), ..entry(task, 0) };
        store.write_ledger(std::slice::from_ref(&later)).await.unwrap();
        assert_eq!(store.read_ledger(task).await.unwrap(), [later, entry(task, 1)]);
    }
}

pub async fn of_two_entries_of_one_part_in_one_write_the_last_stays(store: Arc<dyn Store>) {
    let task = TaskId::made(at(0));
    let last = LedgerEntry { state: LedgerState::Accepted, updated_at: at(3), ..entry(task, 0) };
    store.write_ledger(&[entry(task, 0), entry(task, 1), last.clone()]).await.unwrap();
    assert_eq!(store.read_ledger(task).await.unwrap(), [last, entry(task, 1)]);
}

fn entry(task: TaskId, part: i32) -> LedgerEntry {
    LedgerEntry {
        task,
        part,
        recipient: format!("r{part}@example.org"),
        message_id: format!("<{part}@legwork>"),
        state: LedgerState::Sending,
        response: None,
        updated_at: at(1),
    }
}
