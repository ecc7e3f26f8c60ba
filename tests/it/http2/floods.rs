//! Frames that never end.

use super::under_attack;
use crate::support::{
    certificates::Authority,
    h2::{self, H2Connection, frame},
    server::Setup,
    tls::TlsConnection,
};
use std::time::Duration;
use tokio::net::TcpStream;

/// Nothing here takes a second; a connection that is not stopped would last for ever.
const LONG: Duration = Duration::from_secs(20);

/// Error codes of RFC 9113, section 7.
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A client that has an event stream open, so that it is never idle.
fn listening() -> Vec<u8> {
    [h2::opening(&[]), h2::get(1, "/events")].concat()
}

/// The stream of the request with this number, after the first.
fn stream(number: u64) -> u32 {
    u32::try_from(2 * number + 3).unwrap()
}

fn post(stream: u32) -> Vec<u8> {
    let block = h2::block("POST", "/scan", &[("content-type", "application/json")]);
    frame(h2::HEADERS, h2::END_HEADERS, stream, &block)
}

/// Breaks if a peer can keep the server busy for ever by frames that cost it nothing.
#[tokio::test]
async fn a_flood_of_useless_frames_ends_its_connection() {
    let server = Setup::new().start().await;
    for (name, bytes) in [
        ("ping", frame(h2::PING, 0, 0, &[0; 8])),
        ("answer to no ping", frame(h2::PING, h2::ACK, 0, &[0; 8])),
        ("settings", frame(h2::SETTINGS, 0, 0, &[])),
        ("window of all", frame(h2::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1])),
        ("priority", frame(h2::PRIORITY, 0, 3, &[0, 0, 0, 0, 16])),
        ("window of the connection", frame(h2::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("window of a stream", frame(h2::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("reset of a stream", frame(h2::RST_STREAM, 0, 1, &[0, 0, 0, 8])),
        ("farewell", frame(h2::GOAWAY, 0, 0, &[0; 8])),
        ("unknown", frame(0x77, 0, 0, &[])),
        ("large and unknown", frame(0x77, 0, 0, &[0; 16_000])),
    ] {
        // Well below the frame size limit, so that each write contains whole frames.
        let burst = bytes.repeat(1 + 8000 / bytes.len());
        let line = TcpStream::connect(server.address()).await.unwrap();
        let attack = h2::send_on(line, listening(), LONG, |_| burst.clone());
        let course = under_attack(&server, attack).await;
        assert!(course.ended.is_some(), "{name}: it goes on: {course:?}");
        let answers = course.heard.iter().max().unwrap();
        assert!(*answers <= 4000, "{name}: {answers} frames were answered");
    }
    // The same under TLS.
    let authority = Authority::new();
    let server = Setup::new().with_tls(&authority).start().await;
    let line = TlsConnection::open(server.address(), &authority.pem(), &["h2"]).await.unwrap();
    let burst = frame(h2::PING, 0, 0, &[0; 8]).repeat(100);
    let attack = h2::send_on(line.0, listening(), LONG, |_| burst.clone());
    assert!(under_attack(&server, attack).await.ended.is_some());
}

/// Breaks if requests that are reset at once are all served nevertheless, without a limit
/// (CVE-2023-44487).
#[tokio::test]
async fn reset_requests_end_their_connection() {
    let server = Setup::new().start().await;
    let pair = |number| {
        let reset = frame(h2::RST_STREAM, 0, stream(number), &[0, 0, 0, 8]);
        [h2::get(stream(number), "/openapi.json"), reset].concat()
    };
    let line = TcpStream::connect(server.address()).await.unwrap();
    let attack = h2::send_on(line, listening(), LONG, |sent| {
        (0..50).flat_map(|number| pair(50 * sent + number)).collect()
    });
    let course = under_attack(&server, attack).await;
    assert!(course.ended.is_some(), "{course:?}");
    assert_eq!(course.goaway, Some(ENHANCE_YOUR_CALM), "{course:?}");

    // Slowly enough that each has been started before it is reset.
    let attack = async {
        let mut line = H2Connection::open(server.address(), &[]).await;
        line.send(&h2::get(1, "/events")).await.unwrap();
        let wait = frame(h2::PING, 0, 0, &[0; 8]);
        for number in 0..20_000 {
            let begin = [h2::get(stream(number), "/events"), wait.clone()].concat();
            if line.send(&begin).await.is_err() || line.next_of(h2::PING, 0).await.is_none() {
                return number;
            }
            let reset = frame(h2::RST_STREAM, 0, stream(number), &[0, 0, 0, 8]);
            if line.send(&reset).await.is_err() {
                return number;
            }
        }
        panic!("it goes on");
    };
    let requests = under_attack(&server, attack).await;
    assert!((500..5000).contains(&requests), "{requests} requests were taken back");
}

/// Breaks if one connection may have any number of concurrent requests, or may keep asking for
/// them.
#[tokio::test]
async fn endless_streams_are_refused_and_end_their_connection() {
    let server = Setup::new().start().await;
    // Bodies that never arrive.
    let line = TcpStream::connect(server.address()).await.unwrap();
    let attack = h2::send_on(line, h2::opening(&[]), LONG, |sent| {
        (0..10).flat_map(|number| post(stream(10 * sent + number))).collect()
    });
    let course = under_attack(&server, attack).await;
    assert!(course.ended.is_some(), "{course:?}");
    assert_eq!(course.goaway, Some(ENHANCE_YOUR_CALM), "{course:?}");
    assert!(course.heard[usize::from(h2::RST_STREAM)] <= 300, "{course:?}");

    // A client that starts with a hundred loses those that are too many, and nothing else.
    let mut line = H2Connection::open(server.address(), &[]).await;
    let all: Vec<_> = (0..100).flat_map(|number| post(stream(number))).collect();
    line.send(&all).await.unwrap();
    let refused = line.next_of(h2::RST_STREAM, stream(64)).await.expect("the 65th is refused");
    assert_eq!(refused.payload, REFUSED_STREAM.to_be_bytes());
    line.send(&frame(h2::DATA, h2::END_STREAM, stream(0), b"{}")).await.unwrap();
    let answer = line.next_of(h2::HEADERS, stream(0)).await.expect("the first is answered");
    assert_eq!(answer.flags & h2::END_HEADERS, h2::END_HEADERS);
}

/// Breaks if a body may come in empty pieces, each of which costs more than it brings.
#[tokio::test]
async fn bodies_in_empty_pieces_end_their_connection() {
    let server = Setup::new().start().await;
    for piece in [&b""[..], b" "] {
        let burst = frame(h2::DATA, 0, 3, piece).repeat(100);
        let line = TcpStream::connect(server.address()).await.unwrap();
        let opening = [listening(), post(3)].concat();
        let attack = h2::send_on(line, opening, LONG, |_| burst.clone());
        let course = under_attack(&server, attack).await;
        assert!(course.ended.is_some(), "{piece:?}: {course:?}");
    }
}
