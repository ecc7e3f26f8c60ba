//! What goes over a stream: messages, the ids that they carry, and the two forms in which they
//! are sent.

use crate::model::{
    progress::JobFacts,
    time::{self, Timestamp},
};
use bytes::{Bytes, BytesMut};
use serde_json::json;
use std::fmt;

/// Where a reader of a stream stands: the server's run, and a version of what it follows in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Of another run of the server, versions mean nothing.
    pub epoch: u64,
    pub version: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.version)
    }
}

impl EventId {
    /// Reads a Last-Event-ID; `None` for one that is not of this form.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, version) = text.trim().split_once('-')?;
        Some(Self { epoch: u64::from_str_radix(epoch, 16).ok()?, version: version.parse().ok()? })
    }
}

/// One message; cloning shares its data.
#[derive(Debug, Clone)]
pub struct Message {
    event: &'static str,
    id: EventId,
    /// A JSON object.
    data: Bytes,
}

impl Message {
    pub(super) fn new(event: &'static str, id: EventId, data: impl Into<Bytes>) -> Self {
        Self { event, id, data: data.into() }
    }

    /// As a server-sent event (WHATWG HTML, section 9.2): JSON has no raw newline, so one data
    /// line.
    pub(super) fn write_event(&self, to: &mut BytesMut) {
        let Self { event, id, data } = self;
        to.extend_from_slice(format!("id: {id}\nevent: {event}\ndata: ").as_bytes());
        to.extend_from_slice(data);
        to.extend_from_slice(b"\n\n");
    }

    /// Its name.
    pub fn event(&self) -> &'static str {
        self.event
    }

    /// Its content: JSON.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// As the text of a `WebSocket`: `{"event", "id", "data"}`.
    pub fn to_text(&self) -> String {
        let Self { event, id, data } = self;
        let data = String::from_utf8_lossy(data);
        format!("{{\"event\":\"{event}\",\"id\":\"{id}\",\"data\":{data}}}")
    }
}

/// What a stream has to send next.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) messages: Vec<Message>,
    /// The cursor after they are sent.
    pub(super) version: u64,
    /// What comes after them.
    pub(super) then: Then,
}

/// What comes after the messages that are there now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Then {
    /// What changes.
    #[default]
    Changes,
    /// More that is there already, but was too much for once.
    More,
    /// Nothing.
    Nothing,
}

pub(super) fn job_message(facts: &JobFacts, now: Timestamp) -> Vec<u8> {
    json!({
        "job_id": facts.id,
        "status": facts.state,
        "summary": facts.summary,
        "elapsed_time_seconds": facts.elapsed_seconds(now),
        "eta_seconds": facts.eta_seconds(now),
        "completed_at": facts.completed_at.map(time::format),
    })
    .to_string()
    .into_bytes()
}

pub(super) fn end_message(facts: &JobFacts) -> Vec<u8> {
    json!({ "job_id": facts.id, "status": facts.state, "summary": facts.summary })
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_two_forms() {
        let message = Message::new("end", EventId { epoch: 0x1f, version: 2 }, "{\"a\":1}");
        let mut event = BytesMut::new();
        message.write_event(&mut event);
        assert_eq!(event, "id: 1f-2\nevent: end\ndata: {\"a\":1}\n\n");
        assert_eq!(message.to_text(), r#"{"event":"end","id":"1f-2","data":{"a":1}}"#);
    }
}
