//! Peers that do not finish their handshake.

use crate::support::{
    certificates::Authority,
    server::Setup,
    tls::{TlsConnection, client_hello, silent_after},
};
use futures_util::future::join_all;
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Breaks if a handshake that stalls holds a slot for ever, or delays any other.
#[tokio::test]
async fn two_hundred_stalled_handshakes_affect_no_one_else() {
    let authority = Authority::new();
    let setup = Setup::new().with_tls(&authority).set("server.header_timeout_secs", 2);
    let server = setup.start().await;
    let hello = client_hello(&authority.pem());
    let stages = [&b""[..], &hello[..1], &hello[..hello.len() / 2], &hello];
    let patience = Duration::from_secs(30);
    let stopped =
        (0..200).map(|number| silent_after(server.address(), stages[number % 4], patience));
    let good = async {
        let mut times = Vec::new();
        for _ in 0..15 {
            let asked = Instant::now();
            server.get("/livez").await.expect(200);
            times.push(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        times.into_iter().max().unwrap()
    };
    let (ends, slowest) = tokio::join!(join_all(stopped), good);
    for end in ends {
        let end = end.expect("a handshake that stopped was ended");
        assert!((Duration::from_secs(1)..Duration::from_secs(9)).contains(&end), "after {end:?}");
    }
    assert!(slowest < Duration::from_secs(2), "a good client waited for {slowest:?}");
}

/// Breaks if handshakes do not count as connections, or if one beyond the limit is not told so.
#[tokio::test]
async fn handshakes_count_as_connections_and_one_too_many_is_refused() {
    let authority = Authority::new();
    let setup = Setup::new().with_tls(&authority).set("server.max_connections", 4);
    let server = setup.set("server.header_timeout_secs", 3).start().await;
    let hello = client_hello(&authority.pem());
    let mut held = Vec::new();
    for _ in 0..4 {
        // Connections are accepted in the order in which they are made.
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        held.push(stream);
    }
    let line = TlsConnection::open(server.address(), &authority.pem(), &["h2", "http/1.1"]).await;
    let reported = line.expect("a handshake").ask("/livez", "Too many connections").await;
    assert!(
        reported.starts_with("HTTP/1.1 503 ") && reported.contains("retry-after: 1"),
        "{reported}"
    );
    // They end without being told to.
    server.wait_ready().await;
    drop(held);
}
