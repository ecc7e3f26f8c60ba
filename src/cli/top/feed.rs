//! The requests to the server, each a task of its own.
//!
//! Input: requests ([`Effect`]), the server's answers and streams. Output: [`Input`]s, or the error
//! that ends the program. Invariants: a request of the same kind replaces the one before; what
//! waits to be shown is bounded, so that a fast server waits for a slow terminal; a temporary
//! failure of a request is retried by what follows it, and not reported.

use super::{
    log::MAX_LINES,
    messages::{ALL_JOBS, Effect, Feed, Input, Verb},
};
use crate::{
    cli::client::{Client, ClientError, EventStream, StreamUpdate},
    model::JobId,
};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep},
};

/// How many inputs may wait.
const WAITING: usize = 64;
/// The interval between two requests for the health of the server.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// An outage ends when the user ends the program: a year is longer.
const NEVER: Duration = Duration::from_hours(365 * 24);

type Sender = mpsc::Sender<Result<Input, ClientError>>;

/// A page of jobs that is needed, and the pause before the request.
type Needed = Option<(String, Duration)>;

/// The running tasks.
#[derive(Debug)]
pub(super) struct Feeds {
    client: Client,
    to: Sender,
    needed: watch::Sender<Needed>,
    /// All tasks, which end with this value.
    tasks: JoinSet<()>,
    job: Option<AbortHandle>,
    log: Option<AbortHandle>,
}

impl Feeds {
    /// Starts what always runs: the stream of all jobs, the list, and the health.
    pub(super) fn start(client: &Client) -> (Self, mpsc::Receiver<Result<Input, ClientError>>) {
        let (to, from) = mpsc::channel(WAITING);
        let (needed, list) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(client.clone(), ALL_JOBS, None, to.clone()));
        tasks.spawn(request_pages(client.clone(), list, to.clone()));
        tasks.spawn(observe_health(client.clone(), to.clone()));
        let client = client.clone();
        (Self { client, to, needed, tasks, job: None, log: None }, from)
    }

    /// Starts the task for a request.
    pub(super) fn request(&mut self, effect: Effect) {
        let (client, to) = (self.client.clone(), self.to.clone());
        // Of finished tasks nothing is kept.
        while self.tasks.try_join_next().is_some() {}
        match effect {
            Effect::List { path, pause } => {
                self.needed.send_replace(Some((path, pause)));
            }
            Effect::FollowJob { feed, job } => {
                let task = self.tasks.spawn(follow(client, feed, Some(job), to));
                abort(self.job.replace(task));
            }
            Effect::LeaveJob => abort(self.job.take()),
            Effect::FollowLog { feed, job, index } => {
                let task = self.tasks.spawn(follow_log(client, feed, job, index, to));
                abort(self.log.replace(task));
            }
            Effect::LeaveLog => abort(self.log.take()),
            // These end by themselves, and are not replaced.
            Effect::Send(verb, job) => {
                self.tasks.spawn(send(client, verb, job, to));
            }
            Effect::LearnSession => {
                self.tasks.spawn(learn_session(client, to));
            }
            Effect::Redraw | Effect::Exit(_) => {}
        }
    }
}

fn abort(task: Option<AbortHandle>) {
    if let Some(task) = task {
        task.abort();
    }
}

/// Whether the program cannot continue after this error: other credentials are needed.
fn is_fatal(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 401 | 403, .. } | ClientError::Untrusted { .. })
}

/// Asks who the user is. A server without `/session` decides with each request.
pub(super) async fn session(client: &Client) -> Result<Value, ClientError> {
    match client.get("/session").await {
        Ok(document) => Ok(document.value),
        Err(ClientError::Refused { status: 404, .. }) => Ok(serde_json::json!({"scope": "admin"})),
        Err(error) => Err(error),
    }
}

async fn learn_session(client: Client, to: Sender) {
    let answer = match session(&client).await {
        Ok(document) => Ok(Input::Session(document)),
        Err(error) if is_fatal(&error) => Err(error),
        Err(_) => return,
    };
    // The receiver is gone if the program ends.
    let _ = to.send(answer).await;
}

/// Follows a stream, across restarts of the server.
async fn follow(client: Client, feed: Feed, job: Option<JobId>, to: Sender) {
    let mut events = EventStream::new(&client, job.as_ref(), job.is_some(), NEVER);
    loop {
        let input = match events.next().await {
            Ok(StreamUpdate::Message(message)) => match serde_json::from_str(&message.data) {
                Ok(data) => Ok(Input::Event { feed, event: message.event, data }),
                Err(_) => Err(ClientError::UnexpectedAnswer {
                    server: client.server().to_owned(),
                    what: "an event is not JSON".to_owned(),
                }),
            },
            Ok(StreamUpdate::Disconnected(cause)) => {
                let age = Instant::now().saturating_duration_since(events.received_at());
                let since = Utc::now() - TimeDelta::from_std(age).unwrap_or_default();
                Ok(Input::Lost { feed, cause, since })
            }
            Ok(StreamUpdate::Reconnected) => Ok(Input::Reconnected { feed }),
            Ok(StreamUpdate::Finished) => {
                let _ = to.send(Ok(Input::Ended { feed })).await;
                return;
            }
            Err(error) if job.is_some() && is_gone(&error) => Ok(Input::Removed { feed }),
            Err(error) => Err(error),
        };
        let is_last = matches!(input, Err(_) | Ok(Input::Removed { .. }));
        if to.send(input).await.is_err() || is_last {
            return;
        }
    }
}

fn is_gone(error: &ClientError) -> bool {
    matches!(error, ClientError::JobRemoved(_)) || error.is_unknown_job()
}

/// Requests pages of jobs as they are needed. A page that is needed again during its pause is
/// requested once; a request for another page is replaced.
async fn request_pages(client: Client, mut needed: watch::Receiver<Needed>, to: Sender) {
    while needed.changed().await.is_ok() {
        loop {
            let Some((path, pause)) = needed.borrow_and_update().clone() else { break };
            let request = async {
                sleep(pause).await;
                client.get(&path).await
            };
            let mut other = needed.clone();
            let is_other =
                |needed: &Needed| needed.as_ref().is_none_or(|(newest, _)| *newest != path);
            let answer = tokio::select! {
                answer = request => answer,
                _ = other.wait_for(is_other) => continue,
            };
            let input = match answer {
                Ok(document) => Ok(Input::Listed { path, answer: Ok(document.value) }),
                Err(error) if is_fatal(&error) => Err(error),
                // The end of the outage requests the page again.
                Err(error) if error.is_temporary() => break,
                Err(error) => Ok(Input::Listed { path, answer: Err(error.message_with_hint()) }),
            };
            if to.send(input).await.is_err() {
                return;
            }
            break;
        }
    }
}

async fn observe_health(client: Client, to: Sender) {
    loop {
        let input = match client.get("/health").await {
            Ok(document) => Some(Ok(Input::Health(document.value))),
            Err(error) if is_fatal(&error) => Some(Err(error)),
            // The stream reports outages.
            Err(_) => None,
        };
        if let Some(input) = input
            && to.send(input).await.is_err()
        {
            return;
        }
        sleep(HEALTH_INTERVAL).await;
    }
}

/// Follows a log to its end.
async fn follow_log(client: Client, feed: Feed, job: JobId, index: u32, to: Sender) {
    let path = format!("/scan/{job}/repositories/{index}");
    // The stream of the job contains everything except the URL.
    if let Ok(document) = client.get(&path).await {
        let _ = to.send(Ok(Input::Repository { feed, document: document.value })).await;
    }
    let path = format!("{path}/log?tail={MAX_LINES}&follow=true");
    let ended = async {
        let mut pieces = client.open(&path, "text/plain", true).await?;
        while let Some(piece) = pieces.next().await? {
            let piece = piece.to_vec();
            if to.send(Ok(Input::Log { feed, piece })).await.is_err() {
                break;
            }
        }
        Ok::<_, ClientError>(())
    };
    let input = match ended.await {
        Ok(()) => Ok(Input::LogEnded { feed, error: None }),
        Err(error) if is_fatal(&error) => Err(error),
        Err(error) => Ok(Input::LogEnded { feed, error: Some(error.message_with_hint()) }),
    };
    let _ = to.send(input).await;
}

/// Sends a command.
async fn send(client: Client, verb: Verb, job: JobId, to: Sender) {
    let result = match verb {
        Verb::Retry => client.post(&format!("/scan/{job}/retry"), None).await.map(drop),
        Verb::Cancel => client.post(&format!("/scan/{job}/cancel"), None).await.map(drop),
        Verb::Pause => client.post(&format!("/scan/{job}/pause"), None).await.map(drop),
        Verb::Resume => client.post(&format!("/scan/{job}/resume"), None).await.map(drop),
        Verb::Bump => client.post(&format!("/scan/{job}/bump"), None).await.map(drop),
        Verb::Delete => client.delete(&format!("/scan/{job}")).await,
    };
    let result = result.map_err(|error| error.message_with_hint());
    let _ = to.send(Ok(Input::Answered { verb, job, result })).await;
}
