//! Scans by agents as their users see them.

use super::*;
use crate::support::{
    agent::WAITING,
    forge::{Forge, program},
};
use std::collections::BTreeSet;

const TOKEN: &str = "glpat-n4ts-c4n4ry";

/// An agent with the built-in scanner that may contact this forge.
fn built_in(name: &str, nats: &NatsServer, forge: &Forge) -> TestAgent {
    TestAgent::new(name, nats, "")
        .set("scanner.command", "[]")
        // A disk that is nearly full must not decide how many of them run at once.
        .set("limits.max_fetch_bytes", 10 << 20)
        .set("forges", format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base()))
}

/// Breaks if a group that agents scan is not what it is when the server scans it: states, packages, logs; if a
/// repository is scanned twice; or if anything is left in NATS.
#[tokio::test]
async fn a_group_is_scanned_by_two_agents_and_nothing_is_left_in_nats() {
    let forge = Forge::start();
    let paths: Vec<String> = (0..12).map(|n| format!("acme/service-{n}")).collect();
    forge.group(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let nats = NatsServer::start();
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    // On a busy machine an agent may give no sign of life for two seconds.
    let setup = waiting_for(&nats, Setup::new(), Duration::from_secs(30));
    let server = setup.set("forges", forges).start().await;
    let mut one = built_in("one", &nats, &forge).set("agent.slots", 2);
    let mut two = built_in("two", &nats, &forge).set("agent.slots", 2);
    join(&server, &mut [&mut one, &mut two]).await;

    let job = server.submit_with(&json!({ "git_url": format!("{}/acme", forge.base()) })).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(document["summary"]["completed"], 12);
    let mut agents = BTreeSet::new();
    for n in 0..12 {
        let base = format!("/scan/{job}/repositories/{n}");
        let packages = server.get(&format!("{base}/packages")).await.expect(200).json();
        assert_eq!(packages["total"], 1, "{packages:#}");
        server.get(&format!("{base}/log")).await.expect(200);
        let record = server.job_folder(&job).join(format!("locks/repo_{n}.attempt.json"));
        let record = files::json(&record).unwrap();
        assert_eq!(record["attempt"], 1);
        agents.insert(record["remote"]["agent"].as_str().unwrap().to_owned());
    }
    assert_eq!(agents.len(), 2, "both agents have scanned");
    assert_eq!(forge.fetches(), 12, "each repository was fetched once");
    nothing_is_stored(&nats).await;
}

/// Breaks if an agent cannot scan a private repository, or if its credentials are readable anywhere in NATS or at rest
/// with the agent.
#[tokio::test]
async fn credentials_of_a_private_repository_reach_the_agent_sealed() {
    let forge = Forge::start();
    forge.group(&["acme/private"]);
    forge.require_login("oauth2", TOKEN);
    let nats = NatsServer::start();
    let setup = of_agents(&nats, Setup::new());
    let token = setup.folder().join("token");
    files::write(&token, TOKEN);
    let forges = format!(
        "[{{ kind = \"gitlab\", url = \"{}\", token_file = \"{}\" }}]",
        forge.base(),
        token.display()
    );
    let server = setup.set("forges", forges).start().await;
    let mut agent = built_in("one", &nats, &forge);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit_with(&json!({ "git_url": forge.url("acme/private") })).await;
    let status = is_final(&server, &job).await;
    assert_eq!(status["status"], "completed", "{status:#}\n{}", agent.log());
    for folder in [nats.folder(), agent.folder(), server.job_folder(&job).as_path()] {
        assert!(!contains(folder, TOKEN), "{}", folder.display());
    }
}

/// Breaks if an agent that was removed scans anything, or if what it was scanning is lost.
#[tokio::test]
async fn only_enrolled_agents_scan() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let mut one = TestAgent::new("one", &nats, WAITING);
    let mut two = TestAgent::new("two", &nats, WAITING);
    join(&server, &mut [&mut one]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    server.delete("/agents/one").await.expect(204);
    server.delete("/agents/one").await.expect(404);
    is_in_state(&server, &one, "refused").await;
    let health = server.get("/health").await.expect(200).json();
    assert_eq!(health["status"], "degraded");
    let reason = health["engine"]["waiting_reason"].as_str().unwrap();
    assert!(reason.contains("the only agent"), "{reason}");
    assert!(health["engine"]["agents"][0]["problem"].as_str().unwrap().contains("not enrolled"));
    // What it reports from now on is refused, also a final state: then the attempt is nobody's.
    one.release();
    eventually("it has delivered its scan", async || {
        stored(&nats).await.iter().all(|subject| !subject.contains(".attempts."))
    })
    .await;
    one.kill();
    two.release();
    join(&server, &mut [&mut two]).await;
    assert_eq!(is_final(&server, &job).await["status"], "completed");
    let record = server.job_folder(&job).join("locks/repo_0.attempt.json");
    assert_eq!(files::json(&record).unwrap()["remote"]["agent"], "two");
    nothing_is_stored(&nats).await;

    let other = json!({ "name": "two", "public_key": one.key().as_str() });
    let refused = server.post("/agents", &other).await.expect(409);
    assert!(refused.text.contains("another key"), "{}", refused.text);
    let ill = json!({ "name": "a b", "public_key": one.key().as_str() });
    server.post("/agents", &ill).await.expect(400);
    let ill = json!({ "name": "three", "public_key": "X" });
    server.post("/agents", &ill).await.expect(400);
}

/// Breaks if the log of a running scan cannot be read or followed, or differs afterwards.
#[tokio::test]
async fn the_log_of_a_running_scan_is_read_and_followed() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let script = format!("{WAITING}\necho the end");
    let mut agent = TestAgent::new("one", &nats, &script);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let path = format!("/scan/{job}/repositories/0/log");
    eventually("the log of a running scan can be read", async || {
        server.get(&path).await.text == "working on a\n"
    })
    .await;
    let follow = format!("{path}?follow=true");
    let following = server.get(&follow);
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        agent.release();
    };
    let (followed, ()) = tokio::join!(following, release);
    assert_eq!(followed.expect(200).text, "working on a\nthe end\n");
    is_final(&server, &job).await;
    assert_eq!(server.get(&path).await.text, "working on a\nthe end\n");
}

/// Breaks if a repository is scanned by an agent without its label, or if one that waits for its agents keeps others
/// from being scanned.
#[tokio::test]
async fn a_label_routes_a_host_to_its_agents() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new())
        .set("engine.labels", "{ \"gitlab.com\" = \"dmz\" }")
        .start()
        .await;
    let mut common = TestAgent::new("common", &nats, WAITING);
    common.release();
    join(&server, &mut [&mut common]).await;
    let inside = server.submit_with(&json!({ "git_url": "https://gitlab.com/a/b.git" })).await;
    let outside = server.submit_with(&json!({ "git_url": "https://github.com/a/b.git" })).await;
    assert_eq!(is_final(&server, &outside).await["status"], "completed");
    assert_eq!(server.progress(&inside).await["status"], "initializing");
    let mut dmz = TestAgent::new("dmz", &nats, WAITING).set("agent.labels", "[\"dmz\"]");
    dmz.release();
    join(&server, &mut [&mut dmz]).await;
    assert_eq!(is_final(&server, &inside).await["status"], "completed");
    assert_eq!((common.runs().len(), dmz.runs().len()), (1, 1));
}

/// Breaks if agents are not listed by the command, or not counted.
#[tokio::test]
async fn agents_are_listed_and_counted() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING).set("agent.slots", 3);
    join(&server, &mut [&mut agent]).await;
    let list = |more: &[&str]| {
        let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
        command.args(["agents", "--server", &server.url("")]).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = list(&[]);
    let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["one", "active", "0", "3", "default"], "{text}");
    let engine: Value = serde_json::from_str(&list(&["--json"])).unwrap();
    assert_eq!(engine["agents"][0]["slots"], 3);
    let metrics = server.get("/metrics").await.expect(200).text;
    for line in [
        "scanwatch_agents{state=\"active\"} 1",
        "scanwatch_agent_slots 3",
        "scanwatch_engine_connected 1",
        "scanwatch_degraded{reason=\"agents\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    let limits = server.get("/admin/limits").await.expect(200).json();
    assert_eq!((&limits["max_concurrent_processes"], &limits["slots"]), (&json!(3), &json!(3)));
    // A request lowers the number, and an agent that is gone has no slots.
    let lowered = json!({ "max_concurrent_processes": 2 });
    let request = server.request(reqwest::Method::PUT, "/admin/limits").json(&lowered);
    assert_eq!(server.send(request).await.expect(200).json()["slots"], 2);
    agent.kill();
    is_in_state(&server, &agent, "silent").await;
    eventually("no slots are left", async || {
        server.get("/admin/limits").await.json()["slots"] == 0
    })
    .await;
    assert!(list(&[]).contains("queued repositories wait"), "{}", list(&[]));
}
