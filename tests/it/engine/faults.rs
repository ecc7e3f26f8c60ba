//! Whatever dies or hangs: every repository reaches one final state, and no attempt that was replaced counts.

use super::*;
use crate::support::agent::WAITING;
use rustix::process::Signal;
use std::time::Instant;

/// Breaks if the scan of an agent that died is lost, or takes longer than the wait to be given to another one.
#[tokio::test]
async fn the_scan_of_an_agent_that_died_goes_to_another() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let mut one = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut one]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let mut two = TestAgent::new("two", &nats, WAITING);
    join(&server, &mut [&mut two]).await;
    kill_machine(&mut one);
    let begin = Instant::now();
    is_scanned(&server, &job, 2).await;
    // One more second than the wait, and what a busy machine takes.
    assert!(begin.elapsed() < ACK_WAIT + Duration::from_secs(6), "{:?}", begin.elapsed());
    two.release();
    let status = is_final(&server, &job).await;
    assert_eq!((&status["status"], &status["attempt"]), (&json!("completed"), &json!(2)));
    assert_eq!((one.runs(), two.runs()), (vec!["0/1".to_owned()], vec!["0/2".to_owned()]));
    nothing_is_stored(&nats).await;
}

/// Breaks if a scan is lost or repeated that ends while the server is down, or goes on while it is.
#[tokio::test]
async fn agents_go_on_while_the_server_is_down() {
    let nats = NatsServer::start();
    let mut server = of_agents(&nats, Setup::new()).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING).set("agent.slots", 2);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    server.kill9().await;
    agent.release();
    eventually("the scan has ended", async || agent.scans().is_empty()).await;
    server.restart().await;
    let status = is_final(&server, &job).await;
    assert_eq!((&status["status"], &status["attempt"]), (&json!("completed"), &json!(1)));
    let log = server.get(&format!("/scan/{job}/repositories/0/log")).await.expect(200);
    assert_eq!(log.text, "working on a\n");
    std::fs::remove_file(agent.folder().join("go")).unwrap();

    // A planned stop ends no scan of an agent either, and takes no time.
    let job = server.submit("b").await;
    is_scanned(&server, &job, 1).await;
    assert_eq!(server.terminate().await, Some(0));
    server.restart().await;
    assert_eq!(status_word(&server, &job).await, "scanning");
    agent.release();
    let status = is_final(&server, &job).await;
    assert_eq!((&status["status"], &status["attempt"]), (&json!("completed"), &json!(1)));
    assert_eq!(agent.runs(), ["0/1", "0/1"]);
    nothing_is_stored(&nats).await;
}

async fn status_word(server: &TestServer, job: &str) -> String {
    status(server, job).await["status"].as_str().unwrap_or_default().to_owned()
}

/// Breaks if an agent that was stopped for longer than its lease goes on with a scan that another one has, or if what
/// it says of it counts.
#[tokio::test]
async fn an_agent_that_was_stopped_has_lost_its_scan() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let mut one = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut one]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let mut two = TestAgent::new("two", &nats, WAITING);
    join(&server, &mut [&mut two]).await;
    one.signal(Signal::STOP);
    is_scanned(&server, &job, 2).await;
    // Its scan completes as soon as it may: that must not count.
    one.release();
    one.signal(Signal::CONT);
    eventually("the tree of the lost scan is ended", async || one.scans().is_empty()).await;
    assert_eq!(status_word(&server, &job).await, "scanning");
    two.release();
    assert_eq!(is_final(&server, &job).await["attempt"], 2);
    nothing_is_stored(&nats).await;
}

/// Breaks if a scan is lost or repeated because NATS is restarted, or if the server does not say what is missing.
#[tokio::test]
async fn scans_go_on_while_nats_is_down_and_are_delivered_later() {
    let mut nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    nats.kill();
    eventually("the server is degraded", async || {
        let health = server.get("/health").await.json();
        health["engine"]["connected"] == false && health["causes"][0]["reason"] == "agents"
    })
    .await;
    agent.release();
    eventually("the scan has ended", async || agent.scans().is_empty()).await;
    let later = server.submit("b").await;
    // For longer than the wait: nothing is given up.
    tokio::time::sleep(ACK_WAIT * 2).await;
    assert_eq!(status_word(&server, &job).await, "scanning");
    assert_eq!(server.progress(&later).await["status"], "initializing");
    nats.restart();
    for job in [&job, &later] {
        let status = is_final(&server, job).await;
        assert_eq!((&status["status"], &status["attempt"]), (&json!("completed"), &json!(1)));
    }
    eventually("the server is healthy", async || {
        server.get("/health").await.json()["status"] == "healthy"
    })
    .await;
    assert_eq!(agent.runs(), ["0/1", "0/1"]);
    nothing_is_stored(&nats).await;
}

/// Breaks if a running scan cannot be cancelled; one that no agent has taken; or one whose agent is dead.
#[tokio::test]
async fn scans_are_cancelled_wherever_they_are() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut agent]).await;
    let running = server.submit("a").await;
    is_scanned(&server, &running, 1).await;
    server.post_nothing(&format!("/scan/{running}/cancel")).await.expect(200);
    assert_eq!(is_final(&server, &running).await["status"], "cancelled");
    eventually("its tree is ended", async || agent.scans().is_empty()).await;

    let abandoned = server.submit("b").await;
    is_scanned(&server, &abandoned, 1).await;
    kill_machine(&mut agent);
    server.post_nothing(&format!("/scan/{abandoned}/cancel")).await.expect(200);
    assert_eq!(is_final(&server, &abandoned).await["status"], "cancelled");

    // Its folder can be removed, too.
    server.delete(&format!("/scan/{abandoned}")).await.expect(204);
    is_in_state(&server, &agent, "silent").await;
    let waiting = server.submit("c").await;
    server.post_nothing(&format!("/scan/{waiting}/cancel")).await.expect(200);
    assert_eq!(is_final(&server, &waiting).await["status"], "cancelled");
    // The agent comes back, and what it has left no longer counts.
    agent.start();
    is_in_state(&server, &agent, "active").await;
    nothing_is_stored(&nats).await;
    assert_eq!(agent.runs(), ["0/1", "0/1"]);
}

/// Breaks if a repository that kills every agent is given to agents for ever, or ends without its cause.
#[tokio::test]
async fn a_repository_that_kills_its_agents_fails() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).set("engine.max_deliver", 3).start().await;
    let mut agents =
        ["one", "two", "three", "four"].map(|name| TestAgent::new(name, &nats, WAITING));
    let job = server.submit("poison").await;
    for (died, agent) in agents.iter_mut().enumerate() {
        join(&server, &mut [agent]).await;
        if died < 3 {
            is_scanned(&server, &job, died as u64 + 1).await;
            kill_machine(agent);
        }
    }
    let status = is_final(&server, &job).await;
    assert_eq!(status["status"], "failed", "{status:#}");
    assert_eq!(status["failure"]["kind"], "interrupted");
    let detail = status["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("killed 3 times"), "{detail}");
    assert!(agents[3].runs().is_empty(), "{:?}", agents[3].runs());
    nothing_is_stored(&nats).await;
}

/// Kills the agent that runs it, then its own shim, then itself: as a repository that uses up the memory of a machine.
const KILLER: &str = r#"
case "$SCANWATCH_REPO_NAME" in *poison*)
    say scanning
    for process in /proc/[0-9]*; do
        if tr '\0' ' ' < "$process/cmdline" 2>/dev/null | grep -q "agent --config $dir/"; then
            kill -9 "${process#/proc/}"
        fi
    done
    kill -9 $PPID $$
esac
say completed
"#;

/// Breaks if a scanner that kills its agent each time runs for ever, or takes other repositories with it.
#[tokio::test]
async fn a_scanner_that_kills_its_agent_each_time_fails() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).set("engine.max_deliver", 3).start().await;
    let mut agents = ["one", "two"].map(|name| TestAgent::new(name, &nats, KILLER));
    let [one, two] = &mut agents;
    join(&server, &mut [one, two]).await;
    let poison = server.submit("poison").await;
    // As a service manager does.
    let status = until(PATIENCE, "the poison is finished", async || {
        for agent in &mut agents {
            if !agent.runs_now() {
                agent.start();
            }
        }
        let status = status(&server, &poison).await;
        (status["status"] == "failed").then_some(status)
    })
    .await;
    assert_eq!(status["failure"]["kind"], "interrupted", "{status:#}");
    let runs = agents[0].runs().len() + agents[1].runs().len();
    assert!((3..=5).contains(&runs), "{runs} runs");
    for agent in &mut agents {
        if !agent.runs_now() {
            agent.start();
        }
    }
    let other = server.submit("harmless").await;
    assert_eq!(is_final(&server, &other).await["status"], "completed");
    nothing_is_stored(&nats).await;
}
