//! Agents, the server and the servers of a NATS cluster are killed at random, and agents are stopped for longer than their
//! leases; every repository gets one final state and one result.
//!
//! `SCANWATCH_ROUNDS=500` is the long run; `SCANWATCH_SEED` repeats one.

#![expect(clippy::print_stderr, reason = "what was killed, to repeat it")]

use crate::support::{
    agent::TestAgent,
    dice::Dice,
    files,
    nats_cluster::{NODES, NatsCluster},
    rounds::rounds,
    server::{Setup, is_final},
    wait::{PATIENCE, eventually, until, within},
};
use async_nats::jetstream::Context;
use futures_util::TryStreamExt;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The seconds without a sign of life after which a scan is given to another agent.
const ACK_WAIT: u64 = 2;
/// How many repositories there are for each round.
const PER_ROUND: u64 = 2;

/// A scan of up to a second, whose result names its attempt.
const SHORT: &str = r#"
say scanning '"total_files": 2, "current_file": 1'
sleep 0.$(( $$ % 9 ))
printf '{"schema": 1, "packages": [], "of_attempt": %s}' "$attempt" > result.part &&
    mv result.part "$SCANWATCH_RESULT_FILE"
say completed
"#;

/// What is killed or stopped in a round.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Server,
    /// One server of the cluster.
    Node(usize),
    /// All servers of the cluster.
    Nodes,
    Agent(usize),
    /// An agent is stopped and goes on, after longer than its lease.
    Stopped(usize),
}

async fn victim(dice: &mut Dice, nats: &NatsCluster) -> Victim {
    let number = usize::try_from(dice.below(6)).unwrap();
    match dice.below(8) {
        0 => Victim::Server,
        1 => Victim::Node(number % NODES),
        2 => Victim::Node(nats.leader_of("SCANWATCH_ATTEMPTS").await),
        3 if number == 0 => Victim::Nodes,
        3 => Victim::Node(nats.leader_of("KV_scanwatch_status").await),
        4 | 5 => Victim::Stopped(number % 2),
        _ => Victim::Agent(number % 2),
    }
}

/// The final states so far, by repository: none of them may change any more.
fn note_final(
    server: &crate::support::server::TestServer,
    job: &str,
    count: u32,
    known: &mut BTreeMap<u32, Value>,
) {
    for index in 0..count {
        let path = server.job_folder(job).join(format!("repo_{index}.json"));
        let status = files::json(&path).unwrap_or_default();
        let word = status["status"].as_str().unwrap_or_default();
        let is_final = ["completed", "failed", "timeout", "cancelled"].contains(&word);
        if let Some(before) = known.get(&index) {
            assert_eq!(*before, status, "{index}: a final state has changed");
        } else if is_final {
            known.insert(index, status);
        }
    }
}

/// Whether NATS holds nothing of any attempt. `None` while it elects leaders.
async fn is_clean(jetstream: &Context) -> Option<bool> {
    let status = jetstream.get_key_value("scanwatch_status").await.ok()?;
    let keys: Vec<String> = status.keys().await.ok()?.try_collect().await.ok()?;
    let attempts = jetstream.get_stream("SCANWATCH_ATTEMPTS").await.ok()?;
    Some(keys.is_empty() && attempts.cached_info().state.messages == 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_repository_is_final_once_whatever_is_killed() {
    let kills: u64 = rounds(6);
    let seed = std::env::var("SCANWATCH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("SCANWATCH_SEED={seed}");
    let mut dice = Dice::new(seed);
    let count = u32::try_from(kills * PER_ROUND).unwrap();
    let mut nats = NatsCluster::start().await;
    let setup = Setup::new()
        .set("engine.kind", json!("nats"))
        .set("engine.nats", json!(nats.urls()))
        .set("engine.replicas", NODES)
        .set("engine.ack_wait_secs", ACK_WAIT)
        .set("engine.max_deliver", 1000)
        .at_a_fixed_port();
    let job = setup.write_group(count as usize);
    let mut server = setup.start().await;
    let mut agents = Vec::new();
    for name in ["a1", "a2"] {
        let urls = json!(nats.urls());
        let mut agent = TestAgent::new(name, nats.node(0), SHORT).set("agent.nats", urls);
        let body = json!({ "name": name, "public_key": agent.key().as_str() });
        until(Duration::from_secs(30), "the agent is enrolled", async || {
            (server.post("/agents", &body).await.status == 200).then_some(())
        })
        .await;
        agent.start();
        agents.push(agent);
    }
    let mut known = BTreeMap::new();
    for round in 0..kills {
        tokio::time::sleep(Duration::from_millis(dice.below(800))).await;
        let victim = victim(&mut dice, &nats).await;
        let mut pause = Duration::from_millis(dice.below(2 * ACK_WAIT * 1000));
        if matches!(victim, Victim::Stopped(_)) {
            pause = Duration::from_secs(ACK_WAIT) + pause / 2;
        }
        let finals = known.len();
        eprintln!("{round}: {victim:?}, for {pause:?}; {finals} of {count} are final");
        match victim {
            Victim::Server => {
                server.kill9().await;
                tokio::time::sleep(pause).await;
                server.restart().await;
            }
            Victim::Node(number) => {
                nats.node(number).kill();
                tokio::time::sleep(pause).await;
                nats.node(number).restart();
            }
            Victim::Nodes => {
                (0..NODES).for_each(|number| nats.node(number).kill());
                tokio::time::sleep(pause).await;
                (0..NODES).for_each(|number| nats.node(number).restart());
            }
            Victim::Agent(number) => {
                agents[number].kill();
                tokio::time::sleep(pause).await;
                agents[number].start();
            }
            Victim::Stopped(number) => {
                agents[number].signal(Signal::STOP);
                tokio::time::sleep(pause).await;
                agents[number].signal(Signal::CONT);
            }
        }
        for agent in &mut agents {
            assert!(agent.runs_now(), "{} has ended:\n{}", agent.name(), agent.log());
        }
        note_final(&server, &job, count, &mut known);
    }
    let begin = Instant::now();
    let patience = Duration::from_secs(60 + kills * 2);
    within(patience, "the job is finished", async || is_final(&server.progress(&job).await)).await;
    eprintln!("finished {:?} after the last kill", begin.elapsed());
    note_final(&server, &job, count, &mut known);
    let mut attempts = BTreeMap::new();
    for index in 0..count {
        let status = server.status_file(&job, index);
        assert_eq!(status["status"], "completed", "{index}: {status:#}");
        let path = server.job_folder(&job).join(format!("results/repo_{index}.json"));
        let result = files::json(&path).unwrap_or_else(|| panic!("no result of {index}"));
        assert_eq!(result["of_attempt"], status["attempt"], "{index}");
        *attempts.entry(status["attempt"].as_u64().unwrap()).or_insert(0) += 1;
    }
    eprintln!("repositories by attempts: {attempts:?}");
    // Nothing is left in NATS, and nothing runs.
    let jetstream = nats.context().await;
    within(PATIENCE * 2, "NATS is clean", async || is_clean(&jetstream).await == Some(true)).await;
    eventually("no scan is left", async || agents.iter().all(|agent| agent.scans().is_empty()))
        .await;
}
