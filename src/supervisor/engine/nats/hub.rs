//! What the parts of the engine share: the attempts that are under way, the agents, the session with NATS.
//!
//! Input: reports and heartbeats from the session, questions of attempts. Output: reports for the attempts that they
//! concern, the capacity for the loop, the state for /health.
//!
//! Invariants: no lock is held across an await; a report reaches its attempt only if the fence admits it.

use super::{
    fence::{Admission, Fence},
    files,
    roster::Roster,
    session::{Session, StoredMessage},
};
use crate::{
    config::{EngineConfig, EngineKind},
    pool::Pool,
    store::{agents::AgentFiles, layout::JobsDir},
    supervisor::{
        RepoKey, Setup,
        agents::{Capacity, EngineState},
    },
    wire::{
        names::{AgentName, Label, Names, RepositoryKey},
        status::{self, Kind, StatusHeader},
    },
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// The threads for the files of attempts.
const THREADS: usize = 16;
/// The threads for statuses that are not final: they are not fsynced, and do not wait for those that are.
const PROGRESS_THREADS: usize = 4;

/// How long a refusal of NATS counts that is not noticed again.
const REFUSALS_COUNT: Duration = Duration::from_secs(12);

/// What an agent reported about an attempt.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) header: StatusHeader,
    pub(super) bytes: Bytes,
}

/// The newest report about a repository.
pub(super) type Inbox = watch::Receiver<Option<Arc<Report>>>;

/// A repository whose attempt is under way.
#[derive(Debug)]
struct Entry {
    fence: Fence,
    reports: watch::Sender<Option<Arc<Report>>>,
    /// Who has ever reported an attempt of it, with its last status and the revision of that.
    holders: BTreeMap<AgentName, (StatusHeader, u64)>,
    repository: files::Repository,
    /// Pieces of its log are appended by one task at a time.
    log: Arc<tokio::sync::Mutex<()>>,
}

/// What the parts of the engine share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) setup: Setup,
    pub(super) names: Names,
    pub(super) engine: EngineConfig,
    pub(super) pool: Pool,
    pub(super) progress: Pool,
    pub(super) agent_files: AgentFiles,
    roster: Mutex<Roster>,
    entries: Mutex<HashMap<RepositoryKey, Entry>>,
    session: watch::Sender<Option<Arc<Session>>>,
    problem: Mutex<Option<String>>,
    /// Why NATS stores nothing although it is connected, and when that was noticed last.
    refusal: Mutex<Option<(String, Instant)>>,
    pub(super) capacity: watch::Sender<Capacity>,
    leftovers: Mutex<Vec<Leftover>>,
    pub(super) has_leftovers: Notify,
}

/// What an attempt that has ended leaves in NATS.
#[derive(Debug)]
pub(super) struct Leftover {
    pub(super) key: RepositoryKey,
    pub(super) statuses: Vec<(StatusHeader, u64)>,
    /// Its message.
    pub(super) message: Option<StoredMessage>,
    /// Whether its agents were given an order.
    pub(super) has_order: bool,
}

/// What becomes of a report, and of the attempt that it is about.
pub(super) enum Routed {
    /// It reached its attempt, or contains nothing new.
    Done,
    /// No attempt of the repository is under way here.
    Unknown,
    /// The attempt no longer counts.
    Outdated,
    /// Its agent may not scan the repository.
    Refused,
}

impl Hub {
    pub(super) fn new(setup: Setup, names: Names, roster: Roster, agent_files: AgentFiles) -> Self {
        let engine = setup.config.get().engine.clone();
        Self {
            setup,
            names,
            engine,
            pool: Pool::new("agents-files", THREADS),
            progress: Pool::new("agents-progress", PROGRESS_THREADS),
            agent_files,
            roster: Mutex::new(roster),
            entries: Mutex::default(),
            session: watch::Sender::new(None),
            problem: Mutex::default(),
            refusal: Mutex::default(),
            capacity: watch::Sender::default(),
            leftovers: Mutex::default(),
            has_leftovers: Notify::new(),
        }
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<RepositoryKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn jobs(&self) -> &JobsDir {
        &self.setup.jobs
    }

    /// The session, if NATS can be used now.
    pub(super) fn session(&self) -> Option<Arc<Session>> {
        self.session.borrow().clone()
    }

    /// NATS can be used from now on, or cannot, for this reason.
    pub(super) fn set_session(&self, session: Result<Arc<Session>, String>) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match session {
            Ok(session) => {
                self.roster().set_connected(Some(session.since));
                if problem.take().is_some() {
                    tracing::info!("NATS can be used again; attempts are given to agents");
                }
                self.session.send_replace(Some(session));
            }
            Err(why) => {
                self.roster().set_connected(None);
                if problem.as_ref() != Some(&why) {
                    tracing::warn!(
                        why,
                        "NATS cannot be used; running scans continue, queued ones wait"
                    );
                }
                *problem = Some(why);
                self.session.send_replace(None);
            }
        }
        drop(problem);
        self.publish_capacity();
    }

    /// NATS is connected, and stores nothing for this reason.
    pub(super) fn note_refusal(&self, why: &str) {
        let refusal = (why.to_owned(), Instant::now());
        let known = self.refusal().replace(refusal);
        if known.is_none_or(|(known, at)| known != why || at.elapsed() > REFUSALS_COUNT) {
            tracing::warn!(why, "NATS stores nothing; queued repositories wait until it has room");
        }
    }

    /// NATS has stored something.
    pub(super) fn forget_refusal(&self) {
        if self.refusal().take().is_some() {
            tracing::info!("NATS stores what it is sent again");
        }
    }

    fn refusal(&self) -> MutexGuard<'_, Option<(String, Instant)>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports to the loop how many scans the agents can run.
    pub(super) fn publish_capacity(&self) {
        let capacity = match self.session() {
            Some(_) => self.roster().capacity(Instant::now()),
            None => Capacity::default(),
        };
        self.capacity.send_if_modified(|known| {
            let changed = *known != capacity;
            *known = capacity;
            changed
        });
    }

    /// The state for /health.
    pub(super) fn state(&self) -> EngineState {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut refusal = self.refusal();
        if refusal.as_ref().is_some_and(|(_, at)| at.elapsed() > REFUSALS_COUNT) {
            *refusal = None;
        }
        EngineState {
            kind: EngineKind::Nats,
            connected: self.session.borrow().is_some(),
            problem,
            refusal: refusal.as_ref().map(|(why, _)| why.clone()),
            agents: self.roster().states(Instant::now()),
        }
    }

    /// After this time of silence an agent is dead, although NATS has not given its scan to another one: somebody keeps
    /// its message alive.
    pub(super) fn silence_of_the_dead(&self) -> Duration {
        self.engine.ack_wait * 5
    }

    /// Whether agents live that scan a repository.
    pub(super) fn has_agents_for(&self, git_url: &str) -> bool {
        let label = self.label_of(git_url);
        let capacity = self.roster().capacity(Instant::now());
        capacity.by_label.get(label.as_str()).is_some_and(|slots| *slots > 0)
    }

    /// The label of the agents that scan a repository.
    pub(super) fn label_of(&self, git_url: &str) -> Label {
        let host = url::Url::parse(git_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let label = self.engine.label_of(host.as_deref().unwrap_or_default());
        label.parse().unwrap_or_default()
    }

    /// An attempt of the repository is under way from now on; reports of attempts from `first` on count.
    pub(super) fn register(&self, repository: files::Repository, first: u64) -> Inbox {
        let (reports, inbox) = watch::channel(None);
        let entry = Entry {
            fence: Fence::new(first),
            reports,
            holders: BTreeMap::new(),
            log: Arc::default(),
            repository,
        };
        self.entries().insert(wire_key(&entry.repository.key), entry);
        inbox
    }

    /// The attempt has ended. Returns the last statuses of those who have reported attempts of the repository.
    pub(super) fn unregister(&self, key: &RepositoryKey) -> Vec<(StatusHeader, u64)> {
        let entry = self.entries().remove(key);
        entry.map(|entry| entry.holders.into_values().collect()).unwrap_or_default()
    }

    /// Notes what is to be removed from NATS.
    pub(super) fn leave(&self, leftover: Leftover) {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner).push(leftover);
        self.has_leftovers.notify_one();
    }

    /// Takes what is to be removed from NATS.
    pub(super) fn take_leftovers(&self) -> Vec<Leftover> {
        std::mem::take(&mut *self.leftovers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether an attempt of the repository is under way.
    pub(super) fn is_under_way(&self, key: &RepositoryKey) -> bool {
        self.entries().contains_key(key)
    }

    /// Takes in the value of a status.
    pub(super) fn route(
        &self,
        key: &RepositoryKey,
        (header, revision): (StatusHeader, u64),
        bytes: Bytes,
    ) -> Routed {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(key) else { return Routed::Unknown };
        let label = self.label_of(&entry.repository.git_url);
        if !self.roster().may_scan(&header.agent, &label) {
            return Routed::Refused;
        }
        entry.holders.insert(header.agent.clone(), (header.clone(), revision));
        match entry.fence.admit(&header) {
            Admission::Outdated => return Routed::Outdated,
            Admission::Known => {}
            Admission::Counts => {
                entry.reports.send_replace(Some(Arc::new(Report { header, bytes })));
            }
        }
        Routed::Done
    }

    /// Whether an agent may act for an attempt. Returns the URL of its repository.
    pub(super) fn may_act(
        &self,
        key: &RepositoryKey,
        agent: &AgentName,
        attempt: u64,
    ) -> Option<String> {
        let entries = self.entries();
        let entry = entries.get(key)?;
        let label = self.label_of(&entry.repository.git_url);
        let may_act = entry.fence.may_act(agent, attempt) && self.roster().may_scan(agent, &label);
        may_act.then(|| entry.repository.git_url.clone())
    }

    /// The agent that holds the attempt of a repository, with what is needed to read its log.
    pub(super) fn log_of(&self, key: &RepoKey) -> Option<LogSource> {
        let entries = self.entries();
        let entry = entries.get(&wire_key(key))?;
        let holder = entry.fence.holder()?;
        let is_running =
            entry.reports.borrow().as_ref().is_some_and(|report| report.header.kind != Kind::Final);
        is_running.then(|| LogSource {
            agent: holder.agent.clone(),
            attempt: holder.attempt,
            path: entry.repository.folder.log(key.index),
            turn: Arc::clone(&entry.log),
        })
    }

    /// The turn of whoever writes the log of a repository.
    pub(super) fn log_turn(&self, key: &RepoKey) -> Arc<tokio::sync::Mutex<()>> {
        let entries = self.entries();
        entries.get(&wire_key(key)).map(|entry| Arc::clone(&entry.log)).unwrap_or_default()
    }
}

/// Where the log of a running attempt is, and where it goes.
pub(super) struct LogSource {
    pub(super) agent: AgentName,
    pub(super) attempt: u64,
    pub(super) path: std::path::PathBuf,
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

/// The key of a repository in messages.
pub(super) fn wire_key(key: &RepoKey) -> RepositoryKey {
    RepositoryKey { job: key.job.clone(), index: key.index }
}

/// Reads the value of a status.
pub(super) fn read_status(
    key: &str,
    value: &Bytes,
) -> Result<(RepositoryKey, StatusHeader, Bytes), crate::wire::WireError> {
    let status = status::decode(key, value)?;
    let bytes = value.slice(value.len() - status.bytes.len()..);
    Ok((status.key, status.header, bytes))
}
