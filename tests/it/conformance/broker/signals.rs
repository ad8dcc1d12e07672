//! Signals reach every process, this one included.

use std::sync::Arc;

use legwork_engine::broker::Signal;
use legwork_engine::domain::{Progress, TaskId, TaskStatus};

use crate::support::brokers::{START, TestBroker};

super::contract!(every_listener_hears_a_signal_once_and_in_order);

async fn every_listener_hears_a_signal_once_and_in_order(test: TestBroker) {
    // A ping is answered when signals are heard.
    test.broker.ping().await.unwrap();
    test.peer.ping().await.unwrap();
    let mut listeners = [test.broker.signals(), test.broker.signals(), test.peer.signals()];
    let id = TaskId::made(START);
    let actual = [
        Signal::Changed { tasks: vec![(id, TaskStatus::Success), (TaskId::made(START), TaskStatus::Retry)] },
        Signal::Revoke { id, terminate: true },
        Signal::Progress { id, progress: Progress { done: 3, total: Some(7), message: Some("half \"way\"".to_owned()) } },
        Signal::Queues,
        Signal::Worker,
        Signal::Tokens,
    ];
    for signal in &actual {
        test.broker.signal(signal).await.unwrap();
    }
    for listener in &mut listeners {
        for signal in &actual {
            assert_eq!(listener.recv().await.unwrap(), Arc::new(signal.clone()));
        }
    }
}
