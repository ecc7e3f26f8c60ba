//! Who holds an attempt after agents died, were stopped or were cut off, and after NATS was away.

use super::control::{ACK_WAIT, Control};
use crate::support::{
    agent::{TestAgent, WAITING},
    nats_server::NatsServer,
    wait::{PATIENCE, eventually, within},
};
use async_nats::jetstream::{AckKind, consumer::PullConsumer};
use futures_util::StreamExt;
use rustix::process::Signal;
use scanwatch::wire::{
    self,
    attempt::AttemptMessage,
    heartbeat::{Heartbeat, Running},
    status::{self, Kind, StatusHeader},
};
use std::time::{Duration, Instant};

/// How much longer than its lease the loss of an attempt may go unnoticed, on a busy machine.
const SLACK: Duration = Duration::from_secs(4);

fn ack_wait() -> Duration {
    Duration::from_secs(ACK_WAIT)
}

async fn two_agents(nats: &NatsServer, control: &Control) -> (TestAgent, TestAgent) {
    let mut first = TestAgent::new("a1", nats, WAITING);
    let second = TestAgent::new("a2", nats, WAITING);
    control.enroll(&first).await;
    control.enroll(&second).await;
    first.start();
    control.lives(&first).await;
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agent_takes_over_from_one_that_was_killed() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let (mut first, mut second) = two_agents(&nats, &control).await;
    let message = Control::message();
    control.publish(&message).await;
    control.sees(&first, &message.key, 1, Kind::Running, "scanning").await;
    second.start();
    control.lives(&second).await;
    let killed = Instant::now();
    first.kill();
    within(PATIENCE, "the second attempt", async || second.runs() == ["0/2"]).await;
    let noticed = killed.elapsed();
    assert!(noticed < ack_wait() + SLACK, "{noticed:?}");
    second.release();
    let (header, _) = control.finished(&second, &message.key, 2).await;
    assert_eq!((header.delivery, header.exit_code), (2, Some(0)));
    control.acknowledged().await;
    // What the killed agent left goes on by itself, and is ended by its next run: its lease is over.
    assert!(!first.scans().is_empty());
    first.start();
    eventually("the old scan is ended", async || first.scans().is_empty()).await;
    assert_eq!(first.runs(), ["0/1"]);
    let (header, _) = control.stored(first.name(), &message.key).await.unwrap();
    assert_eq!((header.attempt, header.kind), (1, Kind::Running));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_restarted_in_time_continues_its_attempt() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let (mut first, mut second) = two_agents(&nats, &control).await;
    let message = Control::message();
    control.publish(&message).await;
    let (before, _) = control.sees(&first, &message.key, 1, Kind::Running, "scanning").await;
    second.start();
    first.kill();
    first.start();
    // For longer than a lease that nobody extends.
    tokio::time::sleep(ack_wait() * 2).await;
    assert!(second.runs().is_empty(), "{:?}", second.runs());
    first.release();
    let (header, status) = control.finished(&first, &message.key, 1).await;
    assert!(status.contains("\"completed\"") && header.sequence > before.sequence, "{status}");
    assert!(header.result.is_some());
    control.acknowledged().await;
    assert_eq!(first.runs(), ["0/1"]);
    // The same, if the scan finishes while no agent runs.
    let message = Control::message();
    std::fs::remove_file(first.folder().join("go")).unwrap();
    second.kill();
    control.publish(&message).await;
    control.sees(&first, &message.key, 1, Kind::Running, "scanning").await;
    first.kill();
    first.release();
    eventually("the scan has ended", async || first.scans().is_empty()).await;
    first.start();
    let (header, _) = control.finished(&first, &message.key, 1).await;
    assert!(header.result.is_some());
    control.acknowledged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_stopped_for_longer_than_its_lease_has_lost_its_attempt() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let (first, mut second) = two_agents(&nats, &control).await;
    let message = Control::message();
    control.publish(&message).await;
    control.sees(&first, &message.key, 1, Kind::Running, "scanning").await;
    second.start();
    control.lives(&second).await;
    first.signal(Signal::STOP);
    within(PATIENCE, "the second attempt", async || second.runs() == ["0/2"]).await;
    // Its scan completes meanwhile.
    first.release();
    eventually("the old scan has ended", async || first.scans().is_empty()).await;
    first.signal(Signal::CONT);
    eventually("the loss is noticed", async || {
        first.log().contains("was stopped for longer than its lease")
    })
    .await;
    // The old result is never stored.
    tokio::time::sleep(ack_wait()).await;
    let (after, _) = control.stored(first.name(), &message.key).await.unwrap();
    assert!(after.kind == Kind::Running && after.result.is_none(), "{after:?}");
    second.release();
    control.finished(&second, &message.key, 2).await;
    control.acknowledged().await;
    // It takes part again.
    let message = Control::message();
    control.publish(&message).await;
    control.acknowledged().await;
}

/// Breaks if an outage of NATS costs an attempt, or makes another agent begin it as well.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_nats_costs_no_attempt() {
    let mut nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let (first, mut second) = two_agents(&nats, &control).await;
    let message = Control::message();
    control.publish(&message).await;
    control.sees(&first, &message.key, 1, Kind::Running, "scanning").await;
    second.start();
    control.lives(&second).await;
    nats.kill();
    tokio::time::sleep(ack_wait() * 2).await;
    nats.restart();
    tokio::time::sleep(ack_wait() * 3).await;
    assert!(second.runs().is_empty(), "{:?}", second.runs());
    // Once more, and the scan completes meanwhile.
    nats.kill();
    first.release();
    eventually("the scan has ended", async || first.scans().is_empty()).await;
    tokio::time::sleep(ack_wait()).await;
    nats.restart();
    let (header, _) = control.finished(&first, &message.key, 1).await;
    assert_eq!((header.attempt, header.exit_code), (1, Some(0)));
    control.acknowledged().await;
    assert_eq!((first.runs().len(), second.runs().len()), (1, 0));
}

/// Takes the message in the name of an agent that does not exist, and gives it back: its next delivery is the second.
async fn delivered_once(control: &Control, message: &AttemptMessage) {
    control.publish(message).await;
    let consumer: PullConsumer = control
        .jetstream
        .get_consumer_from_stream("agents_default", control.names.attempts_stream())
        .await
        .unwrap();
    let mut batch = consumer.batch().max_messages(1).messages().await.unwrap();
    let taken = batch.next().await.unwrap().unwrap();
    taken.double_ack_with(AckKind::Nak(None)).await.unwrap();
}

async fn holds(control: &Control, message: &AttemptMessage, kind: Kind) -> Heartbeat {
    let holder: scanwatch::wire::names::AgentName = "holder".parse().unwrap();
    let mut heartbeat = Heartbeat::new(holder.clone(), "i".to_owned(), chrono::Utc::now());
    heartbeat.running.push(Running { key: message.key.clone(), attempt: 1 });
    let header = StatusHeader { kind, ..StatusHeader::began(holder.clone(), 1, 1) };
    let value = status::encode(&header, b"{}").unwrap();
    control.status.put(message.key.status_key(&holder), value.into()).await.unwrap();
    heartbeat
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_delivery_waits_while_the_holder_is_not_silent() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut agent = TestAgent::new("a1", &nats, WAITING);
    agent.release();
    control.enroll(&agent).await;
    let message = Control::message();
    let heartbeat = holds(&control, &message, Kind::Running).await;
    let beat = async |heartbeat: &Heartbeat| {
        let bytes = wire::write(heartbeat).unwrap();
        control.agents.put("holder", bytes.into()).await.unwrap();
    };
    beat(&heartbeat).await;
    delivered_once(&control, &message).await;
    agent.start();
    let begin = Instant::now();
    while begin.elapsed() < ack_wait() * 3 {
        beat(&heartbeat).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(agent.runs().is_empty(), "it begins although the holder lives");
    let silent = Instant::now();
    within(PATIENCE, "it begins", async || !agent.runs().is_empty()).await;
    assert!(silent.elapsed() + Duration::from_millis(600) > ack_wait(), "{:?}", silent.elapsed());
    assert!(silent.elapsed() < ack_wait() + SLACK, "{:?}", silent.elapsed());
    control.finished(&agent, &message.key, agent_attempt(&agent)).await;
    // A holder that lives and no longer lists the attempt has given it up.
    agent.kill();
    let message = Control::message();
    let mut heartbeat = holds(&control, &message, Kind::Running).await;
    heartbeat.running.clear();
    beat(&heartbeat).await;
    delivered_once(&control, &message).await;
    agent.start();
    control.acknowledged().await;
    assert_eq!(agent.runs().len(), 2);
}

fn agent_attempt(agent: &TestAgent) -> u64 {
    agent.runs()[0].split('/').next_back().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_delivery_of_what_is_finished_or_outdated_runs_nothing() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut agent = TestAgent::new("a1", &nats, WAITING);
    agent.release();
    control.enroll(&agent).await;
    let finished = Control::message();
    holds(&control, &finished, Kind::Final).await;
    delivered_once(&control, &finished).await;
    agent.start();
    control.acknowledged().await;
    assert!(agent.runs().is_empty(), "{:?}", agent.runs());
    // A final state of an earlier message is of an attempt that the server has given up.
    let again = AttemptMessage { first_attempt: 2, ..finished };
    agent.kill();
    delivered_once(&control, &again).await;
    agent.start();
    control.finished(&agent, &again.key, 3).await;
}
