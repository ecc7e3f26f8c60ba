//! What a session checks and repairs while it lasts: its streams, consumers and buckets, and whether NATS stores anything.
//!
//! Input: the names of the session. Output: what is missing, and the last revisions of the buckets that are watched.
//!
//! Invariants: only the lack of a stream or of a consumer is permanent; every other failure may be one of the moment.

use super::{NatsError, Session, at};
use crate::wire::{names::AgentName, streams};
use async_nats::jetstream::{
    ErrorCode,
    context::{ConsumerInfoErrorKind, GetStreamError, GetStreamErrorKind},
    stream,
};
use bytes::Bytes;

/// The key that is stored to find out whether NATS stores anything. It names no repository.
const PROBE: &str = "probe";

/// The last revisions of the buckets that are watched.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct LastRevisions {
    pub(in super::super) statuses: u64,
    pub(in super::super) heartbeats: u64,
}

impl Session {
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
            let stream = self.context.get_stream(&name).await.map_err(|error| NatsError {
                is_permanent: is_missing(&error),
                ..at(action)(error)
            })?;
            last.push(stream.cached_info().state.last_sequence);
        }
        for label in &self.labels {
            let name = self.names.consumer(label);
            let action = format!("find the consumer {name}");
            self.stream.consumer_info(&name).await.map_err(|error| NatsError {
                is_permanent: matches!(
                    error.kind(),
                    ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound
                ),
                ..at(action)(error)
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
