//! A reader of server-sent events (HTML Living Standard, section 9.2), as strict as a browser's,
//! with far more detail about what it saw.

use super::server::TestServer;
use serde_json::Value;
use std::{collections::VecDeque, time::Duration};
use tokio::time::timeout;

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// An open stream, and what it sent besides events.
#[derive(Debug)]
pub(crate) struct EventStream {
    response: reqwest::Response,
    unread: Vec<u8>,
    ready: VecDeque<Event>,
    half: Vec<(String, String)>,
    /// The reconnection time that the server asked for, in milliseconds.
    pub(crate) retry: Option<u64>,
    /// Comments, such as heartbeats.
    pub(crate) comments: Vec<String>,
}

impl EventStream {
    /// Opens a stream from its beginning.
    pub(crate) async fn open(server: &TestServer, path: &str) -> Self {
        Self::connect(server, path, None).await
    }

    /// Opens a stream after the event with this id, as a browser does that lost its connection.
    pub(crate) async fn resume(server: &TestServer, path: &str, last: &str) -> Self {
        Self::connect(server, path, Some(last)).await
    }

    async fn connect(server: &TestServer, path: &str, last: Option<&str>) -> Self {
        let stream = timeout(super::wait::PATIENCE, Self::join(server, path, last));
        let stream = stream.await.expect("a stream begins at once");
        stream.unwrap_or_else(|| panic!("{path} is over for who has seen {last:?}"))
    }

    /// Opens a stream, after the event with this id if there is one; `None` where the server says
    /// that nothing more will come.
    pub(crate) async fn join(server: &TestServer, path: &str, last: Option<&str>) -> Option<Self> {
        let mut request =
            server.request(reqwest::Method::GET, path).header("Accept", "text/event-stream");
        if let Some(id) = last {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await;
        let response = response.unwrap_or_else(|error| panic!("cannot join {path}: {error}"));
        if response.status() == 204 {
            return None;
        }
        assert_eq!(response.status(), 200, "joining {path}, last id {last:?}");
        Some(Self::of(response))
    }

    /// The events of an answer that another client requested.
    pub(crate) fn of(response: reqwest::Response) -> Self {
        let kind = response.headers()["content-type"].to_str().unwrap_or_default();
        assert!(kind.starts_with("text/event-stream"), "it has content type {kind}");
        Self {
            response,
            unread: Vec::new(),
            ready: VecDeque::new(),
            half: Vec::new(),
            retry: None,
            comments: Vec::new(),
        }
    }

    /// The next event; `None` once the stream has ended.
    pub(crate) async fn next_event(&mut self, patience: Duration) -> Option<Event> {
        let Ok(event) = timeout(patience, self.next()).await else {
            panic!("no event in {patience:?}; half of one: {:?}", self.half)
        };
        event
    }

    /// All events until the stream ends.
    pub(crate) async fn rest(&mut self, patience: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next_event(patience).await {
            events.push(event);
        }
        events
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // A connection that breaks ends the stream like one that is closed.
            let bytes = self.response.chunk().await.ok().flatten()?;
            // An unfinished line before that is incomplete.
            let mut from = self.unread.len();
            self.unread.extend_from_slice(&bytes);
            while let Some(end) = self.unread[from..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=from + end).collect();
                from = 0;
                let line = String::from_utf8(line).expect("events are UTF-8");
                self.take_line(line.trim_end_matches(['\n', '\r']));
            }
        }
    }

    fn take_line(&mut self, line: &str) {
        if let Some(comment) = line.strip_prefix(':') {
            self.comments.push(comment.trim().to_owned());
            return;
        }
        if !line.is_empty() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            if field == "retry" {
                self.retry = Some(value.parse().expect("`retry` is a number"));
            } else {
                self.half.push((field.to_owned(), value.to_owned()));
            }
            return;
        }
        let fields = std::mem::take(&mut self.half);
        let all = |wanted: &str| {
            let values = fields.iter().filter(|(field, _)| field == wanted);
            values.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        let data = all("data").join("\n");
        if data.is_empty() {
            return;
        }
        let unknown =
            fields.iter().find(|(name, _)| !matches!(name.as_str(), "data" | "id" | "event"));
        assert!(unknown.is_none(), "a field that no reader knows: {unknown:?}");
        self.ready.push_back(Event {
            id: all("id").last().copied().unwrap_or_default().to_owned(),
            name: all("event").last().copied().unwrap_or("message").to_owned(),
            data: serde_json::from_str(&data)
                .unwrap_or_else(|error| panic!("an event's data is no JSON ({error}): {data}")),
        });
    }
}
