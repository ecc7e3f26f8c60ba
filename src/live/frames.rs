//! What goes over a stream: frames of server-sent events, and the ids that they carry.

use crate::model::{
    progress::JobFacts,
    time::{self, Timestamp},
};
use bytes::Bytes;
use serde_json::json;
use std::fmt;

/// Where a reader of a stream stands: the server's run, and a version of the job in it.
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

/// What a stream has to send next.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) pieces: Vec<Bytes>,
    /// The cursor after they are sent.
    pub(super) version: u64,
    /// After them there is nothing more.
    pub(super) over: bool,
}

/// One server-sent event (WHATWG HTML, section 9.2): JSON has no raw newline, so one data line.
pub(super) fn frame(event: &str, id: EventId, data: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(data.len() + event.len() + 48);
    frame.extend_from_slice(format!("id: {id}\nevent: {event}\ndata: ").as_bytes());
    frame.extend_from_slice(data);
    frame.extend_from_slice(b"\n\n");
    frame.into()
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
