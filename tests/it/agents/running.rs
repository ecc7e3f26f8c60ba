//! An attempt from its message to its acknowledgement.

use super::control::Control;
use crate::support::{
    agent::{TestAgent, WAITING},
    files,
    nats_server::NatsServer,
    wait::{PATIENCE, eventually, within},
};
use scanwatch::{
    model::origin::Origin,
    wire::{
        attempt::NetworkBounds,
        order::Reason,
        requests::{LogPiece, LogRequest},
        status::Kind,
    },
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_mirrored_delivered_and_acknowledged() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut agent = TestAgent::new("a1", &nats, WAITING);
    control.enroll(&agent).await;
    agent.start();
    let message = Control::message();
    control.publish(&message).await;
    let key = &message.key;

    let (header, _) = control.sees(&agent, key, 1, Kind::Running, "\"scanning\"").await;
    assert_eq!((header.delivery, header.kind), (1, Kind::Running));
    let heartbeat = control.lives(&agent).await;
    assert!(heartbeat.holds(key, 1), "{heartbeat:?}");
    assert_eq!((heartbeat.slots, heartbeat.public_key.as_str()), (1, agent.key().as_str()));
    // The log so far, by request.
    let request = LogRequest { schema: 1, key: key.clone(), attempt: 1, offset: 0, limit: 1 << 20 };
    let piece = async |request: &LogRequest| {
        let bytes = scanwatch::wire::write(request).unwrap();
        let subject = control.names.logs(agent.name());
        let answer = control.client.request(subject, bytes.into()).await.unwrap();
        let (piece, bytes) = LogPiece::decode(&answer.payload).unwrap();
        (piece, String::from_utf8_lossy(bytes).into_owned())
    };
    let (header, text) = piece(&request).await;
    assert!(header.found && text.contains("working on name"), "{text}");
    let (later, rest) = piece(&LogRequest { offset: 4, ..request.clone() }).await;
    assert_eq!((later.offset, text.get(4..).unwrap()), (4, rest.as_str()));
    assert!(!piece(&LogRequest { attempt: 2, ..request }).await.0.found);
    // It holds its message for longer than NATS waits without a sign of life.
    tokio::time::sleep(Duration::from_secs(super::control::ACK_WAIT + 1)).await;
    assert_eq!((control.waiting().await, agent.runs().as_slice()), (1, &["0/1".to_owned()][..]));
    agent.release();

    let (header, status) = control.finished(&agent, key, 1).await;
    assert!(status.contains("\"completed\"") && header.exit_code == Some(0), "{header:?} {status}");
    assert_eq!((header.ordered, header.killed), (None, None));
    let result = control.object(&agent, header.result.as_ref().unwrap()).await;
    assert_eq!(serde_json::from_str::<Value>(&result).unwrap()["packages"], json!([]));
    let log = control.object(&agent, header.log.as_ref().unwrap()).await;
    assert!(log.contains("working on name"), "{log}");
    control.acknowledged().await;
    assert_eq!(agent.runs(), ["0/1"]);
    eventually("nothing of the job is left", async || {
        !agent.work().join(key.job.as_str()).exists() && agent.scans().is_empty()
    })
    .await;
}

/// Breaks if a message can make an agent contact what its own settings do not allow, or exceed its limits.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_only_narrows_what_the_agent_allows() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let script = "printf '%s' \"$task\" > \"$dir/task.json\"\nsay completed\n";
    let mut agent = TestAgent::new("a1", &nats, script)
        .set("network.allow_hosts", json!(["*.example.com"]))
        .set("network.allow_nets", json!(["10.0.0.0/8"]))
        .set("limits.max_packages", 50)
        .set("scanner.subprocess_timeout_secs", 100);
    control.enroll(&agent).await;
    agent.start();
    let mut message = Control::message();
    message.network = NetworkBounds {
        allow_hosts: vec!["git.example.com".to_owned(), "evil.example".to_owned()],
        allow_nets: vec!["0.0.0.0/0".parse().unwrap()],
        allow_ports: vec![443, 22],
        trusted: vec![Origin { scheme: "http".to_owned(), host: "metadata".to_owned(), port: 80 }],
    };
    message.limits = [("max_packages", 1000), ("max_tree_depth", 3)]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    message.deep = true;
    message.exclude_paths = vec!["vendor".to_owned()];
    control.publish(&message).await;
    control.finished(&agent, &message.key, 1).await;
    let task = files::json(&agent.folder().join("task.json")).unwrap();
    let network = &task["network"];
    assert_eq!(network["allow_hosts"], json!(["git.example.com"]));
    assert_eq!(network["allow_nets"], json!(["10.0.0.0/8"]));
    assert_eq!((&network["allow_ports"], &network["trusted"]), (&json!([443]), &json!([])));
    let limits = &task["limits"];
    assert_eq!((&limits["max_packages"], &limits["max_tree_depth"]), (&json!(50), &json!(3)));
    assert_eq!((&task["deep"], &task["exclude_paths"]), (&json!(true), &json!(["vendor"])));
    assert_eq!(task["credentials"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_ends_the_scan_that_it_is_for() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut agent = TestAgent::new("a1", &nats, WAITING);
    control.enroll(&agent).await;
    agent.start();
    for (reason, word) in [
        (Reason::Cancel, "\"cancelled\""),
        (Reason::Yield, "\"interrupted\""),
        (Reason::Stop, "\"interrupted\""),
    ] {
        let mut message = Control::message();
        message.first_attempt = 7;
        control.publish(&message).await;
        control.sees(&agent, &message.key, 7, Kind::Running, "scanning").await;
        // An order for an earlier attempt changes nothing.
        control.order(&message.key, 6, Reason::Cancel).await;
        control.order(&message.key, 7, reason).await;
        let (header, status) = control.finished(&agent, &message.key, 7).await;
        assert_eq!((header.ordered, header.exit_code), (Some(reason), Some(0)), "{status}");
        assert!(status.contains(word), "{reason:?}: {status}");
        control.acknowledged().await;
    }
    // An attempt that no longer counts leaves nothing.
    let message = Control::message();
    control.publish(&message).await;
    control.sees(&agent, &message.key, 1, Kind::Running, "scanning").await;
    control.order(&message.key, 1, Reason::End).await;
    control.acknowledged().await;
    eventually("its status is removed", async || {
        control.stored(agent.name(), &message.key).await.is_none() && agent.scans().is_empty()
    })
    .await;
    // An order that was there before the attempt counts, too.
    let message = Control::message();
    control.order(&message.key, 1, Reason::End).await;
    control.publish(&message).await;
    control.acknowledged().await;
    assert_eq!(agent.runs().len(), 4);
    // A cancelled one still gets its final state from the shim.
    let message = Control::message();
    control.order(&message.key, 1, Reason::Cancel).await;
    control.publish(&message).await;
    let (header, status) = control.finished(&agent, &message.key, 1).await;
    assert!(status.contains("\"cancelled\""), "{header:?} {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_only_what_has_its_labels_and_as_many_as_it_has_slots() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut agent = TestAgent::new("a1", &nats, WAITING).set("agent.labels", json!(["dmz"]));
    let mut both =
        TestAgent::new("a2", &nats, WAITING).set("agent.labels", json!(["default", "dmz"]));
    control.enroll(&agent).await;
    control.enroll(&both).await;
    agent.start();
    control.publish(&Control::message()).await;
    for _ in 0..3 {
        control.publish_to(&Control::message(), "dmz").await;
    }
    within(PATIENCE, "one scan", async || agent.runs().len() == 1).await;
    both.start();
    within(PATIENCE, "one scan of the other agent", async || both.runs().len() == 1).await;
    agent.release();
    both.release();
    control.acknowledged().await;
    assert_eq!(agent.runs().len() + both.runs().len(), 4);
}

/// An answer of a NATS server of another version.
fn old_nats(version: &str) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let info = json!({
        "server_id": "X", "server_name": "X", "version": version, "host": "127.0.0.1", "port": port,
        "max_payload": 1 << 20, "proto": 1, "headers": true, "go": "go1.20",
    });
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        write!(stream, "INFO {info}\r\n").unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            if line.starts_with("PING") && stream.write_all(b"PONG\r\n").is_err() {
                return;
            }
        }
    });
    (port, serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_that_cannot_be_used_ends_the_start_with_its_cause() {
    let plain = NatsServer::with_config("");
    let (port, serving) = old_nats("2.9.25");
    for (url, cause) in [
        (plain.url(), "has no JetStream"),
        (format!("nats://127.0.0.1:{port}"), "has version 2.9.25; 2.10 or newer is required"),
    ] {
        let mut agent = TestAgent::new("a1", &plain, WAITING).set("agent.nats", json!([url]));
        agent.start();
        assert_eq!(agent.ended(PATIENCE).await, Some(2));
        assert!(agent.log().contains(cause), "{}", agent.log());
    }
    serving.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_waits_for_nats_and_for_the_server_and_names_the_cause() {
    let mut nats = NatsServer::start();
    nats.kill();
    let mut agent = TestAgent::new("a1", &nats, WAITING);
    agent.release();
    agent.start();
    eventually("NATS is missing", async || agent.log().contains("NATS cannot be reached")).await;
    nats.restart();
    eventually("the server is missing", async || {
        agent.log().contains("the server has not prepared NATS for this agent")
    })
    .await;
    let control = Control::open(&nats).await;
    control.enroll(&agent).await;
    let message = Control::message();
    control.publish(&message).await;
    control.finished(&agent, &message.key, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_setting_ends_the_start() {
    let nats = NatsServer::start();
    let agent = |key: &str, value: Value| TestAgent::new("a1", &nats, WAITING).set(key, value);
    let nowhere = json!("/nonexistent/key");
    for (mut agent, cause) in [
        (agent("agent.name", json!("a b")), "agent.name"),
        (agent("agent.labels", json!([])), "agent.labels"),
        (agent("agent.nats", json!(["nats://user:canary@h"])), "credentials_file"),
        (agent("agent.nats", json!([])), "agent.nats"),
        (agent("agent.key_file", nowhere.clone()), "scanwatch agent enroll"),
        (agent("agent.credentials_file", nowhere), "/nonexistent/key"),
    ] {
        let begin = Instant::now();
        agent.start();
        assert_eq!(agent.ended(PATIENCE).await, Some(2), "{cause}");
        let log = agent.log();
        assert!(log.contains(cause) && !log.contains("canary"), "{cause}: {log}");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
    // One folder belongs to one agent.
    let mut first = TestAgent::new("a1", &nats, WAITING);
    first.start();
    eventually("it has its folder", async || first.work().join(".lock").exists()).await;
    let mut second = TestAgent::new("a2", &nats, WAITING).set("agent.dir", json!(first.work()));
    second.start();
    assert_eq!(second.ended(PATIENCE).await, Some(3), "{}", second.log());
}
