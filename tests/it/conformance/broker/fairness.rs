//! Who gets what, in which order.

use legwork_engine::broker::{FetchRequest, QueueQuota};
use legwork_engine::domain::PriorityBand;

use crate::support::brokers::{TestBroker, bells, dispatch, dispatches, queue, request};

super::contract!(
    the_oldest_of_a_lane_comes_first,
    more_urgent_bands_come_first,
    of_ten_in_one_call_one_goes_to_a_lower_band,
    of_ten_calls_for_one_one_goes_to_a_lower_band,
    both_lower_bands_get_their_turn,
    what_is_owed_to_a_lower_band_without_work_is_not_lost,
    queues_share_a_call,
    queues_take_turns_over_calls,
    what_one_queue_leaves_goes_to_the_others,
    no_lane_gives_more_than_its_maximum_over_all_bands,
    a_worker_without_a_free_slot_gets_nothing,
);

async fn the_oldest_of_a_lane_comes_first(test: TestBroker) {
    let sent = dispatches("a", PriorityBand::Normal, 5);
    test.broker.publish(&sent).await.unwrap();
    let first = test.broker.fetch(&request(&["a"], 2)).await.unwrap();
    let rest = test.peer.fetch(&request(&["a"], 9)).await.unwrap();
    assert_eq!([bells(&first), bells(&rest)].concat(), sent);
    assert_eq!(first.len(), 2);
}

async fn more_urgent_bands_come_first(test: TestBroker) {
    let sent = [
        dispatch("a", PriorityBand::Low, 0),
        dispatch("b", PriorityBand::Normal, 1),
        dispatch("a", PriorityBand::High, 2),
        dispatch("b", PriorityBand::High, 3),
    ];
    test.broker.publish(&sent).await.unwrap();
    let got = test.broker.fetch(&request(&["a", "b"], 8)).await.unwrap();
    let bands: Vec<PriorityBand> = got.iter().map(|delivery| delivery.dispatch.band).collect();
    assert_eq!(bands, [PriorityBand::High, PriorityBand::High, PriorityBand::Normal, PriorityBand::Low]);
}

async fn of_ten_in_one_call_one_goes_to_a_lower_band(test: TestBroker) {
    test.broker.publish(&dispatches("a", PriorityBand::High, 100)).await.unwrap();
    test.broker.publish(&dispatches("a", PriorityBand::Low, 100)).await.unwrap();
    for max in [10, 30] {
        let got = test.broker.fetch(&request(&["a"], max)).await.unwrap();
        assert_eq!(got.iter().filter(|one| one.dispatch.band == PriorityBand::Low).count(), max / 10);
        assert_eq!(got.len(), max);
    }
}

async fn of_ten_calls_for_one_one_goes_to_a_lower_band(test: TestBroker) {
    test.broker.publish(&dispatches("a", PriorityBand::High, 100)).await.unwrap();
    test.broker.publish(&dispatches("a", PriorityBand::Low, 100)).await.unwrap();
    let mut low = 0;
    for _ in 0..20 {
        let got = test.broker.fetch(&request(&["a"], 1)).await.unwrap();
        assert_eq!(got.len(), 1);
        low += usize::from(got[0].dispatch.band == PriorityBand::Low);
    }
    assert_eq!(low, 2);
}

async fn both_lower_bands_get_their_turn(test: TestBroker) {
    for band in PriorityBand::ALL {
        test.broker.publish(&dispatches("a", band, 100)).await.unwrap();
    }
    let mut counts = [0; 3];
    for _ in 0..4 {
        for delivery in test.broker.fetch(&request(&["a"], 10)).await.unwrap() {
            counts[delivery.dispatch.band as usize] += 1;
        }
    }
    assert_eq!(counts, [36, 2, 2]);
}

async fn what_is_owed_to_a_lower_band_without_work_is_not_lost(test: TestBroker) {
    for band in [PriorityBand::High, PriorityBand::Normal, PriorityBand::Low] {
        test.broker.publish(&dispatches("a", band, 40)).await.unwrap();
        assert_eq!(test.broker.fetch(&request(&["a"], 40)).await.unwrap().len(), 40, "{band:?}");
    }
}

async fn queues_share_a_call(test: TestBroker) {
    for name in ["a", "b", "c"] {
        test.broker.publish(&dispatches(name, PriorityBand::Normal, 50)).await.unwrap();
    }
    let got = test.broker.fetch(&request(&["a", "b", "c"], 9)).await.unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(got.iter().filter(|one| one.dispatch.queue == queue(name)).count(), 3, "{name}");
    }
}

async fn queues_take_turns_over_calls(test: TestBroker) {
    for name in ["a", "b"] {
        test.broker.publish(&dispatches(name, PriorityBand::Normal, 50)).await.unwrap();
    }
    let mut from_a = 0;
    for _ in 0..8 {
        let got = test.broker.fetch(&request(&["a", "b"], 1)).await.unwrap();
        from_a += got.iter().filter(|one| one.dispatch.queue == queue("a")).count();
    }
    assert_eq!(from_a, 4);
}

async fn what_one_queue_leaves_goes_to_the_others(test: TestBroker) {
    test.broker.publish(&dispatches("a", PriorityBand::Normal, 2)).await.unwrap();
    test.broker.publish(&dispatches("b", PriorityBand::Normal, 50)).await.unwrap();
    let got = test.broker.fetch(&request(&["a", "b", "c"], 12)).await.unwrap();
    assert_eq!(got.len(), 12);
    assert_eq!(got.iter().filter(|one| one.dispatch.queue == queue("a")).count(), 2);
}

async fn no_lane_gives_more_than_its_maximum_over_all_bands(test: TestBroker) {
    for band in PriorityBand::ALL {
        test.broker.publish(&dispatches("a", band, 10)).await.unwrap();
        test.broker.publish(&dispatches("b", band, 10)).await.unwrap();
    }
    let quotas = vec![
        QueueQuota { queue: queue("a"), max: 3 },
        QueueQuota { queue: queue("b"), max: 12 },
        QueueQuota { queue: queue("c"), max: 0 },
    ];
    let got = test.broker.fetch(&FetchRequest { quotas, ..request(&[], 40) }).await.unwrap();
    let of = |name| got.iter().filter(|one| one.dispatch.queue == queue(name)).count();
    assert_eq!((of("a"), of("b")), (3, 12));
}

async fn a_worker_without_a_free_slot_gets_nothing(test: TestBroker) {
    test.broker.publish(&dispatches("a", PriorityBand::Normal, 3)).await.unwrap();
    assert_eq!(test.broker.fetch(&request(&["a"], 0)).await.unwrap(), []);
    assert_eq!(test.broker.fetch(&request(&[], 5)).await.unwrap(), []);
    assert_eq!(test.broker.fetch(&request(&["a"], 5)).await.unwrap().len(), 3);
}
