//! Where Redis may stand: behind a password, TLS, a socket, Sentinel, a Cluster.

use std::path::Path;
use std::process::{Command, Stdio};

use legwork_engine::broker::redis::RedisBroker;
use legwork_engine::broker::{BrokerError, SharedBroker};
use legwork_engine::domain::PriorityBand;

use crate::support::brokers::{bells, connect, dispatches, request, waiting};
use crate::support::redis_server::RedisServer;

/// References go through, by the script and by the blocking read.
async fn works(broker: &SharedBroker) {
    let sent = dispatches("a", PriorityBand::High, 3);
    broker.publish(&sent).await.unwrap();
    let got = broker.fetch(&request(&["a"], 5)).await.unwrap();
    assert_eq!(bells(&got), sent);
    let wanted = waiting(&["a"], 1);
    let (got, dispatched) = tokio::join!(broker.fetch(&wanted), broker.publish(&sent[..1]));
    dispatched.unwrap();
    assert_eq!(bells(&got.unwrap()), sent[..1]);
    broker.ping().await.unwrap();
}

#[tokio::test]
async fn a_user_with_a_password_needs_only_the_keys_and_the_channel_of_the_prefix() {
    let rules = "--user default off --user ann on >s@crt ~{shop}:* &{shop}:* +@all -@dangerous";
    let server = RedisServer::start(&rules.split(' ').collect::<Vec<_>>());
    let url = |password: &str| format!("redis://ann:{password}@127.0.0.1:{}/3", server.port);
    let broker = connect(&url("s%40crt"), "shop");
    works(&broker).await;
    // CLIENT UNBLOCK is not allowed to this user; the connection is closed in its place.
    let wanted = waiting(&["a"], 1);
    let (woken, ()) = tokio::join!(broker.fetch(&wanted), async { broker.wake() });
    assert_eq!(woken.unwrap(), []);
    works(&broker).await;
    let refused = connect(&url("wrong"), "shop").publish(&dispatches("a", PriorityBand::Low, 1)).await;
    assert!(matches!(refused, Err(BrokerError::Refused(_))), "{refused:?}");
    let elsewhere = connect(&url("s%40crt"), "office").publish(&dispatches("a", PriorityBand::Low, 1)).await;
    assert!(matches!(elsewhere, Err(BrokerError::Refused(_))), "{elsewhere:?}");
}

#[tokio::test]
async fn a_socket_is_as_good_as_a_port() {
    let server = RedisServer::start_with(|folder, port| {
        let socket = folder.join("redis.sock");
        ["--port", &port.to_string(), "--unixsocket", socket.to_str().unwrap()].map(str::to_owned).to_vec()
    });
    works(&connect(&format!("redis+unix://{}/redis.sock?db=1", server.folder().display()), "legwork")).await;
}

#[tokio::test]
async fn tls_trusts_the_authority_that_the_url_names_and_no_other() {
    let server = RedisServer::start_with(|folder, port| {
        make_certificates(folder);
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (port, cert, key, ca) = (port.to_string(), file("server.crt"), file("server.key"), file("ca.crt"));
        ["--port", "0", "--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca]
            .into_iter()
            .chain(["--tls-auth-clients", "no"])
            .map(str::to_owned)
            .collect()
    });
    let url = format!("rediss://127.0.0.1:{}", server.port);
    works(&connect(&format!("{url}?ca={}/ca.crt", server.folder().display()), "legwork")).await;
    let distrusted = connect(&url, "legwork").publish(&dispatches("a", PriorityBand::Low, 1)).await;
    assert!(distrusted.is_err());
    assert!(RedisBroker::connect(&format!("{url}?ca=/nowhere.pem").into(), "legwork").is_err());
}

fn make_certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let status = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).stderr(Stdio::null()).status();
        assert!(status.expect("openssl must be installed for the tests, as scripts/test does").success(), "{arguments}");
    };
    std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1").unwrap();
    let fresh = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("{fresh} -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.crt"));
    openssl(&format!("{fresh} -subj /CN=server -keyout server.key -out server.csr"));
    openssl("x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.crt");
}

#[tokio::test]
async fn a_fail_over_by_sentinel_is_followed() {
    let mut master = RedisServer::start(&["--requirepass", "pw", "--masterauth", "pw"]);
    let master_port = master.port.to_string();
    let mut replica = RedisServer::start(
        &[
            ["--replicaof", "127.0.0.1"].as_slice(),
            &[&master_port, "--requirepass", "pw", "--masterauth", "pw", "--repl-diskless-sync-delay", "0"],
        ]
        .concat(),
    );
    replica.logged("MASTER <-> REPLICA sync: Finished with success").await;
    let mut sentinel = RedisServer::start_with(|folder, port| {
        let conf = folder.join("sentinel.conf");
        let lines = [
            format!("port {port}"),
            format!("sentinel monitor main 127.0.0.1 {master_port} 1"),
            "sentinel auth-pass main pw".to_owned(),
            "sentinel down-after-milliseconds main 500".to_owned(),
            "sentinel failover-timeout main 3000".to_owned(),
        ];
        std::fs::write(&conf, lines.join("\n")).unwrap();
        vec![conf.to_str().unwrap().to_owned(), "--sentinel".to_owned()]
    });
    // The first seed is nobody.
    let url = format!("redis+sentinel://:pw@127.0.0.1:1,127.0.0.1:{}/main/0", sentinel.port);
    let broker = connect(&url, "legwork");
    works(&broker).await;
    sentinel.logged("+slave slave").await;
    master.kill();
    assert!(matches!(broker.publish(&dispatches("a", PriorityBand::Low, 1)).await, Err(BrokerError::Unavailable(_))));
    sentinel.logged("+switch-master").await;
    works(&broker).await;
}

#[tokio::test]
async fn a_cluster_is_followed_to_the_owner_of_the_slot() {
    let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    let mut nodes: Vec<RedisServer> = (0..3).map(|_| RedisServer::start(&arguments)).collect();
    let at: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let cli = |arguments: &[&str]| {
        let output = Command::new("redis-cli").args(arguments).output().expect("redis-cli must be installed for the tests");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    cli(&["--cluster", "create", &at[0], &at[1], &at[2], "--cluster-yes"]);
    for node in &mut nodes {
        node.logged("Cluster state changed: ok").await;
    }
    let broker = connect(&format!("redis+cluster://127.0.0.1:1,{}", at.join(",")), "legwork");
    broker.ping().await.unwrap();
    // The slot moves to a node that is not its owner now, before there are keys in it.
    let slot = cli(&["-p", &nodes[0].port.to_string(), "CLUSTER", "KEYSLOT", "{legwork}"]);
    let owner = slot.parse::<usize>().unwrap() * 3 / 16384;
    works(&broker).await;
    for band in ["high", "normal", "low"] {
        cli(&["-c", "-p", &nodes[owner].port.to_string(), "DEL", &format!("{{legwork}}:queue:a:{band}")]);
    }
    let heir = (owner + 1) % 3;
    let id = cli(&["-p", &nodes[heir].port.to_string(), "CLUSTER", "MYID"]);
    for index in [heir, owner, (owner + 2) % 3] {
        cli(&["-p", &nodes[index].port.to_string(), "CLUSTER", "SETSLOT", &slot, "NODE", &id]);
    }
    works(&broker).await;
}
