//! The messages of a stream: their event ids, and the two formats in which they are sent.
//!
//! Input: an event name, an event id, and JSON data, small or in shared pieces. Output: the text of
//! a server-sent event or of a WebSocket message, in pieces.
//!
//! Invariants: large data is shared by all readers and never copied for one of them; a piece has at
//! most [`PIECE`] bytes of large data.

use super::{
    ledger::Ledger,
    pieces::{CutOff, Kept, PIECE, PieceReader},
};
use crate::model::{progress::JobFacts, report::Report, time};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use std::fmt::{self, Write};

/// The position of a reader: the run of the server, and a version within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Identifies the run of the server. Versions of different runs cannot be compared.
    pub epoch: u64,
    pub version: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.version)
    }
}

impl EventId {
    /// Parses a Last-Event-ID; `None` if it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, version) = text.trim().split_once('-')?;
        Some(Self { epoch: u64::from_str_radix(epoch, 16).ok()?, version: version.parse().ok()? })
    }
}

/// The most bytes of data that are copied for each reader.
pub(super) const SMALL: usize = 4 << 10;

/// The data of a message, stored once for all readers.
#[derive(Debug)]
pub(super) enum Shared {
    Small(Bytes),
    Large(Kept),
}

/// A cached message, for readers of the same version within the same second.
#[derive(Debug, Default)]
pub(super) struct Memo(Option<((u64, u64), Bytes)>);

impl Memo {
    /// Returns the data for this version and elapsed time, which `make` makes if it is not cached.
    pub(super) fn get(
        &mut self,
        version: u64,
        elapsed: u64,
        make: impl FnOnce() -> Vec<u8>,
    ) -> Bytes {
        let key = (version, elapsed);
        match &self.0 {
            Some((known, data)) if *known == key => data.clone(),
            _ => {
                let data = Bytes::from(make());
                self.0 = Some((key, data.clone()));
                data
            }
        }
    }
}

/// One message for one reader.
#[derive(Debug)]
pub struct Message {
    event: &'static str,
    id: EventId,
    /// A JSON object.
    content: Payload,
}

/// The data of a message.
#[derive(Debug)]
pub(super) enum Payload {
    Small(Bytes),
    Large(PieceReader),
}

impl Shared {
    pub(super) fn new(data: Vec<u8>, ledger: &Ledger) -> Self {
        if data.len() <= SMALL {
            return Self::Small(data.into());
        }
        Self::Large(Kept::of_bytes(ledger, data))
    }

    /// The data for another reader.
    pub(super) fn content(&self) -> Payload {
        match self {
            Self::Small(bytes) => Payload::Small(bytes.clone()),
            Self::Large(kept) => Payload::Large(kept.document().reader(None)),
        }
    }
}

impl Message {
    pub(super) fn new(event: &'static str, id: EventId, content: Payload) -> Self {
        Self { event, id, content }
    }

    pub(super) fn small(event: &'static str, id: EventId, data: impl Into<Bytes>) -> Self {
        Self::new(event, id, Payload::Small(data.into()))
    }

    /// The event name.
    pub fn event(&self) -> &'static str {
        self.event
    }

    /// How many bytes the reader needs for the message. A large message counts as a full batch, so
    /// it is the last of its batch.
    pub(super) fn weight(&self) -> usize {
        match &self.content {
            Payload::Small(data) => data.len() + 64,
            Payload::Large(_) => PIECE,
        }
    }

    /// The event name, the event id and the data.
    pub(super) fn into_parts(self) -> (&'static str, EventId, Payload) {
        (self.event, self.id, self.content)
    }

    /// The JSON data.
    pub fn into_data(self) -> Result<Bytes, CutOff> {
        match self.content {
            Payload::Small(data) => Ok(data),
            Payload::Large(reader) => reader.gather(),
        }
    }

    /// The text of a `WebSocket` message, `{"event", "id", "data"}`, in pieces.
    pub fn into_text(self) -> TextPieces {
        let Self { event, id, content } = self;
        let begin = format!("{{\"event\":\"{event}\",\"id\":\"{id}\",\"data\":");
        TextPieces { begin: Some(begin.into_bytes()), content: Some(content) }
    }
}

/// The text of a message, in bounded pieces. A piece may end within a character.
#[derive(Debug)]
pub struct TextPieces {
    begin: Option<Vec<u8>>,
    /// `None` after the last piece.
    content: Option<Payload>,
}

impl TextPieces {
    /// The next piece, and whether it is the last one.
    pub fn next_piece(&mut self) -> Option<Result<(Bytes, bool), CutOff>> {
        let mut begin = self.begin.take();
        match self.content.as_mut()? {
            Payload::Small(data) => {
                let mut text = begin.take().unwrap_or_default();
                text.extend_from_slice(data);
                text.push(b'}');
                self.content = None;
                Some(Ok((text.into(), true)))
            }
            Payload::Large(reader) => {
                if let Some(begin) = begin {
                    return Some(Ok((begin.into(), false)));
                }
                let Some(piece) = reader.next_piece() else {
                    self.content = None;
                    return Some(Ok((Bytes::from_static(b"}"), true)));
                };
                Some(piece.map(|bytes| (bytes, false)))
            }
        }
    }

    /// The whole text.
    pub fn gather(mut self) -> Result<Vec<u8>, CutOff> {
        let mut text = Vec::new();
        while let Some(piece) = self.next_piece() {
            text.extend_from_slice(&piece?.0);
        }
        Ok(text)
    }
}

/// Writes the lines of a server-sent event (WHATWG HTML, section 9.2) up to its data. JSON has no
/// raw newline, so the data is one line.
pub(super) fn begin_event(to: &mut BytesMut, event: &str, id: EventId) {
    // Writing to a `BytesMut` cannot fail.
    let _ = write!(to, "id: {id}\nevent: {event}\ndata: ");
}

/// Writes the end of the data and of the event.
pub(super) fn end_event(to: &mut BytesMut) {
    to.extend_from_slice(b"\n\n");
}

/// Messages that a stream has to send next.
#[derive(Debug, Default)]
pub(super) struct MessageBatch {
    pub(super) messages: Vec<Message>,
    /// The cursor after these messages.
    pub(super) version: u64,
    /// What follows these messages.
    pub(super) then: Then,
}

/// What follows a batch of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Then {
    /// Future changes.
    #[default]
    Changes,
    /// More existing messages, which did not fit in this batch.
    More,
    /// Nothing.
    Nothing,
}

pub(super) fn job_message(facts: &JobFacts, elapsed_seconds: u64) -> Vec<u8> {
    job(facts, elapsed_seconds).to_string().into_bytes()
}

/// The same in a stream of all jobs, whose readers may not know the job yet.
pub(super) fn listed_job_message(facts: &JobFacts, elapsed_seconds: u64) -> Vec<u8> {
    let mut message = job(facts, elapsed_seconds);
    message["git_url"] = facts.url.as_deref().unwrap_or_default().into();
    message["created_at"] = time::format(facts.created_at()).into();
    message.to_string().into_bytes()
}

fn job(facts: &JobFacts, elapsed_seconds: u64) -> Value {
    json!({
        "job_id": facts.id,
        "status": facts.state,
        "summary": facts.summary,
        // Always, because readers add events to what they know.
        "paused": facts.paused,
        "totals": facts.totals(),
        "discovering": facts.discovering,
        "discovery_errors_total": facts.discovery_errors,
        "elapsed_time_seconds": elapsed_seconds,
        "eta_seconds": facts.eta_seconds(elapsed_seconds),
        "completed_at": facts.completed_at.map(time::format),
    })
}

/// The end of a job, with its report if the reader follows this job alone.
pub(super) fn end_message(facts: &JobFacts, report: Option<&Report>) -> Vec<u8> {
    let mut message = json!({
        "job_id": facts.id,
        "status": facts.state,
        "summary": facts.summary,
        "totals": facts.totals(),
        "discovery_errors_total": facts.discovery_errors,
    });
    if let Some(report) = report {
        message["report"] = json!(report);
    }
    message.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_two_formats() {
        let id = EventId { epoch: 0x1f, version: 2 };
        let mut event = BytesMut::new();
        begin_event(&mut event, "end", id);
        event.extend_from_slice(b"{\"a\":1}");
        end_event(&mut event);
        assert_eq!(event, "id: 1f-2\nevent: end\ndata: {\"a\":1}\n\n");
        let message = Message::small("end", id, "{\"a\":1}");
        let text = message.into_text().gather().unwrap();
        assert_eq!(text, br#"{"event":"end","id":"1f-2","data":{"a":1}}"#);
        let kept = Kept::of_bytes(&Ledger::new(0), vec![b'x'; 2 * PIECE]);
        let large = Payload::Large(kept.document().reader(None));
        let mut pieces = Message::new("snapshot", id, large).into_text();
        let pieces: Vec<_> =
            std::iter::from_fn(|| pieces.next_piece()).map(Result::unwrap).collect();
        assert!(pieces.iter().all(|(piece, _)| piece.len() <= PIECE));
        let last: Vec<bool> = pieces.iter().map(|(_, last)| *last).collect();
        assert_eq!(last, [false, false, false, true]);
        let text: Vec<u8> = pieces.into_iter().flat_map(|(piece, _)| piece).collect();
        assert!(text.starts_with(br#"{"event":"snapshot","id":"1f-2","data":xx"#));
        assert!(text.ends_with(b"xx}"));
    }
}
