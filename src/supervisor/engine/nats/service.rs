//! The connection to NATS over time: sessions, one after the other, and what arrives in each.
//!
//! Input: statuses, heartbeats and requests from NATS. Output: reports for attempts, the roster, answers.
//!
//! Invariants: after each reconnection everything is read again, as states and not as history; a failure ends the
//! session, and the next one repairs what is missing; a status of an attempt that no longer counts is answered with an
//! order to end it.

use super::{
    cleaning::{self, Unclaimed},
    credentials,
    error::{NatsError, at},
    hub::{Hub, Leftover, Routed, read_status},
    session::Session,
    upkeep::{self, Seen},
};
use crate::wire::{
    connection::Connection,
    heartbeat::Heartbeat,
    names::{AgentName, RepositoryKey},
    status::{Kind, StatusHeader},
};
use async_nats::jetstream::kv::{Entry, Operation, Watch};
use futures_util::{StreamExt, future::try_join_all, stream::FuturesUnordered};
use std::{
    collections::{HashSet, VecDeque},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// How often the capacity is determined, and what is unclaimed is looked through.
const TICK: Duration = Duration::from_secs(1);
/// The pause after a session that failed.
const PAUSE: Duration = Duration::from_millis(500);
/// How many attempts are removed from NATS at once.
const MOST_REMOVALS: usize = 32;
/// How many attempts are remembered that have been ordered to end.
const MOST_ENDED: usize = 10_000;
/// How many buckets are created at once.
const BUCKETS: usize = 16;
/// How long the streams may take to be created.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves the engine without an end.
pub(super) async fn serve(hub: Arc<Hub>, connection: Connection) {
    loop {
        if !connection.link.borrow().connected {
            let cause = connection.link.borrow().error.clone();
            let cause = cause.map_or_else(String::new, |error| format!(" ({error})"));
            hub.set_session(Err(format!("it cannot be reached{cause}")));
            connection.connected().await;
        }
        if let Err(ended) = Box::pin(session(&hub, &connection)).await {
            hub.set_session(Err(ended));
            sleep(PAUSE).await;
        }
    }
}

/// One session. Returns why it ended.
async fn session(hub: &Arc<Hub>, connection: &Connection) -> Result<(), String> {
    connection.check().await.map_err(|error| error.to_string())?;
    let open = Box::pin(Session::open(connection, &hub.names, &hub.engine));
    let open = timeout(OPEN_TIMEOUT, open).await.map_err(|_| "it does not answer".to_owned())?;
    let session = Arc::new(open.map_err(|error| error.to_string())?);
    let running = Box::pin(Running::start(hub, Arc::clone(&session))).await;
    let mut running = running.map_err(|error| error.to_string())?;
    let heartbeats = session.watch(&session.agents).await.map_err(|error| error.to_string())?;
    let mut link = connection.link.clone();
    let connections = link.borrow_and_update().connections;
    hub.set_session(Ok(Arc::clone(&session)));
    let seen = Arc::clone(&running.seen);
    // Heartbeats do not wait for requests: no agent counts as silent because this server is busy.
    let served = async {
        tokio::select! { ended = listen(hub, heartbeats, &seen) => ended, ended = running.run() => ended }
    };
    let lost = link.wait_for(|link| !link.connected || link.connections != connections);
    tokio::select! {
        _ = lost => Err("the connection is lost".to_owned()),
        why = upkeep::check(hub, &session, &seen) => Err(why),
        ended = served => match ended {
            Ok(()) => Err("a subscription has ended".to_owned()),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// The removal of what an attempt has left, and its outcome.
type Removal = Pin<Box<dyn Future<Output = (Leftover, Result<(), NatsError>)> + Send>>;

/// A session that runs.
struct Running<'a> {
    hub: &'a Arc<Hub>,
    session: Arc<Session>,
    statuses: Watch,
    requests: async_nats::Subscriber,
    unclaimed: Unclaimed,
    seen: Arc<Seen>,
    /// Attempts that have been ordered to end.
    ended: HashSet<(RepositoryKey, AgentName, u64)>,
    /// What is being removed: on a slow line each removal takes seconds.
    removals: FuturesUnordered<Removal>,
    /// What waits to be removed.
    leftovers: VecDeque<Leftover>,
}

impl<'a> Running<'a> {
    async fn start(hub: &'a Arc<Hub>, session: Arc<Session>) -> Result<Self, NatsError> {
        let enrolled: Vec<_> = hub.roster().enrolled().keys().cloned().collect();
        for some in enrolled.chunks(BUCKETS) {
            let created: Vec<_> = some.iter().map(|agent| session.create_results(agent)).collect();
            try_join_all(created).await?;
        }
        Ok(Self {
            statuses: session.watch(&session.status).await?,
            requests: session.credentials_requests().await?,
            unclaimed: Unclaimed::of(&session).await?,
            seen: Arc::default(),
            ended: HashSet::new(),
            removals: FuturesUnordered::new(),
            leftovers: VecDeque::new(),
            hub,
            session,
        })
    }

    /// Returns when a subscription has ended.
    async fn run(&mut self) -> Result<(), NatsError> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hub = Arc::clone(self.hub);
        loop {
            tokio::select! {
                entry = self.statuses.next() => match entry {
                    Some(Ok(entry)) => self.status(entry).await?,
                    Some(Err(error)) => return Err(at("watch the statuses")(error)),
                    None => return Ok(()),
                },
                request = self.requests.next() => match request {
                    Some(request) => self.request(&request).await,
                    None => return Ok(()),
                },
                () = hub.has_leftovers.notified() => self.remove_leftovers(),
                Some(removed) = self.removals.next() => self.removed(removed)?,
                _ = ticks.tick() => {
                    hub.publish_capacity();
                    self.leftovers.extend(self.unclaimed.clean(&hub, &self.session).await?);
                    self.remove_leftovers();
                }
            }
        }
    }

    /// Takes in the status of an attempt.
    async fn status(&mut self, entry: Entry) -> Result<(), NatsError> {
        Seen::note(&self.seen.statuses, entry.revision);
        if entry.operation != Operation::Put {
            // The marker of a key that its agent has deleted.
            return self.session.remove_marker(&entry.key, entry.revision).await;
        }
        let (key, header, bytes) = match read_status(&entry.key, &entry.value) {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(key = entry.key.escape_debug().to_string(), %error, "a status in NATS is not usable and ignored");
                return Ok(());
            }
        };
        let revision = entry.revision;
        match self.hub.route(&key, (header.clone(), revision), bytes) {
            Routed::Done => {}
            Routed::Unknown => self.unclaimed.note(key, (header, revision)),
            Routed::Refused => {
                self.end(&key, &header).await;
                // Other agents would take it for a later attempt.
                self.session.remove_status(&key, (&header, revision)).await?;
            }
            Routed::Outdated if header.kind == Kind::Final => {
                tracing::info!(repository = %key, agent = %header.agent, attempt = header.attempt, "the final state of an attempt that no longer counts is ignored");
            }
            Routed::Outdated => self.end(&key, &header).await,
        }
        Ok(())
    }

    /// Orders an agent to end an attempt, once: it reports on until it has seen the order.
    async fn end(&mut self, key: &RepositoryKey, header: &StatusHeader) {
        if self.ended.len() > MOST_ENDED {
            self.ended.clear();
        }
        let attempt = (key.clone(), header.agent.clone(), header.attempt);
        if self.ended.insert(attempt.clone())
            && let Err(error) = self.unclaimed.end(&self.session, key, header).await
        {
            // The next report is answered again.
            self.hub.note_refusal(&error.to_string());
            self.ended.remove(&attempt);
        }
    }

    async fn request(&mut self, request: &async_nats::Message) {
        let agent = self.hub.names.agent_of_credentials(&request.subject);
        let (Some(agent), Some(reply)) = (agent, request.reply.clone()) else { return };
        let answer = credentials::answer(self.hub, &agent, &request.payload);
        if let Err(error) = self.session.client.publish(reply, answer.into()).await {
            tracing::warn!(%agent, %error, "cannot answer an agent");
        }
    }

    /// Begins to remove from NATS what attempts have left that have ended.
    fn remove_leftovers(&mut self) {
        self.leftovers.extend(self.hub.take_leftovers());
        while self.removals.len() < MOST_REMOVALS
            && let Some(leftover) = self.leftovers.pop_front()
        {
            let session = Arc::clone(&self.session);
            self.removals.push(Box::pin(async move {
                let removed = cleaning::remove_leftover(&session, &leftover).await;
                (leftover, removed)
            }));
        }
    }

    /// What an attempt has left is removed, or is not.
    fn removed(
        &mut self,
        (leftover, removed): (Leftover, Result<(), NatsError>),
    ) -> Result<(), NatsError> {
        match &removed {
            Ok(()) => {
                self.unclaimed.note_removal(&leftover);
                self.remove_leftovers();
            }
            // What remains is unclaimed for the next session.
            Err(_) => self.hub.leave(leftover),
        }
        removed
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // The next session removes it.
        for leftover in self.leftovers.drain(..) {
            self.hub.leave(leftover);
        }
    }
}

/// Takes in heartbeats. Returns when their subscription has ended.
async fn listen(hub: &Hub, mut heartbeats: Watch, seen: &Seen) -> Result<(), NatsError> {
    let mut are_fresh = false;
    while let Some(entry) = heartbeats.next().await {
        let entry = entry.map_err(at("watch the agents"))?;
        Seen::note(&seen.heartbeats, entry.revision);
        if hear(hub, &entry, are_fresh) {
            hub.publish_capacity();
        }
        are_fresh = entry.seen_current;
    }
    Ok(())
}

/// Takes in a heartbeat. Returns whether it changes the capacity.
fn hear(hub: &Hub, entry: &Entry, is_fresh: bool) -> bool {
    let Ok(name) = entry.key.parse() else { return false };
    if entry.operation != Operation::Put {
        hub.roster().forget(&name);
        return true;
    }
    match Heartbeat::read(&entry.key, &entry.value) {
        Ok(heartbeat) => hub.roster().hear(heartbeat, Instant::now(), is_fresh),
        Err(error) => {
            tracing::warn!(agent = %name, %error, "a heartbeat is not usable and ignored");
            false
        }
    }
}
