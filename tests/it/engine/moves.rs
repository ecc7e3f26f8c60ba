//! A queue moves from one engine to the other by a restart with the other setting.

use super::*;
use crate::support::agent::WAITING;

/// Breaks if a scan runs twice, is lost, or counts as a death, because the engine was changed.
#[tokio::test]
async fn a_queue_moves_from_agents_to_the_server_and_back() {
    let nats = NatsServer::start();
    let script = r#"
echo "$attempt" >> "$dir/runs"
say scanning
while [ ! -e "$dir/go" ]; do sleep 0.05; done
say completed
"#;
    let mut server = of_agents(&nats, Setup::new()).shell(script).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;

    server.terminate().await;
    server.set_variable("SCANWATCH_ENGINE__KIND", "local");
    server.restart().await;
    eventually("the server scans", async || files::text(&server.file("runs")) == "2\n").await;
    eventually("the scan of the agent is ended", async || agent.scans().is_empty()).await;
    nothing_is_stored(&nats).await;
    let listed = server.get("/agents").await.expect(200).json();
    assert_eq!((&listed["kind"], &listed["waiting_reason"]), (&json!("local"), &Value::Null));

    // Its own scan goes on under supervision, and is not given to an agent.
    server.kill9().await;
    server.set_variable("SCANWATCH_ENGINE__KIND", "nats");
    server.restart().await;
    is_in_state(&server, &agent, "active").await;
    assert!(server.shim(&job, 0).is_some(), "the scan still runs");
    files::write(&server.file("go"), "");
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(files::text(&server.file("runs")), "2\n");
    assert_eq!(agent.runs(), ["0/1"]);
    let record = files::json(&server.job_folder(&job).join("locks/repo_0.attempt.json")).unwrap();
    assert_eq!((&record["attempt"], &record["interruptions"]), (&json!(2), &json!(0)));

    // The next one is the agents'.
    agent.release();
    let next = server.submit("b").await;
    assert_eq!(is_final(&server, &next).await["status"], "completed");
    assert_eq!(agent.runs().len(), 2);
    nothing_is_stored(&nats).await;
}
