//! A group of small repositories, scanned by real agents and their real scanners, and by the server itself, alternately.
//! `REPOSITORIES` sets the size of the group, `SLOTS` those of each agent, `ROUNDS` the number of comparisons.

use crate::{
    Outcome, number_of, services,
    support::{
        agent::TestAgent,
        forge::Forge,
        nats_server::NatsServer,
        server::{Setup, TestServer},
    },
};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const REPOSITORIES: usize = 100;
const SLOTS: usize = 2;
const ROUNDS: usize = 2;
/// How many agents there are, one after the other.
const AGENTS: [usize; 4] = [1, 2, 4, 8];
/// As many scans at once as by default.
const LOCALLY: usize = 5;
const PACE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(10);

pub(crate) async fn measure() -> Outcome<()> {
    let count = number_of("REPOSITORIES", REPOSITORIES)?;
    let slots = number_of("SLOTS", SLOTS)?;
    let forge = Forge::start();
    for number in 0..count {
        services::add(&forge, number);
    }
    println!("{count} repositories");
    println!("{:>5} {:>22} {:>9} {:>9}", "round", "", "seconds", "per hour");
    for round in 1..=number_of("ROUNDS", ROUNDS)? {
        let print = |what: &str, took: Duration| {
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let per_hour = count as f64 * 3600.0 / took.as_secs_f64();
            println!("{round:5} {what:>22} {:9.2} {per_hour:9.0}", took.as_secs_f64());
        };
        let server = setup(&forge).start().await;
        print(&format!("server, {LOCALLY} at once"), scan(&server, &forge, count).await?);
        drop(server);
        for agents in AGENTS {
            let took = by_agents(&forge, agents, slots, count).await?;
            print(&format!("{agents} agents, {} at once", agents * slots), took);
        }
    }
    Ok(())
}

/// The forge of the settings.
fn forges(forge: &Forge) -> String {
    format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base())
}

fn setup(forge: &Forge) -> Setup {
    Setup::new().set("forges", forges(forge)).set("log.level", json!("warn"))
}

async fn by_agents(
    forge: &Forge,
    agents: usize,
    slots: usize,
    repositories: usize,
) -> Outcome<Duration> {
    let nats = NatsServer::start();
    let setup = setup(forge).set("engine.kind", json!("nats"));
    let server = setup.set("engine.nats", json!([nats.url()])).start().await;
    let mut running = Vec::new();
    for number in 0..agents {
        let mut agent = TestAgent::new(&format!("agent-{number}"), &nats, "")
            .set("scanner.command", "[]")
            .set("agent.slots", slots)
            .set("forges", forges(forge))
            .set("log.level", json!("warn"));
        let enrolls = json!({ "name": agent.name().as_str(), "public_key": agent.key().as_str() });
        server.post("/agents", &enrolls).await.expect(200);
        agent.start();
        running.push(agent);
    }
    let all = format!("scanwatch_agent_slots {}", agents * slots);
    let begin = Instant::now();
    while !server.get("/metrics").await.expect(200).text.lines().any(|line| line == all) {
        if begin.elapsed() > PATIENCE {
            return Err("the agents do not become active".into());
        }
        sleep(PACE).await;
    }
    scan(&server, forge, repositories).await
}

/// Scans the group; returns how long it took from its submission to the end of its job.
async fn scan(server: &TestServer, forge: &Forge, count: usize) -> Outcome<Duration> {
    let begin = Instant::now();
    let url = format!("{}/acme", forge.base());
    let job = server.submit_with(&json!({ "git_url": url, "force": true })).await;
    while server.get("/jobs?status=completed").await.expect(200).json()["total"] != 1 {
        if begin.elapsed() > PATIENCE {
            return Err(format!("the job does not end: {}", server.progress(&job).await).into());
        }
        sleep(PACE).await;
    }
    let took = begin.elapsed();
    let summary = &server.progress(&job).await["summary"];
    if summary["completed"] == count { Ok(took) } else { Err(summary.to_string().into()) }
}
