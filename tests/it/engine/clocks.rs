//! Clocks that differ by an hour: no time of one machine is compared with that of another.

use super::*;
use crate::{disk::false_clock, support::agent::WAITING};
use futures_util::future::join_all;
use std::time::Instant;

/// The variables that give a program a wall clock that is off by this much.
fn clock(library: &str, offset: &str) -> [(&'static str, String); 4] {
    [
        ("LD_PRELOAD", library.to_owned()),
        ("FAKETIME", offset.to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// An agent whose clock, and that of its scanner, is off.
fn off(name: &str, nats: &NatsServer, library: &str, offset: &str) -> TestAgent {
    let agent = TestAgent::new(name, nats, WAITING);
    let command: Vec<_> = clock(library, offset)
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .chain(["/bin/sh".to_owned(), agent.folder().join("scanner.sh").display().to_string()])
        .collect();
    let command = [vec!["/usr/bin/env".to_owned()], command].concat();
    let agent = agent.set("scanner.command", json!(command));
    clock(library, offset).iter().fold(agent, |agent, (name, value)| agent.variable(name, value))
}

/// One agent dies, and the other one takes over, with these clocks of server and agents.
async fn differ(library: &str, [of_server, of_one, of_two]: [&str; 3]) {
    let nats = NatsServer::start();
    let setup = clock(library, of_server)
        .iter()
        .fold(of_agents(&nats, Setup::new()), |setup, (name, value)| setup.variable(name, value));
    let server = setup.start().await;
    let what = format!("server {of_server}, agents {of_one} and {of_two}");
    let mut one = off("one", &nats, library, of_one);
    join(&server, &mut [&mut one]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let mut two = off("two", &nats, library, of_two);
    join(&server, &mut [&mut two]).await;
    // A scan that its agent keeps alive is not given away.
    tokio::time::sleep(ACK_WAIT * 2).await;
    assert!(two.runs().is_empty(), "{what}: {:?}", two.runs());
    let now = status(&server, &job).await;
    assert_eq!((&now["status"], &now["attempt"]), (&json!("scanning"), &json!(1)), "{what}");
    kill_machine(&mut one);
    let died = Instant::now();
    is_scanned(&server, &job, 2).await;
    assert!(died.elapsed() < ACK_WAIT + Duration::from_secs(6), "{what}: {:?}", died.elapsed());
    two.release();
    let last = is_final(&server, &job).await;
    assert_eq!(last["status"], "completed", "{what}: {last:#}");
    assert_eq!(server.get("/health").await.json()["status"], "healthy", "{what}");
    nothing_is_stored(&nats).await;
}

/// Breaks if a lease, a silence or a heartbeat is measured with the clock of another machine.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_by_an_hour_change_nothing() {
    let Some(library) = false_clock() else { return };
    join_all(
        [["+0", "+3600", "-3600"], ["+0", "-3600", "+3600"], ["+3600", "+0", "-3600"]]
            .map(|offsets| differ(&library, offsets)),
    )
    .await;
}
