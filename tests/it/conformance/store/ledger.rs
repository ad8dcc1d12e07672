//! The mail ledger: what became of each mail of a task.

use std::sync::Arc;

use legwork_engine::domain::{Attempt, Next, TaskId};
use legwork_engine::store::{LedgerEntry, LedgerState, Store};

use crate::support::tasks::{at, ended, inserted, mishap, reference, settle, start_ref, started, task};

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

pub async fn a_mail_is_claimed_by_the_present_attempt_only(store: Arc<dyn Store>) {
    let never_started = inserted(&store, task(0)).await;
    assert!(!store.claim_mail(&entry(never_started, 0), Attempt(0), true).await.unwrap());
    let first = started(&store, task(0), 1).await;
    settle(&store, &first, at(2), Next::Crashed { due_at: at(2), crashes: 1, error: mishap() }).await;
    assert!(!store.claim_mail(&entry(first.id, 0), Attempt(1), true).await.unwrap());
    start_ref(&store, 2, reference(first.id, 2), at(3)).await;
    assert!(!store.claim_mail(&entry(first.id, 0), Attempt(1), true).await.unwrap());
    assert_eq!(store.read_ledger(first.id).await.unwrap(), []);
    assert!(store.claim_mail(&entry(first.id, 0), Attempt(2), false).await.unwrap());
    assert_eq!(store.read_ledger(first.id).await.unwrap(), [entry(first.id, 0)]);
    let over = ended(&store, task(0), 1, Next::success("1".into())).await;
    assert!(!store.claim_mail(&entry(over, 0), Attempt(1), true).await.unwrap());
}

pub async fn a_mail_is_claimed_only_while_it_is_to_be_sent(store: Arc<dyn Store>) {
    for (state, by_default, on_request) in [
        (LedgerState::Deferred, true, true),
        (LedgerState::Sending, false, true),
        (LedgerState::Unknown, false, true),
        (LedgerState::Accepted, false, false),
        (LedgerState::Rejected, false, false),
    ] {
        for (resend, holds) in [(false, by_default), (true, on_request)] {
            let task = started(&store, task(0), 1).await.id;
            let before = LedgerEntry { state, response: Some("before".into()), updated_at: at(0), ..entry(task, 0) };
            store.write_ledger(&[before.clone(), entry(task, 1)]).await.unwrap();
            assert_eq!(store.claim_mail(&entry(task, 0), Attempt(1), resend).await.unwrap(), holds, "{state:?}, {resend}");
            assert_eq!(state.is_to_be_sent(resend), holds);
            let now = if holds { entry(task, 0) } else { before };
            assert_eq!(store.read_ledger(task).await.unwrap(), [now, entry(task, 1)]);
        }
    }
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
