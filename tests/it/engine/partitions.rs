//! The network between the server, the agents and NATS is cut, in both directions or in one, is slow, or loses its
//! connections: nothing is lost, nothing counts twice, and the cause is named.

use super::*;
use crate::support::{
    agent::WAITING,
    dice::Dice,
    relay::{Line, Relay},
};
use futures_util::future::join_all;

/// All ways in which a line is cut.
const CUTS: [Line; 4] = [Line::Closed, Line::Silent, Line::OneWay, Line::Unheard];

fn url(relay: &Relay) -> String {
    format!("nats://127.0.0.1:{}", relay.port())
}

/// Cuts an agent off until another one has its scan, and ends the cut.
async fn cut_an_agent(line: Line) {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let relay = Relay::to(nats.port());
    let mut one = TestAgent::new("one", &nats, WAITING).set("agent.nats", json!([url(&relay)]));
    join(&server, &mut [&mut one]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let mut two = TestAgent::new("two", &nats, WAITING);
    join(&server, &mut [&mut two]).await;
    relay.set(line);
    is_in_state(&server, &one, "silent").await;
    // NATS may have given it once more to the agent that is cut off: attempt 2 never began then.
    let attempt = until(PATIENCE, "another agent scans it", async || {
        let now = status(&server, &job).await;
        (now["status"] == "scanning" && now["attempt"] != 1).then(|| now["attempt"].clone())
    })
    .await;
    // What a client that is cut off completes arrives late, and does not count.
    one.release();
    let cause = match line {
        Line::Closed => "the connection to NATS is lost",
        _ => "NATS has not confirmed the lease",
    };
    eventually(&format!("{line:?}: the agent names the cause"), async || one.log().contains(cause))
        .await;
    relay.set(Line::Open);
    eventually(&format!("{line:?}: the tree is ended"), async || one.scans().is_empty()).await;
    is_in_state(&server, &one, "active").await;
    let now = status(&server, &job).await;
    assert_eq!((&now["status"], &now["attempt"]), (&json!("scanning"), &attempt), "{line:?}");
    two.release();
    let last = is_final(&server, &job).await;
    assert_eq!((&last["status"], &last["attempt"]), (&json!("completed"), &attempt), "{line:?}");
    assert_eq!((one.runs(), two.runs()), (vec!["0/1".to_owned()], vec![format!("0/{attempt}")]));
    nothing_is_stored(&nats).await;
}

/// Breaks if an agent that is cut off in any way keeps a scan that another one has, or if what it reports late counts.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_cut_off_in_any_way_loses_its_scan() {
    join_all(CUTS.map(cut_an_agent)).await;
}

/// Cuts the server off while a scan ends, and ends the cut.
async fn cut_the_server(line: Line) {
    let nats = NatsServer::start();
    let relay = Relay::to(nats.port());
    let setup = waiting_for(&nats, Setup::new(), LONG_WAIT);
    let setup = setup.variable("SCANWATCH_ENGINE__NATS", json!([url(&relay)]));
    let server = setup.start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    relay.set(line);
    agent.release();
    eventually("the scan has ended", async || agent.scans().is_empty()).await;
    let later = server.submit("b").await;
    eventually(&format!("{line:?}: the cause is shown"), async || {
        let health = server.get("/health").await.expect(200).json();
        let reason = health["engine"]["waiting_reason"].as_str().unwrap_or_default();
        health["status"] == "degraded" && reason.starts_with("NATS cannot be used: ")
    })
    .await;
    assert_eq!(status(&server, &job).await["status"], "scanning", "{line:?}");
    relay.set(Line::Open);
    for job in [&job, &later] {
        let last = is_final(&server, job).await;
        assert_eq!(last["status"], "completed", "{line:?}");
        assert_eq!(last["attempt"], 1, "{line:?}: {}", server.setup().log());
    }
    assert_eq!(agent.runs(), ["0/1", "0/1"], "{line:?}");
    eventually("the server is healthy", async || {
        server.get("/health").await.json()["status"] == "healthy"
    })
    .await;
    nothing_is_stored(&nats).await;
}

/// Breaks if a server that is cut off in any way loses or repeats what ends meanwhile, or does not name the cause.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_cut_off_in_any_way_reads_afterwards_what_has_ended() {
    join_all(CUTS.map(cut_the_server)).await;
}

/// A quick scan, whose result names its attempt.
const QUICK: &str = r#"
say scanning
printf '{"schema": 1, "packages": [], "of_attempt": %s}' "$attempt" > result.part &&
    mv result.part "$SCANWATCH_RESULT_FILE"
say completed
"#;

/// A server and two agents, each of them behind a relay, and a job of some repositories.
async fn behind_relays(count: u32, disturb: impl AsyncFn(&[Relay; 3])) -> u64 {
    let nats = NatsServer::start();
    let relays = [(); 3].map(|()| Relay::to(nats.port()));
    let setup = waiting_for(&nats, Setup::new(), ACK_WAIT * 2);
    let setup = setup.variable("SCANWATCH_ENGINE__NATS", json!([url(&relays[0])]));
    let job = setup.write_group(count as usize);
    let server = setup.start().await;
    let mut agents = [("one", &relays[1]), ("two", &relays[2])].map(|(name, relay)| {
        TestAgent::new(name, &nats, QUICK).set("agent.nats", json!([url(relay)]))
    });
    let [one, two] = &mut agents;
    join(&server, &mut [one, two]).await;
    disturb(&relays).await;
    let document = server.finished(&job).await;
    assert_eq!(document["summary"]["completed"], count, "{document:#}");
    let mut attempts = 0;
    for index in 0..count {
        let status = server.status_file(&job, index);
        let result = server.job_folder(&job).join(format!("results/repo_{index}.json"));
        assert_eq!(files::json(&result).unwrap()["of_attempt"], status["attempt"], "{index}");
        attempts += status["attempt"].as_u64().unwrap();
    }
    nothing_is_stored(&nats).await;
    attempts - u64::from(count)
}

/// Breaks if an answer that takes longer than usual counts as none.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_costs_time_only() {
    let repeated = behind_relays(4, async |relays| {
        for relay in relays {
            relay.delay(Duration::from_millis(300));
        }
    })
    .await;
    assert_eq!(repeated, 0, "scans were repeated");
}

/// Breaks if anything is lost or counts twice because connections are cut again and again.
#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_cut_again_and_again_lose_nothing() {
    behind_relays(8, async |relays| {
        let mut dice = Dice::new(u64::from(std::process::id()));
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(50 + dice.below(300))).await;
            dice.pick(relays).expect("three").cut();
        }
    })
    .await;
}
