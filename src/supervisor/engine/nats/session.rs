//! One connection to NATS: the streams and buckets that the server uses, and the operations on them.
//!
//! Input: a connection. Output: what is stored in NATS.
//!
//! Invariants: every stream and bucket exists before anything is published; each operation ends within the timeout of
//! requests; nothing is deleted whose content is not durable here.

mod upkeep;

use super::{
    bucket::Bucket,
    error::{NatsError, at},
};
use crate::{
    config::EngineConfig,
    wire::{
        self,
        attempt::AttemptMessage,
        connection::Connection,
        names::{AgentName, Label, Names, RepositoryKey},
        order::RemoteOrder,
        requests::{LogPiece, LogRequest},
        status::{ObjectRef, StatusHeader},
        streams,
    },
};
use async_nats::{
    Client, HeaderMap, Subscriber,
    header::NATS_MESSAGE_ID,
    jetstream::{
        self, Context,
        kv::{Operation, Store, Watch},
        stream::{LastRawMessageErrorKind, Stream},
    },
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a request to `JetStream` may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that can be used.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) names: Names,
    pub(super) client: Client,
    context: Context,
    stream: Stream,
    pub(super) status: Store,
    pub(super) agents: Store,
    orders: Store,
    labels: Vec<Label>,
    replicas: usize,
    /// When it was established.
    pub(super) since: Instant,
    /// The messages of attempts that were stored then, by repository.
    pub(super) messages: Arc<HashMap<RepositoryKey, StoredMessage>>,
}

/// A message of the stream of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredMessage {
    pub(super) sequence: u64,
    pub(super) first_attempt: u64,
}

impl Session {
    /// Creates or updates the streams, consumers and buckets.
    pub(super) async fn open(
        connection: &Connection,
        names: &Names,
        engine: &EngineConfig,
    ) -> Result<Self, NatsError> {
        let client = connection.client.clone();
        let mut context = jetstream::new(client.clone());
        context.set_timeout(TIMEOUT);
        let replicas = engine.replicas;
        let name = names.attempts_stream();
        let action = || format!("create the stream {name}");
        context
            .create_or_update_stream(streams::attempts(names, replicas))
            .await
            .map_err(at(action()))?;
        let stream = context.get_stream(&name).await.map_err(at(action()))?;
        let labels: Vec<Label> = engine.all_labels().flat_map(str::parse).collect();
        for label in &labels {
            // The server bounds the deliveries: NATS would keep a message silently that it delivers no more.
            let mut config = streams::consumer(names, label, engine.ack_wait, u64::MAX);
            // NATS refuses to change this in a consumer that exists.
            if let Ok(known) = stream.consumer_info(names.consumer(label)).await {
                config.max_waiting = known.config.max_waiting;
            }
            let action = format!("create the consumer {}", names.consumer(label));
            stream.create_consumer(config).await.map_err(at(action))?;
        }
        let bucket = async |config: jetstream::kv::Config| {
            let action = format!("create the bucket {}", config.bucket);
            context.create_or_update_key_value(config).await.map_err(at(action))
        };
        let status = bucket(streams::status(names, replicas)).await?;
        let agents = bucket(streams::agents(names, replicas, engine.ack_wait)).await?;
        let orders = bucket(streams::orders(names, replicas)).await?;
        let mut session = Self {
            names: names.clone(),
            client,
            context,
            stream,
            status,
            agents,
            orders,
            labels,
            replicas,
            since: Instant::now(),
            messages: Arc::default(),
        };
        session.messages = Arc::new(session.stored_messages().await?);
        Ok(session)
    }

    /// The messages of the stream. If there are two of one repository, the one of later attempts stays.
    async fn stored_messages(&self) -> Result<HashMap<RepositoryKey, StoredMessage>, NatsError> {
        let mut messages: HashMap<RepositoryKey, StoredMessage> = HashMap::new();
        let mut next = 1;
        loop {
            let read = self.stream.raw_message_builder().sequence(next);
            let message = match read.next_by_subject(self.names.all_attempts()).send().await {
                Ok(message) => message,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => break,
                Err(error) => return Err(at("read the stream of attempts")(error)),
            };
            next = message.sequence + 1;
            let superfluous = match AttemptMessage::read(&message.payload) {
                Ok(read) => {
                    let first_attempt = read.first_attempt;
                    let found = StoredMessage { sequence: message.sequence, first_attempt };
                    let known = messages.get(&read.key).copied();
                    // A copy of a message is not the one that an agent may hold.
                    if known.is_some_and(|known| known.first_attempt >= first_attempt) {
                        Some((read.key, found))
                    } else {
                        let older = messages.insert(read.key.clone(), found);
                        older.map(|older| (read.key, older))
                    }
                }
                Err(error) => {
                    tracing::warn!(sequence = message.sequence, %error, "a message of the stream of attempts is not usable; it is removed");
                    self.delete(message.sequence).await?;
                    None
                }
            };
            if let Some((key, message)) = superfluous {
                self.remove_message(&key, &message).await?;
            }
        }
        Ok(messages)
    }

    /// Publishes an attempt.
    pub(super) async fn publish(
        &self,
        label: &Label,
        message: &AttemptMessage,
    ) -> Result<StoredMessage, NatsError> {
        let action = || format!("publish the attempt {}", message.key);
        let bytes = wire::write(message).map_err(at(action()))?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, message.key.message_id(message.first_attempt));
        let subject = self.names.attempts(label);
        let sent = self.context.publish_with_headers(subject, headers, bytes.into()).await;
        let stored = sent.map_err(at(action()))?.await.map_err(at(action()))?;
        Ok(StoredMessage { sequence: stored.sequence, first_attempt: message.first_attempt })
    }

    /// Whether a message is still in the stream. In a stream that was created again, its number may be that of another
    /// repository's message.
    pub(super) async fn has_message(
        &self,
        key: &RepositoryKey,
        message: &StoredMessage,
    ) -> Result<bool, NatsError> {
        match self.stream.get_raw_message(message.sequence).await {
            Ok(stored) => Ok(AttemptMessage::read(&stored.payload).is_ok_and(|stored| {
                stored.key == *key && stored.first_attempt == message.first_attempt
            })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
            Err(error) => Err(at("look up a message")(error)),
        }
    }

    /// Removes a message from the stream, if it is there: it is delivered no more.
    pub(super) async fn remove_message(
        &self,
        key: &RepositoryKey,
        message: &StoredMessage,
    ) -> Result<(), NatsError> {
        if !self.has_message(key, message).await? {
            return Ok(());
        }
        match self.delete(message.sequence).await {
            // Whoever acknowledged it has removed it.
            Err(_) if !self.has_message(key, message).await? => Ok(()),
            removed => removed,
        }
    }

    async fn delete(&self, sequence: u64) -> Result<(), NatsError> {
        self.stream.delete_message(sequence).await.map(drop).map_err(at("remove a message"))
    }

    /// The statuses of a repository that are stored, of all agents, as key, value and revision.
    pub(super) async fn statuses_of(
        &self,
        key: &RepositoryKey,
    ) -> Result<Vec<(String, Bytes, u64)>, NatsError> {
        let prefix = &self.status.prefix;
        let pattern = format!("{prefix}*.{}", key.token());
        let (mut found, mut next) = (Vec::new(), 1);
        loop {
            let read = self.status.stream.raw_message_builder().sequence(next);
            let message = match read.next_by_subject(pattern.clone()).send().await {
                Ok(message) => message,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => break,
                Err(error) => return Err(at("read the statuses of a repository")(error)),
            };
            next = message.sequence + 1;
            if let Some(name) = message.subject.strip_prefix(prefix.as_str()) {
                found.push((name.to_owned(), message.payload, message.sequence));
            }
        }
        Ok(found)
    }

    /// Gives an order to the agents that hold an attempt of the repository.
    pub(super) async fn order(
        &self,
        key: &RepositoryKey,
        order: RemoteOrder,
    ) -> Result<(), NatsError> {
        let action = || format!("order the agents of {key}");
        let bytes = wire::write(&order).map_err(at(action()))?;
        self.orders.put(key.token(), bytes.into()).await.map_err(at(action()))?;
        Ok(())
    }

    /// Removes the order for a repository.
    pub(super) async fn remove_order(&self, token: &str) -> Result<(), NatsError> {
        let subject = format!("{}{token}", self.orders.prefix);
        let purged = self.orders.stream.purge().filter(subject).await;
        purged.map(drop).map_err(at("remove an order"))
    }

    /// Removes the marker of a deleted status.
    pub(super) async fn remove_marker(&self, key: &str, revision: u64) -> Result<(), NatsError> {
        remove_key(&self.status, key, revision).await
    }

    /// The keys of all orders.
    pub(super) async fn orders(&self) -> Result<Vec<String>, NatsError> {
        use futures_util::TryStreamExt;
        let keys = self.orders.keys().await.map_err(at("list the orders"))?;
        keys.try_collect().await.map_err(at("list the orders"))
    }

    /// All values of a bucket, and all changes from then on.
    pub(super) async fn watch(&self, bucket: &Store) -> Result<Watch, NatsError> {
        bucket
            .watch_with_history(">")
            .await
            .map_err(at(format!("watch the bucket {}", bucket.name)))
    }

    /// The requests of agents for credentials.
    pub(super) async fn credentials_requests(&self) -> Result<Subscriber, NatsError> {
        let subject = self.names.all_credentials();
        self.client.subscribe(subject).await.map_err(at("subscribe to requests for credentials"))
    }

    /// The value of a status, and its revision.
    pub(super) async fn read_status(&self, key: &str) -> Result<Option<(Bytes, u64)>, NatsError> {
        let entry = self.status.entry(key).await.map_err(at("read a status"))?;
        let entry = entry.filter(|entry| entry.operation == Operation::Put);
        Ok(entry.map(|entry| (entry.value, entry.revision)))
    }

    /// The bucket of an agent's results.
    pub(super) async fn results(&self, agent: &AgentName) -> Result<Bucket, NatsError> {
        let name = self.names.results_bucket(agent);
        // Without a request: each operation finds out by itself whether it exists.
        let stream = self.context.get_stream_no_info(format!("OBJ_{name}")).await;
        Ok(Bucket::new(name.clone(), stream.map_err(at(format!("open the bucket {name}")))?))
    }

    /// Removes a status of an agent up to this revision, and the objects that it names.
    pub(super) async fn remove_status(
        &self,
        key: &RepositoryKey,
        (header, revision): (&StatusHeader, u64),
    ) -> Result<(), NatsError> {
        // The objects first: without the status nobody would find them.
        let remove = |object: &ObjectRef| self.remove_object(&header.agent, object.name.clone());
        try_join_all(header.objects().map(remove).collect::<Vec<_>>()).await?;
        remove_key(&self.status, &key.status_key(&header.agent), revision).await
    }

    /// Removes an object of an agent, if there is one.
    async fn remove_object(&self, agent: &AgentName, name: String) -> Result<(), NatsError> {
        let bucket = self.results(agent).await?;
        let removed = bucket.remove(&name).await;
        if removed.is_err() {
            // The bucket of an agent that is no longer enrolled may be gone.
            let stream = format!("OBJ_{}", self.names.results_bucket(agent));
            if let Err(error) = self.context.get_stream(&stream).await
                && upkeep::is_missing(&error)
            {
                return Ok(());
            }
        }
        removed
    }

    /// Requests a piece of the log of a running attempt.
    pub(super) async fn log_piece(
        &self,
        agent: &AgentName,
        request: &LogRequest,
    ) -> Result<(LogPiece, Vec<u8>), NatsError> {
        let action = || format!("read the log of {} from the agent {agent}", request.key);
        let bytes = wire::write(request).map_err(at(action()))?;
        let answer = self.client.request(self.names.logs(agent), bytes.into()).await;
        let answer = answer.map_err(at(action()))?;
        let (piece, bytes) = LogPiece::decode(&answer.payload).map_err(at(action()))?;
        Ok((piece, bytes.to_vec()))
    }
}

/// Removes a key without a trace: the client would leave a marker for each, which every later watch reads.
/// What was stored after the revision stays: the agent may have begun the next attempt of the repository.
async fn remove_key(bucket: &Store, key: &str, revision: u64) -> Result<(), NatsError> {
    let purge = bucket.stream.purge().filter(format!("{}{key}", bucket.prefix));
    let purged = purge.sequence(revision.saturating_add(1)).await;
    purged.map(drop).map_err(at(format!("remove the key {key}")))
}
