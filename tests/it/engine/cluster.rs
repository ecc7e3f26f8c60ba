//! A cluster of three NATS servers, of which any may die.

#![expect(clippy::print_stderr, reason = "the measured times")]

use super::*;
use crate::support::{
    agent::WAITING,
    nats_cluster::{NODES, NatsCluster},
    rounds::rounds,
};
use std::time::Instant;

/// How much longer than the wait the death of an agent may go unnoticed.
const NOTICED: Duration = Duration::from_secs(1);
/// The same, if the server of NATS that leads the stream dies at the same time: NATS takes 4 to 9 s to elect another one; and
/// on a busy machine.
const NOTICED_LATE: Duration = Duration::from_secs(10);

fn of_cluster(nats: &NatsCluster, setup: Setup) -> Setup {
    setup
        .set("engine.kind", json!("nats"))
        .set("engine.nats", json!(nats.urls()))
        .set("engine.ack_wait_secs", wait().as_secs())
}

/// The wait for a sign of life; `SCANWATCH_ACK_WAIT` sets another one for a measurement.
fn wait() -> Duration {
    let secs = std::env::var("SCANWATCH_ACK_WAIT").ok().and_then(|text| text.parse().ok());
    secs.map_or(ACK_WAIT, Duration::from_secs)
}

fn agent(name: &str, nats: &mut NatsCluster, script: &str) -> TestAgent {
    let urls = json!(nats.urls());
    TestAgent::new(name, nats.node(0), script).set("agent.nats", urls)
}

/// Breaks if the death of an agent is noticed late, alone or together with the server of NATS that leads the stream.
/// `SCANWATCH_ROUNDS` measures more often, and then allows nothing for a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_an_agent_is_noticed_in_time() {
    let mut nats = NatsCluster::start().await;
    let server = of_cluster(&nats, Setup::new()).set("engine.replicas", NODES).start().await;
    let is_measured = std::env::var_os("SCANWATCH_ROUNDS").is_some();
    for round in 0..rounds(1) {
        for with_leader in [false, true] {
            let mut one = agent(&format!("one-{round}-{with_leader}"), &mut nats, WAITING);
            join(&server, &mut [&mut one]).await;
            let job = server.submit("a").await;
            is_scanned(&server, &job, 1).await;
            let mut two = agent(&format!("two-{round}-{with_leader}"), &mut nats, WAITING);
            join(&server, &mut [&mut two]).await;
            // Both have given signs of life for a while.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let leader = nats.leader_of("SCANWATCH_ATTEMPTS").await;
            if with_leader {
                nats.node(leader).kill();
            }
            let died = Instant::now();
            kill_machine(&mut one);
            let patience = PATIENCE + wait();
            until(patience, "the next attempt", async || (two.runs() == ["0/2"]).then_some(()))
                .await;
            let noticed = died.elapsed();
            let late = noticed.saturating_sub(wait());
            eprintln!(
                "noticed after {noticed:?}, {late:?} past the wait; a leader died: {with_leader}"
            );
            let most = if is_measured && !with_leader { NOTICED } else { NOTICED_LATE };
            assert!(late <= most, "{late:?} late");
            two.release();
            let status = is_final(&server, &job).await;
            assert_eq!((&status["status"], &status["attempt"]), (&json!("completed"), &json!(2)));
            if with_leader {
                nats.node(leader).restart();
            }
        }
    }
}

/// Breaks if the loss of one server of three costs a repository, or if streams of one server do not become those of three
/// by the setting.
#[tokio::test(flavor = "multi_thread")]
async fn any_server_of_a_cluster_can_die() {
    let script = "say scanning\nsleep 0.3\nprintf '{\"schema\": 1, \"packages\": [], \"of_attempt\": %s}' \"$attempt\" > result.part && mv result.part \"$SCANWATCH_RESULT_FILE\"\nsay completed\n";
    let mut nats = NatsCluster::start().await;
    // Not the smallest wait: a machine of two cores runs all of this.
    let setup = of_cluster(&nats, Setup::new()).set("engine.replicas", 1);
    let count = 24u32;
    let job = setup.write_group(count as usize);
    let mut server = setup.start().await;
    let mut one = agent("one", &mut nats, script).set("agent.slots", 2);
    let mut two = agent("two", &mut nats, script).set("agent.slots", 2);
    for agent in [&one, &two] {
        let body = json!({ "name": agent.name().as_str(), "public_key": agent.key().as_str() });
        server.post("/agents", &body).await.expect(200);
    }
    server.terminate().await;
    server.set_variable("SCANWATCH_ENGINE__REPLICAS", NODES);
    server.restart().await;
    join(&server, &mut [&mut one, &mut two]).await;
    for number in 0..=NODES {
        let victim =
            if number < NODES { number } else { nats.leader_of("KV_scanwatch_status").await };
        nats.node(victim).kill();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        nats.node(victim).restart();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let document = server.finished(&job).await;
    assert_eq!(document["summary"]["completed"], count, "{document:#}");
    for index in 0..count {
        let status = server.status_file(&job, index);
        let result = server.job_folder(&job).join(format!("results/repo_{index}.json"));
        assert_eq!(files::json(&result).unwrap()["of_attempt"], status["attempt"], "{index}");
    }
    let context = nats.context().await;
    let name = "OBJ_scanwatch_results_one";
    let bucket = until(PATIENCE, "a leader", async || context.get_stream(name).await.ok()).await;
    assert_eq!(bucket.cached_info().config.num_replicas, NODES);
    until(PATIENCE, "nothing is left in NATS", async || {
        stored_in(&context).await.is_empty().then_some(())
    })
    .await;
}
