//! The event stream of one job, or of all jobs, with reconnects.
//!
//! Input: event streams of a server that may restart. Output: each message once, and the start and
//! end of outages. Invariants: after an interruption the stream resumes after the last message, or
//! with a snapshot; reconnects are seconds apart; an outage longer than the timeout is an error,
//! and so is a job that no longer exists.

use super::{
    error::ClientError,
    http::Client,
    sse::{Message, Parser},
};
use crate::model::JobId;
use std::{collections::VecDeque, time::Duration};
use tokio::time::{Instant, sleep_until, timeout_at};

/// The shortest and the longest pause before a reconnect.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// What happened on the stream.
#[derive(Debug)]
pub(in crate::cli) enum StreamUpdate {
    Message(Message),
    /// The server cannot be reached, with the cause.
    Disconnected(String),
    /// The server can be reached again.
    Reconnected,
    /// The job was finished before, and all its events have been received.
    Finished,
}

/// The events of one job, or of all.
#[derive(Debug)]
pub(in crate::cli) struct EventStream<'a> {
    client: &'a Client,
    /// `None` for the stream of all jobs.
    job: Option<&'a JobId>,
    reconnect_timeout: Duration,
    /// The server has confirmed that the job exists.
    known: bool,
    /// The last answer was "Job not found"; the server may not have read its disk yet.
    not_found: bool,
    connection: Option<Connection>,
    /// When the server last sent data, comments included.
    received_at: Instant,
    last_id: String,
    first_pause: Duration,
    outage: Option<Outage>,
}

/// An outage: the time since the server last sent data.
#[derive(Debug)]
struct Outage {
    deadline: Instant,
    pause: Duration,
    reported: bool,
    cause: String,
}

impl<'a> EventStream<'a> {
    /// Starts from the first event; `known` if the server has accepted the job.
    pub(in crate::cli) fn new(
        client: &'a Client,
        job: Option<&'a JobId>,
        known: bool,
        reconnect_timeout: Duration,
    ) -> Self {
        Self {
            client,
            job,
            reconnect_timeout,
            known,
            not_found: false,
            connection: None,
            received_at: Instant::now(),
            last_id: String::new(),
            first_pause: PAUSES.0,
            outage: None,
        }
    }

    /// When the server last sent data on this stream; until then, when the stream was created.
    #[cfg(feature = "top")]
    pub(in crate::cli) fn received_at(&self) -> Instant {
        self.received_at
    }

    /// Waits for the next update.
    pub(in crate::cli) async fn next(&mut self) -> Result<StreamUpdate, ClientError> {
        loop {
            let update = match self.connection.take() {
                Some(connection) => self.read(connection).await,
                None => self.connect().await,
            };
            if let Some(update) = update? {
                return Ok(update);
            }
        }
    }

    async fn read(
        &mut self,
        mut connection: Connection,
    ) -> Result<Option<StreamUpdate>, ClientError> {
        let received = connection.next(self.client).await;
        if let Some(at) = connection.received_at {
            self.received_at = at;
            self.outage = None;
            self.first_pause =
                connection.parser.retry().unwrap_or(PAUSES.0).clamp(PAUSES.0, PAUSES.1);
        }
        match received {
            Ok(Some(message)) => {
                self.last_id.clone_from(&message.id);
                self.connection = Some(connection);
                Ok(Some(StreamUpdate::Message(message)))
            }
            // Proxies close connections from time to time: not reported if the reconnect succeeds.
            Ok(None) => self.interrupted(&ClientError::StreamClosed),
            Err(error) if error.is_temporary() => self.interrupted(&error),
            Err(error) => Err(error),
        }
    }

    async fn connect(&mut self) -> Result<Option<StreamUpdate>, ClientError> {
        if let Some(outage) = &mut self.outage {
            sleep_until((Instant::now() + outage.pause).min(outage.deadline)).await;
            outage.pause = (outage.pause * 2).min(PAUSES.1);
        }
        let connecting = self.client.events(self.job, &self.last_id);
        let connected = match &self.outage {
            None => connecting.await,
            Some(outage) => timeout_at(outage.deadline, connecting).await.unwrap_or_else(|_| {
                Err(ClientError::Silent { server: self.client.server().to_owned() })
            }),
        };
        match connected {
            Ok(Some(response)) => {
                (self.known, self.not_found) = (true, false);
                self.connection = Some(Connection::new(response));
                // The outage ends when the server has sent data.
                let reported =
                    self.outage.as_mut().map(|outage| std::mem::take(&mut outage.reported));
                Ok((reported == Some(true)).then_some(StreamUpdate::Reconnected))
            }
            Ok(None) => Ok(Some(StreamUpdate::Finished)),
            Err(error) if !self.known => Err(error),
            Err(error) if self.job.is_some() && error.is_unknown_job() => self.check_again().await,
            Err(error) if error.is_temporary() => self.interrupted(&error),
            Err(error) => Err(error),
        }
    }

    /// A server that has just started does not know its jobs until it has read its disk.
    async fn check_again(&mut self) -> Result<Option<StreamUpdate>, ClientError> {
        match self.client.is_ready().await {
            Ok(true) => match self.job {
                Some(job) if self.not_found => Err(ClientError::JobRemoved(job.clone())),
                _ => {
                    self.not_found = true;
                    Ok(None)
                }
            },
            Ok(false) => self.interrupted(&ClientError::Unavailable {
                status: 503,
                detail: "it is reading its jobs folder".to_owned(),
                hint: None,
            }),
            Err(error) if error.is_temporary() => self.interrupted(&error),
            Err(error) => Err(error),
        }
    }

    fn interrupted(&mut self, cause: &ClientError) -> Result<Option<StreamUpdate>, ClientError> {
        let now = Instant::now();
        let outage = self.outage.get_or_insert_with(|| Outage {
            deadline: now + self.reconnect_timeout,
            pause: self.first_pause,
            reported: false,
            cause: cause.message_with_hint(),
        });
        // A timeout in the middle of a reconnect says nothing about the server: keep the earlier
        // cause.
        if !matches!(cause, ClientError::Silent { .. }) {
            outage.cause = cause.message_with_hint();
        }
        if now >= outage.deadline {
            let (timeout, cause) = (self.reconnect_timeout, outage.cause.clone());
            return Err(ClientError::GaveUp { timeout, cause });
        }
        let quiet = outage.reported || matches!(cause, ClientError::StreamClosed);
        outage.reported |= !quiet;
        Ok((!quiet).then(|| StreamUpdate::Disconnected(outage.cause.clone())))
    }
}

/// An open stream.
#[derive(Debug)]
struct Connection {
    response: reqwest::Response,
    parser: Parser,
    ready: VecDeque<Message>,
    /// When the last data arrived.
    received_at: Option<Instant>,
}

impl Connection {
    fn new(response: reqwest::Response) -> Self {
        Self { response, parser: Parser::new(), ready: VecDeque::new(), received_at: None }
    }

    /// Waits for the next message; `None` when the server has closed the stream.
    async fn next(&mut self, client: &Client) -> Result<Option<Message>, ClientError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let piece =
                self.response.chunk().await.map_err(|error| client.transfer_error(error))?;
            let Some(piece) = piece else {
                return Ok(None);
            };
            self.received_at = Some(Instant::now());
            self.parser
                .feed(&piece, &mut self.ready)
                .map_err(|error| client.unexpected(error.to_string()))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    /// Reads a request's head.
    async fn request(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    async fn respond(stream: &mut TcpStream, events: &str) {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        stream.write_all(format!("{head}{events}").as_bytes()).await.unwrap();
    }

    async fn server() -> (TcpListener, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::new(&url, None, None, Duration::from_millis(200)).unwrap();
        (listener, client)
    }

    #[tokio::test]
    async fn a_silent_stream_is_resumed_after_the_last_message() {
        let (listener, client) = server().await;
        let job = "a".parse().unwrap();
        let mut events = EventStream::new(&client, Some(&job), false, Duration::from_mins(1));
        let serve = async {
            let (mut first, _) = listener.accept().await.unwrap();
            assert!(!request(&mut first).await.contains("last-event-id"));
            respond(&mut first, "id: e-1\ndata: one\n\n").await;
            let (mut second, _) = listener.accept().await.unwrap();
            assert!(request(&mut second).await.contains("last-event-id: e-1\r\n"));
            respond(&mut second, "id: e-2\ndata: two\n\n").await;
            (first, second)
        };
        let follow = async {
            let mut updates = Vec::new();
            for _ in 0..4 {
                updates.push(match events.next().await.unwrap() {
                    StreamUpdate::Message(message) => message.data,
                    StreamUpdate::Disconnected(_) => "disconnected".to_owned(),
                    StreamUpdate::Reconnected => "reconnected".to_owned(),
                    StreamUpdate::Finished => "finished".to_owned(),
                });
            }
            updates
        };
        let (_open, updates) = tokio::join!(serve, follow);
        assert_eq!(updates, ["one", "disconnected", "reconnected", "two"]);
    }

    /// Answers each request with the next of these answers: a status, or events.
    async fn answer(listener: &TcpListener, answers: &[(u16, &str)]) {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            if *status == 200 {
                respond(&mut stream, body).await;
                continue;
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n");
            let answer = format!("{head}content-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    const NOT_FOUND: (u16, &str) = (404, r#"{"detail": "Job not found"}"#);
    const STARTING: (u16, &str) = (503, r#"{"status": "starting"}"#);
    const READY: (u16, &str) = (200, "{}");

    #[tokio::test]
    async fn job_not_found_counts_only_after_the_server_has_read_its_disk() {
        let (listener, client) = server().await;
        let job = "a".parse().unwrap();
        let mut events = EventStream::new(&client, Some(&job), true, Duration::from_mins(1));
        let found = (200, "data: one\n\n");
        let follow = async {
            loop {
                if let StreamUpdate::Message(message) = events.next().await.unwrap() {
                    break message.data;
                }
            }
        };
        // The server becomes ready between two requests, and then knows the job.
        let answers = [NOT_FOUND, STARTING, NOT_FOUND, READY, found];
        let (data, ()) = tokio::join!(follow, answer(&listener, &answers));
        assert_eq!(data, "one");

        // The server is ready and still does not know the job.
        let mut events = EventStream::new(&client, Some(&job), true, Duration::from_mins(1));
        let answers = [NOT_FOUND, READY, NOT_FOUND, READY];
        let (error, ()) = tokio::join!(events.next(), answer(&listener, &answers));
        assert!(matches!(error, Err(ClientError::JobRemoved(_))), "{error:?}");
    }

    #[tokio::test]
    async fn a_reconnect_after_the_end_finishes_the_stream() {
        let (listener, client) = server().await;
        let job = "a".parse().unwrap();
        let mut events = EventStream::new(&client, Some(&job), false, Duration::from_mins(1));
        let follow = async { (events.next().await, events.next().await) };
        let answers = [(200, "id: e-1\ndata: one\n\n"), (204, "")];
        let ((first, second), ()) = tokio::join!(follow, answer(&listener, &answers));
        assert!(matches!(first, Ok(StreamUpdate::Message(_))), "{first:?}");
        assert!(matches!(second, Ok(StreamUpdate::Finished)), "{second:?}");
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_sends_nothing_does_not_end_the_outage() {
        let (listener, client) = server().await;
        let job = "a".parse().unwrap();
        let mut events = EventStream::new(&client, Some(&job), true, Duration::from_millis(1500));
        let serve = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                request(&mut stream).await;
                respond(&mut stream, "").await;
            }
        };
        let follow = async {
            loop {
                if let Err(error) = events.next().await {
                    break error;
                }
            }
        };
        let error = tokio::select! {
            error = follow => error,
            () = serve => unreachable!("it serves for ever"),
        };
        assert!(matches!(error, ClientError::GaveUp { .. }), "{error}");
    }
}
