//! The engine of other machines: attempts are messages of NATS `JetStream`, which agents take, run and report about.
//!
//! Input: tasks, orders, and attempts that an earlier server gave to agents. Output: attempts, how they ended, and
//! their files, which only this server writes.
//!
//! Invariants: NATS carries work and status, the files here are the truth; an attempt counts until a newer one has begun
//! (`fence`); what is removed from NATS is durable here; agents get no credentials but sealed ones, on request.
//!
//! From the bottom up: rules and data (`fence`, `roster`, `message`), the files (`files`), the operations on NATS
//! (`error`, `bucket`, `session`, `objects`), what is shared (`hub`), one attempt (`attempt`), requests (`credentials`,
//! `logs`), what is left over (`cleaning`, `orphans`), the checks of a session (`upkeep`), the connection over time
//! (`service`).

mod attempt;
mod bucket;
mod cleaning;
mod credentials;
mod error;
mod fence;
mod files;
mod hub;
mod logs;
mod message;
mod objects;
mod orphans;
mod roster;
mod service;
mod session;
mod upkeep;

use super::{Attempt, Ending, Runner};
use crate::{
    model::{
        attempt::{AttemptRecord, RemoteAttempt},
        task::ShimTask,
    },
    store::{
        agents::{AgentFiles, EnrolledAgent, MOST_AGENTS},
        chain,
    },
    supervisor::{
        RepoKey, Setup,
        agents::{Capacity, EngineState, EnrollError, Enrollment},
        scheduler::Label,
    },
    wire::{
        connection::{self, Connection, Options, Unusable},
        names::{AgentName, Names},
        seal::PublicKey,
    },
};
pub(in crate::supervisor) use attempt::Remote;
use attempt::{ENGINE, Follower, Work};
use hub::Hub;
use roster::Roster;
use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

/// How long the start waits for NATS.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// The engine of other machines.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Nats {
    hub: Arc<Hub>,
    connection: Connection,
}

impl Nats {
    /// Reads the enrolled agents and begins to connect. A NATS that cannot be reached is tried again later.
    ///
    /// # Errors
    /// If a setting or a file is unusable, or NATS can be reached and cannot be used.
    pub(in crate::supervisor) async fn open(setup: &Setup) -> Result<Self, String> {
        let config = setup.config.get();
        let engine = &config.engine;
        let namespace =
            engine.namespace.parse().map_err(|error| format!("engine.namespace: {error}"))?;
        let names = Names::new(namespace);
        let options = Options {
            servers: engine.nats.clone(),
            credentials_file: engine.credentials_file.clone(),
            ca_file: engine.ca_file.clone(),
            name: "scanwatch server".to_owned(),
            inbox_prefix: format!("_INBOX_{}", engine.namespace),
        };
        let connection = connection::connect(&options)
            .await
            .map_err(|error| format!("[engine]: {}", chain(&error)))?;
        if timeout(START_PATIENCE, connection.connected()).await.is_ok() {
            let usable = connection.check().await;
            usable.map_err(|error: Unusable| error.to_string())?;
        }
        let agent_files = AgentFiles::new(&setup.jobs, config.jobs.folder_mode);
        let read = {
            let agent_files = agent_files.clone();
            crate::pool::Pool::new("agents-start", 1).run(move || agent_files.read()).await
        };
        let read = read.map_err(|lost| chain(&lost))?.map_err(|error| chain(&error))?;
        let mut enrolled = BTreeMap::new();
        for agent in read {
            match agent.name.parse::<AgentName>() {
                Ok(name) => drop(enrolled.insert(name, agent)),
                Err(error) => tracing::error!(%error, "an enrolled agent is ignored"),
            }
        }
        let roster = Roster::new(engine.ack_wait, enrolled);
        let hub = Arc::new(Hub::new(setup.clone(), names, roster, agent_files));
        Ok(Self { hub, connection })
    }

    /// Serves the connection without an end.
    pub(in crate::supervisor) async fn serve(self) {
        service::serve(self.hub, self.connection).await;
    }

    /// How many scans the agents can run, and its changes.
    pub(in crate::supervisor) fn capacity(&self) -> watch::Receiver<Capacity> {
        self.hub.capacity.subscribe()
    }

    /// The state for /health.
    pub(in crate::supervisor) fn state(&self) -> EngineState {
        self.hub.state()
    }

    /// The label of the agents that scan a host.
    pub(in crate::supervisor) fn label_of(&self, host: &str) -> Label {
        self.hub.label_of(host).as_str().into()
    }

    /// Gives an attempt to the agents.
    pub(super) async fn start(
        &self,
        (key, name, task): (RepoKey, String, ShimTask),
    ) -> io::Result<Option<(Attempt, Ending)>> {
        if self.hub.session().is_none() {
            return Err(io::Error::other("NATS cannot be used"));
        }
        let record = AttemptRecord {
            schema: 1,
            attempt: task.scan.attempt,
            interruptions: task.interruptions,
            retries: task.retries,
            alone: task.alone,
            started_at: chrono::Utc::now(),
            remote: Some(RemoteAttempt {
                engine: ENGINE.to_owned(),
                agent: None,
                delivery: 0,
                element: None,
            }),
        };
        let repository = self.repository(&key, name, task.scan.git_url.clone());
        let (space, claim) = (Arc::clone(&self.hub.setup.space), record.clone());
        let to_claim = repository.clone();
        let claimed = self.hub.pool.run(move || match space.obstacle() {
            None => to_claim.record(&claim).map(|()| true),
            Some(_) => Ok(false),
        });
        if !claimed.await.map_err(io::Error::from)?.map_err(io::Error::other)? {
            return Ok(None);
        }
        let label = self.hub.label_of(&task.scan.git_url);
        let message = message::message_of(task, &self.hub.engine);
        // Before the message is out, so that no report is missed.
        let inbox = self.hub.register(repository.clone(), record.attempt);
        let work = Work::Unpublished(Box::new((label, message)));
        Ok(Some(self.follow(repository, record, (work, inbox), Some(Instant::now()))))
    }

    /// Continues to follow an attempt that another server gave to the agents.
    pub(super) fn adopt(
        &self,
        (key, name, git_url): (&RepoKey, String, String),
        record: AttemptRecord,
    ) -> (Attempt, Ending) {
        let repository = self.repository(key, name, git_url);
        let inbox = self.hub.register(repository.clone(), record.attempt);
        self.follow(repository, record, (Work::Unknown, inbox), None)
    }

    fn follow(
        &self,
        repository: files::Repository,
        record: AttemptRecord,
        known: (Work, hub::Inbox),
        started: Option<Instant>,
    ) -> (Attempt, Ending) {
        let remote = Remote::new();
        let attempt =
            Attempt { number: record.attempt, started, runner: Runner::Remote(remote.clone()) };
        let follower = Follower::new(&self.hub, repository, record, known, remote);
        (attempt, Box::pin(follower.run()))
    }

    fn repository(&self, key: &RepoKey, name: String, git_url: String) -> files::Repository {
        files::Repository { folder: self.hub.jobs().job(&key.job), key: key.clone(), name, git_url }
    }

    /// Fetches what is missing of the log of a running scan.
    pub(in crate::supervisor) async fn refresh_log(&self, key: &RepoKey) {
        logs::refresh(&self.hub, key).await;
    }

    /// Keeps fetching the log of a running scan, without an end.
    pub(in crate::supervisor) async fn follow_log(&self, key: &RepoKey) {
        let mut ticks = interval(logs::INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            logs::refresh(&self.hub, key).await;
        }
    }

    /// Enrolls an agent; again with the same key, that changes at most its labels.
    pub(in crate::supervisor) async fn enroll(
        &self,
        name: &str,
        public_key: &str,
        labels: Vec<String>,
    ) -> Result<Enrollment, EnrollError> {
        let invalid = |error: &dyn std::fmt::Display| EnrollError::Invalid(error.to_string());
        let agent_name: AgentName = name.parse().map_err(|error| invalid(&error))?;
        PublicKey::try_from(public_key.to_owned()).map_err(|error| invalid(&error))?;
        for label in &labels {
            label.parse::<crate::wire::names::Label>().map_err(|error| invalid(&error))?;
        }
        let known = {
            let roster = self.hub.roster();
            if roster.enrolled().len() >= MOST_AGENTS {
                return Err(EnrollError::TooMany);
            }
            roster.enrolled().get(&agent_name).cloned()
        };
        if known.as_ref().is_some_and(|known| known.public_key != public_key) {
            return Err(EnrollError::OtherKey(name.to_owned()));
        }
        let agent = EnrolledAgent {
            schema: 1,
            name: name.to_owned(),
            public_key: public_key.to_owned(),
            labels,
            enrolled_at: known.as_ref().map_or_else(chrono::Utc::now, |known| known.enrolled_at),
        };
        let namespace = self.hub.engine.namespace.clone();
        if known.as_ref() == Some(&agent) {
            return Ok(Enrollment { agent, is_new: false, namespace });
        }
        let (agent_files, written) = (self.hub.agent_files.clone(), agent.clone());
        self.on_disk(move || agent_files.write(&written)).await?;
        self.hub.roster().enroll(agent_name.clone(), agent.clone());
        tracing::info!(agent = %agent_name, "an agent is enrolled");
        if let Some(session) = self.hub.session()
            && let Err(error) = session.create_results(&agent_name).await
        {
            tracing::warn!(agent = %agent_name, %error, "cannot create the bucket of an agent; the next connection does");
        }
        self.hub.publish_capacity();
        Ok(Enrollment { agent, is_new: known.is_none(), namespace })
    }

    /// Removes an agent: it gets no more credentials, and its reports are refused.
    pub(in crate::supervisor) async fn remove_agent(&self, name: &str) -> Result<(), EnrollError> {
        let agent: AgentName = name.parse().map_err(|_| EnrollError::Unknown)?;
        if !self.hub.roster().enrolled().contains_key(&agent) {
            return Err(EnrollError::Unknown);
        }
        let (agent_files, removed) = (self.hub.agent_files.clone(), name.to_owned());
        self.on_disk(move || agent_files.remove(&removed)).await?;
        self.hub.roster().remove(&agent);
        tracing::info!(%agent, "an agent is no longer enrolled");
        self.hub.publish_capacity();
        Ok(())
    }

    async fn on_disk(
        &self,
        work: impl FnOnce() -> Result<(), crate::store::StoreError> + Send + 'static,
    ) -> Result<(), EnrollError> {
        match self.hub.pool.run(work).await {
            Ok(done) => Ok(done?),
            Err(lost) => {
                let at = crate::store::StoreError::at("write", self.hub.jobs().root());
                Err(at(lost.into()).into())
            }
        }
    }
}
