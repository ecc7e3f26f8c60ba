//! What a session checks and repairs while it lasts: its streams, consumers and buckets, and whether NATS stores anything.
//!
//! Input: the names of the session. Output: what is missing, and the last revisions of the buckets that are watched.
//!
//! Invariants: only the lack of a stream or of a consumer is permanent; every other failure may be one of the moment.

use super::Session;
use crate::{
    supervisor::engine::nats::error::{NatsError, at},
    wire::{names::AgentName, streams},
};
use async_nats::jetstream::{
    ErrorCode,
    context::{ConsumerInfoErrorKind, GetStreamError, GetStreamErrorKind},
    stream::{self, LastRawMessageErrorKind},
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use serde_json::Value;
use std::collections::HashSet;

/// The key that is stored to find out whether NATS stores anything. It names no repository.
const PROBE: &str = "probe";

/// The last revisions of the buckets that are watched.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct LastRevisions {
    pub(in super::super) statuses: u64,
    pub(in super::super) heartbeats: u64,
}

/// An object in the bucket of an agent, or pieces that belong to none.
#[derive(Debug)]
pub(in super::super) struct StoredObject {
    pub(in super::super) subject: String,
    /// The number of its last message.
    pub(in super::super) sequence: u64,
    /// `None` for pieces.
    pub(in super::super) name: Option<String>,
}

impl Session {
    /// What is in the bucket of an agent.
    pub(in super::super) async fn objects(
        &self,
        agent: &AgentName,
    ) -> Result<Vec<StoredObject>, NatsError> {
        let bucket = self.names.results_bucket(agent);
        let action = || format!("list the bucket {bucket}");
        let stream = self.context.get_stream(format!("OBJ_{bucket}")).await;
        let stream = stream.map_err(at(action()))?;
        if stream.cached_info().state.messages == 0 {
            return Ok(Vec::new());
        }
        let subjects = stream.info_with_subjects(">").await.map_err(at(action()))?;
        let subjects: Vec<_> = subjects.try_collect().await.map_err(at(action()))?;
        let (facts, pieces) = (format!("$O.{bucket}.M."), format!("$O.{bucket}.C."));
        let (mut found, mut used) = (Vec::new(), HashSet::new());
        // Objects first: pieces belong to one of them.
        let (objects, others): (Vec<_>, Vec<_>) =
            subjects.into_iter().map(|(subject, _)| subject).partition(|s| s.starts_with(&facts));
        for subject in objects.into_iter().chain(others) {
            let id = subject.strip_prefix(&pieces);
            if id.is_some_and(|id| used.contains(id)) {
                continue;
            }
            let last = match stream.get_last_raw_message_by_subject(&subject).await {
                Ok(last) => last,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => continue,
                Err(error) => return Err(at(action())(error)),
            };
            let value: Value = serde_json::from_slice(&last.payload).unwrap_or_default();
            let name = value["name"].as_str().filter(|_| id.is_none()).map(str::to_owned);
            used.extend(value["nuid"].as_str().filter(|_| id.is_none()).map(str::to_owned));
            if name.is_some() || id.is_some() {
                found.push(StoredObject { subject, sequence: last.sequence, name });
            }
        }
        Ok(found)
    }

    /// Removes an object, or pieces that belong to none.
    pub(in super::super) async fn remove_stored_object(
        &self,
        agent: &AgentName,
        object: &StoredObject,
    ) -> Result<(), NatsError> {
        if let Some(name) = &object.name {
            return self.remove_object(agent, name.clone()).await;
        }
        let action = || format!("remove pieces from the bucket of {agent}");
        let bucket = self.names.results_bucket(agent);
        let stream = self.context.get_stream_no_info(format!("OBJ_{bucket}")).await;
        let stream = stream.map_err(at(action()))?;
        stream.purge().filter(&object.subject).await.map(drop).map_err(at(action()))
    }

    /// Creates the bucket of an agent's results unless it exists, and gives it the replicas of the settings.
    pub(in super::super) async fn create_results(
        &self,
        agent: &AgentName,
    ) -> Result<(), NatsError> {
        let config = streams::results(&self.names, agent, self.replicas);
        let action = || format!("create the bucket {}", config.bucket);
        let name = format!("OBJ_{}", config.bucket);
        let stream = match self.context.get_stream(&name).await {
            Ok(stream) => stream,
            Err(error) if is_missing(&error) => {
                let created = self.context.create_object_store(config.clone()).await;
                return created.map(drop).map_err(at(action()));
            }
            Err(error) => return Err(at(action())(error)),
        };
        let stored = &stream.cached_info().config;
        if stored.num_replicas == self.replicas {
            return Ok(());
        }
        let wanted = stream::Config { num_replicas: self.replicas, ..stored.clone() };
        self.context.update_stream(wanted).await.map(drop).map_err(at(action()))
    }

    /// Checks that all streams and consumers exist. Returns the last revisions of the buckets that are watched.
    pub(in super::super) async fn check_streams(&self) -> Result<LastRevisions, NatsError> {
        let mut last = Vec::new();
        for name in [
            format!("KV_{}", self.names.status_bucket()),
            format!("KV_{}", self.names.agents_bucket()),
            format!("KV_{}", self.names.orders_bucket()),
            self.names.attempts_stream(),
        ] {
            let action = format!("find the stream {name}");
            let stream = self.context.get_stream(&name).await.map_err(|error| {
                let is_permanent = is_missing(&error);
                at(action)(error).permanent(is_permanent)
            })?;
            last.push(stream.cached_info().state.last_sequence);
        }
        for label in &self.labels {
            let name = self.names.consumer(label);
            let action = format!("find the consumer {name}");
            self.stream.consumer_info(&name).await.map_err(|error| {
                let is_permanent = matches!(
                    error.kind(),
                    ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound
                );
                at(action)(error).permanent(is_permanent)
            })?;
        }
        Ok(LastRevisions { statuses: last[0], heartbeats: last[1] })
    }

    /// Stores something that nobody reads.
    pub(in super::super) async fn store_something(&self) -> Result<(), NatsError> {
        let stored = self.orders.put(PROBE, Bytes::new()).await;
        stored.map(drop).map_err(at("store anything"))
    }
}

/// Whether NATS has no such stream.
pub(super) fn is_missing(error: &GetStreamError) -> bool {
    let GetStreamErrorKind::JetStream(error) = error.kind() else { return false };
    error.error_code() == ErrorCode::STREAM_NOT_FOUND
}
