//! A fetch waits for the first reference, and nothing is lost on the way to it.

use std::sync::Arc;
use std::time::Duration;

use legwork_engine::broker::{BrokerError, FetchRequest, QueueQuota};
use legwork_engine::domain::PriorityBand;

use crate::support::brokers::{TestBroker, bells, dispatch, dispatches, queue, request, waiting};

super::contract!(
    a_waiting_fetch_gets_what_is_dispatched,
    a_fetch_that_finds_nothing_is_empty_after_its_wait,
    a_wake_ends_a_wait_whether_it_has_started_or_not,
    work_of_another_queue_does_not_end_a_wait,
    a_worker_without_a_free_slot_waits_for_the_wake,
    each_of_two_that_wait_gets_one,
    a_waiting_fetch_keeps_to_its_maximum,
    a_fetch_that_is_dropped_loses_nothing,
    a_closed_broker_is_not_available,
);

async fn a_waiting_fetch_gets_what_is_dispatched(test: TestBroker) {
    for band in PriorityBand::ALL {
        let sent = dispatch("b", band, 0);
        let wanted = waiting(&["a", "b"], 5);
        let (got, dispatched) = tokio::join!(test.broker.fetch(&wanted), test.peer.publish(std::slice::from_ref(&sent)));
        dispatched.unwrap();
        assert_eq!(bells(&got.unwrap()), [sent]);
    }
}

async fn a_fetch_that_finds_nothing_is_empty_after_its_wait(test: TestBroker) {
    for wait in [Duration::ZERO, Duration::from_micros(1), Duration::from_millis(20)] {
        assert_eq!(test.broker.fetch(&FetchRequest { wait, ..request(&["a"], 5) }).await.unwrap(), []);
    }
}

async fn a_wake_ends_a_wait_whether_it_has_started_or_not(test: TestBroker) {
    for _ in 0..20 {
        let broker = Arc::clone(&test.broker);
        let fetch = tokio::spawn(async move { broker.fetch(&waiting(&["a"], 5)).await });
        test.broker.wake();
        assert_eq!(fetch.await.unwrap().unwrap(), []);
    }
}

async fn work_of_another_queue_does_not_end_a_wait(test: TestBroker) {
    let sent = dispatch("a", PriorityBand::Normal, 0);
    let wanted = waiting(&["a"], 5);
    let (got, ()) = tokio::join!(test.broker.fetch(&wanted), async {
        test.peer.publish(&dispatches("b", PriorityBand::High, 3)).await.unwrap();
        test.peer.publish(std::slice::from_ref(&sent)).await.unwrap();
    });
    assert_eq!(bells(&got.unwrap()), [sent]);
}

async fn a_worker_without_a_free_slot_waits_for_the_wake(test: TestBroker) {
    test.broker.publish(&dispatches("a", PriorityBand::High, 3)).await.unwrap();
    let full = FetchRequest { quotas: vec![QueueQuota { queue: queue("a"), max: 0 }], ..waiting(&[], 5) };
    let (got, ()) = tokio::join!(test.broker.fetch(&full), async { test.broker.wake() });
    assert_eq!(got.unwrap(), []);
    assert_eq!(test.broker.fetch(&request(&["a"], 5)).await.unwrap().len(), 3);
}

async fn each_of_two_that_wait_gets_one(test: TestBroker) {
    let sent = dispatches("a", PriorityBand::Normal, 2);
    let (one, other) = (waiting(&["a"], 1), waiting(&["a", "b"], 1));
    let (first, second, dispatched) = tokio::join!(test.broker.fetch(&one), test.broker.fetch(&other), test.peer.publish(&sent));
    dispatched.unwrap();
    let mut got = [bells(&first.unwrap()), bells(&second.unwrap())].concat();
    got.sort_by_key(|dispatch| dispatch.dispatched_at);
    assert_eq!(got, sent);
}

async fn a_waiting_fetch_keeps_to_its_maximum(test: TestBroker) {
    for round in 0..20 {
        let sent: Vec<_> =
            ["a", "b"].into_iter().flat_map(|name| PriorityBand::ALL.map(|band| dispatch(name, band, round))).collect();
        let wanted = waiting(&["a", "b"], 1);
        let (got, dispatched) = tokio::join!(test.broker.fetch(&wanted), test.peer.publish(&sent));
        dispatched.unwrap();
        let got = got.unwrap();
        assert_eq!(got.len(), 1);
        let rest = test.broker.fetch(&request(&["a", "b"], 9)).await.unwrap();
        assert_eq!(rest.len(), 5);
    }
}

async fn a_fetch_that_is_dropped_loses_nothing(test: TestBroker) {
    for round in 0..100 {
        let broker = Arc::clone(&test.broker);
        let fetch = tokio::spawn(async move { broker.fetch(&waiting(&["a"], 1)).await });
        // The abort meets the fetch at ever other points of its way.
        for _ in 0..round % 10 {
            tokio::task::yield_now().await;
        }
        let sent = dispatch("a", PriorityBand::Normal, 0);
        if round % 2 == 0 {
            test.peer.ping().await.unwrap();
        }
        let (dispatched, ()) = tokio::join!(test.peer.publish(std::slice::from_ref(&sent)), async { fetch.abort() });
        dispatched.unwrap();
        let got = match fetch.await {
            Ok(got) => got.unwrap(),
            Err(_aborted) => test.broker.fetch(&waiting(&["a"], 1)).await.unwrap(),
        };
        assert_eq!(bells(&got), [sent], "round {round}");
    }
}

async fn a_closed_broker_is_not_available(test: TestBroker) {
    let broker = Arc::clone(&test.broker);
    let fetch = tokio::spawn(async move { broker.fetch(&waiting(&["a"], 5)).await });
    tokio::task::yield_now().await;
    test.broker.close().await;
    assert!(matches!(fetch.await.unwrap(), Ok(got) if got.is_empty()));
    assert!(matches!(test.broker.fetch(&waiting(&["a"], 5)).await, Err(BrokerError::Unavailable(_))));
    assert!(matches!(test.broker.publish(&dispatches("a", PriorityBand::Low, 1)).await, Err(BrokerError::Unavailable(_))));
}
