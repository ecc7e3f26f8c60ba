//! What NATS itself refuses to an agent, by the permissions that `scanwatch agent permissions` prints.

use super::{control::Control, secrets::sealed_to};
use crate::support::{
    agent::{TestAgent, WAITING},
    files,
    nats_server::NatsServer,
    wait::{PATIENCE, until},
};
use async_nats::{ConnectOptions, Event};
use futures_util::StreamExt;
use nkeys::KeyPair;
use scanwatch::wire::{self, requests::LogRequest, status::Kind};
use serde_json::json;
use std::{
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A NATS with a user for the server and one for each of two agents.
struct Confined {
    nats: NatsServer,
    control: Control,
    first: TestAgent,
    second: TestAgent,
    /// The seed of the first agent's NATS user.
    seed: String,
}

async fn confined(script: &str) -> Confined {
    let mut nats = NatsServer::start();
    let server = KeyPair::new_user();
    let users = [KeyPair::new_user(), KeyPair::new_user()];
    let mut agents = Vec::new();
    let mut entries = format!("{{ nkey: {} }}\n", server.public_key());
    for (name, user) in ["a1", "a2"].into_iter().zip(&users) {
        let agent = TestAgent::new(name, &nats, script);
        let file = agent.folder().join("nats.seed");
        files::write(&file, user.seed().unwrap());
        let agent = agent.set("agent.credentials_file", json!(file));
        let printed = agent.run(&["permissions"]);
        assert!(printed.status.success(), "{printed:?}");
        let permissions = String::from_utf8(printed.stdout).unwrap();
        writeln!(entries, "{{ nkey: {}\n{permissions} }}", user.public_key()).unwrap();
        agents.push(agent);
    }
    nats.kill();
    nats.configure(&format!(
        "jetstream {{ store_dir: \"STORE\" }}\nauthorization {{ users: [\n{entries}] }}\n"
    ));
    nats.restart();
    let client = ConnectOptions::with_nkey(server.seed().unwrap()).connect(nats.url()).await;
    let control = Control::with(client.unwrap()).await;
    for agent in &agents {
        control.enroll(agent).await;
    }
    let second = agents.pop().unwrap();
    let first = agents.pop().unwrap();
    Confined { nats, control, first, second, seed: users[0].seed().unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_with_the_permissions_that_it_prints() {
    let Confined { nats: _nats, control, mut first, mut second, .. } = confined(WAITING).await;
    let _answering = control.answer_credentials(sealed_to(first.key())).await;
    first.start();
    let mut message = Control::message();
    message.needs_credentials = true;
    control.publish(&message).await;
    control.sees(&first, &message.key, 1, Kind::Running, "scanning").await;
    let request =
        LogRequest { schema: 1, key: message.key.clone(), attempt: 1, offset: 0, limit: 100 };
    let subject = control.names.logs(first.name());
    let request = wire::write(&request).unwrap();
    let answer = control.client.request(subject, request.into()).await.unwrap();
    assert!(!answer.payload.is_empty());
    // The other one takes over, which needs what is stored of the first.
    second.start();
    control.lives(&second).await;
    first.kill();
    let running = until(PATIENCE, "the second attempt", async || {
        let (header, _) = control.stored(second.name(), &message.key).await?;
        (header.attempt == 2).then_some(())
    });
    // Its credentials are sealed to the first one's key, so it cannot open them and hands the repository back.
    running.await;
    let mut other = Control::message();
    other.first_attempt = 4;
    second.release();
    control.publish(&other).await;
    let (header, _) = control.finished(&second, &other.key, 4).await;
    assert!(header.result.is_some() && header.log.is_some());
    let log = second.log();
    assert!(!log.contains("ermissions Violation"), "{log}");
    assert!(!first.log().contains("ermissions Violation"), "{}", first.log());
}

/// Breaks if an agent can act in the name of another one.
#[tokio::test(flavor = "multi_thread")]
async fn nats_refuses_what_belongs_to_others() {
    let Confined { nats, control, first, second, seed } = confined(WAITING).await;
    let violations = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&violations);
    let client = ConnectOptions::with_nkey(seed)
        .custom_inbox_prefix(control.names.inbox_prefix(first.name()))
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                noted.lock().unwrap().push(error.to_string().to_lowercase());
            }
            std::future::ready(())
        })
        .connect(nats.url())
        .await
        .unwrap();
    let names = &control.names;
    let (own, other) = (first.name().as_str(), second.name().as_str());
    let stream = names.attempts_stream();
    let refused = async |subject: &str| {
        violations.lock().unwrap().clear();
        client.publish(subject.to_owned(), "{}".into()).await.unwrap();
        client.flush().await.unwrap();
        let wanted = format!("publish to \"{}\"", subject.to_lowercase());
        let found = async || violations.lock().unwrap().iter().any(|text| text.contains(&wanted));
        for _ in 0..100 {
            if found().await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    };
    for subject in [
        format!("$KV.scanwatch_status.{other}.job.0"),
        format!("$KV.scanwatch_agents.{other}"),
        "$KV.scanwatch_orders.job.0".to_owned(),
        format!("$O.scanwatch_results_{other}.C.x"),
        format!("$O.scanwatch_results_{other}.M.x"),
        format!("scanwatch.credentials.{other}"),
        format!("scanwatch.logs.{other}"),
        "scanwatch.attempts.default".to_owned(),
        // A label that it does not have.
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.agents_dmz"),
        format!("$JS.ACK.{stream}.agents_dmz.1.1.1.1.0"),
        // A consumer delivers to any subject, in the name of NATS.
        "$JS.API.CONSUMER.CREATE.KV_scanwatch_status".to_owned(),
        "$JS.API.CONSUMER.CREATE.KV_scanwatch_status.x.y".to_owned(),
        "$JS.API.CONSUMER.DURABLE.CREATE.KV_scanwatch_status.x".to_owned(),
        format!("$JS.API.CONSUMER.DELETE.{stream}.agents_default"),
        format!("$JS.API.STREAM.PURGE.{stream}"),
        format!("$JS.API.STREAM.PURGE.OBJ_scanwatch_results_{other}"),
        format!("$JS.API.STREAM.DELETE.{stream}"),
        "$JS.API.STREAM.CREATE.X".to_owned(),
        format!("$JS.API.STREAM.MSG.GET.{stream}"),
        format!("$JS.API.DIRECT.GET.{stream}"),
        format!("$JS.API.DIRECT.GET.OBJ_scanwatch_results_{other}.$O.x"),
        format!("{}.x", names.inbox_prefix(second.name())),
    ] {
        assert!(refused(&subject).await, "NATS lets {own} publish to {subject}");
    }
    // The control: what is its own is not refused.
    for subject in [format!("$KV.scanwatch_agents.{own}"), format!("scanwatch.credentials.{own}")] {
        assert!(!refused(&subject).await, "NATS refuses {subject} to {own}");
    }
    for subject in [
        format!("{}.>", names.inbox_prefix(second.name())),
        names.logs(second.name()),
        "scanwatch.credentials.*".to_owned(),
        "$KV.scanwatch_status.>".to_owned(),
        "scanwatch.attempts.>".to_owned(),
        ">".to_owned(),
    ] {
        violations.lock().unwrap().clear();
        let mut messages = client.subscribe(subject.clone()).await.unwrap();
        client.flush().await.unwrap();
        let mut is_refused = false;
        for _ in 0..100 {
            is_refused |=
                violations.lock().unwrap().iter().any(|text| text.contains("subscription to"));
            if is_refused {
                break;
            }
            let _ = tokio::time::timeout(Duration::from_millis(5), messages.next()).await;
        }
        assert!(is_refused, "NATS lets {own} subscribe to {subject}");
    }
}
