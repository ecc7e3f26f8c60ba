//! The server's side as far as an agent sees it: creates the streams, publishes attempts, reads what comes back.

use crate::support::{
    agent::TestAgent,
    nats_server::NatsServer,
    wait::{PATIENCE, until},
};
use async_nats::{
    Client,
    jetstream::{self, Context, kv, stream::Stream},
};
use futures_util::StreamExt;
use scanwatch::wire::{
    self,
    attempt::AttemptMessage,
    heartbeat::Heartbeat,
    names::{AgentName, Label, Names, RepositoryKey},
    order::{Reason, RemoteOrder},
    requests::{CredentialsAnswer, CredentialsRequest},
    status::{self, Kind, ObjectRef, StatusHeader},
    streams,
};
use std::time::Duration;
use tokio::{io::AsyncReadExt, task::JoinHandle};

/// The seconds after which NATS delivers an attempt again.
pub(super) const ACK_WAIT: u64 = 3;

/// The server's side.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) client: Client,
    pub(super) names: Names,
    pub(super) jetstream: Context,
    pub(super) attempts: Stream,
    pub(super) status: kv::Store,
    pub(super) agents: kv::Store,
    pub(super) orders: kv::Store,
}

impl Control {
    /// Connects, and creates everything.
    pub(super) async fn open(nats: &NatsServer) -> Self {
        Self::with(async_nats::connect(nats.url()).await.unwrap()).await
    }

    pub(super) async fn with(client: Client) -> Self {
        let names = Names::new("scanwatch".parse().unwrap());
        let jetstream = jetstream::new(client.clone());
        let wait = Duration::from_secs(ACK_WAIT);
        let attempts = jetstream.create_stream(streams::attempts(&names, 1)).await.unwrap();
        for label in ["default", "dmz"] {
            let label: Label = label.parse().unwrap();
            // The server itself counts deliveries.
            let mut config = streams::consumer(&names, &label, wait, 5);
            config.max_deliver = -1;
            attempts.create_consumer(config).await.unwrap();
        }
        let status = jetstream.create_key_value(streams::status(&names, 1)).await.unwrap();
        let agents = jetstream.create_key_value(streams::agents(&names, 1, wait)).await.unwrap();
        let orders = jetstream.create_key_value(streams::orders(&names, 1)).await.unwrap();
        Self { client, names, jetstream, attempts, status, agents, orders }
    }

    /// Creates the bucket of an agent's results.
    pub(super) async fn enroll(&self, agent: &TestAgent) {
        let config = streams::results(&self.names, agent.name(), 1);
        self.jetstream.create_object_store(config).await.unwrap();
    }

    /// A message for the first repository of a new job.
    pub(super) fn message() -> AttemptMessage {
        AttemptMessage {
            repo_name: "name".to_owned(),
            git_url: "https://github.com/owner/name.git".to_owned(),
            ack_wait_secs: ACK_WAIT,
            ..AttemptMessage::default()
        }
    }

    pub(super) async fn publish(&self, message: &AttemptMessage) {
        self.publish_to(message, "default").await;
    }

    pub(super) async fn publish_to(&self, message: &AttemptMessage, label: &str) {
        let subject = self.names.attempts(&label.parse().unwrap());
        let bytes = wire::write(message).unwrap();
        self.jetstream.publish(subject, bytes.into()).await.unwrap().await.unwrap();
    }

    /// The status that an agent has stored of a repository.
    pub(super) async fn stored(
        &self,
        agent: &AgentName,
        key: &RepositoryKey,
    ) -> Option<(StatusHeader, String)> {
        let key = key.status_key(agent);
        let value = self.status.get(&key).await.unwrap()?;
        let status = status::decode(&key, &value).unwrap();
        Some((status.header, String::from_utf8_lossy(status.bytes).into_owned()))
    }

    /// Waits for a status with this attempt and kind that contains a text.
    pub(super) async fn sees(
        &self,
        agent: &TestAgent,
        key: &RepositoryKey,
        attempt: u64,
        kind: Kind,
        text: &str,
    ) -> (StatusHeader, String) {
        let what = format!("{kind:?} of attempt {attempt} with `{text}`");
        until(PATIENCE, &what, async || {
            let (header, bytes) = self.stored(agent.name(), key).await?;
            let fits = header.attempt == attempt && header.kind == kind && bytes.contains(text);
            fits.then_some((header, bytes))
        })
        .await
    }

    /// Waits for the final state of an attempt.
    pub(super) async fn finished(
        &self,
        agent: &TestAgent,
        key: &RepositoryKey,
        attempt: u64,
    ) -> (StatusHeader, String) {
        self.sees(agent, key, attempt, Kind::Final, "").await
    }

    /// Reads an object, and checks that it is what the reference names.
    pub(super) async fn object(&self, agent: &TestAgent, object: &ObjectRef) -> String {
        let bucket = self.names.results_bucket(agent.name());
        let store = self.jetstream.get_object_store(bucket).await.unwrap();
        let mut text = Vec::new();
        store.get(object.name.as_str()).await.unwrap().read_to_end(&mut text).await.unwrap();
        assert_eq!(text.len() as u64, object.size);
        let digest = ring::digest::digest(&ring::digest::SHA256, &text);
        let hex: String = digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
            use std::fmt::Write;
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        assert_eq!(hex, object.sha256);
        String::from_utf8(text).unwrap()
    }

    pub(super) async fn order(&self, key: &RepositoryKey, attempt: u64, reason: Reason) {
        let order = RemoteOrder::new(attempt, reason);
        self.orders.put(key.token(), wire::write(&order).unwrap().into()).await.unwrap();
    }

    /// The number of messages that are not acknowledged.
    pub(super) async fn waiting(&self) -> u64 {
        self.attempts.get_info().await.unwrap().state.messages
    }

    /// Waits until no message is left.
    pub(super) async fn acknowledged(&self) {
        until(PATIENCE, "the message is acknowledged", async || {
            (self.waiting().await == 0).then_some(())
        })
        .await;
    }

    pub(super) async fn heartbeat(&self, agent: &str) -> Option<Heartbeat> {
        let value = self.agents.get(agent).await.unwrap()?;
        Some(Heartbeat::read(agent, &value).unwrap())
    }

    /// Waits for a heartbeat of an agent.
    pub(super) async fn lives(&self, agent: &TestAgent) -> Heartbeat {
        until(PATIENCE, "a heartbeat", async || self.heartbeat(agent.name().as_str()).await).await
    }

    /// Answers requests for credentials.
    pub(super) async fn answer_credentials(
        &self,
        answer: impl Fn(&AgentName, CredentialsRequest) -> CredentialsAnswer + Send + 'static,
    ) -> JoinHandle<()> {
        let mut requests = self.client.subscribe(self.names.all_credentials()).await.unwrap();
        self.client.flush().await.unwrap();
        let (client, names) = (self.client.clone(), self.names.clone());
        #[expect(clippy::disallowed_methods, reason = "the test aborts it")]
        tokio::spawn(async move {
            while let Some(message) = requests.next().await {
                let agent = names.agent_of_credentials(&message.subject).unwrap();
                let answer = answer(&agent, wire::read(&message.payload).unwrap());
                let bytes = wire::write(&answer).unwrap();
                client.publish(message.reply.unwrap(), bytes.into()).await.unwrap();
            }
        })
    }
}
