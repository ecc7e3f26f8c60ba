//! Peers that do not accept their answers, though their sockets do.

use super::under_attack;
use crate::support::{
    files,
    h2::{self, H2Connection, frame},
    handmade::Handmade,
    raw::request,
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually, within},
};
use serde_json::json;
use std::{
    fs,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpSocket};

/// A document of some length.
const LARGE: &str = "/openapi.json";

async fn server_with_short_timeouts() -> TestServer {
    let setup = Setup::new().set("server.header_timeout_secs", 1);
    setup.set("server.write_timeout_secs", 3).start().await
}

/// Requests something every now and then, so as not to be idle, until the server closes the
/// connection; returns how long that took.
async fn busy_until_the_end(line: &mut H2Connection, mut stream: u32) -> Duration {
    let began = Instant::now();
    loop {
        stream += 2;
        // An answer without a body needs no window.
        let head = frame(
            h2::HEADERS,
            h2::END_STREAM | h2::END_HEADERS,
            stream,
            &h2::block("HEAD", "/livez", &[]),
        );
        if line.send(&head).await.is_err() || line.next_of(h2::HEADERS, stream).await.is_none() {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "it goes on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Breaks if a peer can make the server hold any number of documents by keeping its windows closed.
#[tokio::test]
async fn a_peer_that_keeps_its_windows_closed_loses_its_connection() {
    let server = server_with_short_timeouts().await;
    // Closed from the beginning; and open by one byte, so that the rest has left the route already.
    for window in [0, 1] {
        let attack = async {
            let mut line =
                H2Connection::open(server.address(), &[(h2::INITIAL_WINDOW, window)]).await;
            let all: Vec<_> = (0..60).flat_map(|number| h2::get(2 * number + 1, LARGE)).collect();
            line.send(&all).await.unwrap();
            busy_until_the_end(&mut line, 121).await
        };
        let took = under_attack(&server, attack).await;
        assert!(took > Duration::from_secs(2), "{window}: it had no time: {took:?}");
    }
}

/// Breaks if a slow but progressing peer is taken for one that has gone, or for one that reads
/// nothing.
#[tokio::test]
async fn a_slow_peer_gets_its_whole_answer() {
    let server = server_with_short_timeouts().await;
    let whole = server.get(LARGE).await.text;
    let step = u32::try_from(whole.len() / 8).unwrap();
    let mut line = H2Connection::open(server.address(), &[(h2::INITIAL_WINDOW, step)]).await;
    line.send(&h2::get(1, LARGE)).await.unwrap();
    let mut body = Vec::new();
    let mut next = tokio::time::Instant::now();
    while body.len() < whole.len() {
        let mut taken = 0;
        while taken < step as usize && body.len() < whole.len() {
            let data = line.next_of(h2::DATA, 1).await.expect("the connection stands");
            taken += data.payload.len();
            body.extend(data.payload);
        }
        // Longer in total than any silence that is allowed, and than the write timeout.
        next += Duration::from_millis(700);
        tokio::time::sleep_until(next).await;
        let more = step.to_be_bytes();
        for stream in [0, 1] {
            line.send(&frame(h2::WINDOW_UPDATE, 0, stream, &more)).await.unwrap();
        }
    }
    assert_eq!(String::from_utf8(body).unwrap(), whole);
}

/// Breaks if a stop waits for its whole grace period because a peer reads nothing of its answer.
#[tokio::test]
async fn a_stop_does_not_wait_its_whole_grace_for_peers_that_read_nothing() {
    let setup = Setup::new().set("server.stop_grace_secs", 600);
    let mut server = setup.set("server.write_timeout_secs", 600).start().await;
    // A document that is longer than a socket's buffer.
    let job = Handmade::new(&server, 500);
    let filename = "long/".repeat(3_000);
    for index in 0..500 {
        let status = json!({
            "repo_index": index, "repo_name": format!("part-{index}"), "status": "scanning",
            "current_filename": filename, "message": filename,
        });
        files::replace(&job.folder.join(format!("repo_{index}.json")), status.to_string());
    }
    known(&server, &job).await;

    // HTTP/2, with its windows closed; the connection is alive, because it answers pings.
    let mut line = H2Connection::open(server.address(), &[(h2::INITIAL_WINDOW, 0)]).await;
    for (stream, path) in [(1, LARGE), (3, &job.path())] {
        line.send(&h2::get(stream, path)).await.unwrap();
        line.next_of(h2::HEADERS, stream).await.expect("it is answered");
    }
    tokio::select! {
        () = ends_soon(&mut server) => {}
        () = async { while line.next().await.is_some() {} std::future::pending().await } => {}
    }

    // HTTP/1, with a socket that is full.
    server.restart().await;
    known(&server, &job).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut full = socket.connect(server.address()).await.unwrap();
    full.write_all(&request("GET", &job.path())).await.unwrap();
    let peer = full.local_addr().unwrap().port();
    let mut before = 0;
    within(PATIENCE, "the server can send no more", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = unsent_to(peer);
        std::mem::replace(&mut before, now) == now && now > 0
    })
    .await;
    ends_soon(&mut server).await;
}

/// Waits until the whole long document is ready.
async fn known(server: &TestServer, job: &Handmade) {
    eventually("the document is long", async || server.get(&job.path()).await.text.len() > 6 << 20)
        .await;
}

/// The stop ends long before its grace period is over.
async fn ends_soon(server: &mut TestServer) {
    let ended = tokio::time::timeout(PATIENCE, server.terminate()).await;
    assert_eq!(ended.expect("the stop waits for who takes nothing"), Some(0));
}

/// Bytes that wait in the socket whose peer has this port on this machine.
fn unsent_to(port: u16) -> u64 {
    let all = fs::read_to_string("/proc/net/tcp").unwrap();
    let peer = format!(":{port:04X}");
    let fields = all.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let of_peer = fields.filter(|field| field.len() > 4 && field[2].ends_with(&peer));
    let unsent =
        of_peer.map(|fields| u64::from_str_radix(fields[4].split(':').next().unwrap(), 16));
    unsent.map(Result::unwrap).sum()
}
