//! An agent that acknowledges, returns or keeps alive the messages of others with its label: it can delay and repeat scans,
//! and loses none (docs/agents.md).

use super::*;
use crate::support::agent::WAITING;
use async_nats::Client;

/// Where the message that was stored first is acknowledged, as anybody with the label can guess it.
async fn reply_of_first(nats: &NatsServer, delivery: u64) -> (Client, String) {
    let context = context(nats).await;
    let stream = context.get_stream("SCANWATCH_ATTEMPTS").await.unwrap();
    let sequence = stream.cached_info().state.first_sequence;
    let info = stream.consumer_info("agents_default").await.unwrap();
    let of_consumer = info.delivered.consumer_sequence;
    let reply = format!(
        "$JS.ACK.SCANWATCH_ATTEMPTS.agents_default.{delivery}.{sequence}.{of_consumer}.1.0"
    );
    (async_nats::connect(nats.url()).await.unwrap(), reply)
}

async fn say(client: &Client, reply: &str, word: &'static str) {
    client.request(reply.to_owned(), word.into()).await.unwrap();
}

/// Breaks if a repository is lost because another agent has acknowledged its message.
#[tokio::test]
async fn an_acknowledgement_by_others_loses_nothing() {
    for word in ["+ACK", "+TERM", "-NAK"] {
        let nats = NatsServer::start();
        let server = of_agents(&nats, Setup::new()).start().await;
        let mut one = TestAgent::new("one", &nats, WAITING);
        join(&server, &mut [&mut one]).await;
        let job = server.submit("a").await;
        is_scanned(&server, &job, 1).await;
        let (client, reply) = reply_of_first(&nats, 1).await;
        say(&client, &reply, word).await;
        // The holder lives, and goes on.
        tokio::time::sleep(ACK_WAIT * 2).await;
        let now = status(&server, &job).await;
        assert_eq!((&now["status"], &now["attempt"]), (&json!("scanning"), &json!(1)), "{word}");
        // It dies: another one scans the repository.
        let mut two = TestAgent::new("two", &nats, WAITING);
        two.release();
        join(&server, &mut [&mut two]).await;
        kill_machine(&mut one);
        let last = is_final(&server, &job).await;
        assert_eq!(last["status"], "completed", "{word}: {last:#}");
        assert_eq!(two.runs().len(), 1, "{word}");
        nothing_is_stored(&nats).await;
    }
}

/// Breaks if a scan of a dead agent waits for as long as somebody keeps its message alive.
#[tokio::test]
async fn a_message_that_others_keep_alive_is_given_to_another_agent() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let mut one = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut one]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let mut two = TestAgent::new("two", &nats, WAITING);
    two.release();
    join(&server, &mut [&mut two]).await;
    let (client, reply) = reply_of_first(&nats, 1).await;
    kill_machine(&mut one);
    let last = until(PATIENCE, "another agent scans it", async || {
        say(&client, &reply, "+WPI").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let status = status(&server, &job).await;
        (status["status"] == "completed").then_some(status)
    })
    .await;
    assert_eq!(last["attempt"], 2, "{last:#}");
    assert!(server.setup().log().contains("NATS does not give the scan to another one"));
    nothing_is_stored(&nats).await;
}
