//! Many agents at once, which speak the protocol and scan nothing: a small sample of what `cargo bench --bench engine --
//! simulation` measures.

use super::*;
use crate::support::{simulated_agents::Work, simulation::Simulation};
use scanwatch::wire::seal::AgentKey;

/// Breaks if a repository is lost, or scanned twice, where many agents report at once; if reading results leaves anything
/// in NATS; or if agents count as silent while the server is busy.
#[tokio::test(flavor = "multi_thread")]
async fn many_agents_complete_each_repository_once() {
    let simulation = Simulation {
        agents: 20,
        jobs: 5,
        repositories: 60,
        // More requests for attempts wait than NATS admits by default.
        work: Work { slots: 30, statuses: 2, pause: Duration::from_millis(20), packages: 3 },
        ack_wait: Duration::from_secs(30),
        patience: Duration::from_mins(2),
    };
    let figures = Box::pin(simulation.run()).await;
    assert_eq!((figures.completed, figures.repositories), (301, 301), "{figures}");
    assert_eq!((figures.repeated, figures.later_attempts), (0, 0), "{figures}");
    assert_eq!((figures.failures, figures.silent, figures.consumers), (0, 0, 0), "{figures}");
}

/// Breaks if `/health`, which monitors request often, grows with the number of agents.
#[tokio::test]
async fn health_names_few_agents_however_many_there_are() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    for number in 0..25 {
        let key = AgentKey::generate();
        let agent =
            json!({ "name": format!("agent-{number}"), "public_key": key.public().as_str() });
        server.post("/agents", &agent).await.expect(200);
    }
    for (path, listed) in [("/agents", 25), ("/health", 20)] {
        let answer = server.get(path).await.expect(200).json();
        let engine = if path == "/health" { &answer["engine"] } else { &answer };
        let agents = engine["agents"].as_array().unwrap();
        assert_eq!((agents.len(), &engine["agents_total"]), (listed, &json!(25)), "{path}");
    }
}
