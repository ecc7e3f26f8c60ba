//! Scans on other machines: a real server, a real nats-server, and real agents, whatever dies or hangs between them.

mod clocks;
mod cluster;
mod faults;
mod foreign;
mod full;
mod hostile;
mod losses;
mod moves;
mod partitions;
mod scans;
mod simulated;
mod starts;

use crate::support::{
    agent::TestAgent,
    files,
    nats_server::NatsServer,
    processes,
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually, until},
};
use async_nats::jetstream;
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use std::time::Duration;

/// After this time without a sign of life, a scan is given to another agent.
const ACK_WAIT: Duration = Duration::from_secs(2);

/// The same, where no scan is to change its agent, however busy the machine is.
const LONG_WAIT: Duration = Duration::from_secs(12);

/// A server whose scans agents run.
fn of_agents(nats: &NatsServer, setup: Setup) -> Setup {
    waiting_for(nats, setup, ACK_WAIT)
}

/// The same, with another wait for a sign of life.
fn waiting_for(nats: &NatsServer, setup: Setup, ack_wait: Duration) -> Setup {
    setup
        .set("engine.kind", json!("nats"))
        .set("engine.nats", json!([nats.url()]))
        .set("engine.ack_wait_secs", ack_wait.as_secs())
}

/// Enrolls agents, starts them, and waits until all of them take scans.
async fn join(server: &TestServer, agents: &mut [&mut TestAgent]) {
    for agent in &mut *agents {
        let body = json!({ "name": agent.name().as_str(), "public_key": agent.key().as_str() });
        server.post("/agents", &body).await.expect(200);
        agent.start();
    }
    for agent in agents {
        is_in_state(server, agent, "active").await;
    }
}

/// Waits until an agent is in this state.
async fn is_in_state(server: &TestServer, agent: &TestAgent, state: &str) {
    let name = agent.name().as_str();
    eventually(&format!("the agent {name} is {state}"), async || {
        state_of(server, name).await == state
    })
    .await;
}

async fn state_of(server: &TestServer, name: &str) -> String {
    let engine = server.get("/agents").await.expect(200).json();
    let agents = engine["agents"].as_array().unwrap();
    let agent = agents.iter().find(|agent| agent["name"] == name);
    agent.map_or(String::new(), |agent| agent["state"].as_str().unwrap().to_owned())
}

/// The status of the only repository of a job.
async fn status(server: &TestServer, job: &str) -> Value {
    let answer = server.get(&format!("/scan/{job}/repositories/0")).await;
    if answer.status == 200 { answer.json() } else { Value::Null }
}

/// Waits until an attempt of the only repository of a job is being scanned.
async fn is_scanned(server: &TestServer, job: &str, attempt: u64) {
    eventually(&format!("attempt {attempt} of {job} is scanned"), async || {
        let status = status(server, job).await;
        status["status"] == "scanning" && status["attempt"] == attempt
    })
    .await;
}

/// Waits until the only repository of a job is in a final state; returns its status.
async fn is_final(server: &TestServer, job: &str) -> Value {
    until(PATIENCE, &format!("{job} is finished"), async || {
        let status = status(server, job).await;
        let word = status["status"].as_str().unwrap_or_default();
        ["completed", "failed", "timeout", "cancelled"].contains(&word).then_some(status)
    })
    .await
}

/// A client of a NATS.
async fn context(nats: &NatsServer) -> jetstream::Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

/// Kills an agent with all its scans, as the end of its machine does.
fn kill_machine(agent: &mut TestAgent) {
    agent.kill();
    for _ in 0..3 {
        for pid in agent.scans() {
            processes::kill_any(pid);
        }
    }
}

/// Why queued repositories wait, as /health shows it.
async fn waiting_reason(server: &TestServer) -> String {
    let health = server.get("/health").await.expect(200).json();
    health["engine"]["waiting_reason"].as_str().unwrap_or_default().to_owned()
}

/// Everything that is stored in NATS: the messages of attempts, and the keys of statuses and objects.
async fn stored(nats: &NatsServer) -> Vec<String> {
    stored_in(&context(nats).await).await
}

async fn stored_in(context: &jetstream::Context) -> Vec<String> {
    // A cluster does not answer while it elects leaders.
    until(PATIENCE, "NATS lists what it stores", async || try_stored_in(context).await).await
}

async fn try_stored_in(context: &jetstream::Context) -> Option<Vec<String>> {
    let names: Vec<String> = context.stream_names().try_collect().await.ok()?;
    let mut found = Vec::new();
    for name in names {
        if name.ends_with("_ATTEMPTS") || name.contains("_status") || name.starts_with("OBJ_") {
            let stream = context.get_stream(&name).await.ok()?;
            let info = stream.info_with_subjects(">").await.ok()?;
            let subjects: Vec<_> = info.try_collect().await.ok()?;
            found.extend(subjects.into_iter().map(|(subject, _)| subject));
        }
    }
    Some(found)
}

/// Waits until nothing of any scan is left in NATS.
async fn nothing_is_stored(nats: &NatsServer) {
    until(PATIENCE, "nothing is left in NATS", async || {
        let left = stored(nats).await;
        left.is_empty().then_some(())
    })
    .await;
}

/// All bytes below a folder.
fn contains(folder: &std::path::Path, canary: &str) -> bool {
    files::below(folder).iter().any(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(canary.len()).any(|window| window == canary.as_bytes())
    })
}
