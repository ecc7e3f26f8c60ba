//! What an agent reads and stores in NATS.
//!
//! Input: names, values. Output: the same in the buckets, and acknowledgements. Invariants: every write and every
//! acknowledgement is confirmed by NATS, or is an error.

use crate::{
    model::digest::hexadecimal,
    wire::{
        connection::Connection,
        heartbeat::Heartbeat,
        names::{AgentName, Label, Names, RepositoryKey},
        order::RemoteOrder,
        status::{self, ObjectRef, StatusHeader},
    },
};
use async_nats::{
    HeaderMap,
    jetstream::{
        self, AckKind, Context, consumer::PullConsumer, kv, object_store::ObjectStore,
        stream::DirectGetErrorKind,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use std::{fmt, path::Path, time::Duration};

/// How long a write or an acknowledgement waits for its confirmation.
const TIMEOUT: Duration = Duration::from_secs(5);

/// At most this many statuses of one repository are read: one per agent that has held it.
const MOST_HOLDERS: usize = 10_000;

/// A request to NATS that failed.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {cause}")]
pub(super) struct BusError {
    action: &'static str,
    cause: String,
}

impl BusError {
    fn at<E: fmt::Display>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self { action, cause: error.to_string() }
    }
}

/// The streams and buckets of a namespace.
#[derive(Clone)]
pub(super) struct Bus {
    pub(super) connection: Connection,
    pub(super) names: Names,
    pub(super) agent: AgentName,
    pub(super) consumers: Vec<PullConsumer>,
    status: kv::Store,
    agents: kv::Store,
    orders: kv::Store,
    results: ObjectStore,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bus({})", self.agent)
    }
}

/// The status of a repository that an agent has stored.
pub(super) struct Stored {
    pub(super) agent: AgentName,
    pub(super) header: StatusHeader,
}

/// The newest heartbeat of an agent.
pub(super) enum LastBeat {
    /// With its revision.
    Stored(u64, Box<Heartbeat>),
    /// The agent has ended.
    Ended,
    /// There is none: it has expired, perhaps while NATS was away.
    Unknown,
}

impl Bus {
    /// Finds the streams and buckets, which the server creates.
    ///
    /// # Errors
    /// If one of them is missing.
    pub(super) async fn open(
        connection: Connection,
        names: Names,
        agent: AgentName,
        labels: &[Label],
    ) -> Result<Self, BusError> {
        let mut context: Context = jetstream::new(connection.client.clone());
        context.set_timeout(TIMEOUT);
        let bucket = async |name: String| {
            context.get_key_value(name).await.map_err(BusError::at("open a bucket"))
        };
        let status = bucket(names.status_bucket()).await?;
        let agents = bucket(names.agents_bucket()).await?;
        let orders = bucket(names.orders_bucket()).await?;
        let stream = names.attempts_stream();
        let mut consumers = Vec::with_capacity(labels.len());
        for label in labels {
            let found = context.get_consumer_from_stream(names.consumer(label), &stream).await;
            consumers.push(found.map_err(BusError::at("open the consumer of a label"))?);
        }
        let results = context.get_object_store(names.results_bucket(&agent)).await;
        let results = results.map_err(BusError::at("open the agent's bucket of results"))?;
        Ok(Self { connection, names, agent, consumers, status, agents, orders, results })
    }

    /// The shortest time after which NATS delivers an attempt again.
    pub(super) fn ack_wait(&self) -> Duration {
        let waits = self.consumers.iter().map(|consumer| consumer.cached_info().config.ack_wait);
        waits.min().unwrap_or(TIMEOUT)
    }

    /// Stores a heartbeat; returns its revision. With the revision of this agent's last one, it is only stored if no
    /// other has been since.
    pub(super) async fn put_heartbeat(
        &self,
        heartbeat: &Heartbeat,
        last: Option<u64>,
    ) -> Result<u64, BusError> {
        let (key, action) = (self.agent.as_str(), "store a heartbeat");
        let bytes = crate::wire::write(heartbeat).map_err(BusError::at("write a heartbeat"))?;
        let stored = async {
            match last {
                None => self.agents.put(key, bytes.into()).await.map_err(BusError::at(action)),
                Some(last) => {
                    self.agents.update(key, bytes.into(), last).await.map_err(BusError::at(action))
                }
            }
        };
        let stored = tokio::time::timeout(self.patience(), stored).await;
        stored.map_err(BusError::at(action))?
    }

    /// Removes the heartbeat: the agent has ended.
    pub(super) async fn delete_heartbeat(&self) -> Result<(), BusError> {
        let deleted = self.agents.delete(self.agent.as_str()).await;
        deleted.map_err(BusError::at("remove the heartbeat"))
    }

    /// The newest heartbeat of an agent.
    pub(super) async fn heartbeat(&self, agent: &AgentName) -> Result<LastBeat, BusError> {
        let entry = self.agents.entry(agent.as_str()).await;
        let Some(entry) = entry.map_err(BusError::at("read a heartbeat"))? else {
            return Ok(LastBeat::Unknown);
        };
        if entry.operation != kv::Operation::Put {
            return Ok(LastBeat::Ended);
        }
        Ok(match Heartbeat::read(agent.as_str(), &entry.value) {
            Ok(heartbeat) => LastBeat::Stored(entry.revision, Box::new(heartbeat)),
            Err(_) => LastBeat::Unknown,
        })
    }

    /// Stores a status.
    pub(super) async fn put_status(
        &self,
        key: &RepositoryKey,
        header: &StatusHeader,
        bytes: &[u8],
    ) -> Result<(), BusError> {
        let value = status::encode(header, bytes).map_err(BusError::at("write a status"))?;
        let put = self.status.put(key.status_key(&self.agent), value.into()).await;
        put.map(|_| ()).map_err(BusError::at("store a status"))
    }

    /// Removes this agent's status of a repository.
    pub(super) async fn delete_status(&self, key: &RepositoryKey) -> Result<(), BusError> {
        let deleted = self.status.delete(key.status_key(&self.agent)).await;
        deleted.map_err(BusError::at("remove a status"))
    }

    /// The statuses of a repository, of all agents.
    pub(super) async fn statuses(&self, key: &RepositoryKey) -> Result<Vec<Stored>, BusError> {
        let prefix = &self.status.prefix;
        let pattern = format!("{prefix}*.{}", key.token());
        let (mut found, mut from) = (Vec::new(), 1);
        while found.len() < MOST_HOLDERS {
            let next = self.status.stream.direct_get_next_for_subject(&pattern, Some(from)).await;
            let message = match next {
                Ok(message) => message,
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => break,
                Err(error) => return Err(BusError::at("read the statuses")(error)),
            };
            from = message.sequence + 1;
            let stored_key = message.subject.strip_prefix(prefix.as_str()).unwrap_or_default();
            if is_put(&message.headers)
                && let Ok(status) = status::decode(stored_key, &message.payload)
                && status.key == *key
            {
                found.push(Stored { agent: status.header.agent.clone(), header: status.header });
            }
        }
        Ok(found)
    }

    /// The order for a repository, if there is one.
    pub(super) async fn order(&self, key: &RepositoryKey) -> Result<Option<RemoteOrder>, BusError> {
        let value = self.orders.get(key.token()).await.map_err(BusError::at("read an order"))?;
        Ok(value.and_then(|value| RemoteOrder::read(&value).ok()))
    }

    /// The subjects of all orders.
    pub(super) fn order_prefix(&self) -> &str {
        &self.orders.prefix
    }

    /// How long a sign of life waits for its confirmation: a lost one must leave time for another one.
    fn patience(&self) -> Duration {
        (self.ack_wait() / 2).min(TIMEOUT)
    }

    /// Acknowledges a delivery, and waits until NATS has confirmed that.
    pub(super) async fn acknowledge(&self, reply: &str, kind: AckKind) -> Result<(), BusError> {
        let patience = if matches!(kind, AckKind::Progress) { self.patience() } else { TIMEOUT };
        let sent = self.connection.client.request(reply.to_owned(), kind.into());
        let answer = tokio::time::timeout(patience, sent).await;
        let action = "acknowledge a message";
        match answer {
            Ok(answer) => answer.map(|_| ()).map_err(BusError::at(action)),
            Err(late) => Err(BusError::at(action)(late)),
        }
    }

    /// Stores a file as an object; `None` if it is missing, not a regular file, or larger than `most` bytes.
    pub(super) async fn put_file(
        &self,
        name: String,
        path: &Path,
        most: u64,
    ) -> Result<Option<ObjectRef>, BusError> {
        let path = path.to_owned();
        let open = move || crate::store::read::open(&path).ok();
        let opened = tokio::task::spawn_blocking(open).await;
        let Some(file) = opened.map_err(BusError::at("open a file"))? else { return Ok(None) };
        if file.metadata().is_ok_and(|facts| facts.len() > most) {
            return Ok(None);
        }
        // No process of the attempt is left that could extend the file.
        self.put_object(name, &mut tokio::fs::File::from_std(file)).await.map(Some)
    }

    /// Stores an object.
    pub(super) async fn put_object(
        &self,
        name: String,
        content: &mut (impl tokio::io::AsyncRead + Unpin),
    ) -> Result<ObjectRef, BusError> {
        let put = self.results.put(name.as_str(), content).await;
        let info = put.map_err(BusError::at("store an object"))?;
        let digest = info.digest.as_deref().and_then(|digest| digest.strip_prefix("SHA-256="));
        let digest = digest.and_then(|digest| URL_SAFE.decode(digest).ok());
        let digest = digest.ok_or_else(|| BusError::at("store an object")("it has no digest"))?;
        let size = u64::try_from(info.size).unwrap_or(u64::MAX);
        Ok(ObjectRef { name, size, sha256: hexadecimal(&digest) })
    }
}

/// Whether a message of a bucket stores a value, and does not remove it.
pub(super) fn is_put(headers: &HeaderMap) -> bool {
    headers.get("KV-Operation").is_none_or(|operation| operation.as_str() == "PUT")
        && headers.get("Nats-Marker-Reason").is_none()
}
