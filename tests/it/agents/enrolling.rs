//! `scanwatch agent enroll` at a real server.

use crate::support::{
    agent::{TestAgent, WAITING},
    files,
    nats_server::NatsServer,
    server::Setup,
    wait::eventually,
};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt};

#[tokio::test(flavor = "multi_thread")]
async fn enrolling_makes_a_key_and_prints_the_permissions() {
    let nats = NatsServer::start();
    let server = Setup::new()
        .set("engine.kind", json!("nats"))
        .set("engine.nats", json!([nats.url()]))
        .start()
        .await;
    let mut agent = TestAgent::new("a1", &nats, WAITING);
    let key = agent.folder().join("agent.key");
    fs::remove_file(&key).unwrap();
    let url = server.url("");
    let enroll = |agent: &TestAgent| {
        let output = agent.run(&["enroll", "--server", &url]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, permissions, message) = enroll(&agent);
    assert_eq!(code, Some(0), "{message}");
    assert!(permissions.contains("$KV.scanwatch_status.a1.>"), "{permissions}");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let seed = files::text(&key);
    let secret = seed.trim();
    assert!(secret.starts_with("SX"));
    assert!(!permissions.contains(secret) && !message.contains(secret));
    // The same key again is no change.
    let again = enroll(&agent);
    assert_eq!((again.0, &again.1, files::text(&key)), (Some(0), &permissions, seed));
    agent.start();
    eventually("the agent is ready", async || agent.log().contains("ready")).await;
    // Another machine cannot take the name.
    let other = TestAgent::new("a1", &nats, WAITING);
    let (code, permissions, message) = enroll(&other);
    assert_eq!((code, permissions.as_str()), (Some(2), ""), "{message}");
    assert!(message.contains("a1"), "{message}");
    // A key that others can read is refused.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, message) = enroll(&agent);
    assert!(code == Some(2) && message.contains("chmod 600"), "{message}");
}
