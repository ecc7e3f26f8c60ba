//! Agents, the server and NATS are killed at random; every repository gets one final state and one result.
//!
//! `SCANWATCH_ROUNDS=500` is the long run; `SCANWATCH_SEED` repeats one.

#![expect(clippy::print_stderr, reason = "what was killed, to repeat it")]

use super::control::ACK_WAIT;
use crate::support::{
    agent::TestAgent,
    dice::Dice,
    files,
    nats_server::NatsServer,
    rounds::rounds,
    server::{Setup, is_final},
    wait::{eventually, until, within},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A scan of up to a second, whose result names its attempt.
const SHORT: &str = r#"
say scanning '"total_files": 2, "current_file": 1'
sleep 0.$(( $$ % 9 ))
printf '{"schema": 1, "packages": [], "of_attempt": %s}' "$attempt" > result.part &&
    mv result.part "$SCANWATCH_RESULT_FILE"
say completed
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_repository_is_final_once_whatever_is_killed() {
    let kills: u64 = rounds(12);
    let seed = std::env::var("SCANWATCH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("SCANWATCH_SEED={seed}");
    let mut dice = Dice::new(seed);
    let count = usize::try_from(kills * 4).unwrap();
    let mut nats = NatsServer::start();
    let setup = Setup::new()
        .set("engine.kind", json!("nats"))
        .set("engine.nats", json!([nats.url()]))
        .set("engine.ack_wait_secs", ACK_WAIT)
        .set("engine.max_deliver", 1000)
        .at_a_fixed_port();
    let job = setup.write_group(count);
    let mut server = setup.start().await;
    let mut agents = Vec::new();
    for name in ["a1", "a2"] {
        let mut agent = TestAgent::new(name, &nats, SHORT);
        let body = json!({ "name": name, "public_key": agent.key().as_str() });
        until(Duration::from_secs(30), "the agent is enrolled", async || {
            (server.post("/agents", &body).await.status == 200).then_some(())
        })
        .await;
        agent.start();
        agents.push(agent);
    }
    for round in 0..kills {
        tokio::time::sleep(Duration::from_millis(dice.below(1500))).await;
        let pause = Duration::from_millis(dice.below(2 * ACK_WAIT * 1000));
        match dice.below(6) {
            0 => {
                eprintln!("{round}: the server, for {pause:?}");
                server.kill9().await;
                tokio::time::sleep(pause).await;
                server.restart().await;
            }
            1 => {
                eprintln!("{round}: NATS, for {pause:?}");
                nats.kill();
                tokio::time::sleep(pause).await;
                nats.restart();
            }
            other => {
                let agent = &mut agents[usize::try_from(other % 2).unwrap()];
                eprintln!("{round}: {}, for {pause:?}", agent.name());
                agent.kill();
                tokio::time::sleep(pause).await;
                agent.start();
            }
        }
    }
    let begin = Instant::now();
    let patience = Duration::from_secs(60 + kills * 2);
    within(patience, "the job is finished", async || is_final(&server.progress(&job).await)).await;
    eprintln!("finished {:?} after the last kill", begin.elapsed());
    let mut attempts = BTreeMap::new();
    for index in 0..u32::try_from(count).unwrap() {
        let status = server.status_file(&job, index);
        assert_eq!(status["status"], "completed", "{index}: {status:#}");
        let path = server.job_folder(&job).join(format!("results/repo_{index}.json"));
        let result = files::json(&path).unwrap_or_else(|| panic!("no result of {index}"));
        assert_eq!(result["of_attempt"], status["attempt"], "{index}");
        *attempts.entry(status["attempt"].as_u64().unwrap()).or_insert(0) += 1;
    }
    eprintln!("repositories by attempts: {attempts:?}");
    // Nothing is left in NATS, and nothing runs.
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let status = jetstream.get_key_value("scanwatch_status").await.unwrap();
    eventually("NATS is clean", async || {
        use futures_util::TryStreamExt;
        let stream = jetstream.get_stream("SCANWATCH_ATTEMPTS").await.unwrap();
        let keys: Vec<String> = status.keys().await.unwrap().try_collect().await.unwrap();
        stream.get_info().await.unwrap().state.messages == 0 && keys.is_empty()
    })
    .await;
    eventually("no scan is left", async || agents.iter().all(|agent| agent.scans().is_empty()))
        .await;
}
