//! After every fault a publish reaches a fetch again, without a restart and without more connections than before.

use std::sync::Arc;
use std::time::Duration;

use legwork_engine::broker::{BrokerError, SharedBroker, Signal};
use legwork_engine::domain::PriorityBand;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use crate::support::brokers::{bells, connect, dispatch, dispatches, queue, request, waiting};
use crate::support::redis_server::RedisServer;

const LIMIT: Duration = Duration::from_secs(30);

fn on(server: &RedisServer) -> SharedBroker {
    connect(&server.url(), "legwork")
}

/// A publish arrives, both where a fetch waits for it and where it is there already.
async fn works(broker: &SharedBroker) {
    let sent = dispatch("a", PriorityBand::Normal, 0);
    broker.publish(std::slice::from_ref(&sent)).await.unwrap();
    let got = broker.fetch(&request(&["a"], 5)).await.unwrap();
    assert_eq!(bells(&got), std::slice::from_ref(&sent));
    let wanted = waiting(&["a"], 5);
    let (got, dispatched) =
        timeout(LIMIT, async { tokio::join!(broker.fetch(&wanted), broker.publish(std::slice::from_ref(&sent))) })
            .await
            .expect("a fetch that waits gets what is dispatched");
    dispatched.unwrap();
    let got = got.unwrap();
    assert_eq!(bells(&got), [sent]);
    broker.ping().await.unwrap();
}

async fn clients(connection: &mut MultiplexedConnection) -> usize {
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(connection).await.unwrap();
    list.lines().count()
}

fn is_away<T>(answer: &Result<T, BrokerError>) -> bool {
    matches!(answer, Err(BrokerError::Unavailable(_)))
}

#[tokio::test]
async fn a_redis_that_comes_later_is_found() {
    let mut server = RedisServer::start(&[]);
    server.kill();
    let broker = on(&server);
    assert!(is_away(&broker.publish(&dispatches("a", PriorityBand::Normal, 1)).await));
    assert!(is_away(&broker.fetch(&waiting(&["a"], 5)).await));
    assert!(is_away(&broker.oldest_waiting(&queue("a"), PriorityBand::Normal).await));
    assert!(is_away(&broker.ping().await));
    server.restart();
    works(&broker).await;
}

#[tokio::test]
async fn a_redis_that_was_killed_and_comes_back_empty_is_taken_up_again() {
    let mut server = RedisServer::start(&[]);
    let broker = on(&server);
    works(&broker).await;
    for _ in 0..3 {
        let receiver = Arc::clone(&broker);
        let fetch = tokio::spawn(async move { receiver.fetch(&waiting(&["a"], 5)).await });
        broker.ping().await.unwrap();
        server.kill();
        assert!(is_away(&fetch.await.unwrap()));
        assert!(is_away(&broker.publish(&dispatches("a", PriorityBand::Normal, 1)).await));
        server.restart();
        works(&broker).await;
    }
}

#[tokio::test]
async fn a_flush_of_everything_is_survived_also_by_a_fetch_that_waits() {
    let server = RedisServer::start(&[]);
    let broker = on(&server);
    works(&broker).await;
    let mut connection = server.connection().await;
    let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    works(&broker).await;
    let wanted = waiting(&["a"], 5);
    let sent = dispatch("a", PriorityBand::High, 0);
    let (got, ()) = tokio::join!(broker.fetch(&wanted), async {
        for _ in 0..5 {
            let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
            let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut connection).await.unwrap();
            broker.ping().await.unwrap();
        }
        broker.publish(std::slice::from_ref(&sent)).await.unwrap();
    });
    assert_eq!(bells(&got.unwrap()), [sent]);
    works(&broker).await;
}

#[tokio::test]
async fn a_frozen_redis_fails_commands_at_their_deadline_and_the_next_ones_work() {
    let server = RedisServer::start(&[]);
    let broker = on(&server);
    works(&broker).await;
    server.freeze();
    let (published, fetched, held) = timeout(Duration::from_secs(8), async {
        let (dispatches, wanted, queue) = (dispatches("b", PriorityBand::Normal, 1), waiting(&["a"], 5), queue("a"));
        tokio::join!(broker.publish(&dispatches), broker.fetch(&wanted), broker.oldest_waiting(&queue, PriorityBand::Low))
    })
    .await
    .unwrap();
    assert!(is_away(&published) && is_away(&fetched) && is_away(&held));
    server.thaw();
    works(&broker).await;
}

#[tokio::test]
async fn callers_that_give_up_early_do_not_keep_a_dead_connection_alive() {
    let server = RedisServer::start(&[]);
    let broker = on(&server);
    works(&broker).await;
    let mut connection = server.connection().await;
    // The last command of `works` was a ping, on the connection for commands.
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut connection).await.unwrap();
    let pinged = list.lines().find(|line| line.contains("cmd=ping")).unwrap();
    let id = format!("{} ", pinged.split(' ').next().unwrap());
    server.freeze();
    for _ in 0..5 {
        assert!(timeout(Duration::from_millis(300), broker.publish(&dispatches("b", PriorityBand::Normal, 1))).await.is_err());
    }
    server.thaw();
    works(&broker).await;
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut connection).await.unwrap();
    assert!(!list.lines().any(|line| line.starts_with(&id)), "{id} is used still: {list}");
}

#[tokio::test]
async fn a_slow_redis_is_waited_for_by_the_wake_no_longer_than_a_moment() {
    let server = RedisServer::start(&[]);
    let broker = on(&server);
    works(&broker).await;
    let receiver = Arc::clone(&broker);
    let fetch = tokio::spawn(async move { receiver.fetch(&waiting(&["a"], 5)).await });
    broker.ping().await.unwrap();
    server.freeze();
    broker.wake();
    // Frozen at the first command it is a failure, in the blocking read it is empty; at once it is in either case.
    drop(timeout(Duration::from_secs(2), fetch).await.unwrap().unwrap());
    server.thaw();
    works(&broker).await;
}

#[tokio::test]
async fn clients_that_are_killed_come_back_and_none_are_left_over() {
    let server = RedisServer::start(&[]);
    let broker = on(&server);
    works(&broker).await;
    let mut connection = server.connection().await;
    let before = clients(&mut connection).await;
    for _ in 0..10 {
        for kind in ["normal", "pubsub"] {
            let _: i64 =
                redis::cmd("CLIENT").arg(&["KILL", "TYPE", kind, "SKIPME", "yes"]).query_async(&mut connection).await.unwrap();
        }
        works(&broker).await;
    }
    assert!(clients(&mut connection).await <= before);
}

#[tokio::test]
async fn signals_are_heard_again_after_a_break_and_in_this_process_without_redis() {
    let mut server = RedisServer::start(&[]);
    let (broker, peer) = (on(&server), on(&server));
    let (mut own, mut others) = (broker.signals(), peer.signals());
    server.kill();
    assert!(is_away(&broker.signal(&Signal::Tokens).await));
    assert_eq!(*own.recv().await.unwrap(), Signal::Tokens);
    server.restart();
    broker.ping().await.unwrap();
    peer.ping().await.unwrap();
    broker.signal(&Signal::Queues).await.unwrap();
    assert_eq!(*own.recv().await.unwrap(), Signal::Queues);
    assert_eq!(*others.recv().await.unwrap(), Signal::Queues);
}

#[tokio::test]
async fn what_nobody_here_has_written_is_thrown_away() {
    let server = RedisServer::start(&[]);
    let broker = on(&server);
    let mut connection = server.connection().await;
    let key = "{legwork}:queue:a:normal";
    let _: String = redis::cmd("XADD").arg(&[key, "*", "r", "junk"]).query_async(&mut connection).await.unwrap();
    let _: String = redis::cmd("XADD").arg(&[key, "*", "x", "y", "z", "w"]).query_async(&mut connection).await.unwrap();
    works(&broker).await;
    let left: usize = redis::cmd("XLEN").arg(key).query_async(&mut connection).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_full_redis_refuses() {
    let server = RedisServer::start(&["--maxmemory", "1"]);
    let broker = on(&server);
    assert!(matches!(broker.publish(&dispatches("a", PriorityBand::Normal, 1)).await, Err(BrokerError::Refused(_))));
}

#[tokio::test]
async fn redis_keeps_nothing_of_what_was_handed_out() {
    let server = RedisServer::start(&[]);
    let broker = on(&server);
    let mut connection = server.connection().await;
    let key = "{legwork}:queue:a:normal";
    for _ in 0..3 {
        // A read that waits leaves its entry in the stream, where the next fetch deletes it.
        let wanted = waiting(&["a"], 1);
        let sent = dispatches("a", PriorityBand::Normal, 1);
        let (got, published) = tokio::join!(broker.fetch(&wanted), broker.publish(&sent));
        published.unwrap();
        assert_eq!(got.unwrap().len(), 1);
        assert_eq!(broker.oldest_waiting(&queue("a"), PriorityBand::Normal).await.unwrap(), None);
        broker.publish(&dispatches("a", PriorityBand::Normal, 5)).await.unwrap();
        assert_eq!(broker.fetch(&request(&["a"], 3)).await.unwrap().len(), 3);
        let left: usize = redis::cmd("XLEN").arg(key).query_async(&mut connection).await.unwrap();
        assert_eq!(left, 2);
        assert_eq!(broker.fetch(&request(&["a"], 3)).await.unwrap().len(), 2);
        let left: usize = redis::cmd("XLEN").arg(key).query_async(&mut connection).await.unwrap();
        assert_eq!(left, 0);
    }
    let consumers: Vec<redis::Value> =
        redis::cmd("XINFO").arg("CONSUMERS").arg(key).arg("workers").query_async(&mut connection).await.unwrap();
    assert_eq!(consumers.len(), 1, "one consumer, however many workers there are");
    let pending: Vec<redis::Value> = redis::cmd("XPENDING").arg(key).arg("workers").query_async(&mut connection).await.unwrap();
    assert_eq!(pending.first(), Some(&redis::Value::Int(0)));
}
