//! Who gets what, in which order.

use legwork_engine::broker::{Lane, Want};
use legwork_engine::domain::Band;

use crate::support::brokers::{TestBroker, bells, queue, ring, rings, want};

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
    let sent = rings("a", Band::Normal, 5);
    test.broker.publish(&sent).await.unwrap();
    let first = test.broker.receive(&want(&["a"], 2)).await.unwrap();
    let rest = test.peer.receive(&want(&["a"], 9)).await.unwrap();
    assert_eq!([bells(&first), bells(&rest)].concat(), sent);
    assert_eq!(first.len(), 2);
}

async fn more_urgent_bands_come_first(test: TestBroker) {
    let sent = [ring("a", Band::Low, 0), ring("b", Band::Normal, 1), ring("a", Band::High, 2), ring("b", Band::High, 3)];
    test.broker.publish(&sent).await.unwrap();
    let got = test.broker.receive(&want(&["a", "b"], 8)).await.unwrap();
    let bands: Vec<Band> = got.iter().map(|delivery| delivery.doorbell.band).collect();
    assert_eq!(bands, [Band::High, Band::High, Band::Normal, Band::Low]);
}

async fn of_ten_in_one_call_one_goes_to_a_lower_band(test: TestBroker) {
    test.broker.publish(&rings("a", Band::High, 100)).await.unwrap();
    test.broker.publish(&rings("a", Band::Low, 100)).await.unwrap();
    for max in [10, 30] {
        let got = test.broker.receive(&want(&["a"], max)).await.unwrap();
        assert_eq!(got.iter().filter(|one| one.doorbell.band == Band::Low).count(), max / 10);
        assert_eq!(got.len(), max);
    }
}

async fn of_ten_calls_for_one_one_goes_to_a_lower_band(test: TestBroker) {
    test.broker.publish(&rings("a", Band::High, 100)).await.unwrap();
    test.broker.publish(&rings("a", Band::Low, 100)).await.unwrap();
    let mut low = 0;
    for _ in 0..20 {
        let got = test.broker.receive(&want(&["a"], 1)).await.unwrap();
        assert_eq!(got.len(), 1);
        low += usize::from(got[0].doorbell.band == Band::Low);
    }
    assert_eq!(low, 2);
}

async fn both_lower_bands_get_their_turn(test: TestBroker) {
    for band in Band::ALL {
        test.broker.publish(&rings("a", band, 100)).await.unwrap();
    }
    let mut counts = [0; 3];
    for _ in 0..4 {
        for delivery in test.broker.receive(&want(&["a"], 10)).await.unwrap() {
            counts[delivery.doorbell.band as usize] += 1;
        }
    }
    assert_eq!(counts, [36, 2, 2]);
}

async fn what_is_owed_to_a_lower_band_without_work_is_not_lost(test: TestBroker) {
    for band in [Band::High, Band::Normal, Band::Low] {
        test.broker.publish(&rings("a", band, 40)).await.unwrap();
        assert_eq!(test.broker.receive(&want(&["a"], 40)).await.unwrap().len(), 40, "{band:?}");
    }
}

async fn queues_share_a_call(test: TestBroker) {
    for name in ["a", "b", "c"] {
        test.broker.publish(&rings(name, Band::Normal, 50)).await.unwrap();
    }
    let got = test.broker.receive(&want(&["a", "b", "c"], 9)).await.unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(got.iter().filter(|one| one.doorbell.queue == queue(name)).count(), 3, "{name}");
    }
}

async fn queues_take_turns_over_calls(test: TestBroker) {
    for name in ["a", "b"] {
        test.broker.publish(&rings(name, Band::Normal, 50)).await.unwrap();
    }
    let mut from_a = 0;
    for _ in 0..8 {
        let got = test.broker.receive(&want(&["a", "b"], 1)).await.unwrap();
        from_a += got.iter().filter(|one| one.doorbell.queue == queue("a")).count();
    }
    assert_eq!(from_a, 4);
}

async fn what_one_queue_leaves_goes_to_the_others(test: TestBroker) {
    test.broker.publish(&rings("a", Band::Normal, 2)).await.unwrap();
    test.broker.publish(&rings("b", Band::Normal, 50)).await.unwrap();
    let got = test.broker.receive(&want(&["a", "b", "c"], 12)).await.unwrap();
    assert_eq!(got.len(), 12);
    assert_eq!(got.iter().filter(|one| one.doorbell.queue == queue("a")).count(), 2);
}

async fn no_lane_gives_more_than_its_maximum_over_all_bands(test: TestBroker) {
    for band in Band::ALL {
        test.broker.publish(&rings("a", band, 10)).await.unwrap();
        test.broker.publish(&rings("b", band, 10)).await.unwrap();
    }
    let lanes = vec![Lane { queue: queue("a"), max: 3 }, Lane { queue: queue("b"), max: 12 }, Lane { queue: queue("c"), max: 0 }];
    let got = test.broker.receive(&Want { lanes, ..want(&[], 40) }).await.unwrap();
    let of = |name| got.iter().filter(|one| one.doorbell.queue == queue(name)).count();
    assert_eq!((of("a"), of("b")), (3, 12));
}

async fn a_worker_without_a_free_slot_gets_nothing(test: TestBroker) {
    test.broker.publish(&rings("a", Band::Normal, 3)).await.unwrap();
    assert_eq!(test.broker.receive(&want(&["a"], 0)).await.unwrap(), []);
    assert_eq!(test.broker.receive(&want(&[], 5)).await.unwrap(), []);
    assert_eq!(test.broker.receive(&want(&["a"], 5)).await.unwrap().len(), 3);
}
