//! What goes over a stream: messages, the ids that they carry, and the two forms in which they
//! are sent.

use super::{
    ledger::{Kept, Ledger},
    pieces::{CutOff, PIECE, Reader},
};
use crate::model::{progress::JobFacts, time};
use bytes::{Bytes, BytesMut};
use serde_json::json;
use std::fmt::{self, Write};

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

/// The most bytes of data that are copied for a reader.
pub(super) const SMALL: usize = 4 << 10;

/// The data of a message that the cache has for all readers.
#[derive(Debug)]
pub(super) enum Shared {
    Small(Bytes),
    Large(Kept),
}

/// The data of a message that was made for one reader and is the same for those who read with it.
#[derive(Debug, Default)]
pub(super) struct Memo(Option<((u64, u64), Bytes)>);

impl Memo {
    /// What is made of a version at a second of its elapsed time.
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
    content: Content,
}

/// The data of a message.
#[derive(Debug)]
pub(super) enum Content {
    Small(Bytes),
    Large(Reader),
}

impl Shared {
    pub(super) fn new(data: Vec<u8>, ledger: &Ledger) -> Self {
        if data.len() <= SMALL {
            return Self::Small(data.into());
        }
        Self::Large(ledger.keep_bytes(data))
    }

    /// The data for one more reader.
    pub(super) fn content(&self) -> Content {
        match self {
            Self::Small(bytes) => Content::Small(bytes.clone()),
            Self::Large(kept) => Content::Large(kept.document().reader(None)),
        }
    }
}

impl Message {
    pub(super) fn new(event: &'static str, id: EventId, content: Content) -> Self {
        Self { event, id, content }
    }

    pub(super) fn small(event: &'static str, id: EventId, data: impl Into<Bytes>) -> Self {
        Self::new(event, id, Content::Small(data.into()))
    }

    /// Its name.
    pub fn event(&self) -> &'static str {
        self.event
    }

    /// How many bytes of its own a reader needs for it; of a large one, all that a step may have:
    /// it comes last in its step.
    pub(super) fn weight(&self) -> usize {
        match &self.content {
            Content::Small(data) => data.len() + 64,
            Content::Large(_) => PIECE,
        }
    }

    /// Its id and its content.
    pub(super) fn into_parts(self) -> (&'static str, EventId, Content) {
        (self.event, self.id, self.content)
    }

    /// Its content: JSON.
    pub fn into_data(self) -> Result<Bytes, CutOff> {
        match self.content {
            Content::Small(data) => Ok(data),
            Content::Large(reader) => reader.gather(),
        }
    }

    /// As the text of a `WebSocket`, `{"event", "id", "data"}`, in pieces.
    pub fn into_text(self) -> TextPieces {
        let Self { event, id, content } = self;
        let begin = format!("{{\"event\":\"{event}\",\"id\":\"{id}\",\"data\":");
        TextPieces { begin: Some(begin.into_bytes()), content: Some(content) }
    }
}

/// The text of a message, a bounded piece at a time. A piece may end within a character.
#[derive(Debug)]
pub struct TextPieces {
    begin: Option<Vec<u8>>,
    /// None once the end has been handed over.
    content: Option<Content>,
}

impl TextPieces {
    /// The next piece, and whether it is the last.
    pub fn next_piece(&mut self) -> Option<Result<(Bytes, bool), CutOff>> {
        let mut begin = self.begin.take();
        match self.content.as_mut()? {
            Content::Small(data) => {
                let mut text = begin.take().unwrap_or_default();
                text.extend_from_slice(data);
                text.push(b'}');
                self.content = None;
                Some(Ok((text.into(), true)))
            }
            Content::Large(reader) => {
                if let Some(begin) = begin {
                    return Some(Ok((begin.into(), false)));
                }
                let Some(piece) = reader.next_piece() else {
                    self.content = None;
                    return Some(Ok((Bytes::from_static(b"}"), true)));
                };
                Some(piece.map(|it| (it, false)))
            }
        }
    }

    /// All of it.
    pub fn gather(mut self) -> Result<Vec<u8>, CutOff> {
        let mut text = Vec::new();
        while let Some(piece) = self.next_piece() {
            text.extend_from_slice(&piece?.0);
        }
        Ok(text)
    }
}

/// The lines of a server-sent event (WHATWG HTML, section 9.2) before its data. JSON has no raw
/// newline, so the data is one line.
pub(super) fn begin_event(to: &mut BytesMut, event: &str, id: EventId) {
    // There is always room in it.
    let _ = write!(to, "id: {id}\nevent: {event}\ndata: ");
}

/// What ends the data, and the event.
pub(super) fn end_event(to: &mut BytesMut) {
    to.extend_from_slice(b"\n\n");
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

pub(super) fn job_message(facts: &JobFacts, elapsed_seconds: u64) -> Vec<u8> {
    json!({
        "job_id": facts.id,
        "status": facts.state,
        "summary": facts.summary,
        "elapsed_time_seconds": elapsed_seconds,
        "eta_seconds": facts.eta_seconds(elapsed_seconds),
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
        let id = EventId { epoch: 0x1f, version: 2 };
        let mut event = BytesMut::new();
        begin_event(&mut event, "end", id);
        event.extend_from_slice(b"{\"a\":1}");
        end_event(&mut event);
        assert_eq!(event, "id: 1f-2\nevent: end\ndata: {\"a\":1}\n\n");
        let message = Message::small("end", id, "{\"a\":1}");
        let text = message.into_text().gather().unwrap();
        assert_eq!(text, br#"{"event":"end","id":"1f-2","data":{"a":1}}"#);
        let kept = Ledger::new(0).keep_bytes(vec![b'x'; 2 * PIECE]);
        let large = Content::Large(kept.document().reader(None));
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
