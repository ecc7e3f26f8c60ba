//! How a server starts whose NATS is missing, or cannot be used.

use super::*;
use crate::support::{agent::WAITING, nats_server::nats_of_debian};

/// Breaks if a NATS without `JetStream` is found out only by the first scan.
#[tokio::test]
async fn a_nats_without_jetstream_ends_the_start() {
    let nats = NatsServer::with_config("");
    let ended = of_agents(&nats, Setup::new()).run_to_end().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains("no JetStream"), "{}", ended.output);
}

/// Breaks if a setting that cannot work ends the start late, or without its name.
#[tokio::test]
async fn an_unusable_setting_ends_the_start() {
    let nats = NatsServer::start();
    for (key, value, part) in [
        ("engine.nats", json!([]), "engine.nats"),
        ("engine.nats", json!(["http://h"]), "expected `nats://`"),
        ("engine.credentials_file", json!("/nonexistent"), "/nonexistent"),
        ("engine.ca_file", json!("/nonexistent"), "/nonexistent"),
    ] {
        let setup = Setup::new()
            .set("engine.kind", json!("nats"))
            .set("engine.ack_wait_secs", 2)
            .set(key, &value);
        let setup = if key == "engine.nats" {
            setup
        } else {
            setup.set("engine.nats", json!([nats.url()]))
        };
        let ended = setup.run_to_end().await;
        assert_eq!(ended.code, Some(2), "{key}: {}", ended.output);
        assert!(ended.output.contains(part), "{key}: {}", ended.output);
    }
}

/// Breaks if a server whose NATS is down does not start, does not say why nothing is scanned, or does not go on once
/// NATS is there.
#[tokio::test]
async fn a_server_starts_without_its_nats_and_goes_on_with_it() {
    let mut nats = NatsServer::start();
    nats.kill();
    let server = of_agents(&nats, Setup::new()).start().await;
    let job = server.submit("a").await;
    let health = server.get("/health").await.expect(200).json();
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["engine"]["connected"], false);
    let reason = health["engine"]["waiting_reason"].as_str().unwrap();
    assert!(reason.contains("NATS cannot be used"), "{reason}");
    nats.restart();
    let mut agent = TestAgent::new("one", &nats, WAITING);
    agent.release();
    join(&server, &mut [&mut agent]).await;
    assert_eq!(is_final(&server, &job).await["status"], "completed");
    assert_eq!(server.get("/health").await.json()["status"], "healthy");
}

/// Breaks if a NATS that is too old is noticed late, or if the cause is shown nowhere: with the real server of Debian 12.
#[tokio::test]
async fn a_nats_that_is_too_old_is_named() {
    let Some(program) = nats_of_debian() else { return };
    let config = "jetstream { store_dir: \"STORE\" }\n";
    let mut old = NatsServer::not_started(config);
    old.run_by(Some(program.clone()));
    old.restart();
    let client = async_nats::connect(old.url()).await.unwrap();
    let version = client.server_info().version;
    if !version.starts_with("2.9.") {
        // A later Debian has a version that can be used.
        return;
    }
    let wanted = format!("has version {version}; 2.10 or newer is required. Update nats-server");
    let ended = of_agents(&old, Setup::new()).run_to_end().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains(&wanted), "{}", ended.output);
    let mut agent = TestAgent::new("one", &old, WAITING);
    agent.start();
    assert_eq!(agent.ended(PATIENCE).await, Some(2));
    assert!(agent.log().contains(&wanted), "{}", agent.log());

    // NATS is replaced by an old one while the server runs.
    old.kill();
    old.run_by(None);
    old.configure("jetstream { store_dir: \"STORE/new\" }\n");
    old.restart();
    let server = of_agents(&old, Setup::new()).start().await;
    old.kill();
    old.run_by(Some(program));
    old.configure("jetstream { store_dir: \"STORE/old\" }\n");
    old.restart();
    eventually("the cause is shown", async || waiting_reason(&server).await.contains(&wanted))
        .await;
    old.kill();
    old.run_by(None);
    old.configure("jetstream { store_dir: \"STORE/new\" }\n");
    old.restart();
    let mut agent = TestAgent::new("two", &old, WAITING);
    agent.release();
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    assert_eq!(is_final(&server, &job).await["status"], "completed");
}

/// Breaks if a server cannot use a consumer that an earlier version has created, which admits fewer requests: NATS refuses
/// to change their number.
#[tokio::test]
async fn a_consumer_of_an_earlier_version_is_used_as_it_is() {
    let nats = NatsServer::start();
    let mut server = of_agents(&nats, Setup::new()).start().await;
    let context = context(&nats).await;
    eventually("the consumer is created", async || {
        let stream = context.get_stream("SCANWATCH_ATTEMPTS").await;
        stream.is_ok() && stream.unwrap().consumer_info("agents_default").await.is_ok()
    })
    .await;
    server.kill9().await;
    let stream = context.get_stream("SCANWATCH_ATTEMPTS").await.unwrap();
    let mut config = stream.consumer_info("agents_default").await.unwrap().config;
    assert_eq!(config.max_waiting, 1_000_000);
    stream.delete_consumer("agents_default").await.unwrap();
    config.max_waiting = 512;
    let config: jetstream::consumer::pull::Config =
        jetstream::consumer::FromConsumer::try_from_consumer_config(config).unwrap();
    stream.create_consumer(config).await.unwrap();
    server.restart().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    agent.release();
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    assert_eq!(is_final(&server, &job).await["status"], "completed");
    let known = stream.consumer_info("agents_default").await.unwrap();
    assert_eq!(known.config.max_waiting, 512);
}
