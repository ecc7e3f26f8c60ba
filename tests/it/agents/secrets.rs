//! Credentials of repositories: sealed, in memory, and only for enrolled agents.

use super::control::Control;
use crate::support::{
    agent::TestAgent,
    files,
    nats_server::NatsServer,
    wait::{PATIENCE, eventually, within},
};
use scanwatch::{
    model::credentials::Credentials,
    wire::{
        requests::{CredentialsAnswer, Refusal, SealedCredentials},
        seal::AgentKey,
        status::Kind,
    },
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const CANARY: &str = "canary-9f3b2c";

/// Notes whether the password arrived, and not the password.
const NOTING: &str = r#"
case "$task" in *canary-9f3b2c*) echo arrived >> "$dir/arrived" ;; *) echo missing >> "$dir/arrived" ;; esac
echo "the scanner prints its password: canary-9f3b2c"
say scanning '"message": "canary-9f3b2c"'
while [ ! -e "$dir/go" ]; do sleep 0.02; done
say completed
"#;

pub(super) fn sealed_to(
    key: &scanwatch::wire::seal::PublicKey,
) -> impl Fn(
    &scanwatch::wire::names::AgentName,
    scanwatch::wire::requests::CredentialsRequest,
) -> CredentialsAnswer
+ Send
+ 'static {
    let key = key.clone();
    move |_, request| {
        let plain = SealedCredentials {
            key: request.key,
            attempt: request.attempt,
            credentials: Some(Credentials {
                username: "user".to_owned(),
                password: CANARY.to_owned(),
                on_request: false,
            }),
        };
        CredentialsAnswer::Sealed(key.seal(&plain).unwrap())
    }
}

/// The files below a folder that contain the password.
fn leaks(folder: &Path) -> Vec<std::path::PathBuf> {
    let contains = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
    };
    files::below(folder).into_iter().filter(contains).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_reach_the_scanner_and_no_file_stream_bucket_or_log() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut agent = TestAgent::new("a1", &nats, NOTING);
    // The script names the canary itself.
    control.enroll(&agent).await;
    agent.start();
    let mut message = Control::message();
    message.needs_credentials = true;
    control.publish(&message).await;
    // While the server is away, the attempt waits with its lease.
    control.sees(&agent, &message.key, 1, Kind::Began, "").await;
    eventually("the cause is logged", async || {
        agent.log().contains("does not answer a request for credentials")
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    // The first answer is for another attempt: it is not used.
    let (answer, is_first) = (sealed_to(agent.key()), AtomicBool::new(true));
    let key = agent.key().clone();
    let answering = control
        .answer_credentials(move |agent, request| {
            if is_first.swap(false, Ordering::Relaxed) {
                let (attempt, repository) = (request.attempt + 1, request.key);
                let other = SealedCredentials { key: repository, attempt, credentials: None };
                CredentialsAnswer::Sealed(key.seal(&other).unwrap())
            } else {
                answer(agent, request)
            }
        })
        .await;
    within(PATIENCE, "the scanner runs", async || !agent.runs().is_empty()).await;
    eventually("it has noted", async || agent.folder().join("arrived").exists()).await;
    // What the scanner itself writes is its own business: its scratch folder, its status file.
    let is_own = |path: &std::path::PathBuf| {
        path.ends_with("repo_0.json") || path.to_string_lossy().contains("/scratch-")
    };
    let work: Vec<_> = leaks(&agent.work()).into_iter().filter(|path| !is_own(path)).collect();
    assert!(work.is_empty(), "{work:?}");
    agent.release();
    let (header, status) = control.finished(&agent, &message.key, 1).await;
    let log = control.object(&agent, header.log.as_ref().unwrap()).await;
    assert!(log.contains("prints its password") && !log.contains(CANARY), "{log}");
    assert!(!status.contains(CANARY), "{status}");
    assert_eq!(files::text(&agent.folder().join("arrived")), "arrived\n");
    answering.abort();
    drop(control);
    let leaked: Vec<_> = leaks(nats.folder())
        .into_iter()
        .chain(leaks(agent.folder()))
        .filter(|path| !path.ends_with("scanner.sh"))
        .collect();
    assert!(leaked.is_empty(), "{leaked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_enrolled_hands_private_repositories_back() {
    let nats = NatsServer::start();
    let control = Control::open(&nats).await;
    let mut agent = TestAgent::new("a1", &nats, NOTING);
    agent.release();
    control.enroll(&agent).await;
    agent.start();
    let is_enrolled = Arc::new(AtomicBool::new(false));
    let (known, key) = (Arc::clone(&is_enrolled), agent.key().clone());
    let foreign = AgentKey::generate().public();
    let _answering = control
        .answer_credentials(move |agent, request| {
            match (known.load(Ordering::Relaxed), request.attempt) {
                (true, _) => sealed_to(&key)(agent, request),
                // Sealed to a key that this agent does not have.
                (false, 1) => sealed_to(&foreign)(agent, request),
                (false, _) => CredentialsAnswer::Refused {
                    reason: Refusal::NotEnrolled,
                    message: "not enrolled".to_owned(),
                },
            }
        })
        .await;
    let mut message = Control::message();
    message.needs_credentials = true;
    control.publish(&message).await;
    eventually("it is refused", async || {
        agent.log().contains("the server gives no credentials to this agent")
    })
    .await;
    assert!(agent.log().contains("cannot open the credentials"), "{}", agent.log());
    assert_eq!((agent.runs().len(), control.waiting().await), (0, 1));
    is_enrolled.store(true, Ordering::Relaxed);
    control.acknowledged().await;
    assert_eq!(files::text(&agent.folder().join("arrived")), "arrived\n");
}
