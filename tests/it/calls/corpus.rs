//! Addresses that a server must not be talked into calling (SSRF): none of them gets a connection.

use futures_util::FutureExt as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Bench, failed};
use crate::outbound::finding;
use crate::outbound::receiver::{Receiver, answer};

/// A listener on loopback, and the spellings of its address.
async fn canary() -> (TcpListener, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "%31%32%37.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.b.localhost",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
    ];
    let mut urls: Vec<String> = hosts.iter().map(|host| format!("http://{host}:{port}/")).collect();
    urls.extend([
        format!("http:127.0.0.1:{port}"),
        format!("http:\\\\127.0.0.1:{port}\\"),
        format!("http:////127.0.0.1:{port}/"),
        format!("http://example.org@127.0.0.1:{port}/"),
        format!("http://example.org:80@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}#@example.org/"),
        format!("http://127.0.0.1:{port}\\@example.org/"),
        format!("http://127.0.0.1:{port}?@example.org/"),
        format!("https://127.0.0.1:{port}/"),
        format!("ht\ntp://127.0.0.1:{port}/"),
        format!("file://127.0.0.1:{port}/etc/passwd"),
        format!("gopher://127.0.0.1:{port}/_GET"),
        format!("ftp://127.0.0.1:{port}/"),
        format!("dict://127.0.0.1:{port}/"),
        format!("unix://127.0.0.1:{port}/"),
        format!("jar:http://127.0.0.1:{port}!/"),
        "file:///etc/passwd".into(),
        "data:text/plain,hello".into(),
        "javascript:alert(1)".into(),
        "http://169.254.169.254/latest/meta-data".into(),
        "http://2852039166/".into(),
        "http://[::ffff:169.254.169.254]/".into(),
        "http://10.0.0.1/".into(),
        "http://192.168.0.1/".into(),
        "http://172.16.0.1/".into(),
        "http://100.64.0.1/".into(),
        "http://198.18.0.1/".into(),
        "http://224.0.0.1/".into(),
        "http://255.255.255.255/".into(),
        "//127.0.0.1/".into(),
        String::new(),
    ]);
    (listener, urls)
}

#[tokio::test]
async fn no_address_of_the_corpus_is_taken_or_called() {
    let bench = Bench::new("http.call", "");
    let (listener, urls) = canary().await;
    for url in urls {
        for method in ["GET", "POST"] {
            let args = json!({ "method": method, "url": url });
            let field_errors = bench.field_errors(&args);
            assert!(field_errors.len() == 1 && field_errors[0].pointer == "/url", "{url}: {field_errors:?}");
            // A row that got in all the same, by an older version or another way.
            let (word, said, is_retried) = failed(bench.run(&args).await);
            assert!(word == "AddressRefused" && !is_retried, "{url}: {word}: {said}");
        }
    }
    assert!(listener.accept().now_or_never().is_none(), "one of them got through");
}

#[tokio::test]
async fn no_redirect_leads_to_an_address_of_the_corpus() {
    // The receiver is at the one address that is allowed; the canary at another one of loopback.
    let canary = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = canary.local_addr().unwrap().port();
    let targets = [
        format!("http://127.0.0.2:{port}/"),
        format!("//127.0.0.2:{port}/"),
        format!("http://127.2:{port}/"),
        format!("http://2130706434:{port}/"),
        format!("http://0x7f000002:{port}/"),
        format!("http://0177.0.0.2:{port}/"),
        format!("http://[::ffff:127.0.0.2]:{port}/"),
        format!("http://[64:ff9b::7f00:2]:{port}/"),
        format!("http://a:b@127.0.0.2:{port}/"),
        format!("http:\\\\127.0.0.2:{port}/"),
        "http://169.254.169.254/latest/meta-data".into(),
        "http://[::ffff:169.254.169.254]/".into(),
        "http://10.0.0.1/".into(),
        "file:///etc/passwd".into(),
        "gopher://127.0.0.1/".into(),
        "data:text/plain,hello".into(),
    ];
    for (target, status) in targets.iter().zip(["301 Moved", "302 Found", "303 See Other", "307 T", "308 P"].into_iter().cycle())
    {
        let receiver = Receiver::start(&[&answer(status, &format!("location: {target}\r\n"), "")]).await;
        let bench = Bench::new("http.call", "127.0.0.1");
        let (word, said, is_retried) = failed(bench.run(&json!({ "method": "GET", "url": receiver.url("/") })).await);
        assert!(word == "AddressRefused" && !is_retried && said.starts_with("the answer is a redirect"), "{target}: {said}");
    }
    assert!(canary.accept().now_or_never().is_none(), "one of them got through");
}

#[tokio::test]
async fn a_name_that_is_or_becomes_private_is_not_called() {
    for found in ["127.0.0.2", "10.0.0.1 ::1", "169.254.169.254", "::ffff:10.1.2.3", "fd00::1", "0.0.0.0"] {
        let bench = Bench::looking_up("http.call", finding(&[found]));
        let (word, said, is_retried) = failed(bench.run(&json!({ "url": "http://hook.example/" })).await);
        assert!(word == "AddressRefused" && !is_retried && said.contains("hook.example is at "), "{found}: {said}");
    }
    // Public at the first look, private at the second: each connection goes to what was checked for it.
    let receiver = Receiver::start(&[&answer("307 Temporary Redirect", "location: /again\r\n", "")]).await;
    let bench = Bench::looking_up("http.call", finding(&["127.0.0.1", "127.0.0.2"]));
    let url = format!("http://hook.example:{}/", receiver.port());
    let (word, said, _) = failed(bench.run(&json!({ "url": url })).await);
    assert!(word == "AddressRefused" && said.contains("hook.example is at 127.0.0.2"), "{said}");
    assert_eq!(receiver.requests().await.len(), 1);
}
