//! One job's events, for as long as it takes.
//!
//! What flows in: the streams of a server that may be restarted meanwhile. What flows out: each
//! message once, and word of an outage and of its end. What must stay true: a lost line is joined
//! again after the last message that arrived, or from a snapshot; attempts are some seconds apart;
//! an outage that lasts longer than the patience ends it all; so does a job that is really gone.

use super::{
    error::ClientError,
    http::Client,
    sse::{Message, Parser},
};
use crate::model::JobId;
use std::{collections::VecDeque, time::Duration};
use tokio::time::{Instant, sleep_until, timeout_at};

/// The first and the longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// What happens next.
#[derive(Debug)]
pub(super) enum Step {
    Message(Message),
    /// The server is away: why.
    Lost(String),
    /// It is there again.
    Back,
    /// The job had ended before, and this reader knew it.
    Over,
}

/// A job's events.
#[derive(Debug)]
pub(super) struct JobEvents<'a> {
    client: &'a Client,
    job: &'a JobId,
    patience: Duration,
    /// The server has said that there is this job.
    known: bool,
    /// The server has just denied that there is this job, and it may not have read its disk.
    denied: bool,
    connection: Option<Connection>,
    last_id: String,
    first_pause: Duration,
    outage: Option<Outage>,
}

/// The time since the last sign of the server.
#[derive(Debug)]
struct Outage {
    deadline: Instant,
    pause: Duration,
    said: bool,
    why: String,
}

impl<'a> JobEvents<'a> {
    /// A job's events from the beginning; `known` where the server has accepted the job.
    pub(super) fn new(client: &'a Client, job: &'a JobId, known: bool, patience: Duration) -> Self {
        Self {
            client,
            job,
            patience,
            known,
            denied: false,
            connection: None,
            last_id: String::new(),
            first_pause: PAUSES.0,
            outage: None,
        }
    }

    /// The next step, whenever it comes.
    pub(super) async fn next(&mut self) -> Result<Step, ClientError> {
        loop {
            let step = match self.connection.take() {
                Some(connection) => self.listen(connection).await,
                None => self.join().await,
            };
            if let Some(step) = step? {
                return Ok(step);
            }
        }
    }

    async fn listen(&mut self, mut connection: Connection) -> Result<Option<Step>, ClientError> {
        let heard = connection.next(self.client).await;
        if connection.spoke {
            self.outage = None;
            self.first_pause =
                connection.parser.retry().unwrap_or(PAUSES.0).clamp(PAUSES.0, PAUSES.1);
        }
        match heard {
            Ok(Some(message)) => {
                self.last_id.clone_from(&message.id);
                self.connection = Some(connection);
                Ok(Some(Step::Message(message)))
            }
            // Closed in order, as proxies do from time to time: no word of it if the next attempt
            // succeeds.
            Ok(None) => self.lost(&ClientError::StreamClosed),
            Err(error) if error.passes() => self.lost(&error),
            Err(error) => Err(error),
        }
    }

    async fn join(&mut self) -> Result<Option<Step>, ClientError> {
        if let Some(outage) = &mut self.outage {
            sleep_until((Instant::now() + outage.pause).min(outage.deadline)).await;
            outage.pause = (outage.pause * 2).min(PAUSES.1);
        }
        let joined = self.client.events(self.job, &self.last_id);
        let joined = match &self.outage {
            None => joined.await,
            Some(outage) => timeout_at(outage.deadline, joined).await.unwrap_or_else(|_| {
                Err(ClientError::Silent { server: self.client.server().to_owned() })
            }),
        };
        match joined {
            Ok(Some(response)) => {
                (self.known, self.denied) = (true, false);
                self.connection = Some(Connection::new(response));
                // The outage itself is over when the server has said something.
                let said = self.outage.as_mut().map(|it| std::mem::take(&mut it.said));
                Ok((said == Some(true)).then_some(Step::Back))
            }
            Ok(None) => Ok(Some(Step::Over)),
            Err(error) if !self.known => Err(error),
            Err(error) if error.is_unknown_job() => self.look_again().await,
            Err(error) if error.passes() => self.lost(&error),
            Err(error) => Err(error),
        }
    }

    /// A server that has just been started knows its jobs a moment later.
    async fn look_again(&mut self) -> Result<Option<Step>, ClientError> {
        match self.client.is_ready().await {
            Ok(true) if self.denied => Err(ClientError::Gone(self.job.clone())),
            Ok(true) => {
                self.denied = true;
                Ok(None)
            }
            Ok(false) => self.lost(&ClientError::Unavailable {
                status: 503,
                detail: "it reads its files".to_owned(),
                hint: None,
            }),
            Err(error) if error.passes() => self.lost(&error),
            Err(error) => Err(error),
        }
    }

    fn lost(&mut self, cause: &ClientError) -> Result<Option<Step>, ClientError> {
        let now = Instant::now();
        let outage = self.outage.get_or_insert_with(|| Outage {
            deadline: now + self.patience,
            pause: self.first_pause,
            said: false,
            why: cause.spoken(),
        });
        // That the patience ended in the middle of an attempt says nothing about the server.
        if !matches!(cause, ClientError::Silent { .. }) {
            outage.why = cause.spoken();
        }
        if now >= outage.deadline {
            return Err(ClientError::GaveUp { patience: self.patience, why: outage.why.clone() });
        }
        let quiet = outage.said || matches!(cause, ClientError::StreamClosed);
        outage.said |= !quiet;
        Ok((!quiet).then(|| Step::Lost(outage.why.clone())))
    }
}

/// An open stream.
#[derive(Debug)]
struct Connection {
    response: reqwest::Response,
    parser: Parser,
    ready: VecDeque<Message>,
    /// Something has arrived.
    spoke: bool,
}

impl Connection {
    fn new(response: reqwest::Response) -> Self {
        Self { response, parser: Parser::new(), ready: VecDeque::new(), spoke: false }
    }

    /// The next message; `None` when the server has closed the stream.
    async fn next(&mut self, client: &Client) -> Result<Option<Message>, ClientError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let piece = self.response.chunk().await.map_err(|error| client.broken(error))?;
            let Some(piece) = piece else {
                return Ok(None);
            };
            self.spoke = true;
            self.parser
                .feed(&piece, &mut self.ready)
                .map_err(|error| client.foreign(error.to_string()))?;
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

    async fn begin(stream: &mut TcpStream, events: &str) {
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
    async fn a_stream_that_falls_silent_is_joined_again_after_the_last_message() {
        let (listener, client) = server().await;
        let job = "a".parse().unwrap();
        let mut events = JobEvents::new(&client, &job, false, Duration::from_mins(1));
        let serve = async {
            let (mut first, _) = listener.accept().await.unwrap();
            assert!(!request(&mut first).await.contains("last-event-id"));
            begin(&mut first, "id: e-1\ndata: one\n\n").await;
            let (mut second, _) = listener.accept().await.unwrap();
            assert!(request(&mut second).await.contains("last-event-id: e-1\r\n"));
            begin(&mut second, "id: e-2\ndata: two\n\n").await;
            (first, second)
        };
        let follow = async {
            let mut steps = Vec::new();
            for _ in 0..4 {
                steps.push(match events.next().await.unwrap() {
                    Step::Message(message) => message.data,
                    Step::Lost(_) => "lost".to_owned(),
                    Step::Back => "back".to_owned(),
                    Step::Over => "over".to_owned(),
                });
            }
            steps
        };
        let (_open, steps) = tokio::join!(serve, follow);
        assert_eq!(steps, ["one", "lost", "back", "two"]);
    }

    /// Answers one request after the other with the next of these: a status, or events.
    async fn answer(listener: &TcpListener, answers: &[(u16, &str)]) {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            if *status == 200 {
                begin(&mut stream, body).await;
                continue;
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n");
            let answer = format!("{head}content-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    const DENIED: (u16, &str) = (404, r#"{"detail": "Job not found"}"#);
    const STARTING: (u16, &str) = (503, r#"{"status": "starting"}"#);
    const READY: (u16, &str) = (200, "{}");

    #[tokio::test]
    async fn a_server_that_has_not_read_its_disk_is_not_taken_at_its_word() {
        let (listener, client) = server().await;
        let job = "a".parse().unwrap();
        let mut events = JobEvents::new(&client, &job, true, Duration::from_mins(1));
        let found = (200, "data: one\n\n");
        let follow = async {
            loop {
                if let Step::Message(message) = events.next().await.unwrap() {
                    break message.data;
                }
            }
        };
        // It knows the job once it is ready, be that between two questions.
        let answers = [DENIED, STARTING, DENIED, READY, found];
        let (data, ()) = tokio::join!(follow, answer(&listener, &answers));
        assert_eq!(data, "one");

        // Asked when it was ready, it denies the job still.
        let mut events = JobEvents::new(&client, &job, true, Duration::from_mins(1));
        let answers = [DENIED, READY, DENIED, READY];
        let (error, ()) = tokio::join!(events.next(), answer(&listener, &answers));
        assert!(matches!(error, Err(ClientError::Gone(_))), "{error:?}");
    }

    #[tokio::test]
    async fn a_reader_that_has_seen_the_end_is_told_so() {
        let (listener, client) = server().await;
        let job = "a".parse().unwrap();
        let mut events = JobEvents::new(&client, &job, false, Duration::from_mins(1));
        let follow = async { (events.next().await, events.next().await) };
        let answers = [(200, "id: e-1\ndata: one\n\n"), (204, "")];
        let ((first, second), ()) = tokio::join!(follow, answer(&listener, &answers));
        assert!(matches!(first, Ok(Step::Message(_))), "{first:?}");
        assert!(matches!(second, Ok(Step::Over)), "{second:?}");
    }

    #[tokio::test]
    async fn a_server_that_only_accepts_does_not_end_the_outage() {
        let (listener, client) = server().await;
        let job = "a".parse().unwrap();
        let mut events = JobEvents::new(&client, &job, true, Duration::from_millis(1500));
        let serve = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                request(&mut stream).await;
                begin(&mut stream, "").await;
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
