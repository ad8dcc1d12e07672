//! What is read for answers: find, list, counts.

use std::sync::Arc;

use legwork_engine::domain::{ErrorReport, KindName, NewTask, Next, PageRequest, TaskFilter, TaskId, TaskStatus};
use legwork_engine::store::{QueueCounts, Store};

use crate::support::tasks::{
    at, default_queue, dispatched, ended, insert, inserted, mishap, queue, reference, settle, settlement, start_ref, started,
    task, undispatched,
};

pub async fn an_unknown_id_is_nothing(store: Arc<dyn Store>) {
    assert_eq!(store.find(TaskId::made(at(0))).await.unwrap(), None);
    assert_eq!(store.attempts(TaskId::made(at(0))).await.unwrap(), []);
}

pub async fn a_task_is_found_while_it_ends(store: Arc<dyn Store>) {
    for n in 0..50 {
        let started_task = started(&store, task(n), n).await;
        let end = [settlement(1, &started_task, at(n), Next::success("1".into()))];
        let (settled, found) = tokio::join!(store.settle(&end), store.find(started_task.id));
        settled.unwrap().remove(0).unwrap();
        assert!(found.unwrap().is_some());
    }
}

pub async fn a_list_is_newest_first_live_and_ended_merged(store: Arc<dyn Store>) {
    let mut expected = Vec::new();
    for n in 0..9 {
        expected.insert(
            0,
            match n % 3 {
                0 => inserted(&store, task(n)).await,
                1 => started(&store, task(n), n).await.id,
                _ => ended(&store, task(n), n, Next::success("1".into())).await,
            },
        );
    }
    assert_eq!(ids(&store, TaskFilter::default()).await, expected);
}

pub async fn pages_follow_each_other_without_a_gap_or_an_overlap(store: Arc<dyn Store>) {
    let mut expected = Vec::new();
    for n in 0..11 {
        let end = n % 2 == 0;
        expected.push(if end {
            ended(&store, task(n), n, Next::success("1".into())).await
        } else {
            inserted(&store, task(n)).await
        });
    }
    expected.reverse();
    let (mut seen, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.list(&TaskFilter::default(), &PageRequest { after, limit: 4 }).await.unwrap();
        sizes.push(page.items.len());
        seen.extend(page.items.into_iter().map(|row| row.id));
        // What comes in between belongs to an earlier page.
        inserted(&store, task(100)).await;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen, sizes), (expected, vec![4, 4, 3]));
}

pub async fn a_page_that_holds_the_rest_is_the_last(store: Arc<dyn Store>) {
    for n in 0..4 {
        inserted(&store, task(n)).await;
    }
    let page = store.list(&TaskFilter::default(), &PageRequest { after: None, limit: 4 }).await.unwrap();
    assert_eq!((page.items.len(), page.next), (4, None));
}

pub async fn each_filter_chooses(store: Arc<dyn Store>) {
    let waiting = inserted(&store, NewTask { kind: KindName::parse("email.send").unwrap(), ..task(1) }).await;
    let running = started(&store, NewTask { queue: queue("slow"), ..task(2) }, 2).await.id;
    let done = ended(&store, NewTask { principal: "bob".into(), ..task(3) }, 3, Next::success("1".into())).await;
    let second = inserted(&store, task(4)).await;
    let by_another = start_ref(&store, 2, reference(second, 0), at(4)).await;
    let retried = settlement(2, &by_another, at(5), Next::Retry { due_at: at(60), error: mishap() });
    store.settle(&[retried]).await.unwrap();
    let all = TaskFilter::default;
    let cases = [
        (TaskFilter { statuses: vec![TaskStatus::Pending], ..all() }, vec![waiting]),
        (TaskFilter { statuses: vec![TaskStatus::Success], ..all() }, vec![done]),
        (TaskFilter { statuses: vec![TaskStatus::Success, TaskStatus::Retry], ..all() }, vec![second, done]),
        (TaskFilter { statuses: vec![TaskStatus::Failure], ..all() }, vec![]),
        (TaskFilter { kind: Some(KindName::parse("email.send").unwrap()), ..all() }, vec![waiting]),
        (TaskFilter { queue: Some(queue("slow")), ..all() }, vec![running]),
        (TaskFilter { worker: Some("worker-1".into()), ..all() }, vec![done, running]),
        (TaskFilter { worker: Some("worker-2".into()), ..all() }, vec![second]),
        (TaskFilter { principal: Some("bob".into()), ..all() }, vec![done]),
        (TaskFilter { submitted_from: Some(at(3)), ..all() }, vec![second, done]),
        (TaskFilter { submitted_to: Some(at(3)), ..all() }, vec![running, waiting]),
        (
            TaskFilter { submitted_from: Some(at(2)), submitted_to: Some(at(3)), queue: Some(queue("slow")), ..all() },
            vec![running],
        ),
        (TaskFilter { queue: Some(queue("slow")), principal: Some("bob".into()), ..all() }, vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&store, filter.clone()).await, expected, "{filter:?}");
    }
}

pub async fn a_text_is_searched_as_it_is_written_in_any_case(store: Arc<dyn Store>) {
    let by_kind = inserted(&store, NewTask { kind: KindName::parse("report.yearly").unwrap(), ..task(1) }).await;
    let by_args = inserted(&store, NewTask { args: r#"{"text":"50% off_it's \\ done"}"#.into(), ..task(2) }).await;
    let error = ErrorReport::new("SmtpError", "550 \"no such user\" at Host", false);
    let by_error = ended(&store, task(3), 3, Next::failure(error.clone())).await;
    let retrying = started(&store, task(4), 4).await;
    settle(&store, &retrying, at(4), Next::Retry { due_at: at(60), error }).await;
    let cases = [
        ("YEARLY", vec![by_kind]),
        ("50% OFF_it's", vec![by_args]),
        ("50%off", vec![]),
        ("50_ off", vec![]),
        ("it''s", vec![]),
        (r"\\ done", vec![by_args]),
        (r#""no such user" at host"#, vec![retrying.id, by_error]),
        ("no%user", vec![]),
        ("hello", vec![retrying.id, by_error, by_kind]),
        ("'; drop table tasks; --", vec![]),
    ];
    for (text, expected) in cases {
        let filter = TaskFilter { text: Some(text.into()), ..TaskFilter::default() };
        assert_eq!(ids(&store, filter).await, expected, "{text}");
    }
}

pub async fn queues_are_counted_by_what_their_tasks_wait_for(store: Arc<dyn Store>) {
    store.ensure_queues(&[default_queue(), queue("idle")], at(0)).await.unwrap();
    inserted(&store, task(5)).await;
    inserted(&store, task(3)).await;
    insert(&store, &[undispatched(NewTask { due_at: at(500), ..task(0) })]).await;
    started(&store, task(0), 6).await;
    ended(&store, task(0), 7, Next::failure(mishap())).await;
    ended(&store, task(-90), -90, Next::success("1".into())).await;
    let empty = |name| QueueCounts { name, waiting: 0, scheduled: 0, running: 0, oldest_due_at: None, ended_last_minute: 0 };
    let filled = QueueCounts {
        waiting: 2,
        scheduled: 1,
        running: 1,
        oldest_due_at: Some(at(3)),
        ended_last_minute: 1,
        ..empty(default_queue())
    };
    let mut counts = store.queue_counts(at(10)).await.unwrap();
    counts.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(counts, [filled, empty(queue("idle"))]);
}

pub async fn a_list_is_the_same_whatever_the_batches_were(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..30).map(|n| dispatched(task(n))).collect();
    insert(&store, &tasks[..7]).await;
    insert(&store, &tasks[7..]).await;
    let expected: Vec<_> = tasks.iter().rev().map(|submitted| submitted.task.id).collect();
    assert_eq!(ids(&store, TaskFilter::default()).await, expected);
}

async fn ids(store: &Arc<dyn Store>, filter: TaskFilter) -> Vec<TaskId> {
    let page = store.list(&filter, &PageRequest { after: None, limit: 500 }).await.unwrap();
    assert_eq!(page.next, None);
    page.items.into_iter().map(|row| row.id).collect()
}
