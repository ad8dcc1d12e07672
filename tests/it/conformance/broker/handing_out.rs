//! The broker hands out each reference once and forgets it.

use std::collections::HashSet;
use std::time::Duration;

use legwork_engine::domain::{Dispatch, PriorityBand, TaskRef, Version};

use crate::support::brokers::{START, TestBroker, bells, dispatch, dispatches, queue, request, waiting};

super::contract!(
    a_reference_arrives_as_it_was_dispatched,
    a_reference_is_handed_to_one_worker_only,
    what_was_handed_out_is_forgotten,
    the_oldest_that_waits_is_the_first_that_was_not_handed_out,
    an_empty_publish_does_nothing,
);

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
            all.extend(bells(&got));
        }
    };
    let (one, other) = tokio::join!(drain(&test.broker), drain(&test.peer));
    let ids: HashSet<_> = one.iter().chain(&other).map(|dispatch| dispatch.task.id).collect();
    assert_eq!((one.len() + other.len(), ids.len()), (300, 300));
}

async fn what_was_handed_out_is_forgotten(test: TestBroker) {
    test.broker.publish(&dispatches("a", PriorityBand::High, 2)).await.unwrap();
    test.broker.publish(&dispatches("b", PriorityBand::Low, 2)).await.unwrap();
    assert_eq!(test.broker.fetch(&request(&["a", "b"], 9)).await.unwrap().len(), 4);
    assert_eq!(test.peer.fetch(&request(&["a", "b"], 9)).await.unwrap(), []);
    for (name, band) in [("a", PriorityBand::High), ("b", PriorityBand::Low)] {
        assert_eq!(test.broker.oldest_waiting(&queue(name), band).await.unwrap(), None);
    }
}

async fn the_oldest_that_waits_is_the_first_that_was_not_handed_out(test: TestBroker) {
    let sent = dispatches("a", PriorityBand::Normal, 2);
    let oldest = async || test.broker.oldest_waiting(&queue("a"), PriorityBand::Normal).await.unwrap();
    assert_eq!(oldest().await, None);
    test.broker.publish(&sent).await.unwrap();
    assert_eq!(oldest().await, Some(sent[0].dispatched_at));
    assert_eq!(test.broker.oldest_waiting(&queue("a"), PriorityBand::High).await.unwrap(), None);
    test.broker.fetch(&request(&["a"], 1)).await.unwrap();
    assert_eq!(oldest().await, Some(sent[1].dispatched_at));
    test.broker.fetch(&request(&["a"], 1)).await.unwrap();
    assert_eq!(oldest().await, None);
    // A fetch that waited takes its reference in another way than one that finds it.
    let wanted = waiting(&["a"], 1);
    let (got, sent) = tokio::join!(test.peer.fetch(&wanted), async {
        let sent = dispatch("a", PriorityBand::Normal, 9);
        test.broker.publish(std::slice::from_ref(&sent)).await.unwrap();
        sent
    });
    assert_eq!(bells(&got.unwrap()), [sent]);
    assert_eq!(oldest().await, None);
}

async fn an_empty_publish_does_nothing(test: TestBroker) {
    test.broker.publish(&[]).await.unwrap();
    assert_eq!(test.broker.fetch(&request(&["a"], 9)).await.unwrap(), []);
}
