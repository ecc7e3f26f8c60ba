//! Agents that are cut off from NATS, while others are not.

use super::control::{ACK_WAIT, Control};
use crate::support::{
    agent::{TestAgent, WAITING},
    nats_server::NatsServer,
    relay::{Line, Relay},
    wait::{PATIENCE, eventually, within},
};
use scanwatch::wire::status::Kind;
use serde_json::json;
use std::time::Duration;

/// Cuts an agent off until another one has its repository; returns what the first one did.
async fn cut(line: Line) {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let relay = Relay::to(nats.port());
    let url = format!("nats://127.0.0.1:{}", relay.port());
    let mut first = TestAgent::new("a1", &nats, WAITING).set("agent.nats", json!([url]));
    let mut second = TestAgent::new("a2", &nats, WAITING);
    control.enroll(&first).await;
    control.enroll(&second).await;
    first.start();
    let message = Control::message();
    control.publish(&message).await;
    control.sees(&first, &message.key, 1, Kind::Running, "scanning").await;
    second.start();
    control.lives(&second).await;
    relay.set(line);
    within(PATIENCE, "the second attempt", async || second.runs() == ["0/2"]).await;
    let (before, _) = control.stored(first.name(), &message.key).await.unwrap();
    relay.set(Line::Open);
    // The old scan is ended, and its state is not stored.
    eventually("the old scan is ended", async || first.scans().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (after, _) = control.stored(first.name(), &message.key).await.unwrap();
    assert_eq!(after, before, "{line:?}");
    second.release();
    control.finished(&second, &message.key, 2).await;
    control.acknowledged().await;
    // It takes part again, once its connection is there.
    second.kill();
    let message = Control::message();
    first.release();
    control.publish(&message).await;
    control.finished(&first, &message.key, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_connection_ends_what_another_one_has_begun_meanwhile() {
    cut(Line::Closed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_nats_does_not_hear_loses_its_attempt() {
    cut(Line::Silent).await;
}

/// Breaks if an agent trusts that it is heard, although no confirmation arrives.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_hear_nats_loses_its_attempt() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let relay = Relay::to(nats.port());
    let url = format!("nats://127.0.0.1:{}", relay.port());
    let mut agent = TestAgent::new("a1", &nats, WAITING).set("agent.nats", json!([url]));
    control.enroll(&agent).await;
    agent.start();
    let message = Control::message();
    control.publish(&message).await;
    control.sees(&agent, &message.key, 1, Kind::Running, "scanning").await;
    relay.set(Line::OneWay);
    eventually("the scan is ended", async || agent.scans().is_empty()).await;
    assert!(agent.log().contains("has not confirmed the lease"), "{}", agent.log());
    tokio::time::sleep(Duration::from_secs(ACK_WAIT)).await;
    relay.set(Line::Open);
    agent.release();
    // The message comes again, to the same agent.
    within(PATIENCE, "a final state", async || {
        let stored = control.stored(agent.name(), &message.key).await;
        stored.is_some_and(|(header, _)| header.kind == Kind::Final && header.attempt > 1)
    })
    .await;
    control.acknowledged().await;
}
