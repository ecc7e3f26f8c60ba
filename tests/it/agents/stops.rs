//! Planned stops.

use super::control::Control;
use crate::support::{
    agent::{TestAgent, WAITING},
    nats_server::NatsServer,
    wait::{PATIENCE, eventually, within},
};
use rustix::process::Signal;
use scanwatch::wire::status::Kind;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_running_scans_and_takes_no_more() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut agent = TestAgent::new("a1", &nats, WAITING).set("agent.slots", 2);
    control.enroll(&agent).await;
    agent.start();
    let message = Control::message();
    control.publish(&message).await;
    control.sees(&agent, &message.key, 1, Kind::Running, "scanning").await;
    agent.signal(Signal::TERM);
    eventually("it reports that it drains", async || control.lives(&agent).await.draining).await;
    let other = Control::message();
    control.publish(&other).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(agent.runs(), ["0/1"]);
    agent.release();
    assert_eq!(agent.ended(PATIENCE).await, Some(0));
    control.finished(&agent, &message.key, 1).await;
    assert_eq!(control.waiting().await, 1);
    assert!(control.heartbeat("a1").await.is_none(), "the heartbeat of an agent that has ended");
    // The message is not lost: another agent runs it.
    let mut second = TestAgent::new("a2", &nats, WAITING);
    second.release();
    control.enroll(&second).await;
    second.start();
    control.acknowledged().await;
    assert_eq!(second.runs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stop_and_the_end_of_its_patience_hand_scans_to_other_agents() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut second = TestAgent::new("a2", &nats, WAITING);
    control.enroll(&second).await;
    let mut first = TestAgent::new("a1", &nats, WAITING);
    control.enroll(&first).await;
    for is_patient in [true, false] {
        if !is_patient {
            first = first.set("agent.drain_timeout_secs", 0);
        }
        let message = Control::message();
        first.start();
        control.publish(&message).await;
        control.sees(&first, &message.key, 1, Kind::Running, "scanning").await;
        second.start();
        control.lives(&second).await;
        first.signal(Signal::TERM);
        if is_patient {
            eventually("it drains", async || first.log().contains("draining")).await;
            first.signal(Signal::TERM);
        }
        assert_eq!(first.ended(PATIENCE).await, Some(0));
        assert!(first.scans().is_empty());
        within(PATIENCE, "the second attempt", async || {
            second.runs().last().is_some_and(|run| run == "0/2")
        })
        .await;
        second.release();
        control.finished(&second, &message.key, 2).await;
        control.acknowledged().await;
        second.kill();
        std::fs::remove_file(second.folder().join("go")).unwrap();
        std::fs::remove_file(second.folder().join("runs")).unwrap();
    }
}

/// Breaks if two agents of one name replace each other's heartbeats and statuses.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_agents_with_one_name_the_later_one_ends() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut first = TestAgent::new("a1", &nats, WAITING);
    let mut second = TestAgent::new("a1", &nats, WAITING);
    control.enroll(&first).await;
    first.start();
    let message = Control::message();
    control.publish(&message).await;
    control.sees(&first, &message.key, 1, Kind::Running, "scanning").await;
    second.start();
    assert_eq!(second.ended(PATIENCE).await, Some(2));
    assert!(second.log().contains("another agent named `a1` is connected"), "{}", second.log());
    first.release();
    control.finished(&first, &message.key, 1).await;
    control.acknowledged().await;
    // A restart after a crash is no second agent.
    first.kill();
    first.start();
    let message = Control::message();
    control.publish(&message).await;
    control.finished(&first, &message.key, 1).await;
}
