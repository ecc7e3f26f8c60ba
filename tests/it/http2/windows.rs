//! Peers that do not take their answers, though their sockets do.

use super::unharmed;
use crate::support::{
    h2::{self, H2Line, frame},
    server::{Setup, TestServer},
    wait::PATIENCE,
};
use std::time::{Duration, Instant};

/// A document of some length.
const LARGE: &str = "/openapi.json";

async fn impatient() -> TestServer {
    let setup = Setup::new().set("server.header_timeout_secs", 1);
    setup.set("server.write_timeout_secs", 3).start().await
}

/// Asks for something every now and then, so as not to be idle, until the server ends the connection;
/// after how long that was.
async fn busy_until_the_end(line: &mut H2Line, mut stream: u32) -> Duration {
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

/// Breaks if a peer may have any number of documents lie here by keeping its windows shut.
#[tokio::test]
async fn a_peer_that_keeps_its_windows_shut_loses_its_connection() {
    let server = impatient().await;
    // Shut from the beginning; and open by one byte, so that the rest has left the route already.
    for window in [0, 1] {
        let attack = async {
            let mut line = H2Line::open(server.address(), &[(h2::INITIAL_WINDOW, window)]).await;
            let all: Vec<_> = (0..60).flat_map(|it| h2::get(2 * it + 1, LARGE)).collect();
            line.send(&all).await.unwrap();
            busy_until_the_end(&mut line, 121).await
        };
        let took = unharmed(&server, attack).await;
        assert!(took > Duration::from_secs(2), "{window}: it had no time: {took:?}");
    }
}

/// Breaks if a peer that is slow, and yet goes on, is taken for one that has gone, or for one that
/// takes nothing.
#[tokio::test]
async fn a_peer_that_is_slow_gets_its_whole_answer() {
    let server = impatient().await;
    let whole = server.get(LARGE).await.text;
    let step = u32::try_from(whole.len() / 8).unwrap();
    let mut line = H2Line::open(server.address(), &[(h2::INITIAL_WINDOW, step)]).await;
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
        // Longer in all than any silence that is suffered, and than the time for writing.
        next += Duration::from_millis(700);
        tokio::time::sleep_until(next).await;
        let more = step.to_be_bytes();
        for stream in [0, 1] {
            line.send(&frame(h2::WINDOW_UPDATE, 0, stream, &more)).await.unwrap();
        }
    }
    assert_eq!(String::from_utf8(body).unwrap(), whole);
}
