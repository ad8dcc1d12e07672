//! Settle: the fence, and what follows an attempt.

use std::sync::Arc;

use legwork_engine::domain::{Attempt, EndReason, EndStatus, ErrorReport, Next, TaskStatus, Version, WorkerId};
use legwork_engine::store::{AttemptEnd, AttemptRow, RevokeOrder, Settled, Store, StoreError};

use crate::support::tasks::{
    at, dispatched, end_of, inserted, mishap, reference, row, settle, settle_all, settlement, start_ref, started, task,
    task_with_callback, worker,
};

pub async fn a_success_is_kept_with_its_result(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    let result = r#"{"text":"Zoë said \"hi\" \u0007"}"#;
    let ended = end_of(settle(&store, &started_task, at(5), Next::success(result.into())).await);
    assert_eq!((ended.id, ended.status, ended.callback), (started_task.id, EndStatus::Success, None));
    let row = row(&store, started_task.id).await;
    assert_eq!((row.status, row.result.as_deref()), (TaskStatus::Success, Some(result)));
    assert_eq!((row.started_at, row.ended_at), (Some(at(1)), Some(at(5))));
    assert_eq!((row.attempt, row.error, row.reason), (Attempt(1), None, None));
    assert_eq!((row.worker, row.worker_name.as_deref()), (None, Some("worker-1")));
}

pub async fn a_failure_is_kept_with_its_error(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    let error = ErrorReport::new("ParseError", "line 3: it's not \"JSON\"", false);
    end_of(settle(&store, &started_task, at(5), Next::failure(error.clone())).await);
    let row = row(&store, started_task.id).await;
    assert_eq!((row.status, row.error, row.result), (TaskStatus::Failure, Some(error), None));
}

pub async fn a_retry_waits_for_its_time_and_spends_one(store: Arc<dyn Store>) {
    let first = started(&store, task(0), 1).await;
    let settled = settle(&store, &first, at(2), Next::Retry { due_at: at(60), error: mishap() }).await;
    assert_eq!(settled, Settled::Waiting { status: TaskStatus::Retry, due_at: at(60) });
    let waiting = row(&store, first.id).await;
    assert_eq!((waiting.status, waiting.due_at, waiting.retries_used), (TaskStatus::Retry, at(60), 1));
    assert_eq!((waiting.worker, waiting.error), (None, Some(mishap())));
    assert_eq!(store.next_dispatch_at().await.unwrap(), Some(at(60)));
    let second = start_ref(&store, 2, reference(first.id, 2), at(61)).await;
    assert_eq!((second.attempt, second.retries_used), (Attempt(2), 1));
    settle_all(&store, &[settlement(2, &second, at(62), Next::success("2".into()))]).await;
    let row = row(&store, first.id).await;
    assert_eq!((row.status, row.error, row.retries_used), (TaskStatus::Success, None, 1));
}

pub async fn a_crash_is_counted_and_spends_no_retry(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    let settled = settle(&store, &started_task, at(2), Next::Crashed { due_at: at(2), crashes: 1, error: mishap() }).await;
    assert_eq!(settled, Settled::Waiting { status: TaskStatus::Retry, due_at: at(2) });
    let row = row(&store, started_task.id).await;
    assert_eq!((row.retries_used, row.crashes, row.worker), (0, 1, None));
    assert_eq!(store.take_due(at(2), 10).await.unwrap()[0].task, reference(started_task.id, 2));
}

pub async fn a_release_spends_nothing_and_restores_what_was(store: Arc<dyn Store>) {
    let first = started(&store, task(0), 1).await;
    let settled = settle(&store, &first, at(2), Next::Release { due_at: at(3) }).await;
    assert_eq!(settled, Settled::Waiting { status: TaskStatus::Pending, due_at: at(3) });
    let second = start_ref(&store, 1, reference(first.id, 2), at(3)).await;
    settle(&store, &second, at(4), Next::Retry { due_at: at(4), error: mishap() }).await;
    let third = start_ref(&store, 1, reference(first.id, 4), at(4)).await;
    let settled = settle(&store, &third, at(5), Next::Release { due_at: at(6) }).await;
    assert_eq!(settled, Settled::Waiting { status: TaskStatus::Retry, due_at: at(6) });
    let row = row(&store, first.id).await;
    assert_eq!((row.attempt, row.retries_used, row.crashes), (Attempt(3), 1, 0));
}

pub async fn a_worker_that_was_given_up_can_no_longer_write(store: Arc<dyn Store>) {
    let lost = started(&store, task(0), 1).await;
    settle(&store, &lost, at(2), Next::Crashed { due_at: at(2), crashes: 1, error: mishap() }).await;
    let present = start_ref(&store, 2, reference(lost.id, 2), at(3)).await;
    assert_eq!(settle(&store, &lost, at(4), Next::success("1".into())).await, Settled::Superseded);
    let wrong_worker = settlement(1, &present, at(4), Next::success("1".into()));
    let wrong_attempt = settlement(2, &lost, at(4), Next::failure(mishap()));
    assert_eq!(settle_all(&store, &[wrong_worker, wrong_attempt]).await, [Settled::Superseded, Settled::Superseded]);
    assert_eq!(row(&store, lost.id).await.status, TaskStatus::Started);
}

pub async fn a_settlement_whose_answer_was_lost_is_known_again(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    let success = settlement(1, &started_task, at(2), Next::success("1".into()));
    end_of(settle_all(&store, std::slice::from_ref(&success)).await.remove(0));
    assert_eq!(settle_all(&store, std::slice::from_ref(&success)).await, [Settled::Already]);
    let by_another = legwork_engine::store::Settlement { worker: worker(2), ..success.clone() };
    let of_another = legwork_engine::store::Settlement { attempt: Attempt(2), version: Version(3), ..success };
    assert_eq!(settle_all(&store, &[by_another, of_another]).await, [Settled::Superseded, Settled::Superseded]);
}

pub async fn a_wait_whose_answer_was_lost_is_known_again(store: Arc<dyn Store>) {
    for next in [
        Next::Retry { due_at: at(9), error: mishap() },
        Next::Crashed { due_at: at(9), crashes: 1, error: mishap() },
        Next::Release { due_at: at(9) },
    ] {
        let first = started(&store, task(0), 1).await;
        assert!(matches!(settle(&store, &first, at(2), next.clone()).await, Settled::Waiting { .. }));
        let written = row(&store, first.id).await;
        assert_eq!(settle(&store, &first, at(2), next.clone()).await, Settled::Already);
        // Neither the end nor the wait that another wrote in its name is its own.
        assert_eq!(settle(&store, &first, at(2), Next::success("1".into())).await, Settled::Superseded);
        assert_eq!(settle(&store, &first, at(2), Next::Release { due_at: at(5) }).await, Settled::Superseded);
        assert_eq!(row(&store, first.id).await, written);
        start_ref(&store, 2, reference(first.id, 2), at(9)).await;
        assert_eq!(settle(&store, &first, at(10), next).await, Settled::Superseded);
    }
}

pub async fn a_settlement_given_twice_applies_once(store: Arc<dyn Store>) {
    let (one, two) = (started(&store, task(0), 1).await, started(&store, task(0), 1).await);
    let success = settlement(1, &one, at(2), Next::success("1".into()));
    let retry = settlement(1, &two, at(2), Next::Retry { due_at: at(9), error: mishap() });
    let settled = settle_all(&store, &[success.clone(), retry.clone(), success, retry]).await;
    assert!(matches!(settled[0], Settled::Ended(_)) && matches!(settled[1], Settled::Waiting { .. }), "{settled:?}");
    assert_eq!(settled[2..], [Settled::Already, Settled::Already]);
    assert_eq!(row(&store, two.id).await.retries_used, 1);
}

pub async fn a_task_that_does_not_exist_is_superseded(store: Arc<dyn Store>) {
    let mut started_task = started(&store, task(0), 1).await;
    started_task.id = legwork_engine::domain::TaskId::made(at(0));
    assert_eq!(settle(&store, &started_task, at(2), Next::success("1".into())).await, Settled::Superseded);
}

pub async fn no_retry_follows_a_requested_revoke(store: Arc<dyn Store>) {
    let nexts = [
        Next::Retry { due_at: at(9), error: mishap() },
        Next::Crashed { due_at: at(9), crashes: 1, error: mishap() },
        Next::Release { due_at: at(9) },
    ];
    for next in nexts {
        let started_task = started(&store, task_with_callback(), 1).await;
        store.revoke(&RevokeOrder { id: started_task.id, terminate: false, now: at(2) }).await.unwrap();
        let ended = end_of(settle(&store, &started_task, at(3), next.clone()).await);
        assert_eq!(ended.status, EndStatus::Revoked);
        assert!(ended.callback.is_some());
        let row = row(&store, started_task.id).await;
        assert_eq!((row.status, row.reason), (TaskStatus::Revoked, Some(EndReason::Revoked)));
        assert_eq!(settle(&store, &started_task, at(3), next).await, Settled::Already);
        let attempts = store.attempts(started_task.id).await.unwrap();
        assert_eq!(attempts.iter().map(|attempt| attempt.end).collect::<Vec<_>>(), [AttemptEnd::Revoked]);
    }
}

pub async fn a_success_after_a_requested_revoke_is_a_success(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    store.revoke(&RevokeOrder { id: started_task.id, terminate: true, now: at(2) }).await.unwrap();
    assert_eq!(end_of(settle(&store, &started_task, at(3), Next::success("1".into())).await).status, EndStatus::Success);
    assert_eq!(row(&store, started_task.id).await.revoke_requested_at, Some(at(2)));
}

pub async fn a_mixed_batch_is_settled_in_its_order(store: Arc<dyn Store>) {
    let mut settlements = Vec::new();
    for n in 0..40 {
        let started_task = started(&store, if n % 5 == 0 { task_with_callback() } else { task(0) }, 1).await;
        let next = match n % 4 {
            0 => Next::success(format!("{n}")),
            1 => Next::Retry { due_at: at(100 + n), error: mishap() },
            2 => Next::Release { due_at: at(100 + n) },
            _ => Next::failure(mishap()),
        };
        settlements.push(settlement(1, &started_task, at(5), next));
    }
    for (n, settled) in (0i64..).zip(settle_all(&store, &settlements).await) {
        let id = settlements[usize::try_from(n).unwrap()].id;
        match (n % 4, settled) {
            (0, Settled::Ended(ended)) => {
                assert_eq!((ended.id, ended.status, ended.callback.is_some()), (id, EndStatus::Success, n % 5 == 0));
                assert_eq!(row(&store, id).await.result, Some(n.to_string()));
            }
            (1, settled) => assert_eq!(settled, Settled::Waiting { status: TaskStatus::Retry, due_at: at(100 + n) }),
            (2, settled) => assert_eq!(settled, Settled::Waiting { status: TaskStatus::Pending, due_at: at(100 + n) }),
            (3, Settled::Ended(ended)) => assert_eq!((ended.id, ended.status), (id, EndStatus::Failure)),
            (_, other) => panic!("settlement {n} was answered with {other:?}"),
        }
    }
}

pub async fn one_bad_settlement_does_not_fail_its_batch(store: Arc<dyn Store>) {
    let mut settlements = Vec::new();
    for n in 0..5 {
        let started_task = started(&store, task(0), 1).await;
        let result = if n == 2 { "\"\0\"".to_owned() } else { n.to_string() };
        settlements.push(settlement(1, &started_task, at(2), Next::success(result)));
    }
    let answers = store.settle(&settlements).await.unwrap();
    for (n, answer) in answers.iter().enumerate() {
        if n == 2 {
            assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
            assert_eq!(row(&store, settlements[n].id).await.status, TaskStatus::Started);
        } else {
            assert!(matches!(answer, Ok(Settled::Ended(_))), "{answer:?}");
        }
    }
}

pub async fn a_first_attempt_that_succeeds_leaves_no_attempt_row(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    settle(&store, &started_task, at(2), Next::success("1".into())).await;
    assert_eq!(store.attempts(started_task.id).await.unwrap(), []);
}

pub async fn every_other_attempt_is_written_down_with_its_end(store: Arc<dyn Store>) {
    let id = inserted(&store, task(0)).await;
    let nexts = [
        (AttemptEnd::Retry, Some(mishap()), Next::Retry { due_at: at(0), error: mishap() }),
        (AttemptEnd::Crashed, Some(mishap()), Next::Crashed { due_at: at(0), crashes: 1, error: mishap() }),
        (AttemptEnd::Success, None, Next::success("1".into())),
    ];
    let mut expected = Vec::new();
    for (n, (end, error, next)) in (0i32..).zip(nexts) {
        let (from, to) = (at(i64::from(n) * 10), at(i64::from(n) * 10 + 5));
        let started_task = start_ref(&store, 1, reference(id, 2 * n), from).await;
        settle(&store, &started_task, to, next).await;
        let worker_name = "worker-1".to_owned();
        expected.push(AttemptRow { attempt: Attempt(n + 1), worker_name, started_at: from, ended_at: to, end, error });
    }
    assert_eq!(store.attempts(id).await.unwrap(), expected);
    let failed = crate::support::tasks::ended(&store, task(0), 1, Next::failure(mishap())).await;
    let attempts = store.attempts(failed).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].end, attempts[0].error.clone()), (1, AttemptEnd::Failure, Some(mishap())));
}

pub async fn a_release_leaves_no_attempt_row(store: Arc<dyn Store>) {
    let started_task = started(&store, task(0), 1).await;
    settle(&store, &started_task, at(2), Next::Release { due_at: at(2) }).await;
    assert_eq!(store.attempts(started_task.id).await.unwrap(), []);
}

pub async fn the_rescue_settles_in_the_name_of_the_dead(store: Arc<dyn Store>) {
    let new = task(0);
    store.insert(&[dispatched(new.clone())]).await.unwrap();
    let dead = WorkerId::made(at(0));
    let refs = [reference(new.id, 0)];
    let batch = legwork_engine::store::StartBatch {
        worker: dead,
        worker_name: "dead",
        now: at(1),
        exclusive: false,
        refs: &refs,
        limits: &[],
    };
    store.start(&batch).await.unwrap();
    let found = store.started_by_the_dead(at(0), at(2), 10).await.unwrap().remove(0);
    let rescue = legwork_engine::store::Settlement {
        id: found.id,
        attempt: found.attempt,
        version: found.version,
        worker: found.worker,
        worker_name: found.worker_name.into(),
        at: at(2),
        progress: None,
        next: Next::Crashed { due_at: at(2), crashes: 1, error: mishap() },
    };
    assert!(matches!(settle_all(&store, &[rescue]).await[0], Settled::Waiting { .. }));
    assert_eq!(store.attempts(new.id).await.unwrap()[0].worker_name, "dead");
}
