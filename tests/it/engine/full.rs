//! A NATS without room: what is submitted waits, /health names the cause, and everything goes on when there is room.

use super::*;
use crate::support::agent::WAITING;

/// Long enough for a busy machine, and short enough to wait for longer.
const WAIT: Duration = Duration::from_secs(5);

async fn limit(context: &jetstream::Context, max_bytes: i64) {
    let stream = context.get_stream("SCANWATCH_ATTEMPTS").await.unwrap();
    let config = stream.cached_info().config.clone();
    let config = jetstream::stream::Config { max_bytes, ..config };
    context.update_stream(config).await.unwrap();
}

/// Breaks if a repository is lost, fails or uses up attempts because the stream is full, or cannot be cancelled.
#[tokio::test]
async fn submissions_wait_while_the_stream_is_full() {
    let nats = NatsServer::start();
    let server = waiting_for(&nats, Setup::new(), WAIT).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING).set("agent.slots", 2);
    agent.release();
    join(&server, &mut [&mut agent]).await;
    let context = context(&nats).await;
    limit(&context, 1).await;
    let job = server.submit("a").await;
    let cancelled = server.submit("b").await;
    eventually("the cause is shown", async || {
        let reason = waiting_reason(&server).await;
        reason.starts_with("NATS stores no scans: ") && reason.contains("maximum bytes exceeded")
    })
    .await;
    assert_eq!(server.get("/health").await.json()["status"], "degraded");
    server.post_nothing(&format!("/scan/{cancelled}/cancel")).await.expect(200);
    assert_eq!(is_final(&server, &cancelled).await["status"], "cancelled");
    tokio::time::sleep(WAIT).await;
    assert_eq!(server.progress(&job).await["status"], "initializing");
    limit(&context, -1).await;
    let last = is_final(&server, &job).await;
    assert_eq!((&last["status"], &last["attempt"]), (&json!("completed"), &json!(1)));
    eventually("the server is healthy", async || {
        server.get("/health").await.json()["status"] == "healthy"
    })
    .await;
    nothing_is_stored(&nats).await;
}

/// Breaks if a scan is lost or repeated because the disk of NATS is full, or if the cause is shown nowhere.
#[tokio::test]
async fn scans_wait_while_the_store_of_nats_is_full() {
    let config = "jetstream { store_dir: \"STORE\", max_file_store: 4MB }\n";
    let nats = NatsServer::with_config(config);
    let server = waiting_for(&nats, Setup::new(), WAIT).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let context = context(&nats).await;
    let filler = jetstream::stream::Config { name: "FILLER".to_owned(), ..Default::default() };
    context.create_stream(filler).await.unwrap();
    let mut size = 512 << 10;
    while size > 0 {
        let sent = context.publish("FILLER", vec![b'x'; size].into()).await.unwrap();
        if sent.await.is_err() {
            size /= 2;
        }
    }
    eventually("the server names the cause", async || {
        let reason = waiting_reason(&server).await;
        reason.starts_with("NATS stores no scans: ") && reason.contains("insufficient")
    })
    .await;
    eventually("the agent names the cause", async || {
        agent.log().contains("NATS does not store the heartbeats of this agent")
    })
    .await;
    agent.release();
    eventually("the scan has ended", async || agent.scans().is_empty()).await;
    let later = server.submit("b").await;
    tokio::time::sleep(WAIT).await;
    assert_eq!(status(&server, &job).await["status"], "scanning");
    context.delete_stream("FILLER").await.unwrap();
    for job in [&job, &later] {
        let last = is_final(&server, job).await;
        assert_eq!(last["status"], "completed", "{last:#}");
        assert_eq!(last["attempt"], 1, "{}", server.setup().log());
    }
    assert_eq!(agent.runs(), ["0/1", "0/1"]);
    eventually("the server is healthy", async || {
        server.get("/health").await.json()["status"] == "healthy"
    })
    .await;
    nothing_is_stored(&nats).await;
}
