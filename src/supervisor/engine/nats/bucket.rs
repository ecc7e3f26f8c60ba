//! The bucket of an agent's results: its objects, read and removed by requests for single messages.
//!
//! Input: the name of an object. Output: its facts, its pieces.
//!
//! Invariants: reading creates nothing in NATS: the client would create a consumer for each object, which NATS keeps for
//! half a minute; what an agent has stored is never part of a subject unchecked.

use super::error::{NatsError, at};
use async_nats::jetstream::{
    object_store::ObjectInfo,
    stream::{DirectGetErrorKind, LastRawMessageErrorKind, Stream},
};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use bytes::Bytes;

/// The bucket of one agent.
#[derive(Debug)]
pub(super) struct Bucket {
    name: String,
    stream: Stream<()>,
}

/// A piece of an object.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) sequence: u64,
}

impl Bucket {
    pub(super) fn new(name: String, stream: Stream<()>) -> Self {
        Self { name, stream }
    }

    /// What the agent has stored about an object.
    pub(super) async fn facts(&self, object: &str) -> Result<Option<ObjectInfo>, NatsError> {
        let action = || format!("read the object {object}");
        let subject = self.facts_subject(object);
        let payload = match self.stream.direct_get_last_for_subject(subject.as_str()).await {
            Ok(message) => message.payload,
            // Another server of the cluster may know what the one that answered does not know yet.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                let newest = self.stream.get_last_raw_message_by_subject(&subject).await;
                match newest {
                    Ok(message) => message.payload,
                    Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                        return Ok(None);
                    }
                    Err(error) => return Err(at(action())(error)),
                }
            }
            Err(error) => return Err(at(action())(error)),
        };
        // What cannot be read was not stored by an agent, and is as good as missing.
        Ok(serde_json::from_slice(&payload).ok())
    }

    /// The first piece of an object after this position; 0 is before all.
    pub(super) async fn piece(
        &self,
        facts: &ObjectInfo,
        after: u64,
    ) -> Result<Option<Piece>, NatsError> {
        let action = || format!("read the object {}", facts.name);
        let Some(subject) = self.pieces_subject(facts) else { return Ok(None) };
        let from = after + 1;
        let next = self.stream.direct_get_next_for_subject(subject.as_str(), Some(from)).await;
        let message = match next {
            Ok(message) => message,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                let raw = self.stream.raw_message_builder().sequence(from);
                match raw.next_by_subject(subject).send().await {
                    Ok(message) => message,
                    Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                        return Ok(None);
                    }
                    Err(error) => return Err(at(action())(error)),
                }
            }
            Err(error) => return Err(at(action())(error)),
        };
        Ok(Some(Piece { bytes: message.payload, sequence: message.sequence }))
    }

    /// Removes an object without a trace: the client would leave a marker for each.
    pub(super) async fn remove(&self, object: &str) -> Result<(), NatsError> {
        let action = || format!("remove the object {object}");
        let Some(facts) = self.facts(object).await? else { return Ok(()) };
        if let Some(pieces) = self.pieces_subject(&facts) {
            self.stream.purge().filter(pieces).await.map_err(at(action()))?;
        }
        // Without its facts, nobody would find its pieces.
        let purged = self.stream.purge().filter(self.facts_subject(object)).await;
        purged.map(drop).map_err(at(action()))
    }

    fn facts_subject(&self, object: &str) -> String {
        format!("$O.{}.M.{}", self.name, URL_SAFE.encode(object))
    }

    /// The subject of the pieces of an object; `None` if what the agent has stored is none.
    fn pieces_subject(&self, facts: &ObjectInfo) -> Option<String> {
        let is_plain =
            !facts.nuid.is_empty() && facts.nuid.bytes().all(|b| b.is_ascii_alphanumeric());
        is_plain.then(|| format!("$O.{}.C.{}", self.name, facts.nuid))
    }
}
