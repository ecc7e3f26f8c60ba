//! Copies, late words and claims of others in NATS: only what the holder of an attempt reports counts.

use super::*;
use crate::support::agent::WAITING;
use scanwatch::wire::{
    names::{AgentName, RepositoryKey},
    status::{self as status_value, Kind, StatusHeader},
};

/// The repository of a job.
fn key_of(job: &str) -> RepositoryKey {
    RepositoryKey { job: job.parse().unwrap(), index: 0 }
}

/// Stores a status in the name of an agent.
async fn report(context: &jetstream::Context, agent: &str, key: &RepositoryKey, value: Vec<u8>) {
    let bucket = context.get_key_value("scanwatch_status").await.unwrap();
    let agent: AgentName = agent.parse().unwrap();
    bucket.put(key.status_key(&agent), value.into()).await.unwrap();
}

/// A final state as an agent would store it.
fn final_state(agent: &str, attempt: u64) -> Vec<u8> {
    let began = StatusHeader::began(agent.parse().unwrap(), attempt, 1);
    let header = StatusHeader { kind: Kind::Final, sequence: 99, exit_code: Some(0), ..began };
    status_value::encode(&header, br#"{"status":"completed","forged":true}"#).unwrap()
}

/// Publishes copies of the messages of attempts that are stored.
async fn copy_messages(context: &jetstream::Context, copies: usize) {
    let stream = context.get_stream("SCANWATCH_ATTEMPTS").await.unwrap();
    let last = stream.cached_info().state.last_sequence;
    let message = stream.get_raw_message(last).await.unwrap();
    for _ in 0..copies {
        let sent = context.publish("scanwatch.attempts.default", message.payload.clone()).await;
        sent.unwrap().await.unwrap();
    }
}

/// Breaks if a copy of a message ends, repeats or replaces the scan that runs.
#[tokio::test]
async fn copies_of_a_message_change_nothing() {
    let nats = NatsServer::start();
    let server = waiting_for(&nats, Setup::new(), LONG_WAIT).start().await;
    let mut one = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut one]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let context = context(&nats).await;
    copy_messages(&context, 3).await;
    let mut two = TestAgent::new("two", &nats, WAITING);
    join(&server, &mut [&mut two]).await;
    eventually("the copies are gone", async || {
        stored(&nats).await.iter().filter(|subject| subject.contains(".attempts.")).count() <= 1
            && !two.log().is_empty()
            && two.scans().is_empty()
            && two.log().matches("an attempt is no longer needed").count() >= 1
    })
    .await;
    let now = status(&server, &job).await;
    assert_eq!((&now["status"], &now["attempt"]), (&json!("scanning"), &json!(1)));
    assert!(!one.scans().is_empty(), "the scan was ended: {}", one.log());
    one.release();
    let last = is_final(&server, &job).await;
    assert_eq!((&last["status"], &last["attempt"]), (&json!("completed"), &json!(1)));
    assert_eq!(one.runs(), ["0/1"]);
    let record = server.job_folder(&job).join("locks/repo_0.attempt.json");
    assert_eq!(files::json(&record).unwrap()["remote"]["agent"], "one");
    nothing_is_stored(&nats).await;
}

/// Breaks if a report counts that is of an earlier attempt, of another job, of an agent without the label, or too large.
#[tokio::test]
async fn refused_reports_change_nothing() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new())
        .set("engine.labels", "{ \"gitlab.com\" = \"dmz\" }")
        .start()
        .await;
    let mut one = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut one]).await;
    // Enrolled for another label.
    let other = json!({ "name": "other", "public_key": one.key().as_str(), "labels": ["dmz"] });
    server.post("/agents", &other).await.expect(200);
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let (context, key) = (context(&nats).await, key_of(&job));
    let bucket = context.get_key_value("scanwatch_status").await.unwrap();
    let early = bucket.get(key.status_key(one.name())).await.unwrap().unwrap();
    let mut two = TestAgent::new("two", &nats, WAITING);
    join(&server, &mut [&mut two]).await;
    kill_machine(&mut one);
    is_scanned(&server, &job, 2).await;

    // Of an earlier attempt, as an older state and as a final one; of an agent that may not; too large.
    report(&context, "one", &key, early.to_vec()).await;
    report(&context, "one", &key, final_state("one", 1)).await;
    report(&context, "other", &key, final_state("other", 9)).await;
    let mut large = final_state("two", 2);
    large.resize(1000 << 10, b' ');
    report(&context, "two", &key, large).await;
    // Of a job that does not exist.
    let stranger = key_of("no-such-job");
    report(&context, "two", &stranger, final_state("two", 1)).await;
    eventually("the server has read all of it", async || {
        let log = server.setup().log();
        log.contains("a status in NATS is not usable and ignored")
            && log.contains("the final state of an attempt that no longer counts is ignored")
            && bucket.get(stranger.status_key(two.name())).await.unwrap().is_none()
            && bucket.get(key.status_key(&"other".parse().unwrap())).await.unwrap().is_none()
    })
    .await;
    let now = status(&server, &job).await;
    assert_eq!((&now["status"], &now["attempt"]), (&json!("scanning"), &json!(2)));
    assert!(!two.scans().is_empty(), "the scan was ended: {}", two.log());

    two.release();
    let last = is_final(&server, &job).await;
    assert_eq!((&last["status"], &last["attempt"]), (&json!("completed"), &json!(2)));
    assert_eq!(last["forged"], Value::Null);
    nothing_is_stored(&nats).await;
    // Afterwards, nothing counts.
    report(&context, "two", &key, final_state("two", 3)).await;
    nothing_is_stored(&nats).await;
    assert_eq!(status(&server, &job).await, last);
}

/// Breaks if credentials are sealed to an agent that may not scan the repository.
#[tokio::test]
async fn an_agent_without_the_label_gets_no_credentials() {
    use scanwatch::wire::{
        self,
        requests::{CredentialsAnswer, CredentialsRequest, Refusal},
    };
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new())
        .set("engine.labels", "{ \"gitlab.com\" = \"dmz\" }")
        .start()
        .await;
    let mut one = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut one]).await;
    let other = json!({ "name": "other", "public_key": one.key().as_str(), "labels": ["dmz"] });
    server.post("/agents", &other).await.expect(200);
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let request = CredentialsRequest { schema: 1, key: key_of(&job), attempt: 9 };
    let bytes = wire::write(&request).unwrap();
    let answer = client.request("scanwatch.credentials.other", bytes.into()).await.unwrap();
    let answer: CredentialsAnswer = wire::read(&answer.payload).unwrap();
    let refused = matches!(answer, CredentialsAnswer::Refused { reason: Refusal::Outdated, .. });
    assert!(refused, "{answer:?}");
}
