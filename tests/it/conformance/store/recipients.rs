//! The recipients' ledger: nobody is claimed twice, nobody is forgotten.

use std::sync::Arc;

use jiff::Timestamp;
use legwork_engine::domain::{Attempt, NewTask, Next, StartedTask, TaskId};
use legwork_engine::store::{
    AttemptStanding, NewRecipient, Prune, QueueChange, RecipientCounts, RecipientFilter, RecipientRow, RecipientState,
    RecipientStep, Resend, RetryAnswer, RevokeOrder, Store, Suppression, SuppressionReason,
};

use RecipientState::{Accepted, Deferred, Queued, Rejected, Sending, Suppressed, Unknown};

use crate::support::tasks::{at, dispatched, mishap, reference, settle, start_ref, started, task};

fn new(part: i32) -> NewRecipient {
    NewRecipient {
        part,
        recipient: format!("R {part} <R{part}@example.org>"),
        address: format!("r{part}@example.org"),
        message_id: format!("<{part}@legwork>"),
        context: (part % 2 == 1).then(|| format!("{{\"n\":{part}}}")),
        refused: None,
    }
}

fn row(part: i32) -> RecipientRow {
    let NewRecipient { recipient, address, message_id, context, .. } = new(part);
    let (state, updated_at) = (Queued, at(2));
    RecipientRow {
        part,
        recipient,
        address,
        message_id,
        state,
        response: None,
        reference: None,
        attempts: 0,
        next_at: None,
        context,
        updated_at,
    }
}

fn step(task: &StartedTask, part: i32, state: RecipientState) -> RecipientStep {
    RecipientStep { task: task.id, attempt: task.attempt, part, state, response: None, reference: None, next_at: None, at: at(3) }
}

async fn added(store: &Arc<dyn Store>, task: TaskId, parts: i32) {
    assert!(!store.open_list(task, at(2)).await.unwrap());
    store.add_recipients(task, &(0..parts).map(new).collect::<Vec<_>>(), at(2)).await.unwrap();
    store.complete_list(task, at(2)).await.unwrap();
}

/// A running task with so many recipients.
async fn running(store: &Arc<dyn Store>, parts: i32) -> StartedTask {
    let started_task = started(store, task(0), 1).await;
    added(store, started_task.id, parts).await;
    started_task
}

async fn write(store: &Arc<dyn Store>, step: RecipientStep) -> Option<RecipientState> {
    store.write_recipients(&[step]).await.unwrap()[0]
}

async fn states(store: &Arc<dyn Store>, task: TaskId) -> Vec<RecipientState> {
    let rows = store.recipients(task, &RecipientFilter::default(), 100).await.unwrap();
    rows.into_iter().map(|row| row.state).collect()
}

/// The same task after its worker died, started again.
async fn started_again(store: &Arc<dyn Store>, first: &StartedTask) -> StartedTask {
    settle(store, first, at(3), Next::Crashed { due_at: at(3), crashes: 1, error: mishap() }).await;
    start_ref(store, 1, reference(first.id, first.version.next().0), at(4)).await
}

pub async fn a_list_is_added_once_and_then_encrypted(store: Arc<dyn Store>) {
    let task = started(&store, task(0), 1).await.id;
    assert!(!store.open_list(task, at(1)).await.unwrap());
    store.add_recipients(task, &[new(0), new(1)], at(2)).await.unwrap();
    assert!(!store.open_list(task, at(1)).await.unwrap(), "it was cut off in the middle");
    let refused = NewRecipient { refused: Some("no address".into()), ..new(2) };
    let other = NewRecipient { address: "other@example.org".into(), ..new(1) };
    store.add_recipients(task, &[new(0), other, refused], at(3)).await.unwrap();
    store.complete_list(task, at(3)).await.unwrap();
    store.complete_list(task, at(3)).await.unwrap();
    assert!(store.open_list(task, at(4)).await.unwrap());
    let last = RecipientRow { state: Rejected, response: Some("no address".into()), updated_at: at(3), ..row(2) };
    assert_eq!(store.recipients(task, &RecipientFilter::default(), 100).await.unwrap(), [row(0), row(1), last]);
    store.add_recipients(task, &[], at(3)).await.unwrap();
}

pub async fn a_recipient_is_claimed_once_and_recorded(store: Arc<dyn Store>) {
    let task = running(&store, 3).await;
    assert_eq!(store.write_recipients(&[]).await.unwrap(), []);
    let claims = [step(&task, 2, Sending), step(&task, 7, Sending), step(&task, 0, Sending)];
    assert_eq!(store.write_recipients(&claims).await.unwrap(), [Some(Sending), None, Some(Sending)]);
    // Its own claim, whose answer may have been lost.
    assert_eq!(write(&store, step(&task, 0, Sending)).await, Some(Sending));
    let taken = RecipientStep {
        response: Some("250 it's \"ok\"".into()),
        reference: Some("x-1".into()),
        at: at(4),
        ..step(&task, 0, Accepted)
    };
    // A record and the next claim share a write.
    assert_eq!(store.write_recipients(&[taken, step(&task, 1, Sending)]).await.unwrap(), [Some(Accepted), Some(Sending)]);
    let rows = store.recipients(task.id, &RecipientFilter::default(), 1).await.unwrap();
    let reference = Some("x-1".into());
    let expected = RecipientRow {
        state: Accepted,
        response: Some("250 it's \"ok\"".into()),
        reference,
        attempts: 1,
        updated_at: at(4),
        ..row(0)
    };
    assert_eq!(rows, [expected]);
    for state in [Sending, Rejected, Unknown] {
        assert_eq!(write(&store, step(&task, 0, state)).await, None, "{state:?}");
    }
}

pub async fn only_the_present_attempt_claims(store: Arc<dyn Store>) {
    let first = running(&store, 3).await;
    assert_eq!(write(&store, step(&first, 0, Sending)).await, Some(Sending));
    let second = started_again(&store, &first).await;
    for part in 0..3 {
        assert_eq!(write(&store, step(&first, part, Sending)).await, None);
    }
    assert_eq!(write(&store, step(&second, 0, Sending)).await, None, "another's claim is not one's own");
    assert_eq!(write(&store, step(&first, 1, Rejected)).await, None);
    assert_eq!(write(&store, step(&second, 1, Sending)).await, Some(Sending));
    // What it had claimed it may still record.
    assert_eq!(write(&store, step(&first, 0, Accepted)).await, Some(Accepted));
    assert_eq!(states(&store, first.id).await, [Accepted, Sending, Queued]);
}

pub async fn what_a_dead_attempt_left_sending_is_unknown(store: Arc<dyn Store>) {
    let first = running(&store, 4).await;
    for part in 0..3 {
        write(&store, step(&first, part, Sending)).await;
    }
    write(&store, step(&first, 0, Accepted)).await;
    assert_eq!(store.adopt(first.id, first.attempt, None, at(3)).await.unwrap().unwrap().sending, 2, "its own are left alone");
    let second = started_again(&store, &first).await;
    assert_eq!(store.adopt(first.id, first.attempt, None, at(4)).await.unwrap(), None);
    let counts = store.adopt(second.id, second.attempt, None, at(4)).await.unwrap().unwrap();
    assert_eq!(counts, RecipientCounts { total: 4, accepted: 1, unknown: 2, queued: 1, ..RecipientCounts::default() });
    assert_eq!(store.count_recipients(first.id).await.unwrap(), counts);
    assert_eq!(write(&store, step(&second, 1, Sending)).await, None, "it is held");
    let to_send = store.to_send(second.id, None, at(9), 100).await.unwrap();
    assert_eq!(to_send.iter().map(|row| row.part).collect::<Vec<_>>(), [3]);
    // An answer that came late is better than none.
    assert_eq!(write(&store, step(&first, 2, Accepted)).await, Some(Accepted));
}

pub async fn what_is_unknown_is_sent_again_where_that_is_asked_for(store: Arc<dyn Store>) {
    let first = running(&store, 2).await;
    write(&store, step(&first, 0, Sending)).await;
    let second = started_again(&store, &first).await;
    let resend = |most_attempts| Some(Resend { at: at(5), most_attempts });
    let counts = store.adopt(second.id, second.attempt, resend(2), at(4)).await.unwrap().unwrap();
    assert_eq!((counts.unknown, counts.next_at), (1, Some(at(5))));
    assert_eq!(write(&store, step(&second, 0, Sending)).await, Some(Sending));
    assert_eq!(write(&store, step(&first, 0, Accepted)).await, None, "it is in other hands");
    let third = {
        settle(&store, &second, at(5), Next::Crashed { due_at: at(5), crashes: 1, error: mishap() }).await;
        start_ref(&store, 1, reference(first.id, 4), at(6)).await
    };
    let counts = store.adopt(third.id, third.attempt, resend(2), at(6)).await.unwrap().unwrap();
    assert_eq!((counts.unknown, counts.next_at), (1, None), "tried often enough");
}

pub async fn a_deferred_one_comes_again_at_its_time(store: Arc<dyn Store>) {
    let task = running(&store, 3).await;
    let later = |part, state, next_at| RecipientStep { next_at, ..step(&task, part, state) };
    for part in 0..2 {
        write(&store, step(&task, part, Sending)).await;
        assert_eq!(write(&store, later(part, Deferred, Some(at(10 + i64::from(part))))).await, Some(Deferred));
    }
    // Refused before the hand-over: it was never claimed.
    assert_eq!(write(&store, later(2, Deferred, None)).await, Some(Deferred));
    assert_eq!(store.to_send(task.id, None, at(9), 9).await.unwrap(), []);
    let counts = store.count_recipients(task.id).await.unwrap();
    assert_eq!((counts.deferred, counts.next_at), (3, Some(at(10))));
    let due = store.to_send(task.id, None, at(10), 9).await.unwrap();
    assert_eq!(due.iter().map(|row| (row.part, row.attempts)).collect::<Vec<_>>(), [(0, 1)]);
    assert_eq!(store.to_send(task.id, Some(0), at(20), 9).await.unwrap().len(), 1);
    assert_eq!(write(&store, step(&task, 0, Sending)).await, Some(Sending));
    assert_eq!(write(&store, step(&task, 2, Sending)).await, None, "that was its last word");
    assert_eq!(write(&store, step(&task, 0, Rejected)).await, Some(Rejected));
    let rows = store.recipients(task.id, &RecipientFilter { states: vec![Rejected], after: None }, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.part, row.attempts)).collect::<Vec<_>>(), [(0, 2)]);
}

pub async fn a_suppressed_address_is_never_claimed(store: Arc<dyn Store>) {
    let task = running(&store, 3).await;
    store.suppress(&[suppression("r1@example.org")]).await.unwrap();
    let listed = store.to_send(task.id, None, at(3), 9).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.state).collect::<Vec<_>>(), [Queued, Suppressed, Queued]);
    store.suppress(&[suppression("r2@example.org")]).await.unwrap();
    let claims = [0, 1, 2].map(|part| step(&task, part, Sending));
    assert_eq!(store.write_recipients(&claims).await.unwrap(), [Some(Sending), Some(Suppressed), Some(Suppressed)]);
    assert_eq!(states(&store, task.id).await, [Sending, Suppressed, Suppressed]);
}

pub async fn a_retry_by_hand_takes_the_list_over(store: Arc<dyn Store>) {
    let first = running(&store, 6).await;
    store.add_recipients(first.id, &[NewRecipient { refused: Some("no address".into()), ..new(6) }], at(2)).await.unwrap();
    for (part, state) in [(0, Accepted), (1, Rejected), (2, Unknown), (3, Deferred), (4, Suppressed)] {
        write(&store, step(&first, part, Sending)).await;
        write(&store, step(&first, part, state)).await;
    }
    settle(&store, &first, at(4), Next::failure(mishap())).await;
    let again = dispatched(NewTask { retry_of: Some(first.id), ..task(5) });
    let RetryAnswer::Inserted = store.insert_retry(&again).await.unwrap() else { panic!("a retry") };
    let second = start_ref(&store, 2, reference(again.task.id, 0), at(6)).await;
    assert!(store.open_list(second.id, at(6)).await.unwrap());
    assert_eq!(states(&store, second.id).await, [Accepted, Queued, Sending, Queued, Queued, Queued, Rejected]);
    let counts = store.adopt(second.id, second.attempt, None, at(6)).await.unwrap().unwrap();
    assert_eq!((counts.total, counts.unknown, counts.queued), (7, 1, 4));
    let rows = store.recipients(second.id, &RecipientFilter::default(), 10).await.unwrap();
    assert_eq!(rows[0].message_id, "<0@legwork>", "a Message-ID stays the same");
    for (row, first) in rows.iter().zip((0..).map(new)) {
        assert_eq!((&row.recipient, &row.context), (&first.recipient, &first.context));
    }
    assert_eq!(rows[6].response.as_deref(), Some("no address"));
}

/// The retry by hand of a task, waiting.
async fn retry_of(store: &Arc<dyn Store>, ended: TaskId, seconds: i64) -> TaskId {
    let retry = dispatched(NewTask { retry_of: Some(ended), ..task(seconds) });
    assert_eq!(store.insert_retry(&retry).await.unwrap(), RetryAnswer::Inserted);
    retry.task.id
}

pub async fn a_retry_by_hand_goes_on_with_the_last_list_of_its_chain(store: Arc<dyn Store>) {
    let first = running(&store, 3).await;
    reached(&store, &first, 0).await;
    settle(&store, &first, at(4), Next::failure(mishap())).await;
    // Nobody started this one, so it has no list of its own.
    let never_ran = retry_of(&store, first.id, 5).await;
    store.revoke(&RevokeOrder { id: never_ran, terminate: false, now: at(6) }).await.unwrap();
    let second = retry_of(&store, never_ran, 7).await;
    let second = start_ref(&store, 1, reference(second, 0), at(8)).await;
    assert!(store.open_list(second.id, at(8)).await.unwrap());
    assert_eq!(states(&store, second.id).await, [Accepted, Queued, Queued]);
    reached(&store, &second, 1).await;
    settle(&store, &second, at(9), Next::failure(mishap())).await;
    let third = start_ref(&store, 1, reference(retry_of(&store, second.id, 10).await, 0), at(11)).await;
    assert!(store.open_list(third.id, at(11)).await.unwrap());
    assert_eq!(states(&store, third.id).await, [Accepted, Accepted, Queued], "of the last one, not of the first");
}

pub async fn an_attempt_that_was_overtaken_makes_no_list(store: Arc<dyn Store>) {
    let first = running(&store, 2).await;
    reached(&store, &first, 0).await;
    settle(&store, &first, at(4), Next::failure(mishap())).await;
    let frozen = start_ref(&store, 1, reference(retry_of(&store, first.id, 5).await, 0), at(6)).await;
    settle(&store, &frozen, at(7), Next::failure(mishap())).await;
    // It thaws, and finds neither its task nor the list that it was to go on with.
    assert!(!store.open_list(frozen.id, at(8)).await.unwrap());
    store.add_recipients(frozen.id, &[new(0), new(1)], at(8)).await.unwrap();
    store.complete_list(frozen.id, at(8)).await.unwrap();
    assert_eq!(store.adopt(frozen.id, frozen.attempt, None, at(8)).await.unwrap(), None);
    assert_eq!(states(&store, frozen.id).await, []);
    let next = start_ref(&store, 1, reference(retry_of(&store, frozen.id, 9).await, 0), at(10)).await;
    assert!(store.open_list(next.id, at(10)).await.unwrap());
    assert_eq!(states(&store, next.id).await, [Accepted, Queued]);
}

pub async fn a_list_is_kept_for_the_retry_that_goes_on_with_it(store: Arc<dyn Store>) {
    let first = running(&store, 2).await;
    reached(&store, &first, 0).await;
    settle(&store, &first, at(4), Next::failure(mishap())).await;
    let waiting = retry_of(&store, first.id, 5).await;
    for _ in 0..4 {
        store.prune(&prune(at(4 * 86_400))).await.unwrap();
    }
    assert_eq!(store.find(first.id).await.unwrap(), None);
    let second = start_ref(&store, 1, reference(waiting, 0), at(4 * 86_400)).await;
    assert!(store.open_list(second.id, at(4 * 86_400)).await.unwrap());
    assert_eq!(states(&store, second.id).await, [Accepted, Queued]);
}

async fn reached(store: &Arc<dyn Store>, task: &StartedTask, part: i32) {
    for state in [Sending, Accepted] {
        write(store, step(task, part, state)).await;
    }
}

pub async fn recipients_come_in_pages_and_by_state(store: Arc<dyn Store>) {
    let task = running(&store, 5).await;
    for part in [1, 3] {
        write(&store, step(&task, part, Sending)).await;
    }
    let page = |after, states: &[RecipientState]| RecipientFilter { after, states: states.to_vec() };
    let parts = async |filter: RecipientFilter, limit| -> Vec<i32> {
        store.recipients(task.id, &filter, limit).await.unwrap().iter().map(|row| row.part).collect()
    };
    assert_eq!(parts(page(None, &[]), 2).await, [0, 1]);
    assert_eq!(parts(page(Some(1), &[]), 9).await, [2, 3, 4]);
    assert_eq!(parts(page(None, &[Sending]), 9).await, [1, 3]);
    assert_eq!(parts(page(Some(1), &[Sending, Queued]), 2).await, [2, 3]);
    assert!(parts(page(None, &[Accepted]), 9).await.is_empty());
    assert_eq!(store.count_recipients(TaskId::made(at(0))).await.unwrap(), RecipientCounts::default());
}

pub async fn an_attempt_is_told_whether_it_may_go_on(store: Arc<dyn Store>) {
    let task = running(&store, 1).await;
    assert_eq!(store.attempt_standing(task.id, task.attempt).await.unwrap(), AttemptStanding::Present);
    assert_eq!(store.attempt_standing(task.id, Attempt(2)).await.unwrap(), AttemptStanding::Overtaken);
    for (paused, standing) in [(true, AttemptStanding::Paused), (false, AttemptStanding::Present)] {
        store.change_queue(&task.queue, &QueueChange { paused: Some(paused), concurrency: None }, at(3)).await.unwrap();
        assert_eq!(store.attempt_standing(task.id, task.attempt).await.unwrap(), standing);
    }
    settle(&store, &task, at(4), Next::success("1".into())).await;
    assert_eq!(store.attempt_standing(task.id, task.attempt).await.unwrap(), AttemptStanding::Overtaken);
}

pub async fn a_list_is_forgotten_with_its_result(store: Arc<dyn Store>) {
    let (live, over) = (running(&store, 3).await, running(&store, 3).await);
    settle(&store, &over, at(4), Next::success("1".into())).await;
    let cut_off = started(&store, task(0), 1).await;
    store.open_list(cut_off.id, at(2)).await.unwrap();
    store.add_recipients(cut_off.id, &[new(0)], at(2)).await.unwrap();
    settle(&store, &cut_off, at(4), Next::failure(mishap())).await;
    while store.prune(&prune(at(4))).await.unwrap() {}
    assert_eq!(states(&store, over.id).await.len(), 3, "its result is kept");
    while store.prune(&prune(at(4 * 86_400))).await.unwrap() {}
    while store.prune(&prune(at(4 * 86_400))).await.unwrap() {}
    assert_eq!(states(&store, over.id).await, []);
    assert_eq!(states(&store, cut_off.id).await, [], "also where the list was never whole");
    assert_eq!(states(&store, live.id).await.len(), 3, "its task still runs");
}

fn prune(before: Timestamp) -> Prune {
    Prune { results_before: before, keys_before: before, workers_before: before, now: before, limit: 2 }
}

fn suppression(address: &str) -> Suppression {
    Suppression {
        address: address.into(),
        reason: SuppressionReason::Bounced,
        detail: Some("550 5.1.1".into()),
        principal: None,
        task: None,
        created_at: at(1),
    }
}

pub async fn a_suppression_is_kept_once_listed_and_lifted(store: Arc<dyn Store>) {
    use legwork_engine::store::SuppressionFilter as Filter;
    let manual = Suppression { reason: SuppressionReason::Manual, principal: Some("ann".into()), ..suppression("b@example.org") };
    let ours = Suppression { task: Some(TaskId::made(at(0))), ..suppression("a_1@example.org") };
    assert_eq!(store.suppress(&[manual.clone(), ours.clone(), suppression("c@example.net")]).await.unwrap(), 3);
    assert_eq!(store.suppress(&[suppression("b@example.org"), suppression("d@example.net")]).await.unwrap(), 1);
    assert_eq!(store.suppressions(&Filter::default(), 2).await.unwrap(), [ours.clone(), manual.clone()]);
    let addresses = async |filter: Filter| -> Vec<String> {
        store.suppressions(&filter, 9).await.unwrap().into_iter().map(|one| one.address).collect()
    };
    assert_eq!(
        addresses(Filter { after: Some("b@example.org".into()), ..Filter::default() }).await,
        ["c@example.net", "d@example.net"]
    );
    assert_eq!(addresses(Filter { text: Some("_1@".into()), ..Filter::default() }).await, ["a_1@example.org"]);
    assert_eq!(addresses(Filter { reason: Some(SuppressionReason::Manual), ..Filter::default() }).await, ["b@example.org"]);
    let asked = ["x@example.org", "c@example.net", "b@example.org"].map(str::to_owned);
    let mut among = store.suppressed_among(&asked).await.unwrap();
    among.sort();
    assert_eq!(among, ["b@example.org", "c@example.net"]);
    assert!(store.unsuppress("b@example.org").await.unwrap());
    assert!(!store.unsuppress("b@example.org").await.unwrap());
    assert_eq!(store.suppress(&[]).await.unwrap(), 0);
}
