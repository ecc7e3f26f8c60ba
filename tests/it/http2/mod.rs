//! HTTP/2 peers that ask for too much, or read too little: the server's memory stays bounded, the
//! bad connection ends, others are answered in the meantime.
//!
//! The plain port speaks HTTP/2 too, to clients that start with it; with TLS it is the same code.

mod floods;
mod headers;
mod windows;

use crate::support::{processes::resident, server::TestServer};
use std::time::{Duration, Instant};

/// How much the server may grow during an attack, in KiB: less than a second's worth of any flood.
const GROWTH: u64 = 16 << 10;

/// Runs an attack, and checks that other clients are not affected.
async fn under_attack<T>(server: &TestServer, attack: impl Future<Output = T>) -> T {
    let before = resident(server.pid());
    let good = async {
        let (mut slowest, mut largest) = (Duration::ZERO, 0);
        loop {
            let asked = Instant::now();
            server.get("/livez").await.expect(200);
            slowest = slowest.max(asked.elapsed());
            largest = largest.max(resident(server.pid()));
            let limit = Duration::from_secs(2);
            assert!(slowest < limit, "a good client waited for {slowest:?}");
            let growth = largest.saturating_sub(before);
            assert!(growth < GROWTH, "the server has grown by {growth} KiB");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let outcome = tokio::select! {
        outcome = attack => outcome,
        () = good => unreachable!("it goes on for ever"),
    };
    server.get("/livez").await.expect(200);
    let growth = resident(server.pid()).saturating_sub(before);
    assert!(growth < GROWTH, "the server has grown by {growth} KiB");
    outcome
}
