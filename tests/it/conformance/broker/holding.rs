//! What is handed out is held until it is acknowledged.

use std::collections::HashSet;
use std::time::Duration;

use legwork_engine::broker::Delivery;
use legwork_engine::domain::{Dispatch, PriorityBand, TaskRef, Version};

use crate::support::brokers::{START, TestBroker, bells, dispatch, dispatches, queue, request, worker};

super::contract!(
    a_reference_arrives_as_it_was_dispatched,
    a_reference_is_handed_to_one_worker_only,
    what_is_acknowledged_is_forgotten,
    what_is_not_acknowledged_is_reclaimed_once_it_is_idle,
    a_reclaim_takes_no_more_than_it_asks_for,
    what_was_never_handed_out_is_not_reclaimed,
    the_oldest_that_is_held_may_wait_or_be_handed_out,
    an_acknowledgement_may_come_twice_or_for_nothing,
    a_worker_that_leaves_takes_nothing_with_it,
);

const AN_HOUR: Duration = Duration::from_hours(1);

async fn a_reference_arrives_as_it_was_dispatched(test: TestBroker) {
    let plain = dispatch("mail.bulk-2", PriorityBand::Low, 77);
    let sent = Dispatch {
        task: TaskRef { version: Version(41), ..plain.task },
        dispatched_at: START + Duration::from_micros(123_457),
        ..plain
    };
    test.broker.publish(std::slice::from_ref(&sent)).await.unwrap();
    let got = test.peer.fetch(&request(&["mail.bulk-2"], 5)).await.unwrap();
    assert_eq!(bells(&got), [sent]);
    assert!(!got[0].entry.is_empty());
}

async fn a_reference_is_handed_to_one_worker_only(test: TestBroker) {
    let sent = dispatches("a", PriorityBand::Normal, 300);
    test.broker.publish(&sent).await.unwrap();
    let drain = async |broker: &legwork_engine::broker::SharedBroker| {
        let (request, mut all) = (request(&["a"], 7), Vec::new());
        loop {
            let got = broker.fetch(&request).await.unwrap();
            if got.is_empty() {
                return all;
            }
            broker.acknowledge(&got).await.unwrap();
            all.extend(bells(&got));
        }
    };
    let (one, other) = tokio::join!(drain(&test.broker), drain(&test.peer));
    let ids: HashSet<_> = one.iter().chain(&other).map(|dispatch| dispatch.task.id).collect();
    assert_eq!((one.len() + other.len(), ids.len()), (300, 300));
}

async fn what_is_acknowledged_is_forgotten(test: TestBroker) {
    test.broker.publish(&dispatches("a", PriorityBand::High, 2)).await.unwrap();
    test.broker.publish(&dispatches("b", PriorityBand::Low, 2)).await.unwrap();
    let got = test.broker.fetch(&request(&["a", "b"], 9)).await.unwrap();
    assert_eq!(got.len(), 4);
    test.peer.acknowledge(&got).await.unwrap();
    let queues = [queue("a"), queue("b")];
    assert_eq!(test.broker.reclaim(worker(), &queues, Duration::ZERO, 9).await.unwrap(), []);
    assert_eq!(test.broker.fetch(&request(&["a", "b"], 9)).await.unwrap(), []);
    assert_eq!(test.broker.oldest_held(&queues[0], PriorityBand::High).await.unwrap(), None);
}

async fn what_is_not_acknowledged_is_reclaimed_once_it_is_idle(test: TestBroker) {
    let sent = dispatches("a", PriorityBand::Normal, 3);
    test.broker.publish(&sent).await.unwrap();
    let got = test.broker.fetch(&request(&["a"], 9)).await.unwrap();
    test.broker.acknowledge(&got[..1]).await.unwrap();
    let queues = [queue("a"), queue("never.dispatched")];
    assert_eq!(test.peer.reclaim(worker(), &queues, AN_HOUR, 9).await.unwrap(), []);
    let again = test.peer.reclaim(worker(), &queues, Duration::ZERO, 9).await.unwrap();
    assert_eq!(bells(&again), sent[1..]);
    // Who has reclaimed them holds them now.
    assert_eq!(test.broker.fetch(&request(&["a"], 9)).await.unwrap(), []);
    test.peer.acknowledge(&again).await.unwrap();
    assert_eq!(test.peer.reclaim(worker(), &queues, Duration::ZERO, 9).await.unwrap(), []);
}

async fn a_reclaim_takes_no_more_than_it_asks_for(test: TestBroker) {
    for band in PriorityBand::ALL {
        test.broker.publish(&dispatches("a", band, 10)).await.unwrap();
    }
    assert_eq!(test.broker.fetch(&request(&["a"], 30)).await.unwrap().len(), 30);
    assert_eq!(test.broker.reclaim(worker(), &[queue("a")], Duration::ZERO, 13).await.unwrap().len(), 13);
    assert_eq!(test.broker.reclaim(worker(), &[queue("a")], Duration::ZERO, 0).await.unwrap().len(), 0);
    assert_eq!(test.broker.reclaim(worker(), &[queue("a")], Duration::ZERO, 99).await.unwrap().len(), 30);
}

async fn what_was_never_handed_out_is_not_reclaimed(test: TestBroker) {
    test.broker.publish(&dispatches("a", PriorityBand::Normal, 3)).await.unwrap();
    assert_eq!(test.broker.reclaim(worker(), &[queue("a")], Duration::ZERO, 9).await.unwrap(), []);
    assert_eq!(test.broker.fetch(&request(&["a"], 9)).await.unwrap().len(), 3);
}

async fn the_oldest_that_is_held_may_wait_or_be_handed_out(test: TestBroker) {
    let sent = dispatches("a", PriorityBand::Normal, 2);
    let oldest = async || test.broker.oldest_held(&queue("a"), PriorityBand::Normal).await.unwrap();
    assert_eq!(oldest().await, None);
    test.broker.publish(&sent).await.unwrap();
    assert_eq!(oldest().await, Some(sent[0].dispatched_at));
    assert_eq!(test.broker.oldest_held(&queue("a"), PriorityBand::High).await.unwrap(), None);
    let first = test.broker.fetch(&request(&["a"], 1)).await.unwrap();
    assert_eq!(oldest().await, Some(sent[0].dispatched_at), "handed out");
    test.broker.acknowledge(&first).await.unwrap();
    assert_eq!(oldest().await, Some(sent[1].dispatched_at), "acknowledged");
}

async fn an_acknowledgement_may_come_twice_or_for_nothing(test: TestBroker) {
    test.broker.publish(&dispatches("a", PriorityBand::Normal, 1)).await.unwrap();
    let got = test.broker.fetch(&request(&["a"], 1)).await.unwrap();
    test.broker.acknowledge(&got).await.unwrap();
    test.broker.acknowledge(&got).await.unwrap();
    test.broker.acknowledge(&[Delivery { dispatch: dispatch("b", PriorityBand::High, 0), entry: String::new() }]).await.unwrap();
    test.broker.acknowledge(&[]).await.unwrap();
    test.broker.publish(&[]).await.unwrap();
}

async fn a_worker_that_leaves_takes_nothing_with_it(test: TestBroker) {
    let sent = dispatches("a", PriorityBand::Normal, 2);
    test.broker.publish(&sent).await.unwrap();
    let leaver = request(&["a"], 1);
    assert_eq!(test.broker.fetch(&leaver).await.unwrap().len(), 1);
    test.broker.leave(leaver.worker, &[queue("a"), queue("never.dispatched")]).await.unwrap();
    let mut found = test.peer.fetch(&request(&["a"], 9)).await.unwrap();
    test.peer.acknowledge(&found).await.unwrap();
    found.extend(test.peer.reclaim(worker(), &[queue("a")], Duration::ZERO, 9).await.unwrap());
    let ids: HashSet<_> = found.iter().map(|one| one.dispatch.task.id).collect();
    assert_eq!(ids, sent.iter().map(|one| one.task.id).collect());
}
